"""
One frozen `Settings`, and where each value came from.

The command line beats the environment, which beats `dawdle.toml`, which beats the defaults. Every
value, whatever layer it comes from, becomes the text one would write on a command line and is
read by its `Kind`, so a rule stands in one place and a sentence about it helps everywhere.
"""

import ipaddress
import re
import tomllib
from collections import ChainMap
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType, NoneType
from typing import Annotated, Any, Literal, NamedTuple, Self, get_args

from pydantic import Field, GetCoreSchemaHandler, SecretStr, ValidationError, model_validator
from pydantic_core import CoreSchema, core_schema
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from app.errors import BadValue, Fatal
from app.grammar import (
    decimal,
    duration,
    duration_text,
    integer,
    number_text,
    profile_name,
    quoted,
    run_name,
    size,
)
from app.titles.guard import Opening, opening

PREFIX = "DAWDLE_"
FILE = "dawdle.toml"
DEFAULT = "default"

# Known in the environment, yet no settings: what `dawdle run` tells its command, and the file.
CONFIG = f"{PREFIX}CONFIG"
NOT_SETTINGS = (f"{PREFIX}URL", f"{PREFIX}RUN", f"{PREFIX}ECHO_ADDRESS", CONFIG)

LONGEST_DURATION = 24 * 60 * 60 * 1_000_000_000  # asyncio's selectors wait a day at most
SHORTEST_IDLE = 100_000_000  # nanoseconds: what the sweep of echoes can tell
SHORTEST_TOKEN = 8

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"  # RFC 1123 section 2.1; `_` as in compose files
_HOST_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*", re.ASCII)
_TOKEN = re.compile(r"[!-~]+", re.ASCII)
_SWITCH = {"true": True, "yes": True, "on": True, "1": True} | {
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


class Misfit(BadValue):
    """A setting that is fine alone but does not go together with another."""

    def __init__(self, setting: str, sentence: str) -> None:
        super().__init__(sentence)
        self.setting = setting


# --- kinds: how a value is read from text and written as text ------------------------------------


def _written(value: object) -> str:
    """The value as one would write it on a command line; no message shows it, it may be secret."""
    match value:
        case str():
            return value
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case float():
            return number_text(value)
        case Path():
            return _path_text(value)
        case Opening():
            return _opening_text(value)
        case tuple():
            return ",".join(map(_written, value))
    what = "a list" if isinstance(value, list) else "a table or date"
    raise BadValue(f"{what} can't stand here; write one text, number, true or false")


def _path_text(path: Path) -> str:
    text = path.as_posix()
    return text if path.is_absolute() or text.startswith("..") else f"./{text}"


def _opening_text(opened: Opening) -> str:
    network, port = opened
    if port is None:
        return str(network)
    address = network.network_address
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


def _size_text(count: int) -> str:
    for unit, shift in (("m", 20), ("k", 10)):
        if count and not count % (1 << shift):
            return f"{count >> shift}{unit}"
    return str(count)


@dataclass(frozen=True)
class Kind:
    """
    One kind of value: its name in `--help`, how it is *read* from text and *written* as text.

    Inside `Annotated` it tells pydantic how to validate. *several*: a list is read as its items
    joined by commas.
    """

    name: str
    read: Callable[[str], Any]
    written: Callable[[Any], str] = _written
    several: bool = False

    def validate(self, value: object) -> Any:
        """The value of this kind in *value*, a text or what TOML has for it; else `BadValue`."""
        if self.several and isinstance(value, list):
            value = tuple(value)
        return self.read(_written(value))

    def __get_pydantic_core_schema__(self, source: Any, _: GetCoreSchemaHandler) -> CoreSchema:
        schema = core_schema.no_info_plain_validator_function(self.validate)
        return core_schema.nullable_schema(schema) if NoneType in get_args(source) else schema


def _between(
    read: Callable[[str], Any],
    least: float,
    most: float | None = None,
    written: Callable[[Any], str] = _written,
) -> Callable[[str], Any]:
    """Like *read*, and refuses what is below *least* or above *most*."""
    allowed = (
        f"{written(least)} or more" if most is None else f"{written(least)} to {written(most)}"
    )

    def read_between(text: str) -> Any:
        value = read(text)
        if value < least or (most is not None and value > most):
            raise BadValue(f"{text} is out of range; use {allowed}")
        return value

    return read_between


def _one_of(*choices: str) -> Callable[[str], str]:
    def read_choice(text: str) -> str:
        if text.lower() not in choices:
            raise BadValue(f"{quoted(text)} is no choice here; use {' or '.join(choices)}")
        return text.lower()

    return read_choice


def _switch(text: str) -> bool:
    try:
        return _SWITCH[text.lower()]
    except KeyError:
        raise BadValue(f"{quoted(text)} is neither true nor false; use one of those") from None


def _plain(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise BadValue(f"{quoted(text)} is blank or has a control character; write plain text")
    return text


def _path(text: str) -> Path:
    return Path(_plain(text))


def _host_name(text: str) -> str:
    if not _HOST_NAME.fullmatch(text.lower()):
        raise BadValue(
            f"{quoted(text)} is not a host name; write one such as dawdle.example.com, "
            "without scheme, port or path"
        )
    return text.lower()


def _host_names(text: str) -> tuple[str, ...]:
    return tuple(_host_name(item.strip()) for item in text.split(",")) if text.strip() else ()


def _openings(text: str) -> tuple[Opening, ...]:
    return tuple(opening(item.strip()) for item in text.split(",")) if text.strip() else ()


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        if _HOST_NAME.fullmatch(text.lower()):
            return text.lower()
    raise BadValue(
        f"{quoted(text)} is not an address; write one such as 127.0.0.1, ::1 or localhost"
    )


def _token(text: str) -> SecretStr:
    if len(text) < SHORTEST_TOKEN:
        raise BadValue(
            f"a token of {len(text)} characters is too easy to guess; use {SHORTEST_TOKEN} or more"
        )
    if not _TOKEN.fullmatch(text):
        raise BadValue(
            "the token has blanks, control characters or letters beyond ASCII, which no "
            "Authorization header carries safely; use visible ASCII characters"
        )
    return SecretStr(text)


def _whole(least: int, most: int | None = None) -> Kind:
    return Kind("NUMBER", _between(integer, least, most))


_read_duration = _between(duration, 0, LONGEST_DURATION, duration_text)
_read_idle = _between(duration, SHORTEST_IDLE, LONGEST_DURATION, duration_text)

Address = Annotated[str, Kind("ADDRESS", _address)]
Port = Annotated[int, _whole(0, 65_535)]
Folder = Annotated[Path, Kind("FOLDER", _path)]
Rate = Annotated[str | None, Kind("RATE", _plain)]
StreamFault = Annotated[str | None, Kind("FAULT", _plain)]
OptionalFile = Annotated[Path | None, Kind("FILE", _path)]
Delay = Annotated[str, Kind("DELAY", _plain)]
OptionalProfile = Annotated[str | None, Kind("NAME", profile_name)]
OptionalRun = Annotated[str | None, Kind("RUN", run_name)]
Duration = Annotated[int, Kind("DURATION", _read_duration, duration_text)]
Size = Annotated[int, Kind("SIZE", size, _size_text)]
ReplySize = Annotated[int, Kind("SIZE", _between(size, 64), _size_text)]
Scale = Annotated[float, Kind("NUMBER", _between(decimal, 0, 10))]
Openings = Annotated[tuple[Opening, ...], Kind("NETWORKS", _openings, several=True)]
PageSize = Annotated[int, Kind("SIZE", _between(size, 1_024, None, _size_text), _size_text)]
HostNames = Annotated[tuple[str, ...], Kind("NAMES", _host_names, several=True)]
OptionalSecret = Annotated[SecretStr | None, Kind("TOKEN", _token, lambda _: "(set)")]
Switch = Annotated[bool, Kind("", _switch)]
LogFormat = Annotated[Literal["text", "json"], Kind("FORMAT", _one_of("text", "json"))]
LogLevel = Annotated[
    Literal["debug", "info", "warning", "error"],
    Kind("LEVEL", _one_of("debug", "info", "warning", "error")),
]


# --- the settings --------------------------------------------------------------------------------


class Settings(BaseSettings):
    """
    Everything one can choose about the service. Frozen, and blind to the environment: see `load`.

    Inside, durations are nanoseconds and sizes bytes; given as text or as in TOML they follow the
    grammar, so a plain number is seconds, respectively bytes.
    """

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", validate_default=False, hide_input_in_errors=True
    )

    host: Address = Field(
        default="127.0.0.1", description="The address to listen on; 0.0.0.0 is every one."
    )
    port: Port = Field(
        default=3000, description="The port to listen on, 0 to 65535; 0 takes any free one."
    )
    tls_cert: OptionalFile = Field(
        default=None, description="The certificate for HTTPS, PEM; needs tls_key."
    )
    tls_key: OptionalFile = Field(
        default=None, description="The private key of tls_cert, PEM, without a passphrase."
    )
    tls_self_signed: Switch = Field(
        default=False, description="Serve HTTPS with a throw-away certificate made at start-up."
    )

    echo: Switch = Field(default=True, description="Serve the TCP echo, too.")
    echo_port: Port = Field(
        default=7777,
        description="The port of the TCP echo; 0 takes any free one, and so does port 0 "
        "unless this is given.",
    )

    lane: Switch = Field(
        default=True,
        description="Serve plain /aio in the lean lane, past aiohttp; off with an access log.",
    )

    delay: Delay = Field(
        default="1-30", description="How long a request waits that asks for no delay of its own."
    )
    time_scale: Scale = Field(
        default=1.0,
        description="Multiplies every planned delay, 0 to 10; 0.01 turns seconds into moments.",
    )
    profiles: OptionalFile = Field(
        default=None, description="A TOML file with profiles: named presets of knobs."
    )

    default_profile: OptionalProfile = Field(
        default=None, description="The profile of requests that choose none."
    )

    echo_delay: Delay = Field(
        default="0", description="How long each piece waits that the TCP echo receives."
    )
    echo_rate: Rate = Field(
        default=None,
        description="The most bytes that a connection of the TCP echo gets back, such as 10k/s.",
    )
    echo_fault: StreamFault = Field(
        default=None,
        description="What breaks connections of the TCP echo: reset, empty, garbage or hang, "
        "with @BYTES after so many.",
    )

    data: Folder = Field(
        default=Path("data"), description="The folder in which runs, spans and titles are kept."
    )
    default_run: OptionalRun = Field(
        default=None,
        description="The run of requests that name none; else default-1, default-2 and so on.",
    )
    idle_gap: Duration = Field(
        default=duration("10s"),
        description="With nothing unnamed in flight for this long, the next default-N begins.",
    )
    journal: Annotated[int, _whole(1_000)] = Field(
        default=1_000_000,
        description="Spans kept, 1000 or more; past it the oldest finished run leaves first.",
    )

    kept_urls: Annotated[int, _whole(1)] = Field(
        default=1_000_000,
        description="URLs whose titles are kept; past it the oldest finished job leaves first.",
    )

    max_waiting: Annotated[int, _whole(1)] = Field(
        default=20_000, description="Requests waiting at once; the next is answered 503."
    )
    max_delay: Duration = Field(
        default=duration("300s"), description="The longest delay a request may ask for."
    )
    max_body: Size = Field(
        default=size("1m"), description="The largest request body; a larger one is answered 413."
    )
    max_size: ReplySize = Field(
        default=size("16m"), description="The largest reply a request may ask for, 64 or more."
    )
    max_keys: Annotated[int, _whole(1)] = Field(
        default=100_000, description="Different keys a run may count attempts of."
    )
    viewers: Annotated[int, _whole(0)] = Field(
        default=100, description="Live views of runs open at once."
    )
    max_echo_connections: Annotated[int, _whole(1)] = Field(
        default=10_000, description="Echo connections open at once, TCP and WebSocket together."
    )
    echo_idle: Annotated[int, Kind("DURATION", _read_idle, duration_text)] = Field(
        default=duration("300s"),
        description="An echo connection on which nothing came or went for so long is closed.",
    )
    websocket_message: Annotated[int, Kind("SIZE", _between(size, 1), _size_text)] = Field(
        default=size("1m"),
        description="The largest WebSocket message; at a larger one the connection closes (1009).",
    )
    shutdown_grace: Duration = Field(
        default=duration("35s"),
        description="How long a stopping service goes on answering those who wait.",
    )

    max_page_bytes: PageSize = Field(
        default=size("2m"),
        description="How much of a page is read for its title, unpacked, 1k or more.",
    )
    max_urls: Annotated[int, _whole(1)] = Field(
        default=100_000, description="URLs that a title job may have."
    )
    max_jobs: Annotated[int, _whole(1, 100)] = Field(
        default=4, description="Title jobs that run at once, 1 to 100; up to 100 more wait."
    )
    allow_networks: Openings = Field(
        default=(),
        description="What titles may be fetched from besides public addresses: networks such as "
        "10.0.0.0/8, or exact places such as 127.0.0.1:8080, separated by commas (in TOML a list).",
    )

    allowed_hosts: HostNames = Field(
        default=(),
        description="Further host names of this service, separated by commas (in TOML a list).",
    )
    token: OptionalSecret = Field(
        default=None,
        description="The secret to sign in with, 8 characters or more; better given in the "
        "environment than on a command line, which other users of the machine can read.",
    )

    access_log: Switch = Field(default=False, description="Log every request.")
    log_format: LogFormat = Field(default="text", description="How logs are written: text or json.")
    log_level: LogLevel = Field(
        default="info", description="The least that is logged: debug, info, warning or error."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  # the library's signature
        init_settings: PydanticBaseSettingsSource,
        *_: Any,
        **__: Any,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is passed: the world comes in through `load`, where it is an argument."""
        return (init_settings,)

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        if self.tls_self_signed and self.tls_cert:
            raise Misfit(
                "tls_self_signed",
                "a throw-away certificate can't stand beside tls_cert; choose one of the two",
            )
        for present, absent in (("tls_cert", "tls_key"), ("tls_key", "tls_cert")):
            if getattr(self, present) and not getattr(self, absent):
                raise Misfit(
                    present,
                    f"{self.text(present)} is given without {absent}; give both or neither",
                )
        return self

    @property
    def echo_listens_on(self) -> int:
        """The port of the echo; any free one where everything is to be on free ports."""
        follows = not self.port and "echo_port" not in self.model_fields_set
        return 0 if follows else self.echo_port

    def text(self, name: str) -> str:
        """The value of the setting *name* as one would write it; empty for none, no secrets."""
        return _text(name, getattr(self, name))


# The settings as people look for them, in the order in which help and documents show them.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "Where it listens": (
        "host",
        "port",
        "tls_cert",
        "tls_key",
        "tls_self_signed",
        "echo",
        "echo_port",
        "lane",
    ),
    "How it dawdles": (
        "delay",
        "time_scale",
        "profiles",
        "default_profile",
        "echo_delay",
        "echo_rate",
        "echo_fault",
    ),
    "What it remembers": ("data", "default_run", "idle_gap", "journal", "kept_urls"),
    "Limits": (
        "max_waiting",
        "max_delay",
        "max_body",
        "max_size",
        "max_keys",
        "viewers",
        "max_echo_connections",
        "echo_idle",
        "websocket_message",
        "shutdown_grace",
    ),
    "Titles": ("max_page_bytes", "max_urls", "max_jobs", "allow_networks"),
    "Who may use it": ("allowed_hosts", "token"),
    "Logs": ("access_log", "log_format", "log_level"),
}


def _kind(name: str) -> Kind:
    metadata = Settings.model_fields[name].metadata
    return next(each for each in metadata if isinstance(each, Kind))


def _text(name: str, value: object) -> str:
    return "" if value is None else _kind(name).written(value)


@dataclass(frozen=True, slots=True)
class Setting:
    """What users are told about one setting; `kind` is empty for a switch, as is no default."""

    name: str
    flag: str
    environment: str
    kind: str
    default: str
    description: str


def settings_table() -> tuple[Setting, ...]:
    """Every setting, in the order of help and documents."""
    return tuple(
        Setting(
            name=name,
            flag=_flag(name),
            environment=_environment_name(name),
            kind=_kind(name).name,
            default=_text(name, field.default),
            description=field.description or "",
        )
        for name, field in Settings.model_fields.items()
    )


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _environment_name(name: str) -> str:
    return PREFIX + name.upper()


# --- loading -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, and for each the `--flag`, `DAWDLE_NAME` or file it came from, or `default`."""

    settings: Settings
    origins: Mapping[str, str]

    def table(self) -> str:
        """A line for each setting: name, value, origin."""
        rows = [("setting", "value", "origin")]
        for name, origin in self.origins.items():
            rows.append((name, self.settings.text(name) or "(none)", origin))
        names, values = (max(len(row[column]) for row in rows) for column in (0, 1))
        return "\n".join(f"{row[0]:<{names}}  {row[1]:<{values}}  {row[2]}" for row in rows)


class _Given(NamedTuple):
    """A value somebody gave, the layer it stands in, and how a message names the very place."""

    value: object
    origin: str
    place: str


def load(
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    folder: Path,
    *,
    without: Collection[str] = (),
) -> Loaded:
    """
    The settings from flags, environment and `dawdle.toml`, in this order, else the defaults.

    *flags* holds what the command line gave, by the setting's name, and `config` when a file was
    named there; *folder* is where `dawdle.toml` is looked for and named files are relative to.
    The settings *without* keep their defaults, whatever is given for them.

    Raises:
        Fatal: a value is bad, a name unknown, or the file missing or broken; one sentence.
    """
    layers = ChainMap(
        _from_flags(flags), _from_environment(environ), _from_file(flags, environ, folder)
    )
    given = {name: each for name, each in layers.items() if name not in without}
    try:
        settings = Settings.model_validate({name: each.value for name, each in given.items()})
    except ValidationError as error:
        raise Fatal(_sentence(error, given)) from None
    origins = {
        name: given[name].origin if name in given else DEFAULT for name in Settings.model_fields
    }
    return Loaded(settings, MappingProxyType(origins))


def _sentence(error: ValidationError, given: Mapping[str, _Given]) -> str:
    """The first error, led by the place where the value was given."""
    details = error.errors()[0]
    reason: BadValue = details["ctx"]["error"]  # every kind refuses with one
    name = reason.setting if isinstance(reason, Misfit) else str(details["loc"][0])
    return f"{given[name].place}: {reason}"


def _known(name: str, settings: Mapping[str, str], place: str, others: tuple[str, ...] = ()) -> str:
    """The setting spelled *name* in this layer, which knows *others* too; else it is fatal."""
    if name not in settings:
        spellings = {each.lower(): each for each in (*settings, *others)}
        nearest = spellings[get_close_matches(name.lower(), spellings, n=1, cutoff=0)[0]]
        raise Fatal(f"{place}: there is no setting {quoted(name)}; the nearest is {nearest}")
    return settings[name]


def _from_flags(flags: Mapping[str, object]) -> dict[str, _Given]:
    def given(name: str, value: object) -> _Given:
        flag = f"--no{_flag(name)[1:]}" if value is False else _flag(name)
        return _Given(value, flag, flag)

    return {name: given(name, value) for name, value in flags.items() if name != "config"}


def _from_environment(environ: Mapping[str, str]) -> dict[str, _Given]:
    settings = {_environment_name(name): name for name in Settings.model_fields}
    return {
        _known(name, settings, "the environment", NOT_SETTINGS): _Given(value, name, name)
        for name, value in environ.items()
        if name.startswith(PREFIX) and name not in NOT_SETTINGS
    }


def _from_file(
    flags: Mapping[str, object], environ: Mapping[str, str], folder: Path
) -> dict[str, _Given]:
    settings = {name: name for name in Settings.model_fields}
    origin, values = _file(flags, environ, folder)
    return {
        _known(name, settings, origin): _Given(value, origin, f"{origin}, {name}")
        for name, value in values.items()
    }


def _file(
    flags: Mapping[str, object], environ: Mapping[str, str], folder: Path
) -> tuple[str, Mapping[str, object]]:
    """The name of the file of settings and what it says; one that is named must be there."""
    if "config" in flags:
        named = str(flags["config"])
        return named, _read(folder / named, f"--config {named}")
    if CONFIG in environ:
        named = environ[CONFIG]
        return named, _read(folder / named, f"{CONFIG}={named}")
    return FILE, _read(folder / FILE, FILE, optional=True)


def _read(file: Path, place: str, *, optional: bool = False) -> dict[str, object]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))  # some editors write a BOM
    except FileNotFoundError:
        if optional:
            return {}
        raise Fatal(f"{place}: there is no such file; name a TOML file that exists") from None
    except OSError as error:
        raise Fatal(f"{place}: can't be read ({error.strerror}); name a readable file") from None
    except UnicodeDecodeError:
        raise Fatal(f"{place}: is not UTF-8; save it in that encoding") from None
    except ValueError as error:  # tomllib names line and column
        raise Fatal(f"{place}: is not TOML: {error}; correct it there") from None
