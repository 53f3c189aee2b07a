"""`dawdle echo` as a client, against echoes that a thread plays."""

import errno
import io
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from app import talk
from app.errors import Fatal

HOST = "127.0.0.1"
Play = Callable[[socket.socket], None]


def faithful(peer: socket.socket) -> None:
    """Give everything back, then end."""
    while data := peer.recv(4_096):
        peer.sendall(data)


def lying(peer: socket.socket) -> None:
    """Give as much back, but something else."""
    while data := peer.recv(4_096):
        peer.sendall(data.swapcase())


def forgetful(peer: socket.socket) -> None:
    """Give the first three bytes back, read the rest, and end."""
    peer.sendall(peer.recv(3, socket.MSG_WAITALL))
    while peer.recv(4_096):
        pass


def hasty(peer: socket.socket) -> None:
    """End after three bytes, with the others unread: a RST."""
    peer.sendall(peer.recv(3, socket.MSG_WAITALL))


def short(peer: socket.socket) -> None:
    """End after three bytes, with nothing unread: a FIN."""
    peer.sendall(peer.recv(4_096)[:3])


@contextmanager
def played(play: Play) -> Iterator[int]:
    """The port on which one connection is played to."""
    with closing(socket.create_server((HOST, 0))) as listener:

        def serve() -> None:
            peer, _ = listener.accept()
            with closing(peer):
                play(peer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join(10)


@pytest.fixture
def feed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], None]]:
    """Sets what stands on standard input."""
    with (tmp_path / "input").open("w+b") as file:

        def feed(data: bytes) -> None:
            file.write(data)
            file.flush()
            os.lseek(file.fileno(), 0, os.SEEK_SET)
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(file))

        yield feed


# --- through a pipe ------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", b"hello", bytes(range(256)) * 9_999])
def test_what_comes_back_is_on_standard_output(
    feed: Callable[[bytes], None], capsysbinary: pytest.CaptureFixture[bytes], data: bytes
) -> None:
    """All of it, and a summary on standard error."""
    feed(data)

    with played(faithful) as port:
        status = talk.talk(HOST, port)

    shown = capsysbinary.readouterr()
    assert (0, data) == (status, shown.out)
    assert shown.err.startswith(f"{len(data):,} bytes came back in ".encode())
    assert 1 == shown.err.count(b"\n")


@pytest.mark.parametrize(
    ("play", "back", "words"),
    [
        (lying, b"HELLO" * 1_000, b"what came back is not what was sent"),
        (forgetful, b"hel", b"5000 bytes were sent and 3 came back"),
        (hasty, b"hel", b"the connection broke ("),
    ],
)
def test_what_does_not_come_back_as_it_was_sent_is_told(
    feed: Callable[[bytes], None],
    capsysbinary: pytest.CaptureFixture[bytes],
    play: Play,
    back: bytes,
    words: bytes,
) -> None:
    """With exit status 1, and what came back on standard output all the same."""
    feed(b"hello" * 1_000)

    with played(play) as port:
        status = talk.talk(HOST, port)

    shown = capsysbinary.readouterr()
    assert (1, back) == (status, shown.out)
    assert b"\ndawdle: " + words in shown.err


def test_echo_that_hangs_up_early_is_told(
    capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when standard input has no end."""
    reading, writing = os.pipe()
    with os.fdopen(reading) as endless, os.fdopen(writing, "wb"):
        monkeypatch.setattr(sys, "stdin", endless)
        with played(lambda peer: None) as port:
            status = talk.talk(HOST, port)

    assert 1 == status
    assert b"the echo hung up before everything was sent\n" in capsysbinary.readouterr().err


def test_input_that_cannot_be_read_is_told(
    capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And ends it, although the echo waits for more."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb"), os.fdopen(writing, "wb") as closed_to_readers:
        monkeypatch.setattr(sys, "stdin", closed_to_readers)
        with played(faithful) as port:
            status = talk.talk(HOST, port)

    assert 1 == status
    words = b"\ndawdle: standard input can't be read (Bad file descriptor)\n"
    assert words in capsysbinary.readouterr().err


def test_reset_that_only_the_sender_hears_of_is_told() -> None:
    """The kernel tells each error once; then whoever receives sees a plain end."""

    class Deaf(socket.socket):
        def sendall(self, *_: object) -> None:
            raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")

    with Deaf() as connection:
        sender = talk.Sender(connection, lambda: b"x")
        sender.run()

    assert (False, "the connection broke (Connection reset by peer)") == (
        sender.is_done,
        sender.trouble,
    )


def test_nobody_there_is_a_sentence() -> None:
    """Which names the address."""
    with closing(socket.create_server((HOST, 0))) as listener:
        port = listener.getsockname()[1]

    with pytest.raises(Fatal, match=rf"^nobody answers at {HOST}:{port} \(Connection refused\); "):
        talk.talk(HOST, port)


def test_address_of_ipv6_is_told_in_brackets(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one would write it."""

    def refuse(*_: object, **__: object) -> socket.socket:
        raise OSError("no such thing")

    monkeypatch.setattr(socket, "create_connection", refuse)

    with pytest.raises(Fatal, match=r"^nobody answers at \[::1\]:7 \(no such thing\); "):
        talk.talk("::1", 7)


# --- line by line --------------------------------------------------------------------------------


class Person(io.StringIO):
    """Standard input with somebody who types."""

    def isatty(self) -> bool:
        return True


def typed(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", Person(text))


def test_lines_come_back_with_their_times(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after another; the times' summary goes to standard error."""
    typed(monkeypatch, "hello\n\näö\n")

    with played(faithful) as port:
        status = talk.talk(HOST, port)

    shown = capsys.readouterr()
    assert 0 == status
    lines = [line.removeprefix("> ").split("  ") for line in shown.out.splitlines()]
    assert [["hello"], [""], ["äö"]] == [line[:1] for line in lines[:3]]
    assert all(line[1].endswith(" ms") for line in lines[:3])
    assert shown.err.startswith(f"connected to {HOST} port {port}; ")
    assert "\n3 lines; round trip: least " in shown.err


@pytest.mark.parametrize(
    ("play", "words"),
    [
        (lying, "what came back is not what was sent: 'HELLO'"),
        (short, "the echo hung up after 3 of 6 bytes"),
        (hasty, "the connection broke (Connection reset by peer)"),
    ],
)
def test_line_that_does_not_come_back_ends_it(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    play: Play,
    words: str,
) -> None:
    """With exit status 1."""
    typed(monkeypatch, "hello\nagain\n")

    with played(play) as port:
        status = talk.talk(HOST, port)

    assert 1 == status
    assert f"\ndawdle: {words}\n" in capsys.readouterr().err


def test_nothing_typed_is_no_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-D at once."""
    typed(monkeypatch, "")

    with played(faithful) as port:
        assert 0 == talk.talk(HOST, port)

    assert capsys.readouterr().err.endswith("\nno lines\n")
