"""The TCP echo on real sockets, on both event loops, in the test's own process."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import manners
from app.clock import Clock, SystemClock
from app.connections import Connections
from app.echo import Door
from app.echoes import Echoes
from app.faults import GARBAGE
from app.recorder import Recorder
from app.spans import Span
from tests.fakes import MILLISECOND, SECOND, ManualClock, make_runs
from tests.wires import until

MEGABYTE = 1 << 20
CROWD = 500
IDLE_NS = 300 * SECOND
PATIENCE_S = 30.0
HOST = "127.0.0.1"


@dataclass
class Place:
    """An echo that listens; *ended* are the spans that did."""

    host: str
    port: int
    ended: list[Span]
    live: dict[int, Span]
    echoes: Echoes

    async def connect(
        self, limit: int = 1 << 16
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self.host, self.port, limit=limit)

    async def endings(self, count: int = 1) -> list[tuple[str, str | None]]:
        """How the spans ended, once there are so many."""
        await until(lambda: len(self.ended) >= count)
        return [(span.outcome.value, span.ended_by) for span in self.ended]


@asynccontextmanager
async def echo(
    knobs: Mapping[str, str] | None = None,
    *,
    host: str = HOST,
    most: int = 1_000,
    clock: Clock | None = None,
) -> AsyncIterator[Place]:
    """An echo with these knobs, listening as long as the context lasts."""
    clock, runs, ended = clock or SystemClock(), make_runs(), list[Span]()
    recorder = Recorder(clock, runs, boot=1, on_change=lambda _: None, on_end=ended.append)
    echoes = Echoes(
        clock=clock,
        runs=runs,
        recorder=recorder,
        connections=Connections(),
        random=random.Random(1),
        max_delay_ns=300 * SECOND,
        time_scale=1.0,
        most=most,
        idle_ns=IDLE_NS,
    )
    door = Door(echoes, manners.read(knobs or {}, max_delay_ns=300 * SECOND))
    listener = await asyncio.get_running_loop().create_server(door.echo, host, 0, backlog=4_096)
    try:
        async with asyncio.timeout(PATIENCE_S):
            port = listener.sockets[0].getsockname()[1]
            yield Place(host, port, ended, recorder.live, echoes)
    finally:
        listener.close()
        await echoes.close()
        await listener.wait_closed()


Run = Callable[[Callable[[], Awaitable[None]]], None]


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine function on one of the loops."""
    factory = asyncio.new_event_loop
    if request.param == "uvloop":
        factory = pytest.importorskip("uvloop").new_event_loop

    def run_it(test: Callable[[], Awaitable[None]]) -> None:
        async def main() -> None:
            await test()

        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(main())

    return run_it


async def all_of(reader: asyncio.StreamReader) -> tuple[bytes, bool]:
    """(what came until the end, whether the end was a reset)."""
    data = bytearray()
    try:
        while chunk := await reader.read(1 << 16):
            data += chunk
    except ConnectionResetError:
        return bytes(data), True
    return bytes(data), False


# --- plain ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("texts", [{}, {"delay": "0-2ms", "rate": "16m/s"}], ids=["plain", "slow"])
@given(pieces=st.lists(st.binary(min_size=1, max_size=3_000), max_size=12))
def test_bytes_come_back_however_they_are_cut(
    run: Run, texts: dict[str, str], pieces: list[bytes]
) -> None:
    """And after a half-close the end comes, when all of it is back."""

    async def test() -> None:
        async with echo(texts) as place:
            reader, writer = await place.connect()
            for piece in pieces:
                writer.write(piece)
                await asyncio.sleep(0)
            writer.write_eof()
            assert (b"".join(pieces), False) == await all_of(reader)
            writer.close()
            assert [("completed", None)] == await place.endings()

    run(test)


def test_bytes_of_five_hundred_at_once_come_back_to_whom_they_belong(run: Run) -> None:
    """Each sends noise of its own in pieces of its own, half-closes, and compares."""

    async def visit(place: Place, number: int) -> bool:
        chance = random.Random(number)
        data = chance.randbytes(chance.randrange(1, 20_000))
        reader, writer = await place.connect()
        for begin in range(0, len(data), 1_999):
            writer.write(data[begin : begin + 1_999])
            await asyncio.sleep(0)
        writer.write_eof()
        back, _ = await all_of(reader)
        writer.close()
        return back == data

    async def test() -> None:
        async with echo() as place:
            same = await asyncio.gather(*(visit(place, number) for number in range(CROWD)))
            assert [True] * CROWD == same
            assert [("completed", None)] * CROWD == await place.endings(CROWD)
            assert CROWD == len({span.connection for span in place.ended})

    run(test)


@pytest.mark.parametrize("texts", [{}, {"delay": "50ms"}], ids=["plain", "slow"])
def test_peer_that_vanishes_in_the_middle_is_gone(run: Run, texts: dict[str, str]) -> None:
    """With bytes unread in its socket, which makes its leaving a RST."""

    async def test() -> None:
        async with echo(texts) as place:
            reader, writer = await place.connect(limit=1_000)
            writer.write(bytes(400_000))
            await reader.readexactly(1_000)
            writer.transport.abort()
            assert [("client_gone", "client")] == await place.endings()

    run(test)


@pytest.mark.parametrize("texts", [{}, {"rate": "900m/s"}], ids=["plain", "slow"])
def test_peer_that_does_not_read_is_not_read(run: Run, texts: dict[str, str]) -> None:
    """It can send what kernels and a bounded buffer hold, and gets all of it in the end."""
    noise = random.Random(1).randbytes(MEGABYTE)

    async def test() -> None:
        async with echo(texts) as place:
            peer = socket.create_connection((place.host, place.port))
            peer.setblocking(False)
            sent = stalls = 0
            while stalls < 50 and sent < 256 * MEGABYTE:
                try:
                    sent += peer.send(noise[sent % MEGABYTE :])
                    stalls = 0
                except BlockingIOError:
                    stalls += 1
                    await asyncio.sleep(0.002)
            [span] = place.live.values()
            assert span.bytes_in < 32 * MEGABYTE  # Linux holds up to 6 MB in and 4 MB out
            assert sent < 64 * MEGABYTE

            peer.shutdown(socket.SHUT_WR)
            reader, writer = await asyncio.open_connection(sock=peer)
            back, _ = await all_of(reader)
            assert (noise * (sent // MEGABYTE + 1))[:sent] == back
            writer.close()
            assert [("completed", None)] == await place.endings()

    run(test)


def test_ipv6_is_spoken(run: Run) -> None:
    """Where the machine has it."""

    async def test() -> None:
        try:
            async with echo(host="::1") as place:
                reader, writer = await place.connect()
                writer.write(b"hello")
                writer.write_eof()
                assert (b"hello", False) == await all_of(reader)
                writer.close()
        except OSError:
            pytest.skip("there is no IPv6 here")

    run(test)


# --- limits --------------------------------------------------------------------------------------


def test_connection_past_the_limit_is_closed_at_once(run: Run) -> None:
    """The others go on, and when one leaves there is room again."""

    async def test() -> None:
        async with echo(most=2) as place:
            kept = [await place.connect() for _ in range(2)]
            for reader, writer in kept:
                writer.write(b"x")
                assert b"x" == await reader.readexactly(1)
            reader, writer = await place.connect()
            assert (b"", False) == await all_of(reader)
            writer.close()
            assert [("rejected", None)] == await place.endings()

            for reader, writer in kept:
                writer.write(b"y")
                assert b"y" == await reader.readexactly(1)
                writer.close()
            await place.endings(3)
            reader, writer = await place.connect()
            writer.write(b"z")
            assert b"z" == await reader.readexactly(1)
            writer.close()

    run(test)


def test_idle_connection_is_closed(run: Run) -> None:
    """With a FIN, after what came has gone back."""
    clock = ManualClock()

    async def test() -> None:
        async with echo(clock=clock) as place:
            reader, writer = await place.connect()
            writer.write(b"x")
            assert b"x" == await reader.readexactly(1)
            clock.advance(IDLE_NS + 1)
            place.echoes.look()
            assert (b"", False) == await all_of(reader)
            writer.close()
            assert [("completed", "cap")] == await place.endings()

    run(test)


# --- late, slow, broken --------------------------------------------------------------------------


def test_late_and_slow_bytes_are_neither_early_nor_lost(run: Run) -> None:
    """All of it in order, and then the end."""
    data = random.Random(2).randbytes(40_000)

    async def test() -> None:
        async with echo({"delay": "20-60ms", "rate": "200k/s"}) as place:
            reader, writer = await place.connect()
            for begin in range(0, len(data), 1_000):
                writer.write(data[begin : begin + 1_000])
                await asyncio.sleep(0)
            writer.write_eof()
            assert (data, False) == await all_of(reader)
            writer.close()
            await place.endings()
        [span] = place.ended
        assert span.last_byte_ns is not None
        least_ns = 20 * MILLISECOND + len(data) * SECOND // (200 * 1024)
        assert span.last_byte_ns - span.arrival_ns >= least_ns

    run(test)


@pytest.mark.parametrize(
    ("fault", "sent", "back", "is_reset"),
    [
        ("empty", b"", b"", False),
        ("empty@3", b"abcdef", b"abc", False),
        ("garbage", b"", GARBAGE, False),
        ("garbage@3", b"abcdef", b"abc" + GARBAGE, False),
        ("reset", b"", b"", True),
        ("reset@3", b"abcdef", b"abc", True),
        ("reset@200000", bytes(300_000), bytes(200_000), True),
    ],
)
def test_fault_on_the_wire(
    run: Run, fault: str, sent: bytes, back: bytes, *, is_reset: bool
) -> None:
    """The bytes before it, what it is, and a FIN or a RST."""

    async def test() -> None:
        async with echo({"fault": fault}) as place:
            reader, writer = await place.connect(limit=1 << 20)
            writer.write(sent)
            assert (back, is_reset) == await all_of(reader)
            writer.close()
            assert [("faulted", None)] == await place.endings()
        assert fault.partition("@")[0] == place.ended[0].fault
        assert len(back) == place.ended[0].bytes_out

    run(test)


def test_hang_ends_with_a_reset_after_the_idle_limit(run: Run) -> None:
    """Although the client has said all: nothing comes until then."""
    clock = ManualClock()

    async def test() -> None:
        async with echo({"fault": "hang@3"}, clock=clock) as place:
            reader, writer = await place.connect()
            writer.write(b"abcdef")
            writer.write_eof()
            assert b"abc" == await reader.readexactly(3)
            [span] = place.live.values()
            await until(lambda: span.fault is not None)
            clock.advance(IDLE_NS + 1)
            place.echoes.look()
            assert (b"", True) == await all_of(reader)
            writer.close()
            assert [("faulted", "cap")] == await place.endings()

    run(test)
