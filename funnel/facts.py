"""What the pipeline says of a prospect: rows that ClickHouse keeps (contract, section 5)."""

from __future__ import annotations

from typing import NamedTuple

RowKey = tuple[str, int, int]
"""(funnel, visit, step): what identifies a transition within its prospect.

A step below 0 stands for what is told of a hand-off (`Handoff.key`).
"""

STALL, RESPONSE = "stall", "response"
"""What is missing in an episode: `Stall.kind`."""

_PARTS = 3
"""So many things are told of a hand-off."""


class Transition(NamedTuple):
    """One row of `stage_transitions`, without its prospect and revision. Times are microseconds, UTC."""

    funnel: str
    funnel_version: int
    visit: int
    step: int
    kind: str
    """enter, advance, skip, back, repeat, lost or expired."""
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
    amount: int
    """Hundredths of `currency`."""
    currency: str
    reason: str
    rep: str
    channel_group: str = ""
    """Of the cause."""
    first_channel_group: str = ""
    touched_at: tuple[int, ...] = ()
    """The touches of the visit, in rows that close it (`funnel.touchpoints`): when each began, ..."""
    touch_channel_groups: tuple[str, ...] = ()
    """... by which channel group ..."""
    touch_campaigns: tuple[str, ...] = ()
    """... and campaign."""
    touches_left_out: int = 0

    @property
    def key(self) -> RowKey:
        """What identifies the row within its prospect."""
        return (self.funnel, self.visit, self.step)


class Handoff(NamedTuple):
    """One row of `handoff_parts`: one of the things that are told of a hand-off (`funnel.handoffs`). Times are microseconds, UTC."""

    funnel: str
    visit: int
    step: int
    """Of the transition that handed it over."""
    part: int
    """0: it was handed over; 1: its team touched it first; 2: what came of it. All up to here make the key."""
    occurred_at: int
    source: str
    event_id: str
    channel: str
    type: str
    campaign: str
    outcome: str
    reason: str
    rep: str
    """All of these are the event's with which it happened."""
    decision: str = ""
    """Of part 2: accepted, sent_back, lost, won or handed_on."""
    from_team: str = ""
    """This and all that follows is told with part 0."""
    to_team: str = ""
    stage: str = ""
    first_campaign: str = ""
    account_id: str = ""
    respond_by: int | None = None
    """When it is too late to respond; None: never."""

    @property
    def key(self) -> RowKey:
        """What identifies the row within its prospect, beside keys of transitions."""
        return (self.funnel, self.visit, -1 - _PARTS * self.step - self.part)


HandoffKey = tuple[str, int, int, int]
"""(funnel, visit, step, part)."""


def handoff_key(key: RowKey) -> HandoffKey:
    """What `Handoff.key` was made from."""
    return (*key[:2], *divmod(-1 - key[2], _PARTS))


Row = Transition | Handoff
"""What the fold tells."""


class Standing(NamedTuple):
    """One row of `prospects`: where a prospect stands in one funnel. Times are microseconds, UTC."""

    funnel: str
    visit: int
    stage: str
    """'' where no visit is open."""
    status: str
    """open, won, lost or expired."""
    stage_entered_at: int
    """When the current stage was entered; of a closed visit, when it closed."""
    last_activity_at: int
    account_id: str
    stalled_since: int | None = None
    """The deadline that passed without activity, where the wall clock told so; None where it didn't."""
    snoozed_until: int | None = None
    """Until when an event said that nothing needs to happen in the stage; None where none did."""


class Stall(NamedTuple):
    """One row of `stalls`: what should have happened in an open visit did not in the time its stage allows. Times are microseconds, UTC."""

    funnel: str
    visit: int
    stage: str
    deadline: int
    """When it was too long. All up to here, and `kind`, make the key."""
    level: int
    """How often it was escalated since."""
    noticed_at: int
    """The wall clock that told of this level."""
    resolved_at: int | None = None
    """When what ended it occurred; None: it goes on."""
    resolution: str = ""
    """How it ended: active, answered, moved, snoozed, won, lost, expired, or void, where late events show that there was none."""
    account_id: str = ""
    kind: str = STALL
    """What is missing: anything at all (`stall`), or a touch by the team that it was handed to (`response`)."""

    @property
    def key(self) -> tuple[str, int, str, int, str]:
        """What identifies the row within its prospect."""
        return (*self[:4], self.kind)


class IdentifierRow(NamedTuple):
    """One row of `prospect_identifiers`: an identifier of this prospect."""

    kind: int
    """Its place in `funnel.identifiers.KINDS`."""
    name: bytes
    """Its canonical form, sealed."""


class AliasRow(NamedTuple):
    """One row of `prospect_aliases`: what was this prospect's goes on to another one."""

    new_id: bytes
    """16 bytes."""
    since: int
    """When the event or declaration that decided it occurred (microseconds, UTC)."""


class SharedRow(NamedTuple):
    """One row of `shared_identifiers`: this identifier is nobody's (contract, section 4, 4)."""

    kind: int
    """Its place in `funnel.identifiers.KINDS`."""
    seen_with: int
    """Different stronger identifiers of the kind of which there are most; counting stops soon after it is too many."""


class Facts(NamedTuple):
    """What changed of one prospect, as one message on the topic `facts`.

    Every row and tombstone in it carries `revision`; ClickHouse keeps the highest revision of a key.
    """

    revision: int
    transitions: tuple[Transition, ...] = ()
    removed: tuple[RowKey, ...] = ()
    standings: tuple[Standing, ...] = ()
    removed_standings: tuple[str, ...] = ()
    """Funnels in which the prospect stands nowhere any more."""
    identifiers: tuple[IdentifierRow, ...] = ()
    removed_identifiers: tuple[IdentifierRow, ...] = ()
    aliases: tuple[AliasRow, ...] = ()
    removed_aliases: tuple[bytes, ...] = ()
    """By the id they led to."""
    shared: tuple[SharedRow, ...] = ()
    """One, or none."""
    removed_shared: tuple[int, ...] = ()
    """The kind, where it is shared no more."""
    stalls: tuple[Stall, ...] = ()
    """Episodes that began, were escalated or ended. What once was told stays."""
    handoffs: tuple[Handoff, ...] = ()
    removed_handoffs: tuple[HandoffKey, ...] = ()
