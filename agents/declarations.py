"""What becomes of one record of the topic `identity-declarations`: a statement for the identifier it is about, or a dead letter."""

from __future__ import annotations

from typing import NamedTuple

from agents.acceptance import Refused, refused_time
from funnel.events import Event
from funnel.identifiers import KINDS, Identifier, ParsePhone, identify, prospect_id
from funnel.messages import Declaration
from schemas.codec import EventCodec
from schemas.errors import Undecodable
from schemas.messages import encode_statement
from schemas.sealing import Sealer

CHANNEL = "declaration"
BOOK = "book of aliases"
"""What the actor that has the links of user_ids is known by; no canonical form, so no identifier's."""


class Announced(NamedTuple):
    """A statement that goes on."""

    to: tuple[bytes, ...]
    """The identifiers that are told."""
    message: bytes
    """For `touches`."""


class Declarations:
    """Decodes, validates and seals declarations, as one installation does it."""

    def __init__(self, codec: EventCodec, id_key: bytes, parse_phone: ParsePhone, max_bytes: int) -> None:
        """Args: as those of `Acceptance`."""
        self._codec, self._id_key, self._parse_phone, self._max_bytes = codec, id_key, parse_phone, max_bytes
        self._sealer = Sealer(id_key)
        self._book = prospect_id(id_key, BOOK)

    def accept(self, data: bytes | None, timestamp: int) -> Announced | Refused:
        """What becomes of a record; see `Acceptance.accept`."""
        if data is not None and len(data) > self._max_bytes:
            return Refused("too_large", f"{len(data)} bytes; the limit is {self._max_bytes}")
        try:
            event = self._codec.decode(CHANNEL, data)
        except Undecodable as error:
            return Refused("undecodable", str(error))
        weaker, stronger = self._identifier(event["weaker"]), self._identifier(event["stronger"])
        if event["type"] not in ("link", "split"):
            return _refused("type is neither link nor split")
        if weaker is None or stronger is None:
            return _refused("weaker and stronger must be identifiers in canonical form, such as email:jane@x.com")
        if weaker == stronger:
            return _refused("weaker and stronger are the same identifier")
        kind, stronger_kind = KINDS.index(weaker.kind), KINDS.index(stronger.kind)
        of_two_users = kind == stronger_kind == KINDS.index("user_id")
        if kind <= stronger_kind and not of_two_users:
            return _refused(f"a {weaker.kind} is not weaker than a {stronger.kind}")
        if refused := refused_time(event["occurred_at"], timestamp):
            return refused
        return self._accepted(event, weaker, stronger, of_two_users)

    def _accepted(self, event: Event, weaker: Identifier, stronger: Identifier, of_two_users: bool) -> Announced:
        weaker_id, stronger_id = (prospect_id(self._id_key, one.canonical) for one in (weaker, stronger))
        statement = Declaration(
            KINDS.index(weaker.kind),
            event["type"],
            event["occurred_at"],
            event["source"],
            event["event_id"],
            weaker_id,
            stronger_id,
            KINDS.index(stronger.kind),
            self._sealer.seal(weaker.canonical.encode()),
            self._sealer.seal(stronger.canonical.encode()),
        )
        # The stronger one only takes note of who speaks of it: when it is forgotten, it tells them.
        return Announced((self._book if of_two_users else weaker_id, stronger_id), encode_statement(statement))

    def original_of(self, declaration: Declaration) -> bytes:
        """The declaration as an event again, as our own producers would have written it."""
        event: Event = {
            "event_id": declaration.event_id,
            "source": declaration.source,
            "occurred_at": declaration.occurred_at,
            "type": declaration.type,
            "weaker": self._sealer.open_name(declaration.weaker_name),
            "stronger": self._sealer.open_name(declaration.stronger_name),
        }
        return self._codec.encode({**event, "channel": CHANNEL})

    def _identifier(self, canonical: str) -> Identifier | None:
        kind, _, value = canonical.partition(":")
        found = identify({kind: value}, self._parse_phone) if kind in KINDS else ()
        return found[0] if found and found[0].value == value else None


def _refused(message: str) -> Refused:
    return Refused("invalid_declaration", message)
