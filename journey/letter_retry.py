"""`journey dead-letters retry`: what was refused goes through intake again."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

from kafka import KafkaProducer
from rich.text import Text

from agents.dead_letters import ORIGIN
from journey import topics
from journey.clickhouse import connected
from journey.errors import JourneyError
from journey.kafka_clients import producer_client
from journey.letter_commands import AT_ONCE, event_in, origin_of
from journey.letters import RETRIED, Filter, Letter, how_many, letters, mark, server_time
from journey.local_stack import running_stack
from journey.produce import key_of
from journey.reading import readable
from journey.screen import Screen, waiting_line
from journey.sending import running_kafka
from journey.settings import Settings
from journey.wiring import codec_of
from schemas.codec import EventCodec
from schemas.ndjson import parse_line


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
                topic, key=key, value=value, partition=partition, headers=[(ORIGIN, origin_of(letter).encode())]
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
    decoded = event_in(letter, codec)
    return None if decoded is None else (topic_of[decoded["channel"]], key_of(decoded), letter.value)
