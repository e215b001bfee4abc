"""What the pure core alone costs: `receive` and the rules, on the same events in runs of the same size, with nothing around them."""

from __future__ import annotations

import gc
import json
import pickle
import sys
import time
from collections.abc import Iterable, Sequence
from itertools import count, groupby
from pathlib import Path

from agents.acceptance import touch_of
from agents.config import WorkerConfig
from agents.partitioning import partition_of
from benchmarks.contest import PARTITIONS
from benchmarks.events import Keyed
from benchmarks.job import STRANGER, Job, by_prospect
from funnel.prospect import Arrival, State
from schemas.messages import encode_touch

RUN = WorkerConfig.run_records


def cost_of_core(events: Sequence[Keyed]) -> dict[str, float]:
    """CPU microseconds per event: of `receive`, and of matching an event against the clauses."""
    gc.set_threshold(200_000, 20, 100)
    job = Job()
    states: dict[bytes, State] = {}
    receiving = matching = 0.0
    clock = time.process_time
    position = count()
    for run in _runs(events):
        decoded = [job.decode(event.raw) for event in run]
        began = clock()
        for event in decoded:
            job.rules.match(event)
        matching += clock() - began
        arrivals = []
        for event, keyed in zip(decoded, run, strict=True):
            touch = touch_of(event, job.rules, keyed.raw, *STRANGER)
            # As offsets do, positions rise: one that was there before would count as redelivered, and cost more.
            arrivals.append((keyed.prospect, Arrival(next(position), touch, encode_touch(touch))))
        grouped = by_prospect(arrivals)
        began = clock()
        for prospect, received in grouped.items():
            states[prospect] = job.take(prospect, states.get(prospect), received).state
        receiving += clock() - began
    return {"receive_us": receiving / len(events) * 1e6, "rules_us": matching / len(events) * 1e6}


def _runs(events: Sequence[Keyed]) -> Iterable[list[Keyed]]:
    """Runs of one partition each, in turns, as the agent gets them."""

    def partition(event: Keyed) -> int:
        return partition_of(event.prospect, PARTITIONS)

    by_partition = [list(part) for _, part in groupby(sorted(events, key=partition), key=partition)]
    for start in range(0, max(map(len, by_partition)), RUN):
        for part in by_partition:
            if part[start : start + RUN]:
                yield part[start : start + RUN]


if __name__ == "__main__":
    # A process of its own, so that nothing else's memory is in the way. The file is the parent's.
    drawn = pickle.loads(Path(sys.argv[1]).read_bytes())
    print(json.dumps(cost_of_core([Keyed(*event) for event in drawn])))
