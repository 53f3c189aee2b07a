"""The first line of a server that starts, and the one sentence of one that can't."""

import json
import socket
import ssl
import sys
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from app import __version__
from tests.live.conftest import Start
from tests.live.process import HOST, dawdle

pytestmark = pytest.mark.live


# --- what is announced ---------------------------------------------------------------------------


def test_announcement_is_the_first_and_only_line(start: Start) -> None:
    """Standard output says where the server listens and keeps its data, and nothing else."""
    server = start()

    assert server.port > 0
    assert (
        f"Dawdle on http://{HOST}:{server.port} (echo {HOST}:{server.echo_port}, "
        f"data {server.data})\n" == server.output
    )
    assert server.get("/aio?delay=0").status == 200


def test_data_folder_is_announced_as_it_was_given(start: Start, tmp_path: Path) -> None:
    """A relative folder stays one, and reads as such."""
    server = start("--data", "nested/data", "--no-echo")

    assert server.output.endswith("(echo off, data ./nested/data)\n")
    assert (tmp_path / "nested/data").is_dir()


@pytest.mark.parametrize(
    ("host", "announced"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::1", "[::1]"), ("::", "[::1]")],
)
def test_announced_address_is_one_that_answers(start: Start, host: str, announced: str) -> None:
    """A wildcard is no address to call, and IPv6 stands in brackets."""
    if ":" in host and not has_ipv6():
        pytest.skip("there is no IPv6 here")

    server = start("--host", host)

    assert server.url == f"http://{announced}:{server.port}"
    assert server.get("/aio?delay=0").status == 200


def has_ipv6() -> bool:
    try:
        with closing(socket.socket(socket.AF_INET6)) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def test_binding_beyond_loopback_without_a_token_is_warned_of(start: Start) -> None:
    """Whoever opens the control pages to a network is told so."""
    assert "set a token" in start("--host", "0.0.0.0").log
    assert "set a token" not in start(name="other").log


def test_self_signed_server_is_trusted_by_its_own_authority(start: Start) -> None:
    """With `--tls-self-signed` a client that verifies needs only the authority in the data."""
    server = start("--tls-self-signed")
    trusting = ssl.create_default_context(cafile=server.data / "dawdle-ca.pem")

    assert server.url == f"https://127.0.0.1:{server.port}"
    with urllib.request.urlopen(f"{server.url}/aio?delay=1ms", context=trusting) as reply:
        assert {"delay": 0.001} == json.load(reply)


def test_self_signed_server_is_not_trusted_otherwise(start: Start) -> None:
    """It does not sneak past clients that verify."""
    server = start("--tls-self-signed")

    with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.urlopen(f"{server.url}/aio?delay=0")
    assert "Traceback" not in server.log


@pytest.mark.parametrize("options", [["--version"], ["--version", "serve"]])
def test_version_is_printed(tmp_path: Path, options: list[str]) -> None:
    """The version, alone on its line, and no server."""
    ended = dawdle(tmp_path, *options)

    assert (0, f"dawdle {__version__}\n", "") == (ended.returncode, ended.stdout, ended.stderr)


# --- what is refused -----------------------------------------------------------------------------


def sentence(folder: Path, *arguments: str, **environ: str) -> str:
    """What a command that must be refused says: one line, on standard error, with status 2."""
    ended = dawdle(folder, *arguments, environ=environ)

    assert (2, "") == (ended.returncode, ended.stdout), ended.stderr
    assert ended.stderr.startswith("dawdle: ")
    assert 1 == ended.stderr.count("\n"), ended.stderr
    assert ended.stderr.endswith("\n")
    return ended.stderr.removeprefix("dawdle: ").rstrip("\n")


def test_port_in_use_is_a_sentence(start: Start, tmp_path: Path) -> None:
    """The port is named, and what to do about it."""
    server = start()

    said = sentence(tmp_path, "serve", "--port", str(server.port), "--data", "other")

    assert said.startswith(f"port {server.port} is in use; ")
    assert said.endswith("choose another port, or 0 for any free one")


def test_data_folder_of_another_server_is_a_sentence(start: Start, tmp_path: Path) -> None:
    """Two servers never share a folder; the first one is not disturbed."""
    server = start()

    said = sentence(tmp_path, "serve", "--port", "0", "--data", str(server.data))

    assert said == (
        f"the data folder {server.data} is in use by another Dawdle; stop that one or choose "
        "another folder"
    )
    assert server.get("/aio?delay=0").status == 200


def test_data_folder_that_is_free_again_is_taken(start: Start) -> None:
    """Nothing that a killed server leaves behind keeps the next one out."""
    start().kill()

    assert start().get("/aio?delay=0").status == 200


def a_file(folder: Path) -> Path:
    (folder / "file").write_text("in the way")
    return folder / "file"


def below_a_file(folder: Path) -> Path:
    return a_file(folder) / "data"


def in_proc(_folder: Path) -> Path:
    if sys.platform != "linux":
        pytest.skip("there is no /proc here")
    return Path("/proc/dawdle")


@pytest.mark.parametrize("place", [a_file, below_a_file, in_proc])
@pytest.mark.parametrize("options", [[], ["--tls-self-signed"]], ids=["plain", "tls"])
def test_data_folder_that_can_not_be_written_is_a_sentence(
    tmp_path: Path, place: Callable[[Path], Path], options: list[str]
) -> None:
    """The folder is named; permission bits bind no administrator, so it is an impossible one."""
    data = place(tmp_path)

    said = sentence(tmp_path, "serve", "--port", "0", "--data", str(data), *options)

    assert str(data) in said
    assert "can't be written" in said


def test_data_that_is_no_database_is_a_sentence(tmp_path: Path) -> None:
    """A foreign file under the name of ours is refused and left alone."""
    database = tmp_path / "dawdle.sqlite3"
    database.write_text("these are my notes, not a database\n" * 100)

    said = sentence(tmp_path, "serve", "--port", "0", "--data", str(tmp_path))

    assert f"{database} can't be used as the database" in said
    assert database.read_text().startswith("these are my notes")


@pytest.mark.parametrize(
    ("options", "beginning"),
    [
        (["--port", "70000"], "--port: 70000 is out of range"),
        (["--delay", "nan"], "delay nan: "),
        (["--time-scale", "11"], "--time-scale: 11 is out of range"),
        (["--default-profile", "nope"], "default_profile nope: there is no profile 'nope'"),
        (["--profiles", "nope.toml"], "profiles nope.toml can't be read: "),
        (["--config", "nope.toml"], "--config nope.toml: there is no such file"),
        (["--tls-cert", "nope.pem", "--tls-key", "nope.pem"], "tls_cert nope.pem and "),
        (["--host", "host.invalid"], "host host.invalid is no address of this machine"),
        (["--echo-delay", "nan"], "echo_delay nan: 'nan' is "),
        (["--dealy", "1"], "no such option"),
        (["surplus"], "got unexpected extra argument"),
    ],
)
def test_bad_option_is_a_sentence(tmp_path: Path, options: list[str], beginning: str) -> None:
    """Whatever is wrong with the command line: what, and what to write instead."""
    said = sentence(tmp_path, "serve", "--port", "0", *options)

    assert said.lower().startswith(beginning.lower())
    assert "; " in said  # then comes the remedy


def test_port_of_the_echo_in_use_is_a_sentence(start: Start, tmp_path: Path) -> None:
    """It says that the echo can be left out."""
    port = start().echo_port

    said = sentence(tmp_path, "serve", "--port", "0", "--echo-port", str(port), "--data", "other")

    assert said == (
        f"echo: port {port} is in use; stop what listens there, or choose another port, or 0 for "
        "any free one, or --no-echo"
    )


def test_bad_environment_is_a_sentence(tmp_path: Path) -> None:
    """A bad value and an unknown name are told apart, each by its place."""
    assert sentence(tmp_path, "serve", DAWDLE_PORT="x").startswith("DAWDLE_PORT: ")
    assert "the nearest is DAWDLE_PORT" in sentence(tmp_path, "serve", DAWDLE_PROT="1")


@pytest.mark.parametrize(
    ("text", "beginning"),
    [
        ("port = ", "dawdle.toml: is not TOML: "),
        ("port = 70000", "dawdle.toml, port: 70000 is out of range"),
        ("prot = 1", "dawdle.toml: there is no setting 'prot'"),
    ],
)
def test_bad_file_is_a_sentence(tmp_path: Path, text: str, beginning: str) -> None:
    """The file is named, and the key where there is one."""
    (tmp_path / "dawdle.toml").write_text(text)

    assert sentence(tmp_path, "serve").startswith(beginning)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[profiles.mine", ["mine.toml", "TOML"]),
        ("[profiles.mine]\ndelay = 'nan'", ["mine.toml", "mine", "delay", "nan"]),
        ("[profiles.mine]\nrun = 'r'", ["mine.toml", "mine", "run"]),
    ],
)
def test_bad_profile_is_a_sentence(tmp_path: Path, text: str, parts: list[str]) -> None:
    """File, table and key are named."""
    (tmp_path / "mine.toml").write_text(text)

    said = sentence(tmp_path, "serve", "--port", "0", "--profiles", "mine.toml")

    assert [] == [part for part in parts if part not in said], said


def test_refused_server_leaves_nothing_behind(tmp_path: Path) -> None:
    """A server that does not start makes no folder either."""
    sentence(tmp_path, "serve", "--port", "70000")

    assert [] == list(tmp_path.iterdir())
