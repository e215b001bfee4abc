"""How many visits entered each stage, and what became of them."""

from __future__ import annotations

from console.filters import chosen_parts
from console.query import Query, conditions
from console.questions.base import CONVERSION_FILTERS, CONVERSION_VIEWS, Asked, Question, conversions


def _stages(asked: Asked) -> Query:
    source = conversions(asked.schema)
    where = conditions(chosen_parts(asked.filters, source.columns))
    # How many reached a stage is known of all visits only: a visit may enter a later stage on a day that is left out.
    reached = "" if asked.filters.narrow else "\n    f.reached AS reached,"
    return Query(
        f"""SELECT
    f.position AS position, f.stage AS stage, f.team AS team,{reached}
    c.entered AS entered, c.moved_on AS moved_on,
    c.won AS won, c.lost AS lost, c.expired AS expired, c.waiting AS waiting,
    if(c.moved_on > 0, c.seconds / c.moved_on, NULL) AS mean_seconds_to_move_on,
    c.paid AS revenue
FROM funnel AS f
LEFT JOIN
(
    SELECT
        stage, sum(t.entered) AS entered, sum(t.moved_on) AS moved_on,
        sum(t.won) AS won, sum(t.lost) AS lost, sum(t.expired) AS expired, sum(t.waiting) AS waiting,
        sum(t.seconds_to_move_on) AS seconds, sumMapIf(map(toString(currency), t.revenue), t.revenue != 0) AS paid
    FROM {source.table} AS t{where.replace(chr(10), chr(10) + "    ")}
    GROUP BY stage
) AS c ON c.stage = f.stage
WHERE f.funnel = {{funnel:String}}
ORDER BY position, stage""",
        asked.parameters,
    )


def _weeks(asked: Asked) -> Query:
    source = conversions(asked.schema)
    where = conditions(chosen_parts(asked.filters, source.columns))
    return Query(
        f"""SELECT toMonday(entry_day) AS week, stage, sum(t.entered) AS entered
FROM {source.table} AS t{where}
GROUP BY week, stage
ORDER BY week, stage""",
        asked.parameters,
    )


def _channels(asked: Asked) -> Query:
    source = conversions(asked.schema)
    where = conditions(chosen_parts(asked.filters, source.columns))
    return Query(
        f"""SELECT
    {source.channel} AS channel, stage,
    sum(t.entered) AS entered, sum(t.won) AS won, sum(t.lost) + sum(t.expired) AS lost, sum(t.waiting) AS waiting
FROM {source.table} AS t{where}
GROUP BY channel, stage
ORDER BY channel, stage""",
        asked.parameters,
    )


def _funnels(asked: Asked) -> Query:
    return Query("SELECT funnel FROM funnel GROUP BY funnel ORDER BY max(entered) DESC, funnel", asked.parameters)


def _choices(filter_name: str, column_of: str) -> Question:
    def ask(asked: Asked) -> Query:
        source = conversions(asked.schema)
        column = source.columns.get(column_of, "''")
        return Query(
            f"""SELECT {column} AS value, sum(t.entered) AS entered
FROM {source.table} AS t
WHERE funnel = {{funnel:String}} AND length(value) <= 300
GROUP BY value
ORDER BY entered DESC, value
LIMIT 200""",
            asked.parameters,
        )

    return Question(f"{filter_name}-choices", ask, looks_at=CONVERSION_VIEWS)


FUNNEL_QUESTIONS = (
    Question("funnel", _stages, CONVERSION_FILTERS, CONVERSION_VIEWS),
    Question("entries-by-week", _weeks, CONVERSION_FILTERS, CONVERSION_VIEWS),
    Question("channels", _channels, CONVERSION_FILTERS, CONVERSION_VIEWS),
    Question("funnels", _funnels, ()),
    _choices("channel", "channel"),
    _choices("campaign", "campaign"),
    _choices("segment", "segment"),
)
