"""A prospect's state in the changelog: one small record per kept event, and one for the head.

Keys are the prospect's 16 bytes, followed by the event's 8-byte suffix, or by nothing for the head. Values start
with an envelope, so that deadlines are known without opening what follows. Only we write and read these.

One record of each change also carries where all events so far lead. Most new events sort after all others: then
the events before are never decoded, and a prospect costs little more when it is not at hand (ADR 010).
"""

from __future__ import annotations

import json
import marshal
from collections.abc import Mapping
from struct import Struct

from funnel.events import OrderKey
from funnel.history import History, Kept, Unread
from funnel.journey import Progress
from funnel.prospect import NOTHING_TAKEN, Head, Outcome, State, restore
from funnel.rules import RuleSet
from schemas.messages import decode_touch_without_body

HEAD_SUFFIX = b""

_FORMAT = 2
# format, revision, due_at (-1: never), position, when the event occurred (0: the head), bytes of reach that follow
_ENVELOPE = Struct(">BqqqqH")
_MOST_REACH = 0xFFFF
_MARSHAL = 2
"""The format of marshal, from before it shared references: the same values give the same bytes."""
_NEVER = 1 << 63
Reach = tuple[int, OrderKey, tuple[Progress, ...]]
"""Fingerprint of the rule set, the last event, and where all events lead, per funnel."""
_ENVELOPE_SIZE = _ENVELOPE.size


class UnknownFormat(RuntimeError):
    """A changelog record was written by a version of this program that this one doesn't know."""


def records_of(outcome: Outcome, rules: RuleSet) -> list[tuple[bytes, bytes | None]]:
    """What an outcome changes in the changelog: (suffix, value), None to delete. To be written together."""
    due_at = -1 if outcome.due_at is None else outcome.due_at
    records: list[tuple[bytes, bytes | None]] = []
    if outcome.kept or outcome.head is not None:
        reach = _reach_value(outcome.state, rules)
        newest = outcome.kept[-1] if outcome.kept else None
        for kept in outcome.kept:
            said, at = reach if kept is newest else b"", kept.touch.occurred_at
            envelope = _ENVELOPE.pack(_FORMAT, kept.revision, due_at, kept.position, at, len(said))
            records.append((kept.suffix, envelope + said + kept.raw))
        if outcome.head is not None:
            records.append((HEAD_SUFFIX, _head_value(outcome.head, due_at, b"" if newest else reach)))
    records.extend((kept.suffix, None) for kept in outcome.dropped)
    return records


def state_of(rules: RuleSet, records: Mapping[bytes, bytes]) -> State:
    """The state from a prospect's records by suffix.

    Raises:
        UnknownFormat: a record is of a format of the future.
        RulesChanged: an event was matched by other rules.
    """
    revision = position = latest = -1
    reach, oldest = b"", _NEVER
    for suffix, value in records.items():
        form, revised, _, taken, at, size = _ENVELOPE.unpack_from(value)
        if form != _FORMAT:
            raise _unknown(form)
        if revised > revision:
            revision = revised
        if size and revised > latest:
            latest, reach = revised, value[_ENVELOPE_SIZE : _ENVELOPE_SIZE + size]
        if taken > position:
            position = taken
        if suffix and at < oldest:
            oldest = at
    head = _head(records[HEAD_SUFFIX]) if HEAD_SUFFIX in records else Head()
    known = dict(records)
    known.pop(HEAD_SUFFIX, None)
    # What the head has folded for good but was not deleted yet must be passed over: that takes reading.
    if known and latest == revision and (head.horizon is None or head.horizon[0] < oldest):
        found = _reach(reach)
        if found is not None and found[0] == rules.fingerprint:
            unread = Unread(known.keys(), len(known), oldest, found[1], lambda: sorted(map(_kept, known.items())))
            return State(head, History((), unread), found[2], revision, position)
    return restore(rules, head, map(_kept, known.items()))


def _kept(record: tuple[bytes, bytes]) -> Kept:
    suffix, value = record
    _, revision, _, position, _, size = _ENVELOPE.unpack_from(value)
    raw = value[_ENVELOPE_SIZE + size :]
    return Kept(decode_touch_without_body(raw), raw, position, revision, suffix)


def _reach_value(state: State, rules: RuleSet) -> bytes:
    last = state.history.last
    if last is None:
        return b""
    value = marshal.dumps((rules.fingerprint, last, [tuple(progress) for progress in state.progress]), _MARSHAL)
    return value if len(value) <= _MOST_REACH else b""


def _reach(value: bytes) -> Reach | None:
    """What `_reach_value` wrote; None where another Python did and this one can't read it."""
    try:
        rules, last, progress = marshal.loads(value)  # noqa: S302  only workers write to the changelog
    except (EOFError, ValueError, TypeError):
        return None
    return rules, last, tuple(map(Progress._make, progress))


def due_at_of(records: Mapping[bytes, bytes]) -> int | None:
    """When (microseconds) the wall clock next changes a row of the prospect, as its latest record says."""
    latest = due_at = -1
    for value in records.values():
        _, revision, due, _, _, _ = _ENVELOPE.unpack_from(value)
        if revision > latest:
            latest, due_at = revision, due
    return None if due_at < 0 else due_at


def without_position(value: bytes) -> bytes:
    """The record for a changelog that moves to a broker where offsets start over.

    Only right where everything was settled: no message that it speaks of may be delivered again.
    """
    form, revision, due_at, _, at, size = _ENVELOPE.unpack_from(value)
    if form != _FORMAT:
        raise _unknown(form)
    return _ENVELOPE.pack(form, revision, due_at, NOTHING_TAKEN, at, size) + value[_ENVELOPE_SIZE:]


def _unknown(form: int) -> UnknownFormat:
    return UnknownFormat(f"a changelog record has format {form}, this program knows {_FORMAT}; run the newer one")


def _head_value(head: Head, due_at: int, reach: bytes) -> bytes:
    document = {"as_of": head.as_of, "horizon": head.horizon, "base": head.base, "removed": head.removed}
    envelope = _ENVELOPE.pack(_FORMAT, head.revision, due_at, head.position, 0, len(reach))
    return envelope + reach + json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def _head(value: bytes) -> Head:
    _, revision, _, position, _, size = _ENVELOPE.unpack_from(value)
    document = json.loads(value[_ENVELOPE_SIZE + size :])
    horizon = document["horizon"]
    return Head(
        revision=revision,
        position=position,
        as_of=document["as_of"],
        horizon=None if horizon is None else (horizon[0], horizon[1], horizon[2]),
        base=tuple(Progress._make([*fields[:-1], tuple(map(tuple, fields[-1]))]) for fields in document["base"]),
        removed=tuple(((key[0], key[1], key[2]), at) for key, at in document["removed"]),
    )
