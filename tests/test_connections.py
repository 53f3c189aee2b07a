"""Which request on which connection."""

import gc
from weakref import WeakSet

from hypothesis import given
from hypothesis import strategies as st

from app.connections import FEWEST_SWEPT, Connections


class Peer:
    """Stands for a transport."""

    def __init__(self) -> None:
        self.closed = False

    def is_closing(self) -> bool:
        return self.closed


def test_requests_on_one_connection_are_counted_from_one() -> None:
    """The first request on a connection is number 1."""
    connections, peer = Connections(), Peer()

    assert [(1, 1), (1, 2), (1, 3)] == [connections.request(peer) for _ in range(3)]


def test_connections_are_numbered_in_order_of_their_first_request() -> None:
    """Who speaks first is connection 1, whoever connected first."""
    connections, first, second = Connections(), Peer(), Peer()

    seen = [connections.request(peer) for peer in (second, first, second, first)]

    assert [(1, 1), (2, 1), (1, 2), (2, 2)] == seen


def test_a_connection_that_never_sent_a_request_is_not_counted() -> None:
    """`opened` counts those that were used."""
    connections = Connections()

    assert 0 == connections.opened


def test_a_number_is_never_given_twice() -> None:
    """A new connection is a new one, though the old one's memory may be used again."""
    connections = Connections()

    numbers = [connections.request(Peer()) for _ in range(100)]

    assert [(number, 1) for number in range(1, 101)] == numbers
    assert 100 == connections.opened


def test_connections_that_ended_do_not_pile_up() -> None:
    """A long-lived service remembers a bounded number of those that are gone."""
    connections, gone = Connections(), WeakSet[Peer]()

    for _ in range(5 * FEWEST_SWEPT):
        peer = Peer()
        gone.add(peer)
        connections.request(peer)
        peer.closed = True
    gc.collect()

    assert len(gone) <= FEWEST_SWEPT + 1
    assert 5 * FEWEST_SWEPT == connections.opened


def test_open_connections_keep_their_numbers_however_many_others_end() -> None:
    """Sweeping takes only those that are over."""
    connections = Connections()
    stayers = [Peer() for _ in range(2 * FEWEST_SWEPT)]
    for peer in stayers:
        connections.request(peer)
    for _ in range(5 * FEWEST_SWEPT):
        passer = Peer()
        connections.request(passer)
        passer.closed = True

    again = [connections.request(peer) for peer in stayers]

    assert [(number, 2) for number in range(1, len(stayers) + 1)] == again


@given(st.lists(st.integers(0, 5)))
def test_numbers_follow_first_use_and_ordinals_are_gapless(order: list[int]) -> None:
    """The same as counting by hand."""
    connections, peers = Connections(), [Peer() for _ in range(6)]
    first_used = list(dict.fromkeys(order))

    seen = [connections.request(peers[one]) for one in order]

    assert [
        (first_used.index(one) + 1, order[: place + 1].count(one))
        for place, one in enumerate(order)
    ] == seen
    assert len(first_used) == connections.opened
