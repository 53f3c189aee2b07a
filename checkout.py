"""
What `./run` and `./test` share: a `.venv` in this checkout that holds what a lock names.

Standard library only, and no syntax newer than Python 3.6: an old Python has to get as far as
reading the sentence that says it is too old.
"""

import contextlib
import hashlib
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import BinaryIO, Callable, Iterator

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

OLDEST = (3, 11)
RUNTIME_LOCK = "requirements.lock"
DEV_LOCK = "requirements-dev.lock"  # names all that RUNTIME_LOCK does, in the same versions

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"

# What pip and uv say when the index is out of reach, or is one without the package.
_OUT_OF_REACH = re.compile(
    r"Connect(ion|Timeout|Error)|ReadTimeout|Max retries|name resolution|dns error"
    r"|error sending request|Failed to fetch|SSLError|CERTIFICATE_VERIFY_FAILED|ProxyError"
    r"|Could not find a version|No matching distribution|not found in the package registry",
    re.IGNORECASE,
)


class Refusal(Exception):
    """What ends a set-up with exit status 2: one sentence for the person at the terminal."""


def say(line: str) -> None:
    """Write one of our own lines; standard output belongs to what we start."""
    print(f"dawdle: {line}", file=sys.stderr, flush=True)


def program(name: str) -> str:
    """Where `.venv` keeps the command *name*."""
    return str(VENV / "Scripts" / f"{name}.exe" if os.name == "nt" else VENV / "bin" / name)


def end_with(main: "Callable[[list[str]], int]") -> None:
    """End the process with what *main* makes of the arguments; a refusal is exit status 2."""
    try:
        status = main(sys.argv[1:])
    except Refusal as refusal:
        say(str(refusal))
        status = 2
    except KeyboardInterrupt:
        status = 130  # 128 + SIGINT, as shells say it
    sys.exit(status)


# --- what has to be there first ------------------------------------------------------------------


def check_python(version: "tuple[int, int]", executable: str) -> None:
    """
    Refuse a Python older than `OLDEST`.

    Raises:
        Refusal: names the interpreter, so that it can be told from others.
    """
    if version < OLDEST:
        oldest = "{}.{}".format(*OLDEST)
        raise Refusal(
            f"{executable} is Python {version[0]}.{version[1]}, too old for Dawdle; install "
            f"Python {oldest} or newer and start this with it: python{oldest} {sys.argv[0]}"
        )


def check_venv(with_pip: bool) -> None:
    """
    Refuse a Python that can make no virtual environment, as Debian's can't by itself.

    Raises:
        Refusal: names the module that is missing and the package that has it.
    """
    for module in ("venv", "ensurepip") if with_pip else ("venv",):
        if importlib.util.find_spec(module) is None:
            raise Refusal(
                f"{sys.executable} lacks the module {module}; install it (on Debian and Ubuntu: "
                f"apt-get install python3-venv, or python3.{sys.version_info[1]}-venv)"
            )


# --- the stamp: what .venv was made with, and the locks it holds ---------------------------------


def made_with() -> str:
    """Tell this interpreter and this folder from others: a .venv serves one such pair."""
    return " ".join([str(ROOT), sys.base_prefix, platform.machine(), *sys.version.split()])


def digest(lock: str) -> str:
    """The fingerprint of all that decides what an install of *lock* leaves behind."""
    seen = hashlib.sha256()
    for name in (lock, "pyproject.toml"):
        seen.update(hashlib.sha256((ROOT / name).read_bytes()).digest())
    return seen.hexdigest()


def stamp_path() -> Path:
    """Where the stamp lies: written last and removed first, so without it .venv is half made."""
    return VENV / "stamp"


def read_stamp() -> "list[str]":
    """`made_with()` and the digests of the locks that .venv holds; nothing if it is half made."""
    try:
        return stamp_path().read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []


def is_made() -> bool:
    """Whether .venv was made to the end, by this interpreter, and nothing was taken from it."""
    return read_stamp()[:1] == [made_with()] and all(
        Path(program(name)).exists() for name in ("python", "dawdle")
    )


def is_ready(lock: str) -> bool:
    """Whether nothing is left to do before a program of *lock* can start."""
    return is_made() and digest(lock) in read_stamp()


def write_stamp(lock: str) -> None:
    """Note, in one step, that .venv is made and holds *lock*, with what that includes."""
    held = [RUNTIME_LOCK, DEV_LOCK] if lock == DEV_LOCK else [lock]
    unfinished = stamp_path().with_suffix(".new")
    unfinished.write_text("\n".join([made_with(), *map(digest, held)]) + "\n", encoding="utf-8")
    unfinished.replace(stamp_path())


# --- making it -----------------------------------------------------------------------------------


def set_up(lock: str) -> None:
    """
    See that .venv holds what *lock* names, and Dawdle itself; at once, if it does already.

    Of two that start together, one does the work and the other waits for it.

    Raises:
        Refusal: something is missing, out of reach or not writable.
    """
    check_python(sys.version_info[:2], sys.executable)
    try:
        if is_ready(lock):
            return
        uv = shutil.which("uv")
        check_venv(with_pip=uv is None)
        with alone():
            if not is_ready(lock):
                make(lock, uv)
    except OSError as error:
        raise Refusal(
            f"{VENV} can't be made ({error}); make room for it, or the folder writable"
        ) from error


def make(lock: str, uv: "str | None") -> None:
    """Bring .venv to hold *lock*: on top of what is there, or anew if that is of no use."""
    if is_made() and (uv or Path(program("pip")).exists()):
        stamp_path().unlink()
    else:
        say(f"making .venv with Python {platform.python_version()}")
        create_venv(with_pip=uv is None)
    name = "uv" if uv else "pip"
    say(f"installing {lock} with {name}")
    install(uv, "--require-hashes", "--requirement", str(ROOT / lock))
    # The lock holds the build backend; isolated from it, a build would fetch one with no hash.
    say("installing Dawdle itself")
    install(uv, "--no-deps", "--no-build-isolation", "--editable", str(ROOT))
    write_stamp(lock)


def create_venv(with_pip: bool) -> None:
    """
    Put an empty .venv in place of whatever is there.

    Raises:
        Refusal: pip could not be put into it.
    """
    import venv  # absent from a bare Debian, which check_venv() says first

    if VENV.is_symlink():
        VENV.unlink()
    try:
        venv.create(VENV, clear=True, symlinks=os.name != "nt", with_pip=with_pip)
    except subprocess.CalledProcessError as error:
        raise Refusal(
            f"{sys.executable} could not put pip into .venv (ensurepip ended with status "
            f"{error.returncode}); repair that Python, or install uv"
        ) from error


def installer(uv: "str | None") -> "list[str]":
    """The command that installs into .venv; *uv* is its path, None where there is only pip."""
    if uv:
        return [uv, "pip", "install", "--python", program("python")]
    return [program("python"), "-m", "pip", "install"]


def install(uv: "str | None", *arguments: str) -> None:
    """
    Install into .venv; what the installer says goes to a log, since it may hold addresses.

    Raises:
        Refusal: it failed.
    """
    log = VENV / "install.log"
    # PIP_USER is set in some hosted workplaces; it would install past .venv.
    surroundings = {**os.environ, "PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    with log.open("wb") as words:
        status = subprocess.run(
            [*installer(uv), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=subprocess.STDOUT,
            env=surroundings,
            close_fds=False,  # see alone()
            check=False,
        ).returncode
    if status:
        raise Refusal(why_not("uv" if uv else "pip", log))


def why_not(name: str, log: Path) -> str:
    """One sentence for a failed install; it names a setting, never an address from the log."""
    if _OUT_OF_REACH.search(log.read_text(encoding="utf-8", errors="replace")):
        setting = {"pip": "PIP_INDEX_URL", "uv": "UV_DEFAULT_INDEX"}[name]
        return (
            f"{name} could not get the packages from the package index; check the network, or "
            f"set {setting} to an index within reach ({name}'s own words are in {log})"
        )
    return f"{name} could not install the packages; its own words are in {log}"


@contextlib.contextmanager
def alone() -> "Iterator[None]":
    """Hold `.venv.lock`, which the system lets go when its holder ends, however it ends."""
    with (ROOT / ".venv.lock").open("ab") as file:
        os.set_inheritable(file.fileno(), True)  # an installer that outlives us holds it on
        if not try_lock(file):
            say("waiting for another set-up of this checkout")
            while not try_lock(file):
                time.sleep(0.2)
        yield


def try_lock(file: BinaryIO) -> bool:
    """Lock *file*, unless somebody else has."""
    try:
        if sys.platform == "win32":
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # what POSIX and Windows call "taken"
        return False
    return True
