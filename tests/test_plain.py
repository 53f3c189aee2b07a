"""Text of strangers: what could move a cursor or turn the order of letters is gone."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.plain import JOINERS, plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Welcome to Python.org", "Welcome to Python.org"),
        ("", ""),
        ("a\x1b[2Jb\x07", "a�[2Jb�"),
        ("\x9b31m", "�31m"),
        ("one\ntwo\tthree\r\f\v.", "one two three   ."),
        ("abc\u202etxt.exe", "abctxt.exe"),
        ("\u2066x\u2069\u200f\u061c", "x"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("par\u2029a\u2028b", "par a b"),
        ("half \ud83d", "half �"),
        ("हिन्\u200dदी", "हिन्\u200dदी"),
        ("\U0001f468\u200d\U0001f469", "\U0001f468\u200d\U0001f469"),
        ("no\xa0break", "no\xa0break"),
        ("\U000e0041tag", "tag"),
    ],
)
def test_text_is_shown_without_what_could_act(text: str, shown: str) -> None:
    """Letters of every script stay; escape sequences and marks of direction do not."""
    assert shown == plain(text)


@given(st.text())
def test_nothing_that_acts_is_left(text: str) -> None:
    """Whatever comes in, and a second time changes nothing."""
    shown = plain(text)

    categories = {unicodedata.category(each) for each in shown if each not in JOINERS}
    assert set() == categories & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert shown == plain(shown)
