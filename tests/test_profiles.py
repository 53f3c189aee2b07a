"""Tests of `app.profiles`: what a TOML file may say, and how it is told what it may not."""

from pathlib import Path

import pytest

from app import profiles
from app.errors import Fatal, Problem
from app.plan import Asked, Limits, Planner

LIMITS = Limits(max_delay_ns=300 * 10**9, max_size=1 << 20)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "profiles.toml"


def refused(path: Path, text: str | bytes) -> str:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(Fatal) as refusal:
        profiles.load(path)
    return str(refusal.value)


def test_without_a_file_there_are_the_built_in_ones() -> None:
    """They need no set-up."""
    assert profiles.BUILT_IN == profiles.load(None)
    assert {"flaky", "overloaded", "brownout", "slow-tail"} == set(profiles.BUILT_IN)


@pytest.mark.parametrize("name", profiles.BUILT_IN)
def test_a_built_in_profile_is_valid(name: str) -> None:
    """Its knobs read, on a server of default limits."""
    planner = Planner(LIMITS, profiles=profiles.BUILT_IN)

    assert planner.read(Asked(profile=name)) != planner.read(Asked())


def test_a_built_in_profile_that_the_limits_exclude_is_refused_when_it_is_chosen() -> None:
    """A server of short delays starts all the same: nobody there has asked for it."""
    short = Limits(max_delay_ns=10**9, max_size=1 << 20)
    loaded = profiles.load(None)
    planner = Planner(short, delay="1", profiles=loaded, built_in=profiles.built_in(loaded))

    assert planner.read(Asked(profile="flaky")) == planner.read(Asked("profile=flaky"))
    for asked in (Asked(profile="slow-tail"), Asked("profile=slow-tail")):
        with pytest.raises(Problem, match=r"^\[profiles\.slow-tail\] delay: 2s .* 1s") as refusal:
            planner.read(asked)
        assert ("bad-knob", "profile") == (refusal.value.code, refusal.value.parameter)


def test_a_file_s_profile_of_a_built_in_name_is_held_to_the_limits(path: Path) -> None:
    """Whoever wrote it wants to hear at once."""
    path.write_text("[profiles.slow-tail]\ndelay = '2s'\n")
    loaded = profiles.load(path)

    assert {"flaky", "overloaded", "brownout"} == profiles.built_in(loaded)
    with pytest.raises(Problem, match="slow-tail"):
        Planner(
            Limits(max_delay_ns=10**9, max_size=1 << 20),
            delay="1",
            profiles=loaded,
            built_in=profiles.built_in(loaded),
        )


def test_a_file_adds_profiles(path: Path) -> None:
    """Texts, whole numbers and numbers, as a URL would write them."""
    path.write_text("[profiles.a]\ndelay = '1-3'\nstatus = 503\n[profiles.b]\ndelay = 0.25\n")

    loaded = profiles.load(path)

    assert {"a": {"delay": "1-3", "status": "503"}, "b": {"delay": "0.25"}} == {
        name: loaded[name] for name in ("a", "b")
    }
    assert profiles.BUILT_IN.items() <= loaded.items()


@pytest.mark.parametrize(
    ("number", "text"), [("0.00001", "0.00001"), ("1e-5", "0.00001"), ("2.0", "2")]
)
def test_a_number_is_read_as_a_url_would_write_it(path: Path, number: str, text: str) -> None:
    """TOML keeps no spelling; a delay of ten microseconds is one, however Python shows it."""
    path.write_text(f"[profiles.a]\ndelay = {number}\n")

    loaded = profiles.load(path)

    assert {"delay": text} == loaded["a"]
    assert "a" in Planner(LIMITS, profiles=loaded).profiles


def test_a_file_replaces_a_built_in_profile(path: Path) -> None:
    """Whole: nothing of the old one shines through."""
    path.write_text("[profiles.slow-tail]\nstatus = 503\n")

    expected = profiles.BUILT_IN | {"slow-tail": {"status": "503"}}
    assert expected == profiles.load(path)


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "[profiles]\n"])
def test_an_empty_file_adds_nothing(path: Path, text: str) -> None:
    """It is a beginning."""
    path.write_text(text)

    assert profiles.BUILT_IN == profiles.load(path)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[profiles.a", "is not TOML: "),
        ("[profiles.a]\ndelay = 1\ndelay = 2\n", "is not TOML: "),
        (b"[profiles.a]\nkey = '\xff'\n", "is not TOML: 'utf-8' codec can't decode"),
        ("a = " + "[" * 50_000, "is not TOML: "),
        ("n = " + "9" * 5_000, "is not TOML: "),
        ("delay = 1\n", " has delay at its top; use [profiles.NAME] tables only"),
        ("[profile.a]\ndelay = 1\n", " has profile at its top; use [profiles.NAME] tables only"),
        ("profiles = 1\n", ": profiles is not a table; write [profiles.NAME] and knobs below it"),
        ("[profiles]\ndelay = 1\n", ": [profiles.delay] is not a table; write [profiles.NAME]"),
        ("[[profiles.a]]\ndelay = 1\n", ": [profiles.a] is not a table"),
        ("[profiles.a]\ndelay = true\n", ": [profiles.a] delay = True is not a text or a number"),
        ("[profiles.a]\ndelay = [1]\n", ": [profiles.a] delay = [1] is not a text or a number"),
        ("[profiles.a.delay]\nx = 1\n", ": [profiles.a] delay = {'x': 1} is not a text"),
        ("[profiles.a]\ndelay = 07:32:00\n", ": [profiles.a] delay = datetime.time(7, 32) is not"),
    ],
    ids=lambda text: str(text)[:30],
)
def test_a_file_of_another_form_is_refused(path: Path, text: str, sentence: str) -> None:
    """The sentence names file, table and key."""
    shown = refused(path, text)

    assert f"profiles {path}" in shown or shown.startswith(f"{path}: ")
    assert sentence in shown


def test_a_missing_file_is_a_sentence(path: Path) -> None:
    """It says which, and why."""
    with pytest.raises(Fatal) as refusal:
        profiles.load(path)

    assert f"profiles {path} can't be read: No such file or directory; name a TOML file" == str(
        refusal.value
    )


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """Nor is anything else that can't be read."""
    with pytest.raises(Fatal, match="can't be read: "):
        profiles.load(tmp_path)


@pytest.mark.parametrize("number", ["nan", "inf", "-1", "1e-300", "1e300"])
def test_a_number_that_is_no_delay_is_found_by_the_planner(path: Path, number: str) -> None:
    """The file's form is right, its meaning is not; the sentence names table and key."""
    path.write_text(f"[profiles.a]\ndelay = {number}\n")

    with pytest.raises(Problem, match=r"^\[profiles\.a\] delay: .* is not a duration"):
        Planner(LIMITS, profiles=profiles.load(path))
