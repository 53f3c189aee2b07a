"""Clients that are only imagined: what they would have done, as spans; the same for a seed."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from heapq import heapify, heappop, heappush
from random import Random

from app.report import Report, build
from app.spans import Kind, Outcome, Span, span_id

MILLISECOND = 1_000_000
SECOND = 1_000_000_000
BEGIN = 1_700_000_000 * SECOND

Delay = Callable[[], float]


@dataclass
class Request:
    """One request: moments in seconds since the beginning; *changes* are fields of its span."""

    arrival: float
    end: float
    changes: dict[str, object] = field(default_factory=dict)


def report_of(requests: Iterable[Request], *, pooled: bool = True) -> Report:
    """The report of a run of them; connections are taken from a pool, or each is a new one."""
    spans = spans_of(requests, pooled=pooled)
    last = max((span.end_ns or 0 for span in spans), default=BEGIN)
    return build(iter(spans), run="demo", now_ns=last)


def spans_of(requests: Iterable[Request], *, pooled: bool = True) -> list[Span]:
    """Their spans, in order of arrival."""
    ordered = sorted(requests, key=lambda one: one.arrival)
    places = _pooled(ordered) if pooled else [(number, 1) for number in range(1, len(ordered) + 1)]
    return [
        _span(number, request, *place)
        for number, (request, place) in enumerate(zip(ordered, places, strict=True), 1)
    ]


def _span(number: int, request: Request, connection: int, ordinal: int) -> Span:
    arrival = BEGIN + round(request.arrival * SECOND)
    end = max(BEGIN + round(request.end * SECOND), arrival + 1)
    span = Span(
        id=span_id(1, number),
        run="demo",
        kind=Kind.HTTP,
        method="GET",
        target=f"/aio?page={number}",
        arrival_ns=arrival,
        connection=connection,
        connection_request=ordinal,
        http_version="1.1",
        user_agent="aiohttp/3.14.5",
        delay_ns=end - arrival,
        wait_begun_ns=arrival,
        first_byte_ns=end,
        last_byte_ns=end,
        end_ns=end,
        status=200,
        outcome=Outcome.COMPLETED,
    )
    span.first_byte_ns = None if request.changes.get("status", 200) is None else span.first_byte_ns
    return replace(span, **request.changes)  # type: ignore[arg-type]  # fields of several types


def _pooled(requests: list[Request]) -> list[tuple[int, int]]:
    """(connection, request on it) of each: the one that became idle last, if any, as pools do."""
    busy: list[tuple[float, int, int]] = []
    idle: list[tuple[int, int]] = []
    opened, places = 0, []
    for request in requests:
        while busy and busy[0][0] <= request.arrival:
            _, connection, ordinal = heappop(busy)
            idle.append((connection, ordinal))
        if not idle:
            opened += 1
            idle.append((opened, 0))
        connection, ordinal = idle.pop()
        places.append((connection, ordinal + 1))
        if request.changes.get("outcome", Outcome.COMPLETED) is Outcome.COMPLETED:
            heappush(busy, (request.end, connection, ordinal + 1))
    return places


# --- delays and turnarounds ----------------------------------------------------------------------


def some_delay(rng: Random, *, median: float | None = None) -> Delay:
    """How a backend may take its time: evenly, exponentially, with a tail, with two faces."""
    middle = median or rng.uniform(0.2, 3)
    return rng.choice(
        [
            lambda: middle,
            lambda: rng.uniform(0.3, 1.7) * middle,
            lambda: 0.01 + rng.expovariate(0.7 / middle),
            lambda: rng.lognormvariate(0, 0.6) * middle,
            lambda: middle * (4 if rng.random() < 0.1 else 0.9),
        ]
    )


def turnaround(rng: Random) -> float:
    """From the end of a reply to the next request of the same worker; now and then longer."""
    return rng.lognormvariate(0, 0.5) * 0.0015 * (8 if rng.random() < 0.03 else 1)


def gone(**changes: object) -> dict[str, object]:
    """The fields of a client that left."""
    return {"outcome": Outcome.CLIENT_GONE, "status": None} | changes


# --- how many at a time --------------------------------------------------------------------------


def limited(rng: Random, *, count: int, limit: int, delay: Delay) -> list[Request]:
    """A semaphore, a pool, workers: a new one as soon as one ends."""
    free = [rng.uniform(0, 0.005) for _ in range(limit)]
    heapify(free)
    requests = []
    for _ in range(count):
        arrival = heappop(free)
        request = Request(arrival, arrival + delay())
        requests.append(request)
        heappush(free, request.end + turnaround(rng))
    return requests


def fan_out(rng: Random, *, count: int, delay: Delay, begin: float = 0) -> list[Request]:
    """All at once, over as long as it takes to open the connections."""
    arrivals = [begin + rng.uniform(0, 0.0003 * count) for _ in range(count)]
    return [Request(arrival, arrival + delay()) for arrival in arrivals]


def arriving(
    rng: Random, *, count: int, rate: float, delay: Delay, steady: bool = False
) -> list[Request]:
    """Requests that come on their own, at random or at an even pace."""
    moment, requests = 0.0, []
    for _ in range(count):
        moment += 1 / rate if steady else rng.expovariate(rate)
        requests.append(Request(moment, moment + delay()))
    return requests


def users(rng: Random, *, people: int, each: int, delay: Delay, think: float) -> list[Request]:
    """People who read a while before they click again."""
    requests = []
    for _ in range(people):
        moment = rng.uniform(0, think)
        for _ in range(each):
            requests.append(Request(moment, moment + delay()))
            moment = requests[-1].end + rng.expovariate(1 / think) + 0.05
    return requests


def ramp(rng: Random, *, most: int, delay: Delay) -> list[Request]:
    """Workers that start one after another, and stop one after another."""
    requests = []
    for worker in range(most):
        moment = worker * rng.uniform(0.2, 0.5)
        for _ in range(rng.randrange(2, 6)):
            requests.append(Request(moment, moment + delay()))
            moment = requests[-1].end + turnaround(rng)
    return requests


def batches(rng: Random, *, rounds: int, size: int, delay: Delay) -> list[Request]:
    """gather, and gather again: the next ones when all are done."""
    begin, requests = 0.0, []
    for _ in range(rounds):
        batch = fan_out(rng, count=size, delay=delay, begin=begin)
        requests += batch
        begin = max(request.end for request in batch) + 0.002
    return requests


def frozen(rng: Random, *, count: int, limit: int, delay: Delay, block: float) -> list[Request]:
    """A semaphore in an event loop that something blocks every now and then."""
    free = [0.0] * limit
    heapify(free)
    requests: list[Request] = []
    for _ in range(count):
        ready = heappop(free)
        # Nothing is sent in the first part of each period: what was owed goes out at its end.
        arrival = ready if ready % (2 * block) >= block else ready - ready % (2 * block) + block
        arrival += turnaround(rng)
        requests.append(Request(arrival, arrival + delay()))
        heappush(free, requests[-1].end)
    return requests


# --- retries -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Backend:
    """How attempts fail: so many of each key, after *delay* seconds, with what."""

    failures: int
    delay: Delay
    failure: dict[str, object] = field(default_factory=lambda: {"status": 503})


def retrying(
    rng: Random,
    *,
    keys: int,
    backend: Backend,
    pause: Callable[[int], float],
    begin: Callable[[], float] | None = None,
    named: bool = True,
) -> list[Request]:
    """Requests that are tried again until they succeed; *pause* knows the wait before retry k."""
    requests = []
    for key in range(keys):
        moment = begin() if begin else rng.uniform(0, 0.01)
        identity = {"key": f"order-{key}"} if named else {"target": f"/aio?order={key}"}
        for attempt in range(1, backend.failures + 2):
            again = attempt <= backend.failures
            changes = identity | (backend.failure if again else {})
            requests.append(Request(moment, moment + backend.delay(), dict(changes)))
            moment = requests[-1].end + turnaround(rng) + (pause(attempt) if again else 0)
    return requests


# --- who behaves well ----------------------------------------------------------------------------


def _semaphore(rng: Random) -> list[Request]:
    limit = rng.randrange(2, 90)
    return limited(rng, count=limit * rng.randrange(1, 8), limit=limit, delay=some_delay(rng))


def _visitors(rng: Random) -> list[Request]:
    return arriving(
        rng, count=rng.randrange(5, 400), rate=rng.uniform(0.2, 30), delay=some_delay(rng)
    )


def _pace(rng: Random) -> list[Request]:
    rate, delay = rng.uniform(0.5, 20), some_delay(rng)
    return arriving(rng, count=rng.randrange(5, 300), rate=rate, delay=delay, steady=True)


def _gather(rng: Random) -> list[Request]:
    return fan_out(rng, count=rng.randrange(1, 100), delay=some_delay(rng))


def _people(rng: Random) -> list[Request]:
    people, think = rng.randrange(2, 30), rng.uniform(0.3, 3)
    return users(rng, people=people, each=rng.randrange(2, 12), delay=some_delay(rng), think=think)


def _ramp(rng: Random) -> list[Request]:
    return ramp(rng, most=rng.randrange(2, 40), delay=some_delay(rng))


def _experiments(rng: Random) -> list[Request]:
    """The same script again and again, by hand."""
    begin, requests, delay = 0.0, [], some_delay(rng)
    size = rng.randrange(3, 40)
    for _ in range(rng.randrange(2, 8)):
        requests += fan_out(rng, count=size, delay=delay, begin=begin)
        begin = max(request.end for request in requests) + rng.uniform(2, 8)
    return requests


def _patient(rng: Random) -> list[Request]:
    """Retries with a growing pause and a random part, of one popular kind or another."""
    base = rng.uniform(0.1, 1)
    pause = rng.choice(
        [
            lambda k: rng.uniform(0, base * 2**k),
            lambda k: base * 2 ** (k - 1) * rng.uniform(0.8, 1.2),
            lambda k: base * 2 ** (k - 1) * rng.uniform(0.5, 1),
            lambda k: base * 2 ** (k - 1) + rng.uniform(0, 1),
            lambda k: base * 1.5 ** (k - 1) * rng.uniform(0.5, 1.5),
        ]
    )
    backend = Backend(rng.randrange(1, 5), some_delay(rng, median=0.3))
    begin = rng.choice([None, lambda: rng.uniform(0, 5)])
    return retrying(rng, keys=rng.randrange(1, 40), backend=backend, pause=pause, begin=begin)


def _obedient(rng: Random) -> list[Request]:
    """Waits as long as it is told, and a little longer; refused at once, as by a rate."""
    asked = rng.choice([1, 2, 5])
    refusal: dict[str, object] = {
        "status": 429,
        "outcome": Outcome.REJECTED,
        "retry_after_ns": asked * SECOND,
    }
    backend = Backend(rng.randrange(1, 3), lambda: 0.001, refusal)
    return retrying(
        rng,
        keys=rng.randrange(1, 40),
        backend=backend,
        pause=lambda k: asked + rng.uniform(0.01, 1) * k,
        begin=lambda: rng.uniform(0, 20),
    )


def _hasty_readers(rng: Random) -> list[Request]:
    """Some people leave, after as long as it takes to lose patience."""
    requests = _people(rng)
    for request in requests:
        if rng.random() < 0.06:
            request.end = request.arrival + (request.end - request.arrival) * rng.uniform(0.1, 0.9)
            request.changes = gone()
    return requests


def _stopped(rng: Random) -> list[Request]:
    """Ctrl-C: whatever is in flight ends at one moment."""
    requests = _semaphore(rng)
    moment = max(request.end for request in requests) * rng.uniform(0.3, 0.9)
    begun = [request for request in requests if request.arrival < moment]
    for request in begun:
        if request.end > moment:
            request.end = moment + rng.uniform(0, 0.003)
            request.changes = gone()
    return begun


def _queueing(rng: Random) -> list[Request]:
    """A bounded client at a server with few workers: what waits there is not the client's doing."""
    workers = [0.0] * rng.randrange(1, 4)
    heapify(workers)
    limit, delay = rng.randrange(5, 30), some_delay(rng, median=0.2)
    free = [0.0] * limit
    requests: list[Request] = []
    for _ in range(limit * 5):
        arrival = heappop(free) + turnaround(rng)
        begun = max(heappop(workers), arrival)
        end = begun + delay()
        heappush(workers, end)
        heappush(free, end)
        queued: dict[str, object] = {"queue_wait_ns": round((begun - arrival) * SECOND)}
        requests.append(Request(arrival, end, queued))
    return requests


def _meeting(rng: Random) -> list[Request]:
    """A barrier lets a dozen go at once, again and again."""
    size, moment, requests = rng.randrange(4, 20), 0.0, []
    for _ in range(rng.randrange(3, 8)):
        arrivals = [moment + rng.uniform(0, 0.02) for _ in range(size)]
        end = max(arrivals) + 0.0005
        for arrival in arrivals:
            waited: dict[str, object] = {"barrier_wait_ns": round((end - arrival) * SECOND)}
            requests.append(Request(arrival, end + rng.uniform(0, 0.001), waited))
        moment = end + 0.003
    return requests


GOOD: dict[str, Callable[[Random], list[Request]]] = {
    "semaphore": _semaphore,
    "visitors": _visitors,
    "steady pace": _pace,
    "gather of up to 99": _gather,
    "people": _people,
    "ramp": _ramp,
    "experiments by hand": _experiments,
    "patient retries": _patient,
    "obedient retries": _obedient,
    "readers who leave": _hasty_readers,
    "stopped by hand": _stopped,
    "server with a queue": _queueing,
    "barrier": _meeting,
}
