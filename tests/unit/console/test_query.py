"""Queries: what is sent is ours alone, what is shown can be run."""

from __future__ import annotations

import pytest

from console.filters import Filters
from console.query import Query, conditions, escaped, literal
from console.questions import QUESTIONS, Asked
from tests.console_rows import HOSTILE


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ("it's", "String", r"'it\'s'"),
        ("back\\slash\n\t\0", "String", r"'back\\slash\n\t\0'"),
        ("2026-01-31", "Date", "'2026-01-31'::Date"),
        ("7", "UInt32", "7"),
    ],
)
def test_literals(value: str, kind: str, expected: str) -> None:
    """Whatever would end a string or a line is escaped; other types are cast."""
    assert literal(value, kind) == expected


def test_a_number_is_one() -> None:
    """A literal of a number can't be anything else."""
    with pytest.raises(ValueError, match="invalid literal"):
        literal("1 OR 1", "UInt8")


def test_parameters_are_escaped_as_fields() -> None:
    """As in TabSeparated: quotes mean nothing there, tabs and lines do."""
    assert escaped("a'b\\c\td\ne") == "a'b\\\\c\\td\\ne"


def test_only_what_is_named_is_sent_and_once_shown_nothing_is_replaced_again() -> None:
    """A value that looks like a placeholder stays a value."""
    query = Query("SELECT {one:String}, {two:String}", {"one": "{two:String}", "two": "x", "three": "y"})
    assert query.sent == {"param_one": "{two:String}", "param_two": "x"}
    assert query.shown == "SELECT '{two:String}', 'x'"


def test_conditions() -> None:
    """None make no clause."""
    assert conditions([]) == ""
    assert conditions(["a = 1", "", "b = 2"]) == "\nWHERE a = 1\n    AND b = 2"


@pytest.mark.parametrize("name", sorted(QUESTIONS))
def test_no_question_has_what_people_chose_in_its_text(name: str) -> None:
    """Each filter and option, set to names that nobody should trust, changes no statement but by parts of ours."""
    question = QUESTIONS[name]
    schemas = [{}, dict.fromkeys(question.looks_at, frozenset({"segment"}))]
    for schema in schemas:
        texts = set()
        for value in HOSTILE:
            chosen = {
                "stage": value,
                "by": value,
                "measure": value,
                "currency": value,
                "team": value,
                "rep": value,
                "status": value,
            }
            filters = Filters(funnel=value, channel=value, campaign=value, segment=value, options=chosen)
            query = question.ask(Asked(filters.only(question.takes), schema, "00000000-0000-0000-0000-000000000000"))
            assert value not in query.sql
            assert set(query.sent.values()) <= {escaped(value), "00000000-0000-0000-0000-000000000000"}
            texts.add(query.sql)
        assert len(texts) == 1
