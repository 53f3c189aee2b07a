"""What the figures were measured on, and what it lets us do."""

import gc
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version

from bench.load import Failed
from bench.process import pin

SERVER_CORE, CLIENT_CORE = 0, 1
FILES_FOR_OURSELVES = 600  # beside the connections: database, libraries, what a server reserves


def machine() -> dict[str, object]:
    """What has to be the same for figures to be compared."""
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "loop": _loop_name(),
        "aiohttp": version("aiohttp"),
    }


def _loop_name() -> str:
    try:
        return f"uvloop {version('uvloop')}"
    except PackageNotFoundError:
        return "asyncio"


def prepare(connections: int) -> None:
    """
    Make ready to measure with so many connections, on a core that is the client's alone.

    The limit of open files is raised to what is needed; the servers inherit it.

    Raises:
        Failed: this is not Linux, or it does not allow so many open files.
    """
    if sys.platform != "linux":
        raise Failed("this measures with Linux's /proc and sockets and runs nowhere else")
    import resource  # not to be had on Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + FILES_FOR_OURSELVES
    if soft < needed and hard < needed:
        raise Failed(f"{needed} open files are needed and {hard} allowed; raise it (ulimit -Hn)")
    if soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    gc.disable()  # a full collection of the client would delay what it sends
    pin(CLIENT_CORE)
