"""Bounded history (contract, section 3): which arrivals are too late. The one rule that knows of arrival order.

The reading taken: of what a prospect has accepted, those relevant events are folded that are older than its newest event
(of any kind) less `lateness`, or lie beyond its newest so many relevant ones; an arrival that sorts before the last folded event is too
late. One that sorts after it is accepted, however old. A copy of an accepted event goes nowhere, and is not too late.

Only for people who are never joined: what of two histories is folded by the time they become one depends on far more
than one prospect's arrivals. `tests.generators.strangers` makes such people.
"""

from __future__ import annotations

import uuid
from collections import defaultdict

from tests.oracle.acceptance import Settings
from tests.oracle.clauses import FunnelFile, is_relevant
from tests.oracle.identity import Event, identifiers_of, place, prospect_id_of


def too_late(
    arrivals: list[Event], funnels: list[FunnelFile], settings: Settings, lateness: int, kept_events: int
) -> set[int]:
    """Give the indexes of arrivals that are too late.

    Args:
        arrivals: in the order of arrival, all acceptable but for this, each with one identifier; copies must not differ.
        funnels: decide which events are relevant.
        settings: see there.
        lateness: microseconds behind a prospect's newest event.
        kept_events: how many relevant events a prospect keeps.
    """
    late = set()
    accepted: dict[uuid.UUID, list[Event]] = defaultdict(list)
    for index, event in enumerate(arrivals):
        (identifier,) = identifiers_of(event, settings.phone_region)
        history = accepted[prospect_id_of(identifier, settings.id_key)]
        if event in history:
            continue
        newest = max((known["occurred_at"] for known in history), default=0)
        relevant = [known for known in history if any(is_relevant(funnel, known) for funnel in funnels)]
        places = [place(known, settings.phone_region) for known in relevant]
        folded = [at for at in places if at[0] < newest - lateness]
        folded += sorted(places, reverse=True)[kept_events:]
        if folded and place(event, settings.phone_region) < max(folded):
            late.add(index)
        else:
            history.append(event)
    return late
