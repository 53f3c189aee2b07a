"""What policy is seen behind gaps, checked by hand and by search."""

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import retries
from app.report import build
from app.retries import Policy, PolicyName, Retries, fit, fit_all
from app.spans import Outcome
from tests.simulated import Backend, Request, retrying, spans_of

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


# --- which requests are attempts of one ----------------------------------------------------------


def of(requests: list[Request]) -> Retries:
    return build(iter(spans_of(requests)), run="demo", now_ns=10**18).retries


def failing(arrival: float, end: float, **changes: object) -> Request:
    return Request(arrival, end, {"status": 503, "target": "/aio?x=1"} | changes)


def test_keyless_request_after_a_failed_one_like_it_is_a_guessed_retry() -> None:
    """Same method and target, one at a time, until it succeeds."""
    found = of([failing(0, 1), failing(2, 3), failing(4, 5, status=200), failing(6, 7, status=200)])

    assert (2, 2, 1) == (found.count, found.guessed, found.keys)
    assert ("GET /aio?x=1", 3) == (found.shown[0].key, found.shown[0].attempts)
    assert [SECOND, SECOND] == list(found.shown[0].gaps_ns)


@pytest.mark.parametrize(
    "requests",
    [
        [failing(0, 1, status=200), failing(2, 3, status=200)],  # nothing failed
        [failing(0, 1, status=404), failing(2, 3)],  # 404 will be 404 again
        [failing(0, 1), failing(2, 3, target="/aio?x=2")],
        [failing(0, 1), failing(2, 3, method="POST")],
        [failing(0, 3), failing(1, 4), failing(5, 6), failing(7, 8)],  # several at a time
        [failing(0, 1, end_ns=None, outcome=Outcome.IN_FLIGHT, status=None), failing(2, 3)],
    ],
)
def test_other_keyless_requests_are_no_retries(requests: list[Request]) -> None:
    """Load tools repeat their targets, too."""
    assert 0 == of(requests).count


@pytest.mark.parametrize(
    ("outcome", "status", "expected"),
    [
        (Outcome.COMPLETED, 200, False),
        (Outcome.COMPLETED, 404, False),
        (Outcome.COMPLETED, 503, True),
        (Outcome.REJECTED, 429, True),
        (Outcome.REJECTED, 400, False),
        (Outcome.CLIENT_GONE, None, True),
        (Outcome.FAULTED, None, True),
        (Outcome.ERROR, 500, True),
        (Outcome.SHUTDOWN, 503, True),
        (Outcome.IN_FLIGHT, None, False),
    ],
)
def test_failure_is_what_may_pass(outcome: Outcome, status: int | None, *, expected: bool) -> None:
    """No reply, half a one, or a refusal that another attempt may not meet."""
    assert expected == retries.failed(outcome, status)


def test_repeat_of_a_key_that_had_succeeded_is_counted_but_no_retry_to_judge() -> None:
    """It did not follow a failure."""
    found = of([Request(0, 1, {"key": "a"}), Request(2, 3, {"key": "a"})])

    assert (1, 0, ()) == (found.count, found.guessed, found.sample)


# --- Retry-After ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gap", "obeyed", "early_ms"),
    [(5.0, 1, []), (4.9, 1, []), (4.88, 1, []), (4.87, 0, [130]), (0.0, 0, [5000])],
)
def test_retry_after_is_obeyed_or_broken_by_so_much(
    gap: float, obeyed: int, early_ms: list[int]
) -> None:
    """98 % of it less 20 ms is still obedience: timers and rounding."""
    asked = {"key": "a", "retry_after_ns": 5 * SECOND, "status": 429}
    found = of([Request(0, 1, asked), Request(1 + gap, 9, {"key": "a"})])

    assert obeyed == found.obeyed
    assert early_ms == [round(one.early_ns / MILLISECOND) for one in found.early]


# --- the policy of all ---------------------------------------------------------------------------


def policy(rng: Random, pause: Callable[[int], float], **changes: object) -> Policy | None:
    """What is seen of twelve keys that fail five times."""
    values: dict[str, object] = {"keys": 12, "backend": Backend(5, lambda: 0.05)} | changes
    return of(retrying(rng, pause=pause, **values)).policy  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "jitter", "pause"),
    [
        (PolicyName.NONE, False, lambda _rng, _k: 0),
        (PolicyName.CONSTANT, False, lambda _rng, _k: 1),
        (PolicyName.CONSTANT, True, lambda rng, _k: rng.uniform(0.5, 1.5)),
        (PolicyName.EXPONENTIAL, False, lambda _rng, k: 0.2 * 2**k),
        (PolicyName.EXPONENTIAL, True, lambda rng, k: rng.uniform(0, 0.2 * 2**k)),
        (PolicyName.EXPONENTIAL, True, lambda rng, k: 0.2 * 2**k * rng.uniform(0.8, 1.2)),
    ],
)
def test_policy_of_many_keys_is_found(
    name: PolicyName, pause: Callable[[Random, int], float], *, jitter: bool
) -> None:
    """Growth by the means, jitter by the spread before the same retry."""
    rng = Random(1)

    found = policy(rng, lambda k: pause(rng, k))

    assert found is not None
    assert (name, jitter) == (found.name, found.jitter)


def test_spread_tells_kinds_of_jitter_apart() -> None:
    """0.58 for full, 0.19 for equal, none for none."""
    rng = Random(1)
    full = policy(rng, lambda k: rng.uniform(0, 2**k), keys=80)
    equal = policy(rng, lambda k: rng.uniform(0.5, 1) * 2**k, keys=80)
    none = policy(rng, lambda k: 2**k)

    assert full is not None
    assert equal is not None
    assert none is not None
    assert (0.58, 0.19, 0) == pytest.approx((full.spread, equal.spread, none.spread), abs=0.05)


def test_policy_wants_three_keys() -> None:
    """Two may agree by chance."""
    assert policy(Random(1), lambda k: 2**k, keys=2) is None


def test_pauses_that_retry_after_decided_are_no_policy() -> None:
    """The client only does as it is told."""
    failure: dict[str, object] = {"status": 503, "retry_after_ns": SECOND}

    assert policy(Random(1), lambda _: 1, backend=Backend(5, lambda: 0.05, failure)) is None
    assert fit_all([]) is None


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many keys and targets fail."""
    monkeypatch.setattr(retries, "MOST_SAMPLED", 5)
    monkeypatch.setattr(retries, "MOST_TARGETS", 3)

    keyed = of(retrying(Random(1), keys=9, backend=Backend(2, lambda: 0.1), pause=lambda _: 1))
    keyless = of(
        retrying(Random(1), keys=9, backend=Backend(2, lambda: 0.1), pause=lambda _: 1, named=False)
    )

    assert (18, 5) == (keyed.count, len(keyed.sample))
    assert 3 == keyless.keys
