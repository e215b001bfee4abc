"""Companies, and customers who come back."""

from __future__ import annotations

from console.filters import chosen_parts
from console.query import Query, conditions
from console.questions.base import Asked, Question

ACCOUNTS_LISTED = 1_000
"""The view may have a million of them."""
_MONTHS_SHOWN = 24


def _accounts(asked: Asked) -> Query:
    columns = {"funnel": "funnel", "segment": "segment", "status": "status", "stage": "stage"}
    where = conditions(chosen_parts(asked.filters, columns))
    return Query(
        f"""SELECT account_id, segment, policy, status, stage, position, buying_group, open, won, lost, revenue, last_activity_at
FROM accounts{where}
ORDER BY buying_group DESC, account_id
LIMIT {ACCOUNTS_LISTED}""",
        asked.parameters,
    )


def _accounts_by_stage(asked: Asked) -> Query:
    where = conditions(chosen_parts(asked.filters, {"funnel": "funnel", "segment": "segment"}))
    return Query(
        f"""SELECT
    status, stage, max(a.position) AS place, any(a.policy) AS policy, count() AS accounts, sum(a.buying_group) AS people,
    sumMap(a.revenue) AS revenue
FROM accounts AS a{where}
GROUP BY status, stage
ORDER BY indexOf(['open', 'won', 'lost', 'expired'], status) = 0, indexOf(['open', 'won', 'lost', 'expired'], status), place, stage""",
        asked.parameters,
    )


def _retention_parts(asked: Asked) -> list[str]:
    parts = chosen_parts(asked.filters, {"funnel": "funnel"})
    # A month is known by its first day; any of its days means it.
    parts += ["month >= toStartOfMonth({from:Date})"] if asked.filters.since else []
    parts += ["month <= {to:Date}"] if asked.filters.until else []
    if asked.filters.since is None:
        parts.append(
            f"month > (SELECT max(month) FROM retention WHERE funnel = {{funnel:String}}) - INTERVAL {_MONTHS_SHOWN} MONTH"
        )
    return parts


def _retention(asked: Asked) -> Query:
    return Query(
        f"""SELECT month, customers, months_after, repeated, share, is_mature, revenue
FROM retention{conditions(_retention_parts(asked))}
ORDER BY month DESC, months_after""",
        asked.parameters,
    )


def _repeat_revenue(asked: Asked) -> Query:
    return Query(
        f"""SELECT
    month, max(r.customers) AS customers, countIf(r.is_mature AND r.months_after > 0) AS months_over,
    sumMapIf(r.revenue, r.months_after = 0) AS first_revenue, sumMapIf(r.revenue, r.months_after > 0) AS repeat_revenue
FROM retention AS r{conditions(_retention_parts(asked))}
GROUP BY month
ORDER BY month DESC""",
        asked.parameters,
    )


CUSTOMER_QUESTIONS = (
    Question("accounts", _accounts, ("funnel", "segment")),
    Question("accounts-by-stage", _accounts_by_stage, ("funnel", "segment")),
    Question("retention", _retention, ("funnel", "from", "to")),
    Question("repeat-revenue", _repeat_revenue, ("funnel", "from", "to")),
)
