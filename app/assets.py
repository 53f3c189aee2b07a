"""Where templates and static files are: inside the package, or in a checkout beside it."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path


def folder(name: str) -> Path:
    """The folder of that name that ships with the service."""
    package = Path(__file__).parent
    packed = package / name
    return packed if packed.is_dir() else package.parent / name


@cache
def files(name: str) -> Mapping[str, Path]:
    """Every file in that folder, by its path below it: no other name leads anywhere."""
    root = folder(name)
    return {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
