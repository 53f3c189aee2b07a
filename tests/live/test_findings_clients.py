"""Real clients are told what they do, and those who behave are told nothing."""

import os
from typing import Any

import pytest

from tests.live.clients import BAD, GOOD, Client, browser
from tests.live.process import Dawdle, until

pytestmark = pytest.mark.live


def told(server: Dawdle, run: str, client: Client) -> list[dict[str, Any]]:
    """Let the client loose on the server; the findings of its run, once nothing is in flight."""
    client.script(f"{server.url}/aio?run={run}")
    until(lambda: server.in_flight(run) == 0, "the last reply")
    return list(server.report(run)["findings"])


@pytest.mark.parametrize("client", BAD, ids=lambda client: client.words)
def test_client_is_told_what_it_does(server: Dawdle, run: str, client: Client) -> None:
    """Its findings, no graver and no milder, with a remedy and the spans to look at."""
    if "browser" in client.words and browser() is None:
        if os.environ.get("REQUIRE_BROWSER"):
            pytest.fail("there is no browser here, and REQUIRE_BROWSER is set")
        pytest.skip("there is no browser here")

    found = {finding["code"]: finding for finding in told(server, run, client)}

    assert set(client.codes) <= found.keys(), found
    for finding in map(found.__getitem__, client.codes):
        assert client.severity == finding["severity"], finding
        assert finding["remedy"]
        assert finding["spans"]


@pytest.mark.parametrize("client", GOOD, ids=lambda client: client.words)
def test_client_that_behaves_is_not_warned(server: Dawdle, run: str, client: Client) -> None:
    """A false warning is a defect."""
    assert [] == [one for one in told(server, run, client) if one["severity"] == "warn"]
