"""Lanes for what overlaps: each lane holds one at a time, and there are as few as can be. Pure."""

from heapq import heappop, heappush


class Lanes:
    """Lanes are numbered from 0; memory is bounded by how much overlaps."""

    def __init__(self) -> None:
        self.count = 0
        self._busy: list[tuple[int, int]] = []  # a heap of (end, lane)
        self._free: list[int] = []  # a heap

    def place(self, begin_ns: int, end_ns: int) -> int:
        """The first lane that is free from *begin_ns*, taken until *end_ns*; begins ascend."""
        while self._busy and self._busy[0][0] <= begin_ns:
            heappush(self._free, heappop(self._busy)[1])
        if not self._free:
            heappush(self._free, self.count)
            self.count += 1
        lane = heappop(self._free)
        heappush(self._busy, (end_ns, lane))
        return lane
