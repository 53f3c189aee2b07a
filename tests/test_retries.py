"""What policy is seen behind gaps, checked by hand and by search."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.retries import Policy, PolicyName, fit

SECOND = 1_000_000_000
MILLISECOND = 1_000_000


@pytest.mark.parametrize("gaps_ms", [[], [1], [500], [1, 500], [-40]])
def test_fewer_than_two_pauses_are_too_few(gaps_ms: list[int]) -> None:
    """One pause has neither growth nor jitter."""
    assert PolicyName.TOO_FEW is fit([gap * MILLISECOND for gap in gaps_ms]).name


@pytest.mark.parametrize("gaps_ms", [[0, 0], [1, 22], [-500, 3, 1]])
def test_gaps_of_a_few_milliseconds_are_no_pause(gaps_ms: list[int]) -> None:
    """A client that does not pause is back after its own turnaround."""
    assert Policy(name=PolicyName.NONE) == fit([gap * MILLISECOND for gap in gaps_ms])


@pytest.mark.parametrize(
    ("gaps_ms", "pause_ms", "jitter"),
    [
        ([1000, 1002, 1001], 1001, False),
        ([2000, 2000], 2000, False),
        ([100, 120, 110], 110, False),  # 30 ms are within what timers explain
        ([900, 1100, 950, 1050], 1000, True),
        ([1000, 300, 1000, 200], 625, True),  # falling
        ([200, 1000, 100, 900, 1000], 640, True),  # jitter that happens to rise
    ],
)
def test_equal_pauses_are_constant(gaps_ms: list[int], pause_ms: int, *, jitter: bool) -> None:
    """No growth: the mean is the pause, and its spread the jitter."""
    policy = fit([gap * MILLISECOND for gap in gaps_ms])

    assert (PolicyName.CONSTANT, pause_ms * MILLISECOND, 1.0, jitter) == (
        policy.name,
        policy.first_ns,
        policy.factor,
        policy.jitter,
    )


@pytest.mark.parametrize(
    ("gaps_ms", "first_ms", "factor", "cap_ms", "at_once"),
    [
        ([1000, 2000, 4000, 8000], 1000, 2, None, False),  # p-retry, curl
        ([1, 400, 800, 1600], 400, 2, None, True),  # urllib3 with backoff_factor=0.2
        ([500, 750, 1125], 500, 1.5, None, False),
        ([1000, 2000, 4000, 5000, 5000, 5000], 1000, 2, 5000, False),
        ([1000, 2000], 1000, 2, None, False),
    ],
)
def test_growing_pauses_are_exponential(
    gaps_ms: list[int], first_ms: int, factor: float, cap_ms: int | None, *, at_once: bool
) -> None:
    """The first pause, the factor and the cap are found again."""
    policy = fit([gap * MILLISECOND for gap in gaps_ms])

    assert (PolicyName.EXPONENTIAL, at_once) == (policy.name, policy.first_at_once)
    assert first_ms * MILLISECOND == pytest.approx(policy.first_ns)
    assert factor == pytest.approx(policy.factor)
    assert (None if cap_ms is None else cap_ms * MILLISECOND) == policy.cap_ns
    assert 0 == pytest.approx(policy.error)


def test_two_growing_pauses_can_not_show_jitter() -> None:
    """A line goes through any two points."""
    assert fit([SECOND, 2 * SECOND]).jitter is None


def test_growing_pauses_that_leave_the_line_have_jitter() -> None:
    """The error of the fit says by how much."""
    policy = fit([gap * MILLISECOND for gap in (800, 2300, 3500, 9500)])

    assert (PolicyName.EXPONENTIAL, True) == (policy.name, policy.jitter)
    assert 0.1 < (policy.error or 0) < 0.3


@given(
    st.floats(0.1, 5), st.sampled_from([1.5, 2.0, 3.0]), st.integers(3, 7), st.integers(30, 3000)
)
def test_pure_exponential_back_off_is_recovered(
    first_s: float, factor: float, count: int, turnaround_us: int
) -> None:
    """Whatever first pause and factor; the client's own turnaround does not hide them."""
    gaps = [round(first_s * factor**k * SECOND) + turnaround_us * 1000 for k in range(count)]

    policy = fit(gaps)

    assert (PolicyName.EXPONENTIAL, False) == (policy.name, policy.jitter)
    assert factor == pytest.approx(policy.factor, rel=0.03)


@given(st.lists(st.integers(-10 * SECOND, 1000 * SECOND), max_size=12))
def test_any_gaps_can_be_fitted(gaps: list[int]) -> None:
    """Nothing a client does makes the fit fail, and its figures are never negative."""
    policy = fit(gaps)

    assert (policy.first_ns or 0) >= 0
    assert (policy.error or 0) >= 0
