"""A prospect's state in the changelog: one small record per kept event, and one for the head.

Keys are the prospect's 16 bytes, followed by the event's 8-byte suffix, or by nothing for the head. Values start
with revision and due_at, so that deadlines are known without opening what follows. Only we write and read these.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from struct import Struct

from funnel.history import Kept
from funnel.journey import Progress
from funnel.prospect import NOTHING_TAKEN, Head, Outcome, State, restore
from funnel.rules import RuleSet
from schemas.messages import decode_touch_without_body

HEAD_SUFFIX = b""

_FORMAT = 1
_ENVELOPE = Struct(">Bqqq")  # format, revision, due_at (-1: never), position
_ENVELOPE_SIZE = _ENVELOPE.size


class UnknownFormat(RuntimeError):
    """A changelog record was written by a version of this program that this one doesn't know."""


def records_of(outcome: Outcome) -> list[tuple[bytes, bytes | None]]:
    """What an outcome changes in the changelog: (suffix, value), None to delete. To be written together."""
    due_at = -1 if outcome.due_at is None else outcome.due_at
    records: list[tuple[bytes, bytes | None]] = []
    if outcome.head is not None:
        records.append((HEAD_SUFFIX, _head_value(outcome.head, due_at)))
    for kept in outcome.kept:
        envelope = _ENVELOPE.pack(_FORMAT, kept.revision, due_at, kept.position)
        records.append((kept.suffix, envelope + kept.raw))
    records.extend((kept.suffix, None) for kept in outcome.dropped)
    return records


def state_of(rules: RuleSet, records: Mapping[bytes, bytes]) -> State:
    """The state from a prospect's records by suffix.

    Raises:
        UnknownFormat: a record is of a format of the future.
    """
    head = None
    kept = []
    for suffix, value in records.items():
        form, revision, _, position = _ENVELOPE.unpack_from(value)
        if form != _FORMAT:
            raise _unknown(form)
        payload = value[_ENVELOPE_SIZE:]
        if suffix:
            kept.append(Kept(decode_touch_without_body(payload), payload, position, revision, suffix))
        else:
            head = _head(revision, position, payload)
    return restore(rules, head, kept)


def due_at_of(records: Mapping[bytes, bytes]) -> int | None:
    """When (microseconds) the wall clock next changes a row of the prospect, as its latest record says."""
    latest = due_at = -1
    for value in records.values():
        _, revision, due, _ = _ENVELOPE.unpack_from(value)
        if revision > latest:
            latest, due_at = revision, due
    return None if due_at < 0 else due_at


def without_position(value: bytes) -> bytes:
    """The record for a changelog that moves to a broker where offsets start over.

    Only right where everything was settled: no message that it speaks of may be delivered again.
    """
    form, revision, due_at, _ = _ENVELOPE.unpack_from(value)
    if form != _FORMAT:
        raise _unknown(form)
    return _ENVELOPE.pack(form, revision, due_at, NOTHING_TAKEN) + value[_ENVELOPE_SIZE:]


def _unknown(form: int) -> UnknownFormat:
    return UnknownFormat(f"a changelog record has format {form}, this program knows {_FORMAT}; run the newer one")


def _head_value(head: Head, due_at: int) -> bytes:
    document = {"as_of": head.as_of, "horizon": head.horizon, "base": head.base, "removed": head.removed}
    envelope = _ENVELOPE.pack(_FORMAT, head.revision, due_at, head.position)
    return envelope + json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def _head(revision: int, position: int, payload: bytes) -> Head:
    document = json.loads(payload)
    horizon = document["horizon"]
    return Head(
        revision=revision,
        position=position,
        as_of=document["as_of"],
        horizon=None if horizon is None else (horizon[0], horizon[1], horizon[2]),
        base=tuple(Progress._make([*fields[:-1], tuple(map(tuple, fields[-1]))]) for fields in document["base"]),
        removed=tuple(((key[0], key[1], key[2]), at) for key, at in document["removed"]),
    )
