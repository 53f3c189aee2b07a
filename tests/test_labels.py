"""Tests of `app.labels`: run and key, in headers or in a query."""

import pytest

from app import labels
from app.errors import Problem
from app.labels import NAMES, Labels
from app.plan import Asked


def read(asked: Asked) -> Labels:
    return labels.take(labels.texts(asked, NAMES))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (Asked(), Labels()),
        (Asked(query="run=a&key=b"), Labels("a", "b")),
        (Asked(header="run=a&key=b+c"), Labels("a", "b c")),
        (Asked(run="a", key="b"), Labels("a", "b")),
        (Asked(query="run=a&key=b", header="run=c"), Labels("c", "b")),
        (Asked(query="run=a", run="b"), Labels("b")),
    ],
)
def test_labels_stand_in_query_or_headers(asked: Asked, expected: Labels) -> None:
    """The headers beat the query."""
    assert expected == read(asked)


@pytest.mark.parametrize(
    ("asked", "code", "parameter"),
    [
        (Asked(query="run=latest"), "bad-knob", "run"),
        (Asked(key=""), "bad-knob", "key"),
        (Asked(query="delay=1"), "unknown-knob", "delay"),
        (Asked(header="delay=1"), "unknown-knob", "delay"),
        (Asked(header="run=a&run=b"), "bad-query", "run"),
        (Asked(header="run=a", run="a"), "bad-knob", "run"),
    ],
)
def test_what_is_none_is_refused(asked: Asked, code: str, parameter: str) -> None:
    """Nothing is ignored that was meant for us."""
    with pytest.raises(Problem) as caught:
        read(asked)

    assert (code, parameter) == (caught.value.code, caught.value.parameter)


def test_other_knobs_stay_where_they_are() -> None:
    """Whoever knows more of them reads the rest."""
    texts = labels.texts(Asked(query="run=a&delay=1"), ("delay", *NAMES))

    assert (Labels("a"), {"delay": "1"}) == (labels.take(texts), texts)


def test_query_of_an_endpoint_s_own_names_knobs_by_their_prefix() -> None:
    """The rest of it may be anything, twice or broken."""
    asked = Asked(query="run=x&a=1&a=%&dawdle.run=ci&dawdle.key=k", run="b")

    assert Asked(query="run=ci&key=k", run="b") == labels.prefixed(asked)
