"""Tests of `app.delays`: the forms, their bounds, and that samples follow their distributions."""

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import accumulate, pairwise
from statistics import NormalDist

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app import delays
from app.delays import (
    QUANTILES,
    Cycle,
    Delay,
    Exponential,
    Fixed,
    Lognormal,
    LognormalQuantiles,
    Mixed,
    Normal,
    Pareto,
    Steps,
    Uniform,
    Weighted,
)
from app.errors import BadValue
from app.grammar import NANOSECONDS
from app.plan import SeededDraws

MS = 1_000_000
SECOND = 1_000_000_000
MAX = 300 * SECOND
SMALLEST, LARGEST = 2.0**-53, 1 - 2.0**-53  # of the numbers that are drawn


class Drawn:
    """Uniform numbers from a list, by turn; remembers who asked."""

    def __init__(self, *numbers: float) -> None:
        self.numbers = numbers
        self.asked: list[tuple[str, int]] = []

    def uniform(self, knob: str, turn: int) -> float:
        self.asked.append((knob, turn))
        return self.numbers[turn % len(self.numbers)]


def parse(text: str) -> Delay:
    return delays.parse(text, max_delay_ns=MAX)


def draw(text: str, *numbers: float, index: int = 0) -> int:
    return delays.draw(parse(text), Drawn(*numbers), index, max_delay_ns=MAX)


# --- every delay there is ------------------------------------------------------------------------

durations = st.integers(0, MAX // 1_000).map(lambda microseconds: microseconds * 1_000)
lengths = durations.filter(bool)
decimals = st.from_regex(r"[0-9](\.[0-9]{1,4})?", fullmatch=True)
ascending = st.tuples(durations, durations).map(sorted)


@st.composite
def steps(pick: st.DrawFn) -> Steps:
    unit = pick(st.sampled_from(sorted(NANOSECONDS)))
    low, high = sorted(pick(st.tuples(*[st.integers(0, MAX // NANOSECONDS[unit])] * 2)))
    return Steps(low, high, unit)


@st.composite
def quantiles(pick: st.DrawFn) -> LognormalQuantiles:
    low, high = sorted(pick(st.sets(st.sampled_from(list(QUANTILES)), min_size=2, max_size=2)))
    low_ns, high_ns = sorted(pick(st.sets(lengths, min_size=2, max_size=2)))
    delay = LognormalQuantiles(low, low_ns, high, high_ns)
    assume(delay.sigma <= 10)
    return delay


simple: st.SearchStrategy[Delay] = st.one_of(
    durations.map(Fixed),
    steps(),
    ascending.map(lambda ends: Uniform(*ends)),
    st.builds(Normal, lengths, durations),
    st.builds(lambda ns, sigma: Lognormal(ns, float(sigma), sigma), lengths, decimals),
    quantiles(),
    st.builds(Exponential, lengths),
    st.builds(
        lambda ns, alpha: Pareto(ns, float(alpha), alpha),
        lengths,
        decimals.filter(lambda alpha: 0.1 <= float(alpha)),
    ),
)


@st.composite
def weighted(pick: st.DrawFn) -> Mixed:
    items = pick(st.lists(simple, min_size=1, max_size=4))
    weights = pick(st.lists(decimals, min_size=len(items), max_size=len(items)))
    cumulative = tuple(accumulate(map(float, weights)))
    assume(cumulative[-1] > 0)
    return Mixed(Weighted(tuple(items), tuple(weights), cumulative))


cycles = st.lists(simple, min_size=1, max_size=4).map(lambda items: Mixed(Cycle(tuple(items))))
every_delay = st.one_of(simple, cycles, weighted())


@given(every_delay)
def test_every_delay_reads_back_from_its_text(delay: Delay) -> None:
    """`parse(str(x)) == x`."""
    assert delay == parse(str(delay))


@given(every_delay, st.integers(), st.integers(0), st.integers(0, MAX // 1_000))
def test_a_draw_is_whole_microseconds_within_bounds(
    delay: Delay, seed: int, index: int, cap: int
) -> None:
    """From 0 to the cap, whatever the distribution."""
    max_delay_ns = cap * 1_000

    ns = delays.draw(delay, SeededDraws(seed, index), index, max_delay_ns=max_delay_ns)

    assert isinstance(ns, int)
    assert 0 <= ns <= max_delay_ns
    assert 0 == ns % 1_000


@given(every_delay, st.sampled_from([5e-324, SMALLEST, 0.5, LARGEST]))
def test_no_number_between_0_and_1_overflows(delay: Delay, number: float) -> None:
    """The bounds of sigma and alpha leave room: nothing is infinite, nothing is `nan`."""
    assert math.isfinite(delay.sample(Drawn(number), 0, 0))


@given(simple, st.floats(SMALLEST, LARGEST), st.floats(SMALLEST, LARGEST))
def test_a_larger_number_is_no_shorter_delay(delay: Delay, first: float, second: float) -> None:
    """Each distribution is drawn through the inverse of its distribution function."""
    low, high = sorted([first, second])

    assert delay.sample(Drawn(low), 0, 0) <= delay.sample(Drawn(high), 0, 0)


@given(every_delay)
def test_a_cap_below_any_duration_in_the_text_refuses_it(delay: Delay) -> None:
    """Never a silent clamp."""
    longest = max(delay.durations())

    delays.parse(str(delay), max_delay_ns=longest)
    if longest:
        with pytest.raises(
            BadValue, match=r"is longer than this server waits; stay within .* \(max_delay\)"
        ):
            delays.parse(str(delay), max_delay_ns=longest - 1_000)


# --- the forms -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "delay"),
    [
        ("0", Fixed(0)),
        ("2", Fixed(2 * SECOND)),
        ("250ms", Fixed(250 * MS)),
        ("0.5m", Fixed(30 * SECOND)),
        ("1-30", Steps(1, 30, "s")),
        ("01-1", Steps(1, 1, "s")),
        ("100-300ms", Steps(100, 300, "ms")),
        ("100ms-300", Steps(100, 300, "ms")),
        ("1s-2s", Steps(1, 2, "s")),
        ("1m-2", Steps(1, 2, "m")),
        ("0.5-2", Uniform(500 * MS, 2 * SECOND)),
        ("1-2.0s", Uniform(SECOND, 2 * SECOND)),
        ("500ms-2s", Uniform(500 * MS, 2 * SECOND)),
        ("1s-2000ms", Uniform(SECOND, 2 * SECOND)),
        ("1s-2m", Uniform(SECOND, 120 * SECOND)),
        ("00000000000000000001-00000000000000000002", Steps(1, 2, "s")),  # 20 characters each
        ("uniform(1,2)", Uniform(SECOND, 2 * SECOND)),
        ("uniform(2,2)", Uniform(2 * SECOND, 2 * SECOND)),
        ("normal(2s,300ms)", Normal(2 * SECOND, 300 * MS)),
        ("normal(2,0)", Normal(2 * SECOND, 0)),
        ("lognormal(2s,0.5)", Lognormal(2 * SECOND, 0.5, "0.5")),
        ("lognormal(2s,0)", Lognormal(2 * SECOND, 0.0, "0")),
        ("lognormal(2s,10)", Lognormal(2 * SECOND, 10.0, "10")),
        ("lognormal(p50=1s,p99=4s)", LognormalQuantiles("p50", SECOND, "p99", 4 * SECOND)),
        ("lognormal(p75=1,p999=2)", LognormalQuantiles("p75", SECOND, "p999", 2 * SECOND)),
        ("exponential(2s)", Exponential(2 * SECOND)),
        ("pareto(1s,0.1)", Pareto(SECOND, 0.1, "0.1")),
        ("pareto(1s,100)", Pareto(SECOND, 100.0, "100")),
        ("seq(5s)", Mixed(Cycle((Fixed(5 * SECOND),)))),
        ("seq(1,1-2)", Mixed(Cycle((Fixed(SECOND), Steps(1, 2, "s"))))),
        ("1:0.5", Mixed(Weighted((Fixed(SECOND),), ("0.5",), (0.5,)))),
        (
            "50ms:0.9,lognormal(2s,0.5):0.1",
            Mixed(
                Weighted(
                    (Fixed(50 * MS), Lognormal(2 * SECOND, 0.5, "0.5")), ("0.9", "0.1"), (0.9, 1.0)
                )
            ),
        ),
    ],
)
def test_the_forms_of_a_delay(text: str, delay: Delay) -> None:
    """One unit serves both ends of a range; whole in one unit means whole units."""
    assert delay == parse(text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "'' is not a duration"),
        ("nan", "'nan' is not a duration"),
        ("inf", "'inf' is not a duration"),
        ("-1", "'-1' is not a duration"),
        ("1-", "'1-' is not a duration"),
        ("-", "'-' is not a duration"),
        ("1--2", "'1--2' is not a delay"),
        ("1-2-3", "'1-2-3' is not a delay; write a duration such as 0.5 or 250ms, or a range"),
        ("1e-3", "'1e-3' is not a delay"),
        ("abc-5", "'abc-5' is not a delay"),
        ("1:0.5,abc-5:0.5", "'abc-5' is not a delay"),
        ("1 - 2", "'1 - 2' is not a delay"),
        ("1-nan", "'1-nan' is not a delay"),
        ("1-٣", "'1-٣' is not a delay"),
        ("1e3", "'1e3' is not a duration"),
        ("3-1", "'3-1' runs backwards; write the shorter delay first"),
        ("1s-500ms", "'1s-500ms' runs backwards"),
        ("uniform(2,1)", "'uniform(2,1)' runs backwards"),
        ("uniform(1)", "'1' does not fit uniform; write uniform(0.5s,2s)"),
        ("uniform(1,2,3)", "'1,2,3' does not fit uniform"),
        ("uniform(1, 2)", "' 2' is not a duration"),
        ("uniform(1,2))", "'2)' is not a duration"),
        ("uniform(1,2", "'uniform(1,2' is not a duration"),
        ("Uniform(1,2)", "'Uniform' is not a distribution"),
        ("poisson(1)", "'poisson' is not a distribution; use uniform, normal, lognormal, "),
        ("normal(0,1)", "mean '0' is too short; use a duration above 0"),
        ("normal(1,-1)", "'-1' is not a duration"),
        ("lognormal(2s)", "write lognormal(2s,0.5) or lognormal(p50=1s,p99=4s)"),
        ("lognormal(0,1)", "median '0' is too short"),
        ("lognormal(2s,10.01)", "sigma 10.01 is too wide; use 0 to 10"),
        ("lognormal(2s,99999999999999999999)", "sigma 99999999999999999999 is too wide"),
        ("lognormal(2s,1e400)", "'1e400' is not a number"),
        ("lognormal(2s,nan)", "'nan' is not a number"),
        ("lognormal(2s,-1)", "'-1' is not a number"),
        (
            "lognormal(p50=1s,4s)",
            "'4s' is not a quantile; use two of p50, p75, p90, p95, p99, p999",
        ),
        ("lognormal(1s,p99=4s)", "'1s' is not a quantile"),
        ("lognormal(p10=1s,p99=4s)", "'p10' is not a quantile"),
        (
            "lognormal(p99=1s,p50=4s)",
            "'p99=1s,p50=4s' does not rise; write the lower quantile first",
        ),
        ("lognormal(p50=4s,p99=1s)", "does not rise"),
        ("lognormal(p50=1s,p99=1s)", "does not rise"),
        ("lognormal(p50=1s,p50=2s)", "does not rise"),
        ("lognormal(p50=0s,p99=1s)", "p50 '0s' is too short"),
        ("lognormal(p99=1ms,p999=300s)", "sigma 16.5"),
        ("exponential()", "'' is not a duration"),
        ("exponential(0.0000001)", "mean '0.0000001' is too short"),
        ("pareto(0,1)", "minimum '0' is too short"),
        ("pareto(1,0)", "alpha 0 is out of bounds; use 0.1 to 100"),
        ("pareto(1,0.09)", "alpha 0.09 is out of bounds"),
        ("pareto(1,100.1)", "alpha 100.1 is out of bounds"),
        ("pareto(1,1e3)", "'1e3' is not a number"),
        ("seq()", "'' is not a duration"),
        ("seq(1,)", "'' is not a duration"),
        ("seq(1,seq(2,3))", "seq can't stand inside a list or another seq; write it alone"),
        ("seq(1,2):1", "seq can't stand inside a list"),
        ("seq(1:1,2:1)", "'1:1' is not a duration"),
        ("1,2", "'1' has no weight; in a list write each as 1:0.5"),
        ("1:1,2", "'2' has no weight"),
        ("1:1,", "'' has no weight"),
        ("1:", "'' is not a number"),
        ("1:1,2:", "'' is not a number"),
        ("1:-1,2:1", "'-1' is not a number"),
        ("1:inf,2:1", "'inf' is not a number"),
        ("1:0", "the weights in '1:0' add up to 0; raise one of them"),
        ("1:0,2:0.0", "the weights in '1:0,2:0.0' add up to 0"),
        ("301", "301s is longer than this server waits; stay within 300s (max_delay)"),
        ("9" * 20, "is longer than this server waits"),
        ("9" * 5_000, "is not a duration"),
        ("1-" + "9" * 5_000, "is not a delay"),
    ],
)
def test_what_is_no_delay(text: str, sentence: str) -> None:
    """The sentence shows the part at fault as it was written, and what to do about it."""
    with pytest.raises(BadValue) as refusal:
        parse(text)

    assert sentence in str(refusal.value)


TOKENS = [
    *["uniform", "normal", "lognormal", "exponential", "pareto", "seq", "p50=", "p99=", "p999"],
    *[
        "(",
        ")",
        ",",
        ":",
        "-",
        "=",
        "0",
        "1",
        "30",
        "0.5",
        "9999999",
        "s",
        "ms",
        "m",
        ".",
        " ",
        "nan",
    ],
]


@given(st.one_of(st.text(), st.lists(st.sampled_from(TOKENS), max_size=12).map("".join)))
def test_garbage_is_a_delay_or_refused(text: str) -> None:
    """Whatever the text: a delay that reads back, or a `BadValue`."""
    try:
        delay = parse(text)
    except BadValue:
        return

    assert delay == parse(str(delay))


# --- distributions -------------------------------------------------------------------------------

SAMPLES = 4_000
FAR = 10**9 * SECOND  # a cap that nothing here meets


def _normal(p: float) -> float:
    return NormalDist().inv_cdf(p)


def _z(p: float, low: float, high: float) -> float:
    """How far *p* lies on the way from the quantile *low* to *high*, on the normal scale."""
    return (_normal(p) - _normal(low)) / (_normal(high) - _normal(low))


# text -> its theoretical quantile function, in seconds
DISTRIBUTIONS: dict[str, Callable[[float], float]] = {
    "0.5-2": lambda p: 0.5 + 1.5 * p,
    "uniform(500ms,2s)": lambda p: 0.5 + 1.5 * p,
    "normal(10s,2s)": lambda p: 10 + 2 * _normal(p),
    "lognormal(2s,0.5)": lambda p: 2 * math.exp(0.5 * _normal(p)),
    "lognormal(p50=1s,p99=4s)": lambda p: 4 ** _z(p, 0.5, 0.99),
    "lognormal(p75=1s,p999=8s)": lambda p: 8 ** _z(p, 0.75, 0.999),
    "exponential(2s)": lambda p: -2 * math.log(1 - p),
    "pareto(1s,1.5)": lambda p: (1 - p) ** (-1 / 1.5),
    "pareto(100ms,10)": lambda p: 0.1 * (1 - p) ** (-1 / 10),
}


def samples(text: str, count: int = SAMPLES) -> Iterator[int]:
    delay = parse(text)
    for ordinal in range(count):
        yield delays.draw(delay, SeededDraws(7, ordinal), ordinal, max_delay_ns=FAR)


@pytest.mark.parametrize("text", DISTRIBUTIONS)
def test_samples_lie_below_each_quantile_as_often_as_they_should(text: str) -> None:
    """Within four standard errors of a binomial, at every decile and in the tail."""
    drawn = sorted(samples(text))

    for p in (0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99, 0.999):
        below = sum(ns <= DISTRIBUTIONS[text](p) * SECOND for ns in drawn)
        assert abs(below - p * SAMPLES) <= 4 * math.sqrt(p * (1 - p) * SAMPLES), p


@pytest.mark.parametrize("text", DISTRIBUTIONS)
@pytest.mark.parametrize("p", [0.001, 0.25, 0.5, 0.75, 0.999])
def test_a_draw_is_the_inverse_of_the_distribution_function(text: str, p: float) -> None:
    """To the microsecond."""
    assert DISTRIBUTIONS[text](p) * SECOND == pytest.approx(draw(text, p), abs=1_000, rel=1e-12)


@given(quantiles())
def test_a_lognormal_passes_through_its_quantiles(delay: LognormalQuantiles) -> None:
    """Both of them, for every two of the six."""
    low, high = QUANTILES[delay.low], QUANTILES[delay.high]

    assert delay.low_ns == pytest.approx(delay.sample(Drawn(low), 0, 0), rel=1e-9)
    assert delay.high_ns == pytest.approx(delay.sample(Drawn(high), 0, 0), rel=1e-9)


def test_a_range_of_whole_seconds_has_whole_seconds_alike() -> None:
    """`1-3` is 1, 2 or 3 seconds, both ends included."""
    drawn = list(samples("1-3"))

    assert {SECOND, 2 * SECOND, 3 * SECOND} == set(drawn)
    for seconds in (1, 2, 3):
        expected, error = SAMPLES / 3, math.sqrt(SAMPLES * 2 / 9)
        assert abs(drawn.count(seconds * SECOND) - expected) <= 4 * error


@given(st.one_of(steps(), ascending.map(lambda ends: Uniform(*ends))))
def test_both_ends_of_a_range_are_possible(delay: Steps | Uniform) -> None:
    """The smallest number gives the low end, the largest the high end."""
    low, high = delay.durations()

    assert (low, high) == (delay.sample(Drawn(SMALLEST), 0, 0), delay.sample(Drawn(LARGEST), 0, 0))


def test_the_bare_default_reaches_1_and_30() -> None:
    """The bare `/aio` waits 1 to 30 whole seconds."""
    assert {number * SECOND for number in range(1, 31)} == set(samples("1-30", 1_000))


def test_a_negative_sample_is_no_delay() -> None:
    """`normal` may fall below 0; nobody waits for less than nothing."""
    assert 0 == draw("normal(1s,1s)", 0.001)


@pytest.mark.parametrize("misses", range(11))
def test_a_sample_above_the_cap_is_drawn_again_ten_times_in_all(misses: int) -> None:
    """Then the cap itself is the delay."""
    draws = Drawn(*[0.999] * misses, *[0.5] * (11 - misses))

    ns = delays.draw(parse("exponential(2s)"), draws, 0, max_delay_ns=3 * SECOND)

    expected = round(-2e6 * math.log1p(-0.5)) * 1_000 if misses < 10 else 3 * SECOND
    assert expected == ns
    assert [("delay", turn) for turn in range(min(misses + 1, 10))] == draws.asked


def test_a_sample_at_the_cap_is_kept() -> None:
    """The cap is a possible delay."""
    draws = Drawn(0.5)

    assert SECOND == delays.draw(Fixed(SECOND), draws, 0, max_delay_ns=SECOND)


# --- choices -------------------------------------------------------------------------------------


@given(weighted(), st.floats(SMALLEST, LARGEST))
def test_weight_0_never_happens(delay: Mixed, number: float) -> None:
    """Wherever it stands in the list, even at its very ends."""
    choice = delay.choice
    assert isinstance(choice, Weighted)
    places = Weighted(tuple(range(len(choice.items))), choice.weights, choice.cumulative)

    chosen = places.choose(0, lambda: number)

    assert float(choice.weights[chosen]) > 0


@pytest.mark.parametrize(
    ("number", "chosen"),
    [(SMALLEST, 1), (0.249, 1), (0.251, 2), (0.749, 2), (0.751, 4), (LARGEST, 4)],
)
def test_an_item_is_chosen_as_often_as_its_weight_says(number: float, chosen: int) -> None:
    """Weights are relative: 1, 2 and 1 of 4."""
    text = "9:0,1:1,2:2,9:0.0,4:1,9:0"

    assert chosen * SECOND == draw(text, number)


def test_weights_hold_in_the_long_run() -> None:
    """Nine in ten of the built-in slow tail are quick."""
    quick = sum(ns == 50 * MS for ns in samples("50ms:0.9,2s:0.1"))

    assert abs(quick - 0.9 * SAMPLES) <= 4 * math.sqrt(0.09 * SAMPLES)


def test_the_choice_and_the_chosen_delay_are_drawn_apart() -> None:
    """Else the long half of a mixture would be drawn from large numbers only."""
    draws = Drawn(0.75)
    delays.draw(parse("1:1,uniform(1,2):1"), draws, 0, max_delay_ns=MAX)

    assert [("delay/choice", 0), ("delay", 0)] == draws.asked


def test_a_single_weighted_item_is_certain() -> None:
    """Nothing is drawn to choose it."""
    draws = Drawn(0.5)

    assert SECOND == delays.draw(parse("1:0.1"), draws, 0, max_delay_ns=MAX)
    assert [] == draws.asked


@pytest.mark.parametrize(("index", "seconds"), list(enumerate([5, 7, 6, 5, 7, 6, 5])))
def test_seq_goes_by_ordinal_and_begins_again(index: int, seconds: int) -> None:
    """Whatever is drawn."""
    assert seconds * SECOND == draw("seq(5s,7s,6)", 0.5, index=index)


def test_seq_draws_what_stands_in_it() -> None:
    """Its items are delays of any simple form."""
    assert [SECOND, 2 * SECOND] == [draw("seq(1,1-2)", LARGEST, index=index) for index in (0, 1)]


@given(st.lists(decimals, min_size=1, max_size=6))
def test_weights_add_up_in_order(weights: list[str]) -> None:
    """Each item's share of the numbers is its weight."""
    assume(any(map(float, weights)))
    choice = delays.weigh([f"{i}:{w}" for i, w in enumerate(weights)], str, default=None)

    shares = [high - low for low, high in pairwise([0.0, *choice.cumulative])]

    assert [float(Fraction(weight)) for weight in weights] == pytest.approx(shares, abs=1e-9)


def test_a_missing_weight_is_the_default() -> None:
    """Statuses have one, delays don't."""
    assert ("1", "0.5") == delays.weigh(["200", "503:0.5"], str, default="1").weights
