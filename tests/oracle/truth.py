"""From a list of events to everything that must be true of it."""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tests.oracle.acceptance import Settings, accept
from tests.oracle.channels import channel_group_of
from tests.oracle.clauses import FunnelFile, is_relevant
from tests.oracle.conversion import ConversionRow, conversion_facts
from tests.oracle.declarations import Declaration, refusal
from tests.oracle.fold import fold
from tests.oracle.handoffs import HandoffRow, handoffs
from tests.oracle.identity import Event, place, prospect_id_of
from tests.oracle.people import alias_rows, identifier_rows, shared_rows
from tests.oracle.rows import AliasRow, IdentifierRow, ProspectRow, SharedRow, TransitionRow
from tests.oracle.stitching import Stitched, stitch


class Accounting(NamedTuple):
    """What became of each event, by its index in the input. Every index is in exactly one of them."""

    dead: dict[int, str]
    """Index to reason: no_identifier or invalid_time."""
    duplicate: tuple[int, ...]
    ignored: tuple[int, ...]
    """No funnel cares for them, whoever's they are."""
    shared: tuple[int, ...]
    """Some funnel would care, but they are nobody's."""
    applied: tuple[int, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many there are of each, dead letters by their reason; nothing where there is none."""
        counts = Counter(self.dead.values())
        for name in ("duplicate", "ignored", "shared", "applied"):
            counts[name] = len(getattr(self, name))
        return {name: count for name, count in counts.items() if count}


class Truth(NamedTuple):
    """All rows, each list sorted, and what became of each event and declaration."""

    transitions: list[TransitionRow]
    prospects: list[ProspectRow]
    conversion_facts: list[ConversionRow]
    identifiers: list[IdentifierRow]
    aliases: list[AliasRow]
    shared: list[SharedRow]
    accounting: Accounting
    owners: dict[int, uuid.UUID]
    """Whose each applied event is, by its index."""
    refused: dict[int, str]
    """Declarations that are not accepted, by their index: invalid_declaration or invalid_time."""
    circles: list[Declaration]
    """Accepted ones that would close a circle: dead letters `invalid_declaration`."""
    handoffs: list[HandoffRow]


def truth_of(
    events: list[Event],
    funnels: list[FunnelFile],
    settings: Settings,
    now: int,
    declarations: Sequence[Declaration] = (),
) -> Truth:
    """Compute what the contract says of events and declarations at `now` (microseconds since the epoch)."""
    refused = {
        index: reason for index, one in enumerate(declarations) if (reason := refusal(one, settings)) is not None
    }
    accepted = [one for index, one in enumerate(declarations) if index not in refused]
    accounting, owners, stitched = whose(events, funnels, settings, accepted)
    transitions, prospects, handed = rows_of(events, funnels, settings, now, accounting.applied, owners)
    return Truth(
        transitions=transitions,
        prospects=prospects,
        conversion_facts=conversion_facts(transitions, funnels),
        identifiers=identifier_rows(stitched, settings.id_key),
        aliases=alias_rows(stitched, settings.id_key),
        shared=shared_rows(stitched, settings.id_key),
        accounting=accounting,
        owners=owners,
        refused=refused,
        circles=stitched.circles,
        handoffs=handed,
    )


def rows_of(
    events: list[Event],
    funnels: list[FunnelFile],
    settings: Settings,
    now: int,
    applied: Iterable[int],
    owners: dict[int, uuid.UUID],
) -> tuple[list[TransitionRow], list[ProspectRow], list[HandoffRow]]:
    """Give the rows of the applied events, sorted."""
    histories: dict[uuid.UUID, list[Event]] = defaultdict(list)
    for index in sorted(applied, key=lambda index: place(events[index], settings.phone_region)):
        group = channel_group_of(events[index], settings.channels)
        histories[owners[index]].append({**events[index], "channel_group": group})
    transitions: list[TransitionRow] = []
    prospects: list[ProspectRow] = []
    handed: list[HandoffRow] = []
    for funnel in funnels:
        for prospect_id, history in histories.items():
            result = fold(funnel, prospect_id, history, now)
            transitions += [row for visit in result.visits for row in visit.rows]
            standing = result.standing(now)
            prospects += [] if standing is None else [standing]
            handed += handoffs(result, now)
    return sorted(transitions), sorted(prospects), sorted(handed, key=lambda row: row[:4])


def account_for(
    events: list[Event], funnels: list[FunnelFile], settings: Settings, declarations: Sequence[Declaration] = ()
) -> Accounting:
    """Say what becomes of each event; declarations are accepted ones."""
    return whose(events, funnels, settings, declarations)[0]


def whose(
    events: list[Event], funnels: list[FunnelFile], settings: Settings, declarations: Sequence[Declaration]
) -> tuple[Accounting, dict[int, uuid.UUID], Stitched]:
    """Say what becomes of each event and whose each applied one is.

    Copies are decided before anything else, so what stands on a losing one counts for nothing. Of copies one is applied, if
    some funnel cares about *it*, whatever the others say.
    """
    dead, duplicate, distinct = accept(events, settings)
    stitched = stitch([events[index] for index in distinct], declarations, settings)
    ignored, shared, applied = [], [], []
    owners = {}
    for index, owner in zip(distinct, stitched.owner, strict=True):
        if not any(is_relevant(funnel, events[index]) for funnel in funnels):
            ignored.append(index)
        elif owner is None:
            shared.append(index)
        else:
            applied.append(index)
            owners[index] = prospect_id_of(owner, settings.id_key)
    return Accounting(dead, duplicate, tuple(ignored), tuple(shared), tuple(applied)), owners, stitched
