"""
What a job of titles costs besides fetching: storing, leasing, scheduling, results on disk.

Each row is a job in a process of its own whose pages answer at once, without a network: CPU a page
to add it and to run it, and how far memory rises, at its highest, above that of a job of ten pages.

    python -m bench.jobs            # under a minute on an idle machine
    python -m bench.jobs --quick    # a tenth of the URLs
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from resource import RUSAGE_SELF, getrusage

from app.clock import SystemClock
from app.server import loop_factory
from app.titles.jobs import Jobs, open_jobs
from app.titles.results import Result

FEW = 10  # URLs, for what every job takes
ROWS = ((1_000, 50), (100_000, 1), (100_000, 300), (100_000, 100_000))  # (URLs, hosts)


async def fetch(url: str, *, timeout_s: float) -> Result:  # noqa: ARG001 - whom jobs call
    """A page with a title, after one turn of the loop."""
    await asyncio.sleep(0)
    title = f"A page with a title such as pages have, namely {url}"
    return Result(url, url, 200, title, "utf-8", "header", 35_000, 0.05)


async def cpu_s(jobs: Jobs, urls: int, hosts: int) -> tuple[float, float]:
    """CPU seconds to add a job and to run it."""
    begun = time.process_time()
    job = await jobs.add(f"http://h{n % hosts}.example/some/page/{n}.html" for n in range(urls))
    added = time.process_time()
    await jobs.wait(job.name)
    return added - begun, time.process_time() - added


async def job(urls: int, hosts: int) -> tuple[float, float]:
    """The same, on a data folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        async with open_jobs(Path(folder), fetch, clock=SystemClock(), random=Random(1)) as jobs:
            return await cpu_s(jobs, urls, hosts)


def measure(urls: int, hosts: int) -> None:
    """Print the figures of one job: CPU to add, CPU to run, highest memory in KiB."""
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        adding, running = runner.run(job(urls, hosts))
    print(adding, running, getrusage(RUSAGE_SELF).ru_maxrss)


def figures(urls: int, hosts: int) -> list[float]:
    """What `measure` prints in a process of its own."""
    command = [sys.executable, "-m", "bench.jobs", "--urls", str(urls), "--hosts", str(hosts)]
    return [float(text) for text in subprocess.check_output(command, text=True).split()]


def report(divisor: int) -> None:
    """A line for each job."""
    _, _, usual = figures(FEW, FEW)
    print("| URLs | hosts | to add, us a page | to run, us a page | memory, MiB |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    for row in ROWS:
        urls, hosts = (-(-count // divisor) for count in row)
        adding, running, memory = figures(urls, hosts)
        cells = [f"{urls:,}", f"{hosts:,}", f"{adding / urls * 1e6:.0f}"]
        cells += [f"{running / urls * 1e6:.0f}", f"{(memory - usual) / 1024:.0f}"]
        print("| " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    """Print the table, or the figures of one job."""
    parser = argparse.ArgumentParser(description="What a job of titles costs besides fetching.")
    parser.add_argument("--quick", action="store_true", help="a tenth of the URLs")
    parser.add_argument("--urls", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--hosts", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.urls:
        measure(chosen.urls, chosen.hosts)
    else:
        report(10 if chosen.quick else 1)


if __name__ == "__main__":
    main()
