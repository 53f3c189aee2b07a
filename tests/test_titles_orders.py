"""Bodies and queries -> URLs and options."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import BadValue
from app.titles import orders
from app.titles.options import Options
from app.titles.orders import Order

SECOND = 1_000_000_000
URLS = ["https://a.example/", "https://b.example/?x=1&y=2"]


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        ("", []),
        ("https://a.example/", ["https://a.example/"]),
        ("\ufeff a \r\n\r\n# no\n b\rc\n", ["a", "b", "c"]),
        ("a\u2028b\x0bc", ["a\u2028b\x0bc"]),
    ],
)
def test_text_has_a_url_a_line(text: str, urls: list[str]) -> None:
    """Blank lines and those that begin with # are none; only line feeds and returns end one."""
    assert urls == orders.lines(text)


def test_options_of_a_text_stand_in_the_query() -> None:
    """Where else."""
    order = orders.from_text("\n".join(URLS), "concurrency=7&timeout=2s")

    assert Order(URLS, Options(concurrency=7, timeout_ns=2 * SECOND)) == order


def test_query_names_urls_and_options() -> None:
    """A URL's own `&` is escaped, as everywhere."""
    order = orders.from_query(
        "url=https://a.example/&retries=0&url=https%3A%2F%2Fb.example%2F%3Fx%3D1%26y%3D2"
    )

    assert Order(URLS, Options(retries=0)) == order


def test_json_has_urls_and_options_beside_them() -> None:
    """Numbers as numbers or as text, durations as in knobs."""
    order = orders.from_json(
        '{"urls": ["https://a.example/", "https://b.example/?x=1&y=2"], "concurrency": 100, '
        '"per_host": "3", "timeout": 2.5, "retries": 1.0}'
    )

    options = Options(concurrency=100, per_host=3, timeout_ns=5 * SECOND // 2, retries=1)
    assert Order(URLS, options) == order


def test_form_has_lists_and_options() -> None:
    """A field left blank has its default; the file counts after what was typed."""
    order = orders.from_form(
        [("urls", f"{URLS[0]}\r\n"), ("file", URLS[1]), ("timeout", " 3s "), ("retries", "")]
    )

    assert Order(URLS, Options(timeout_ns=3 * SECOND)) == order


@pytest.mark.parametrize(
    ("text", "parameter", "sentence"),
    [
        ("{", None, "the body is no JSON"),
        ("[" * 100_000, None, "the body is no JSON"),
        ("[]", "urls", 'the body has no list "urls"'),
        ("{}", "urls", 'the body has no list "urls"'),
        ('{"urls": "https://a.example/"}', "urls", 'the body has no list "urls"'),
        ('{"urls": ["a", 7]}', "urls", "urls[1] is '7', no text"),
        ('{"urls": [], "concurrency": true}', "concurrency", "concurrency: 'true' is neither"),
        ('{"urls": [], "concurrency": null}', "concurrency", "concurrency: 'null' is neither"),
        ('{"urls": [], "concurrency": 0}', "concurrency", "concurrency: 0 is out of range"),
        ('{"urls": [], "concurrency": 2.5}', "concurrency", "concurrency: '2.5' is not a whole"),
        ('{"urls": [], "timeout": NaN}', "timeout", "timeout: 'NaN' is not a duration"),
        ('{"urls": [], "timeout": -1}', "timeout", "timeout: '-1' is not a duration"),
        ('{"urls": [], "concurency": 5}', "concurency", "there is no option 'concurency'"),
    ],
)
def test_json_that_cannot_be_read_is_refused(text: str, parameter: str, sentence: str) -> None:
    """With the member at fault, the value and the rule."""
    with pytest.raises(BadValue) as refusal:
        orders.from_json(text)

    assert parameter == refusal.value.parameter
    assert str(refusal.value).startswith(sentence)


@pytest.mark.parametrize(
    ("fields", "parameter", "sentence"),
    [
        ([("per_host", "11")], "per_host", "per_host: 11 is out of range; use 1 to 10"),
        ([("url", "x")], "url", "there is no option 'url'"),
        ([("retries", "1"), ("retries", "1")], "retries", "'retries' is given twice"),
        ([("https://a.example/\nhttps://b.example/?x", "1")], None, "the body is a list of URLs"),
    ],
)
def test_form_that_cannot_be_read_is_refused(
    fields: list[tuple[str, str]], parameter: str | None, sentence: str
) -> None:
    """A list that curl sent as a form is told how to be sent."""
    with pytest.raises(BadValue) as refusal:
        orders.from_form(fields)

    assert parameter == refusal.value.parameter
    assert str(refusal.value).startswith(sentence)


@pytest.mark.parametrize(
    "query", ["url=%zz", "url=%ff", "url=a&x=1", "concurrency=1&concurrency=1"]
)
def test_query_that_cannot_be_read_is_refused(query: str) -> None:
    """By the same rules as everywhere."""
    with pytest.raises(BadValue):
        orders.from_query(query)


@given(st.text())
def test_no_body_is_a_surprise(text: str) -> None:
    """Any text is an order or refused."""
    for read in (orders.from_json, orders.from_query):
        with suppress(BadValue):
            assert isinstance(read(text), Order)


def test_what_was_typed_is_given_back_without_files() -> None:
    """No browser would take a file back."""
    fields = [("urls", "a"), ("file", "b"), ("timeout", "x")]

    assert {"urls": "a", "timeout": "x"} == orders.given(fields)
