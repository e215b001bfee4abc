"""Files of an export: what goes in comes out, only their owner may read them, and nothing half-written is left."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from backtest.exports import NotAnExport, parts, reached, read_part, write_part
from backtest.records import InputRecord

RECORDS = [
    InputRecord("web", 3, 7, 1_700_000_000_000, b"key", b"\x00\x00\x00\x00\x01value"),
    InputRecord("web", 3, 8, -1, None, None),
    InputRecord("web", 3, 12, 0, b"", b"\xff\xfe"),
]


def test_records_come_back_as_they_were(tmp_path: Path) -> None:
    """Bytes, nulls, gaps in the offsets; and the same records make the same file, to the byte."""
    part = write_part(tmp_path, RECORDS)
    assert part[1:] == ("web", 3, 7, 12)
    assert [record for records in read_part(part.path) for record in records] == RECORDS
    content = part.path.read_bytes()
    (tmp_path / "other").mkdir()
    assert write_part(tmp_path / "other", RECORDS).path.read_bytes() == content


def test_only_the_owner_may_read(tmp_path: Path) -> None:
    """They are personal data, whatever the umask."""
    assert stat.S_IMODE(write_part(tmp_path, RECORDS).path.stat().st_mode) == 0o600


def test_parts_are_found_by_their_names(tmp_path: Path) -> None:
    """In the order of what they hold; others' files are passed over."""
    (tmp_path / "notes.parquet").touch()
    (tmp_path / ".web-00003-000000000000013-000000000000013.parquet.unfinished").touch()
    later = [one._replace(offset=one.offset + 100) for one in RECORDS]
    calls = [one._replace(channel="call") for one in RECORDS]
    for records in (later, RECORDS, calls):
        write_part(tmp_path, records)
    found = parts(tmp_path)
    assert [part[1:4] for part in found] == [("call", 3, 7), ("web", 3, 7), ("web", 3, 107)]
    assert reached(found) == {("call", 3): 13, ("web", 3): 113}


def test_what_can_not_be_written_leaves_nothing(tmp_path: Path) -> None:
    """A file is there whole, or not at all."""
    with pytest.raises((TypeError, ValueError)):
        write_part(tmp_path, [RECORDS[0]._replace(value="no bytes")])  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_other_files_are_told_apart(tmp_path: Path) -> None:
    """What is no Parquet, and Parquet of others."""
    wrong = tmp_path / "x.parquet"
    whole = write_part(tmp_path, RECORDS).path.read_bytes()
    broken = bytearray(whole)
    broken[40:60] = bytes(20)
    for content in (b"", b"PAR1", b"PAR1 this is none", whole[:-1], whole[1:], bytes(broken), whole[:4] + whole[-8:]):
        wrong.write_bytes(content)
        with pytest.raises(NotAnExport, match="no Parquet file, or not all of one"):
            list(read_part(wrong))
    from arro3.core import Array, DataType, Table
    from arro3.io import write_parquet

    write_parquet(Table({"channel": Array(["web"], type=DataType.string())}), wrong)
    with pytest.raises(NotAnExport, match="has no column partition; expected a file that `journey export` wrote"):
        list(read_part(wrong))
    with pytest.raises(FileNotFoundError):
        list(read_part(tmp_path / "not-there.parquet"))
