"""Cost per event and memory as prospects grow."""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from benchmarks.contenders.grown import KEPT, prospect_of
from benchmarks.contest import PARTITIONS, watch
from benchmarks.events import SEED, Keyed
from benchmarks.harness import Task
from benchmarks.stream import load
from tests.broker import Broker

EVENLY = "evenly over all"
ACTIVE = "the same 20,000"


class _Case(NamedTuple):
    """What is measured: how many prospects are in the state, and on which of them events fall."""

    prospects: int
    events_on: str


def grow(
    broker: Broker, events: Sequence[Keyed], sizes: Sequence[int], rounds: int, progress: Callable[[str, int], None]
) -> list[dict[str, Any]]:
    """What an event costs our agent with more and more prospects in its state.

    The events are the same, and so is which of them are of one prospect: only how many others there are differs. Of the largest number it
    is measured, too, with the events spread evenly over all of them: no prospect has two events in a run then, which spares as much work
    again as the size of the state costs. The cases take turns, and are compared with the first one of the same round, as the machine's
    speed changes from one minute to the next.
    """
    cases = [*(_Case(size, ACTIVE) for size in sizes), _Case(sizes[-1], EVENLY)]
    measured: dict[_Case, list[dict[str, Any]]] = {case: [] for case in cases}
    for number in range(rounds):
        for at, case in enumerate(cases):
            measured[case].append(_measure(broker, events, case, f"bench-grown-{at}-{number}", progress))
    costs = {case: [one["cpu_seconds"] / len(events) * 1e6 for one in runs] for case, runs in measured.items()}
    return [
        {
            "prospects": case.prospects,
            "events_on": case.events_on,
            "events_kept_each": KEPT,
            "events_per_second": round(median(len(events) / one["seconds"] for one in runs)),
            "cpu_us_per_event": round(median(costs[case]), 1),
            "cpu_us_per_event_runs": [round(cost, 1) for cost in costs[case]],
            "times": round(median(mine / its for mine, its in zip(costs[case], costs[cases[0]], strict=True)), 3),
            "bytes_per_prospect": round(
                median(one["filled_mib"] + one["installed_mib"] for one in runs) * 1024**2 / case.prospects
            ),
            "peak_mib": round(median(one["peak_mib"] for one in runs)),
        }
        for case, runs in measured.items()
    ]


def _on(case: _Case, events: Sequence[Keyed]) -> list[Keyed]:
    """The events, of prospects that the state has."""
    if case.events_on == EVENLY:
        rng = random.Random(SEED)
        return [event._replace(prospect=prospect_of(rng.randrange(case.prospects))) for event in events]
    active = {prospect: number for number, prospect in enumerate(dict.fromkeys(event.prospect for event in events))}
    apart = max(1, case.prospects // len(active))
    return [event._replace(prospect=prospect_of(active[event.prospect] * apart % case.prospects)) for event in events]


def _measure(
    broker: Broker, events: Sequence[Keyed], case: _Case, group: str, progress: Callable[[str, int], None]
) -> dict[str, Any]:
    """One run."""
    topics = [f"{group}-events", f"{group}-facts", f"{group}-changelog"]
    broker.create_topics(*topics, partitions=PARTITIONS)
    load(broker.bootstrap, lambda _: topics[0], _on(case, events), PARTITIONS)
    with tempfile.TemporaryDirectory(prefix="bench-") as work:
        task = Task(
            bootstrap=broker.bootstrap,
            events_topic=topics[0],
            facts_topic=topics[1],
            changelog_topic=topics[2],
            group=group,
            events=len(events),
            partitions=PARTITIONS,
            work_dir=str(Path(work) / "data"),
        )
        command = [sys.executable, "-m", "benchmarks.contenders.grown", task.to_json(), str(case.prospects)]
        result = watch(f"{case.prospects:,} prospects, events {case.events_on}", command, Path(work) / "log", progress)
    with broker.admin() as admin:
        admin.delete_topics(topics)
    return result
