"""What well-known HTTP clients do unless told otherwise, by their user agents. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Client:
    """
    A client and its defaults; None: it has none.

    *limit* is how many requests it lets be in flight; *is_wall*: by itself it never sends more,
    so that its users may not know that they wait. Where it is none (urllib3 opens more connections
    than its pool keeps), the number is but a hint. *session*: what to create once, so that
    connections are used again.
    """

    name: str
    mark: str  # in its user agent
    limit: int | None = None
    setting: str = ""  # where the limit is said
    is_wall: bool = True
    remark: str = ""  # on the limit, where it is no plain default
    timeout_s: float | None = None
    session: str = "one session"
    pause: str = ""  # how it is told to wait between attempts


# As read in the sources of: aiohttp 3.14, httpx 0.28, niquests 3.21, requests 2.34 on urllib3 2.8,
# Tornado 6.6 (simple client), curl 8.22, Scrapy 2.19, Go 1.2x, undici 7.30 (Node's fetch),
# OkHttp 5.4, Apache HttpClient 5.x, Guzzle 7.8, k6 2.2; browsers: Chromium's
# client_socket_pool_manager.cc and Firefox's all.js. The first whose mark is found counts.
CLIENTS = (
    Client(
        name="aiohttp",
        mark="aiohttp/",
        limit=100,
        setting="TCPConnector(limit=100)",
        timeout_s=300,
        session="one ClientSession",
    ),
    Client(
        name="httpx",
        mark="python-httpx/",
        limit=100,
        setting="Limits(max_connections=100)",
        timeout_s=5,
        session="one Client or AsyncClient, keep fewer requests in flight than max_connections (at "
        "it, httpx opens a connection for nearly every request),",
    ),
    Client(
        name="niquests",
        mark="niquests/",
        limit=10,
        setting="Session(pool_maxsize=10)",
        timeout_s=30,
        session="one Session",
    ),
    Client(
        name="requests",
        mark="python-requests/",
        limit=10,
        is_wall=False,
        remark="10 is what requests' pool keeps, though it opens more when asked to: as likely it "
        "is the number of your threads.",
        session="one Session",
        pause="urllib3's Retry: set backoff_factor and backoff_jitter",
    ),
    Client(
        name="urllib3",
        mark="python-urllib3/",
        session="one PoolManager",
        pause="Retry: set backoff_factor and backoff_jitter",
    ),
    Client(name="urllib.request", mark="Python-urllib/", session="http.client or a Session"),
    Client(
        name="Tornado",
        mark="Tornado/",
        limit=10,
        setting="AsyncHTTPClient.configure(None, max_clients=10)",
        timeout_s=20,
        session="its curl client, for the simple one keeps no connection",
    ),
    Client(
        name="curl",
        mark="curl/",
        limit=50,
        setting="--parallel-max 50",
        session="one curl call with several URLs",
        pause="--retry-delay, or no --retry-all-errors",
    ),
    Client(name="Scrapy", mark="Scrapy/", limit=8, setting="CONCURRENT_REQUESTS_PER_DOMAIN = 8"),
    Client(
        name="Go's net/http",
        mark="Go-http-client/",
        session="one http.Client, and read each body to its end",
    ),
    Client(
        name="OkHttp",
        mark="okhttp/",
        limit=5,
        setting="Dispatcher.maxRequestsPerHost = 5",
        timeout_s=10,
        session="one OkHttpClient",
    ),
    Client(
        name="Apache HttpClient 5",
        mark="Apache-HttpClient/5",
        limit=5,
        setting="setMaxConnPerRoute(5)",
        session="one HttpClient",
    ),
    Client(
        name="Apache HttpClient 4",
        mark="Apache-HttpClient/4",
        limit=2,
        setting="setMaxConnPerRoute(2)",
        session="one HttpClient",
    ),
    Client(name="Guzzle", mark="GuzzleHttp/", limit=25, setting="a Pool with concurrency 25"),
    Client(name="k6", mark="k6/", limit=6, setting="batchPerHost: 6", timeout_s=60),
    Client(
        name="browsers",
        mark="Mozilla/5.0",
        limit=6,
        is_wall=False,
        remark="Browsers open six connections to a host, over HTTP/1.1.",
    ),
)


def client(agent: str | None) -> Client | None:
    """The client that sends this user agent."""
    if agent is None:
        return None
    return next((one for one in CLIENTS if one.mark in agent), None)
