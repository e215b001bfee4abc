"""Between the oracle's words and the pipeline's: events into touches, facts into the oracle's rows."""

from __future__ import annotations

import uuid
from decimal import Decimal

from funnel.definition import parse_funnel
from funnel.events import Touch
from funnel.facts import RowKey, Standing, Transition
from funnel.rules import RuleSet
from tests.generators.funnels import FunnelFile, funnel_toml
from tests.oracle import (
    ProspectRow,
    Settings,
    TransitionRow,
    Truth,
    canonical_json,
    prospect_id_of,
    strongest_identifier,
)
from tests.oracle.identity import Event

SETTINGS = Settings(id_key=b"key of the tests", phone_region="US")


def rules_of(funnels: list[FunnelFile]) -> RuleSet:
    """Compile funnel files as the pipeline does, from their text."""
    return RuleSet(parse_funnel(funnel_toml(funnel), f"{funnel['name']}.toml") for funnel in funnels)


def prospect_of(event: Event) -> bytes:
    """Give the prospect whose event it is."""
    identifier = strongest_identifier(event, SETTINGS.phone_region)
    assert identifier is not None
    return prospect_id_of(identifier, SETTINGS.id_key).bytes


def touch_of(event: Event, rules: RuleSet) -> Touch:
    """Make the touch that intake makes of an accepted event; its body is not sealed."""
    return Touch(
        occurred_at=event["occurred_at"],
        source=event["source"],
        event_id=event["event_id"],
        channel=event["channel"],
        type=event["type"],
        campaign=event.get("campaign") or "",
        account_id=(event.get("account_id") or "").strip(),
        amount=int((event.get("amount") or Decimal(0)) * 100),
        currency=event.get("currency") or "",
        reason=event.get("reason") or "",
        outcome=event.get("outcome") or "",
        rep=event.get("rep") or "",
        matches=rules.match(event),
        rules=rules.fingerprint,
        body=canonical_json(event),
    )


def transition_row(prospect: bytes, transition: Transition) -> TransitionRow:
    """Give a transition as the oracle writes it."""
    fields = transition._asdict()
    fields["amount"] = Decimal(transition.amount) / 100
    return TransitionRow(prospect_id=uuid.UUID(bytes=prospect), **fields)


def prospect_row(prospect: bytes, standing: Standing) -> ProspectRow:
    """Give a standing as the oracle writes it."""
    return ProspectRow(prospect_id=uuid.UUID(bytes=prospect), **standing._asdict())


def facts_of(truth: Truth) -> tuple[dict[tuple[bytes, RowKey], Transition], dict[tuple[bytes, str], Standing]]:
    """Give the oracle's rows in the pipeline's words, keyed as `tests.replacing.ReplacingModel` keys them."""
    transitions = {}
    for row in truth.transitions:
        fields = row._asdict()
        prospect = fields.pop("prospect_id").bytes
        fields["amount"] = int(row.amount * 100)
        transition = Transition(**fields)
        transitions[prospect, transition.key] = transition
    standings = {}
    for standing in truth.prospects:
        fields = standing._asdict()
        prospect = fields.pop("prospect_id").bytes
        standings[prospect, standing.funnel] = Standing(**fields)
    return transitions, standings
