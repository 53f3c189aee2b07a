"""What is said of imagined clients: who misbehaves is told so, who does not is left in peace."""

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from random import Random

import pytest

from app import findings as module
from app.findings import CODES, Finding, Severity, document, findings, worst
from app.report import EXAMPLES, Report, build
from app.spans import Kind, Outcome, Span, span_id
from tests.fakes import make_span
from tests.simulated import (
    GOOD,
    Backend,
    Delay,
    Request,
    arriving,
    batches,
    fan_out,
    frozen,
    gone,
    limited,
    ramp,
    report_of,
    retrying,
    spans_of,
    users,
)

SECOND = 1_000_000_000
WARN, NOTE = Severity.WARN, Severity.NOTE

Make = Callable[[Random], Report]


def of(report: Report, code: str) -> Finding | None:
    """The finding of that code."""
    return next((one for one in findings(report) if one.code == code), None)


def severity(make: Make, code: str, seed: int = 1) -> Severity | None:
    found = of(make(Random(seed)), code)
    return found.severity if found else None


def warns(make: Make, code: str) -> None:
    """Whatever the seed, the client is warned, with evidence, remedy and spans."""
    for seed in range(5):
        report = make(Random(seed))
        found = of(report, code)
        assert found is not None, seed
        assert (WARN, True, True) == (found.severity, bool(found.spans), bool(found.remedy)), seed


def is_quiet(make: Make, code: str) -> None:
    """Whatever the seed, there is no such warning."""
    for seed in range(5):
        assert severity(make, code, seed) is not WARN, seed


def constant(seconds: float) -> Delay:
    return lambda: seconds


def uniform(rng: Random, low: float, high: float) -> Delay:
    return lambda: rng.uniform(low, high)


def told(agent: str | None, requests: Iterable[Request], *, pooled: bool = True) -> Report:
    """The report of these requests by a client of that user agent."""
    changed = (replace(one, changes=one.changes | {"user_agent": agent}) for one in requests)
    return report_of(changed, pooled=pooled)


# What clients do that do not know better, without a pool.
WRONG: dict[str, Callable[[Random], list[Request]]] = {
    "sequential": lambda rng: limited(rng, count=30, limit=1, delay=uniform(rng, 0.1, 0.3)),
    "plateau": lambda rng: limited(rng, count=400, limit=100, delay=uniform(rng, 0.5, 1)),
    "unbounded": lambda rng: fan_out(rng, count=300, delay=uniform(rng, 1, 3)),
    "batches": lambda rng: batches(rng, rounds=8, size=10, delay=uniform(rng, 0.5, 2)),
    "timeout": lambda rng: [
        Request(n, n + 2, gone(delay_ns=9 * SECOND)) if n % 2 else Request(n, n + 1)
        for n in range(20)
    ],
    "retries": lambda rng: [
        Request(n + k, n + k + 0.5, {"key": f"k{n}", "status": 503, "attempt": k + 1})
        for n in range(0, 40, 8)
        for k in range(5)
    ],
}


# --- the hundred that behave well ----------------------------------------------------------------

# What may be said of them: that they have a limit, and what too few requests can't tell.
SAID_OF_GOOD = {"concurrency_plateau", "unbounded", "sequential", "retry_without_backoff"}


@pytest.mark.parametrize("seed", range(104))
def test_well_behaved_client_is_not_warned(seed: int) -> None:
    """A false warning is a defect: thirteen kinds of good clients, eight seeds each."""
    make = list(GOOD.values())[seed % len(GOOD)]

    found = findings(report_of(make(Random(seed))))

    assert [] == [one for one in found if one.severity is WARN]


# --- echoes --------------------------------------------------------------------------------------


def _among_echoes(spans: list[Span], rng: Random) -> list[Span]:
    """The same requests, between which echoes of all sorts open and close."""
    echoes = [
        replace(
            make_span(user_agent=rng.choice([None, "websockets/15"]), method="ECHO"),
            kind=rng.choice([Kind.ECHO, Kind.WEBSOCKET]),
            id=rng.choice(spans).id + number,
            connection=10_000 + number,
            connection_request=1,
            outcome=rng.choice([Outcome.CLIENT_GONE, Outcome.REJECTED, Outcome.COMPLETED]),
            status=rng.choice([None, 101, 503]),
            messages=3,
        )
        for number in range(1, 40)
    ]
    for echo in echoes:
        echo.arrival_ns = next(span.arrival_ns for span in spans if span.id == echo.id // 100 * 100)
        echo.end_ns = echo.arrival_ns + rng.choice([0, 3 * SECOND, 300 * SECOND])
    return sorted([*spans, *echoes], key=lambda span: span.id)


@pytest.mark.parametrize("kind", list(WRONG))
def test_echoes_change_nothing_of_what_is_said_of_requests(kind: str) -> None:
    """They are open as long as they like and hang up as they like, and no request shows it."""
    rng = Random(1)
    spans = [replace(one, id=100 * one.id) for one in spans_of(WRONG[kind](rng), pooled=False)]
    now_ns = max(span.end_ns or 0 for span in spans)

    alone = build(iter(spans), run="demo", now_ns=now_ns)
    mixed = build(iter(_among_echoes(spans, rng)), run="demo", now_ns=now_ns)

    assert findings(alone)
    assert findings(alone) == findings(mixed)
    assert (alone.speedup, alone.efficiency) == (mixed.speedup, mixed.efficiency)
    assert alone.retries == mixed.retries
    assert alone.cancellations == mixed.cancellations


def test_echoes_alone_have_no_findings() -> None:
    """Whatever they do: five hundred at once, each gone after five seconds."""
    spans = [
        replace(span, kind=Kind.ECHO, delay_ns=None, wait_begun_ns=None)
        for span in spans_of(Request(0.001 * n, 5 + 0.001 * n, gone()) for n in range(500))
    ]

    report = build(iter(spans), run="demo", now_ns=spans[-1].end_ns or 0)

    assert () == findings(report)
    assert (500, 500, 0, None) == (
        report.requests,
        report.peak,
        report.cancellations.count,
        report.efficiency,
    )


def test_connection_that_became_a_websocket_was_not_there_to_be_used() -> None:
    """Who upgrades a connection has to open another for the next request."""
    spans = spans_of((Request(n, n + 0.1) for n in range(30)), pooled=False)
    upgrades = [
        replace(
            span,
            id=span.id + (1 << 20),
            kind=Kind.WEBSOCKET,
            arrival_ns=span.arrival_ns + SECOND // 9,
            end_ns=None,
            connection_request=2,
        )
        for span in spans
    ]
    mixed = sorted([*spans, *upgrades], key=lambda span: span.arrival_ns)
    numbered = [replace(span, id=span_id(1, n)) for n, span in enumerate(mixed, 1)]

    report = build(iter(numbered), run="demo", now_ns=numbered[-1].arrival_ns)

    assert 0 == report.evidence.reuse.chances


# --- nothing -------------------------------------------------------------------------------------


def test_run_without_spans_has_no_findings() -> None:
    """There is nothing to say of nothing."""
    assert () == findings(build(iter([]), run="demo", now_ns=0))


def test_one_request_has_no_findings() -> None:
    """Nor of a single request."""
    assert () == findings(report_of([Request(0, 1)]))


# --- sequential ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda rng: report_of(limited(rng, count=25, limit=1, delay=constant(0.1))),
        lambda rng: report_of(limited(rng, count=10, limit=1, delay=uniform(rng, 1, 30))),
        lambda rng: report_of(limited(rng, count=300, limit=1, delay=uniform(rng, 0.01, 0.03))),
    ],
)
def test_loop_that_awaits_each_request_is_sequential(make: Make) -> None:
    """Never two at once, and the next one as soon as the last is answered."""
    warns(make, "sequential")


def _thinking(rng: Random) -> list[Request]:
    return users(rng, people=1, each=40, delay=constant(0.2), think=1)


@pytest.mark.parametrize(
    "make",
    [
        lambda rng: report_of(limited(rng, count=9, limit=1, delay=constant(0.1))),  # too few
        lambda rng: report_of(limited(rng, count=50, limit=2, delay=uniform(rng, 0.1, 0.3))),
        lambda rng: report_of(_thinking(rng)),  # one person who reads in between
        lambda rng: report_of(arriving(rng, count=30, rate=0.05, delay=constant(0.5))),  # sparse
        lambda rng: report_of(arriving(rng, count=99, rate=1, delay=constant(0.9), steady=True)),
        lambda rng: report_of(  # over at once: nothing waits for anything
            arriving(rng, count=500, rate=90, delay=constant(0.0002), steady=True)
        ),
    ],
)
def test_requests_that_do_not_wait_for_each_other_are_not_sequential(make: Make) -> None:
    """Sparse or paced traffic never overlaps either, but leaves pauses."""
    is_quiet(make, "sequential")


def five_calls(*, overlapped: bool) -> Report:
    moment, requests = 0.0, []
    for delay in (5, 7, 5, 5, 7):
        requests.append(Request(moment, moment + delay))
        moment = 0 if overlapped else moment + delay + 0.002
    return report_of(requests)


def test_five_calls_in_sequence_are_noted_with_what_they_could_take() -> None:
    """A learner's five requests: what can be said, and what can't be told yet."""
    [found] = findings(five_calls(overlapped=False))

    assert ("sequential", NOTE) == (found.code, found.severity)
    assert "5 requests, never two at once" in found.sentence
    assert "not enough" in found.sentence
    assert "about 7 s" in found.remedy.replace("\xa0", " ")


def test_five_overlapped_calls_are_noted_as_too_few_to_show_a_limit() -> None:
    """And the same five at once."""
    [found] = findings(five_calls(overlapped=True))

    assert ("unbounded", NOTE) == (found.code, found.severity)
    assert "All 5 requests were in flight at once" in found.sentence


# --- concurrency_plateau -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("agent", "limit", "count", "words"),
    [
        ("Python/3.11 aiohttp/3.14.5", 100, 600, "aiohttp's default, TCPConnector(limit=100)"),
        ("python-httpx/0.28.1", 100, 400, "httpx's default, Limits(max_connections=100)"),
        ("Tornado/6.6.1", 10, 60, "Tornado's default"),
        ("niquests/3.21.2", 10, 60, "niquests's default"),
    ],
)
def test_default_limit_is_a_warning_that_names_it(
    agent: str, limit: int, count: int, words: str
) -> None:
    """Its author may not know that requests wait inside the client."""

    def make(rng: Random) -> Report:
        return told(agent, limited(rng, count=count, limit=limit, delay=uniform(rng, 0.1, 0.5)))

    warns(make, "concurrency_plateau")
    found = of(make(Random(1)), "concurrency_plateau")
    assert found is not None
    assert words in found.sentence
    assert f"Never more than {limit} requests" in found.sentence


@pytest.mark.parametrize(
    ("agent", "limit", "words"),
    [
        ("python-requests/2.34", 10, "requests' pool"),
        ("Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0", 6, "Browsers open six"),
        ("Python/3.11 aiohttp/3.14.5", 20, "stops at 20."),
        (None, 8, "stops at 8."),
    ],
)
def test_other_limits_are_noted(agent: str | None, limit: int, words: str) -> None:
    """A limit that was chosen is good manners; what it may be is said all the same."""
    found = of(
        told(agent, limited(Random(1), count=120, limit=limit, delay=constant(0.3))),
        "concurrency_plateau",
    )

    assert found is not None
    assert (NOTE, True) == (found.severity, words in found.sentence)


def test_error_statuses_on_purpose_do_not_hide_a_default() -> None:
    """They end a request like any other; only a refusal holds a client back."""
    requests = limited(Random(1), count=600, limit=100, delay=constant(0.3))
    for request in requests[::10]:
        request.changes = {"status": 503}

    found = of(told("Python/3.11 aiohttp/3.14.5", requests), "concurrency_plateau")

    assert found is not None
    assert WARN is found.severity


def _refused(rng: Random) -> list[Request]:
    requests = limited(rng, count=600, limit=100, delay=uniform(rng, 0.1, 0.5))
    refused = {"status": 503, "outcome": Outcome.REJECTED}
    return requests + [Request(0.2, 0.2, dict(refused)) for _ in range(50)]


@pytest.mark.parametrize(
    "make",
    [
        lambda rng: report_of(fan_out(rng, count=100, delay=uniform(rng, 0.1, 5))),
        lambda rng: report_of(limited(rng, count=104, limit=100, delay=uniform(rng, 0.2, 1))),
        lambda rng: report_of(arriving(rng, count=900, rate=100, delay=uniform(rng, 0.5, 1.5))),
        lambda rng: report_of(arriving(rng, count=900, rate=100, delay=constant(1), steady=True)),
        lambda rng: report_of(users(rng, people=100, each=8, delay=constant(0.5), think=1)),
        lambda rng: report_of(ramp(rng, most=100, delay=uniform(rng, 0.3, 3))),
        lambda rng: report_of(_refused(rng)),  # the server holds it back, not the client itself
        lambda rng: report_of(limited(rng, count=600, limit=99, delay=uniform(rng, 0.1, 0.5))),
    ],
)
def test_a_level_that_only_happens_is_no_plateau(make: Make) -> None:
    """Arrivals that do not wait for ends go beyond any level sooner or later."""
    is_quiet(make, "concurrency_plateau")


# --- unbounded -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda rng: report_of(fan_out(rng, count=300, delay=constant(1))),
        lambda rng: report_of(fan_out(rng, count=101, delay=uniform(rng, 0.5, 3))),
        lambda rng: report_of(
            fan_out(rng, count=2_000, delay=uniform(rng, 1, 2)) + [Request(9, 10)] * 1
        ),
    ],
)
def test_everything_at_once_is_unbounded(make: Make) -> None:
    """More than any default, at once, before a reply could have held it back."""
    warns(make, "unbounded")


@pytest.mark.parametrize(
    "make",
    [
        lambda rng: report_of(fan_out(rng, count=100, delay=constant(1))),
        lambda rng: report_of(limited(rng, count=600, limit=100, delay=uniform(rng, 0.1, 1))),
        lambda rng: report_of(limited(rng, count=1_200, limit=300, delay=uniform(rng, 0.1, 1))),
        lambda rng: report_of(arriving(rng, count=2_000, rate=40, delay=constant(3))),
        lambda rng: report_of(ramp(rng, most=150, delay=constant(4))),
        lambda rng: report_of(users(rng, people=200, each=6, delay=uniform(rng, 0.5, 3), think=3)),
    ],
)
def test_bounded_or_growing_crowds_are_not_unbounded(make: Make) -> None:
    """Up to a hundred is a normal fan-out, and a crowd that grows over time is no fan-out."""
    is_quiet(make, "unbounded")


# --- starved -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda rng: report_of(batches(rng, rounds=8, size=20, delay=uniform(rng, 0.1, 1))),
        lambda rng: report_of(batches(rng, rounds=5, size=6, delay=uniform(rng, 0.2, 2))),
        lambda rng: report_of(
            frozen(rng, count=300, limit=20, delay=uniform(rng, 0.1, 0.5), block=0.3)
        ),
    ],
)
def test_client_that_is_busy_elsewhere_is_starved(make: Make) -> None:
    """Slots free and nothing sent, then all at once: batches, or a blocked loop."""
    warns(make, "starved")


def test_batches_and_a_frozen_client_are_told_apart() -> None:
    """By what is in flight when the pause ends."""
    rng = Random(1)
    batched = of(report_of(batches(rng, rounds=8, size=20, delay=uniform(rng, 0.1, 1))), "starved")
    froze = of(
        report_of(frozen(rng, count=300, limit=20, delay=uniform(rng, 0.2, 1), block=0.3)),
        "starved",
    )

    assert batched is not None
    assert froze is not None
    assert "finish before it sent the next" in batched.sentence
    assert "busy with something else" in froze.sentence


def _by_hand(rng: Random) -> list[Request]:
    begin, requests = 0.0, []
    for _ in range(6):
        requests += fan_out(rng, count=20, delay=uniform(rng, 0.5, 1), begin=begin)
        begin = max(request.end for request in requests) + 3
    return requests


@pytest.mark.parametrize(
    "make",
    [
        lambda rng: report_of(limited(rng, count=300, limit=20, delay=uniform(rng, 0.1, 2))),
        lambda rng: report_of(limited(rng, count=300, limit=20, delay=constant(0.5))),  # in waves
        lambda rng: report_of(batches(rng, rounds=2, size=20, delay=uniform(rng, 0.1, 1))),
        lambda rng: report_of(batches(rng, rounds=8, size=3, delay=uniform(rng, 0.1, 1))),
        lambda rng: report_of(_by_hand(rng)),  # a script that is run six times
        lambda rng: report_of(users(rng, people=20, each=9, delay=constant(0.4), think=0.5)),
        lambda rng: report_of(
            retrying(
                rng,
                keys=20,
                backend=Backend(4, constant(0.1)),
                pause=lambda k: 0.5 * 2**k,
            )
        ),  # the pauses are those of its back-off
    ],
)
def test_pauses_with_another_reason_are_not_starved(make: Make) -> None:
    """Full slots, few of them, few pauses, pauses of a person, pauses after failures."""
    is_quiet(make, "starved")


# --- connection_per_request ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda rng: report_of(
            limited(rng, count=100, limit=10, delay=uniform(rng, 0.1, 0.3)), pooled=False
        ),
        lambda rng: report_of(limited(rng, count=25, limit=1, delay=constant(0.1)), pooled=False),
        lambda rng: report_of(
            arriving(rng, count=60, rate=5, delay=uniform(rng, 0.1, 0.5)), pooled=False
        ),
    ],
)
def test_session_per_request_never_reuses_a_connection(make: Make) -> None:
    """A new connection each time though one is idle."""
    warns(make, "connection_per_request")


def _old(rng: Random) -> list[Request]:
    requests = limited(rng, count=100, limit=10, delay=uniform(rng, 0.1, 0.3))
    return [replace(one, changes={"http_version": "1.0"}) for one in requests]


def _broken(rng: Random) -> list[Request]:
    requests = limited(rng, count=100, limit=10, delay=uniform(rng, 0.1, 0.3))
    broken = {"outcome": Outcome.FAULTED, "fault": "reset", "status": None}
    return [replace(one, changes=dict(broken)) for one in requests]


@pytest.mark.parametrize(
    "make",
    [
        lambda rng: report_of(limited(rng, count=100, limit=10, delay=uniform(rng, 0.1, 0.3))),
        lambda rng: report_of(fan_out(rng, count=300, delay=constant(1)), pooled=False),
        lambda rng: report_of(  # idle for longer than many clients keep it
            arriving(rng, count=90, rate=0.3, delay=constant(1), steady=True), pooled=False
        ),
        lambda rng: report_of(_old(rng), pooled=False),  # HTTP/1.0 closes
        lambda rng: report_of(_broken(rng), pooled=False),  # the server closed
        lambda rng: report_of(
            limited(rng, count=9, limit=1, delay=constant(0.1)), pooled=False
        ),  # too few
    ],
)
def test_connections_that_nobody_could_reuse_are_not_counted(make: Make) -> None:
    """A fan-out opens what it needs; what was closed, or idle for too long, is no chance."""
    is_quiet(make, "connection_per_request")


def test_client_that_keeps_a_few_connections_is_noted() -> None:
    """Go keeps two idle, httpx twenty: worth knowing, and no fault."""
    rng = Random(1)
    spans = spans_of(limited(rng, count=200, limit=10, delay=uniform(rng, 0.2, 0.4)))
    for place, span in enumerate(spans):
        if place % 2:
            span.connection, span.connection_request = 1_000 + place, 1

    found = of(build(iter(spans), run="demo", now_ns=SECOND), "connection_per_request")

    assert found is not None
    assert (NOTE, True) == (found.severity, "keeps only a few" in found.sentence)


# --- client_timeout ------------------------------------------------------------------------------


def _impatient(
    rng: Random, timeout: float, *, late: float = 0.005, limit: int = 10
) -> list[Request]:
    """Workers that leave when a reply takes longer than that."""
    requests = limited(
        rng, count=100, limit=limit, delay=lambda: min(rng.uniform(0.2, 1.4) * timeout, timeout)
    )
    for request in requests:
        if request.end - request.arrival >= timeout * 0.999:
            request.end += rng.uniform(0, late)
            request.changes = gone()
    return requests


@pytest.mark.parametrize(
    ("timeout", "late", "words"),
    [
        (5.0, 0.02, "a timeout of 5 s"),
        (0.5, 0.005, "a timeout of 500 ms"),
        (6.0, 0.98, "a timeout of 6 s"),  # aiohttp rounds up to whole seconds of its clock
        (30.0, 0.02, "a timeout of 30 s"),
        (0.05, 0.002, "a timeout of 50"),
    ],
)
def test_hang_ups_of_one_age_are_a_timeout(timeout: float, late: float, words: str) -> None:
    """The inferred timeout is the one the client has."""
    warns(lambda rng: report_of(_impatient(rng, timeout, late=late)), "client_timeout")
    found = of(report_of(_impatient(Random(1), timeout, late=late)), "client_timeout")
    assert found is not None
    assert words in found.sentence.replace("\xa0", " ")


def test_default_timeout_is_named() -> None:
    """By the user agent and the number together."""
    found = of(told("python-httpx/0.28.1", _impatient(Random(1), 5.0)), "client_timeout")

    assert found is not None
    assert "httpx's default" in found.sentence


def _leaving(rng: Random, share: float, age: Callable[[float], float]) -> list[Request]:
    requests = limited(rng, count=200, limit=10, delay=uniform(rng, 0.5, 4))
    for request in requests:
        if rng.random() < share:
            request.end = request.arrival + age(request.end - request.arrival)
            request.changes = gone()
    return requests


def _race(rng: Random) -> list[Request]:
    """Two ask for the same, and the slower is cancelled when the faster is there."""
    requests, moment = [], 0.0
    for _ in range(40):
        first = rng.uniform(0.99, 1.01)
        requests.append(Request(moment, moment + first))
        requests.append(Request(moment + 0.001, moment + first + 0.003, gone()))
        moment += first + rng.uniform(0.5, 1)
    return requests


def _killed(rng: Random) -> list[Request]:
    requests = [request for request in ramp(rng, most=30, delay=constant(2)) if request.arrival < 4]
    for request in requests:
        if request.end > 4:
            request.end, request.changes = 4.0, gone()
    return requests


@pytest.mark.parametrize(
    "make",
    [
        lambda rng: report_of(_leaving(rng, 0.2, lambda took: took * rng.uniform(0.1, 0.9))),
        lambda rng: report_of(_leaving(rng, 0.2, lambda _: rng.lognormvariate(0, 0.5))),  # people
        lambda rng: report_of(_race(rng)),
        lambda rng: report_of(_killed(rng)),  # all at one instant
        lambda rng: report_of(_impatient(rng, 2.0)[:2]),  # too few
        lambda rng: report_of(  # all began together, and then the run was over
            [Request(rng.uniform(0, 0.01), 5.0, gone()) for _ in range(20)]
        ),
        lambda rng: report_of(  # one age, but many were waited for longer
            _leaving(rng, 0.1, lambda _: 1.0)
        ),
    ],
)
def test_hang_ups_for_other_reasons_are_no_timeout(make: Make) -> None:
    """Chance, people, races, a client that stops: ages differ, or instants agree."""
    is_quiet(make, "client_timeout")


def test_who_gives_up_on_a_silence_made_on_purpose_tells_its_timeout() -> None:
    """It did what it should: nothing to warn of. What the cap ended has no age."""
    silent: dict[str, object] = {"outcome": Outcome.FAULTED, "fault": "hang", "status": None}
    given_up = [Request(at, at + 2.001, silent | {"ended_by": "client"}) for at in range(8)]
    capped = [Request(at, at + 9, silent | {"ended_by": "cap"}) for at in range(8)]
    others = [Request(at + 0.5, at + 1.2) for at in range(12)]

    report = report_of(given_up + capped + others)
    found = of(report, "client_timeout")

    assert found is not None
    assert (NOTE, 8) == (found.severity, len(found.spans))
    assert found.sentence.startswith("8 times the client hung up")
    assert of(report, "wasted_work") is None


def test_three_hang_ups_of_one_age_are_noted() -> None:
    """Between three and four there is a number, and no certainty."""
    requests = [Request(at, at + 2.001, gone()) for at in (1.4, 3.4, 6.4)]
    others = [Request(at, at + 1) for at in range(10)]

    found = of(report_of(requests + others), "client_timeout")

    assert found is not None
    assert (NOTE, True) == (
        found.severity,
        "a timeout of 2 s" in found.sentence.replace("\xa0", " "),
    )


def test_hang_ups_of_another_age_are_not_said_to_be_of_that_one() -> None:
    """Four in five are enough for a timeout, and the sentence is true of those alone."""
    requests = [Request(at, at + 2.001, gone()) for at in range(20)]
    others = [Request(at, at + 0.5, gone()) for at in range(20, 23)]

    found = of(report_of([*requests, *others, Request(30, 31)]), "client_timeout")

    assert found is not None
    assert "The client hung up 23 times, 20 of them about 2 s after asking" in (
        found.sentence.replace("\xa0", " ")
    )


def test_timeout_of_a_whole_fan_out_may_as_well_be_a_stop() -> None:
    """That can't be told, and the note says so."""
    found = of(report_of([Request(0.001 * n, 5, gone()) for n in range(20)]), "client_timeout")

    assert found is not None
    assert (NOTE, True) == (found.severity, "a client that was stopped" in found.sentence)


# --- retry_without_backoff -----------------------------------------------------------------------


def _retries(rng: Random, pause: Callable[[int], float], **changes: object) -> Report:
    """Ten keys that fail four times, a few milliseconds each."""
    values: dict[str, object] = {
        "keys": 10,
        "backend": Backend(4, uniform(rng, 0.01, 0.2)),
        "begin": lambda: rng.uniform(0, 3),
    }
    return report_of(retrying(rng, pause=pause, **(values | changes)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "make",
    [
        lambda rng: _retries(rng, lambda _: 0),
        lambda rng: _retries(rng, lambda _: 0.01),
        lambda rng: _retries(rng, lambda _: 0.5),
        lambda rng: _retries(rng, lambda k: 0 if k == 1 else 0.2),  # the first at once
        lambda rng: _retries(rng, lambda _: 0, keys=3),
    ],
)
def test_retries_at_once_or_at_a_short_constant_pause_are_told(make: Make) -> None:
    """A backend in trouble gets its load several times."""
    warns(make, "retry_without_backoff")


@pytest.mark.parametrize(
    "make",
    [
        lambda rng: _retries(rng, lambda k: 0.1 * 2**k),
        lambda rng: _retries(rng, lambda k: rng.uniform(0, 0.1 * 2**k)),  # full jitter
        lambda rng: _retries(rng, lambda k: 0 if k == 1 else 0.2 * 2**k),  # as urllib3 does it
        lambda rng: _retries(rng, lambda _: 2),  # constant, but long: Polly
        lambda rng: _retries(rng, lambda _: rng.uniform(0.1, 1)),
        lambda rng: _retries(rng, lambda _: 0, keys=2),  # too few keys
        lambda rng: _retries(
            rng, lambda _: 0, backend=Backend(1, constant(0.1))
        ),  # only first ones
        lambda rng: _retries(rng, lambda _: 0, named=False),  # guessed: a note at most
    ],
)
def test_retries_that_back_off_are_left_in_peace(make: Make) -> None:
    """Growth, jitter or a long pause; and little evidence is none."""
    is_quiet(make, "retry_without_backoff")


def test_retries_without_keys_are_guessed_and_that_is_said() -> None:
    """Method and target of a failed request, and nothing else like it in flight."""
    report = _retries(Random(1), lambda _: 0, named=False)

    found = of(report, "retry_without_backoff")

    assert (40, 40) == (report.retries.count, report.retries.guessed)
    assert found is not None
    assert (NOTE, True) == (found.severity, "told by method and target" in found.sentence)


def test_few_retries_are_too_few() -> None:
    """Two retries: a note in words."""
    report = _retries(Random(1), lambda _: 0.1, keys=1, backend=Backend(2, constant(0.1)))

    found = of(report, "retry_without_backoff")

    assert found is not None
    assert (NOTE, True) == (found.severity, "2 retries of 1 request" in found.sentence)


# --- retry_in_lockstep ---------------------------------------------------------------------------

TOGETHER = {"keys": 40, "begin": lambda: 0.0, "backend": Backend(3, constant(0.2))}


@pytest.mark.parametrize(
    "make",
    [
        lambda rng: _retries(rng, lambda k: 2 ** (k - 1), **TOGETHER),
        lambda rng: _retries(rng, lambda k: 0.5 * 1.5**k, **TOGETHER),
        lambda rng: _retries(rng, lambda k: k, **(TOGETHER | {"keys": 6})),
    ],
)
def test_retries_that_come_back_together_are_in_lockstep(make: Make) -> None:
    """The same pause for all who failed together."""
    warns(make, "retry_in_lockstep")


def _told_to_wait(rng: Random) -> Report:
    failure: dict[str, object] = {"status": 503, "retry_after_ns": SECOND}
    backend = Backend(3, constant(0.2), failure)
    return _retries(rng, lambda _: 1.0, **(TOGETHER | {"backend": backend}))


@pytest.mark.parametrize(
    "make",
    [
        lambda rng: _retries(rng, lambda k: 2 ** (k - 1) * rng.uniform(0.8, 1.2), **TOGETHER),
        lambda rng: _retries(rng, lambda k: rng.uniform(0, 2**k), **TOGETHER),
        lambda rng: _retries(rng, lambda k: 0.1 * 2**k + rng.uniform(0, 1), **TOGETHER),
        lambda rng: _retries(rng, lambda k: 2 ** (k - 1)),  # they failed at different times
        lambda rng: _retries(rng, lambda k: 2 ** (k - 1), **(TOGETHER | {"keys": 4})),
        _told_to_wait,  # the server told all of them the same
    ],
)
def test_retries_with_jitter_or_spread_failures_are_not_in_lockstep(make: Make) -> None:
    """What differs, or was told by the server, is no lockstep of the client's making."""
    is_quiet(make, "retry_in_lockstep")


def test_note_on_few_retries_hides_no_lockstep() -> None:
    """That their growth can't be judged yet does not make the blow any softer."""
    once = TOGETHER | {"backend": Backend(1, constant(0.2))}

    found = findings(_retries(Random(1), lambda _: 0.4, **once))

    assert [("retry_in_lockstep", WARN), ("retry_without_backoff", NOTE)] == [
        (one.code, one.severity) for one in found if one.code.startswith("retry")
    ]


def test_lockstep_tells_how_far_apart_the_retries_arrived() -> None:
    """Even pauses carry over how far apart the failures had been."""
    starts = iter(range(40))
    found = of(
        _retries(
            Random(1),
            lambda k: 2 ** (k - 1),
            **(TOGETHER | {"begin": lambda: 0.001 * next(starts)}),
        ),
        "retry_in_lockstep",
    )

    assert found is not None
    assert "within 39.4 ms of each other" in found.sentence.replace("\xa0", " ")


def test_lockstep_that_retry_after_made_is_noted() -> None:
    """The cure is the same, the fault is not the client's alone."""
    found = of(_told_to_wait(Random(1)), "retry_in_lockstep")

    assert found is not None
    assert (NOTE, True) == (found.severity, "told all of them" in found.sentence)


# --- retry_after_ignored -------------------------------------------------------------------------


def _asked(rng: Random, pause: Callable[[int], float], seconds: float, **changes: object) -> Report:
    failure = {"status": 429, "outcome": Outcome.REJECTED, "retry_after_ns": int(seconds * SECOND)}
    return _retries(rng, pause, **({"backend": Backend(2, constant(0.001), failure)} | changes))


@pytest.mark.parametrize(
    "make",
    [
        lambda rng: _asked(rng, lambda k: 0.2 * 2**k, 5),
        lambda rng: _asked(rng, lambda _: 0, 1),
        lambda rng: _asked(rng, lambda _: rng.uniform(0.1, 0.9), 1, keys=2),
    ],
)
def test_retries_before_the_moment_they_were_told_ignore_it(make: Make) -> None:
    """One clock on both ends of the pause: an early retry is proof."""
    warns(make, "retry_after_ignored")


@pytest.mark.parametrize(
    "make",
    [
        lambda rng: _asked(rng, lambda _: 1, 1),
        lambda rng: _asked(rng, lambda k: 5 + rng.uniform(0, k), 5),
        lambda rng: _asked(rng, lambda _: 0.97, 1),  # a timer, or a cut fraction
        lambda rng: _asked(rng, lambda _: 0, 0),  # at once is what was asked
        lambda rng: _retries(rng, lambda _: 0),  # nothing was asked
        lambda rng: _asked(
            rng,
            lambda _: 0.5,
            1,
            keys=1,
            backend=Backend(1, constant(0.001), {"status": 503, "retry_after_ns": SECOND}),
        ),  # once: a note
        lambda rng: _asked(rng, lambda _: 0.2, 1, named=False),  # guessed: a note
    ],
)
def test_who_waits_as_told_ignores_nothing(make: Make) -> None:
    """The header obeyed, or no header; and one early retry is a note."""
    is_quiet(make, "retry_after_ignored")


def test_one_early_retry_is_noted() -> None:
    """It is proof, but one may have its reasons."""
    failure: dict[str, object] = {"status": 503, "retry_after_ns": SECOND}
    report = _retries(
        Random(1), lambda _: 0.5, keys=1, backend=Backend(1, constant(0.001), failure)
    )

    found = of(report, "retry_after_ignored")

    assert found is not None
    assert NOTE is found.severity
    assert "The one retry that Retry-After asked to wait came too early, after 501 ms instead " in (
        found.sentence.replace("\xa0", " ")
    )


def test_of_many_early_retries_one_is_told_of() -> None:
    """Those that are kept do not tell between what bounds the others lay."""
    found = of(_asked(Random(1), lambda k: 0.1 * k, 5, keys=40), "retry_after_ignored")

    assert found is not None
    assert (
        "80 of the 80 retries that Retry-After asked to wait came too early, one of them after "
        "101 ms instead of 5 s."
    ) == found.sentence.replace("\xa0", " ")


# --- duplicate_in_flight -------------------------------------------------------------------------


def _hedged(overlap: float, *, keys: int, singles: int = 20) -> Report:
    """Keys sent again while the first attempt goes on for so long, among others sent once."""
    requests = [Request(n, n + 2, {"key": f"single-{n}"}) for n in range(singles)]
    for n in range(keys):
        name = {"key": f"double-{n}"}
        requests += [Request(n, n + 1 + overlap, dict(name)), Request(n + 1.0, n + 5, dict(name))]
    return report_of(requests)


@pytest.mark.parametrize(("overlap", "keys"), [(0.26, 2), (3.0, 6), (1.0, 40)])
def test_key_sent_again_while_the_first_is_worked_on_is_a_duplicate(
    overlap: float, keys: int
) -> None:
    """The backend does the work twice."""
    warns(lambda _: _hedged(overlap, keys=keys), "duplicate_in_flight")


@pytest.mark.parametrize(
    "make",
    [
        lambda _: _hedged(0.24, keys=10),  # a hang-up that was noticed late
        lambda _: _hedged(-0.1, keys=10),  # one after the other
        lambda _: _hedged(2.0, keys=1),  # once: a note
        lambda rng: report_of(fan_out(rng, count=50, delay=constant(2))),  # no keys
        lambda rng: report_of(
            [Request(n / 9, n / 9 + 2, {"key": f"kind-{n % 2}"}) for n in range(60)]
        ),  # two kinds of requests, and no names of single ones
        lambda rng: _retries(rng, lambda _: 0),
    ],
)
def test_attempts_one_after_another_are_no_duplicates(make: Make) -> None:
    """Only real overlap of real names counts."""
    is_quiet(make, "duplicate_in_flight")


# --- wasted_work ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda rng: report_of(_impatient(rng, 2.0)),
        lambda rng: report_of(_leaving(rng, 0.4, lambda took: took * 0.9)),
        lambda _: _hedged(4.0, keys=30, singles=5),
    ],
)
def test_a_tenth_of_the_time_for_nobody_is_wasted(make: Make) -> None:
    """Clients that left, or asked twice."""
    warns(make, "wasted_work")


@pytest.mark.parametrize(
    "make",
    [
        lambda rng: report_of(_leaving(rng, 0.02, lambda took: took * 0.5)),
        lambda rng: report_of(_killed(rng)),  # the client was stopped
        lambda rng: report_of(_race(rng)),  # by design: a note
        lambda rng: report_of(_leaving(rng, 0.3, lambda _: 0.02)),  # many, but at once
        lambda rng: report_of(limited(rng, count=99, limit=9, delay=constant(1))),
        lambda rng: report_of([Request(0, 5, gone()), Request(1, 6, gone()), Request(2, 9)]),
    ],
)
def test_little_waste_is_no_waste(make: Make) -> None:
    """Few, short, at the end of the run, or meant."""
    is_quiet(make, "wasted_work")


# --- all together --------------------------------------------------------------------------------


def test_all_codes_of_the_contract_are_there() -> None:
    """Clients of the report rely on their names."""
    assert (
        "sequential",
        "concurrency_plateau",
        "unbounded",
        "starved",
        "connection_per_request",
        "client_timeout",
        "retry_without_backoff",
        "retry_in_lockstep",
        "retry_after_ignored",
        "duplicate_in_flight",
        "wasted_work",
    ) == CODES


def test_every_finding_states_its_thresholds() -> None:
    """The docstring of each has the numbers and the reason."""
    for finder in module.FINDERS.values():
        assert any(char.isdigit() for char in finder.__doc__ or ""), finder.__name__


def test_warnings_come_before_notes() -> None:
    """The gravest is read first."""
    requests = limited(Random(1), count=99, limit=9, delay=constant(0.1))
    found = findings(report_of(requests, pooled=False))

    severities = [one.severity for one in found]
    assert sorted(severities, key=lambda one: one is NOTE) == severities
    assert {WARN, NOTE} == set(severities)


def test_spans_of_a_finding_are_at_most_twenty() -> None:
    """Enough to look at."""
    found = of(report_of(fan_out(Random(1), count=300, delay=constant(1))), "unbounded")

    assert found is not None
    assert EXAMPLES == len(found.spans)


def test_batches_hide_the_plateau_they_make() -> None:
    """One cause, one finding."""
    rng = Random(1)
    report = report_of(batches(rng, rounds=8, size=20, delay=uniform(rng, 0.1, 1)))

    assert of(report, "concurrency_plateau") is None


@pytest.mark.parametrize(
    ("severities", "expected"), [((), None), ((NOTE, NOTE), NOTE), ((NOTE, WARN), WARN)]
)
def test_the_worst_is_the_gravest(
    severities: tuple[Severity, ...], expected: Severity | None
) -> None:
    """A warning is graver than a note, a note than nothing."""
    assert expected is worst(Finding("sequential", one, "", "") for one in severities)


def test_document_is_json_with_plain_spaces() -> None:
    """Programs compare and search sentences."""
    written = json.dumps(document(findings(five_calls(overlapped=False))), ensure_ascii=False)

    [read] = json.loads(written)
    assert "\xa0" not in written
    assert {"code", "severity", "sentence", "remedy", "spans"} == read.keys()
    assert "1-1" == read["spans"][0]
