"""Intake's judgement of single records, where what their sender says of them can't be relied on."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from agents.acceptance import LATEST, NO_TIMESTAMP, Acceptance, Accepted, Refused, phone_parser
from agents.backlog import Backlog
from agents.declarations import Declarations
from agents.intake import Intake
from funnel.definition import load_funnels
from funnel.prospect import Arrival, empty, receive
from funnel.rules import RuleSet
from funnel.state import Terms
from schemas.codec import EventCodec
from schemas.messages import decode_touch_without_body, encode_facts
from schemas.registry import FileRegistry

SALES = RuleSet(load_funnels([Path(__file__).parents[3] / "funnels" / "sales.toml"]))
CODEC = EventCodec(FileRegistry())
NOW = 1_700_000_000_000_000
FIELDS = (
    *("url", "referrer", "utm_source", "utm_medium", "utm_term", "utm_content", "user_agent", "amount", "currency"),
    *("anonymous_id", "user_id", "email", "phone", "account_id", "campaign"),
)


def encoded(**fields: Any) -> bytes:
    """A page view."""
    event = dict.fromkeys(FIELDS) | {"channel": "web", "source": "site", "event_id": "1", "type": "page_view"}
    return CODEC.encode(event | {"user_id": "u", "occurred_at": LATEST - 1, "properties": {}} | fields)


def acceptance() -> Acceptance:
    """One that knows the sales funnel."""
    return Acceptance(CODEC, SALES, b"key of the tests", phone_parser("US"), 65_536)


@pytest.mark.parametrize("timestamp", [NO_TIMESTAMP, 2**62])
@pytest.mark.parametrize("occurred_at", [LATEST, 2**63 - 1])
def test_no_timestamp_makes_an_absurd_time_right(timestamp: int, occurred_at: int) -> None:
    """Records without a timestamp, or with a lie for one, can't bring in a time that overflows further on."""
    verdict = acceptance().accept("web", encoded(occurred_at=occurred_at), timestamp)
    assert isinstance(verdict, Refused)
    assert verdict.reason == "invalid_time"


def test_the_latest_time_goes_all_the_way() -> None:
    """The last instant that is accepted has room for a window after it: facts and deadlines can be written."""
    verdict = acceptance().accept("web", encoded(), NO_TIMESTAMP)
    assert isinstance(verdict, Accepted)
    touch = decode_touch_without_body(verdict.touch)
    terms = Terms(SALES, acceptance().opener)
    outcome = receive(verdict.prospect_id, empty(SALES), [Arrival(0, touch, verdict.touch)], terms)
    assert outcome.facts is not None
    assert encode_facts(verdict.prospect_id, outcome.facts)
    assert outcome.due_at is not None
    assert outcome.due_at < 2**63


def test_long_identifiers_are_not_remembered() -> None:
    """Many different identifiers of the greatest length leave next to nothing in memory."""
    judge = acceptance()
    judge.accept("web", encoded(occurred_at=NOW), NO_TIMESTAMP)
    tracemalloc.start()
    try:
        for number in range(200):
            event = encoded(occurred_at=NOW, user_id=f"{number}" + "x" * 60_000)
            assert isinstance(judge.accept("web", event, NO_TIMESTAMP), Accepted)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 1_000_000


def test_a_dead_letter_is_as_old_as_itself() -> None:
    """Kafka forgets by the records' timestamps: a letter with its event's could be gone before anyone has read it."""
    intake = Intake(
        acceptance(),
        Declarations(CODEC, b"key of the tests", phone_parser("US"), 65_536),
        Backlog(),
        {"web-events": "web"},
        touches="touches",
        dead_letters="dead-letters",
        partitions=1,
        dead_letter_partitions=1,
    )
    record: Any = SimpleNamespace(
        topic="web-events", partition=0, offset=7, timestamp=0, key=b"k", value=b"garbage", headers=()
    )
    (letter,) = intake.handle(TP("web-events", 0), [record]).outputs
    assert (letter.topic, letter.value, letter.timestamp) == ("dead-letters", b"garbage", None)
