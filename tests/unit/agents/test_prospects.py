"""The handler of `touches`: what it ships must fit, whatever one prospect sends."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from agents.acceptance import Acceptance, Accepted, phone_parser
from agents.backlog import Backlog
from agents.declarations import Declarations
from agents.driver import Shipment
from agents.prospects import PART_BYTES, Prospects
from agents.store import Partition, PartitionStore, file_records
from funnel.definition import load_funnels
from funnel.prospect import RulesChanged
from funnel.rules import RuleSet
from funnel.state import Terms
from schemas.codec import EventCodec
from schemas.messages import decode_facts
from schemas.registry import FileRegistry

FUNNELS = Path(__file__).parents[3] / "funnels"
TOUCHES = TP("touches", 0)
START = int(time.time() * 1e6) - 86_400_000_000
MOST = 2 * PART_BYTES
"""Bytes: well below what the topics take."""


class Agent:
    """The handler with one partition, fed with web events of one person."""

    def __init__(self, *funnels: str, records: Partition | None = None) -> None:
        """Own partition 0, with these records."""
        rules = RuleSet(load_funnels([FUNNELS / f"{name}.toml" for name in funnels]))
        self.codec = EventCodec(FileRegistry())
        self.acceptance = Acceptance(self.codec, rules, b"key of the tests", phone_parser("US"), 65_536)
        self.store = PartitionStore()
        self.prospects = Prospects(
            Terms(rules, self.acceptance.opener),
            self.acceptance,
            Declarations(self.codec, b"key of the tests", phone_parser("US"), 65_536),
            self.store,
            Backlog(),
            lambda _: 0,
            touches="touches",
            partitions=1,
            facts="facts",
            stalled="stalled-prospects",
            dead_letters="dead-letters",
            dead_letter_partitions=1,
        )
        self.store.install(0, records or {})
        self.offset = 0

    def take(self, *events: dict[str, Any]) -> Shipment:
        """Handle one run."""
        records: Any = []
        for fields in events:
            names = ["url", "referrer", "utm_source", "utm_medium", "utm_term", "utm_content", "user_agent"]
            names += ["amount", "currency", "anonymous_id", "email", "phone", "account_id", "campaign"]
            event = dict.fromkeys(names) | {"channel": "web", "source": "site", "user_id": "u", "properties": {}}
            accepted = self.acceptance.accept("web", self.codec.encode(event | fields), int(time.time() * 1e3))
            assert isinstance(accepted, Accepted)
            records.append(
                SimpleNamespace(
                    topic="touches",
                    partition=0,
                    offset=self.offset,
                    timestamp=int(time.time() * 1e3),
                    key=accepted.prospect_id,
                    value=accepted.touch,
                    headers=[],
                )
            )
            self.offset += 1
        return self.prospects.handle(TOUCHES, records)


def purchase(number: int, **fields: Any) -> dict[str, Any]:
    """A purchase; each is a row of its own."""
    return {"event_id": f"e{number}", "type": "purchase", "occurred_at": START + number, **fields}


def test_a_busy_prospect_fits_into_batches() -> None:
    """Changes of one prospect and run go in groups, and facts in messages, that the topics take; nothing is left out."""
    agent = Agent("sales")
    shipment = agent.take(*(purchase(number, campaign="c" * 20_000) for number in range(100)))
    assert len(shipment.changelog) > 1
    for group in shipment.changelog:
        assert sum(len(key) + len(value or b"") for key, value in group) < MOST
    messages = [output.value or b"" for output in shipment.outputs]
    assert max(map(len, messages)) < MOST
    rows = {row.key: row for message in messages for row in decode_facts(message)[1].transitions}
    assert len(rows) == 100

    # One that comes before all others changes every row, in one outcome.
    late = agent.take(purchase(-1))
    told = [decode_facts(output.value or b"") for output in late.outputs]
    assert len(told) > 1
    assert max(len(output.value or b"") for output in late.outputs) < MOST
    assert len({facts.revision for _, facts in told}) == 1
    assert sum(len(facts.transitions) for _, facts in told) == 101
    assert sum(len(facts.standings) for _, facts in told) <= 1

    # What is stored is what is known: another worker goes on from it without a word.
    stored: Partition = {}
    for group in [*shipment.changelog, *late.changelog]:
        file_records(stored, group)
    again = Agent("sales", records=stored)
    again.offset = agent.offset
    assert again.take(purchase(5, campaign="c" * 20_000))[:2] == ([], [])


def test_state_of_other_funnels_is_refused_before_anything_is_handled() -> None:
    """A partition whose records were matched by other funnels can't be taken over."""
    first = Agent("sales")
    stored: Partition = {}
    for group in first.take(purchase(1)).changelog:
        file_records(stored, group)
    with pytest.raises(RulesChanged):
        Agent("b2b", records=stored)
