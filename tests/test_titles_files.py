"""Files of jobs: appended to, mended from the database, rewritten at one stroke."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.titles.files import Files


@pytest.fixture
def files(tmp_path: Path) -> Files:
    files = Files(tmp_path / "titles")
    files.prepare()
    return files


async def stored(*lists: list[str]) -> AsyncIterator[list[str]]:
    """Lines as the database gives them."""
    for lines in lists:
        yield lines


async def test_lines_are_appended_in_utf8(files: Files) -> None:
    """One a line, at the end, readable as they are."""
    await files.append(7, ['{"title": "é"}', '{"title": "新浪"}'])
    await files.append(7, ["{}"])

    assert '{"title": "é"}\n{"title": "新浪"}\n{}\n'.encode() == files.path(7).read_bytes()


@pytest.mark.parametrize(
    "found",
    [
        b"",
        b"one\n",
        b"one\ntwo\n",
        b"one\ntwo\nthr",  # torn
        b"one\ntwo\nthree",  # all but the end of the line
        b"one\ntwo\nthree\n",
        b"one\ntwo\nthree\nfour\n",  # lost by the database in a power cut
        b"one\ntwo\nthree\nfo",
        b"one\ntwo\ntwo\nthree\n",  # twice
        b"two\nthree\n",
        b"\0\0\0\0\0\0\0\0",  # as some file systems leave it
    ],
)
async def test_mending_makes_the_file_what_the_database_has(files: Files, found: bytes) -> None:
    """Torn lines are cut, missing ones added, foreign ones leave."""
    files.path(7).write_bytes(found)

    await files.mend(7, stored(["one", "two"], ["three"]))

    assert b"one\ntwo\nthree\n" == files.path(7).read_bytes()


async def test_mending_makes_a_missing_file(files: Files) -> None:
    """Somebody removed it, or the process died before there was one."""
    await files.mend(7, stored(["one"]))

    assert b"one\n" == files.path(7).read_bytes()


async def test_mending_to_nothing_leaves_an_empty_file(files: Files) -> None:
    """A job without results has a file without lines."""
    files.path(7).write_bytes(b"one\n")

    await files.mend(7, stored())

    assert b"" == files.path(7).read_bytes()


async def test_mending_leaves_alone_what_is_right(files: Files) -> None:
    """A large file is read, not written anew."""
    files.path(7).write_bytes(b"one\ntwo\n")
    path = files.path(7)
    path.chmod(0o644)
    before = path.stat()

    await files.mend(7, stored(["one"], ["two"]))

    assert before.st_ino == path.stat().st_ino
    assert b"one\ntwo\n" == path.read_bytes()


LINES = st.lists(st.text(st.characters(exclude_characters="\n\r", codec="utf-8"), max_size=5))


@given(LINES, st.integers(0, 60), st.binary(max_size=5), st.integers(1, 4))
async def test_any_damage_is_mended(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], cut: int, tail: bytes, size: int
) -> None:
    """Cut anywhere, with anything behind it, and in whatever portions the lines come."""
    files = Files(tmp_path_factory.mktemp("titles"))
    whole = "".join(f"{line}\n" for line in lines).encode()
    files.path(1).write_bytes(whole[:cut] + tail)
    parts = [lines[start : start + size] for start in range(0, len(lines), size)]

    await files.mend(1, stored(*parts))

    assert whole == files.path(1).read_bytes()


async def test_rewriting_replaces_the_file(files: Files) -> None:
    """And leaves nothing beside it."""
    files.path(7).write_bytes(b"old\n")

    await files.rewrite(7, stored(["one"], ["two"]))

    assert b"one\ntwo\n" == files.path(7).read_bytes()
    assert [files.path(7)] == list(files.path(7).parent.iterdir())


async def test_a_rewriting_that_fails_leaves_the_old_file(files: Files) -> None:
    """Whoever reads it never sees half of the new one."""

    async def failing() -> AsyncIterator[list[str]]:
        yield ["one"]
        raise OSError(28, "No space left on device")

    files.path(7).write_bytes(b"old\n")

    with pytest.raises(OSError, match="No space left"):
        await files.rewrite(7, failing())

    assert b"old\n" == files.path(7).read_bytes()


async def test_what_a_process_left_half_written_goes_at_the_next_start(files: Files) -> None:
    """A `.part` was never in place."""
    part = files.path(7).with_suffix(".part")
    part.write_bytes(b"one\n")
    files.path(8).write_bytes(b"whole\n")

    files.prepare()

    assert [files.path(8)] == list(part.parent.iterdir())


async def test_whoever_is_interrupted_leaves_no_file_open(files: Files) -> None:
    """A client that leaves, or a service that stops, in the middle of a write."""
    go_on = asyncio.Event()

    async def slow() -> AsyncIterator[list[str]]:
        await go_on.wait()
        yield ["one"]

    writing = asyncio.create_task(files.rewrite(7, slow()))
    await asyncio.sleep(0)
    writing.cancel()
    go_on.set()

    with pytest.raises(asyncio.CancelledError):
        await writing
    assert b"one\n" == files.path(7).read_bytes()


async def test_a_removed_file_is_gone_and_a_missing_one_no_error(files: Files) -> None:
    """Somebody may have removed it already."""
    files.path(7).write_bytes(b"one\n")

    await files.remove(7)
    await files.remove(7)

    assert not files.path(7).exists()
