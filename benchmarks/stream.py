"""Events into Kafka and facts out of it, whole batches at a time; none of it is measured."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from agents.partitioning import partition_of
from benchmarks.events import Keyed
from funnel.facts import Facts
from schemas.messages import decode_facts

MIB = 1024 * 1024
_SEND_BYTES = 2 * MIB


def load(bootstrap: str, topic_of: Callable[[Keyed], str], events: Iterable[Keyed], partitions: int) -> None:
    """Write events to their topics, each prospect's in order."""
    asyncio.run(_load(bootstrap, topic_of, events, partitions))


async def _load(bootstrap: str, topic_of: Callable[[Keyed], str], events: Iterable[Keyed], partitions: int) -> None:
    filled: defaultdict[tuple[str, int], list[Keyed]] = defaultdict(list)
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, max_batch_size=MIB, acks="all") as producer:

        async def send(target: tuple[str, int], part: list[Keyed]) -> None:
            batch = producer.create_batch()
            for event in part:
                if batch.append(timestamp=None, key=event.prospect, value=event.raw) is None:
                    raise RuntimeError(f"a batch of {len(part):,} events is too large for {target}")
            await (await producer.send_batch(batch, target[0], partition=target[1]))

        size = 0
        for event in events:
            filled[topic_of(event), partition_of(event.prospect, partitions)].append(event)
            size += len(event.raw) + 48
            if size > _SEND_BYTES:
                # To all partitions at once: a quiet one's records are not kept for longer than a busy one's.
                for target, part in filled.items():
                    await send(target, part)
                filled.clear()
                size = 0
        for target, part in filled.items():
            await send(target, part)


def read_facts(bootstrap: str, topic: str, partitions: int) -> Iterator[tuple[bytes, Facts]]:
    """All facts of a topic (Apache Kafka's end offsets are right; the embedded broker's are not)."""
    return iter(asyncio.run(_read_facts(bootstrap, topic, partitions)))


async def _read_facts(bootstrap: str, topic: str, partitions: int) -> list[tuple[bytes, Facts]]:
    found = []
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, auto_offset_reset="earliest", max_partition_fetch_bytes=8 * MIB
    )
    tps = [TopicPartition(topic, partition) for partition in range(partitions)]
    consumer.assign(tps)
    async with consumer:
        ends = await consumer.end_offsets(tps)
        left = {tp for tp in tps if ends[tp]}
        while left:
            for tp, records in (await consumer.getmany(timeout_ms=1_000, max_records=50_000)).items():
                found += [decode_facts(record.value) for record in records]
                if records[-1].offset + 1 >= ends[tp]:
                    left.discard(tp)
    return found
