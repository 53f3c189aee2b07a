"""What is delivered: the wheel, the locks, the container."""

import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import sysconfig
import threading
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import pytest
import trustme

import checkout

ROOT = Path(__file__).resolve().parent.parent
DELIVERED = ("app", "examples", "static", "templates")
LOCKS = (checkout.RUNTIME_LOCK, checkout.DEV_LOCK)
ANNOUNCEMENT = re.compile(
    r"Dawdle on (http://127\.0\.0\.1:\d+) \(echo 127\.0\.0\.1:\d+, data .+\)\n"
)

pytestmark = pytest.mark.timeout(180)


def run(*command: str | Path) -> str:
    """Standard output of a command that has to succeed; its other words are the failure's."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


def python_of(folder: Path) -> Path:
    """The interpreter of a virtual environment."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def sources() -> set[str]:
    """Every file that belongs into the wheel, as the wheel names it."""
    files = {path for name in DELIVERED for path in (ROOT / name).rglob("*") if path.is_file()}
    names = {path.relative_to(ROOT).as_posix() for path in files if "__pycache__" not in path.parts}
    return {name if name.startswith("app/") else f"app/{name}" for name in names}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel; what it was built from is gone."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for name in DELIVERED:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("LICENSE", "README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, source)
    build = "import hatchling.build, os, sys; os.chdir(sys.argv[1]); "
    build += "hatchling.build.build_wheel(sys.argv[2])"
    run(sys.executable, "-c", build, source, folder)
    shutil.rmtree(source)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    The Python of an otherwise empty environment with the wheel in it.

    It borrows what Dawdle depends on from ours, so that nothing is fetched; ours finds the
    checkout by a .pth file, and those are not read in a borrowed folder.
    """
    folder = tmp_path_factory.mktemp("empty") / "venv"
    venv.create(folder, symlinks=os.name != "nt")
    python = python_of(folder)
    run(
        *(sys.executable, "-m", "pip", "--python", python, "install", "--quiet"),
        *("--no-deps", "--no-index", wheel),
    )
    library = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    Path(library, "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    return python


@pytest.fixture
def service(installed: Path, tmp_path: Path) -> Iterator[str]:
    """The address of an installed `dawdle serve`, with nothing around it but its data folder."""
    settings = ("PYTHONPATH", "DAWDLE_")
    surroundings = {n: text for n, text in os.environ.items() if not n.startswith(settings)}
    with subprocess.Popen(
        [installed.with_name("dawdle"), "serve", "--port", "0"],
        cwd=tmp_path,
        env=surroundings,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            announced = ANNOUNCEMENT.fullmatch(process.stdout.readline())
            assert announced is not None
            yield announced[1]
        finally:
            process.terminate()


def test_the_wheel_holds_the_code_the_templates_and_the_static_files(wheel: Path) -> None:
    """All that is in the four folders, under `app/`, and nothing else but the metadata."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}

    assert sources() == names
    for folder in ("app/examples/", "app/templates/", "app/static/"):
        assert any(name.startswith(folder) for name in names)


def test_the_installed_code_is_the_wheels(installed: Path) -> None:
    """Else the test below would prove nothing."""
    where = run(installed, "-P", "-c", "import app; print(app.__file__)").strip()

    assert Path(where).is_relative_to(installed.parent.parent)


@pytest.mark.live
def test_an_installed_wheel_serves_pages_and_static_files(service: str) -> None:
    """No source tree is needed: what a page consists of lies inside the package."""
    opener = build_opener(ProxyHandler({}))

    with opener.open(f"{service}/", timeout=30) as page:
        assert 200 == page.status
        assert "text/html" in page.headers["Content-Type"]
        text = page.read().decode()
    linked = set(re.findall(r'(?:href|src)="(/[^"?]+\.(?:css|js|svg))', text))

    assert linked
    for path in linked:
        with opener.open(f"{service}{path}", timeout=30) as file:
            assert 200 == file.status


@pytest.mark.live
def test_an_installed_wheel_runs_its_examples(installed: Path) -> None:
    """They lie inside the package, and need nothing around them."""
    dawdle = installed.with_name("dawdle")

    assert "egg: is ready" in run(dawdle, "examples", "generator_send").splitlines()


def test_the_version_is_written_once(installed: Path) -> None:
    """The package's metadata and `dawdle --version` take it from `app/__init__.py`."""
    ask = "import app, importlib.metadata as m; print(app.__version__, m.version('dawdle'))"

    ours, the_metadatas = run(installed, "-P", "-c", ask).split()

    assert ours == the_metadatas
    assert ours in run(installed.with_name("dawdle"), "--version")


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_no_place(name: str) -> None:
    """A lock serves whatever index its reader has; no address, option or path stands in it."""
    text = (ROOT / name).read_text()

    assert [] == re.findall(r"(?m)://|^\s*-(?!-hash=).*|@ .*|(?:^|\s)/\S+", text)


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_has_a_hash_for_everything(name: str) -> None:
    """One version for each name and marker, and at least one hash for it."""
    for pinned in packages(ROOT / name):
        assert re.match(r"[a-z0-9-]+==\S+ ", pinned)
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", pinned)


def test_the_dev_lock_includes_the_runtime_lock() -> None:
    """`./run` takes a .venv that `./test` made, so both must mean the same versions."""
    runtime, dev = (set(packages(ROOT / name)) for name in LOCKS)

    assert runtime < dev


def test_every_dependency_is_locked() -> None:
    """A dependency without a lock would be missing on a fresh machine."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = {
        re.split(r"[<>=;\s\[]", each)[0]
        for each in (*project["project"]["dependencies"], *project["build-system"]["requires"])
    }

    locked = {pinned.split("==")[0] for pinned in packages(ROOT / checkout.RUNTIME_LOCK)}

    assert set() == wanted - locked


def packages(lock: Path) -> list[str]:
    """The entries of a lock, each with its hashes, without comments."""
    lines = [line for line in lock.read_text().splitlines() if not line.lstrip().startswith("#")]
    return re.findall(r"(?m)^\S.*(?:\n\s+\S.*)*", "\n".join(lines))


def test_the_dockerfile_passes_hadolint() -> None:
    """No exception is made for any of its rules."""
    hadolint = shutil.which("hadolint", path=Path(sys.executable).parent)
    assert hadolint is not None

    assert "" == run(hadolint, "--no-color", ROOT / "Dockerfile")


class Healthy(BaseHTTPRequestHandler):
    """Answers 200 for `/healthz` and nothing else."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def healthy(context: ssl.SSLContext | None) -> HTTPServer:
    """A server on a free port; it does not verify who asks, nor is it known to anybody."""
    server = HTTPServer(("127.0.0.1", 0), Healthy)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    return server


def check_health(**environ: str) -> int:
    """The exit status of the container's health check in that environment."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", "")
    (command,) = re.findall(r"HEALTHCHECK .*? CMD (\[.*\])", text)
    _, *arguments = json.loads(command)
    surroundings = {n: text for n, text in os.environ.items() if not n.startswith("DAWDLE_")}
    done = subprocess.run(
        [sys.executable, *arguments], env=surroundings | environ, capture_output=True, check=False
    )
    return done.returncode


@pytest.mark.parametrize(
    ("settings", "secure"),
    [
        ({}, False),
        ({"DAWDLE_TLS_SELF_SIGNED": "no"}, False),
        ({"DAWDLE_TLS_SELF_SIGNED": "On"}, True),
        ({"DAWDLE_TLS_CERT": "cert.pem", "DAWDLE_TLS_KEY": "key.pem"}, True),
    ],
)
def test_the_container_is_asked_where_it_listens(settings: dict[str, str], secure: bool) -> None:
    """On the port and by the scheme that its environment sets; once it is gone, it is unhealthy."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH) if secure else None
    if context is not None:
        trustme.CA().issue_cert("localhost").configure_cert(context)
    with healthy(context) as server:
        port = str(server.server_port)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            assert 0 == check_health(DAWDLE_PORT=port, **settings)
        finally:
            server.shutdown()

    assert 0 != check_health(DAWDLE_PORT=port, **settings)


def test_the_container_is_given_time_to_stop() -> None:
    """`stop_grace_period` outlasts the default `shutdown_grace` of 35 s by 10 s or more."""
    text = (ROOT / "docker-compose.yml").read_text()

    (grace,) = re.findall(r"stop_grace_period: (\d+)s", text)

    assert int(grace) >= 35 + 10
