"""Prospects that the wall clock should have told something already: that their visit expired, that they are stalled, or that nobody responded to them."""

from __future__ import annotations

import time
from typing import Any

from funnel.durations import MICROSECONDS
from funnel.rules import RuleSet

_COUNT = """
SELECT count() FROM prospects FINAL
WHERE status = 'open' AND (funnel, stage) IN %(stages)s AND ({conditions})"""
_EXPIRED = "funnel = %(funnel_{n})s AND last_activity_at < fromUnixTimestamp64Micro(toInt64(%(expired_{n})s))"
_STALLED = "funnel = %(funnel_{n})s AND stage = %(stage_{n})s AND stalled_since IS NULL AND last_activity_at <= fromUnixTimestamp64Micro(toInt64(%(stalled_{n})s)) AND ifNull(snoozed_until <= fromUnixTimestamp64Micro(toInt64(%(now)s)), true)"

_UNANSWERED = """
SELECT count() FROM handoffs AS h INNER JOIN prospects AS p FINAL ON p.funnel = h.funnel AND p.prospect_id = h.prospect_id
WHERE p.status = 'open' AND (p.visit, p.stage, p.stage_entered_at) = (h.visit, h.stage, h.handed_at) AND h.outcome = 'waiting' AND h.first_touch_at IS NULL
    AND (h.funnel, h.prospect_id, h.visit, h.stage) NOT IN
        (SELECT funnel, prospect_id, visit, stage FROM stalls FINAL WHERE kind = 'response' AND resolved_at IS NULL)
    AND ({conditions})"""
_LATE = "h.funnel = %(funnel_{n})s AND h.stage = %(stage_{n})s AND h.handed_at <= fromUnixTimestamp64Micro(toInt64(%(late_{n})s))"


def overdue(client: Any, rules: RuleSet, now: int | None = None) -> int:
    """How many open visits should have expired, be stalled or wait for a response too long, and nobody has said so.

    Args:
        client: reads the tables `prospects` and `stalls`, and the view `handoffs`.
        rules: the funnels that run.
        now: microseconds; by default, by the clock of this machine, as workers run by it.
    """
    now = int(time.time() * MICROSECONDS) if now is None else now
    conditions: list[str] = []
    values: dict[str, Any] = {
        "stages": tuple((one.funnel.name, name) for one in rules.funnels for name in one.stage_names),
        "now": now,
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
    return int(client.execute(query, values)[0][0]) + _unanswered(client, rules, now)


def _unanswered(client: Any, rules: RuleSet, now: int) -> int:
    conditions: list[str] = []
    values: dict[str, Any] = {}
    for one in rules.funnels:
        for name, response in zip(one.stage_names, one.responses, strict=True):
            clock = None if response is None else response.stalled_clock(now)
            if clock is not None:
                number = len(conditions)
                conditions.append(_LATE.format(n=number))
                values |= {f"funnel_{number}": one.funnel.name, f"stage_{number}": name, f"late_{number}": clock}
    if not conditions:
        return 0
    query = _UNANSWERED.format(conditions=" OR ".join(f"({condition})" for condition in conditions))
    return int(client.execute(query, values)[0][0])
