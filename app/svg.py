"""
Runs as one picture that needs nothing else: SVG with its own colours, light and dark. Pure.

Few requests get a row each. More are packed into lanes, as few as overlap. When even these are too
many to be seen, they are drawn as an area: how many were in flight, by how they ended.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from app import bars, formats, timeline
from app.bars import Axis, Bar, Chart, Stretch
from app.columns import Columns
from app.findings import Reading, Severity
from app.lanes import Lanes
from app.report import Curve, Report
from app.spans import Span
from app.words import JOINED, length, plural, printable

MOST_ROWS = 60  # requests with a row each
MOST_BARS = 5_000  # requests that are drawn one by one
MOST_LANES = 240
MOST_NAMED = 500  # bars that say what they are when pointed at; more would make the file large
COLUMNS = 480  # of the area

WIDTH, LEFT, RIGHT = 1_000, 188, 24
PLOT = WIDTH - LEFT - RIGHT
ROW, CURVE, AREA, LANES_HEIGHT = 20, 44, 260, 640
LARGEST_LANE = 12
LONGEST_LABEL = 20
SENTENCE = 155  # characters of a finding in a line
TEXT = 17  # from one line of text to the next

# The palette of the pages; what the outcomes differ in besides is their mark.
LIGHT = {
    "bg": "#fffefb",
    "ink": "#1b1d21",
    "ink2": "#595e68",
    "line": "#e0dbcf",
    "completed": "#2b7fec",
    "error_status": "#c47120",
    "client_gone": "#62367a",
    "faulted": "#a5240f",
    "rejected": "#6b7184",
    "error": "#17191c",
    "shutdown": "#6b7184",
    "in_flight": "#595e68",
}
DARK = {
    "bg": "#15181d",
    "ink": "#ece9e2",
    "ink2": "#a3a8b2",
    "line": "#2a2f38",
    "completed": "#5298fa",
    "error_status": "#f29b21",
    "client_gone": "#ddbaee",
    "faulted": "#e5450f",
    "rejected": "#767d88",
    "error": "#f7f8fa",
    "shutdown": "#767d88",
    "in_flight": "#a3a8b2",
}
# Drawn at the end of a bar, around the middle of its row.
MARKS = {
    "completed": "M-3 -6h3v12h-3z",
    "error_status": "M-1 -7l7 7-7 7z",
    "client_gone": "M-4 -4l8 8m0-8l-8 8",
    "faulted": "M-6 -6h6l3 3-3 3 3 3-3 3h-6z",
    "rejected": "M0 -5l5 5-5 5-5-5z",
    "error": "M-5 -5h10v10h-10z",
    "shutdown": "M-3 -6h3v3h-3zm0 4.5h3v3h-3zm0 4.5h3v3h-3z",
    "in_flight": "M-3 -5l5 5-5 5",
}


@dataclass(frozen=True, slots=True)
class Panel:
    """One run; *density* has all spans of one that is crowded, whose reading need not."""

    reading: Reading
    density: "Density | None" = None


class Density:
    """How much was in flight in each part of a run, by how it ended; `add` the spans."""

    def __init__(self, report: Report, columns: int = COLUMNS) -> None:
        self.columns = columns
        self._begin_ns = report.first_arrival_ns or 0
        self._column_ns = max(report.makespan_ns / columns, 1)
        self._now_ns = report.now_ns
        # Of each mark: in flight for all of the columns from here on, and for a part of this one.
        self._whole: dict[str, list[float]] = {}
        self._part: dict[str, list[float]] = {}

    def add(self, columns: Columns) -> None:
        """Take the next spans of the run."""
        fields = ("arrival_ns", "end_ns", "outcome", "status")
        for arrival, end, outcome, status in zip(*map(columns.__getitem__, fields), strict=True):
            mark = bars.mark(outcome, status)
            if mark not in self._whole:
                self._whole[mark] = [0.0] * (self.columns + 2)
                self._part[mark] = [0.0] * (self.columns + 2)
            end_ns = max(self._now_ns if end is None else end, arrival)
            self._spread(arrival, end_ns, self._whole[mark], self._part[mark])

    def _spread(self, begin_ns: int, end_ns: int, whole: list[float], part: list[float]) -> None:
        begin, end = self._place(begin_ns), self._place(end_ns)
        first, last = int(begin), int(end)
        if first == last:
            part[first] += end - begin
            return
        part[first] += first + 1 - begin
        part[last] += end - last
        whole[first + 1] += 1
        whole[last] -= 1

    def _place(self, moment_ns: int) -> float:
        return min(max((moment_ns - self._begin_ns) / self._column_ns, 0.0), float(self.columns))

    def levels(self) -> dict[str, list[float]]:
        """Of each mark, the mean in flight in each column; in the order of the legend."""
        return {mark: self._levels(mark) for mark in bars.WORDS if mark in self._whole}

    def _levels(self, mark: str) -> list[float]:
        levels, running = [], 0.0
        for column in range(self.columns):
            running += self._whole[mark][column]
            levels.append(running + self._part[mark][column])
        return levels


def is_crowded(report: Report) -> bool:
    """Whether there are more spans than are drawn one by one, so that `Density` wants them all."""
    return report.requests > MOST_BARS


def drawing(panels: Sequence[Panel]) -> str:
    """The runs one below the other, on one time axis."""
    length_ns = max(
        (bars.length_ns(one.reading.report, one.reading.spans) for one in panels), default=0
    )
    top, body = 8.0, []
    for panel in panels:
        part = _Part(panel, length_ns, top)
        body += part.lines
        top = part.bottom + 16
    title = " and ".join(printable(panel.reading.report.run, 64) for panel in panels)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top:g}" width="{WIDTH}" '
        f'height="{top:g}" role="img" aria-labelledby="title desc">\n'
        f'<title id="title">{escape(title)}: requests over time</title>\n'
        f'<desc id="desc">{escape(" ".join(map(_description, panels)))}</desc>\n'
        f"<style>{_style()}</style>\n"
        f'<rect class="bg" width="100%" height="100%"/>\n' + "\n".join(body) + "\n</svg>\n"
    )


def _description(panel: Panel) -> str:
    report = panel.reading.report
    ends = ", ".join(f"{one.count:,} {one.words}" for one in bars.counts(report))
    found = " ".join(one.sentence for one in panel.reading.found)
    return (
        f"{printable(report.run, 64)}: {formats.headline(report).claim} "
        f"{plural(report.requests, 'request')} ({ends}). {found}"
    ).replace(JOINED, " ")


def _style() -> str:
    def colours(scheme: dict[str, str]) -> str:
        fills = "".join(f".{name}{{--c:{value}}}" for name, value in scheme.items())
        ground = "".join(f"--{name}:{scheme[name]};" for name in ("bg", "ink", "ink2", "line"))
        return f"svg{{{ground}}}{fills}"

    return (
        "svg{font:12px system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}"
        f"{colours(LIGHT)}@media(prefers-color-scheme:dark){{{colours(DARK)}}}"
        ".bg{fill:var(--bg)}text{fill:var(--ink2);font-variant-numeric:tabular-nums}"
        ".name{fill:var(--ink);font-size:15px;font-weight:600}.said{fill:var(--ink)}"
        ".grid{stroke:var(--line)}.level{fill:var(--line);stroke:var(--ink2)}"
        ".queue{fill:var(--ink2)}.wait{fill:var(--c);fill-opacity:.3;stroke:var(--c)}"
        ".lane .wait,.area{stroke:none;fill-opacity:.75;fill:var(--c)}"
        ".mark,.body{fill:var(--c)}.client_gone.mark,.in_flight.mark"
        "{fill:none;stroke:var(--c);stroke-width:2}"
        ".ghost{fill:none;stroke:var(--ink2);stroke-dasharray:2 2}"
        ".warn{fill:#a5240f;font-weight:600}.note{font-weight:600}"
        "@media(prefers-color-scheme:dark){.warn{fill:#ff7a52}}"
    )


class _Part:
    """One run's part of the drawing, from *top* to `bottom`."""

    def __init__(self, panel: Panel, length_ns: int, top: float) -> None:
        self.lines: list[str] = []
        self.bottom = top
        self._reading, self._density = panel.reading, panel.density
        report = self._reading.report
        self._axis = Axis(report.first_arrival_ns or 0, length_ns)
        self._head()
        if report.requests:
            self._draw(bars.chart(report, self._reading.spans[:MOST_BARS], length_ns))
            self._legend()
        self._findings()

    # --- words -----------------------------------------------------------------------------------

    def _head(self) -> None:
        report = self._reading.report
        self.bottom += 20
        claim = formats.headline(report)
        self._text(12, printable(report.run, 40), "name")
        self._text(WIDTH - RIGHT, claim.claim, "said", anchor="end")
        self.bottom += 10

    def _legend(self) -> None:
        self.bottom += TEXT + 6
        left = float(LEFT)
        for count in bars.counts(self._reading.report):
            self._mark(left, self.bottom - 4, count.mark)
            words = f"{count.words} {count.count:,}"
            self._text(left + 10, words, "")
            left += 30 + 6.6 * len(words)

    def _findings(self) -> None:
        for finding in self._reading.found:
            self.bottom += 6
            head = "warning" if finding.severity is Severity.WARN else "note"
            lines = list(_wrapped(finding.sentence, SENTENCE))
            self.bottom += TEXT
            self._text(12, f"{head}: {finding.code}", finding.severity.value)
            for line in lines:
                self.bottom += TEXT
                self._text(24, line, "said")

    def _text(self, x: float, words: str, name: str, anchor: str = "start", y: float = 0) -> None:
        at = f'x="{x:g}" y="{y or self.bottom:g}"'
        kind = f' class="{name}"' if name else ""
        anchored = f' text-anchor="{anchor}"' if anchor != "start" else ""
        self.lines.append(f"<text {at}{kind}{anchored}>{escape(words.replace(JOINED, ' '))}</text>")

    # --- the plot --------------------------------------------------------------------------------

    def _draw(self, chart: Chart) -> None:
        report = self._reading.report
        lanes, count = _packed(self._reading.spans, report.now_ns)
        crowded = is_crowded(report) or (report.requests > MOST_ROWS and count > MOST_LANES)
        grid = len(self.lines)
        top = self.bottom
        if crowded:
            self._area()
        else:
            self._curve(report.curve)
            if report.requests <= MOST_ROWS:
                self._rows(chart)
            else:
                self._lanes(chart, lanes, count)
        self.lines[grid:grid] = self._ticks(chart, top)
        self.bottom += TEXT

    def _ticks(self, chart: Chart, top: float) -> list[str]:
        """The grid, behind what is drawn, and its labels below."""
        drawn, self.lines = self.lines, []
        for tick in chart.ticks:
            x = _x(tick.place)
            self.lines.append(
                f'<path class="grid" d="M{x:g} {top:g}V{self.bottom:g}" fill="none"/>'
            )
            anchor = "middle" if 2 < tick.place < 98 else "end" if tick.place >= 98 else "start"
            self._text(x, tick.label, "", anchor, self.bottom + 14)
        made, self.lines = self.lines, drawn
        return made

    def _curve(self, curve: Curve) -> None:
        """What was in flight, above the bars."""
        report = self._reading.report
        self._text(LEFT - 10, f"in flight, peak {report.peak:,}", "", "end", self.bottom + CURVE)
        path = _stepped(curve, report, self._axis, self.bottom + CURVE, CURVE - 4)
        self.lines.append(f'<path class="level" d="{path}"/>')
        self.bottom += CURVE + 10

    def _rows(self, chart: Chart) -> None:
        for number, bar in enumerate(chart.bars, 1):
            middle = self.bottom + ROW / 2
            planned = bar.span.scaled_delay_ns
            plan = "" if planned is None else f" · {length(planned)}"
            label = f"{number} · {printable(timeline.reply(bar.span), LONGEST_LABEL)}{plan}"
            self._text(LEFT - 10, label, "", "end", middle + 4)
            self.lines.append(f"<g><title>{escape(_told(bar))}</title>")
            self._bar(bar, middle, 12)
            self._mark(_x(bar.end), middle, bar.mark)
            self.lines.append("</g>")
            self.bottom += ROW

    def _lanes(self, chart: Chart, lanes: Sequence[int], count: int) -> None:
        high = min(LARGEST_LANE, LANES_HEIGHT / count)
        self.lines.append('<g class="lane">')
        if len(chart.bars) <= MOST_NAMED:
            for bar, lane in zip(chart.bars, lanes, strict=True):
                self.lines.append(f"<g><title>{escape(_told(bar))}</title>")
                self._bar(bar, self.bottom + high * (lane + 0.5), high * 0.85)
                self.lines.append("</g>")
        else:
            self._plain_lanes(chart, lanes, high)
        self.lines.append("</g>")
        self.bottom += high * count

    def _plain_lanes(self, chart: Chart, lanes: Sequence[int], high: float) -> None:
        """A path for all that ended alike: a twentieth of what single bars would take."""
        paths: dict[str, list[str]] = {}
        for bar, lane in zip(chart.bars, lanes, strict=True):
            begin = bar.queued or bar.waiting or bar.replying
            left = _x(begin.begin) if begin else _x(bar.end)
            wide = max(_x(bar.end) - left - 0.3, 0.5)
            y = self.bottom + high * lane
            box = f"M{left:.1f} {y:.1f}h{wide:.1f}v{high * 0.85:.1f}h-{wide:.1f}z"
            paths.setdefault(bar.mark, []).append(box)
        for mark, boxes in paths.items():
            self.lines.append(f'<path class="{mark} wait" d="{"".join(boxes)}"/>')

    def _bar(self, bar: Bar, middle: float, high: float) -> None:
        top = middle - high / 2
        if bar.queued:
            self._box("queue", bar.queued, middle - 1, 2)
        if bar.waiting:
            self._box(f"{bar.mark} wait", bar.waiting, top, high)
        if bar.replying:
            self._box(f"{bar.mark} body", bar.replying, top, high)
        if bar.unreached:
            self._box("ghost", bar.unreached, top, high)

    def _box(self, name: str, stretch: Stretch, y: float, high: float) -> None:
        x, wide = _x(stretch.begin), max(stretch.width * PLOT / 100, 0.5)
        self.lines.append(
            f'<rect class="{name}" x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}"/>'
        )

    def _mark(self, x: float, y: float, mark: str) -> None:
        self.lines.append(
            f'<path class="{mark} mark" transform="translate({x:.1f} {y:.1f})" d="{MARKS[mark]}"/>'
        )

    def _area(self) -> None:
        """In flight over time, those that ended alike stacked on the others."""
        report, density = self._reading.report, self._density
        if density is None:
            density = Density(report)
            density.add(Columns.of(self._reading.spans))
        ground = self.bottom + AREA
        scale = (AREA - 6) / max(report.peak, 1)
        wide = self._axis.place(self._axis.begin_ns + report.makespan_ns) * PLOT / 100
        base = [0.0] * density.columns
        for mark, levels in density.levels().items():
            upper = [low + level for low, level in zip(base, levels, strict=True)]
            path = _band(base, upper, wide / density.columns, ground, scale)
            self.lines.append(f'<path class="{mark} area" d="{path}"/>')
            base = upper
        self._text(LEFT - 10, f"in flight, peak {report.peak:,}", "", "end", ground - AREA + 14)
        self.bottom = ground


# --- geometry and words --------------------------------------------------------------------------


def _x(place: float) -> float:
    """Per cent of the axis as a place in the drawing."""
    return LEFT + place * PLOT / 100


def _packed(spans: Sequence[Span], now_ns: int) -> tuple[list[int], int]:
    """The lane of each span, and how many there are."""
    lanes = Lanes()
    placed = [
        lanes.place(span.arrival_ns, max(span.end_ns or now_ns, span.arrival_ns + 1))
        for span in spans[:MOST_BARS]
    ]
    return placed, lanes.count


def _stepped(curve: Curve, report: Report, axis: Axis, ground: float, high: float) -> str:
    """The curve as a path from the ground and back to it."""
    path, before, x = f"M{LEFT} {ground:g}", 0, float(LEFT)
    for step, level in enumerate((*curve.levels, 0)):
        if level != before:
            # The last step may reach beyond the end.
            moment = min(axis.begin_ns + step * curve.step_ns, report.last_end_ns or 0)
            x = _x(axis.place(moment))
            path += f"H{x:.1f}V{ground - high * level / max(report.peak, 1):.1f}"
            before = level
    return f"{path}H{x:.1f}V{ground:g}z"


def _band(
    lower: Sequence[float], upper: Sequence[float], wide: float, ground: float, scale: float
) -> str:
    """What lies between two stepped lines."""
    there = "".join(
        f"V{ground - level * scale:.1f}H{LEFT + (place + 1) * wide:.1f}"
        for place, level in enumerate(upper)
    )
    back = "".join(
        f"V{ground - lower[place] * scale:.1f}H{LEFT + place * wide:.1f}"
        for place in range(len(lower) - 1, -1, -1)
    )
    return f"M{LEFT} {ground:g}{there}{back}z"


def _told(bar: Bar) -> str:
    """What a bar says when it is pointed at."""
    span = bar.span
    name = printable(span.key or f"{span.method} {span.target}", 80)
    parts = [name, span.name, bar.words, length(bar.took_ns).replace(JOINED, " ")]
    return ", ".join(parts if span.status is None else [*parts, str(span.status)])


def _wrapped(sentence: str, width: int) -> Iterator[str]:
    words = sentence.split(" ")
    line = words[0]
    for word in words[1:]:
        if len(line) + 1 + len(word) > width:
            yield line
            line = word
        else:
            line = f"{line} {word}"
    yield line
