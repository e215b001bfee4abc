"""Records into the set of distinct accepted events, as intake and prospects make it (contract, section 1).

Every decision is intake's own code (`agents.acceptance`, `agents.declarations`, `agents.erasures`), so what it accepts is accepted here.
Bounds that depend on the order of arrival are not: nothing is too late, and no history is too long (docs/backtest.md).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from agents import declarations, erasures
from agents.acceptance import Acceptance, Refused, canonical_json, touch_of
from agents.declarations import Announced, Declarations
from backtest.records import InputRecord
from funnel.events import Touch
from funnel.identifiers import ParsePhone
from funnel.messages import Declaration, Forget
from funnel.rules import RuleSet
from schemas.catalog import SUBJECT_OF_CHANNEL, current
from schemas.codec import EventCodec
from schemas.messages import decode_message
from schemas.sealing import Sealer

_REPEATED = ("source", "type", "campaign", "account_id", "currency", "reason", "outcome", "rep")
"""Fields whose values many events share: one string each is a third of the memory."""
_REPEATED_OF = {
    channel: tuple(field.name for field in current(subject).schema.fields if field.name in _REPEATED)
    for channel, subject in SUBJECT_OF_CHANNEL.items()
}
"""Those that a channel's events have."""


class Installation(NamedTuple):
    """What, beside the funnels, decides what becomes of a record."""

    codec: EventCodec
    id_key: bytes
    """JOURNEY_ID_KEY."""
    parse_phone: ParsePhone
    max_event_bytes: int


class Gathering:
    """Takes records in; what is left of them stands in its attributes."""

    def __init__(self, installation: Installation, rules: RuleSet, until: int | None = None) -> None:
        """Make one.

        Args:
            installation: see there.
            rules: all funnels that are replayed, which are asked once an event.
            until: what occurred later (microseconds) is left out; None: nothing is.
        """
        codec, id_key, parse_phone, most = installation
        self._acceptance = Acceptance(codec, rules, id_key, parse_phone, most)
        self._declarations = Declarations(codec, id_key, parse_phone, most)
        self._codec, self._rules, self._until = codec, rules, until
        self._sealer = Sealer(id_key)
        self._place: dict[tuple[str, str, bytes], int] = {}
        self._strings: dict[str, str] = {}
        self.touches: list[Touch] = []
        """Of the copies of an event the one that counts; `body` is its original bytes, not sealed here."""
        self.starts: list[bytes] = []
        """Id of the strongest identifier of each of them."""
        self.declared: list[Declaration] = []
        """Their names are sealed, as everywhere."""
        self.forgotten: dict[bytes, bool] = {}
        """Ids of those who are forgotten, and whether events go that merely name them."""
        self.dead: Counter[str] = Counter()
        """By reason."""
        self.records = self.duplicate = self.later = 0
        """Records in all; of these, copies of an event, and those left out by `until`."""

    def take(self, records: Iterable[InputRecord]) -> None:
        """Take records, in any order."""
        for channel, _, _, timestamp, key, value in records:
            self.records += 1
            if channel == declarations.CHANNEL:
                self._declare(self._declarations.accept(value, timestamp))
            elif channel == erasures.CHANNEL:
                self._forget(erasures.accept(key, value))
            else:
                self._event(channel, value, timestamp)

    def refuse(self, reason: str) -> None:
        """Count a line that is no event: `journey produce` makes a dead letter of it before it is a record."""
        self.records += 1
        self.dead[reason] += 1

    def strongest_of(self, touch: Touch) -> str:
        """Canonical form of the strongest identifier of an event: it decides between events at one place in the order."""
        return self._acceptance.strongest_of(touch.channel, touch.body)

    def clear(self, name: bytes) -> str:
        """A sealed canonical form in clear."""
        return self._sealer.open_name(name)

    def seal(self) -> None:
        """Nothing more is taken: let go of what only copies are told by."""
        self._place.clear()
        self._strings.clear()

    def _event(self, channel: str, value: bytes | None, timestamp: int) -> None:
        judged = self._acceptance.judge(channel, value, timestamp)
        if isinstance(judged, Refused):
            self.dead[judged.reason] += 1
            return
        event, (start, kind, weaker) = judged
        if self._until is not None and event["occurred_at"] > self._until:
            self.later += 1
            return
        strings = self._strings
        for name in _REPEATED_OF[channel]:
            if text := event[name]:
                event[name] = strings.setdefault(text, text)
        touch = touch_of(event, self._rules, value or b"", kind, weaker)
        place = self._place.setdefault((touch.source, touch.event_id, start), len(self.touches))
        if place == len(self.touches):
            self.touches.append(touch)
            self.starts.append(start)
            return
        self.duplicate += 1
        if self._counts_rather(touch, self.touches[place]):
            self.touches[place] = touch

    def _counts_rather(self, touch: Touch, known: Touch) -> bool:
        """Whether of two copies the new one counts (contract, section 1, "Duplicates")."""
        if touch.occurred_at != known.occurred_at:
            return touch.occurred_at < known.occurred_at
        return touch.body != known.body and self._canonical(touch) < self._canonical(known)

    def _canonical(self, touch: Touch) -> bytes:
        return canonical_json(self._codec.decode(touch.channel, touch.body))

    def _declare(self, result: Announced | Refused) -> None:
        if isinstance(result, Refused):
            self.dead[result.reason] += 1
            return
        declaration = decode_message(result.message)
        assert isinstance(declaration, Declaration)
        if self._until is not None and declaration.occurred_at > self._until:
            self.later += 1
        else:
            self.declared.append(declaration)

    def _forget(self, result: Announced | Refused) -> None:
        if isinstance(result, Refused):
            self.dead[result.reason] += 1
            return
        request = decode_message(result.message)
        assert isinstance(request, Forget)
        (one,) = result.to
        self.forgotten[one] = self.forgotten.get(one, False) or bool(request.named)
