"""Results as JSON Lines and CSV: everything is there, and no spreadsheet runs it."""

import csv
import io
import json

import pytest

from app.titles.exports import COLUMNS, EXPORTS, csv_lines, json_lines
from app.titles.results import Code, Failure, Hop, Result, record

RESULT = Result(
    url="https://a.example/",
    final_url="https://b.example/",
    status=404,
    title='Größe, "quoted"\u2028 and 🦀',
    charset="utf-8",
    charset_source="header",
    bytes_read=1_234,
    elapsed=0.25,
    attempts=2,
    fetched_at="2026-11-20T12:00:00.000Z",
    hops=(Hop("https://a.example/", 302, 0.1),),
    error=Failure(Code.HTTP_ERROR, "it answers 404; look at the address"),
)


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(EXPORTS[".csv"].head + text, newline="")))


def test_json_lines_hold_the_records() -> None:
    """A line each, whatever stands in a title."""
    lines = json_lines([RESULT, Result("x")]).split("\n")

    assert [record(RESULT), record(Result("x"))] == [json.loads(line) for line in lines[:-1]]
    assert "Größe" in lines[0]


def test_csv_has_a_cell_for_each_field() -> None:
    """The redirects are counted, the error is its code and its sentence."""
    assert [
        {
            "url": "https://a.example/",
            "final_url": "https://b.example/",
            "status": "404",
            "title": RESULT.title,
            "charset": "utf-8",
            "charset_source": "header",
            "bytes_read": "1234",
            "elapsed": "0.25",
            "attempts": "2",
            "fetched_at": "2026-11-20T12:00:00.000Z",
            "retry_after": "",
            "redirects": "1",
            "error": "http_error",
            "detail": "it answers 404; look at the address",
        }
    ] == rows(csv_lines([RESULT]))


def test_csv_has_nothing_for_what_is_not_known() -> None:
    """And no `None`."""
    [row] = rows(csv_lines([Result("https://a.example/")]))

    assert ("", "", "", "") == (row["title"], row["status"], row["error"], row["detail"])


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1", '=HYPERLINK("x")']
)
def test_csv_has_no_formula(text: str) -> None:
    """An apostrophe keeps a spreadsheet from running what a page is called."""
    [row] = rows(csv_lines([Result(text, title=text)]))

    assert (f"'{text}", f"'{text}") == (row["url"], row["title"])


def test_csv_leaves_numbers_and_other_text_alone() -> None:
    """An apostrophe that nobody needs would only be in the way."""
    [row] = rows(csv_lines([Result("https://a.example/", title="a = b", elapsed=0.5)]))

    assert ("a = b", "0.5") == (row["title"], row["elapsed"])


def test_head_has_as_many_columns_as_the_lines() -> None:
    """In the same order."""
    line = next(csv.reader(io.StringIO(csv_lines([RESULT]))))

    assert len(COLUMNS) == len(line)
