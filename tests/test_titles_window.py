"""What a job holds in memory, and what it leases next."""

from collections import Counter, deque

from hypothesis import given
from hypothesis import strategies as st

from app.titles.options import Options
from app.titles.schedule import Item
from app.titles.window import Window, Wish

TEN = Options(concurrency=10, per_host=1)  # 40 items in all, 4 a host at a time


def items(number: int, count: int, first: int = 0) -> list[Item]:
    """So many of the host of that number."""
    return [Item(1, first + n, f"http://{number}/{n}", str(number), number) for n in range(count)]


def lease(window: Window, *leased: Item, now_ns: int = 0) -> Wish:
    """Give those to its wish."""
    wish = window.wish(now_ns)
    assert wish is not None
    window.leased(wish, leased)
    return wish


def test_first_wish_is_for_a_whole_window() -> None:
    """From the first host on, a few of each."""
    assert Wish(after=-1, room=40, each=4, without=[]) == Window(TEN, 1_000).wish(0)


def test_nothing_is_wished_for_when_nothing_is_left() -> None:
    """An empty lease would be asked for again and again."""
    assert Window(TEN, 0).wish(0) is None


def test_a_full_window_wishes_for_nothing_until_a_quarter_has_left() -> None:
    """Leases come in batches, for each is a transaction."""
    window = Window(TEN, 1_000)
    leased = [item for number in range(10) for item in items(number, 4, 10 * number)]
    lease(window, *leased)

    wishes = []
    for item in leased[:10]:
        wishes.append(window.wish(0))
        window.left(item)

    assert [None] * 10 == wishes
    assert (10, 9) == (window.wish(0) or Wish(0, 0, 0, []))[1::-1]


def test_hosts_that_have_enough_are_left_out() -> None:
    """So those with less get something."""
    window = Window(TEN, 1_000)
    lease(window, *items(0, 4), *items(7, 1, 10))
    window.wake(1)

    wish = window.wish(0)

    assert wish is not None
    assert [0] == list(wish.without)


def test_next_wish_begins_where_the_last_lease_ended() -> None:
    """Else the first hosts would be served first, always."""
    window = Window(TEN, 1_000)
    lease(window, *(items(number, 1, number)[0] for number in range(40)))
    for number in range(40):
        window.left(items(number, 1, number)[0])

    wish = window.wish(0)

    assert wish is not None
    assert 39 == wish.after


def test_when_everybody_was_asked_only_a_host_with_more_is_asked_again() -> None:
    """A host that had fewer than it might has nothing left."""
    window = Window(TEN, 1_000)
    more, few = items(0, 4), items(1, 3, 10)
    lease(window, *more, *few)

    for item in few:
        window.left(item)
    assert window.wish(0) is None
    window.left(more[0])

    assert window.wish(0) is not None


def test_a_parked_host_is_left_out_until_its_time() -> None:
    """And its time is known, for nothing else may happen until then."""
    window = Window(TEN, 1_000)
    window.park(7, 500)
    window.park(7, 300)  # the longer counts
    window.park(3, 900)
    wish = lease(window)

    assert {3, 7} == set(wish.without)
    assert 500 == window.parked_until_ns
    assert window.wish(499) is None
    assert [3] == list((window.wish(500) or wish).without)


def test_what_wakes_can_be_leased() -> None:
    """What waited counts as left in the database again."""
    window = Window(TEN, 5)
    lease(window, *items(0, 3), *items(1, 2, 10))
    assert window.wish(0) is None
    window.wake(2)

    assert 2 == window.unleased
    assert window.wish(0) is not None


def test_a_window_can_begin_anew() -> None:
    """When nobody knows any more what is leased, what is there is counted."""
    window = Window(TEN, 3)
    leased = items(0, 3)
    lease(window, *leased)
    seen = [window.is_empty]
    for item in leased:
        window.left(item)
        seen.append(window.is_empty)
    assert [False, False, False, True] == seen
    assert window.wish(0) is None

    window.begin_anew(2)

    assert (2, True) == (window.unleased, window.wish(0) is not None)


def served(queues: dict[int, deque[Item]], wish: Wish) -> list[Item]:
    """What the database gives for the wish."""
    after = [number for number in sorted(queues) if number > wish.after]
    before = [number for number in sorted(queues) if number <= wish.after]
    found: list[Item] = []
    for number in [*after, *before]:
        if number not in wish.without:
            queue = queues[number]
            found += [queue.popleft() for _ in range(min(wish.each, len(queue)))]
    for item in reversed(found[wish.room :]):
        queues[item.host_number].appendleft(item)
    return found[: wish.room]


@given(st.lists(st.integers(1, 20), min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_everything_is_leased_and_the_window_stays_small(counts: list[int], random: object) -> None:
    """Whatever the hosts have, and in whatever order things leave."""
    queues = {
        number: deque(items(number, count, 100 * number)) for number, count in enumerate(counts)
    }
    window, ready, leased = Window(TEN, sum(counts)), [], 0
    while leased < sum(counts):
        while wish := window.wish(0):
            new = served(queues, wish)
            window.leased(wish, new)
            ready += new
            leased += len(new)
            assert len(ready) <= 40
            assert max(Counter(item.host_number for item in ready).values()) <= 7
        random.shuffle(ready)  # type: ignore[attr-defined]
        assert ready, "stuck with URLs left"
        for item in [ready.pop() for _ in range(min(3, len(ready)))]:
            window.left(item)

    assert 0 == window.unleased
