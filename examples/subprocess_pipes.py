"""
Other programs, several at once, read line by line as they write.

`create_subprocess_exec` starts a program whose pipes can be awaited. Reading while it runs is
what keeps it going: a pipe that nobody reads is full after 64 kB, and the program stands still.
Three children ask the backend here, each as slow as it is.

    python examples/subprocess_pipes.py

Output, in an order of its own each time:

    one: asks
    two: asks
    three: asks
    one: has {"delay": 2}
    two: has {"delay": 4}
    three: has {"delay": 6}
    3 programs, all with status 0, after 6.5 s

Before: `subprocess.run` in a coroutine blocks the loop, so one program runs after another.

    one: asks
    one: has {"delay": 2}
    two: asks
    two: has {"delay": 4}
    three: asks
    three: has {"delay": 6}
    3 programs, all with status 0, after 13.5 s

In the timeline: three bars that begin about together, sent by three programs; before, a
staircase.
"""

import asyncio
import subprocess
import sys
import time

from _start import start

CHILD = """
import sys
from urllib.request import urlopen
print("asks", flush=True)
print("has", urlopen(sys.argv[1]).read().decode(), flush=True)
"""
DELAYS = {"one": 2, "two": 4, "three": 6}


def command(base_url: str, run: str, delay: int) -> list[str]:
    return [sys.executable, "-c", CHILD, f"{base_url}/aio?delay={delay}s&run={run}"]


async def watch(name: str, *command: str) -> int:
    """Show the lines of a program as they come; its exit status."""
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout
    async for line in process.stdout:
        print(f"{name}: {line.decode().rstrip()}")
    return await process.wait()


async def main(base_url: str, run: str) -> None:
    begun = time.perf_counter()
    programs = (watch(name, *command(base_url, run, delay)) for name, delay in DELAYS.items())
    tell(await asyncio.gather(*programs), begun)


async def before(base_url: str, run: str) -> None:
    async def watch_blocking(name: str, *command: str) -> int:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        for line in done.stdout.splitlines():
            print(f"{name}: {line}")
        return done.returncode

    begun = time.perf_counter()
    programs = (
        watch_blocking(name, *command(base_url, run, delay)) for name, delay in DELAYS.items()
    )
    tell(await asyncio.gather(*programs), begun)


def tell(statuses: list[int], begun: float) -> None:
    [status] = set(statuses)
    took = time.perf_counter() - begun
    print(f"{len(statuses)} programs, all with status {status}, after {took:.1f} s")


if __name__ == "__main__":
    start(main, before)
