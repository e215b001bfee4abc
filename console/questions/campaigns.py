"""What campaigns brought, and to whom models give the credit."""

from __future__ import annotations

from console.filters import Filters, chosen_parts
from console.query import Query, conditions
from console.questions.base import Asked, Question

_CREDITED = {"channel": "channel_group", "campaign": "campaign"}
"""By what an address asks for, the column: nothing else gets into the query."""


def _campaigns(asked: Asked) -> Query:
    where = conditions(chosen_parts(asked.filters, {"funnel": "funnel", "campaign": "campaign"}))
    return Query(
        f"""SELECT
    campaign, currency, reach, leads, won, lost, waiting, revenue,
    spend, cost_per_lead, cac, roas
FROM campaigns{where}
ORDER BY revenue DESC, won DESC, reach DESC, campaign, currency
LIMIT 500""",
        asked.parameters,
    )


def credited(filters: Filters) -> str:
    """`channel` or `campaign`: by what credit is compared."""
    chosen = filters.options.get("by", "")
    return chosen if chosen in _CREDITED else "channel"


def _attribution(asked: Asked) -> Query:
    columns = {"funnel": "funnel", "channel": "channel_group", "campaign": "campaign", "currency": "currency"}
    where = conditions(chosen_parts(asked.filters, columns))
    return Query(
        f"""SELECT model, {_CREDITED[credited(asked.filters)]} AS credited, sum(t.conversions) AS conversions, sum(t.value) AS value
FROM attribution AS t{where}
GROUP BY model, credited
ORDER BY model, conversions DESC, credited""",
        asked.parameters,
    )


def _currencies(asked: Asked) -> Query:
    return Query(
        """SELECT currency, sum(t.conversions) AS conversions
FROM attribution AS t
WHERE funnel = {funnel:String} AND model = 'last'
GROUP BY currency
ORDER BY conversions DESC, currency""",
        asked.parameters,
    )


CAMPAIGN_QUESTIONS = (Question("campaigns", _campaigns, ("funnel", "campaign")),)
ATTRIBUTION_QUESTIONS = (
    Question("attribution", _attribution, ("funnel", "channel", "campaign")),
    Question("attribution-currencies", _currencies),
)
