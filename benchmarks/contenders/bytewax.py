"""Bytewax 0.21: a stateful step over the Kafka connectors, with a recovery snapshot every 5 s."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource, KafkaSourceMessage
from bytewax.dataflow import Dataflow
from bytewax.operators import StatefulBatchLogic
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main
from confluent_kafka import OFFSET_BEGINNING

from benchmarks.harness import Meter, task_from_arguments
from benchmarks.job import Job
from funnel.prospect import State

JOB = Job()


class Prospect(StatefulBatchLogic):
    """One key. It gets what a batch has for it in one call, and is asked for its state when an epoch ends."""

    __slots__ = ("meter", "state")

    def __init__(self, state: State | None, meter: Meter) -> None:
        self.state = state
        self.meter = meter

    def on_batch(self, values: list[KafkaSourceMessage]) -> tuple[Iterable[KafkaSinkMessage], bool]:
        self.meter.first()
        prospect = values[0].key
        outcome = JOB.take(prospect, self.state, [JOB.arrival(message.offset, message.value) for message in values])
        self.state = outcome.state
        self.meter.handled(len(values))
        message = JOB.facts(prospect, outcome)
        return ([] if message is None else [KafkaSinkMessage(prospect, message)]), False

    def snapshot(self) -> bytes:
        return JOB.dump(self.state)


def main() -> None:
    task = task_from_arguments()
    meter = Meter(task.events)
    recovery = Path(task.work_dir)
    recovery.mkdir(parents=True, exist_ok=True)
    init_db_dir(recovery, 1)
    flow = Dataflow("prospects")
    source = KafkaSource(
        brokers=[task.bootstrap],
        topics=[task.events_topic],
        tail=False,
        starting_offset=OFFSET_BEGINNING,
        batch_size=2_000,
        add_config={"queued.min.messages": "200000"},
    )
    events = op.input("events", flow, source)
    keyed = op.key_on("prospect", events, lambda message: message.key.hex())

    def build(snapshot: bytes | None) -> Prospect:
        return Prospect(None if snapshot is None else JOB.load(snapshot), meter)

    told = op.stateful_batch("job", keyed, build)
    facts = op.map("facts", told, lambda keyed_message: keyed_message[1])
    sink = KafkaSink(brokers=[task.bootstrap], topic=task.facts_topic, add_config={"linger.ms": "5"})
    op.output("out", facts, sink)
    cli_main(
        flow,
        workers_per_process=1,
        epoch_interval=timedelta(seconds=5),
        recovery_config=RecoveryConfig(recovery, backup_interval=timedelta(seconds=0)),
    )
    assert meter.complete, "the source ended before its last event"
    meter.durable()


if __name__ == "__main__":
    sys.exit(main())
