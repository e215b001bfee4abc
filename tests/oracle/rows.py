"""The rows of the tables in contract section 5, less what only says how a row was written."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import NamedTuple


class TransitionRow(NamedTuple):
    """One row of `stage_transitions`. Times are microseconds since the epoch, UTC."""

    funnel: str
    funnel_version: int
    prospect_id: uuid.UUID
    visit: int
    step: int
    kind: str
    from_stage: str
    to_stage: str
    entered_at: int
    visit_opened_at: int
    seconds_in_from: float
    cause_source: str
    cause_event_id: str
    channel: str
    type: str
    campaign: str
    first_channel: str
    first_campaign: str
    account_id: str
    amount: Decimal
    currency: str
    reason: str
    rep: str
    channel_group: str = ""
    first_channel_group: str = ""
    touched_at: tuple[int, ...] = ()
    touch_channel_groups: tuple[str, ...] = ()
    touch_campaigns: tuple[str, ...] = ()
    touches_left_out: int = 0


class ProspectRow(NamedTuple):
    """One row of `prospects`. Times are microseconds since the epoch, UTC."""

    funnel: str
    prospect_id: uuid.UUID
    stage: str
    visit: int
    status: str
    stage_entered_at: int
    last_activity_at: int
    account_id: str
    stalled_since: int | None = None
    snoozed_until: int | None = None


class IdentifierRow(NamedTuple):
    """One row of `prospect_identifiers`: an identifier that somebody used, and who that is in the end."""

    prospect_id: uuid.UUID
    kind: str
    value: str


class AliasRow(NamedTuple):
    """One row of `prospect_aliases`: what was one prospect's goes on to another one, which may go on itself."""

    old_id: uuid.UUID
    new_id: uuid.UUID
    since: int
    """When the event or link that decided it occurred (microseconds, UTC)."""


class SharedRow(NamedTuple):
    """One row of `shared_identifiers`: an identifier that is nobody's."""

    identifier: uuid.UUID
    """The id that its prospect would have, if it were somebody's."""
    kind: str
    seen_with: int
