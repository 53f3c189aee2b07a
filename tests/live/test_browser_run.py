"""The run page in a real browser: drawn, used by hand and by key, live, and healing by itself."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.live import scenes
from tests.live.browsers import Watched, await_true, context_of, visiting, watching
from tests.live.conftest import Start
from tests.live.process import Dawdle, environment

pytestmark = pytest.mark.live

WIDE = {"viewport": {"width": 1440, "height": 1000}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dawdle]:
    """A server that has seen a good deal."""
    folder = tmp_path_factory.mktemp("seen")
    keep = (scenes.checkout(), scenes.crowd("crowd", 20_500), scenes.hostile())
    scenes.keep(folder / "data", *keep)
    with Dawdle(folder, environ=environment()) as server:
        yield server.listening()


@pytest.fixture(scope="module")
def wide(browser: Browser, server: Dawdle) -> Iterator[BrowserContext]:
    """Wide windows, which share what they have loaded."""
    with context_of(browser, server.url, **WIDE) as context:
        yield context


@pytest.fixture
def visit(wide: BrowserContext, server: Dawdle) -> Iterator[Watched]:
    """A wide page."""
    with watching(wide, server.url) as watched:
        yield watched


def opened(page: Page, path: str) -> Page:
    """The page, drawn and live."""
    page.goto(path)
    expect(page.locator("[data-stream]")).to_have_text("live")
    await_true(page, "waterfall.chart.frames > 0")
    return page


@pytest.fixture
def page(visit: Watched) -> Page:
    """The page of a run that is over."""
    return opened(visit.page, "/runs/checkout")


def chart(page: Page, expression: str) -> Any:
    """What the picture knows."""
    return page.evaluate(f"waterfall.chart.{expression}")


def press(page: Page, *names: str) -> None:
    page.locator("[data-rows]").focus()
    for name in names:
        page.keyboard.press(name)


def chosen(page: Page) -> str:
    """The id of the chosen span."""
    return str(chart(page, "chosen?.id ?? ''"))


def heard(page: Page) -> str:
    """What a screen reader says of the chosen span."""
    return page.locator("[role=option][aria-selected=true]").inner_text()


def place(page: Page, index: int) -> tuple[float, float]:
    """Where in the window the middle of that span's bar is."""
    script = """(index) => {
      const { chart } = waterfall;
      const span = chart.list[index];
      chart.reveal(span);
      const box = chart.scroller.getBoundingClientRect();
      const x = (chart.axis.x(span.begin) + chart.axis.x(span.endBy(chart.now))) / 2;
      return [box.left + x, box.top + chart.middle(span)];
    }"""
    x, y = page.evaluate(script, index)
    return x, y


# --- what is drawn -------------------------------------------------------------------------------


def test_every_outcome_is_drawn_in_its_colour(page: Page) -> None:
    """The picture has pixels of each mark, and the strip above it has every failure."""
    script = """(selector) => {
      const canvas = document.querySelector(selector);
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      const seen = new Set();
      for (let at = 0; at < data.length; at += 4) {
        seen.add("#" + [0, 1, 2].map((c) => data[at + c].toString(16).padStart(2, "0")).join(""));
      }
      const { marks } = waterfall.chart.theme;
      return Object.keys(marks).filter((mark) => !seen.has(marks[mark]));
    }"""
    press(page, "g")  # slots: all of them are in view

    page.wait_for_timeout(50)

    assert [] == page.evaluate(script, "[data-bars]")
    assert ["completed", "in_flight"] == page.evaluate(script, "[data-head]")


def test_rows_are_requests_slots_or_connections(page: Page) -> None:
    """Retries share a row; there are as many slots as the peak; a connection has one row."""
    spans = scenes.checkout()
    counts = {}
    for grouping in ("request", "slot", "connection"):
        page.get_by_label(grouping, exact=True).check()
        counts[grouping] = chart(page, "rows.length")

    requests = len({span.key or id(span) for span in spans})
    peak = max(span.in_flight for span in spans)
    assert {"request": requests, "slot": peak, "connection": 12} == counts


def test_curve_has_the_peak_that_the_report_has(page: Page, server: Dawdle) -> None:
    """Picture and figures come from different code."""
    assert server.report("checkout")["figures"]["peak"] == chart(page, "curve.peak")


def test_what_is_too_much_is_counted_and_said(visit: Watched) -> None:
    """More spans than can be told apart are columns, until somebody comes nearer."""
    page = opened(visit.page, "/runs/crowd")
    notice = page.locator("[data-notice]")
    expect(notice).to_contain_text("20,500 requests: each column counts how many ended then.")
    assert 20_500 == page.evaluate(
        "Object.values(waterfall.whole.crowd.ends).flat().reduce((sum, one) => sum + one)"
    )

    press(page, "+", "+", "+")

    expect(notice).to_be_hidden()
    assert 1_000 < chart(page, "list.length") < 20_000
    press(page, "0")
    expect(notice).to_be_visible()


def test_text_from_clients_stays_text(visit: Watched) -> None:
    """In the picture, the panel, the tooltip and for who listens."""
    page = opened(visit.page, "/runs/hostile")
    press(page, "ArrowDown")
    page.mouse.move(*place(page, 0))

    expect(page.locator("#chosen")).to_contain_text(scenes.HOSTILE)
    expect(page.locator("[data-tooltip]")).to_contain_text(scenes.HOSTILE[:20])
    assert scenes.HOSTILE in heard(page)
    assert 0 == page.locator("img").count()


# --- by key --------------------------------------------------------------------------------------


def test_keys_choose_requests_and_show_every_field(page: Page, server: Dawdle) -> None:
    """In order of arrival; the panel has every field of the span that says something."""
    spans = server.spans("checkout")
    press(page, "ArrowDown", "j", "ArrowUp")

    assert spans[0]["id"] == chosen(page)
    assert f"Request 1 of {len(spans)}: GET /aio" in heard(page)
    fields = [name for name, value in spans[0].items() if value is not None]
    shown = page.locator("#chosen dt").all_inner_texts()
    assert len(fields) - 2 == len(shown)  # method and target are its title
    assert {"planned delay", "wait begun", "connection", "user agent"} <= set(shown)
    press(page, "End")
    assert spans[-1]["id"] == chosen(page)
    press(page, "Home", "Escape")
    assert "" == chosen(page)
    expect(page.locator("#chosen")).to_be_hidden()


def test_keys_lead_to_problems_and_retries(page: Page, server: Dawdle) -> None:
    """`n` to what failed, `p` back, `r` to the next attempt of its key."""
    spans = {span["id"]: span for span in server.spans("checkout")}
    press(page, "n")
    first = spans[chosen(page)]
    assert first["outcome"] != "completed" or first["status"] >= 400

    while not spans[chosen(page)]["key"]:
        press(page, "n")
    before = spans[chosen(page)]
    press(page, "r")
    after = spans[chosen(page)]
    assert (before["key"], before["attempt"] + 1) == (after["key"], after["attempt"])


def test_keys_zoom_pan_and_come_back(page: Page) -> None:
    """What is in view stands in the address."""
    press(page, "ArrowDown", "ArrowDown", "z")
    assert "&span=1-2" in page.url
    assert "t=" in page.url
    begin = chart(page, "axis.from")
    press(page, "ArrowRight", "Shift+ArrowRight")
    assert begin < chart(page, "axis.from")
    press(page, "-", "-")
    wide = chart(page, "axis.to - waterfall.chart.axis.from")
    press(page, "+")
    assert wide / 2 == pytest.approx(chart(page, "axis.to - waterfall.chart.axis.from"))
    press(page, "0")
    assert chart(page, "axis.isWhole")
    assert "t=" not in page.url


def test_address_leads_back_to_the_view(visit: Watched) -> None:
    """A link shows a colleague what one saw."""
    page = opened(visit.page, "/runs/checkout#rows=connection&t=10-20&span=1-9")

    assert ("connection", "1-9") == (chart(page, "rowsKind"), chosen(page))
    assert [10e9, 20e9] == page.evaluate("[waterfall.chart.axis.from, waterfall.chart.axis.to]")


def test_timeline_is_left_by_tab_and_helps(page: Page) -> None:
    """No trap for the keyboard; `?` says what the keys are, Enter leads to the details."""
    press(page, "?")
    expect(page.get_by_role("dialog")).to_contain_text("next attempt of the same key")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    press(page, "ArrowDown", "Enter")
    assert "chosen" == page.evaluate("document.activeElement.id")
    page.locator("[data-rows]").focus()
    page.keyboard.press("Tab")
    assert not page.evaluate("document.activeElement.matches('[data-rows]')")


# --- by hand -------------------------------------------------------------------------------------


def test_pointing_shows_and_a_click_chooses(page: Page) -> None:
    """The tooltip is what the panel says, in short; Escape and leaving put it away."""
    x, y = place(page, 3)
    page.mouse.move(x, y)
    tooltip = page.locator("[data-tooltip]")
    expect(tooltip).to_contain_text("#4 GET /aio?delay=4")
    page.mouse.click(x, y)
    assert "1-4" == chosen(page)

    page.mouse.move(10, 10)

    expect(tooltip).to_be_hidden()
    assert "1-4" == chosen(page)


def test_wheel_zooms_only_with_control(page: Page) -> None:
    """Alone it scrolls, as everywhere."""
    page.mouse.move(*place(page, 3))
    page.mouse.wheel(0, 200)
    assert chart(page, "axis.isWhole")

    page.keyboard.down("Control")
    page.mouse.wheel(0, -400)
    page.keyboard.up("Control")
    await_true(page, "!waterfall.chart.axis.isWhole")

    before = chart(page, "axis.from")
    page.mouse.wheel(-150, 0)
    await_true(page, f"waterfall.chart.axis.from < {before}")


def test_dragging_pans_measures_and_brushes(page: Page) -> None:
    """Bars pan, the curve measures, the strip chooses what is shown."""
    press(page, "+")
    begin = chart(page, "axis.from")
    rows = page.locator("[data-rows]").bounding_box()
    head = page.locator("[data-head]").bounding_box()
    assert rows
    assert head
    drag(page, (rows["x"] + 600, rows["y"] + 60), (rows["x"] + 500, rows["y"] + 60))
    assert begin < chart(page, "axis.from")
    assert "" == chosen(page)

    drag(page, (head["x"] + 300, head["y"] + 70), (head["x"] + 500, head["y"] + 70))
    assert re.fullmatch(r"[\d.]+ s · \d+ requests? · peak \d+", chart(page, "measuredWords"))
    from_, to = chart(page, "measured")
    press(page, "Enter")
    assert [from_, to] == page.evaluate("[waterfall.chart.axis.from, waterfall.chart.axis.to]")

    press(page, "0")
    drag(page, (head["x"] + 300, head["y"] + 15), (head["x"] + 500, head["y"] + 15))
    assert not chart(page, "axis.isWhole")


def drag(page: Page, begin: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*begin)
    page.mouse.down()
    page.mouse.move(*end, steps=4)
    page.mouse.up()


def test_key_to_the_marks_is_a_filter(page: Page) -> None:
    """What is unchecked is not drawn, chosen or counted."""
    spans = scenes.checkout()
    gone = sum(span.outcome == "client_gone" for span in spans)

    page.get_by_label(re.compile("client left")).uncheck()

    assert len(spans) - gone == chart(page, "list.length")


def test_finding_points_at_its_spans(page: Page, server: Dawdle) -> None:
    """Its button shows these alone, with the first of them chosen; another shows all again."""
    finding = server.report("checkout")["findings"][0]
    page.locator("[data-spans] button").first.click()

    assert set(finding["spans"]) == set(chart(page, "list.map((span) => span.id)"))
    assert chosen(page) in finding["spans"]
    count = len(finding["spans"])
    expect(page.locator("[data-notice]")).to_contain_text(f"Showing {count} of")
    page.get_by_role("button", name="Show all").click()
    assert len(scenes.checkout()) == chart(page, "list.length")


def test_finding_in_a_crowd_points_at_its_spans(visit: Watched) -> None:
    """They are asked for by their ids."""
    page = opened(visit.page, "/runs/crowd")
    page.evaluate("waterfall.showOnly(['1-300', '1-301'])")
    await_true(page, "waterfall.chart.list.length === 2")

    expect(page.locator("[data-notice]")).to_contain_text("Showing 2 of 20,500 requests.")


# --- live ----------------------------------------------------------------------------------------


def test_page_is_live(visit: Watched, server: Dawdle) -> None:
    """A request is seen as it waits, and as it ends; sentence and figures follow."""
    run = server.make_run()
    visit.page.goto(f"/runs/{run}")
    expect(visit.page.get_by_role("heading", level=1)).to_have_text("No requests yet.")
    wire = server.connect()
    wire.ask(f"/aio?run={run}&delay=30&key=a")
    page = visit.page
    expect(page.locator("[data-stream]")).to_have_text("live")
    await_true(page, "waterfall.chart.isLive")

    server.get(f"/aio?run={run}&delay=0.05&status=503")

    await_true(page, "waterfall.chart.list.length === 2")
    await_true(page, "waterfall.chart.list[1].mark === 'error_status'")
    expect(page.locator("[data-live=figures] dd").first).to_have_text("2")
    assert "in_flight" == chart(page, "list[0].mark")
    wire.reset()
    await_true(page, "waterfall.chart.list[0].mark === 'client_gone'")
    expect(page.locator("[data-status]")).to_have_text("Nothing is in flight any more.")
    expect(page.get_by_role("heading", level=1)).to_contain_text("1 client left")
    expect(page.get_by_label(re.compile("client left"))).to_be_checked()


def test_lost_stream_is_shown_and_heals_with_nothing_missed(
    browser: Browser, start: Start, environ: dict[str, str], tmp_path: Path
) -> None:
    """A server that was killed and comes back: what happened meanwhile is there."""
    server = start()
    server.get("/aio?run=ci&delay=0")
    with ExitStack() as stack:
        visit = stack.enter_context(visiting(browser, server.url, **WIDE))
        visit.refusals = True
        page = opened(visit.page, "/runs/ci")
        stream = page.locator("[data-stream]")
        server.settled("ci")
        page.wait_for_timeout(300)  # it is on disk 250 ms after it ended
        server.kill()
        expect(stream).to_have_text("connection lost, reconnecting")

        again = Dawdle(tmp_path, "--port", str(server.port), environ=environ)
        stack.enter_context(again).listening()
        again.get("/aio?run=ci&delay=0&key=meanwhile")

        expect(stream).to_have_text("live")
        await_true(page, "waterfall.chart.list.length === 2")
        again.get("/aio?run=ci&delay=0&key=then")
        await_true(page, "waterfall.chart.list.length === 3")
        again.get("/runs/ci", method="DELETE")
        expect(stream).to_have_text("this run is gone")


def test_hidden_page_gives_its_connection_back(visit: Watched, server: Dawdle) -> None:
    """A browser has six for a host; whoever looks again misses nothing."""
    run = server.make_run()
    server.get(f"/aio?run={run}&delay=0")
    page = visit.page
    page.clock.install()
    page.goto(f"/runs/{run}")
    expect(page.locator("[data-stream]")).to_have_text("live")
    hide(page, is_hidden=True)
    page.clock.fast_forward(6_000)
    expect(page.locator("[data-stream]")).to_have_text("paused while hidden")
    server.get(f"/aio?run={run}&delay=0")

    hide(page, is_hidden=False)

    expect(page.locator("[data-stream]")).to_have_text("live")
    await_true(page, "waterfall.chart.loaded.spans.list.length === 2")


def hide(page: Page, *, is_hidden: bool) -> None:
    """Let the page believe that somebody switched tabs."""
    page.evaluate(
        """(isHidden) => {
          Object.defineProperty(document, "hidden", { value: isHidden, configurable: true });
          document.dispatchEvent(new Event("visibilitychange"));
        }""",
        is_hidden,
    )
