"""Cost per event and memory as prospects grow."""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.contenders.grown import KEPT, prospect_of
from benchmarks.contest import PARTITIONS, watch
from benchmarks.events import SEED, Keyed
from benchmarks.harness import Task
from benchmarks.stream import load
from tests.broker import Broker


def grow(
    broker: Broker, events: Sequence[Keyed], sizes: Sequence[int], progress: Callable[[str, int], None]
) -> list[dict[str, Any]]:
    """For each number of prospects: our agent on events that are evenly spread over them.

    Even is the worst case: with many prospects, nearly every event is for one whose state is not at hand.
    """
    found = []
    for prospects in sizes:
        rng = random.Random(SEED)
        group = f"bench-grown-{prospects}"
        topics = [f"{group}-events", f"{group}-facts", f"{group}-changelog"]
        broker.create_topics(*topics, partitions=PARTITIONS)
        spread = [event._replace(prospect=prospect_of(rng.randrange(prospects))) for event in events]
        load(broker.bootstrap, lambda _, topic=topics[0]: topic, spread, PARTITIONS)
        with tempfile.TemporaryDirectory(prefix="bench-") as work:
            task = Task(
                bootstrap=broker.bootstrap,
                events_topic=topics[0],
                facts_topic=topics[1],
                changelog_topic=topics[2],
                group=group,
                events=len(spread),
                partitions=PARTITIONS,
                work_dir=str(Path(work) / "data"),
            )
            command = [sys.executable, "-m", "benchmarks.contenders.grown", task.to_json(), str(prospects)]
            result = watch(f"{prospects:,} prospects", command, Path(work) / "log", progress)
        with broker.admin() as admin:
            admin.delete_topics(topics)
        found.append(
            {
                "prospects": prospects,
                "events_kept_each": KEPT,
                "events_per_second": round(len(spread) / result["seconds"]),
                "cpu_us_per_event": round(result["cpu_seconds"] / len(spread) * 1e6, 1),
                "bytes_per_prospect": round((result["filled_mib"] + result["installed_mib"]) * 1024**2 / prospects),
                "peak_mib": round(result["peak_mib"]),
            }
        )
    return found
