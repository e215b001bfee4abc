"""An identifier as an actor: `receive(state, messages) -> Outcome`, pure (contract, sections 1 to 4).

The state is a set of distinct events and of notes on who was seen with whom; rows are derived from it. So order, duplicates and crashes can't matter:

- An event that sorts after all others continues the fold; any other makes it start over from the base, and only
  the rows that differ are told.
- A copy of a known event changes nothing, or takes its place.
- An identifier that belongs to another hands its events on, and has no rows of its own.
- Messages have positions (offsets). One at a position that was taken in before is a redelivery after a crash,
  which may have come between the state's record and what followed from it: the actor tells all it has to tell again.

Every outcome that changes something carries a higher revision, and names the few records that changed; the state
is never written as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence

from funnel import changes, erasure, sending
from funnel.facts import Row, RowKey, Stall, Standing
from funnel.history import History, Kept
from funnel.identity import HERE, LEADING, SHOWN, USER, Declared, Identity, Way, way_of
from funnel.journey import START
from funnel.listed import ID_BYTES
from funnel.messages import Arrival, Declaration, Handed, Message, Said, Send, Tick
from funnel.reception import Reception
from funnel.state import (
    NOTHING_TAKEN,
    Head,
    Opener,
    Outcome,
    Retracted,
    RulesChanged,
    State,
    Terms,
    empty,
    fold_all,
    next_due_at,
    restore,
    rows_of,
)

__all__ = [
    "NOTHING_TAKEN",
    "Arrival",
    "Handed",
    "Head",
    "Message",
    "Opener",
    "Outcome",
    "RulesChanged",
    "Said",
    "Send",
    "State",
    "Terms",
    "Tick",
    "empty",
    "next_due_at",
    "receive",
    "restore",
]


def receive(me: bytes, state: State, messages: Sequence[Message], terms: Terms, settled: int = 0) -> Outcome:
    """What messages do to an actor.

    Args:
        me: its id, 16 bytes.
        state: what it knows.
        messages: in the order of their positions.
        terms: see `Terms`.
        settled: messages before this position will never be delivered again. Records are dropped only then, so
            that a redelivery is always recognised.

    Raises:
        RulesChanged: an event was matched by other rules.
    """
    reception = Reception(me, state, terms)
    for message in messages:
        reception.take(message)
    reception.settle()
    return _outcome(reception, settled)


def _outcome(reception: Reception, settled: int) -> Outcome:
    before, terms = reception.before, reception.terms
    rules = terms.rules
    late = tuple(reception.too_late)
    tells = reception.clock and (due_at := next_due_at(before, rules)) is not None and due_at <= reception.clock
    if not (reception.new or reception.gone or reception.notes or tells) and reception.as_of == before.head.as_of:
        facts = None
        sends: tuple[Send, ...] = ()
        if reception.redelivered:
            facts = changes.everything(before, rules)
            sends = tuple(sending.everything(reception.me, before, terms))
        return Outcome(
            before,
            facts,
            (*sends, *erasure.answers(reception)),
            due_at=next_due_at(before, rules),
            duplicate=reception.duplicate,
            forgotten=reception.forgotten,
            too_late=late,
        )

    if reception.told is not None:
        return _forgotten(reception, reception.told, settled)
    way = before.way
    if not LEADING.isdisjoint(reception.noted):
        way = way_of(reception.identity, terms.bounds, terms.opener.clear)
    applied, ignored, shared = _counts(reception, way)
    rows, removed, progress = changes.changed_rows(reception, way)
    going_on, episodes = changes.changed_stalls(reception, progress, rows)
    stalled = changes.stalled_since(going_on)
    standings, removed_standings = changes.changed_standings(reception, progress, stalled)
    identity_rows: list[changes.IdentityRow] = []
    retracted: list[Retracted] = []
    if not SHOWN.isdisjoint(reception.noted):
        old = changes.identity_rows(before.identity, before.way)
        new = changes.identity_rows(reception.identity, way)
        identity_rows = [row for key, row in new.items() if old.get(key) != row]
        retracted = [key for key in old if key not in new]
    sent = sending.changes(reception, way)
    gone = [*removed, *removed_standings]
    head = _head(reception, gone, rows, standings, settled)
    head = _stalled(reception, head, episodes, settled)
    head = _retract(reception, way, sent.sends, head, [*retracted, *sent.retracted], settled)
    head, history, dropped = _trim(reception, way, head, settled)
    if head is not before.head:
        head = head._replace(revision=reception.revision, position=reception.position)
    after = State(head, history, progress, reception.revision, reception.position, reception.identity, way)
    sends = tuple(sent.sends)
    if reception.redelivered:
        facts = changes.everything(after, rules)
        sends = tuple(sending.everything(reception.me, after, terms))
    else:
        facts = changes.facts_of(reception.revision, rows, gone, standings, identity_rows, retracted, episodes)
    return Outcome(
        after,
        facts,
        (*sends, *erasure.answers(reception)),
        kept=tuple(reception.new.values()),
        dropped=(*reception.gone.values(), *dropped),
        notes=tuple(reception.notes.items()),
        head=None if head is before.head else head,
        due_at=next_due_at(after, rules),
        applied=applied,
        duplicate=reception.duplicate,
        ignored=ignored,
        shared=shared,
        forgotten=reception.forgotten,
        too_late=late,
        invalid=tuple(_declaration(reception.identity, key) for key in sorted(sent.invalid)),
    )


def _forgotten(reception: Reception, told: frozenset[bytes], settled: int) -> Outcome:
    """What becomes of an actor that has just been forgotten: nothing is left but that it is, and whom it has to tell.

    Rows of what was folded for good are not known here; nor are names of identifiers told once more. Both go with the prospect's rows
    (`journey forget`).
    """
    before, rules, position = reception.before, reception.terms.rules, reception.position
    rows = rows_of(rules, before.head, before.effective, before.head.as_of)[1]
    standings = [(one.funnel.name, 0, 0) for one, was in zip(rules.funnels, before.progress, strict=True) if was.visit]
    tombstones = {key: at for key, at in before.head.removed if at >= settled}
    tombstones.update(dict.fromkeys([*rows, *standings], position))
    gone = [what for what in changes.identity_rows(before.identity, before.way) if what[0] != "identifier"]
    retracted = dict.fromkeys([*gone, *(("forgotten", to) for to in sorted(told))], position)
    head = Head(reception.revision, position, removed=tuple(tombstones.items()), retracted=tuple(retracted.items()))
    after = State(
        head, History(), (START,) * len(rules.funnels), reception.revision, position, reception.identity, HERE
    )
    lost = _tally(before.history.events, before.way)
    return Outcome(
        after,
        changes.everything(after, rules),
        (*sending.everything(reception.me, after, reception.terms), *erasure.answers(reception)),
        dropped=tuple(reception.gone.values()),
        notes=tuple(reception.notes.items()),
        head=head,
        applied=-lost[0],
        ignored=-lost[1],
        shared=-lost[2],
        duplicate=reception.duplicate,
        forgotten=reception.forgotten,
        too_late=tuple(reception.too_late),
    )


def _counts(reception: Reception, way: Way) -> tuple[int, int, int]:
    """How many more events are applied, ignored and shared here than before."""
    was = reception.before.way
    if was is way or (was.ends, bool(was.shared)) == (way.ends, bool(way.shared)):
        now = _tally(reception.entered, way)
        if not reception.left:
            return now
        before = _tally(reception.left, was)
    else:
        now, before = _tally(reception.history.events, way), _tally(reception.before.history.events, was)
    return now[0] - before[0], now[1] - before[1], now[2] - before[2]


def _tally(events: Sequence[Kept], way: Way) -> tuple[int, int, int]:
    relevant = sum(kept.touch.matches != 0 for kept in events)
    return relevant if way.ends else 0, len(events) - relevant, relevant if way.shared else 0


def _head(
    reception: Reception, removed: list[RowKey], rows: list[Row], standings: list[Standing], settled: int
) -> Head:
    """The head with this clock, and the tombstones to repeat after a crash; the old one where nothing changed."""
    head = reception.before.head
    if reception.as_of != head.as_of:
        head = head._replace(as_of=reception.as_of)
    if not removed and not head.removed:
        return head
    back = {row.key for row in rows} | {(standing.funnel, 0, 0) for standing in standings}
    tombstones = {key: at for key, at in head.removed if key not in back and at >= settled}
    tombstones.update(dict.fromkeys(removed, reception.position))
    pairs = tuple(tombstones.items())
    return head if pairs == head.removed else head._replace(removed=pairs)


def _stalled(reception: Reception, head: Head, told: Sequence[Stall], settled: int) -> Head:
    """The head with the episodes that go on, and those to tell again after a crash; the old one where nothing changed."""
    if not told and not head.stalls:
        return head
    episodes = {
        episode.key: (episode, at) for episode, at in head.stalls if episode.resolved_at is None or at >= settled
    }
    episodes.update({episode.key: (episode, reception.position) for episode in told})
    pairs = tuple(episodes.values())
    return head if pairs == head.stalls else head._replace(stalls=pairs)


def _retract(
    reception: Reception, way: Way, sends: Sequence[Send], head: Head, retracted: list[Retracted], settled: int
) -> Head:
    """The same of what is not a row of a funnel."""
    if not retracted and not head.retracted:
        return head
    back = set(changes.identity_rows(reception.identity, way)) | sending.said_again(sends)
    kept = {what: at for what, at in head.retracted if what not in back and at >= settled}
    kept.update(dict.fromkeys(retracted, reception.position))
    pairs = tuple(kept.items())
    return head if pairs == head.retracted else head._replace(retracted=pairs)


def _trim(reception: Reception, way: Way, head: Head, settled: int) -> tuple[Head, History, list[Kept]]:
    """Fold for good what is older than the history to keep, as far as it can't be delivered again.

    What was handed on stays with whom it is.
    """
    history, limits = reception.history, reception.terms.limits
    dropped: list[Kept] = []
    folded = history.folded(limits)
    for kept in history.events[:folded] if folded else ():
        if kept.position >= settled:
            break
        dropped.append(kept)
    if dropped:
        base = fold_all(reception.terms.rules, head, dropped)[0] if way.ends else head.base
        head = head._replace(horizon=dropped[-1].touch.order, base=base)
        history = history.without(dropped)
    if excess := [kept for kept in history.excess_ignored(limits) if kept.position < settled]:
        dropped += excess
        history = history.without(excess)
    return head, history, dropped


def _declaration(identity: Identity, key: bytes) -> Declaration:
    """A link of two user_ids, from what the book notes of it."""
    note = identity[key]
    assert isinstance(note, Declared)
    occurred_at, source, event_id, type_, kind, weaker_name, stronger_name, _ = note
    weaker, stronger = key[1 : 1 + ID_BYTES], key[1 + ID_BYTES :]
    return Declaration(USER, type_, occurred_at, source, event_id, weaker, stronger, kind, weaker_name, stronger_name)
