"""A notifier with topics of its own, and what a test tells it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from aiokafka import AIOKafkaProducer

from alerts.config import load_alerts
from alerts.process import Notifier, NotifierConfig
from funnel.alerts import Alert
from schemas.alerts import ALERTS
from tests.broker import Broker, unique

PARTITIONS = 2


def notifier_config(broker: Broker, file: Path, text: str, secrets: Mapping[str, str]) -> NotifierConfig:
    """With topics and a group of its own; the topics are made."""
    file.write_text(text)
    alerts, deliveries = unique("stalled-prospects"), unique("alert-deliveries")
    broker.create_topics(alerts, partitions=PARTITIONS)
    broker.create_topics(deliveries, partitions=PARTITIONS, config={"cleanup.policy": "compact"})
    return NotifierConfig(
        brokers=broker.bootstrap,
        alerts=load_alerts(file, secrets),
        alerts_topic=alerts,
        deliveries_topic=deliveries,
        group=unique("notifier"),
        idempotent=broker.keeps_data,
        session_timeout=4.0,
    )


async def send(config: NotifierConfig, alerts: Iterable[Alert]) -> None:
    """Put alerts on their topic, as workers do: each prospect's in one partition."""
    async with AIOKafkaProducer(bootstrap_servers=config.brokers) as producer:
        for one in alerts:
            partition = one.prospect_id[0] % PARTITIONS
            await producer.send_and_wait(
                config.alerts_topic, ALERTS.encode(one), key=one.prospect_id, partition=partition
            )


@asynccontextmanager
async def running(config: NotifierConfig, clock: Callable[[], float] = time.time) -> AsyncIterator[Notifier]:
    """A notifier in this process, by this clock."""
    notifier = Notifier(config, clock)
    task = asyncio.ensure_future(notifier.run())
    try:
        yield notifier
    finally:
        notifier.stop()
        await asyncio.wait_for(task, 20)


def states(notifier: Notifier) -> list[tuple[str, str, str]]:
    """Target, state and error of all deliveries that a notifier knows."""
    return sorted((one.target, one.state, one.error) for ledger in notifier._ledgers.values() for one in ledger)
