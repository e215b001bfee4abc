-- How visits ended, which ways they took, and when money came in. As in 019_conversion.sql.

-- How visits ended (or that they didn't), by where they came from.
DROP VIEW IF EXISTS visit_outcomes SYNC;

DROP VIEW IF EXISTS outcomes_rebuilt SYNC;

CREATE OR REPLACE VIEW outcome_parts
AS
SELECT
    part,
    funnel,
    first_channel_group,
    first_campaign,
    currency,
    outcome,
    lost_from AS from_stage,
    reason,
    sum(sign) AS visits,
    sumIf(sign, furthest >= 2) AS leads,
    sum(sign * v.revenue) AS revenue,
    max(v.built_at) AS built_at
FROM visit_parts AS v
WHERE v.furthest > 0
GROUP BY part, funnel, first_channel_group, first_campaign, currency, outcome, from_stage, reason;

CREATE MATERIALIZED VIEW IF NOT EXISTS outcomes_rebuilt
REFRESH EVERY 1 HOUR DEPENDS ON visits_rebuilt
(
    funnel LowCardinality(String),
    first_channel_group LowCardinality(String),
    first_campaign LowCardinality(String),
    currency LowCardinality(String),
    outcome LowCardinality(String),
    from_stage LowCardinality(String),
    reason LowCardinality(String),
    visits Int64,
    leads Int64,
    revenue Decimal(38, 2),
    built_at DateTime64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY (funnel, first_campaign)
EMPTY
AS
SELECT * EXCEPT part
FROM outcome_parts
WHERE part = 1
SETTINGS max_threads = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS visit_outcomes
REFRESH EVERY 30 SECOND DEPENDS ON visits_changed
(
    funnel LowCardinality(String),
    first_channel_group LowCardinality(String),
    first_campaign LowCardinality(String),
    currency LowCardinality(String),
    outcome LowCardinality(String),
    from_stage LowCardinality(String) COMMENT 'of lost visits: where they were lost',
    reason LowCardinality(String),
    visits UInt64,
    leads UInt64 COMMENT 'visits that came further than the first stage',
    revenue Decimal(38, 2)
)
ENGINE = MergeTree
ORDER BY (funnel, first_campaign)
EMPTY
AS
WITH
    (SELECT ifNull(max(built_at) = (SELECT rebuilt_at FROM fitting_parts), false) FROM outcomes_rebuilt) AS is_current
SELECT
    funnel, first_channel_group, first_campaign, currency, outcome, from_stage, reason,
    sum(p.visits) AS visits, sum(p.leads) AS leads, sum(p.revenue) AS revenue
FROM
(
    SELECT * EXCEPT built_at FROM outcomes_rebuilt WHERE is_current
    UNION ALL
    SELECT * EXCEPT (part, built_at) FROM outcome_parts WHERE part = if(is_current, 2, 3)
) AS p
GROUP BY funnel, first_channel_group, first_campaign, currency, outcome, from_stage, reason
HAVING visits != 0
SETTINGS max_threads = 1;

-- How often visits moved from one stage to another, and how many did.
DROP VIEW IF EXISTS flow_moves SYNC;

DROP VIEW IF EXISTS flow_rebuilt SYNC;

CREATE OR REPLACE VIEW flow_parts
AS
WITH ways AS
    (
        -- There are far fewer ways than visits.
        SELECT
            part,
            funnel,
            arrayMap(row -> splitByChar('\x1f', row), splitByChar('\x1e', path)) AS rows,
            arrayMap(row -> row[2], rows) AS to_stages,
            arrayZip(arrayPushFront(arrayPopBack(to_stages), ''), to_stages, arrayMap(row -> row[1], rows)) AS all_moves,
            sum(sign) AS number,
            max(v.built_at) AS at
        FROM visit_parts AS v
        WHERE furthest > 0
        GROUP BY part, funnel, path
    )
SELECT
    part,
    funnel,
    move.1 AS from_stage,
    move.2 AS to_stage,
    move.3 AS kind,
    sumIf(number, nth = 1) AS visits,
    sum(number) AS moves,
    max(at) AS built_at
FROM ways
ARRAY JOIN all_moves AS move, arrayEnumerateUniq(all_moves) AS nth
GROUP BY part, funnel, from_stage, to_stage, kind;

CREATE MATERIALIZED VIEW IF NOT EXISTS flow_rebuilt
REFRESH EVERY 1 HOUR DEPENDS ON visits_rebuilt
(
    funnel LowCardinality(String),
    from_stage LowCardinality(String),
    to_stage LowCardinality(String),
    kind LowCardinality(String),
    visits Int64,
    moves Int64,
    built_at DateTime64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY (funnel, from_stage, to_stage, kind)
EMPTY
AS
SELECT * EXCEPT part
FROM flow_parts
WHERE part = 1
SETTINGS max_threads = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS flow_moves
REFRESH EVERY 30 SECOND DEPENDS ON visits_changed
(
    funnel LowCardinality(String),
    from_stage LowCardinality(String),
    to_stage LowCardinality(String),
    kind LowCardinality(String),
    visits UInt64,
    moves UInt64
)
ENGINE = MergeTree
ORDER BY (funnel, from_stage, to_stage, kind)
EMPTY
AS
WITH
    (SELECT ifNull(max(built_at) = (SELECT rebuilt_at FROM fitting_parts), false) FROM flow_rebuilt) AS is_current
SELECT funnel, from_stage, to_stage, kind, sum(p.visits) AS visits, sum(p.moves) AS moves
FROM
(
    SELECT * EXCEPT built_at FROM flow_rebuilt WHERE is_current
    UNION ALL
    SELECT * EXCEPT (part, built_at) FROM flow_parts WHERE part = if(is_current, 2, 3)
) AS p
GROUP BY funnel, from_stage, to_stage, kind
HAVING moves != 0
SETTINGS max_threads = 1;

-- When which campaign's visits were won, and when money came in: repeats on their own day.
DROP VIEW IF EXISTS payment_days SYNC;

DROP VIEW IF EXISTS payments_rebuilt SYNC;

CREATE OR REPLACE VIEW payment_parts
AS
SELECT
    part, funnel, day, first_campaign, currency, sumIf(sign, nth = 1) AS won, sum(sign * amount) AS revenue, max(at) AS built_at
FROM
(
    SELECT
        part, sign, v.built_at AS at, funnel, first_campaign, currency,
        arrayPushFront(repeat_days, assumeNotNull(closed_on)) AS days,
        arrayPushFront(repeat_amounts, v.revenue - arraySum(repeat_amounts)) AS amounts
    FROM visit_parts AS v
    WHERE outcome = 'won'
)
ARRAY JOIN days AS day, amounts AS amount, arrayEnumerate(days) AS nth
GROUP BY part, funnel, day, first_campaign, currency;

CREATE MATERIALIZED VIEW IF NOT EXISTS payments_rebuilt
REFRESH EVERY 1 HOUR DEPENDS ON visits_rebuilt
(
    funnel LowCardinality(String),
    day Date,
    first_campaign LowCardinality(String),
    currency LowCardinality(String),
    won Int64,
    revenue Decimal(38, 2),
    built_at DateTime64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY (funnel, day)
EMPTY
AS
SELECT * EXCEPT part
FROM payment_parts
WHERE part = 1
SETTINGS max_threads = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS payment_days
REFRESH EVERY 30 SECOND DEPENDS ON visits_changed
(
    funnel LowCardinality(String),
    day Date,
    first_campaign LowCardinality(String),
    currency LowCardinality(String),
    won UInt64,
    revenue Decimal(38, 2)
)
ENGINE = MergeTree
ORDER BY (funnel, day)
EMPTY
AS
WITH
    (SELECT ifNull(max(built_at) = (SELECT rebuilt_at FROM fitting_parts), false) FROM payments_rebuilt) AS is_current
SELECT funnel, day, first_campaign, currency, sum(p.won) AS won, sum(p.revenue) AS revenue
FROM
(
    SELECT * EXCEPT built_at FROM payments_rebuilt WHERE is_current
    UNION ALL
    SELECT * EXCEPT (part, built_at) FROM payment_parts WHERE part = if(is_current, 2, 3)
) AS p
GROUP BY funnel, day, first_campaign, currency
HAVING won != 0 OR revenue != 0
SETTINGS max_threads = 1;
