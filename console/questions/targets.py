"""What was to be reached, and how far it is."""

from __future__ import annotations

from console.filters import chosen_parts
from console.query import Query, conditions
from console.questions.base import Asked, Question

_FILTERS = ("funnel", "from", "to")
_PERIODS = 100
"""Of each target: eight years of months."""


def _attainment(asked: Asked) -> Query:
    parts = chosen_parts(asked.filters, {"funnel": "funnel"})
    # A period is shown where it has a day in common with those that were chosen.
    parts += ["ends >= {from:Date}"] if asked.filters.since else []
    parts += ["starts <= {to:Date}"] if asked.filters.until else []
    return Query(
        f"""SELECT name, metric, stage, currency, period, campaign, starts, ends, target, actual, attainment, expected_by_now, pace
FROM target_attainment{conditions(parts)}
ORDER BY name, starts DESC
LIMIT {_PERIODS} BY name""",
        asked.parameters,
    )


TARGET_QUESTIONS = (Question("targets", _attainment, _FILTERS),)
