"""ClickHouse's JSON into Python: by the type that each column says it has."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

Convert = Callable[[Any], Any]
_WRAPPED = re.compile(r"^(?:Nullable|LowCardinality)\((.*)\)$")
_ARRAY = re.compile(r"^Array\((.*)\)$")
_MAP = re.compile(r"^Map\((?:LowCardinality\()?String\)?, (.*)\)$")


class Answer(NamedTuple):
    """What a query gave."""

    columns: tuple[str, ...]
    rows: tuple[dict[str, Any], ...]


def read_answer(content: bytes) -> Answer:
    """An answer in the format JSONCompact.

    Raises:
        ValueError: it is none.
    """
    # Decimals come as JSON numbers: read as floats they would lose cents.
    document = json.loads(content, parse_float=Decimal)
    names = tuple(column["name"] for column in document["meta"])
    converts = [converter(column["type"]) for column in document["meta"]]
    rows = tuple(
        {
            name: None if value is None else convert(value)
            for name, convert, value in zip(names, converts, row, strict=True)
        }
        for row in document["data"]
    )
    return Answer(names, rows)


def converter(kind: str) -> Convert:
    """What makes a value of a ClickHouse type out of what JSON has for it; `None` is not for it."""
    while found := _WRAPPED.match(kind):
        kind = found[1]
    if found := _ARRAY.match(kind):
        inner = converter(found[1])
        return lambda values: [None if value is None else inner(value) for value in values]
    if found := _MAP.match(kind):
        inner = converter(found[1])
        return lambda values: {key: inner(value) for key, value in values.items()}
    if kind.startswith(("UInt", "Int")):
        return int
    if kind.startswith("Float"):
        return float
    if kind.startswith("Decimal"):
        return lambda value: Decimal(str(value))
    if kind == "Bool":
        return bool
    if kind == "Date":
        return date.fromisoformat
    if kind.startswith("DateTime"):
        return lambda value: datetime.fromisoformat(value).replace(tzinfo=UTC)
    return lambda value: value if isinstance(value, list | dict) else str(value)
