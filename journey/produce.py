"""NDJSON into the input topics; lines that are no events become dead letters, never errors."""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from kafka import KafkaProducer
from kafka.errors import KafkaError
from rich.progress import Progress, TaskID

from agents.dead_letters import headers
from funnel.events import Event
from journey import topics
from journey.errors import JourneyError
from journey.settings import Settings
from schemas.codec import EventCodec
from schemas.errors import SchemaError
from schemas.ndjson import parse_line

Reading = Callable[[], AbstractContextManager[None]]

STDIN = "-"
SHOWN_BAD_LINES = 5
_CHECK_EVERY = 500
_BUFFER_BYTES = 1024 * 1024
LONGEST_LINE = topics.INPUT_MESSAGE_BYTES - 64 * 1024
"""Bytes of a line that still fits into its topic; of a longer one only a beginning can be kept."""
_KEPT_OF_LONG_LINE = 1024 * 1024
_MARK_BYTES = 2 * 1024 * 1024
_MARKS = 16
_DELIVERY_SECONDS = 120
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
BOM = b"\xef\xbb\xbf"
_IDENTIFIERS = ("user_id", "email", "phone", "anonymous_id")


@dataclass(frozen=True)
class BadLine:
    """A line that is no event."""

    source: str
    line: int
    """From 1."""
    reason: str
    message: str
    """Holds nothing of the line."""


@dataclass
class Produced:
    """What became of the lines so far."""

    lines: int = 0
    """Without empty ones."""
    sent: int = 0
    dead: Counter[str] = field(default_factory=Counter)
    """By reason, those that were no events."""
    bad: list[BadLine] = field(default_factory=list)
    """The first of them."""
    reached: dict[str, int] = field(default_factory=dict)
    """Per source, the last line that was sent."""


class LineProducer:
    """Sends lines. Call `finish` at the end: only then is everything delivered."""

    def __init__(
        self,
        producer: KafkaProducer,
        codec: EventCodec,
        settings: Settings,
        *,
        shift: int = 0,
        produced: Produced | None = None,
    ) -> None:
        """Make one.

        Args:
            producer: where to.
            codec: encodes events.
            settings: give the topics' names.
            shift: microseconds to add to every event's time.
            produced: where to count; its own unless given.
        """
        self._producer, self._codec, self._shift = producer, codec, shift
        self._topics = {channel: topics.topic_name(settings, name) for channel, name in topics.INPUT_TOPICS.items()}
        self._dead_letters = topics.topic_name(settings, topics.DEAD_LETTERS)
        self._partitions = {topic: len(producer.partitions_for(topic)) for topic in self._topics.values()}
        self._failure: BaseException | None = None
        self._bytes_since_mark = 0
        self._marks: deque[Any] = deque()
        self.produced = Produced() if produced is None else produced

    def send_file(
        self,
        name: str,
        progress: Callable[[int], None] = lambda _: None,
        check: Callable[[], None] = lambda: None,
        reading: Reading = nullcontext,
    ) -> None:
        """Send all lines of a file (gzip too), or of standard input for `-`.

        Args:
            name: its path.
            progress: told now and then how many of the file's bytes are read.
            check: called now and then; may raise.
            reading: entered around each read, which may take for ever; may raise.

        Raises:
            JourneyError: it can't be read (to its end), or Kafka does not take what is sent.
        """
        with open_lines(name, reading) as (lines, position):
            number = 0
            try:
                while line := lines.readline(LONGEST_LINE + 1):
                    number += 1
                    if len(line) > LONGEST_LINE:
                        self._refuse_long(name, number, line, lines)
                    else:
                        self._send(name, number, line.removeprefix(BOM) if number == 1 else line)
                    if number % _CHECK_EVERY == 0:
                        progress(position())
                        self._raise_failure()
                        check()
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise JourneyError(
                    f"{name} is damaged after line {number}; the lines before were sent",
                    hint="fetch it again; lines sent twice count once",
                ) from error
            except OSError as error:
                raise JourneyError(f"{name} can't be read after line {number}: {error.strerror or error}") from error
            progress(position())

    def finish(self) -> None:
        """Wait until all is delivered.

        Raises:
            JourneyError: something could not be delivered.
        """
        try:
            self._producer.flush()
        except KafkaError as error:
            self._failure = error
        self._raise_failure()

    def _send(self, name: str, number: int, line: bytes) -> None:
        if line.isspace():
            return
        produced = self.produced
        produced.lines += 1
        produced.reached[name] = number
        try:
            event = parse_line(line)
            event["occurred_at"] += self._shift
            value = self._codec.encode(event)
        except SchemaError as error:
            raise JourneyError(
                f"the schema registry: {error}", hint="`journey topics` registers our schemas"
            ) from error
        except ValueError as error:  # Undecodable is one
            self._refuse(name, number, line.rstrip(b"\r\n"), "undecodable", str(error))
            return
        topic, key = self._topics[event["channel"]], key_of(event)
        # The client's own hash of the key is written in Python and costs a sixth of the whole.
        self._produce(topic, key=key, value=value, partition=zlib.crc32(key) % self._partitions[topic])
        produced.sent += 1

    def _refuse_long(self, name: str, number: int, beginning: bytes, lines: IO[bytes]) -> None:
        length, part = len(beginning), beginning
        while part and not part.endswith(b"\n"):
            part = lines.readline(LONGEST_LINE)
            length += len(part)
        self.produced.lines += 1
        self.produced.reached[name] = number
        message = f"a line of {length} bytes; only its first {_KEPT_OF_LONG_LINE} bytes are kept"
        self._refuse(name, number, beginning[:_KEPT_OF_LONG_LINE], "too_large", message)

    def _refuse(self, name: str, number: int, original: bytes, reason: Any, message: str) -> None:
        self.produced.dead[reason] += 1
        if len(self.produced.bad) < SHOWN_BAD_LINES:
            self.produced.bad.append(BadLine(_shown(name), number, reason, message))
        about = headers("produce", reason, message, Path(_shown(name)).name, 0, number)
        self._produce(self._dead_letters, value=original, headers=about)

    def _produce(self, topic: str, **record: Any) -> None:
        try:
            delivery = self._producer.send(topic, **record)
            delivery.add_errback(self._failed)
            self._bytes_since_mark += len(record["value"])
            if self._bytes_since_mark >= _MARK_BYTES:
                self._mark(delivery)
        except KafkaError as error:
            self._failure = error
            self._raise_failure()

    def _mark(self, delivery: Any) -> None:
        """The producer buffers without bound: wait for what was sent a while ago before more is."""
        self._bytes_since_mark = 0
        self._marks.append(delivery)
        if len(self._marks) > _MARKS:
            self._marks.popleft().get(timeout=_DELIVERY_SECONDS)

    def _failed(self, error: BaseException) -> None:
        self._failure = error

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise JourneyError(
                f"Kafka does not take what is sent: {type(self._failure).__name__}",
                hint="is the broker up, and are the topics there (`journey topics`)?",
            ) from self._failure


class open_lines:  # noqa: N801  reads like the function it replaces
    """A context manager: the lines of a file, and a function that tells how many of its bytes are read."""

    def __init__(self, name: str, reading: Reading = nullcontext) -> None:
        self._name, self._reading = name, reading
        self._open: list[IO[bytes]] = []

    def __enter__(self) -> tuple[IO[bytes], Callable[[], int]]:
        raw: IO[bytes]
        try:
            raw = sys.stdin.buffer if self._name == STDIN else Path(self._name).open("rb", buffering=_BUFFER_BYTES)
        except OSError as error:
            raise JourneyError(f"{self._name} can't be read: {error.strerror}") from error
        if self._name != STDIN:
            self._open.append(raw)
        counted = _Counted(raw, self._reading)
        buffered = io.BufferedReader(counted, _BUFFER_BYTES)
        beginning = buffered.peek(4)[:4]
        if beginning.startswith(_ZSTD):
            raise JourneyError(
                f"{_shown(self._name)} is compressed with zstd, which is not read",
                hint=f"zstd -dc {self._name} | journey run -",
            )
        if beginning.startswith(_GZIP):
            unzipped = io.BufferedReader(gzip.GzipFile(fileobj=buffered), _BUFFER_BYTES)
            return unzipped, lambda: counted.count
        return buffered, lambda: counted.count

    def __exit__(self, *_: object) -> None:
        for file in self._open:
            file.close()


class _Counted(io.RawIOBase):
    """Counts the bytes that are read through it."""

    def __init__(self, inner: IO[bytes], reading: Reading) -> None:
        self._inner, self._reading = inner, reading
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with self._reading():
            data = self._inner.read1(len(buffer)) if hasattr(self._inner, "read1") else self._inner.read(len(buffer))
        buffer[: len(data)] = data
        self.count += len(data)
        return len(data)


def send_files(
    sender: LineProducer,
    files: Sequence[str],
    bar: Progress,
    check: Callable[[], None] = lambda: None,
    reading: Reading = nullcontext,
) -> None:
    """Send files one after the other, each with a bar; see `LineProducer.send_file`."""
    for name in files:
        task = bar.add_task(f"reading {Path(name).name if name != STDIN else 'standard input'}", total=size_of(name))

        def show(position: int, task: TaskID = task) -> None:
            bar.update(task, completed=position)

        sender.send_file(name, show, check, reading)


def size_of(name: str) -> int | None:
    """Bytes of a file; None for standard input and what has no size."""
    path = Path(name)
    return path.stat().st_size if name != STDIN and path.is_file() else None


def _shown(name: str) -> str:
    return "stdin" if name == STDIN else name


def key_of(event: Event) -> bytes:
    """What keeps the events of one person in order in their topic: the strongest identifier as it came, or the weaker one that is declared."""
    if event["channel"] == "declaration":
        return str(event["weaker"]).encode()
    for kind in _IDENTIFIERS:
        if event[kind]:
            return str(event[kind]).encode()
    return str(event["event_id"]).encode()
