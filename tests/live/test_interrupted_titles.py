"""`dawdle titles` as a process: interrupted, killed, resumed, watched on a terminal."""

import io
import json
import os
import pty
import random
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGTERM, Signals

import pytest

from app.site import PAGES
from tests.live.conftest import Start
from tests.live.process import PATIENCE_S, command, environment, until
from tests.peer import Peer, peer

pytestmark = pytest.mark.live


@pytest.fixture
def pages() -> Iterator[Peer]:
    with peer() as running:
        yield running


@contextmanager
def titles(folder: Path, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """`dawdle titles` under way, its state in the folder; it ends with the context."""
    process = subprocess.Popen(
        command("titles", "--state", "state", *arguments),
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def completed(folder: Path, *arguments: str) -> tuple[int, str, str]:
    """(status, standard output, standard error) of a command that is let run to its end."""
    with titles(folder, *arguments) as process:
        out, err = process.communicate(timeout=PATIENCE_S)
        return process.returncode, out, err


def lines(file: Path) -> list[str]:
    """The lines of JSON that are whole."""
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    return text.splitlines()[: text.count("\n")]


def urls_in(file: Path) -> list[str]:
    return [json.loads(line)["url"] for line in lines(file)]


def states(folder: Path) -> list[Path]:
    return list((folder / "state").glob("*"))


# --- interrupted ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "status"), [(SIGINT, 130), (SIGTERM, 143)])
def test_interrupted_command_keeps_what_is_done_and_goes_on(
    tmp_path: Path, pages: Peer, number: Signals, status: int
) -> None:
    """It says where that is and how to go on, and what was done is not done again."""
    urls = pages.urls(1, 2, 3, "late/4")
    output = tmp_path / "out.jsonl"

    with titles(tmp_path, *urls, "--output", "out.jsonl") as process:
        until(lambda: len(lines(output)) == 3, "three results")
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE_S)
    kept = urls_in(output)
    pages.gate.set()
    resumed = completed(tmp_path, "--resume", "--output", "out.jsonl")

    [(place, again)] = re.findall(r"3 of 4 pages done and kept in (\S+); to go on: (.*)", err)
    assert (status, "", urls[:3]) == (process.returncode, out, kept)
    assert (tmp_path / place).parent == tmp_path / "state"
    assert f"dawdle titles --resume --state state {' '.join(urls)} --output out.jsonl" == again
    assert 0 == resumed[0], resumed
    assert urls == urls_in(output)
    assert [1, 1, 1] == [pages.times(each) for each in (1, 2, 3)]
    assert [] == states(tmp_path)


def test_interrupted_list_is_whole_json(tmp_path: Path, pages: Peer) -> None:
    """With what was done; a half one nobody could read."""
    output = tmp_path / "out.json"

    with titles(tmp_path, *pages.urls(1, "late/2"), "--output", "out.json") as process:
        until(lambda: stored(tmp_path) == 1, "the first result")
        process.send_signal(SIGINT)
        process.communicate(timeout=PATIENCE_S)

    assert [pages.url(1)] == [each["url"] for each in json.loads(output.read_text())]


def stored(folder: Path) -> int:
    """How many results the state has in its file."""
    return sum(len(lines(file)) for file in folder.glob("state/*/titles/*.jsonl"))


def test_killed_command_goes_on_whenever_it_was_killed(tmp_path: Path, pages: Peer) -> None:
    """`kill -9` at three random moments: every URL is there once, in order."""
    draws = random.Random(7)
    urls = pages.urls(*range(200))
    (tmp_path / "urls.txt").write_text("\n".join(urls))
    arguments = ("urls.txt", "--output", "out.jsonl", "--resume", "--concurrency", "2")

    for _ in range(3):
        with titles(tmp_path, *arguments) as process:
            goal = stored(tmp_path) + draws.randint(1, 50)
            until(partial(has_stored, tmp_path, goal), f"{goal} results")
            process.send_signal(SIGKILL)
            process.wait()
    status, _, err = completed(tmp_path, *arguments)

    assert 0 == status, err
    assert urls == urls_in(tmp_path / "out.jsonl")
    assert [] == states(tmp_path)


def has_stored(folder: Path, count: int) -> bool:
    return stored(folder) >= count


def test_work_of_another_command_is_left_alone(tmp_path: Path, pages: Peer) -> None:
    """As long as that is at it."""
    with titles(tmp_path, pages.url("late/1")):
        until(lambda: pages.times("late/1"), "a request")

        status, _, err = completed(tmp_path, "--resume")

    assert 2 == status
    assert "another command is at the work in" in err


# --- watched -------------------------------------------------------------------------------------


def test_reader_that_leaves_ends_the_command_quietly(tmp_path: Path, pages: Peer) -> None:
    """As `head` does."""
    with titles(tmp_path, *pages.urls(1, "late/2")) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.stdout.close()
        pages.gate.set()
        process.wait(PATIENCE_S)
        assert process.stderr is not None
        err = process.stderr.read()

    assert f"{pages.url(1)}\tPage 1\n" == first
    assert 1 == process.returncode
    assert "Traceback" not in err


def test_terminal_sees_progress_and_titles(tmp_path: Path, pages: Peer) -> None:
    """A bar that gives way to titles, and no control character but the return to its beginning."""
    own, theirs = pty.openpty()
    with io.FileIO(own) as terminal:
        process = subprocess.Popen(
            command("titles", "--state", "state", *pages.urls(1, "late/%1b[2J")),
            cwd=tmp_path,
            env=environment(COLUMNS="80"),
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        shown = b""
        while b"1/2" not in shown:
            shown += terminal.read(4_096)
        pages.gate.set()
        shown += rest(terminal)
        process.wait(PATIENCE_S)

    text = shown.decode()
    assert "[############------------]  1/2" in text
    assert re.search(rf"\r\n?{re.escape(pages.url(1))} +  Page 1\r\n", text)
    assert set() == {sign for sign in text if not sign.isprintable()} - {"\r", "\n"}
    assert 0 == process.returncode


def rest(terminal: io.FileIO) -> bytes:
    """What comes until nobody writes to the terminal any more, which Linux calls an error."""
    received = b""
    try:
        while chunk := terminal.read(4_096):
            received += chunk
    except OSError:
        pass
    return received


# --- without a network ---------------------------------------------------------------------------


def test_demonstration_site_shows_everything(start: Start, tmp_path: Path) -> None:
    """All fifty pages of a real service: what the table says, in order."""
    server = start("--time-scale", "0.01")
    urls = [f"{server.url}/site/{number}" for number in PAGES]
    (tmp_path / "urls.txt").write_text("\n".join(urls))

    status, _, err = completed(
        tmp_path, "urls.txt", "--output", "out.json", "--timeout", "2s", "--retries", "0"
    )

    results = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert 0 == status, err
    assert urls == [result["url"] for result in results]
    assert [(page.title, page.code) for page in PAGES.values()] == [
        (result["title"], result["error"] and result["error"]["code"]) for result in results
    ]


def test_service_may_fetch_its_own_site_and_nothing_else_of_this_machine(
    start: Start, pages: Peer
) -> None:
    """The guard lets `/site` pass where the service listens, and no other page or port."""
    server = start("--time-scale", "0.01")
    wanted = [f"{server.url}/site/1", f"{server.url}/runs", pages.url(1)]

    answer = server.get(
        "/titles", "Content-Type: application/json", "Prefer: wait=30", method="POST",
        body=json.dumps({"urls": wanted, "retries": 0}).encode(),
    )  # fmt: skip

    results = json.loads(answer.body)["results"]
    assert [PAGES[1].title, None, None] == [result["title"] for result in results]
    assert ["blocked", "blocked"] == [result["error"]["code"] for result in results[1:]]
    assert [] == pages.asked
