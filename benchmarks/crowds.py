"""What identifiers of many people cost: the agents on a stream with a shared laptop, a kiosk and an info@ address, and on one without.

Both streams have the same events of the same people; in one of them each has a laptop, a kiosk and an address of his own. The agents' handlers
alone are measured, CPU time, taking turns every few thousand events: what Kafka costs is the same for both.
"""

from __future__ import annotations

import gc
import json
import random
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from aiokafka import ConsumerRecord
from faust.types import TP

from agents.acceptance import Acceptance, phone_parser
from agents.backlog import Backlog
from agents.declarations import Declarations
from agents.intake import CHANNEL_OF_TOPIC, Intake
from agents.partitioning import partition_of
from agents.prospects import Prospects
from agents.store import PartitionStore
from benchmarks.events import DAY, ID_KEY, SEED
from benchmarks.job import FUNNELS
from funnel.definition import load_funnels
from funnel.events import Event
from funnel.rules import RuleSet
from funnel.state import Terms
from journey.topics import INPUT_TOPICS
from schemas.codec import EventCodec
from schemas.registry import FileRegistry
from tests.generators.realistic import KINDS, START, event_of

EVENTS, PEOPLE = 90_000, 15_000
AT_LAPTOP, AT_KIOSK, AT_ADDRESS = 40, 60, 10_000
TURNS = 10
"""How often each signs in on the laptop and on the kiosk; after each time comes a visit that says only which device it is."""
PARTITIONS = 4
STEP = 4_000
ROUNDS = 3
_NOW = 4_102_444_800_000
"""Timestamp of all records (milliseconds): nothing has happened after it."""


def cost_of_crowds() -> dict[str, Any]:
    """CPU microseconds per event without and with crowds, and how many times as much the latter is; the medians of the rounds."""
    gc.set_threshold(200_000, 20, 100)
    codec = EventCodec(FileRegistry())
    streams = {crowded: [(one["channel"], codec.encode(one)) for one in draw(crowded)] for crowded in (False, True)}
    found: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(ROUNDS):
        workers = {crowded: _Worker(codec) for crowded in streams}
        for start in range(0, len(streams[False]), STEP):
            for crowded, worker in workers.items():
                worker.take(streams[crowded][start : start + STEP])
        for crowded, worker in workers.items():
            found[crowded].append(worker.seconds / len(streams[crowded]) * 1e6)
    without, crowds = (sorted(found[crowded])[ROUNDS // 2] for crowded in (False, True))
    times = sorted(more / less for less, more in zip(found[False], found[True], strict=True))[ROUNDS // 2]
    return {"events": len(streams[True]), "without_us": without, "with_us": crowds, "times": times}


def draw(crowded: bool) -> list[Event]:
    """The events, in the order of time; the same but for who has what in common."""
    rng = random.Random(SEED)
    kinds, weights = list(KINDS), list(KINDS.values())

    def event(number: int, person: int, kind: tuple[str, str, str | None], **identifiers: str) -> Event:
        drawn = event_of(rng, number, person, kind, START + int(rng.random() * 80 * DAY))
        return {**drawn, "user_id": None, "email": None, "phone": None, "anonymous_id": None, **identifiers}

    def of(what: str, person: int) -> str:
        return what if crowded else f"{what}-{person}"

    events = []
    for number in range(EVENTS):
        person = int(rng.random() ** 1.5 * PEOPLE)
        events.append(event(number, person, rng.choices(kinds, weights)[0], user_id=f"user-{person}"))
    view = next(kind for kind in kinds if kind[0] == "web")
    for device, people in (("laptop", AT_LAPTOP), ("kiosk", AT_KIOSK)):
        for person in list(range(people)) * TURNS:
            number = len(events)
            events.append(event(number, person, view, user_id=f"user-{person}", anonymous_id=of(device, person)))
            events.append(event(number + 1, person, view, anonymous_id=of(device, person)))
    opened = next(kind for kind in kinds if kind[0] == "email")
    for person in range(AT_ADDRESS):
        address = f"{of('info', person)}@example.com"
        events.append(event(len(events), person, opened, user_id=f"user-{person}", email=address))
    events.sort(key=lambda one: one["occurred_at"])
    return events


class _Worker:
    """The agents' handlers with lists for topics."""

    def __init__(self, codec: EventCodec) -> None:
        rules, parse_phone, backlog, store = (
            RuleSet(load_funnels(FUNNELS)),
            phone_parser(None),
            Backlog(),
            PartitionStore(),
        )
        acceptance = Acceptance(codec, rules, ID_KEY, parse_phone, 65_536)
        declarations = Declarations(codec, ID_KEY, parse_phone, 65_536)
        self._intake = Intake(
            acceptance,
            declarations,
            backlog,
            CHANNEL_OF_TOPIC,
            touches="touches",
            dead_letters="dead-letters",
            partitions=PARTITIONS,
            dead_letter_partitions=PARTITIONS,
        )
        self._prospects = Prospects(
            Terms(rules, acceptance.opener),
            acceptance,
            declarations,
            store,
            backlog,
            self._settled,
            touches="touches",
            facts="facts",
            stalled="stalled-prospects",
            dead_letters="dead-letters",
            partitions=PARTITIONS,
            dead_letter_partitions=PARTITIONS,
        )
        for partition in range(PARTITIONS):
            store.install(partition, {})
        self._ends: dict[TP, int] = defaultdict(int)
        self._touches: dict[int, list[ConsumerRecord]] = defaultdict(list)
        self.seconds = 0.0

    def _settled(self, tp: TP) -> int:
        return self._ends[tp] - len(self._touches[tp.partition])

    def take(self, events: Sequence[tuple[str, bytes]]) -> None:
        """Take events in, and everything that follows from them."""
        runs: dict[TP, list[ConsumerRecord]] = defaultdict(list)
        for channel, raw in events:
            tp = TP(INPUT_TOPICS[channel], 0)
            runs[tp].append(self._record(tp, None, raw))
        for tp, run in runs.items():
            self._handle(self._intake, tp, run)
        for tp, run in self._waiting():
            self._handle(self._prospects, tp, run)

    def _waiting(self) -> Iterator[tuple[TP, list[ConsumerRecord]]]:
        while any(self._touches.values()):
            for partition in range(PARTITIONS):
                if run := self._touches.pop(partition, []):
                    yield TP("touches", partition), run

    def _handle(self, agent: Intake | Prospects, tp: TP, run: list[ConsumerRecord]) -> None:
        began = time.process_time()
        shipment = agent.handle(tp, run)
        self.seconds += time.process_time() - began
        for output in shipment.outputs:
            if output.topic == "touches":
                to = TP("touches", partition_of(output.key or b"", PARTITIONS))
                self._touches[to.partition].append(self._record(to, output.key, output.value))

    def _record(self, tp: TP, key: bytes | None, value: bytes | None) -> ConsumerRecord:
        offset = self._ends[tp]
        self._ends[tp] += 1
        return ConsumerRecord(tp.topic, tp.partition, offset, _NOW, 0, key, value, None, 0, 0, ())


if __name__ == "__main__":
    print(json.dumps({name: round(value, 3) for name, value in cost_of_crowds().items()}))
