"""Profiles: named presets of knobs, built in or from a TOML file."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.errors import Fatal
from app.grammar import number_text

BUILT_IN: dict[str, dict[str, str]] = {
    # Quick and mostly sound, but one reply in ten fails or breaks: what retries are for.
    "flaky": {
        "delay": "lognormal(80ms,0.4)",
        "status": "200:0.95,503:0.05",
        "fault": "reset:0.03,empty:0.01,truncate:0.01",
    },
    # Four workers with room for eight more to queue, and a refusal for everybody else, which says
    # when to come back: what back-pressure is for.
    "overloaded": {"delay": "normal(400ms,80ms)", "capacity": "4", "queue": "8"},
    # Still up, but half of it is dark: replies crawl, and many fail: what circuit breakers and
    # timeouts are for.
    "brownout": {
        "delay": "lognormal(1s,0.9)",
        "status": "200:0.6,503:0.4",
        "fault": "truncate:0.05",
        "retry_after": "2",
    },
    # Nine in ten answer at once, one in ten keeps its client waiting: the mean hides the tail.
    "slow-tail": {"delay": "lognormal(50ms,0.3):0.9,lognormal(2s,0.5):0.1"},
}


def load(path: Path | None) -> dict[str, dict[str, str]]:
    """
    The built-in profiles and those of the TOML file: `[profiles.NAME]` tables of knobs.

    A profile of the file replaces a built-in one of the same name. The knobs are texts still;
    the `Planner` checks them.

    Raises:
        Fatal: the file can't be read, or is not of that form; names file, table and key.
    """
    return BUILT_IN | (_read(path) if path else {})


def built_in(loaded: Mapping[str, Mapping[str, str]]) -> set[str]:
    """The names of those profiles that no file has brought or replaced."""
    return {name for name, texts in BUILT_IN.items() if loaded.get(name) is texts}


def _read(path: Path) -> dict[str, dict[str, str]]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Fatal(f"profiles {path} can't be read: {error.strerror}; name a TOML file") from None
    except (ValueError, RecursionError) as error:  # broken TOML, broken UTF-8, too deep
        raise Fatal(f"profiles {path} is not TOML: {error}") from None
    for table in document.keys() - {"profiles"}:
        raise Fatal(f"profiles {path} has {table} at its top; use [profiles.NAME] tables only")
    profiles = _table(document.get("profiles", {}), f"{path}: profiles")
    return {name: _knobs(table, f"{path}: [profiles.{name}]") for name, table in profiles.items()}


def _knobs(table: object, where: str) -> dict[str, str]:
    return {name: _text(value, f"{where} {name}") for name, value in _table(table, where).items()}


def _table(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Fatal(f"{where} is not a table; write [profiles.NAME] and knobs below it")
    return value


def _text(value: object, where: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Fatal(f"{where} = {value!r} is not a text or a number; write it as in a URL")
    return number_text(value) if isinstance(value, float) else str(value)
