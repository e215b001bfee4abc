"""How the pipeline is, as far as ClickHouse tells."""

from __future__ import annotations

from console.query import Query
from console.questions.base import Asked, Question


def _plain(sql: str) -> Query:
    return Query(sql)


def _standing(_: Asked) -> Query:
    return _plain(
        """SELECT
    funnel, count() AS prospects, countIf(status = 'open') AS open, countIf(status = 'won') AS won,
    countIf(status = 'lost') AS lost, countIf(status = 'expired') AS expired, countIf(stalled_since IS NOT NULL) AS stalled,
    max(last_activity_at) AS newest_activity
FROM standings
GROUP BY funnel
ORDER BY funnel"""
    )


def _writes(_: Asked) -> Query:
    return _plain(
        """SELECT funnel, count() AS moves, max(entered_at) AS newest_move, max(written_at) AS last_written
FROM stage_transitions FINAL
GROUP BY funnel
ORDER BY funnel"""
    )


def _dead_letters(_: Asked) -> Query:
    return _plain(
        """SELECT
    reason, stage, count() AS letters, countIf(outcome = '') AS waiting, countIf(outcome = 'retried') AS retried,
    countIf(outcome = 'dropped') AS dropped, max(written_at) AS newest
FROM dead_letters FINAL
GROUP BY reason, stage
ORDER BY letters DESC, reason, stage"""
    )


def _refreshes(_: Asked) -> Query:
    return _plain(
        """SELECT view, status, last_success_time, last_success_duration_ms, exception != '' AS has_failed
FROM system.view_refreshes
WHERE database = currentDatabase()
ORDER BY view"""
    )


def _deliveries(_: Asked) -> Query:
    return _plain(
        """SELECT target, state, count() AS alerts, max(changed_at) AS newest
FROM alert_deliveries FINAL
GROUP BY target, state
ORDER BY target, state"""
    )


def _shared(_: Asked) -> Query:
    return _plain(
        "SELECT kind, count() AS identifiers, max(seen_with) AS most_seen_with FROM shared GROUP BY kind ORDER BY kind"
    )


HEALTH_QUESTIONS = (
    Question("standings", _standing, ()),
    Question("writes", _writes, ()),
    Question("dead-letters", _dead_letters, ()),
    Question("refreshes", _refreshes, ()),
    Question("deliveries", _deliveries, ()),
    Question("shared", _shared, ()),
)
