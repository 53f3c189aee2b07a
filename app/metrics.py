"""What Prometheus scrapes: read from the counters that exist anyway, at no cost to requests."""

from collections.abc import Iterable, Iterator

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app import __version__
from app.connections import Connections
from app.echoes import Echoes
from app.effects import LIMITS
from app.exchange import Desk
from app.faults import Fault
from app.feed import Feed
from app.journal import Journal
from app.recorder import Recorder
from app.runs import Runs
from app.spans import Outcome
from app.titles.jobs import Jobs
from app.titles.results import Code

PURPOSES = ("status", "fail", *sorted(LIMITS), *Fault)
# Who reads connections, and who of them requests.
READERS = {"connections": ("lane", "aiohttp", "echo"), "requests": ("lane", "aiohttp")}


class Metrics(Collector):
    """The service's own figures. No label holds a text of a client."""

    def __init__(
        self,
        *,
        desk: Desk,
        recorder: Recorder,
        journal: Journal,
        feed: Feed,
        runs: Runs,
        connections: Connections,
        echoes: Echoes,
        jobs: Jobs,
    ) -> None:
        self._desk = desk
        self._recorder = recorder
        self._journal = journal
        self._feed = feed
        self._runs = runs
        self._connections = connections
        self._echoes = echoes

        self._jobs = jobs

        self._registry = CollectorRegistry()
        self._registry.register(self)
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._registry)

    def exposition(self) -> bytes:
        """All figures in Prometheus' text format, version 0.0.4."""
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        yield self._spans()
        yield self._faults()
        yield from self._gauges()
        yield from self._titles()
        yield CounterMetricFamily(
            "dawdle_spans_dropped", "Spans that could not be kept.", value=self._journal.dropped
        )
        yield from self._traffic()
        about = GaugeMetricFamily("dawdle_build_info", "What is running.", labels=["version"])
        about.add_metric([__version__], 1)
        yield about

    def _spans(self) -> Metric:
        ended = CounterMetricFamily(
            "dawdle_spans", "Spans that have ended, by outcome.", labels=["outcome"]
        )
        for outcome in Outcome:
            if outcome is not Outcome.IN_FLIGHT:
                ended.add_metric([outcome.value], self._recorder.outcomes[outcome])
        return ended

    def _traffic(self) -> Iterator[Metric]:
        for name, meaning in (
            (
                "connections",
                "Connections that were recorded, by who read the first request; echo has none.",
            ),
            ("requests", "Recorded requests on them, by who read them."),
        ):
            figures = CounterMetricFamily(f"dawdle_{name}", meaning, labels=["reader"])
            for reader in READERS[name]:
                traffic = getattr(self._connections, reader)
                figures.add_metric([reader], getattr(traffic, name))
            yield figures

    def _faults(self) -> Metric:
        done = CounterMetricFamily(
            "dawdle_faults", "What was done to spans on purpose, by name.", labels=["fault"]
        )
        for name in PURPOSES:
            done.add_metric([name], self._recorder.faults[name])
        return done

    def _titles(self) -> Iterator[Metric]:
        jobs = self._jobs
        unfinished = GaugeMetricFamily(
            "dawdle_title_jobs", "Title jobs that are not finished, by state.", labels=["state"]
        )
        for state, count in jobs.counts.items():
            unfinished.add_metric([state.value], count)
        yield unfinished
        results = CounterMetricFamily(
            "dawdle_titles", "Pages whose titles were asked for, by error.", labels=["error"]
        )
        for code in ("", *Code):
            results.add_metric([code or "none"], jobs.tally.get(code, 0))
        yield results
        yield GaugeMetricFamily(
            "dawdle_pages_in_flight", "Pages that are being fetched.", value=jobs.under_way
        )
        yield GaugeMetricFamily(
            "dawdle_titles_stuck", "1 while the disk takes no results.", value=bool(jobs.trouble)
        )

    def _gauges(self) -> Iterator[Metric]:
        figures = {
            "in_flight": ("Spans that have not ended.", len(self._recorder.live)),
            "waiting": (
                "Requests that wait, or whose reply the kernel does not have yet.",
                self._desk.waiting,
            ),
            "echoes": ("Echo connections that are open.", len(self._echoes)),
            "runs": ("Runs that are known.", len(self._runs)),
            "viewers": ("Live views that are open.", self._feed.viewers),
        }
        for name, (meaning, value) in figures.items():
            yield GaugeMetricFamily(f"dawdle_{name}", meaning, value=value)
