"""
What a waiting request costs and how late its reply is: Dawdle, plain aiohttp, a bare protocol.

    python -m bench.waiting           about four minutes; writes bench/results/waiting.json
    python -m bench.waiting --quick   under 20 s, to see that it runs; writes nothing

`bench/README.md` says what is measured and what that does not show. Linux only: memory and CPU
come from its /proc.
"""

import argparse
import asyncio
import gc
import json
import os
import platform
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from pathlib import Path
from random import Random
from statistics import median

from bench.load import Address, Looper, Tally, Waiter, connected, send_evenly
from bench.loops import new_loop
from bench.process import Failed, Server, machine_busy_s, pin, serving

RESULTS = Path(__file__).with_name("results") / "waiting.json"
SERVER_CORE, CLIENT_CORE = 0, 1

DAWDLE, PLAIN, FLOOR = "dawdle", "plain aiohttp", "bare protocol"
SERVERS = {
    DAWDLE: ("app", "serve", "--port", "0", "--data", "."),
    PLAIN: ("bench.plain_aiohttp",),
    FLOOR: ("bench.plain_protocol",),
}
RATIO = "dawdle / plain"
RUN = "default-1"  # where Dawdle puts requests that name no run

SECOND_NS, MILLISECOND_NS = 1_000_000_000, 1_000_000
SEED = 4_711
WARM_UPS = 200  # requests on one connection, before anything is measured
ARRIVING_S = 0.05  # after the last send: all have arrived and hardly any is answered
SETTLE_S = 0.5  # after the last reply: what is recorded is on disk
PATIENCE_S = 40.0  # for the last reply, far past the longest delay
FILES_FOR_OURSELVES = 600

Figures = dict[str, float]


# --- what is measured ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Waits:
    """So many requests wait at once; no delay is over before the last request is sent."""

    requests: int
    sends_over_s: float
    longest_s: float

    @property
    def name(self) -> str:
        return f"{self.requests:,} waiting"

    def delays_ns(self) -> list[int]:
        """Uniform, in whole microseconds; the same for every server and in every round."""
        uniform, shortest_s = Random(SEED).uniform, self.sends_over_s
        return [
            round(uniform(shortest_s, self.longest_s) * 1e6) * 1_000 for _ in range(self.requests)
        ]


@dataclass(frozen=True, slots=True)
class Loops:
    """So many connections, each sending again as soon as it is answered, without delay."""

    connections: int
    seconds: float

    @property
    def name(self) -> str:
        return "no delay"


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured, and how often."""

    rounds: int
    measurements: tuple[Waits | Loops, ...]


LONG = Scale(3, (Waits(10_000, 4.0, 8.0), Waits(1_000, 0.5, 1.0), Loops(64, 2.0)))
QUICK = Scale(1, (Waits(1_000, 0.5, 1.0), Loops(64, 0.5)))


# --- measuring -----------------------------------------------------------------------------------


def measure(name: str, what: Waits | Loops) -> Figures:
    """
    The figures of one measurement, against a fresh server.

    Raises:
        Failed: a request got no good reply, or Dawdle's report does not know of it.
    """
    gc.collect()
    with (
        serving(*SERVERS[name], core=SERVER_CORE) as server,
        asyncio.Runner(loop_factory=new_loop) as runner,
    ):
        runner.run(_warm_up(server.address))
        if isinstance(what, Loops):
            return runner.run(_measure_loops(server, what))
        figures = runner.run(_measure_waits(server, what))
        return figures | (_own_report(server.address, what.requests) if name == DAWDLE else {})


async def _warm_up(address: Address) -> None:
    """Let the server do what it does on first use; `run` means nothing but to Dawdle."""
    tally = Tally(WARM_UPS)
    looper = Looper(address.get("run=warm-up&delay=0"), tally)
    async with connected(address, [looper]):
        looper.send()
        await _all_answered(tally)


async def _measure_waits(server: Server, what: Waits) -> Figures:
    tally = Tally(what.requests)
    waiters = [
        Waiter(server.address.get(f"delay={delay_ns / SECOND_NS:.6f}"), tally, delay_ns)
        for delay_ns in what.delays_ns()
    ]
    before_bytes = server.memory_bytes()
    async with connected(server.address, waiters):
        usage = Usage(server)
        await send_evenly(waiters, what.sends_over_s)
        await asyncio.sleep(ARRIVING_S)
        grown_bytes = server.memory_bytes() - before_bytes
        await _all_answered(tally)
        await asyncio.sleep(SETTLE_S)
        return {
            "bytes": grown_bytes / what.requests,
            **_lateness(tally.lateness_ns),
            "cpu_us": usage.server_s() / what.requests * 1e6,
            "others_busy": usage.others_busy(),
        }


async def _all_answered(tally: Tally) -> None:
    try:
        await asyncio.wait_for(tally.done.wait(), PATIENCE_S)
    except TimeoutError:
        raise Failed(f"only {tally.replies} replies came within {PATIENCE_S:.0f} s") from None
    _expect_no_failures(tally)


def _expect_no_failures(tally: Tally) -> None:
    if tally.failures:
        raise Failed(f"after {tally.replies} good replies: {tally.failures[0]}")


def _lateness(lateness_ns: Sequence[int]) -> Figures:
    ordered = [each / MILLISECOND_NS for each in sorted(lateness_ns)]
    return {
        "late_p50_ms": ordered[len(ordered) // 2],
        "late_p99_ms": ordered[len(ordered) * 99 // 100],
        "late_max_ms": ordered[-1],
        "earliest_ms": ordered[0],
    }


async def _measure_loops(server: Server, what: Loops) -> Figures:
    tally = Tally()
    loopers = [Looper(server.address.get("delay=0"), tally) for _ in range(what.connections)]
    async with connected(server.address, loopers):
        usage = Usage(server)
        for looper in loopers:
            looper.send()
        await asyncio.sleep(what.seconds)
        tally.done.set()
        await asyncio.sleep(SETTLE_S)
        _expect_no_failures(tally)
        return {
            "per_cpu_s": tally.replies / usage.server_s(),
            "server_busy": usage.server_s() / what.seconds,
            "others_busy": usage.others_busy(),
        }


def _own_report(address: Address, requests: int) -> Figures:
    url = f"http://{address.host}:{address.port}/runs/{RUN}.json"
    with urllib.request.urlopen(url) as reply:
        report = json.load(reply)
    if report["figures"]["completed"] != requests:
        raise Failed(f"the report of {requests} requests says {report['outcomes']}")
    return {f"reported_{of}_ms": report["lateness"][of] * 1e3 for of in ("p50", "p99", "max")}


class Usage:
    """What was used of the machine since the making of this."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._begun = self._now()

    def _now(self) -> tuple[float, float, float, float]:
        return time.monotonic(), machine_busy_s(), self._server.cpu_s(), time.process_time()

    def _passed(self) -> tuple[float, ...]:
        return tuple(now - then for now, then in zip(self._now(), self._begun, strict=True))

    def server_s(self) -> float:
        """CPU seconds of the server."""
        return self._passed()[2]

    def others_busy(self) -> float:
        """How many cores were busy with neither the server nor us."""
        elapsed_s, machine_s, server_s, client_s = self._passed()
        return max(0.0, machine_s - server_s - client_s) / elapsed_s


# --- the results ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table."""

    figure: str
    label: str
    digits: int
    compared: bool = False  # whether a ratio means something
    summary: Callable[[Sequence[float]], float] = median


ROWS = (
    Row("bytes", "memory a request, bytes", 0, compared=True),
    Row("late_p50_ms", "late, p50, ms", 2, compared=True),
    Row("late_p99_ms", "late, p99, ms", 2, compared=True),
    Row("late_max_ms", "late, max, ms", 1, compared=True),
    Row("earliest_ms", "earliest of all rounds, ms", 2, summary=min),
    Row("reported_p50_ms", "late by its own report, p50, ms", 2),
    Row("reported_p99_ms", "late by its own report, p99, ms", 2),
    Row("reported_max_ms", "late by its own report, max, ms", 1),
    Row("cpu_us", "CPU a request, us", 1, compared=True),
    Row("per_cpu_s", "requests a CPU second", 0, compared=True),
    Row("server_busy", "cores the server kept busy", 2),
    Row("others_busy", "cores others kept busy", 2),
)

Rounds = dict[str, list[Figures]]  # by server


def run(scale: Scale) -> dict[str, Rounds]:
    """All rounds of all measurements, by name; the servers take turns."""
    results: dict[str, Rounds] = {
        what.name: {name: [] for name in SERVERS} for what in scale.measurements
    }
    turns = product(range(scale.rounds), scale.measurements, SERVERS)
    for turn, what, name in turns:
        print(f"round {turn + 1} of {scale.rounds}: {what.name}, {name}", file=sys.stderr)
        results[what.name][name].append(measure(name, what))
    return results


def summary(rounds: Rounds) -> dict[str, Figures]:
    """One figure for all rounds, by server, and the ratio of Dawdle's to plain aiohttp's."""
    figures = {
        name: {
            row.figure: row.summary([each[row.figure] for each in measured])
            for row in ROWS
            if row.figure in measured[0]
        }
        for name, measured in rounds.items()
    }
    ours, plain = figures[DAWDLE], figures[PLAIN]
    figures[RATIO] = {
        row.figure: ours[row.figure] / plain[row.figure]
        for row in ROWS
        if row.compared and row.figure in ours
    }
    return figures


def table(summaries: Mapping[str, Mapping[str, Figures]]) -> str:
    """The summaries for people."""
    columns = (*SERVERS, RATIO)
    lines = [f"{'':<33}" + "".join(f"{column:>16}" for column in columns)]
    for what, figures in summaries.items():
        lines += ["", what]
        lines += [
            f"  {row.label:<31}"
            + "".join(f"{_cell(row, figures[column], column):>16}" for column in columns)
            for row in ROWS
            if row.figure in figures[DAWDLE]
        ]
    return "\n".join(lines)


def _cell(row: Row, figures: Figures, column: str) -> str:
    if row.figure not in figures:
        return "-"
    return f"{figures[row.figure]:,.{2 if column == RATIO else row.digits}f}"


def document(scale: Scale, results: Mapping[str, Rounds]) -> dict[str, object]:
    """Everything that is needed to compare this with another day, as JSON."""
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": _machine(),
        "rounds": scale.rounds,
        "measurements": [
            {
                "name": what.name,
                **asdict(what),
                "summary": summary(results[what.name]),
                "rounds": results[what.name],
            }
            for what in scale.measurements
        ],
    }


def _machine() -> dict[str, object]:
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "loop": _loop_name(),
        "aiohttp": version("aiohttp"),
    }


def _loop_name() -> str:
    try:
        return f"uvloop {version('uvloop')}"
    except PackageNotFoundError:
        return "asyncio"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the table and, unless that was only to see that it runs, write it down."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.waiting", description="Dawdle against plain aiohttp."
    )
    parser.add_argument("--quick", action="store_true", help="under 20 s; writes nothing")
    scale = QUICK if parser.parse_args(argv).quick else LONG
    if sys.platform != "linux":
        return _refuse("this measures with Linux's /proc and runs nowhere else")
    try:
        _allow_open_files(scale)
        gc.disable()  # a full collection of the client would show as lateness
        pin(0, CLIENT_CORE)
        results = run(scale)
    except Failed as error:
        return _refuse(str(error))
    print(table({what: summary(rounds) for what, rounds in results.items()}))
    if scale is LONG:
        RESULTS.write_text(json.dumps(document(scale, results), indent=2) + "\n")
    return 0


def _allow_open_files(scale: Scale) -> None:
    """Raise our limit and that of the servers, which inherit it, to what the load needs."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = max(what.requests for what in scale.measurements if isinstance(what, Waits))
    needed = most + FILES_FOR_OURSELVES
    if soft < needed and hard < needed:
        raise Failed(f"{needed} open files are needed and {hard} allowed; raise it (ulimit -Hn)")
    if soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def _refuse(sentence: str) -> int:
    print(f"bench.waiting: {sentence}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
