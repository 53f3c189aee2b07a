"""A Dawdle that runs somewhere, as the command line talks to it: over plain HTTP."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
from aiohttp import ClientError, ClientSession, ClientTimeout, InvalidURL, NonHttpUrlClientError

from app.errors import Fatal
from app.grammar import quoted

CONNECT_S = 10.0
LONGEST_ANSWER_S = 330.0  # a check may wait 300 s


class Remote:
    """
    The server at *url*.

    Every method raises `Fatal`, one sentence, when nobody answers there or the server refuses.
    """

    def __init__(self, session: ClientSession, url: str) -> None:
        self._session = session
        self._url = url.rstrip("/")

    async def make_run(self, prefix: str) -> str:
        """The name of a fresh run, `PREFIX-N`."""
        answer = await self._document("name", "POST", "/runs", json={"name": prefix})
        return str(answer["name"])

    async def report(self, run: str) -> dict[str, Any]:
        """The report of the run as the service's JSON has it."""
        return await self._document("run", "GET", f"{_path(run)}.json")

    async def report_text(self, run: str, width: int) -> str:
        """The report and timeline of the run as text."""
        return str(await self._ask("GET", f"{_path(run)}.txt?width={width}"))

    async def check(self, run: str, checks: Mapping[str, str]) -> dict[str, Any]:
        """The verdict on the run."""
        return await self._document("passed", "GET", f"{_path(run)}/check?{urlencode(checks)}")

    async def _document(self, member: str, method: str, path: str, **more: Any) -> dict[str, Any]:
        """The JSON object that is asked for, which has that member if a Dawdle made it."""
        answer = await self._ask(method, path, **more)
        if not isinstance(answer, dict) or member not in answer:
            raise Fatal(f"what answers at {self._url} is no Dawdle; give the url of one")
        return answer

    async def _ask(self, method: str, path: str, **more: Any) -> Any:
        try:
            async with self._session.request(method, self._url + path, **more) as reply:
                answer = await _content(reply)
        except (InvalidURL, NonHttpUrlClientError):
            raise Fatal(
                f"{quoted(self._url)} is not an HTTP URL; write one such as http://127.0.0.1:3000"
            ) from None
        except (ClientError, TimeoutError, ValueError) as error:
            raise Fatal(
                f"no Dawdle answers at {self._url} ({str(error) or type(error).__name__}); "
                "start one with dawdle serve, or give its --url"
            ) from None
        # 409 is a verdict; any other refusal explains itself.
        if reply.status >= 400 and reply.status != 409:
            detail = answer.get("detail") if isinstance(answer, dict) else None
            raise Fatal(str(detail or f"{self._url}{path} answers {reply.status}; is it a Dawdle?"))
        return answer


def _path(run: str) -> str:
    return f"/runs/{quote(run, safe='')}"


async def _content(reply: aiohttp.ClientResponse) -> Any:
    if reply.content_type.endswith("json"):
        return await reply.json(content_type=None)
    return await reply.text()


@asynccontextmanager
async def remote(url: str, token: str | None) -> AsyncIterator[Remote]:
    """The server at *url*, with the token for it if there is one."""
    headers = {"Accept": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    timeout = ClientTimeout(total=LONGEST_ANSWER_S, connect=CONNECT_S)
    async with ClientSession(headers=headers, timeout=timeout) as session:
        yield Remote(session, url)
