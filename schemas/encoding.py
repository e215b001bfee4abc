"""Schemas compiled to Python functions that encode tuples: for our own topics, once an event.

The events themselves, which only `journey produce` writes, go through fastavro (`schemas.codec`).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any

from schemas.errors import RefusedSchema
from schemas.model import Array, Fixed, Primitive, Record, Type, Union


def compile_encoder(record: Record, prefix: bytes, unpack: Mapping[str, str], convert: Mapping[str, str]) -> Any:
    """A function that encodes one record, after `prefix`.

    Its parameters are the names in `unpack[record.name]` (Python's syntax of an assignment target, such
    as ``a, (b, c)``): between them they must define a variable for each field. The items of arrays of
    records are unpacked by the target of their own full name. `convert` gives, by field name, the
    expression to write where that isn't the variable itself. Raises RefusedSchema for types that our
    own topics don't use.
    """
    return _Compiler(prefix, unpack, convert).function(record)


class _Longs(dict[int, bytes]):
    """Longs as Avro writes them, the small ones remembered: most numbers and all lengths are small."""

    def __missing__(self, number: int) -> bytes:
        if not -(1 << 63) <= number < 1 << 63:
            raise ValueError("a number does not fit in 64 bits")
        raw = (number << 1) ^ (number >> 63)
        written = bytearray()
        while raw > 127:
            written.append(raw & 127 | 128)
            raw >>= 7
        written.append(raw)
        return bytes(written)


LONGS = _Longs()
LONGS.update({number: LONGS[number] for number in range(-64, 4096)})

_MIDDLE = tuple(bytes((chunk & 127 | 128, chunk >> 7 | 128)) for chunk in range(1 << 14))
_LAST = tuple(bytes((chunk & 127 | 128, chunk >> 7)) for chunk in range(1 << 14))


def time(micros: int) -> bytes:
    """A long as Avro writes it, quickest for times between 1978 and 3111: eight bytes, in four steps."""
    if 1 << 48 <= micros < 1 << 55:
        raw = micros << 1
        return _MIDDLE[raw & 16383] + _MIDDLE[raw >> 14 & 16383] + _MIDDLE[raw >> 28 & 16383] + _LAST[raw >> 42]
    return LONGS[micros]


class _Compiler:
    def __init__(self, prefix: bytes, unpack: Mapping[str, str], convert: Mapping[str, str]) -> None:
        self._prefix = prefix
        self._unpack = unpack
        self._convert = convert
        self._lines: list[str] = []
        self._variables = 0

    def function(self, record: Record) -> Callable[..., bytes]:
        parts = [repr(self._prefix), *self._record(record, "    ")]
        source = f"def encode(value):\n    {self._unpack[record.name]} = value\n" + "\n".join(self._lines)
        source += f"\n    return join(({', '.join(parts)}))\n"
        names: dict[str, Any] = {"join": b"".join, "L": LONGS, "time": time, "double": struct.Struct("<d").pack}
        exec(compile(source, f"<encoder of {record.name}>", "exec"), names)  # noqa: S102  made above from our schemas
        function: Callable[..., bytes] = names["encode"]
        return function

    def _record(self, record: Record, indent: str) -> list[str]:
        parts: list[str] = []
        for field in record.fields:
            parts += self._value(field.type, self._convert.get(field.name, field.name), indent)
        return parts

    def _value(self, type_: Type, value: str, indent: str) -> list[str]:
        """Emit what is needed to write a value; returns the expressions of its bytes."""
        match type_:
            case Primitive(kind="long", logical="timestamp-micros"):
                return [f"time({value})"]
            case Primitive(kind="long"):
                return [f"L[{value}]"]
            case Primitive(kind="double"):
                return [f"double({value})"]
            case Primitive(kind="string"):
                text = self._assign(f"{value}.encode()", indent)
                return [f"L[len({text})]", text]
            case Primitive(kind="bytes", logical=""):
                raw = self._assign(value, indent)
                return [f"L[len({raw})]", raw]
            case Fixed(size=size):
                raw = self._assign(value, indent)
                self._lines.append(f"{indent}if len({raw}) != {size}:")
                self._lines.append(f"{indent}    raise ValueError('{type_.name} takes {size} bytes')")
                return [raw]
            case Array(items=items):
                return [self._array(items, value, indent)]
            case Union(branches=(Primitive(kind="null"), Primitive(kind="long" | "double") as number)):
                (written,) = self._value(number, value, indent)
                return [f"(b'\\0' if {value} is None else b'\\2' + {written})"]
            case _:
                raise RefusedSchema(f"no encoder for {type_.kind}")

    def _array(self, items: Type, value: str, indent: str) -> str:
        written = self._assign("b'\\0'", indent)
        out, item = self._assign("()", indent), self._variable()
        self._lines.append(f"{indent}if {value}:")
        self._lines.append(f"{indent}    {out} = [L[len({value})]]")
        target = self._unpack[items.name] if isinstance(items, Record) else item
        self._lines.append(f"{indent}    for {target} in {value}:")
        inner = indent + " " * 8
        parts = self._record(items, inner) if isinstance(items, Record) else self._value(items, item, inner)
        self._lines.append(f"{inner}{out} += ({', '.join(parts)},)")
        self._lines.append(f"{indent}    {out}.append(b'\\0')")
        self._lines.append(f"{indent}    {written} = join({out})")
        return written

    def _assign(self, expression: str, indent: str) -> str:
        variable = self._variable()
        self._lines.append(f"{indent}{variable} = {expression}")
        return variable

    def _variable(self) -> str:
        self._variables += 1
        return f"v{self._variables}"
