"""Tests of `app.exchange`: replies that break, limits that hold, and what the books say of both."""

import gc
import weakref

import pytest

from app.errors import Problem
from app.faults import GARBAGE, OF_BODIES, SILENT, Fault
from app.runs import dismiss_all
from app.spans import Outcome
from tests.fakes import MILLISECOND, SECOND, Call, FakeTransport, House, make_runs, parse

BODY = b'{"delay": 2}'  # 12 bytes
HEADLESS = sorted(set(Fault) - OF_BODIES)


@pytest.fixture
def house() -> House:
    return House()


def ended(call: Call) -> tuple[Outcome, str | None, str | None, int | None]:
    """Outcome, who ended it, fault and status, as the span says."""
    span = call.span
    return span.outcome, span.ended_by, span.fault, span.status


def length(transport: FakeTransport) -> str | None:
    """What the head says of the length of the body."""
    headers = dict(parse(transport.data).headers)
    return headers.get("Content-Length") or headers.get("Transfer-Encoding")


# --- faults --------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", HEADLESS)
def test_without_a_head_no_byte_of_http_is_sent(house: House, fault: Fault) -> None:
    """Not before the delay is over, and not after it either."""
    call = house.call(f"delay=2&fault={fault}")

    house.clock.advance(2 * SECOND - 1)
    assert (b"", None, None) == (
        call.transport.data,
        call.transport.fin_ns,
        call.transport.rst_ns,
    )
    house.clock.advance(1)

    assert (GARBAGE if fault is Fault.GARBAGE else b"") == call.transport.data
    now_ns = house.clock.now()
    assert call.transport.rst_ns == (now_ns if fault is Fault.RESET else None)
    assert call.transport.fin_ns == (now_ns if fault in {Fault.EMPTY, Fault.GARBAGE} else None)
    if fault not in SILENT:
        assert (Outcome.FAULTED, None, fault, None) == ended(call)
        assert [call.span] == house.ended


@pytest.mark.parametrize(
    ("fault", "stated", "body"),
    [
        ("truncate", "12", BODY[:6]),
        ("short_length", "6", BODY),
        ("long_length", "24", BODY),
        ("malformed", "chunked", b"6\r\n" + BODY[:6] + b"\r\nZZ\r\n"),
        ("stall", "12", BODY[:6]),
    ],
)
def test_a_broken_body_has_a_sound_head(house: House, fault: str, stated: str, body: bytes) -> None:
    """With the status, what was done, and that the connection is not used again."""
    call = house.call(f"delay=2&fault={fault}&status=201")
    house.clock.advance(2 * SECOND)

    reply = call.response
    assert ("HTTP/1.1 201 Created", fault, "close") == (
        reply.line,
        reply["X-Dawdle-Fault"],
        reply["Connection"],
    )
    assert (stated, body) == (length(call.transport), reply.body)
    assert call.span.bytes_out == len(body)
    assert (fault != "stall") == (call.transport.fin_ns == house.clock.now())
    if fault != "stall":
        assert (Outcome.FAULTED, None, fault, 201) == ended(call)


@pytest.mark.parametrize("fault", Fault)
def test_no_fault_reuses_its_connection(house: House, fault: Fault) -> None:
    """Nor does what is left of one that was dismissed."""
    call = house.call(f"delay=2&fault={fault}")
    house.clock.advance(2 * SECOND)
    house.runs.delete(call.exchange.run)

    assert not call.exchange.keep_alive


@pytest.mark.parametrize(
    ("fault", "first", "last"),
    [
        ("reset", None, None),
        ("empty", None, None),
        ("garbage", 2, 2),
        ("truncate", 2, None),
        ("short_length", 2, 2),
        ("malformed", 2, 2),
        ("stall", 2, None),
        ("hang", None, None),
    ],
)
def test_the_last_byte_of_what_was_cut_off_never_comes(
    house: House, fault: str, first: int | None, last: int | None
) -> None:
    """And where no byte was, there is no lateness."""
    call = house.call(f"delay=2&fault={fault}")
    begun_ns = house.clock.now()
    house.clock.advance(2 * SECOND)

    moments = (call.span.first_byte_ns, call.span.last_byte_ns)
    assert (first, last) == tuple(
        None if moment is None else (moment - begun_ns) // SECOND for moment in moments
    )
    assert call.span.lateness_ns == (None if first is None else 0)


@pytest.mark.parametrize("fault", ["truncate", "stall"])
def test_a_drip_breaks_off_after_half_the_steps(house: House, fault: str) -> None:
    """Head at once; of five steps two are written, and then it is over."""
    call = house.call(f"delay=2&drip=5&fault={fault}")
    begun_ns = house.clock.now()
    house.clock.advance(10 * SECOND)

    written = [((at - begun_ns) // MILLISECOND, data) for at, data in call.transport.writes]
    assert [(0, written[0][1]), (400, BODY[:2]), (800, BODY[2:4])] == written
    assert written[0][1].endswith(b"\r\nConnection: close\r\n\r\n")
    fin_ns = call.transport.fin_ns
    assert fin_ns == (begun_ns + 800 * MILLISECOND if fault == "truncate" else None)
    assert call.span.last_byte_ns is None
    assert call.span.lateness_ns is None


def test_a_drip_in_one_step_breaks_off_at_once(house: House) -> None:
    """Half of one step is none."""
    call = house.call("delay=2&drip=1&fault=truncate")

    assert b"" == call.response.body
    assert Outcome.FAULTED is call.span.outcome


@pytest.mark.parametrize("fault", ["short_length", "long_length", "malformed"])
def test_what_is_not_cut_drips_to_its_end(house: House, fault: str) -> None:
    """The wrong length is in the head; the last byte is not early."""
    call = house.call(f"delay=2&drip=4&fault={fault}")
    house.clock.advance(2 * SECOND - 1)
    assert [None] == [call.transport.fin_ns]
    house.clock.advance(1)

    assert call.transport.fin_ns == house.clock.now() == call.span.last_byte_ns
    assert 0 == call.span.lateness_ns
    assert (Outcome.FAULTED, None, fault, 200) == ended(call)


@pytest.mark.parametrize("fault", HEADLESS)
def test_what_has_no_head_has_nothing_to_drip(house: House, fault: Fault) -> None:
    """It happens after the whole delay, as without."""
    call = house.call(f"delay=2&drip=4&fault={fault}")
    house.clock.advance(2 * SECOND - 1)
    assert [] == call.transport.writes
    house.clock.advance(1)

    assert fault == call.span.fault


def test_the_time_scale_shortens_the_wait_for_a_fault() -> None:
    """As for any reply."""
    house = House(time_scale=0.01)
    call = house.call("delay=2&fault=reset")
    house.clock.advance(20 * MILLISECOND)

    assert Outcome.FAULTED is call.span.outcome


def test_a_fault_that_is_not_drawn_leaves_a_sound_reply(house: House) -> None:
    """Probability 0 is never."""
    call = house.call("delay=0&fault=reset:0")

    assert ("HTTP/1.1 200 OK", Outcome.COMPLETED) == (call.response.line, call.span.outcome)
    assert "X-Dawdle-Fault" not in call.response


@pytest.mark.parametrize("fault", Fault)
def test_a_client_that_leaves_during_the_delay_met_no_fault(house: House, fault: Fault) -> None:
    """It began only after that."""
    call = house.call(f"delay=2&fault={fault}")
    house.clock.advance(SECOND)
    call.leave()

    assert (Outcome.CLIENT_GONE, "client", None, None) == ended(call)
    assert [] == house.clock.alarms


def test_a_client_that_leaves_in_the_midst_of_a_broken_drip_met_its_fault(house: House) -> None:
    """The wrong length is on the wire already."""
    call = house.call("delay=2&drip=4&fault=short_length")
    house.clock.advance(SECOND)
    call.leave()

    assert (Outcome.FAULTED, "client", "short_length", 200) == ended(call)


def plans(query: str) -> list[tuple[str | None, int | None]]:
    """Fault and delay of two hundred requests to a server of its own."""
    house = House(max_waiting=1_000)
    spans = [house.call(f"{query}&run=ci").span for _ in range(200)]
    house.clock.advance(60 * SECOND)
    return [(span.fault, span.delay_ns) for span in spans]


def test_the_same_seed_breaks_the_same_requests_and_leaves_their_delays_alone() -> None:
    """On another server, too; without the faults, the delays are the same."""
    broken = plans("seed=11&delay=1-30&fault=reset:0.2,stall:0.2")
    sound = plans("seed=11&delay=1-30")

    assert plans("seed=11&delay=1-30&fault=reset:0.2,stall:0.2") == broken
    assert plans("seed=12&delay=1-30&fault=reset:0.2,stall:0.2") != broken
    assert {"reset", "stall", None} == {fault for fault, _ in broken}
    assert [delay for _, delay in sound] == [delay for _, delay in broken]


# --- silence -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fault", "status"), [("hang", None), ("stall", 200)])
def test_silence_ends_when_the_client_leaves(house: House, fault: str, status: int | None) -> None:
    """In flight until then."""
    call = house.call(f"delay=2&fault={fault}")
    house.clock.advance(100 * SECOND)
    assert Outcome.IN_FLIGHT is call.span.outcome
    call.leave()

    assert (Outcome.FAULTED, "client", fault, status) == ended(call)
    assert ([], set(), 0) == (house.clock.alarms, house.desk.silent, house.desk.waiting)


@pytest.mark.parametrize("fault", ["hang", "stall"])
def test_silence_is_borne_for_as_long_as_the_longest_delay(fault: str) -> None:
    """Then the connection is reset; the time scale is none of its business."""
    house = House(max_delay_ns=60 * SECOND, time_scale=0.5)
    call = house.call(f"delay=2&fault={fault}")

    house.clock.advance(61 * SECOND - 1)
    assert [None] == [call.transport.rst_ns]
    house.clock.advance(1)

    assert house.clock.now() == call.transport.rst_ns
    assert (Outcome.FAULTED, "cap") == ended(call)[:2]
    assert (set(), 0, 1) == (house.desk.silent, house.desk.waiting, call.ends)


def test_a_deleted_run_ends_its_hanging_requests_with_503(house: House) -> None:
    """Nothing was sent, so there is still room for a word."""
    call = house.call("delay=2&fault=hang&run=ci")
    house.clock.advance(2 * SECOND)
    house.runs.delete(call.exchange.run)

    assert "HTTP/1.1 503 Service Unavailable" == call.response.line
    assert "close" == call.response["Connection"]
    assert (Outcome.FAULTED, "deleted", "hang", 503) == ended(call)


def test_a_deleted_run_breaks_its_stalled_replies_off(house: House) -> None:
    """Its headers are out."""
    call = house.call("delay=2&fault=stall&run=ci")
    house.clock.advance(2 * SECOND)
    written = call.transport.data
    house.runs.delete(call.exchange.run)

    assert written == call.transport.data
    assert (Outcome.FAULTED, "deleted", "stall", 200) == ended(call)
    assert (1, False) == (call.ends, call.exchange.keep_alive)


@pytest.mark.parametrize(("fault", "status"), [("hang", 503), ("stall", 200)])
def test_a_service_that_stops_waits_for_no_silence(house: House, fault: str, status: int) -> None:
    """There is no reply to come; those that have one are waited for."""
    silent, sound = house.call(f"delay=1&fault={fault}"), house.call("delay=5")
    house.clock.advance(2 * SECOND)
    house.desk.stop(on_idle=lambda: None)

    assert (Outcome.FAULTED, "shutdown", fault, status) == ended(silent)
    assert Outcome.IN_FLIGHT is sound.span.outcome


@pytest.mark.parametrize(("fault", "status"), [("hang", 503), ("stall", 200)])
def test_who_would_fall_silent_while_the_service_stops_ends(
    house: House, fault: str, status: int
) -> None:
    """It has its delay, and then the end."""
    call = house.call(f"delay=2&fault={fault}")
    idle: list[int] = []
    house.desk.stop(on_idle=lambda: idle.append(house.clock.now()))
    house.clock.advance(2 * SECOND)

    assert (Outcome.FAULTED, "shutdown", fault, status) == ended(call)
    assert [house.clock.now()] == idle


@pytest.mark.parametrize(
    ("query", "outcome", "fault"),
    [
        ("delay=2&fault=stall", Outcome.FAULTED, "stall"),
        ("delay=20&drip=20&fault=truncate", Outcome.FAULTED, "truncate"),
        ("delay=20&drip=20", Outcome.REJECTED, None),
    ],
)
def test_a_reply_that_breaks_off_waits_for_nobody_to_read_it(
    house: House, query: str, outcome: Outcome, fault: str | None
) -> None:
    """What the client has not taken by then it never gets; the span ends there, and says why."""
    call = house.call(f"{query}&run=ci")
    house.clock.advance(2 * SECOND)
    call.transport.unsent = 1
    house.runs.delete(call.exchange.run)

    assert (outcome, "deleted", fault, 200) == ended(call)
    assert call.transport.aborted
    assert (0, set()) == (house.desk.waiting, house.desk.silent)


def test_what_the_owner_cuts_off_when_all_is_over_ended_by_shutdown(house: House) -> None:
    """A client that leaves by then counts as cut off, as everywhere."""
    call = house.call("delay=1&drip=2&fault=short_length")
    house.desk.over = True
    call.leave()

    assert (Outcome.FAULTED, "shutdown", "short_length", 200) == ended(call)


# --- failing first -------------------------------------------------------------------------------


def statuses(house: House, query: str, count: int, **changes: object) -> list[str]:
    """The statuses of so many requests, one after another."""
    calls = [house.call(query, **changes) for _ in range(count)]
    return [call.response.line.split()[1] for call in calls]


def test_the_first_attempts_of_a_key_fail(house: House) -> None:
    """Each key by itself; the reply has the same body, and says why."""
    query = "delay=0&fail=2:429"

    assert ["429", "429", "200"] == statuses(house, f"{query}&key=a", 3)
    call = house.call(f"{query}&key=b")
    assert ("429", "fail", b'{"delay": 0}') == (
        call.response.line.split()[1],
        call.response["X-Dawdle-Fault"],
        call.response.body,
    )
    assert (Outcome.COMPLETED, None, "fail", 429) == ended(call)
    assert (1, "b") == (call.span.attempt, call.span.key)


def test_without_a_key_attempts_are_counted_by_method_and_target(house: House) -> None:
    """Within the run; the span says which attempt it was."""
    query = "delay=0&fail=1&run=ci"

    assert ["503", "200"] == statuses(house, query, 2)
    assert ["503", "200"] == statuses(house, query, 2, method="POST")
    assert ["503"] == statuses(house, f"{query}&_=1", 1)
    assert ["503"] == statuses(house, query.replace("ci", "cd"), 1)
    assert [1, 2, 1, 2, 1, 1] == [span.attempt for span in house.ended]
    assert {None} == {span.key for span in house.ended}


def test_an_attempt_counts_from_its_arrival(house: House) -> None:
    """A client that gives up and comes back at once meets the next one."""
    first = house.call("delay=5&fail=1&key=a")
    house.clock.advance(SECOND)
    first.leave()
    second = house.call("delay=5&fail=1&key=a")
    house.clock.advance(5 * SECOND)

    assert "HTTP/1.1 200 OK" == second.response.line


def test_failing_first_does_not_shift_the_draws(house: House) -> None:
    """Without a key the arrival number stays the ordinal, whatever attempt it is."""
    plain, failing = (
        [house.call(f"delay=1-30&seed=4&run=r{len(more)}{more}").span.delay_ns for _ in range(9)]
        for more in ("", "&fail=3")
    )

    assert plain == failing


def test_attempts_are_bounded() -> None:
    """Past `max_keys`, the longest unused one begins anew."""
    house = House(runs=make_runs(max_keys=2))

    assert ["503"] * 3 == [statuses(house, f"delay=0&fail=1&run=r&key={k}", 1)[0] for k in "abc"]
    assert ["503"] == statuses(house, "delay=0&fail=1&run=r&key=a", 1)


def test_a_fault_can_be_what_fails(house: House) -> None:
    """`fail=1:reset`: it bears the fault's name."""
    first, second = (house.call("delay=0&fail=1:reset&key=a") for _ in range(2))

    assert (Outcome.FAULTED, None, "reset", None) == ended(first)
    assert (Outcome.COMPLETED, None, None, 200) == ended(second)


def test_failing_comes_before_the_fault_and_the_status(house: House) -> None:
    """Then the fault, then the status."""
    query = "delay=0&fail=1:500&status=503&key=a"
    first, second = house.call(query), house.call(f"{query}&fault=empty")

    assert ("fail", 500) == (first.span.fault, first.span.status)
    assert ("empty", None) == (second.span.fault, second.span.status)
    assert ("status", 503) == (house.call(query).span.fault, house.call(query).span.status)


# --- Retry-After ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("status=503&retry_after=2", "2"),
        ("status=429&retry_after=1.2", "2"),
        ("status=503&retry_after=0", "0"),
        ("fail=1:429&retry_after=250ms", "1"),
        ("fail=1&retry_after=3", "3"),
        ("status=503&fault=truncate&retry_after=3", "3"),
        ("status=503", None),
        ("status=500&retry_after=2", None),
        ("retry_after=2", None),
    ],
)
def test_when_to_come_back_is_told_in_whole_seconds(
    house: House, query: str, expected: str | None
) -> None:
    """Rounded up; with 429 and 503 only; where nothing is known, nothing is told."""
    call = house.call(f"delay=0&{query}")

    assert expected == dict(call.response.headers).get("Retry-After")
    assert call.span.retry_after_ns == (None if expected is None else int(expected) * SECOND)


def test_a_deleted_run_tells_what_was_asked_for(house: House) -> None:
    """Its 503 is one like any other."""
    call = house.call("delay=9&retry_after=4&run=ci")
    house.runs.delete(call.exchange.run)

    assert ("4", 503) == (call.response["Retry-After"], call.span.status)


def test_the_time_scale_shortens_when_to_come_back() -> None:
    """A minute is less than a second then, and so a second: 0 would mean at once."""
    house = House(time_scale=0.01)
    call = house.call("delay=0&status=503&retry_after=1m")

    assert "1" == call.response["Retry-After"]


def test_a_refusal_by_rate_tells_the_time_to_the_next_token(house: House) -> None:
    """Unless the request says what it wants to be told."""
    house.call("delay=0&rate=6/m")
    for _ in range(5):
        house.call("delay=0&rate=6/m")
    call, told = house.call("delay=0&rate=6/m"), house.call("delay=0&rate=6/m&retry_after=99")

    assert ("HTTP/1.1 429 Too Many Requests", "10", "rate") == (
        call.response.line,
        call.response["Retry-After"],
        call.response["X-Dawdle-Fault"],
    )
    assert (Outcome.REJECTED, None, "rate", 429) == ended(call)
    assert "99" == told.response["Retry-After"]
    assert (10 * SECOND, 99 * SECOND) == (call.span.retry_after_ns, told.span.retry_after_ns)


def test_a_refusal_by_the_queue_tells_the_earliest_planned_end(house: House) -> None:
    """Of those that are served; a hanging one ends with its cap."""
    query = "capacity=2&queue=0"
    house.call(f"{query}&delay=9&fault=hang")
    house.call(f"{query}&delay=20")
    house.clock.advance(500 * MILLISECOND)
    call = house.call(query)

    assert ("HTTP/1.1 503 Service Unavailable", "20", "queue") == (
        call.response.line,
        call.response["Retry-After"],
        call.response["X-Dawdle-Fault"],
    )
    assert (Outcome.REJECTED, None, "queue", 503) == ended(call)


def test_who_is_refused_for_the_server_s_own_limit_is_told_what_it_asked_for() -> None:
    """Nothing else is known."""
    house = House(max_waiting=1)
    house.call("delay=9")
    told, untold = house.call("retry_after=7"), house.call("")

    assert "7" == told.response["Retry-After"]
    assert "Retry-After" not in untold.response


# --- limits --------------------------------------------------------------------------------------


def test_a_queue_is_served_in_order_as_workers_become_free(house: House) -> None:
    """One worker: the delays come one after another, and only they are the wait."""
    calls = [house.call("delay=2&capacity=1&run=ci") for _ in range(3)]
    house.clock.advance(6 * SECOND)

    begun_ns = calls[0].span.arrival_ns
    assert [2, 4, 6] == [(call.span.end_ns or 0) // SECOND - begun_ns // SECOND for call in calls]
    assert [0, 2 * SECOND, 4 * SECOND] == [call.span.queue_wait_ns for call in calls]
    assert {0} == {call.span.lateness_ns for call in calls}
    assert {Outcome.COMPLETED} == {call.span.outcome for call in calls}


def test_never_more_are_served_than_there_are_workers(house: House) -> None:
    """By the moments in the books: one is over before the next begins."""
    calls = [house.call(f"delay={delay}&capacity=2&run=ci") for delay in (3, 1, 1, 2, 0, 1)]
    house.clock.advance(20 * SECOND)

    for call in calls:
        begun_ns = call.span.wait_begun_ns or 0
        others = [
            other.span
            for other in calls
            if (other.span.wait_begun_ns or 0) <= begun_ns < (other.span.end_ns or 0)
        ]
        assert len(others) <= 2


def test_who_leaves_the_queue_was_never_served(house: House) -> None:
    """It has no wait of its own, only that in the queue."""
    first, second, third = (house.call("delay=5&capacity=1&run=ci") for _ in range(3))
    house.clock.advance(SECOND)
    second.leave()
    first.leave()

    assert (SECOND, None) == (second.span.queue_wait_ns, second.span.wait_begun_ns)
    assert (Outcome.CLIENT_GONE, "client", None, None) == ended(second)
    assert house.clock.now() == third.span.wait_begun_ns


def test_who_names_no_capacity_is_not_held_up(house: House) -> None:
    """A limit is for those who ask for it."""
    house.call("delay=9&capacity=1&run=ci")
    call = house.call("delay=0&run=ci")

    assert Outcome.COMPLETED is call.span.outcome


def test_runs_have_workers_of_their_own(house: House) -> None:
    """One client's queue is not another's."""
    house.call("delay=9&capacity=1&run=a")
    call = house.call("delay=0&capacity=1&run=b")

    assert Outcome.COMPLETED is call.span.outcome


def test_a_barrier_releases_all_at_once(house: House) -> None:
    """They answer at once: there is no delay after it."""
    calls = []
    for _ in range(3):
        house.clock.advance(SECOND)
        calls.append(house.call("barrier=3&run=ci"))

    assert {house.clock.now()} == {call.span.end_ns for call in calls}
    assert [2 * SECOND, SECOND, 0] == [call.span.barrier_wait_ns for call in calls]
    assert {b'{"delay": 0}'} == {call.response.body for call in calls}
    assert {0} == {call.span.lateness_ns for call in calls}


def test_who_waits_too_long_at_the_barrier_gets_504(house: House) -> None:
    """With what was done on purpose."""
    call = house.call("barrier=3&delay=2")
    house.clock.advance(2 * SECOND)

    assert ("HTTP/1.1 504 Gateway Timeout", "barrier") == (
        call.response.line,
        call.response["X-Dawdle-Fault"],
    )
    assert (Outcome.REJECTED, None, "barrier", 504) == ended(call)
    assert 2 * SECOND == call.span.barrier_wait_ns
    assert "Retry-After" not in call.response


def test_a_broken_reply_comes_after_its_limits(house: House) -> None:
    """Queue, then delay, then fault."""
    house.call("delay=3&capacity=1&run=ci")
    call = house.call("delay=2&capacity=1&fault=reset&run=ci")
    house.clock.advance(5 * SECOND)

    assert (Outcome.FAULTED, None, "reset", None) == ended(call)
    assert house.clock.now() == call.transport.rst_ns


@pytest.mark.parametrize("fault", sorted(Fault))
@pytest.mark.parametrize(
    ("query", "limit", "status"),
    [
        ("rate=1/m&delay=9", "rate", 429),
        ("capacity=1&queue=0&delay=9", "queue", 503),
        ("barrier=3&delay=1", "barrier", 504),
    ],
)
def test_who_is_refused_by_a_limit_met_no_fault(
    house: House, query: str, limit: str, status: int, fault: Fault
) -> None:
    """Whatever the reply would have been: the refusal is sound, and the connection goes on."""
    house.call(f"{query}&run=ci")
    call = house.call(f"{query}&fault={fault}&run=ci")
    house.clock.advance(SECOND)

    assert limit == call.response["X-Dawdle-Fault"]
    assert (Outcome.REJECTED, None, limit, status) == ended(call)
    assert call.exchange.keep_alive


def test_a_worker_is_free_once_its_reply_is_broken(house: House) -> None:
    """A silent one keeps it until it ends."""
    for fault in ("reset", "empty", "truncate"):
        house.call(f"delay=1&capacity=1&fault={fault}&run=ci")
    hanging = house.call("delay=1&capacity=1&fault=hang&run=ci")
    last = house.call("delay=1&capacity=1&run=ci")
    house.clock.advance(60 * SECOND)
    assert last.span.wait_begun_ns is None
    hanging.leave()

    assert house.clock.now() == last.span.wait_begun_ns


@pytest.mark.parametrize("query", ["capacity=1&delay=0", "barrier=5"])
def test_a_deleted_run_answers_those_who_are_held(house: House, query: str) -> None:
    """With 503, and nobody's turn comes instead."""
    size = 50  # so that not all of them are told before the one who is served
    queries = ["capacity=1&delay=9", *[query.replace("5", f"{2 * size}")] * size]
    calls = [house.call(f"{each}&run=ci") for each in queries]
    house.clock.advance(SECOND)
    house.runs.delete(calls[0].exchange.run)

    assert {(Outcome.REJECTED, "deleted", None, 503)} == {ended(call) for call in calls}
    assert ([], 0) == (house.clock.alarms, house.desk.waiting)

    fresh = house.call("delay=0&capacity=1&run=ci")
    assert Outcome.COMPLETED is fresh.span.outcome


def test_what_was_held_is_noted_before_the_span_is_kept(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever keeps it may write it down at once; and it is kept before the next one is served."""
    kept: list[tuple[int, int]] = []
    calls: list[Call] = []
    monkeypatch.setattr(
        house.recorder,
        "_on_end",
        lambda span: kept.append(
            (span.queue_wait_ns, sum(call.span.wait_begun_ns is not None for call in calls))
        ),
    )
    calls += [house.call("delay=5&capacity=1&run=ci") for _ in range(3)]
    house.clock.advance(SECOND)
    calls[1].leave()
    calls[0].leave()

    assert [(SECOND, 1), (0, 1)] == kept


def test_a_service_that_stops_serves_those_who_queue(house: House) -> None:
    """Within its grace; what is held after that is answered with 503."""
    calls = [house.call("delay=2&capacity=1&run=ci") for _ in range(3)]
    house.desk.stop(on_idle=lambda: None)
    house.clock.advance(4 * SECOND)
    house.desk.over = True
    dismiss_all(house.runs, Problem("shutting-down", "over"))

    assert [Outcome.COMPLETED, Outcome.COMPLETED, Outcome.SHUTDOWN] == [
        call.span.outcome for call in calls
    ]


@pytest.mark.parametrize("query", ["capacity=1", "barrier=2", "rate=1/s", "fault=hang"])
def test_what_is_over_is_let_go_of_at_once(query: str) -> None:
    """No circle holds it until the next full collection, which a busy service puts off."""
    gc.disable()
    try:
        house = House()
        calls = [house.call(f"delay=1&run=ci&{query}") for _ in range(3)]
        house.clock.advance(SECOND)
        for call in calls:
            call.exchange.abandon()
        held = [weakref.ref(call.transport) for call in calls]  # by its exchange, too
        del call, calls

        assert [None] * 3 == [transport() for transport in held]
    finally:
        gc.enable()


def test_what_is_held_counts_as_waiting(house: House) -> None:
    """Once, whatever it passes; `max_waiting` bounds it as well."""
    house = House(max_waiting=2)
    house.call("delay=2&capacity=1&run=ci")
    house.call("delay=2&capacity=1&run=ci")
    assert (2, 503) == (house.desk.waiting, house.call("delay=0").span.status)

    house.clock.advance(4 * SECOND)
    assert 0 == house.desk.waiting


def test_those_who_watch_see_each_phase(house: House) -> None:
    """Held, waiting, over."""
    house.call("delay=2&capacity=1&run=ci")
    call = house.call("delay=2&capacity=1&run=ci")
    house.clock.advance(4 * SECOND)

    assert 3 == sum(span is call.span for span in house.changes)


def test_a_long_queue_without_delay_needs_no_deep_stack(house: House) -> None:
    """Each reply lets the next one go on."""
    house = House(max_waiting=10_000)
    first = house.call("delay=1&capacity=1&run=ci")
    calls = [house.call("delay=0&capacity=1&run=ci") for _ in range(5_000)]
    house.clock.advance(SECOND)

    assert {Outcome.COMPLETED} == {call.span.outcome for call in (first, *calls)}


def test_one_that_fails_does_not_keep_the_next_one_waiting(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even if there is no word of it that could be written."""
    first, second, third = (house.call(f"delay={n}&capacity=1&run=ci") for n in (1, 0, 0))
    monkeypatch.setattr(second.transport, "write", lambda data: 1 / 0)
    house.clock.advance(SECOND)

    assert Outcome.COMPLETED is first.span.outcome
    assert Outcome.COMPLETED is third.span.outcome
