"""A Dawdle in a process of its own, and what tests do to it from outside."""

import http.client
import json
import os
import re
import socket
import sqlite3
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from operator import itemgetter
from pathlib import Path
from signal import Signals
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

import pytest

import app

PATIENCE_S = 45.0  # for what must happen, on a machine that is busy with other things
HOST = "127.0.0.1"

ANNOUNCEMENT = re.compile(
    r"Dawdle on (?P<url>https?://(?P<host>[^/]+):(?P<port>[0-9]+)) "
    r"\(echo (?P<echo>off|\S+:[0-9]+), data (?P<data>.+)\)"
)

# A test under this mark runs against a server on uvloop and one on asyncio's own loop.
on_each_loop = pytest.mark.parametrize("server_loop", ["uvloop", "asyncio"], scope="module")

T = TypeVar("T")


def until(find: Callable[[], T], what: str) -> T:
    """The first true value that *find* gives; fails when none came in good time."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := find()):
        if time.monotonic() > deadline:
            raise AssertionError(f"in vain waited for {what}")
        time.sleep(0.005)
    return found


# --- what a client sees --------------------------------------------------------------------------


class Answer(NamedTuple):
    """A reply, read to its end."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes

    @property
    def problem(self) -> str:
        """The code of the problem that the body tells of."""
        assert self.headers["content-type"].startswith("application/problem+json")
        return str(json.loads(self.body)["type"]).rpartition(":")[2]


class Wire:
    """A bare connection."""

    def __init__(self, port: int, host: str = HOST) -> None:
        self.socket = socket.create_connection((host, port), timeout=PATIENCE_S)

    def ask(self, target: str, *headers: str, method: str = "GET", body: bytes = b"") -> None:
        """Send a request, whole."""
        self.send(request(target, *headers, method=method, body=body))

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self) -> Answer:
        """The next reply."""
        with http.client.HTTPResponse(self.socket) as reply:
            reply.begin()
            headers = {name.lower(): value for name, value in reply.getheaders()}
            return Answer(reply.status, headers, reply.read())

    def rest(self) -> bytes:
        """Everything up to the end, however the server makes one."""
        received = bytearray()
        try:
            while chunk := self.socket.recv(65_536):
                received += chunk
        except ConnectionResetError:
            pass
        return bytes(received)

    def close(self) -> None:
        self.socket.close()

    def half_close(self) -> None:
        """Send a FIN and stay."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Leave with a RST instead of a FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def request(target: str, *headers: str, method: str = "GET", body: bytes = b"") -> bytes:
    """The bytes of a request."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {HOST}", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


# --- the process ---------------------------------------------------------------------------------


class Dawdle:
    """
    `dawdle serve` on a free port, its data in a folder that may have been used before.

    As a context manager it surely ends, with every connection that was made through it.
    """

    def __init__(
        self, folder: Path, *options: str, environ: Mapping[str, str], name: str = "data"
    ) -> None:
        self.data = folder / name
        self._wires: list[Wire] = []
        self._output = folder / f"{name}.{time.monotonic_ns()}.out"
        self._log = self._output.with_suffix(".err")
        with self._output.open("wb") as output, self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command("serve", "--port", "0", "--data", str(self.data), *options),
                cwd=folder,
                env=environ,
                stdout=output,
                stderr=log,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for wire in self._wires:
            wire.close()
        self.kill()

    def listening(self) -> Self:
        """Itself, once it has announced where it listens."""
        until(lambda: self.output.endswith("\n") or self.process.poll() is not None, "a server")
        match = ANNOUNCEMENT.fullmatch(self.output.rstrip("\n"))
        assert match, f"announced {self.output!r}, logged {self.log!r}"
        self.url = match["url"]
        self.host = match["host"].strip("[]")
        self.port = int(match["port"])
        self.echo_port = int(match["echo"].rpartition(":")[2]) if match["echo"] != "off" else 0
        return self

    @property
    def output(self) -> str:
        return self._output.read_text(encoding="utf-8")

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")

    # --- talking to it ---------------------------------------------------------------------------

    def connect(self) -> Wire:
        """A connection, closed with the server at the latest."""
        wire = Wire(self.port, self.host)
        self._wires.append(wire)
        return wire

    def echo(self) -> Wire:
        """A connection to the TCP echo, closed with the server at the latest."""
        wire = Wire(self.echo_port, self.host)
        self._wires.append(wire)
        return wire

    def refuses(self) -> bool:
        """Whether nobody listens any more."""
        try:
            Wire(self.port, self.host).close()
        except ConnectionRefusedError:
            return True
        except ConnectionResetError:  # in the queue of a listener that was just closed
            return False
        return False

    def get(self, target: str, *headers: str, method: str = "GET", body: bytes = b"") -> Answer:
        """The reply to a request on a connection of its own."""
        with closing(Wire(self.port, self.host)) as wire:
            wire.ask(target, "Connection: close", *headers, method=method, body=body)
            return wire.answer()

    def json(self, target: str) -> Any:
        """The JSON at *target*."""
        answer = self.get(target)
        assert answer.status == 200, answer
        return json.loads(answer.body)

    def make_run(self) -> str:
        """The name of a fresh run."""
        answer = self.get("/runs", method="POST")
        assert answer.status == 201, answer
        return str(json.loads(answer.body)["name"])

    def spans(self, run: str) -> list[dict[str, Any]]:
        """The spans of a run as exported; none when there is no such run."""
        answer = self.get(f"/runs/{run}/spans.jsonl")
        return [json.loads(line) for line in answer.body.splitlines()] if answer[0] == 200 else []

    def figure(self, name: str) -> float:
        """One of the figures for Prometheus that have no labels."""
        lines = self.get("/metrics").body.decode().splitlines()
        [value] = [line.split()[1] for line in lines if line.split()[0] == name]
        return float(value)

    def report(self, run: str) -> dict[str, Any]:
        """The report of a run."""
        return dict(self.json(f"/runs/{run}.json"))

    def in_flight(self, run: str) -> int:
        """How many requests of the run have not ended."""
        return sum(span["outcome"] == "in_flight" for span in self.spans(run))

    def settled(self, run: str, count: int = 1) -> list[dict[str, Any]]:
        """The spans of the run, once there are so many and each of them has ended."""

        def find() -> list[dict[str, Any]]:
            spans = self.spans(run)
            ended = all(span["outcome"] != "in_flight" for span in spans)
            return spans if ended and len(spans) >= count else []

        return until(find, f"the end of {count} requests in {run}")

    def await_arrival(self, run: str) -> None:
        """Return once a request of the run has arrived."""
        until(lambda: self.spans(run), "an arrival")

    def await_in_flight(self, run: str, count: int) -> None:
        """Return once so many requests of the run wait."""
        until(lambda: self.in_flight(run) == count, f"{count} requests in flight")

    # --- ending it -------------------------------------------------------------------------------

    def signal(self, number: Signals) -> None:
        self.process.send_signal(number)

    def stop_listening(self, number: Signals) -> None:
        """Send the signal and return when new connections are refused."""
        self.signal(number)
        until(self.refuses, "refused connections")

    def ended(self) -> int:
        """The exit status; fails when it does not come in good time."""
        return self.process.wait(PATIENCE_S)

    def kill(self) -> None:
        """End it at once, by `kill -9`, if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE_S)


def command(*arguments: str) -> list[str]:
    """What starts the command `dawdle` of this checkout."""
    return [sys.executable, "-m", "app", *arguments]


def environment(**more: str) -> dict[str, str]:
    """This process's environment without settings, and with this checkout's `app`."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("DAWDLE_")}
    return kept | {"PYTHONPATH": str(Path(app.__file__).parents[1])} | more


def dawdle(
    folder: Path, *arguments: str, environ: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run the command `dawdle` in *folder* to its end."""
    return subprocess.run(
        command(*arguments),
        cwd=folder,
        env=environment(**(environ or {})),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


# --- the database, seen from outside -------------------------------------------------------------


@contextmanager
def database(folder: Path) -> Iterator[sqlite3.Connection]:
    """The database in a data folder, whether or not a server has it open."""
    with closing(sqlite3.connect(folder / "dawdle.sqlite3", timeout=PATIENCE_S)) as connection:
        yield connection


def stored(folder: Path, columns: Sequence[str] = ("outcome", "status")) -> list[tuple[Any, ...]]:
    """Those columns of every stored span, in order of arrival."""
    with database(folder) as connection:
        spans = unpacked(connection.execute("SELECT spans FROM pages"))
    return [tuple(span[column] for column in columns) for span in spans]


def unpacked(pages: Iterable[tuple[str]]) -> list[dict[str, Any]]:
    """The spans in these pages, in order of arrival."""
    spans = [
        {name: _at(place, values) for name, values in page.items()}
        for page in (json.loads(text) for (text,) in pages)
        for place in range(len(page["id"]))
    ]
    return sorted(spans, key=itemgetter("id"))


def _at(place: int, values: Any) -> Any:
    """The value of a column for that span; one value stands for all."""
    return values[place] if isinstance(values, list) else values


def is_sound(folder: Path) -> bool:
    """Whether SQLite finds no damage."""
    with database(folder) as connection:
        return [tuple(row) for row in connection.execute("PRAGMA integrity_check")] == [("ok",)]
