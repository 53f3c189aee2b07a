"""
Knobs -> plan: what the server decides for one request.

`Planner.read` turns the texts of a request into `Knobs`, once for the same texts; `draw` turns
knobs into a `Plan`. Both are pure: no clock, no counting, no network.
"""

import contextlib
import hashlib
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import chain
from random import Random
from typing import Any, NamedTuple, Protocol

from app import delays, faults, grammar
from app.delays import Choice, Cycle, Delay, Fixed
from app.errors import BadValue, Problem
from app.faults import Chances, Fault
from app.grammar import NANOSECONDS, Rate, quoted

STATUSES = range(200, 600)
FAILURES = range(400, 600)
RETRYABLE = (429, 503)  # the statuses that may say when to come back
BODYLESS = frozenset({204, 205, 304})  # RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5
SMALLEST_SIZE = 64
FAILURE = 503  # of `fail`, when it names none
BARRIER_WAIT_NS = 30 * NANOSECONDS["s"]  # when `delay` says nothing else
LONGEST_RETRY_AFTER_NS = 24 * 60 * NANOSECONDS["m"]

# Requests repeat their knobs, and parsing is a pure function of the texts. Long texts are parsed
# each time: else a thousand of them, each a list of thousands, would fill the memory.
PARSED_KEPT = 1_024
LONGEST_KEPT = 256  # characters

# (seed, ordinal) and the like: what makes a draw reproducible.
Ordinal = int | tuple[str, int]


@dataclass(frozen=True, slots=True)
class Limits:
    """The settings that bound what a request may ask for."""

    max_delay_ns: int
    max_size: int


class Plan(NamedTuple):  # the values made for each request are tuples: three times as quick
    """What we decided for one request: delay, status, fault, pacing."""

    delay_ns: int
    status: int = 200
    drip: int | None = None
    size: int | None = None
    fault: Fault | None = None
    fails: bool = False  # the status is that of `fail`
    retry_after_ns: int | None = None  # to be told with a status of `RETRYABLE`

    @property
    def sent_status(self) -> int | None:
        """The status the client gets to see; some faults leave it none."""
        seen = self.fault is None or self.fault in faults.OF_BODIES
        return self.status if seen else None

    @property
    def purpose(self) -> str | None:
        """What is done on purpose, as `X-Dawdle-Fault` names it."""
        if self.fault is not None:
            return self.fault
        if self.status == 200:
            return None
        return "fail" if self.fails else "status"


@dataclass(frozen=True, slots=True)
class Fail:
    """`2:429` or `2:reset`: what becomes of the first so many attempts of a key."""

    attempts: int
    status: int = FAILURE
    fault: Fault | None = None  # in place of that status

    def of(self, plan: Plan, attempt: int) -> Plan:
        """The plan for that attempt, from 1, of a request that else had *plan*."""
        if attempt > self.attempts:
            return plan
        if self.fault is not None:
            return plan._replace(fault=self.fault)
        return plan._replace(status=self.status, fault=None, fails=True)


@dataclass(frozen=True, slots=True)
class Knobs:
    """What a request asked for, defaults filled in; None where nothing was asked."""

    delay: Delay
    seed: int | None = None
    n: int | None = None
    status: Choice[int] | None = None
    fault: Chances | None = None
    fail: Fail | None = None
    key: str | None = None
    retry_after: int | None = None  # nanoseconds
    capacity: int | None = None
    queue: int | None = None
    rate: Rate | None = None
    barrier: int | None = None
    drip: int | None = None
    size: int | None = None
    run: str | None = None
    certain: Plan | None = field(default=None, compare=False)  # where nothing is left to draw
    is_limited: bool = field(default=False, compare=False)  # has to pass a limit of its run


# --- reading knobs -------------------------------------------------------------------------------


def _status(text: str) -> Choice[int]:
    called = grammar.call(text)
    if called and called[0] == "seq":
        return Cycle(tuple(map(_one_status, grammar.split(called[1]))))
    return delays.weigh(grammar.split(text), _one_status, default="1")


def _one_status(text: str) -> int:
    status = grammar.integer(text)
    if status not in STATUSES:
        raise BadValue(f"status {text} is out of range; use 200 to 599")
    return status


def _fail(text: str) -> Fail:
    count, colon, failure = text.partition(":")
    attempts = grammar.integer(count)
    if not colon:
        return Fail(attempts)
    if not failure.isdecimal():
        return Fail(attempts, fault=faults.fault(failure))
    status = grammar.integer(failure)
    if status not in FAILURES:
        raise BadValue(f"status {failure} is no failure; use 400 to 599, or a fault")
    return Fail(attempts, status)


def _retry_after(text: str) -> int:
    ns = grammar.duration(text)
    if ns > LONGEST_RETRY_AFTER_NS:
        raise BadValue(f"{quoted(text)} is longer than a day; use 86400 or less")
    return ns


def _at_least(least: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        number = grammar.integer(text)
        if number < least:
            raise BadValue(f"{quoted(text)} is too small; use {least} or more")
        return number

    return read


def _size(text: str, limits: Limits) -> int:
    size = grammar.size(text)
    if not SMALLEST_SIZE <= size <= limits.max_size:
        raise BadValue(
            f"a size of {size} bytes is out of range; "
            f"use {SMALLEST_SIZE} to {limits.max_size} (max_size)"
        )
    return size


def _delay(text: str, limits: Limits) -> Delay:
    return delays.parse(text, max_delay_ns=limits.max_delay_ns)


def _plain(read: Callable[[str], object]) -> Callable[[str, Limits], object]:
    return lambda text, limits: read(text)


KNOBS: dict[str, Callable[[str, Limits], object]] = {
    "delay": _delay,
    "seed": _plain(grammar.seed),
    "n": _plain(grammar.integer),
    "status": _plain(_status),
    "fault": _plain(faults.chances),
    "fail": _plain(_fail),
    "key": _plain(grammar.key),
    "retry_after": _plain(_retry_after),
    "capacity": _plain(_at_least(1)),
    "queue": _plain(grammar.integer),
    "rate": _plain(grammar.rate),
    "barrier": _plain(_at_least(2)),
    "drip": _plain(_at_least(1)),
    "size": _size,
    "run": _plain(grammar.run_name),
    "profile": _plain(grammar.profile_name),
}
# What names one request or one client can't be shared by all that use a profile.
NOT_IN_PROFILES = frozenset({"run", "key", "n", "profile"})


class Asked(NamedTuple):
    """The texts of a request that decide its knobs; equal texts are parsed once."""

    query: str = ""
    header: str | None = None  # X-Dawdle
    run: str | None = None  # X-Dawdle-Run
    key: str | None = None  # Idempotency-Key
    profile: str | None = None  # /aio/NAME
    head: bool = False  # a HEAD request: the reply has no body
    old: bool = False  # HTTP/1.0, which knows no chunks


class Planner:
    """Reads the knobs of requests against one server's limits, profiles and defaults."""

    def __init__(
        self,
        limits: Limits,
        *,
        delay: str = "1-30",
        profiles: Mapping[str, Mapping[str, str]] | None = None,
        built_in: Container[str] = (),
        profile: str | None = None,
    ) -> None:
        """
        Check the defaults and every profile, so that no request can meet a broken one.

        *delay* and *profile* are for requests that ask for none. Those *profiles* that are
        *built_in* nobody here has asked for: one that the limits exclude is refused when it is
        chosen, and not before.

        Raises:
            BadValue: the default delay is not one.
            Problem: a profile's knobs are not valid.
        """
        self.limits = limits
        self._default = delays.parse(delay, max_delay_ns=limits.max_delay_ns)
        self.profiles: dict[str, dict[str, Any]] = {}
        self._excluded: dict[str, str] = {}  # and why
        for name, texts in (profiles or {}).items():
            self._admit(name, texts, is_built_in=name in built_in)
        self._default_profile = profile
        self._complete({})
        self._kept = lru_cache(maxsize=PARSED_KEPT)(self._read)

    def _admit(self, name: str, texts: Mapping[str, str], *, is_built_in: bool) -> None:
        try:
            self.profiles[name] = self._profile(name, texts)
        except Problem as problem:
            if not is_built_in:
                raise
            self._excluded[name] = problem.detail

    def _profile(self, name: str, texts: Mapping[str, str]) -> dict[str, Any]:
        """The values of a profile; a refusal names the table as a TOML file writes it."""
        try:
            grammar.profile_name(name)
            return self._preset_values(texts)
        except (BadValue, Problem) as error:
            raise Problem("bad-knob", f"[profiles.{name}] {error}", error.parameter) from None

    def _preset_values(self, texts: Mapping[str, str]) -> dict[str, Any]:
        for knob in texts:
            if knob in NOT_IN_PROFILES:
                raise Problem("bad-knob", f"{knob} can't be set by a profile; leave it out", knob)
        values = self._values(texts.items())
        _check_combination(self._filled_in(values))
        return values

    def read(self, asked: Asked) -> Knobs:
        """
        The knobs that *asked* describes: header beats query beats profile beats default.

        Raises:
            Problem: something in the texts is not valid; `parameter` names the knob.
        """
        if len(asked.query) + len(asked.header or "") > LONGEST_KEPT:
            return self._read(asked)
        return self._kept(asked)

    def _read(self, asked: Asked) -> Knobs:
        if asked.profile is not None:
            self._preset(asked.profile, "unknown-profile")
        query = self._values(_pairs(asked.query, "query") + _named("profile", asked.profile))
        header = self._values(
            _pairs(asked.header or "", "X-Dawdle header")
            + _named("run", asked.run)
            + _named("key", asked.key)
        )
        return self._complete(query | header, head=asked.head, old=asked.old)

    def knobs(self, pairs: Mapping[str, str]) -> Knobs:
        """
        The knobs of (name, text) pairs, as if they came in a query.

        Raises:
            Problem: something in the texts is not valid; `parameter` names the knob.
        """
        return self._complete(self._values(pairs.items()))

    def find_run(self, asked: Asked) -> str | None:
        """The run that a request means although its other knobs may be broken; None if none."""
        pieces = f"{asked.header or ''}&{asked.query}".split("&")
        named = [piece[4:] for piece in pieces if piece.startswith("run=")]
        for text in filter(None, [asked.run, *named]):
            with contextlib.suppress(BadValue):
                return grammar.run_name(grammar.unescape(text))
        return None

    def _complete(self, given: dict[str, Any], *, head: bool = False, old: bool = False) -> Knobs:
        name = given.pop("profile", self._default_profile)
        preset = {} if name is None else self._preset(name, "bad-knob")
        knobs = self._filled_in(preset | given)
        _check_combination(knobs, head=head, old=old)
        is_limited = any((knobs.rate, knobs.capacity, knobs.barrier))
        return replace(knobs, certain=_certain(knobs), is_limited=is_limited)

    def _filled_in(self, values: dict[str, Any]) -> Knobs:
        longest_ns = min(BARRIER_WAIT_NS, self.limits.max_delay_ns)
        default = Fixed(longest_ns) if "barrier" in values else self._default
        return Knobs(**({"delay": default} | values))

    def _preset(self, name: str, code: str) -> dict[str, Any]:
        if name in self._excluded:
            raise Problem("bad-knob", self._excluded[name], "profile")
        if name not in self.profiles:
            known = ", ".join(sorted(self.profiles))
            raise Problem(
                code, f"there is no profile {quoted(name)}; use one of {known}", "profile"
            )
        return self.profiles[name]

    def _values(self, pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, text in pairs:
            if name in values:
                raise Problem("bad-knob", f"{name} is given twice; once is enough", name)
            values[name] = self._value(name, text)
        return values

    def _value(self, name: str, text: str) -> object:
        if name not in KNOBS:
            near = grammar.nearest(name, KNOBS)
            raise Problem("unknown-knob", f"{quoted(name)} is not a knob; {near}", name)
        try:
            return KNOBS[name](text, self.limits)
        except BadValue as error:
            raise Problem("bad-knob", f"{name}: {error}", name) from None


def _pairs(text: str, where: str) -> list[tuple[str, str]]:
    try:
        return grammar.pairs(text)
    except BadValue as error:
        raise Problem("bad-query", f"in the {where}, {error}", error.parameter) from None


def _named(name: str, text: str | None) -> list[tuple[str, str]]:
    return [] if text is None else [(name, text)]


def _check_combination(knobs: Knobs, *, head: bool = False, old: bool = False) -> None:
    """Refuse what no reply could be; judged from the knobs, whatever would be drawn."""
    impossible = chain(
        _without_body(knobs, head=head), _without_chunks(knobs, old=old), _without_sense(knobs)
    )
    for name, sentence in impossible:
        raise Problem("impossible-combination", f"{name}={sentence}", name)


# Each of these yields the knob at fault, and what is to be said of it after `KNOB=`.
Impossible = Iterator[tuple[str, str]]


def _without_body(knobs: Knobs, *, head: bool) -> Impossible:
    needing = [(name, fault) for name, fault in _faults(knobs) if fault in faults.OF_BODIES]
    pacing = [("drip", knobs.drip)] if knobs.drip else []
    if head:
        for name, value in pacing + needing:
            yield name, f"{value} needs a body and a reply to HEAD has none; use GET"
    size = [("size", knobs.size)] if knobs.size else []
    bodyless = BODYLESS.intersection(knobs.status.items if knobs.status else ())
    if bodyless:
        for name, value in pacing + size + needing:
            yield (
                name,
                f"{value} needs a body and a {min(bodyless)} has none; leave one of them out",
            )


def _without_chunks(knobs: Knobs, *, old: bool) -> Impossible:
    for name, fault in _faults(knobs):
        if old and fault is Fault.MALFORMED:
            yield name, f"{fault} breaks a chunk and HTTP/1.0 has none; use HTTP/1.1"


def _without_sense(knobs: Knobs) -> Impossible:
    if knobs.queue is not None and knobs.capacity is None:
        yield "queue", f"{knobs.queue} needs workers to queue for; add capacity=1 or more"
    if knobs.barrier is not None:
        yield from (("barrier", f"{knobs.barrier} {why}") for why in _against_barrier(knobs))


def _against_barrier(knobs: Knobs) -> Iterator[str]:
    if not isinstance(knobs.delay, Fixed):
        yield f"can wait no longer than one delay says, and {knobs.delay} is not one; use delay=30s"
    if knobs.drip:
        yield f"leaves no delay to spread {knobs.drip} writes over; leave out drip"
    if knobs.capacity is not None and knobs.capacity < (knobs.barrier or 0):
        yield f"is never reached, as capacity={knobs.capacity} lets no more wait; raise capacity"


def _faults(knobs: Knobs) -> Iterator[tuple[str, Fault]]:
    """The faults that these knobs can bring, each with its knob."""
    for fault in knobs.fault.faults if knobs.fault else ():
        yield "fault", fault
    if knobs.fail and knobs.fail.fault:
        yield "fail", knobs.fail.fault


# --- drawing -------------------------------------------------------------------------------------


class Source(Protocol):
    """`random.Random`, as far as drawing needs it."""

    def getrandbits(self, k: int, /) -> int: ...


class RandomDraws:
    """Uniform numbers from a `random.Random`: every draw is new."""

    def __init__(self, random: Source) -> None:
        self._random = random

    def uniform(self, knob: str, turn: int) -> float:
        return _open_unit(self._random.getrandbits(52))


class SeededDraws:
    r"""
    Uniform numbers that are a pure function of (seed, ordinal, knob, turn).

    The upper 52 bits of the SHA-256 (FIPS 180-4) of `SEED\nORDINAL\nKNOB\nTURN` in UTF-8, as
    steps between 0 and 1. An ordinal of (key, attempt) is written `ATTEMPT\nKEY`; keys hold no
    line feed, so no two texts collide.
    """

    def __init__(self, seed: int, ordinal: Ordinal) -> None:
        place = f"{ordinal[1]}\n{ordinal[0]}" if isinstance(ordinal, tuple) else str(ordinal)
        self._prefix = f"{seed}\n{place}"

    def uniform(self, knob: str, turn: int) -> float:
        digest = hashlib.sha256(f"{self._prefix}\n{knob}\n{turn}".encode()).digest()
        return _open_unit(int.from_bytes(digest[:8]) >> 12)


def _open_unit(bits: int) -> float:
    """52 bits as a number strictly between 0 and 1; 53 would round up to 1."""
    return (bits + 0.5) * 2.0**-52


class Unseeded:
    """Refuses to draw: a preview of what is drawn anew each time would be fiction."""

    def uniform(self, knob: str, turn: int) -> float:
        raise Problem(
            "bad-knob",
            f"without a seed, {knob.partition('/')[0]} is drawn anew for each request "
            "and can't be foretold; add seed=1 here and to the requests",
            "seed",
        )


def draws_for(seed: int | None, ordinal: Ordinal, random: Random) -> delays.Draws:
    """Where one request's uniform numbers come from."""
    return RandomDraws(random) if seed is None else SeededDraws(seed, ordinal)


def _certain(knobs: Knobs) -> Plan | None:
    """The plan, where nothing is left to draw."""
    if not isinstance(knobs.delay, Fixed) or (knobs.status and len(knobs.status.items) > 1):
        return None
    if knobs.fault and knobs.fault.certain is None:
        return None
    return Plan(
        delay_ns=0 if knobs.barrier else knobs.delay.ns,
        status=knobs.status.items[0] if knobs.status else 200,
        drip=knobs.drip,
        size=knobs.size,
        fault=knobs.fault.certain if knobs.fault else None,
        retry_after_ns=knobs.retry_after,
    )


def draw(knobs: Knobs, draws: delays.Draws, ordinal: Ordinal, limits: Limits) -> Plan:
    """
    Decide how one request is treated; the same draws and ordinal give the same plan.

    With a barrier, its delay is the longest wait there, and none comes after it. The plan is that
    of an attempt that `fail` does not concern.
    """
    if knobs.certain is not None:
        return knobs.certain
    index = ordinal[1] - 1 if isinstance(ordinal, tuple) else ordinal
    return Plan(
        delay_ns=_draw_delay(knobs, draws, index, limits),
        status=_draw_status(knobs.status, draws, index),
        drip=knobs.drip,
        size=knobs.size,
        fault=_draw_fault(knobs.fault, draws),
        retry_after_ns=knobs.retry_after,
    )


def _draw_delay(knobs: Knobs, draws: delays.Draws, index: int, limits: Limits) -> int:
    if knobs.barrier is not None:
        return 0
    return delays.draw(knobs.delay, draws, index, max_delay_ns=limits.max_delay_ns)


def _draw_status(status: Choice[int] | None, draws: delays.Draws, index: int) -> int:
    if status is None:
        return 200
    return status.choose(index, lambda: draws.uniform("status", 0))


def _draw_fault(chances: Chances | None, draws: delays.Draws) -> Fault | None:
    return None if chances is None else chances.choose(lambda: draws.uniform("fault", 0))
