"""`journey dead-letters`: what was refused, shown, tried again or dropped."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

from kafka import KafkaProducer
from rich.text import Text

from agents.dead_letters import ORIGIN
from funnel.events import Event
from journey import topics
from journey.clickhouse import connected
from journey.errors import JourneyError
from journey.kafka_clients import producer_client
from journey.letters import DROPPED, RETRIED, Filter, Letter, how_many, letters, mark, server_time
from journey.local_stack import running_stack
from journey.produce import key_of
from journey.reading import readable
from journey.screen import Screen, waiting_line
from journey.sending import running_kafka
from journey.settings import Settings
from journey.wiring import codec_of
from schemas.codec import EventCodec
from schemas.errors import Undecodable
from schemas.ndjson import parse_line

AT_ONCE = 1_000
_SHOWN_BYTES = 4_096


def show_list(settings: Settings, wanted: Filter, most: int, screen: Screen) -> int:
    """One line a letter, without its content; returns the exit code."""
    with readable(settings) as found, connected(found) as reader:
        count = how_many(reader, wanted)
        for letter in letters(reader, wanted, most=most):
            screen.out.print(Text(_line(letter)))
    shown = min(count, most)
    screen.out.print(Text(f"{count:,} letters" + (f", {shown:,} shown" if shown < count else "")))
    return 0


def show_one(settings: Settings, letter_id: str, screen: Screen) -> int:
    """All of one letter, its content too; returns the exit code."""
    with readable(settings) as found, connected(found) as reader:
        letter = _one(reader, letter_id)
    for name in ("id", "reason", "stage", "message", "written_at", "outcome"):
        screen.out.print(Text(f"{name:<11} {getattr(letter, name)}"))
    screen.out.print(Text(f"{'origin':<11} {_origin(letter)}"))
    screen.out.print(Text(f"{'key':<11} {_readable(letter.key)}"))
    event = _event_in(letter, codec_of(settings))
    value = _readable(letter.value) if event is None else json.dumps(event, default=str, ensure_ascii=False)
    screen.out.print(Text(f"{'value':<11} {value}"))
    return 0


def retry(settings: Settings, wanted: Filter, screen: Screen) -> int:
    """Send letters through intake again; returns the exit code.

    Where brokers are configured or a stack runs in the data directory, they are sent there. Else a stack is started for it, and this returns
    when all is worked off.
    """
    with ExitStack() as closing:
        waiting = closing.enter_context(waiting_line(screen))
        running = running_kafka(settings)
        if running is None:
            stack = closing.enter_context(running_stack(settings, say=waiting.say, progress=waiting.show))
            found, wait = stack.settings, stack.drain
        else:
            found, wait = closing.enter_context(readable(running)), None
        reader = closing.enter_context(connected(found))
        producer = closing.enter_context(producer_client(found))
        sent, kept = _retry_all(reader, producer, found, wanted, waiting.show)
        if wait is not None:
            wait(waiting.show)
        waiting.hide()
    screen.out.print(
        Text(f"{sent:,} letters sent again" + (f", {kept:,} can't be: no event is in them" if kept else ""))
    )
    return 0


def drop(settings: Settings, wanted: Filter, screen: Screen) -> int:
    """Note that nobody wants to see these letters again; returns the exit code."""
    dropped, after = 0, ""
    with readable(settings) as found, connected(found) as client:
        at = server_time(client)
        while some := letters(client, wanted, most=AT_ONCE, after=after):
            mark(client, [letter.id for letter in some], DROPPED, at)
            dropped, after = dropped + len(some), some[-1].id
    screen.out.print(Text(f"{dropped:,} letters dropped"))
    return 0


def _retry_all(
    client: Any, producer: KafkaProducer, settings: Settings, wanted: Filter, progress: Callable[[str, int], None]
) -> tuple[int, int]:
    """How many were sent, and how many can't be."""
    codec = codec_of(settings)
    topic_of = {channel: topics.topic_name(settings, name) for channel, name in topics.INPUT_TOPICS.items()}
    at, left = server_time(client), how_many(client, wanted)
    sent = kept = 0
    after = ""
    while some := letters(client, wanted, most=AT_ONCE, content=True, after=after):
        progress("sending again", left - sent - kept)
        ids = []
        for letter in some:
            record = _record_of(letter, codec, topic_of)
            if record is None:
                kept += 1
                continue
            topic, key, value = record
            partitions = producer.partitions_for(topic)
            if not partitions:
                raise JourneyError(f"there is no topic {topic}", hint="`journey topics` makes it")
            partition = zlib.crc32(key) % len(partitions) if key else None
            producer.send(
                topic, key=key, value=value, partition=partition, headers=[(ORIGIN, _origin(letter).encode())]
            )
            ids.append(letter.id)
        producer.flush()
        mark(client, ids, RETRIED, at)
        sent += len(ids)
        after = some[-1].id
    return sent, kept


def _record_of(letter: Letter, codec: EventCodec, topic_of: Mapping[str, str]) -> tuple[str, bytes, bytes] | None:
    """Topic, key and value to send; None where no event is in the letter."""
    if letter.origin_topic in topic_of.values():
        return letter.origin_topic, letter.key, letter.value
    if letter.stage == "produce":
        try:
            event = parse_line(letter.value)
        except ValueError:  # Undecodable is one
            return None
        return topic_of[event["channel"]], key_of(event), codec.encode(event)
    decoded = _event_in(letter, codec)
    return None if decoded is None else (topic_of[decoded["channel"]], key_of(decoded), letter.value)


def _event_in(letter: Letter, codec: EventCodec) -> Event | None:
    """The event, with its channel, that a letter holds as a record; None where it is none."""
    for channel in topics.INPUT_TOPICS:
        try:
            return {"channel": channel, **codec.decode(channel, letter.value)}
        except Undecodable:
            continue
    return None


def _one(reader: Any, letter_id: str) -> Letter:
    found = letters(reader, Filter(ids=(letter_id,), settled=True), most=1, content=True)
    if not found:
        raise JourneyError(f"there is no letter {letter_id}", hint="`journey dead-letters list` has their ids")
    return found[0]


def _line(letter: Letter) -> str:
    outcome = f"  {letter.outcome}" if letter.outcome else ""
    when = letter.written_at.strftime("%Y-%m-%d %H:%M:%S")
    return f"{letter.id}  {when}  {letter.reason:<13} {_origin(letter)}  {letter.message}{outcome}"


def _origin(letter: Letter) -> str:
    return f"{letter.origin_topic}/{letter.origin_partition}/{letter.origin_offset}"


def _readable(data: bytes) -> str:
    cut = data[:_SHOWN_BYTES]
    more = f" ... ({len(data):,} bytes)" if len(cut) < len(data) else ""
    return repr(cut)[2:-1] + more
