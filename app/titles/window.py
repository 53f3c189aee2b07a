"""What a running job holds in memory of its URLs, and what of the database it leases next. Pure."""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import NamedTuple

from app.titles.options import Options
from app.titles.schedule import Item

AHEAD = 4  # times as many as may be under way


class Wish(NamedTuple):
    """What to lease: from the hosts after *after*, then from the first on, as far as there are."""

    after: int  # the number of a host
    room: int  # items in all
    each: int  # items a host
    without: Sequence[int]  # the numbers of hosts that have enough, or must be left alone


class Window:
    """
    How many items of which host a job has ready, and which hosts must wait.

    Bounded in all and by host, whatever the number of URLs, so one host with most of them leaves
    room for the others. *unleased* are those that are ready in the database; numbers are hosts'.
    """

    def __init__(self, options: Options, unleased: int) -> None:
        self.unleased = unleased
        self._each = AHEAD * options.per_host
        self._size = AHEAD * max(options.concurrency, 2 * options.per_host)
        self._ready: Counter[int] = Counter()
        self._parked: dict[int, int] = {}  # number -> until when, in ns
        self._after = -1
        self._more: Collection[int] = ()  # hosts that had enough at the last lease
        self._dry = False  # nobody else had anything then

    def wish(self, now_ns: int) -> Wish | None:
        """What to lease now; None when that is nothing."""
        self._unpark(now_ns)
        room = self._size - self._ready.total()
        if self._dry or self.unleased <= 0 or room < self._size // AHEAD:
            return None
        full = [number for number, count in self._ready.items() if count >= self._each]
        return Wish(self._after, room, self._each, [*full, *self._parked])

    def leased(self, wish: Wish, items: Sequence[Item]) -> None:
        """Those items were leased for that wish; fewer than it had room for are all there were."""
        got = Counter(item.host_number for item in items)
        self._ready += got
        self.unleased -= len(items)
        self._after = items[-1].host_number if items else -1
        self._more = {*wish.without, *(number for number in got if got[number] >= wish.each)}
        self._dry = len(items) < wish.room

    def left(self, item: Item) -> None:
        """An item is ready no longer."""
        number = item.host_number
        self._ready[number] -= 1
        if not self._ready[number]:
            del self._ready[number]
        if self._ready[number] < self._each and number in self._more:
            self._dry = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing is ready."""
        return not self._ready

    def begin_anew(self, unleased: int) -> None:
        """So many are ready in the database, and none here."""
        self.unleased = unleased
        self._dry = False

    def park(self, number: int, until_ns: int) -> None:
        """Lease nothing of the host before that moment."""
        self._parked[number] = max(until_ns, self._parked.get(number, 0))

    def wake(self, count: int) -> None:
        """So many more are ready in the database."""
        self.unleased += count
        self._dry = False

    @property
    def parked_until_ns(self) -> int | None:
        """When the first host may be leased of again; None when none is parked."""
        return min(self._parked.values(), default=None)

    def _unpark(self, now_ns: int) -> None:
        over = [number for number, until_ns in self._parked.items() if until_ns <= now_ns]
        for number in over:
            del self._parked[number]
        self._dry = self._dry and not over
