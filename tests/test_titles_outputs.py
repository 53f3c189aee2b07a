"""Results in a file: as they come, and in the end in order of the input."""

import csv
import json
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.errors import Fatal
from app.titles.outputs import Output
from app.titles.results import Result, record

ONE, TWO = Result("https://a.example/", title="Größe"), Result("https://b.example/", title="=1")


async def stream(*results: Result) -> AsyncIterator[list[Result]]:
    """The results, one at a time."""
    for result in results:
        yield [result]


def begun(path: Path) -> Output:
    output = Output(path)
    output.open()
    return output


async def test_json_lines_come_at_once_and_in_order_at_last(tmp_path: Path) -> None:
    """A reader sees each line when it is there."""
    path = tmp_path / "out.jsonl"
    path.write_text("left over\n" * 100)
    output = begun(path)

    output.add([TWO])
    early = path.read_text(encoding="utf-8")
    output.add([ONE])
    await output.finish(stream(ONE, TWO))

    assert record(TWO) == json.loads(early)
    assert [record(ONE), record(TWO)] == [
        json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()
    ]


async def test_csv_has_its_head_once(tmp_path: Path) -> None:
    """Also when it was written anew."""
    path = tmp_path / "OUT.CSV"
    output = begun(path)
    output.add([TWO, ONE])

    await output.finish(stream(ONE, TWO))

    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [("https://a.example/", "Größe"), ("https://b.example/", "'=1")] == [
        (row["url"], row["title"]) for row in rows
    ]


@pytest.mark.parametrize("results", [(), (ONE,), (ONE, TWO)])
async def test_json_is_one_list_at_the_end(tmp_path: Path, results: tuple[Result, ...]) -> None:
    """It can't be valid before."""
    path = tmp_path / "out.json"
    output = begun(path)
    output.add(results)
    early = path.read_text(encoding="utf-8")

    await output.finish(stream(*results))

    assert "" == early
    assert [record(each) for each in results] == json.loads(path.read_text(encoding="utf-8"))


async def test_pipe_gets_each_result_once(tmp_path: Path) -> None:
    """Nobody can take back what went through it."""
    path = tmp_path / "out.jsonl"
    os.mkfifo(path)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.extend(path.read_text("utf-8").splitlines()))
    reader.start()

    output = begun(path)
    output.add([TWO])
    await output.finish(stream(TWO))
    reader.join()

    assert [record(TWO)] == [json.loads(line) for line in read]


@pytest.mark.parametrize("name", ["out", "out.txt", "out.jsonl.gz", ".csv"])
def test_unknown_format_is_refused(name: str) -> None:
    """Before anything is fetched."""
    with pytest.raises(Fatal, match=r"says no format; end the name in \.jsonl, \.csv or \.json"):
        Output(Path(name))


def test_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """Before anything is fetched, too."""
    (tmp_path / "folder.csv").mkdir()

    for name in ("nowhere/out.csv", "folder.csv"):
        with pytest.raises(Fatal, match="can't be written; name a file in a folder of yours"):
            Output(tmp_path / name)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
def test_full_disk_is_said(tmp_path: Path) -> None:
    """At the moment it is full."""
    link = tmp_path / "out.csv"
    link.symlink_to("/dev/full")

    with pytest.raises(Fatal, match=r"can't be written \(No space left on device\)"):
        begun(link)
