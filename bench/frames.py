"""
How smoothly the page of a run draws, in a headless Chromium without a graphics card.

    python -m bench.frames                    10,000 spans, all of them in view
    python -m bench.frames --spans 20000      as many as are drawn one by one

`first picture` is from the arrival of the data to the end of the first drawing, `script` the time
in our own code a frame, `frame` from one frame to the next (16.7 ms is the floor of a screen with
60 a second). `zoom` goes from the whole run to a fiftieth of it and back, by the wheel's steps;
`hover` is a move of the mouse to the next frame. `cold page` counts the bytes that a first visit
loads. Needs a Chromium: BROWSER_PATH, or one that is installed.
"""

import argparse
import asyncio
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from heapq import heappop, heappush
from pathlib import Path
from random import Random
from typing import Any

from playwright.sync_api import Page, sync_playwright

from app.spans import Kind, Outcome, Span, span_id
from app.store import open_store
from bench.machine import machine
from bench.process import serving

CORE = 0
BEGIN = 1_700_000_000 * 10**9
AT_ONCE = 200
PAGE = 1_000  # spans a transaction, as the journal has it
RUN = "bench"
NAMES = ("chromium", "chromium-browser", "google-chrome")

ZOOM = """async () => {
  const { chart } = waterfall;
  const frame = () => new Promise(requestAnimationFrame);
  const scripts = [], frames = [];
  const draw = chart.draw.bind(chart);
  chart.draw = () => {
    const begun = performance.now();
    draw();
    scripts.push(performance.now() - begun);
  };
  let before = await frame();
  for (let step = 0; step < 120; step++) {
    chart.zoom(step < 60 ? 0.937 : 1 / 0.937, 0.4 * chart.axis.extent);
    const now = await frame();
    frames.push(now - before);
    before = now;
  }
  return { scripts, frames };
}"""
LOADED = """() => {
  const bytes = {};
  for (const kind of ["navigation", "resource"]) {
    for (const { name, encodedBodySize } of performance.getEntriesByType(kind)) {
      const ending = name.match(/css$|js$|waterfall(?=[?])/)?.[0];
      const kinds = { css: "style", js: "scripts", waterfall: "spans" };
      const said = kind === "navigation" ? "page" : kinds[ending] ?? "others";
      bytes[said] = (bytes[said] ?? 0) + encodedBodySize;
    }
  }
  return bytes;
}"""
UPDATE = """() => {
  const times = [];
  for (let time = 0; time < 20; time++) {
    const begun = performance.now();
    waterfall.chart.update();
    times.push(performance.now() - begun);
  }
  return times;
}"""


def spans(count: int) -> Iterator[Span]:
    """Those of 200 workers who start again as soon as they are answered; some are refused."""
    rng = Random(1)
    free = [(BEGIN + place * 50_000, place + 1) for place in range(AT_ONCE)]
    for number in range(count):
        arrival, worker = heappop(free)
        planned = rng.randrange(5_000_000, 400_000_000)
        end = arrival + planned + 200_000
        heappush(free, (end + 300_000, worker))
        span = Span(span_id(1, number + 1), RUN, Kind.HTTP, "GET", f"/aio?page={number}", arrival)
        span.connection, span.connection_request = worker, number // AT_ONCE + 1
        span.delay_ns, span.wait_begun_ns = planned, arrival
        span.first_byte_ns = span.last_byte_ns = span.end_ns = end
        span.status = 503 if rng.random() < 0.02 else 200
        span.outcome = Outcome.COMPLETED
        yield span


async def keep(folder: Path, count: int) -> None:
    """Store so many spans where a server will find them."""
    store = await open_store(folder / "dawdle.sqlite3")
    try:
        made = list(spans(count))
        await store.add_run(RUN, made[0].arrival_ns)
        for start in range(0, count, PAGE):
            await store.save(made[start : start + PAGE])
    finally:
        await store.close()


def row(name: str, values: list[float]) -> None:
    """Median and 95th percentile, in milliseconds."""
    ordered = sorted(values)
    worst = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    print(f"{name:<28}{statistics.median(ordered):8.1f}{worst:8.1f}")


def hovers(page: Page) -> list[float]:
    """How long it takes from a move of the mouse to the next frame."""
    box = page.locator("[data-rows]").bounding_box()
    assert box
    times = []
    for step in range(40):
        begun = time.perf_counter()
        page.mouse.move(box["x"] + 80 + 15 * step, box["y"] + 20 + 9 * step)
        page.evaluate("() => new Promise(requestAnimationFrame)")
        times.append(1e3 * (time.perf_counter() - begun))
    return times


def measure(page: Page, address: str) -> None:
    """Visit the page of the run, and print a row for each measurement."""
    page.goto(f"{address}/runs/{RUN}")
    while not page.evaluate("globalThis.waterfall?.chart?.frames > 0"):
        page.wait_for_timeout(50)
    first: dict[str, Any] = page.evaluate(
        """async () => {
          const begun = performance.now();
          waterfall.chart.update();
          waterfall.chart.draw();
          return { picture: performance.now() - begun, spans: waterfall.chart.list.length };
        }"""
    )
    loaded = page.evaluate(LOADED)
    print(f"{first['spans']:,} spans in {page.evaluate('waterfall.chart.rows.length')} rows\n")
    print(f"{'milliseconds':<28}{'median':>8}{'p95':>8}")
    row("first picture", [first["picture"]])
    row("taking up news", page.evaluate(UPDATE))
    zoomed = page.evaluate(ZOOM)
    row("zoom: script", zoomed["scripts"])
    row("zoom: frame", zoomed["frames"])
    row("hover, mouse to frame", hovers(page))
    for name, count in loaded.items():
        print(f"cold page, {name}: {count:,} bytes")


def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().partition("\n")[0])
    parser.add_argument("--spans", type=int, default=10_000)
    parser.add_argument("--browser", default=None, help="path of a Chromium")
    given = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        asyncio.run(keep(Path(folder), given.spans))
        command = (sys.executable, "-m", "app", "serve", "--port", "0", "--data", folder)
        with serving(command, core=CORE) as server, sync_playwright() as playwright:
            path = given.browser or next(filter(None, map(shutil.which, NAMES)), None)
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1440, "height": 1000}, bypass_csp=True)
            measure(page, f"http://{server.address.host}:{server.address.port}")
            browser.close()


if __name__ == "__main__":
    main()
