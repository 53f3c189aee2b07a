"""Real clients and broken replies: what the document says they make of them, they do."""

import re
import shutil
from itertools import pairwise

import pytest

from app.faults import Fault
from tests.live.conftest import Start
from tests.live.faulted import CLIENTS, DOCUMENT, outcomes, table, written

pytestmark = pytest.mark.live


def rows(text: str) -> list[list[str]]:
    """The cells of a table."""
    return [[cell.strip() for cell in line.strip("|\n").split("|")] for line in text.splitlines()]


def test_table_names_every_fault_and_every_client() -> None:
    """And no others, in the same order."""
    head, _, *lines = rows(written())

    assert ["fault", *CLIENTS] == head
    assert [f"`{fault}`" for fault in Fault] == [line[0] for line in lines]


def test_clients_see_what_the_table_says(start: Start) -> None:
    """`python -m tests.live.faulted` writes it anew; curl is asked where it is installed."""
    clients = [client for client in CLIENTS if client != "curl" or shutil.which("curl")]
    server = start()

    seen = rows(table(outcomes(server, clients), clients))

    assert [row[: 1 + len(clients)] for row in rows(written())] == seen
    assert "" == server.log


def test_client_that_does_as_it_is_told_succeeds(start: Start) -> None:
    """The one in the document: it comes back no sooner than `Retry-After` says, and is served."""
    [source] = re.findall(r"(?s)```python\n(import httpx.*?)```", DOCUMENT.read_text("utf-8"))
    client: dict[str, object] = {}
    exec(source, client)
    server = start()

    order = client["order"]
    assert callable(order)
    status = order(f"{server.url}/aio?delay=10ms&fail=2:429&retry_after=1&run=told")

    spans = server.settled("told", 3)
    assert (200, [429, 429, 200]) == (status, [span["status"] for span in spans])
    assert [1, 2, 3] == [span["attempt"] for span in spans]
    assert [10**9, 10**9, None] == [span["retry_after_ns"] for span in spans]
    gaps_ns = [later["arrival_ns"] - earlier["end_ns"] for earlier, later in pairwise(spans)]
    assert all(gap_ns >= 1_000_000_000 for gap_ns in gaps_ns)
