"""Our agent: the handler of `agents.prospects` on runs of records, with its changelog, commits, recovery and guards as in production."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from faust.types import TP

from agents import prospects as agent
from agents.acceptance import Acceptance, phone_parser
from agents.app import RunApp, run_worker
from agents.backlog import Backlog
from agents.batching import Record
from agents.config import WorkerConfig
from agents.declarations import Declarations
from agents.driver import Shipment
from agents.pipeline import _settled
from agents.store import StateTable
from benchmarks.events import ID_KEY
from benchmarks.harness import Meter, Task, task_from_arguments
from benchmarks.job import Job


class Measured:
    """The handler with a meter around it, which sees every run settled: changelog and facts acknowledged."""

    def __init__(self, handler: agent.Prospects, meter: Meter, state: StateTable) -> None:
        self._handler, self._meter, self._state = handler, meter, state

    def handle(self, tp: TP, records: Sequence[Record]) -> Shipment:
        self._meter.first()
        shipment = self._handler.handle(tp, records)

        def settled() -> None:
            if shipment.settled is not None:
                shipment.settled()
            self._meter.handled(len(records))
            if self._meter.complete:
                self._meter.durable()
                os.kill(os.getpid(), signal.SIGTERM)

        return shipment._replace(settled=settled)


def equip(app: RunApp, task: Task, measured: type[Measured] = Measured) -> None:
    job = Job()

    # In the pipeline, intake decodes events and matches them; here that is part of the job, as for everyone else.
    agent.message_of = job.arrival
    parse_phone = phone_parser(None)
    acceptance = Acceptance(job.codec, job.rules, ID_KEY, parse_phone, 65_536)
    state = app.state(changelog=task.changelog_topic)
    handler = agent.Prospects(
        job.terms,
        acceptance,
        Declarations(job.codec, ID_KEY, parse_phone, 65_536),
        state.records,
        Backlog(),
        partial(_settled, app),
        touches="none",
        partitions=task.partitions,
        facts=task.facts_topic,
        stalled="stalled-prospects",
        dead_letters="none",
        dead_letter_partitions=1,
    )
    app.add_agent("prospects", [task.events_topic], measured(handler, Meter(task.events), state), state=state)


def main() -> int:
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    task = task_from_arguments()
    config = WorkerConfig(brokers=task.bootstrap, app_id=task.group, data_dir=Path(task.work_dir))
    return run_worker(config, partial(equip, task=task))


if __name__ == "__main__":
    sys.exit(main())
