"""The documents against the code: what they say is so, and what is so they say."""

import ast
import asyncio
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import click
import pytest
from pytest_aiohttp.plugin import AiohttpClient

from app import (
    checks,
    cli,
    errors,
    faults,
    feed,
    figures,
    findings,
    grammar,
    journal,
    lane,
    plan,
    preview,
    profiles,
    report,
    runner,
)
from app import delays as delays_module
from app import server as server_module
from app import timeline as timeline_module
from app import web as web_module
from app.faults import Ending, Fault
from app.settings import Settings, load, settings_table
from app.spans import FIELDS, Kind, Outcome, Span, span_id
from app.titles import breaker as breaker_module
from app.titles import jobs as jobs_module
from app.titles import options as options_module
from app.titles import options as title_options
from app.titles import results, view
from app.titles import web as titles_web
from app.titles.job import Job, Page, Sort, State
from app.titles.options import Options

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
REFERENCE = ROOT / "docs" / "reference.md"
TITLES = ROOT / "docs" / "titles.md"
FAULTS = ROOT / "docs" / "faults.md"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
ORIGIN = "http://127.0.0.1:3000"

ANSWERED = re.compile(r"```sh\n(curl [^`]+)\n```\n\nAnswers (\d{3})\b")


# --- reading documents ---------------------------------------------------------------------------


@cache
def text_of(document: Path) -> str:
    return document.read_text(encoding="utf-8")


def section(document: Path, heading: str) -> str:
    """What stands between this heading and the next."""
    _, found, rest = text_of(document).partition(f"\n{heading}\n")
    assert found, f"{document.name} has no heading {heading!r}"
    return re.split(r"(?m)^##+ ", rest)[0]


def table(document: Path, heading: str, number: int = 0) -> list[list[str]]:
    """The rows of a section's table, without the head; cells as they are written."""
    tables = re.findall(r"(?m)(?:^\|.*\|\n)+", section(document, heading))
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in tables[number].splitlines()[2:]
    ]


def codes(cells: Iterable[str]) -> list[str]:
    """What the cells show as code."""
    return [code for cell in cells for code in re.findall(r"`([^`]+)`", cell)]


def names(document: Path, heading: str, number: int = 0) -> list[str]:
    """What the first column of a section's table shows as code."""
    return codes(row[0] for row in table(document, heading, number))


def fenced(document: Path, language: str) -> list[str]:
    """The blocks of code in one language."""
    return re.findall(rf"(?s)```{language}\n(.*?)```", text_of(document))


# --- the service ---------------------------------------------------------------------------------


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A service a hundred times faster, on any free port."""
    flags = {"port": "0", "time_scale": "0.01", "data": str(tmp_path / "data")}
    return load(flags, {}, tmp_path).settings


def surroundings() -> dict[str, str]:
    """Our environment, without settings or proxies, for a terminal of 80 columns."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("DAWDLE_") and not name.lower().endswith("_proxy")
    }
    return kept | {"COLUMNS": "80", "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}


# --- curl lines ----------------------------------------------------------------------------------


async def answer(line: str, url: str) -> int:
    """The status that a shell's curl gets when it is given this line."""
    command = (
        f"{line.replace(ORIGIN, url)} --silent --output {os.devnull} --write-out '%{{http_code}}'"
    )
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", command), env=surroundings(), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    return int(output.split()[-1])


@pytest.mark.live
@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize(
    "document", [README, REFERENCE, TITLES, FAULTS], ids=lambda path: path.name
)
async def test_every_curl_line_answers_as_the_text_below_it_says(
    document: Path, settings: Settings
) -> None:
    """Pasted from top to bottom into a shell, against a fresh service."""
    stated = [(line, int(status)) for line, status in ANSWERED.findall(text_of(document))]

    async with server_module.serving(settings) as service:
        answered = [(line, await answer(line, service.url)) for line, _ in stated]

    assert stated == answered


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_curl_line_is_quoted_and_says_what_it_answers(document: Path) -> None:
    """An `&` that is not quoted would end the command; a line without a status proves nothing."""
    shown = re.findall(r"(?m)^curl .*$", text_of(document))

    assert shown == [line for line, _ in ANSWERED.findall(text_of(document))]
    for line in shown:
        assert re.search(rf" '{re.escape(ORIGIN)}/[^']*'$", line)


def called(line: str) -> tuple[str, str]:
    """(method, path) of a curl line."""
    words = shlex.split(line)
    methods = [after for word, after in pairwise(words) if word == "-X"]
    return next(iter(methods), "GET"), words[-1].removeprefix(ORIGIN).partition("?")[0]


def test_every_route_in_the_reference_has_a_curl_line() -> None:
    """So the test above has asked all of them."""
    asked = [called(line) for line, _ in ANSWERED.findall(text_of(REFERENCE))]

    for method, path in ((row[0], *codes([row[1]])) for row in table(REFERENCE, "## Routes")):
        pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))
        assert any(
            method in ("any", verb) and re.fullmatch(pattern, asked_path)
            for verb, asked_path in asked
        ), (method, path)


def test_the_first_curl_line_waits_but_not_long() -> None:
    """Thirty seconds would be a poor welcome."""
    (first, _), *_ = ANSWERED.findall(text_of(README))

    assert f"curl '{ORIGIN}/aio?delay=1-3'" == first


# --- command lines -------------------------------------------------------------------------------


def command_lines() -> Iterator[list[str]]:
    """The arguments of every `dawdle` that a document shows."""
    names = "echo|examples|report|run|serve|titles"
    for document in DOCUMENTS:
        text = text_of(document)
        lines = re.findall(rf"(?m)^(?:  - run: )?dawdle ((?:{names})\b.*)$", text)
        inline = re.findall(rf"`dawdle ((?:{names}) [^`]*)`", text)
        yield from map(shlex.split, [*lines, *inline])


def parsed(arguments: list[str]) -> click.Context:
    """What the command line makes of the arguments."""
    group = cli.dawdle.make_context("dawdle", list(arguments), obj={})
    name, command, rest = cli.dawdle.resolve_command(group, list(arguments))
    assert command is not None
    return command.make_context(name, rest, parent=group)


def test_every_command_line_shown_is_one_the_command_takes() -> None:
    """An option that is gone, or a check that is no check, would be refused."""
    shown = [each for each in command_lines() if "--print-config" not in each]

    contexts = [parsed(arguments) for arguments in shown]

    given = [runner.read_checks(context.params.get("checks") or ()) for context in contexts]
    assert any(given)


def options(command: click.Command) -> set[str]:
    """A command's own options: help and the settings have tables of their own."""
    own = [each for each in command.params if isinstance(each, click.Option)]
    return {spelling for option in own for spelling in option.opts}


@pytest.mark.parametrize("command", cli.dawdle.commands.values(), ids=lambda each: each.name)
def test_every_option_of_a_command_is_in_the_reference(command: click.Command) -> None:
    """And no other."""
    assert options(command) == set(names(REFERENCE, f"### dawdle {command.name}"))


def test_every_common_option_is_in_the_reference() -> None:
    """Those of `dawdle` itself, and those for help."""
    asking = {"--help", *cli.dawdle.context_settings["help_option_names"]}

    assert options(cli.dawdle) | asking == set(names(REFERENCE, "### dawdle"))


@pytest.mark.parametrize("command", [None, *sorted(cli.dawdle.commands)])
def test_no_help_shows_a_control_character_or_its_name(
    command: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    r"""Click's `\b` keeps lines as they are; written raw it would be shown."""
    cli.main([*filter(None, [command]), "--help"], environ={})

    assert not re.search(r"\\b|[\x00-\x09\x0b-\x1f]", capsys.readouterr().out)


# --- settings ------------------------------------------------------------------------------------


def test_the_readmes_settings_are_the_settings() -> None:
    """Name, kind, default and meaning, in the same order."""
    expected = [
        [f"`{each.name}`", each.kind, f"`{each.default}`" if each.default else "", each.description]
        for each in settings_table()
    ]

    assert expected == table(README, "## Settings")


def test_the_references_settings_are_the_settings() -> None:
    """With the spellings of command line and environment."""
    expected = [[each.name, each.flag, each.environment] for each in settings_table()]

    assert expected == [codes(row) for row in table(REFERENCE, "## Settings")]


# --- the pictures --------------------------------------------------------------------------------


def pictures() -> list[tuple[str, str, str, str]]:
    """(file, Python, command, output) of each picture in the README."""
    return re.findall(
        r"(?s)`(\w+\.py)`:\n\n```python\n(.*?)```.*?```sh\n(dawdle .*?)\n```\n\n```text\n(.*?)```",
        text_of(README),
    )


def drawn(file: str, source: str, command: str, folder: Path) -> str:
    """What the command prints today."""
    (folder / file).write_text(source, encoding="utf-8")
    dawdle, *arguments = shlex.split(command)
    assert "dawdle" == dawdle
    words = [sys.executable if each == "python" else each for each in arguments]
    done = subprocess.run(
        [sys.executable, "-m", "app", *words],
        cwd=folder,
        env=surroundings(),
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return done.stdout


def shape(picture: str) -> list[str]:
    """A picture without what differs each time: figures, lengths of bars, line breaks."""
    summary, *told, bars = picture.split("\n\n")
    lines = [summary, *(each.replace("\n", " ") for each in told), *bars.splitlines()]
    return [masked(line) for line in lines]


def masked(line: str) -> str:
    """A line with one sign for each number, length, axis and row of equal marks."""
    numbers = re.sub(r"[0-9][0-9.,]*", "0", line)
    lengths = re.sub(r"0 (?:µs|ms|s)\b|^(?:seconds|ms)", "LENGTH", numbers)
    axis = re.sub(r"0[0─]*─[0─]*", "AXIS", lengths)
    return re.sub(r"(.)\1+", r"\1", re.sub(r"\s", "", axis))


def bars(picture: str) -> list[tuple[int, int]]:
    """Where each bar begins and ends."""
    lines = [line for line in picture.splitlines() if "░█" in line]
    return [(line.index("░"), line.rindex("█")) for line in lines]


def overlap(first: tuple[int, int], second: tuple[int, int]) -> bool:
    return first[0] < second[1] and second[0] < first[1]


@pytest.mark.live
@pytest.mark.parametrize("picture", pictures(), ids=lambda picture: picture[0])
def test_the_picture_in_the_readme_is_what_the_tool_draws(
    picture: tuple[str, str, str, str], tmp_path: Path
) -> None:
    """The client and the command that are shown draw it anew; the figures differ, no word does."""
    file, source, command, shown = picture

    today = drawn(file, source, command, tmp_path)

    assert shape(shown) == shape(today)
    for each in (shown, today):
        assert max(map(len, each.splitlines())) <= 80
        overlaps = {overlap(one, two) for one in bars(each) for two in bars(each) if one != two}
        assert {file == "overlapped.py"} == overlaps


def test_the_readme_shows_both_clients() -> None:
    """Else the test above would have nothing to draw."""
    assert ["one_by_one.py", "overlapped.py"] == [file for file, *_ in pictures()]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_python_snippet_compiles(document: Path) -> None:
    """As it stands, without warnings."""
    for source in fenced(document, "python"):
        compile(source, document.name, "exec")


# --- the reference -------------------------------------------------------------------------------


def path_text(path: str) -> str:
    """A route's path without patterns; what only says the format is left out."""
    return re.sub(r"\{(\w+)(?::[^{}]*)?\}", r"{\1}", path).replace("{format}", "")


def test_every_route_is_in_the_reference() -> None:
    """And no other."""
    routes = {
        ("any" if route.method == "*" else route.method, path_text(route.path))
        for route in web_module.ROUTES
    }

    documented = [(row[0], *codes([row[1]])) for row in table(REFERENCE, "## Routes")]
    assert sorted(routes) == sorted(documented)


def test_every_knob_is_in_the_reference() -> None:
    """And no other, in the same order."""
    assert list(plan.KNOBS) == names(REFERENCE, "## Knobs")


def test_every_fault_is_in_the_reference() -> None:
    """In the same order, with the length that its head tells of and how the connection ends."""
    endings = {"FIN": Ending.FIN, "RST": Ending.RST, "silence": Ending.SILENCE}
    lengths = {"L": 100, "⌊L/2⌋": 50, "2L": 200}

    for fault, (name, wire, ending) in zip(Fault, table(REFERENCE, "## Faults"), strict=True):
        script = faults.script(fault, b"x" * 100)
        stated = re.findall(r"`Content-Length: (.+?)`", wire)
        assert f"`{fault}`" == name
        assert script.ending is endings[ending]
        assert [lengths[each] for each in stated] == ([script.length] if script.length else [])
        assert script.head == ("no " not in wire)


def test_every_delay_in_the_reference_is_one() -> None:
    """Each example is read, and each distribution has one."""
    rows = table(REFERENCE, "## Delays")
    examples = [example for row in rows for example in codes([row[1]])]

    for example in examples:
        delays_module.parse(example, max_delay_ns=grammar.duration("300s"))

    called = {call[0] for call in map(grammar.call, examples) if call}
    assert set(delays_module._DISTRIBUTIONS) | {"seq"} == called


def test_every_built_in_profile_is_in_the_reference() -> None:
    """With its knobs, as a query would have them."""
    built_in = [
        [name, "&".join(f"{knob}={text}" for knob, text in knobs.items())]
        for name, knobs in profiles.BUILT_IN.items()
    ]

    assert built_in == [codes(row) for row in table(REFERENCE, "## Profiles")]


def test_the_profile_in_the_reference_is_one(tmp_path: Path) -> None:
    """The file is read, and its knobs are knobs."""
    (source,) = fenced(REFERENCE, "toml")
    file = tmp_path / "profiles.toml"
    file.write_text(source, encoding="utf-8")
    limits = plan.Limits(max_delay_ns=grammar.duration("300s"), max_size=1024)

    planner = plan.Planner(limits, profiles=profiles.load(file))

    assert "sluggish" in planner.profiles


def test_every_problem_is_in_the_reference() -> None:
    """With its status and title, in the same order."""
    expected = [
        [f"`{code}`", str(int(status)), title] for code, (status, title) in errors.TABLE.items()
    ]

    assert expected == table(REFERENCE, "## Problems")


def constants(node: ast.AST) -> set[str]:
    """The texts that are written in a piece of code."""
    return {
        each.value
        for each in ast.walk(node)
        if isinstance(each, ast.Constant) and isinstance(each.value, str)
    }


def calls() -> Iterator[ast.Call]:
    """Every call in the code."""
    for file in ROOT.glob("app/**/*.py"):
        module = ast.parse(file.read_text(encoding="utf-8"))
        yield from (node for node in ast.walk(module) if isinstance(node, ast.Call))


def test_every_problem_is_raised_somewhere() -> None:
    """A code that nothing hands on would be promised for nothing."""
    handed_on = {text for call in calls() for each in call.args for text in constants(each)}

    assert set() == set(errors.TABLE) - handed_on


def test_every_problem_that_is_raised_has_a_row() -> None:
    """One without would be an answer of 500."""
    raised = [
        call for call in calls() if isinstance(call.func, ast.Name) and call.func.id == "Problem"
    ]

    assert set() == {code for call in raised for code in constants(call.args[0])} - set(
        errors.TABLE
    )


def test_every_field_and_outcome_of_a_span_is_in_the_reference() -> None:
    """And no other, in the same order."""
    assert list(FIELDS) == names(REFERENCE, "## Spans")
    assert [each.value for each in Outcome] == names(REFERENCE, "## Spans", 1)


def test_every_field_and_code_of_a_title_is_in_its_document() -> None:
    """And no other, in the same order."""
    assert list(results.FIELDS) == names(TITLES, "## Results")
    assert list(results.Code) == names(TITLES, "## Codes")


def test_every_option_and_view_of_a_title_job_is_in_its_document() -> None:
    """And no other, and every member of its JSON."""
    document = view.with_results(JOB, Page([], 0), view.PLAIN, {"job": ORIGIN})

    assert list(title_options.document(Options())) == names(TITLES, "## Over HTTP")
    assert list(document) == names(TITLES, "## Over HTTP", 1)
    assert list(view.NAMES) == names(TITLES, "## Over HTTP", 2)
    assert [*Sort] == codes([table(TITLES, "## Over HTTP", 2)[2][1]])


JOB = Job("1", State.DONE, Options(), 0, 0, 0, urls=1, repeats=0, errors={}, done=1)


def test_every_check_is_in_the_reference() -> None:
    """With what its bounds are written as."""
    kinds: dict[object, str] = {
        grammar.integer: "integer",
        grammar.decimal: "number",
        grammar.duration: "duration",
    }
    expected = {f"`{name}`": kinds[reader] for name, reader in checks.READERS.items()}
    expected |= {
        "`findings`": "`none`, `..note` or `..warn`",
        "`status.NNN`": "integer",
        "`wait`": "duration, no bound",
    }

    assert {f"`{name}`" for name in checks.NAMES} == set(expected)
    assert expected == {row[0]: row[1] for row in table(REFERENCE, "## Checks")}


def members(document: dict[str, Any], path: str = "") -> Iterator[str]:
    """The members of a report by their paths; those whose names are figures are one."""
    named = ("figures", "outcomes", "statuses", "faults", "rejections", "urls")
    for name, value in document.items():
        here = f"{path}{name}"
        if isinstance(value, dict) and name not in named:
            yield from members(value, f"{here}.")
            continue
        yield here
        if isinstance(value, list) and value and isinstance(value[0], dict):
            yield from members(value[0], f"{here}[].")


def left_and_tried_again() -> Iterator[Span]:
    """Keys tried three times, too early for their Retry-After, or twice at once; clients left."""
    second = 10**9
    attempts = [(key, at) for key in "abc" for at in (0, 2 * second, 5 * second)]
    attempts += [("early", 0), ("early", 2 * second), ("twice", 0), ("twice", second // 2)]
    for number, (key, at) in enumerate(sorted(attempts, key=lambda one: one[1]), 1):
        yield Span(
            id=span_id(1, number),
            run="a",
            kind=Kind.HTTP,
            method="GET",
            target="/aio",
            arrival_ns=at,
            key=key,
            end_ns=at + second,
            outcome=Outcome.CLIENT_GONE,
            retry_after_ns=9 * second if key == "early" else None,
        )


async def test_every_member_of_a_report_is_in_the_reference(
    aiohttp_client: AiohttpClient, settings: Settings
) -> None:
    """Those of a run in which everything happens, and those that HTTP adds."""
    built = report.build(left_and_tried_again(), run="a", now_ns=9 * 10**9)
    full = figures.document(built) | {"findings": findings.document(findings.findings(built))}
    client = await aiohttp_client(server_module.create_app(settings))
    await client.post("/runs")

    reply = await client.get("/runs/run-1.json")
    added = {name: value for name, value in (await reply.json()).items() if name not in full}

    assert [*members(full), *members(added)] == names(REFERENCE, "## Reports")


async def test_every_header_of_a_reply_is_in_the_reference(
    aiohttp_client: AiohttpClient, settings: Settings
) -> None:
    """Of a failure on purpose with a time to come back, on a connection that closes."""
    client = await aiohttp_client(server_module.create_app(settings))

    query = "delay=0&status=503&retry_after=1"
    reply = await client.get(f"/aio?{query}", headers={"Connection": "close"})

    assert set(reply.headers) == set(names(REFERENCE, "## Headers", 1))


def test_every_header_that_requests_may_have_is_looked_at() -> None:
    """A header that no module names is not heeded."""
    source = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("app/*.py"))

    documented = names(REFERENCE, "## Headers")

    assert documented == [each for each in documented if f'"{each}"' in source]


async def test_every_metric_is_in_the_reference(
    aiohttp_client: AiohttpClient, settings: Settings
) -> None:
    """And no other of our own."""
    client = await aiohttp_client(server_module.create_app(settings))

    exposition = await (await client.get("/metrics")).text()

    ours = dict.fromkeys(re.findall(r"(?m)^(dawdle_\w+)", exposition))
    assert set(ours) == set(names(REFERENCE, "## Metrics"))


def test_every_event_is_in_the_reference() -> None:
    """By the names under which the module sends them."""
    sent = re.findall(r'event="(\w+)"', (ROOT / "app" / "web.py").read_text(encoding="utf-8"))

    assert set(sent) == set(names(REFERENCE, "## Events"))


# Limits that are no settings, by the words of the reference.
FIXED: dict[str, tuple[ModuleType, str]] = {
    "knobs in one place": (grammar, "MOST_KNOBS"),
    "characters of a key": (grammar, "LONGEST_KEY"),
    "characters of a duration or number": (grammar, "LONGEST_NUMBER"),
    "sigma": (delays_module, "LARGEST_SIGMA"),
    "plans in one preview": (preview, "MOST_PLANS"),
    "runs known at once": (server_module, "MOST_RUNS"),
    "changes kept for viewers": (feed, "KEPT"),
    "spans waiting to be written": (journal, "MOST_PENDING"),
    "bars in a text timeline": (timeline_module, "MOST_ROWS"),
    "spans in a page's table": (web_module, "SPANS_SHOWN"),
    "runs in a page's table": (web_module, "RUNS_SHOWN"),
    "URLs in `GET /titles`": (titles_web, "MOST_DIRECT"),
    "seconds `Prefer: wait` may wait": (titles_web, "LONGEST_WAIT_S"),
    "results in one reply of a job": (view, "MOST_SHOWN"),
    "bytes in the body of an order of titles": (titles_web, "LARGEST_ORDER"),
    "bytes in the body of another `POST` that is not to `/aio`": (web_module, "LARGEST_BODY"),
    "characters of a fresh run's `name`": (grammar, "LONGEST_PREFIX"),
    "title jobs that wait": (jobs_module, "MOST_QUEUED"),
    "title jobs that are kept": (jobs_module, "MOST_JOBS"),
    "pages fetched at once, over all title jobs": (options_module, "MOST_AT_ONCE"),
    "failures of a host in a row": (breaker_module, "FAILURES"),
    "seconds for a connection to bring its first request": (lane, "FIRST_REQUEST_S"),
    "seconds between a reply and the next request": (lane, "QUIET_S"),
    "seconds a connection is read after a fault": (lane, "LINGER_S"),
}


def test_every_limit_in_the_reference_has_its_value() -> None:
    """Settings by their defaults, the others as the code has them."""
    defaults = {f"`{setting.name}`": setting.default for setting in settings_table()}
    fixed = {words: f"{getattr(module, name):.12g}" for words, (module, name) in FIXED.items()}
    fixed |= {words: str(int(float(value))) for words, value in fixed.items()}
    fixed["seconds of `retry_after`"] = str(plan.LONGEST_RETRY_AFTER_NS // 1_000_000_000)
    fixed["seconds a check may wait"] = str(checks.LONGEST_WAIT_NS // 1_000_000_000)

    stated = {row[0]: row[1] for row in table(REFERENCE, "## Limits")}

    assert {name: (defaults | fixed)[name] for name in stated} == stated
    assert set(fixed) <= set(stated)


def test_the_recipe_of_seeded_draws_gives_the_servers_draws() -> None:
    """Whoever follows the reference gets the same delays."""
    (source,) = fenced(REFERENCE, "python")
    recipe: dict[str, Any] = {}
    exec(source, recipe)
    limits = plan.Limits(max_delay_ns=grammar.duration("300s"), max_size=1024)
    knobs = plan.Planner(limits).knobs({"delay": "1-30"})
    random = Random(20261120)
    places = [(random.randrange(-(10**17), 10**17), random.randrange(10**6)) for _ in range(200)]

    drawn_here = [
        plan.draw(knobs, plan.SeededDraws(seed, n), n, limits).delay_ns for seed, n in places
    ]

    assert drawn_here == [recipe["delay"](seed, n) * 1_000_000_000 for seed, n in places]


# --- links ---------------------------------------------------------------------------------------


def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings."""
    headings = re.findall(r"(?m)^#+ (.*)$", text_of(document))
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_between_files_resolves(document: Path) -> None:
    """To a file that is there, and a heading in it."""
    for link in re.findall(r"\]\(([^)\s]+)\)", text_of(document)):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.is_file(), link
        assert not anchor or anchor in anchors(target), link
