"""The newest changes, for those who watch."""

import asyncio
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Problem
from app.feed import KEPT, Batch, Feed, Missed
from app.spans import Span
from tests.fakes import make_span


def make_feed(*, kept: int = KEPT, most_viewers: int = 100) -> Feed:
    return Feed(7, most_viewers=most_viewers, kept=kept)


def publish(feed: Feed, *spans: Span) -> None:
    for span in spans:
        feed.publish(span)


# --- what changed since --------------------------------------------------------------------------


def test_nothing_changed_since_now() -> None:
    """A viewer who has all gets an empty batch."""
    feed = make_feed()
    publish(feed, make_span(1))

    assert Batch((), 1) == feed.since(1, "demo")


def test_changes_after_a_position_come_in_order() -> None:
    """The first that changed comes first, and the position goes on."""
    feed, spans = make_feed(), [make_span(number) for number in (1, 2, 3)]
    publish(feed, *spans)

    assert Batch((spans[1], spans[2]), 3) == feed.since(1, "demo")


def test_a_span_that_changed_often_comes_once() -> None:
    """A batch shows the present state; how often it changed is nobody's business."""
    feed, one, other = make_feed(), make_span(1), make_span(2)
    publish(feed, one, other, one, one)

    assert Batch((one, other), 4) == feed.since(0, "demo")


def test_spans_of_other_runs_are_left_out_but_counted() -> None:
    """Positions are those of the feed, the spans those of the run."""
    feed, ours = make_feed(), make_span(2, run="ours")
    publish(feed, make_span(1, run="theirs"), ours, make_span(3, run="theirs"))

    assert Batch((ours,), 3) == feed.since(0, "ours")


def test_the_last_change_kept_can_still_be_reached() -> None:
    """A ring of three has three changes, whatever came before."""
    feed, spans = make_feed(kept=3), [make_span(number) for number in range(1, 6)]
    publish(feed, *spans[:2])
    given = feed.here
    publish(feed, *spans[2:])

    assert Batch(tuple(spans[2:]), 5) == feed.since(feed.find(given), "demo")


def test_what_nobody_can_ask_for_is_not_kept() -> None:
    """A ring after the last position given, nothing after that, a new ring with the next."""
    feed, spans = make_feed(kept=2), [make_span(number) for number in range(1, 7)]
    publish(feed, *spans[:3])
    with pytest.raises(Missed):
        feed.since(2, "demo")

    given = feed.here
    publish(feed, *spans[3:5])
    assert Batch(tuple(spans[3:5]), 5) == feed.since(feed.find(given), "demo")
    publish(feed, spans[5])

    with pytest.raises(Missed):
        feed.since(4, "demo")


def test_who_fell_behind_the_ring_has_missed_something() -> None:
    """One change too old is too old."""
    feed = make_feed(kept=3)
    publish(feed, *(make_span(number) for number in range(1, 6)))

    with pytest.raises(Missed):
        feed.since(1, "demo")


def test_a_position_that_was_never_given_is_missed() -> None:
    """Somebody made it up, or another boot gave it."""
    feed = make_feed()

    with pytest.raises(Missed):
        feed.since(1, "demo")


def test_what_is_no_change_of_a_span_shows_in_no_batch() -> None:
    """It takes a place among the changes all the same, so that nobody sleeps through it."""
    feed, span = make_feed(), make_span(1)
    publish(feed, span)
    feed.wake()

    assert Batch((span,), 2) == feed.since(0, "demo")


def test_by_default_ten_thousand_changes_are_kept() -> None:
    """As promised to those who resume."""
    feed, span = make_feed(), make_span(1)
    publish(feed, span)
    given = feed.here
    publish(feed, *[span] * 10_000)

    assert Batch((span,), 10_001) == feed.since(feed.find(given), "demo")
    with pytest.raises(Missed):
        feed.since(0, "demo")


@given(
    numbers=st.lists(st.tuples(st.integers(1, 5), st.sampled_from(["a", "b"]))),
    kept=st.integers(1, 10),
    position=st.integers(0, 30),
)
def test_since_is_the_tail_of_all_changes(
    numbers: list[tuple[int, str]], kept: int, position: int
) -> None:
    """The same as slicing a list of everything that ever happened."""
    feed = make_feed(kept=kept)
    changes = [make_span(number + 10 * (run == "b"), run=run) for number, run in numbers]
    publish(feed, *changes[:position])
    feed.name(position)
    publish(feed, *changes[position:])

    if len(changes) - kept <= position <= len(changes):
        tail = [span.id for span in changes[position:] if span.run == "a"]
        batch = feed.since(position, "a")
        assert list(dict.fromkeys(tail)) == [span.id for span in batch.spans]
        assert len(changes) == batch.position
    else:
        with pytest.raises(Missed):
            feed.since(position, "a")


# --- waiting for news ----------------------------------------------------------------------------


async def rounds(count: int = 5) -> None:
    """Let every task that can run do so."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_waiting_returns_at_once_when_something_changed_already() -> None:
    """Nothing that happened between two looks is slept through."""
    feed = make_feed()
    publish(feed, make_span(1))

    await asyncio.wait_for(feed.wait(0), 1)


async def test_waiting_ends_with_the_next_change_for_every_viewer() -> None:
    """One change wakes all of them."""
    feed = make_feed()
    viewers = [asyncio.create_task(feed.wait(0)) for _ in range(3)]
    await rounds()
    assert not any(viewer.done() for viewer in viewers)

    publish(feed, make_span(1))
    await rounds()

    assert all(viewer.done() for viewer in viewers)


async def test_waiting_again_sleeps_until_there_is_more() -> None:
    """An old change does not wake anybody twice."""
    feed = make_feed()
    publish(feed, make_span(1))
    await feed.wait(0)
    viewer = asyncio.create_task(feed.wait(1))
    await rounds()
    assert not viewer.done()

    publish(feed, make_span(1))
    await rounds()

    assert viewer.done()


async def test_who_begins_to_wait_after_a_change_does_not_take_it_from_others() -> None:
    """A viewer that is up to date may rest while a slower one is being woken."""
    feed = make_feed()
    slow = asyncio.create_task(feed.wait(0))
    await rounds()
    publish(feed, make_span(1))

    quick = asyncio.create_task(feed.wait(1))
    await rounds()

    assert slow.done()
    assert not quick.done()
    quick.cancel()


async def test_everybody_can_be_made_to_look_again() -> None:
    """Those who wait, and those who only begin to: a run may be gone since they looked."""
    feed = make_feed()
    viewer = asyncio.create_task(feed.wait(0))
    await rounds()

    feed.wake()
    await rounds()

    assert viewer.done()
    await asyncio.wait_for(feed.wait(0), 1)


async def test_closing_wakes_everybody_for_good() -> None:
    """A service that stops is not held up by viewers, neither old nor new."""
    feed = make_feed()
    viewer = asyncio.create_task(feed.wait(0))
    await rounds()

    feed.close()
    await rounds()

    assert viewer.done()
    assert feed.closed
    await asyncio.wait_for(feed.wait(0), 1)


# --- event ids -----------------------------------------------------------------------------------


def test_an_event_id_names_boot_and_position() -> None:
    """`BOOT-SEQ`; what was named can be found again."""
    feed = make_feed()
    publish(feed, make_span(1), make_span(2))

    assert "7-2" == feed.here
    assert "7-1" == feed.name(1)
    assert 2 == feed.find(feed.here)


@pytest.mark.parametrize(
    "name", ["", "7", "7-", "-2", "8-2", "77-2", "7-x", "7--2", "7-2 ", "7-²", "7-٢", "x-2", "07-2"]
)
def test_an_event_id_that_is_not_ours_is_missed(name: str) -> None:
    """Of another boot, or no id at all: the viewer starts afresh."""
    with pytest.raises(Missed):
        make_feed().find(name)


def test_an_endless_event_id_is_missed_rather_than_an_error() -> None:
    """Python refuses to read integers of more than 4300 digits; clients may send them."""
    feed = make_feed()

    with pytest.raises(Missed):
        feed.since(feed.find("7-" + "9" * 5000), "demo")


# --- viewers -------------------------------------------------------------------------------------


def test_viewers_are_counted_while_they_watch() -> None:
    """A place is taken for as long as the context lasts."""
    feed = make_feed()

    with feed.watching():
        assert 1 == feed.viewers

    assert 0 == feed.viewers


def test_a_viewer_that_fails_gives_its_place_back() -> None:
    """Places do not run out by mishaps."""
    feed = make_feed()

    with pytest.raises(ZeroDivisionError), feed.watching():
        raise ZeroDivisionError

    assert 0 == feed.viewers


@pytest.mark.parametrize("most", [1, 2])
def test_one_viewer_too_many_is_refused_and_takes_no_place(most: int) -> None:
    """Past the limit: 503 with value, rule and remedy; the others stay."""
    feed = make_feed(most_viewers=most)

    with ExitStack() as views:
        for _ in range(most):
            views.enter_context(feed.watching())
        with pytest.raises(Problem) as caught, feed.watching():
            pass
        assert most == feed.viewers

    assert (503, "too-many-viewers") == (caught.value.status, caught.value.code)
    assert (
        f"this view would be one more than the limit of {most} (viewers); "
        "close another, or raise the limit"
    ) == str(caught.value)
    with feed.watching():
        assert 1 == feed.viewers
