-- What is counted over all visits, each a few rows that views read at once. Recomputed after every refresh of `visits_changed`, so that all of them tell of
-- the same rows, side by side, so on one thread each. What depends on the clock (is a cohort old enough?) is left to the views.
--
-- An aggregate of what can be counted with signs is three relations: `..._parts` says how it is counted, `..._rebuilt` is that of the rebuilt visits,
-- once an hour, and the one that is read is that with what changed since. How they stay one number is in docs/adr/024-counted-by-differences.md.

DROP VIEW IF EXISTS conversion_cohorts SYNC;

DROP VIEW IF EXISTS conversion_rebuilt SYNC;

CREATE OR REPLACE VIEW conversion_parts
AS
SELECT
    part,
    funnel,
    stage,
    entry_day,
    first_channel,
    first_channel_group,
    first_campaign,
    segment,
    currency,
    sum(sign) AS entered,
    sumIf(sign, microseconds >= 0) AS moved_on,
    sumIf(sign, outcome = 'won') AS won,
    sumIf(sign, outcome = 'lost') AS lost,
    sumIf(sign, outcome = 'expired') AS expired,
    sumIf(sign, outcome = 'waiting') AS waiting,
    sumIf(sign, outcome = 'waiting' AND microseconds < 0) AS undecided,
    sumIf(sign, place = furthest_place) AS furthest,
    sumIf(sign * microseconds, microseconds >= 0) AS microseconds_to_move_on,
    sum(sign * s.revenue) AS revenue,
    max(s.built_at) AS built_at
FROM
(
    -- The segment is looked up once a visit, not once a stage of it.
    SELECT
        v.part AS part, v.sign AS sign, v.built_at AS built_at, v.funnel AS funnel, first_channel, first_channel_group, first_campaign,
        a.segment AS segment, currency, outcome, v.revenue AS revenue,
        entry_stages, entry_days, move_on_microseconds, indexOf(entry_positions, v.furthest) AS furthest_place
    FROM visit_parts AS v
    LEFT ANY JOIN (SELECT account_id, segment FROM account_segments FINAL) AS a ON a.account_id = v.account_id
) AS s
ARRAY JOIN
    entry_stages AS stage, entry_days AS entry_day, move_on_microseconds AS microseconds, arrayEnumerate(entry_stages) AS place
GROUP BY part, funnel, stage, entry_day, first_channel, first_channel_group, first_campaign, segment, currency;

CREATE MATERIALIZED VIEW IF NOT EXISTS conversion_rebuilt
REFRESH EVERY 1 HOUR DEPENDS ON visits_rebuilt
(
    funnel LowCardinality(String),
    stage LowCardinality(String),
    entry_day Date,
    first_channel LowCardinality(String),
    first_channel_group LowCardinality(String),
    first_campaign LowCardinality(String),
    segment LowCardinality(String),
    currency LowCardinality(String),
    entered Int64,
    moved_on Int64,
    won Int64,
    lost Int64,
    expired Int64,
    waiting Int64,
    undecided Int64,
    furthest Int64,
    microseconds_to_move_on Int64,
    revenue Decimal(38, 2),
    built_at DateTime64(3, 'UTC') COMMENT 'that of `visits_rebuilt`',
    segments_at DateTime64(3, 'UTC') COMMENT 'when the last segment was loaded'
)
ENGINE = MergeTree
ORDER BY (funnel, stage, entry_day)
EMPTY
AS
SELECT * EXCEPT part, (SELECT max(written_at) FROM account_segments) AS segments_at
FROM conversion_parts
WHERE part = 1
SETTINGS max_threads = 1, max_bytes_before_external_group_by = 1000000000;

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
WITH
    -- The rebuilt visits were counted by the segments that were known then.
    (SELECT ifNull(max(built_at) = (SELECT rebuilt_at FROM fitting_parts), false) FROM conversion_rebuilt WHERE segments_at = (SELECT max(written_at) FROM account_segments)) AS is_current
SELECT
    funnel, stage, entry_day, first_channel, first_channel_group, first_campaign, segment, currency,
    sum(p.entered) AS entered,
    sum(p.moved_on) AS moved_on,
    sum(p.won) AS won,
    sum(p.lost) AS lost,
    sum(p.expired) AS expired,
    sum(p.waiting) AS waiting,
    sum(p.undecided) AS undecided,
    sum(p.furthest) AS furthest,
    sum(microseconds_to_move_on) / 1000000 AS seconds_to_move_on,
    sum(p.revenue) AS revenue
FROM
(
    SELECT * EXCEPT (built_at, segments_at) FROM conversion_rebuilt WHERE is_current
    UNION ALL
    SELECT * EXCEPT (part, built_at) FROM conversion_parts WHERE part = if(is_current, 2, 3)
) AS p
GROUP BY funnel, stage, entry_day, first_channel, first_channel_group, first_campaign, segment, currency
HAVING entered != 0
SETTINGS max_threads = 1, max_bytes_before_external_group_by = 1000000000;

-- The aggregate of the contract: the others' dimensions are summed up.
CREATE OR REPLACE VIEW conversion_facts
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
SELECT
    funnel, stage, entry_day, first_channel, first_campaign, currency,
    sum(c.entered) AS entered,
    sum(c.moved_on) AS moved_on,
    sum(c.won) AS won,
    sum(c.lost) AS lost,
    sum(c.expired) AS expired,
    sum(c.waiting) AS waiting,
    sum(c.seconds_to_move_on) AS seconds_to_move_on,
    sum(c.revenue) AS revenue
FROM conversion_cohorts AS c
GROUP BY funnel, stage, entry_day, first_channel, first_campaign, currency;

-- As `conversion_facts`, by channel group and account segment as well.
CREATE OR REPLACE VIEW conversion_by_group
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
SELECT
    funnel, stage, entry_day, first_channel, first_channel_group, first_campaign, segment, currency,
    entered, moved_on, won, lost, expired, waiting, seconds_to_move_on, revenue
FROM conversion_cohorts;

-- One row a stage, in order. A stage that only older versions of the funnel have is shown while visits in it count.
CREATE OR REPLACE VIEW funnel
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
WITH
    stages AS
    (
        SELECT
            funnel,
            stage,
            argMax(position, funnel_version) AS position,
            argMax(team, funnel_version) AS team,
            max(funnel_version) AS newest
        FROM funnel_stages FINAL
        GROUP BY funnel, stage
    ),
    counted AS
    (
        SELECT
            funnel,
            stage,
            sum(entered) AS entered,
            sum(moved_on) AS moved_on,
            sum(won) AS won,
            sum(lost) AS lost,
            sum(expired) AS expired,
            sum(waiting) AS waiting,
            sum(furthest) AS furthest,
            sum(seconds_to_move_on) AS seconds_to_move_on,
            sumMapIf(map(currency, revenue), revenue != 0) AS revenue
        FROM conversion_cohorts
        GROUP BY funnel, stage
    )
SELECT
    funnel,
    position,
    stage,
    team,
    entered,
    sum(furthest) OVER (PARTITION BY funnel ORDER BY position DESC, stage DESC ROWS UNBOUNDED PRECEDING) AS reached,
    moved_on,
    won,
    lost,
    expired,
    waiting,
    seconds_to_move_on,
    revenue
FROM
(
    SELECT s.*, c.* EXCEPT (funnel, stage), newest = max(newest) OVER (PARTITION BY funnel) AS is_current
    FROM stages AS s
    LEFT JOIN counted AS c ON c.funnel = s.funnel AND c.stage = s.stage
)
WHERE is_current OR entered > 0
ORDER BY funnel, position, stage;

-- How long visits were in a stage before they moved on, in all and by the week in which they entered it: medians can't be put together from those of
-- parts, nor told by differences.
DROP VIEW IF EXISTS velocity SYNC;

CREATE MATERIALIZED VIEW IF NOT EXISTS velocity
REFRESH EVERY 30 SECOND DEPENDS ON visits_changed
(
    funnel LowCardinality(String),
    stage LowCardinality(String),
    is_all_weeks Bool,
    week Date COMMENT 'of no meaning where it is all weeks',
    moved_on UInt64,
    quantiles Array(Float64) COMMENT 'median, three quarters, nine tenths, in microseconds'
)
ENGINE = MergeTree
ORDER BY (funnel, is_all_weeks, stage, week)
EMPTY
AS
WITH weeks AS
    (
        SELECT funnel, stage, toMonday(entry_day) AS week, groupArray(microseconds) AS each_microseconds
        FROM visits
        ARRAY JOIN entry_stages AS stage, entry_days AS entry_day, move_on_microseconds AS microseconds
        WHERE microseconds >= 0
        GROUP BY funnel, stage, week
    )
SELECT
    funnel,
    stage,
    (grouping(week) = 1)::Bool AS is_all_weeks,
    week,
    sum(length(each_microseconds)) AS moved_on,
    quantilesExactInclusiveArray(0.5, 0.75, 0.9)(each_microseconds) AS quantiles
FROM weeks
GROUP BY GROUPING SETS ((funnel, stage, week), (funnel, stage))
SETTINGS max_threads = 1;

-- How many visits, of those that were opened in a week, had come to a place in the funnel or beyond it after how many days. All are at the first
-- place, after 0 days. A place is that of the newest version that has the stage.
DROP VIEW IF EXISTS cohort_days SYNC;

DROP VIEW IF EXISTS cohort_rebuilt SYNC;

CREATE OR REPLACE VIEW cohort_parts
AS
WITH reached AS
    (
        -- An element that came from place `below` to place `place` reached all in between on that day.
        SELECT part, funnel, toMonday(opened_on) AS week, below, place, day, sum(sign) AS number, max(v.built_at) AS at
        FROM visit_parts AS v
        ARRAY JOIN arrayShiftRight(reach_places, 1) AS below, reach_places AS place, reach_days AS day
        GROUP BY part, funnel, week, below, place, day
    )
SELECT part, funnel, week, position, day, sum(number) AS visits, max(at) AS built_at
FROM reached
ARRAY JOIN range(below + 1, place + 1) AS position
GROUP BY part, funnel, week, position, day;

CREATE MATERIALIZED VIEW IF NOT EXISTS cohort_rebuilt
REFRESH EVERY 1 HOUR DEPENDS ON visits_rebuilt
(
    funnel LowCardinality(String),
    week Date,
    position UInt16,
    day UInt32,
    visits Int64,
    built_at DateTime64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY (funnel, week, position, day)
EMPTY
AS
SELECT * EXCEPT part
FROM cohort_parts
WHERE part = 1
SETTINGS max_threads = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS cohort_days
REFRESH EVERY 30 SECOND DEPENDS ON visits_changed
(
    funnel LowCardinality(String),
    week Date,
    position UInt16,
    day UInt32,
    visits UInt64,
    first_opened_at DateTime64(6, 'UTC') COMMENT 'of all visits of the week',
    last_opened_at DateTime64(6, 'UTC') COMMENT 'of all visits of the week'
)
ENGINE = MergeTree
ORDER BY (funnel, week, position, day)
EMPTY
AS
WITH
    (SELECT ifNull(max(built_at) = (SELECT rebuilt_at FROM fitting_parts), false) FROM cohort_rebuilt) AS is_current,
    counted AS
    (
        SELECT funnel, week, position, day, sum(p.visits) AS visits
        FROM
        (
            SELECT * EXCEPT built_at FROM cohort_rebuilt WHERE is_current
            UNION ALL
            SELECT * EXCEPT (part, built_at) FROM cohort_parts WHERE part = if(is_current, 2, 3)
        ) AS p
        GROUP BY funnel, week, position, day
        HAVING visits != 0
    ),
    -- The first and the last can't be told by differences.
    bounds AS
    (
        SELECT funnel, toMonday(opened_on) AS week, min(opened_at) AS first, max(opened_at) AS last
        FROM visits
        WHERE notEmpty(reach_places)
        GROUP BY funnel, week
    )
SELECT
    c.funnel AS funnel, c.week AS week, position, day, visits, b.first AS first_opened_at, b.last AS last_opened_at
FROM counted AS c
INNER JOIN bounds AS b ON b.funnel = c.funnel AND b.week = c.week
SETTINGS max_threads = 1;
