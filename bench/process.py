"""
A server in a process of its own, pinned to a core, and what it uses.

Linux only: memory and CPU come from its /proc, and a process is pinned by its scheduler.
"""

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.load import Address, Failed

CHECKOUT = Path(__file__).resolve().parent.parent
PROC = Path("/proc")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
STARTING_S, ENDING_S = 20.0, 10.0
LOOKING_EVERY_S = 0.01
URL = r"http://([0-9.]+):(\d+)\b"


class Server:
    """A process that listens at `address`, with the processes that it started."""

    def __init__(self, pid: int, address: Address) -> None:
        self.address = address
        self._pid = pid

    def cpu_s(self) -> float:
        """User and system time of all threads so far."""
        return sum(map(_cpu_ns, _family(self._pid))) / 1e9

    def memory_bytes(self) -> int:
        """
        The anonymous part of the proportional set size, the only one that grows with requests.

        The rest is libraries shared with every other Python, and moves as those come and go.
        """
        return sum(map(_anonymous_bytes, _family(self._pid)))

    def peak_bytes(self) -> int:
        """The most that was resident so far."""
        return sum(map(_peak_bytes, _family(self._pid)))


def _family(pid: int) -> Iterator[Path]:
    """The folders of a process and of all that it started."""
    folder = PROC / str(pid)
    yield folder
    for child in (folder / "task" / str(pid) / "children").read_text().split():
        yield from _family(int(child))


def _cpu_ns(process: Path) -> int:
    # The scheduler's own account, exact where the ticks of proc_pid_stat(5) are 10 ms each:
    # https://docs.kernel.org/scheduler/sched-stats.html#proc-pid-schedstat
    tasks = (process / "task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


def _anonymous_bytes(process: Path) -> int:
    rollup = (process / "smaps_rollup").read_text()
    return 1_024 * sum(map(int, re.findall(r"^Pss_Anon: +(\d+) kB$", rollup, re.MULTILINE)))


def _peak_bytes(process: Path) -> int:
    """Zero for one that has ended and is not waited for yet."""
    status = (process / "status").read_text()
    return 1_024 * sum(map(int, re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)))


class Usage:
    """What was used of the machine since the making of this."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._begun = self._now()

    def _now(self) -> tuple[float, float, float, float]:
        return time.monotonic(), machine_busy_s(), self._server.cpu_s(), time.process_time()

    def _passed(self) -> tuple[float, ...]:
        return tuple(now - then for now, then in zip(self._now(), self._begun, strict=True))

    def server_s(self) -> float:
        """CPU seconds of the server."""
        return self._passed()[2]

    def others_busy(self) -> float:
        """How many cores were busy with neither the server nor us."""
        elapsed_s, machine_s, server_s, client_s = self._passed()
        return max(0.0, machine_s - server_s - client_s) / elapsed_s


def machine_busy_s() -> float:
    """Seconds that all cores together were busy since the start, whoever kept them so."""
    # The first line of proc_stat(5): user nice system idle iowait irq softirq steal ...
    ticks = [int(field) for field in (PROC / "stat").read_text().split(maxsplit=9)[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / TICKS_PER_S


def pin(core: int) -> None:
    """Keep this process on one core, where there is such a core."""
    if core in range(os.cpu_count() or 1):
        os.sched_setaffinity(0, {core})


@contextmanager
def serving(command: Sequence[str], *, core: int, announced: str = URL) -> Iterator[Server]:
    """
    The command in an empty folder, from the announcement of its address to the end of the block.

    *announced* is a pattern with host and port for groups.

    Raises:
        Failed: it announced none.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        log = Path(folder, "log")
        process = _started(command, folder=folder, log=log, core=core)
        try:
            yield Server(process.pid, _announced(process, log, announced))
        finally:
            _end(process)


@dataclass(frozen=True, slots=True)
class Finished:
    """What a process wrote, and what it used together with those that it started."""

    output: str
    seconds: float
    cpu_s: float
    peak_bytes: int


def finished(command: Sequence[str], *, core: int) -> Finished:
    """
    The command in an empty folder, from its start to its end.

    Raises:
        Failed: it ended badly.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        log = Path(folder, "log")
        begun, used_s, peak_bytes = time.monotonic(), children_cpu_s(), 0
        with _started(command, folder=folder, log=log, core=core) as process:
            server = Server(process.pid, Address("", 0))
            while process.poll() is None:
                with suppress(FileNotFoundError, ProcessLookupError):  # one that just ended
                    peak_bytes = max(peak_bytes, server.peak_bytes())
                time.sleep(LOOKING_EVERY_S)
        output = log.read_text(encoding="utf-8", errors="replace")
        if process.returncode:
            raise Failed(f"{' '.join(command)} ended with {process.returncode}: {output[-500:]}")
        seconds = time.monotonic() - begun
        return Finished(output, seconds, children_cpu_s() - used_s, peak_bytes)


def children_cpu_s() -> float:
    """User and system time of all our children that have ended."""
    import resource  # not to be had on Windows

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _started(
    command: Sequence[str], *, folder: str, log: Path, core: int
) -> subprocess.Popen[bytes]:
    ours = os.sched_getaffinity(0)
    pin(core)  # inherited by the server and all its threads, which could not be pinned later
    try:
        with log.open("wb") as output:
            return subprocess.Popen(
                command,
                cwd=folder,  # where no dawdle.toml is
                env=_environment(os.environ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
    finally:
        os.sched_setaffinity(0, ours)


def _environment(ours: Mapping[str, str]) -> dict[str, str]:
    """Ours, without Dawdle's settings."""
    kept = {name: text for name, text in ours.items() if not name.startswith("DAWDLE_")}
    return kept | {"PYTHONPATH": str(CHECKOUT), "PYTHONUNBUFFERED": "1"}


def _announced(process: subprocess.Popen[bytes], log: Path, pattern: str) -> Address:
    """The first address in what it says."""
    end = time.monotonic() + STARTING_S
    while process.poll() is None and time.monotonic() < end:
        if found := re.search(pattern, log.read_text()):
            return Address(found[1], int(found[2]))
        time.sleep(LOOKING_EVERY_S)
    raise Failed(f"the server did not start: {log.read_text()}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to stop, then insist."""
    process.terminate()
    with process:
        try:
            process.wait(ENDING_S)
        except subprocess.TimeoutExpired:
            process.kill()
