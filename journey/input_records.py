"""Records of the input topics, from wherever they can be had: the topics, an export, files of events."""

from __future__ import annotations

import gzip
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from agents.erasures import CHANNEL as ERASURE
from backtest.exports import SUFFIX, NotAnExport, parts, read_part
from backtest.gathering import Gathering
from backtest.records import InputRecord
from journey import topics
from journey.errors import JourneyError
from journey.kafka_clients import consumer_client
from journey.offsets import beginnings, true_ends
from journey.produce import BOM, LONGEST_LINE, STDIN, key_of, open_lines, size_of
from journey.settings import Settings
from schemas.codec import EventCodec
from schemas.ndjson import parse_line

_POLL_MILLISECONDS = 500
_SILENT_SECONDS = 60.0
_LINES_AT_ONCE = 2_000

Check = Callable[[], None]
"""Called now and then; may raise."""
Progress = Callable[[str, int, int | None], None]
"""Told what is read, how much of it was, and how much there is: records of a topic, bytes of a file."""


class Stretch(NamedTuple):
    """Records of a partition that are to be read."""

    channel: str
    tp: TopicPartition
    start: int
    """Offset of the first of them ..."""
    end: int
    """... and that after the last."""


def stretches(consumer: KafkaConsumer, settings: Settings, *, embedded: bool) -> list[Stretch]:
    """All that the input topics have now, erasures among them; partitions without records are left out.

    Args:
        consumer: without a group.
        settings: give the topics' names.
        embedded: see `journey.offsets.true_ends`.

    Raises:
        JourneyError: a topic does not exist, or the brokers stopped answering.
    """
    channel_of = {topics.topic_name(settings, name): channel for channel, name in topics.INPUT_TOPICS.items()}
    channel_of[topics.topic_name(settings, topics.ERASURES)] = ERASURE
    ends = true_ends(consumer, channel_of, embedded=embedded)
    begun = beginnings(consumer, channel_of)
    found = [Stretch(channel_of[tp.topic], tp, begun[tp], end) for tp, end in ends.items() if end > begun[tp]]
    return sorted(found, key=lambda one: (one.channel, one.tp.partition))


def read_stretch(consumer: KafkaConsumer, stretch: Stretch, check: Check) -> Iterator[list[InputRecord]]:
    """The records of a stretch, by offset.

    Raises:
        JourneyError: the brokers stopped answering.
    """
    channel, tp, start, end = stretch
    consumer.assign([tp])
    consumer.seek(tp, start)
    silent_since = time.monotonic()
    try:
        while consumer.position(tp) < end:
            check()
            polled = consumer.poll(_POLL_MILLISECONDS).get(tp, [])
            if polled:
                silent_since = time.monotonic()
                yield [
                    InputRecord(channel, tp.partition, one.offset, one.timestamp, one.key, one.value)
                    for one in polled
                    if one.offset < end
                ]
            elif time.monotonic() - silent_since > _SILENT_SECONDS:
                raise JourneyError(f"{tp.topic}: the brokers stopped answering at offset {consumer.position(tp)}")
    except KafkaError as error:
        raise JourneyError(f"{tp.topic} can't be read: {type(error).__name__}") from error
    finally:
        consumer.unsubscribe()


def gather_topics(
    gathering: Gathering, settings: Settings, check: Check, progress: Progress, *, embedded: bool
) -> None:
    """Take all that the input topics have now."""
    with consumer_client(settings) as consumer:
        found = stretches(consumer, settings, embedded=embedded)
        total, done = sum(one.end - one.start for one in found), 0
        for stretch in found:
            for records in read_stretch(consumer, stretch, check):
                gathering.take(records)
                progress("reading the topics", done + records[-1].offset + 1 - stretch.start, total)
            done += stretch.end - stretch.start


def gather_files(
    gathering: Gathering, codec: EventCodec, names: Sequence[str], check: Check, progress: Progress
) -> None:
    """Take files: exports (directories, or single Parquet files of theirs), and all others as lines of JSON.

    Raises:
        JourneyError: one can't be read, or is none of these.
    """
    for name in names:
        path = Path(name)
        if path.is_dir():
            found = [part.path for part in parts(path)]
            if not found:
                raise JourneyError(f"{name} holds no export", hint=f"`journey export {name}` makes one")
            _gather_parts(gathering, found, name, check, progress)
        elif path.suffix == SUFFIX:
            _gather_parts(gathering, [path], name, check, progress)
        else:
            _gather_lines(gathering, codec, name, check, progress)


def _gather_parts(gathering: Gathering, paths: Sequence[Path], name: str, check: Check, progress: Progress) -> None:
    try:
        sizes = [path.stat().st_size for path in paths]
        for number, path in enumerate(paths):
            for records in read_part(path):
                check()
                gathering.take(records)
            progress(f"reading {Path(name).name}", sum(sizes[: number + 1]), sum(sizes))
    except NotAnExport as error:
        raise JourneyError(str(error)) from error
    except OSError as error:
        raise JourneyError(f"{name} can't be read: {error.strerror or error}") from error


def _gather_lines(gathering: Gathering, codec: EventCodec, name: str, check: Check, progress: Progress) -> None:
    """Lines become what `journey produce` would have sent now."""
    now, shown, total = int(time.time() * 1000), "standard input" if name == STDIN else Path(name).name, size_of(name)
    number = 0
    with open_lines(name) as (lines, position):
        try:
            while line := lines.readline(LONGEST_LINE + 1):
                number += 1
                if len(line) > LONGEST_LINE:
                    while line and not line.endswith(b"\n"):
                        line = lines.readline(LONGEST_LINE)
                    gathering.refuse("too_large")
                elif not line.isspace():
                    _gather_line(gathering, codec, line.removeprefix(BOM) if number == 1 else line, number, now)
                if number % _LINES_AT_ONCE == 0:
                    check()
                    progress(f"reading {shown}", position(), total)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise JourneyError(f"{name} is damaged after line {number}", hint="fetch it again") from error
        except OSError as error:
            raise JourneyError(f"{name} can't be read after line {number}: {error.strerror or error}") from error


def _gather_line(gathering: Gathering, codec: EventCodec, line: bytes, number: int, now: int) -> None:
    try:
        event: dict[str, Any] = parse_line(line)
        value = codec.encode(event)
    except ValueError:  # Undecodable is one
        gathering.refuse("undecodable")
        return
    gathering.take([InputRecord(event["channel"], 0, number, now, key_of(event), value)])
