"""Who fetches titles: ours as a command and as a service, and the peers, each as a process."""

import json
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from bench.kinds import dawdle
from bench.load import Failed
from bench.machine import CLIENT_CORE
from bench.process import Server, finished, serving

COMMAND, SERVICE, BARE = "dawdle titles", "dawdle serve", "bare aiohttp"
MANNERS = {"concurrency": 64, "per_host": 8}
WAIT_S = 300
PROBE = "from importlib.metadata import version; print(version({!r}))"


@dataclass(frozen=True, slots=True)
class Done:
    """What has been used up to the end of some pages, and how many titles came of them."""

    titles: int
    seconds: float
    cpu_s: float
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class Command:
    """One that is started with a file of URLs and prints a line for each: URL, tab, title."""

    name: str
    line: tuple[str, ...]  # to which the file is added
    package: str = "aiohttp"  # that does the work

    def fetch(self, few: Path, many: Path) -> tuple[Done, Done]:
        """
        What the few cost, and what the many do; the start is in both.

        Raises:
            Failed: it ended badly.
        """
        return self._fetch(few), self._fetch(many)

    def _fetch(self, urls: Path) -> Done:
        end = finished((*self.line, str(urls)), core=CLIENT_CORE)
        told = (line.partition("\t")[2] for line in end.output.splitlines())
        titles = sum(title != "" and not title.startswith("[") for title in told)
        return Done(titles, end.seconds, end.cpu_s, end.peak_bytes)

    def described(self) -> str:
        """
        The package that does the work, and its version.

        Raises:
            Failed: it is not here.
        """
        if not Path(self.line[0]).exists():
            raise Failed(f"{self.name} is left out: {self.line[0]} is not here")
        probe = (self.line[0], "-c", PROBE.format(self.package))
        return f"{self.package} {finished(probe, core=CLIENT_CORE).output.strip()}"


@dataclass(frozen=True, slots=True)
class Service:
    """A service that is asked over HTTP to do a job, and answers when it is done."""

    name: str
    line: tuple[str, ...]

    def fetch(self, few: Path, many: Path) -> tuple[Done, Done]:
        """
        What the few cost, and what all has cost after the many; the start is in both.

        Raises:
            Failed: it did not do all of a job.
        """
        with serving(self.line, core=CLIENT_CORE) as server:
            begun = time.monotonic()
            return _asked(server, few, begun), _asked(server, many, begun)

    def described(self) -> str:
        """What it says of itself."""
        return finished((*self.line[:3], "--version"), core=CLIENT_CORE).output.strip()


def _asked(server: Server, urls: Path, begun: float) -> Done:
    manners = "&".join(f"{name}={value}" for name, value in MANNERS.items())
    request = urllib.request.Request(
        f"http://{server.address.host}:{server.address.port}/titles?{manners}",
        urls.read_bytes(),
        {"Content-Type": "text/plain", "Prefer": f"wait={WAIT_S}"},
    )
    with urllib.request.urlopen(request) as reply:
        job = json.load(reply)
    if job["state"] != "done":
        raise Failed(f"the job is {job['state']} after {WAIT_S} s")
    return Done(
        job["counts"]["succeeded"], time.monotonic() - begun, server.cpu_s(), server.peak_bytes()
    )


Client = Command | Service


def clients(peers: Path) -> tuple[Client, ...]:
    """All of them; *peers* is a virtual environment with requests, httpx and Scrapy."""
    python = str(peers / "bin" / "python")
    manners = [f"--{name}={value}".replace("_", "-") for name, value in MANNERS.items()]
    return (
        Command(COMMAND, (sys.executable, "-m", "app", "titles", *manners, "--state=.")),
        Service(SERVICE, dawdle("--allow-networks", "127.0.0.0/8")),
        Command(BARE, (sys.executable, "-m", "bench.peers.titles_aiohttp")),
        Command("requests", (python, "-m", "bench.peers.titles_requests"), "requests"),
        Command("httpx", (python, "-m", "bench.peers.titles_httpx"), "httpx"),
        Command("scrapy", (python, "-m", "bench.peers.titles_scrapy"), "scrapy"),
    )
