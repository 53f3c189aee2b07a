"""Tests of `app.errors`: the table of problems and their documents."""

from http import HTTPStatus

import pytest

from app.errors import TABLE, BadValue, Fatal, Problem


@pytest.mark.parametrize("code", TABLE)
def test_a_row_of_the_table_makes_a_complete_document(code: str) -> None:
    """RFC 9457: type, title, status and detail, the status being an error's."""
    document = Problem(code, "value, rule, remedy").document()

    assert {
        "type": f"urn:dawdle:problem:{code}",
        "title": TABLE[code][1],
        "status": int(TABLE[code][0]),
        "detail": "value, rule, remedy",
    } == document
    assert 400 <= TABLE[code][0] < 600


def test_a_problem_of_a_knob_names_it() -> None:
    """`parameter` is a member only where something is at fault."""
    problem = Problem("bad-knob", "delay: 'x' is not a duration; write 2", "delay")

    assert "delay" == problem.document()["parameter"]
    assert "parameter" not in Problem("internal", "our own fault").document()


def test_an_empty_name_at_fault_is_named_too() -> None:
    """`?=1` has a name: the empty one."""
    assert "" == Problem("unknown-knob", "'' is not a knob", "").document()["parameter"]


def test_titles_differ_between_problems() -> None:
    """RFC 9457 section 3.1.3: the title tells the type of problem."""
    assert len(TABLE) == len({title for _, title in TABLE.values()})


def test_a_problem_reads_as_its_sentence() -> None:
    """Logs and terminals show the detail."""
    problem = Problem("unknown-run", "there is no run 'ci'; name another")

    assert "there is no run 'ci'; name another" == str(problem)
    assert HTTPStatus.NOT_FOUND is problem.status
    assert "There is no such run" == problem.title


def test_a_bad_value_may_know_its_name() -> None:
    """The grammar says which name the text stood under, if any."""
    assert ("a sentence", "delay") == (
        str(BadValue("a sentence", "delay")),
        BadValue("a sentence", "delay").parameter,
    )
    assert BadValue("a sentence").parameter is None


def test_what_ends_a_command_is_a_sentence() -> None:
    """`Fatal` is printed as it is."""
    assert "port 3000 is in use; choose another" == str(
        Fatal("port 3000 is in use; choose another")
    )
