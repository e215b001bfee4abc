"""What is left of a set of events once identifiers were forgotten (docs/adr/013): computed from all events at once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from tests.oracle.acceptance import Settings
from tests.oracle.clauses import FunnelFile
from tests.oracle.declarations import Declaration, refusal
from tests.oracle.identity import Event, identifiers_of, kind_of, prospect_id_of, value_of
from tests.oracle.truth import Accounting, Truth, rows_of, truth_of, whose


class Left(NamedTuple):
    """What is left, and what is not."""

    truth: Truth
    """Without what was forgotten."""
    forgotten: frozenset[int]
    """Events that are gone, by their index."""
    identifiers: frozenset[str]
    """Canonical forms of what is forgotten."""


def left_of(
    events: list[Event],
    funnels: list[FunnelFile],
    settings: Settings,
    now: int,
    declarations: Sequence[Declaration],
    named: Collection[str],
) -> Left:
    """Compute what the contract says without those named, and without what was only theirs."""
    accepted = [one for one in declarations if refusal(one, settings) is None]
    accounting, owners, stitched = whose(events, funnels, settings, accepted)
    steps = {identifier: {step.to for step in found} for identifier, found in stitched.steps.items()}
    gone = set(named)
    while more := {identifier for identifier, found in steps.items() if found <= gone} - gone:
        gone |= more
    lost = set()
    distinct = sorted({*accounting.applied, *accounting.ignored, *accounting.shared})
    for index, way in zip(distinct, stitched.ways, strict=True):
        if gone & set(way) or set(named) & set(identifiers_of(events[index], settings.phone_region)):
            lost.add(index)
    kept = Accounting(
        accounting.dead,
        accounting.duplicate,
        *(
            tuple(index for index in indexes if index not in lost)
            for indexes in (accounting.ignored, accounting.shared, accounting.applied)
        ),
    )
    transitions, prospects, handed = rows_of(events, funnels, settings, now, kept.applied, owners)
    ids = {prospect_id_of(identifier, settings.id_key) for identifier in gone}
    names = {(kind_of(identifier), value_of(identifier)) for identifier in gone}
    whole = truth_of(events, funnels, settings, now, declarations)
    truth = whole._replace(
        transitions=transitions,
        prospects=prospects,
        handoffs=handed,
        identifiers=[
            row for row in whole.identifiers if row.prospect_id not in ids and (row.kind, row.value) not in names
        ],
        aliases=[row for row in whole.aliases if not ids & {row.old_id, row.new_id}],
        shared=[row for row in whole.shared if row.identifier not in ids],
        accounting=kept,
        owners={index: owner for index, owner in owners.items() if index not in lost},
    )
    return Left(truth, frozenset(lost), frozenset(gone))
