"""Quix Streams 3: a stateful apply over RocksDB with a changelog topic."""

from __future__ import annotations

import sys
from typing import Any

from quixstreams import Application, State, message_context
from quixstreams.models import TopicConfig

from benchmarks.harness import Meter, task_from_arguments
from benchmarks.job import Job
from funnel import prospect as core


def main() -> None:
    task = task_from_arguments()
    job, meter = Job(), Meter(task.events)
    app = Application(
        broker_address=task.bootstrap,
        consumer_group=task.group,
        auto_offset_reset="earliest",
        commit_interval=5.0,
        state_dir=task.work_dir,
        loglevel="WARNING",
        consumer_extra_config={"fetch.min.bytes": 65_536, "queued.min.messages": 200_000},
        producer_extra_config={"linger.ms": 20, "batch.size": 1_000_000},
        auto_create_topics=True,
    )
    config = TopicConfig(num_partitions=task.partitions, replication_factor=1)
    events = app.topic(task.events_topic, key_deserializer="bytes", value_deserializer="bytes", config=config)
    facts = app.topic(task.facts_topic, key_serializer="bytes", value_serializer="bytes", config=config)
    ready: dict[bytes, core.State] = {}

    def apply(raw: bytes, prospect: bytes, _timestamp: int, _headers: Any, state: State) -> bytes | None:
        meter.first()
        known = ready.get(prospect)
        if known is None:
            stored = state.get_bytes("state")
            known = None if stored is None else job.load(stored)
        outcome = job.take(prospect, known, [job.arrival(message_context().offset, raw)])
        if outcome.head is not None or outcome.kept:
            ready[prospect] = outcome.state
            state.set_bytes("state", job.dump(outcome.state))
        meter.handled(1)
        return job.facts(prospect, outcome)

    frame = app.dataframe(events)
    frame = frame.apply(apply, stateful=True, metadata=True).filter(lambda message: message is not None)
    frame.to_topic(facts)

    context = app._processing_context
    commit = context.commit_checkpoint

    def commit_at_the_end(force: bool = False, revoking: bool = False) -> None:
        commit(force=force or meter.complete, revoking=revoking)
        if meter.complete and app._run_tracker.running:
            meter.durable()
            app.stop()

    context.commit_checkpoint = commit_at_the_end
    app.run()


if __name__ == "__main__":
    sys.exit(main())
