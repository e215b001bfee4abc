"""Dead letters in ClickHouse: which there are, and what people did about them."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from funnel.durations import MICROSECONDS, parse_duration
from journey.errors import JourneyError

RETRIED, DROPPED = "retried", "dropped"
_ID = "lower(hex(sipHash64(origin_topic, origin_partition, origin_offset, stage, value_hash)))"
_ABOUT = "origin_topic, origin_partition, origin_offset, reason, stage, message"
_CONTENT = "key, value"
_MARK = f"""
INSERT INTO dead_letters ({_ABOUT}, {_CONTENT}, kafka_time, written_at, outcome)
SELECT {_ABOUT}, {_CONTENT}, kafka_time, fromUnixTimestamp64Milli(toInt64(%(at)s)), %(outcome)s
FROM dead_letters FINAL WHERE {_ID} IN %(ids)s"""  # noqa: S608  constants of this file


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which letters; those that wait, unless `settled`."""

    ids: tuple[str, ...] = ()
    reason: str = ""
    topic: str = ""
    since: str = ""
    """A duration such as `7d`: written no longer ago than that."""
    settled: bool = False
    """Those that were retried or dropped, too."""

    @property
    def is_narrow(self) -> bool:
        """Whether it says anything of the letters themselves."""
        return bool(self.ids or self.reason or self.topic or self.since)


class Letter(NamedTuple):
    """What was refused, why, and where it was."""

    id: str
    origin_topic: str
    origin_partition: int
    origin_offset: int
    reason: str
    stage: str
    message: str
    written_at: datetime
    outcome: str
    key: bytes = b""
    value: bytes = b""
    """The original bytes: personal data."""


def letters(reader: Any, wanted: Filter, *, most: int, content: bool = False, after: str = "") -> list[Letter]:
    """Letters by their ids.

    Args:
        reader: of a user who may read `dead_letters`.
        wanted: which.
        most: at most so many.
        content: with key and value.
        after: those that come after this id.

    Raises:
        JourneyError: `since` is no duration.
    """
    conditions, values = _conditions(wanted)
    if after:
        conditions.append(f"{_ID} > %(after)s")
        values["after"] = after
    columns = f"{_ID} AS id, {_ABOUT}, written_at, outcome" + (f", {_CONTENT}" if content else "")
    where = " AND ".join(conditions)
    query = f"SELECT {columns} FROM dead_letters FINAL WHERE {where} ORDER BY id LIMIT {most:d}"  # noqa: S608  constants of this file, and a number
    rows = reader.execute(query, values, settings={"strings_as_bytes": True})
    return [Letter(*map(_text, row[:9]), *row[9:]) for row in rows]


def how_many(reader: Any, wanted: Filter) -> int:
    """How many letters there are of that kind."""
    conditions, values = _conditions(wanted)
    query = f"SELECT count() FROM dead_letters FINAL WHERE {' AND '.join(conditions)}"  # noqa: S608  constants of this file
    return int(reader.execute(query, values)[0][0])


def mark(writer: Any, ids: Collection[str], outcome: str, at: int) -> None:
    """Note what was done about letters.

    Args:
        writer: of a user who may insert into `dead_letters`, and read it.
        ids: of the letters.
        outcome: `RETRIED` or `DROPPED`.
        at: a time before it was done (milliseconds): what is refused again is written later, and counts.
    """
    if ids:
        writer.execute(_MARK, {"ids": tuple(ids), "outcome": outcome, "at": at})


def server_time(reader: Any) -> int:
    """What time it is for ClickHouse, in milliseconds since the epoch."""
    return int(reader.execute("SELECT toUnixTimestamp64Milli(now64(3))")[0][0])


def _conditions(wanted: Filter) -> tuple[list[str], dict[str, Any]]:
    conditions = ["1" if wanted.settled else "outcome = ''"]
    values: dict[str, Any] = {}
    if wanted.ids:
        conditions.append(f"{_ID} IN %(ids)s")
        values["ids"] = wanted.ids
    if wanted.reason:
        conditions.append("reason = %(reason)s")
        values["reason"] = wanted.reason
    if wanted.topic:
        conditions.append("origin_topic = %(topic)s")
        values["topic"] = wanted.topic
    if wanted.since:
        try:
            age = parse_duration(wanted.since)
        except ValueError as error:
            raise JourneyError(f"--since {wanted.since}: {error}") from error
        conditions.append("written_at >= fromUnixTimestamp64Milli(toInt64(%(since)s))")
        values["since"] = int(time.time() * 1_000) - age * 1_000 // MICROSECONDS
    return conditions, values


def _text(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
