"""
What an echo costs: messages back and forth, and connections on which nothing happens.

    python -m bench.echo           some three minutes; writes bench/results/echo.json
    python -m bench.echo --quick   under 20 s, to see that it runs; writes nothing

And 100 MB through `dawdle echo`, compared by checksum. Linux only: memory and CPU come from its
/proc. `bench/README.md` says what is measured, and what it does not show.
"""

import argparse
import gc
import hashlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from bench.kinds import Kind, dawdle
from bench.load import Connection, Failed, connected
from bench.machine import SERVER_CORE, machine, prepare
from bench.process import Server, Usage, serving
from bench.tables import markdown

RESULTS = Path(__file__).with_name("results") / "echo.json"
ANNOUNCED = r"echo ([0-9.]+):(\d+)\b"
BARE = "bare Protocol"

WARMING_S = 0.2
PATIENCE_S = 30.0  # for the server to accept everybody
MEGABYTE = 1_000_000

Figures = dict[str, float]


def _peer(name: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", f"bench.peers.{name}", *arguments)


SERVERS = (
    Kind("dawdle", dawdle(), version=(sys.executable, "-m", "app", "--version")),
    Kind(BARE, _peer("plain_echo", "protocol")),
    Kind("BufferedProtocol", _peer("plain_echo", "buffered")),
    Kind("streams", _peer("plain_echo", "streams")),
    Kind("socat", _peer("socat"), needs=("socat",), waits=False),
)


class Echoed(Connection):
    """Sends a message again as soon as it has come back, and compares."""

    __slots__ = ("_back",)

    def __init__(self, message: bytes) -> None:
        super().__init__(message)
        self._back = bytearray()

    def send(self) -> None:
        """The first time; the message may be more than the kernel takes at once."""
        self.socket.setblocking(True)
        self.socket.sendall(self._request)
        self.socket.setblocking(False)

    def read(self) -> bool:
        """
        Read what is there; whether it was the rest of the message.

        Raises:
            Failed: something else came back, or the connection was closed.
        """
        data = self.socket.recv(1 << 20)
        self._back += data
        if not data:
            raise Failed("the server closed a connection")
        if len(self._back) < len(self._request):
            return False
        if self._back != self._request:
            raise Failed("what came back is not what was sent")
        self._back.clear()
        self.send()
        return True


class Silent(Connection):
    """Sends nothing."""

    __slots__ = ()

    def send(self) -> None:
        """Nothing, as it says."""


# --- what is measured ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Messages:
    """So many connections, each sending its message again as soon as it is back."""

    title: str
    size: int
    connections: int
    seconds: float

    def suits(self, kind: Kind) -> bool:
        """Whether it makes sense to measure this there."""
        return True

    def figures(self, server: Server) -> Figures:
        """
        Measure it.

        Raises:
            Failed: a message did not come back as it was.
        """
        message = random.Random(self.size).randbytes(self.size)
        with connected(server.address, [Echoed(message) for _ in range(self.connections)]) as crowd:
            crowd.send()
            crowd.receive(WARMING_S)
            warm, usage = crowd.replies, Usage(server)
            crowd.receive(self.seconds)
            count = crowd.replies - warm
            return {
                "per_cpu_s": count / usage.server_s(),
                "per_s": count / self.seconds,
                "server_busy": usage.server_s() / self.seconds,
                "others_busy": usage.others_busy(),
            }


@dataclass(frozen=True, slots=True)
class Idle:
    """So many connections on which nothing happens."""

    title: str
    connections: int

    def suits(self, kind: Kind) -> bool:
        """Whether it makes sense to measure this there."""
        return kind.waits

    def figures(self, server: Server) -> Figures:
        """
        Measure it.

        Raises:
            Failed: the last connection is not echoed.
        """
        before_bytes = server.memory_bytes()
        idle: list[Connection] = [Silent(b"") for _ in range(self.connections - 1)]
        last = Echoed(b"x")
        with connected(server.address, [*idle, last]) as crowd:
            crowd.send()
            crowd.receive(PATIENCE_S, most=1)  # so the server has accepted them all
            if not crowd.replies:
                raise Failed("the last connection was not echoed in time")
            return {"bytes": (server.memory_bytes() - before_bytes) / self.connections}


Measurement = Messages | Idle

LONG: tuple[Measurement, ...] = (
    Messages("64 B, 64 connections", 64, 64, 1.5),
    Messages("64 KiB, 16 connections", 65_536, 16, 1.5),
    Idle("10,000 idle connections", 10_000),
)
QUICK: tuple[Measurement, ...] = (
    Messages("64 B, 64 connections", 64, 64, 0.2),
    Idle("500 idle connections", 500),
)

COLUMNS = {
    "per_cpu_s": "messages a CPU second",
    "per_s": "messages a second",
    "server_busy": "cores busy",
    "others_busy": "cores others kept busy",
    "bytes": "memory a connection, B",
}
COMPARED = ("per_cpu_s", "bytes")
DIGITS = {"server_busy": 2, "others_busy": 2}

Rounds = Mapping[str, Mapping[str, Sequence[Figures]]]  # by title and server


def measure(rounds: int, measurements: Sequence[Measurement], kinds: Sequence[Kind]) -> Rounds:
    """
    Every figure of every round; the servers take turns, each on a fresh process.

    Raises:
        Failed: something did not come back as it was sent.
    """
    found: dict[str, dict[str, list[Figures]]] = {
        what.title: {kind.name: [] for kind in kinds if what.suits(kind)} for what in measurements
    }
    for turn in range(rounds):
        for what in measurements:
            for kind in filter(what.suits, kinds):
                print(f"{what.title}, round {turn + 1}, {kind.name}", file=sys.stderr)
                gc.collect()
                with serving(kind.command, core=SERVER_CORE, announced=ANNOUNCED) as server:
                    found[what.title][kind.name].append(what.figures(server))
    return found


# --- 100 MB through the client -------------------------------------------------------------------


def pipe(megabytes: int) -> Figures:
    """
    So much noise through `dawdle echo` and a server of ours.

    Raises:
        Failed: it did not come back as it was sent.
    """
    noise = random.Random(megabytes).randbytes(MEGABYTE) * megabytes
    with (
        serving(dawdle(), core=SERVER_CORE, announced=ANNOUNCED) as server,
        tempfile.TemporaryFile() as source,
    ):
        source.write(noise)
        source.seek(0)
        address = f"{server.address.host}:{server.address.port}"
        begun, usage = time.monotonic(), Usage(server)
        done = subprocess.run(
            (sys.executable, "-m", "app", "echo", address),
            stdin=source,
            capture_output=True,
            check=False,
        )
        seconds = time.monotonic() - begun
        print(done.stderr.decode(), end="", file=sys.stderr)
        same = hashlib.sha256(done.stdout).digest() == hashlib.sha256(noise).digest()
        if done.returncode or not same:
            raise Failed(f"of {megabytes} MB not everything came back as it was sent")
        return {"megabytes": megabytes, "seconds": seconds, "server_cpu_s": usage.server_s()}


# --- the command ---------------------------------------------------------------------------------


def summary(measured: Sequence[Figures]) -> Figures:
    """The median of each figure."""
    return {figure: median(each[figure] for each in measured) for figure in measured[0]}


def table(title: str, rounds: Mapping[str, Sequence[Figures]]) -> str:
    """One measurement of all servers, in brackets how many times the bare one's it is."""
    rows = {name: summary(measured) for name, measured in rounds.items()}
    columns = [figure for figure in COLUMNS if figure in rows[BARE]]
    return markdown(
        [
            [title, *(COLUMNS[figure] for figure in columns)],
            *(
                [name, *(_cell(figure, row[figure], rows[BARE][figure]) for figure in columns)]
                for name, row in rows.items()
            ),
        ]
    )


def _cell(figure: str, value: float, bare: float) -> str:
    text = f"{value:,.{DIGITS.get(figure, 0)}f}"
    return f"{text} ({value / bare:.2f})" if figure in COMPARED else text


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the tables and, unless that was only to see that it runs, store them."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.echo", description="The TCP echo beside others; Linux only."
    )
    parser.add_argument("--quick", action="store_true", help="under 20 s; writes nothing")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(argv)
    measurements = QUICK if options.quick else LONG
    kinds = [kind for kind in SERVERS if not kind.missing()]
    for kind in set(SERVERS) - set(kinds):
        print(f"{kind.name} is left out: {kind.missing()} is not here", file=sys.stderr)
    try:
        prepare(max(what.connections for what in measurements))
        rounds = measure(1 if options.quick else options.rounds, measurements, kinds)
        piped = pipe(10 if options.quick else 100)
    except Failed as error:
        print(f"bench.echo: {error}", file=sys.stderr)
        return 1
    print("\n\n".join(table(title, of) for title, of in rounds.items()))
    print(f"\n{piped['megabytes']} MB through dawdle echo: {piped['seconds']:.2f} s")
    if not options.quick:
        RESULTS.write_text(json.dumps(document(rounds, piped), indent=1) + "\n", encoding="utf-8")
    return 0


def document(rounds: Rounds, piped: Figures) -> dict[str, object]:
    """The figures and what they were measured on, as JSON."""
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "measurements": [
            {
                "title": title,
                "summary": {name: summary(measured) for name, measured in of.items()},
                "rounds": of,
            }
            for title, of in rounds.items()
        ],
        "pipe": piped,
    }


if __name__ == "__main__":
    sys.exit(main())
