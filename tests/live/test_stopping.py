"""What those who wait, and those who come, get from a server that was told to stop."""

from collections.abc import Iterator
from signal import SIGINT, SIGTERM, Signals

import pytest

from tests.live.conftest import Start
from tests.live.process import Dawdle, Wire, on_each_loop, stored, until

pytestmark = pytest.mark.live

on_each_signal = pytest.mark.parametrize("number", [SIGTERM, SIGINT], ids=["SIGTERM", "SIGINT"])

STOPPED = ("shutdown", "shutdown", 503)  # outcome, ended_by, status
COLUMNS = ("outcome", "ended_by", "status")


def waiting(server: Dawdle, count: int, delay: str) -> list[Wire]:
    """So many connections, each with a request that waits."""
    wires = [server.connect() for _ in range(count)]
    for wire in wires:
        wire.ask(f"/aio?run=r&delay={delay}")
    until(lambda: len(server.spans("r")) == count, f"{count} arrivals")
    return wires


def problems(wires: list[Wire]) -> Iterator[tuple[int, str]]:
    """(status, code of the problem) that each of them gets."""
    for wire in wires:
        answer = wire.answer()
        yield answer.status, answer.problem


@on_each_signal
@on_each_loop
def test_fifty_waiting_requests_are_all_answered_before_the_end(
    start: Start, number: Signals
) -> None:
    """Told to stop, the server answers all who wait, as planned, and then exits with 0."""
    server = start()
    wires = waiting(server, 50, "1s")

    server.signal(number)

    assert [200] * 50 == [wire.answer().status for wire in wires]
    assert server.ended() == 0
    assert [("completed", None, 200)] * 50 == stored(server.data, COLUMNS)
    assert "Traceback" not in server.log


@on_each_loop
def test_what_comes_while_the_server_stops_is_refused(start: Start) -> None:
    """New connections find nobody; a request on a connection from before gets 503."""
    server = start()
    kept = server.connect()
    kept.ask("/aio?run=kept&delay=0")
    assert kept.answer().status == 200
    [patient] = waiting(server, 1, "2s")

    server.stop_listening(SIGTERM)
    kept.ask("/aio?run=kept&delay=0")
    refused = kept.answer()

    assert (503, "shutting-down") == (refused.status, refused.problem)
    assert patient.answer().status == 200
    assert server.ended() == 0
    assert [("completed", 200), ("completed", 200), ("shutdown", 503)] == sorted(
        stored(server.data)
    )


@on_each_loop
def test_who_still_waits_when_the_grace_is_over_gets_503(start: Start) -> None:
    """After `shutdown_grace` nobody is answered as planned, and each span says why."""
    server = start("--shutdown-grace", "200ms")
    wires = waiting(server, 5, "30s")

    server.signal(SIGTERM)

    assert [(503, "shutting-down")] * 5 == list(problems(wires))
    assert server.ended() == 0
    assert [STOPPED] * 5 == stored(server.data, COLUMNS)


@on_each_signal
@on_each_loop
def test_second_signal_ends_the_grace_at_once(start: Start, number: Signals) -> None:
    """Told twice, the server answers all who wait with 503 and exits, long before its grace."""
    server = start()
    wires = waiting(server, 5, "300s")

    server.stop_listening(number)
    server.signal(number)

    assert [(503, "shutting-down")] * 5 == list(problems(wires))
    assert server.ended() == 0
    assert [STOPPED] * 5 == stored(server.data, COLUMNS)


def test_reply_that_drips_when_the_grace_is_over_breaks_off(start: Start) -> None:
    """A reply that has begun can't become a 503: its connection closes, its span says why."""
    server = start("--shutdown-grace", "100ms")
    [wire] = waiting(server, 1, "30s&drip=4&size=4000")

    server.signal(SIGTERM)
    received = wire.rest()

    assert received.startswith(b"HTTP/1.1 200 ")
    assert b"503" not in received
    assert server.ended() == 0
    assert [("shutdown", "shutdown", 200)] == stored(server.data, COLUMNS)


def test_client_that_reads_slowly_has_its_reply_within_the_grace(start: Start) -> None:
    """It is on its way: cutting it off would be no better than not answering."""
    server = start()
    wire = server.connect()
    wire.ask("/aio?run=r&delay=0&size=16m")
    assert wire.socket.recv(4) == b"HTTP"

    server.stop_listening(SIGTERM)
    rest = wire.rest()

    assert len(rest) > 16 << 20
    assert server.ended() == 0
    assert [("completed", None, 200)] == stored(server.data, COLUMNS)


def test_client_that_does_not_read_does_not_hold_up_the_end(start: Start) -> None:
    """A reply that nobody takes is cut off after the grace, and its span says by whom."""
    server = start("--shutdown-grace", "500ms")
    wire = server.connect()
    wire.ask("/aio?run=r&delay=0&size=16m")
    assert wire.socket.recv(4) == b"HTTP"

    server.signal(SIGTERM)

    assert server.ended() == 0
    assert [("shutdown", "shutdown", 200)] == stored(server.data, COLUMNS)


@on_each_signal
def test_idle_connections_and_open_event_streams_do_not_hold_up_the_end(
    start: Start, number: Signals
) -> None:
    """With nobody waiting the server ends though clients hang on; streams end as they should."""
    server = start("--shutdown-grace", "300s")
    idle = [server.connect() for _ in range(3)]
    idle[0].ask("/aio?run=r&delay=0")
    assert idle[0].answer().status == 200
    streams = [server.connect() for _ in range(3)]
    for stream in streams:
        stream.ask("/runs/r/events")
        assert stream.socket.recv(12) == b"HTTP/1.1 200"

    server.signal(number)

    assert all(stream.rest().endswith(b"\r\n0\r\n\r\n") for stream in streams)
    assert server.ended() == 0  # in good time, far below the grace
    assert "Traceback" not in server.log


def test_server_without_any_request_ends_at_once(start: Start) -> None:
    """There is nothing to wait for."""
    server = start("--shutdown-grace", "300s")

    server.signal(SIGTERM)

    assert server.ended() == 0
    assert server.refuses()
