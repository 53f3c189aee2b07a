"""
Pacing: how many bytes of a body are due, and when the next one is. Pure, exact integers.

A body of L bytes in k steps spread over T: after i x T / k, the bytes up to floor(i x L / k).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Drip:
    """
    A body of *length* bytes, written in *steps* steps over *total_ns* nanoseconds.

    When *halved*, it breaks off after half the steps, rounded down.
    """

    length: int
    steps: int
    total_ns: int
    halved: bool = False

    @property
    def last_step(self) -> int:
        """The step after which nothing more is due."""
        return self.steps // 2 if self.halved else self.steps

    @property
    def end_ns(self) -> int:
        """How much time passes until then."""
        return _ceil_div(self.last_step * self.total_ns, self.steps)

    def due_bytes(self, passed_ns: int) -> int:
        """How many bytes are due when so much time has passed."""
        if passed_ns >= self.end_ns:
            return self.last_step * self.length // self.steps
        return passed_ns * self.steps // self.total_ns * self.length // self.steps

    def next_due_ns(self, sent: int) -> int:
        """How much time must pass before the byte after the first *sent* is due, or the end."""
        step = min(_ceil_div((sent + 1) * self.steps, self.length), self.last_step)
        return _ceil_div(step * self.total_ns, self.steps)


def _ceil_div(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)
