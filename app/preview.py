"""A look ahead: the plans that requests with these knobs will meet, without waiting."""

from dataclasses import dataclass

from app import grammar
from app.errors import BadValue, Problem
from app.grammar import NANOSECONDS, decimal_text, number_text
from app.plan import Knobs, Ordinal, Plan, Planner, SeededDraws, Unseeded, draw
from app.report import lower_bound_ns

MOST_PLANS = 1_000  # drawn while everybody else waits: some 10 ms


@dataclass(frozen=True, slots=True)
class Preview:
    """
    Plans number *first* and on, and how soon they can be done *concurrency* at a time.

    By as many workers as there are, where `capacity` limits them.
    """

    first: int
    concurrency: int
    time_scale: float
    plans: tuple[Plan, ...]
    capacity: int | None = None

    @property
    def lower_bound_ns(self) -> int:
        """The shortest makespan of these plans, in real time (planned x time scale)."""
        delays = [round(plan.delay_ns * self.time_scale) for plan in self.plans]
        at_once = min(self.concurrency, self.capacity or self.concurrency)
        return lower_bound_ns(max(delays), sum(delays), at_once)


def preview(planner: Planner, query: str, *, time_scale: float) -> Preview:
    """
    The plans of a query: its knobs, and `n` (how many, 20), `from` (0), `concurrency` (1).

    Raises:
        Problem: something is not valid, or is drawn anew each time because there is no seed.
    """
    try:
        given = dict(grammar.pairs(query))
    except BadValue as error:
        raise Problem("bad-query", f"in the query, {error}", error.parameter) from None
    count = _number(given, "n", default=20, least=1, most=MOST_PLANS)
    first = _number(given, "from", default=0, least=0)
    concurrency = _number(given, "concurrency", default=1, least=1)
    knobs = planner.knobs(given)
    plans = tuple(_plan(planner, knobs, number) for number in range(first, first + count))
    return Preview(first, concurrency, time_scale, plans, knobs.capacity)


def _number(
    given: dict[str, str], name: str, *, default: int, least: int, most: int | None = None
) -> int:
    """The number of that name, taken out of *given*."""
    text = given.pop(name, str(default))
    try:
        number = grammar.integer(text)
    except BadValue as error:
        raise Problem("bad-knob", f"{name}: {error}", name) from None
    if number < least or (most is not None and number > most):
        allowed = f"{least} or more" if most is None else f"{least} to {most}"
        raise Problem("bad-knob", f"{name}: {text} is out of range; use {allowed}", name)
    return number


def _plan(planner: Planner, knobs: Knobs, number: int) -> Plan:
    """Attempts count from 1; requests with a key are told apart by them."""
    attempt = number + 1
    ordinal: Ordinal = number if knobs.key is None else (knobs.key, attempt)
    draws = Unseeded() if knobs.seed is None else SeededDraws(knobs.seed, ordinal)
    plan = draw(knobs, draws, ordinal, planner.limits)
    return knobs.fail.of(plan, attempt) if knobs.fail else plan


def json_text(preview: Preview) -> str:
    """
    The preview as JSON, a plan a line; delays are those of the replies, before the time scale.

    Written by hand, for numbers are to look as in the replies: exact, and without exponent.
    """
    plans = ",\n    ".join(
        f'{{"n": {number}, "delay": {_seconds(plan.delay_ns)}, '
        f'"status": {plan.sent_status or "null"}, "fault": {_quoted(plan.purpose)}}}'
        for number, plan in enumerate(preview.plans, start=preview.first)
    )
    return f"""{{
  "plans": [
    {plans}
  ],
  "total_delay": {_seconds(sum(plan.delay_ns for plan in preview.plans))},
  "longest_delay": {_seconds(max(plan.delay_ns for plan in preview.plans))},
  "time_scale": {number_text(preview.time_scale)},
  "concurrency": {preview.concurrency},
  "lower_bound": {_seconds(preview.lower_bound_ns)}
}}
"""


def _quoted(name: str | None) -> str:
    return "null" if name is None else f'"{name}"'


def _seconds(ns: int) -> str:
    return decimal_text(ns, NANOSECONDS["s"])
