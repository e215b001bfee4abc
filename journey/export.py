"""`journey export`: the input topics into Parquet files, as far as they go now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from kafka import KafkaConsumer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from backtest.exports import Part, parts, reached, write_part
from backtest.records import InputRecord
from journey.errors import JourneyError
from journey.input_records import Check, Stretch, read_stretch, stretches
from journey.interrupts import orderly_interrupts
from journey.kafka_clients import consumer_client
from journey.screen import Screen
from journey.sending import with_kafka
from journey.settings import Settings

PART_RECORDS = 100_000
"""Records of a file; the last of a partition has fewer."""
PART_BYTES = 64 * 1024 * 1024
"""Bytes of their values, at most by one record more."""
_OURS_ALONE = 0o700
_INTERRUPTED = 130


def export(settings: Settings, directory: Path, screen: Screen) -> int:
    """Write what the topics have beyond what the directory has. Returns the exit code.

    Raises:
        JourneyError: the directory can't be written, or is of other topics; or the topics can't be read.
    """
    found = with_kafka(settings)
    try:
        directory.mkdir(mode=_OURS_ALONE, parents=True, exist_ok=True)
        there = parts(directory)
    except OSError as error:
        raise JourneyError(f"{directory} can't be written: {error.strerror}") from error
    written: list[Part] = []
    interrupted = False
    with orderly_interrupts() as interrupts, consumer_client(found) as consumer, _bar(screen) as bar:
        wanted = missing(stretches(consumer, found, embedded=not settings.kafka), there, directory)
        for gap in gaps(wanted, there):
            screen.err.print(Text(gap, style="yellow"))
        task = bar.add_task("exporting", total=sum(one.end - one.start for one in wanted))
        try:
            for stretch in wanted:
                for part in write(consumer, stretch, directory, interrupts.check):
                    written.append(part)
                    bar.advance(task, part.last + 1 - part.first)
        except KeyboardInterrupt:
            interrupted = True
    records = sum(part.last + 1 - part.first for part in written)
    screen.out.print(
        Text(
            f"{records:,} records in {len(written):,} files more, {len(there) + len(written):,} files in {directory}."
            " They are events as they were sent: personal data."
        )
    )
    if interrupted:
        screen.err.print(Text("Stopped; the files are whole. The same command again goes on from here."))
        return _INTERRUPTED
    return 0


def missing(there: Sequence[Stretch], done: Sequence[Part], directory: Path) -> list[Stretch]:
    """What of the topics an export does not have yet.

    Raises:
        JourneyError: it has more than they do: they were made anew.
    """
    ends = reached(done)
    wanted = []
    for stretch in there:
        start = ends.get((stretch.channel, stretch.tp.partition), 0)
        if start > stretch.end:
            raise JourneyError(
                f"{directory} has {stretch.tp.topic} up to offset {start - 1}, but the topic ends at {stretch.end - 1}: it was made anew",
                hint="export to another directory; a backtest takes both",
            )
        if start < stretch.end:
            wanted.append(stretch._replace(start=max(start, stretch.start)))
    return wanted


def gaps(wanted: Sequence[Stretch], done: Sequence[Part]) -> Iterator[str]:
    """What Kafka deleted after the last export and before this one."""
    ends = reached(done)
    for channel, tp, start, _ in wanted:
        lost = start - ends.get((channel, tp.partition), start)
        if lost > 0:
            yield f"{tp.topic}, partition {tp.partition}: {lost:,} records were deleted before they could be exported"


def write(consumer: KafkaConsumer, stretch: Stretch, directory: Path, check: Check) -> Iterator[Part]:
    """Write a stretch; where one file ends and the next begins depends only on where it starts.

    Raises:
        JourneyError: a file can't be written; or as `journey.input_records.read_stretch`.
    """
    waiting: list[InputRecord] = []
    size = 0
    for records in read_stretch(consumer, stretch, check):
        for record in records:
            waiting.append(record)
            size += len(record.value or b"")
            if len(waiting) >= PART_RECORDS or size >= PART_BYTES:
                with _told(directory):
                    yield write_part(directory, waiting)
                waiting, size = [], 0
    if waiting:
        with _told(directory):
            yield write_part(directory, waiting)


@contextmanager
def _told(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise JourneyError(f"{directory} can't be written: {error.strerror}") from error


def _bar(screen: Screen) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=screen.err, transient=True)
