"""What `dawdle titles` is to do: the wish as it was typed -> an errand that can be run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from app.clock import SystemClock
from app.errors import BadValue, Fatal
from app.grammar import quoted
from app.titles import inputs, options, states
from app.titles.fetch import USER_AGENT, Fetcher
from app.titles.guard import Guard
from app.titles.job import Job
from app.titles.options import Options
from app.titles.outputs import Output
from app.titles.states import State, States
from app.titles.terminal import Terminal


@dataclass(frozen=True, slots=True)
class Manners:
    """How to ask for pages: what is not kept with the state."""

    user_agent: str | None = None  # our own name
    headers: Sequence[str] = ()  # each `Name: value`
    proxy: str | None = None
    insecure: bool = False
    public_only: bool = False


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line asks for."""

    arguments: Sequence[str]  # URLs, files, or `-`
    column: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)  # those that were given
    output: Path | None = None
    resume: bool = False
    strict: bool = False
    state: Path | None = None
    manners: Manners = Manners()


@dataclass(slots=True)
class Errand:
    """A wish whose options, files and folder are known to be right."""

    wish: Wish
    urls: Sequence[str]  # none when it goes on with what stands in the folder
    options: Options
    fetcher: Fetcher
    terminal: Terminal
    output: Output | None
    states: States
    state: State
    job: Job | None = None  # as it was last seen
    terminated: bool = False  # by a signal

    @property
    def folder(self) -> Path:
        """Where what is done is kept."""
        return self.state.folder


def prepare(wish: Wish) -> Errand:
    """
    The errand of that wish. A folder is made only when everything else is known to be right.

    Raises:
        Fatal: an option, a file or the folder can't be used.
    """
    urls = inputs.read(wish.arguments, wish.column) if wish.arguments else []
    kept = States(wish.state or states.usual_root())
    return Errand(
        wish=wish,
        urls=urls,
        options=_options(wish.options),
        fetcher=_fetcher(wish.manners),
        terminal=Terminal(urls, shows_results=wish.output is None),
        output=Output(wish.output) if wish.output else None,
        states=kept,
        state=_state(wish, kept, urls),
    )


def _options(given: Mapping[str, str]) -> Options:
    try:
        return options.read(given)
    except BadValue as error:
        raise Fatal(f"--{str(error).replace('_', '-', 1)}") from None


def _fetcher(manners: Manners) -> Fetcher:
    try:
        return Fetcher(
            SystemClock(),
            guard=Guard() if manners.public_only else None,
            user_agent=USER_AGENT if manners.user_agent is None else manners.user_agent,
            headers=_headers(manners.headers),
            proxy=manners.proxy,
            insecure=manners.insecure,
        )
    except BadValue as error:
        raise Fatal(str(error)) from None


def _headers(texts: Sequence[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for text in texts:
        name, colon, value = text.partition(":")
        if not colon:
            raise Fatal(f"--header: {quoted(text)} has no colon; write 'NAME: VALUE'")
        if name.lower() in map(str.lower, headers):
            raise Fatal(f"--header: {quoted(name)} is given twice; once is enough")
        headers[name] = value.strip()
    return headers


def _state(wish: Wish, kept: States, urls: Sequence[str]) -> State:
    """Where to go on, or a new beginning."""
    label = states.label(urls) if urls else None
    found = kept.newest(label) if wish.resume else None
    if found is not None:
        return found
    if label is None:
        raise Fatal(f"there is nothing to go on with in {kept.root}; name URLs or a file of them")
    return kept.fresh(label)
