"""
Spans by column: under the name of each field the values of all spans. Pure.

So they are stored, and so a report reads them: it wants some of the fields of a million spans,
and a list of numbers takes a tenth of the time that objects take to be made.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, compress, pairwise, repeat
from operator import attrgetter, itemgetter
from typing import Any

from app.spans import FIELDS, SEQUENCE_BITS, Span

READ_BATCH = 2_000  # spans at a time, for whoever reads a run

Column = Any  # a list with the value of every span, or that value alone where all have the same


class Columns:
    """
    Spans in order of arrival; their values are read and never changed.

    *fields* has a list for each of FIELDS, or one value that all have in common; `id` is a list.
    """

    __slots__ = ("fields", "ids")

    def __init__(self, fields: Mapping[str, Column]) -> None:
        self.fields = fields
        self.ids: list[int] = fields["id"]

    @classmethod
    def of(cls, spans: Sequence[Span]) -> "Columns":
        """The spans as they are now, which are in order of arrival."""
        values = zip(*map(_values, spans), strict=True) if spans else repeat((), len(FIELDS))
        return cls(
            {name: _folded(name, one) for name, one in zip(FIELDS, map(list, values), strict=True)}
        )

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, name: str) -> list[Any]:
        """The value of every span."""
        values = self.fields[name]
        return values if isinstance(values, list) else [values] * len(self.ids)

    def is_all(self, name: str, value: object) -> bool:
        """Whether all are known to have that value, without a look at each."""
        return bool(self.fields[name] == value)

    def counts(self, name: str) -> Counter[Any]:
        """How many spans have which value."""
        values = self.fields[name]
        return Counter(values if isinstance(values, list) else {values: len(self.ids)})

    def spans(self) -> list[Span]:
        """The spans, built by position: a third less time than by keywords."""
        return list(map(Span, *(_unfolded(self.fields[name]) for name in FIELDS)))

    def first(self, count: int) -> list[Span]:
        """As many spans as that from the beginning."""
        return self.part(0, max(count, 0)).spans()

    # --- parts -----------------------------------------------------------------------------------

    def part(self, start: int, stop: int | None = None) -> "Columns":
        """Those from place *start* up to *stop*."""
        return self._each(lambda values: values[start:stop])

    def at(self, places: Sequence[int]) -> "Columns":
        """Those at these places, in that order."""
        if len(places) < 2:  # of one place `itemgetter` gives no tuple
            return self._each(lambda values: [values[place] for place in places])
        taken = itemgetter(*places)
        return self._each(lambda values: list(taken(values)))

    def where(self, name: str, value: object) -> "Columns":
        """Those with that value; these themselves, where all have it."""
        if self.is_all(name, value):
            return self
        wanted = [one == value for one in self[name]]
        return self._each(lambda values: list(compress(values, wanted)))

    def pieces(self, size: int) -> Iterator["Columns"]:
        """Some at a time, *size* at most, and about as many each time."""
        step = -(-len(self) // max(-(-len(self) // size), 1)) or 1
        for start in range(0, len(self), step):
            yield self.part(start, start + step) if len(self) > step else self

    def boots(self) -> Iterator["Columns"]:
        """Those of each boot."""
        start = 0
        while start < len(self):
            after = (self.ids[start] >> SEQUENCE_BITS) + 1 << SEQUENCE_BITS
            stop = bisect_left(self.ids, after)
            yield self if stop - start == len(self) else self.part(start, stop)
            start = stop

    def _each(self, taken: Callable[[list[Any]], list[Any]]) -> "Columns":
        return Columns(
            {
                name: taken(values) if isinstance(values, list) else values
                for name, values in self.fields.items()
            }
        )


def joined(parts: Iterable[Columns]) -> Columns:
    """All of them in order of arrival; no span is in two."""
    some = [part for part in parts if part.ids]
    if len(some) == 1:
        return some[0]
    whole = Columns({name: _joined(name, some) for name in FIELDS})
    if all(one.ids[-1] < next_one.ids[0] for one, next_one in pairwise(some)):
        return whole
    return whole.at(sorted(range(len(whole)), key=whole.ids.__getitem__))


_values: Callable[[Span], tuple[object, ...]] = attrgetter(*FIELDS)


def _folded(name: str, values: list[Any]) -> Column:
    """The values of a column, or the only one there is."""
    if name == "id" or not values:
        return values
    one = values[0]
    return one if one == values[-1] and values.count(one) == len(values) else values


def _unfolded(values: Column) -> Iterable[Any]:
    return values if isinstance(values, list) else repeat(values)


def _joined(name: str, parts: Sequence[Columns]) -> Column:
    columns = [part.fields[name] for part in parts]
    one = columns[0] if columns else []
    if not isinstance(one, list) and columns.count(one) == len(columns):
        return one
    return list(chain.from_iterable(part[name] for part in parts))
