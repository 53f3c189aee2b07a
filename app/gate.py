"""What must be counted across the requests of one run: ordinals and attempts."""

from collections.abc import Hashable


class Tally:
    """
    Counts for a bounded number of names; past the bound the least recently counted is forgotten.
    """

    __slots__ = ("_counts", "_most")

    def __init__(self, most: int) -> None:
        self._counts: dict[Hashable, int] = {}
        self._most = most

    def next(self, name: Hashable) -> int:
        """How often *name* was counted before; now once more."""
        count = self._counts.pop(name, 0)
        self._counts[name] = count + 1
        if len(self._counts) > self._most:
            del self._counts[next(iter(self._counts))]
        return count


class Gate:
    """
    The counters of one run. They advance when a request is matched, not when it is answered.

    So a client that times out and retries at once meets the next attempt.
    """

    __slots__ = ("_attempts", "_ordinals")

    def __init__(self, max_keys: int) -> None:
        self._ordinals = Tally(max_keys)
        self._attempts = Tally(max_keys)

    def ordinal(self, seed: int | None) -> int:
        """The arrival number, from 0, among the run's requests with this seed."""
        return self._ordinals.next(seed)

    def attempt(self, key: str) -> int:
        """Which attempt of *key* this is, from 1."""
        return self._attempts.next(key) + 1
