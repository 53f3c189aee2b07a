"""The URLs of a new job: distinct ones, at their first positions."""

from hypothesis import given
from hypothesis import strategies as st

from app.titles.intake import Intake
from app.titles.results import Code
from app.titles.urls import LONGEST_URL


def urls(*texts: str, bare: bool = False) -> list[tuple[int, str]]:
    """(position, URL) of what is taken in."""
    return [(entry.position, entry.url) for entry in Intake(bare=bare).read(texts)]


def test_repeats_are_dropped_and_counted() -> None:
    """A URL has one result, where it came first; the standard says which texts are one URL."""
    intake = Intake(bare=False)

    entries = intake.read(
        ["http://a.test/", "HTTP://A.TEST:80", "http://b.test/", "http://a.test/#part"]
    )

    assert [(0, "http://a.test/"), (2, "http://b.test/")] == [each[:2] for each in entries]
    assert (2, 2) == (intake.urls, intake.repeats)


def test_repeats_are_found_however_the_texts_are_portioned() -> None:
    """A long list is read in parts."""
    intake = Intake(bare=False)

    entries = [*intake.read(["http://a.test/"]), *intake.read(["http://a.test/", "http://b.test/"])]

    assert [0, 2] == [entry.position for entry in entries]
    assert 1 == intake.repeats


def test_a_host_is_numbered_by_its_first_url() -> None:
    """So hosts have their turns in the order in which they came; a port makes another host."""
    entries = Intake(bare=False).read(
        ["http://a.test/1", "http://b.test/", "http://a.test/2", "http://a.test:8080/"]
    )

    assert [("a.test", 0), ("b.test", 1), ("a.test", 0), ("a.test:8080", 3)] == [
        (entry.host, entry.host_number) for entry in entries
    ]


def test_what_is_no_url_has_its_result_at_once() -> None:
    """It keeps its place among the others, and its own text."""
    first, second = Intake(bare=False).read([" nonsense ", "http://a.test/"])

    assert second.result is None
    assert first.result is not None
    assert first.result.error is not None
    assert (0, "nonsense", 0) == (first.position, first.result.url, first.result.attempts)
    assert Code.INVALID_URL == first.result.error.code


def test_nonsense_is_a_repeat_of_itself() -> None:
    """One line of a list that is there a thousand times is one result."""
    intake = Intake(bare=False)
    intake.read(["nonsense"] * 3)

    assert (1, 2, 1) == (intake.urls, intake.repeats, intake.refused)


def test_long_nonsense_is_cut() -> None:
    """A megabyte in the wrong place is not stored."""
    [entry] = Intake(bare=False).read(["x" * 1_000_000])

    assert LONGEST_URL == len(entry.url)


def test_bare_names_are_urls_only_where_asked_for() -> None:
    """People at a terminal write `example.com`; programs that do have made a mistake."""
    assert [(0, "http://example.com/")] == urls("example.com", bare=True)
    assert [(0, "example.com")] == urls("example.com")


@given(st.lists(st.sampled_from(["http://a.test/", "http://a.test", "x", "http://b.test/é", " x"])))
def test_every_text_is_taken_in_or_a_repeat(texts: list[str]) -> None:
    """Nothing gets lost between the two."""
    intake = Intake(bare=False)

    entries = intake.read(texts)

    assert len(texts) == len(entries) + intake.repeats
    assert len(entries) == intake.urls == len({entry.url for entry in entries})


@given(st.text(st.characters(exclude_categories=()), max_size=20))
def test_no_text_is_too_strange(text: str) -> None:
    """Lone surrogates, control characters, whatever a body or a file holds."""
    [entry] = Intake(bare=False).read([text])

    entry.url.encode()
