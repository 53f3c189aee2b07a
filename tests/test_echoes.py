"""What all echoes share; how single ones behave is tested with them."""

import asyncio
from random import Random

import pytest

from app.connections import Connections
from app.echoes import DONE, Echoes, Ending
from app.errors import Problem
from app.recorder import Recorder
from app.spans import Kind
from tests.fakes import SECOND, ManualClock, make_runs


class Guest:
    """An echo that only notes what it is told."""

    def __init__(self, echoes: Echoes) -> None:
        now_ns = echoes.clock.now()
        self.run = echoes.runs.unnamed(now_ns)
        self.span = echoes.recorder.open(
            self.run, Kind.ECHO, now_ns=now_ns, method="ECHO", target="here"
        )
        self.told: list[object] = []
        self._looked = asyncio.Event()

    def look(self, now_ns: int, idle_ns: int) -> None:
        self.told.append((now_ns, idle_ns))
        self._looked.set()

    async def seen(self) -> None:
        """Return when somebody has looked."""
        await self._looked.wait()

    def finish(self) -> None:
        self.told.append("finish")

    def cut_off(self, ending: Ending) -> None:
        self.told.append(ending)


def make(*, most: int = 2, idle_ns: int = 4 * SECOND // 1_000) -> Echoes:
    clock, runs = ManualClock(), make_runs()
    return Echoes(
        clock=clock,
        runs=runs,
        recorder=Recorder(clock, runs, boot=1, on_change=lambda _: None, on_end=lambda _: None),
        connections=Connections(),
        random=Random(1),
        max_delay_ns=SECOND,
        time_scale=1.0,
        most=most,
        idle_ns=idle_ns,
    )


def entered(echoes: Echoes) -> Guest:
    guest = Guest(echoes)
    echoes.enter(guest)
    return guest


async def test_room_is_for_so_many() -> None:
    """The next one is told how many there are, and what to do."""
    echoes = make(most=2)
    entered(echoes)
    echoes.check_room()
    entered(echoes)

    with pytest.raises(Problem) as refusal:
        echoes.check_room()

    assert "too-many-echoes" == refusal.value.code
    assert refusal.value.detail == (
        "2 echo connections are open already, as many as may (max_echo_connections); "
        "close some first"
    )


async def test_sweep_looks_at_everybody_again_and_again() -> None:
    """More often than the idle limit is long, however short that is."""
    echoes = make()
    guests = [entered(echoes) for _ in range(2)]

    sweep = asyncio.create_task(echoes.sweep())
    for guest in guests:
        await guest.seen()
    sweep.cancel()

    moment = (echoes.clock.now(), 4 * SECOND // 1_000)
    assert [moment] * 2 == [guest.told[0] for guest in guests]


async def test_stop_finishes_everybody_and_tells_when_nobody_is_left() -> None:
    """Once, at the end; at once where nobody is."""
    echoes, emptied = make(), list[int]()
    guests = [entered(echoes) for _ in range(2)]

    echoes.stop(on_empty=lambda: emptied.append(len(echoes)))
    for guest in guests:
        assert not emptied
        assert ["finish"] == guest.told
        echoes.leave(guest, DONE)

    assert [0] == emptied
    with pytest.raises(Problem, match="this server is stopping"):
        echoes.check_room()
    make().stop(on_empty=lambda: emptied.append(1))
    assert [0, 1] == emptied


async def test_leaving_twice_is_leaving_once() -> None:
    """The first reason counts."""
    echoes = make()
    guest = entered(echoes)

    echoes.leave(guest, DONE)
    echoes.leave(guest, (DONE[0], "cap"))

    assert DONE == (guest.span.outcome, guest.span.ended_by)
    assert 0 == len(echoes)
