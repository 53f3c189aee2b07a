"""The folders in which the command line keeps what it has done."""

import os
from pathlib import Path

import pytest

from app.errors import Fatal
from app.titles import states
from app.titles.states import State, States

URLS = ["https://a.example/", "https://b.example/"]


@pytest.fixture
def kept(tmp_path: Path) -> States:
    return States(tmp_path / "state" / "titles")


def used(state: State, at: int) -> State:
    """The state, used last at that second."""
    os.utime(state.folder, (at, at))
    return state


def folder(state: State | None) -> Path | None:
    return None if state is None else state.folder


def test_label_is_of_the_urls_and_their_order() -> None:
    """The same list has the same label, whatever process asks."""
    assert states.label(URLS) == states.label(iter(URLS))
    assert states.label(URLS) != states.label(URLS[::-1])
    assert states.label(["\udcff"])


def test_usual_root_follows_the_custom_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """On Linux that of XDG."""
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_STATE_HOME", "/elsewhere")

    assert Path("/elsewhere/dawdle/titles") == states.usual_root()


def test_each_time_has_a_folder_of_its_own(kept: States) -> None:
    """Two at once don't meet."""
    assert kept.root / "abc-1" == kept.fresh("abc").folder
    assert kept.root / "abc-2" == kept.fresh("abc").folder


def test_newest_is_the_one_used_last(kept: States) -> None:
    """Of that list, or of any."""
    assert kept.newest(None) is None
    for label, at in (("abc", 300), ("abc", 200), ("xyz", 400)):
        used(kept.fresh(label), at).lock.release()

    assert kept.root / "abc-1" == folder(kept.newest("abc"))
    assert kept.root / "xyz-1" == folder(kept.newest(None))
    assert kept.newest("none") is None


def test_state_that_somebody_is_at_is_refused(kept: States) -> None:
    """Two processes on one database would fetch everything twice."""
    busy = kept.fresh("abc")

    with pytest.raises(Fatal, match="another command is at the work in"):
        kept.newest("abc")

    busy.lock.release()
    assert kept.newest("abc")


def test_finished_work_takes_older_states_of_its_list_along(kept: States) -> None:
    """They were for the same; not what is newer, another's, or still at work."""
    old = used(kept.fresh("abc"), 100)
    busy = used(kept.fresh("abc"), 100)
    done = used(kept.fresh("abc"), 200)
    newer = used(kept.fresh("abc"), 300)
    other = used(kept.fresh("xyz"), 100)
    for state in (old, newer, other):
        state.lock.release()

    kept.forget(done)

    assert [False, True, False, True, True] == [
        state.folder.exists() for state in (old, busy, done, newer, other)
    ]


def test_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    """With the way out."""
    (tmp_path / "file").write_text("")

    with pytest.raises(Fatal, match=r"\(Not a directory\); name another folder with --state"):
        States(tmp_path / "file" / "titles").fresh("abc")
