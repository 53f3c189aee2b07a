"""
Title jobs and `kill -9`: at any moment, and every URL has one result in the end.

Five kills by default. `TITLE_KILLS=50 TITLE_KILLS_SEED=7 ./test tests/live/test_titles_kill.py`
makes more of them, at other moments, and prints what it found with `-s`.
"""

import os
import time
from collections.abc import Iterator
from random import Random

import pytest

from tests.live.conftest import Start
from tests.live.pages import (
    PAGES,
    PER_HOST,
    PORTS,
    Site,
    counts,
    end_of_job,
    in_database,
    in_file,
    order,
    serving,
)
from tests.live.process import HOST, Dawdle, until

pytestmark = pytest.mark.live

KILLS = int(os.environ.get("TITLE_KILLS", "5"))
SEED = int(os.environ.get("TITLE_KILLS_SEED", "20261120"))
SHORTEST_LIFE_S, LONGEST_LIFE_S = 0.05, 0.5  # of a server, from its listening to its end


@pytest.fixture
def site() -> Iterator[Site]:
    """One that would take about as long as all lives of the servers together."""
    alive_s = KILLS * (SHORTEST_LIFE_S + LONGEST_LIFE_S) / 2
    with serving(after_s=alive_s * PORTS * PER_HOST / PAGES) as site:
        yield site


def live_for_a_while(server: Dawdle, random: Random) -> int:
    """Let the server work for a random time, kill it, and tell how many results it had told of."""
    end = time.monotonic() + random.uniform(SHORTEST_LIFE_S, LONGEST_LIFE_S)
    told = 0
    while time.monotonic() < end:
        told = counts(server)["done"]
        time.sleep(0.01)
    server.kill()
    return told


@pytest.mark.timeout(120 + 20 * KILLS)
def test_kill_at_any_moment_loses_no_url_and_doubles_none(start: Start, site: Site) -> None:
    """What was told of is in database and file; in the end everything is in both, once."""
    urls = site.urls()
    random = Random(SEED)
    server = start("--allow-networks", HOST)
    order(server, urls)
    for _ in range(KILLS):
        done = live_for_a_while(server, random)
        database, file = in_database(server.data), in_file(server.data)
        assert done <= len(file) <= len(database)
        assert len(file) == len({line["url"] for line in file})
        server = start("--allow-networks", HOST)

    told = end_of_job(server)
    database, file = in_database(server.data), in_file(server.data)
    print(f"{KILLS} kills, {site.asked.total()} requests for {PAGES} pages: {told}")
    assert ({}, PAGES) == (told["errors"], told["done"])
    assert urls == [line["url"] for line in database]
    assert urls == [line["url"] for line in file]
    assert [f"Page /{n}" for n in range(PAGES)] == [line["title"] for line in file]
    assert "Traceback" not in server.log


def test_a_stopped_server_goes_on_after_its_next_start(start: Start, site: Site) -> None:
    """SIGTERM breaks off what is under way, quickly; nothing counts as a crash."""
    urls = site.urls()
    server = start("--allow-networks", HOST)
    order(server, urls)
    until(lambda: counts(server)["done"], "the first results")
    began = time.monotonic()
    server.process.terminate()
    assert 0 == server.ended()
    assert time.monotonic() - began < 10
    assert len(in_database(server.data)) == len(in_file(server.data)) < PAGES

    server = start("--allow-networks", HOST)
    end_of_job(server)

    assert urls == [line["url"] for line in in_file(server.data)]
