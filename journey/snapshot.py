"""The funnel state between runs: the changelog's last values in a file, as the embedded broker forgets.

The file is gzip over: a magic line, then per record partition, key length, value length, key, value; at the end a
record of partition -1 with the count, so that a file that was cut short is not taken for a whole one.
"""

from __future__ import annotations

import gzip
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from kafka import KafkaConsumer, KafkaProducer

from agents.changelog import Reading, entries_of
from agents.records import without_position
from journey.errors import StateError
from journey.offsets import true_ends

_MAGIC = b"buyer-journey changelog 1\n"
_RECORD = struct.Struct(">iII")
_COUNT = struct.Struct(">Q")
_POLL_MILLISECONDS = 100
_EMPTY_POLLS = 100


class Entry(NamedTuple):
    """The last value of a changelog key."""

    partition: int
    key: bytes
    value: bytes


def read_changelog(consumer: KafkaConsumer, topic: str) -> Iterator[Entry]:
    """The last value that counts of each key (`agents.changelog`); keys that it deletes are left out.

    Raises:
        StateError: the broker stopped giving records before the end.
    """
    ends = true_ends(consumer, [topic], embedded=True)
    waiting = {tp for tp, end in ends.items() if end > 0}
    readings = {tp.partition: Reading() for tp in waiting}
    empty_polls = 0
    if waiting:
        consumer.assign(list(waiting))
        consumer.seek_to_beginning(*waiting)
    while waiting:
        polled = consumer.poll(_POLL_MILLISECONDS)
        empty_polls = 0 if polled else empty_polls + 1
        if empty_polls > _EMPTY_POLLS:
            raise StateError("the changelog could not be read to its end; the state of this run is lost")
        for tp, records in polled.items():
            readings[tp.partition].take(entries_of(records))
            if records[-1].offset + 1 >= ends[tp]:
                waiting.discard(tp)
    for partition, reading in readings.items():
        for prospect_id, kept in reading.state.items():
            for suffix, value in kept.items():
                yield Entry(partition, prospect_id + suffix, value)


def save(path: Path, entries: Iterator[Entry]) -> int:
    """Write a snapshot, whole or not at all. Returns the number of entries.

    Positions are left out: offsets start over with the next broker, and nothing is delivered again that was settled.
    """
    temporary = path.with_name(path.name + ".new")
    count = 0
    with temporary.open("wb") as file:
        with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1, mtime=0) as out:
            out.write(_MAGIC)
            for entry in entries:
                value = without_position(entry.value)
                out.write(_RECORD.pack(entry.partition, len(entry.key), len(value)))
                out.write(entry.key)
                out.write(value)
                count += 1
            out.write(_RECORD.pack(-1, 0, _COUNT.size))
            out.write(_COUNT.pack(count))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    return count


def load(path: Path) -> Iterator[Entry]:
    """The entries of a snapshot.

    Raises:
        StateError: it is damaged.
    """
    damaged = StateError(
        f"the funnel state in {path} is damaged", hint="start over with --fresh, or choose another --data-dir"
    )
    count = 0
    try:
        with gzip.open(path, "rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                raise damaged
            while True:
                partition, key_length, value_length = _RECORD.unpack(file.read(_RECORD.size))
                key, value = file.read(key_length), file.read(value_length)
                if len(key) != key_length or len(value) != value_length:
                    raise damaged
                if partition == -1:
                    if _COUNT.unpack(value)[0] != count or file.read(1):
                        raise damaged
                    return
                yield Entry(partition, key, value)
                count += 1
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise damaged from error


def restore(producer: KafkaProducer, topic: str, entries: Iterator[Entry]) -> int:
    """Write entries into the changelog of a fresh broker. Returns their number.

    Raises:
        KafkaError: a record could not be delivered.
    """
    deliveries: list[Any] = [
        producer.send(topic, key=entry.key, value=entry.value, partition=entry.partition) for entry in entries
    ]
    producer.flush()
    for delivery in deliveries:
        delivery.get(timeout=30)
    return len(deliveries)
