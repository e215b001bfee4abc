"""What actors are told: events, the clock, and what identifiers say to one another (contract, sections 3 and 4).

Every identifier is an actor, known by the 16 bytes of `funnel.identifiers.prospect_id`. Statements carry the sender's
revision, and the highest counts: so they may come twice, late, or after newer ones.
"""

from __future__ import annotations

from typing import NamedTuple

from funnel.events import OrderKey, Touch


class Arrival(NamedTuple):
    """An event arrives at the strongest of its identifiers."""

    position: int
    """Offset of its record."""
    touch: Touch
    raw: bytes
    """The touch as it came; kept to the letter, and never looked into but to tell copies apart."""


class Tick(NamedTuple):
    """The wall clock reached `now` (microseconds); sent when a visit is due to expire."""

    position: int
    now: int


class Sighting(NamedTuple):
    """An identifier was seen with stronger ones on an event that starts at `sender`, the strongest of them."""

    kind: int
    """The receiver's: its place in `funnel.identifiers.KINDS`."""
    sender: bytes
    slot: bytes
    """Which of the sender's sightings of the receiver it is; a later revision of one replaces it."""
    revision: int
    name: bytes
    """The receiver's canonical form, sealed."""
    sender_name: bytes
    """The sender's."""
    occurred_at: int
    source: str
    event_id: str
    stronger: bytes
    """All stronger identifiers on the event, the strongest first (for each its kind, a byte, and its id); b"": it is taken back."""

    @property
    def order(self) -> OrderKey:
        """The event's place in the order."""
        return (self.occurred_at, self.source, self.event_id)


class SignInsWanted(NamedTuple):
    """A device asks one that signed in on it for every sign-in, now and from now on, as it is not the only one."""

    device: bytes


class Handover(NamedTuple):
    """An event goes on from `sender` to the receiver, its next step."""

    sender: bytes
    revision: int
    start: bytes
    """The identifier at which its way started."""
    touch: bytes
    """The touch as it came there."""


class Membership(NamedTuple):
    """An identifier goes on from `sender` to the receiver, as its events do."""

    sender: bytes
    revision: int
    identifier: bytes
    kind: int
    name: bytes
    """Its canonical form, sealed."""


class Reset(NamedTuple):
    """Everything that `sender` handed over with a lower revision is taken back.

    What the sender has folded for good, events up to `after_*` in the order, stays where it is.
    """

    sender: bytes
    revision: int
    after_occurred_at: int = -1
    """-1: nothing stays."""
    after_source: str = ""
    after_event_id: str = ""


class Declaration(NamedTuple):
    """Somebody declares that an identifier is (`link`), or is not (`split`), another's (contract, section 4, 5)."""

    kind: int
    """Of the weaker one, who receives this; two user_ids are declared to the book of aliases."""
    type: str
    """link or split."""
    occurred_at: int
    source: str
    event_id: str
    weaker: bytes
    stronger: bytes
    stronger_kind: int
    weaker_name: bytes
    """Canonical form, sealed."""
    stronger_name: bytes

    @property
    def order(self) -> OrderKey:
        """Its place in the order."""
        return (self.occurred_at, self.source, self.event_id)


class Alias(NamedTuple):
    """The book of aliases tells a user_id for which other one it stands."""

    revision: int
    stands_for: bytes
    """b"": for none."""
    since: int
    """When the link was declared to have come about (microseconds)."""


class Forget(NamedTuple):
    """An identifier is to be forgotten for good (docs/adr/013)."""

    named: int
    """As in `Forgotten`."""
    book: bytes
    """The book of aliases, which may know of it."""


class Forgotten(NamedTuple):
    """An identifier is forgotten: what others know of it, or hand over to it, is to go."""

    identifier: bytes
    named: int
    """1 where somebody named it: then events go that merely name it, too. 0 where it went with whom it belongs to."""
    book: bytes
    """As in `Forget`, for those that go with it."""


Statement = Sighting | SignInsWanted | Handover | Membership | Reset | Declaration | Alias | Forget | Forgotten


class Said(NamedTuple):
    """A statement arrives."""

    position: int
    """Offset of its record."""
    statement: Statement


class Handed(NamedTuple):
    """An event arrives that another identifier handed over: a `Handover`, its touch decoded."""

    position: int
    sender: bytes
    revision: int
    start: bytes
    touch: Touch
    raw: bytes
    """The touch as it came at its start."""


Message = Arrival | Tick | Handed | Said


class Send(NamedTuple):
    """A statement to be sent."""

    to: bytes
    """The receiving identifier."""
    statement: Statement
