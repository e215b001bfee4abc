"""What a contender's process has in common with the others': its task, its clocks, how it tells how far it is."""

from __future__ import annotations

import gc
import json
import resource
import sys
import time
from dataclasses import asdict, dataclass

_TELL_SECONDS = 0.5


@dataclass(frozen=True)
class Task:
    """What to do, as the parent says it: JSON in the first argument."""

    bootstrap: str
    events_topic: str
    facts_topic: str
    changelog_topic: str
    group: str
    """Consumer group or application id."""
    events: int
    partitions: int
    work_dir: str
    """An empty directory of its own."""

    def to_json(self) -> str:
        """As an argument."""
        return json.dumps(asdict(self))


def task_from_arguments() -> Task:
    """The task of this process. The garbage collector is told, for every contender alike, not to look through the whole state every 700 allocations."""
    gc.set_threshold(200_000, 20, 100)
    return Task(**json.loads(sys.argv[1]))


class Meter:
    """Times from the first event until everything is durable: wall clock, and CPU of this process with all its threads."""

    def __init__(self, events: int) -> None:
        self._events = events
        self._done = 0
        self._began: tuple[float, float] | None = None
        self._told = 0.0

    @property
    def complete(self) -> bool:
        """Whether all events were handled."""
        return self._done >= self._events

    def first(self) -> None:
        """The first event is about to be handled; later calls do nothing."""
        if self._began is None:
            self._began = (time.perf_counter(), time.process_time())

    def handled(self, events: int) -> None:
        """So many more events were handled."""
        self._done += events
        now = time.monotonic()
        if now - self._told > _TELL_SECONDS:
            self._told = now
            tell(done=self._done)

    def durable(self) -> None:
        """State and facts of all events are where they would survive this process: tell the result."""
        assert self._began is not None
        began, cpu = self._began
        tell(
            done=self._done,
            seconds=time.perf_counter() - began,
            cpu_seconds=time.process_time() - cpu,
            peak_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        )


def tell(**what: float) -> None:
    """A line for the parent; standard output carries nothing else."""
    sys.__stdout__.write(json.dumps(what) + "\n")
    sys.__stdout__.flush()
