"""One span for each arrival, closed once."""

from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.recorder import Recorder
from app.runs import Run, Runs
from app.spans import SEQUENCE_BITS, Kind, Outcome, Span
from tests.fakes import BEGIN, SECOND, ManualClock, make_runs


@dataclass
class Heard:
    """What a recorder told, as (id, outcome at that moment)."""

    changes: list[tuple[int, Outcome]] = field(default_factory=list)
    ends: list[tuple[int, Outcome]] = field(default_factory=list)


class Desk:
    """A recorder at work."""

    def __init__(self, boot: int = 1) -> None:
        self.clock = ManualClock()
        self.runs: Runs = make_runs()
        self.heard = Heard()
        self.recorder = Recorder(
            self.clock,
            self.runs,
            boot=boot,
            on_change=lambda span: self.heard.changes.append((span.id, span.outcome)),
            on_end=lambda span: self.heard.ends.append((span.id, span.outcome)),
        )

    def run(self, name: str = "demo") -> Run:
        return self.runs.named(name, self.clock.now())

    def open(self, run: Run | None = None, **known: object) -> Span:
        values = {"now_ns": self.clock.now(), "method": "GET", "target": "/aio"} | known
        return self.recorder.open(run or self.run(), Kind.HTTP, **values)  # type: ignore[arg-type]


def test_an_opened_span_knows_its_arrival_and_nothing_of_its_end() -> None:
    """What is known at arrival is in it, the rest is not invented."""
    desk = Desk()
    desk.clock.advance(SECOND)

    span = desk.open(key="k", attempt=2, user_agent="curl")

    expected = Span(
        id=(1 << SEQUENCE_BITS) + 1,
        run="demo",
        kind=Kind.HTTP,
        method="GET",
        target="/aio",
        arrival_ns=BEGIN + SECOND,
        key="k",
        attempt=2,
        user_agent="curl",
        in_flight=1,
    )
    assert expected == span
    assert "1-1" == span.name
    assert Outcome.IN_FLIGHT is span.outcome


def test_a_closed_span_knows_when_and_how_it_ended() -> None:
    """End, outcome and who ended it; nothing else is touched."""
    desk = Desk()
    run = desk.run()
    span = desk.open(run)
    desk.clock.advance(SECOND)

    desk.recorder.close(run, span, Outcome.CLIENT_GONE, "client")

    assert (BEGIN + SECOND, Outcome.CLIENT_GONE, "client") == (
        span.end_ns,
        span.outcome,
        span.ended_by,
    )
    assert (None, None, None) == (span.first_byte_ns, span.last_byte_ns, span.status)


def test_the_first_way_out_counts() -> None:
    """Closing again changes nothing and is told to nobody."""
    desk = Desk()
    run = desk.run()
    span = desk.open(run)
    desk.recorder.close(run, span, Outcome.COMPLETED)
    desk.clock.advance(SECOND)

    desk.recorder.close(run, span, Outcome.ERROR, "client")

    assert (BEGIN, Outcome.COMPLETED, None) == (span.end_ns, span.outcome, span.ended_by)
    assert [(span.id, Outcome.COMPLETED)] == desk.heard.ends
    assert Counter({Outcome.COMPLETED: 1}) == desk.recorder.outcomes
    assert 0 == run.in_flight


def test_every_phase_is_told_and_the_end_last() -> None:
    """Changed, closed: two changes; one end. Opening alone is none, for most is to come."""
    desk = Desk()
    run = desk.run()

    span = desk.open(run)
    desk.recorder.changed(span)
    desk.recorder.close(run, span, Outcome.COMPLETED)

    flying = (span.id, Outcome.IN_FLIGHT)
    assert [flying, (span.id, Outcome.COMPLETED)] == desk.heard.changes
    assert [(span.id, Outcome.COMPLETED)] == desk.heard.ends


def test_the_end_of_a_deleted_runs_span_is_a_change_but_not_kept() -> None:
    """Viewers see it end; the journal hears nothing of it."""
    desk = Desk()
    run = desk.run()
    span = desk.open(run)
    desk.runs.delete(run)

    desk.recorder.close(run, span, Outcome.REJECTED, "deleted")

    assert [] == desk.heard.ends
    assert (span.id, Outcome.REJECTED) == desk.heard.changes[-1]
    assert Counter({Outcome.REJECTED: 1}) == desk.recorder.outcomes
    assert {} == desk.recorder.live
    assert 0 == run.in_flight


def test_in_flight_on_arrival_counts_its_own_run_and_itself() -> None:
    """Who has ended is not in flight, who is in another run neither."""
    desk = Desk()
    one, other = desk.run("one"), desk.run("other")

    first = desk.open(one)
    stranger = desk.open(other)
    second = desk.open(one)
    desk.recorder.close(one, first, Outcome.COMPLETED)
    third = desk.open(one)

    assert [1, 1, 2, 2] == [span.in_flight for span in (first, stranger, second, third)]


def test_spans_in_flight_are_those_of_the_run_in_order_of_arrival() -> None:
    """Reports and exports show them beside what is stored."""
    desk = Desk()
    one, other = desk.run("one"), desk.run("other")
    first, second = desk.open(one), desk.open(one)
    stranger = desk.open(other)
    third = desk.open(one)

    desk.recorder.close(one, second, Outcome.COMPLETED)

    assert [first, third] == desk.recorder.in_flight("one")
    assert [stranger] == desk.recorder.in_flight("other")
    assert [] == desk.recorder.in_flight("nobody")


@pytest.mark.parametrize("boot", [1, 2, 1000])
def test_ids_ascend_and_name_their_boot(boot: int) -> None:
    """`BOOT-SEQ`, sequences from 1 without a gap."""
    desk = Desk(boot)

    names = [desk.open().name for _ in range(3)]

    assert [f"{boot}-1", f"{boot}-2", f"{boot}-3"] == names


@given(boots=st.tuples(st.integers(1, 1 << 22), st.integers(1, 1 << 22)), count=st.integers(1, 20))
def test_ids_of_two_boots_never_collide_and_ascend(boots: tuple[int, int], count: int) -> None:
    """A later boot's spans come after an earlier one's, and all fit SQLite's 63 bits."""
    if boots[0] == boots[1]:
        boots = (boots[0], boots[1] + 1)
    desks = [Desk(boot) for boot in sorted(boots)]

    ids = [desk.open().id for desk in desks for _ in range(count)]

    assert sorted(set(ids)) == ids
    assert ids[-1] < 1 << 63
