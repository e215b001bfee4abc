"""What the topics of an installation hold, read by somebody who was not there when it was written.

Nothing here asks the pipeline: records are read from the broker, offsets from the group's coordinator.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from agents.acceptance import Acceptance, phone_parser
from agents.changelog import Partition, Reading
from agents.dead_letters import ORIGIN
from agents.fencing import epoch_of
from agents.records import state_of
from funnel.definition import load_funnels
from funnel.events import Touch
from funnel.facts import Facts
from funnel.messages import Handover, Membership, Reset, Sighting
from funnel.rules import RuleSet
from funnel.state import Terms
from schemas.codec import EventCodec
from schemas.messages import decode_facts, decode_message
from schemas.registry import FileRegistry
from tests.pipeline import TOPIC_OF_CHANNEL
from tests.translation import SETTINGS

CHANNEL_OF_TOPIC = {topic: channel for channel, topic in TOPIC_OF_CHANNEL.items()}
TOUCHES, CHANGELOG, FACTS, DEAD_LETTERS = "touches", "journey-prospects-changelog", "facts", "dead-letters"
FETCH_BYTES = 16 * 1024 * 1024
_SAID = Sighting | Handover | Membership | Reset


class Place(NamedTuple):
    """Where a record is; the topic without its prefix."""

    topic: str
    partition: int
    offset: int


class Incoming(NamedTuple):
    """A record of `touches`."""

    place: Place
    prospect: bytes
    touch: Touch | None
    """An event at its start; None: anything else."""
    said: tuple[bytes, int] | None
    """Who says it and at which revision, where an identifier says something to another that its state must know of."""
    origin: Place | None
    """The input record that it is of."""


class Letter(NamedTuple):
    """A dead letter."""

    origin: Place
    reason: str
    stage: str


@dataclass(frozen=True)
class Evidence:
    """Everything there is, in the order in which it was read: what is read later holds all that the earlier speaks of."""

    committed: Mapping[tuple[str, int], int]
    """Offset by topic and partition; nothing where none was committed."""
    facts: Sequence[tuple[bytes, Facts]]
    """Prospect and facts, in order within each partition."""
    kept: Mapping[bytes, Mapping[tuple[str, str], Touch]]
    """By prospect: the events of its state, by source and event_id."""
    revisions: Mapping[bytes, int]
    """By prospect: of its state."""
    touches: Sequence[Incoming]
    letters: Sequence[Letter]
    inputs: Mapping[Place, tuple[bytes | None, int]]
    """Value and timestamp (milliseconds)."""
    ends: Mapping[tuple[str, int], int]
    """How far the input topics and `touches` go, by topic and partition."""


async def collect(bootstrap: str, prefix: str, funnels: Iterable[Path]) -> Evidence:
    """Read everything.

    Args:
        bootstrap: `host:port` of the broker itself.
        prefix: of the installation's topics and groups.
        funnels: the funnel files its workers use.
    """
    terms = _terms(funnels)
    async with AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=FETCH_BYTES,
        # A fetch of the topic before, which has nothing more to come, must not hold up the next one.
        fetch_max_wait_ms=10,
    ) as consumer:
        reader = _Reader(consumer, prefix)
        # The order matters while workers run: a cause that is read after its effect can't be missing.
        committed = await committed_offsets(bootstrap, f"{prefix}journey", prefix)
        facts = [decode_facts(record.value) for record in await reader.read(FACTS)]
        touches = [_incoming(record, prefix) for record in await reader.read(TOUCHES)]
        states = _states(await reader.read(CHANGELOG))
        letters = [_letter(record, prefix) for record in await reader.read(DEAD_LETTERS)]
        inputs = {
            Place(topic, record.partition, record.offset): (record.value, record.timestamp)
            for topic in CHANNEL_OF_TOPIC
            for record in await reader.read(topic)
        }
    kept, revisions = {}, {}
    for prospect, records in states.items():
        state = state_of(terms, records)
        # Each event where its way starts, and so once; what was handed on is judged by the rows it leads to.
        kept[prospect] = {
            (one.touch.source, one.touch.event_id): one.touch for one in state.history.events if not one.sender
        }
        revisions[prospect] = state.revision
    return Evidence(committed, facts, kept, revisions, touches, letters, inputs, reader.ends)


async def committed_offsets(bootstrap: str, group: str, prefix: str) -> dict[tuple[str, int], int]:
    """What a group has committed, by topic (without prefix) and partition."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        offsets = await admin.list_consumer_group_offsets(group)
    finally:
        await admin.close()
    return {
        (tp.topic.removeprefix(prefix), tp.partition): found.offset
        for tp, found in offsets.items()
        if found.offset >= 0
    }


class _Reader:
    """Reads whole topics, one after the other, and notes how far they went."""

    def __init__(self, consumer: AIOKafkaConsumer, prefix: str) -> None:
        self._consumer, self._prefix = consumer, prefix
        self.ends: dict[tuple[str, int], int] = {}

    async def read(self, topic: str) -> list[Any]:
        """All records of a topic, up to where it ended when this was asked."""
        consumer, full = self._consumer, self._prefix + topic
        tps = [TopicPartition(full, partition) for partition in sorted(await self._partitions(full))]
        consumer.assign(tps)
        await consumer.seek_to_beginning(*tps)
        ends = await consumer.end_offsets(tps)
        self.ends |= {(topic, tp.partition): end for tp, end in ends.items()}
        records: list[Any] = []
        while any([await consumer.position(tp) < ends[tp] for tp in tps]):
            for fetched in (await consumer.getmany(timeout_ms=200)).values():
                records += fetched
        return records

    async def _partitions(self, topic: str) -> set[int]:
        self._consumer._client.add_topic(topic)
        found: set[int] | None = None
        while not found:
            await self._consumer._client.force_metadata_update()
            found = self._consumer.partitions_for_topic(topic)
        return found


def _states(records: Iterable[Any]) -> Partition:
    """What counts of the changelog, as whoever reads it back takes it."""
    readings: dict[int, Reading] = defaultdict(Reading)
    for record in records:
        readings[record.partition].take([(record.offset, record.key, record.value, epoch_of(record.headers))])
    return {prospect: found for reading in readings.values() for prospect, found in reading.state.items() if found}


def _terms(funnels: Iterable[Path]) -> Terms:
    rules = RuleSet(load_funnels(tuple(funnels)))
    codec = EventCodec(FileRegistry())
    acceptance = Acceptance(codec, rules, SETTINGS.id_key, phone_parser(SETTINGS.phone_region), 65_536)
    return Terms(rules, acceptance.opener)


def _incoming(record: Any, prefix: str) -> Incoming:
    message = decode_message(record.value)
    origins = [value.decode() for name, value in record.headers if name == ORIGIN]
    origin = None
    if origins:
        topic, partition, offset = origins[0].rsplit("/", 2)
        origin = Place(topic.removeprefix(prefix), int(partition), int(offset))
    place = Place(TOUCHES, record.partition, record.offset)
    said = (message.sender, message.revision) if isinstance(message, _SAID) else None
    return Incoming(place, record.key, message if isinstance(message, Touch) else None, said, origin)


def _letter(record: Any, prefix: str) -> Letter:
    about = {name: value.decode() for name, value in record.headers}
    origin = Place(
        about["__connect.errors.topic"].removeprefix(prefix),
        int(about["__connect.errors.partition"]),
        int(about["__connect.errors.offset"]),
    )
    return Letter(origin, about["journey.reason"], about["journey.stage"])
