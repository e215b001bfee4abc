"""Prospects that the wall clock should have told something already: that their visit expired, or that they are stalled."""

from __future__ import annotations

import time
from typing import Any

from funnel.durations import MICROSECONDS
from funnel.rules import RuleSet

_COUNT = """
SELECT count() FROM prospects FINAL
WHERE status = 'open' AND (funnel, stage) IN %(stages)s AND ({conditions})"""
_EXPIRED = "funnel = %(funnel_{n})s AND last_activity_at < fromUnixTimestamp64Micro(toInt64(%(expired_{n})s))"
_STALLED = "funnel = %(funnel_{n})s AND stage = %(stage_{n})s AND stalled_since IS NULL AND last_activity_at <= fromUnixTimestamp64Micro(toInt64(%(stalled_{n})s))"


def overdue(client: Any, rules: RuleSet, now: int | None = None) -> int:
    """How many open visits should have expired, or be stalled, and are not.

    Args:
        client: reads the table `prospects`.
        rules: the funnels that run.
        now: microseconds; by default, by the clock of this machine, as workers run by it.
    """
    now = int(time.time() * MICROSECONDS) if now is None else now
    conditions: list[str] = []
    values: dict[str, Any] = {
        "stages": tuple((one.funnel.name, name) for one in rules.funnels for name in one.stage_names)
    }
    for one in rules.funnels:
        number = len(conditions)
        conditions.append(_EXPIRED.format(n=number))
        values |= {f"funnel_{number}": one.funnel.name, f"expired_{number}": now - one.funnel.window}
        for name, patience in zip(one.stage_names, one.patience, strict=True):
            clock = None if patience is None else patience.stalled_clock(now)
            if clock is not None:
                number = len(conditions)
                conditions.append(_STALLED.format(n=number))
                values |= {
                    f"funnel_{number}": one.funnel.name,
                    f"stage_{number}": name,
                    f"stalled_{number}": clock,
                }
    query = _COUNT.format(conditions=" OR ".join(f"({condition})" for condition in conditions))
    return int(client.execute(query, values)[0][0])
