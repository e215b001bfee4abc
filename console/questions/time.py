"""Cohorts by week, and how long visits stay in a stage."""

from __future__ import annotations

from console.filters import chosen_parts
from console.query import Query, conditions
from console.questions.base import Asked, Question

_WEEKS_SHOWN = 26


def _cohorts(asked: Asked) -> Query:
    parts = chosen_parts(asked.filters, {"funnel": "funnel", "day": "week", "stage": "stage"})
    if asked.filters.since is None:
        parts.append(
            f"week > (SELECT max(week) FROM cohorts WHERE funnel = {{funnel:String}}) - INTERVAL {_WEEKS_SHOWN} WEEK"
        )
    return Query(
        f"""SELECT week, visits, position, stage, day, reached, share, is_mature
FROM cohorts{conditions(parts)}
ORDER BY week DESC, position, day""",
        asked.parameters,
    )


def _velocity(asked: Asked) -> Query:
    return Query(
        """SELECT position, stage, moved_on, median_seconds, p75_seconds, p90_seconds
FROM stage_velocity
WHERE funnel = {funnel:String}
ORDER BY position, stage""",
        asked.parameters,
    )


def _trend(asked: Asked) -> Query:
    where = conditions(chosen_parts(asked.filters, {"funnel": "funnel", "day": "week"}))
    return Query(
        f"""SELECT week, position, stage, moved_on, median_seconds, p75_seconds, p90_seconds, is_mature
FROM stage_velocity_weekly{where}
ORDER BY week, position, stage""",
        asked.parameters,
    )


TIME_QUESTIONS = (
    Question("cohorts", _cohorts, ("funnel", "from", "to")),
    Question("velocity", _velocity),
    Question("velocity-by-week", _trend, ("funnel", "from", "to")),
)
