"""Every fault on the wire: its exact bytes, and how its connection ends, seen by bare sockets."""

import re
import resource
from collections.abc import Iterator
from pathlib import Path
from signal import SIGTERM
from typing import NamedTuple

import pytest

from app.faults import GARBAGE, OF_BODIES, SILENT, Fault
from app.profiles import BUILT_IN
from app.reply import OPEN_HEADERS
from tests.live.conftest import Start
from tests.live.process import Dawdle, Wire, on_each_loop, request, until

pytestmark = [
    pytest.mark.live,
    on_each_loop,
    pytest.mark.parametrize("lane", ["--lane", "--no-lane"], scope="module"),
]

CAP = "400ms"  # how long the server bears silence
BODY = b'{"delay": 0.02}'  # 15 bytes, of which half is 7
VARYING = re.compile(rb"(?<=\r\nDate: )[^\r]+|(?<=\r\nX-Dawdle-Span: )[^\r]+")
MUCH = 600_000  # bytes of a request's body; below max_body, above what sockets buffer at once


def impatient(folder: Path, lane: str) -> list[str]:
    """Options of a server that bears silence for no longer than `CAP`, nor any delay."""
    file = folder / "profiles.toml"
    file.write_text("".join(f"[profiles.{name}]\ndelay = 0\n" for name in BUILT_IN))
    return [lane, "--max-delay", CAP, "--delay", "0", "--profiles", str(file)]


@pytest.fixture(scope="module")
def breaker(
    environ: dict[str, str], lane: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Dawdle]:
    """An impatient server."""
    folder = tmp_path_factory.mktemp("breaker")
    with Dawdle(folder, *impatient(folder, lane), environ=environ) as server:
        yield server.listening()


@pytest.fixture
def run(breaker: Dawdle) -> str:
    """A fresh run for this test alone."""
    return breaker.make_run()


class End(NamedTuple):
    """What came on a connection, and how it ended."""

    received: bytes  # without date and id
    ending: str  # FIN or RST


def end_of(wire: Wire) -> End:
    """Everything up to the end."""
    received, ending = bytearray(), "FIN"
    try:
        while chunk := wire.socket.recv(65_536):
            received += chunk
    except ConnectionResetError:
        ending = "RST"
    return End(VARYING.sub(b"*", bytes(received)), ending)


def head(run: str, framing: str, fault: str) -> bytes:
    """The head of a broken reply."""
    lines = [
        "HTTP/1.1 200 OK",
        "Content-Type: application/json; charset=utf-8",
        framing,
        "Server-Timing: delay;dur=20",
        f"X-Dawdle-Fault: {fault}",
        "Date: *",
        f"X-Dawdle-Run: {run}",
        "X-Dawdle-Span: *",
        *(f"{name}: {value}" for name, value in OPEN_HEADERS.items()),
        "Connection: close",
    ]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()


def expected(run: str, fault: Fault) -> End:
    """The contract, in bytes."""
    match fault:
        case Fault.RESET | Fault.HANG:
            return End(b"", "RST")
        case Fault.EMPTY:
            return End(b"", "FIN")
        case Fault.GARBAGE:
            return End(GARBAGE, "FIN")
        case Fault.TRUNCATE:
            return End(head(run, "Content-Length: 15", fault) + BODY[:7], "FIN")
        case Fault.SHORT_LENGTH:
            return End(head(run, "Content-Length: 7", fault) + BODY, "FIN")
        case Fault.LONG_LENGTH:
            return End(head(run, "Content-Length: 30", fault) + BODY, "FIN")
        case Fault.MALFORMED:
            payload = b"7\r\n" + BODY[:7] + b"\r\nZZ\r\n"
            return End(head(run, "Transfer-Encoding: chunked", fault) + payload, "FIN")
        case Fault.STALL:
            return End(head(run, "Content-Length: 15", fault) + BODY[:7], "RST")


def target(run: str, fault: Fault) -> str:
    return f"/aio?run={run}&delay=20ms&fault={fault}"


@pytest.mark.parametrize("fault", Fault)
def test_bytes_and_ending(breaker: Dawdle, run: str, fault: Fault) -> None:
    """Exactly those of the contract; silence ends with the cap. Nothing is logged."""
    wire = breaker.connect()
    wire.ask(target(run, fault))

    assert expected(run, fault) == end_of(wire)
    [span] = breaker.settled(run)
    assert ("faulted", "cap" if fault in SILENT else None, fault) == (
        span["outcome"],
        span["ended_by"],
        span["fault"],
    )
    assert (200 if fault in OF_BODIES else None) == span["status"]
    assert "" == breaker.log


@pytest.mark.parametrize("fault", Fault)
def test_a_body_that_is_still_coming_changes_nothing(
    breaker: Dawdle, run: str, fault: Fault
) -> None:
    """A FIN stays a FIN, and who goes on sending is not reset for it."""
    wire = breaker.connect()
    asked = request(target(run, fault), f"Content-Length: {MUCH}", method="POST")
    wire.send(asked + b"x" * (MUCH // 2))

    ended = end_of(wire)

    assert expected(run, fault) == ended
    if ended.ending == "FIN":
        wire.send(b"x" * (MUCH // 2))
        assert End(b"", "FIN") == end_of(wire)
    assert "faulted" == breaker.settled(run)[0]["outcome"]


@pytest.mark.parametrize("fault", sorted(set(Fault) - SILENT))
def test_requests_that_come_behind_change_nothing(breaker: Dawdle, run: str, fault: Fault) -> None:
    """However many; they are not answered, for no fault reuses its connection."""
    wire = breaker.connect()
    wire.ask(target(run, fault))
    try:
        wire.send(request(f"/aio?run={run}") * 3_000)
    except ConnectionError:
        assert fault is Fault.RESET

    assert expected(run, fault) == end_of(wire)
    assert 1 == len(breaker.settled(run))


@pytest.mark.parametrize("fault", ["truncate", "stall"])
def test_a_drip_breaks_off_in_its_midst(breaker: Dawdle, run: str, fault: str) -> None:
    """After two of four steps: the head, and half of the body."""
    wire = breaker.connect()
    wire.ask(f"/aio?run={run}&delay=80ms&drip=4&fault={fault}&size=64")

    received = end_of(wire)

    assert 32 == len(received.received.partition(b"\r\n\r\n")[2])
    assert ("FIN" if fault == "truncate" else "RST") == received.ending


# --- silence -------------------------------------------------------------------------------------


def silent(server: Dawdle, run: str, fault: str) -> Wire:
    """A connection that has fallen silent."""
    wire = server.connect()
    wire.ask(f"/aio?run={run}&delay=0&fault={fault}")
    server.await_in_flight(run, 1)
    if fault == "stall":
        assert wire.socket.recv(65_536).endswith(b'{"dela')
    return wire


@pytest.mark.parametrize("leave", [Wire.close, Wire.reset, Wire.half_close])
@pytest.mark.parametrize("fault", ["hang", "stall"])
def test_silence_ends_when_the_client_leaves(
    breaker: Dawdle, run: str, fault: str, leave: object
) -> None:
    """By FIN or by RST, at once."""
    leave(silent(breaker, run, fault))  # type: ignore[operator]

    [span] = breaker.settled(run)
    assert ("faulted", "client") == (span["outcome"], span["ended_by"])


@pytest.mark.parametrize("fault", ["hang", "stall"])
def test_silence_ends_with_its_run(breaker: Dawdle, run: str, fault: str) -> None:
    """With 503 where nothing was sent, else by closing the connection."""
    wire = silent(breaker, run, fault)
    breaker.get(f"/runs/{run}", method="DELETE")

    ended = end_of(wire)
    assert "FIN" == ended.ending
    assert ended.received.startswith(b"HTTP/1.1 503 ") == (fault == "hang")
    assert (fault == "stall") == (ended.received == b"")


def test_silence_does_not_keep_a_service_from_stopping(start: Start, lane: str) -> None:
    """No reply is to come, so nobody waits for one."""
    server = start(lane)
    wires = {fault: silent(server, server.make_run(), fault) for fault in ("hang", "stall")}
    server.signal(SIGTERM)

    assert end_of(wires["hang"]).received.startswith(b"HTTP/1.1 503 ")
    assert End(b"", "FIN") == end_of(wires["stall"])
    assert 0 == server.ended()


# --- many ----------------------------------------------------------------------------------------

MANY = 300
MIXED = ",".join(f"{fault}:0.1" for fault in Fault)  # and one in ten is sound


def open_files(server: Dawdle) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


@pytest.fixture
def _many_files() -> Iterator[None]:
    """Leave to open a socket for each connection, here and in the server."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 2 * MANY)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors in /proc")
@pytest.mark.usefixtures("_many_files")
def test_hundreds_of_mixed_faults_leave_nothing_behind(
    start: Start, tmp_path: Path, lane: str
) -> None:
    """No descriptor, no request in flight, no word in the log; each in the books once."""
    server = start(*impatient(tmp_path, lane))
    server.make_run()
    server.spans("run-1")
    before = open_files(server)
    wires = [server.connect() for _ in range(MANY)]
    for number, wire in enumerate(wires):
        query = f"run=mixed&seed=1&n={number}&delay=0-300ms&fault={MIXED}"
        wire.ask(f"/aio?{query}", "Connection: close")
    for wire in wires:
        end_of(wire)
        wire.close()

    spans = server.settled("mixed", MANY)
    assert MANY == len(spans)
    assert {"completed", "faulted"} == {span["outcome"] for span in spans}
    assert {None, *Fault} == {span["fault"] for span in spans}
    assert (0, 0) == (server.figure("dawdle_in_flight"), server.figure("dawdle_waiting"))
    assert "" == server.log
    until(lambda: open_files(server) <= before, "every descriptor closed")
