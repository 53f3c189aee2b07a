"""Where templates and static files are, in a checkout and in a wheel."""

from pathlib import Path

import pytest

from app import assets


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package of ours, as far as its place goes."""
    package = tmp_path / "app"
    package.mkdir()
    monkeypatch.setattr(assets, "__file__", str(package / "assets.py"))
    return package


def test_folder_is_beside_the_package_in_a_checkout(package: Path) -> None:
    """Where people look for templates."""
    assert package.parent / "templates" == assets.folder("templates")


def test_folder_is_inside_the_package_in_a_wheel(package: Path) -> None:
    """Where nothing of anybody else's can be."""
    (package / "templates").mkdir()

    assert package / "templates" == assets.folder("templates")


@pytest.mark.parametrize("name", ["templates", "static"])
def test_what_ships_is_there(name: str) -> None:
    """The real folders have files."""
    assert assets.files(name)


def test_files_are_named_by_their_path_below_the_folder(package: Path) -> None:
    """As URLs write it; folders are no files, and nothing outside has a name."""
    fonts = package / "odd" / "fonts"
    fonts.mkdir(parents=True)
    (fonts / "a.woff2").touch()
    (package / "odd" / "b.css").touch()
    (package / "c.py").touch()

    assert {"fonts/a.woff2": fonts / "a.woff2", "b.css": package / "odd" / "b.css"} == assets.files(
        "odd"
    )
