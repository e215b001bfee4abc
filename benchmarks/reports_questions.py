"""What people ask: of our views, and the same of a table of raw events with `windowFunnel`, for which a question is a pass over all events."""

from __future__ import annotations

from typing import NamedTuple

RAW_EVENTS = """CREATE TABLE raw_events
(
    prospect_id UUID,
    occurred_at DateTime64(6, 'UTC'),
    type LowCardinality(String),
    channel_group LowCardinality(String),
    campaign LowCardinality(String),
    amount Decimal(18, 2),
    currency LowCardinality(String),
    reason LowCardinality(String)
)
ENGINE = MergeTree
ORDER BY (prospect_id, occurred_at)"""
"""Ordered as suits `windowFunnel` best."""

FILL_RAW_EVENTS = """INSERT INTO raw_events
SELECT
    prospect_id, entered_at + toIntervalSecond(90 * copy), if(copy = 0, transform(to_stage, {stages}, {types}, 'call_lost'), 'email_delivered'),
    channel_group, campaign, if(copy = 0, amount, 0), if(copy = 0, currency, ''), if(copy = 0, reason, '')
FROM stage_transitions FINAL
ARRAY JOIN [0, 1] AS copy
WHERE kind NOT IN ('expired', 'back') AND prospect_id BETWEEN {first} AND {last}
SETTINGS max_threads = 2, max_insert_threads = 1"""
"""What made the moves, and as many events that moved nobody."""

_STEPS = "type = 'page_view', type = 'content_download', type = 'demo_request', type = 'purchase'"
_FUNNEL = f"windowFunnel(7776000)(toDateTime(occurred_at), {_STEPS})"
"""Ninety days."""


IN_ORDER = " SETTINGS optimize_aggregation_in_order = 1"
"""Prospects are put together in the order of the table: otherwise the events of all of them are in memory at once."""


class Question(NamedTuple):
    """One question."""

    name: str
    of_views: str
    of_events: str = ""
    """Empty where raw events can't tell without the rules of the funnel."""


QUESTIONS = (
    Question(
        "how many reached each stage",
        "SELECT stage, reached, entered, moved_on, won, lost, expired, waiting, revenue FROM funnel WHERE funnel = 'sales'",
        f"SELECT level, count() FROM (SELECT {_FUNNEL} AS level FROM raw_events GROUP BY prospect_id) GROUP BY level",
    ),
    Question(
        "conversion by channel group and month",
        "SELECT toStartOfMonth(entry_day) AS month, first_channel_group, sum(entered) AS visits, sum(won) / visits AS share, sum(moved_on) FROM conversion_by_group "
        "WHERE funnel = 'sales' AND stage = 'awareness' GROUP BY month, first_channel_group",
        f"SELECT month, first_group, level, count() FROM (SELECT toStartOfMonth(min(occurred_at)) AS month, argMin(channel_group, occurred_at) AS first_group, {_FUNNEL} AS level "
        "FROM raw_events GROUP BY prospect_id) GROUP BY month, first_group, level",
    ),
    Question(
        "time in stage: median, 75%, 90%",
        "SELECT stage, moved_on, median_seconds, p75_seconds, p90_seconds FROM stage_velocity WHERE funnel = 'sales'",
        "SELECT quantilesExact(0.5, 0.75, 0.9)(dateDiff('second', first, second)) FROM (SELECT minIf(occurred_at, type = 'page_view') AS first, "
        "minIf(occurred_at, type = 'content_download') AS second FROM raw_events GROUP BY prospect_id) WHERE second > first",
    ),
    Question(
        "cohorts by week",
        "SELECT week, visits, stage, day, reached, share FROM cohorts WHERE funnel = 'sales'",
        f"SELECT week, level, count() FROM (SELECT toMonday(min(occurred_at)) AS week, {_FUNNEL} AS level FROM raw_events GROUP BY prospect_id) GROUP BY week, level",
    ),
    Question(
        "campaigns: reach, won, revenue",
        "SELECT campaign, reach, leads, won, revenue, spend, cac, roas FROM campaigns WHERE funnel = 'sales'",
        f"SELECT first_campaign, currency, count(), countIf(level = 4), sum(paid) FROM (SELECT argMin(campaign, occurred_at) AS first_campaign, {_FUNNEL} AS level, "
        "sum(amount) AS paid, max(currency) AS currency FROM raw_events GROUP BY prospect_id) GROUP BY first_campaign, currency",
    ),
    Question(
        "why visits are lost",
        "SELECT stage, reason, first_channel_group, first_campaign, visits, share FROM lost_reasons WHERE funnel = 'sales' LIMIT 1000",
        f"SELECT level, reason, count() FROM (SELECT {_FUNNEL} AS level, anyIf(r.reason, type = 'call_lost') AS reason FROM raw_events AS r GROUP BY prospect_id) "
        "WHERE reason != '' GROUP BY level, reason",
    ),
    Question("trend of time in stage", "SELECT * FROM stage_velocity_weekly WHERE funnel = 'sales'"),
    Question("flow", "SELECT * FROM flow WHERE funnel = 'sales'"),
    Question("retention", "SELECT * FROM retention WHERE funnel = 'sales'"),
    Question(
        "accounts, the most people first",
        "SELECT * FROM accounts WHERE funnel = 'sales' ORDER BY buying_group DESC LIMIT 50",
    ),
    Question(
        "one day's entries by campaign",
        "SELECT stage, first_campaign, entered, won, revenue FROM conversion_facts WHERE funnel = 'sales' AND entry_day = '2025-06-02'",
    ),
)
