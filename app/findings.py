"""
What a client does that its author may not know: report -> diagnoses in words. Pure.

Each finding is a function from a report to one diagnosis, or none. A warning wants enough evidence
that a client which behaves well is not accused by chance; with less, and for what may be meant,
there is a note. Thresholds were chosen on thousands of simulated clients, good and bad. All are
about requests: an echo is open for as long as its client likes, and so proves nothing.
"""

import enum
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from app.clients import Client, client
from app.evidence import Evidence, Plateau, Stall, variation
from app.report import EXAMPLES, Reply, Report
from app.report import timeout as inferred
from app.retries import AT_ONCE_NS, Retry
from app.spans import Kind, Outcome, Span, span_name
from app.timeouts import Cause, Timeout
from app.words import JOINED, MILLISECOND, SECOND, length, per_cent, plural, printable

FEW = 10  # requests; with fewer, little can be told of a level
STALL_NS = 100 * MILLISECOND
LARGEST_DEFAULT = 100  # the largest limit that a client has by default, short of none
SERVERS_REFUSALS = (429, 503, 504)  # which hold a client back, so it does not choose its pace
CONSTANT_NS = 1_050 * MILLISECOND  # a longer pause that never grows may still be kind enough
TOGETHER_NS = 50 * MILLISECOND
LONGEST_KEY = 32


class Severity(enum.StrEnum):
    """How much a finding asks to be acted on."""

    NOTE = "note"  # worth knowing, or what can't be told yet
    WARN = "warn"


@dataclass(frozen=True, slots=True)
class Finding:
    """
    One diagnosis: *sentence* has the evidence, *remedy* what to do; *spans* are at most 20 ids.

    Lengths in the texts keep number and unit together by a no-break space.
    """

    code: str
    severity: Severity
    sentence: str
    remedy: str
    spans: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "spans", self.spans[:EXAMPLES])


@dataclass(frozen=True, slots=True)
class Reading:
    """A run as it is shown: its report, its first spans in order of arrival, what was found."""

    report: Report
    spans: Sequence[Span]
    found: Sequence[Finding]


def reading(report: Report, spans: Sequence[Span]) -> Reading:
    """The report and first spans of a run, with the findings."""
    return Reading(report, spans, findings(report))


def findings(report: Report) -> tuple[Finding, ...]:
    """Everything to be said of the run, warnings first, else in the order of `CODES`."""
    found = {code: finding for code, find in FINDERS.items() if (finding := find(report))}
    for code, hidden in HIDES.items():
        if code in found and hidden in found and not _is_graver(found[hidden], found[code]):
            del found[hidden]
    return tuple(sorted(found.values(), key=lambda one: one.severity is Severity.NOTE))


def _is_graver(one: Finding, other: Finding) -> bool:
    return one.severity is Severity.WARN and other.severity is Severity.NOTE


def worst(found: Iterable[Finding]) -> Severity | None:
    """The severity of the gravest; None without any."""
    severities = {finding.severity for finding in found}
    return next((one for one in (Severity.WARN, Severity.NOTE) if one in severities), None)


def document(found: Iterable[Finding]) -> list[dict[str, object]]:
    """The findings as JSON shows them."""
    return [
        {
            "code": finding.code,
            "severity": finding.severity.value,
            "sentence": finding.sentence.replace(JOINED, " "),
            "remedy": finding.remedy.replace(JOINED, " "),
            "spans": [span_name(number) for number in finding.spans],
        }
        for finding in found
    ]


# --- how many at a time --------------------------------------------------------------------------


def sequential(report: Report) -> Finding | None:
    """
    One request after another, each sent when the one before was answered.

    Warns from 10 requests of which never two overlapped, though had they not waited for each other
    at least 7 should have (left to chance: e^-7), and if in the median the next came within a
    quarter of a request's duration. Where all take equally long, a steady trickle slower than the
    backend looks the same: there the next has to come within 5 %, or 20 ms if that is more. With
    2 to 9 requests, a note.
    """
    plateau = report.evidence.plateau
    if plateau.level != 1 or report.alone.count < 2 or plateau.lag_ns > _nearest(report.evidence):
        return None
    if report.alone.count < FEW:
        return _few_in_sequence(report)
    if plateau.missed_chances < 7:
        return None
    return Finding(
        "sequential",
        Severity.WARN,
        f"{report.alone.count:,} requests came one after another: each arrived about "
        f"{length(plateau.lag_ns)} after the one before it was answered, never two at once. "
        f"{_waited(report)}",
        "If they do not depend on each other, start them together (gather, a task group, a "
        "thread pool) with a limit.",
        report.evidence.first,
    )


def _nearest(evidence: Evidence) -> int:
    """The longest pause between two requests of which the second waited for the first."""
    quarter = evidence.median_ns // 4
    if variation(evidence.durations_ns) >= 0.2:
        return quarter
    return max(evidence.median_ns // 20, min(20 * MILLISECOND, quarter))


def _few_in_sequence(report: Report) -> Finding:
    return Finding(
        "sequential",
        Severity.NOTE,
        f"{report.alone.count} requests, never two at once: {_waited(report)} So few are not "
        "enough to tell whether the client waits for each on purpose.",
        "If they do not depend on each other, start them together: that would take about "
        f"{length(report.lower_bound.longest_ns)}.",
        report.evidence.first,
    )


def _waited(report: Report) -> str:
    makespan_ns = report.alone.makespan_ns
    share = per_cent(min(report.busy_ns / makespan_ns, 1)) if makespan_ns else "none"
    return f"{share} of the {length(makespan_ns)} went into waiting."


def concurrency_plateau(report: Report) -> Finding | None:
    """
    A level that the client never goes beyond, though it has more to send.

    Found from 10 arrivals of which at least 10 should have gone beyond (E: arrival rate x time
    spent at the level) and none did, with a mean level of at least 0.7 of it: simulated limits are
    all found so and none of 5,400 good clients is. Where the user agent's own default is exactly
    the level, half that evidence will do (httpx at its limit is too busy to keep its slots full).

    A limit that was chosen is good manners: only one that the client has by default, so that its
    author may not know, is a warning. Silent where requests were refused for their rate, and where
    even durations meet even arrivals, for such a level may be no limit at all.
    """
    plateau = report.evidence.plateau
    if plateau.level < 2 or _refused(report):
        return None
    if report.alone.count < FEW:
        return _few_at_a_level(report, plateau)
    known = client(report.evidence.agent)
    named = known if known and known.limit == plateau.level else None
    if not _is_limit(plateau, by_default=named is not None) or _is_even(report):
        return None
    severity = Severity.WARN if named and named.is_wall else Severity.NOTE
    return Finding(
        "concurrency_plateau",
        severity,
        f"Never more than {plateau.level:,} requests were in flight, although "
        f"{plateau.arrivals:,} more followed, in the median {length(plateau.lag_ns)} after one "
        f"ended: something in the client stops at {plateau.level:,}.{_default(named)}",
        _plateau_remedy(named),
        report.alone.peak_spans,
    )


def _is_limit(plateau: Plateau, *, by_default: bool) -> bool:
    if plateau.arrivals < FEW:
        return False
    missed, occupancy = plateau.missed_chances, plateau.occupancy
    return (missed >= 10 and occupancy >= 0.7) or (by_default and missed >= 5 and occupancy >= 0.4)


def _is_even(report: Report) -> bool:
    """Even arrivals and even durations make an even level without any limit."""
    durations, gaps = report.evidence.durations_ns, report.evidence.plateau.gaps_ns
    return variation(durations) < 0.05 and variation(gaps) < 0.5


def _default(named: Client | None) -> str:
    if named is None:
        return ""
    return (
        f" {named.remark}" if named.remark else f" That is {named.name}'s default, {named.setting}."
    )


def _plateau_remedy(named: Client | None) -> str:
    if named and named.is_wall:
        return (
            f"Raise or lower it on purpose, and remember that in {named.name} the wait for a slot "
            "counts against a timeout."
        )
    return "If that is the limit you chose, all is well; else look for a pool or a semaphore."


def _few_at_a_level(report: Report, plateau: Plateau) -> Finding | None:
    """What fewer than ten overlapping requests show; all at once is told by `unbounded`."""
    if plateau.level == report.alone.count:
        return None
    return Finding(
        "concurrency_plateau",
        Severity.NOTE,
        f"{report.alone.count} requests, at most {plateau.level} at a time: too few to tell a "
        "limit of the client from the way its tasks happened to fall.",
        "Send ten times as many to see whether the level holds.",
        report.alone.peak_spans,
    )


def unbounded(report: Report) -> Finding | None:
    """
    Everything sent at once, with no limit to be seen.

    Warns from 101 in flight, one more than the largest limit that a popular client has by default;
    these must be at least 60 % of all requests, the peak must be reached before a reply could hold
    it back (0.5 s, or the median duration), and no more than 5 chances to go beyond may have been
    missed. Two to nine requests all at once are noted: they can't show a limit.
    """
    peak, count, plateau = report.alone.peak, report.alone.count, report.evidence.plateau
    if peak == count and 2 <= peak < FEW:
        return _few_at_once(report)
    if peak <= LARGEST_DEFAULT or peak < 0.6 * count or plateau.missed_chances >= 5:
        return None
    reached_ns = (report.alone.peak_at_ns or 0) - (report.alone.first_arrival_ns or 0)
    if reached_ns > max(SECOND // 2, report.evidence.median_ns):
        return None
    all_of_them = "All" if peak == count else f"{peak:,} of"
    return Finding(
        "unbounded",
        Severity.WARN,
        f"{all_of_them} {count:,} requests were in flight at once, "
        f"{length(reached_ns)} after the first had arrived; no limit was seen. A larger input "
        "would open as many connections.",
        "Put a semaphore, or a pool of a size that you choose, around the call.",
        report.alone.peak_spans,
    )


def _few_at_once(report: Report) -> Finding:
    return Finding(
        "unbounded",
        Severity.NOTE,
        f"All {report.alone.count} requests were in flight at once. So few can't show whether "
        "anything would limit a hundred.",
        "Before the input grows, put a semaphore, or a pool of a size that you choose, around "
        "the call.",
        report.alone.peak_spans,
    )


def starved(report: Report) -> Finding | None:
    """
    Slots free, and yet nothing sent: the client was busy elsewhere, or waited for the slowest.

    A stall is no arrival for more than 0.1 s and a quarter of the median duration, with at least 2
    slots and a quarter of them free in the end, most of which are then filled within 30 ms: what
    has nothing to send resumes one by one, what was held up resumes all at once. Warns from three
    stalls, with 12 requests behind them, that cost 8 % of the slots' time, of a client that had at
    least 4 slots and 3 requests for each. Pauses of more than a second with nothing in flight are
    no stall but the user's, and where requests failed or were tried again, they have that cause.
    """
    level = report.evidence.plateau.level
    if (
        level < 4
        or report.alone.count < 3 * level
        or report.retries.count
        or _failures(report) > 0.05
    ):
        return None
    stalls = [stall for stall in report.evidence.stalls if _is_stall(stall, report)]
    empty_ns = sum(level * stall.length_ns - stall.held_ns for stall in stalls)
    lost = empty_ns / (level * report.alone.makespan_ns)
    if len(stalls) < 3 or sum(stall.burst for stall in stalls) < 12 or lost < 0.08:
        return None
    drained = sum(stall.left <= 1 for stall in stalls) >= 0.8 * len(stalls)
    tell = _batches if drained else _frozen
    return replace(tell(level, stalls, lost), spans=tuple(stall.span for stall in stalls))


def _is_stall(stall: Stall, report: Report) -> bool:
    level, median = report.evidence.plateau.level, report.evidence.median_ns
    free = level - stall.left
    return (
        stall.length_ns > max(STALL_NS, median // 4)
        and stall.idle_ns <= SECOND
        and free >= max(2, level / 4)
        and stall.burst >= 0.6 * free
    )


def _batches(level: int, stalls: Sequence[Stall], lost: float) -> Finding:
    return Finding(
        "starved",
        Severity.WARN,
        f"{_times(len(stalls))} the client let all of its {level:,} requests finish before it sent "
        f"the next {round(statistics.median(stall.burst for stall in stalls)):,}; "
        f"{per_cent(lost)} of its slots' time went by empty.",
        "Start a new request as soon as one ends: a semaphore or a queue with workers, instead of "
        "batches. If the event loop was blocked meanwhile, move that work out of it.",
    )


def _frozen(level: int, stalls: Sequence[Stall], lost: float) -> Finding:
    free = level - round(statistics.median(stall.left for stall in stalls))
    pause_ns = round(statistics.median(stall.length_ns for stall in stalls))
    return Finding(
        "starved",
        Severity.WARN,
        f"{_times(len(stalls))} nothing was sent for about {length(pause_ns)}, with {free:,} of "
        f"{level:,} slots free in the end, and then all at once: the client was busy with "
        f"something else. {per_cent(lost)} of its slots' time went by empty.",
        "Move what blocks out of the event loop (to_thread, a process pool), or make it shorter.",
    )


# --- connections ---------------------------------------------------------------------------------


def connection_per_request(report: Report) -> Finding | None:
    """
    New connections although some were there to be used again.

    Counted are arrivals while a connection had been idle for 20 ms to 2 s: a wide fan-out rightly
    opens as many as it needs. Warns from 10 such chances of which at most 10 % were taken; up to
    80 % of at least 20, a note, for some clients keep only a few idle (Go: 2, httpx: 20). Not where
    clients hung up, for that is how they close connections.
    """
    reuse = report.evidence.reuse
    share = reuse.taken / reuse.chances if reuse.chances else 1.0
    missed = reuse.chances - reuse.taken
    if reuse.chances >= 10 and share <= 0.1:
        return Finding(
            "connection_per_request",
            Severity.WARN,
            f"{missed:,} of {reuse.chances:,} requests opened a new connection although one had "
            "been idle each time.",
            f"Create {_session(report)} and use it for all calls; read each reply to its end.",
            reuse.opened,
        )
    if reuse.chances >= 20 and share <= 0.8 and not report.cancellations.count:
        return Finding(
            "connection_per_request",
            Severity.NOTE,
            f"{missed:,} of {reuse.chances:,} requests opened a new connection although one had "
            "been idle: the client keeps only a few.",
            "Let its pool keep as many idle connections as you have requests in flight.",
            reuse.opened,
        )
    return None


def _session(report: Report) -> str:
    known = client(report.evidence.agent)
    return known.session if known else "one session (client)"


# --- who left, and what it cost ------------------------------------------------------------------


def client_timeout(report: Report) -> Finding | None:
    """
    Hang-ups of one age: the client's timeout.

    What makes an age is said in `timeouts.infer`. Warns from 5 hang-ups that are 1 % of all
    requests; fewer are noted from 3 on, and so are those which began together and ended the run,
    for a client that was stopped looks the same. To give up on `hang` or `stall` shows the age,
    and is no reason to warn.
    """
    timeout, left = inferred(report), report.cancellations.count  # without those who gave up
    if timeout is None or not timeout.is_timeout:
        return None
    sure = timeout.cause is Cause.TIMEOUT
    grave = sure and left >= 5 and left >= 0.01 * report.alone.count
    like_it = [one for one in report.evidence.hang_ups.shown if _has_age(one.age_ns, timeout)]
    ages = _between(*_bounds([one.age_ns for one in like_it]))
    longest = report.evidence.longest_ns
    outlasted = f"; the longest answer it waited for took {length(longest)}" if longest else ""
    return Finding(
        "client_timeout",
        Severity.WARN if grave else Severity.NOTE,
        f"{_hang_ups(len(like_it), report)} {ages} after asking{outlasted}. "
        f"{_timeout_words(timeout, report) if sure else _stopped_words(timeout)}",
        "Set a timeout that fits this backend's slowest answer, or accept that whatever is slower "
        f"than {_timeout_length(timeout)} fails.",
        tuple(one.span for one in like_it),
    )


def _hang_ups(like_it: int, report: Report) -> str:
    """Four in five make a timeout, so there may be others, and only the first 10,000 are known."""
    left, seen = report.evidence.hang_ups.left, len(report.evidence.hang_ups.shown)
    if like_it == left:
        return f"{left:,} times the client hung up"
    return f"The client hung up {left:,} times, {'at least ' * (seen < left)}{like_it:,} of them"


def _has_age(age_ns: int, timeout: Timeout) -> bool:
    """Whether it is in the window of four in five, or so near that it is of the same making."""
    near_ns = max(5 * MILLISECOND, timeout.low_ns // 50)
    return timeout.low_ns - near_ns <= age_ns <= timeout.high_ns + near_ns


def _bounds(values: Sequence[int]) -> tuple[int, int]:
    return min(values), max(values)


def _between(low_ns: int, high_ns: int) -> str:
    low, high = length(low_ns), length(high_ns)
    return f"about {low}" if low == high else f"between {low} and {high}"


def _timeout_length(timeout: Timeout) -> str:
    usual = timeout.usual_s
    return length(timeout.low_ns if usual is None else round(usual * SECOND))


def _timeout_words(timeout: Timeout, report: Report) -> str:
    known = client(report.evidence.agent)
    own = known.timeout_s if known else None
    whose = f", {known.name}'s default" if known and own and own == timeout.usual_s else ""
    return f"That looks like a timeout of {_timeout_length(timeout)}{whose}."


def _stopped_words(timeout: Timeout) -> str:
    return (
        "They had begun together and nothing came after, so this may be a timeout of "
        f"{_timeout_length(timeout)}, or a client that was stopped."
    )


def wasted_work(report: Report) -> Finding | None:
    """
    Work for clients that had left by the time it would have been done.

    Warns from 5 hang-ups, or keys sent twice, that took 10 % of all request seconds; 3 and 4 are
    noted, for they may be those of two or three impatient people. Hang-ups at the end of a run do
    not count, since a client that is stopped wastes nothing (with them, 70 % of good clients would
    be accused); losers of a race are cancelled by design, and noted.
    """
    hang_ups, doubled = report.evidence.hang_ups, report.retries.duplicates
    spent_ns = hang_ups.spent_ns + doubled.lost_ns
    count = hang_ups.counted + doubled.keys
    if count < 3 or spent_ns < 0.1 * report.alone.in_flight_ns:
        return None
    timeout = inferred(report)
    raced = timeout is not None and timeout.cause is Cause.RACE
    to_come = f" Another {length(hang_ups.to_come_ns)} were still to come." * (
        hang_ups.to_come_ns > 0
    )
    share = per_cent(spent_ns / report.alone.in_flight_ns)
    return Finding(
        "wasted_work",
        Severity.NOTE if raced or count < 5 else Severity.WARN,
        f"{share} of {length(report.alone.in_flight_ns)} in flight went to "
        f"{plural(count, 'request')} whose client had left, or had asked twice, by the time of "
        f"the answer.{to_come}"
        + (" A reply to another had just come each time: a race." if raced else ""),
        "Make the client's timeout longer than the slowest useful answer, or the work shorter."
        if not raced
        else "Start the second of a race later, so that the first has a chance to win alone.",
        hang_ups.examples or tuple(one.span for one in doubled.shown),
    )


# --- retries -------------------------------------------------------------------------------------


def retry_without_backoff(report: Report) -> Finding | None:
    """
    Attempts that follow each other at once, or at a short pause that never grows.

    Judged from the second retry on, for some (urllib3) send the first at once by design. Warns
    with 3 keys and 8 such pauses, of which 80 % are at most 22 ms (20 and the client's turnaround),
    or whose medians, and their middle halves, differ by less than 10 % and are at most 1.05 s;
    none of 18,000 simulated clients with a good policy came to that. A longer constant pause is
    noted, and so are retries of requests without a key, which are told by method and target.
    """
    retries = report.retries
    if not any(retry.asked_ns is None for retry in retries.sample):
        return None
    later = [one for one in retries.sample if one.number > 1 and one.asked_ns is None]
    if retries.keys < 3 or len(later) < 8:
        return _few_retries(report)
    gaps = [retry.gap_ns for retry in later]
    at_once = sum(gap <= AT_ONCE_NS for gap in gaps)
    if at_once >= 0.8 * len(gaps):
        slowest = max(gap for gap in gaps if gap <= AT_ONCE_NS)
        within = f"within {length(max(slowest, MILLISECOND))} of the failure"
        pace = f"{at_once:,} of {len(gaps):,} second and later retries came {within}"
        return _no_backoff(report, later, f"{pace}{_after(report)}.", grave=True)
    if (pause_ns := _constant_pause(later)) is None:
        return None
    pace = f"The pause before each retry was {length(pause_ns)}, however many had failed"
    return _no_backoff(report, later, f"{pace}.", grave=pause_ns <= CONSTANT_NS)


def _after(report: Report) -> str:
    return f", over {plural(report.retries.keys, 'request')} that had failed"


def _no_backoff(report: Report, retries: Sequence[Retry], sentence: str, *, grave: bool) -> Finding:
    known = client(report.evidence.agent)
    how = f" ({known.pause})" if known and known.pause else ""
    return Finding(
        "retry_without_backoff",
        _unless_guessed(retries, grave=grave),
        f"{sentence} A backend in trouble gets several times its load.{_guess(retries)}",
        f"Wait before trying again, and each time twice as long, with a random part{how}.",
        tuple(retry.span for retry in retries),
    )


def _constant_pause(retries: Sequence[Retry]) -> int | None:
    """The pause, when it is the same before every second and later retry; None when it is not."""
    numbers = {retry.number for retry in retries}
    medians = [_median(one.gap_ns for one in retries if one.number == n) for n in numbers]
    overall = _median(retry.gap_ns for retry in retries)
    quarter, _, three = statistics.quantiles((retry.gap_ns for retry in retries), n=4)
    if len(numbers) < 2 or overall <= 0 or max(medians) - min(medians) >= 0.1 * overall:
        return None
    return overall if three - quarter < 0.1 * overall else None


def _median(values: Iterable[int]) -> int:
    return round(statistics.median(values))


def _few_retries(report: Report) -> Finding:
    retries = report.retries
    firsts = all(retry.number == 1 for retry in retries.sample)
    known = "none of them a second one" if firsts else "too few to judge the pauses between them"
    count = "was 1 retry" if retries.count == 1 else f"were {retries.count:,} retries"
    return Finding(
        "retry_without_backoff",
        Severity.NOTE,
        f"There {count} of {plural(retries.keys, 'request')}, {known}.{_guess(retries.sample)}",
        "To have the pauses judged, let three requests fail four times each (fail=4), and name "
        "them (key=...).",
        retries.spans,
    )


def retry_in_lockstep(report: Report) -> Finding | None:
    """
    Requests that failed together and come back together.

    Looked at are groups of at least 5 that failed within 50 ms. One is in step when its pauses,
    from the tenth in a hundred to the ninetieth, lie within 15 ms or 3 % of the median, which is
    more than 0.1 s: the smallest jitter in use, +-10 %, spreads them further. Warns when 60 % of
    the groups are in step and there are two of these, or 10 retries in them. Where Retry-After
    told all of them the same moment, a note.
    """
    groups = list(_groups(report.retries.sample))
    steps = [group for group in groups if _in_step(group)]
    together = [retry for group in steps for retry in group]
    if not steps or len(steps) < 0.6 * len(groups) or (len(steps) < 2 and len(together) < 10):
        return None
    told = sum(retry.asked_ns is not None for retry in together) > len(together) / 2
    largest = max(steps, key=len)
    back = [retry.failed_ns + retry.gap_ns for retry in largest]
    told_words = " Retry-After told all of them the same moment." if told else ""
    return Finding(
        "retry_in_lockstep",
        _unless_guessed(together, grave=not told),
        f"{len(largest):,} requests failed together and came back together, "
        f"{length(_median(retry.gap_ns for retry in largest))} later, within "
        f"{length(max(back) - min(back))} of each other; "
        f"{_times(len(steps)).lower()} in all. The load comes back as one blow."
        f"{told_words}{_guess(together)}",
        "Add jitter: wait a random time between 0 and the doubled pause"
        + (", on top of what Retry-After says." if told else "."),
        tuple(retry.span for retry in together),
    )


def _groups(retries: Sequence[Retry]) -> Iterator[list[Retry]]:
    """Those that failed within 50 ms of the first of them, for the same time; 5 at least."""
    group: list[Retry] = []
    for retry in sorted(retries, key=lambda one: (one.number, one.failed_ns)):
        if group and not _belongs(retry, group[0]):
            if len(group) >= 5:
                yield group
            group = []
        group.append(retry)
    if len(group) >= 5:
        yield group


def _belongs(retry: Retry, first: Retry) -> bool:
    return retry.number == first.number and retry.failed_ns - first.failed_ns <= TOGETHER_NS


def _in_step(group: Sequence[Retry]) -> bool:
    gaps = sorted(retry.gap_ns for retry in group)
    last = len(gaps) - 1
    spread = gaps[round(0.9 * last)] - gaps[round(0.1 * last)]
    median = _median(gaps)
    return median > 100 * MILLISECOND and spread <= max(15 * MILLISECOND, 0.03 * median)


def retry_after_ignored(report: Report) -> Finding | None:
    """
    Attempts that came before the moment that `Retry-After` asked them to wait for.

    Early is less than 98 % of it less 20 ms: one clock has both ends of the pause, and a network
    can only lengthen it, so this is no statistics but proof. Warns from two; one is noted.
    """
    retries = report.retries
    if not retries.early_count:
        return None
    # Only the first are known one by one: one of these is told of, for no range would be true.
    example = max(retries.early, key=lambda retry: retry.early_ns)
    count, of = retries.early_count, retries.early_count + retries.obeyed
    asked = "The one retry" if of == 1 else f"{count:,} of the {of:,} retries"
    return Finding(
        "retry_after_ignored",
        _unless_guessed(retries.early, grave=count > 1),
        f"{asked} that Retry-After asked to wait came too early, "
        f"{'one of them ' * (count > 1)}after {length(max(example.gap_ns, 0))} instead of "
        f"{length(example.asked_ns or 0)}.{_guess(retries.early)}",
        "Wait at least as long as the header says (urllib3, curl and go-retryablehttp do so by "
        "themselves; aiohttp-retry and Scrapy do not).",
        tuple(retry.span for retry in retries.early),
    )


def duplicate_in_flight(report: Report) -> Finding | None:
    """
    A key that is sent again while its earlier attempt is still worked on.

    Both must be in flight for more than 250 ms: below that, a hang-up that was noticed late
    explains it (29 % of good clients would be accused at 0 ms, none at 250). Warns from two keys;
    one is noted. Silent where a key has ten attempts on average: that is no name of one request.
    """
    retries, doubled = report.retries, report.retries.duplicates
    if not doubled.keys or retries.count > 10 * (retries.keys + retries.single):
        return None
    first = doubled.shown[0]
    in_all = f"; {doubled.keys:,} keys in all" if doubled.keys > 1 else ""
    return Finding(
        "duplicate_in_flight",
        Severity.WARN if doubled.keys > 1 else Severity.NOTE,
        f"Key {printable(first.key, LONGEST_KEY)} was sent again {length(first.after_ns)} after "
        f"the first, which was still being worked on, and both were for another "
        f"{length(first.overlap_ns)}{in_all}. The backend did the work twice.",
        "Cancel the first before sending the second, or make the timeout longer than the work "
        "takes, or let the backend know the second by its key.",
        tuple(one.span for one in doubled.shown),
    )


# --- words and figures ---------------------------------------------------------------------------


def _refused(report: Report) -> bool:
    """Whether the server held the client back."""
    return any(
        reply.outcome is Outcome.REJECTED and reply.status in SERVERS_REFUSALS
        for reply in _requests_ends(report)
    )


def _failures(report: Report) -> float:
    """The share of requests that did not get a good reply."""
    good = sum(
        reply.count
        for reply in _requests_ends(report)
        if reply.outcome in (Outcome.COMPLETED, Outcome.IN_FLIGHT) and (reply.status or 0) < 400
    )
    return 1 - good / report.alone.count if report.alone.count else 0.0


def _requests_ends(report: Report) -> list[Reply]:
    return [reply for reply in report.replies if reply.kind is Kind.HTTP]


def _unless_guessed(retries: Sequence[Retry], *, grave: bool) -> Severity:
    guessed = any(retry.guessed for retry in retries)
    return Severity.WARN if grave and not guessed else Severity.NOTE


def _guess(retries: Sequence[Retry]) -> str:
    if not any(retry.guessed for retry in retries):
        return ""
    return " (No key named them: they are told by method and target.)"


def _times(count: int) -> str:
    few = ("No time", "Once", "Twice", "Three times", "Four times", "Five times", "Six times")
    return few[count] if count < len(few) else f"{count:,} times"


FINDERS: dict[str, Callable[[Report], Finding | None]] = {
    finder.__name__: finder
    for finder in (
        sequential,
        concurrency_plateau,
        unbounded,
        starved,
        connection_per_request,
        client_timeout,
        retry_without_backoff,
        retry_in_lockstep,
        retry_after_ignored,
        duplicate_in_flight,
        wasted_work,
    )
}
CODES = tuple(FINDERS)

# What the one finding says, the other would only say again, and worse: unless it is but a note.
HIDES = {
    "sequential": "starved",
    "starved": "concurrency_plateau",
    "retry_without_backoff": "retry_in_lockstep",
}
