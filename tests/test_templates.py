"""Tests of the pages: they render, they are sound, and nothing a client sent gets out of hand."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any, NamedTuple

import jinja2
import jinja2.meta
import pytest

from app import assets, bars, formats, report, site
from app.errors import TABLE, Problem
from app.findings import Finding, Severity
from app.plan import KNOBS
from app.spans import Kind, Outcome, Span, span_id
from app.titles import options
from app.titles import view as titles_view
from app.titles.job import Job, State
from app.titles.options import Options
from app.titles.results import Code, Failure, Result

SECOND = 10**9
NOW = 1_795_003_200 * SECOND
ORIGIN = "http://127.0.0.1:3000"
HOSTILE = "\"><script>alert('1')</script><img src=x onerror=alert(2)>&amp;{{ 7 * 7 }}"

# HTML standard section 13.1.2: elements that have no end tag.
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}

TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(assets.folder("templates")),
    undefined=jinja2.StrictUndefined,
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.filters.update(formats.FILTERS)
TEMPLATES.globals.update(formats.GLOBALS, has_token=True)

STATIC = assets.folder("static")
CSS = "".join(path.read_text(encoding="utf-8") for path in sorted(STATIC.rglob("*.css")))
SCRIPTS = "".join(path.read_text(encoding="utf-8") for path in sorted(STATIC.rglob("*.js")))


# --- contexts as the handlers make them ----------------------------------------------------------


def run_spans(text: str = "order-17") -> list[Span]:
    """A span for every way to end, queued, dripped, with attempts; *text* is what clients sent."""
    spans = []
    for place, outcome in enumerate((*Outcome, Outcome.COMPLETED)):
        begin = NOW + place * SECOND // 2
        spans.append(
            Span(
                span_id(1, place + 1),
                "ci-1",
                Kind.HTTP,
                "GET" if text == "order-17" else text,
                f"/aio?delay=4&key={text}",
                begin,
                key=text if place % 2 else None,
                attempt=place // 2 + 1 if place % 2 else None,
                connection=1,
                connection_request=place + 1,
                user_agent=text,
                queue_wait_ns=SECOND if place == 1 else 0,
                delay_ns=4 * SECOND,
                drip=3 if place == 2 else None,
                wait_begun_ns=begin + (SECOND if place == 1 else 0),
            )
        )
        end(spans[-1], outcome, status=503 if place == len(Outcome) else 200)
    return spans


def end(span: Span, outcome: Outcome, status: int) -> None:
    """Let *span* end three seconds after it arrived, or stay in flight."""
    span.outcome = outcome
    if outcome is Outcome.IN_FLIGHT:
        return
    span.end_ns = span.arrival_ns + 3 * SECOND
    if outcome is Outcome.COMPLETED:
        span.first_byte_ns, span.last_byte_ns = span.end_ns - SECOND, span.end_ns
        span.status = status


def found(text: str) -> tuple[Finding, ...]:
    """A warning about what a client called *text*, and a note."""
    return (
        Finding("duplicate_in_flight", Severity.WARN, f"Key {text} was sent again.", "Cancel it."),
        Finding("unbounded", Severity.NOTE, "All 5 were in flight at once.", "Count them."),
    )


def run_context(spans: list[Span], *, shown: int = 200, run: str = "ci-1") -> dict[str, Any]:
    built = report.build(spans, run=run, now_ns=NOW + 9 * SECOND)
    base = f"{ORIGIN}/runs/{run}"
    return {
        "report": built,
        "findings": found(run) if spans else (),
        "headline": formats.headline(built),
        "chart": bars.chart(built, spans[:shown]),
        "urls": {
            "aio": f"{ORIGIN}/aio?run={run}",
            "report": base,
            "spans": f"{base}/spans",
            "events": f"{base}/events",
            "check": f"{base}/check",
            "timeline": f"{base}.txt",
            "svg": f"{base}.svg",
            "har": f"{base}.har",
            "trace": f"{base}/trace.json",
        },
    }


def runs(*names: str) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "requests": 2_400,
            "in_flight": 3,
            "created_ns": NOW,
            "last_arrival_ns": NOW if place else None,
        }
        for place, name in enumerate(names)
    ]


def home_context(*names: str, origin: str = ORIGIN, total: int = 41) -> dict[str, Any]:
    return {
        "origin": origin,
        "waiting": 33,
        "in_flight": 37,
        "max_waiting": 20_000,
        "requests": 18_204,
        "runs": runs(*names),
        "total": total,
        "now_ns": NOW,
    }


def site_context(
    pages: Mapping[int, site.SitePage] = site.PAGES, origin: str = ORIGIN
) -> dict[str, Any]:
    return {"pages": [site.entry(*each) for each in pages.items()], "origin": origin}


def job(state: State = State.DONE, **changes: Any) -> Job:
    finished = Job(
        name="7",
        state=state,
        options=Options(),
        created_ns=NOW,
        started_ns=NOW,
        ended_ns=NOW + 9 * SECOND,
        urls=2_400,
        repeats=3,
        errors={"timeout": 12, "http_error": 5},
        done=2_400,
        rate=34.1,
    )
    return replace(finished, **changes)


def results(text: str = "Page") -> list[Result]:
    """A result of every kind; *text* is what a page, or the person who ordered it, wrote."""
    found = Result(
        url=f"https://a.example/?{text}",
        final_url=f"https://b.example/?{text}",
        status=200,
        title=text,
        charset="utf-8",
        charset_source="header",
        attempts=2,
    )
    failed = Result(url=text, error=Failure(Code.TIMEOUT, text))
    empty = Result(url=text, status=404, title="", error=Failure(Code.HTTP_ERROR, text))
    return [found, failed, empty]


def job_context(
    shown: Job, found: list[Result], wanted: titles_view.View = titles_view.PLAIN
) -> dict[str, Any]:
    base = f"{ORIGIN}/titles/{shown.name}"
    return {
        "job": shown,
        "headline": titles_view.headline(shown),
        "results": found,
        "total": shown.done,
        "view": wanted,
        "columns": titles_view.columns(wanted),
        "filters": titles_view.filters(shown, wanted),
        "pages": titles_view.pages(wanted, shown.done),
        "urls": {"jsonl": f"{base}.jsonl", "csv": f"{base}.csv"},
        "refresh_s": None if shown.finished else 2,
    }


def jobs_context(*jobs: Job, **changes: Any) -> dict[str, Any]:
    defaults = options.document(Options())
    return {"jobs": jobs, "given": {}, "problem": None, "defaults": defaults} | changes


UNDER_WAY = job(State.RUNNING, done=1_200, ended_ns=None, left_s=35.2)
PROBLEMS = [Problem(code, "sentence", "delay" if "knob" in code else None) for code in TABLE]

PAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "home": ("index.html", home_context("ci-1", "default-2")),
    "home without runs": ("index.html", home_context(total=0)),
    "runs": ("runs.html", {"runs": runs("ci-1", "default-2"), "total": 2}),
    "many runs": ("runs.html", {"runs": runs("ci-1", "default-2"), "total": 5_000}),
    "one run": ("runs.html", {"runs": runs("ci-1"), "total": 1}),
    "no runs": ("runs.html", {"runs": [], "total": 0}),
    "run": ("run.html", run_context(run_spans())),
    "long run": ("run.html", run_context(run_spans(), shown=2)),
    "run of one": ("run.html", run_context(run_spans()[1:2])),
    "empty run": ("run.html", run_context([])),
    "site": ("site.html", site_context()),
    "titles": ("titles.html", jobs_context(job(), job(State.QUEUED, done=0))),
    "no jobs": ("titles.html", jobs_context()),
    "refused order": (
        "titles.html",
        jobs_context(
            given={"urls": "a.example", "timeout": "soon"},
            problem=Problem("bad-body", "timeout: 'soon' is not a duration; write 10s", "timeout"),
        ),
    ),
    "job": ("titles_job.html", job_context(job(), results())),
    "part of a job": (
        "titles_job.html",
        job_context(job(), results(), titles_view.View(100, 3, "-elapsed", "any")),
    ),
    "job under way": ("titles_job.html", job_context(UNDER_WAY, results())),
    "job in trouble": (
        "titles_job.html",
        job_context(replace(UNDER_WAY, trouble="the disk is full"), []),
    ),
    "queued job": ("titles_job.html", job_context(job(State.QUEUED, done=0, errors={}), [])),
    "cancelled job": ("titles_job.html", job_context(job(State.CANCELLED, done=1), results())),
    "sign in": ("sign_in.html", {"refused": False}),
    "refused": ("sign_in.html", {"refused": True}),
    "refusal": ("refusal.html", {"problem": PROBLEMS[0]}),
} | {f"problem {one.code}": ("problem.html", {"problem": one}) for one in PROBLEMS}

HOSTILE_PAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "home": ("index.html", home_context(HOSTILE, origin=HOSTILE)),
    "runs": ("runs.html", {"runs": runs(HOSTILE), "total": 1}),
    "run": ("run.html", run_context(run_spans(HOSTILE), run=HOSTILE)),
    "empty run": ("run.html", run_context([], run=HOSTILE)),
    "site": ("site.html", site_context({1: site.PAGES[1]}, HOSTILE)),
    "job": (
        "titles_job.html",
        job_context(replace(job(), name=HOSTILE, trouble=HOSTILE), results(HOSTILE)),
    ),
    "refused order": (
        "titles.html",
        jobs_context(
            given=dict.fromkeys(("urls", "timeout", "retries"), HOSTILE),
            problem=Problem("bad-body", HOSTILE, HOSTILE),
        ),
    ),
    "problem": ("problem.html", {"problem": Problem("bad-knob", HOSTILE, HOSTILE)}),
}


def render(template: str, context: dict[str, Any]) -> str:
    return TEMPLATES.get_template(template).render(context)


# --- reading a page ------------------------------------------------------------------------------


class Tag(NamedTuple):
    """A start tag, and the elements it stands in."""

    name: str
    attributes: dict[str, str]
    within: tuple[str, ...]


class Page(HTMLParser):
    """A page taken apart; *unclosed* should be empty, and every end tag must meet its own start."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[Tag] = []
        self.text = ""
        self.unclosed: list[str] = []
        self.mismatches: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.unclosed.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.tags.append(Tag(tag, attributes, tuple(self.unclosed)))

    def handle_endtag(self, tag: str) -> None:
        if not self.unclosed or self.unclosed.pop() != tag:
            self.mismatches.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, *names: str) -> list[Tag]:
        return [tag for tag in self.tags if tag.name in names]

    def values(self, attribute: str) -> list[str]:
        return [tag.attributes[attribute] for tag in self.tags if attribute in tag.attributes]


@pytest.fixture(params=PAGES)
def page(request: pytest.FixtureRequest) -> Page:
    """Every page in turn."""
    return Page(render(*PAGES[request.param]))


# --- templates and contexts ----------------------------------------------------------------------


def variables(template: str) -> Iterator[str]:
    """What a template asks its context for, and those it extends or includes."""
    assert TEMPLATES.loader is not None
    source, _, _ = TEMPLATES.loader.get_source(TEMPLATES, template)
    tree = TEMPLATES.parse(source)
    # An import at the top is not seen from within a block, though it is there.
    yield from jinja2.meta.find_undeclared_variables(tree) - TEMPLATES.globals.keys() - {"parts"}
    for other in jinja2.meta.find_referenced_templates(tree):
        assert other is not None
        yield from variables(other)


@pytest.mark.parametrize(("template", "context"), dict(PAGES.values()).items())
def test_template_uses_all_it_is_given_and_no_more(template: str, context: dict[str, Any]) -> None:
    """A context carries nothing in vain, and a template asks for nothing it may not get."""
    assert set(context) == set(variables(template))


def test_missing_value_is_an_error_not_a_gap() -> None:
    """A typo in a template shows in a test, not as a hole in a page."""
    with pytest.raises(jinja2.UndefinedError):
        render("runs.html", {"runs": []})


# --- soundness -----------------------------------------------------------------------------------


def test_page_is_well_formed(page: Page) -> None:
    """Each element is closed, by its own end tag."""
    assert ([], []) == (page.mismatches, page.unclosed)


def foreign_scripts(page: Page) -> list[Tag]:
    """Scripts that are none of our files."""
    ours = {f"/static/{name}" for name in assets.files("static")}
    return [tag for tag in page.all("script") if tag.attributes.get("src") not in ours]


def test_page_obeys_the_policy(page: Page) -> None:
    """No inline script, style or handler: under a strict policy nothing is missing."""
    names = {name for tag in page.tags for name in tag.attributes}

    assert [] == page.all("style", "iframe", "object", "embed", "base")
    assert [] == foreign_scripts(page)
    assert [] == [name for name in names if name == "style" or name.startswith("on")]


def test_refusal_loads_nothing() -> None:
    """It stands where the policy forbids all, and browsers complain of what they can't have."""
    refusal = Page(render(*PAGES["refusal"]))

    assert [] == refusal.all("link", "script", "img")
    assert [] == refusal.values("src")
    assert text("refusal") == text("problem bad-knob")


def test_page_loads_and_links_only_what_is_ours(page: Page) -> None:
    """No remote assets, and no way out but to pages of this server."""
    addresses = [*page.values("href"), *page.values("src"), *page.values("action")]

    assert [] == [each for each in addresses if not each.startswith(("/", "#", f"{ORIGIN}/"))]
    assert [] == [each for each in addresses if each.startswith("//")]


def test_references_within_the_page_resolve(page: Page) -> None:
    """Ids are unique; every label, description and drawing that is referred to is there."""
    ids = page.values("id")
    wanted = [each[1:] for each in page.values("href") if each.startswith("#")]
    for attribute in ("aria-labelledby", "aria-describedby", "for"):
        wanted += " ".join(page.values(attribute)).split()

    assert len(ids) == len(set(ids))
    assert set() == set(wanted) - set(ids)


def test_page_is_in_order_for_who_only_hears_it(page: Page) -> None:
    """Language, title, one main part, one first heading, no level left out, landmarks apart."""
    levels = [int(tag.name[1]) for tag in page.all("h1", "h2", "h3", "h4")]
    navigations = [tag.attributes["aria-label"] for tag in page.all("nav")]

    assert "en" == page.all("html")[0].attributes["lang"]
    assert 1 == len([tag for tag in page.all("title") if "head" in tag.within])
    assert 1 == len(page.all("main"))
    assert 1 == levels.count(1)
    assert [] == [1 for before, after in pairwise(levels) if after - before > 1]
    assert len(navigations) == len(set(navigations))


def test_drawing_is_named_or_skipped(page: Page) -> None:
    """A picture has a name; an ornament is kept from screen readers."""
    drawings = [tag.attributes for tag in page.all("svg") if "svg" not in tag.within]
    ornaments = [each for each in drawings if each.get("aria-hidden") == "true"]
    pictures = [
        each for each in drawings if each.get("role") == "img" and "aria-labelledby" in each
    ]

    assert len(drawings) == len(ornaments) + len(pictures)


def test_table_has_a_caption_and_scopes(page: Page) -> None:
    """A cell can be told by its heads."""
    assert len(page.all("caption")) == len(page.all("table"))
    assert [] == [
        tag for tag in page.all("th") if tag.attributes.get("scope") not in ("col", "row")
    ]


def test_scrolling_part_takes_the_focus(page: Page) -> None:
    """What scrolls by itself can be scrolled by keys, and has a name."""
    scrolling = [tag.attributes for tag in page.tags if "scroll" in tag.attributes.get("class", "")]

    assert [] == [each for each in scrolling if each.get("tabindex") != "0"]
    assert [] == [each for each in scrolling if "aria-label" not in each]


def test_every_field_has_a_label(page: Page) -> None:
    """Nobody guesses what to type."""
    fields = [
        tag.attributes["id"]
        for tag in page.all("input", "textarea", "select")
        if tag.attributes.get("type") != "hidden"
    ]

    assert set() == set(fields) - set(page.values("for"))


# --- what clients send ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", HOSTILE_PAGES)
def test_text_from_clients_stays_text(name: str) -> None:
    """Markup and templates in a run, key, target, host or value are shown as they came."""
    html = render(*HOSTILE_PAGES[name])
    hostile = Page(html)

    assert [] == [*foreign_scripts(hostile), *hostile.all("img")]
    assert [] == hostile.values("onerror")
    assert "<script>alert('1')</script>" in hostile.text
    assert "49" not in hostile.text.replace(formats.moment_text(NOW), "")
    assert ([], []) == (hostile.mismatches, hostile.unclosed)


def test_endless_target_is_cut() -> None:
    """Two hundred rows of eight kilobytes each would be no page."""
    spans = run_spans("x" * 8_000)

    assert len(render("run.html", run_context(spans))) < 100_000


# --- what the pages say --------------------------------------------------------------------------


def text(name: str) -> str:
    """The words of a page, blanks collapsed."""
    return " ".join(Page(render(*PAGES[name])).text.split())


def test_home_shows_the_figures_and_a_command_to_paste() -> None:
    """The address is quoted, for `&` means something to a shell."""
    assert f"curl '{ORIGIN}/aio?delay=3s&run=demo'" in text("home")
    # Without it curl sends one request first, to see whether the others fit on its connection.
    assert f"curl -Z --parallel-immediate '{ORIGIN}/aio?" in text("home")
    assert "In flight now at 2026-11-18 12:00:00 UTC 37" in text("home")
    assert "18,204" in text("home")


def test_home_lists_the_knobs_there_are() -> None:
    """No knob is missing, and none is promised that would be refused."""
    html = render(*PAGES["home"])

    assert set(KNOBS) == set(re.findall(r'<th scope="row"><code>(\w+)</code>', html))


def test_five_calls_are_drawn_on_one_scale() -> None:
    """29 s one after another, 7 s overlapped; white space is the message."""
    html = render(*PAGES["home"])
    ends = [
        [float(place) for place in re.findall(r'#mark-completed" x="([\d.]+)%', drawing)]
        for drawing in re.findall(r'<svg class="calls.*?</svg>', html, re.DOTALL)
    ]

    assert [29, 7] == [round(max(each) * 32 / 100) for each in ends]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("run", "All 8: JSON Lines, CSV. Look again"),
        ("long run", "The first 2 of 8; all: JSON Lines, CSV."),
        ("runs", "The same as JSON."),
        ("many runs", "The first 2 of 5,000; all of them: JSON."),
        ("no runs", "No runs yet."),
        ("empty run", f"curl '{ORIGIN}/aio?run=ci-1&delay=3s'"),
        ("problem bad-knob", "400 Bad Request A knob is not valid. sentence It is about delay."),
        ("titles", "7 done 2,400 2,383 17 2026-11-18 12:00:00 UTC 7 queued 2,400"),
        ("no jobs", "No jobs yet."),
        ("refused order", "timeout: 'soon' is not a duration; write 10s."),
        ("job", "2,383 of 2,400 pages have a title. 17 failed. 3 repeats left out."),
        ("job", "All 2,400 Titles 2,383 Failed 17 timeout 12 http_error 5"),
        ("job", "1 to 3 of 2,400. Further"),
        ("job", "Retry what failed"),
        ("part of a job", "101 to 103 of 2,400. Earlier Further"),
        ("job under way", "1,200 of 2,400 pages fetched. 17 failed. About 35 s to go."),
        ("job under way", "Look again, or wait: this page does so by itself."),
        ("job in trouble", "the disk is full. 1,183 titles, 17 failed, 1,200 to go"),
        ("queued job", "2,400 pages to fetch, when the turn comes."),
        ("cancelled job", "Go on with the rest"),
        ("refused", "That is not the token of this server"),
    ],
)
def test_page_says_what_it_shows(name: str, expected: str) -> None:
    """What is left out is counted, and where all of it is is said."""
    assert expected in text(name)


def test_run_page_tells_each_outcome_by_word_and_shape() -> None:
    """Nobody needs to see colours: each way to end has its own words and its own mark."""
    html = render(*PAGES["run"])
    shapes = re.findall(r'<g id="mark-(\w+)"><path (?:class="line" )?d="([^"]+)"', html)

    assert set(bars.WORDS) == {name for name, _ in shapes}
    assert len(shapes) == len({shape for _, shape in shapes})
    assert set() == {words for words in bars.WORDS.values() if words not in text("run")}


# --- the style sheet -----------------------------------------------------------------------------


def tokens(scheme: str) -> dict[str, str]:
    """The colours of a scheme by name."""
    light, dark = re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)[:2]
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", light if scheme == "light" else dark))


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.2."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (
        each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


OUTCOMES = ("completed", "error-status", "client-gone", "faulted", "rejected", "error")
NEEDED = {"ink": 4.5, "ink2": 4.5, "line2": 3.0} | dict.fromkeys(OUTCOMES, 3.0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("surface", ["bg", "panel", "sunk"])
@pytest.mark.parametrize("token", NEEDED)
def test_token_stands_out(scheme: str, surface: str, token: str) -> None:
    """Text 4.5 to 1, marks and borders of controls 3 to 1 (WCAG 2.2, 1.4.3 and 1.4.11)."""
    colours = tokens(scheme)

    assert contrast(colours[token], colours[surface]) >= NEEDED[token]


def test_style_sheet_and_pages_know_the_same_classes() -> None:
    """No rule is dead, and no class is without a rule."""
    pages = [Page(render(*each)) for each in PAGES.values()]
    used = {name for page in pages for names in page.values("class") for name in names.split()}
    used |= set(re.findall(r'className: "([\w-]+)"', SCRIPTS))
    rules = re.sub(r"/\*.*?\*/|\{[^{}]*\}", " ", CSS, flags=re.DOTALL)

    assert used == set(re.findall(r"\.([a-z][\w-]*)", rules))


def test_style_sheet_asks_for_nothing_else() -> None:
    """No font, image or sheet is fetched by it, so it works in a cellar."""
    assert [] == re.findall(r"url\(|@import|@font-face", CSS)


# --- the scripts ---------------------------------------------------------------------------------


def test_scripts_make_no_markup_of_text() -> None:
    """What clients sent is only ever text; markup comes from the server, taken apart by itself."""
    assert [] == re.findall(r"innerHTML\s*=|outerHTML\s*=|insertAdjacentHTML|\beval\(", SCRIPTS)
    assert [] == re.findall(r"https?://", SCRIPTS)


def test_every_script_is_imported() -> None:
    """None is dead, and none is missing."""
    folder = STATIC / "waterfall"
    imported = set(re.findall(r'from "\./([\w-]+\.js)"', SCRIPTS))

    assert {path.name for path in folder.glob("*.js")} == imported | {"page.js"}


def test_scripts_know_the_marks_of_the_server() -> None:
    """Both draw the same ends."""
    source = (STATIC / "waterfall" / "outcomes.js").read_text(encoding="utf-8")
    block = re.search(r"MARKS = \[(.*?)\]", source, re.DOTALL)
    assert block

    assert set(bars.WORDS) == set(re.findall(r'"(\w+)"', block[1]))
