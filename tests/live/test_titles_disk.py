"""A disk that is really full, under a job of titles."""

import errno
import os
import subprocess
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path

import pytest

from tests.live import process
from tests.live.conftest import Start
from tests.live.pages import PAGES, Site, counts, end_of_job, in_database, in_file, order, serving
from tests.live.process import HOST, command, until

pytestmark = pytest.mark.live

# A mount that only the command and its children see; needs no rights where users may have
# namespaces of their own. `$0` is the folder.
SMALL_DISK = [
    "unshare", "--map-root-user", "--mount", "sh", "-c",
    'mkdir -p "$0" && mount -t tmpfs -o size=16m tmpfs "$0" && exec "$@"',
]  # fmt: skip
LEFT = 256 * 1024  # bytes: less than the results need


@pytest.fixture
def site() -> Iterator[Site]:
    """Slow enough for the disk to be filled while the job runs."""
    with serving(after_s=0.01) as site:
        yield site


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let servers have their data on a disk of 16 MiB."""
    prefix = [*SMALL_DISK, str(tmp_path / "data")]
    try:
        subprocess.run([*prefix, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this system lets nobody mount a disk of his own")
    monkeypatch.setattr(process, "command", lambda *arguments: [*prefix, *command(*arguments)])


def fill(folder: Path) -> Path:
    """A file that leaves little room."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            file.writelines(repeat(bytes(4_096)))
        file.truncate(file.tell() - LEFT)
    return ballast


@pytest.mark.usefixtures("small_disk")
def test_a_full_disk_stops_a_job_and_room_lets_it_go_on(
    start: Start, site: Site, tmp_path: Path
) -> None:
    """Told is only what is on the disk; when there is room again, nothing is missing."""
    urls = site.urls()
    server = start("--allow-networks", HOST)
    data = Path(f"/proc/{server.process.pid}/root{server.data}")  # as the server sees it
    order(server, urls)
    ballast = fill(data)

    trouble = until(lambda: server.json("/titles/1.json?limit=1")["trouble"], "a full disk")
    told = counts(server)["done"]

    assert trouble.endswith("is full; make room, then titles go on by themselves")
    assert told <= len(in_file(data)) < PAGES
    assert 200 == server.get("/aio?delay=0").status
    ballast.unlink()
    assert PAGES == end_of_job(server)["done"]
    assert urls == [line["url"] for line in in_file(data)]
    assert urls == [line["url"] for line in in_database(copy(data, tmp_path / "copy"))]
    assert "Traceback" not in server.log


def copy(data: Path, to: Path) -> Path:
    """The database where SQLite finds it: it resolves links, and would leave that file system."""
    to.mkdir()
    for file in data.glob("titles.sqlite3*"):
        (to / file.name).write_bytes(file.read_bytes())
    return to
