"""Tests of `app.cli`: what `dawdle` prints, and the status it exits with."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import click
import pytest

import app
from app import cli
from app.errors import Fatal
from app.settings import GROUPS, Settings, settings_table

SECRET = "open-sesame-42"

HELP = """\
Usage: dawdle [OPTIONS] [COMMAND] [ARGS]...

  A backend that is slow on purpose and tells you what your client did while
  it waited.

  Examples:
    dawdle serve                    each request waits 1 to 30 s
    dawdle serve --delay 250ms      each request waits a quarter of a second
    dawdle serve --time-scale 0.01  every wait is a hundred times shorter

Options:
  --version   Show the version and exit.
  -h, --help  Show this message and exit.

Commands:
"""


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work where no dawdle.toml lies."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings `app.server.serve` was called with; it only notes them and returns 3."""
    calls: list[Settings] = []

    def serve(settings: Settings) -> int:
        calls.append(settings)
        return 3

    replace_server(monkeypatch, serve)
    return calls


def replace_server(monkeypatch: pytest.MonkeyPatch, serve: Callable[[Settings], int]) -> None:
    """Let `dawdle serve` call *serve* in place of the real service."""
    server = SimpleNamespace(serve=serve)
    monkeypatch.setitem(sys.modules, "app.server", server)
    monkeypatch.setattr(app, "server", server, raising=False)


def run(*arguments: str, **environ: str) -> int:
    """The exit status of `dawdle ARGUMENTS...` with nothing but this environment."""
    return cli.main(arguments, environ=environ)


def start(*arguments: str, stdout: int) -> "subprocess.Popen[str]":
    """Start a process with the real command, in this empty folder."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("DAWDLE_")}
    return subprocess.Popen(
        [sys.executable, *arguments],
        env=environ | {"PYTHONPATH": str(Path(app.__file__).parents[1])},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    )


# --- help and version ----------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_help_reads_as_promised(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Alone, `dawdle` shows its help, and that is no error."""
    status = run(*arguments)

    introduction, heading, commands = capsys.readouterr().out.partition("Commands:\n")
    assert 0 == status
    assert introduction + heading == HELP
    assert "  serve    Serve slow replies until stopped." in commands.splitlines()


def test_version_is_name_and_number(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` says what is installed."""
    assert 0 == run("--version")
    assert f"dawdle {app.__version__}\n" == capsys.readouterr().out


def test_help_of_serve_shows_every_setting_in_its_group(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The options are the settings; none is forgotten, and its description is the one source."""
    status = run("serve", "--help")

    shown = capsys.readouterr().out
    words = " ".join(shown.split())
    assert 0 == status
    for setting in settings_table():
        assert f"\n  {setting.flag} {setting.kind}".rstrip() in shown
        assert setting.description in words
        assert not setting.kind or not setting.default or f"[default: {setting.default}]" in words
    assert [*GROUPS, "Options"] == [
        line[:-1] for line in shown.splitlines() if line.endswith(":") and line[0] != " "
    ]


def test_help_loads_no_library_it_does_not_need() -> None:
    """The first thing a newcomer types answers at once."""
    code = (
        "import sys; from app.cli import main; main(['--help']); "
        "print(*{'pydantic', 'aiohttp', 'asyncio'} & set(sys.modules), file=sys.stderr)"
    )
    with start("-c", code, stdout=subprocess.DEVNULL) as process:
        _, complaint = process.communicate()

    assert "\n" == complaint


# --- serve ---------------------------------------------------------------------------------------


def test_serve_returns_the_status_of_the_service(served: list[Settings]) -> None:
    """The service gets the settings; its status is the command's."""
    status = run("serve", "--port", "0", "--access-log", DAWDLE_VIEWERS="7")

    assert 3 == status
    assert [Settings(port=0, access_log=True, viewers=7)] == served


def test_serve_with_nothing_given_serves_the_defaults(served: list[Settings]) -> None:
    """An option that is absent gives no value, not even a switch."""
    run("serve")

    assert [Settings()] == served


def test_serve_reads_the_file_in_the_working_folder(served: list[Settings]) -> None:
    """`dawdle.toml` needs no option; --config names another."""
    Path("dawdle.toml").write_text("port = 1\naccess_log = true", encoding="utf-8")
    Path("other.toml").write_text("port = 2", encoding="utf-8")

    run("serve")
    run("serve", "--config", "other.toml", DAWDLE_CONFIG="missing.toml")

    assert [Settings(port=1, access_log=True), Settings(port=2)] == served


def test_print_config_shows_values_and_origins_and_serves_nothing(
    served: list[Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    """One look answers "why is it so?"; a secret is only said to be set."""
    Path("dawdle.toml").write_text("max_body = 2048", encoding="utf-8")

    status = run(
        "serve", "--print-config", "--no-access-log", "--max-delay", "90", DAWDLE_TOKEN=SECRET
    )

    shown = capsys.readouterr().out
    rows = [line.split() for line in shown.splitlines()]
    assert (0, []) == (status, served)
    assert ["setting", "value", "origin"] == rows[0]
    assert ["access_log", "false", "--no-access-log"] in rows
    assert ["max_delay", "90s", "--max-delay"] in rows
    assert ["token", "(set)", "DAWDLE_TOKEN"] in rows
    assert ["max_body", "2k", "dawdle.toml"] in rows
    assert ["port", "3000", "default"] in rows
    assert SECRET not in shown


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "environ", "sentence"),
    [
        (["serv"], {}, "no such command 'serv'; did you mean serve?"),
        (["dance"], {}, "no such command 'dance'; see dawdle --help"),
        (["--verison"], {}, "no such option '--verison'; did you mean --version?"),
        (["serve", "--prot", "1"], {}, "no such option '--prot'; did you mean --port?"),
        (["serve", "--zzz"], {}, "no such option '--zzz'; see dawdle serve --help"),
        (["serve", "now"], {}, "got unexpected extra argument (now); see dawdle serve --help"),
        (["serve", "--port"], {}, "option '--port' requires an argument; see dawdle --help"),
        (
            ["serve", "--port", "99999"],
            {},
            "--port: 99999 is out of range; use 0 to 65535",
        ),
        (
            ["serve", "--print-config"],
            {"DAWDLE_PORT": "99999"},
            "DAWDLE_PORT: 99999 is out of range; use 0 to 65535",
        ),
        (
            ["serve"],
            {"DAWDLE_PROT": "1"},
            "the environment: there is no setting 'DAWDLE_PROT'; the nearest is DAWDLE_PORT",
        ),
        (
            ["serve", "--config", "ci.toml"],
            {},
            "--config ci.toml: there is no such file; name a TOML file that exists",
        ),
        (
            ["echo", "here"],
            {},
            (
                "'here' is no address of a port; write such as 127.0.0.1:7777, [::1]:7777 or "
                "7777, up to 65535; see dawdle echo --help"
            ),
        ),
        (
            ["echo", "7777", "--rate", "1k/s"],
            {},
            "--rate is for the echo itself; add --listen; see dawdle echo --help",
        ),
    ],
)
def test_what_is_refused_is_one_sentence_and_status_2(
    arguments: list[str],
    environ: dict[str, str],
    sentence: str,
    served: list[Settings],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Value, rule and remedy on standard error, nothing on standard output, nothing served."""
    status = run(*arguments, **environ)

    assert (2, []) == (status, served)
    assert ("", f"dawdle: {sentence}\n") == tuple(capsys.readouterr())


def test_what_the_service_can_not_do_is_one_sentence_and_status_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A port in use reads like a bad setting."""

    def serve(_: Settings) -> int:
        raise Fatal("port 3000 is in use; choose another with --port")

    replace_server(monkeypatch, serve)

    assert 2 == run("serve")
    assert "dawdle: port 3000 is in use; choose another with --port\n" == capsys.readouterr().err


def test_an_error_of_click_without_a_context_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Click has errors that belong to no command."""

    def serve(_: Settings) -> int:
        raise click.ClickException("The moon is full.")

    replace_server(monkeypatch, serve)

    assert 2 == run("serve")
    assert "dawdle: the moon is full; see dawdle --help\n" == capsys.readouterr().err


# --- as a process --------------------------------------------------------------------------------


def test_an_interrupt_is_status_130(monkeypatch: pytest.MonkeyPatch) -> None:
    """As shells report a process that Ctrl-C ended; no traceback."""

    def serve(_: Settings) -> int:
        raise KeyboardInterrupt

    replace_server(monkeypatch, serve)

    assert 130 == run("serve")


def test_a_reader_that_left_is_no_traceback() -> None:
    """`dawdle serve --help | head -1` stays quiet."""
    reader, writer = os.pipe()
    os.close(reader)
    with start("-m", "app", "serve", "--help", stdout=writer) as process:
        os.close(writer)
        _, complaint = process.communicate()

    assert "" == complaint


def test_python_m_app_is_the_command() -> None:
    """Its status and its name are those of `dawdle`."""
    with start("-m", "app", "serve", "--port", "x", stdout=subprocess.DEVNULL) as process:
        _, complaint = process.communicate()

    assert 2 == process.returncode
    assert "dawdle: --port: 'x' is not a whole number; write 1 to 18 digits\n" == complaint
