"""What a data folder still holds when its server is started again, however the last one ended."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from signal import SIGTERM
from typing import Any

import pytest

from tests.live.conftest import Start
from tests.live.process import Dawdle, Wire, is_sound, on_each_loop, stored, until

pytestmark = pytest.mark.live

# Promised are 250 ms from a span's end to the disk; the rest is for a machine that is busy.
STORED_AFTER_S = 1.5


def figures(report: dict[str, Any]) -> dict[str, Any]:
    """A report without what belongs to the process that made it."""
    return {name: report[name] for name in report.keys() - {"events_after", "urls"}}


def test_restart_keeps_runs_spans_and_reports(start: Start) -> None:
    """What was recorded before a restart reads the same after it."""
    first = start()
    for delay in ("0", "5ms", "1ms&status=503&key=k", "nonsense"):
        first.get(f"/aio?run=named&delay={delay}")
        first.get(f"/aio?delay={delay}")
    fresh = first.make_run()
    names = {run["name"] for run in first.json("/runs")["runs"]}
    spans, report = first.spans("named"), figures(first.report("named"))
    first.signal(SIGTERM)
    assert first.ended() == 0

    second = start()

    assert {"named", "default-1", fresh} == names
    assert names == {run["name"] for run in second.json("/runs")["runs"]}
    assert spans == second.spans("named")
    assert report == figures(second.report("named"))


def test_restart_gives_no_name_and_no_id_again(start: Start) -> None:
    """Runs and spans of different starts never share a name: ids begin with the boot number."""
    seen = []
    for boot in (1, 2, 3):
        server = start()
        reply = server.get("/aio?delay=0").headers
        seen += [reply["x-dawdle-span"], reply["x-dawdle-run"], server.make_run()]
        until(lambda: len(stored(server.data)) == boot, "the span on disk")  # noqa: B023
        server.kill()

    assert ["1-1", "default-1", "run-1"] == seen[:3]
    assert ["2-1", "default-2", "run-2"] == seen[3:6]
    assert ["3-1", "default-3", "run-3"] == seen[6:]


def test_run_goes_on_after_a_restart(start: Start) -> None:
    """A named run gathers the requests of both starts."""
    first = start()
    first.get("/aio?run=r&delay=0")
    first.signal(SIGTERM)
    first.ended()

    second = start()
    second.get("/aio?run=r&delay=0")

    assert ["1-1", "2-1"] == [span["id"] for span in second.settled("r", 2)]
    assert 2 == second.report("r")["figures"]["requests"]


# --- kill -9 -------------------------------------------------------------------------------------


@dataclass
class Load:
    """Clients that ask as fast as they can, and when they had which answer."""

    server: Dawdle
    answered: dict[str, float] = field(default_factory=dict)  # span -> moment of its reply
    _stop: bool = False

    @contextmanager
    def running(self, clients: int = 8) -> Iterator[None]:
        with ThreadPoolExecutor(clients) as threads:
            asking = [threads.submit(self._ask_on) for _ in range(clients)]
            try:
                yield
            finally:
                self._stop = True
        for each in asking:
            each.result()

    def _ask_on(self) -> None:
        try:
            with closing(Wire(self.server.port)) as wire:
                while not self._stop:
                    wire.ask("/aio?run=load&delay=2ms")
                    span = wire.answer().headers["x-dawdle-span"]
                    self.answered[span] = time.monotonic()
        except (OSError, HTTPException):
            pass  # the server was killed, as planned


def span_names(server: Dawdle) -> set[str]:
    """The spans on disk, by the names that clients see."""
    return {f"{number >> 40}-{number & (1 << 40) - 1}" for (number,) in stored(server.data, ["id"])}


@on_each_loop
def test_kill_under_load_leaves_a_sound_database_with_all_that_had_ended(start: Start) -> None:
    """`kill -9` loses what was in flight and the last moments; the next start goes on."""
    server = start()
    load = Load(server)

    with load.running():
        until(lambda: len(span_names(server)) > 100, "spans on disk")
        until(_passed(STORED_AFTER_S + 0.5), "a while of load")
        killed = time.monotonic()
        server.kill()

    kept = span_names(server)
    due = {span for span, moment in load.answered.items() if killed - moment > STORED_AFTER_S}
    assert is_sound(server.data)
    assert len(due) > 100
    assert due <= kept
    assert {("completed", 200)} == set(stored(server.data))

    again = start()
    assert kept == {span["id"] for span in again.spans("load")}
    assert len(kept) == again.report("load")["figures"]["requests"]
    fresh = again.get("/aio?run=load&delay=0").headers["x-dawdle-span"]
    assert fresh not in load.answered
    assert "Traceback" not in again.log


def _passed(seconds: float) -> Callable[[], bool]:
    """Whether so much time has passed since the call."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() >= end
