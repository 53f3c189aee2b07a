"""Logs go to standard error, as text or as JSON, from the least level up."""

import json
import logging
import re
from collections.abc import Iterator

import pytest
from aiohttp.http_exceptions import BadStatusLine

from app.logs import configure
from app.settings import Settings

MOMENT = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"

log = logging.getLogger("dawdle.test")


@pytest.fixture(autouse=True)
def root() -> Iterator[logging.Logger]:
    """The root logger, as it was afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    yield root
    root.handlers, root.level = handlers, level


def choose(**values: str) -> None:
    configure(Settings.model_validate(values))


def test_text_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    """A moment, a level, who says it, and what; nothing of it on standard output."""
    choose()

    log.warning("%d wait", 7)

    out, err = capsys.readouterr()
    assert "" == out
    assert re.fullmatch(rf"{MOMENT} WARNING dawdle\.test: 7 wait\n", err)


def test_json_is_an_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Tracebacks too: what collects logs reads lines."""
    choose(log_format="json")

    log.error("it\nfailed", exc_info=ZeroDivisionError())

    (line,) = capsys.readouterr().err.splitlines()
    document = json.loads(line)
    assert ("ERROR", "dawdle.test", "it\nfailed") == tuple(
        document[name] for name in ("levelname", "name", "message")
    )
    assert re.fullmatch(MOMENT, document["asctime"])
    assert "ZeroDivisionError" in document["exc_info"]


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_moments_are_in_utc_wherever_we_are(
    capsys: pytest.CaptureFixture[str], log_format: str
) -> None:
    """ISO 8601 with milliseconds and zone, so that logs of several machines can be merged."""
    choose(log_format=log_format)
    record = logging.LogRecord("dawdle", logging.INFO, "", 0, "now", None, None)
    record.created, record.msecs = 1_700_000_000.25, 250.0

    log.handle(record)

    assert "2023-11-14T22:13:20.250Z" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("level", "seen"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)]
)
def test_what_is_below_the_level_is_silent(
    capsys: pytest.CaptureFixture[str], level: str, seen: int
) -> None:
    """The level itself is logged."""
    choose(log_level=level)

    for number in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        log.log(number, "something")

    assert seen == len(capsys.readouterr().err.splitlines())


@pytest.mark.parametrize(("level", "seen"), [("debug", True), ("info", False)])
def test_what_the_parser_refuses_is_logged_only_to_debug(
    capsys: pytest.CaptureFixture[str], level: str, seen: bool
) -> None:
    """Anybody could fill the log with it."""
    choose(log_level=level)

    logging.getLogger("aiohttp.server").error("refused", exc_info=BadStatusLine("FROB"))
    logging.getLogger("aiohttp.server").error("our own")

    err = capsys.readouterr().err
    assert (seen, True) == ("refused" in err, "our own" in err)
