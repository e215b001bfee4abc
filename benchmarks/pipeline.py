"""End to end: input topics -> intake -> prospects -> sink -> visible in ClickHouse, all of it the product's own processes."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from kafka.admin import KafkaAdminClient

from benchmarks.events import ID_KEY, Flow, Keyed
from benchmarks.stream import load
from journey.counts import Counter
from journey.local_stack import running_stack
from journey.settings import load_settings
from journey.topic_admin import create_topics
from journey.topics import INPUT_TOPICS, wanted_topics
from tests.broker import Broker, wait_until
from tests.faults.kafka import ApacheKafka

WORKERS = 2
"""One a core."""
WARM_UP = 0.1
"""Which share of the events goes first and isn't timed: until all processes have their partitions, and the broker's JVM has compiled what
it needs, which takes a core for seconds and would be measured instead. A pipeline is started once and runs for weeks."""
_ROWS = "SELECT count() FROM stage_transitions FINAL WHERE kind != 'expired'"


class PipelineWrong(RuntimeError):
    """ClickHouse holds other rows than it should."""


def take_turns(
    flows: Mapping[str, Flow], rounds: int, work: Path, progress: Callable[[str, int], None]
) -> dict[str, dict[str, Any]]:
    """Measure streams in turn, each time on a fresh broker, as the machine's speed changes from one minute to the next.

    Returns:
        For each stream the median of its rates (events per second) and all of them, and the median of what share of the first
        stream's rate of the same round that was.

    Raises:
        PipelineWrong: see `end_to_end`.
    """
    rates: dict[str, list[float]] = {name: [] for name in flows}
    for number in range(rounds):
        for name, flow in flows.items():
            with ApacheKafka(work / f"kafka-{name}-{number}") as broker:
                rates[name].append(end_to_end(broker, flow.events, flow.rows, progress))
    first = next(iter(rates.values()))
    return {
        name: {
            "events": len(flows[name].events),
            "prospects": flows[name].prospects,
            "rows": flows[name].rows,
            "events_per_second": round(median(found)),
            "runs": [round(rate) for rate in found],
            "share": round(median(mine / its for mine, its in zip(found, first, strict=True)), 3),
        }
        for name, found in rates.items()
    }


def end_to_end(broker: Broker, events: Sequence[Keyed], rows: int, progress: Callable[[str, int], None]) -> float:
    """Events per second, from the first event that is written to Kafka after the warm-up until the last row is in ClickHouse.

    Args:
        broker: an empty one.
        events: what is sent, as fast as Kafka takes it.
        rows: of `stage_transitions`, expiries aside, that must come out (those come later, by the wall clock).
        progress: told what is waited for.

    Raises:
        PipelineWrong: they did not.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as work:
        settings = load_settings(
            kafka=broker.bootstrap,
            id_key=ID_KEY.decode(),
            workers=WORKERS,
            data_dir=Path(work) / "data",
            funnels=("sales",),
        )
        # Made beforehand: brokers take a moment until they tell of new topics.
        wanted = wanted_topics(settings)
        with broker.admin() as admin:
            create_topics(admin, wanted)
            admin.wait_for_topics([topic.name for topic in wanted], timeout_ms=20_000)
        with running_stack(settings) as stack:
            # A worker that joins while another one works makes that one read some events twice, and counts them so.
            with broker.admin() as admin:
                wait_until(partial(_is_whole, admin, settings.app_id), seconds=60, what="all workers are in the group")
            counter = Counter(stack)
            warm_up = int(len(events) * WARM_UP)
            load(
                broker.bootstrap, lambda event: INPUT_TOPICS[event.channel], events[:warm_up], stack.settings.partitions
            )
            stack.settle(progress)
            began = time.perf_counter()
            load(
                broker.bootstrap, lambda event: INPUT_TOPICS[event.channel], events[warm_up:], stack.settings.partitions
            )
            stack.settle(progress)
            seconds = time.perf_counter() - began
            counts = counter.read()
            found = int(stack._reader.execute(_ROWS)[0][0])
            if found != rows or counts.consumed != len(events):
                raise PipelineWrong(
                    f"{found:,} rows in ClickHouse, expected {rows:,}; {counts.consumed:,} of {len(events):,} events taken in"
                )
    return (len(events) - warm_up) / seconds


def _is_whole(admin: KafkaAdminClient, group: str) -> bool:
    """Whether all workers are members, and have been given their partitions."""
    found = admin.describe_groups([group])[group]
    return len(found["members"]) == WORKERS and found["group_state"] == "Stable"
