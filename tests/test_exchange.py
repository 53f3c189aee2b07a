"""One request from its arrival to the last byte, on a clock that moves only when told to."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from app import reply
from app.clock import SHORTEST_TIMER_NS
from app.errors import Problem
from app.exchange import Exchange
from app.runs import dismiss_all
from app.spans import Outcome, Span
from tests.fakes import (
    BEGIN,
    MILLISECOND,
    PROBLEM_LENGTH,
    SECOND,
    Call,
    FakeTransport,
    House,
    make_request,
    make_runs,
)

DELETED = Problem("run-deleted", "the run was deleted")
STOPPED = Problem("shutting-down", "the server stopped")
TOO_LARGE = Problem("body-too-large", "the body is too large")


def assert_idle(house: House) -> None:
    """Nobody waits, no alarm is set, no span is open."""
    assert 0 == house.desk.waiting
    assert [] == house.clock.alarms
    assert {} == house.recorder.live
    for run in house.runs:
        assert (0, set()) == (run.in_flight, run.waiting)


def planned_s(house: House, query: str = "", **changes: object) -> float:
    """The planned delay of one more request, which leaves at once."""
    call = house.call(query, **changes)
    call.leave()
    assert call.span.delay_ns is not None
    return call.span.delay_ns / SECOND


# --- the reply -----------------------------------------------------------------------------------


def test_the_reply_comes_when_the_delay_is_over_and_not_a_nanosecond_before() -> None:
    """One write at the very moment."""
    house = House()
    call = house.call("delay=7")

    house.clock.advance(7 * SECOND - 1)
    assert [] == call.transport.writes
    house.clock.advance(1)

    ((moment, data),) = call.transport.writes
    assert BEGIN + 7 * SECOND == moment
    assert data.startswith(b"HTTP/1.1 200 OK\r\n")
    assert data.endswith(b'\r\n\r\n{"delay": 7}')


def test_the_reply_says_what_was_planned_and_who_asked() -> None:
    """Bytes on the wire, headers and all, dated when they are sent."""
    house = House()
    call = house.call("delay=7&run=ci")
    house.clock.advance(7 * SECOND)

    response = call.response
    assert b'{"delay": 7}' == response.body
    assert "12" == response["Content-Length"]
    assert "application/json; charset=utf-8" == response["Content-Type"]
    assert "delay;dur=7000" == response["Server-Timing"]
    assert "ci" == response["X-Dawdle-Run"]
    assert call.span.name == response["X-Dawdle-Span"]
    assert "Tue, 14 Nov 2023 22:13:27 GMT" == response["Date"]
    assert "X-Dawdle-Fault" not in response
    assert "X-Dawdle-Time-Scale" not in response
    assert "Connection" not in response


@pytest.mark.parametrize("query", ["delay=0", "delay=0&drip=3", "delay=7&status=204"])
def test_without_a_wait_no_alarm_is_set(query: str) -> None:
    """A delay of 0 is answered before `begin` returns."""
    house = House(time_scale=0)
    call = house.call(query)

    assert 1 == call.ends
    assert Outcome.COMPLETED is call.span.outcome
    assert_idle(house)


def test_without_knobs_it_takes_1_to_30_whole_seconds() -> None:
    """Both ends possible, and nothing else."""
    house = House()

    delays = {planned_s(house) for _ in range(1_000)}

    assert set(range(1, 31)) == delays


def test_the_same_random_state_draws_the_same_delays() -> None:
    """Randomness is a parameter of the desk, not of the world."""
    houses = [House(random=Random(5)) for _ in range(2)]

    first, second = ([planned_s(house) for _ in range(20)] for house in houses)

    assert first == second


@pytest.mark.parametrize(("status", "length"), [("200", "12"), ("503", "12"), ("205", "0")])
def test_a_reply_to_head_has_the_headers_of_the_body_and_no_body(status: str, length: str) -> None:
    """Content-Length is what GET would have had."""
    house = House()
    call = house.call(f"delay=7&status={status}", method="HEAD")
    house.clock.advance(7 * SECOND)

    assert length == call.response["Content-Length"]
    assert b"" == call.response.body
    assert 0 == call.span.bytes_out
    assert Outcome.COMPLETED is call.span.outcome


@pytest.mark.parametrize("status", [204, 205, 304])
def test_a_bodyless_status_ends_with_its_headers(status: int) -> None:
    """Nothing follows the empty line."""
    house = House()
    call = house.call(f"delay=7&status={status}")
    house.clock.advance(7 * SECOND)

    assert b"" == call.response.body
    assert "status" == call.response["X-Dawdle-Fault"]
    assert (status, 0, "status") == (call.span.status, call.span.bytes_out, call.span.fault)


@pytest.mark.parametrize(
    ("status", "fault"), [(200, None), (201, "status"), (404, "status"), (503, "status")]
)
def test_a_drawn_status_is_a_fault_when_it_is_not_200(status: int, fault: str | None) -> None:
    """In the header and in the span alike; `status=200` is no fault."""
    house = House()
    call = house.call(f"delay=0&status={status}")

    assert f"HTTP/1.1 {status} " in call.response.line
    assert fault == dict(call.response.headers).get("X-Dawdle-Fault")
    assert (status, fault) == (call.span.status, call.span.fault)
    assert Outcome.COMPLETED is call.span.outcome


@pytest.mark.parametrize(
    ("version", "keep_alive", "expected"),
    [("1.1", False, "close"), ("1.0", True, "keep-alive"), ("1.0", False, None)],
)
def test_the_reply_agrees_with_the_owner_about_the_connection(
    version: str, keep_alive: bool, expected: str | None
) -> None:
    """What the owner will do stands in the header."""
    call = House().call("delay=0", http_version=version, keep_alive=keep_alive)

    assert f"HTTP/{version} 200 OK" == call.response.line
    assert expected == dict(call.response.headers).get("Connection")


@given(size=st.integers(64, 5_000), drip=st.one_of(st.none(), st.integers(1, 9_999)))
def test_content_length_is_the_number_of_bytes_that_come(size: int, drip: int | None) -> None:
    """Padded or not, dripped or not."""
    house = House()
    call = house.call(f"delay=1&size={size}" + (f"&drip={drip}" if drip else ""))
    house.clock.advance(2 * SECOND)

    assert str(size) == call.response["Content-Length"]
    assert size == len(call.response.body) == call.span.bytes_out


# --- never early ---------------------------------------------------------------------------------


@given(
    delay_us=st.integers(0, 10_000_000),
    scale=st.sampled_from([0.0, 0.001, 0.01, 0.3, 1.0, 1.7, 10.0]),
    steps=st.lists(st.integers(1, 20_000_000_000), max_size=30),
    data=st.data(),
)
def test_no_reply_is_early_however_time_passes(
    delay_us: int, scale: float, steps: list[int], data: st.DataObject
) -> None:
    """From the beginning of the wait to the first byte: at least planned x scale."""
    house = House(time_scale=scale)
    call = house.call(f"delay={delay_us / 1000:.3f}ms")
    pass_time = data.draw(st.sampled_from([house.clock.advance, house.clock.jump]))

    for step in [*steps, 100 * SECOND]:
        pass_time(step)

    ((moment, _),) = call.transport.writes
    span = call.span
    assert span.wait_begun_ns is not None
    assert moment - span.wait_begun_ns >= round(delay_us * 1_000 * scale)
    assert moment == span.first_byte_ns == span.last_byte_ns == span.end_ns
    assert span.lateness_ns is not None
    assert span.lateness_ns >= 0
    if pass_time == house.clock.advance:
        assert 0 == span.lateness_ns


# --- drip ----------------------------------------------------------------------------------------


def dripped(call: Call) -> list[tuple[int, bytes]]:
    """(nanoseconds since arrival, bytes of the body) of each write after the headers."""
    (_, head), *rest = call.transport.writes
    assert head.endswith(b"\r\n\r\n")
    return [(moment - call.span.arrival_ns, data) for moment, data in rest]


def test_a_dripped_body_comes_in_equal_steps_and_its_headers_at_once() -> None:
    """After i·delay/k, the bytes up to ⌊i·L/k⌋."""
    house = House()
    call = house.call("delay=4&drip=4")

    ((moment, head),) = call.transport.writes
    assert BEGIN == moment
    assert b"Content-Length: 12\r\n" in head
    assert BEGIN == call.span.first_byte_ns

    house.clock.advance(4 * SECOND)
    assert [
        (1 * SECOND, b'{"d'),
        (2 * SECOND, b"ela"),
        (3 * SECOND, b'y":'),
        (4 * SECOND, b" 4}"),
    ] == dripped(call)


def test_steps_that_do_not_divide_the_body_are_cut_as_the_formula_says() -> None:
    """12 bytes in 5 steps: 2, 4, 7, 9 and all 12."""
    house = House()
    call = house.call("delay=5&drip=5")
    house.clock.advance(5 * SECOND)

    assert [(1, 2), (2, 2), (3, 3), (4, 2), (5, 3)] == [
        (moment // SECOND, len(data)) for moment, data in dripped(call)
    ]


def test_more_steps_than_bytes_write_nothing_in_the_empty_ones() -> None:
    """24 steps for 12 bytes: one byte at each second step."""
    house = House()
    call = house.call("delay=6&drip=24")
    house.clock.advance(6 * SECOND)

    assert [(step * SECOND // 2, 1) for step in range(1, 13)] == [
        (moment, len(data)) for moment, data in dripped(call)
    ]


def test_an_enormous_number_of_steps_is_as_fine_as_timers_are() -> None:
    """No more writes than bytes, no more alarms than milliseconds."""
    house = House()
    call = house.call(f"delay=10ms&drip={10**18 - 1}&size=10k")
    alarms = 0
    while house.clock.alarms:
        house.clock.advance(house.clock.alarms[0].due_ns - house.clock.now())
        alarms += 1

    assert alarms <= 11
    assert 10 * 1024 == len(call.response.body)
    assert 10 * MILLISECOND == dripped(call)[-1][0]


def test_one_step_is_the_whole_body_at_the_end() -> None:
    """Headers at once, nothing in between."""
    house = House()
    call = house.call("delay=7&drip=1")
    house.clock.advance(7 * SECOND)

    assert [(7 * SECOND, b'{"delay": 7}')] == dripped(call)


def test_dripping_without_a_delay_is_done_at_once() -> None:
    """There is nothing to spread it over."""
    house = House()
    call = house.call("delay=0&drip=5")

    assert [(0, b'{"delay": 0}')] == dripped(call)
    assert Outcome.COMPLETED is call.span.outcome


def test_a_dripped_reply_has_begun_at_once_and_ends_with_its_last_byte() -> None:
    """First byte: the headers; lateness is that of the last."""
    house = House()
    call = house.call("delay=4&drip=4")
    house.clock.advance(3 * SECOND)
    house.clock.jump(SECOND + 5)

    span = call.span
    assert (BEGIN, BEGIN + 4 * SECOND + 5) == (span.first_byte_ns, span.last_byte_ns)
    assert (5, 4, 200, 12) == (span.lateness_ns, span.drip, span.status, span.bytes_out)
    assert 1 == call.ends
    assert_idle(house)


def test_a_drip_tells_viewers_when_it_begins() -> None:
    """Opened, replying, closed; the phase is visible in the span."""
    house = House()
    call = house.call("delay=4&drip=4")
    assert [call.span] * 2 == house.changes

    house.clock.advance(4 * SECOND)

    assert [call.span] * 3 == house.changes


@given(
    size=st.integers(64, 600),
    steps=st.one_of(st.integers(1, 700), st.integers(1, 10**18 - 1)),
    delay_us=st.integers(0, 200_000),
    strides=st.lists(st.integers(1, 50_000_000), max_size=40),
    scale=st.sampled_from([0.1, 1.0]),
)
def test_every_dripped_byte_comes_at_or_after_its_due_time(
    size: int, steps: int, delay_us: int, strides: list[int], scale: float
) -> None:
    """Whatever the timers do, no byte is early, none is lost and none comes twice."""
    house = House(time_scale=scale)
    call = house.call(f"delay={delay_us / 1000:.3f}ms&drip={steps}&size={size}")
    for stride in strides:
        house.clock.jump(stride)
    house.clock.advance(10 * SECOND)

    total_ns = round(delay_us * 1_000 * scale)
    written = 0
    for passed_ns, data in dripped(call):
        written += len(data)
        due = passed_ns * steps // total_ns * size // steps if passed_ns < total_ns else size
        assert data
        assert written <= due
    assert size == written
    assert call.span.lateness_ns is not None
    assert call.span.lateness_ns >= 0


@given(
    size=st.integers(64, 300),
    steps=st.one_of(st.integers(1, 400), st.integers(1, 10**18 - 1)),
    delay_us=st.integers(0, 500_000),
)
def test_every_dripped_byte_comes_within_a_timers_resolution(
    size: int, steps: int, delay_us: int
) -> None:
    """Not early and, on a clock that rings in time, at most a millisecond after it is due."""
    house = House()
    call = house.call(f"delay={delay_us / 1000:.3f}ms&drip={steps}&size={size}")
    house.clock.advance(10 * SECOND)

    total_ns, written = delay_us * 1_000, 0
    for passed_ns, data in dripped(call):
        oldest = written + 1  # the byte of this write that waited longest
        step = -(-oldest * steps // size)
        due_ns = -(-step * total_ns // steps)
        assert due_ns <= passed_ns <= due_ns + SHORTEST_TIMER_NS
        written += len(data)
    assert size == written


# --- time scale ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scale", "wait_ns", "timing", "said"),
    [
        (0.01, 70 * MILLISECOND, "delay;dur=70", "0.01"),
        (10, 70 * SECOND, "delay;dur=70000", "10"),
        (1, 7 * SECOND, "delay;dur=7000", None),
    ],
)
def test_the_time_scale_stretches_the_wait_and_not_the_figures(
    scale: float, wait_ns: int, timing: str, said: str | None
) -> None:
    """Body and span keep the plan; the wait and Server-Timing are real."""
    house = House(time_scale=scale)
    call = house.call("delay=7")
    house.clock.advance(wait_ns - 1)
    assert [] == call.transport.writes
    house.clock.advance(1)

    assert b'{"delay": 7}' == call.response.body
    assert timing == call.response["Server-Timing"]
    assert said == dict(call.response.headers).get("X-Dawdle-Time-Scale")
    assert (7 * SECOND, scale) == (call.span.delay_ns, call.span.time_scale)


def test_the_time_scale_stretches_the_steps_of_a_drip() -> None:
    """Spread over planned x scale."""
    house = House(time_scale=0.5)
    call = house.call("delay=4&drip=2")
    house.clock.advance(2 * SECOND)

    assert [(1 * SECOND, 6), (2 * SECOND, 6)] == [
        (moment, len(data)) for moment, data in dripped(call)
    ]


# --- the span, on every way out ------------------------------------------------------------------


def facts(span: Span) -> tuple[object, ...]:
    """What an end decides: outcome, ended_by, status, bytes out; first, last byte, end in s."""
    moments = (span.first_byte_ns, span.last_byte_ns, span.end_ns)
    seconds = (None if ns is None else (ns - span.arrival_ns) / SECOND for ns in moments)
    return (span.outcome, span.ended_by, span.status, span.bytes_out, *seconds)


WayOut = Callable[[House, Call], None]

# name: (query, what happens, the facts)
WAYS_OUT: dict[str, tuple[str, WayOut, tuple[object, ...]]] = {
    "completed": (
        "delay=7",
        lambda house, call: house.clock.advance(7 * SECOND),
        (Outcome.COMPLETED, None, 200, 12, 7, 7, 7),
    ),
    "completed with a 503": (
        "delay=7&status=503",
        lambda house, call: house.clock.advance(7 * SECOND),
        (Outcome.COMPLETED, None, 503, 12, 7, 7, 7),
    ),
    "completed drip": (
        "delay=4&drip=4",
        lambda house, call: house.clock.advance(4 * SECOND),
        (Outcome.COMPLETED, None, 200, 12, 0, 4, 4),
    ),
    "refused": (
        "delay=nan",
        lambda house, call: None,
        (Outcome.REJECTED, None, 400, PROBLEM_LENGTH, 0, 0, 0),
    ),
    "run deleted while waiting": (
        "delay=7",
        lambda house, call: house.runs.delete(call.exchange.run),
        (Outcome.REJECTED, "deleted", 503, PROBLEM_LENGTH, 1, 1, 1),
    ),
    "run deleted while dripping": (
        "delay=4&drip=4",
        lambda house, call: house.runs.delete(call.exchange.run),
        (Outcome.REJECTED, "deleted", 200, 3, 0, None, 1),
    ),
    "body too large": (
        "delay=7",
        lambda house, call: call.exchange.dismiss(TOO_LARGE),
        (Outcome.REJECTED, None, 413, PROBLEM_LENGTH, 1, 1, 1),
    ),
    "service stopped while waiting": (
        "delay=7",
        lambda house, call: dismiss_all(house.runs, STOPPED),
        (Outcome.SHUTDOWN, "shutdown", 503, PROBLEM_LENGTH, 1, 1, 1),
    ),
    "service stopped while dripping": (
        "delay=4&drip=4",
        lambda house, call: dismiss_all(house.runs, STOPPED),
        (Outcome.SHUTDOWN, "shutdown", 200, 3, 0, None, 1),
    ),
    "client gone while waiting": (
        "delay=7",
        lambda house, call: call.leave(),
        (Outcome.CLIENT_GONE, "client", None, 0, None, None, 1),
    ),
    "client gone while dripping": (
        "delay=4&drip=4",
        lambda house, call: call.leave(),
        (Outcome.CLIENT_GONE, "client", 200, 3, 0, None, 1),
    ),
    "connection reset while waiting": (
        "delay=7",
        lambda house, call: call.fail(ConnectionResetError()),
        (Outcome.CLIENT_GONE, "client", None, 0, None, None, 1),
    ),
    "our own fault while waiting": (
        "delay=7",
        lambda house, call: call.fail(ZeroDivisionError()),
        (Outcome.ERROR, None, 500, 0, None, None, 1),
    ),
    "our own fault while dripping": (
        "delay=4&drip=4&status=404",
        lambda house, call: call.fail(ZeroDivisionError()),
        (Outcome.ERROR, None, 404, 3, 0, None, 1),
    ),
}


@pytest.mark.parametrize(("query", "happens", "expected"), WAYS_OUT.values(), ids=WAYS_OUT)
def test_every_way_out_leaves_one_span_and_nothing_else(
    query: str, happens: WayOut, expected: tuple[object, ...]
) -> None:
    """One arrival, one span; nobody waits, no alarm rings, and a second end changes nothing."""
    house = House()
    call = house.call(query)
    if call.problem is None:
        house.clock.advance(1 * SECOND)
        happens(house, call)
    assert expected == facts(call.span)
    assert_idle(house)

    writes = len(call.transport.writes)
    call.leave()
    call.exchange.dismiss(STOPPED)
    call.exchange.close(Outcome.ERROR)
    house.clock.advance(100 * SECOND)

    assert expected == facts(call.span)
    assert writes == len(call.transport.writes)
    assert {expected[0]: 1} == house.recorder.outcomes
    deleted = expected[1] == "deleted"
    assert ([] if deleted else [call.span]) == house.ended
    assert_idle(house)


@pytest.mark.parametrize("query", ["delay=7", "delay=7&drip=7"])
def test_the_owner_hears_once_that_it_is_over(query: str) -> None:
    """Dismissed again, it is not told again."""
    house = House()
    call = house.call(query)

    call.exchange.dismiss(TOO_LARGE)
    call.exchange.dismiss(STOPPED)
    house.clock.advance(100 * SECOND)

    assert 1 == call.ends
    assert TOO_LARGE is call.problem


def test_the_owner_of_a_client_that_left_is_not_called_back() -> None:
    """It was the owner who said so."""
    house = House()
    call = house.call("delay=7")

    call.leave()
    house.clock.advance(100 * SECOND)

    assert 0 == call.ends
    assert [] == call.transport.writes


@dataclass
class Slow:
    """An owner who hears of the end now and acts later, as a task does."""

    house: House
    query: str = "delay=7"
    ended: bool = False
    exchange: Exchange = field(init=False)
    transport: FakeTransport = field(init=False)

    def __post_init__(self) -> None:
        self.transport = FakeTransport(self.house.clock)
        self.exchange = self.house.desk.arrive(make_request(self.query))

    def begin(self) -> None:
        self.exchange.begin(self.transport, self.end)

    def end(self) -> None:
        self.ended = True

    def leave(self) -> None:
        with pytest.raises(asyncio.CancelledError), self.exchange:
            raise asyncio.CancelledError


def test_a_client_that_leaves_before_the_wait_is_gone() -> None:
    """It never counted as waiting."""
    house = House()
    owner = Slow(house)

    owner.leave()

    assert (Outcome.CLIENT_GONE, "client", None, 0, None, None, 0) == facts(owner.exchange.span)
    assert owner.exchange.span.wait_begun_ns is None
    assert_idle(house)


def test_a_client_that_leaves_before_the_kernel_has_all_is_gone() -> None:
    """All is written, yet nobody took it: the status is known and the outcome is not completed."""
    house = House()
    owner = Slow(house)
    owner.begin()
    house.clock.advance(7 * SECOND)
    assert owner.ended
    assert (1, 1) == (house.desk.waiting, owner.exchange.run.in_flight)
    house.clock.advance(1 * SECOND)

    owner.leave()

    assert (Outcome.CLIENT_GONE, "client", 200, 12, 7, 7, 8) == facts(owner.exchange.span)
    assert_idle(house)


def test_a_reply_that_nobody_reads_is_cut_off_when_it_is_dismissed() -> None:
    """It counts as waiting until the kernel has it: the grace and a deletion reach it."""
    house = House()
    owner = Slow(house)
    owner.begin()
    house.clock.advance(7 * SECOND)

    dismiss_all(house.runs, STOPPED)

    assert owner.transport.aborted
    assert owner.exchange.problem is None


def test_a_span_ends_when_its_owner_says_so() -> None:
    """In flight until the kernel has the last byte; first and last byte are not moved by that."""
    house = House()
    owner = Slow(house)
    owner.begin()
    house.clock.advance(9 * SECOND)

    with owner.exchange:
        pass

    assert (Outcome.COMPLETED, None, 200, 12, 7, 7, 9) == facts(owner.exchange.span)


def test_what_is_written_already_can_not_be_dismissed() -> None:
    """A run deleted between the last byte and the end of the span comes too late."""
    house = House()
    owner = Slow(house)
    owner.begin()
    house.clock.advance(7 * SECOND)

    owner.exchange.dismiss(DELETED)

    assert owner.exchange.problem is None
    with owner.exchange:
        pass
    assert Outcome.COMPLETED is owner.exchange.span.outcome


def test_a_request_that_has_not_begun_to_wait_can_not_be_dismissed() -> None:
    """There is no wait to end."""
    owner = Slow(House())

    owner.exchange.dismiss(DELETED)

    assert owner.exchange.problem is None
    assert not owner.ended


def test_a_dismissed_client_that_leaves_before_the_answer_is_gone() -> None:
    """The 503 was written, and never reached anybody."""
    house = House()
    owner = Slow(house)
    owner.begin()
    owner.exchange.dismiss(DELETED)

    owner.leave()

    gone = (Outcome.CLIENT_GONE, "client", 503, PROBLEM_LENGTH, 0, 0, 0)
    assert gone == facts(owner.exchange.span)
    assert_idle(house)


def test_who_is_cut_off_after_the_service_is_over_was_shut_down() -> None:
    """It was us, not the client."""
    house = House()
    owner = Slow(house)
    owner.begin()
    house.desk.over = True

    owner.leave()

    assert (Outcome.SHUTDOWN, "shutdown") == (
        owner.exchange.span.outcome,
        owner.exchange.span.ended_by,
    )


def test_an_owner_that_loses_the_connection_while_writing_is_not_called_back() -> None:
    """Some transports say so at once; the first way out counts."""
    house = House()
    owner = Slow(house)

    def lose(_: bytes, /) -> None:
        owner.exchange.close(Outcome.CLIENT_GONE, "client")

    owner.transport.write = lose  # type: ignore[method-assign]
    owner.begin()
    house.clock.advance(7 * SECOND)

    assert not owner.ended
    assert (Outcome.CLIENT_GONE, 7 * SECOND) == (
        owner.exchange.span.outcome,
        (owner.exchange.span.end_ns or 0) - BEGIN,
    )
    assert_idle(house)


@pytest.mark.parametrize("begun", [False, True])
def test_a_reply_that_has_begun_breaks_off_when_it_is_dismissed(begun: bool) -> None:
    """A problem can't be told any more, so the connection must close; before, it is the reply."""
    house = House()
    call = house.call("delay=7&drip=7" if begun else "delay=7")
    house.clock.advance(1 * SECOND)

    call.exchange.dismiss(STOPPED)

    assert begun is not call.exchange.keep_alive
    assert begun is (b" 503 " not in call.transport.data)


def test_a_failure_when_it_is_time_is_a_500_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody is there to catch it: the event loop would log it, and the client wait for ever."""
    house = House()
    call = house.call("delay=7")

    with mock.patch.object(reply, "head", side_effect=RuntimeError("the disk is full")):
        house.clock.advance(7 * SECOND)

    assert "HTTP/1.1 500 Internal Server Error" == call.response.line
    assert (1, Outcome.ERROR, 500) == (call.ends, call.span.outcome, call.span.status)
    assert not call.exchange.keep_alive
    assert "the disk is full" in caplog.text
    assert_idle(house)


def test_a_failure_to_say_so_ends_the_exchange_all_the_same() -> None:
    """The owner is told, whatever breaks."""
    house = House()
    call = house.call("delay=7")

    with (
        mock.patch.object(reply, "_scene", side_effect=RuntimeError("all is lost")),
        pytest.raises(RuntimeError, match="all is lost"),
    ):
        house.clock.advance(7 * SECOND)

    assert (1, Outcome.ERROR, b"") == (call.ends, call.span.outcome, call.transport.data)
    assert_idle(house)


# --- what a span knows from its arrival ----------------------------------------------------------


def test_a_span_knows_what_the_owner_and_the_plan_know() -> None:
    """From its arrival, before anything happened."""
    house = House(time_scale=0.5)
    house.clock.advance(5)

    call = house.call(
        "delay=7&run=ci&drip=3",
        key="order-1",
        method="PUT",
        http_version="1.0",
        user_agent="curl/8",
        connection=4,
        connection_request=2,
    )

    span = call.span
    assert ("ci", "order-1", 1, 7 * SECOND, 3, 0.5) == (
        span.run,
        span.key,
        span.attempt,
        span.delay_ns,
        span.drip,
        span.time_scale,
    )
    assert ("PUT", "/aio?delay=7&run=ci&drip=3", "1.0", "curl/8", 4, 2) == (
        span.method,
        span.target,
        span.http_version,
        span.user_agent,
        span.connection,
        span.connection_request,
    )
    assert (BEGIN + 5, BEGIN + 5, 1) == (span.arrival_ns, span.wait_begun_ns, span.in_flight)


@pytest.mark.parametrize("user_agent", [None, ""])
def test_no_user_agent_stays_none_and_an_empty_one_empty(user_agent: str | None) -> None:
    """Nothing is invented."""
    assert user_agent == House().call("delay=0", user_agent=user_agent).span.user_agent


# --- the order of decisions ----------------------------------------------------------------------

SEQUENCE = "delay=seq(1s,2s,3s,4s)"  # the delay tells the ordinal


def test_the_arrival_number_counts_within_run_and_seed() -> None:
    """Each run and each seed begins at 0; without a seed too."""
    house = House()

    def ordinal(query: str) -> int:
        return int(planned_s(house, f"{SEQUENCE}&{query}")) - 1

    asked = ["run=a", "run=a", "run=b", "run=a&seed=1", "run=a&seed=2", "run=a&seed=1", "run=a"]
    assert [0, 1, 0, 0, 0, 1, 2] == [ordinal(query) for query in asked]


def test_n_is_the_ordinal_and_the_arrival_number_goes_on_regardless() -> None:
    """`n` beats the key and the arrival number, but uses them up."""
    house = House()

    delays = [planned_s(house, f"{SEQUENCE}{more}") for more in ("", "&n=3", "&n=3&key=k", "")]

    assert [1, 4, 4, 4] == delays
    assert 2 == planned_s(house, f"{SEQUENCE}&key=k")


def test_a_keys_attempt_is_its_ordinal() -> None:
    """Each key walks through the sequence by itself, whatever arrives in between."""
    house = House()

    delays = [planned_s(house, f"{SEQUENCE}&key={key}") for key in "aabab"]

    assert [1, 2, 1, 3, 2] == delays


@pytest.mark.parametrize("name", ["query", "header", "idempotency key"])
def test_a_key_is_a_key_however_it_is_given(name: str) -> None:
    """Query, `X-Dawdle` and `Idempotency-Key` count together."""
    house = House()
    house.call("delay=0&key=k")

    call = {
        "query": lambda: house.call("delay=0&key=k"),
        "header": lambda: house.call("delay=0", header="key=k"),
        "idempotency key": lambda: house.call("delay=0", key="k"),
    }[name]()

    assert ("k", 2) == (call.span.key, call.span.attempt)


def test_a_retry_of_a_seeded_key_draws_anew_and_the_same_on_every_machine() -> None:
    """(seed, key, attempt) decides; arrivals in between do not."""
    query = "delay=uniform(0,300)&seed=7&key=k"
    house, other = House(random=Random(1)), House(random=Random(2))
    first, second = planned_s(house, query), planned_s(house, query)

    planned_s(other, "delay=uniform(0,300)&seed=7")
    again = [planned_s(other, query) for _ in range(2)]

    assert first != second
    assert [first, second] == again


def test_a_client_that_leaves_has_used_up_its_ordinal_and_its_attempt() -> None:
    """Who times out and retries at once meets the next attempt."""
    house = House()
    house.call(f"{SEQUENCE}&key=k").leave()

    assert 2 == planned_s(house, f"{SEQUENCE}&key=k")
    assert 3 == planned_s(house, SEQUENCE)


@pytest.mark.parametrize("broken", ["delay=nan", "dleay=1", "drip=0", "delay=1&delay=2"])
def test_a_request_with_a_bad_knob_uses_up_nothing(broken: str) -> None:
    """Validation comes first."""
    house = House()

    refused = house.call(f"{broken}&key=k&run=ci")

    assert (Outcome.REJECTED, 400) == (refused.span.outcome, refused.span.status)
    assert (None, None) == (refused.span.key, refused.span.attempt)
    assert 1 == planned_s(house, f"{SEQUENCE}&run=ci")
    assert 1 == planned_s(house, f"{SEQUENCE}&run=ci&key=k")


def test_a_request_too_many_uses_up_nothing() -> None:
    """The limit of waiting requests comes before ordinals and attempts; a place freed is free."""
    house = House(max_waiting=1)
    waiting = house.call(f"{SEQUENCE}&run=ci&key=k")

    refused = house.call(f"{SEQUENCE}&run=ci&key=k")
    waiting.leave()

    assert (Outcome.REJECTED, 503) == (refused.span.outcome, refused.span.status)
    assert refused.problem is not None
    assert "too-many-waiting" == refused.problem.code
    assert (
        "1 requests wait already, as many as may (max_waiting); send fewer at once"
        == refused.problem.detail
    )
    assert 2 == planned_s(house, f"{SEQUENCE}&run=ci&key=k")


def test_a_bad_knob_is_told_although_too_many_wait() -> None:
    """Validation comes before the limit."""
    house = House(max_waiting=0)

    problem = house.call("delay=nan").problem

    assert problem is not None
    assert "bad-knob" == problem.code


def test_as_many_as_may_wait_do_wait() -> None:
    """The limit itself is allowed; those whose reply is written no longer count."""
    house = House(max_waiting=3)

    calls = [house.call("delay=7") for _ in range(4)]
    assert [None, None, None, 503] == [call.problem and int(call.problem.status) for call in calls]
    house.clock.advance(7 * SECOND)

    assert house.call("delay=7").problem is None


@pytest.mark.parametrize(
    ("query", "changes"),
    [
        ("delay=nan&run=ci", {}),
        ("run=ci&run=ci", {}),
        ("delay=nan", {"run": "ci"}),
        ("delay=nan", {"header": "run=ci"}),
        ("run=other", {"header": "run=ci&delay=nan"}),
        ("unknown=1&run=ci", {}),
        ("run=ci&key=%ff", {}),
    ],
)
def test_a_refused_request_goes_to_the_run_it_names(query: str, changes: dict[str, Any]) -> None:
    """So the one who made the mistake finds it where he looks."""
    house = House()

    call = house.call(query, **changes)

    assert (Outcome.REJECTED, "ci") == (call.span.outcome, call.span.run)


@pytest.mark.parametrize("query", ["delay=nan", "run=.hidden", "run=latest", "run="])
def test_a_refused_request_that_names_no_possible_run_goes_to_the_default(query: str) -> None:
    """Like any other that names none."""
    call = House().call(query)

    assert (Outcome.REJECTED, "default-1") == (call.span.outcome, call.span.run)


def test_a_refused_request_has_a_span_without_a_plan() -> None:
    """It arrived, it was in flight, it was told to wait for nothing."""
    house = House()
    house.call("delay=7&run=ci")

    span = house.call("delay=nan&run=ci", method="PUT", connection=3).span

    assert (None, None, None, 0) == (
        span.delay_ns,
        span.wait_begun_ns,
        span.lateness_ns,
        span.queue_wait_ns,
    )
    assert (2, "PUT", 3, "/aio?delay=nan&run=ci") == (
        span.in_flight,
        span.method,
        span.connection,
        span.target,
    )
    assert 1 == house.desk.waiting


def test_keys_past_the_bound_begin_anew() -> None:
    """`max_keys` a run: the least recently used is forgotten."""
    house = House(runs=make_runs(max_keys=2))

    attempts = [house.call(f"delay=0&key={key}").span.attempt for key in "abacab"]

    assert [1, 1, 2, 1, 3, 1] == attempts


def test_a_deleted_run_begins_anew_under_its_name() -> None:
    """Ordinals and attempts from the start; the old spans are not kept."""
    house = House()
    old = house.call(f"{SEQUENCE}&run=ci&key=k")
    house.runs.delete(old.exchange.run)

    new = house.call(f"{SEQUENCE}&run=ci&key=k")
    new.leave()

    assert (1, 1 * SECOND, 1) == (new.span.attempt, new.span.delay_ns, new.span.in_flight)
    assert 2 == planned_s(house, f"{SEQUENCE}&run=ci")
    assert old.span not in house.ended
    assert new.span in house.ended


# --- stopping ------------------------------------------------------------------------------------


def test_stopping_refuses_what_is_new_and_lets_the_waiting_have_their_reply() -> None:
    """The grace: who waits is answered as planned, then nothing waits any more."""
    house, idle = House(), list[bool]()
    waiting = house.call("delay=7")

    house.desk.stop(lambda: idle.append(True))
    late = house.call("delay=7&key=k")
    assert [] == idle
    house.clock.advance(7 * SECOND)

    assert (Outcome.SHUTDOWN, "shutdown", 503) == facts(late.span)[:3]
    assert late.problem is not None
    assert "this server is stopping; try again when it is back" == late.problem.detail
    assert Outcome.COMPLETED is waiting.span.outcome
    assert [True] == idle
    assert_idle(house)


def test_stopping_with_nobody_waiting_is_over_at_once() -> None:
    """There is nothing to wait for."""
    idle = list[bool]()

    House().desk.stop(lambda: idle.append(True))

    assert [True] == idle


def test_a_desk_that_does_not_stop_may_be_idle_silently() -> None:
    """Nobody asked to be told."""
    house = House()
    house.call("delay=0")

    assert not house.desk.stopping
    assert_idle(house)


# --- in flight -----------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from("ab"), st.integers(1, 5)), max_size=30)
)
def test_in_flight_on_arrival_is_the_number_of_overlapping_spans(
    calls: list[tuple[int, str, int]],
) -> None:
    """Of the same run, half-open: what ends at that moment is no longer there."""
    house = House()
    spans = []
    for pause, run, delay in calls:
        house.clock.advance(pause * SECOND)
        spans.append(house.call(f"delay={delay}&run={run}").span)
    house.clock.advance(10 * SECOND)

    for place, span in enumerate(spans):
        before = [other for other in spans[:place] if other.run == span.run]
        overlapping = [other for other in before if (other.end_ns or 0) > span.arrival_ns]
        assert len(overlapping) + 1 == span.in_flight


# --- everything at once --------------------------------------------------------------------------


@dataclass
class Group:
    """The reference's idea of a run."""

    name: str
    arrived: int = 0
    ordinals: dict[int | None, int] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    open: int = 0
    last_end_ns: int | None = None


@dataclass(eq=False)
class Visit:
    """The reference's idea of a request."""

    call: Call
    group: Group
    due_ns: int
    outcome: Outcome = Outcome.IN_FLIGHT
    end_ns: int | None = None
    kept: bool = True


MAX_WAITING = 4
GAP = 10 * SECOND
DELAYS = (0, 2, 5, 3)  # seconds, by ordinal
SEQ = f"delay=seq({','.join(f'{delay}s' for delay in DELAYS)})"


class Afternoon(RuleBasedStateMachine):
    """
    Requests come, wait, leave, are deleted and dismissed, in any order.

    The reference is a plain list of visits, gone through from the start whenever it is asked.
    """

    @initialize()
    def open_the_desk(self) -> None:
        self.house = House(max_waiting=MAX_WAITING)
        self.groups: dict[str, Group] = {}
        self.visits: list[Visit] = []
        self.kept: list[Visit] = []  # in order of their ends
        self.defaults = 0
        self.default: Group | None = None
        self.idle_calls = 0
        self.stopping = False

    # The reference ---------------------------------------------------------------------------

    def group(self, run: str | None) -> Group:
        if run is not None:
            return self.groups.setdefault(run, Group(run))
        group, now_ns = self.default, self.house.clock.now()
        is_over = group is None or self.groups.get(group.name) is not group
        if group is not None and not group.open and group.last_end_ns is not None:
            is_over = is_over or now_ns - group.last_end_ns >= GAP
        if group is None or is_over:
            self.defaults += 1
            name = f"default-{self.defaults}"
            group = self.default = self.groups[name] = Group(name)
        return group

    @property
    def waiting(self) -> list[Visit]:
        return [visit for visit in self.visits if visit.outcome is Outcome.IN_FLIGHT]

    def end(self, visit: Visit, outcome: Outcome, at_ns: int) -> None:
        visit.outcome = outcome
        visit.end_ns = visit.group.last_end_ns = at_ns
        visit.group.open -= 1
        if visit.kept:
            self.kept.append(visit)

    def arrive(self, call: Call, group: Group, delay_s: int) -> Visit:
        visit = Visit(call, group, self.house.clock.now() + delay_s * SECOND)
        self.visits.append(visit)
        group.arrived += 1
        group.open += 1
        assert (group.name, group.open) == (call.span.run, call.span.in_flight)
        return visit

    # What happens ----------------------------------------------------------------------------

    @rule(
        run=st.sampled_from([None, "a", "b"]),
        key=st.sampled_from([None, "k", "l"]),
        seed=st.sampled_from([None, 1]),
        drip=st.booleans(),
    )
    def ask(self, run: str | None, key: str | None, seed: int | None, drip: bool) -> None:
        self.tick()
        admitted = not self.stopping and len(self.waiting) < MAX_WAITING
        knobs = {"run": run, "key": key, "seed": seed, "drip": 3 if drip else None}
        given = "".join(f"&{name}={value}" for name, value in knobs.items() if value is not None)
        group = self.group(run)
        call = self.house.call(SEQ + given)
        if not admitted:
            visit = self.arrive(call, group, 0)
            self.end(
                visit,
                Outcome.SHUTDOWN if self.stopping else Outcome.REJECTED,
                self.house.clock.now(),
            )
            return
        ordinal = group.ordinals.get(seed, 0)
        group.ordinals[seed] = ordinal + 1
        if key is not None:
            ordinal = group.attempts.get(key, 0)
            group.attempts[key] = ordinal + 1
        delay_s = DELAYS[ordinal % len(DELAYS)]
        visit = self.arrive(call, group, delay_s)
        assert delay_s * SECOND == call.span.delay_ns
        assert (key, None if key is None else ordinal + 1) == (call.span.key, call.span.attempt)
        if delay_s == 0:
            self.end(visit, Outcome.COMPLETED, self.house.clock.now())

    @rule(run=st.sampled_from([None, "a", "b"]))
    def ask_wrongly(self, run: str | None) -> None:
        self.tick()
        group = self.group(run)
        call = self.house.call("delay=nan" + (f"&run={run}" if run else ""))
        self.end(self.arrive(call, group, 0), Outcome.REJECTED, self.house.clock.now())

    @rule(ns=st.one_of(st.integers(0, 4).map(lambda s: s * SECOND), st.integers(0, 15 * SECOND)))
    def let_time_pass(self, ns: int) -> None:
        self.tick(ns)

    def tick(self, ns: int = 1) -> None:
        """Nothing but that happens; every other event has a moment of its own."""
        until_ns = self.house.clock.now() + ns
        for visit in sorted(self.waiting, key=lambda visit: visit.due_ns):
            if visit.due_ns <= until_ns:
                self.end(visit, Outcome.COMPLETED, visit.due_ns)
        self.house.clock.advance(ns)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        self.tick()
        if not self.waiting:
            return
        visit = data.draw(st.sampled_from(self.waiting))
        self.end(visit, Outcome.CLIENT_GONE, self.house.clock.now())
        visit.call.leave()

    @precondition(lambda self: any(visit.end_ns for visit in self.visits))
    @rule(data=st.data())
    def leave_too_late(self, data: st.DataObject) -> None:
        visit = data.draw(st.sampled_from([visit for visit in self.visits if visit.end_ns]))
        visit.call.leave()
        visit.call.exchange.dismiss(TOO_LARGE)

    @precondition(lambda self: self.groups)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        self.tick()
        group = self.groups.pop(data.draw(st.sampled_from(sorted(self.groups))))
        for visit in self.waiting:
            if visit.group is group:
                visit.kept = False
                self.end(visit, Outcome.REJECTED, self.house.clock.now())
        self.house.runs.delete(self.house.runs.expect(group.name))

    @precondition(lambda self: not self.stopping)
    @rule(sure=st.integers(0, 5))
    def stop(self, sure: int) -> None:
        if sure == 0:  # rarely: afterwards not much happens
            self.stopping = True
            self.house.desk.stop(self.count_idle)

    def count_idle(self) -> None:
        self.idle_calls += 1

    @precondition(lambda self: self.stopping)
    @rule()
    def dismiss_all(self) -> None:
        self.tick()
        for visit in self.waiting:
            self.end(visit, Outcome.SHUTDOWN, self.house.clock.now())
        self.house.desk.over = True
        dismiss_all(self.house.runs, STOPPED)

    # What must always hold -------------------------------------------------------------------

    @invariant()
    def every_span_is_as_the_reference_says(self) -> None:
        for visit in self.visits:
            assert (visit.outcome, visit.end_ns) == (
                visit.call.span.outcome,
                visit.call.span.end_ns,
            )
        waiting = [visit.call.span for visit in self.waiting]
        assert waiting == list(self.house.recorder.live.values())

    @invariant()
    def no_span_is_lost_or_kept_twice(self) -> None:
        kept = [span.id for span in self.house.ended]
        assert len(kept) == len(set(kept))
        assert sorted(visit.call.span.id for visit in self.kept) == sorted(kept)
        ends = [span.end_ns or 0 for span in self.house.ended]
        assert sorted(ends) == ends

    @invariant()
    def the_counters_agree(self) -> None:
        house = self.house
        assert len(self.waiting) == house.desk.waiting == len(house.clock.alarms)
        ended = [visit.outcome for visit in self.visits if visit.end_ns is not None]
        assert {one: ended.count(one) for one in set(ended)} == dict(house.recorder.outcomes)
        ids = [visit.call.span.id for visit in self.visits]
        assert sorted(set(ids)) == ids
        assert (1 if self.stopping and not self.waiting else 0) == self.idle_calls

    @invariant()
    def the_runs_agree(self) -> None:
        assert self.groups.keys() == {run.name for run in self.house.runs}
        for run in self.house.runs:
            group = self.groups[run.name]
            waiting = {visit.call.exchange for visit in self.waiting if visit.group is group}
            assert (group.arrived, group.open, waiting) == (run.arrived, run.in_flight, run.waiting)
            assert len(waiting) == group.open
            assert (group.last_end_ns, False) == (run.last_end_ns, run.deleted)

    @invariant()
    def in_flight_is_the_overlap_of_the_spans(self) -> None:
        for group in {id(visit.group): visit.group for visit in self.visits}.values():
            spans = [visit.call.span for visit in self.visits if visit.group is group]
            for place, span in enumerate(spans):
                before = spans[:place]
                assert 1 + sum(end(other) > span.arrival_ns for other in before) == span.in_flight


def end(span: Span) -> int:
    """The end, or the end of days."""
    return 1 << 62 if span.end_ns is None else span.end_ns


Afternoon.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
test_an_afternoon_at_the_desk = Afternoon.TestCase
