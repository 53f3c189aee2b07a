"""Clients are known by what they call themselves."""

import pytest

from app.clients import CLIENTS, client


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("Python/3.11 aiohttp/3.14.5", "aiohttp"),
        ("python-httpx/0.28.1", "httpx"),
        ("python-requests/2.34.2", "requests"),
        ("curl/7.88.1", "curl"),
        ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0.0.0", "browsers"),
        ("Grafana k6/2.2", "k6"),
        ("Apache-HttpClient/5.2 (Java/17)", "Apache HttpClient 5"),
        ("Apache-HttpClient/4.5.14", "Apache HttpClient 4"),
        ("GuzzleHttp/7", "Guzzle"),
    ],
)
def test_client_is_found_by_its_user_agent(agent: str, name: str) -> None:
    """As it is sent."""
    found = client(agent)

    assert found is not None
    assert name == found.name


@pytest.mark.parametrize("agent", [None, "", "node", "my-service/1.0"])
def test_unknown_agent_is_nobody(agent: str | None) -> None:
    """What is not known is not guessed."""
    assert client(agent) is None


def test_limits_that_are_named_say_where_they_are_set() -> None:
    """Else the remedy would send its reader looking."""
    for one in CLIENTS:
        assert one.limit is None or one.setting or one.remark, one.name
