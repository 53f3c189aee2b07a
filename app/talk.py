"""
`dawdle echo HOST:PORT`: talk to an echo, line by line from a terminal, or through a pipe.

Two threads with a blocking socket: whoever is behind holds the other up, so nothing piles up.
"""

import hashlib
import os
import socket
import statistics
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import BinaryIO

from app.clock import SECOND_NS, SystemClock
from app.errors import Fatal

CONNECT_S = 10.0
CHUNK = 65_536  # bytes
LAST_WORDS_S = 0.5  # for the thread that sends to say why it could not
FAILED = 1  # exit status when not everything came back as it was sent

MILLISECOND_NS = 1_000_000


class Broken(Exception):
    """Not everything can come back; the text says why."""


def connected(host: str, port: int) -> socket.socket:
    """
    A connection to that port.

    Raises:
        Fatal: nobody answers there.
    """
    try:
        connection = socket.create_connection((host, port), timeout=CONNECT_S)
    except OSError as error:
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        raise Fatal(
            f"nobody answers at {where} ({error.strerror or error}); start an echo with "
            "dawdle serve or dawdle echo --listen, or name another port"
        ) from None
    connection.settimeout(None)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def talk(host: str, port: int) -> int:
    """
    Send what comes from standard input, show what comes back; the exit status.

    0 when all of it came back as it was sent, else 1.

    Raises:
        Fatal: nobody answers there.
    """
    with connected(host, port) as connection:
        return (_by_line if sys.stdin.isatty() else _through)(connection)


# --- through a pipe ------------------------------------------------------------------------------


@dataclass
class Stream:
    """What has passed by in one direction."""

    count: int = 0
    digest: hashlib.blake2b = field(default_factory=hashlib.blake2b)

    def pass_on(self, data: bytes) -> None:
        """Count the bytes."""
        self.count += len(data)
        self.digest.update(data)


class Sender(threading.Thread):
    """
    Sends what *source* has, then closes that side of the connection.

    `trouble` says what went wrong, unless whoever receives sees it as well.
    """

    def __init__(self, connection: socket.socket, source: Callable[[], bytes]) -> None:
        # Nobody waits for a thread that waits for a person to type.
        super().__init__(name="sender", daemon=True)
        self.sent = Stream()
        self.is_done = False  # everything is sent
        self.trouble = ""
        self._connection = connection
        self._source = source

    def run(self) -> None:
        try:
            self._send()
        except BrokenPipeError:
            pass
        except OSError as error:  # a reset is told only once: to the thread that comes first
            self.trouble = str(_broken(error))
        except Broken as broken:
            self.trouble = str(broken)
            with suppress(OSError):  # it may be over already
                self._connection.shutdown(socket.SHUT_RDWR)  # nobody waits for what never comes

    def _send(self) -> None:
        while data := self._source():
            self._connection.sendall(data)
            self.sent.pass_on(data)
        self.is_done = True
        self._connection.shutdown(socket.SHUT_WR)


def _input() -> bytes:
    """What is there next; not by `sys.stdin`, whose lock a waiting thread would keep at exit."""
    try:
        return os.read(sys.stdin.fileno(), CHUNK)
    except OSError as error:
        raise Broken(f"standard input can't be read ({error.strerror or error})") from None


def _through(connection: socket.socket) -> int:
    """Copy standard input through the echo to standard output."""
    clock = SystemClock()
    begun_ns = clock.now()
    sender = Sender(connection, _input)
    sender.start()
    received, end = Stream(), ""
    try:
        for data in _received(connection):
            received.pass_on(data)
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
    except Broken as broken:
        end = str(broken)
    verdict = end or _difference(sender, received)
    _say(_summary(received.count, clock.now() - begun_ns))
    if verdict:
        _say(f"dawdle: {verdict}")
    return FAILED if verdict else 0


def _received(connection: socket.socket) -> Iterator[bytes]:
    try:
        while data := connection.recv(CHUNK):
            yield data
    except OSError as error:
        raise _broken(error) from None


def _broken(error: OSError) -> Broken:
    return Broken(f"the connection broke ({error.strerror or error})")


def _difference(sender: Sender, received: Stream) -> str:
    """What is wrong with what came back; empty when nothing is."""
    sender.join(None if sender.is_done else LAST_WORDS_S)  # it may wait for a person to type
    if not sender.is_done:
        return sender.trouble or "the echo hung up before everything was sent"
    sent = sender.sent
    if received.count != sent.count:
        return f"{sent.count} bytes were sent and {received.count} came back"
    if received.digest.digest() != sent.digest.digest():
        return "what came back is not what was sent"
    return ""


def _summary(count: int, length_ns: int) -> str:
    length_s = length_ns / SECOND_NS
    return f"{count:,} bytes came back in {length_s:.3g} s, {count / length_s / 1e6:,.3g} MB/s"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# --- line by line --------------------------------------------------------------------------------


def _by_line(connection: socket.socket) -> int:
    """Send each line that is typed, and show it with the time that it took to come back."""
    host, port = connection.getpeername()[:2]
    _say(f"connected to {host} port {port}; type lines, and Ctrl-D to end")
    clock, times_ns = SystemClock(), list[int]()
    answers = connection.makefile("rb")
    try:
        for line in _typed():
            sent_ns = clock.now()
            _exchange(line, connection, answers)
            times_ns.append(clock.now() - sent_ns)
            print(f"{_text(line)}  {_milliseconds(times_ns[-1])}", flush=True)
    except Broken as broken:
        _say(f"dawdle: {broken}")
        return FAILED
    finally:
        _say(_times(times_ns))
    return 0


def _typed() -> Iterator[bytes]:
    with suppress(EOFError):
        while True:
            yield f"{_prompted()}\n".encode(errors="surrogateescape")


def _prompted() -> str:
    try:
        return input("> ")
    except (EOFError, KeyboardInterrupt):
        print()  # what follows has a line to itself
        raise


def _exchange(line: bytes, connection: socket.socket, answers: BinaryIO) -> None:
    """Send it, read as much, and see that it is the same."""
    try:
        connection.sendall(line)
        answer = answers.read(len(line))
    except OSError as error:
        raise _broken(error) from None
    if len(answer) < len(line):
        raise Broken(f"the echo hung up after {len(answer)} of {len(line)} bytes")
    if answer != line:
        raise Broken(f"what came back is not what was sent: {_text(answer)!r}")


def _text(line: bytes) -> str:
    return line.decode(errors="replace").rstrip("\n")


def _milliseconds(ns: float) -> str:
    return f"{ns / MILLISECOND_NS:.3g} ms"


def _times(times_ns: list[int]) -> str:
    if not times_ns:
        return "no lines"
    least, middle, most = min(times_ns), statistics.median(times_ns), max(times_ns)
    return (
        f"{len(times_ns)} lines; round trip: least {_milliseconds(least)}, "
        f"median {_milliseconds(middle)}, most {_milliseconds(most)}"
    )
