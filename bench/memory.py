"""
The server's memory over a million requests, and over clients that come and leave.

    python -m bench.memory           some four minutes; writes bench/results/memory.json
    python -m bench.memory --quick   under 20 s, to see that it runs; writes nothing

A server that keeps something of every request grows with each; one that does not is flat after
the first thousands, when its caches are full. Linux only: memory comes from its /proc.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.kinds import DAWDLE, NO_LANE, PLAIN, Kind, kinds
from bench.load import Connection, Failed, Looper, connected
from bench.machine import SERVER_CORE, machine, prepare
from bench.measurements import SETTLE_S, own_report, warm_up
from bench.process import Server, serving
from bench.tables import markdown
from bench.waiting import PEERS

RESULTS = Path(__file__).with_name("results") / "memory.json"
SERVED = (DAWDLE, NO_LANE)  # unless others are asked for
KNOWN = {kind.name: kind for kind in kinds(PEERS) if kind.name in (*SERVED, PLAIN)}

LOOPERS = 64
LEAVERS = 1_000  # at a time
DELAY_S = 120  # nobody who leaves waits that long
STRETCH_S = 120.0  # the most that the way to the next point may take
ARRIVING_S = 0.3  # after the last send: all wait
GONE_S = 0.3  # after the last closing: the server knows, and has recorded it


@dataclass(frozen=True, slots=True)
class Point:
    """How much memory the server had after so many requests."""

    requests: int
    bytes: int


Marks = Sequence[int]  # after so many requests the server is looked at
Curve = Callable[[Kind, Server, Marks], Iterator[Point]]


def looping(kind: Kind, server: Server, marks: Marks) -> Iterator[Point]:
    """
    Requests without delay, on 64 connections, with a pause at each mark.

    Raises:
        Failed: a mark was not reached in time.
    """
    request = kind.request(server.address)
    with connected(server.address, [Looper(request) for _ in range(LOOPERS)]) as crowd:
        yield Point(0, server.memory_bytes())
        crowd.send()
        for mark in marks:
            crowd.receive(STRETCH_S, most=mark)
            if crowd.replies < mark:
                raise Failed(f"only {crowd.replies} of {mark} requests were answered in time")
            time.sleep(SETTLE_S)
            yield Point(mark, server.memory_bytes())


def leaving(kind: Kind, server: Server, marks: Marks) -> Iterator[Point]:
    """
    A thousand clients connect, ask for a long delay and leave while they wait; again and again.

    Raises:
        Failed: Dawdle did not record each of them as one that left.
    """
    request = kind.request(server.address, DELAY_S * 1_000)
    yield Point(0, server.memory_bytes())
    for requests in range(LEAVERS, marks[-1] + 1, LEAVERS):
        with connected(server.address, [Connection(request) for _ in range(LEAVERS)]) as crowd:
            crowd.send()
            time.sleep(ARRIVING_S)
        time.sleep(GONE_S)
        if requests in marks:
            yield Point(requests, server.memory_bytes())
    if kind.reports:
        _expect_all_left(server, marks[-1])


def _expect_all_left(server: Server, requests: int) -> None:
    outcomes = own_report(server.address)["outcomes"]
    if outcomes["client_gone"] != requests:
        raise Failed(f"of {requests} clients that left, the report says {outcomes}")


def thousands(*numbers: int) -> Marks:
    """So many thousands, each."""
    return [1_000 * number for number in numbers]


Plan = Mapping[str, tuple[Curve, Marks]]  # by title

LONG: Plan = {
    "requests without delay": (looping, thousands(1, 10, 50, *range(100, 1_001, 100))),
    "clients that left": (leaving, thousands(1, 2, 5, *range(10, 51, 5))),
}
QUICK: Plan = {
    "requests without delay": (looping, thousands(1, 5, 10)),
    "clients that left": (leaving, thousands(1, 2)),
}


# --- the command ---------------------------------------------------------------------------------


def measure(curve: Curve, marks: Marks, kind: Kind) -> list[Point]:
    """
    The curve of a fresh server.

    Raises:
        Failed: something got no good reply.
    """
    print(f"{curve.__name__}, {kind.name}", file=sys.stderr)
    with serving(kind.command, core=SERVER_CORE) as server:
        warm_up(kind, server)
        return list(curve(kind, server, marks))


def table(title: str, curves: Mapping[str, Sequence[Point]]) -> str:
    """Memory in MB, a row for each mark; then what each request of the second half left."""
    rows = zip(*curves.values(), strict=True)
    return markdown(
        [
            [title, *(f"{name}, MB" for name in curves)],
            *(
                [f"{row[0].requests:,}", *(f"{point.bytes / 1e6:.2f}" for point in row)]
                for row in rows
            ),
            [
                "growth a request, second half, B",
                *(f"{growth(points):.2f}" for points in curves.values()),
            ],
        ]
    )


def growth(points: Sequence[Point]) -> float:
    """Bytes that a request of the second half left behind, on the average."""
    last = points[-1]
    first = next(point for point in points if point.requests * 2 >= last.requests)
    return (last.bytes - first.bytes) / (last.requests - first.requests)


def main(argv: Sequence[str] | None = None) -> int:
    """Draw the curves, print them and, unless that was only to see that it runs, store them."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.memory", description="The server's memory; Linux only."
    )
    parser.add_argument("--quick", action="store_true", help="under 20 s; writes nothing")
    parser.add_argument("--servers", nargs="+", choices=KNOWN, default=SERVED, help="of these")
    options = parser.parse_args(argv)
    try:
        prepare(LEAVERS)
        curves = {
            title: {name: measure(curve, marks, KNOWN[name]) for name in options.servers}
            for title, (curve, marks) in (QUICK if options.quick else LONG).items()
        }
    except Failed as error:
        print(f"bench.memory: {error}", file=sys.stderr)
        return 1
    print("\n\n".join(table(title, of) for title, of in curves.items()))
    if not options.quick:
        RESULTS.write_text(json.dumps(document(curves), indent=1) + "\n", encoding="utf-8")
    return 0


def document(curves: Mapping[str, Mapping[str, Sequence[Point]]]) -> dict[str, object]:
    """The curves and what they were measured on, as JSON."""
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "curves": {
            title: {name: [asdict(point) for point in points] for name, points in of.items()}
            for title, of in curves.items()
        },
    }


if __name__ == "__main__":
    sys.exit(main())
