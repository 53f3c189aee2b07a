"""A job as programs and people see it: which results are wanted, and in which words. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any
from urllib.parse import urlencode

from app.clock import SECOND_NS, iso_text
from app.errors import BadValue
from app.formats import Headline, count_text, length_text
from app.grammar import integer, pairs, quoted
from app.titles import options
from app.titles.job import Job, Page, Sort, State
from app.titles.results import Code, record
from app.words import plural

SHOWN = 100  # results in a page, unless asked otherwise
MOST_SHOWN = 1_000

ANY, NONE = "any", "none"  # beside the codes: all that failed, all that did not
ERRORS = (ANY, NONE, *(code.value for code in Code))
LARGEST_FIRST = frozenset({Sort.ELAPSED, Sort.BYTES, Sort.STATUS})  # on the first click


@dataclass(frozen=True, slots=True)
class View:
    """Which results of a job are wanted, and in which order."""

    offset: int = 0
    limit: int = SHOWN
    sort: str = Sort.POSITION.value  # descending with a `-` before it
    error: str | None = None  # one of `ERRORS`; None: all results

    @property
    def by(self) -> Sort:
        return Sort(self.sort.removeprefix("-"))

    @property
    def descending(self) -> bool:
        return self.sort.startswith("-")

    @property
    def query(self) -> str:
        """The view as a query string, without what goes without saying."""
        chosen = {name: getattr(self, name) for name in NAMES}
        said = {name: value for name, value in chosen.items() if value != getattr(PLAIN, name)}
        return f"?{urlencode(said)}" if said else ""


PLAIN = View()
NAMES = tuple(field.name for field in fields(View))


def read(query: str) -> View:
    """
    The view that a query string asks for.

    Raises:
        BadValue: an unknown name, or a value that is none of its kind.
    """
    return View(**{name: _value(name, text) for name, text in pairs(query)})


def _value(name: str, text: str) -> Any:
    match name:
        case "offset":
            return _whole(name, text)
        case "limit":
            limit = _whole(name, text)
            if not 1 <= limit <= MOST_SHOWN:
                raise BadValue(f"limit {limit} is out of range; use 1 to {MOST_SHOWN}", name)
            return limit
        case "sort":
            return _choice(name, text, [sign + each for each in Sort for sign in ("", "-")])
        case "error":
            return _choice(name, text, ERRORS)
    raise BadValue(f"{quoted(name)} is unknown here; use {', '.join(NAMES)}", name)


def _whole(name: str, text: str) -> int:
    try:
        return integer(text)
    except BadValue as error:
        raise BadValue(f"{name}: {error}", name) from None


def _choice(name: str, text: str, choices: Sequence[str]) -> str:
    if text not in choices:
        raise BadValue(f"{name} {quoted(text)} is no choice; use one of {', '.join(choices)}", name)
    return text


# --- for programs --------------------------------------------------------------------------------


def document(job: Job) -> dict[str, Any]:
    """The job as JSON shows it: where it stands, without results."""
    return {
        "job": job.name,
        "state": job.state.value,
        "options": options.document(job.options),
        "created_at": _moment(job.created_ns),
        "started_at": _moment(job.started_ns),
        "ended_at": _moment(job.ended_ns),
        "counts": {
            "urls": job.urls,
            "repeats": job.repeats,
            "done": job.done,
            "succeeded": job.done - job.failed,
            "failed": job.failed,
            "left": job.urls - job.done,
            "errors": dict(job.errors),
        },
        "rate": _rounded(job.rate),
        "time_left": _rounded(job.left_s),
        "trouble": job.trouble,
    }


def _rounded(figure: float | None) -> float | None:
    """To what is worth saying."""
    return None if figure is None else round(figure, 3)


def _moment(ns: int | None) -> str | None:
    return None if ns is None else iso_text(ns)


def with_results(job: Job, page: Page, view: View, urls: Mapping[str, str]) -> dict[str, Any]:
    """The job as JSON shows it, with the results that are wanted and its addresses."""
    after = view.offset + len(page.results)
    following = replace(view, offset=after)
    return {
        **document(job),
        "results": [record(result) for result in page.results],
        "page": {
            **{name: getattr(view, name) for name in NAMES},
            "total": page.total,
            "next": f"{urls['job']}{following.query}" if after < page.total else None,
        },
        "urls": dict(urls),
    }


# --- for people ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Link:
    """A way to another view of the same job."""

    words: str
    query: str
    is_current: bool = False
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A head of the table: what a click on it asks for, and how it is sorted now."""

    words: str
    query: str
    order: str | None  # what `aria-sort` says


def headline(job: Job) -> Headline:
    """The first thing to read about a job."""
    return Headline(_claim(job), " ".join(_asides(job)))


def _claim(job: Job) -> str:
    found, urls = job.done - job.failed, plural(job.urls, "page")
    match job.state:
        case State.QUEUED:
            return f"{urls} to fetch, when the turn comes."
        case State.RUNNING:
            return f"{count_text(job.done)} of {urls} fetched."
        case State.CANCELLED:
            return f"Cancelled after {count_text(job.done)} of {urls}."
        case State.DONE:
            return f"{count_text(found)} of {urls} have a title." if job.urls != 1 else _single(job)


def _single(job: Job) -> str:
    return "The page has no title to show." if job.failed else "The page has a title."


def _asides(job: Job) -> list[str]:
    asides = []
    if job.failed and job.urls != 1:
        asides.append(f"{count_text(job.failed)} failed.")
    if job.left_s is not None and not job.finished:
        asides.append(f"About {length_text(max(1, round(job.left_s)) * SECOND_NS)} to go.")
    if job.repeats:
        asides.append(f"{plural(job.repeats, 'repeat')} left out.")
    return asides


def filters(job: Job, view: View) -> list[Link]:
    """Every way to narrow the results down, with how many there are."""
    counts: dict[str | None, int] = {
        None: job.done,
        NONE: job.done - job.failed,
        ANY: job.failed,
    }
    counts.update(job.errors)
    words = {None: "All", NONE: "Titles", ANY: "Failed"}
    return [
        Link(
            words.get(error, str(error)),
            replace(view, error=error, offset=0).query,
            is_current=error == view.error,
            count=count,
        )
        for error, count in counts.items()
    ]


def columns(view: View) -> dict[str, Column]:
    """The heads of the table by what they sort by."""
    words = {
        Sort.TITLE: "Title",
        Sort.URL: "Address",
        Sort.STATUS: "Status",
        Sort.BYTES: "Read",
        Sort.ELAPSED: "Took",
        Sort.ERROR: "Error",
    }
    return {by.value: _column(view, by, text) for by, text in words.items()}


def _column(view: View, by: Sort, words: str) -> Column:
    """Its click sorts by it, then the other way round, then not at all."""
    first, second = (f"-{by}", by.value) if by in LARGEST_FIRST else (by.value, f"-{by}")
    after = {first: second, second: PLAIN.sort}.get(view.sort, first)
    order = ("descending" if view.descending else "ascending") if view.by is by else None
    return Column(words, replace(view, sort=after, offset=0).query, order)


def pages(view: View, total: int) -> list[Link]:
    """The way to the results before and after these, where there are some."""
    links = []
    if view.offset:
        before = max(0, view.offset - view.limit)
        links.append(Link("Earlier", replace(view, offset=before).query))
    if view.offset + view.limit < total:
        links.append(Link("Further", replace(view, offset=view.offset + view.limit).query))
    return links
