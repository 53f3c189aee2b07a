"""What is measured of a server: requests that wait, and requests that do not."""

import gc
import json
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from bench.kinds import Kind
from bench.load import Address, Failed, Looper, Waiter, connected
from bench.process import Server, Usage, serving

RUN = "default-1"  # where Dawdle puts requests that name no run

MILLISECOND_NS = 1_000_000
SEED = 4_711
WARM_UPS = 200  # requests on one connection, before anything is measured
WARMING_S = 0.3  # and before requests without delay are counted: Node.js compiles meanwhile
ACCEPTING_S = 0.2  # after the last connection: the server has them all
ARRIVING_S = 0.05  # after the last send, at least: all have arrived and hardly any is answered
SETTLE_S = 0.3  # after the last reply: what is recorded is on disk
PATIENCE_S = 30.0  # for the last reply, past the longest delay

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Waits:
    """So many requests wait at once; no delay is over before the last request is sent."""

    name: str
    title: str
    requests: int
    sends_over_s: float
    shortest_ms: int
    longest_ms: int
    rounds: int = 3

    @property
    def connections(self) -> int:
        return self.requests

    def suits(self, kind: Kind) -> bool:
        """Whether it makes sense to measure this there."""
        return kind.waits

    def delays_ms(self) -> list[int]:
        """
        Uniform; the same for every server and in every round.

        In whole milliseconds, since nginx and Node.js know no finer ones.
        """
        draw = Random(SEED).randint
        return [draw(self.shortest_ms, self.longest_ms) for _ in range(self.requests)]

    def arriving_s(self) -> float:
        """
        From the last send to the look at the memory.

        A herd is given most of its delay, since slow servers take seconds to read all of it.
        """
        return max(ARRIVING_S, 0.8 * (self.shortest_ms / 1e3 - self.sends_over_s))

    def figures(self, kind: Kind, server: Server) -> Figures:
        """
        Measure it.

        Raises:
            Failed: a request got no good reply, or Dawdle's report does not know of it.
        """
        waiters = [
            Waiter(kind.request(server.address, delay_ms), delay_ms * MILLISECOND_NS)
            for delay_ms in self.delays_ms()
        ]
        before_bytes = server.memory_bytes()
        with connected(server.address, waiters) as crowd:
            time.sleep(ACCEPTING_S)
            usage = Usage(server)
            sent_ms = crowd.send(self.sends_over_s) * 1e3
            crowd.receive(self.arriving_s())
            grown_bytes = server.memory_bytes() - before_bytes
            crowd.receive(self.longest_ms / 1e3 + PATIENCE_S, most=self.requests)
            time.sleep(SETTLE_S)
            figures = {
                "bytes": grown_bytes / self.requests,
                "sent_ms": sent_ms,
                "cpu_us": usage.server_s() / self.requests * 1e6,
                "others_busy": usage.others_busy(),
            }
        if crowd.replies < self.requests:
            raise Failed(f"only {crowd.replies} of {self.requests} were answered in time")
        figures |= _lateness([waiter.lateness_ns for waiter in waiters])
        return figures | (_reported(server.address, self.requests) if kind.reports else {})


@dataclass(frozen=True, slots=True)
class Loops:
    """So many connections, each sending again as soon as it is answered, without delay."""

    name: str
    title: str
    connections: int
    seconds: float
    rounds: int = 3

    def suits(self, kind: Kind) -> bool:
        """Whether it makes sense to measure this there."""
        return True

    def figures(self, kind: Kind, server: Server) -> Figures:
        """
        Measure it.

        Raises:
            Failed: a request got no good reply.
        """
        request = kind.request(server.address)
        loopers = [Looper(request) for _ in range(self.connections)]
        with connected(server.address, loopers) as crowd:
            crowd.send()
            crowd.receive(WARMING_S)
            warm, usage = crowd.replies, Usage(server)
            crowd.receive(self.seconds)
            time.sleep(SETTLE_S)
            replies = crowd.replies - warm
            return {
                "per_cpu_s": replies / usage.server_s(),
                "per_s": replies / self.seconds,
                "server_busy": usage.server_s() / self.seconds,
                "others_busy": usage.others_busy(),
            }


Measurement = Waits | Loops


def measure(what: Measurement, kind: Kind, *, core: int) -> Figures:
    """
    The figures of one measurement, against a fresh server on that core.

    Raises:
        Failed: a request got no good reply.
    """
    gc.collect()
    with serving(kind.command, core=core) as server:
        warm_up(kind, server)
        return what.figures(kind, server)


def warm_up(kind: Kind, server: Server) -> None:
    """Let the server do what it does on first use."""
    looper = Looper(server.address.get(kind.warm_up))
    with connected(server.address, [looper]) as crowd:
        crowd.send()
        crowd.receive(PATIENCE_S, most=WARM_UPS)


def _lateness(lateness_ns: Sequence[int]) -> Figures:
    ordered = [each / MILLISECOND_NS for each in sorted(lateness_ns)]
    return {
        "late_p50_ms": ordered[len(ordered) // 2],
        "late_p99_ms": ordered[len(ordered) * 99 // 100],
        "late_max_ms": ordered[-1],
        "earliest_ms": ordered[0],
    }


def own_report(address: Address) -> dict[str, Any]:
    """What Dawdle reports of the requests that named no run."""
    with urllib.request.urlopen(f"http://{address.host}:{address.port}/runs/{RUN}.json") as reply:
        report: dict[str, Any] = json.load(reply)
    return report


def _reported(address: Address, requests: int) -> Figures:
    report = own_report(address)
    if report["figures"]["completed"] != requests:
        raise Failed(f"the report of {requests} requests says {report['outcomes']}")
    return {f"reported_{of}_ms": report["lateness"][of] * 1e3 for of in ("p50", "p99", "max")}
