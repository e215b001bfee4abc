"""What an actor's state is: its notes, the set of distinct events it keeps, and what can't be derived from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from funnel.events import OrderKey
from funnel.facts import RESPONSE, STALL, Facts, Row, RowKey, Stall
from funnel.history import History, Kept, Limits, in_order
from funnel.identity import HERE, NOBODY, Bounds, Identity, Note, Way, way_of
from funnel.journey import START, Progress, due_at, expiry, fold
from funnel.messages import Arrival, Declaration, Handed, Send
from funnel.rules import RuleSet

NOTHING_TAKEN = -1
"""Position of an actor that has taken no message."""

Retracted = tuple[str, bytes]
"""Something that was told and is no more: what (`identifier`, `alias`, `shared`, `reset`, `sighting`, `alias-of`), and whose.

`forgotten` is whom the actor told that it is forgotten, as it no longer knows them.
"""


class Opener(NamedTuple):
    """Opens what is sealed; the core holds no keys."""

    canonical_of: Callable[[bytes], bytes]
    """Canonical JSON (contract, section 1, "Duplicates") of an event, from its touch as it came."""
    names_of: Callable[[bytes], tuple[bytes, ...]]
    """Sealed canonical forms of an event's identifiers, the strongest first, from its touch as it came."""
    clear: Callable[[bytes], str]
    """A canonical form in clear."""

    def strongest(self, raw: bytes) -> str:
        """Canonical form of the identifier at which an event's way starts."""
        return self.clear(self.names_of(raw)[0])


class Terms(NamedTuple):
    """On what terms actors are kept; the same for all of them, and as ever for their states."""

    rules: RuleSet
    opener: Opener
    limits: Limits = Limits()
    bounds: Bounds = Bounds()


class Head(NamedTuple):
    """What of an actor's state can't be derived from its notes and the events it keeps."""

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
    retracted: tuple[tuple[Retracted, int], ...] = ()
    """The same of everything else that was told."""
    stalls: tuple[tuple[Stall, int], ...] = ()
    """Episodes that go on, and those that ended not long ago; with the position of the message that told so."""

    @property
    def going_on(self) -> list[Stall]:
        """Of the episodes those that go on; at most one of a kind a funnel."""
        return [episode for episode, _ in self.stalls if episode.resolved_at is None]


class State(NamedTuple):
    """An actor's state; immutable."""

    head: Head
    history: History
    progress: tuple[Progress, ...]
    """Where head and history lead, per funnel."""
    revision: int
    position: int
    """The highest position that was taken in."""
    identity: Identity = NOBODY
    way: Way = HERE
    """Where the notes in `identity` lead."""

    @property
    def effective(self) -> Sequence[Kept]:
        """The events that are folded here: all, or none where they go on."""
        return self.history.events if self.way.ends else ()


class Outcome(NamedTuple):
    """What messages do to an actor. All of its records are to be written together, or none; then all else is told."""

    state: State
    facts: Facts | None = None
    """What to tell the tables; None: nothing."""
    sends: tuple[Send, ...] = ()
    """What to tell other actors, in this order for each."""
    kept: tuple[Kept, ...] = ()
    """Events whose records must be written ..."""
    dropped: tuple[Kept, ...] = ()
    """... those whose records must go ..."""
    notes: tuple[tuple[bytes, Note | None], ...] = ()
    """... notes that changed, None for those that must go ..."""
    head: Head | None = None
    """... and the head, where it must be written."""
    due_at: int | None = None
    """When (microseconds) the wall clock next changes a row; None: never."""
    applied: int = 0
    """Events that are part of a prospect's history now and were not before; fewer than none where they went elsewhere."""
    duplicate: int = 0
    ignored: int = 0
    """The same of events that no funnel cares for, ..."""
    shared: int = 0
    """... of those that are nobody's ..."""
    forgotten: int = 0
    """... and of those that are to be forgotten, or are no more as they were."""
    too_late: tuple[Arrival | Handed, ...] = ()
    """Events that would have to go before what was folded for good: dead letters."""
    invalid: tuple[Declaration, ...] = ()
    """Links that close a circle: dead letters."""


class RulesChanged(RuntimeError):
    """A touch was matched by other rules than these: funnel files changed without deriving everything anew."""

    def __init__(self, what: str, matched_by: int, expected: int) -> None:
        """Args: what: names the touch; the others are fingerprints of rule sets."""
        super().__init__(
            f"{what} was matched by rule set {matched_by}, these funnels make"
            f" rule set {expected}; to change funnels, derive the state anew"
        )


def empty(rules: RuleSet) -> State:
    """The state of an actor nobody has heard of."""
    return State(Head(), History(), (START,) * len(rules.funnels), 0, NOTHING_TAKEN)


def restore(
    terms: Terms,
    head: Head | None,
    kept: Iterable[Kept],
    identity: Identity = NOBODY,
    revision: int = 0,
    position: int = NOTHING_TAKEN,
) -> State:
    """The state from its records, which may stand in any order.

    Events that the head has folded for good are passed over.

    Args:
        terms: see `Terms`.
        head: None where there is none.
        kept: the events.
        identity: the notes.
        revision: the highest that the records of the notes have.
        position: the same.

    Raises:
        RulesChanged: an event was matched by other rules; its bits mean something else now.
    """
    head = head or Head()
    events = in_order(kept, terms.opener.strongest)
    if head.horizon is not None:
        events = [one for one in events if one.touch.order > head.horizon]
    revision, position = max(head.revision, revision), max(head.position, position)
    fingerprint = terms.rules.fingerprint
    for one in events:
        if one.touch.rules != fingerprint:
            raise RulesChanged("an event in the state", one.touch.rules, fingerprint)
        if one.revision > revision:
            revision = one.revision
        if one.position > position:
            position = one.position
    way = way_of(identity, terms.bounds, terms.opener.clear)
    progress = fold_all(terms.rules, head, events if way.ends else ())[0]
    return State(head, History(events), progress, revision, position, identity, way)


def next_due_at(state: State, rules: RuleSet) -> int | None:
    """When (microseconds) the wall clock next changes a row; None: never."""
    earliest = None
    stalls = state.head.stalls
    known = {(episode.funnel, episode.kind): episode for episode in state.head.going_on} if stalls else {}
    for one, progress in zip(rules.funnels, state.progress, strict=True):
        due = due_at(one, progress)
        if due is None or due <= state.head.as_of:
            continue
        visit, stage = progress.visit, one.stage_names[progress.stage]
        patience = one.patience[progress.stage]
        if patience is not None:
            episode = known.get((one.funnel.name, STALL)) if known else None
            due = _sooner(
                due, patience.next_deadline(progress.active_at, visit, stage, episode, progress.snoozed_until)
            )
        if progress.untouched == progress.step:  # handed over here, and left alone since
            response = one.responses[progress.stage]
            if response is not None:
                episode = known.get((one.funnel.name, RESPONSE)) if known else None
                due = _sooner(due, response.next_deadline(progress.entered_at, visit, stage, episode))
        if earliest is None or due < earliest:
            earliest = due
    return earliest


def _sooner(due: int, at: int | None) -> int:
    return at if at is not None and at < due else due


def fold_all(rules: RuleSet, head: Head, events: Sequence[Kept]) -> tuple[tuple[Progress, ...], list[Row]]:
    """Where the base and these events lead, per funnel, and the rows of these events."""
    base = head.base or (START,) * len(rules.funnels)
    touches = [kept.touch for kept in events]
    folds = [fold(one, progress, touches) for one, progress in zip(rules.funnels, base, strict=True)]
    return tuple(progress for progress, _ in folds), [row for _, rows in folds for row in rows]


def rows_of(
    rules: RuleSet, head: Head, events: Sequence[Kept], as_of: int
) -> tuple[tuple[Progress, ...], dict[RowKey, Row]]:
    """Where the base and these events lead, and all rows they give as of a wall clock, by key."""
    progress, rows = fold_all(rules, head, events)
    ends = [expiry(one, p, as_of) for one, p in zip(rules.funnels, progress, strict=True)]
    return progress, {row.key: row for row in (*rows, *ends) if row is not None}
