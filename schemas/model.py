"""Avro schemas as values, parsed strictly.

Writer schemas come from a registry that others can write to, so parsing is where hostile ones end:
recursive schemas (their data can nest without end), arrays of what takes no bytes (five bytes would
become millions of items), and schemas that are too deep or too large.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, NoReturn

from schemas.errors import RefusedSchema

PRIMITIVES = frozenset(("null", "boolean", "int", "long", "float", "double", "bytes", "string"))
MAX_TEXT = 256 * 1024
"""Characters of a schema's JSON; ours have under 4,000."""
MAX_DEPTH = 8
"""Types within types; ours nest 3 deep."""
MAX_NODES = 2_000
"""Types in a schema, named ones counted wherever they are used."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NO_DEFAULT = object()


@dataclass(frozen=True, slots=True)
class Primitive:
    """A type without parts; `logical` is its logicalType, '' where it has none."""

    kind: str
    logical: str = ""
    precision: int = 0
    scale: int = 0


@dataclass(frozen=True, slots=True)
class Fixed:
    """A fixed number of bytes."""

    name: str
    size: int
    kind: str = "fixed"


@dataclass(frozen=True, slots=True)
class Enum:
    """One of some symbols."""

    name: str
    symbols: tuple[str, ...]
    kind: str = "enum"


@dataclass(frozen=True, slots=True)
class Array:
    """A list of one type."""

    items: Type
    kind: str = "array"


@dataclass(frozen=True, slots=True)
class Map:
    """Strings to values of one type."""

    values: Type
    kind: str = "map"


@dataclass(frozen=True, slots=True)
class Union:
    """A value of one of some types."""

    branches: tuple[Type, ...]
    kind: str = "union"


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a record."""

    name: str
    type: Type
    default: Any = _NO_DEFAULT
    """As in the schema's JSON; only meaningful where `has_default`."""

    @property
    def has_default(self) -> bool:
        """Whether the schema gives a default, be it null."""
        return self.default is not _NO_DEFAULT


@dataclass(frozen=True, slots=True)
class Record:
    """Fields in order. `name` is the full name, namespace included."""

    name: str
    fields: tuple[Field, ...]
    kind: str = "record"


Type = Primitive | Fixed | Enum | Array | Map | Union | Record


def parse(text: str) -> Record:
    """Parse a schema's JSON. Raises RefusedSchema, naming the place."""
    if len(text) > MAX_TEXT:
        raise RefusedSchema(f"the schema has {len(text)} characters; at most {MAX_TEXT} are accepted")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise RefusedSchema("the schema is not JSON") from None
    parsed = _Parser().type(document, "", "schema", 0)
    if not isinstance(parsed, Record):
        raise RefusedSchema(f"the schema is of type {parsed.kind}; expected a record")
    return parsed


def takes_no_bytes(type_: Type) -> bool:
    """Whether values of the type can be written in no bytes at all."""
    match type_:
        case Primitive(kind="null") | Fixed(size=0):
            return True
        case Record(fields=fields):
            return all(takes_no_bytes(field.type) for field in fields)
        case _:
            return False


class _Parser:
    def __init__(self) -> None:
        self._named: dict[str, Type | None] = {}  # None: still open, so a use of it is a recursion
        self._nodes = 0

    def type(self, node: Any, namespace: str, place: str, depth: int) -> Type:
        if depth > MAX_DEPTH:
            _refuse(place, f"nested deeper than {MAX_DEPTH}")
        self._count(1, place)
        if isinstance(node, str):
            return self._by_name(node, namespace, place, depth)
        if isinstance(node, list):
            return self._union(node, namespace, place, depth)
        if not isinstance(node, dict):
            _refuse(place, "not a schema")
        kind = node.get("type")
        if isinstance(kind, (dict, list)):
            return self.type(kind, namespace, place, depth + 1)
        match kind:
            case "record":
                return self._record(node, namespace, place, depth)
            case "array":
                items = self.type(node.get("items"), namespace, f"{place}[]", depth + 1)
                if takes_no_bytes(items):
                    _refuse(place, "an array whose items take no bytes")
                return Array(items)
            case "map":
                return Map(self.type(node.get("values"), namespace, f"{place}{{}}", depth + 1))
            case "fixed":
                return self._fixed(node, namespace, place)
            case "enum":
                return self._enum(node, namespace, place)
            case str() if kind in PRIMITIVES:
                return _primitive(kind, node, place)
            case str():
                return self._by_name(kind, namespace, place, depth)
        raise RefusedSchema(f"{place}: no type")

    def _count(self, nodes: int, place: str) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            _refuse(place, f"more than {MAX_NODES} types")

    def _by_name(self, name: str, namespace: str, place: str, depth: int) -> Type:
        if name in PRIMITIVES:
            return Primitive(name)
        full = _full_name(name, namespace)
        if full not in self._named:
            _refuse(place, "a type that is not defined before it is used")
        found = self._named[full]
        if found is None:
            _refuse(place, "a recursive type")
        self._count(_size(found), place)
        if depth + _depth(found) - 1 > MAX_DEPTH:
            _refuse(place, f"nested deeper than {MAX_DEPTH}")
        return found

    def _union(self, node: list[Any], namespace: str, place: str, depth: int) -> Type:
        if not node:
            _refuse(place, "a union of nothing")
        branches = tuple(self.type(branch, namespace, place, depth + 1) for branch in node)
        kinds = [getattr(branch, "name", branch.kind) for branch in branches]
        if "union" in kinds or len(set(kinds)) < len(kinds):
            _refuse(place, "a union that holds a union, or one type twice")
        return Union(branches)

    def _open(self, node: dict[str, Any], namespace: str, place: str) -> str:
        name, own = node.get("name"), node.get("namespace", namespace)
        if not isinstance(name, str) or not isinstance(own, str):
            _refuse(place, "a named type without a name")
        full = _full_name(name, own)
        if not all(_NAME.fullmatch(part) for part in full.split(".")) or full in PRIMITIVES:
            _refuse(place, "a name that Avro does not allow")
        if full in self._named:
            _refuse(place, "a type that is defined twice")
        self._named[full] = None
        return full

    def _record(self, node: dict[str, Any], namespace: str, place: str, depth: int) -> Record:
        full = self._open(node, namespace, place)
        listed = node.get("fields")
        if not isinstance(listed, list):
            _refuse(place, "a record without fields")
        inner, fields = full.rpartition(".")[0], []
        for field in listed:
            name = field.get("name") if isinstance(field, dict) else None
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                _refuse(place, "a field without a name that Avro allows")
            type_ = self.type(field.get("type"), inner, f"{place}.{name}", depth + 1)
            fields.append(Field(name, type_, field.get("default", _NO_DEFAULT)))
        if len({field.name for field in fields}) < len(fields):
            _refuse(place, "a field that is there twice")
        record = Record(full, tuple(fields))
        self._named[full] = record
        return record

    def _fixed(self, node: dict[str, Any], namespace: str, place: str) -> Fixed:
        full, size = self._open(node, namespace, place), node.get("size")
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAX_TEXT:
            _refuse(place, "a fixed type without a sensible size")
        self._named[full] = fixed = Fixed(full, size)
        return fixed

    def _enum(self, node: dict[str, Any], namespace: str, place: str) -> Enum:
        full, symbols = self._open(node, namespace, place), node.get("symbols")
        if not symbols or not isinstance(symbols, list):
            _refuse(place, "an enum without symbols")
        if not all(isinstance(symbol, str) and _NAME.fullmatch(symbol) for symbol in symbols):
            _refuse(place, "an enum with a symbol that Avro does not allow")
        self._named[full] = enum = Enum(full, tuple(symbols))
        return enum


def _primitive(kind: str, node: dict[str, Any], place: str) -> Primitive:
    logical = node.get("logicalType", "")
    if not isinstance(logical, str):
        logical = ""  # the specification: a logical type that is not understood is ignored
    if (kind, logical) != ("bytes", "decimal"):
        return Primitive(kind, logical)
    precision, scale = node.get("precision"), node.get("scale", 0)
    if type(precision) is not int or type(scale) is not int or not 0 <= scale <= precision <= 1_000 or not precision:
        _refuse(place, "a decimal without a sensible precision and scale")
    return Primitive(kind, logical, precision, scale)


def _full_name(name: str, namespace: str) -> str:
    return name if "." in name or not namespace else f"{namespace}.{name}"


def _parts(type_: Type) -> tuple[Type, ...]:
    match type_:
        case Array(items=part) | Map(values=part):
            return (part,)
        case Union(branches=branches):
            return branches
        case Record(fields=fields):
            return tuple(field.type for field in fields)
        case _:
            return ()


def _size(type_: Type) -> int:
    return 1 + sum(map(_size, _parts(type_)))


def _depth(type_: Type) -> int:
    return 1 + max(map(_depth, _parts(type_)), default=0)


def _refuse(place: str, what: str) -> NoReturn:
    raise RefusedSchema(f"{place}: {what}")
