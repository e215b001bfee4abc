"""From where to where visits moved, also backwards and out; and why they were lost."""

from __future__ import annotations

from console.filters import chosen_parts
from console.query import Query, conditions
from console.questions.base import Asked, Question


def _moves(asked: Asked) -> Query:
    if asked.has("flow"):
        return Query(
            """SELECT from_stage, to_stage, kind, visits, moves
FROM flow
WHERE funnel = {funnel:String}
ORDER BY moves DESC, from_stage, to_stage""",
            asked.parameters,
        )
    return Query(
        """SELECT from_stage, to_stage, kind, uniqExact(prospect_id, visit) AS visits, count() AS moves
FROM stage_transitions FINAL
WHERE funnel = {funnel:String}
GROUP BY from_stage, to_stage, kind
ORDER BY moves DESC, from_stage, to_stage""",
        asked.parameters,
    )


def _open(asked: Asked) -> Query:
    return Query(
        """SELECT stage, count() AS waiting
FROM standings
WHERE funnel = {funnel:String} AND status = 'open'
GROUP BY stage
ORDER BY stage""",
        asked.parameters,
    )


def _lost_reasons(asked: Asked) -> Query:
    if asked.has("lost_reasons"):
        columns = {"funnel": "funnel", "channel": "first_channel_group", "campaign": "first_campaign"}
        where = conditions(chosen_parts(asked.filters, columns))
        return Query(
            f"""SELECT stage, reason, sum(t.visits) AS visits
FROM lost_reasons AS t{where}
GROUP BY stage, reason
ORDER BY visits DESC, stage, reason
LIMIT 100""",
            asked.parameters,
        )
    columns = {"funnel": "funnel", "channel": "first_channel", "campaign": "first_campaign"}
    where = conditions(["kind = 'lost'", *chosen_parts(asked.filters, columns)])
    return Query(
        f"""SELECT from_stage AS stage, reason, count() AS visits
FROM stage_transitions FINAL{where}
GROUP BY stage, reason
ORDER BY visits DESC, stage, reason
LIMIT 100""",
        asked.parameters,
    )


FLOW_QUESTIONS = (
    Question("flow", _moves, ("funnel",), ("flow",)),
    Question("open-visits", _open),
    Question("lost-reasons", _lost_reasons, ("funnel", "channel", "campaign"), ("lost_reasons",)),
)
