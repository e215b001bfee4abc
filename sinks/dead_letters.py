"""Topic `dead-letters` to the table `dead_letters`: the original bytes, why they were refused, and where they came from."""

from __future__ import annotations

from typing import Any

from sinks.base import Insert, Record

_NAMES = (
    "origin_topic",
    "origin_partition",
    "origin_offset",
    "reason",
    "stage",
    "message",
    "key",
    "value",
    "kafka_time",
)


class DeadLettersCollector:
    """Collects dead letters. See `sinks.base.Collector`. Takes anything: what is missing in a letter's headers is taken from the letter itself."""

    def __init__(self) -> None:
        self._rows: list[tuple[Any, ...]] = []

    def add(self, record: Record) -> int:
        """Take one letter: one row."""
        headers = dict(record.headers or ())
        topic = headers.get("__connect.errors.topic")
        partition = _number(headers.get("__connect.errors.partition"), 31)
        offset = _number(headers.get("__connect.errors.offset"), 63)
        known = topic is not None and partition is not None and offset is not None
        self._rows.append(
            (
                topic if known else record.topic.encode(),
                partition if known else record.partition,
                offset if known else record.offset,
                headers.get("journey.reason", b""),
                headers.get("journey.stage", b""),
                headers.get("__connect.errors.exception.message", b""),
                record.key or b"",
                record.value or b"",
                max(record.timestamp, 0),
            )
        )
        return 1

    def take(self) -> list[Insert]:
        """What was collected, as inserts; it is empty afterwards."""
        if not self._rows:
            return []
        rows, self._rows = self._rows, []
        return [Insert("dead_letters", _NAMES, list(zip(*rows, strict=True)))]


def _number(digits: bytes | None, bits: int) -> int | None:
    """A header's decimal number; None where there is none that fits."""
    try:
        number = int(digits or b"")
    except ValueError:
        return None
    return number if -(2**bits) <= number < 2**bits else None
