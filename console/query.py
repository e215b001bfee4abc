"""Queries with parameters that ClickHouse binds. What people choose is never part of the text that is sent."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

_PLACEHOLDER = re.compile(r"\{(\w+):(\w+)\}")
_NUMBERS = frozenset({"UInt8", "UInt16", "UInt32", "UInt64"})
_IN_LITERALS = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0", "\b": "\\b", "\f": "\\f"}
_IN_PARAMETERS = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0", "\b": "\\b", "\f": "\\f"}


class Query(NamedTuple):
    """A statement and what its `{name:Type}` placeholders stand for."""

    sql: str
    parameters: Mapping[str, str] = {}

    @property
    def sent(self) -> dict[str, str]:
        """The parameters as ClickHouse's HTTP interface takes them; only those that the statement names."""
        named = {name for name, _ in _PLACEHOLDER.findall(self.sql)}
        return {f"param_{name}": escaped(value) for name, value in self.parameters.items() if name in named}

    @property
    def shown(self) -> str:
        """The statement with its parameters written out: what people copy to run it elsewhere. It is never sent."""
        return _PLACEHOLDER.sub(lambda found: literal(self.parameters[found[1]], found[2]), self.sql)


def literal(value: str, kind: str = "String") -> str:
    """A value as it stands in a statement.

    Args:
        value: as a parameter has it.
        kind: its type in ClickHouse.

    Raises:
        ValueError: it is to be a number, and is none.
    """
    if kind in _NUMBERS:
        return str(int(value))
    quoted = "'" + "".join(_IN_LITERALS.get(letter, letter) for letter in value) + "'"
    return quoted if kind == "String" else f"{quoted}::{kind}"


def escaped(value: str) -> str:
    """A value as ClickHouse reads parameters of a request: like a field of its TabSeparated format."""
    return "".join(_IN_PARAMETERS.get(letter, letter) for letter in value)


def conditions(parts: Iterable[str]) -> str:
    """A WHERE clause of all parts, on a line of its own; nothing where there are none."""
    text = "\n    AND ".join(part for part in parts if part)
    return f"\nWHERE {text}" if text else ""
