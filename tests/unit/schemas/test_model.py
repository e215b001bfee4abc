"""Schemas that could hurt us are refused before any data is read with them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.errors import RefusedSchema
from schemas.model import MAX_TEXT, parse


def _nested(depth: int) -> Any:
    type_: Any = "long"
    for _ in range(depth):
        type_ = {"type": "array", "items": type_}
    return type_


def _growing(levels: int, uses: int) -> Any:
    """Records that each use the one before several times: uses**levels types from a short text."""
    fields = [{"name": "f0", "type": {"type": "record", "name": "R0", "fields": [{"name": "x", "type": "long"}]}}]
    for level in range(1, levels):
        inner = [{"name": f"u{use}", "type": f"R{level - 1}"} for use in range(uses)]
        fields.append({"name": f"f{level}", "type": {"type": "record", "name": f"R{level}", "fields": inner}})
    return fields


def _of(type_: Any) -> str:
    return json.dumps({"type": "record", "name": "R", "fields": [{"name": "f", "type": type_}]})


_LONGER = {"type": "record", "name": "L", "fields": [{"name": "next", "type": ["null", "L"]}]}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        (" " * (MAX_TEXT + 1), "characters"),
        ("5", "not a schema"),
        ('"string"', "expected a record"),
        (_of(_LONGER), "schema.f.next: a recursive type"),
        (_of(["null", "R"]), "schema.f: a recursive type"),
        (_of({"type": "map", "values": "R"}), "recursive"),
        (_of({"type": "array", "items": "null"}), "schema.f: an array whose items take no bytes"),
        (_of({"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}}), "take no bytes"),
        (
            _of({"type": "array", "items": {"type": "record", "name": "E", "fields": [{"name": "n", "type": "null"}]}}),
            "take no bytes",
        ),
        (_of(_nested(8)), "nested deeper"),
        (json.dumps({"type": "record", "name": "R", "fields": _growing(9, 1)}), "nested deeper"),
        (json.dumps({"type": "record", "name": "R", "fields": _growing(6, 8)}), "more than 2000 types"),
        (_of("Unknown"), "not defined before"),
        (_of([]), "a union of nothing"),
        (_of(["null", ["string"]]), "a union that holds a union"),
        (_of(["string", "string"]), "one type twice"),
        (_of({"type": "enum", "name": "E", "symbols": ["a\nb"]}), "symbol"),
        (_of({"type": "fixed", "name": "F", "size": -1}), "size"),
        (_of({"type": "bytes", "logicalType": "decimal", "precision": 2, "scale": 3}), "precision"),
        (_of({}), "no type"),
        ('{"type": "record", "name": "a b", "fields": []}', "a name that Avro does not allow"),
        ('{"type": "record", "name": "R"}', "without fields"),
        ('{"type": "record", "name": "R", "fields": [{"name": "x\\n", "type": "int"}]}', "a field without a name"),
        (json.dumps({"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}] * 2}), "there twice"),
        (
            json.dumps(
                {"type": "record", "name": "R", "fields": [{"name": f"f{n}", "type": "int"} for n in range(2001)]}
            ),
            "more than 2000 types",
        ),
    ],
)
def test_refused(text: str, why: str) -> None:
    """Each is refused with the place and the reason, on one line."""
    with pytest.raises(RefusedSchema, match=why) as caught:
        parse(text)
    assert "\n" not in str(caught.value)


def test_named_types_may_be_used_again() -> None:
    """A type that is complete can be used by name, also by its short one."""
    fixed = {"type": "fixed", "name": "Id", "size": 2}
    text = json.dumps(
        {
            "type": "record",
            "name": "n.R",
            "fields": [{"name": "a", "type": fixed}, {"name": "b", "type": "Id"}, {"name": "c", "type": "n.Id"}],
        }
    )
    first, *others = [field.type for field in parse(text).fields]
    assert all(other == first for other in others)
