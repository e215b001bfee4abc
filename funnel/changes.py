"""What the tables have to be told: rows that are new or differ, and those that are no more (contract, section 5)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence

from funnel import stalls
from funnel.erasure import is_missing
from funnel.events import OrderKey
from funnel.facts import (
    RESPONSE,
    STALL,
    AliasRow,
    Facts,
    Handoff,
    IdentifierRow,
    Row,
    RowKey,
    SharedRow,
    Stall,
    Standing,
    Transition,
    handoff_key,
)
from funnel.handoffs import TOUCHED
from funnel.history import Kept
from funnel.identity import BOOK, Identity, Member, Way, names, own
from funnel.journey import Progress, expiry, fold, standing
from funnel.reception import Reception
from funnel.rules import RuleSet
from funnel.state import Retracted, State, fold_all, rows_of

IdentityRow = IdentifierRow | AliasRow | SharedRow
Stalled = Mapping[str, int]
"""By funnel, since when (microseconds) the prospect is stalled there."""


def changed_rows(reception: Reception, way: Way) -> tuple[list[Row], list[RowKey], tuple[Progress, ...]]:
    """Rows that are new or differ, keys of those that are no more, and where the events lead now."""
    before = reception.before
    if before.way.ends and way.ends:
        start, last = reception.first_change, before.history.last
        if not reception.reordered or start is None:
            return _continue(reception, reception.entered)
        if not reception.left and (last is None or start > last):
            return _continue(reception, reception.history.beyond(len(before.history)))
        return _refold(reception, start)
    if not before.way.ends and not way.ends:
        return _as_time_goes(reception)
    rules = reception.terms.rules
    old = rows_of(rules, before.head, before.effective, before.head.as_of)[1]
    events = reception.history.events if way.ends else ()
    progress, new = rows_of(rules, before.head, events, reception.as_of)
    changed, removed = _difference(old, new)
    return changed, removed, progress


def _continue(reception: Reception, came: Sequence[Kept]) -> tuple[list[Row], list[RowKey], tuple[Progress, ...]]:
    """Where all that came sorts after all others: given in the order, but for events that no funnel cares for."""
    touches = [kept.touch for kept in came]
    matches = 0
    for touch in touches:
        matches |= touch.matches
    before, as_of = reception.before, reception.as_of
    rows: list[Row] = []
    removed: list[RowKey] = []
    reached = []
    for one, was in zip(reception.terms.rules.funnels, before.progress, strict=True):
        now, added = fold(one, was, touches) if matches & one.bits else (was, [])
        reached.append(now)
        old_end = expiry(one, was, before.head.as_of) if before.head.as_of else None
        new_end = expiry(one, now, as_of) if as_of else None
        if new_end is not None:
            added.append(new_end)
        if old_end is None:
            rows += added
            continue
        rows += [row for row in added if row != old_end]
        if all(row.key != old_end.key for row in added):
            removed.append(old_end.key)
    return rows, removed, tuple(reached)


def _as_time_goes(reception: Reception) -> tuple[list[Row], list[RowKey], tuple[Progress, ...]]:
    """Where nothing is folded here, before and after: what was folded for good may still expire."""
    before = reception.before
    if reception.as_of == before.head.as_of:
        return [], [], before.progress
    rules = reception.terms.rules
    old = rows_of(rules, before.head, (), before.head.as_of)[1]
    changed, removed = _difference(old, rows_of(rules, before.head, (), reception.as_of)[1])
    return changed, removed, before.progress


def _refold(reception: Reception, start: OrderKey) -> tuple[list[Row], list[RowKey], tuple[Progress, ...]]:
    """Where events before the last one came or went: before `start` nothing differs."""
    before, rules = reception.before, reception.terms.rules
    events, old_events = reception.history.events, before.history.events
    same = bisect_left(events, start, key=_order_of)
    head = before.head
    if same:
        head = head._replace(base=fold_all(rules, head, events[:same])[0])
    old = rows_of(rules, head, old_events[same:], before.head.as_of)[1]
    progress, new = rows_of(rules, head, events[same:], reception.as_of)
    changed, removed = _difference(old, new)
    return changed, removed, progress


def _difference(old: Mapping[RowKey, Row], new: Mapping[RowKey, Row]) -> tuple[list[Row], list[RowKey]]:
    return [row for key, row in new.items() if old.get(key) != row], [key for key in old if key not in new]


def changed_standings(
    reception: Reception, progress: tuple[Progress, ...], stalled: Stalled
) -> tuple[list[Standing], list[RowKey]]:
    """Standings that differ, and keys of those that are no more."""
    before, as_of = reception.before, reception.as_of
    were_stalled = stalled_since(before.head.going_on)
    changed: list[Standing] = []
    removed: list[RowKey] = []
    for one, was, now in zip(reception.terms.rules.funnels, before.progress, progress, strict=True):
        name = one.funnel.name
        since, was_since = stalled.get(name), were_stalled.get(name)
        if was is now and as_of == before.head.as_of and since == was_since:
            continue
        new = standing(one, now, as_of, since)
        if new is None:
            if was.visit:
                removed.append((name, 0, 0))
        elif new != standing(one, was, before.head.as_of, was_since):
            changed.append(new)
    return changed, removed


def changed_stalls(
    reception: Reception, progress: tuple[Progress, ...], rows: Iterable[Row]
) -> tuple[list[Stall], list[Stall]]:
    """The episodes that go on, and those that have to be told: new, escalated or ended. `rows` are those that changed."""
    known = reception.before.head.going_on
    if not known and not reception.clock:
        return [], []
    answers = {row[:3]: row.occurred_at for row in rows if isinstance(row, Handoff) and row.part == TOUCHED}
    watched: list[stalls.Watched] = []
    for one, now in zip(reception.terms.rules.funnels, progress, strict=True):
        where = standing(one, now, reception.as_of)
        is_open = where is not None and where.status == "open"
        watched.append(stalls.Watched(STALL, where, one.patience[now.stage] if is_open else None, None, now.snoozed[0]))
        answered_at: int | None = None
        if now.untouched != now.step:
            answered_at = answers.get((one.funnel.name, now.visit, now.step), 0)
        watched.append(stalls.Watched(RESPONSE, where, one.responses[now.stage] if is_open else None, answered_at))
    return stalls.changed(watched, known, reception.clock)


def stalled_since(going_on: Iterable[Stall]) -> Stalled:
    """By funnel, since when the prospect is stalled there, from the episodes that go on."""
    return {episode.funnel: episode.deadline for episode in going_on if episode.kind == STALL}


def identity_rows(identity: Identity, way: Way) -> dict[Retracted, IdentityRow]:
    """The rows of an identifier itself, by what they would be retracted as."""
    kind = own(identity).kind
    if kind == BOOK:
        return {}
    if way.shared:
        return {("shared", bytes((kind,))): SharedRow(kind, way.shared)}
    if way.turns:
        return {("alias", to): AliasRow(to, since) for to, since in way.since if not is_missing(identity, to)}
    members = names(identity)
    members += [(note.kind, note.name) for note in identity.values() if isinstance(note, Member)]
    return {("identifier", bytes((kind,)) + name): IdentifierRow(kind, name) for kind, name in members}


def facts_of(
    revision: int,
    rows: list[Row],
    removed: list[RowKey],
    standings: list[Standing],
    identity: list[IdentityRow],
    retracted: list[Retracted],
    episodes: list[Stall],
) -> Facts | None:
    """One message of all that; None where it is nothing. `removed` has the keys of standings, too."""
    if not (rows or removed or standings or identity or retracted or episodes):
        return None
    return Facts(
        revision,
        tuple([row for row in rows if type(row) is Transition]),
        tuple(key for key in removed if key[1] and key[2] >= 0),
        tuple(standings),
        tuple(key[0] for key in removed if not key[1]),
        tuple(row for row in identity if isinstance(row, IdentifierRow)),
        tuple(IdentifierRow(whose[0], whose[1:]) for what, whose in retracted if what == "identifier"),
        tuple(row for row in identity if isinstance(row, AliasRow)),
        tuple(whose for what, whose in retracted if what == "alias"),
        tuple(row for row in identity if isinstance(row, SharedRow)),
        tuple(whose[0] for what, whose in retracted if what == "shared"),
        tuple(episodes),
        tuple([row for row in rows if type(row) is Handoff]),
        tuple(handoff_key(key) for key in removed if key[2] < 0) if removed else (),
    )


def everything(state: State, rules: RuleSet) -> Facts | None:
    """All that an actor has to tell and that could have been lost, unchanged: rows, standings and tombstones."""
    rows = rows_of(rules, state.head, state.effective, state.head.as_of)[1]
    stalled = stalled_since(state.head.going_on)
    standings = (
        standing(one, progress, state.head.as_of, stalled.get(one.funnel.name))
        for one, progress in zip(rules.funnels, state.progress, strict=True)
    )
    return facts_of(
        state.revision,
        list(rows.values()),
        [key for key, _ in state.head.removed],
        [one for one in standings if one is not None],
        list(identity_rows(state.identity, state.way).values()),
        [what for what, _ in state.head.retracted],
        [episode for episode, _ in state.head.stalls],
    )


def _order_of(kept: Kept) -> OrderKey:
    return kept.touch[:3]
