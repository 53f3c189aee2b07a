"""Tests of `app.titles.urls`: what is a URL, and which two are one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import BadValue
from app.titles.urls import LONGEST_URL, join, parse

BASE = parse("https://example.com/a/b?c")


@pytest.mark.parametrize(
    ("text", "href"),
    [
        ("https://example.com", "https://example.com/"),
        ("HTTP://EXAMPLE.com:80/a/../b#c", "http://example.com/b"),
        ("https://example.com:443/#", "https://example.com/"),
        ("http://example.com:443/", "http://example.com:443/"),
        (" \thttps://exam\nple.com/ ", "https://example.com/"),
        ("https:example.com", "https://example.com/"),
        ("https:\\\\example.com\\a", "https://example.com/a"),
        ("http://bücher.example/ä?ö", "http://xn--bcher-kva.example/%C3%A4?%C3%B6"),
        ("http://2130706433/", "http://127.0.0.1/"),
        ("http://0x7f.1/", "http://127.0.0.1/"),
        ("http://①②⑦.⓪.⓪.①/", "http://127.0.0.1/"),
        ("http://[::FFFF:127.0.0.1]/", "http://[::ffff:7f00:1]/"),
        ("http://127.0.0.9\\@example.com/", "http://127.0.0.9/@example.com/"),
        ("http://example.com/?q=#1#2", "http://example.com/?q="),
        ("http://example.com/%zz", "http://example.com/%zz"),
    ],
)
def test_a_text_is_read_as_browsers_read_it(text: str, href: str) -> None:
    """Two texts with the same reading are one URL."""
    assert href == parse(text).href


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "'' is not a URL; write one such as https://example.com/"),
        ("example.com", "'example.com' is not a URL; write one such as https://example.com/"),
        ("http://", "'http://' is not a URL; write one such as https://example.com/"),
        ("http://a b/", "'http://a b/' is not a URL; write one such as https://example.com/"),
        (
            "http://h:99999/",
            "'http://h:99999/' is not a URL; write one such as https://example.com/",
        ),
        ("http://\ud800/", "'http://?/' is not a URL; write one such as https://example.com/"),
        ("ftp://h/", "'ftp://h/' is no web page; only http and https URLs are fetched"),
        ("localhost:80", "'localhost:80' is no web page; only http and https URLs are fetched"),
        ("file:///etc", "'file:///etc' is no web page; only http and https URLs are fetched"),
        ("javascript:1", "'javascript:1' is no web page; only http and https URLs are fetched"),
    ],
)
def test_what_is_no_url_is_refused_with_the_reason(text: str, sentence: str) -> None:
    """Value, rule, remedy."""
    with pytest.raises(BadValue) as refusal:
        parse(text)

    assert sentence == str(refusal.value)


def test_a_url_may_be_as_long_as_servers_take_and_no_longer() -> None:
    """Counted as it is sent, escapes included."""
    start = "http://h/"
    longest = start + "a" * (LONGEST_URL - len(start))

    assert longest == parse(longest).href
    with pytest.raises(BadValue, match="has 8193 characters; at most 8192 are sent"):
        parse(longest + "a")


@pytest.mark.parametrize(
    ("text", "href"),
    [
        ("example.com", "http://example.com/"),
        (" example.com/a ", "http://example.com/a"),
        ("localhost:3000/site/1", "http://localhost:3000/site/1"),
        ("127.0.0.1:3000", "http://127.0.0.1:3000/"),
        ("[::1]:3000", "http://[::1]:3000/"),
        ("//example.com/", "http://example.com/"),
        ("https://example.com", "https://example.com/"),
        ("HTTPS:example.com", "https://example.com/"),
    ],
)
def test_a_bare_name_is_a_page_for_the_command_line(text: str, href: str) -> None:
    """What people type is what they mean."""
    assert href == parse(text, bare=True).href


@pytest.mark.parametrize("text", ["mailto:a@example.com", "ftp://example.com", "", "a b"])
def test_a_bare_text_that_is_no_page_is_refused(text: str) -> None:
    """Leniency ends where the meaning does."""
    with pytest.raises(BadValue):
        parse(text, bare=True)


@pytest.mark.parametrize(
    ("text", "origin", "host", "name", "port", "path"),
    [
        ("http://example.com/a?b", "http://example.com", "example.com", "example.com", 80, "/a"),
        ("https://h:8443", "https://h:8443", "h:8443", "h", 8443, "/"),
        ("https://[::1]/", "https://[::1]", "[::1]", "::1", 443, "/"),
        ("http://[::1]:8080/", "http://[::1]:8080", "[::1]:8080", "::1", 8080, "/"),
        ("http://a@h/", "http://h", "h", "h", 80, "/"),
    ],
)
def test_the_parts_of_a_url(  # noqa: PLR0917  # a table's columns
    text: str, origin: str, host: str, name: str, port: int, path: str
) -> None:
    """What politeness, guard and credentials go by."""
    url = parse(text)

    assert (origin, host, name, port, path) == (url.origin, url.host, url.name, url.port, url.path)


@pytest.mark.parametrize(
    ("text", "has_user"),
    [
        ("http://h/", False),
        ("http://h/a@b", False),
        ("http://h?a@b", False),
        ("http://@h/", False),
        ("http://a@h/", True),
        ("http://a:b@h/", True),
        ("http://:b@h/", True),
    ],
)
def test_credentials_in_a_url_are_seen(text: str, has_user: bool) -> None:
    """Also a password without a name."""
    assert has_user is parse(text).has_user


@pytest.mark.parametrize(
    ("location", "href"),
    [
        ("d", "https://example.com/a/d"),
        ("/d", "https://example.com/d"),
        ("?d", "https://example.com/a/b?d"),
        ("#d", "https://example.com/a/b?c"),
        ("", "https://example.com/a/b?c"),
        ("//h/d", "https://h/d"),
        ("http:d", "http://d/"),
        ("https:d", "https://example.com/a/d"),
        ("../../../d", "https://example.com/d"),
        ("/sch\u00f6n", "https://example.com/sch%C3%B6n"),
        ("/sch\udcf6n", "https://example.com/sch%F6n"),
    ],
)
def test_a_redirect_leads_where_browsers_go(location: str, href: str) -> None:
    """Relative to the page that redirects; a byte that is no UTF-8 stays that byte."""
    assert href == join(BASE, location).href


@pytest.mark.parametrize("location", ["ftp://h/", "javascript:1", "http://", "about:blank"])
def test_a_redirect_to_no_page_is_refused(location: str) -> None:
    """Only http and https, on every hop."""
    with pytest.raises(BadValue):
        join(BASE, location)


@given(st.text())
def test_reading_a_reading_changes_nothing(text: str) -> None:
    """So distinctness may go by what is stored."""
    try:
        url = parse(text, bare=True)
    except BadValue:
        return

    assert url == parse(url.href)
