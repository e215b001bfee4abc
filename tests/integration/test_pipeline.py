"""The worker on a real broker: events in, exactly the oracle's facts out."""

from __future__ import annotations

import time
import tomllib
from pathlib import Path

from funnel.events import Event
from schemas.messages import decode_facts
from tests.broker import Tansu, unique, wait_until
from tests.generators import generate_events
from tests.oracle import truth_of
from tests.pipeline import SALES, Installation, Worker, account
from tests.replacing import ReplacingModel
from tests.translation import SETTINGS, facts_of

FIELDS = [
    "anonymous_id",
    "user_id",
    "email",
    "phone",
    "account_id",
    "campaign",
    "url",
    "referrer",
    "utm_source",
    "utm_medium",
    "utm_term",
    "utm_content",
    "user_agent",
    "amount",
    "currency",
    "template",
    "direction",
    "duration_seconds",
    "outcome",
    "rep",
    "reason",
]


def decoded(event: Event) -> Event:
    """The event with all fields, as decoding gives it."""
    return dict.fromkeys(FIELDS) | event


DAY = 86_400_000_000


def now_micros() -> int:
    """The wall clock."""
    return int(time.time() * 1_000_000)


def drained(worker: Worker, sent: int) -> bool:
    """Whether the worker settled so many events."""
    worker.read_log()
    counts = account(worker.metrics())
    return counts["consumed"] >= sent and counts["settled"] >= sent


async def test_facts_equal_the_oracle(tansu: Tansu, tmp_path: Path) -> None:
    """Shuffled, duplicated events with differing copies give the oracle's rows; all are accounted for, visits expire."""
    events = generate_events(7, 3_000, 150)
    with Installation(tansu, tmp_path, unique("facts")) as installation:
        sent = await installation.produce(events)
        worker = installation.start_worker()
        wait_until(lambda: drained(worker, sent), seconds=60, what="all events settled", every=0.2)

        truth = truth_of([decoded(e) for e in events], [tomllib.loads(SALES.read_text())], SETTINGS, now_micros())
        transitions, standings = facts_of(truth)
        expired = sum(row.status == "expired" for row in truth.prospects)
        wait_until(lambda: worker.metrics().get("journey_deadlines", -1) == 0, seconds=30, what="visits expired")
        counts = account(worker.metrics())
        assert counts["consumed"] == counts["settled"] == sent
        assert worker.stop() == 0

        model = ReplacingModel()
        for record in await installation.read("facts"):
            model.insert(*decode_facts(record.value))
        assert expired > 0
        assert model.transitions() == transitions
        assert model.standings() == standings
