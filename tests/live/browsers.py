"""Chromium, driven by Playwright, and what no page of ours may do in it."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    Response,
    sync_playwright,
)

from tests.live.process import PATIENCE_S

NAMES = ("chromium", "chromium-browser", "google-chrome")
HOW = "no Chromium: set BROWSER_PATH, or apt-get install chromium, or playwright install chromium"
AXE = resources.files("axe_playwright_python") / "axe.min.js"
RULES = {
    "resultTypes": ["violations"],
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
}
WATCH = """
globalThis.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  violations.push(`${event.violatedDirective} ${event.blockedURI}`);
});
"""


def browser_path(own: str) -> str:
    """Where Chromium is: as told, the machine's, or Playwright's *own*; skips without one."""
    given = os.environ.get("BROWSER_PATH")
    found = given or next(filter(None, map(shutil.which, NAMES)), None)
    path = found or (own if Path(own).exists() else None)
    if path is None and os.environ.get("REQUIRE_BROWSER") == "1":
        pytest.fail(HOW)
    return path or pytest.skip(HOW)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser; all that was opened in it ends with the block."""
    with sync_playwright() as playwright:
        path = browser_path(playwright.chromium.executable_path)
        # Chromium refuses its sandbox to root, whom containers run tests as.
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=path, args=options)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Watched:
    """A page, and everything about it that somebody should hear of."""

    page: Page
    origin: str
    complaints: list[str] = field(default_factory=list)
    refusals: bool = False  # whether some requests are meant to be refused, or lost

    def __post_init__(self) -> None:
        self.page.add_init_script(WATCH)
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.complaints.append(f"error {error}"))
        self.page.on("request", self._asked)
        self.page.on("response", self._answered)

    def _said(self, message: ConsoleMessage) -> None:
        lost = self.refusals and message.text.startswith("Failed to load resource")
        if message.type in ("error", "warning") and not lost:
            self.complaints.append(f"console {message.text}")

    def _asked(self, request: Request) -> None:
        if not request.url.startswith(f"{self.origin}/"):
            self.complaints.append(f"asked {request.url}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400 and not self.refusals:
            self.complaints.append(f"{response.status} {response.url}")

    def clean(self) -> list[str]:
        """What there is to complain of."""
        violations: list[Any] = self.page.evaluate("globalThis.violations ?? []")
        return [*self.complaints, *map(str, violations)]


@contextmanager
def visiting(browser: Browser, origin: str, **options: Any) -> Iterator[Watched]:
    """A page in a context of its own."""
    with context_of(browser, origin, **options) as context, watching(context, origin) as watched:
        yield watched


@contextmanager
def context_of(browser: Browser, origin: str, **options: Any) -> Iterator[BrowserContext]:
    """A browser as if fresh."""
    context = browser.new_context(base_url=origin, **options)
    context.set_default_timeout(20_000)
    try:
        yield context
    finally:
        context.close()


@contextmanager
def watching(context: BrowserContext, origin: str) -> Iterator[Watched]:
    """A page; at the end nobody has anything to complain of."""
    watched = Watched(context.new_page(), origin)
    yield watched
    assert [] == watched.clean()
    watched.page.close()


def await_true(page: Page, expression: str) -> None:
    """
    Return once the expression is true.

    Playwright's own way evaluates text within the page, which the policy forbids.
    """
    deadline = time.monotonic() + PATIENCE_S
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, f"in vain waited for {expression}"
        page.wait_for_timeout(20)


def axe(page: Page, part: str = "html") -> list[str]:
    """What axe-core finds wrong in a part of the page; its policy has to be bypassed for that."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("([part, options]) => axe.run(part, options)", [part, RULES])
    return [
        f"{one['id']} ({one['impact']}): {node['html'][:200]}"
        for one in found["violations"]
        for node in one["nodes"]
    ]
