"""Tests of `app.titles.results`: the record of a result, there and back."""

import json

from hypothesis import given
from hypothesis import strategies as st

from app.titles.results import FIELDS, Code, Failure, Hop, Result, from_record, record

URL = "https://example.com/"
seconds = st.floats(0, 1e6)
texts = st.text(st.characters(exclude_categories=["Cs"]))
results = st.builds(
    Result,
    url=texts,
    final_url=st.none() | texts,
    status=st.none() | st.integers(200, 599),
    title=st.none() | texts,
    charset=st.none() | texts,
    charset_source=st.none() | texts,
    bytes_read=st.integers(0),
    elapsed=seconds,
    attempts=st.integers(1, 9),
    fetched_at=st.none() | texts,
    hops=st.lists(st.builds(Hop, texts, st.integers(300, 399), seconds)).map(tuple),
    retry_after=st.none() | seconds,
    error=st.none() | st.builds(Failure, st.sampled_from(Code), texts, st.booleans()),
)


@given(results)
def test_a_record_reads_back_as_the_result_it_was_made_from(result: Result) -> None:
    """Also through JSON, which knows neither tuples nor enums."""
    assert result == from_record(json.loads(json.dumps(record(result))))


def test_a_record_has_every_field_in_order() -> None:
    """Readers of CSV count columns."""
    assert FIELDS == tuple(record(Result(URL)))


def test_an_error_is_a_code_a_sentence_and_whether_to_hope() -> None:
    """Programs read the first, people the second, retries the third."""
    result = Result(URL, error=Failure(Code.NOT_HTML, "it is a picture"))

    assert {"code": "not_html", "detail": "it is a picture", "temporary": False} == (
        record(result)["error"]
    )


def test_hops_are_objects_of_url_status_and_time() -> None:
    """Each redirect that was followed says where from."""
    result = Result(URL, hops=(Hop("http://example.com/", 301, 0.25),))

    assert [{"url": "http://example.com/", "status": 301, "elapsed": 0.25}] == (
        record(result)["hops"]
    )


def test_a_code_is_its_own_text() -> None:
    """So a count by code is a count by the text that users see."""
    assert {"dns_error": 2} == {Code.DNS_ERROR: 2}
