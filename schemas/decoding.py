"""Schemas compiled to Python functions that decode.

Why not fastavro here: measured, these functions are faster, and they accept exactly the records of a
schema, where fastavro takes union branch -1, varints of any length, sizes of blocks that lie, and, when
a field is skipped, lengths past the end (`tests/unit/schemas/test_decoding.py` shows each). What the
schemas resolve to is settled at compile time: a projection costs less than the whole record, never more.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Context, Decimal
from typing import Any

from schemas.errors import IncompatibleSchema, Undecodable
from schemas.model import Array, Enum, Field, Fixed, Map, Primitive, Record, Type, Union
from schemas.resolution import branch_for, problems

Construct = Callable[[Mapping[str, str]], str]
"""From the names of a record's fields to the Python expressions of their values, to the record's own."""

_EXACT = Context(prec=1_000)


def compile_decoder(
    writer: Record, reader: Record, construct: Mapping[str, Construct], *, names: Mapping[str, Any], start: int
) -> Callable[[bytes], Any]:
    """A function from bytes to the value that `reader` sees in a record written with `writer`.

    `construct` says by full name what records become (a dict where it is silent), in terms of `names`.
    The record begins at byte `start` and ends with the bytes. The function raises Undecodable, and
    nothing else, on any bytes that are not exactly one record; text that `reader` doesn't read is
    skipped without looking whether it is UTF-8.

    Raises IncompatibleSchema where `reader` can't read what `writer` wrote, whatever the record.
    """
    return _Compiler(construct, names).function(writer, reader, start)


def project(record: Record, fields: frozenset[str]) -> Record:
    """The same record with only the fields named. Raises ValueError for one that it doesn't have."""
    unknown = fields - {field.name for field in record.fields}
    if unknown:
        raise ValueError(f"{record.name} has no field {', '.join(sorted(unknown))}")
    return replace(record, fields=tuple(field for field in record.fields if field.name in fields))


def varint(data: bytes, position: int) -> tuple[int, int]:
    """A varint of more than a byte: its value before zigzag, and where its last byte is."""
    first = position
    raw = shift = 0
    # A time in microseconds takes eight bytes: what is asked of each is little.
    while (byte := data[position]) > 127:
        raw |= (byte & 127) << shift
        shift += 7
        position += 1
        if shift > 63:
            raise Undecodable("a number in the record is longer than 64 bits")
    raw |= byte << shift
    if raw >> 64:
        raise Undecodable("a number in the record is longer than 64 bits")
    if not byte and position > first:
        raise Undecodable("a number in the record is padded")
    return raw, position


def length(data: bytes, position: int) -> tuple[int, int]:
    """As `varint`, of a length, which can't be negative."""
    raw, position = varint(data, position)
    if raw & 1:
        raise Undecodable("a length in the record is negative")
    return raw, position


def decimal(raw: bytes, limit: int, scale: int) -> Decimal:
    """A decimal whose unscaled value is less than `limit`, from its big-endian two's complement."""
    unscaled = int.from_bytes(raw, "big", signed=True)
    if not raw or not -limit < unscaled < limit:
        raise Undecodable("a decimal in the record has no digits or too many")
    return Decimal(unscaled).scaleb(-scale, _EXACT)


_NAMES: dict[str, Any] = {
    "varint": varint,
    "length": length,
    "decimal": decimal,
    "Undecodable": Undecodable,
    "double": struct.Struct("<d").unpack,
    "float_": struct.Struct("<f").unpack,
    "StructError": struct.error,
}


class _Compiler:
    def __init__(self, construct: Mapping[str, Construct], names: Mapping[str, Any]) -> None:
        self._construct = construct
        self._names = dict(names) | _NAMES
        self._lines: list[str] = []
        self._indent = 0
        self._variables = 0

    def function(self, writer: Record, reader: Record, start: int) -> Callable[[bytes], Any]:
        self._put("def decode(data):")
        self._indent += 1
        self._put("try:")
        self._indent += 1
        self._put(f"p = {start}")
        value = self._read(writer, reader, "")
        self._put("if p != len(data):")
        self._put("    raise Undecodable('bytes follow the record' if p < len(data) else 'the record is cut short')")
        self._put(f"return {value}")
        self._indent -= 1
        self._put("except (IndexError, StructError):")
        self._put("    raise Undecodable('the record is cut short') from None")
        self._put("except UnicodeDecodeError:")
        self._put("    raise Undecodable('a string in the record is not UTF-8') from None")
        namespace = dict(self._names)
        source = compile("\n".join(self._lines), f"<decoder of {writer.name}>", "exec")
        exec(source, namespace)  # noqa: S102  made above from schemas only; every name in it is ours or quoted
        function: Callable[[bytes], Any] = namespace["decode"]
        return function

    def _put(self, line: str) -> None:
        self._lines.append("    " * self._indent + line)

    def _variable(self) -> str:
        self._variables += 1
        return f"v{self._variables}"

    def _read(self, writer: Type, reader: Type, place: str) -> str:
        """Emit what reads a value; returns the expression of it."""
        if isinstance(writer, Union):
            return self._read_union(writer, reader, place)
        if isinstance(reader, Union):
            branch = branch_for(writer, reader)
            if branch is None:
                raise IncompatibleSchema("; ".join(problems(writer, reader, place)))
            return self._read(writer, branch, place)
        if isinstance(writer, Record) and isinstance(reader, Record) and writer.name == reader.name:
            return self._read_record(writer, reader, place)
        if isinstance(writer, (Array, Map)) and type(writer) is type(reader):
            return self._read_blocks(writer, reader, place)
        for problem in problems(writer, reader, place):
            raise IncompatibleSchema(problem)
        if isinstance(writer, Enum):
            index = self._number("int")
            self._put(f"if not 0 <= {index} < {len(writer.symbols)}:")
            self._put("    raise Undecodable('an enum in the record has no such symbol')")
            return f"{writer.symbols!r}[{index}]"
        if isinstance(writer, Fixed):
            return self._slice(str(writer.size))
        assert isinstance(writer, Primitive)
        assert isinstance(reader, Primitive)
        return self._read_primitive(writer, reader)

    def _read_primitive(self, writer: Primitive, reader: Primitive) -> str:
        match writer.kind:
            case "null":
                return "None"
            case "boolean":
                value = self._variable()
                self._put(f"{value} = data[p]")
                self._put("p += 1")
                self._put(f"if {value} > 1:")
                self._put("    raise Undecodable('a boolean in the record is neither 0 nor 1')")
                return f"({value} == 1)"
            case "int" | "long":
                number = self._number(writer.kind)
                return f"float({number})" if reader.kind in ("float", "double") else number
            case "float":
                return f"float_({self._slice('4')})[0]"
            case "double":
                return f"double({self._slice('8')})[0]"
        self._length()
        value = self._variable()
        self._put(f"{value} = data[p + 1:q]" + (".decode()" if reader.kind == "string" else ""))
        self._put("p = q")
        if reader.logical == "decimal":
            self._put(f"{value} = decimal({value}, {10**reader.precision}, {reader.scale})")
        return value

    def _read_union(self, writer: Union, reader: Type, place: str) -> str:
        value = self._variable()
        self._index(len(writer.branches))
        for number, branch in enumerate(writer.branches):
            self._put(f"{'el' if number else ''}if n == {number * 2}:")
            self._indent += 1
            lines, indent = len(self._lines), self._indent
            try:
                self._put(f"{value} = {self._read(branch, reader, place)}")
            except IncompatibleSchema:  # the other branches can still be read
                del self._lines[lines:]
                self._indent = indent
                self._put("raise Undecodable('a field in the record is of a type that it can not have here')")
            self._indent -= 1
        self._put("else:")
        self._put("    raise Undecodable('a union in the record has no such branch')")
        return value

    def _read_record(self, writer: Record, reader: Record, place: str) -> str:
        wanted = {field.name: field for field in reader.fields}
        values: dict[str, str] = {}
        for field in writer.fields:
            if field.name not in wanted:
                self._skip(field.type)
                continue
            inner = f"{place}.{field.name}" if place else field.name
            expression = self._read(field.type, wanted[field.name].type, inner)
            if not expression.isidentifier():
                value = self._variable()
                self._put(f"{value} = {expression}")
                expression = value
            values[field.name] = expression
        for field in reader.fields:
            if field.name not in values:
                values[field.name] = _default(field, place)
        if reader.name in self._construct:
            return self._construct[reader.name](values)
        return "{" + ", ".join(f"{field.name!r}: {values[field.name]}" for field in reader.fields) + "}"

    def _read_blocks(self, writer: Array | Map, reader: Type, place: str) -> str:
        value = self._variable()
        self._put(f"{value} = {'[]' if isinstance(writer, Array) else '{}'}")

        def item() -> None:
            if isinstance(writer, Array) and isinstance(reader, Array):
                self._put(f"{value}.append({self._read(writer.items, reader.items, place + '[]')})")
            elif isinstance(writer, Map) and isinstance(reader, Map):
                key = self._variable()
                self._put(f"{key} = {self._read(Primitive('string'), Primitive('string'), place)}")
                self._put(f"{value}[{key}] = {self._read(writer.values, reader.values, place + '{}')}")

        self._blocks(item)
        return value

    def _skip(self, writer: Type) -> None:
        match writer:
            case Union(branches=branches):
                self._index(len(branches))
                for number, branch in enumerate(branches):
                    self._put(f"{'el' if number else ''}if n == {number * 2}:")
                    self._indent += 1
                    self._put("pass")
                    self._skip(branch)
                    self._indent -= 1
                self._put("else:")
                self._put("    raise Undecodable('a union in the record has no such branch')")
            case Record(fields=fields):
                self._skip_all(*(field.type for field in fields))
            case Array(items=items):
                self._blocks(lambda: self._skip(items))
            case Map(values=values):
                self._blocks(lambda: self._skip_all(Primitive("string"), values))
            case Primitive(kind="bytes" | "string", logical=""):
                self._length()
                self._put("p = q")
            case _:
                self._put(self._read(writer, writer, ""))

    def _skip_all(self, *writers: Type) -> None:
        for writer in writers:
            self._skip(writer)

    def _blocks(self, item: Callable[[], object]) -> None:
        """Emit the loop over the blocks of an array or map. Every item takes a byte, so bytes bound it."""
        count, end, start = self._variable(), self._variable(), self._variable()
        self._put("while True:")
        self._indent += 1
        self._put(f"{count} = {self._number('long')}")
        self._put(f"if not {count}:")
        self._put("    break")
        self._put(f"{end} = -1")
        self._put(f"if {count} < 0:")
        self._indent += 1
        self._put(f"{count} = -{count}")
        self._length()
        self._put(f"{end} = q")
        self._put("p += 1")
        self._indent -= 1
        self._put(f"for {start} in range({count}):")
        self._indent += 1
        item()
        self._indent -= 1
        self._put(f"if {end} >= 0 and p != {end}:")
        self._put("    raise Undecodable('a block in the record is not as long as it says')")
        self._indent -= 1

    def _index(self, branches: int) -> None:
        self._put("n = data[p]")
        if branches > 64:
            self._put("if n > 127:")
            self._put("    n, p = varint(data, p)")
        self._put("p += 1")

    def _number(self, kind: str) -> str:
        value = self._variable()
        self._put("n = data[p]")
        self._put("if n > 127:")
        self._put("    n, p = varint(data, p)")
        if kind == "int":
            self._put("    if n >> 32:")
            self._put("        raise Undecodable('an int in the record is longer than 32 bits')")
        self._put("p += 1")
        self._put(f"{value} = (n >> 1) ^ -(n & 1)")
        return value

    def _length(self) -> None:
        """Emit what reads a length; what it is the length of is data[p + 1:q] then."""
        self._put("n = data[p]")
        self._put("if n & 129:")
        self._put("    n, p = length(data, p)")
        self._put("q = p + 1 + (n >> 1)")

    def _slice(self, size: str) -> str:
        value = self._variable()
        self._put(f"{value} = data[p:p + {size}]")
        self._put(f"p += {size}")
        return value


def _default(field: Field, place: str) -> str:
    """The expression of a field's default."""
    if not field.has_default:
        raise IncompatibleSchema(f"{place}{field.name}: not in the writer's schema, and the reader has no default")
    type_ = field.type.branches[0] if isinstance(field.type, Union) else field.type
    if isinstance(type_, Primitive) and (type_.kind, type_.logical) == ("bytes", ""):
        return repr(field.default.encode("latin-1"))  # Avro writes each byte as the character of its number
    if isinstance(type_, (Record, Fixed)) or (isinstance(type_, Primitive) and type_.kind == "bytes"):
        raise IncompatibleSchema(f"{place}{field.name}: defaults of this type are not supported")
    return repr(field.default)
