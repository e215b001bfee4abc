"""What becomes of one record of an input topic: a touch for its prospect, or a dead letter with a reason.

Personal data stops here: what goes on names the prospect by a keyed hash, carries the few fields that facts show,
and holds the original bytes sealed.
"""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import orjson
import phonenumbers

from funnel.durations import MICROSECONDS
from funnel.events import Event, Touch
from funnel.identifiers import KINDS, ParsePhone, identify, prospect_id
from funnel.rules import RuleSet
from funnel.state import Opener
from schemas.codec import EventCodec
from schemas.errors import Undecodable
from schemas.messages import decode_touch_body, encode_touch
from schemas.sealing import Sealer

Reason = Literal["undecodable", "no_identifier", "invalid_time", "too_late", "too_large", "invalid_declaration"]
"""Why an event is a dead letter (contract, section 1)."""

EARLIEST = 946_684_800 * MICROSECONDS
"""2000-01-01T00:00Z: what happened before is a mistake."""
LATEST = 7_258_118_400 * MICROSECONDS
"""2200-01-01T00:00Z: so is what happens after. A record's timestamp comes from whoever sent it, if it has one, and times near the
end of 64 bits would leave no room for a window after them."""
LEAD = 5 * 60 * MICROSECONDS
"""How far an event may lie ahead of its record's own timestamp."""
LONGEST_REMEMBERED = 2_048
"""Bytes of an event up to which the prospect it speaks of is remembered: what senders make up must not fill the memory."""
LONGEST_NUMBER_REMEMBERED = 64
"""Characters of a phone number as written, for the same reason."""
PROSPECTS_REMEMBERED = 65_536
NAMES_REMEMBERED = 4_096
"""Events whose identifiers' names are remembered: a new prospect asks for those of its first event several times."""
_IDENTIFIERS = frozenset(KINDS)
NO_TIMESTAMP = -1
"""What Kafka says of a record without one; it can't be compared with."""


class Accepted(NamedTuple):
    """An event that goes on."""

    prospect_id: bytes
    touch: bytes
    """The message for `touches`."""


class Refused(NamedTuple):
    """An event that becomes a dead letter."""

    reason: Reason
    message: str
    """For people; holds no personal data."""


def refused_time(occurred_at: int, timestamp: int) -> Refused | None:
    """Why a time (microseconds) can't be, given its record's timestamp (milliseconds); None where it can."""
    if occurred_at < EARLIEST:
        return Refused("invalid_time", "occurred_at is before 2000-01-01")
    if occurred_at >= LATEST:
        return Refused("invalid_time", "occurred_at is after 2199")
    if timestamp != NO_TIMESTAMP and occurred_at > timestamp * 1_000 + LEAD:
        return Refused("invalid_time", "occurred_at is more than 5 minutes after the record's own timestamp")
    return None


class Whose(NamedTuple):
    """Whom an event speaks of."""

    start: bytes
    """Id of its strongest identifier."""
    kind: int
    weaker: bytes
    """The others, as `Touch.weaker` has them."""


class Judged(NamedTuple):
    """An event that goes on, before anything of it is sealed."""

    event: Event
    whose: Whose


class Acceptance:
    """Decodes, validates, identifies, matches and seals, as one installation does it."""

    def __init__(
        self, codec: EventCodec, rules: RuleSet, id_key: bytes, parse_phone: ParsePhone, max_event_bytes: int
    ) -> None:
        """Make one.

        Args:
            codec: knows the event schemas.
            rules: the funnels.
            id_key: JOURNEY_ID_KEY; decides every prospect_id.
            parse_phone: see `phone_parser`.
            max_event_bytes: larger records are dead letters.
        """
        self._codec = codec
        self._rules = rules
        self._sealer = Sealer(id_key)
        self._max_event_bytes = max_event_bytes

        def whose(user_id: str | None, email: str | None, phone: str | None, anonymous_id: str | None) -> Whose | None:
            """Whom an event with these identifiers speaks of; people send many events each."""
            event = {"user_id": user_id, "email": email, "phone": phone, "anonymous_id": anonymous_id}
            found = identify(event, parse_phone)
            if not found:
                return None
            start, *weaker = found
            listed = (bytes((KINDS.index(one.kind),)) + prospect_id(id_key, one.canonical) for one in weaker)
            return Whose(prospect_id(id_key, start.canonical), KINDS.index(start.kind), b"".join(listed))

        self._parse_phone = parse_phone
        self._whose = whose
        self._whose_remembered = lru_cache(maxsize=PROSPECTS_REMEMBERED)(whose)
        self.opener = Opener(self.canonical_of, lru_cache(maxsize=NAMES_REMEMBERED)(self.names_of), self.clear)

    def accept(self, channel: str, data: bytes | None, timestamp: int) -> Accepted | Refused:
        """What becomes of a record; see `judge`."""
        judged = self.judge(channel, data, timestamp)
        if isinstance(judged, Refused):
            return judged
        event, whose = judged
        touch = touch_of(event, self._rules, self._sealer.seal(data or b""), whose.kind, whose.weaker)
        return Accepted(whose.start, encode_touch(touch))

    def judge(self, channel: str, data: bytes | None, timestamp: int) -> Judged | Refused:
        """Whether a record goes on, and whom it speaks of.

        Args:
            channel: web, email or call, by the topic it came from.
            data: its value.
            timestamp: its Kafka timestamp, milliseconds since the epoch.
        """
        if data is not None and len(data) > self._max_event_bytes:
            return Refused("too_large", f"{len(data)} bytes; the limit is {self._max_event_bytes}")
        try:
            event = self._codec.decode(channel, data)
        except Undecodable as error:
            return Refused("undecodable", str(error))
        whose_of = self._whose_remembered if data and len(data) <= LONGEST_REMEMBERED else self._whose
        whose = whose_of(event["user_id"], event["email"], event["phone"], event["anonymous_id"])
        if whose is None:
            return Refused("no_identifier", "none of user_id, email, phone and anonymous_id holds a usable identifier")
        if refused := refused_time(event["occurred_at"], timestamp):
            return refused
        return Judged(event, whose)

    def canonical_of(self, raw: bytes) -> bytes:
        """The canonical JSON of the event in a touch, made from the original bytes sealed there (contract, section 1, "Duplicates")."""
        channel, body = decode_touch_body(raw)
        return canonical_json(self._codec.decode(channel, self._sealer.open(body)))

    def strongest_of(self, channel: str, data: bytes) -> str:
        """Canonical form of the strongest identifier of an event that was accepted, from its original bytes."""
        return identify(self._codec.decode(channel, data, _IDENTIFIERS), self._parse_phone)[0].canonical

    def names_of(self, raw: bytes) -> tuple[bytes, ...]:
        """Sealed canonical forms of the identifiers of the event in a touch, the strongest first."""
        channel, body = decode_touch_body(raw)
        event = self._codec.decode(channel, self._sealer.open(body), _IDENTIFIERS)
        return tuple(self._sealer.seal(one.canonical.encode()) for one in identify(event, self._parse_phone))

    def clear(self, name: bytes) -> str:
        """A sealed canonical form in clear; "" where it is forgotten."""
        return self._sealer.open_name(name)

    def original_of(self, raw: bytes) -> bytes:
        """The bytes of the event in a touch, as they came."""
        return self._sealer.open(decode_touch_body(raw)[1])


def touch_of(event: Event, rules: RuleSet, body: bytes, kind: int, weaker: bytes) -> Touch:
    """What of an event goes on to its prospect.

    Args:
        event: decoded and valid.
        rules: the funnels; they are asked here, once.
        body: the original bytes, sealed.
        kind: of its strongest identifier (`Touch.kind`).
        weaker: its other identifiers (`Touch.weaker`).
    """
    amount: Decimal | None = event.get("amount")
    return Touch(
        event["occurred_at"],
        event["source"],
        event["event_id"],
        event["channel"],
        event["type"],
        event["campaign"] or "",
        (event["account_id"] or "").strip(),
        0 if amount is None else int(amount.scaleb(2)),
        event.get("currency") or "",
        event.get("reason") or "",
        event.get("outcome") or "",
        event.get("rep") or "",
        rules.match(event),
        rules.fingerprint,
        kind,
        weaker,
        rules.channels.group(event),
        body,
    )


def canonical_json(event: Event) -> bytes:
    """The event's fields, `channel` among them: keys sorted, compact, UTF-8, nulls left out; amounts as text.

    Copies of an event that happened at the same instant are decided by it: the smaller one counts.
    """
    fields = {name: value for name, value in event.items() if value is not None}
    return orjson.dumps(fields, default=_amount_text, option=orjson.OPT_SORT_KEYS)


def _amount_text(value: Any) -> str:
    if isinstance(value, Decimal):
        return f"{value:.2f}"
    raise TypeError(f"an event can't hold {type(value).__name__}")


def phone_parser(region: str | None) -> ParsePhone:
    """What turns phone numbers into E.164 (`funnel.identifiers.ParsePhone`).

    Args:
        region: region (such as DE) of numbers without a country code; None: they are no identifiers.
    """

    def parse(raw: str) -> str | None:
        return remembered(raw) if len(raw) <= LONGEST_NUMBER_REMEMBERED else parsed(raw)

    def parsed(raw: str) -> str | None:
        try:
            number = phonenumbers.parse(raw, region)
        except phonenumbers.NumberParseException:
            return None
        if not phonenumbers.is_possible_number(number):
            return None
        return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)

    # Parsing takes longer than most that is done with an event.
    remembered = lru_cache(maxsize=PROSPECTS_REMEMBERED)(parsed)
    return parse
