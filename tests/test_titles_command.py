"""`dawdle titles` in the test's own process: what it prints, writes and returns."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from unittest.mock import Mock

import pytest

from app import cli
from tests.peer import Peer, peer


class Done(NamedTuple):
    """What a command came to."""

    status: int
    lines: list[list[str]]  # of standard output, in columns
    said: list[str]  # on standard error


Run = Callable[..., Done]


@pytest.fixture
def pages() -> Iterator[Peer]:
    with peer() as running:
        yield running


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `dawdle titles` in a folder of its own, its state beside it."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Done:
        status = cli.main(["titles", "--state", "state", *arguments], environ={})
        out, err = capsys.readouterr()
        lines = [line.split("\t") for line in out.splitlines()]
        return Done(status, lines, err.splitlines())

    return run


def states() -> list[Path]:
    return list(Path("state").glob("*"))


# --- what it prints ------------------------------------------------------------------------------


def test_titles_are_printed_as_they_come(run: Run, pages: Peer) -> None:
    """URL and title on standard output, the rest on standard error, and nothing is left behind."""
    done = run(*pages.urls(1, 2))

    assert (0, sorted([[pages.url(1), "Page 1"], [pages.url(2), "Page 2"]])) == (
        done.status,
        sorted(done.lines),
    )
    assert re.fullmatch(
        "dawdle: 2 pages; what is done is kept in state/[0-9a-f]{12}-1", done.said[0]
    )
    assert "dawdle: 2 titles of 2 pages" == done.said[1]
    assert [] == states()


def test_http_may_be_left_out(run: Run, pages: Peer) -> None:
    """As in the address bar of a browser."""
    done = run(f"127.0.0.1:{pages.port}/1")

    assert [[pages.url(1), "Page 1"]] == done.lines


def test_urls_come_from_files_tables_and_standard_input(
    run: Run, pages: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one command, each with a URL a line; tables have a column of them."""
    Path("urls.txt").write_text(f"{pages.url(1)}\n# {pages.url(9)}\n")
    monkeypatch.setattr("sys.stdin", Mock(buffer=io.BytesIO(pages.url(2).encode())))
    Path("links.csv").write_text(f"name,address\nThree,{pages.url(3)}\n")

    lists = run("urls.txt", "-")
    table = run("links.csv", "--column", "address")

    assert ["Page 1", "Page 2"] == sorted(title for _, title in lists.lines)
    assert [[pages.url(3), "Page 3"]] == table.lines


def test_repeats_are_fetched_once_and_counted(run: Run, pages: Peer) -> None:
    """The same page, however it is written."""
    done = run(pages.url(1), pages.url("1#part"), pages.url("./1"))

    assert 1 == pages.times(1)
    assert "dawdle: 1 title of 1 page; 2 repeats left out" == done.said[-1]


def test_failures_are_told_and_counted(run: Run, pages: Peer) -> None:
    """By code; a page of an error keeps its title."""
    done = run(pages.url("missing/1"), "https://:bad/", "--retries", "0")

    by_url = dict(done.lines)
    assert by_url[pages.url("missing/1")].startswith("Page 1  [http_error: ")
    assert by_url["https://:bad/"].startswith("[invalid_url: ")
    assert "dawdle: 0 titles of 2 pages; 2 failed: http_error 1, invalid_url 1" == done.said[-1]


@pytest.mark.parametrize(("flags", "status"), [((), 0), (("--strict",), 1)])
def test_failures_fail_the_command_only_when_strict(
    run: Run, pages: Peer, flags: tuple[str, ...], status: int
) -> None:
    """A list of a thousand pages always has one that is gone."""
    assert status == run(pages.url("missing/1"), *flags).status


def test_strict_is_content_when_all_went_well(run: Run, pages: Peer) -> None:
    """Nothing failed."""
    assert 0 == run(pages.url(1), "--strict").status


# --- what it writes ------------------------------------------------------------------------------


def test_results_go_to_a_file_in_order_of_the_input(run: Run, pages: Peer) -> None:
    """In the format that its name says, and then not to standard output."""
    urls = pages.urls(3, 1, 2)

    for name in ("out.jsonl", "out.csv", "out.json"):
        assert [] == run(*urls, "--output", name).lines

    lines = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    with Path("out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    listed = json.loads(Path("out.json").read_text())
    for results in (lines, rows, listed):
        assert urls == [each["url"] for each in results]
        assert ["Page 3", "Page 1", "Page 2"] == [each["title"] for each in results]


# --- how it asks ---------------------------------------------------------------------------------


def test_user_agent_and_headers_are_sent(run: Run, pages: Peer) -> None:
    """As many as are given."""
    run(pages.url(1), "--user-agent", "Tester/1", "--header", "X-A: 1", "--header", "X-B:2")

    [(_, headers)] = pages.asked
    assert ("Tester/1", "1", "2") == (headers["User-Agent"], headers["X-A"], headers["X-B"])


def test_proxy_is_asked_for_every_page(run: Run, pages: Peer) -> None:
    """With the whole URL, so that it can go there."""
    done = run("http://elsewhere.example/7", "--proxy", pages.url(""))

    assert [["http://elsewhere.example/7", "Page 7"]] == done.lines
    assert ["http://elsewhere.example/7"] == [target for target, _ in pages.asked]


def test_public_only_turns_the_guard_on(run: Run, pages: Peer) -> None:
    """This machine is not public, so nobody gets to see the request."""
    done = run(pages.url(1), "--public-only")

    assert done.lines[0][1].startswith("[blocked: ")
    assert [] == pages.asked


# --- what it refuses -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "there is nothing to fetch; see dawdle titles --help"),
        (("--resume", "--column", "url"), "--column is for a table, and none is named; see"),
        (("urls.txt",), "there is no file 'urls.txt'"),
        (("a.example", "--per-host", "11"), "--per-host: 11 is out of range; use 1 to 10"),
        (("a.example", "--timeout", "soon"), "--timeout: 'soon' is not a duration"),
        (("a.example", "--header", "X"), "--header: 'X' has no colon"),
        (("a.example", "--header", "a: 1", "--header", "A: 2"), "--header: 'A' is given twice"),
        (("a.example", "--header", "Host: b"), "the header Host is the client's own"),
        (("a.example", "--proxy", "b.example", "--public-only"), "behind a proxy no address"),
        (("a.example", "--output", "out.xls"), "--output: 'out.xls' says no format"),
        (("--resume",), "there is nothing to go on with in state"),
        (("a.example", "--fast"), "no such option '--fast'; did you mean"),
        (("a.example", "--output", "nowhere/out.csv"), "--output: nowhere/out.csv can't be"),
        (("a.example", "--output", "state.csv"), "--output: state.csv can't be"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(
    run: Run, arguments: tuple[str, ...], sentence: str
) -> None:
    """Exit status 2, and no state is left."""
    Path("state.csv").mkdir()

    done = run(*arguments)

    assert (2, 1) == (done.status, len(done.said))
    assert done.said[0].startswith(f"dawdle: {sentence}")
    assert [] == states()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
def test_file_that_is_full_is_said_and_what_is_done_is_kept(run: Run, pages: Peer) -> None:
    """The next command goes on with another file."""
    Path("full.csv").symlink_to("/dev/full")

    refused = run(pages.url(1), "--output", "full.csv")
    done = run("--resume", "--output", "out.csv")

    assert (2, 0) == (refused.status, done.status)
    assert "--output: full.csv can't be written (No space left on device)" in refused.said[-1]
    assert "Page 1" in Path("out.csv").read_text()


# --- going on ------------------------------------------------------------------------------------


def test_resume_without_a_state_begins(run: Run, pages: Peer) -> None:
    """So that a script may always say it."""
    assert [[pages.url(1), "Page 1"]] == run("--resume", pages.url(1)).lines


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
def test_options_of_the_beginning_stay(run: Run, pages: Peer) -> None:
    """What is said again is fine; what differs would do nothing, and is refused."""
    arguments = (pages.url(1), "--resume", "--output")
    Path("full.csv").symlink_to("/dev/full")
    run(pages.url(1), "--timeout", "5s", "--output", "full.csv")

    other = run(*arguments, "out.csv", "--timeout", "6s")
    same = run(*arguments, "out.csv", "--timeout", "5s")

    assert (2, "--timeout 6s was 5s at the beginning; leave it out") == (
        other.status,
        other.said[-1].removeprefix("dawdle: "),
    )
    assert 0 == same.status
