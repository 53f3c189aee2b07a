"""Reading heads: what counts as plain, the memory for them, and a parser nobody can spoil."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.heads import LARGEST_HEAD, PARSED_KEPT, Heads
from tests.wires import request

PLAIN = request("/aio?delay=0")

# Whatever one of these leaves behind in a parser, the next head is read as if it were the first.
SPOILERS = {
    "garbage": b"garbage\r\n\r\n",
    "body to come": request("/aio", "Content-Length: 9", method="POST"),
    "body to come, GET": request("/aio", "Content-Length: 9"),
    "chunks to come": request("/aio", "Transfer-Encoding: chunked", method="POST"),
    "empty body": request("/aio", "Content-Length: 0", method="POST"),
    "tunnel": request("localhost:80", method="CONNECT"),
    "websocket": request("/aio", "Connection: upgrade", "Upgrade: websocket"),
    "upgrade to HTTP/2": request("/aio", "Connection: upgrade", "Upgrade: h2c"),
    "the last": request("/aio?delay=0", "Connection: close"),
    "HTTP/1.0": request("/aio?delay=0", version="1.0"),
    "another path": request("/healthz"),
    "another path, the last": request("/healthz", "Connection: close"),
    "no host": b"GET /aio HTTP/1.1\r\n\r\n",
    "broken header": request("/aio", "colon"),
    "too many headers": request("/aio", *["a: b"] * 200),
    "empty lines": b"\r\n\r\n",
    "coded": request("/aio", "Content-Encoding: gzip"),
}


@pytest.fixture
async def heads() -> Heads:
    return Heads(asyncio.get_running_loop())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        PLAIN[:-1],
        PLAIN + b"\r\n",
        PLAIN + PLAIN,
        PLAIN + b"x",
        PLAIN[:20],
        request("/aio?delay=0", method="POST"),
        request("/aio?delay=0", method="OPTIONS"),
        request("/aio?delay=0", "Content-Length: 0"),
        request("/aio?delay=0", "Transfer-Encoding: chunked"),
        request("/aio?delay=0", "Expect: 100-continue"),
        request("/aio?delay=0", "Upgrade: anything"),
        request("/aio?delay=0", version="0.9"),
        request("/aio?delay=0", version="1.2"),
        request("/aio?delay=0", version="2.0"),
        request("/aio/"),
        request("/aio/a/b"),
        request("/aiox"),
        request("/AIO"),
        request("/%61io"),
        request("//aio"),
        request("http://localhost/aio"),
        request("/aio#x"),
        request("/aio?é"),
        request("/aio?x", f"X-Y: {'y' * LARGEST_HEAD}"),
        *SPOILERS.values(),
    ],
)
async def test_what_is_not_plain_is_left_alone(heads: Heads, data: bytes) -> None:
    """Only one whole GET or HEAD of /aio, without a body and without any further wish."""
    plain = {SPOILERS[name] for name in ("the last", "HTTP/1.0", "coded")}

    assert (data in plain) == (heads.read(data) is not None)


@pytest.mark.parametrize("length", [LARGEST_HEAD, LARGEST_HEAD + 1])
async def test_head_may_have_so_many_bytes_and_no_more(heads: Heads, length: int) -> None:
    """The bound is on the bytes of the whole head."""
    head = request("/aio?delay=0", "X-Y: ")
    head = head.replace(b"X-Y: ", b"X-Y: " + b"y" * (length - len(head)))

    assert (len(head) <= LARGEST_HEAD) == (heads.read(head) is not None)


@pytest.mark.parametrize("spoiler", SPOILERS.values(), ids=SPOILERS.keys())
async def test_each_head_is_read_as_if_it_were_the_first(heads: Heads, spoiler: bytes) -> None:
    """One client's bytes never change how another's are read."""
    for number in range(3):
        head = request(f"/aio?delay=0&_={number}")

        heads.read(spoiler)
        found = heads.read(head)

        assert found is not None
        assert f"/aio?delay=0&_={number}" == found.target


@given(data=st.lists(st.sampled_from([PLAIN, *SPOILERS.values()]) | st.binary(), max_size=8))
def test_no_sequence_of_bytes_spoils_the_next_head(data: list[bytes]) -> None:
    """Nothing raises, and nothing is remembered but heads that were understood."""

    async def read_all() -> None:
        heads = Heads(asyncio.get_running_loop())
        for piece in data:
            heads.read(piece)
        found = heads.read(request("/aio?run=last"))
        assert found is not None
        assert "/aio?run=last" == found.target

    asyncio.run(read_all())


async def test_equal_bytes_are_parsed_once(heads: Heads) -> None:
    """The request is a value: equal bytes share it."""
    assert heads.read(PLAIN) is heads.read(bytes(bytearray(PLAIN)))


async def test_memory_for_heads_is_bounded(heads: Heads) -> None:
    """The oldest makes room; what is left is still right."""
    for number in range(PARSED_KEPT + 10):
        heads.read(request(f"/aio?_={number}"))

    assert PARSED_KEPT == len(heads._parsed)
    assert [f"/aio?_={number}" for number in (0, PARSED_KEPT + 9)] == [
        read.target
        for number in (0, PARSED_KEPT + 9)
        if (read := heads.read(request(f"/aio?_={number}")))
    ]
