"""What is counted across the requests of one run."""

from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.gate import Gate, Tally


def test_a_name_is_counted_from_zero() -> None:
    """The first time there was nothing before."""
    tally = Tally(10)

    assert [0, 1, 2] == [tally.next("a") for _ in range(3)]


def test_names_are_counted_apart() -> None:
    """Counting one name leaves the others alone."""
    tally = Tally(10)

    assert [0, 0, 1, 1] == [tally.next(name) for name in "abab"]


def test_past_the_bound_the_least_recently_counted_name_begins_anew() -> None:
    """Not the oldest: who is counted again stays."""
    tally = Tally(2)

    assert [0, 0, 1, 0, 2, 0] == [tally.next(name) for name in "abacab"]


@given(names=st.lists(st.integers(0, 6)), most=st.integers(1, 5))
def test_a_tally_counts_like_a_bounded_ordered_dict(names: list[int], most: int) -> None:
    """The textbook least-recently-used table says the same."""
    tally = Tally(most)
    table: OrderedDict[int, int] = OrderedDict()

    for name in names:
        expected = table.get(name, 0)
        table[name] = expected + 1
        table.move_to_end(name)
        if len(table) > most:
            table.popitem(last=False)
        assert expected == tally.next(name)


@pytest.mark.parametrize("seed", [None, 0, 7, -7])
def test_ordinals_begin_at_zero_for_every_seed(seed: int | None) -> None:
    """The arrival number counts from 0, without a seed too."""
    gate = Gate(10)

    assert [0, 1, 2] == [gate.ordinal(seed) for _ in range(3)]


def test_ordinals_of_different_seeds_are_counted_apart() -> None:
    """0 is a seed and None is none: neither disturbs the other."""
    gate = Gate(10)

    assert [0, 0, 0, 1, 1] == [gate.ordinal(seed) for seed in (None, 0, 1, None, 0)]


def test_attempts_begin_at_one_for_every_key() -> None:
    """The first attempt is attempt 1."""
    gate = Gate(10)

    assert [1, 2, 1, 3] == [gate.attempt(key) for key in ("a", "a", "b", "a")]


def test_ordinals_and_attempts_do_not_mix() -> None:
    """A key that looks like a seed is still a key."""
    gate = Gate(1)
    gate.ordinal(1)
    gate.attempt("1")

    assert 1 == gate.ordinal(1)
    assert 2 == gate.attempt("1")


def test_past_max_keys_the_least_recently_used_key_begins_anew() -> None:
    """`max_keys` bounds what one run can make us remember, for keys and seeds alike."""
    gate = Gate(2)

    assert [1, 1, 2, 1, 3, 1] == [gate.attempt(key) for key in "abacab"]
    assert [0, 0, 1, 0, 2, 0] == [gate.ordinal(seed) for seed in (1, 2, 1, 3, 1, 2)]


def test_attempts_of_anything_that_has_a_name() -> None:
    """Without a key, `fail` counts what it calls method and target."""
    gate = Gate(10)

    assert [1, 1, 2] == [gate.attempt(name) for name in ("a", b"a", b"a")]


def test_a_gate_has_one_turnstile() -> None:
    """The limits of a run are the same for all its requests."""
    gate = Gate(10)

    assert gate.turnstile is gate.turnstile


def test_a_closed_gate_lets_nobody_in_any_more() -> None:
    """With a turnstile and without."""
    called: list[str] = []

    class Named:
        def __init__(self, name: str) -> None:
            self.name = name

        def go_on(self) -> None:
            called.append(self.name)

    gate, first, second = Gate(10), Named("a"), Named("b")
    gate.close()
    gate.turnstile.enter(first, 1, None)
    gate.turnstile.enter(second, 1, None)
    gate.close()
    gate.turnstile.leave(first)

    assert ["a"] == called
