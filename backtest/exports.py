"""Exports: records of the input topics in Parquet files, as they came (docs/adr/018).

An export is a directory. Each file has records of one partition, without a gap but for what the topic itself no longer had; its name says
which, so the next export goes on where the last one ended, and who reads needs no index. The values are events as they were sent: personal data.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from arro3.core import Array, DataType, Field, RecordBatch, Schema, Table
from arro3.io import read_parquet, write_parquet

from backtest.records import InputRecord

SUFFIX = ".parquet"
_NAME = re.compile(r"(?P<channel>[a-z]+)-(?P<partition>\d{5})-(?P<first>\d{15})-(?P<last>\d{15})\.parquet")
_COLUMNS = (
    ("channel", DataType.string(), False),
    ("partition", DataType.int32(), False),
    ("offset", DataType.int64(), False),
    ("timestamp", DataType.int64(), False),
    ("key", DataType.binary(), True),
    ("value", DataType.binary(), True),
)
"""The fields of `InputRecord`."""
_SCHEMA = Schema([Field(name, type_, nullable=nullable) for name, type_, nullable in _COLUMNS])
_MAGIC = b"PAR1"
_COMPRESSION = "zstd(3)"
_OURS_ALONE = 0o600


class NotAnExport(ValueError):
    """A file is no part of an export."""


class Part(NamedTuple):
    """A file of an export."""

    path: Path
    channel: str
    partition: int
    first: int
    """Offset of its first record ..."""
    last: int
    """... and of its last."""


def parts(directory: Path) -> list[Part]:
    """The files of an export, by channel, partition and offset. Others in its directory are passed over."""
    found = []
    for path in directory.iterdir():
        if match := _NAME.fullmatch(path.name):
            numbers = (int(match[name]) for name in ("partition", "first", "last"))
            found.append(Part(path, match["channel"], *numbers))
    return sorted(found, key=lambda part: part[1:])


def reached(found: Sequence[Part]) -> dict[tuple[str, int], int]:
    """By channel and partition, the offset with which an export goes on."""
    ends: dict[tuple[str, int], int] = {}
    for part in found:
        at = (part.channel, part.partition)
        ends[at] = max(ends.get(at, 0), part.last + 1)
    return ends


def write_part(directory: Path, records: Sequence[InputRecord]) -> Part:
    """Write records of one partition, by offset, as a file that only its owner may read; it is there whole, or not at all."""
    first, last = records[0], records[-1]
    name = f"{first.channel}-{first.partition:05}-{first.offset:015}-{last.offset:015}{SUFFIX}"
    path, unfinished = directory / name, directory / f".{name}.unfinished"
    columns = zip(_COLUMNS, zip(*records, strict=True), strict=True)
    arrays = [Array(list(values), type=type_) for (_, type_, _), values in columns]
    table = Table.from_batches([RecordBatch.from_arrays(arrays, schema=_SCHEMA)])
    try:
        with open(unfinished, "wb", opener=_for_its_owner) as file:
            write_parquet(table, file, compression=_COMPRESSION)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return Part(path, first.channel, first.partition, first.offset, last.offset)


def read_part(path: Path) -> Iterator[list[InputRecord]]:
    """The records of a file, in pieces.

    Raises:
        NotAnExport: it is none of ours.
        OSError: it can't be read.
    """
    names = [name for name, _, _ in _COLUMNS]
    unreadable = NotAnExport(f"{path} is no Parquet file, or not all of one")
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        ends = [file.read(len(_MAGIC)) for at in (0, max(0, size - len(_MAGIC))) if file.seek(at) == at]
    if ends != [_MAGIC, _MAGIC]:
        raise unreadable
    batches = _tamed(lambda: read_parquet(str(path)), unreadable)
    there = batches.schema.names
    if missing := [name for name in names if name not in there]:
        raise NotAnExport(f"{path} has no column {missing[0]}; expected a file that `journey export` wrote")
    while (batch := _tamed(lambda: next(batches, None), unreadable)) is not None:
        columns = [batch[name].to_pylist() for name in names]
        yield [InputRecord(*row) for row in zip(*columns, strict=True)]


def _tamed(read: Callable[[], Any], unreadable: NotAnExport) -> Any:
    """What the library reads. On some broken files it panics, which is no `Exception`."""
    try:
        return read()
    except BaseException as error:
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            raise unreadable from error
        raise


def _for_its_owner(path: str, flags: int) -> int:
    return os.open(path, flags, _OURS_ALONE)
