"""Between the oracle's words and the pipeline's: events and declarations into messages, facts into the oracle's rows and back.

Where the pipeline seals a name, tests have it in the clear: the canonical form in UTF-8.
"""

from __future__ import annotations

import json
import uuid
from decimal import Decimal
from typing import NamedTuple

from funnel import messages
from funnel.channels import ChannelRules, load_channels
from funnel.definition import parse_funnel
from funnel.events import Touch
from funnel.facts import AliasRow, Handoff, HandoffKey, IdentifierRow, RowKey, SharedRow, Standing, Transition
from funnel.identifiers import KINDS
from funnel.rules import RuleSet
from tests.generators.funnels import CHANNEL_RULES, CHANNELS, FunnelFile, funnel_toml
from tests.oracle import (
    Declaration,
    ProspectRow,
    Settings,
    TransitionRow,
    Truth,
    canonical_json,
    identifiers_of,
    prospect_id_of,
)
from tests.oracle.handoffs import HandoffRow, parts_of
from tests.oracle.identity import Event, kind_of

SETTINGS = Settings(id_key=b"key of the tests", phone_region="US", channels=CHANNELS)


def rules_of(funnels: list[FunnelFile]) -> RuleSet:
    """Compile funnel files as the pipeline does, from their text."""
    parsed = [parse_funnel(funnel_toml(funnel), f"{funnel['name']}.toml") for funnel in funnels]
    return RuleSet(parsed, channels=ChannelRules(load_channels([CHANNEL_RULES])))


def id_of(canonical: str) -> bytes:
    """Give the id of an identifier in canonical form."""
    return prospect_id_of(canonical, SETTINGS.id_key).bytes


def number_of(kind: str) -> int:
    """Give a kind's place in `funnel.identifiers.KINDS`."""
    return KINDS.index(kind)


def prospect_of(event: Event) -> bytes:
    """Give the prospect of the event's strongest identifier, where its way starts."""
    return id_of(identifiers_of(event, SETTINGS.phone_region)[0])


def touch_of(event: Event, rules: RuleSet) -> Touch:
    """Make the touch that intake makes of an accepted event; its body is not sealed."""
    start, *weaker = identifiers_of(event, SETTINGS.phone_region)
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
        kind=number_of(kind_of(start)),
        weaker=b"".join(bytes([number_of(kind_of(one))]) + id_of(one) for one in weaker),
        body=canonical_json(event),
        channel_group=rules.channels.group(event),
    )


def names_in(body: bytes) -> tuple[bytes, ...]:
    """Give the names of the identifiers in a touch's body: of its start, then of each weaker one, in the order of `Touch.weaker`."""
    return tuple(one.encode() for one in identifiers_of(json.loads(body), SETTINGS.phone_region))


def names_of(raw: bytes) -> tuple[bytes, ...]:
    """Give the names of the identifiers in a touch as it came."""
    from schemas.messages import decode_touch  # only here: most tests that translate need no schemas

    return names_in(decode_touch(raw).body)


def declaration_of(declaration: Declaration) -> messages.Declaration:
    """Make the statement that intake makes of an accepted declaration."""
    return messages.Declaration(
        kind=number_of(kind_of(declaration.weaker)),
        type=declaration.type,
        occurred_at=declaration.occurred_at,
        source=declaration.source,
        event_id=declaration.event_id,
        weaker=id_of(declaration.weaker),
        stronger=id_of(declaration.stronger),
        stronger_kind=number_of(kind_of(declaration.stronger)),
        weaker_name=declaration.weaker.encode(),
        stronger_name=declaration.stronger.encode(),
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


def handoffs_of(rows: list[HandoffRow]) -> dict[tuple[bytes, HandoffKey], Handoff]:
    """Give what is told of the oracle's hand-offs, keyed as `tests.replacing.ReplacingModel` keys it."""
    return {
        (row.prospect_id.bytes, (row.funnel, row.visit, row.step, part)): Handoff(
            row.funnel, row.visit, row.step, part, **fields
        )
        for row in rows
        for part, fields in parts_of(row).items()
    }


def unanswered_in(rows: list[HandoffRow]) -> dict[tuple[bytes, str], list[int]]:
    """Give the deadlines that passed without a response, by prospect and funnel."""
    found: dict[tuple[bytes, str], list[int]] = {}
    for row in rows:
        if row.overdue:
            assert row.respond_by is not None
            found[row.prospect_id.bytes, row.funnel] = [row.respond_by]
    return found


class IdentityFacts(NamedTuple):
    """Who is who, keyed as ClickHouse keys the rows."""

    identifiers: dict[tuple[bytes, IdentifierRow], IdentifierRow]
    """By prospect and the row itself: an identifier is there or it isn't."""
    aliases: dict[tuple[bytes, bytes], AliasRow]
    """By old and new id."""
    shared: dict[tuple[bytes, int], SharedRow]
    """By prospect and kind."""


def identity_facts_of(truth: Truth) -> IdentityFacts:
    """Give the oracle's rows of identity in the pipeline's words."""
    identifiers = {}
    for row in truth.identifiers:
        identifier = IdentifierRow(number_of(row.kind), f"{row.kind}:{row.value}".encode())
        identifiers[row.prospect_id.bytes, identifier] = identifier
    aliases = {(row.old_id.bytes, row.new_id.bytes): AliasRow(row.new_id.bytes, row.since) for row in truth.aliases}
    shared = {
        (row.identifier.bytes, number_of(row.kind)): SharedRow(number_of(row.kind), row.seen_with)
        for row in truth.shared
    }
    return IdentityFacts(identifiers, aliases, shared)
