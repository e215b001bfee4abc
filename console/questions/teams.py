"""Hand-offs between teams, and whom to call now."""

from __future__ import annotations

from console.filters import chosen_parts
from console.query import Query, conditions
from console.questions.base import Asked, Question

_HANDOFF_COLUMNS = {"funnel": "funnel", "day": "toDate(handed_at)", "campaign": "first_campaign"}
_HANDOFF_FILTERS = ("funnel", "from", "to", "campaign")
_COUNTS = """count() AS handed,
    countIf(first_touch_at IS NOT NULL) AS touched,
    quantileExact(0.5)(seconds_to_first_touch) AS median_seconds_to_first_touch,
    countIf(h.in_time = true) AS in_time, countIf(h.in_time = false) AS late,
    countIf(outcome = 'accepted') AS accepted, countIf(outcome = 'sent_back') AS sent_back,
    countIf(outcome = 'won') AS won, countIf(outcome = 'handed_on') AS handed_on,
    countIf(outcome IN ('lost', 'expired')) AS lost, countIf(outcome = 'waiting') AS waiting"""
# Who may read identifiers sees how to reach people; for others the question is asked without that table.
_CONTACTS = """
LEFT JOIN
(
    SELECT prospect_id, groupArrayIf(value, kind = 'phone') AS phones, groupArrayIf(value, kind = 'email') AS emails
    FROM prospect_identifiers FINAL
    GROUP BY prospect_id
) AS c ON c.prospect_id = s.prospect_id"""


def _handoffs(asked: Asked) -> Query:
    where = conditions(chosen_parts(asked.filters, _HANDOFF_COLUMNS))
    return Query(
        f"""SELECT
    stage, from_team, to_team,
    {_COUNTS}
FROM handoffs AS h{where}
GROUP BY stage, from_team, to_team
ORDER BY handed DESC, stage, from_team, to_team""",
        asked.parameters,
    )


def _handoffs_by_campaign(asked: Asked) -> Query:
    where = conditions(chosen_parts(asked.filters, _HANDOFF_COLUMNS))
    return Query(
        f"""SELECT
    first_campaign AS campaign,
    {_COUNTS}
FROM handoffs AS h{where}
GROUP BY campaign
ORDER BY handed DESC, campaign
LIMIT 100""",
        asked.parameters,
    )


def _unanswered(asked: Asked) -> Query:
    where = conditions(chosen_parts(asked.filters, {"funnel": "funnel", "campaign": "first_campaign"}))
    return Query(
        f"""SELECT prospect_id, stage, team, handed_at, respond_by, late_by_seconds, campaign, account_id
FROM unanswered{where}
ORDER BY respond_by, prospect_id
LIMIT 200""",
        asked.parameters,
    )


def _stalled(asked: Asked) -> Query:
    parts = chosen_parts(asked.filters, {"funnel": "s.funnel", "stage": "s.stage", "team": "s.team", "rep": "s.rep"})
    may_name = asked.has("prospect_identifiers")
    contacts = "\n    c.phones AS phones, c.emails AS emails," if may_name else ""
    return Query(
        f"""SELECT
    s.prospect_id AS prospect_id, s.stage AS stage, s.team AS team, s.rep AS rep,{contacts}
    s.stalled_since AS stalled_since, s.stalled_for_seconds AS stalled_for_seconds, s.escalated AS escalated,
    s.last_activity_at AS last_activity_at, s.last_channel AS last_channel, s.last_type AS last_type,
    s.account_id AS account_id, s.amount AS amount, s.currency AS currency
FROM stalled AS s{_CONTACTS if may_name else ""}{conditions(parts)}
ORDER BY amount DESC, stalled_since, prospect_id
LIMIT 1000""",
        asked.parameters,
    )


def _stalled_by_stage(asked: Asked) -> Query:
    return Query(
        """SELECT
    stage, team, rep, count() AS stalled,
    sumMapIf(map(toString(currency), toDecimal128(s.amount, 2)), s.amount != 0) AS amounts
FROM stalled AS s
WHERE funnel = {funnel:String}
GROUP BY stage, team, rep
ORDER BY stalled DESC, stage, team, rep""",
        asked.parameters,
    )


TEAM_QUESTIONS = (
    Question("handoffs", _handoffs, _HANDOFF_FILTERS),
    Question("handoffs-by-campaign", _handoffs_by_campaign, _HANDOFF_FILTERS),
    Question("unanswered", _unanswered, ("funnel", "campaign")),
    Question("stalled", _stalled, looks_at=("prospect_identifiers",)),
    Question("stalled-by-stage", _stalled_by_stage),
)
