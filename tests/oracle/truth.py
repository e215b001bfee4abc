"""From a list of events to everything that must be true of it."""

from __future__ import annotations

import uuid
from collections import defaultdict
from typing import NamedTuple

from tests.oracle.acceptance import Accounting, Settings, account_for
from tests.oracle.clauses import FunnelFile
from tests.oracle.conversion import ConversionRow, conversion_facts
from tests.oracle.fold import fold
from tests.oracle.identity import Event, prospect_id_of, strongest_identifier
from tests.oracle.rows import ProspectRow, TransitionRow


class Truth(NamedTuple):
    """All rows, each list sorted, and what became of each event."""

    transitions: list[TransitionRow]
    prospects: list[ProspectRow]
    conversion_facts: list[ConversionRow]
    accounting: Accounting


def truth_of(events: list[Event], funnels: list[FunnelFile], settings: Settings, now: int) -> Truth:
    """Compute what the contract says of the events at `now` (microseconds since the epoch)."""
    accounting = account_for(events, funnels, settings)
    histories: dict[uuid.UUID, list[Event]] = defaultdict(list)
    for index in accounting.applied:
        identifier = strongest_identifier(events[index], settings.phone_region)
        assert identifier is not None
        histories[prospect_id_of(identifier, settings.id_key)].append(events[index])
    transitions: list[TransitionRow] = []
    prospects: list[ProspectRow] = []
    for funnel in funnels:
        for prospect_id, history in histories.items():
            result = fold(funnel, prospect_id, history, now)
            transitions += [row for visit in result.visits for row in visit.rows]
            standing = result.standing()
            prospects += [] if standing is None else [standing]
    return Truth(
        transitions=sorted(transitions),
        prospects=sorted(prospects),
        conversion_facts=conversion_facts(transitions, funnels),
        accounting=accounting,
    )
