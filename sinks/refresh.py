"""Bring the aggregates up to now, for those who can't wait for the next refresh."""

from __future__ import annotations

import contextlib
from typing import Any

from clickhouse_driver.errors import ServerException

COHORTS = "conversion_cohorts"
"""The refreshable materialised view that `conversion_facts`, `funnel` and `stage_velocity` read."""
ATTRIBUTION = "attribution_by_rules"
"""The one that `attribution_facts` and `attribution` read."""
_VIEWS = (COHORTS, ATTRIBUTION)


def refresh(client: Any) -> None:
    """Recompute the aggregates and return when they hold everything that was inserted before the call.

    Args:
        client: a clickhouse-driver client of our database, whose user may SYSTEM VIEWS.

    Raises:
        clickhouse_driver.errors.Error: the server is away, or could not compute them.
    """
    # A refresh that runs already may have begun before our rows were there, and asking for another has no effect meanwhile.
    for view in _VIEWS:
        with contextlib.suppress(ServerException):  # that one's failure is not ours
            client.execute(f"SYSTEM WAIT VIEW {view}")
        client.execute(f"SYSTEM REFRESH VIEW {view}")
    for view in _VIEWS:
        client.execute(f"SYSTEM WAIT VIEW {view}")
