"""Runs by name, those who name none, and what becomes of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Problem
from app.grammar import run_name
from app.runs import Run, Runs, dismiss_all
from tests.fakes import BEGIN, SECOND, make_runs

GAP = 10 * SECOND


def stored(name: str, *, created_ns: int = BEGIN, last_arrival_ns: int | None = None) -> Run:
    """A run as an earlier boot left it."""
    run = Run(name, created_ns=created_ns, max_keys=10)
    run.last_arrival_ns = last_arrival_ns
    return run


def names(runs: Runs) -> list[str]:
    return [run.name for run in runs]


class Waiter:
    """A request that waits, and leaves its run when dismissed."""

    def __init__(self, run: Run) -> None:
        self.problems: list[Problem] = []
        self._run = run
        run.waiting.add(self)

    def dismiss(self, problem: Problem) -> None:
        self.problems.append(problem)
        self._run.waiting.discard(self)


# --- named runs ----------------------------------------------------------------------------------


def test_a_named_run_is_made_once_and_found_again() -> None:
    """The same name is the same run."""
    runs = make_runs()

    run = runs.named("ci", BEGIN)

    assert run is runs.named("ci", BEGIN + SECOND)
    assert run is runs.get("ci")
    assert run is runs.expect("ci")
    assert BEGIN == run.created_ns
    assert 1 == len(runs)


def test_an_unknown_run_is_none_or_a_404() -> None:
    """`expect` is for those who need one, and says where to look."""
    runs = make_runs()
    runs.named("somebody", BEGIN)

    assert runs.get("nobody") is None
    with pytest.raises(Problem) as caught:
        runs.expect("nobody")
    assert (404, "unknown-run") == (caught.value.status, caught.value.code)
    assert "there is no run 'nobody'; GET /runs lists them" == str(caught.value)


def test_a_new_run_has_counted_nothing() -> None:
    """All counts begin at zero."""
    run = make_runs().named("ci", BEGIN)

    assert (0, 0, 0, None, None, set(), False) == (
        run.arrived,
        run.dropped,
        run.in_flight,
        run.last_arrival_ns,
        run.last_end_ns,
        run.waiting,
        run.deleted,
    )
    assert "<Run ci: 0 arrived, 0 in flight>" == repr(run)


def test_arrivals_and_ends_are_counted() -> None:
    """What arrived stays counted, what ended is no longer in flight."""
    runs = make_runs()
    run = runs.named("ci", BEGIN)

    runs.arrived(run, BEGIN + 1)
    runs.arrived(run, BEGIN + 2)
    runs.ended(run, BEGIN + 3)

    assert (2, 1, BEGIN + 2, BEGIN + 3) == (
        run.arrived,
        run.in_flight,
        run.last_arrival_ns,
        run.last_end_ns,
    )


def test_latest_is_the_run_with_the_newest_arrival() -> None:
    """Not the newest made: an old run that is used again is the latest."""
    runs = make_runs()
    old, new = runs.named("old", BEGIN), runs.named("new", BEGIN)
    runs.arrived(old, BEGIN + 1)
    runs.arrived(new, BEGIN + 2)
    assert new is runs.get("latest")

    runs.arrived(old, BEGIN + 3)

    assert old is runs.get("latest")
    assert old is runs.expect("latest")
    assert ["old", "new"] == names(runs)


def test_a_run_without_an_arrival_is_not_the_latest() -> None:
    """It was made last and stands first in the list, but nothing has come to it yet."""
    runs = make_runs()
    used = runs.named("used", BEGIN)
    runs.arrived(used, BEGIN + 1)
    runs.fresh("made", BEGIN + 2)
    runs.fresh("made", BEGIN + 3)

    assert used is runs.expect("latest")
    assert ["made-2", "made-1", "used"] == names(runs)


@pytest.mark.parametrize("made", [0, 1])
def test_there_is_no_latest_before_the_first_arrival(made: int) -> None:
    """However many runs were made."""
    runs = make_runs()
    for _ in range(made):
        runs.fresh("made", BEGIN)

    assert runs.get("latest") is None
    with pytest.raises(Problem):
        runs.expect("latest")


@pytest.mark.parametrize(("count", "expected"), [(0, []), (2, ["c", "b"]), (9, ["c", "b", "a"])])
def test_the_newest_runs_come_first(count: int, expected: list[str]) -> None:
    """As many as asked for, or all."""
    runs = make_runs()
    for name in "abc":
        runs.arrived(runs.named(name, BEGIN), BEGIN)

    assert expected == [run.name for run in runs.newest(count)]


def test_runs_may_not_come_or_go_while_one_looks_at_them() -> None:
    """Nobody who looks at the first few gets a copy of ten thousand."""
    runs = make_runs()
    for name in "abc":
        runs.named(name, BEGIN)

    looking = iter(runs)
    runs.delete(next(looking))

    with pytest.raises(RuntimeError):
        next(looking)


# --- those who name none -------------------------------------------------------------------------


def visit(runs: Runs, arrival_ns: int, end_ns: int) -> Run:
    run = runs.unnamed(arrival_ns)
    runs.arrived(run, arrival_ns)
    runs.ended(run, end_ns)
    return run


@pytest.mark.parametrize(
    ("pause_ns", "expected"), [(0, "default-1"), (GAP - 1, "default-1"), (GAP, "default-2")]
)
def test_a_new_default_run_begins_after_the_idle_gap(pause_ns: int, expected: str) -> None:
    """The gap is measured from the last end, to the nanosecond."""
    runs = make_runs()
    visit(runs, BEGIN, BEGIN + SECOND)

    assert expected == runs.unnamed(BEGIN + SECOND + pause_ns).name


def test_no_new_default_run_begins_while_something_is_in_flight() -> None:
    """However long ago the last end was."""
    runs = make_runs()
    run = runs.unnamed(BEGIN)
    runs.arrived(run, BEGIN)
    visit(runs, BEGIN, BEGIN)

    assert run is runs.unnamed(BEGIN + 100 * GAP)


def test_the_first_default_run_waits_for_its_first_request() -> None:
    """Without an end there is no gap."""
    runs = make_runs()
    run = runs.unnamed(BEGIN)

    assert run is runs.unnamed(BEGIN + 100 * GAP)


def test_traffic_in_named_runs_does_not_bridge_the_gap() -> None:
    """Only what is unnamed counts."""
    runs = make_runs()
    visit(runs, BEGIN, BEGIN)
    runs.arrived(runs.named("ci", BEGIN), BEGIN + GAP - 1)

    assert "default-2" == runs.unnamed(BEGIN + GAP).name


def test_a_deleted_default_run_is_followed_by_a_new_one_at_once() -> None:
    """Its number is not given again."""
    runs = make_runs()
    runs.delete(visit(runs, BEGIN, BEGIN))

    assert "default-2" == runs.unnamed(BEGIN).name


def test_with_a_default_run_of_ones_own_there_is_no_splitting() -> None:
    """`default_run` names where the unnamed go, gap or no gap."""
    runs = make_runs(unnamed="mine")
    first = visit(runs, BEGIN, BEGIN)

    second = visit(runs, BEGIN + 100 * GAP, BEGIN + 100 * GAP)

    assert first is second
    assert ["mine"] == names(runs)


@given(
    st.lists(
        st.tuples(st.integers(0, 3 * GAP), st.one_of(st.just(0), st.integers(0, 3 * GAP))),
        min_size=1,
    )
)
def test_default_runs_split_exactly_at_the_idle_gaps(visits: list[tuple[int, int]]) -> None:
    """A new one for each arrival that comes a gap or more after the last end of all before it."""
    arrivals = [BEGIN + sum(pause for pause, _ in visits[: i + 1]) for i in range(len(visits))]
    ends = [at + length for at, (_, length) in zip(arrivals, visits, strict=True)]
    numbers = [1]
    for place in range(1, len(visits)):
        numbers.append(numbers[-1] + (arrivals[place] - max(ends[:place]) >= GAP))

    runs, flying, given_names = make_runs(), list[tuple[int, Run]](), list[str]()
    for arrival, end in zip(arrivals, ends, strict=True):
        for flight in sorted(flying, key=lambda flight: flight[0]):
            if flight[0] <= arrival:
                flying.remove(flight)
                runs.ended(flight[1], flight[0])
        run = runs.unnamed(arrival)
        runs.arrived(run, arrival)
        flying.append((end, run))
        given_names.append(run.name)

    assert [f"default-{number}" for number in numbers] == given_names


# --- fresh names ---------------------------------------------------------------------------------


def test_fresh_names_are_numbered_by_prefix() -> None:
    """`ci-1`, `ci-2`, and each prefix for itself."""
    runs = make_runs()

    fresh = [runs.fresh(prefix, BEGIN).name for prefix in ("ci", "ci", "run", "ci-1")]

    assert ["ci-1", "ci-2", "run-1", "ci-1-1"] == fresh


def test_a_fresh_name_is_never_one_that_a_client_took() -> None:
    """Numbers in use are stepped over."""
    runs = make_runs()
    taken = [runs.named(f"ci-{number}", BEGIN) for number in (1, 2, 4)]

    fresh = [runs.fresh("ci", BEGIN) for _ in range(2)]

    assert ["ci-3", "ci-5"] == [run.name for run in fresh]
    assert not set(taken) & set(fresh)


def test_a_fresh_name_is_never_given_again() -> None:
    """Also when its run was deleted or forgotten: somebody may still have its address."""
    runs = make_runs()
    runs.delete(runs.fresh("ci", BEGIN))
    runs.forget(runs.fresh("ci", BEGIN).name)

    assert "ci-3" == runs.fresh("ci", BEGIN).name


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (["ci-7"], "ci-8"),
        (["ci-9", "ci-10", "ci-2"], "ci-11"),
        (["ci-007"], "ci-8"),
        (["ci-x", "ci", "ci-", "other-5", "ci-٣", "ci-²"], "ci-1"),
        (["7"], "ci-1"),
        (["ci-999999999"], "ci-1000000000"),
        (["ci-1000000000"], "ci-1"),
    ],
)
def test_fresh_names_go_on_where_an_earlier_boot_left_off(left: list[str], expected: str) -> None:
    """Runs of all boots stand side by side in the list."""
    runs = make_runs()
    runs.restore(map(stored, left))

    assert expected == runs.fresh("ci", BEGIN).name


def test_a_clients_enormous_number_does_not_spoil_the_default_names() -> None:
    """Whatever clients name their runs, the names we give are names that can be asked for."""
    runs = make_runs()
    runs.restore([stored("default-" + "9" * 56)])

    name = runs.unnamed(BEGIN).name

    assert name == run_name(name)


@given(
    left=st.lists(st.from_regex(r"(a|default|a-1)-[0-9]{1,3}", fullmatch=True), unique=True),
    asked=st.lists(st.sampled_from(["a", "default", "a-1"]), max_size=20),
)
def test_fresh_names_never_collide(left: list[str], asked: list[str]) -> None:
    """Neither with each other nor with what an earlier boot left."""
    runs = make_runs(most=1000)
    runs.restore(map(stored, left))

    fresh = [runs.fresh(prefix, BEGIN).name for prefix in asked]

    assert len(left) + len(asked) == len({*left, *fresh}) == len(runs)


def test_restored_runs_stand_in_order_of_their_newest_arrival() -> None:
    """In whatever order they are given; one that nothing ever came to stands where it was made."""
    runs = make_runs()
    runs.restore(
        [
            stored("used", created_ns=BEGIN, last_arrival_ns=BEGIN + 3),
            stored("empty", created_ns=BEGIN + 2),
            stored("old", created_ns=BEGIN, last_arrival_ns=BEGIN + 1),
        ]
    )

    assert ["used", "empty", "old"] == names(runs)
    assert "used" == runs.expect("latest").name


def test_a_default_run_of_an_earlier_boot_is_not_continued() -> None:
    """The gap between two boots is a gap."""
    runs = make_runs()
    runs.restore([stored("default-3")])

    assert "default-4" == runs.unnamed(BEGIN).name


# --- the end of runs -----------------------------------------------------------------------------


def test_deleting_a_run_answers_what_waits_in_it_alone() -> None:
    """503 with the run's name; other runs go on."""
    runs = make_runs()
    run, other = runs.named("ci", BEGIN), runs.named("other", BEGIN)
    waiters, bystander = [Waiter(run), Waiter(run)], Waiter(other)

    runs.delete(run)

    for waiter in waiters:
        (problem,) = waiter.problems
        assert (503, "run-deleted") == (problem.status, problem.code)
        assert "the run ci was deleted; start anew" == problem.detail
    assert [] == bystander.problems
    assert set() == run.waiting
    assert ["other"] == names(runs)


def test_the_same_name_begins_anew_after_deletion() -> None:
    """Ordinals and attempts from the beginning, counts at zero."""
    runs = make_runs()
    old = runs.named("ci", BEGIN)
    runs.arrived(old, BEGIN)
    old.gate.ordinal(1)
    old.gate.attempt("k")
    runs.delete(old)

    new = runs.named("ci", BEGIN + SECOND)

    assert (True, False) == (old.deleted, new.deleted)
    assert (0, 0) == (new.arrived, new.in_flight)
    assert (0, 1) == (new.gate.ordinal(1), new.gate.attempt("k"))


def test_what_ends_in_a_deleted_run_is_not_counted_in_its_namesake() -> None:
    """The two have nothing but the name in common."""
    runs = make_runs()
    old = runs.named("ci", BEGIN)
    runs.arrived(old, BEGIN)
    runs.delete(old)
    new = runs.named("ci", BEGIN)

    runs.ended(old, BEGIN + 1)

    assert (0, 0) == (old.in_flight, new.in_flight)
    assert new.last_end_ns is None


def test_a_late_arrival_in_a_deleted_run_does_not_bring_it_back() -> None:
    """Who held on to it is counted there and nowhere else."""
    runs = make_runs()
    run = runs.named("ci", BEGIN)
    runs.delete(run)

    runs.arrived(run, BEGIN)

    assert 1 == run.in_flight
    assert 0 == len(runs)


def test_at_most_so_many_runs_are_kept_and_the_longest_idle_one_leaves() -> None:
    """The newest arrival counts, not the making; whoever wants to know is told."""
    forgotten: list[str] = []
    runs = Runs(
        idle_gap_ns=GAP, max_keys=10, most=2, on_forgotten=lambda run: forgotten.append(run.name)
    )
    old, idle = runs.named("old", BEGIN), runs.named("idle", BEGIN)
    runs.arrived(old, BEGIN + 1)
    runs.ended(old, BEGIN + 2)

    runs.named("new", BEGIN + 3)

    assert ["new", "old"] == names(runs)
    assert ["idle"] == forgotten
    assert (False, True) == (old.deleted, idle.deleted)


def test_a_run_with_something_in_flight_is_never_forgotten() -> None:
    """Rather one run too many than a request whose run is gone."""
    runs = make_runs(most=1)
    busy = runs.named("busy", BEGIN)
    runs.arrived(busy, BEGIN)

    runs.named("one", BEGIN)
    runs.named("two", BEGIN)

    assert ["two", "busy"] == names(runs)
    assert not busy.deleted


def test_a_forgotten_name_may_be_used_anew() -> None:
    """With counters from the beginning; forgetting what is unknown does nothing."""
    runs = make_runs()
    old = runs.named("ci", BEGIN)
    runs.forget("ci")
    runs.forget("ci")

    assert old.deleted
    assert runs.get("ci") is None
    assert old is not runs.named("ci", BEGIN)


def test_a_run_is_finished_when_nothing_of_it_is_in_flight() -> None:
    """An unknown one has nothing in flight either."""
    runs = make_runs()
    run = runs.named("ci", BEGIN)
    assert runs.is_finished("ci")

    runs.arrived(run, BEGIN)
    assert not runs.is_finished("ci")

    runs.ended(run, BEGIN)
    assert runs.is_finished("ci")
    assert runs.is_finished("nobody")


def test_dropped_spans_are_counted_in_their_run() -> None:
    """Those of an unknown run in none."""
    runs = make_runs()
    run = runs.named("ci", BEGIN)

    runs.dropped("ci", 2)
    runs.dropped("ci", 3)
    runs.dropped("nobody", 7)

    assert 5 == run.dropped
    assert ["ci"] == names(runs)


def test_everything_that_waits_can_be_dismissed_at_once() -> None:
    """Each gets the same problem once, though they leave while we go through them."""
    runs = make_runs()
    waiters = [Waiter(runs.named(name, BEGIN)) for name in "aab"]
    problem = Problem("shutting-down", "the server stopped")

    dismiss_all(runs, problem)

    assert [[problem]] * 3 == [waiter.problems for waiter in waiters]


def test_who_is_dismissed_may_send_the_next_request_at_once() -> None:
    """And with it make a run while we go through them."""
    runs = make_runs()

    class Eager(Waiter):
        def dismiss(self, problem: Problem) -> None:
            super().dismiss(problem)
            runs.named("next", BEGIN)

    eager = [Eager(runs.named(name, BEGIN)) for name in "ab"]

    dismiss_all(runs, Problem("shutting-down", "the server stopped"))

    assert [1, 1] == [len(waiter.problems) for waiter in eager]
