"""The TCP echo, between a transport that only listens and a clock that stands still."""

from collections.abc import Callable, Mapping
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import manners
from app.connections import Connections
from app.echo import Door, Echo
from app.echoes import DELETED, MOST_HELD, STOPPED, Echoes
from app.faults import GARBAGE
from app.recorder import Recorder
from app.spans import Kind, Span
from tests.fakes import BEGIN, MILLISECOND, SECOND, ManualClock, make_runs

IDLE = 300 * SECOND


class Socket:
    """Remembers which options were set on it."""

    def __init__(self) -> None:
        self.options: list[tuple[object, ...]] = []

    def setsockopt(self, *option: object) -> None:
        self.options.append(option)


class Transport:
    """
    A connection whose kernel takes *room* bytes and then no more until its peer reads.

    Tells its protocol what asyncio's would, at once.
    """

    def __init__(self, room: float = float("inf")) -> None:
        self._sent = bytearray()  # what the kernel took
        self.unsent = bytearray()
        self.room = room
        self.reading = True
        self.closing = False  # the protocol closed it
        self.half_closed = False  # for writing
        self.lost = False
        self.socket = Socket()
        self._high = 65_536
        self._paused = False
        self.protocol: Echo

    @property
    def sent(self) -> bytes:
        return bytes(self._sent)

    def connect(self, protocol: Echo) -> None:
        self.protocol = protocol
        protocol.connection_made(self)  # type: ignore[arg-type]  # as much of a transport as it needs

    def set_write_buffer_limits(self, high: int) -> None:
        self._high = high

    def get_write_buffer_size(self) -> int:
        return len(self.unsent)

    def get_extra_info(self, name: str) -> Socket:
        assert name == "socket"
        return self.socket

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.half_closed = True

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        assert not self.closing
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.closing
        self.reading = True

    def write(self, data: bytes) -> None:
        assert not self.lost
        self.unsent += data
        self._flush()
        if len(self.unsent) > self._high and not self._paused:
            self._paused = True
            self.protocol.pause_writing()

    def _flush(self) -> None:
        taken = int(min(self.room, len(self.unsent)))
        self._sent += self.unsent[:taken]
        del self.unsent[:taken]
        self.room -= taken

    def read(self, size: float) -> None:
        """The peer reads, so that there is room for so many bytes more."""
        self.room += size
        self._flush()
        if self._paused and len(self.unsent) <= self._high // 4:
            self._paused = False
            self.protocol.resume_writing()
        if self.closing:
            self._lose_when_sent()

    def close(self) -> None:
        self.closing = True
        self._lose_when_sent()

    def _lose_when_sent(self) -> None:
        if not self.unsent:
            self.lose(None)

    def abort(self) -> None:
        self.closing = True
        self.lose(None)

    def lose(self, error: Exception | None) -> None:
        if not self.lost:
            self.lost = True
            self.protocol.connection_lost(error)

    def receive(self, data: bytes) -> None:
        """The peer sends."""
        assert self.reading
        assert not self.closing
        self.protocol.data_received(data)

    def receive_eof(self) -> None:
        """The peer shuts its side down."""
        if not self.protocol.eof_received():
            self.close()


class Cave:
    """Echoes with all that stands around them; *ended* are the spans that did."""

    def __init__(
        self,
        knobs: Mapping[str, str] | None = None,
        *,
        most: int = 10,
        time_scale: float = 1.0,
        has_room: Callable[[], bool] = lambda: True,
    ) -> None:
        self.clock = ManualClock()
        self.ended: list[Span] = []
        self.changes: list[Span] = []
        self.runs = make_runs()
        self.recorder = Recorder(
            self.clock, self.runs, boot=1, on_change=self.changes.append, on_end=self.ended.append
        )
        self.echoes = Echoes(
            clock=self.clock,
            runs=self.runs,
            recorder=self.recorder,
            connections=Connections(),
            random=Random(1),
            max_delay_ns=IDLE,
            time_scale=time_scale,
            most=most,
            idle_ns=IDLE,
            has_room=has_room,
        )
        manner = manners.read(knobs or {}, max_delay_ns=IDLE)
        self.door = Door(self.echoes, manner, "127.0.0.1:7777")

    def connect(self, room: float = float("inf")) -> Transport:
        transport = Transport(room)
        transport.connect(self.door.echo())
        return transport

    def pass_by(self, seconds: float) -> None:
        """Let time pass and look for idle echoes once."""
        self.clock.advance(round(seconds * SECOND))
        self.echoes.look()

    @property
    def endings(self) -> list[tuple[str, str | None]]:
        return [(span.outcome.value, span.ended_by) for span in self.ended]


# --- plain ---------------------------------------------------------------------------------------


@given(st.lists(st.binary(min_size=1, max_size=300)))
def test_bytes_come_back_as_they_were_sent(pieces: list[bytes]) -> None:
    """However they are cut into pieces."""
    cave = Cave()
    peer = cave.connect()

    for piece in pieces:
        peer.receive(piece)
    peer.receive_eof()

    [span] = cave.ended
    assert b"".join(pieces) == peer.sent
    assert (len(peer.sent), len(peer.sent)) == (span.bytes_in, span.bytes_out)
    assert [("completed", None)] == cave.endings


def test_connection_is_a_span_from_its_beginning() -> None:
    """It belongs to the run of requests that name none, and says where it came in."""
    cave = Cave()

    cave.connect()

    [span] = cave.recorder.live.values()
    assert ("default-1", Kind.ECHO, "ECHO") == (span.run, span.kind, span.method)
    assert ("127.0.0.1:7777", 1, 1) == (span.target, span.connection, span.connection_request)
    assert span in cave.changes


def test_first_and_last_byte_are_noted() -> None:
    """The moments at which the first and the last piece went back."""
    cave = Cave()
    peer = cave.connect()

    for _ in range(3):
        cave.clock.advance(SECOND)
        peer.receive(b"x")
    peer.receive_eof()

    [span] = cave.ended
    assert (BEGIN + SECOND, BEGIN + 3 * SECOND) == (span.first_byte_ns, span.last_byte_ns)


def test_peer_that_does_not_read_is_not_read() -> None:
    """Until it does; and then everything comes, in order."""
    cave = Cave()
    peer = cave.connect(room=0)

    sent = bytearray()
    while peer.reading:
        piece = bytes([len(sent) % 251]) * 10_000
        sent += piece
        peer.receive(piece)
    assert len(peer.unsent) <= 65_536 + 10_000

    peer.read(60_000)
    peer.receive(b"more")
    peer.read(1 << 20)
    assert sent + b"more" == peer.sent


def test_half_closed_connection_gets_the_rest_and_then_the_end() -> None:
    """The peer has said all, and reads on."""
    cave = Cave()
    peer = cave.connect(room=10)
    peer.receive(b"x" * 1_000)

    peer.receive_eof()
    assert not cave.ended
    peer.read(990)

    assert b"x" * 1_000 == peer.sent
    assert [("completed", None)] == cave.endings


def test_peer_that_resets_has_left() -> None:
    """Even if everything had come back: it did not say that it was done."""
    cave = Cave()
    peer = cave.connect()
    peer.receive(b"x")

    peer.lose(ConnectionResetError())

    assert [("client_gone", "client")] == cave.endings
    assert 0 == len(cave.echoes)


def test_peer_that_leaves_before_the_rest_has_left() -> None:
    """It had said all, but not heard all."""
    cave = Cave()
    peer = cave.connect(room=0)
    peer.receive(b"x")
    peer.receive_eof()

    peer.lose(BrokenPipeError())

    assert [("client_gone", "client")] == cave.endings


def test_resuming_a_connection_that_is_closing_reads_nothing_more() -> None:
    """Asyncio would complain."""
    cave = Cave()
    peer = cave.connect(room=0)
    peer.receive(b"x" * 100_000)
    peer.protocol.finish()

    peer.read(100_000)

    assert [("shutdown", "shutdown")] == cave.endings


# --- limits --------------------------------------------------------------------------------------


def test_connection_past_the_limit_is_closed_at_once() -> None:
    """It is a span, too; and when another ends there is room again."""
    cave = Cave(most=2)
    first, _ = cave.connect(), cave.connect()

    third = cave.connect()
    assert third.lost
    assert [("rejected", None)] == cave.endings
    assert 2 == len(cave.echoes)

    first.receive_eof()
    assert not cave.connect().lost


def test_connection_without_a_file_left_for_it_is_closed_at_once() -> None:
    """Files are shared with requests."""
    cave = Cave(has_room=lambda: False)

    assert cave.connect().lost
    assert [("rejected", None)] == cave.endings


@pytest.mark.parametrize("texts", [{}, {"delay": "1s"}, {"rate": "1k/s"}])
def test_idle_connection_is_closed(texts: dict[str, str]) -> None:
    """When nothing came for longer than the limit; what came had gone back."""
    cave = Cave(texts)
    peer = cave.connect()
    cave.pass_by(200)
    peer.receive(b"x")
    cave.clock.advance(SECOND)
    cave.pass_by(299)
    assert not cave.ended

    cave.pass_by(2)

    assert peer.lost
    assert [("completed", "cap")] == cave.endings


@pytest.mark.parametrize("texts", [{}, {"rate": "1m/s"}])
def test_peer_that_never_reads_is_cut_off(texts: dict[str, str]) -> None:
    """It does not hold its bytes here for ever."""
    cave = Cave(texts)
    peer = cave.connect(room=100)
    peer.receive(b"x" * 1_000)
    cave.clock.advance(SECOND)
    cave.pass_by(1)  # sees that something is not taken
    cave.pass_by(300)
    assert not cave.ended

    cave.pass_by(1)

    assert peer.lost
    assert [("rejected", "cap")] == cave.endings


def test_peer_that_reads_slowly_is_not_idle() -> None:
    """A byte in four minutes is little, yet not nothing."""
    cave = Cave()
    peer = cave.connect(room=0)
    peer.receive(b"x" * 100)

    for _ in range(10):
        cave.pass_by(240)
        peer.read(1)

    assert not peer.lost


def test_half_closed_connection_whose_peer_does_not_read_is_cut_off() -> None:
    """Its end must not wait for ever, either."""
    cave = Cave()
    peer = cave.connect(room=0)
    peer.receive(b"x")
    peer.receive_eof()

    cave.pass_by(1)
    cave.pass_by(301)

    assert [("rejected", "cap")] == cave.endings


def test_who_waits_for_a_delay_is_not_idle() -> None:
    """A delay may be as long as the idle limit."""
    cave = Cave({"delay": "300s"})
    peer = cave.connect()
    cave.pass_by(290)
    peer.receive(b"x")

    cave.pass_by(299)
    assert not cave.ended
    cave.pass_by(1)

    assert b"x" == peer.sent


# --- slow ----------------------------------------------------------------------------------------


def test_delayed_piece_comes_back_when_it_is_due() -> None:
    """Not a moment earlier, and each after its own arrival."""
    cave = Cave({"delay": "2s"})
    peer = cave.connect()
    peer.receive(b"a")
    cave.clock.advance(SECOND)
    peer.receive(b"b")

    cave.clock.advance(SECOND - 1)
    assert b"" == peer.sent
    cave.clock.advance(1)
    assert b"a" == peer.sent
    cave.clock.advance(SECOND)
    assert b"ab" == peer.sent


def test_rate_lets_bytes_through_evenly() -> None:
    """In no finer steps than timers have."""
    cave = Cave({"rate": "10k/s"})
    peer = cave.connect()
    peer.receive(bytes(10_240))

    seen = []
    for _ in range(4):
        cave.clock.advance(SECOND // 4)
        seen.append(len(peer.sent))

    assert [2_560, 5_120, 7_680, 10_240] == [pytest.approx(each, abs=11) for each in seen]
    assert 10_240 == seen[-1]


def test_time_scale_shortens_the_wait() -> None:
    """A hundredth of two seconds."""
    cave = Cave({"delay": "2s"}, time_scale=0.01)
    peer = cave.connect()
    peer.receive(b"a")

    cave.clock.advance(20 * MILLISECOND)

    assert b"a" == peer.sent


@given(
    st.sampled_from(
        [{"delay": "0-50ms"}, {"rate": "2k/s"}, {"delay": "seq(9ms,0)", "rate": "1k/s"}]
    ),
    st.lists(st.tuples(st.binary(min_size=1, max_size=99), st.integers(0, 9), st.integers(0, 60))),
)
def test_slow_bytes_come_back_as_they_were_sent(
    texts: dict[str, str], steps: list[tuple[bytes, int, int]]
) -> None:
    """However they are cut, whenever they come, and whenever the peer reads."""
    cave = Cave(texts)
    peer = cave.connect(room=0)

    for data, milliseconds, read in steps:
        peer.receive(data)
        cave.clock.advance(milliseconds * MILLISECOND)
        peer.read(read)
    peer.receive_eof()
    peer.read(float("inf"))
    cave.clock.advance(60 * SECOND)

    assert b"".join(data for data, _, _ in steps) == peer.sent
    assert [("completed", None)] == cave.endings
    assert not cave.clock.alarms


@pytest.mark.parametrize("texts", [{"delay": "10s"}, {"rate": "1/s"}])
def test_slow_connection_holds_little(texts: dict[str, str]) -> None:
    """Who sends more than that is not read until something has gone back."""
    cave = Cave(texts)
    peer = cave.connect()

    while peer.reading:
        peer.receive(bytes(8_192))

    [span] = cave.recorder.live.values()
    assert MOST_HELD < span.bytes_in <= MOST_HELD + 8_192
    cave.clock.jump(60_000 * SECOND)
    assert peer.reading


def test_blocked_slow_connection_holds_little() -> None:
    """A peer that does not read stops being read here, too."""
    cave = Cave({"rate": "16m/s"})
    peer = cave.connect(room=0)

    while peer.reading:
        peer.receive(bytes(8_192))
        cave.clock.advance(MILLISECOND)

    assert len(peer.unsent) + MOST_HELD < 3 * MOST_HELD


def test_half_closed_slow_connection_gets_the_rest_when_it_is_due() -> None:
    """And only then the end."""
    cave = Cave({"delay": "2s"})
    peer = cave.connect()
    peer.receive(b"abc")
    peer.receive_eof()
    assert not peer.closing

    cave.clock.advance(2 * SECOND)

    assert (b"abc", True) == (peer.sent, peer.lost)
    assert [("completed", None)] == cave.endings


def test_alarm_of_a_lost_connection_is_cancelled() -> None:
    """Nothing of it is left."""
    cave = Cave({"delay": "2s"})
    peer = cave.connect()
    peer.receive(b"abc")

    peer.lose(ConnectionResetError())

    assert not cave.clock.alarms


# --- broken --------------------------------------------------------------------------------------


def linger_is_off(peer: Transport) -> bool:
    """Whether closing the socket sends a RST."""
    return any(option[2] == b"\x01\0\0\0\0\0\0\0" for option in peer.socket.options)


@pytest.mark.parametrize("after", [0, 1, 5, 64])
@pytest.mark.parametrize("kind", ["reset", "empty", "garbage", "hang"])
def test_fault_strikes_after_so_many_bytes(kind: str, after: int) -> None:
    """Those come back, and not one more."""
    cave = Cave({"fault": f"{kind}@{after}"})
    peer = cave.connect()
    if after:
        peer.receive(bytes(after - 1))
        assert (0, after - 1) == (len(cave.ended), len(peer.sent))
        peer.receive(b"x!")

    garbage = GARBAGE if kind == "garbage" else b""
    assert bytes(max(after - 1, 0)) + b"x" * min(after, 1) + garbage == peer.sent
    [span] = cave.ended or cave.recorder.live.values()
    assert (kind, len(peer.sent)) == (span.fault, span.bytes_out)


def test_garbage_is_nothing_that_anybody_would_take_for_an_answer() -> None:
    """32 bytes, the first of which begins no HTTP."""
    assert 32 == len(GARBAGE)
    assert not GARBAGE.startswith(b"H")


def test_reset_resets() -> None:
    """By a socket that does not linger."""
    cave = Cave({"fault": "reset"})
    peer = cave.connect()

    assert linger_is_off(peer)
    assert peer.lost
    assert [("faulted", None)] == cave.endings


@pytest.mark.parametrize("kind", ["reset", "empty", "garbage"])
def test_fault_waits_until_the_kernel_has_the_bytes_before_it(kind: str) -> None:
    """Else a reset would take them along."""
    cave = Cave({"fault": f"{kind}@5"})
    peer = cave.connect(room=2)
    peer.receive(b"123456789")
    assert (b"12", False, False) == (peer.sent, peer.lost, peer.half_closed)

    peer.read(100)

    assert peer.sent.startswith(b"12345")
    assert peer.lost == (kind == "reset")
    assert peer.half_closed == (kind != "reset")


@pytest.mark.parametrize("kind", ["empty", "garbage"])
def test_connection_that_was_hung_up_on_is_read_until_its_peer_closes(kind: str) -> None:
    """To close a socket with bytes unread in it would be a reset."""
    cave = Cave({"fault": kind})
    peer = cave.connect()
    assert peer.half_closed

    peer.receive(b"more")
    assert not peer.lost
    peer.receive_eof()

    assert [("faulted", None)] == cave.endings
    assert 4 == cave.ended[0].bytes_in


def test_connection_that_was_hung_up_on_does_not_stay_for_ever() -> None:
    """Its peer has the time that idle ones have."""
    cave = Cave({"fault": "empty"})
    peer = cave.connect()
    cave.pass_by(200)
    peer.receive(b"more")

    cave.pass_by(101)

    assert [("faulted", None)] == cave.endings


def test_hang_says_nothing_whatever_comes() -> None:
    """Not even when the peer has said all: only its leaving ends it."""
    cave = Cave({"fault": "hang@2"})
    peer = cave.connect()
    peer.receive(b"abcd")
    peer.receive(bytes(1_000_000))
    peer.receive_eof()
    assert (b"ab", False, True) == (peer.sent, peer.closing, peer.reading)

    peer.lose(ConnectionResetError())

    assert [("faulted", "client")] == cave.endings


def test_hang_ends_with_a_reset() -> None:
    """After as long as an idle connection may stay, whatever comes meanwhile."""
    cave = Cave({"fault": "hang"})
    peer = cave.connect()
    for _ in range(3):
        cave.pass_by(99)
        peer.receive(b"x")
    assert not peer.lost

    cave.pass_by(5)

    assert linger_is_off(peer)
    assert [("faulted", "cap")] == cave.endings


@pytest.mark.parametrize("kind", ["empty", "hang"])
def test_service_that_stops_ends_what_is_broken(kind: str) -> None:
    """It stays faulted."""
    cave = Cave({"fault": kind})
    cave.connect()

    cave.echoes.stop()

    assert [("faulted", "shutdown")] == cave.endings


# --- the end of the service ----------------------------------------------------------------------


def test_idle_connection_is_closed_when_the_service_stops() -> None:
    """There is nothing to wait for."""
    cave = Cave()
    peer = cave.connect()
    peer.receive(b"x")
    emptied = []

    cave.echoes.stop(on_empty=lambda: emptied.append(True))

    assert peer.lost
    assert [("shutdown", "shutdown")] == cave.endings
    assert emptied


def test_slow_connection_gets_what_is_its_when_the_service_stops() -> None:
    """Nothing more is read."""
    cave = Cave({"delay": "2s"})
    peer = cave.connect()
    peer.receive(b"abc")
    emptied: list[bool] = []

    cave.echoes.stop(on_empty=lambda: emptied.append(True))
    assert (False, False, []) == (peer.reading, peer.closing, emptied)
    cave.clock.advance(2 * SECOND)

    assert b"abc" == peer.sent
    assert [("shutdown", "shutdown")] == cave.endings
    assert emptied


def test_half_closed_connection_that_gets_all_is_completed_although_the_service_stops() -> None:
    """It had said all, and has everything."""
    cave = Cave({"delay": "2s"})
    peer = cave.connect()
    peer.receive(b"abc")
    peer.receive_eof()

    cave.echoes.stop()
    cave.clock.advance(2 * SECOND)

    assert [("completed", None)] == cave.endings


def test_what_is_left_when_the_grace_is_over_is_cut_off() -> None:
    """Whoever has not read by then."""
    cave = Cave()
    peer = cave.connect(room=0)
    peer.receive(b"abc")
    cave.echoes.stop()
    assert not peer.lost

    peer.protocol.cut_off(STOPPED)

    assert [("shutdown", "shutdown")] == cave.endings


def test_connection_that_comes_when_the_service_stops_is_closed_at_once() -> None:
    """It was in the listener's queue."""
    cave = Cave()
    cave.echoes.stop()

    assert cave.connect().lost
    assert [("shutdown", "shutdown")] == cave.endings


async def test_closing_cuts_everybody_off() -> None:
    """And leaves no span open."""
    cave = Cave()
    for _ in range(3):
        cave.connect(room=0).receive(b"x")

    await cave.echoes.close()

    assert [("shutdown", "shutdown")] * 3 == cave.endings
    assert not cave.recorder.live


def test_deleting_a_run_closes_its_echoes_only() -> None:
    """Those of other runs go on."""
    cave = Cave()
    old = cave.connect()
    cave.runs.delete(cave.runs.expect("default-1"))
    new = cave.connect()

    cave.echoes.forget(old.protocol.run)

    assert (True, False) == (old.lost, new.lost)
    assert DELETED == (old.protocol.span.outcome, old.protocol.span.ended_by)
    assert [] == cave.ended  # of a run that is gone nothing is kept
