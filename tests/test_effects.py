"""Tests of `app.effects`: faults and refusals counted by name, held time by length."""

import pytest

from app.batch import Batch
from app.columns import Columns
from app.effects import EffectFold, Effects, Held, reason
from app.spans import Outcome, Span
from tests.fakes import make_span


def effects(*lists: list[Span]) -> Effects:
    fold = EffectFold()
    for spans in lists:
        fold.add(Batch(Columns.of(spans), now_ns=0))
    return fold.summary()


def test_on_plain_requests_there_is_none() -> None:
    """Nor on none at all."""
    nothing = Effects({}, {}, Held(), Held())

    assert nothing == effects()
    assert nothing == effects([make_span(outcome=Outcome.COMPLETED, status=200)])


def test_faults_are_counted_by_name() -> None:
    """Over all lists, in the order of their names."""
    first = [make_span(fault=fault) for fault in ("stall", None, "reset")]

    assert {"reset": 1, "stall": 2} == effects(first, [make_span(fault="stall")]).faults
    assert ["reset", "stall"] == list(effects(first).faults)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"status": 429, "fault": "rate"}, "rate"),
        ({"status": 503, "fault": "queue"}, "queue"),
        ({"status": 504, "fault": "barrier"}, "barrier"),
        ({"status": 503, "ended_by": "deleted"}, "deleted"),
        ({"status": 503, "fault": "status", "ended_by": "deleted"}, "deleted"),
        ({"status": 503}, "limit"),
        ({"status": 413}, "limit"),
        ({"status": 400}, "invalid"),
        ({"status": 404}, "invalid"),
        ({"status": None}, "limit"),
        ({"status": 101}, "limit"),
    ],
)
def test_a_rejection_has_a_reason(changes: dict[str, object], expected: str) -> None:
    """A limit that was asked for, a limit of the server, a deleted run, or its own knobs."""
    span = make_span(**{"outcome": Outcome.REJECTED, **changes})  # type: ignore[arg-type]

    assert expected == reason(span)
    assert {expected: 2} == effects([span, span]).rejections


def test_what_was_not_rejected_is_no_rejection() -> None:
    """A failure on purpose is a reply as any other."""
    span = make_span(outcome=Outcome.COMPLETED, status=503, fault="fail")

    assert ({"fail": 1}, {}) == (effects([span]).faults, effects([span]).rejections)


def test_held_time_is_told_apart() -> None:
    """The queue's and the barrier's, in all and at most."""
    spans = [
        make_span(queue_wait_ns=queue, barrier_wait_ns=barrier)
        for queue, barrier in ((5, 0), (0, 7), (3, 2), (0, 0))
    ]
    found = effects(spans[:2], spans[2:])

    assert (Held(2, 8, 5), Held(2, 9, 7)) == (found.queue, found.barrier)
