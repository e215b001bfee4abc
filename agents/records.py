"""A prospect's state in the changelog: one small record per kept event, and one for the head.

Keys are the prospect's 16 bytes, followed by the event's 8-byte suffix, by the key of a note (never 8 bytes long), or by nothing for the head. Values start
with an envelope, so that deadlines are known without opening what follows. Only we write and read these.

One record of each change also carries where all events so far lead. Most new events sort after all others: then
the events before are never decoded, and a prospect costs little more when it is not at hand (ADR 010).
"""

from __future__ import annotations

import json
import marshal
from collections.abc import Mapping
from struct import Struct
from typing import Any

from agents.notes import pack_note, unpack_note
from funnel.events import OrderKey
from funnel.facts import Stall
from funnel.history import EVENT_SUFFIX, History, Kept, Unread, in_order
from funnel.identity import NOBODY, Identity, Note, way_of
from funnel.journey import Progress
from funnel.listed import ID_BYTES
from funnel.state import NOTHING_TAKEN, Head, Outcome, State, Terms, empty, next_due_at, restore
from schemas.messages import decode_touch_without_body

HEAD_SUFFIX = b""

_FORMAT = 5
_READABLE = (3, 4, _FORMAT)
"""Formats that are read. In 3 `Progress` knows of no hand-offs, in 4 of no touches and snoozes: where events lead is derived from them, and of
what was folded for good there are none."""
# format, revision, due_at (-1: never), position, when the event occurred, bytes of reach that follow
_ENVELOPE = Struct(">BqqqqH")
_NO_TIME = 0
"""When the head and notes occurred."""
_OWN, _HANDED = b"\0", b"\1"
"""Whether the event's way started here. If not, who handed it over, where it started and at which revision follow, then its touch."""
_HANDOVER = Struct(f">{ID_BYTES}s{ID_BYTES}sq")
_MOST_REACH = 0xFFFF
_MARSHAL = 2
"""The format of marshal, from before it shared references: the same values give the same bytes."""
_NEVER = 1 << 63
Reach = tuple[int, OrderKey, tuple[Progress, ...]]
"""Fingerprint of the rule set, the last event, and where all events lead, per funnel."""
_ENVELOPE_SIZE = _ENVELOPE.size


class UnknownFormat(RuntimeError):
    """A changelog record was written by a version of this program that this one doesn't know."""


def records_of(outcome: Outcome, terms: Terms) -> list[tuple[bytes, bytes | None]]:
    """What an outcome changes in the changelog: (suffix, value), None to delete. To be written together."""
    due_at = -1 if outcome.due_at is None else outcome.due_at
    records: list[tuple[bytes, bytes | None]] = []
    state = outcome.state
    reach = _reach_value(state, terms) if outcome.kept or outcome.head is not None or outcome.notes else b""
    for kept in reversed(outcome.kept):
        envelope = _ENVELOPE.pack(_FORMAT, kept.revision, due_at, kept.position, kept.touch.occurred_at, len(reach))
        about = _HANDED + _HANDOVER.pack(kept.sender, kept.start, kept.handed) if kept.sender else _OWN
        records.append((kept.suffix, b"".join((envelope, reach, about, kept.raw))))
        reach = b""  # once is enough
    if outcome.head is not None:
        records.append((HEAD_SUFFIX, _head_value(outcome.head, due_at, reach)))
        reach = b""
    for key, note in outcome.notes:
        if note is None:
            records.append((key, None))
        else:
            envelope = _ENVELOPE.pack(_FORMAT, state.revision, due_at, state.position, _NO_TIME, len(reach))
            records.append((key, envelope + reach + pack_note(note)))
            reach = b""
    records.extend((kept.suffix, None) for kept in outcome.dropped)
    return records


def state_of(terms: Terms, records: Mapping[bytes, bytes]) -> State:
    """The state from an actor's records by suffix.

    Raises:
        UnknownFormat: a record is of a format of the future.
        RulesChanged: an event was matched by other rules.
    """
    if not records:
        return empty(terms.rules)
    rules = terms.rules
    revision = position = latest = -1
    reach, oldest = b"", _NEVER
    notes: dict[bytes, Note] = {}
    known: dict[bytes, bytes] = {}
    for suffix, value in records.items():
        form, revised, _, taken, at, size = _ENVELOPE.unpack_from(value)
        if form not in _READABLE:
            raise _unknown(form)
        if revised > revision:
            revision = revised
        if size and revised > latest:
            latest, reach = revised, _reach_in(value, form, size)
        if taken > position:
            position = taken
        if len(suffix) == EVENT_SUFFIX:
            known[suffix] = value
            if at < oldest:
                oldest = at
        elif suffix != HEAD_SUFFIX:
            notes[suffix] = unpack_note(suffix, value[_ENVELOPE_SIZE + size :])
    identity: Identity = notes or NOBODY
    head = _head(records[HEAD_SUFFIX]) if HEAD_SUFFIX in records else Head()
    # An event that the head has folded for good may still be in the changelog: then the reach is not used, as before every event needs reading.
    if known and latest == revision and (head.horizon is None or head.horizon[0] < oldest):
        found = _reach(reach)
        if found is not None and found[0] == rules.fingerprint:
            unread = Unread(
                known.keys(),
                len(known),
                oldest,
                found[1],
                lambda: in_order(map(_kept, known.items()), terms.opener.strongest),
            )
            way = way_of(identity, terms.bounds, terms.opener.clear)
            return State(head, History((), unread), found[2], revision, position, identity, way)
    return restore(terms, head, map(_kept, known.items()), identity, max(revision, 0), position)


def _kept(record: tuple[bytes, bytes]) -> Kept:
    suffix, value = record
    _, revision, _, position, _, size = _ENVELOPE.unpack_from(value)
    at = _ENVELOPE_SIZE + size + 1
    if value[at - 1 : at] == _OWN:
        raw = value[at:]
        return Kept(decode_touch_without_body(raw), raw, position, revision, suffix)
    sender, start, handed = _HANDOVER.unpack_from(value, at)
    raw = value[at + _HANDOVER.size :]
    return Kept(decode_touch_without_body(raw), raw, position, revision, suffix, sender, start, handed)


def _reach_value(state: State, terms: Terms) -> bytes:
    last = state.history.last
    if last is None:
        return b""
    value = marshal.dumps((terms.rules.fingerprint, last, [tuple(progress) for progress in state.progress]), _MARSHAL)
    return value if len(value) <= _MOST_REACH else b""


def _reach_in(record: bytes, form: int, size: int) -> bytes:
    """The reach that stands in a record; b"" where it is that of another format."""
    return record[_ENVELOPE_SIZE : _ENVELOPE_SIZE + size] if form == _FORMAT else b""


def _reach(value: bytes) -> Reach | None:
    """What `_reach_value` wrote; None where there is none, or another Python wrote it and this one can't read it."""
    try:
        rules, last, progress = marshal.loads(value)  # noqa: S302  only workers write to the changelog
    except (EOFError, ValueError, TypeError):
        return None
    return rules, last, tuple(map(Progress._make, progress))


def due_at_of(records: Mapping[bytes, bytes], terms: Terms) -> int | None:
    """When (microseconds) the wall clock next changes a row of the prospect.

    Its latest record says whether it does at all; when that is by these terms is derived anew, as they may count other deadlines than those by
    which the record was written.

    Raises:
        UnknownFormat: a record is too short to be one of ours.
    """
    latest = due_at = -1
    reach = b""
    for value in records.values():
        if len(value) < _ENVELOPE_SIZE:
            raise UnknownFormat(
                f"a changelog record of {len(value)} bytes is none that a worker wrote: find out who else writes to the changelog,"
                " write a record without value under the same key there, with the headers of the newest record, and start again"
            )
        form, revision, due, _, _, size = _ENVELOPE.unpack_from(value)
        if revision > latest:
            latest, due_at, reach = revision, due, b""
        if revision == latest and size:
            reach = _reach_in(value, form, size)
    if due_at < 0:
        return None
    found = _reach(reach)
    if found is None or found[0] != terms.rules.fingerprint:
        return next_due_at(state_of(terms, records), terms.rules)
    head = _head(records[HEAD_SUFFIX]) if HEAD_SUFFIX in records else Head()
    return next_due_at(State(head, History(), found[2], latest, NOTHING_TAKEN), terms.rules)


def without_position(value: bytes) -> bytes:
    """The record for a changelog that moves to a broker where offsets start over.

    Only right where everything was settled: no message that it speaks of may be delivered again.
    """
    form, revision, due_at, _, at, size = _ENVELOPE.unpack_from(value)
    if form not in _READABLE:
        raise _unknown(form)
    return _ENVELOPE.pack(form, revision, due_at, NOTHING_TAKEN, at, size) + value[_ENVELOPE_SIZE:]


def _unknown(form: int) -> UnknownFormat:
    return UnknownFormat(
        f"a changelog record has format {form}, this program knows {' and '.join(map(str, _READABLE))}: run the release that wrote it, or derive the state anew"
    )


def _head_value(head: Head, due_at: int, reach: bytes) -> bytes:
    document = {
        "as_of": head.as_of,
        "horizon": head.horizon,
        "base": head.base,
        "removed": head.removed,
        "retracted": [(what, whose.hex(), at) for (what, whose), at in head.retracted],
        "stalls": head.stalls,
    }
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
        base=tuple(_progress(fields) for fields in document["base"]),
        removed=tuple(((key[0], key[1], key[2]), at) for key, at in document["removed"]),
        retracted=tuple(((what, bytes.fromhex(whose)), at) for what, whose, at in document["retracted"]),
        stalls=tuple((Stall(*fields), at) for fields, at in document.get("stalls", ())),
    )


def _progress(fields: list[Any]) -> Progress:
    """What JSON has of one: its counts as lists, and perhaps fewer fields than there are now."""
    named = dict(zip(Progress._fields, fields, strict=False))
    named["counts"] = tuple(map(tuple, named["counts"]))
    if "path" in named:
        touchpoints, left_out = named["path"]
        named["path"] = tuple((at, group, campaign) for at, group, campaign in touchpoints), left_out
        named["snoozed"] = tuple(named["snoozed"])
    return Progress(**named)
