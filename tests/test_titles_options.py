"""What a client may choose for a job, read and shown."""

import pytest

from app.errors import BadValue
from app.titles.options import MOST_AT_ONCE, MOST_PER_HOST, SECOND, Options, document, read


def test_nothing_chosen_is_the_default() -> None:
    """The contract's example is what one gets without asking."""
    assert Options(50, 6, 10 * SECOND, 2) == read({})


def test_options_read_back_as_shown() -> None:
    """What JSON shows can be sent again."""
    chosen = Options(concurrency=7, per_host=1, timeout_ns=SECOND // 4, retries=0)

    shown = document(chosen)

    assert {"concurrency": 7, "per_host": 1, "timeout": "250ms", "retries": 0} == shown
    assert chosen == read({name: str(value) for name, value in shown.items()})


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("concurrency", ("1", str(MOST_AT_ONCE))),
        ("per_host", ("1", str(MOST_PER_HOST))),
        ("timeout", ("100ms", "5m")),
        ("retries", ("0", "10")),
    ],
)
def test_bounds_are_included(name: str, texts: tuple[str, str]) -> None:
    """The least and the most that a message names can be used."""
    for text in texts:
        read({name: text})


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("concurrency", "0", "concurrency: 0 is out of range; use 1 to 200"),
        ("concurrency", "201", "concurrency: 201 is out of range; use 1 to 200"),
        ("per_host", "11", "per_host: 11 is out of range; use 1 to 10"),
        ("timeout", "99ms", "timeout: 99ms is out of range; use 100ms to 300s"),
        ("timeout", "301", "timeout: 301 is out of range; use 100ms to 300s"),
        ("retries", "11", "retries: 11 is out of range; use 0 to 10"),
        ("retries", "-1", "retries: '-1' is not a whole number; write 1 to 18 digits"),
        ("retrys", "1", "there is no option 'retrys'; the nearest is retries"),
    ],
)
def test_refusals_name_value_rule_and_remedy(name: str, text: str, sentence: str) -> None:
    """One sentence, and the parameter at fault."""
    with pytest.raises(BadValue) as refusal:
        read({name: text})

    assert (sentence, name) == (str(refusal.value), refusal.value.parameter)
