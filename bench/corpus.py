"""Real pages: documentation from Debian's packages, in a folder of the user's own choice."""

import subprocess
from pathlib import Path
from urllib.parse import quote

from bench.load import Address, Failed

PAGES = 4_000
HOSTS = 8  # addresses of loopback from 127.0.0.1 on, each a host to a client

# Some 4,500 pages, 37 kB on average, in 20 languages; `|` separates expressions for names.
PACKAGES = "|".join(
    (
        *("apache2-doc", "aptitude-doc-..", "debian-faq(-.+)?", "debian-policy(-ja)?"),
        *("debian-reference-(de|en|es|fr|id|it|ja|pt|pt-br|zh-cn|zh-tw)", "debmake-doc"),
        *("developers-reference(-..)?", "git-doc", "harden-doc", "maint-guide(-.+)?"),
        *("python3[.][0-9]+-doc", "sqlite3-doc"),
    )
)


def fetched(cache: Path) -> Path:
    """
    The folder with what is in the packages, below *cache*; they are fetched if it is not there.

    Raises:
        Failed: there is no apt or dpkg, or they fail.
    """
    root = cache / "root"
    if not root.exists():
        packages, part = cache / "packages", cache / "root.part"
        packages.mkdir(parents=True, exist_ok=True)
        _run("apt-get", "-q", "download", f'?name("^({PACKAGES})$")', folder=packages)
        for package in sorted(packages.glob("*.deb")):
            _run("dpkg-deb", "-x", str(package), str(part), folder=cache)
        part.rename(root)
    return root


def _run(*command: str, folder: Path) -> None:
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        raise Failed(f"{' '.join(command)} says: {error.stderr.strip()}") from None
    except OSError as error:
        raise Failed(f"{command[0]} can't be run here: {error.strerror}") from None


def pages(root: Path, count: int) -> list[Path]:
    """
    So many of the pages, taken evenly from all of them in the order of their names.

    Raises:
        Failed: there are fewer.
    """
    found = sorted(
        path for path in root.rglob("*.html") if path.is_file() and not path.is_symlink()
    )
    if len(found) < count:
        raise Failed(f"{count} pages are wanted, and {root} has {len(found)}")
    return [found[place * len(found) // count] for place in range(count)]


def urls(root: Path, chosen: list[Path], server: Address) -> list[str]:
    """Where a server of *root* that listens at all the hosts has these pages, in turns of hosts."""
    return [
        f"http://127.0.0.{1 + place % HOSTS}:{server.port}/{quote(str(page.relative_to(root)))}"
        for place, page in enumerate(chosen)
    ]
