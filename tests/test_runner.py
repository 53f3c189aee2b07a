"""`dawdle run` from within: what is printed, what is written, and what signals do."""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from signal import SIGINT, SIGTERM
from typing import Any

import pytest

from app import runner
from app.errors import Fatal
from app.grammar import pairs
from app.remote import Remote
from app.runner import Job

SECOND = 1_000_000_000
TRUE = (sys.executable, "-c", "")

Check = Callable[[Remote, str, Mapping[str, str]], Awaitable[dict[str, Any]]]


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work where no dawdle.toml lies, with temporary folders of the test's own."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))


def job(*command: str, checks: str = "", name: str = "run", **flags: object) -> Job:
    """What `dawdle run` is asked for, with a server of its own."""
    return Job(command or TRUE, dict(pairs(checks)), name, None, flags)


# --- a server of its own -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "environ",
    [
        {"DAWDLE_TLS_SELF_SIGNED": "true"},
        {"DAWDLE_TLS_CERT": "nowhere.pem", "DAWDLE_TLS_KEY": "nowhere.pem"},
        {"DAWDLE_TOKEN": "open-sesame-42", "DAWDLE_ACCESS_LOG": "true"},
        {"DAWDLE_HOST": "192.0.2.1", "DAWDLE_PORT": "1", "DAWDLE_DATA": "kept"},
    ],
)
def test_settings_of_the_projects_own_service_do_not_keep_it_from_its_own(
    environ: dict[str, str], tmp_path: Path
) -> None:
    """Whatever the environment is for, the command's server is plain and on this machine."""
    asking = (
        "import os, urllib.request as client; "
        "client.urlopen(os.environ['DAWDLE_URL'] + '/aio?delay=0').read()"
    )

    status = runner.run(job(sys.executable, "-c", asking, checks="requests=1"), environ)

    assert 0 == status
    assert not (tmp_path / "kept").exists()


def test_token_in_the_projects_file_does_not_lock_it_out() -> None:
    """Other settings in it still count."""
    Path("dawdle.toml").write_text('token = "open-sesame-42"\nmax_delay = "30s"', encoding="utf-8")
    asking = (
        "import os, urllib.request as client, urllib.error as errors\n"
        "try: client.urlopen(os.environ['DAWDLE_URL'] + '/aio?delay=31s')\n"
        "except errors.HTTPError as error: raise SystemExit(error.code - 390)\n"
    )

    assert 10 == runner.run(job(sys.executable, "-c", asking), {})


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (job(name="a b"), "--name: 'a b' can't begin the name of a run; "),
        (job(name=""), "--name: '' can't begin the name of a run; "),
        (job(name="x" * 58), "--name: 'x"),
        (job(default_profile="A"), "--profile: 'A' can't name a profile; "),
        (job(time_scale="fast"), "--time-scale: 'fast' is not a number; "),
    ],
)
def test_bad_value_is_refused_under_the_option_it_was_given_with(asked: Job, sentence: str) -> None:
    """Not under a setting that the user has never heard of."""
    with pytest.raises(Fatal) as refusal:
        runner.run(asked, {})

    assert str(refusal.value).startswith(sentence)


# --- commands that can't be started --------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "mode", "status", "words"),
    [
        (None, 0, 127, "there is no such command"),
        ("", 0o644, 126, "it may not be executed; try chmod +x"),
        ("#!/no/such/interpreter\n", 0o755, 126, "it can't be started (No such file or directory)"),
        ("no program", 0o755, 126, "it can't be started (Exec format error)"),
    ],
)
@pytest.mark.skipif(os.name != "posix", reason="files have no execute permission here")
def test_command_that_can_not_be_started_is_a_sentence(
    content: str | None, mode: int, status: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its statuses are those of shells; no report is printed of what did not happen."""
    if content is not None:
        Path("command").write_text(content, encoding="utf-8")
        Path("command").chmod(mode)

    assert status == runner.run(job("./command"), dict(os.environ))

    out, err = capsys.readouterr()
    assert "" == out
    assert err.startswith(f"dawdle: ./command: {words}")
    assert 1 == err.count("\n")


# --- signals -------------------------------------------------------------------------------------


def interrupted_by(number: signal.Signals) -> Check:
    """What `Remote.check` does when such a signal arrives while the run is not complete."""

    async def check(*_: object) -> dict[str, Any]:
        os.kill(os.getpid(), number)
        async with asyncio.timeout(10):  # only a signal that is lost has to be waited for
            await asyncio.Event().wait()
        raise AssertionError

    return check


@pytest.fixture(params=["best", "asyncio"])
def _each_loop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "asyncio":
        monkeypatch.setattr(runner, "loop_factory", lambda: None)


@pytest.mark.usefixtures("_each_loop")
@pytest.mark.parametrize(
    ("number", "end", "status"),
    [(SIGINT, KeyboardInterrupt, None), (SIGTERM, SystemExit, 143)],
)
@pytest.mark.skipif(os.name != "posix", reason="a process can't send itself these elsewhere")
def test_wait_for_the_verdict_can_be_interrupted(
    number: signal.Signals,
    end: type[BaseException],
    status: int | None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Once the command has ended signals are ours again; nothing is left behind."""
    monkeypatch.setattr(Remote, "check", interrupted_by(number))
    before = signal.getsignal(SIGINT), signal.getsignal(SIGTERM)

    with pytest.raises(end) as raised:
        runner.run(job(checks="requests=5&wait=300s"), dict(os.environ))

    assert status == getattr(raised.value, "code", None)
    assert before == (signal.getsignal(SIGINT), signal.getsignal(SIGTERM))
    assert [] == list((tmp_path / "temporary").iterdir())


# --- what is printed when ------------------------------------------------------------------------


def test_failed_command_does_not_hide_the_verdict(capfd: pytest.CaptureFixture[str]) -> None:
    """Its status wins, but every line is printed."""
    failing = (sys.executable, "-c", "raise SystemExit(7)")

    assert 7 == runner.run(job(*failing, checks="requests=..0&peak=1"), dict(os.environ))

    lines = capfd.readouterr().out.splitlines()
    assert ["", "ok     requests=..0: it is 0", "FAILED peak=1: it is 0"] == lines[1:]


def test_report_is_of_the_run_as_it_was_judged(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """First what is still on its way is waited for, also when nothing is asserted."""
    asked: list[object] = []

    async def check(_: Remote, run: str, checks: Mapping[str, str]) -> dict[str, Any]:
        asked.append((run, dict(checks)))
        return {"passed": True, "timed_out": False, "time_scale": 1.0, "checks": []}

    async def report_text(*_: object) -> str:
        return f"{len(asked)} asked before\n"

    monkeypatch.setattr(Remote, "check", check)
    monkeypatch.setattr(Remote, "report_text", report_text)

    runner.run(job(), dict(os.environ))
    runner.run(job(checks="peak=0"), dict(os.environ))

    assert [
        ("run-1", {"wait": "2s", "requests": "0.."}),
        ("run-1", {"wait": "2s", "peak": "0"}),
    ] == asked
    printed = capfd.readouterr().out.split("\n")
    assert ["1 asked before", "2 asked before"] == [*filter(None, printed)]
