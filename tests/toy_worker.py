"""A worker with toy agents, run as a process of its own: `python -m tests.toy_worker '{"brokers": ...}'`.

Its agent `counter` keeps, for each key, the set of event ids it has seen, in the changelog, and tells the size of the set on topic `facts`.
Whatever is lost, doubled or told before it is safe shows in those numbers.

A record of topic `touches`: key = 16 bytes, value = 8 bytes of event id and anything after it. Values that begin with a word in capitals make
the handler misbehave: see `Counter`.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import struct
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from faust.types import TP

from agents.app import RunApp, run_worker
from agents.batching import Record
from agents.config import WorkerConfig
from agents.driver import Shipment
from agents.fencing import FENCE_KEY
from agents.shipping import Change, Delivery, Headers, Output, Shipper
from agents.store import PartitionStore

logger = logging.getLogger(__name__)
CHANGELOG = "toy-changelog"
NUMBER = struct.Struct(">Q")


class Counter:
    """Counts distinct events of each key, by the run."""

    def __init__(self, store: PartitionStore, facts: str, *, slow: float = 0.0) -> None:
        self._store = store
        self._facts = facts
        self._slow = slow

    def handle(self, tp: TP, records: Sequence[Record]) -> Shipment:
        """One group of changes and one fact for each key that occurs."""
        if self._slow:
            time.sleep(self._slow)
        seen: dict[bytes, list[bytes]] = {}
        for record in records:
            assert record.key is not None
            assert record.value is not None
            if record.value.startswith(b"POISON"):
                raise ValueError("a poisoned record")
            seen.setdefault(record.key, []).append(record.value[:8])
        changes = []
        facts = []
        store, partition = self._store, tp.partition
        for key, event_ids in seen.items():
            kept = store.records(partition, key)
            group: list[tuple[bytes, bytes | None]] = [
                (key + event_id, b"") for event_id in dict.fromkeys(event_ids) if event_id not in kept
            ]
            if group:
                # Counted up, not counted anew: an event applied twice, or to state that is not complete, makes it differ from the set's size.
                count = NUMBER.unpack(kept.get(b"", NUMBER.pack(0)))[0] + len(group)
                group.append((key, NUMBER.pack(count)))
                changes.append(group)
                store.apply(partition, group)
            facts.append(Output(self._facts, partition, key, store.records(partition, key)[b""]))
        return Shipment(changes, facts)


class Copier:
    """Sends every record on to `touches`, unchanged; records of more than 100 bytes come with a header of their origin."""

    def __init__(self, target: str) -> None:
        self._target = target

    def handle(self, tp: TP, records: Sequence[Record]) -> Shipment:
        """One output a record."""
        return Shipment(
            outputs=[
                Output(self._target, tp.partition, record.key, record.value, [("origin", b"%d" % record.offset)])
                for record in records
            ]
        )


def equip(app: RunApp, options: dict[str, Any]) -> None:
    """Add the agents."""
    state = app.state("toy", changelog=CHANGELOG)
    handler = Counter(state.records, app.config.topic(options.get("facts", "facts")), slow=options.get("slow", 0.0))
    driver = app.add_agent("counter", ["touches"], handler, state=state)
    if "changelog" in options:
        driver.changelog = app.config.topic(options["changelog"])
    if delay := options.get("delay"):
        _delay_facts(app.shipper, delay)
    if "hold" in options:
        _hold_changelog(app.shipper, **options["hold"])
    if options.get("copier"):
        app.add_agent("copier", ["events"], Copier(app.config.topic("touches")))


def _delay_facts(shipper: Shipper, seconds: float) -> None:
    """Deliver outputs as slowly as a busy broker would."""
    ship = shipper.ship

    async def ship_late(outputs: Iterable[Output]) -> None:
        await asyncio.sleep(seconds)
        await ship(outputs)

    shipper.ship = ship_late  # type: ignore[method-assign]  # in this process only


def _hold_changelog(shipper: Shipper, *, after: int, until: str) -> None:
    """Let so many runs' changes pass, and keep all others back until a file is there."""
    ship_groups = shipper.ship_groups
    passing = itertools.count()

    async def ship_held(
        topic: str, partition: int, groups: Sequence[Sequence[Change]], headers: Headers = ()
    ) -> list[Delivery]:
        if groups[0][0][0] != FENCE_KEY and next(passing) >= after:
            logger.warning("holding changes back")
            while not Path(until).exists():  # noqa: ASYNC110, ASYNC240  a test makes the file
                await asyncio.sleep(0.02)
        return await ship_groups(topic, partition, groups, headers)

    shipper.ship_groups = ship_held  # type: ignore[method-assign, assignment]  # in this process only


def main() -> None:
    """Run until told to stop."""
    options = json.loads(sys.argv[1])
    logging.basicConfig(
        level=options.get("log", "INFO"), stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    logging.getLogger("aiokafka").setLevel("WARNING")
    config = WorkerConfig(data_dir=Path(options["data_dir"]), **options["config"])
    sys.exit(run_worker(config, lambda app: equip(app, options), without=options.get("without", ())))


if __name__ == "__main__":
    main()
