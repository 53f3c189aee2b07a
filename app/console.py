"""What the commands print: texts that fit their terminal, and verdicts in words."""

import os
import shutil
import sys
from collections.abc import Mapping
from typing import Any, TextIO

from app import grammar, timeline
from app.checks import FINDINGS, LENGTHS


def show(text: str, stream: TextIO | None = None) -> None:
    """
    Write to standard output, or *stream*.

    In colours on a terminal, unless NO_COLOR is set (https://no-color.org) or it is a dumb one; in
    ASCII where the text can't be taken as it is.
    """
    stream = stream or sys.stdout
    try:
        text.encode(stream.encoding or "ascii")
    except UnicodeEncodeError:
        text = timeline.in_ascii(text)
    print(timeline.in_colour(text) if _has_colours(stream) else text, end="", file=stream)
    stream.flush()


def _has_colours(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def width() -> int:
    """How wide a text may be, in columns."""
    return timeline.fitting(shutil.get_terminal_size().columns)


def verdict_text(verdict: Mapping[str, Any]) -> str:
    """A line a check, below a blank one."""
    late = ["FAILED: the run was not complete in time"] if verdict["timed_out"] else []
    lines = [_line(result, verdict["time_scale"]) for result in verdict["checks"]]
    return "\n".join(["", *late, *lines, ""])


def _line(result: Mapping[str, Any], time_scale: float) -> str:
    said = f"{'ok    ' if result['passed'] else 'FAILED'} {asked(result, time_scale)}"
    line = f"{said}: it is {figure(result)}"
    return f"{line} ({', '.join(result['spans'])})" if result["spans"] else line


def asked(result: Mapping[str, Any], time_scale: float) -> str:
    """The check as it was asked, with what it came to when time is scaled."""
    bound = f"{result['name']}={result['bound']}"
    if "scaled_bound" in result:
        bound += f" ({result['scaled_bound']} at time scale {grammar.number_text(time_scale)})"
    return bound


def figure(result: Mapping[str, Any]) -> str:
    """
    The value as exact as its bounds may be.

    A wait of 8 s is over a moment later, which is why it breaks `makespan=..8s`: rounded to the
    three digits of a report, it would read as if it kept it.
    """
    value = result["value"]
    if value is None:
        return "nothing"
    if result["name"] == FINDINGS:
        codes = ", ".join(finding["code"] for finding in result["findings"])
        return f"{value}: {codes}" if codes else str(value)
    if result["name"] in LENGTHS:
        return _length(round(value * grammar.NANOSECONDS["s"]))
    return str(value) if isinstance(value, int) else grammar.number_text(round(value, 6))


def _length(ns: int) -> str:
    """A length to the microsecond."""
    unit = "s" if ns >= grammar.NANOSECONDS["s"] else "ms"
    exact = round(ns / grammar.MICROSECOND) * grammar.MICROSECOND
    return f"{grammar.decimal_text(exact, grammar.NANOSECONDS[unit])} {unit}"
