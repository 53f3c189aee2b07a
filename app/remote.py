"""A Dawdle that runs somewhere, as the command line talks to it: over plain HTTP."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
from aiohttp import ClientError, ClientSession, ClientTimeout, InvalidURL, NonHttpUrlClientError

from app.errors import Fatal
from app.grammar import quoted

DEFAULT_URL = "http://127.0.0.1:3000"  # where a Dawdle on this machine is, unless told otherwise
CONNECT_S = 10.0
LONGEST_ANSWER_S = 330.0  # a check may wait 300 s
LONGEST_SILENCE_S = 60.0  # of a stream of events, which is pinged every 15 s
LONGEST = ClientTimeout(total=LONGEST_ANSWER_S, connect=CONNECT_S)


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

    async def picture(self, run: str) -> str:
        """The timeline of the run as SVG."""
        return str(await self._ask("GET", f"{_path(run)}.svg"))

    async def comparison(self, before: str, after: str, *, written: str, width: int) -> str:
        """What changed from one run to the other, as text, json or svg."""
        suffix = {"text": f".txt?width={width}", "json": ".json", "svg": ".svg"}[written]
        path = f"{_path(before)}/compare/{quote(after, safe='')}{suffix}"
        answer = await self._ask("GET", path)
        return answer if isinstance(answer, str) else json.dumps(answer, indent=2) + "\n"

    async def archive(self, run: str, written: str) -> AsyncIterator[str]:
        """All spans of the run as har or trace, in pieces as they come."""
        path = f"{_path(run)}.har" if written == "har" else f"{_path(run)}/trace.json"
        async for piece in self._stream(path, LONGEST):
            yield piece.decode("ascii", "replace")  # JSON, with everything else escaped

    async def changes(self, run: str) -> AsyncIterator[None]:
        """Something when the run may have changed, until it is deleted or the server stops."""
        patient = ClientTimeout(connect=CONNECT_S, sock_read=LONGEST_SILENCE_S)
        async for _ in self._stream(f"{_path(run)}/events", patient):
            yield

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
        with self._in_words():
            async with self._session.request(method, self._url + path, **more) as reply:
                answer = await _content(reply)
        self._refuse(reply, answer, path)
        return answer

    async def _stream(self, path: str, patience: ClientTimeout) -> AsyncIterator[bytes]:
        with self._in_words():
            async with self._session.get(self._url + path, timeout=patience) as reply:
                if reply.status >= 400:
                    self._refuse(reply, await _content(reply), path)
                async for piece in reply.content.iter_any():
                    yield piece

    def _refuse(self, reply: aiohttp.ClientResponse, answer: object, path: str) -> None:
        """409 is a verdict; any other refusal explains itself."""
        if reply.status >= 400 and reply.status != 409:
            detail = answer.get("detail") if isinstance(answer, dict) else None
            raise Fatal(str(detail or f"{self._url}{path} answers {reply.status}; is it a Dawdle?"))

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        """What goes wrong on the way, as one sentence."""
        try:
            yield
        except (InvalidURL, NonHttpUrlClientError):
            raise Fatal(
                f"{quoted(self._url)} is not an HTTP URL; write one such as {DEFAULT_URL}"
            ) from None
        except (ClientError, TimeoutError, ValueError) as error:
            raise Fatal(
                f"no Dawdle answers at {self._url} ({str(error) or type(error).__name__}); "
                "start one with dawdle serve, or give its --url"
            ) from None


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
    async with ClientSession(headers=headers, timeout=LONGEST) as session:
        yield Remote(session, url)
