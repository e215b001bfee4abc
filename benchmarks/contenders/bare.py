"""A bare aiokafka loop with its batch API: the limit. No state recovery, no rebalances, no fail-stop, no deadlines: what is left when nothing else is done."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from agents.records import records_of
from benchmarks.harness import Meter, Task, task_from_arguments
from benchmarks.job import Job, by_prospect
from funnel.prospect import State

MIB = 1024 * 1024
RUN = 2_000
IN_FLIGHT = 4
BATCH_BYTES = 768 * 1024


async def main(task: Task) -> None:
    job, meter = Job(), Meter(task.events)
    states: dict[bytes, State] = {}
    records: dict[bytes, dict[bytes, bytes]] = {}
    consumer = AIOKafkaConsumer(
        bootstrap_servers=task.bootstrap,
        group_id=task.group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=4 * MIB,
        fetch_max_bytes=32 * MIB,
    )
    consumer.assign([TopicPartition(task.events_topic, partition) for partition in range(task.partitions)])
    producer = AIOKafkaProducer(
        bootstrap_servers=task.bootstrap, acks="all", enable_idempotence=True, max_batch_size=MIB, linger_ms=0
    )
    await consumer.start()
    await producer.start()
    flights: deque[asyncio.Task[None]] = deque()
    turns = [asyncio.Lock() for _ in range(task.partitions)]
    ended = asyncio.get_running_loop().time
    committed = ended()
    positions: dict[TopicPartition, int] = {}

    async def ship(tp: TopicPartition, end: int, changes: list[Any], facts: list[Any]) -> None:
        async with turns[tp.partition]:
            for topic, sent in ((task.changelog_topic, changes), (task.facts_topic, facts)):
                deliveries = [
                    await producer.send_batch(batch, topic, partition=tp.partition)
                    for batch in _batches(producer, sent)
                ]
                for delivery in deliveries:
                    await delivery
            positions[tp] = end

    try:
        while not meter.complete:
            fetched = await consumer.getmany(timeout_ms=1_000, max_records=RUN)
            for tp, run in fetched.items():
                meter.first()
                grouped = by_prospect((record.key, job.arrival(record.offset, record.value)) for record in run)
                changes: list[tuple[bytes, bytes | None]] = []
                facts = []
                for prospect, arrivals in grouped.items():
                    outcome = job.take(prospect, states.get(prospect), arrivals)
                    states[prospect] = outcome.state
                    kept = records.setdefault(prospect, {})
                    for suffix, value in records_of(outcome, job.terms):
                        changes.append((prospect + suffix, value))
                        if value is None:
                            kept.pop(suffix, None)
                        else:
                            kept[suffix] = value
                    message = job.facts(prospect, outcome)
                    if message is not None:
                        facts.append((prospect, message))
                while len(flights) >= IN_FLIGHT:
                    await flights.popleft()
                flights.append(asyncio.create_task(ship(tp, run[-1].offset + 1, changes, facts)))
                meter.handled(len(run))
            if positions and ended() - committed > 1:
                committed = ended()
                await consumer.commit(positions)
        while flights:
            await flights.popleft()
        await consumer.commit(positions)
        meter.durable()
    finally:
        await consumer.stop()
        await producer.stop()


def _batches(producer: AIOKafkaProducer, sent: list[tuple[bytes, bytes | None]]) -> list[Any]:
    batches = []
    used = BATCH_BYTES
    for key, value in sent:
        size = 32 + len(key) + len(value or b"")
        if used + size > BATCH_BYTES:
            batches.append(producer.create_batch())
            used = 0
        used += size
        batches[-1].append(timestamp=None, key=key, value=value)
    for batch in batches:
        batch.close()
    return batches


if __name__ == "__main__":
    asyncio.run(main(task_from_arguments()))
