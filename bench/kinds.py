"""The kinds of server that are measured, how each is started, and which cannot be had here."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.load import Address
from bench.peers import nginx

DAWDLE, NO_LANE, PLAIN = "dawdle", "dawdle --no-lane", "plain aiohttp"
NODE_JS = Path(__file__).with_name("peers") / "node.js"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of server: the command that starts one, and what to ask it for."""

    name: str
    command: tuple[str, ...]
    needs: tuple[str, ...] = ()  # programs and files, without which it cannot be started
    version: tuple[str, ...] = ()  # the command that tells it
    target: str = "/aio?delay={delay}"
    warm_up: str = "/aio?run=warm-up&delay=0"  # the run means nothing but to Dawdle
    waits: bool = True  # whether thousands of requests can wait there at once
    reports: bool = False  # whether it can say itself how late it was

    def request(self, address: Address, delay_ms: int = 0) -> bytes:
        """The bytes that ask for a reply after so many milliseconds."""
        return address.get(self.target.format(delay=delay_ms / 1e3))

    def missing(self) -> str | None:
        """What it needs and this machine does not have."""
        return next((name for name in self.needs if not _is_here(name)), None)

    def described(self) -> str:
        """Its version, in its own words."""
        if not self.version:
            return ""
        told = subprocess.run(self.version, capture_output=True, text=True, check=True)
        return (told.stdout + told.stderr).strip()


def _is_here(name: str) -> bool:
    return Path(name).exists() or shutil.which(name) is not None


def _module(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", *arguments)


def dawdle(*options: str) -> tuple[str, ...]:
    """The command that serves from this checkout, its data in the folder where it is started."""
    return _module("app", "serve", "--port", "0", "--data", ".", *options)


def kinds(peers: Path) -> tuple[Kind, ...]:
    """All of them; *peers* is a virtual environment with Starlette, httpbin and their servers."""
    uvicorn, gunicorn = (str(peers / "bin" / name) for name in ("uvicorn", "gunicorn"))
    return (
        Kind(DAWDLE, dawdle(), version=_module("app", "--version"), reports=True),
        Kind(NO_LANE, dawdle("--no-lane"), reports=True),
        Kind(PLAIN, _module("bench.peers.plain_aiohttp")),
        Kind(
            "starlette, uvicorn",
            (
                *(uvicorn, "bench.peers.starlette_aio:app", "--port", "0", "--backlog", "4096"),
                *("--no-access-log", "--loop", "uvloop", "--http", "httptools"),
            ),
            needs=(uvicorn,),
            version=(uvicorn, "--version"),
        ),
        Kind(
            "httpbin, gunicorn",
            (
                *(gunicorn, "httpbin:app", "-k", "gevent", "-b", "127.0.0.1:0"),
                *("--backlog", "4096", "--no-control-socket"),
            ),
            needs=(gunicorn,),
            version=(gunicorn, "--version"),
            target="/delay/{delay}",
            warm_up="/delay/0",
            waits=False,
        ),
        Kind(
            "node http",
            ("node", str(NODE_JS)),
            needs=("node",),
            version=("node", "--version"),
        ),
        Kind(
            "nginx echo",
            _module("bench.peers.nginx"),
            needs=("nginx", str(nginx.ECHO)),
            version=("nginx", "-v"),
        ),
        Kind("bare protocol", _module("bench.peers.plain_protocol")),
    )
