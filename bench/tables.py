"""Medians over the rounds, ratios to one kind, and both as Markdown."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.kinds import PLAIN
from bench.measurements import Figures

Rounds = Mapping[str, Sequence[Figures]]  # by kind of server or client


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table."""

    figure: str
    title: str
    digits: int
    compared: bool = False  # whether a ratio means something
    summary: Callable[[Sequence[float]], float] = median

    def cell(self, figures: Figures, plain: Figures) -> str:
        """The figure for people, and in brackets how many times *plain* has it."""
        if self.figure not in figures:
            return "-"
        text = f"{figures[self.figure]:,.{self.digits}f}"
        if self.compared and plain.get(self.figure):
            text += f" ({figures[self.figure] / plain[self.figure]:.2f})"
        return text


COLUMNS = (
    Column("sent_ms", "sent within, ms", 0),
    Column("bytes", "memory a request, B", 0, compared=True),
    Column("late_p50_ms", "late p50, ms", 2),
    Column("late_p99_ms", "late p99, ms", 2, compared=True),
    Column("late_max_ms", "late max, ms", 1),
    Column("earliest_ms", "earliest, ms", 3, summary=min),
    Column("reported_p99_ms", "p99 by its own report, ms", 2),
    Column("cpu_us", "CPU a request, us", 1, compared=True),
    Column("per_cpu_s", "requests a CPU second", 0, compared=True),
    Column("per_s", "requests a second", 0, compared=True),
    Column("server_busy", "cores busy", 2),
    Column("others_busy", "cores others kept busy", 2),
)


def summary(measured: Sequence[Figures]) -> Figures:
    """One figure for all rounds, each."""
    summaries = {column.figure: column.summary for column in COLUMNS}
    return {
        figure: summaries.get(figure, median)([each[figure] for each in measured])
        for figure in (measured[0] if measured else ())
    }


def table(
    title: str, rounds: Rounds, *, possible: Sequence[Column] = COLUMNS, base: str = PLAIN
) -> str:
    """One measurement of all kinds, as a Markdown table; ratios are to *base*."""
    figures = {kind: summary(measured) for kind, measured in rounds.items()}
    plain = figures.get(base, {})
    columns = [
        column for column in possible if any(column.figure in row for row in figures.values())
    ]
    rows = [
        [title, *(column.title for column in columns), "rounds"],
        *(
            [kind, *(column.cell(row, plain) for column in columns), str(len(rounds[kind]))]
            for kind, row in figures.items()
        ),
    ]
    return markdown(rows)


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table whose first row is its head, aligned for those who read it as it is."""
    return "\n".join(_lines(rows))


def _lines(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for place, row in enumerate(rows):
        yield _line(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        if not place:
            yield _line(
                "-" * width if not column else "-" * (width - 1) + ":"
                for column, width in enumerate(widths)
            )


def _line(cells: Iterator[str]) -> str:
    return f"| {' | '.join(cells)} |"
