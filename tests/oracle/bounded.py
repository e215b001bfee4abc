"""Bounded history (contract, section 3): which arrivals are too late. The one rule that knows of arrival order.

The reading taken: of what a prospect has accepted, those relevant events are folded that are older than its newest event
(of any kind) less `lateness`, or lie beyond its newest so many relevant ones; an arrival that sorts before the last folded event is too
late. One that sorts after it is accepted, however old. A copy of an accepted event goes nowhere, and is not too late.
"""

from __future__ import annotations

import uuid
from collections import defaultdict

from tests.oracle.acceptance import Settings
from tests.oracle.clauses import FunnelFile, is_relevant
from tests.oracle.fold import place
from tests.oracle.identity import Event, prospect_id_of, strongest_identifier


def too_late(
    arrivals: list[Event], funnels: list[FunnelFile], settings: Settings, lateness: int, kept_events: int
) -> set[int]:
    """Give the indexes of arrivals that are too late.

    Args:
        arrivals: in the order of arrival, all acceptable but for this; copies must not differ.
        funnels: decide which events are relevant.
        settings: see there.
        lateness: microseconds behind a prospect's newest event.
        kept_events: how many relevant events a prospect keeps.
    """
    late = set()
    accepted: dict[uuid.UUID, list[Event]] = defaultdict(list)
    for index, event in enumerate(arrivals):
        identifier = strongest_identifier(event, settings.phone_region)
        assert identifier is not None
        history = accepted[prospect_id_of(identifier, settings.id_key)]
        if event in history:
            continue
        newest = max((known["occurred_at"] for known in history), default=0)
        relevant = [known for known in history if any(is_relevant(funnel, known) for funnel in funnels)]
        folded = [place(known) for known in relevant if known["occurred_at"] < newest - lateness]
        folded += sorted(map(place, relevant), reverse=True)[kept_events:]
        if folded and place(event) < max(folded):
            late.add(index)
        else:
            history.append(event)
    return late
