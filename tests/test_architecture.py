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
    "gate": set(),
    "connections": set(),
    # text -> values, values -> meaning: pure
    "grammar": {"errors"},
    "delays": {"errors", "grammar"},
    "profiles": {"errors", "grammar"},
    "plan": {"errors", "grammar", "delays"},
    "retries": {"spans"},
    "report": {"spans", "retries"},
    "checks": {"errors", "grammar", "spans", "report"},
    "timeline": {"grammar", "spans", "report", "retries"},
    "formats": {"spans", "report", "timeline"},
    "bars": {"grammar", "spans", "report", "timeline"},
    "exports": {"spans"},
    "preview": {"errors", "grammar", "plan", "report"},
    "reply": {"clock", "grammar", "spans", "plan"},
    "settings": {"errors", "grammar"},
    # what happens to a request: synchronous, and knows no web framework
    "runs": {"errors", "grammar", "gate"},
    "recorder": {"clock", "spans", "runs"},
    "feed": {"errors", "spans"},
    "exchange": {
        "errors", "clock", "spans", "pacing", "plan", "reply", "runs", "recorder",
    },
    # the disk
    "store": {"errors", "spans"},
    "journal": {"spans", "store"},
    # the edge
    "metrics": {"spans", "runs", "recorder", "feed", "exchange", "journal", "connections"},
    "logs": {"settings"},
    "tls": {"errors", "settings"},
    "keys": {
        "clock", "plan", "settings", "runs", "recorder", "feed", "exchange", "store", "journal",
        "metrics", "connections",
    },
    "responses": {"errors", "grammar", "exchange", "keys"},
    "protection": {"errors", "grammar", "keys", "reply", "responses"},
    "aio": {"errors", "grammar", "keys", "exchange", "plan"},
    "heads": {"exchange", "aio"},
    "lane": {"errors", "clock", "reply", "exchange", "connections", "heads"},
    "web": {
        "errors", "grammar", "assets", "spans", "report", "checks", "timeline", "preview", "runs",
        "feed", "keys", "responses", "protection", "aio", "bars", "exports", "formats",
    },
    "server": {
        "errors", "clock", "assets", "profiles", "plan", "settings", "runs", "recorder", "feed",
        "exchange", "store", "journal", "metrics", "connections", "logs", "tls", "keys",
        "responses", "protection", "lane", "web", "formats",
    },
    # the command line
    "remote": {"errors", "grammar"},
    "runner": {"errors", "grammar", "checks", "timeline", "settings", "server", "remote"},
    "examples": {"errors", "grammar", "assets", "remote", "runner"},
    "cli": {"errors", "settings", "server", "runner", "examples"},
    "__main__": {"cli"},
    "__init__": set(),
}  # fmt: skip

SYNCHRONOUS = ("gate", "runs", "recorder", "plan", "reply", "pacing", "exchange", "spans")
KNOWS_AIOHTTP_WEB = {"keys", "responses", "protection", "aio", "web", "server"}
KNOWS_TIME = {"clock"}
WRITES_TIME = {"formats", "logs"}
MAKES_RANDOM = {"server"}
SPEAKS_SQL = {"store"}


def tree(module: str) -> ast.Module:
    return ast.parse((APP / f"{module}.py").read_text(encoding="utf-8"))


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
    names = {name.split(".")[1] for name in imports(module) if name.startswith("app.")}
    return names - {"__version__"}


def modules() -> list[str]:
    return sorted(path.stem for path in APP.glob("*.py"))


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
