"""A prospect as an actor: `receive(state, messages) -> Outcome`, pure (contract, sections 1 to 3).

The state is a set of distinct events; rows are derived from it. So order, duplicates and crashes can't matter:

- An event that sorts after all others continues the fold; any other makes it start over from the base, and only
  the rows that differ are told.
- A copy of a known event changes nothing, or takes its place.
- Messages have positions (offsets). One at a position that was taken in before is a redelivery after a crash,
  which may have come between the state's record and the facts: the prospect tells all it has to tell again.

Every outcome that changes something carries a higher revision, and names the few records that changed; the state
is never written as a whole.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from funnel.events import OrderKey, Touch
from funnel.facts import Facts, RowKey, Standing, Transition
from funnel.history import History, Kept, Limits, suffix_of
from funnel.journey import START, Progress, due_at, expiry, fold, standing
from funnel.rules import RuleSet

NOTHING_TAKEN = -1
"""Position of a prospect that has taken no message."""

CanonicalOf = Callable[[bytes], bytes]
"""Canonical JSON (contract, section 1, "Duplicates") of an event from its touch as it came."""


class Arrival(NamedTuple):
    """An event arrives."""

    position: int
    """Offset of its record."""
    touch: Touch
    raw: bytes
    """The touch as it came; kept to the letter, and never looked into but to tell copies apart."""


class Tick(NamedTuple):
    """The wall clock reached `now` (microseconds); sent when a visit is due to expire."""

    position: int
    now: int


Message = Arrival | Tick


class Head(NamedTuple):
    """What of a prospect's state can't be derived from the events it keeps."""

    revision: int = 0
    position: int = NOTHING_TAKEN
    as_of: int = 0
    """The latest wall clock (microseconds) that expired a visit."""
    horizon: OrderKey | None = None
    """The last event that was folded for good and is no longer kept ..."""
    base: tuple[Progress, ...] = ()
    """... and where it and those before led, per funnel; () where there is none."""
    removed: tuple[tuple[RowKey, int], ...] = ()
    """Keys of rows that once were and are no more, and the position of the message that took them back.

    The key (funnel, 0, 0) stands for the standing in that funnel: visits count from 1.
    """


class State(NamedTuple):
    """A prospect's state; immutable."""

    head: Head
    history: History
    progress: tuple[Progress, ...]
    """Where head and history lead, per funnel."""
    revision: int
    position: int
    """The highest position that was taken in."""


class Outcome(NamedTuple):
    """What messages do to a prospect."""

    state: State
    facts: Facts | None = None
    """What to tell; None: nothing."""
    kept: tuple[Kept, ...] = ()
    """Events whose records must be written ..."""
    dropped: tuple[Kept, ...] = ()
    """... those whose records must go ..."""
    head: Head | None = None
    """... and the head, where it must be written. All of these together, or none."""
    due_at: int | None = None
    """When (microseconds) the wall clock next changes a row; None: never."""
    applied: int = 0
    duplicate: int = 0
    ignored: int = 0
    """New events that no funnel cares for."""
    too_late: tuple[Arrival, ...] = ()
    """Events that would have to go before what was folded for good: dead letters."""


class RulesChanged(RuntimeError):
    """A touch was matched by other rules than these: funnel files changed without deriving everything anew."""

    def __init__(self, what: str, matched_by: int, expected: int) -> None:
        """Args: what: names the touch; the others are fingerprints of rule sets."""
        super().__init__(
            f"{what} was matched by rule set {matched_by}, these funnels make"
            f" rule set {expected}; to change funnels, derive the state anew"
        )


def empty(rules: RuleSet) -> State:
    """The state of a prospect nobody has heard of."""
    return State(Head(), History(), (START,) * len(rules.funnels), 0, NOTHING_TAKEN)


def restore(rules: RuleSet, head: Head | None, kept: Iterable[Kept]) -> State:
    """The state from its records, which may stand in any order.

    Events that the head has folded for good are passed over.

    Raises:
        RulesChanged: an event was matched by other rules; its bits mean something else now.
    """
    head = head or Head()
    events = sorted(kept)
    if head.horizon is not None:
        events = [one for one in events if one.touch.order > head.horizon]
    revision, position = head.revision, head.position
    for one in events:
        if one.touch.rules != rules.fingerprint:
            raise RulesChanged("an event in the state", one.touch.rules, rules.fingerprint)
        if one.revision > revision:
            revision = one.revision
        if one.position > position:
            position = one.position
    return State(head, History(events), _fold_all(rules, head, events)[0], revision, position)


def next_due_at(state: State, rules: RuleSet) -> int | None:
    """When (microseconds) the wall clock next changes a row; None: never."""
    earliest = None
    for one, progress in zip(rules.funnels, state.progress, strict=True):
        due = due_at(one, progress)
        if due is not None and due > state.head.as_of and (earliest is None or due < earliest):
            earliest = due
    return earliest


def receive(
    state: State,
    messages: Sequence[Message],
    rules: RuleSet,
    canonical_of: CanonicalOf,
    limits: Limits = Limits(),  # noqa: B008  immutable
    settled: int = 0,
) -> Outcome:
    """What messages do to a prospect.

    Args:
        state: what it knows.
        messages: in the order of their positions.
        rules: the funnels; the same as ever for this state.
        canonical_of: see `CanonicalOf`; called only for copies that differ at the same instant.
        limits: how much history to keep.
        settled: messages before this position will never be delivered again. Records are dropped only then, so
            that a redelivery is always recognised.

    Raises:
        RulesChanged: an event was matched by other rules.
    """
    reception = _Reception(state, rules, canonical_of, limits)
    for message in messages:
        reception.take(message)
    return reception.outcome(settled)


class _Reception:
    """One call of `receive`: what the messages so far have changed."""

    __slots__ = (
        *("_before", "_rules", "_canonical_of", "_limits", "_revision", "_position", "_as_of", "_history", "_new"),
        *("_appended", "_appended_matches", "_reordered", "_first_change", "_redelivered", "_too_late"),
        *("_applied", "_duplicate", "_ignored"),
    )

    def __init__(self, state: State, rules: RuleSet, canonical_of: CanonicalOf, limits: Limits) -> None:
        self._before, self._rules, self._canonical_of, self._limits = state, rules, canonical_of, limits
        self._revision = state.revision + 1
        self._position = state.position
        self._as_of = state.head.as_of
        self._history = state.history
        self._new: dict[bytes, Kept] = {}
        self._appended: list[Touch] = []
        self._appended_matches = 0
        self._reordered = False
        self._first_change: OrderKey | None = None
        self._redelivered = False
        self._applied = self._duplicate = self._ignored = 0
        self._too_late: list[Arrival] = []

    def take(self, message: Message) -> None:
        if message.position <= self._before.position:
            self._redelivered = True
        elif message.position > self._position:
            self._position = message.position
        if isinstance(message, Tick):
            self._tick(message.now)
        else:
            self._arrive(message)

    def _tick(self, now: int) -> None:
        progress = self._before.progress
        if self._new:
            progress = _fold_all(self._rules, self._before.head, self._history.events)[0]
        dues = [due_at(one, p) for one, p in zip(self._rules.funnels, progress, strict=True)]
        # A clock that expires nothing leaves no trace, so that ticks alone don't make records.
        if any(due is not None and self._as_of < due <= now for due in dues):
            self._as_of = now

    def _arrive(self, arrival: Arrival) -> None:
        touch = arrival.touch
        if touch.rules != self._rules.fingerprint:
            raise RulesChanged(f"the touch at position {arrival.position}", touch.rules, self._rules.fingerprint)
        suffix = suffix_of(touch)
        known = self._history.copy_of(suffix)
        if known is not None and not self._takes_the_place_of(known, arrival):
            self._duplicate += 1
        elif self._is_too_late(touch):
            self._too_late.append(arrival)
        else:
            if known is not None:
                self._duplicate += 1
                self._history = self._history.without([known])
                self._reordered = True
                self._note_change_at(known.touch)
            elif touch.matches:
                self._applied += 1
            else:
                self._ignored += 1
            self._insert(Kept(touch, arrival.raw, arrival.position, self._revision, suffix))

    def _takes_the_place_of(self, known: Kept, arrival: Arrival) -> bool:
        """Whether of two copies the one that arrives counts (contract, section 1, "Duplicates")."""
        if arrival.position <= self._before.position:
            return False  # it was judged when it came first
        if arrival.touch.occurred_at != known.touch.occurred_at:
            return arrival.touch.occurred_at < known.touch.occurred_at
        if arrival.raw == known.raw:
            return False
        return self._canonical_of(arrival.raw) < self._canonical_of(known.raw)

    def _is_too_late(self, touch: Touch) -> bool:
        folded_for_good = self._before.head.horizon
        if folded_for_good is not None and touch.order <= folded_for_good:
            return True
        horizon = self._history.horizon(self._limits)
        return horizon is not None and touch.order <= horizon

    def _insert(self, kept: Kept) -> None:
        last = self._history.last
        if last is None or kept.touch.order > last:
            self._appended.append(kept.touch)
            self._appended_matches |= kept.touch.matches
        elif kept.touch.matches:
            self._reordered = True
        self._note_change_at(kept.touch)
        self._history = self._history.with_event(kept)
        self._new[kept.suffix] = kept

    def _note_change_at(self, touch: Touch) -> None:
        if self._first_change is None or touch.order < self._first_change:
            self._first_change = touch.order

    def outcome(self, settled: int) -> Outcome:
        before = self._before
        counts = (self._applied, self._duplicate, self._ignored, tuple(self._too_late))
        if not self._new and self._as_of == before.head.as_of:
            facts = _everything(before, self._rules) if self._redelivered else None
            return Outcome(before, facts, (), (), None, next_due_at(before, self._rules), *counts)

        rows, removed, progress = self._changed_rows()
        standings, removed_standings = self._changed_standings(progress)
        head = self._head([*removed, *removed_standings], rows, standings, settled)
        head, history, dropped = self._trim(head, settled)
        if head is not before.head:
            head = head._replace(revision=self._revision, position=self._position)
        after = State(head, history, progress, self._revision, self._position)
        if self._redelivered:
            facts = _everything(after, self._rules)
        elif rows or removed or standings or removed_standings:
            names = tuple(funnel for funnel, _, _ in removed_standings)
            facts = Facts(self._revision, tuple(rows), tuple(removed), tuple(standings), names)
        else:
            facts = None
        changed_head = None if head is before.head else head
        new = tuple(self._new.values())
        return Outcome(after, facts, new, tuple(dropped), changed_head, next_due_at(after, self._rules), *counts)

    def _changed_rows(self) -> tuple[list[Transition], list[RowKey], tuple[Progress, ...]]:
        """Rows that are new or differ, keys of those that are no more, and where the events lead."""
        before = self._before
        if self._reordered and self._first_change is not None:
            return self._refold(self._first_change)

        rows: list[Transition] = []
        removed: list[RowKey] = []
        reached = []
        for one, was in zip(self._rules.funnels, before.progress, strict=True):
            now, added = fold(one, was, self._appended) if self._appended_matches & one.bits else (was, [])
            reached.append(now)
            old_end = expiry(one, was, before.head.as_of) if before.head.as_of else None
            new_end = expiry(one, now, self._as_of) if self._as_of else None
            if new_end is not None:
                added.append(new_end)
            if old_end is None:
                rows += added
                continue
            rows += [row for row in added if row != old_end]
            if all(row.key != old_end.key for row in added):
                removed.append(old_end.key)
        return rows, removed, tuple(reached)

    def _refold(self, start: OrderKey) -> tuple[list[Transition], list[RowKey], tuple[Progress, ...]]:
        """As `_changed_rows`, where events before the last one came or went: before `start` nothing differs."""
        before = self._before
        events, old_events = self._history.events, before.history.events
        same = bisect_left(events, start, key=_order_of)
        head = before.head
        if same:
            head = head._replace(base=_fold_all(self._rules, head, events[:same])[0])
        old = _rows(self._rules, head, old_events[same:], before.head.as_of)[1]
        progress, new = _rows(self._rules, head, events[same:], self._as_of)
        changed = [row for key, row in new.items() if old.get(key) != row]
        return changed, [key for key in old if key not in new], progress

    def _changed_standings(self, progress: tuple[Progress, ...]) -> tuple[list[Standing], list[RowKey]]:
        before = self._before
        changed: list[Standing] = []
        removed: list[RowKey] = []
        for one, was, now in zip(self._rules.funnels, before.progress, progress, strict=True):
            if was is now and self._as_of == before.head.as_of:
                continue
            new = standing(one, now, self._as_of)
            if new is None:
                if was.visit:
                    removed.append((one.funnel.name, 0, 0))
            elif new != standing(one, was, before.head.as_of):
                changed.append(new)
        return changed, removed

    def _head(self, removed: list[RowKey], rows: list[Transition], standings: list[Standing], settled: int) -> Head:
        """The head with this clock, and the tombstones to repeat after a crash; the old one where nothing changed."""
        head = self._before.head
        if self._as_of != head.as_of:
            head = head._replace(as_of=self._as_of)
        if not removed and not head.removed:
            return head
        back = {row.key for row in rows} | {(standing.funnel, 0, 0) for standing in standings}
        tombstones = {key: at for key, at in head.removed if key not in back and at >= settled}
        tombstones.update(dict.fromkeys(removed, self._position))
        pairs = tuple(tombstones.items())
        return head if pairs == head.removed else head._replace(removed=pairs)

    def _trim(self, head: Head, settled: int) -> tuple[Head, History, list[Kept]]:
        """Fold for good what is older than the history to keep, as far as it can't be delivered again."""
        history = self._history
        dropped: list[Kept] = []
        folded = history.folded(self._limits)
        for kept in history.events[:folded] if folded else ():
            if kept.position >= settled:
                break
            dropped.append(kept)
        if dropped:
            base = _fold_all(self._rules, head, dropped)[0]
            head = head._replace(horizon=dropped[-1].touch.order, base=base)
            history = history.without(dropped)
        if excess := [kept for kept in history.excess_ignored(self._limits) if kept.position < settled]:
            dropped += excess
            history = history.without(excess)
        return head, history, dropped


def _order_of(kept: Kept) -> OrderKey:
    return kept.touch.order


def _fold_all(rules: RuleSet, head: Head, events: Sequence[Kept]) -> tuple[tuple[Progress, ...], list[Transition]]:
    """Where the base and these events lead, per funnel, and the rows of these events."""
    base = head.base or (START,) * len(rules.funnels)
    touches = [kept.touch for kept in events]
    folds = [fold(one, progress, touches) for one, progress in zip(rules.funnels, base, strict=True)]
    return tuple(progress for progress, _ in folds), [row for _, rows in folds for row in rows]


def _rows(
    rules: RuleSet, head: Head, events: Sequence[Kept], as_of: int
) -> tuple[tuple[Progress, ...], dict[RowKey, Transition]]:
    """Where the base and these events lead, and all rows they give as of a wall clock, by key."""
    progress, rows = _fold_all(rules, head, events)
    ends = [expiry(one, p, as_of) for one, p in zip(rules.funnels, progress, strict=True)]
    return progress, {row.key: row for row in (*rows, *ends) if row is not None}


def _everything(state: State, rules: RuleSet) -> Facts:
    """All that a prospect has to tell and that could have been lost, unchanged: rows, standings and tombstones."""
    rows = _rows(rules, state.head, state.history.events, state.head.as_of)[1]
    standings = (
        standing(one, progress, state.head.as_of) for one, progress in zip(rules.funnels, state.progress, strict=True)
    )
    return Facts(
        state.revision,
        tuple(rows.values()),
        tuple(key for key, _ in state.head.removed if key[1]),
        tuple(one for one in standings if one is not None),
        tuple(key[0] for key, _ in state.head.removed if not key[1]),
    )
