"""`./run` and `./test`: what they refuse, when they set up, and what they start."""

import ast
import json
import os
import shutil
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

import checkout

ROOT = Path(__file__).resolve().parent.parent
LOCKS = (checkout.RUNTIME_LOCK, checkout.DEV_LOCK)

posix_only = pytest.mark.skipif(os.name == "nt", reason="the stand-ins are POSIX scripts")

# A stand-in for uv: notes how it was called, and installs a `dawdle` that shows its arguments.
FAKE_UV = f"""#!{sys.executable}
import json, os, pathlib, sys

with open(os.environ["UV_CALLS"], "a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + "\\n")
if os.environ.get("UV_FAILS"):
    sys.exit(os.environ["UV_FAILS"])
dawdle = pathlib.Path(sys.argv[sys.argv.index("--python") + 1]).with_name("dawdle")
dawdle.write_text("#!{sys.executable}\\nimport os, sys\\nprint(os.getpid(), *sys.argv[1:])\\n")
dawdle.chmod(0o755)
"""


def script(name: str) -> ModuleType:
    """The program *name* of the checkout, as a module."""
    loader = SourceFileLoader(f"checkout_{name}", str(ROOT / name))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def no_bytecode(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading `run` must not leave a `runc` beside it."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)


class Clone:
    """A fresh checkout in a folder of its own, with a stand-in for uv first on the PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "clone"
        self.folder.mkdir()
        for name in ("run", "checkout.py", "pyproject.toml", *LOCKS):
            shutil.copy(ROOT / name, self.folder / name)
        self.uv = folder / "bin" / "uv"
        self.uv.parent.mkdir()
        self.uv.write_text(FAKE_UV)
        self.uv.chmod(0o755)
        self._calls = folder / "calls"

    def start(self, *arguments: str, **surroundings: str) -> subprocess.Popen[str]:
        """`./run` with *arguments*, from another folder."""
        return subprocess.Popen(
            [sys.executable, str(self.folder / "run"), *arguments],
            cwd=self.folder.parent,
            env={
                **os.environ,
                "PATH": f"{self.uv.parent}{os.pathsep}{os.environ['PATH']}",
                "UV_CALLS": str(self._calls),
                **surroundings,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **surroundings: str) -> tuple[int, str, str]:
        """Status, standard output and standard error of `./run` with *arguments*."""
        process = self.start(*arguments, **surroundings)
        output, errors = process.communicate(timeout=60)
        return process.returncode, output, errors

    def calls(self) -> list[list[str]]:
        """How uv was called, so far."""
        return [json.loads(line) for line in self._calls.read_text().splitlines()]


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with nothing but locks, which `checkout` takes for its own."""
    for name in ("pyproject.toml", *LOCKS):
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(checkout, "ROOT", tmp_path)
    monkeypatch.setattr(checkout, "VENV", tmp_path / ".venv")
    return tmp_path


@pytest.fixture
def made(folder: Path) -> Path:
    """The `.venv` of `folder`, as a set-up leaves it, but for the stamp."""
    for name in ("python", "dawdle"):
        path = Path(checkout.program(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder / ".venv"


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize("version", [(2, 7), (3, 6), (3, 10)])
def test_an_old_python_is_refused_by_its_path(version: tuple[int, int]) -> None:
    """Who has several Pythons has to learn which one is too old."""
    with pytest.raises(checkout.Refusal) as refusal:
        checkout.check_python(version, "/some/python")

    major, minor = version
    assert str(refusal.value).startswith(f"/some/python is Python {major}.{minor}, too old")
    assert "install Python 3.11 or newer" in str(refusal.value)


@pytest.mark.parametrize("version", [(3, 11), (3, 12), (4, 0)])
def test_a_python_from_the_floor_up_is_taken(version: tuple[int, int]) -> None:
    """3.11 is the floor, and there is no ceiling."""
    checkout.check_python(version, "/some/python")


@pytest.mark.parametrize("name", ["run", "test", "checkout.py"])
def test_an_old_python_can_read_the_scripts(name: str) -> None:
    """A sentence helps only those whose Python gets as far as printing it."""
    ast.parse((ROOT / name).read_text(), feature_version=(3, 7))


@pytest.mark.parametrize("missing", ["venv", "ensurepip"])
def test_a_python_without_its_installer_is_refused_with_the_package(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Debian splits both modules off; its users need the name of the package."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == missing else name)

    with pytest.raises(checkout.Refusal) as refusal:
        checkout.check_venv(with_pip=True)

    assert f"lacks the module {missing}" in str(refusal.value)
    assert "python3-venv" in str(refusal.value)
    assert f"python3.{sys.version_info[1]}-venv" in str(refusal.value)


def test_uv_does_without_ensurepip(monkeypatch: pytest.MonkeyPatch) -> None:
    """With uv, a .venv needs no pip."""
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name == "ensurepip" else name
    )

    checkout.check_venv(with_pip=False)


@pytest.mark.parametrize(
    ("name", "setting", "words"),
    [
        ("pip", "PIP_INDEX_URL", "NewConnectionError: https://me:secret@index.invalid/simple"),
        ("pip", "PIP_INDEX_URL", "ERROR: No matching distribution found for yarl==1.0"),
        ("uv", "UV_DEFAULT_INDEX", "error sending request for url (https://index.invalid/yarl)"),
        ("uv", "UV_DEFAULT_INDEX", "cause: dns error"),
    ],
)
def test_an_index_out_of_reach_is_told_by_its_setting(
    name: str, setting: str, words: str, tmp_path: Path
) -> None:
    """The sentence names what to set, and no address: one may hold a password."""
    log = tmp_path / "install.log"
    log.write_text(words)

    sentence = checkout.why_not(name, log)

    assert setting in sentence
    assert "://" not in sentence


def test_another_failure_points_at_the_log(tmp_path: Path) -> None:
    """A wrong hash is no matter of the network, even when a package is named after timeouts."""
    log = tmp_path / "install.log"
    log.write_text("Collecting pytest-timeout\nTHESE PACKAGES DO NOT MATCH THE HASHES")

    sentence = checkout.why_not("pip", log)

    assert f"pip could not install the packages; its own words are in {log}" == sentence


def test_a_refusal_is_one_line_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output stays empty: it belongs to the service."""

    def refuse(_: list[str]) -> int:
        raise checkout.Refusal("no")

    with pytest.raises(SystemExit) as end:
        checkout.end_with(refuse)

    assert 2 == end.value.code
    assert ("", "dawdle: no\n") == capsys.readouterr()


def test_ctrl_c_ends_a_set_up_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    """130 is 128 + SIGINT, as a shell reports it."""

    def interrupt(_: list[str]) -> int:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as end:
        checkout.end_with(interrupt)

    assert 130 == end.value.code
    assert ("", "") == capsys.readouterr()


# --- the stamp -----------------------------------------------------------------------------------


def test_nothing_is_ready_before_the_first_set_up(folder: Path) -> None:
    """A fresh clone has no .venv."""
    assert not (folder / ".venv").exists()

    assert not checkout.is_made()
    assert not checkout.is_ready(checkout.RUNTIME_LOCK)


def test_a_venv_without_a_stamp_is_half_made(made: Path) -> None:
    """The stamp comes last, so that what was interrupted is made anew."""
    assert not (made / "stamp").exists()

    assert not checkout.is_made()


def test_the_runtime_lock_is_not_enough_for_the_tests(made: Path) -> None:
    """`./test` after `./run` has something to add."""
    assert made.exists()

    checkout.write_stamp(checkout.RUNTIME_LOCK)

    assert checkout.is_ready(checkout.RUNTIME_LOCK)
    assert not checkout.is_ready(checkout.DEV_LOCK)
    assert checkout.is_made()


def test_the_dev_lock_is_enough_to_run(made: Path) -> None:
    """`./run` after `./test` has nothing to do."""
    assert made.exists()

    checkout.write_stamp(checkout.DEV_LOCK)

    assert checkout.is_ready(checkout.RUNTIME_LOCK)
    assert checkout.is_ready(checkout.DEV_LOCK)


@pytest.mark.parametrize("name", [checkout.RUNTIME_LOCK, "pyproject.toml"])
def test_what_was_installed_from_older_files_is_not_ready(made: Path, name: str) -> None:
    """After a pull, the next start installs what changed."""
    checkout.write_stamp(checkout.RUNTIME_LOCK)

    (made.parent / name).write_text("changed")

    assert not checkout.is_ready(checkout.RUNTIME_LOCK)
    assert checkout.is_made()


@pytest.mark.parametrize("attribute", ["base_prefix", "version"])
def test_another_python_needs_another_venv(
    made: Path, attribute: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiled packages fit one Python only."""
    assert made.exists()
    checkout.write_stamp(checkout.RUNTIME_LOCK)

    monkeypatch.setattr(sys, attribute, "another")

    assert not checkout.is_made()


def test_a_moved_checkout_needs_another_venv(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands in a .venv hold the path it was made at."""
    checkout.write_stamp(checkout.RUNTIME_LOCK)

    moved = made.parent.rename(made.parent.with_name("moved"))
    monkeypatch.setattr(checkout, "ROOT", moved)
    monkeypatch.setattr(checkout, "VENV", moved / ".venv")

    assert checkout.read_stamp()
    assert not checkout.is_made()


@pytest.mark.parametrize("name", ["python", "dawdle"])
def test_a_venv_that_lost_a_program_is_not_ready(made: Path, name: str) -> None:
    """An interpreter that was uninstalled leaves a link to nowhere."""
    assert made.exists()
    checkout.write_stamp(checkout.RUNTIME_LOCK)

    Path(checkout.program(name)).unlink()

    assert not checkout.is_ready(checkout.RUNTIME_LOCK)


@pytest.mark.parametrize(
    ("uv", "programs", "anew"), [("uv", (), []), (None, ("pip",), []), (None, (), [True])]
)
def test_a_venv_without_pip_is_made_anew_where_there_is_no_uv(
    made: Path,
    uv: str | None,
    programs: tuple[str, ...],
    anew: list[bool],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A .venv by uv has no pip, and uv may be gone when there is something to add."""
    created: list[bool] = []

    def create(*, with_pip: bool) -> None:
        created.append(with_pip)

    monkeypatch.setattr(checkout, "create_venv", create)
    monkeypatch.setattr(checkout, "install", lambda *_: None)
    checkout.write_stamp(checkout.RUNTIME_LOCK)
    for name in programs:
        Path(checkout.program(name)).touch()

    checkout.make(checkout.DEV_LOCK, uv)

    assert anew == created
    assert checkout.is_ready(checkout.DEV_LOCK)
    assert made.exists()


def test_a_lock_is_held_by_one(folder: Path) -> None:
    """Two that set up the same .venv at once would each break the other's."""
    with checkout.alone(), (folder / ".venv.lock").open("ab") as second:
        assert not checkout.try_lock(second)

    with (folder / ".venv.lock").open("ab") as third:
        assert checkout.try_lock(third)


# --- from the outside, with a stand-in for uv ----------------------------------------------------


@posix_only
def test_the_first_start_sets_up_and_the_second_does_not(clone: Clone) -> None:
    """What was installed with hashes, and from no place but the lock's, stays."""
    first, _, steps = clone.run("report")
    second, output, silence = clone.run("report")

    assert (0, 0) == (first, second)
    assert [
        f"dawdle: making .venv with Python {sys.version.split()[0]}",
        "dawdle: installing requirements.lock with uv",
        "dawdle: installing Dawdle itself",
    ] == steps.splitlines()
    assert "" == silence
    assert output.endswith(" report\n")
    folder = clone.folder
    assert [
        ["--require-hashes", "--requirement", str(folder / "requirements.lock")],
        ["--no-deps", "--no-build-isolation", "--editable", str(folder)],
    ] == [call[4:] for call in clone.calls()]


@posix_only
def test_run_finds_its_other_half_under_a_safe_path(clone: Clone) -> None:
    """With PYTHONSAFEPATH, Python does not look beside a script for what it imports."""
    status, _, _ = clone.run(PYTHONSAFEPATH="1")

    assert 0 == status


@posix_only
def test_run_becomes_the_service(clone: Clone) -> None:
    """The same process id: signals reach the service itself."""
    clone.run()

    process = clone.start()
    output, _ = process.communicate(timeout=60)

    assert f"{process.pid} serve\n" == output


@posix_only
def test_a_failed_install_is_status_2_and_is_made_anew(clone: Clone) -> None:
    """What is half made is never started, and repaired by the next start."""
    failed, nothing, errors = clone.run(UV_FAILS="error sending request for https://index.invalid")
    repaired, output, steps = clone.run()

    assert (2, "") == (failed, nothing)
    assert "UV_DEFAULT_INDEX" in errors
    assert "://" not in errors
    assert 0 == repaired
    assert output.endswith(" serve\n")
    assert "making .venv" in steps


@posix_only
def test_two_first_starts_at_once_set_up_once(clone: Clone) -> None:
    """One makes .venv, the other waits, and both start."""
    both = [clone.start("report"), clone.start("report")]
    outputs = [process.communicate(timeout=60)[0] for process in both]

    assert [0, 0] == [process.returncode for process in both]
    assert all(output.endswith(" report\n") for output in outputs)
    assert 2 == len(clone.calls())


@posix_only
def test_something_else_in_the_way_of_the_venv_is_one_sentence(clone: Clone) -> None:
    """A file called .venv is not ours to remove."""
    (clone.folder / ".venv").write_text("mine")

    status, _, errors = clone.run()

    assert 2 == status
    assert "can't be made" in errors
    assert "Traceback" not in errors


# --- what the arguments mean ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([], ["serve"]),
        (["--port", "0"], ["serve", "--port", "0"]),
        (["--port", "0", "--help"], ["serve", "--port", "0", "--help"]),
        (["-x"], ["serve", "-x"]),
        (["-h"], ["-h"]),
        (["--help"], ["--help"]),
        (["--version"], ["--version"]),
        (["serve", "--port", "0"], ["serve", "--port", "0"]),
        (["run", "--", "pytest", "--help"], ["run", "--", "pytest", "--help"]),
    ],
)
def test_run_without_a_command_serves(given: list[str], told: list[str]) -> None:
    """`./run` alone or with options is `dawdle serve`; `./run COMMAND` is `dawdle COMMAND`."""
    assert told == script("run").arguments(given)


class Pythons:
    """Stands in for `test`'s way to start Python: notes each start, and fails where it is told."""

    def __init__(self, failing: str = "") -> None:
        self.failing = failing
        self.arguments: list[list[str]] = []
        self.surroundings: list[dict[str, str]] = []

    def __call__(self, arguments: list[str], surroundings: dict[str, str]) -> int:
        self.arguments.append(arguments)
        self.surroundings.append(surroundings)
        return 7 if self.failing in arguments else 0


@pytest.fixture
def locks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The locks that were asked for; none is installed."""
    asked: list[str] = []
    monkeypatch.setattr(checkout, "set_up", asked.append)
    return asked


def test_test_with_arguments_is_pytest_alone(
    locks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who names tests wants those, and no gate."""
    test, python = script("test"), Pythons()
    monkeypatch.setattr(test, "python", python)

    status = test.main(["tests/test_plan.py", "-k", "x"])

    assert 0 == status
    assert [checkout.DEV_LOCK] == locks
    assert [["-m", "pytest", "tests/test_plan.py", "-k", "x"]] == python.arguments


@pytest.mark.usefixtures("locks")
def test_test_stops_at_the_first_gate_that_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says which, and its status is the gate's."""
    test = script("test")
    monkeypatch.setattr(test, "python", Pythons(failing="check"))

    status = test.main([])

    assert 7 == status
    formatted, linted = capsys.readouterr().err.splitlines()
    assert formatted.startswith("dawdle: format: passed")
    assert linted.startswith("dawdle: lint: failed with status 7")


@pytest.mark.usefixtures("locks")
def test_test_passes_when_every_gate_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line for each gate, in their order; the last runs in asyncio's debug mode."""
    test, python = script("test"), Pythons()
    monkeypatch.setattr(test, "python", python)

    status = test.main([])

    assert 0 == status
    lines = capsys.readouterr().err.splitlines()
    assert list(test.GATES) == [line.split(": ")[1] for line in lines]
    assert {"PYTHONASYNCIODEBUG": "1"} == python.surroundings[-1]
