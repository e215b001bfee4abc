"""Prospects: where they stand, and one's story."""

from __future__ import annotations

from console.filters import chosen_parts
from console.query import Query, conditions
from console.questions.base import Asked, Question


def _standings(asked: Asked) -> Query:
    columns = {"funnel": "funnel", "day": "toDate(last_activity_at)", "stage": "stage", "status": "status"}
    where = conditions(chosen_parts(asked.filters, columns))
    return Query(
        f"""SELECT prospect_id, status, stage, visit, stage_entered_at, last_activity_at, account_id, stalled_since
FROM standings{where}
ORDER BY last_activity_at DESC, prospect_id
LIMIT 1000""",
        asked.parameters,
    )


def _journey(asked: Asked) -> Query:
    return Query(
        """SELECT *
FROM journey_of(prospect = {prospect:UUID})
ORDER BY funnel, visit, step""",
        asked.parameters,
    )


def _standing(asked: Asked) -> Query:
    return Query(
        """SELECT funnel, status, stage, visit, stage_entered_at, last_activity_at, account_id, stalled_since
FROM standings
WHERE prospect_id = {prospect:UUID}
ORDER BY funnel""",
        asked.parameters,
    )


def _identifiers(asked: Asked) -> Query:
    return Query(
        """SELECT kind, value
FROM prospect_identifiers FINAL
WHERE prospect_id = {prospect:UUID}
ORDER BY indexOf(['user_id', 'email', 'phone', 'anonymous_id'], kind), value
LIMIT 200""",
        asked.parameters,
    )


def _now(asked: Asked) -> Query:
    return Query("SELECT current_id FROM prospect_now WHERE old_id = {prospect:UUID}", asked.parameters)


def _handoffs(asked: Asked) -> Query:
    return Query(
        """SELECT funnel, visit, step, stage, from_team, to_team, handed_at, first_touch_at, seconds_to_first_touch, first_touch_rep, outcome, outcome_at, respond_by
FROM handoffs
WHERE prospect_id = {prospect:UUID}
ORDER BY handed_at, step""",
        asked.parameters,
    )


def named(value: str) -> Query:
    """Whose an identifier is. Not among the questions that have an address: what is looked for is personal data."""
    return Query(
        """SELECT DISTINCT prospect_id
FROM prospect_identifiers FINAL
WHERE value IN ({value:String}, lower({value:String}))
LIMIT 20""",
        {"value": value},
    )


PROSPECT_QUESTIONS = (
    Question("prospects", _standings, ("funnel", "from", "to")),
    Question("journey", _journey, ()),
    Question("standing", _standing, ()),
    Question("identifiers", _identifiers, ()),
    Question("prospect-now", _now, ()),
    Question("prospect-handoffs", _handoffs, ()),
)
