"""Our agent with many prospects already in its state: does an event cost more when there are more of them?"""

from __future__ import annotations

import hashlib
import logging
import resource
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from faust.types import TP

from agents.app import run_worker
from agents.batching import Record
from agents.config import WorkerConfig
from agents.driver import Shipment
from agents.partitioning import partition_of
from agents.records import records_of, without_position
from agents.store import Partition
from benchmarks.contenders.ours import Measured, equip
from benchmarks.events import keyed_events
from benchmarks.harness import task_from_arguments, tell
from benchmarks.job import Job, by_prospect

KEPT = 3
"""Events that each prospect has in its state before the first one is measured."""
PATTERNS = 500


def prospect_of(number: int) -> bytes:
    """A prospect's id: as evenly spread as a keyed hash."""
    return hashlib.blake2b(number.to_bytes(8, "big"), digest_size=16).digest()


def fill(prospects: int, partitions: int) -> list[Partition]:
    """Records of so many prospects, per partition, as a changelog would bring them back."""
    job = Job()
    keyed = keyed_events(PATTERNS * KEPT * 4, PATTERNS)
    grouped = by_prospect((event.prospect, job.arrival(at, event.raw)) for at, event in enumerate(keyed))
    # Settled long ago, as what comes back from a changelog mostly is: no event that follows is a redelivery.
    patterns = [
        [
            (suffix, without_position(value or b""))
            for suffix, value in records_of(job.take(prospect, None, arrivals[:KEPT]), job.terms)
        ]
        for prospect, arrivals in grouped.items()
        if len(arrivals) >= KEPT
    ]
    filled: list[Partition] = [{} for _ in range(partitions)]
    for number in range(prospects):
        prospect = prospect_of(number)
        # Bytes of its own for every prospect, as records that were read would have.
        records = {
            bytes(bytearray(suffix)): bytes(bytearray(value)) for suffix, value in patterns[number % len(patterns)]
        }
        filled[partition_of(prospect, partitions)][prospect] = records
        if number % 50_000 == 0:
            tell(done=0)
    return filled


class Filled(Measured):
    """Puts the prospects into the state before the first run."""

    filled: list[Partition]

    def handle(self, tp: TP, records: Sequence[Record]) -> Shipment:
        if self.filled:
            before, state = _resident_mib(), self._state
            for number, partition in enumerate(self.filled):
                # Whose records are read anew may not go on writing; these were not read, and the tenure goes on.
                tenure = state.ownership.of(number)
                state.records.install(number, partition)
                state.ownership.begin(number, tenure)
            self.filled = []
            # Deadlines, and whatever else the agent keeps for each of them.
            tell(done=0, installed_mib=_resident_mib() - before)
        return super().handle(tp, records)


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1024**2


def main() -> int:
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    task = task_from_arguments()
    prospects = int(sys.argv[2])
    fill(PATTERNS, task.partitions)  # what is needed once, however many there are, is not counted
    before = _resident_mib()
    Filled.filled = fill(prospects, task.partitions)
    tell(done=0, filled_mib=_resident_mib() - before)
    config = WorkerConfig(brokers=task.bootstrap, app_id=task.group, data_dir=Path(task.work_dir))
    return run_worker(config, partial(equip, task=task, measured=Filled))


if __name__ == "__main__":
    sys.exit(main())
