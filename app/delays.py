"""
Delays: how long to wait, as text and as something to draw from.

A delay is drawn through the inverse of its distribution function from uniform numbers that the
caller supplies, so the same numbers give the same delay on every machine.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from statistics import NormalDist
from typing import Generic, Protocol, TypeVar

from app import grammar
from app.errors import BadValue
from app.grammar import MICROSECOND, NANOSECONDS, duration_text, quoted

MOST_DRAWS = 10  # samples above the cap are drawn again, then the cap is taken
LARGEST_SIGMA = 10.0
ALPHAS = (0.1, 100.0)
QUANTILES = {"p50": 0.5, "p75": 0.75, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999}

_NORMAL = NormalDist()

T = TypeVar("T")


class Draws(Protocol):
    """Where the uniform numbers come from."""

    def uniform(self, knob: str, turn: int) -> float:
        """A number strictly between 0 and 1 for the *turn*-th draw of *knob*, from 0."""


class Delay(Protocol):
    """How long to wait. `str()` gives a text that reads back as the same delay."""

    def sample(self, draws: Draws, turn: int, index: int) -> float:
        """Nanoseconds, by the numbers of this *turn*; may be negative or beyond any cap."""

    def durations(self) -> Iterator[int]:
        """Every duration written in the text, in nanoseconds."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """Always the same: `250ms`."""

    ns: int

    def sample(self, draws: Draws, turn: int, index: int) -> float:
        return self.ns

    def durations(self) -> Iterator[int]:
        yield self.ns

    def __str__(self) -> str:
        return duration_text(self.ns)


@dataclass(frozen=True, slots=True)
class Steps:
    """Whole units from *low* to *high*, both ends possible, each alike: `1-30`, `100-300ms`."""

    low: int
    high: int
    unit: str

    def sample(self, draws: Draws, turn: int, index: int) -> float:
        return (self.low + int(_u(draws, turn) * (self.high - self.low + 1))) * NANOSECONDS[
            self.unit
        ]

    def durations(self) -> Iterator[int]:
        yield self.low * NANOSECONDS[self.unit]
        yield self.high * NANOSECONDS[self.unit]

    def __str__(self) -> str:
        return f"{self.low}-{self.high}{self.unit}"


@dataclass(frozen=True, slots=True)
class Uniform:
    """Any whole microsecond from *low* to *high*, both ends possible: `uniform(0.5s,2s)`."""

    low_ns: int
    high_ns: int

    def sample(self, draws: Draws, turn: int, index: int) -> float:
        steps = (self.high_ns - self.low_ns) // MICROSECOND + 1
        return self.low_ns + int(_u(draws, turn) * steps) * MICROSECOND

    def durations(self) -> Iterator[int]:
        yield self.low_ns
        yield self.high_ns

    def __str__(self) -> str:
        return f"uniform({duration_text(self.low_ns)},{duration_text(self.high_ns)})"


@dataclass(frozen=True, slots=True)
class Normal:
    """`normal(2s,300ms)`: mean and standard deviation."""

    mean_ns: int
    sd_ns: int

    def sample(self, draws: Draws, turn: int, index: int) -> float:
        return self.mean_ns + self.sd_ns * _NORMAL.inv_cdf(_u(draws, turn))

    def durations(self) -> Iterator[int]:
        yield self.mean_ns
        yield self.sd_ns

    def __str__(self) -> str:
        return f"normal({duration_text(self.mean_ns)},{duration_text(self.sd_ns)})"


@dataclass(frozen=True, slots=True)
class Lognormal:
    """`lognormal(2s,0.5)`: median, and the standard deviation of the logarithm."""

    median_ns: int
    sigma: float
    sigma_text: str

    def sample(self, draws: Draws, turn: int, index: int) -> float:
        return self.median_ns * math.exp(self.sigma * _NORMAL.inv_cdf(_u(draws, turn)))

    def durations(self) -> Iterator[int]:
        yield self.median_ns

    def __str__(self) -> str:
        return f"lognormal({duration_text(self.median_ns)},{self.sigma_text})"


@dataclass(frozen=True, slots=True)
class LognormalQuantiles:
    """`lognormal(p50=1s,p99=4s)`: the lognormal that passes through two of its quantiles."""

    low: str
    low_ns: int
    high: str
    high_ns: int

    @property
    def sigma(self) -> float:
        return math.log(self.high_ns / self.low_ns) / (_z(self.high) - _z(self.low))

    def sample(self, draws: Draws, turn: int, index: int) -> float:
        return self.low_ns * math.exp(
            self.sigma * (_NORMAL.inv_cdf(_u(draws, turn)) - _z(self.low))
        )

    def durations(self) -> Iterator[int]:
        yield self.low_ns
        yield self.high_ns

    def __str__(self) -> str:
        low, high = duration_text(self.low_ns), duration_text(self.high_ns)
        return f"lognormal({self.low}={low},{self.high}={high})"


def _u(draws: Draws, turn: int) -> float:
    return draws.uniform("delay", turn)


def _z(quantile: str) -> float:
    return _NORMAL.inv_cdf(QUANTILES[quantile])


@dataclass(frozen=True, slots=True)
class Exponential:
    """`exponential(2s)`: memoryless, by its mean."""

    mean_ns: int

    def sample(self, draws: Draws, turn: int, index: int) -> float:
        return -self.mean_ns * math.log1p(-_u(draws, turn))

    def durations(self) -> Iterator[int]:
        yield self.mean_ns

    def __str__(self) -> str:
        return f"exponential({duration_text(self.mean_ns)})"


@dataclass(frozen=True, slots=True)
class Pareto:
    """`pareto(1s,1.5)`: never below the minimum, with a tail the heavier the smaller alpha."""

    minimum_ns: int
    alpha: float
    alpha_text: str

    def sample(self, draws: Draws, turn: int, index: int) -> float:
        return float(self.minimum_ns * math.pow(1.0 - _u(draws, turn), -1.0 / self.alpha))

    def durations(self) -> Iterator[int]:
        yield self.minimum_ns

    def __str__(self) -> str:
        return f"pareto({duration_text(self.minimum_ns)},{self.alpha_text})"


@dataclass(frozen=True, slots=True)
class Cycle(Generic[T]):
    """`seq(a,b,c)`: one after another by ordinal, from the beginning again at the end."""

    items: tuple[T, ...]

    def choose(self, index: int, uniform: Callable[[], float]) -> T:
        return self.items[index % len(self.items)]

    def __str__(self) -> str:
        return f"seq({','.join(map(str, self.items))})"


@dataclass(frozen=True, slots=True)
class Weighted(Generic[T]):
    """`a:0.9,b:0.1`: one of the items, each as often as its weight says; weight 0 is never."""

    items: tuple[T, ...]
    weights: tuple[str, ...]
    cumulative: tuple[float, ...]

    def choose(self, index: int, uniform: Callable[[], float]) -> T:
        if len(self.items) == 1:
            return self.items[0]
        # Below the total even when the product rounds up; bisect_right then steps over items of
        # weight 0, which end where the item before them ended.
        total = self.cumulative[-1]
        mark = min(uniform() * total, math.nextafter(total, 0.0))
        return self.items[bisect_right(self.cumulative, mark)]

    def __str__(self) -> str:
        return ",".join(
            f"{item}:{weight}" for item, weight in zip(self.items, self.weights, strict=True)
        )


Choice = Cycle[T] | Weighted[T]


@dataclass(frozen=True, slots=True)
class Mixed:
    """A `Cycle` or `Weighted` choice among delays."""

    choice: Choice[Delay]

    def sample(self, draws: Draws, turn: int, index: int) -> float:
        chosen = self.choice.choose(index, lambda: draws.uniform("delay/choice", turn))
        return chosen.sample(draws, turn, index)

    def durations(self) -> Iterator[int]:
        for item in self.choice.items:
            yield from item.durations()

    def __str__(self) -> str:
        return str(self.choice)


# --- text -> delay -------------------------------------------------------------------------------


def parse(text: str, *, max_delay_ns: int) -> Delay:
    """
    The delay that *text* describes.

    Raises:
        BadValue: the text is none of the forms, or a duration in it exceeds *max_delay_ns*.
    """
    delay = _parse(text)
    for ns in delay.durations():
        if ns > max_delay_ns:
            raise BadValue(
                f"{duration_text(ns)} is longer than this server waits; "
                f"stay within {duration_text(max_delay_ns)} (max_delay)"
            )
    return delay


def _parse(text: str) -> Delay:
    called = grammar.call(text)
    if called and called[0] == "seq":
        return Mixed(Cycle(tuple(map(_simple, grammar.split(called[1])))))
    items = grammar.split(text)
    if len(items) > 1 or ":" in text:
        return Mixed(weigh(items, _simple, default=None))
    return _simple(text)


def _simple(text: str) -> Delay:
    called = grammar.call(text)
    if called:
        return _distribution(*called)
    low, _, high = text.partition("-")
    return _range(low, high) if low and high else Fixed(grammar.duration(text))


def _range(low: str, high: str) -> Delay:
    unit = _unit(low) or _unit(high) or "s"
    try:
        ends_ns = grammar.duration(low, unit=unit), grammar.duration(high, unit=unit)
    except BadValue:
        raise BadValue(
            f"{quoted(f'{low}-{high}')} is not a delay; write a duration such as 0.5 or 250ms, "
            "or a range such as 1-30 or 100-300ms"
        ) from None
    _ascend(*ends_ns, f"{low}-{high}")
    numbers = low.removesuffix(unit), high.removesuffix(unit)
    if all(number.isdigit() for number in numbers):
        return Steps(int(numbers[0]), int(numbers[1]), unit)
    return Uniform(*ends_ns)


def _unit(text: str) -> str:
    return next((unit for unit in NANOSECONDS if text.endswith(unit)), "")


def _ascend(low_ns: int, high_ns: int, text: str) -> None:
    if low_ns > high_ns:
        raise BadValue(f"{quoted(text)} runs backwards; write the shorter delay first")


def _distribution(name: str, arguments: str) -> Delay:
    if name == "seq":
        raise BadValue("seq can't stand inside a list or another seq; write it alone")
    if name not in _DISTRIBUTIONS:
        known = ", ".join(_DISTRIBUTIONS)
        raise BadValue(f"{quoted(name)} is not a distribution; use {known}, seq or a duration")
    example, read = _DISTRIBUTIONS[name]
    try:
        return read(*grammar.split(arguments))
    except TypeError:
        raise BadValue(f"{quoted(arguments)} does not fit {name}; write {example}") from None


def _uniform(low: str, high: str) -> Delay:
    ends_ns = grammar.duration(low), grammar.duration(high)
    _ascend(*ends_ns, f"uniform({low},{high})")
    return Uniform(*ends_ns)


def _normal(mean: str, sd: str) -> Delay:
    return Normal(_positive(mean, "mean"), grammar.duration(sd))


def _lognormal(first: str, second: str) -> Delay:
    if "=" in first or "=" in second:
        return _quantiles(first, second)
    return Lognormal(_positive(first, "median"), _sigma(grammar.decimal(second), second), second)


def _quantiles(first: str, second: str) -> Delay:
    (low, _, low_text), (high, _, high_text) = first.partition("="), second.partition("=")
    for name in (low, high):
        if name not in QUANTILES:
            raise BadValue(f"{quoted(name)} is not a quantile; use two of {', '.join(QUANTILES)}")
    low_ns, high_ns = _positive(low_text, low), _positive(high_text, high)
    if QUANTILES[low] >= QUANTILES[high] or low_ns >= high_ns:
        raise BadValue(
            f"{quoted(f'{first},{second}')} does not rise; "
            "write the lower quantile first, with the shorter delay"
        )
    quantiles = LognormalQuantiles(low, low_ns, high, high_ns)
    _sigma(quantiles.sigma, f"{quantiles.sigma:.3g}")
    return quantiles


def _exponential(mean: str) -> Delay:
    return Exponential(_positive(mean, "mean"))


def _pareto(minimum: str, alpha: str) -> Delay:
    least, most = ALPHAS
    value = grammar.decimal(alpha)
    if not least <= value <= most:
        raise BadValue(f"alpha {alpha} is out of bounds; use {least} to {most:g}")
    return Pareto(_positive(minimum, "minimum"), value, alpha)


def _positive(text: str, what: str) -> int:
    ns = grammar.duration(text)
    if ns == 0:
        raise BadValue(f"{what} {quoted(text)} is too short; use a duration above 0")
    return ns


def _sigma(sigma: float, text: str) -> float:
    if sigma > LARGEST_SIGMA:
        raise BadValue(f"sigma {text} is too wide; use 0 to {LARGEST_SIGMA:g}")
    return sigma


_DISTRIBUTIONS: dict[str, tuple[str, Callable[..., Delay]]] = {
    "uniform": ("uniform(0.5s,2s)", _uniform),
    "normal": ("normal(2s,300ms)", _normal),
    "lognormal": ("lognormal(2s,0.5) or lognormal(p50=1s,p99=4s)", _lognormal),
    "exponential": ("exponential(2s)", _exponential),
    "pareto": ("pareto(1s,1.5)", _pareto),
}


def weigh(items: list[str], read: Callable[[str], T], *, default: str | None) -> Weighted[T]:
    """
    The weighted choice that *items* (`item:weight` each) describe.

    A missing weight is *default*; None demands one with every item. The sum must be positive.
    """
    values, weights = [], []
    for item in items:
        text, weight = grammar.weighted(item)
        if weight is None and default is None:
            raise BadValue(f"{quoted(item)} has no weight; in a list write each as {item}:0.5")
        values.append(read(text))
        weights.append(weight if weight is not None else default or "")
    cumulative = tuple(accumulate(map(float, weights)))
    if cumulative[-1] <= 0:
        raise BadValue(f"the weights in {quoted(','.join(items))} add up to 0; raise one of them")
    return Weighted(tuple(values), tuple(weights), cumulative)


# --- drawing -------------------------------------------------------------------------------------


def draw(delay: Delay, draws: Draws, index: int, *, max_delay_ns: int) -> int:
    """
    One delay in nanoseconds, a whole number of microseconds from 0 to *max_delay_ns*.

    Samples below 0 become 0. Samples above the cap are drawn again; after ten the cap is taken.
    *index* is the ordinal for `seq`.
    """
    for turn in range(MOST_DRAWS):
        ns = delay.sample(draws, turn, index)
        if ns <= max_delay_ns:
            return max(0, round(ns / MICROSECOND) * MICROSECOND)
    return max_delay_ns
