"""What must be counted across the requests of one run: ordinals, attempts, and its limits."""

from collections.abc import Hashable

from app.turnstile import Turnstile


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

    __slots__ = ("_attempts", "_ordinals", "_turnstile")

    def __init__(self, max_keys: int) -> None:
        self._ordinals = Tally(max_keys)
        self._attempts = Tally(max_keys)
        self._turnstile: Turnstile | None = None

    @property
    def turnstile(self) -> Turnstile:
        """Where the run's limits are kept; there is none before somebody asks for one."""
        if self._turnstile is None:
            self._turnstile = Turnstile()
        return self._turnstile

    def ordinal(self, seed: int | None) -> int:
        """The arrival number, from 0, among the run's requests with this seed."""
        return self._ordinals.next(seed)

    def attempt(self, name: Hashable) -> int:
        """Which attempt this is, from 1, of what has that name."""
        return self._attempts.next(name) + 1

    def close(self) -> None:
        """Let nobody in any more who waits before a limit: the run is over."""
        if self._turnstile is not None:
            self._turnstile.close()
