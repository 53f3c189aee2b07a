"""Whose turn it is: bounds over all jobs, turns of jobs and hosts, and nothing lost or twice."""

from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from app.titles import schedule as schedule_module
from app.titles.breaker import FAILURES, GIVEN_UP_NS, PAUSES_NS
from app.titles.options import SECOND, Options
from app.titles.results import Code, Failure
from app.titles.schedule import WHILE_TRYING_NS, Away, Item, Schedule

SILENCE = Failure(Code.TIMEOUT, "no answer within 10 s")


def items(host: str, count: int, *, job: int = 1, first: int = 0) -> list[Item]:
    """So many items of a host."""
    return [
        Item(job, first + number, f"http://{host}/{number}", host, first) for number in range(count)
    ]


def running(*options: Options, most: int = 200) -> Schedule:
    """A schedule with jobs 1, 2 and so on of those options."""
    schedule = Schedule(most=most)
    for job, each in enumerate(options or (Options(),), start=1):
        schedule.begin(job, each)
    return schedule


def take_all(schedule: Schedule, now_ns: int = 0) -> list[Item]:
    """Everything that may begin now."""
    taken = []
    while item := schedule.take(now_ns):
        taken.append(item)
    return taken


def hosts(taken: Iterable[Item]) -> Counter[str]:
    return Counter(item.host for item in taken)


# --- turns and bounds ----------------------------------------------------------------------------


def test_hosts_take_turns() -> None:
    """A host with many pages has one turn in each round, like one with few."""
    schedule = running()
    schedule.add([*items("a", 5), *items("b", 2, first=10), *items("c", 2, first=20)], 0)

    assert ["a", "b", "c", "a", "b", "c", "a", "a", "a"] == [
        item.host for item in take_all(schedule)
    ]


def test_pages_of_a_host_come_in_their_order() -> None:
    """So the first URLs of a list have the first results."""
    schedule = running()
    schedule.add(items("a", 6), 0)

    assert list(range(6)) == [item.position for item in take_all(schedule)]


def test_a_host_that_never_answers_keeps_nobody_waiting() -> None:
    """Its pages take the places of that host alone."""
    schedule = running(Options(concurrency=10, per_host=3))
    schedule.add([*items("slow", 50), *items("quick", 50, first=100)], 0)
    slow = quick = 0
    for item in take_all(schedule):
        slow += item.host == "slow"
        if item.host == "quick":
            quick += 1
            schedule.settle(item, 0)
    while (after := schedule.take(0)) is not None:
        quick += 1
        schedule.settle(after, 0)

    assert (3, 50) == (slow, quick)


def test_a_job_keeps_to_its_concurrency() -> None:
    """However many hosts it has."""
    schedule = running(Options(concurrency=4))
    schedule.add([item for n in range(9) for item in items(f"h{n}", 3, first=10 * n)], 0)

    assert 4 == len(take_all(schedule))


def test_all_jobs_together_keep_to_the_bound() -> None:
    """Four jobs of 200 do not make 800."""
    schedule = running(Options(), Options(), most=7)
    for job in (1, 2):
        schedule.add([i for n in range(20) for i in items(f"{job}{n}", 1, job=job, first=n)], 0)

    taken = take_all(schedule)

    assert {1: 4, 2: 3} == Counter(item.job for item in taken)


def test_a_host_gets_no_more_than_the_politest_of_its_jobs_allows() -> None:
    """Who asked for two at once is not outvoted by others; the other hosts don't notice."""
    schedule = running(Options(per_host=6), Options(per_host=2))
    schedule.add([*items("shared", 9), *items("own", 9, first=50)], 0)
    schedule.add(items("shared", 9, job=2), 0)

    assert {"shared": 2, "own": 6} == hosts(take_all(schedule))


def test_jobs_share_a_host_fairly() -> None:
    """Whose job came later is served as often."""
    schedule = running(Options(per_host=1), Options(per_host=1))
    for job in (1, 2):
        schedule.add(items("h", 10, job=job), 0)
    order = []
    for _ in range(6):
        item = schedule.take(0)
        assert item is not None
        order.append(item.job)
        schedule.settle(item, 0)

    assert [1, 2, 1, 2, 1, 2] == order


def test_when_the_politest_job_ends_the_others_get_more() -> None:
    """Nothing has to happen at the host for that."""
    schedule = running(Options(per_host=3), Options(per_host=1))
    schedule.add(items("h", 5), 0)
    schedule.add(items("h", 5, job=2), 0)
    first = take_all(schedule)
    assert 1 == len(first)

    left = schedule.end(2, 0)

    assert 5 == len(left) + sum(item.job == 2 for item in first)
    assert 3 == len(first) + len(take_all(schedule))


def test_what_is_under_way_of_an_ended_job_still_counts() -> None:
    """It is there, whoever wanted it."""
    schedule = running(Options(per_host=2), Options(per_host=2))
    schedule.add(items("h", 2), 0)
    under_way = take_all(schedule)
    schedule.end(1, 0)
    schedule.add(items("h", 2, job=2), 0)
    assert [] == take_all(schedule)

    for item in under_way:
        schedule.abandon(item, 0)

    assert 2 == len(take_all(schedule))


# --- patience ------------------------------------------------------------------------------------


def test_what_is_ready_of_a_held_host_goes_away_until_then() -> None:
    """It would only take the place of others."""
    schedule = running()
    ready = items("busy", 3)
    schedule.add([*ready, *items("other", 1, first=10)], 0)

    away = schedule.hold("busy", 5 * SECOND, 0)

    assert [Away(item, 5 * SECOND) for item in ready] == away
    assert {"other": 1} == hosts(take_all(schedule))


def test_what_comes_to_a_held_host_goes_away_too() -> None:
    """And may come back when the time is over, not a moment earlier."""
    schedule = running()
    schedule.hold("busy", 5 * SECOND, 0)
    [item] = items("busy", 1)

    assert [Away(item, 5 * SECOND)] == schedule.add([item], 5 * SECOND - 1)
    assert [] == schedule.add([item], 5 * SECOND)


def test_the_longer_hold_counts() -> None:
    """A second answer that asks for less does not shorten the first."""
    schedule = running()
    schedule.hold("busy", 9 * SECOND, 0)
    schedule.hold("busy", 5 * SECOND, 0)
    [item] = items("busy", 1)

    assert [Away(item, 9 * SECOND)] == schedule.add([item], 6 * SECOND)


# --- hosts that fail -----------------------------------------------------------------------------


def break_down(schedule: Schedule, now_ns: int, host: str = "dead", count: int = FAILURES) -> None:
    """Let so many items of the host fail, one after the other."""
    for item in items(host, count, first=1_000):
        assert [] == schedule.add([item], now_ns)
        taken = schedule.take(now_ns)
        assert taken == item
        schedule.settle(taken, now_ns, SILENCE)


def test_a_host_that_fails_again_and_again_is_left_alone() -> None:
    """What is to come waits for the end of the pause."""
    schedule = running()
    break_down(schedule, 0)
    [item] = items("dead", 1)

    assert [Away(item, PAUSES_NS[0])] == schedule.add([item], 1)


def test_what_was_ready_when_a_host_broke_down_waits_too() -> None:
    """Nothing begins any more."""
    schedule = running(Options(per_host=1))
    break_down(schedule, 0, count=FAILURES - 1)
    last, *others = items("dead", 4)
    schedule.add([last, *others], 0)
    assert last == schedule.take(0)

    away = schedule.settle(last, 0, SILENCE)

    assert [Away(item, PAUSES_NS[0]) for item in others] == away
    assert schedule.take(0) is None


def test_a_single_answer_forgives_all_failures() -> None:
    """A host with one bad page in ten is a good host."""
    schedule = running()
    break_down(schedule, 0, count=FAILURES - 1)
    [item] = items("dead", 1)
    schedule.add([item], 0)
    schedule.take(0)
    schedule.settle(item, 0)
    break_down(schedule, 0, count=FAILURES - 1)

    assert [] == schedule.add(items("dead", 1), 0)


def test_after_the_pause_one_page_is_tried() -> None:
    """The others come a while later, whatever becomes of it."""
    schedule = running()
    break_down(schedule, 0)
    first, second = items("dead", 2)
    now_ns = PAUSES_NS[0]

    assert [Away(second, now_ns + WHILE_TRYING_NS)] == schedule.add([first, second], now_ns)
    assert [first] == take_all(schedule, now_ns)
    assert [] == schedule.settle(first, now_ns)
    assert [] == schedule.add(items("dead", 9), now_ns)
    assert 6 == len(take_all(schedule, now_ns))


def fail_tries(schedule: Schedule) -> int:
    """Let every try fail; the moment when the host is given up."""
    now_ns = 0
    break_down(schedule, now_ns)
    for pause_ns in PAUSES_NS:
        now_ns += pause_ns
        break_down(schedule, now_ns, count=1)
    return now_ns


def test_a_host_whose_tries_all_fail_is_given_up_and_its_pages_say_so() -> None:
    """They fail at once with the code of the last failure, and are never skipped in silence."""
    schedule = running()
    now_ns = fail_tries(schedule)
    [item] = items("dead", 1)

    [away] = schedule.add([item], now_ns)

    assert item == away.item
    assert away.failure == Failure(
        Code.TIMEOUT,
        "not fetched, for dead failed 13 times in a row, at last: no answer within 10 s; retry "
        "when it is well again",
    )


def test_a_host_that_was_given_up_is_tried_again_after_a_while() -> None:
    """It may be well again, and then all is forgiven."""
    schedule = running()
    now_ns = fail_tries(schedule) + GIVEN_UP_NS
    first, second = items("dead", 2)

    [waits] = schedule.add([first, second], now_ns)

    assert (second, None) == (waits.item, waits.failure)
    assert [first] == take_all(schedule, now_ns)
    schedule.settle(first, now_ns)
    assert [] == schedule.add(items("dead", 9), now_ns)


def test_pages_that_were_under_way_when_a_host_broke_down_do_not_lengthen_the_pause() -> None:
    """They tell nothing new."""
    schedule = running(Options(per_host=10))
    late = items("dead", 5, first=500)
    schedule.add(late, 0)
    assert 5 == len(take_all(schedule))
    break_down(schedule, 0)
    for item in late:
        schedule.settle(item, 1, SILENCE)

    assert [] == schedule.add(items("dead", 1), PAUSES_NS[0])


def test_an_interrupted_page_says_nothing_about_its_host() -> None:
    """Neither good nor bad."""
    schedule = running()
    break_down(schedule, 0, count=FAILURES - 1)
    [item] = items("dead", 1)
    schedule.add([item], 0)
    schedule.take(0)
    schedule.abandon(item, 0)
    break_down(schedule, 0, count=1)

    assert [Away(item, PAUSES_NS[0])] == schedule.add([item], 0)


def test_hosts_of_which_nothing_is_known_are_forgotten() -> None:
    """A hundred thousand hosts leave nothing behind; those that failed do, up to a limit."""
    schedule = running()
    for number in range(100):
        [item] = items(f"h{number}", 1)
        schedule.add([item], 0)
        schedule.take(0)
        schedule.settle(item, 0)

    assert {} == schedule._hosts


def test_memory_of_hosts_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the limit those met first are forgotten, but never one with pages."""
    monkeypatch.setattr(schedule_module, "MOST_HOSTS", 10)
    schedule = running()
    schedule.add(items("kept", 1), 0)
    for number in range(50):
        schedule.hold(f"h{number}", SECOND, 0)

    assert "kept" in schedule._hosts
    assert "h49" in schedule._hosts
    assert len(schedule._hosts) <= 10


# --- everything at once --------------------------------------------------------------------------


class Life(RuleBasedStateMachine):
    """Jobs come and go, hosts answer, ask for patience, fail; whatever comes in comes out once."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ns = 0
        self.most = 7
        self.schedule = Schedule(most=self.most)
        self.options: dict[int, Options] = {}
        self.inside: set[Item] = set()
        self.under_way: list[Item] = []
        self.numbers = 0

    def came_out(self, aways: Iterable[Away]) -> None:
        for away in aways:
            self.inside.remove(away.item)
            assert away.failure is not None or away.until_ns > self.now_ns

    @precondition(lambda self: len(self.options) < 4)
    @rule(concurrency=st.integers(1, 5), per_host=st.integers(1, 4))
    def begin(self, concurrency: int, per_host: int) -> None:
        self.numbers += 1
        self.options[self.numbers] = Options(concurrency=concurrency, per_host=per_host)
        self.schedule.begin(self.numbers, self.options[self.numbers])

    @precondition(lambda self: self.options)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(sorted(self.options)))
        del self.options[job]
        for item in self.schedule.end(job, self.now_ns):
            self.inside.remove(item)

    @precondition(lambda self: self.options)
    @rule(data=st.data(), host=st.sampled_from("abc"), count=st.integers(1, 8))
    def add(self, data: st.DataObject, host: str, count: int) -> None:
        job = data.draw(st.sampled_from(sorted(self.options)))
        new = items(host, count, job=job, first=self.numbers)
        self.numbers += count
        self.inside |= set(new)
        self.came_out(self.schedule.add(new, self.now_ns))

    @rule(count=st.integers(1, 10))
    def take(self, count: int) -> None:
        for _ in range(count):
            item = self.schedule.take(self.now_ns)
            if item is None:
                self.check_nobody_is_kept_waiting()
                break
            self.inside.remove(item)
            self.under_way.append(item)
            self.check_bounds(item)

    def check_bounds(self, started: Item) -> None:
        """Nothing begins past a bound; a bound that fell later binds those who begin later."""
        assert len(self.under_way) <= self.most
        job = [item for item in self.under_way if item.job == started.job]
        assert len(job) <= self.options[started.job].concurrency
        host = [item for item in self.under_way if item.host == started.host]
        assert len(host) <= self.bound(started.host, started.job)

    def bound(self, host: str, job: int) -> int:
        wanted = {item.job for item in (*self.inside, *self.under_way) if item.host == host}
        return min(self.options[each].per_host for each in wanted & self.options.keys() | {job})

    def check_nobody_is_kept_waiting(self) -> None:
        """Nothing that could begin is left: so no host and no job starves another."""
        if len(self.under_way) >= self.most:
            return
        for item in self.inside:
            of_job = [other for other in self.under_way if other.job == item.job]
            of_host = [other for other in self.under_way if other.host == item.host]
            failing = self.schedule._hosts[item.host].breaker.failures >= FAILURES
            room = 1 if failing else self.bound(item.host, item.job)
            assert len(of_job) >= self.options[item.job].concurrency or len(of_host) >= room

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), how=st.sampled_from(["answer", "answer", "fail", "fail", "abandon"]))
    def land(self, data: st.DataObject, how: str) -> None:
        place = data.draw(st.integers(0, len(self.under_way) - 1))
        item = self.under_way.pop(place)
        if how == "abandon":
            self.came_out(self.schedule.abandon(item, self.now_ns))
        else:
            failure = SILENCE if how == "fail" else None
            self.came_out(self.schedule.settle(item, self.now_ns, failure))

    @rule(host=st.sampled_from("abc"), seconds=st.integers(1, 20))
    def hold(self, host: str, seconds: int) -> None:
        until_ns = self.now_ns + seconds * SECOND
        self.came_out(self.schedule.hold(host, until_ns, self.now_ns))

    @rule(seconds=st.integers(1, 40))
    def pass_time(self, seconds: int) -> None:
        self.now_ns += seconds * SECOND

    @invariant()
    def what_came_in_is_still_there(self) -> None:
        inside = [
            item
            for host in self.schedule._hosts.values()
            for ready in host.ready.values()
            for item in ready
        ]
        assert len(inside) == len(set(inside))
        assert self.inside == set(inside)
        assert len(self.under_way) == self.schedule.under_way


TestLife = Life.TestCase
