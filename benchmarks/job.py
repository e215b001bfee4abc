"""The stateful job that every contender does: raw Avro event -> rules -> the prospect's state -> facts.

All of it is this project's own core; contenders differ in how events come in, where state lives and how facts leave. It needs no broker client, so that it
imports in the rivals' environment too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from struct import Struct

from agents.acceptance import canonical_json, touch_of
from agents.records import records_of, state_of
from funnel.definition import load_funnels
from funnel.events import Event
from funnel.identifiers import KINDS
from funnel.prospect import Arrival, Opener, Outcome, State, Terms, empty, receive
from funnel.rules import RuleSet
from schemas.catalog import SUBJECT_OF_CHANNEL, catalog
from schemas.codec import EventCodec
from schemas.framing import HEADER, header
from schemas.messages import decode_touch, encode_facts, encode_touch
from schemas.registry import FileRegistry

ROOT = Path(__file__).resolve().parent.parent
FUNNELS = (ROOT / "funnels" / "sales.toml",)
_SIZE = Struct(">BI")
STRANGER = (0, b"")
"""Kind and weaker identifiers of every event of the job: it is about folding, not about who is who."""


class Job:
    """The functions of the job, over one set of funnels."""

    def __init__(self) -> None:
        self.rules = RuleSet(load_funnels(FUNNELS))
        self.codec = EventCodec(FileRegistry())
        self.terms = Terms(self.rules, Opener(self.canonical_of, self.names_of, bytes.decode))
        self._channels = {
            header(version.schema_id): channel
            for channel, subject in SUBJECT_OF_CHANNEL.items()
            for version in catalog()[subject]
        }

    def decode(self, raw: bytes) -> Event:
        """The event in a message; the schema's id tells the channel."""
        return self.codec.decode(self._channels[raw[:HEADER]], raw)

    def arrival(self, position: int, raw: bytes) -> Arrival:
        """Decode and rules."""
        return self.arrival_of(position, self.decode(raw), raw)

    def arrival_of(self, position: int, event: Event, raw: bytes) -> Arrival:
        """Rules alone."""
        touch = touch_of(event, self.rules, raw, *STRANGER)
        return Arrival(position, touch, encode_touch(touch))

    def take(self, prospect: bytes, state: State | None, arrivals: Sequence[Arrival]) -> Outcome:
        """What the events do to their prospect."""
        return receive(prospect, empty(self.rules) if state is None else state, arrivals, self.terms)

    def names_of(self, raw: bytes) -> tuple[bytes, ...]:
        """Who the prospect of a touch is; the job has no other identifiers, and seals nothing."""
        event = self.decode(decode_touch(raw).body)
        return tuple(f"{kind}:{event[kind]}".encode() for kind in KINDS if event[kind])[:1]

    def canonical_of(self, raw: bytes) -> bytes:
        """As `agents.acceptance.Acceptance.canonical_of`, of a touch that nobody sealed."""
        return canonical_json(self.decode(decode_touch(raw).body))

    def facts(self, prospect: bytes, outcome: Outcome) -> bytes | None:
        """The message to send; None where nothing changed."""
        return None if outcome.facts is None else encode_facts(prospect, outcome.facts)

    def dump(self, state: State) -> bytes:
        """The whole state as one value, for frameworks that keep one value a key."""
        head = state.head if state.head.revision else None
        parts = []
        kept = tuple(sorted(state.history.events, key=lambda one: one.revision))  # the newest says where all lead
        notes = tuple(state.identity.items())
        for suffix, value in records_of(Outcome(state, kept=kept, notes=notes, head=head), self.terms):
            assert value is not None
            parts += [_SIZE.pack(len(suffix), len(value)), suffix, value]
        return b"".join(parts)

    def load(self, data: bytes) -> State:
        """The state again."""
        records: dict[bytes, bytes] = {}
        at = 0
        while at < len(data):
            suffix_size, size = _SIZE.unpack_from(data, at)
            at += _SIZE.size
            records[data[at : at + suffix_size]] = data[at + suffix_size : at + suffix_size + size]
            at += suffix_size + size
        return state_of(self.terms, records)


def by_prospect(keyed: Iterable[tuple[bytes, Arrival]]) -> dict[bytes, list[Arrival]]:
    """Arrivals in order, per prospect."""
    grouped: dict[bytes, list[Arrival]] = {}
    for prospect, arrival in keyed:
        others = grouped.get(prospect)
        if others is None:
            grouped[prospect] = [arrival]
        else:
            others.append(arrival)
    return grouped
