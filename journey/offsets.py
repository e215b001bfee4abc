"""How far topics reach, and how far groups have come."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from journey.errors import JourneyError

Offsets = dict[TopicPartition, int]

_PATIENCE_SECONDS = 3.0
_EMBEDDED_PATIENCE_SECONDS = 60.0
"""A machine that is busy starting everything may keep it waiting for long."""
_POLL_MILLISECONDS = 20


def partitions_of(consumer: KafkaConsumer, topics: Iterable[str]) -> list[TopicPartition]:
    """All partitions of the topics.

    Raises:
        JourneyError: a topic does not exist.
    """
    found = []
    for topic in topics:
        partitions = consumer.partitions_for_topic(topic)
        if not partitions:
            raise JourneyError(f"topic {topic} does not exist", hint="run `journey topics`")
        found += [TopicPartition(topic, partition) for partition in sorted(partitions)]
    return found


def true_ends(consumer: KafkaConsumer, topics: Iterable[str], *, embedded: bool = False) -> Offsets:
    """Where each partition ends: the offset after its last record; 0 where it holds none (any more).

    The embedded broker reports the last batch's first offset + 1, so the last batch is read. Where nothing stands at
    the reported end (compacted away), the report is taken. With `embedded` it never is: there is a record, and who
    believed the report would take a part for the whole.

    Raises:
        JourneyError: a topic does not exist; or the embedded broker stopped answering.
    """
    partitions = partitions_of(consumer, topics)
    reported = _answered(consumer.end_offsets, partitions)
    begun = _answered(consumer.beginning_offsets, partitions)
    waiting = {tp for tp in partitions if reported[tp] > begun[tp]}
    ends = {tp: reported[tp] if tp in waiting else 0 for tp in partitions}
    if not waiting:
        return ends
    consumer.assign(list(waiting))
    for tp in waiting:
        consumer.seek(tp, reported[tp] - 1)
    deadline = time.monotonic() + (_EMBEDDED_PATIENCE_SECONDS if embedded else _PATIENCE_SECONDS)
    while waiting and time.monotonic() < deadline:
        for tp, records in consumer.poll(_POLL_MILLISECONDS).items():
            ends[tp] = max(ends[tp], records[-1].offset + 1)
            waiting.discard(tp)
    for tp, records in consumer.poll(0).items():  # the rest of a batch that was handed out in parts
        ends[tp] = max(ends[tp], records[-1].offset + 1)
    consumer.unsubscribe()
    if embedded and waiting:
        raise JourneyError(f"the embedded broker did not answer for {_EMBEDDED_PATIENCE_SECONDS:g} s")
    return ends


def beginnings(consumer: KafkaConsumer, topics: Iterable[str]) -> Offsets:
    """Where each partition begins: the offset of its first record, or where that would be.

    Raises:
        JourneyError: as `true_ends`.
    """
    return _answered(consumer.beginning_offsets, partitions_of(consumer, topics))


def _answered(ask: Callable[[list[TopicPartition]], Offsets], partitions: list[TopicPartition]) -> Offsets:
    """The answer for all the partitions, asked for again while it lacks some.

    kafka-python asks the leaders it knows. Where its metadata lacks one for a moment, it asks for the others, refreshes
    its metadata, and then stumbles with a `KeyError` over the partition it did not ask for.

    Raises:
        JourneyError: a partition stays without an answer.
    """
    deadline = time.monotonic() + _EMBEDDED_PATIENCE_SECONDS
    while True:
        try:
            return ask(partitions)
        except KeyError as missing:
            if time.monotonic() > deadline:
                raise JourneyError(f"Kafka tells no offset of {missing}", hint="has the partition a leader?") from None
            time.sleep(_POLL_MILLISECONDS / 1000)


def committed(admin: KafkaAdminClient, group: str) -> Offsets:
    """The group's committed offsets; partitions without one are left out.

    Asked for again while the group's broker is changing, or has only just been chosen.

    Raises:
        kafka.errors.KafkaError: it stays so, or the brokers refuse.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            found = admin.list_group_offsets(group).get(group, {})
            break
        except KafkaError as error:
            if not error.retriable or time.monotonic() > deadline:
                raise
            time.sleep(_POLL_MILLISECONDS / 1000)
    return {tp: offset.offset for tp, offset in found.items() if offset.offset >= 0}


def lag(ends: Mapping[TopicPartition, int], done: Mapping[TopicPartition, int]) -> int:
    """Records that the group has not committed yet. A partition it never committed counts from its first record."""
    return sum(max(0, end - done.get(tp, 0)) for tp, end in ends.items())
