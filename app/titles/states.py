"""
Where the command line keeps what it has done, so that it can go on: one folder for each time.

The folders of a list of URLs are known by its label, a digest of the list.
"""

import hashlib
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import platformdirs
from filelock import BaseFileLock, FileLock, Timeout

from app.errors import Fatal

LOCK = "lock"  # the file that is locked; that it is there means nothing


def usual_root() -> Path:
    """Where programs of this user keep their state, by the custom of the system."""
    return platformdirs.user_state_path("dawdle", appauthor=False) / "titles"


def label(urls: Iterable[str]) -> str:
    """The name of a list of URLs."""
    return hashlib.sha256("\n".join(urls).encode("utf-8", "surrogateescape")).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class State:
    """A folder, and the lock by which it is this process's alone; the system lets go of it."""

    folder: Path
    lock: BaseFileLock


class States:
    """The folders below *root*, each `LABEL-NUMBER`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def fresh(self, label: str) -> State:
        """
        A new folder.

        Raises:
            Fatal: it can't be made.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            return next(filter(None, map(_made, self._names(label))))
        except OSError as error:
            reason = error.strerror or str(error)
            raise Fatal(
                f"no state can be kept in {self.root} ({reason}); name another folder with --state"
            ) from None

    def _names(self, label: str) -> Iterator[Path]:
        return (self.root / f"{label}-{number}" for number in count(1))

    def newest(self, label: str | None) -> State | None:
        """
        The folder used last, of that list of URLs or of any; None if there is none.

        Raises:
            Fatal: another process is at it.
        """
        folder = max(self._folders(label or "*"), key=_used_ns, default=None)
        if folder is None:
            return None
        state = _locked(folder)
        if state is None:
            raise Fatal(f"another command is at the work in {folder}; let it end, or stop it first")
        return state

    def forget(self, done: State) -> None:
        """Remove the folder, and older ones of the same list: their work is done."""
        label, _, _ = done.folder.name.rpartition("-")
        now_ns = _used_ns(done.folder)
        done.lock.release()
        for each in self._folders(label):
            if _used_ns(each) <= now_ns and (state := _locked(each)):
                state.lock.release()
                shutil.rmtree(each, ignore_errors=True)

    def _folders(self, label: str) -> list[Path]:
        return [each for each in self.root.glob(f"{label}-*") if each.is_dir()]


def _used_ns(folder: Path) -> int:
    return folder.stat().st_mtime_ns


def _made(folder: Path) -> State | None:
    try:
        folder.mkdir()
    except FileExistsError:
        return None
    return _locked(folder)


def _locked(folder: Path) -> State | None:
    """The folder, unless another process is at it."""
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return None
    return State(folder, lock)
