"""Bring the aggregates up to now, for those who can't wait for the next refresh; and how often the server does it by itself."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from typing import Any

from clickhouse_driver.errors import ServerException

REBUILT = "visits_rebuilt"
"""The refreshable materialised view with a row for each visit as it was some time ago. What it lacks is in `visits_changed`, so it need not be refreshed."""
CHANGED = "changed_prospects"
"""Whose rows were written since."""
VISITS = "visits_changed"
"""Their visits as they are now, the other part of `visits`."""
COUNTED = (
    "conversion_rebuilt",
    "cohort_rebuilt",
    "outcomes_rebuilt",
    "flow_rebuilt",
    "payments_rebuilt",
    "retention_rebuilt",
    "revenue_rebuilt",
    "credits_rebuilt",
)
"""What aggregates count of the rebuilt visits. Where one is of another rebuild than `visits_changed`, its aggregate counts all visits."""
COHORTS = "conversion_cohorts"
"""The one that `conversion_facts` and `funnel` read."""
AGGREGATES = (
    COHORTS,
    "velocity",
    "cohort_days",
    "visit_outcomes",
    "flow_moves",
    "payment_days",
    "retention_months",
    "account_standings",
)
"""Those that are made from `visits`."""
CREDITS = "attribution_by_rules"
"""The one that `attribution_facts` reads."""
CREDIT_TOTALS = "attribution_totals"
"""The one that `attribution` reads; it is made from the other."""
_CREDITS_SECONDS = 300
"""Attribution is read less often than the others, and takes longer."""
_SCHEDULE = re.compile(r" REFRESH EVERY ((?:\d+ [A-Z]+ )+)(DEPENDS ON \S+ )?\(")
_PART = re.compile(r"(\d+) ([A-Z]+)")
"""The server writes 90 seconds as `1 MINUTE 30 SECOND`."""
_UNITS = {"SECOND": 1, "MINUTE": 60, "HOUR": 3_600}


def refresh(client: Any) -> None:
    """Recompute the aggregates and return when they hold everything that was inserted before the call.

    Args:
        client: a clickhouse-driver client of our database, whose user may SYSTEM VIEWS.

    Raises:
        clickhouse_driver.errors.Error: the server is away, or could not compute them.
    """
    for views in ((CHANGED,), (VISITS,), (*AGGREGATES, CREDITS), (CREDIT_TOTALS,)):
        _refresh(client, views)


def rebuild(client: Any) -> None:
    """As `refresh`, and all visits are put together again: for when rows were deleted rather than taken back, which leaves no trace of whose they were.

    Args:
        client: as for `refresh`.

    Raises:
        clickhouse_driver.errors.Error: the server is away, or could not compute them.
    """
    _refresh(client, (REBUILT,))
    _refresh(client, COUNTED)
    refresh(client)


def refresh_every(client: Any, seconds: int) -> bool:
    """Make the server refresh the aggregates so often; those of attribution no more often than every five minutes.

    Args:
        client: a clickhouse-driver client of our database, whose user may alter its views.
        seconds: from the start of one refresh to that of the next. The hourly ones (`visits_rebuilt`, `COUNTED`) stay hourly.

    Returns:
        Whether that was changed.

    Raises:
        clickhouse_driver.errors.Error: the server is away, or refuses.
    """
    wanted = dict.fromkeys((CHANGED, VISITS, *AGGREGATES), int(seconds))
    wanted |= dict.fromkeys((CREDITS, CREDIT_TOTALS), max(int(seconds), _CREDITS_SECONDS))
    made = client.execute(
        "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase() AND name IN %(names)s",
        {"names": tuple(wanted)},
    )
    changed = False
    for name, query in made:
        schedule = _SCHEDULE.search(query)
        assert schedule is not None, query
        every, depends = schedule.groups()
        if sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(every)) != wanted[name]:
            client.execute(f"ALTER TABLE {name} MODIFY REFRESH EVERY {wanted[name]} SECOND {depends or ''}")
            changed = True
    return changed


def _refresh(client: Any, views: Sequence[str]) -> None:
    """Recompute views that don't read one another, side by side."""
    # A refresh that runs already may have begun before our rows were there, and asking for another has no effect meanwhile.
    for view in views:
        with contextlib.suppress(ServerException):  # that one's failure is not ours
            client.execute(f"SYSTEM WAIT VIEW {view}")
    for view in views:
        client.execute(f"SYSTEM REFRESH VIEW {view}")
    for view in views:
        client.execute(f"SYSTEM WAIT VIEW {view}")
