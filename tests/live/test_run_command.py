"""`dawdle run` and `dawdle report`, with real commands against real servers."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Any

import pytest
from junitparser import JUnitXml

from tests.live.conftest import Start
from tests.live.process import PATIENCE_S, Dawdle, command, dawdle, environment, until

pytestmark = pytest.mark.live

# Asks for each of its arguments in turn, beneath the address it was given.
ASK = """
import os, sys, urllib.error, urllib.request
for target in sys.argv[1:]:
    try:
        urllib.request.urlopen(os.environ["DAWDLE_URL"] + target).read()
    except urllib.error.HTTPError as error:
        error.close()
"""


def run(
    folder: Path, *options: str, asking: Sequence[str] = (), **environ: str
) -> "subprocess.CompletedProcess[str]":
    """`dawdle run OPTIONS` with a command that asks for the given targets."""
    client = [sys.executable, "-c", ASK, *asking]
    return dawdle(folder, "run", *options, "--", *client, environ=environ)


def test_checks_that_hold_pass(tmp_path: Path) -> None:
    """The report is printed, then a line a check; the exit status is 0."""
    ended = run(
        tmp_path,
        "--check",
        "requests=2&peak=..1",
        "--check",
        "cancelled=0",
        asking=["/aio?delay=1ms"] * 2,
    )

    assert (0, "") == (ended.returncode, ended.stderr)
    assert "ok     requests=2: it is 2" in ended.stdout
    assert "ok     peak=..1: it is 1" in ended.stdout
    assert "ok     cancelled=0: it is 0" in ended.stdout
    assert [] == list(tmp_path.iterdir())  # its data were thrown away


def test_check_that_does_not_hold_fails(tmp_path: Path) -> None:
    """The exit status is 1, and the line says what it is instead."""
    ended = run(tmp_path, "--check", "requests=3..", asking=["/aio?delay=0"])

    assert 1 == ended.returncode
    assert "FAILED requests=3..: it is 1" in ended.stdout


@pytest.mark.parametrize("check", ["peak", "nonsense=1", "peak=x", "peak=1&peak=2"])
def test_bad_check_is_a_sentence_before_the_command_starts(tmp_path: Path, check: str) -> None:
    """A typing error does not cost a whole run of the tests."""
    ended = dawdle(tmp_path, "run", "--check", check, "--", "touch", "started")

    assert 2 == ended.returncode
    assert ended.stderr.startswith("dawdle: --check: ")
    assert 1 == ended.stderr.count("\n")
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("raise SystemExit(0)", 0),
        ("raise SystemExit(7)", 7),
        (f"import os; os.kill(os.getpid(), {int(SIGKILL)})", 128 + SIGKILL),
        (f"import os; os.kill(os.getpid(), {int(SIGTERM)})", 128 + SIGTERM),
    ],
)
def test_status_of_the_command_is_passed_on(tmp_path: Path, code: str, status: int) -> None:
    """As shells report it, and whatever a check that failed would say."""
    unmet = dawdle(tmp_path, "run", "--check", "requests=5", "--", sys.executable, "-c", code)
    unchecked = dawdle(tmp_path, "run", "--", sys.executable, "-c", code)

    assert (status or 1, status) == (unmet.returncode, unchecked.returncode)


def test_command_that_does_not_exist_is_127(tmp_path: Path) -> None:
    """One sentence, and the status that shells have for it."""
    ended = dawdle(tmp_path, "run", "--", "dawdle-no-such-command")

    assert (127, "") == (ended.returncode, ended.stdout)
    assert ended.stderr == "dawdle: dawdle-no-such-command: there is no such command\n"


@pytest.mark.parametrize(
    "console",
    [
        {"PYTHONIOENCODING": "cp1252"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
    ids=["cp1252", "ascii"],
)
def test_console_that_knows_no_bars_gets_ascii(
    server: Dawdle, tmp_path: Path, console: dict[str, str]
) -> None:
    """Neither command ends in a traceback for a picture it can't print."""
    ran = run(tmp_path, "--url", server.url, asking=["/aio?delay=1ms&run=plain"], **console)
    told = dawdle(tmp_path, "report", "plain", "--url", server.url, environ=console)

    assert (0, "") == (ran.returncode, ran.stderr)
    assert (0, "") == (told.returncode, told.stderr)
    assert told.stdout.isascii()
    assert "# reply" in told.stdout


def test_run_without_a_command_is_a_usage_error(tmp_path: Path) -> None:
    """There is nothing to judge."""
    ended = dawdle(tmp_path, "run")

    assert 2 == ended.returncode
    assert 1 == ended.stderr.count("\n")


def test_command_is_told_address_and_run(tmp_path: Path) -> None:
    """`DAWDLE_URL` and `DAWDLE_RUN` are set, and all else is as it was."""
    show = "import os; print(*[os.environ.get(n) for n in ('DAWDLE_URL', 'DAWDLE_RUN', 'MINE')])"
    ended = dawdle(
        tmp_path, "run", "--name", "ci", "--", sys.executable, "-c", show, environ={"MINE": "kept"}
    )

    url, name, mine = ended.stdout.splitlines()[0].split()
    assert url.startswith("http://127.0.0.1:")
    assert ("ci-1", "kept") == (name, mine)


def test_connections_to_the_echo_are_in_the_report(tmp_path: Path) -> None:
    """The command is told where it is; what it sends there belongs to the run."""
    visit = (
        "import os, socket; host, port = os.environ['DAWDLE_ECHO_ADDRESS'].split(':')\n"
        "with socket.create_connection((host, int(port))) as echo:\n"
        "    echo.sendall(b'x'); assert echo.recv(1) == b'x'"
    )
    ended = dawdle(
        tmp_path, "run", "--check", "completed=1&requests=1", "--", sys.executable, "-c", visit
    )

    assert 0 == ended.returncode, ended.stdout


def test_requests_that_name_no_run_are_in_the_report(tmp_path: Path) -> None:
    """A client needs the address alone; one that names the run counts to the same."""
    ended = run(
        tmp_path, "--check", "requests=2", asking=["/aio?delay=0", "/aio?delay=0&run=run-1"]
    )

    assert 0 == ended.returncode, ended.stdout


def test_time_scale_and_bounds_go_together(tmp_path: Path) -> None:
    """A suite that is written for seconds runs in moments, and so do its bounds."""
    ended = run(
        tmp_path, "--time-scale", "0.001", "--check", "makespan=30s..", asking=["/aio?delay=30s"]
    )

    assert 0 == ended.returncode, ended.stdout
    assert "makespan=30s.. (30ms.. at time scale 0.001): it is " in ended.stdout


def test_profile_is_what_plain_requests_get(tmp_path: Path) -> None:
    """`--profile` needs no change in the client; an unknown one is a sentence."""
    scaled = ("--time-scale", "0.001")
    slow = run(tmp_path, *scaled, "--profile", "slow-tail", asking=["/aio?run=run-1"])
    unknown = run(tmp_path, *scaled, "--profile", "nope", asking=["/aio"])

    assert 0 == slow.returncode
    assert 2 == unknown.returncode
    assert "nope" in unknown.stderr
    assert 1 == unknown.stderr.count("\n")


def test_server_that_runs_already_can_be_used(server: Dawdle, tmp_path: Path) -> None:
    """With `--url` the run is made there and stays there."""
    ended = run(
        tmp_path,
        "--url",
        server.url,
        "--name",
        "mine",
        "--check",
        "requests=0",
        asking=["/aio?delay=0"],
    )

    assert 0 == ended.returncode, ended.stdout + ended.stderr  # the client named no run
    assert "mine-1" in {each["name"] for each in server.json("/runs")["runs"]}


@pytest.mark.parametrize("option", [["--profile", "slow-tail"], ["--time-scale", "0.1"]])
def test_settings_of_a_server_that_runs_already_are_refused(
    tmp_path: Path, option: list[str]
) -> None:
    """They are for a server that is started here."""
    ended = run(tmp_path, "--url", "http://127.0.0.1:1", *option)

    assert 2 == ended.returncode
    assert 1 == ended.stderr.count("\n")


def test_no_server_at_the_url_is_a_sentence(tmp_path: Path) -> None:
    """Port 1 is nobody's; the command is not even started."""
    ended = dawdle(tmp_path, "run", "--url", "http://127.0.0.1:1", "--", "touch", "started")

    assert (2, "") == (ended.returncode, ended.stdout)
    assert ended.stderr.startswith("dawdle: no Dawdle answers at http://127.0.0.1:1 ")
    assert 1 == ended.stderr.count("\n")
    assert [] == list(tmp_path.iterdir())


def test_request_to_terminate_reaches_the_command(tmp_path: Path) -> None:
    """The command ends as it wishes; its report is printed all the same."""
    client = (
        "import pathlib, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))\n"
        "pathlib.Path('started').touch()\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        command("run", "--", sys.executable, "-c", client),
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            until((tmp_path / "started").exists, "the command")
            process.send_signal(SIGTERM)
            printed, _ = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()

    assert 9 == process.returncode
    assert "run-1" in printed


# --- dawdle report -------------------------------------------------------------------------------


@pytest.fixture
def two_runs(start: Start) -> Dawdle:
    """A server with a run of one request, and then one of two."""
    server = start()
    server.get("/aio?run=one&delay=1ms")
    server.get("/aio?run=two&delay=0")
    server.get("/aio?run=two&delay=0")
    return server


def reported(folder: Path, *arguments: str, **environ: str) -> tuple[int, Any]:
    """(exit status, figures) of `dawdle report --json`."""
    ended = dawdle(folder, "report", "--json", *arguments, environ=environ)
    return ended.returncode, json.loads(ended.stdout)


def test_report_is_of_the_latest_run_or_the_named_one(two_runs: Dawdle, tmp_path: Path) -> None:
    """The same figures as the server's own JSON, wherever the address comes from."""
    url = two_runs.url

    status, latest = reported(tmp_path, "--url", url)
    assert (0, "two", 2) == (status, latest["run"], latest["figures"]["requests"])
    status, named = reported(tmp_path, "one", DAWDLE_URL=url)
    assert (0, "one", 1) == (status, named["run"], named["figures"]["requests"])
    text = dawdle(tmp_path, "report", "one", "--url", url)
    assert (0, "") == (text.returncode, text.stderr)
    assert text.stdout.startswith("one")


def test_report_judges_too(two_runs: Dawdle, tmp_path: Path) -> None:
    """`--check` exits with 1 when something does not hold, else with 0."""
    url = ("--url", two_runs.url)

    held = dawdle(tmp_path, "report", "two", *url, "--check", "requests=2")
    failed = dawdle(tmp_path, "report", "two", *url, "--check", "requests=2&peak=5..")

    assert (0, 1) == (held.returncode, failed.returncode)
    assert "ok     requests=2: it is 2" in failed.stdout
    assert "FAILED peak=5..: it is 1" in failed.stdout


def test_report_that_can_not_be_had_is_a_sentence(two_runs: Dawdle, tmp_path: Path) -> None:
    """An unknown run, and nobody to ask: status 2 and one line."""
    unknown = dawdle(tmp_path, "report", "three", "--url", two_runs.url)
    nobody = dawdle(tmp_path, "report", "--url", "http://127.0.0.1:1")

    assert (2, "") == (unknown.returncode, unknown.stdout)
    assert unknown.stderr == "dawdle: there is no run 'three'; GET /runs lists them\n"
    assert (2, "") == (nobody.returncode, nobody.stdout)
    assert nobody.stderr.startswith("dawdle: no Dawdle answers at http://127.0.0.1:1 ")
    assert 1 == nobody.stderr.count("\n")


def test_report_comes_in_every_format(two_runs: Dawdle, tmp_path: Path) -> None:
    """Whole, and alone on standard output."""
    url = ("--url", two_runs.url)

    picture = dawdle(tmp_path, "report", "two", "--format", "svg", *url).stdout
    archive = json.loads(dawdle(tmp_path, "report", "two", "--format", "har", *url).stdout)
    trace = json.loads(dawdle(tmp_path, "report", "two", "--format", "trace", *url).stdout)

    assert picture.startswith("<svg ")
    assert picture.endswith("</svg>\n")
    count = two_runs.report("two")["figures"]["requests"]
    assert count == len(archive["log"]["entries"])
    assert count == sum(event["name"].startswith("GET") for event in trace["traceEvents"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--json", "--format", "svg"), "exclude each other"),
        (("--watch", "--check", "peak=1"), "has no end to judge"),
        (("--watch", "--json"), "has no end to judge"),
    ],
)
def test_options_that_exclude_each_other_are_refused(
    tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    """Before anybody is asked."""
    ended = dawdle(tmp_path, "report", *options)

    assert (2, "") == (ended.returncode, ended.stdout)
    assert words in ended.stderr


def test_comparison_has_both_runs_on_one_axis(two_runs: Dawdle, tmp_path: Path) -> None:
    """Figures first, then the bars of each."""
    ended = dawdle(tmp_path, "compare", "one", "two", "--url", two_runs.url)

    assert (0, "") == (ended.returncode, ended.stderr)
    head, *pictures = ended.stdout.split("\n\n")
    assert ["one", "two"] == head.splitlines()[0].split()
    assert ["one", "two"] == [picture.splitlines()[0] for picture in pictures]


def test_watching_tells_what_comes_until_the_run_is_gone(server: Dawdle, tmp_path: Path) -> None:
    """In a log, a line for what is new."""
    name = server.make_run()
    watching = subprocess.Popen(
        command("report", name, "--watch", "--url", server.url),
        cwd=tmp_path,
        env=environment(PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert watching.stdout is not None
    with watching.stdout as lines:
        assert f"{name}: no requests yet\n" == lines.readline()
        server.get(f"/aio?run={name}&delay=1ms")
        while "1 completed" not in (line := lines.readline()):
            assert line.startswith(f"{name}: 1 request ")
        server.get(f"/runs/{name}", method="DELETE")
        watching.wait(PATIENCE_S)

    assert watching.returncode in (0, 2)  # it may have looked just after the end


def test_verdict_and_findings_are_written_for_continuous_integration(tmp_path: Path) -> None:
    """Also when a check fails."""
    ended = run(
        tmp_path,
        *("--check", "findings=none&requests=11", "--junit", "told.xml"),
        asking=["/aio?delay=100ms"] * 12,
    )

    assert 1 == ended.returncode
    assert "FAILED findings=none: it is warn: " in ended.stdout
    assert "WARNING sequential: 12 requests came one after another" in ended.stdout
    [suite] = JUnitXml.fromfile(str(tmp_path / "told.xml"))
    failed = {case.name for case in suite if case.result}
    assert {"findings=none", "requests=11", "sequential"} <= failed


def test_file_that_can_not_be_written_is_a_sentence_before_the_command_starts(
    tmp_path: Path,
) -> None:
    """Better no run than one whose results are lost."""
    ended = run(tmp_path, "--junit", "nowhere/told.xml", asking=["/aio?delay=0"])

    assert (2, "") == (ended.returncode, ended.stdout)
    assert "--junit: nowhere/told.xml can't be written" in ended.stderr
