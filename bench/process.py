"""A server in a process of its own, pinned to a core, and what Linux says it uses."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.load import Address

CHECKOUT = Path(__file__).resolve().parent.parent
PROC = Path("/proc")
ENDING_S = 10.0


class Failed(Exception):
    """What was to be measured did not work; the text says what."""


class Server:
    """A process that listens at `address`."""

    def __init__(self, pid: int, address: Address) -> None:
        self.address = address
        self._files = PROC / str(pid)

    def cpu_s(self) -> float:
        """User and system time of all its threads so far, in steps of 10 ms."""
        # utime and stime of proc_pid_stat(5); the name before them may hold blanks.
        fields = (self._files / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_bytes(self) -> int:
        """
        The anonymous part of its proportional set size, the only one that grows with requests.

        The rest is libraries shared with every other Python, and moves as those come and go.
        """
        rollup = (self._files / "smaps_rollup").read_text()
        return 1_024 * sum(map(int, re.findall(r"^Pss_Anon: +(\d+) kB$", rollup, re.MULTILINE)))


def machine_busy_s() -> float:
    """Seconds that all cores together were busy since the start, whoever kept them so."""
    # The first line of proc_stat(5): user nice system idle iowait irq softirq steal ...
    ticks = [int(field) for field in (PROC / "stat").read_text().split(maxsplit=9)[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


def pin(pid: int, core: int) -> None:
    """Keep a process (0: this one) on one core."""
    if core in range(os.cpu_count() or 1):
        os.sched_setaffinity(pid, {core})


@contextmanager
def serving(*module: str, core: int) -> Iterator[Server]:
    """
    `python -m MODULE...` in an empty folder, from its announcement to the end of the block.

    Raises:
        Failed: it announced no address.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        log = Path(folder, "stderr")
        with log.open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", *module],
                cwd=folder,  # where no dawdle.toml is
                env=_environment(),
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        try:
            pin(process.pid, core)
            yield Server(process.pid, _announced(process, log))
        finally:
            _end(process)


def _environment() -> dict[str, str]:
    """Ours, without Dawdle's settings."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("DAWDLE_")}
    return kept | {"PYTHONPATH": str(CHECKOUT)}


def _announced(process: subprocess.Popen[str], log: Path) -> Address:
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.search(r"http://([0-9.]+):(\d+)", line)
    if found is None:
        raise Failed(f"the server did not start: {line}{log.read_text()}")
    return Address(found[1], int(found[2]))


def _end(process: subprocess.Popen[str]) -> None:
    """Ask it to stop, then insist."""
    process.terminate()
    with process:
        try:
            process.wait(ENDING_S)
        except subprocess.TimeoutExpired:
            process.kill()
