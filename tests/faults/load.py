"""What is sent while something is broken: events and some records that are none, at an even pace, all of it by the end."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from aiokafka import AIOKafkaProducer

from schemas.codec import EventCodec
from schemas.registry import FileRegistry
from tests.faults.expectations import write_events
from tests.generators import generate_population
from tests.integration.test_pipeline import decoded
from tests.oracle.identity import Event
from tests.pipeline import TOPIC_OF_CHANNEL, Installation

DAY = 86_400_000_000
HOUR = 3_600_000_000
WINDOW = 90 * DAY
"""Of the funnel `sales`."""
STEPS_PER_SECOND = 10
Generate = Callable[[int, int], list[Event]]
"""Events from a seed and their number."""


def populated(seed: int, events: int) -> list[Event]:
    """Plausible events of about ten a person, who sign in on devices, share them, write from several addresses and are called.

    None has a window that ends during the test, even by a clock that is an hour off.
    """
    now = time.time_ns() // 1_000
    made = generate_population(seed, events, max(1, events // 10), start=now - 100 * DAY)
    return [decoded(event) for event in made if abs(event["occurred_at"] + WINDOW - now) > 3 * HOUR]


def oversized(seed: int, events: int) -> list[Event]:
    """The same, and one prospect whose history is larger than any message may be; some of its events are too large themselves."""
    made = populated(seed, events)
    rng = random.Random(seed)
    huge = [one for one in made if one["channel"] == "web"][:80]
    # Letters by chance, so that nothing compresses them away. 65,536 bytes are taken.
    made += [
        one
        | {
            "user_id": "busy",
            "event_id": f"huge-{number}",
            "properties": {"notes": rng.randbytes(30_000 + number % 4 * 900).hex()},
        }
        for number, one in enumerate(huge)
    ]
    rng.shuffle(made)
    return made


class Load:
    """Events for one scenario. `run` sends them over some seconds; `finish` at once what is left."""

    def __init__(self, seed: int, generate: Generate, events: int) -> None:
        rng = random.Random(seed)
        self.events: Sequence[Event] = generate(seed, events)
        self.garbage = [rng.randbytes(rng.randrange(1, 60)) for _ in range(events // 200)]
        anonymous = [
            one | dict.fromkeys(("user_id", "email", "phone", "anonymous_id")) | {"event_id": f"nobody-{number}"}
            for number, one in enumerate(rng.sample(self.events, events // 200))
        ]
        self.events = [*self.events, *anonymous]
        codec = EventCodec(FileRegistry())
        self._records = [
            (TOPIC_OF_CHANNEL[event["channel"]], event["event_id"].encode(), codec.encode(event))
            for event in self.events
        ]
        self._records += [("web-events", None, value) for value in self.garbage]
        rng.shuffle(self._records)
        self._sent = 0
        self._hurry = False

    def write(self, path: Path) -> None:
        """For the verifier."""
        write_events(path, self.events, self.garbage)

    async def run(self, installation: Installation, seconds: float) -> None:
        """Send everything, over about `seconds` unless told to `finish`. A broker that is away is waited for."""
        # Idempotent: records keep their order and none comes twice, however often it is sent.
        producer = AIOKafkaProducer(
            bootstrap_servers=installation.broker.bootstrap,
            enable_idempotence=True,
            request_timeout_ms=120_000,
            max_request_size=10 * 1024 * 1024,
        )
        await producer.start()
        step = max(1, round(len(self._records) / seconds / STEPS_PER_SECOND))
        deliveries = []
        try:
            while self._sent < len(self._records):
                for topic, key, value in self._records[self._sent : self._sent + step]:
                    deliveries.append(await producer.send(installation.topic(topic), value, key))
                self._sent += step
                if not self._hurry:
                    await asyncio.sleep(1 / STEPS_PER_SECOND)  # the pace
            await asyncio.gather(*deliveries)
        finally:
            await producer.stop()

    def finish(self) -> None:
        """What is left is sent without delay."""
        self._hurry = True
