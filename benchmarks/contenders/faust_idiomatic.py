"""Faust the way its documentation shows it: a Record, a Table, one event at a time.

Tuned as its users do: commits every 5 s, the Monitor's cost left in, a buffer of 4096 events, acks from the leader as by default. The table holds the state itself
(its memory store keeps Python objects), which a codec turns into bytes for the changelog: nothing is decoded again with every event.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path
from typing import Any

import faust
from faust.serializers import codecs

from benchmarks.harness import Meter, Task, task_from_arguments
from benchmarks.job import Job


class EventCodec(codecs.Codec):
    """Framed Avro as Faust's serializers take it; the bytes stay beside the fields, for the state keeps them."""

    job: Job

    def _loads(self, raw: bytes) -> dict[str, Any]:
        return {"fields": self.job.decode(raw), "raw": raw}

    def _dumps(self, event: Any) -> bytes:
        return event["raw"]


class StateCodec(codecs.Codec):
    """A prospect's whole state as one value of the table."""

    job: Job

    def _loads(self, data: bytes) -> dict[str, Any]:
        return {"state": self.job.load(data)}

    def _dumps(self, prospect: Any) -> bytes:
        return self.job.dump(prospect["state"])


class Event(faust.Record, serializer="journey-event"):
    """An event."""

    fields: dict
    raw: bytes


class Prospect(faust.Record, serializer="journey-state"):
    """A row of the table."""

    state: Any


def build(task: Task) -> tuple[faust.App, Meter]:
    job, meter = Job(), Meter(task.events)
    EventCodec.job = StateCodec.job = job
    codecs.register("journey-event", EventCodec())
    codecs.register("journey-state", StateCodec())
    app = faust.App(
        task.group,
        broker=f"kafka://{task.bootstrap}",
        store="memory://",
        datadir=task.work_dir,
        topic_partitions=task.partitions,
        topic_disable_leader=True,
        broker_commit_interval=5.0,
        producer_linger=5,
        consumer_auto_offset_reset="earliest",
        autodiscover=False,
        web_enabled=False,
    )
    events = app.topic(task.events_topic, key_type=bytes, value_type=Event, key_serializer="raw")
    facts = app.topic(task.facts_topic, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
    prospects = app.Table("prospects", key_type=bytes, value_type=Prospect, partitions=task.partitions)

    @app.agent(events, name="prospects")
    async def receive(stream: Any) -> None:
        async for event in stream.events():
            meter.first()
            prospect = event.key
            arrival = job.arrival_of(event.message.offset, event.value.fields, event.value.raw)
            known = prospects.get(prospect)
            outcome = job.take(prospect, None if known is None else known.state, [arrival])
            if outcome.head is not None or outcome.kept:
                prospects[prospect] = Prospect(state=outcome.state)
            message = job.facts(prospect, outcome)
            if message is not None:
                await facts.send(key=prospect, value=message)
            meter.handled(1)
            if meter.complete:
                finished.set()

    finished = asyncio.Event()

    @app.task
    async def end() -> None:
        await finished.wait()
        await app.producer.flush()
        await app.consumer.commit()
        meter.durable()
        logging.shutdown()
        sys.stdout.flush()
        worker.exit()

    worker = _Worker(app)
    app.bench_worker = worker
    return app, meter


class _Worker:
    """Ends the process at once: how Faust stops is not what is measured."""

    def __init__(self, app: faust.App) -> None:
        self._app = app

    def exit(self) -> None:
        import os

        os._exit(0)


def main() -> None:
    task = task_from_arguments()
    app, _ = build(task)
    Path(task.work_dir).mkdir(parents=True, exist_ok=True)
    worker = faust.Worker(app, loglevel="WARNING", blocking_timeout=None, redirect_stdouts=False)
    worker.execute_from_commandline()


if __name__ == "__main__":
    main()
