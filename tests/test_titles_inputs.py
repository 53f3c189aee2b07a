"""The command line's arguments -> URLs."""

import io
from pathlib import Path
from unittest.mock import Mock

import pytest

from app.errors import Fatal
from app.titles import inputs

TABLE = "name,address\nPython,https://www.python.org/\n\nGit, https://git-scm.com/ \nx\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test works in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, text: str, encoding: str = "utf-8") -> str:
    Path(name).write_bytes(text.encode(encoding))
    return name


def test_urls_stand_for_themselves() -> None:
    """Also bare ones, and such as would be no good name for a file."""
    urls = ["https://a.example/", "b.example", "c" * 5_000, "a\0b"]

    assert urls == inputs.read(urls)


def test_files_and_urls_keep_their_order() -> None:
    """As they were written on the command line."""
    write("urls", "https://b.example/\n# no\nhttps://c.example/\n")

    assert ["a.example", "https://b.example/", "https://c.example/", "d.example"] == inputs.read(
        ["a.example", "urls", "d.example"]
    )


def test_file_beats_a_bare_url_of_its_name() -> None:
    """With a scheme it is a URL for certain."""
    write("a.example", "https://b.example/")

    assert ["https://b.example/"] == inputs.read(["a.example"])
    assert ["https://a.example"] == inputs.read(["https://a.example"])


def test_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """As everywhere."""
    monkeypatch.setattr("sys.stdin", Mock(buffer=io.BytesIO(b"\xef\xbb\xbfhttps://a.example/\n")))

    assert ["https://a.example/"] == inputs.read(["-"])


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("address", ["https://www.python.org/", "https://git-scm.com/"]),
        ("name", ["Python", "Git", "x"]),
        ("2", ["address", "https://www.python.org/", "https://git-scm.com/"]),
    ],
)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_column_of_a_table_is_read(column: str, expected: list[str], separator: str) -> None:
    """By its name in the first row, or by its number with the first row; empty cells are none."""
    write("links.csv", TABLE.replace(",", separator))

    assert expected == inputs.read(["links.csv"], column)


def test_quoted_cell_may_hold_anything() -> None:
    """Separators, quotes and line ends."""
    write("links.csv", 'note,url\n"a, ""b""\nc",https://a.example/?x=1,2\n')

    assert ["https://a.example/?x=1"] == inputs.read(["links.csv"], "url")


@pytest.mark.parametrize(
    ("arguments", "column", "sentence"),
    [
        (["urls.txt"], None, "there is no file 'urls.txt'"),
        (["links.csv"], None, "links.csv: is a table; say with --column"),
        (["links.csv"], "url", "links.csv: no column is called 'url'; its first row has 'name', "),
        (["links.csv"], "3", "links.csv: there is no column 3"),
        (["empty"], None, "there is no URL in what was given"),
        (["empty"], "url", "empty: no column is called 'url'; its first row has nothing"),
        (["latin"], None, "latin: is not UTF-8"),
        (["folder"], None, "folder: can't be read (Is a directory)"),
        (["huge.csv"], "1", "huge.csv: is no table (field larger"),
    ],
)
def test_what_cannot_be_read_is_said(
    arguments: list[str], column: str | None, sentence: str
) -> None:
    """With the file, and what to do."""
    write("links.csv", TABLE)
    write("empty", "")
    write("latin", "https://a.example/é", "latin-1")
    write("huge.csv", "x" * 200_000)
    Path("folder").mkdir()

    with pytest.raises(Fatal) as refusal:
        inputs.read(arguments, column)

    assert str(refusal.value).startswith(sentence)
