"""
The limits of one run: `rate`, `capacity` with `queue`, and `barrier`.

`Bucket`, `Workers` and `Barrier` are machines driven by events: they keep no time, wait for
nothing and call nobody, and each event says who may go on because of it. The `Turnstile` has them
all, and calls.

The value of a limit comes with each request, and the newest one counts for the run. Who names no
limit is not held up by one, and holds nobody up.
"""

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterable
from heapq import heapify, heappop, heappush
from typing import Generic, Protocol, TypeVar

T = TypeVar("T", bound=Hashable)


class Bucket:
    """
    The tokens of `rate`: a bucket that is full at the beginning, and fills within a period.

    Exact: it holds tokens times nanoseconds of the period, of which each nanosecond brings as
    many as the bucket has room for tokens.
    """

    __slots__ = ("_level", "_period_ns", "_seen_ns", "_tokens")

    def __init__(self) -> None:
        self._tokens = self._period_ns = self._level = self._seen_ns = 0

    def take(self, tokens: int, period_ns: int, now_ns: int) -> int:
        """
        Take a token; the bucket has room for so many *tokens*, and fills within *period_ns*.

        0 when there was one, else how many nanoseconds it takes until there is. When the bucket
        is another than before, the tokens that were there stay, as far as there is room.
        """
        self._fill(now_ns)
        if (tokens, period_ns) != (self._tokens, self._period_ns):
            self._change(tokens, period_ns)
        if self._level >= period_ns:
            self._level -= period_ns
            return 0
        return -(-(period_ns - self._level) // tokens)

    def _fill(self, now_ns: int) -> None:
        came = (now_ns - self._seen_ns) * self._tokens
        self._level = min(self._level + came, self._tokens * self._period_ns)
        self._seen_ns = now_ns

    def _change(self, tokens: int, period_ns: int) -> None:
        most = tokens * period_ns
        kept = self._level * period_ns // self._period_ns if self._period_ns else most
        self._tokens, self._period_ns, self._level = tokens, period_ns, min(kept, most)


class Workers(Generic[T]):
    """`capacity` and `queue`: so many are served at once, the others in order of arrival."""

    __slots__ = ("_capacity", "_ends", "_entries", "_queue", "_serving")

    def __init__(self) -> None:
        self._capacity = 0
        self._queue: OrderedDict[T, None] = OrderedDict()
        self._serving: dict[T, int | None] = {}  # and when each is expected to end
        self._ends: list[tuple[int, int, T]] = []  # a heap of these, and of some that have left
        self._entries = 0  # ever made in it

    def resize(self, capacity: int) -> list[T]:
        """Have so many workers from now on; nobody loses one. Who is served because of it."""
        self._capacity = capacity
        return self._serve()

    def enter(self, one: T, queue: int | None) -> list[T] | None:
        """
        Queue, unless a worker is free. Who is served because of it.

        None when *one* is turned away, for as many as *queue* do already; None is no bound.
        """
        if queue is not None and len(self._queue) >= queue + self._free:
            return None
        self._queue[one] = None
        return self._serve()

    @property
    def _free(self) -> int:
        return max(self._capacity - len(self._serving), 0)

    def leave(self, one: T) -> list[T]:
        """*one* is done, or gives its place up. Who is served because of it."""
        self._queue.pop(one, None)
        self._serving.pop(one, None)
        self._sweep()
        return self._serve()

    def _serve(self) -> list[T]:
        served = []
        while self._queue and self._free:
            one, _ = self._queue.popitem(last=False)
            self._serving[one] = None
            served.append(one)
        return served

    # --- when a worker will be free --------------------------------------------------------------

    def expect(self, one: T, end_ns: int) -> None:
        """Expect the end of *one* at that moment, if it is served."""
        if self._serving.get(one, end_ns) != end_ns:
            self._serving[one] = end_ns
            self._entries += 1
            heappush(self._ends, (end_ns, self._entries, one))
            self._sweep()

    def earliest_end_ns(self) -> int | None:
        """When the first worker is expected to be free; None when nobody can tell."""
        while self._ends and not self._is_expected(self._ends[0]):
            heappop(self._ends)
        return self._ends[0][0] if self._ends else None

    def _is_expected(self, end: tuple[int, int, T]) -> bool:
        end_ns, _, one = end
        return self._serving.get(one) == end_ns

    def _sweep(self) -> None:
        """Let go of those who have left, once they are most of the heap."""
        if len(self._ends) > 2 * len(self._serving):
            self._ends = [end for end in self._ends if self._is_expected(end)]
            heapify(self._ends)


class Barrier(Generic[T]):
    """`barrier`: whoever comes is held until there are enough, then all go on."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: dict[T, None] = {}

    def arrive(self, one: T, size: int) -> list[T]:
        """Hold *one*, unless with it there are *size*. Who goes on because of it."""
        self._held[one] = None
        if len(self._held) < size:
            return []
        released = list(self._held)
        self._held.clear()
        return released

    def leave(self, one: T) -> None:
        """*one* is held no longer."""
        self._held.pop(one, None)


# --- all of them ---------------------------------------------------------------------------------


class Turn(Hashable, Protocol):
    """One request before a limit of its run; no two are equal."""

    def go_on(self) -> None:
        """It may pass the limit it waits before, unless it has left in the same moment."""


class Turnstile:
    """
    The limits of one run, and who waits before them.

    Whoever may go on is called at once and in order; one that ends at once and so lets others go
    on makes them wait for their turn, not us for a deeper stack.
    """

    __slots__ = ("_barrier", "_bucket", "_called", "_is_calling", "_workers")

    def __init__(self) -> None:
        self._bucket = Bucket()
        self._workers: Workers[Turn] = Workers()
        self._barrier: Barrier[Turn] = Barrier()
        self._called: deque[Turn] = deque()
        self._is_calling = False

    def take(self, tokens: int, period_ns: int, now_ns: int) -> int:
        """As `Bucket.take`."""
        return self._bucket.take(tokens, period_ns, now_ns)

    def enter(self, turn: Turn, capacity: int, queue: int | None) -> bool:
        """
        Serve *turn* when one of *capacity* workers is free; False when it is turned away instead.

        It is, when more than *queue* would wait for one. Whoever entered leaves with `leave`.
        """
        self._call(self._workers.resize(capacity))
        served = self._workers.enter(turn, queue)
        self._call(served or ())
        return served is not None

    def expect(self, turn: Turn, end_ns: int) -> None:
        """As `Workers.expect`."""
        self._workers.expect(turn, end_ns)

    def earliest_end_ns(self) -> int | None:
        """As `Workers.earliest_end_ns`."""
        return self._workers.earliest_end_ns()

    def hold(self, turn: Turn, size: int) -> None:
        """Let *turn* go on together with others, when there are *size*."""
        self._call(self._barrier.arrive(turn, size))

    def leave(self, turn: Turn) -> None:
        """*turn* is done with, wherever it stood; others may go on because of it."""
        self._barrier.leave(turn)
        self._call(self._workers.leave(turn))

    def close(self) -> None:
        """Forget all who wait: they will be told something else."""
        self._workers, self._barrier = Workers(), Barrier()
        self._called.clear()

    def _call(self, turns: Iterable[Turn]) -> None:
        self._called.extend(turns)
        if self._is_calling:
            return
        self._is_calling = True
        try:
            while self._called:
                self._called.popleft().go_on()
        finally:
            self._is_calling = False
            if self._called:  # one that failed keeps nobody waiting
                self._call(())
