"""The echoes, met by clients that no one here wrote, and told to stop."""

import asyncio
import os
import random
import re
import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio import client as asyncio_client
from websockets.exceptions import ConnectionClosed
from websockets.sync import client
from websockets.sync.client import ClientConnection

from tests.live.conftest import Start
from tests.live.process import (
    HOST,
    PATIENCE_S,
    Dawdle,
    command,
    environment,
    on_each_loop,
    stored,
    until,
)

pytestmark = pytest.mark.live

MEGABYTE = 1 << 20

Echoed = Callable[[], dict[str, Any]]


@pytest.fixture(scope="module")
def noise() -> bytes:
    """Two megabytes that nobody could make up."""
    return random.Random(1).randbytes(2 * MEGABYTE)


def program(name: str) -> str:
    """Where the program is; where it has to be, a test without it fails."""
    found = shutil.which(name)
    if found is None:
        assert "REQUIRE_NETCATS" not in os.environ, f"there is no {name} here"
        pytest.skip(f"there is no {name} here")
    return found


def piped(command: list[str], data: bytes) -> bytes:
    """What the command says to *data* on its standard input."""
    done = subprocess.run(command, input=data, capture_output=True, check=False, timeout=PATIENCE_S)
    assert (0, b"") == (done.returncode, done.stderr)
    return done.stdout


def echoes(server: Dawdle) -> dict[str, dict[str, Any]]:
    """Every span of a TCP echo, by its id."""
    runs = [run["name"] for run in server.json("/runs.json")["runs"]]
    spans = [span for run in runs for span in server.spans(run) if span["kind"] == "echo"]
    return {span["id"]: span for span in spans if span["outcome"] != "in_flight"}


@pytest.fixture
def echoed(server: Dawdle) -> Echoed:
    """The span of the one TCP echo of this test, once it has ended."""
    before = echoes(server).keys()

    def find() -> dict[str, Any]:
        fresh = echoes(server)
        return next((fresh[each] for each in fresh.keys() - before), {})

    return lambda: until(find, "the end of the echo")


# --- netcats and their like ----------------------------------------------------------------------


def test_nc_gets_everything_back(server: Dawdle, noise: bytes, echoed: Echoed) -> None:
    """It shuts its side down at the end of its input (-N) and waits for ours."""
    command = [program("nc"), "-N", HOST, str(server.echo_port)]

    assert noise == piped(command, noise)
    span = echoed()
    assert ("completed", None) == (span["outcome"], span["ended_by"])
    assert (len(noise), len(noise)) == (span["bytes_in"], span["bytes_out"])


def test_socat_gets_everything_back(server: Dawdle, noise: bytes, echoed: Echoed) -> None:
    """It half-closes, too, and waits 20 s at most for the rest."""
    command = [program("socat"), "-t", "20", "-", f"TCP:{HOST}:{server.echo_port}"]

    assert noise == piped(command, noise)
    span = echoed()
    assert ("completed", len(noise)) == (span["outcome"], span["bytes_out"])


def test_curl_speaks_telnet_with_it(server: Dawdle, echoed: Echoed) -> None:
    """What is typed comes back while the connection is open."""
    command = [program("curl"), "-sN", f"telnet://{HOST}:{server.echo_port}"]

    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as curl:
        assert curl.stdin
        assert curl.stdout
        for line in (b"hello\n", b"is anybody there\n"):
            curl.stdin.write(line)
            curl.stdin.flush()
            assert line == curl.stdout.readline()
        curl.stdin.close()
        curl.terminate()

    span = echoed()
    assert (23, 23) == (span["bytes_in"], span["bytes_out"])


# --- WebSocket -----------------------------------------------------------------------------------


def connect(
    server: Dawdle, query: str = "", compression: str | None = "deflate"
) -> ClientConnection:
    """A connection of the `websockets` library."""
    url = f"ws://{HOST}:{server.port}/websocket/echo{query}"
    return client.connect(url, compression=compression, proxy=None, open_timeout=PATIENCE_S)


@pytest.mark.parametrize("compression", ["deflate", None])
def test_websockets_gets_its_messages_back(
    server: Dawdle, run: str, compression: str | None
) -> None:
    """Text, bytes and what was sent in fragments, compressed or not; and pongs."""
    with connect(server, f"?run={run}", compression=compression) as visitor:
        for message in ("hello", "", "äö\U0001f600", b"\x00\xff", bytes(300_000)):
            visitor.send(message)
            assert message == visitor.recv(PATIENCE_S)
        visitor.send(["frag", "men", "ts"])
        assert "fragments" == visitor.recv(PATIENCE_S)
        assert visitor.ping().wait(PATIENCE_S)
        visitor.close(4_321, "that's all")
        assert 4_321 == visitor.close_code

    [span] = server.settled(run)
    assert ("websocket", "completed", 6) == (span["kind"], span["outcome"], span["messages"])
    assert span["bytes_in"] == span["bytes_out"] == 5 + 8 + 2 + 300_000 + 9


@pytest.mark.parametrize("size", [MEGABYTE + 1, 5 * MEGABYTE])
def test_websockets_is_told_that_its_message_is_too_large(
    server: Dawdle, run: str, size: int
) -> None:
    """With close code 1009, also when most of it is still on its way."""
    with connect(server, f"?run={run}", compression=None) as visitor:
        visitor.send(bytes(MEGABYTE))
        assert bytes(MEGABYTE) == visitor.recv(PATIENCE_S)
        with suppress(ConnectionClosed):
            visitor.send(bytes(size))
        with pytest.raises(ConnectionClosed) as closed:
            visitor.recv(PATIENCE_S)

    assert closed.value.rcvd
    assert 1009 == closed.value.rcvd.code
    [span] = server.settled(run)
    assert ("rejected", MEGABYTE) == (span["outcome"], span["bytes_out"])


@on_each_loop
async def test_websockets_speaks_tls(start: Start) -> None:
    """Closed and broken as without it, though TLS can only be closed as a whole."""
    server = start("--tls-self-signed")
    # Not by threads: Python's TLS loses bytes now and then when one sends and one receives.
    visit = partial(
        asyncio_client.connect,
        ssl=ssl.create_default_context(cafile=server.data / "dawdle-ca.pem"),
        proxy=None,
        open_timeout=PATIENCE_S,
        ping_interval=None,
    )
    url = f"wss://{HOST}:{server.port}/websocket/echo"

    async with asyncio.timeout(PATIENCE_S):
        async with visit(url) as visitor:
            await visitor.send("hello")
            assert "hello" == await visitor.recv()
            await visitor.close(4_321, "that's all")
            assert 4_321 == visitor.close_code
        for fault in ("empty", "garbage", "reset"):
            async with visit(f"{url}?fault={fault}@5") as visitor:
                await visitor.send("hello")
                assert "hello" == await visitor.recv()
                with pytest.raises(ConnectionClosed) as closed:
                    await visitor.recv()
                assert closed.value.rcvd is None


def test_run_mixes_requests_and_websockets(server: Dawdle, run: str) -> None:
    """One report for both."""
    with connect(server, f"?run={run}") as visitor:
        visitor.send("x")
        visitor.recv(PATIENCE_S)
        assert 200 == server.get(f"/aio?run={run}&delay=1ms").status

    assert {"websocket", "http"} == {span["kind"] for span in server.settled(run, 2)}
    figures = server.report(run)["figures"]
    assert (2, 2, 2, 2) == tuple(
        figures[name] for name in ("requests", "completed", "peak", "connections")
    )
    assert server.get(f"/runs/{run}.txt").status == 200


# --- stopping ------------------------------------------------------------------------------------


@on_each_loop
def test_service_that_stops_gives_back_what_it_has(start: Start) -> None:
    """Who waits gets the rest, who is idle the end, and a WebSocket a word; then it exits."""
    server = start("--echo-delay", "1s")
    idle, waiting = server.echo(), server.echo()
    waiting.send(b"hello")
    until(lambda: any(span["bytes_in"] for span in server.spans("default-1")), "the bytes")
    with connect(server) as visitor:
        server.process.terminate()

        assert (b"", b"hello") == (idle.rest(), waiting.rest())
        with pytest.raises(ConnectionClosed) as closed:
            visitor.recv(PATIENCE_S)

    assert closed.value.rcvd
    assert 1001 == closed.value.rcvd.code
    assert 0 == server.ended()
    assert "Traceback" not in server.log


def test_peer_that_does_not_read_does_not_hold_up_the_end(start: Start) -> None:
    """After the grace it is cut off."""
    server = start("--shutdown-grace", "300ms")
    wire = server.echo()
    wire.socket.settimeout(0.3)
    with suppress(TimeoutError):
        wire.send(bytes(64 * MEGABYTE))

    server.process.terminate()

    assert 0 == server.ended()
    assert "Traceback" not in server.log
    assert [("shutdown", "shutdown")] == stored(server.data, ("outcome", "ended_by"))


# --- dawdle echo ---------------------------------------------------------------------------------


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Callable[..., int]]:
    """Starts `dawdle echo --listen`, with options; the port."""
    with ExitStack() as running:

        def start(*options: str) -> int:
            process = running.enter_context(
                subprocess.Popen(
                    command("echo", "--listen", "0", *options),
                    cwd=tmp_path,
                    env=environment(),
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            running.callback(process.terminate)
            assert process.stdout
            said = re.fullmatch(r"Dawdle echo on 127\.0\.0\.1:(\d+)\n", process.stdout.readline())
            assert said
            return int(said[1])

        yield start


def test_dawdle_echo_copies_a_pipe_through_the_echo(
    alone: Callable[..., int], tmp_path: Path, noise: bytes
) -> None:
    """Both ends are ours; the other end is slow enough that somebody has to wait."""
    port = alone("--rate", "16m/s", "--delay", "1ms")

    done = subprocess.run(
        command("echo", str(port)),
        input=noise,
        capture_output=True,
        cwd=tmp_path,
        env=environment(),
        timeout=PATIENCE_S,
        check=False,
    )

    assert (0, True) == (done.returncode, noise == done.stdout)
    assert done.stderr.startswith(b"2,097,152 bytes came back in ")
    assert [] == list(tmp_path.iterdir())  # it keeps nothing


def test_dawdle_echo_tells_of_a_fault(
    alone: Callable[..., int], tmp_path: Path, noise: bytes
) -> None:
    """With exit status 1, after what came back."""
    port = alone("--fault", "reset@100k")

    done = subprocess.run(
        command("echo", f"127.0.0.1:{port}"),
        input=noise,
        capture_output=True,
        cwd=tmp_path,
        env=environment(),
        timeout=PATIENCE_S,
        check=False,
    )

    assert 1 == done.returncode
    assert noise[:102_400] == done.stdout
    assert b"\ndawdle: the connection broke (" in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="there are no pseudo-terminals")
def test_dawdle_echo_on_a_terminal_is_line_by_line(server: Dawdle, tmp_path: Path) -> None:
    """Each line comes back with its time; Ctrl-D ends it."""
    import pty

    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command("echo", str(server.echo_port)),
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=environment(),
    ) as process:
        os.close(theirs)
        os.write(ours, b"hello\nagain\n\x04")
        shown, said = process.communicate(timeout=PATIENCE_S)
        os.close(ours)

    assert 0 == process.returncode
    times = re.findall(r"(hello|again)  [0-9.e+]+ ms\n", shown.decode())
    assert ["hello", "again"] == times
    assert b"2 lines; round trip: least " in said
