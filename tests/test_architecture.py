"""
Who may import whom: the table is the documentation, and the imports are held against it.

Each module imports only from rows above its own, and no more than its row says.
"""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

APP = Path(__file__).parent.parent / "app"

# module -> modules of ours that it may import, in the order of the levels
ALLOWED: dict[str, set[str]] = {
    # the ground
    "errors": set(),
    "clock": set(),
    "assets": set(),
    "pacing": set(),
    "spans": set(),
    "turnstile": set(),
    "gate": {"turnstile"},
    "connections": set(),
    "site": set(),
    "plain": set(),
    # text -> values, values -> meaning: pure
    "grammar": {"errors"},
    "faults": {"errors", "grammar"},
    "delays": {"errors", "grammar"},
    "profiles": {"errors", "grammar"},
    "plan": {"errors", "grammar", "delays", "faults"},
    "labels": {"errors", "grammar", "plan"},
    "manners": {"errors", "grammar", "delays", "faults"},
    "words": set(),
    "clients": set(),
    "columns": {"spans"},
    "batch": {"spans", "columns"},
    "retries": {"spans", "batch"},
    "evidence": {"spans", "batch"},
    "timeouts": {"evidence"},
    "effects": {"spans", "batch"},
    "report": {"spans", "columns", "batch", "effects", "retries", "evidence", "timeouts"},
    "figures": {"spans", "effects", "retries", "report"},
    "findings": {"spans", "words", "clients", "retries", "evidence", "timeouts", "report"},
    "checks": {"errors", "grammar", "spans", "report", "figures", "findings"},
    "timeline": {
        "grammar", "spans", "words", "effects", "retries", "report", "findings",
    },
    "formats": {"plain", "clock", "spans", "words", "report", "timeline"},
    "bars": {"grammar", "spans", "words", "report", "timeline"},
    "lanes": set(),
    "har": {"clock", "spans", "words"},
    "trace": {"spans", "words", "lanes"},
    "exports": {"spans", "har", "trace"},
    "svg": {
        "columns", "spans", "words", "lanes", "report", "findings", "timeline", "formats", "bars",
    },
    "waterfall": {"spans", "report", "bars"},
    "compare": {"words", "report", "figures", "findings", "timeline"},
    "preview": {"errors", "grammar", "plan", "report"},
    "reply": {"clock", "grammar", "spans", "plan"},
    # what happens to a request: synchronous, and knows no web framework
    "passage": {"errors", "clock", "grammar", "delays", "plan", "spans", "turnstile"},
    "runs": {"errors", "grammar", "gate"},
    "recorder": {"clock", "spans", "runs"},
    "feed": {"errors", "spans"},
    "exchange": {
        "errors", "clock", "spans", "pacing", "faults", "plan", "passage", "reply", "runs",
        "recorder",
    },
    # echoes
    "echoes": {
        "errors", "clock", "spans", "connections", "plan", "manners", "runs", "recorder",
    },
    "echo": {"errors", "clock", "spans", "faults", "manners", "echoes"},
    # the disk
    "database": {"errors"},
    "store": {"spans", "columns", "database"},
    "journal": {"spans", "columns", "database", "store"},
    # titles: a product of its own, used by the service and by the command line
    "titles.__init__": set(),
    "titles.markup.__init__": set(),
    "titles.markup.references": set(),
    "titles.markup.attributes": set(),
    "titles.markup.elements": set(),
    "titles.markup.stack": {"titles.markup.elements"},
    "titles.markup.adoption": {"titles.markup.elements", "titles.markup.stack"},
    "titles.markup.tree": {
        "titles.markup.attributes", "titles.markup.elements", "titles.markup.stack",
    },
    "titles.markup.head": {"titles.markup.elements", "titles.markup.tree"},
    "titles.markup.body": {
        "titles.markup.adoption", "titles.markup.elements", "titles.markup.head",
        "titles.markup.stack", "titles.markup.tree",
    },
    "titles.markup.tables": {
        "titles.markup.body", "titles.markup.elements", "titles.markup.head",
        "titles.markup.stack", "titles.markup.tree",
    },
    "titles.markup.frames": {"titles.markup.elements", "titles.markup.tree"},
    "titles.markup.foreign": {"titles.markup.elements", "titles.markup.tree"},
    "titles.markup.construction": {
        "titles.markup.body", "titles.markup.foreign", "titles.markup.frames",
        "titles.markup.head", "titles.markup.tables", "titles.markup.tree",
    },
    "titles.choice": {"titles.markup.elements", "titles.markup.tree"},
    "titles.scan": {
        "titles.choice", "titles.markup.attributes", "titles.markup.construction",
        "titles.markup.tree",
    },
    "titles.charset": {"titles.markup.attributes", "titles.markup.references"},
    "titles.iso2022jp": set(),
    "titles.decoding": {"titles.iso2022jp"},
    "titles.page": {
        "titles.charset", "titles.decoding", "titles.markup.attributes",
        "titles.markup.references", "titles.scan",
    },
    "titles.results": set(),
    "titles.urls": {"errors", "grammar"},
    "titles.guard": {"errors", "grammar", "titles.urls"},
    "titles.retry": {"titles.results"},
    "titles.media": set(),
    "titles.names": {"titles.guard"},
    "titles.failures": {"grammar", "titles.urls", "titles.guard", "titles.results"},
    "titles.deadline": {"grammar"},
    "titles.body": {
        "grammar", "titles.deadline", "titles.failures", "titles.media", "titles.results",
    },
    "titles.fetch": {
        "clock", "errors", "grammar", "titles.body", "titles.deadline",
        "titles.failures", "titles.guard", "titles.names", "titles.page", "titles.results",
        "titles.retry", "titles.urls",
    },
    "titles.options": {"errors", "grammar"},
    "titles.job": {"titles.options", "titles.results"},
    "titles.breaker": {"titles.options", "titles.results"},
    "titles.schedule": {"titles.options", "titles.results", "titles.breaker"},
    "titles.window": {"titles.options", "titles.schedule"},
    "titles.intake": {"errors", "titles.results", "titles.urls"},
    "titles.undivided": set(),
    "titles.files": {"titles.undivided"},
    "titles.trouble": set(),
    "titles.store": {
        "database", "titles.options", "titles.results", "titles.job", "titles.intake",
        "titles.schedule", "titles.window",
    },
    "titles.live": {"titles.options", "titles.job", "titles.store"},
    "titles.ledger": {
        "clock", "database", "titles.options", "titles.results", "titles.schedule",
        "titles.files", "titles.trouble", "titles.store", "titles.live",
    },
    "titles.finisher": {
        "clock", "database", "titles.files", "titles.trouble", "titles.store", "titles.ledger",
    },
    "titles.engine": {
        "clock", "database", "titles.options", "titles.results", "titles.retry",
        "titles.schedule", "titles.window", "titles.trouble", "titles.store", "titles.live",
        "titles.ledger",
    },
    "titles.jobs": {
        "errors", "clock", "grammar", "database", "titles.options", "titles.results",
        "titles.job", "titles.intake", "titles.files", "titles.trouble", "titles.store",
        "titles.live", "titles.ledger", "titles.finisher", "titles.engine", "titles.undivided",
    },
    "titles.orders": {"errors", "grammar", "titles.options"},
    "titles.exports": {"titles.results"},
    "titles.view": {
        "errors", "clock", "grammar", "words", "formats", "titles.options", "titles.results",
        "titles.job",
    },
    "titles.inputs": {"errors", "grammar", "titles.orders"},
    "titles.outputs": {"errors", "grammar", "titles.results", "titles.exports"},
    "titles.states": {"errors"},
    "titles.terminal": {"errors", "clock", "plain", "formats", "titles.results", "titles.job"},
    "titles.errand": {
        "errors", "clock", "grammar", "titles.options", "titles.fetch", "titles.guard",
        "titles.job", "titles.inputs", "titles.outputs", "titles.states", "titles.terminal",
    },
    "titles.command": {
        "errors", "loops", "words", "titles.options", "titles.job", "titles.jobs",
        "titles.inputs", "titles.errand",
    },
    # the edge
    "loops": set(),
    "settings": {"errors", "grammar", "titles.guard"},
    "metrics": {
        "spans", "faults", "effects", "runs", "recorder", "feed", "exchange", "echoes", "journal",
        "connections", "titles.jobs", "titles.results",
    },
    "logs": {"settings"},
    "tls": {"errors", "settings"},
    "keys": {
        "clock", "plan", "manners", "settings", "runs", "recorder", "feed", "exchange", "echoes",
        "store", "journal", "metrics", "connections", "titles.guard", "titles.jobs",
    },
    "responses": {"errors", "grammar", "exchange", "keys"},
    "protection": {"errors", "grammar", "keys", "reply", "responses"},
    "aio": {"errors", "grammar", "keys", "exchange", "plan"},
    "websocket": {
        "errors", "clock", "grammar", "faults", "labels", "manners", "spans", "runs", "echoes",
        "keys", "responses", "aio",
    },
    "visits": {
        "errors", "clock", "grammar", "faults", "labels", "spans", "runs", "exchange", "keys",
        "responses", "aio",
    },
    "delivery": {"clock", "faults", "site", "aio", "visits"},
    "titles.web": {
        "errors", "grammar", "keys", "responses", "protection", "titles.options",
        "titles.results", "titles.job", "titles.jobs", "titles.orders", "titles.exports",
        "titles.view",
    },
    "heads": {"exchange", "aio"},
    "lane": {"errors", "clock", "reply", "exchange", "connections", "heads"},
    "web": {
        "errors", "grammar", "assets", "spans", "columns", "report", "figures", "findings",
        "checks", "timeline", "preview", "runs", "feed", "keys", "responses", "protection", "aio",
        "bars", "svg", "exports", "formats", "compare", "websocket", "site",
        "delivery", "titles.web", "waterfall",
    },
    "server": {
        "errors", "clock", "loops", "assets", "profiles", "plan", "manners", "settings", "spans",
        "runs", "recorder", "feed", "exchange", "echoes", "echo", "store", "journal", "metrics",
        "connections", "logs", "tls", "keys", "responses", "protection", "lane", "web", "formats",
        "titles.body", "titles.fetch", "titles.guard", "titles.jobs",
    },
    # the command line
    "remote": {"errors", "grammar"},
    "console": {"grammar", "checks", "timeline"},
    "junit": {"checks", "findings", "console"},
    "viewer": {"console", "remote"},
    "runner": {
        "errors", "grammar", "checks", "console", "junit", "settings", "loops", "server",
        "remote",
    },
    "examples": {"errors", "grammar", "assets", "remote", "runner"},
    "talk": {"errors", "clock"},
    "cli": {
        "errors", "grammar", "settings", "server", "viewer", "runner", "talk", "titles.command",
        "titles.errand", "examples",
    },
    "__main__": {"cli"},
    "__init__": set(),
}  # fmt: skip

SYNCHRONOUS = (
    "turnstile", "passage", "gate", "runs", "recorder", "faults", "manners", "plan", "reply",
    "pacing", "exchange", "echo", "spans",
    "titles.breaker", "titles.schedule", "titles.window", "titles.intake",
)  # fmt: skip
KNOWS_AIOHTTP_WEB = {
    "keys", "responses", "protection", "aio", "websocket", "visits", "delivery", "titles.web",
    "web", "server",
}  # fmt: skip
KNOWS_TIME = {"clock"}
WRITES_TIME = {"logs"}
MAKES_RANDOM = {"server", "titles.command"}
SPEAKS_SQL = {"database", "store", "titles.store"}


def tree(module: str) -> ast.Module:
    path = APP.joinpath(*module.split(".")).with_suffix(".py")
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(module: str) -> set[str]:
    """Everything the module imports, by full dotted name; also inside functions."""
    found: set[str] = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def ours(module: str) -> set[str]:
    """The modules of ours among them."""
    names = (name.removeprefix("app.") for name in imports(module) if name.startswith("app."))
    return {found for found in map(module_of, names) if found}


def module_of(name: str) -> str:
    """The module that a dotted name stands in, or is; nothing for what the package itself has."""
    while name and name not in ALLOWED:
        name = name.rpartition(".")[0]
    return name


def modules() -> list[str]:
    paths = (path.relative_to(APP).with_suffix("") for path in APP.rglob("*.py"))
    return sorted(".".join(path.parts) for path in paths)


def test_every_module_has_its_row() -> None:
    """A new module takes its place in the table before it imports anything."""
    assert sorted(ALLOWED) == modules()


@pytest.mark.parametrize("module", modules())
def test_module_imports_exactly_what_its_row_allows(module: str) -> None:
    """The table is no wish list: what a module no longer imports leaves its row."""
    assert ALLOWED[module] == ours(module)


def test_no_arrow_points_back() -> None:
    """The imports have an order; a cycle would have none."""
    order = list(TopologicalSorter(ALLOWED).static_order())

    assert len(ALLOWED) == len(order)


@pytest.mark.parametrize("module", modules())
def test_aiohttp_web_stays_at_the_edge(module: str) -> None:
    """The heart has a second caller, which is no aiohttp handler."""
    knows = any(name.startswith("aiohttp.web") for name in imports(module))

    assert knows <= (module in KNOWS_AIOHTTP_WEB)


@pytest.mark.parametrize("module", SYNCHRONOUS)
def test_heart_never_awaits(module: str) -> None:
    """Nothing can come between a decision and its record."""
    awaiting = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)

    assert not [node for node in ast.walk(tree(module)) if isinstance(node, awaiting)]


@pytest.mark.parametrize("module", modules())
def test_only_the_clock_asks_for_the_time(module: str) -> None:
    """Everybody else takes a clock, so that tests need not wait."""
    asks = {"time", "datetime"} & {name.split(".")[0] for name in imports(module)}

    assert bool(asks) <= (module in KNOWS_TIME | WRITES_TIME)


@pytest.mark.parametrize("module", modules())
def test_randomness_is_made_in_one_place(module: str) -> None:
    """A draw without a seed comes from a `Random` that was handed in."""
    makes = any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name | ast.Attribute)
        and ast.unparse(node.func) in ("Random", "random.Random")
        for node in ast.walk(tree(module))
    )

    assert makes <= (module in MAKES_RANDOM)


@pytest.mark.parametrize("module", modules())
def test_sql_stays_in_the_store(module: str) -> None:
    """Whoever wants another database has one file to change."""
    speaks = any(name.split(".")[0] in ("sqlite3", "aiosqlite") for name in imports(module))

    assert speaks <= (module in SPEAKS_SQL)
