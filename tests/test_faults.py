"""Tests of `app.faults`: the bytes of each, how likely each is, and how a connection ends."""

import socket
from collections import Counter
from functools import partial
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import BadValue
from app.faults import (
    GARBAGE,
    OF_BODIES,
    OF_STREAMS,
    SILENT,
    Chances,
    Ending,
    Fault,
    Script,
    StreamFault,
    chances,
    fault,
    hang_up,
    reset,
    script,
    stream_fault,
)

BODY = b"0123456789abc"  # 13 bytes, of which half is 6

# fault -> ending, whether there is a head, the length it tells of, what is sent of the payload
WIRE: dict[str | None, tuple[Ending, bool, int | None, bytes]] = {
    None: (Ending.KEEP, True, 13, BODY),
    "reset": (Ending.RST, False, None, b""),
    "empty": (Ending.FIN, False, None, b""),
    "garbage": (Ending.FIN, False, None, GARBAGE),
    "truncate": (Ending.FIN, True, 13, b"012345"),
    "short_length": (Ending.FIN, True, 6, BODY),
    "long_length": (Ending.FIN, True, 26, BODY),
    "malformed": (Ending.FIN, True, None, b"6\r\n012345\r\nZZ\r\n"),
    "stall": (Ending.SILENCE, True, 13, b"012345"),
    "hang": (Ending.SILENCE, False, None, b""),
}


@pytest.mark.parametrize("one", [None, *Fault])
def test_what_goes_over_the_wire(one: Fault | None) -> None:
    """The contract's bytes and endings."""
    reply = script(one, BODY)

    assert WIRE[one] == (reply.ending, reply.head, reply.length, reply.sent)


def test_what_has_a_head_breaks_a_body() -> None:
    """A status is sent with those and with no others."""
    assert {one for one in Fault if script(one, BODY).head} == OF_BODIES


def test_what_never_ends_by_itself_is_silent() -> None:
    """Those need somebody to end them."""
    assert {one for one in Fault if script(one, BODY).ending is Ending.SILENCE} == SILENT


def test_garbage_is_no_http() -> None:
    """32 bytes, the first not `H`, on one line."""
    assert 32 == len(GARBAGE)
    assert not GARBAGE.startswith(b"H")
    assert [GARBAGE] == GARBAGE.splitlines(keepends=True)


@pytest.mark.parametrize("length", [1, 2, 16, 16 << 20])
def test_a_malformed_body_is_never_whole(length: int) -> None:
    """A chunk of no bytes would be the last one, and the body sound."""
    payload = script(Fault.MALFORMED, b"x" * length).payload

    assert not payload.startswith(b"0")
    assert payload.endswith(b"ZZ\r\n")
    assert length // 2 == payload.count(b"x")


def test_half_of_what_is_cut() -> None:
    """Rounded down; the rest is known, for whoever writes it in steps."""
    reply = script(Fault.TRUNCATE, b"abc")

    assert Script(Ending.FIN, True, 3, b"abc", halved=True) == reply
    assert b"a" == reply.sent


# --- endings -------------------------------------------------------------------------------------


class FakeSocket:
    """A socket that notes what is set."""

    def __init__(self) -> None:
        self.options: list[tuple[int, int, bytes]] = []

    def setsockopt(self, *option: int | bytes) -> None:
        self.options.append(option)  # type: ignore[arg-type]


class FakeWire:
    """A connection that notes how it is ended."""

    def __init__(self, *, halves: bool = True) -> None:
        self.halves = halves
        self.socket = FakeSocket()
        self.acts: list[str] = []

    def can_write_eof(self) -> bool:
        return self.halves

    def write_eof(self) -> None:
        self.acts.append("write_eof")

    def abort(self) -> None:
        self.acts.append(f"abort after {len(self.socket.options)} options")

    def get_extra_info(self, name: str) -> FakeSocket:
        return {"socket": self.socket}[name]


@pytest.mark.parametrize(("halves", "acts"), [(True, ["write_eof"]), (False, [])])
def test_a_fin_closes_our_side_alone_where_that_can_be(halves: bool, acts: list[str]) -> None:
    """TLS can't, and is left to the owner: to close with bytes unread would send a RST."""
    wire = FakeWire(halves=halves)
    hang_up(wire)

    assert acts == wire.acts


def test_a_rst_is_a_close_without_lingering() -> None:
    """`SO_LINGER` with 0 seconds."""
    wire = FakeWire()
    reset(wire)

    ((level, option, value),) = wire.socket.options
    assert (socket.SOL_SOCKET, socket.SO_LINGER) == (level, option)
    assert (1, 0) == (value[0], value[len(value) // 2])
    assert ["abort after 1 options"] == wire.acts


# --- text -> faults ------------------------------------------------------------------------------


def never() -> float:
    raise AssertionError("nothing is to be drawn")


@pytest.mark.parametrize("text", ["reset", "reset:1", "reset:1.0"])
def test_a_single_fault_is_certain(text: str) -> None:
    """It draws nothing."""
    assert Fault.RESET is chances(text).certain
    assert Fault.RESET is chances(text).choose(never)


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0.0001, "reset"), (0.0999, "reset"), (0.1001, "hang"), (0.2999, "hang"), (0.3001, None)],
)
def test_probabilities_are_absolute(number: float, expected: str | None) -> None:
    """One in ten is reset, two in ten hang, the others are sound."""
    assert expected == chances("reset:0.1,truncate:0,hang:0.2").choose(lambda: number)


def test_probability_0_is_never_and_1_is_always() -> None:
    """At both ends of what can be drawn."""
    ends = (2.0**-53, 1 - 2.0**-53)

    for end, expected in zip(ends, (Fault.RESET, Fault.HANG), strict=True):
        uniform = partial(float, end)
        assert None is chances("reset:0").choose(uniform)
        assert expected is chances("reset:0.5,hang:0.5").choose(uniform)


def test_ten_tenths_are_one() -> None:
    """Though ten times the binary 0.1 is not."""
    ten = chances(",".join(["reset:0.1"] * 10))

    assert 1.0 == ten.cumulative[-1]


@given(st.integers(0, 2**32))
def test_faults_come_as_often_as_they_say(seed: int) -> None:
    """Within six standard deviations of a thousand draws."""
    random = Random(seed)
    drawn = Counter(chances("reset:0.1,empty:0.3").choose(random.random) for _ in range(1_000))

    assert abs(drawn[Fault.RESET] - 100) < 57
    assert abs(drawn[Fault.EMPTY] - 300) < 87


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("rst", "'rst' is not a fault; use one of reset, empty, garbage, truncate, short_length"),
        ("", "'' is not a fault"),
        ("reset,empty", "'reset' has no probability; in a list write each as reset:0.1"),
        ("reset:0.1,empty", "'empty' has no probability"),
        ("reset:0.6,empty:0.5", "add up to 1.1; stay within 1"),
        ("reset:1.01", "the probabilities in 'reset:1.01' add up to 1.01"),
        ("reset:x", "'x' is not a number"),
        ("reset:-1", "'-1' is not a number"),
        ("Reset", "'Reset' is not a fault"),
        ("seq(reset,empty)", "'seq(reset,empty)' is not a fault"),
    ],
)
def test_chances_that_are_none(text: str, sentence: str) -> None:
    """Value, rule, remedy."""
    with pytest.raises(BadValue) as refused:
        chances(text)

    assert sentence in str(refused.value)


@pytest.mark.parametrize("text", ["reset", "reset:0.5", "reset:0.1,truncate:0.05"])
def test_chances_are_written_as_they_read(text: str) -> None:
    """`str()` gives a text that reads back."""
    read = chances(text)

    assert read == chances(str(read))
    assert isinstance(read, Chances)


def test_every_fault_has_its_name() -> None:
    """As in `fault=stall`."""
    assert set(WIRE) == {None, *(str(fault(one)) for one in Fault)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("reset", StreamFault(Fault.RESET)),
        ("hang@0", StreamFault(Fault.HANG)),
        ("garbage@10k", StreamFault(Fault.GARBAGE, 10_240)),
    ],
)
def test_a_stream_s_fault_comes_after_so_many_bytes(text: str, expected: StreamFault) -> None:
    """At once unless told otherwise."""
    assert expected == stream_fault(text)


def test_what_fits_before_a_stream_s_fault() -> None:
    """Never less than nothing."""
    assert [10, 1, 0, 0] == [StreamFault(Fault.EMPTY, 10).room(sent) for sent in (0, 9, 10, 11)]


@pytest.mark.parametrize("one", sorted(set(Fault) - set(OF_STREAMS)))
def test_a_stream_has_no_frame_to_break(one: Fault) -> None:
    """A `Content-Length` can be wrong only where there is one."""
    with pytest.raises(BadValue, match="use one of reset, empty, garbage, hang"):
        stream_fault(one)


@pytest.mark.parametrize("text", ["reset@", "reset@x", "reset@-1", "nope@5"])
def test_stream_faults_that_are_none(text: str) -> None:
    """BYTES are a size, FAULT is a fault."""
    with pytest.raises(BadValue, match="is not a"):
        stream_fault(text)


def test_only_faults_that_are_possible_are_proposed() -> None:
    """Else the remedy would be refused in turn."""
    with pytest.raises(BadValue) as caught:
        stream_fault("nope")

    assert "'nope' is not a fault; use one of reset, empty, garbage, hang" == str(caught.value)
