"""Every page in a real browser: for everybody, at every width, in both schemes, without scripts."""

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.live import scenes
from tests.live.browsers import await_true, axe, visiting
from tests.live.process import Dawdle, environment

pytestmark = pytest.mark.live

WIDTHS = (320, 390, 768, 1080, 1440, 1920)
PAGES = ("/", "/runs", "/runs/checkout", "/runs/crowd", "/runs/empty-1", "/runs/none", "/titles")
CHECKED = ("/", "/runs", "/runs/short", "/runs/empty-1", "/runs/none", "/titles", "/titles/none")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dawdle]:
    """A server with something on every page."""
    folder = tmp_path_factory.mktemp("seen")
    keep = (scenes.checkout(), scenes.checkout("short", requests=12), scenes.crowd("crowd", 20_500))
    scenes.keep(folder / "data", *keep)
    with Dawdle(folder, environ=environment()) as server:
        server.listening()
        server.get("/runs", method="POST", body=json.dumps({"name": "empty"}).encode())
        yield server


def settle(page: Page) -> None:
    """Wait until the page is as it will be."""
    page.wait_for_load_state("networkidle" if page.locator("#waterfall").count() == 0 else "load")
    if page.locator("#waterfall").count():
        expect(page.locator("[data-stream]")).to_have_text("live")
        await_true(page, "waterfall.chart.frames > 0")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 390)])
def test_nobody_is_shut_out(browser: Browser, server: Dawdle, scheme: str, width: int) -> None:
    """axe-core finds nothing on any page; with a request chosen and the keys open neither."""
    found = {}
    size = {"width": width, "height": 900}
    options = {"color_scheme": scheme, "viewport": size, "bypass_csp": True}
    with visiting(browser, server.url, **options) as visit:
        visit.refusals = True
        page = visit.page
        for path in CHECKED:
            page.goto(path)
            settle(page)
            found[path] = axe(page)
        page.goto("/runs/short")
        settle(page)
        page.locator("[data-rows]").focus()
        page.keyboard.press("n")
        found["chosen"] = axe(page, "#waterfall") + axe(page, "#chosen")
        page.keyboard.press("?")
        found["keys"] = axe(page, "dialog")

    assert {} == {where: what for where, what in found.items() if what}


def test_no_page_is_wider_than_its_window(browser: Browser, server: Dawdle) -> None:
    """From a small phone to a wide screen, nobody scrolls sideways."""
    too_wide = []
    with visiting(browser, server.url) as visit:
        visit.refusals = True
        for path in PAGES:
            visit.page.goto(path)
            settle(visit.page)
            for width in WIDTHS:
                visit.page.set_viewport_size({"width": width, "height": 800})
                needed = visit.page.evaluate("document.documentElement.scrollWidth")
                too_wide += [(path, width, needed)] * (needed > width)

    assert [] == too_wide


def test_controls_can_be_hit(browser: Browser, server: Dawdle) -> None:
    """At least 24 by 24 pixels (WCAG 2.2, 2.5.8), for a finger too."""
    with visiting(browser, server.url, viewport={"width": 390, "height": 844}) as visit:
        visit.page.goto("/runs/checkout")
        settle(visit.page)
        small = visit.page.evaluate(
            """[...document.querySelectorAll("button, label, summary, [role=listbox]")]
              .filter((one) => one.checkVisibility() && one.closest("fieldset, ul, div, dd"))
              .map((one) => [one.textContent, one.getBoundingClientRect()])
              .filter(([, box]) => box.width < 24 || box.height < 24).map(([words]) => words)"""
        )

    assert [] == small


def test_nothing_moves_for_who_wants_it_still(browser: Browser, server: Dawdle) -> None:
    """No animation under reduced motion."""
    with visiting(browser, server.url, reduced_motion="reduce") as visit:
        visit.page.goto("/runs/checkout")
        settle(visit.page)

        assert [] == visit.page.evaluate("document.getAnimations().map(String)")


@pytest.mark.parametrize("path", ["/", "/runs", "/runs/checkout"])
def test_page_is_whole_without_scripts(browser: Browser, server: Dawdle, path: str) -> None:
    """What the script adds is hidden; all there is to know is there, and every way on."""
    context = browser.new_context(base_url=server.url, java_script_enabled=False)
    page = context.new_page()
    page.goto(path)

    assert 0 == page.locator("button:visible").count()
    if path == "/runs/checkout":
        spans = scenes.checkout()
        assert len(spans) == page.locator("table.spans tbody tr:visible svg.bar").count()
        expect(page.get_by_role("heading", name="Findings")).to_be_visible()
        expect(page.get_by_role("link", name="JSON Lines")).to_be_visible()
        expect(page.locator("#waterfall")).to_be_hidden()
        expect(page.locator("#chosen")).to_be_hidden()
    context.close()


def test_colours_of_the_system_are_drawn(browser: Browser, server: Dawdle) -> None:
    """The canvas is not recoloured by the browser, so it asks for those colours."""
    with visiting(browser, server.url, forced_colors="active") as visit:
        visit.page.goto("/runs/checkout")
        settle(visit.page)

        assert "LinkText" == visit.page.evaluate("waterfall.chart.theme.marks.completed")
