-- What is counted over all visits, each a few rows that views read at once. Recomputed after every refresh of `visits_changed`, so that all of them tell of
-- the same rows, side by side, so on one thread each. What depends on the clock (is a cohort old enough?) is left to the views.

DROP VIEW IF EXISTS conversion_cohorts SYNC;

CREATE MATERIALIZED VIEW IF NOT EXISTS conversion_cohorts
REFRESH EVERY 30 SECOND DEPENDS ON visits_changed
(
    funnel LowCardinality(String),
    stage LowCardinality(String),
    entry_day Date,
    first_channel LowCardinality(String),
    first_channel_group LowCardinality(String),
    first_campaign LowCardinality(String),
    segment LowCardinality(String),
    currency LowCardinality(String),
    entered UInt64,
    moved_on UInt64,
    won UInt64,
    lost UInt64,
    expired UInt64,
    waiting UInt64,
    undecided UInt64 COMMENT 'of the waiting, those that have not moved on',
    furthest UInt64 COMMENT 'of the visits, those that came no further than this stage',
    seconds_to_move_on Float64,
    revenue Decimal(38, 2)
)
ENGINE = MergeTree
ORDER BY (funnel, stage, entry_day)
EMPTY
AS
SELECT
    funnel,
    stage,
    entry_day,
    first_channel,
    first_channel_group,
    first_campaign,
    segment,
    currency,
    count() AS entered,
    countIf(microseconds >= 0) AS moved_on,
    countIf(outcome = 'won') AS won,
    countIf(outcome = 'lost') AS lost,
    countIf(outcome = 'expired') AS expired,
    countIf(outcome = 'waiting') AS waiting,
    countIf(outcome = 'waiting' AND microseconds < 0) AS undecided,
    countIf(place = furthest_place) AS furthest,
    sumIf(microseconds, microseconds >= 0) / 1000000 AS seconds_to_move_on,
    sum(s.revenue) AS revenue
FROM
(
    -- The segment is looked up once a visit, not once a stage of it.
    SELECT
        v.funnel AS funnel, first_channel, first_channel_group, first_campaign, a.segment AS segment, currency, outcome, v.revenue AS revenue,
        entry_stages, entry_days, move_on_microseconds, indexOf(entry_positions, v.furthest) AS furthest_place
    FROM visits AS v
    LEFT ANY JOIN (SELECT account_id, segment FROM account_segments FINAL) AS a ON a.account_id = v.account_id
) AS s
ARRAY JOIN
    entry_stages AS stage, entry_days AS entry_day, move_on_microseconds AS microseconds, arrayEnumerate(entry_stages) AS place
GROUP BY funnel, stage, entry_day, first_channel, first_channel_group, first_campaign, segment, currency
SETTINGS max_threads = 1;

-- How long visits were in a stage before they moved on: medians can't be put together from those of parts.
DROP VIEW IF EXISTS velocity_stages SYNC;

CREATE MATERIALIZED VIEW IF NOT EXISTS velocity_stages
REFRESH EVERY 30 SECOND DEPENDS ON visits_changed
(
    funnel LowCardinality(String),
    stage LowCardinality(String),
    moved_on UInt64,
    quantiles Array(Float64) COMMENT 'median, three quarters, nine tenths, in microseconds'
)
ENGINE = MergeTree
ORDER BY (funnel, stage)
EMPTY
AS
SELECT funnel, stage, count() AS moved_on, quantilesExactInclusive(0.5, 0.75, 0.9)(microseconds) AS quantiles
FROM visits
ARRAY JOIN entry_stages AS stage, move_on_microseconds AS microseconds
WHERE microseconds >= 0
GROUP BY funnel, stage
SETTINGS max_threads = 1;

-- The same by the week in which they entered it.
DROP VIEW IF EXISTS velocity_weeks SYNC;

CREATE MATERIALIZED VIEW IF NOT EXISTS velocity_weeks
REFRESH EVERY 30 SECOND DEPENDS ON visits_changed
(
    funnel LowCardinality(String),
    stage LowCardinality(String),
    week Date,
    moved_on UInt64,
    quantiles Array(Float64) COMMENT 'as in velocity_stages'
)
ENGINE = MergeTree
ORDER BY (funnel, stage, week)
EMPTY
AS
SELECT
    funnel, stage, toMonday(entry_day) AS week, count() AS moved_on, quantilesExactInclusive(0.5, 0.75, 0.9)(microseconds) AS quantiles
FROM visits
ARRAY JOIN entry_stages AS stage, entry_days AS entry_day, move_on_microseconds AS microseconds
WHERE microseconds >= 0
GROUP BY funnel, stage, week
SETTINGS max_threads = 1;

-- How many visits, of those that were opened in a week, had come to a place in the funnel or beyond it after how many days. All are at the first
-- place, after 0 days. A place is that of the newest version that has the stage.
DROP VIEW IF EXISTS cohort_days SYNC;

CREATE MATERIALIZED VIEW IF NOT EXISTS cohort_days
REFRESH EVERY 30 SECOND DEPENDS ON visits_changed
(
    funnel LowCardinality(String),
    week Date,
    position UInt16,
    day UInt32,
    visits UInt64,
    first_opened_at DateTime64(6, 'UTC'),
    last_opened_at DateTime64(6, 'UTC')
)
ENGINE = MergeTree
ORDER BY (funnel, week, position, day)
EMPTY
AS
WITH reached AS
    (
        -- An element that came from place `below` to place `place` reached all in between on that day.
        SELECT
            funnel, toMonday(opened_on) AS week, below, place, day,
            count() AS number, min(opened_at) AS first, max(opened_at) AS last
        FROM visits
        ARRAY JOIN arrayShiftRight(reach_places, 1) AS below, reach_places AS place, reach_days AS day
        GROUP BY funnel, week, below, place, day
    )
SELECT
    funnel,
    week,
    position,
    day,
    sum(number) AS visits,
    min(first) AS first_opened_at,
    max(last) AS last_opened_at
FROM reached
ARRAY JOIN range(below + 1, place + 1) AS position
GROUP BY funnel, week, position, day
SETTINGS max_threads = 1;

-- How visits ended (or that they didn't), by where they came from.
DROP VIEW IF EXISTS visit_outcomes SYNC;

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
SELECT
    funnel,
    first_channel_group,
    first_campaign,
    currency,
    outcome,
    lost_from AS from_stage,
    reason,
    count() AS visits,
    countIf(furthest >= 2) AS leads,
    sum(v.revenue) AS revenue
FROM visits AS v
WHERE v.furthest > 0
GROUP BY funnel, first_channel_group, first_campaign, currency, outcome, from_stage, reason
SETTINGS max_threads = 1;

-- How often visits moved from one stage to another, and how many did.
DROP VIEW IF EXISTS flow_moves SYNC;

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
WITH ways AS
    (
        -- There are far fewer ways than visits.
        SELECT
            funnel,
            arrayMap(row -> splitByChar('\x1f', row), splitByChar('\x1e', path)) AS rows,
            arrayMap(row -> row[2], rows) AS to_stages,
            arrayZip(arrayPushFront(arrayPopBack(to_stages), ''), to_stages, arrayMap(row -> row[1], rows)) AS all_moves,
            count() AS number
        FROM visits
        WHERE furthest > 0
        GROUP BY funnel, path
    )
SELECT
    funnel,
    move.1 AS from_stage,
    move.2 AS to_stage,
    move.3 AS kind,
    sumIf(number, nth = 1) AS visits,
    sum(number) AS moves
FROM ways
ARRAY JOIN all_moves AS move, arrayEnumerateUniq(all_moves) AS nth
GROUP BY funnel, from_stage, to_stage, kind
SETTINGS max_threads = 1;

-- When which campaign's visits were won, and when money came in: repeats on their own day.
DROP VIEW IF EXISTS payment_days SYNC;

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
SELECT funnel, day, first_campaign, currency, countIf(nth = 1) AS won, sum(amount) AS revenue
FROM
(
    SELECT
        funnel, first_campaign, currency,
        arrayPushFront(repeat_days, assumeNotNull(closed_on)) AS days,
        arrayPushFront(repeat_amounts, v.revenue - arraySum(repeat_amounts)) AS amounts
    FROM visits AS v
    WHERE outcome = 'won'
)
ARRAY JOIN days AS day, amounts AS amount, arrayEnumerate(days) AS nth
GROUP BY funnel, day, first_campaign, currency
SETTINGS max_threads = 1;

-- Who was won in a month, and how many of them paid again so many months later.
DROP VIEW IF EXISTS retention_months SYNC;

CREATE MATERIALIZED VIEW IF NOT EXISTS retention_months
REFRESH EVERY 30 SECOND DEPENDS ON visits_changed
(
    funnel LowCardinality(String),
    month Date,
    months_after UInt16,
    customers UInt64 COMMENT 'only where months_after is 0',
    repeated UInt64,
    revenue Map(LowCardinality(String), Decimal(38, 2))
)
ENGINE = MergeTree
ORDER BY (funnel, month, months_after)
EMPTY
AS
WITH
    customers AS
    (
        SELECT
            funnel,
            prospect_id,
            groupArrayArray(arrayMap(d -> toStartOfMonth(d), arrayPushFront(repeat_days, assumeNotNull(closed_on)))) AS months,
            groupArrayArray(arrayPushFront(repeat_amounts, v.revenue - arraySum(repeat_amounts))) AS amounts,
            groupArrayArray(arrayResize([currency], 1 + length(repeat_days), currency)) AS currencies
        FROM visits AS v
        WHERE outcome = 'won'
        GROUP BY funnel, prospect_id
    ),
    payments AS
    (
        SELECT funnel, arrayMin(months) AS month, paid_in, amount, currency, nth, toUInt16(dateDiff('month', month, paid_in)) AS months_after
        FROM customers
        ARRAY JOIN months AS paid_in, amounts AS amount, currencies AS currency, arrayEnumerateUniq(months) AS nth
    )
SELECT
    funnel,
    month,
    months_after,
    countIf(months_after = 0 AND nth = 1) AS customers,
    countIf(nth = if(months_after = 0, 2, 1)) AS repeated,
    sumMapIf(map(currency, toDecimal128(amount, 2)), amount != 0) AS revenue
FROM payments
GROUP BY funnel, month, months_after
SETTINGS max_threads = 1;

-- How accounts stand: as the furthest of their people does, or as most of them do, as the funnel file says. People stand where their last visit does;
-- the order is expired, lost, the stages, won.
DROP VIEW IF EXISTS account_standings SYNC;

CREATE MATERIALIZED VIEW IF NOT EXISTS account_standings
REFRESH EVERY 30 SECOND DEPENDS ON visits_changed
(
    funnel LowCardinality(String),
    account_id String,
    segment LowCardinality(String),
    policy LowCardinality(String),
    stage LowCardinality(String),
    position UInt16,
    status LowCardinality(String),
    buying_group UInt64,
    open UInt64,
    won UInt64,
    lost UInt64,
    revenue Map(LowCardinality(String), Decimal(38, 2)),
    last_activity_at Nullable(DateTime64(6, 'UTC'))
)
ENGINE = MergeTree
ORDER BY (funnel, account_id)
EMPTY
AS
WITH
    stages AS
    (
        SELECT funnel, stage, argMax(position, funnel_version) AS position
        FROM funnel_stages FINAL
        GROUP BY funnel, stage
    ),
    funnels AS
    (
        SELECT
            funnel,
            argMax(toString(account_policy), funnel_version) AS policy,
            argMax((toString(stage), position), (funnel_version, position)) AS last
        FROM funnel_stages FINAL
        GROUP BY funnel
    ),
    people AS
    (
        SELECT
            funnel, account_id, status, p.stage AS stage, count() AS number, max(last_activity_at) AS active_at
        FROM prospects AS p FINAL
        WHERE account_id != ''
        GROUP BY funnel, account_id, status, stage
    ),
    ranked AS
    (
        SELECT
            p.funnel AS funnel,
            p.account_id AS account_id,
            any(f.policy) AS policy,
            groupArray((number, (
                transform(toString(status), ['lost', 'open', 'won'], [1, 2, 3], 0),
                multiIf(status = 'won', f.last.2, status = 'open', s.position, 0),
                multiIf(status = 'won', f.last.1, toString(p.stage)),
                toString(status)))) AS standings,
            sum(number) AS buying_group,
            sumIf(number, status = 'open') AS open,
            sumIf(number, status = 'won') AS won,
            sumIf(number, status = 'lost') AS lost,
            max(active_at) AS last_activity_at
        FROM people AS p
        INNER JOIN funnels AS f ON f.funnel = p.funnel
        LEFT JOIN stages AS s ON s.funnel = p.funnel AND s.stage = p.stage
        GROUP BY p.funnel, p.account_id
    ),
    stands AS
    (
        SELECT
            * EXCEPT standings,
            if(policy = 'majority', arraySort(standings)[-1].2, arraySort(s -> s.2, standings)[-1].2) AS standing
        FROM ranked
    ),
    paid AS
    (
        SELECT funnel, account_id, sumMap(map(currency, total)) AS revenue
        FROM
        (
            SELECT funnel, account_id, currency, toDecimal128(sum(v.revenue), 2) AS total
            FROM visits AS v
            WHERE outcome = 'won' AND account_id != ''
            GROUP BY funnel, account_id, currency
            HAVING total != 0
        )
        GROUP BY funnel, account_id
    )
SELECT
    a.funnel AS funnel,
    a.account_id AS account_id,
    g.segment AS segment,
    if(a.policy = '', f.policy, a.policy) AS policy,
    a.standing.3 AS stage,
    a.standing.2 AS position,
    a.standing.4 AS status,
    a.buying_group AS buying_group,
    a.open AS open,
    a.won AS won,
    a.lost AS lost,
    a.revenue AS revenue,
    if(a.buying_group = 0, NULL, a.last_activity_at) AS last_activity_at
FROM
(
    SELECT
        if(s.account_id = '', p.funnel, s.funnel) AS funnel,
        if(s.account_id = '', p.account_id, s.account_id) AS account_id,
        s.policy AS policy, s.standing AS standing, s.buying_group AS buying_group, s.open AS open, s.won AS won, s.lost AS lost,
        s.last_activity_at AS last_activity_at,
        p.revenue AS revenue
    FROM stands AS s
    FULL JOIN paid AS p ON p.funnel = s.funnel AND p.account_id = s.account_id
) AS a
INNER JOIN funnels AS f ON f.funnel = a.funnel
LEFT JOIN (SELECT account_id, segment FROM account_segments FINAL) AS g ON g.account_id = a.account_id
SETTINGS max_threads = 1;
