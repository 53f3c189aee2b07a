"""Tests of `app.titles.media`: the type a response names, or looks like."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.titles.media import HTML, SNIFFED_BYTES, Media, looks_like_html, media_type


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["text/html"], Media("text/html")),
        ([" Text/HTML ; charset=UTF-8"], Media("text/html", "UTF-8")),
        (["text/html;charset=gbk;x=y"], Media("text/html", "gbk")),
        (["text/html; x=y; CharSet=gbk"], Media("text/html", "gbk")),
        (['text/html; charset="shift_jis"'], Media("text/html", "shift_jis")),
        (['text/html; charset="g\\bk"'], Media("text/html", "gbk")),
        (['text/html; charset="gbk'], Media("text/html", "gbk")),
        (["text/html; charset="], Media("text/html")),
        (["text/html; charset=a; charset=b"], Media("text/html", "a")),
        (["text/plain", "text/html"], Media("text/html")),
        (["text/plain, text/html"], Media("text/html")),
        (["text/html; charset=gbk", "text/html"], Media("text/html", "gbk")),
        (["text/html; charset=gbk", "text/plain"], Media("text/plain")),
        (["text/html; charset=gbk, text/html; x=y"], Media("text/html", "gbk")),
        (["text/html; charset=gbk", "text/html; charset=big5"], Media("text/html", "big5")),
        (["text/html", "rubbish"], Media("text/html")),
        (["text/html, */*"], Media("text/html")),
        (['text/html; x=",text/plain"'], Media("text/html")),
        (["image/svg+xml"], Media("image/svg+xml")),
    ],
)
def test_a_media_type_is_extracted_as_the_fetch_standard_does(
    values: list[str], expected: Media
) -> None:
    """The last that can be read counts; its charset may come from one before."""
    assert expected == media_type(values)


@pytest.mark.parametrize(
    "value",
    [
        *("", "html", "text/", "/html", "text html", "*/*", "unknown/unknown"),
        *("application/unknown", "text/html x", ";charset=utf-8"),
    ],
)
def test_what_names_no_type_is_none(value: str) -> None:
    """So that the beginning decides."""
    assert media_type([value]) is None


def test_no_header_names_no_type() -> None:
    """Of which there are many."""
    assert media_type([]) is None


@given(st.lists(st.text()))
def test_no_content_type_is_too_odd(values: list[str]) -> None:
    """A header comes from a stranger."""
    media_type(values)


def test_titles_are_looked_for_in_html_alone() -> None:
    """Not in plain text, nor in other XML."""
    assert {"text/html", "application/xhtml+xml"} == HTML


@pytest.mark.parametrize(
    "beginning",
    [
        b"<!doctype html>",
        b" \t\r\n\x0c<!DOCTYPE HTML ",
        b"<html>",
        b"<HEAD><title>",
        b"<title>x",
        b"<p>",
        b"<a href=x>",
        b"<!-- x -->",
    ],
)
def test_some_beginnings_mean_html(beginning: bytes) -> None:
    """MIME Sniffing 7.1: after white space, a known tag that ends, in any case."""
    assert looks_like_html(beginning)


@pytest.mark.parametrize(
    "beginning",
    [
        b"",
        b"title",
        b"<!doctype htm",
        b"<html",
        b"<html\n>",
        b"<?xml version='1.0'?><html>",
        b"<abbr>",
        b"\xef\xbb\xbf<html>",
        b"%PDF-1.7",
        b"<!--x",
        b" " * SNIFFED_BYTES + b"<html>",
    ],
)
def test_other_beginnings_do_not(beginning: bytes) -> None:
    """Nor is anything looked for behind the first 1,445 bytes."""
    assert not looks_like_html(beginning)
