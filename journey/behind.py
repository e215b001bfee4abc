"""How far an installation is behind its input, in records and in time."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from typing import NamedTuple

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient

from journey.offsets import committed, true_ends
from journey.settings import Settings
from journey.steps import steps_of

_PATIENCE_SECONDS = 5.0
_POLL_MILLISECONDS = 50


class Behind(NamedTuple):
    """What one group has left of one topic."""

    topic: str
    group: str
    records: int
    """That it has not committed."""
    seconds: float
    """How old the oldest of them is, by its timestamp; infinite where that could not be read."""


def behind(
    admin: KafkaAdminClient, consumer: KafkaConsumer, settings: Settings, *, embedded: bool = False
) -> list[Behind]:
    """What is left, topic by topic; nothing where all is worked off.

    Topics are looked at in the order of the way, and offsets are committed when what follows from a record is written: so nothing slips
    through between two looks.

    Args:
        admin: asks for the groups' offsets.
        consumer: without a group, and without an assignment.
        settings: of the installation.
        embedded: whether the broker is the embedded one (`journey.offsets.true_ends`).

    Raises:
        JourneyError: a topic does not exist.
    """
    found = []
    for step in steps_of(settings):
        done = committed(admin, step.group)
        ends = true_ends(consumer, step.topics, embedded=embedded)
        left = {tp: end - done.get(tp, 0) for tp, end in ends.items() if end > done.get(tp, 0)}
        times = _oldest(consumer, {tp: done.get(tp, 0) for tp in left})
        for topic in step.topics:
            mine = [tp for tp in left if tp.topic == topic]
            if mine:
                oldest = min(times.get(tp, -math.inf) for tp in mine)
                age = max(0.0, time.time() - oldest)
                found.append(Behind(topic, step.group, sum(left[tp] for tp in mine), age))
    return found


def worst(found: Iterable[Behind]) -> float:
    """The largest age in seconds; 0 where nothing is left."""
    return max((one.seconds for one in found), default=0.0)


def _oldest(consumer: KafkaConsumer, starts: dict[TopicPartition, int]) -> dict[TopicPartition, float]:
    """The time (seconds since 1970) of the first record at or after these offsets, as far as one comes."""
    times: dict[TopicPartition, float] = {}
    if not starts:
        return times
    consumer.assign(list(starts))
    for tp, offset in starts.items():
        consumer.seek(
            tp, offset
        )  # what is deleted meanwhile is passed over: the consumer goes on from the first that is there
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while len(times) < len(starts) and time.monotonic() < deadline:
        for tp, records in consumer.poll(_POLL_MILLISECONDS).items():
            times.setdefault(tp, records[0].timestamp / 1_000)
            consumer.pause(tp)
    consumer.unsubscribe()
    return times
