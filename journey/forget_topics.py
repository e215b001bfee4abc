"""Taking somebody who is forgotten out of topics.

Kafka deletes records only from a partition's beginning. So what stands before the last record about them, and is about others, is sent
again first, with its key, headers and time. Whoever reads the topic meets copies, which change nothing: an event counts once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from journey.errors import JourneyError
from journey.offsets import Offsets, true_ends

_POLL_MILLISECONDS = 200
_EMPTY_POLLS = 100
_AT_ONCE = 10_000
_DELIVERY_SECONDS = 30
Progress = Callable[[str, int], None]
IsAbout = Callable[[Any], bool]


def purge(
    admin: KafkaAdminClient,
    consumer: KafkaConsumer,
    producer: KafkaProducer,
    topic: str,
    is_about_them: IsAbout,
    progress: Progress,
) -> int:
    """Delete all records of a topic that are about them; returns how many those were.

    Raises:
        JourneyError: the brokers stopped answering, or refuse; what was to be sent again may be there twice then.
    """
    ends = {tp: end for tp, end in true_ends(consumer, [topic]).items() if end}
    last: Offsets = {}
    found = 0
    for tp, record in records_of(consumer, ends, progress, f"searching {topic}"):
        if is_about_them(record):
            last[tp] = record.offset
            found += 1
    if not found:
        return 0
    upto = {tp: offset + 1 for tp, offset in last.items()}
    kept = (record for _, record in records_of(consumer, upto, progress, f"keeping what is others' in {topic}"))
    _send_again(producer, (record for record in kept if not is_about_them(record)))
    delete_before(admin, upto)
    return found


def _send_again(producer: KafkaProducer, records: Iterable[Any]) -> None:
    """Send records as they are, and return when the brokers have them."""
    pending: list[Any] = []

    def wait() -> None:
        producer.flush()
        for one in pending:
            one.get(timeout=_DELIVERY_SECONDS)
        pending.clear()

    try:
        for record in records:
            time = record.timestamp if record.timestamp >= 0 else None
            again = {"key": record.key, "headers": list(record.headers), "partition": record.partition}
            pending.append(producer.send(record.topic, value=record.value, timestamp_ms=time, **again))
            if len(pending) >= _AT_ONCE:
                wait()
        wait()
    except KafkaError as error:
        raise JourneyError(f"what is others' could not be sent again: {type(error).__name__}") from error


def delete_before(admin: KafkaAdminClient, offsets: Mapping[TopicPartition, int]) -> None:
    """Delete what stands before these offsets.

    Raises:
        JourneyError: the brokers refuse.
    """
    wanted = {tp: offset for tp, offset in offsets.items() if offset > 0}
    if not wanted:
        return
    try:
        admin.delete_records(wanted)
    except KafkaError as error:
        topics = ", ".join(sorted({tp.topic for tp in wanted}))
        raise JourneyError(
            f"records of {topics} can't be deleted: {type(error).__name__}",
            hint="the user of JOURNEY_KAFKA needs DELETE on the topics, and they must not be compacted only",
        ) from error


def records_of(
    consumer: KafkaConsumer, ends: Mapping[TopicPartition, int], progress: Progress, what: str
) -> Iterator[tuple[TopicPartition, Any]]:
    """All records before these ends.

    Raises:
        JourneyError: the brokers stopped answering.
    """
    waiting = set(ends)
    if not waiting:
        return
    consumer.assign(list(waiting))
    consumer.seek_to_beginning(*waiting)
    empty = 0
    while waiting:
        polled = consumer.poll(_POLL_MILLISECONDS)
        empty = 0 if polled else empty + 1
        if empty > _EMPTY_POLLS:
            raise JourneyError(f"{what}: the brokers stopped answering")
        for tp, records in polled.items():
            for record in records:
                if record.offset < ends[tp]:
                    yield tp, record
        waiting = {tp for tp in waiting if consumer.position(tp) < ends[tp]}
        progress(what, sum(ends[tp] - consumer.position(tp) for tp in waiting))
    consumer.unsubscribe()
