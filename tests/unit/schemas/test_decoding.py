"""Exactly one record, in exactly one way: what the compiled decoders refuse, and how schemas resolve."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import fastavro
import pytest

from schemas.decoding import compile_decoder, project
from schemas.errors import IncompatibleSchema, Undecodable
from schemas.model import Record, parse


def _record(*fields: dict[str, Any], name: str = "R") -> str:
    return json.dumps({"type": "record", "name": name, "fields": list(fields)})


def _field(type_: Any, name: str = "f", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": type_, **more}


def _decode(writer: str, data: bytes, reader: str | None = None) -> Any:
    return compile_decoder(parse(writer), parse(reader or writer), {}, names={}, start=0)(data)


_TEXT = _record(_field("string"))
_OPTIONAL = _record(_field(["null", "string"]))
_LONG = _record(_field("long"))
_INT = _record(_field("int"))
_MAP = _record(_field({"type": "map", "values": "string"}))
_ARRAY = _record(_field({"type": "array", "items": "long"}))
_DECIMAL = _record(_field({"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}))


@pytest.mark.parametrize(
    ("schema", "data", "why"),
    [
        (_TEXT, b"", "cut short"),
        (_TEXT, b"\x06ab", "cut short"),
        (_TEXT, b"\x02ab", "bytes follow"),
        (_TEXT, b"\x01", "negative"),
        (_TEXT, b"\x02\xff", "not UTF-8"),
        (_TEXT, b"\x06\xed\xa0\x80", "not UTF-8"),
        (_TEXT, b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", "cut short"),
        (_LONG, b"\x80", "cut short"),
        (_LONG, b"\x80\x00", "padded"),
        (_LONG, b"\xff" * 9 + b"\x02", "longer than 64 bits"),
        (_LONG, b"\x80" * 100_000, "longer than 64 bits"),
        (_INT, b"\x80\x80\x80\x80\x10", "longer than 32 bits"),
        (_OPTIONAL, b"\x01", "no such branch"),
        (_OPTIONAL, b"\x04", "no such branch"),
        (_OPTIONAL, b"\x82\x00", "no such branch"),
        (_MAP, b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", "cut short"),
        (_MAP, b"\x01\x02\x00\x00\x00", "not as long as it says"),
        (_MAP, b"\x01\x01\x00\x00\x00", "negative"),
        (_ARRAY, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00", "cut short"),
        (_DECIMAL, b"\x00", "no digits or too many"),
        (_DECIMAL, b"\x04\x27\x10", "no digits or too many"),
        (_DECIMAL, b"\x04\xd8\xf0", "no digits or too many"),
        (_record(_field("boolean")), b"\x02", "neither 0 nor 1"),
        (_record(_field("double")), b"\x00" * 7, "cut short"),
        (_record(_field({"type": "fixed", "name": "F", "size": 4})), b"abc", "cut short"),
        (_record(_field({"type": "enum", "name": "E", "symbols": ["a"]})), b"\x01", "no such symbol"),
    ],
)
def test_refused(schema: str, data: bytes, why: str) -> None:
    """Bytes that are not exactly one record are refused, and the message says why."""
    with pytest.raises(Undecodable, match=why):
        _decode(schema, data)


@pytest.mark.parametrize(
    ("schema", "data"),
    [
        (_OPTIONAL, b"\x03"),  # branch -2
        (_LONG, b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"),
        (_MAP, b"\x01\x7e\x00\x00\x00"),  # a block that says 63 bytes and has 2
        (_INT, b"\xfe\xff\xff\xff\xff\x01"),
    ],
)
def test_fastavro_accepts_what_is_no_record(schema: str, data: bytes) -> None:
    """The reason for decoders of our own; should fastavro get stricter, this says that they can go."""
    fastavro.schemaless_reader(BytesIO(data), fastavro.parse_schema(json.loads(schema)), None)
    with pytest.raises(Undecodable):
        _decode(schema, data)


@pytest.mark.parametrize(
    ("schema", "data", "value"),
    [
        (_MAP, b"\x02\x02a\x02b\x01\x08\x02c\x02d\x00", {"a": "b", "c": "d"}),  # two blocks, one with its size
        (_ARRAY, b"\x03\x04\x02\x04\x02\x06\x00", [1, 2, 3]),
        (_LONG, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", -(1 << 63)),
        (_INT, b"\xff\xff\xff\xff\x0f", -(1 << 31)),
        (_OPTIONAL, b"\x00", None),
        (_record(_field("boolean")), b"\x01", True),
        (_record(_field({"type": "enum", "name": "E", "symbols": ["a", "b"]})), b"\x02", "b"),
        (_record(_field("float")), b"\x00\x00\x80\x3f", 1.0),
    ],
)
def test_accepted(schema: str, data: bytes, value: object) -> None:
    """What is a record by the specification is decoded, block sizes and all."""
    assert _decode(schema, data) == {"f": value}


_NEWER = _record(
    _field("string", "a"),
    _field({"type": "array", "items": {"type": "map", "values": ["null", "long", "boolean"]}}, "new"),
    _field("int", "b"),
    _field({"type": "record", "name": "I", "fields": [_field("double", "x"), _field("bytes", "y")]}, "inner"),
    _field(["null", "string", "long"], "c"),
)
_OLDER = _record(
    _field("long", "b"), _field(["null", "string"], "c"), _field("string", "a"), _field("string", "d", default="-")
)


def _newer(c: object) -> bytes:
    out = BytesIO()
    datum = {"a": "A", "new": [{"k": 5, "l": None, "m": True}, {}], "b": -7, "inner": {"x": 1.5, "y": b"zz"}, "c": c}
    fastavro.schemaless_writer(out, fastavro.parse_schema(json.loads(_NEWER)), datum)
    return out.getvalue()


def test_resolution() -> None:
    """Fields go by name, those we don't know are skipped, missing ones get their default, ints become longs."""
    assert _decode(_NEWER, _newer("C"), _OLDER) == {"b": -7, "c": "C", "a": "A", "d": "-"}
    assert _decode(_NEWER, _newer(None), _OLDER)["c"] is None


def test_a_branch_that_the_reader_lacks() -> None:
    """A union may have a branch that we can't read: only records that use it are undecodable."""
    with pytest.raises(Undecodable, match="can not have here"):
        _decode(_NEWER, _newer(9), _OLDER)


@pytest.mark.parametrize(
    ("writer", "reader", "why"),
    [
        (_record(_field("string")), _record(_field("long")), "f: string can't be read as long"),
        (_record(_field("long")), _record(_field("int")), "f: long can't be read as int"),
        (_record(_field("long", "g")), _LONG, "f: not in the writer's schema"),
        (_record(_field("bytes")), _DECIMAL, r"f: bytes can't be read as decimal\(4,2\)"),
        (
            _record(_field({"type": "long", "logicalType": "timestamp-millis"})),
            _record(_field({"type": "long", "logicalType": "timestamp-micros"})),
            "timestamp-millis",
        ),
        (_record(_field("string"), name="S"), _TEXT, "record S"),
    ],
)
def test_incompatible(writer: str, reader: str, why: str) -> None:
    """Where no record could be read, compiling fails and names the field."""
    with pytest.raises(IncompatibleSchema, match=why):
        compile_decoder(parse(writer), parse(reader), {}, names={}, start=0)


def test_truncated_in_what_is_skipped() -> None:
    """A length past the end is seen also where the field is not read (fastavro's skip does not see it)."""
    writer, reader = parse(_record(_field("long", "a"), _field("bytes", "b"))), frozenset({"a"})
    decode = compile_decoder(writer, project(writer, reader), {}, names={}, start=0)
    assert decode(b"\x02\x04zz") == {"a": 1}
    with pytest.raises(Undecodable, match="cut short"):
        decode(b"\x02\x7ezz")


def test_projection_of_an_unknown_field() -> None:
    """A field that there is none of is a mistake in the program, and named."""
    with pytest.raises(ValueError, match="R has no field nope"):
        project(parse(_LONG), frozenset({"f", "nope"}))


def test_deepest_schema_compiles() -> None:
    """The depth that parsing allows stays within Python's limit of nested blocks."""
    type_: Any = "long"
    for _ in range(7):
        type_ = {"type": "array", "items": type_}
    schema = parse(_record(_field(type_)))
    assert isinstance(schema, Record)
    assert _decode(_record(_field(type_)), b"\x02" * 7 + b"\x08" + b"\x00" * 7) == {"f": [[[[[[[4]]]]]]]}
