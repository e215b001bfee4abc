-- What became of the visits that first entered a stage on a day. Recomputed as a whole from the rows as they are now and swapped in at
-- once: late events change and delete rows, so anything that only adds up what comes in would count visits twice.
--
-- A row's stage is looked up in the version of the funnel that wrote the row. A stage that is in no version counts for nothing.
-- Visits are put together in the order in which the table is sorted, so memory does not grow with their number; on one thread, which makes
-- about a million rows a second and leaves the other cores to those who read.

DROP VIEW IF EXISTS conversion_cohorts SYNC;

CREATE MATERIALIZED VIEW IF NOT EXISTS conversion_cohorts
REFRESH EVERY 30 SECOND
(
    funnel LowCardinality(String),
    stage LowCardinality(String),
    entry_day Date,
    first_channel LowCardinality(String),
    first_campaign LowCardinality(String),
    currency LowCardinality(String),
    entered UInt64,
    moved_on UInt64,
    won UInt64,
    lost UInt64,
    expired UInt64,
    waiting UInt64,
    furthest UInt64 COMMENT 'of the visits, those that came no further than this stage',
    seconds_to_move_on Float64,
    each_seconds_to_move_on Array(Float64) COMMENT 'one for each visit that moved on, for medians',
    revenue Decimal(38, 2)
)
ENGINE = MergeTree
ORDER BY (funnel, stage, entry_day)
AS
WITH
    versions AS
    (
        SELECT
            funnel,
            funnel_version,
            arrayMap(s -> s.2, arraySort(groupArray((position, toString(stage))))) AS stages,
            toString(any(timezone)) AS timezone
        FROM funnel_stages FINAL
        GROUP BY funnel, funnel_version
    ),
    funnels AS
    (
        SELECT
            funnel,
            mapFromArrays(groupArray(funnel_version), groupArray(stages)) AS stages_of,
            mapFromArrays(groupArray(funnel_version), groupArray(timezone)) AS timezone_of
        FROM versions
        GROUP BY funnel
    ),
    grouped AS
    (
        SELECT
            funnel,
            argMin((first_channel, first_campaign), step) AS first,
            groupArray(step) AS numbers,
            groupArray(toString(to_stage)) AS unsorted_names,
            groupArray(funnel_version) AS unsorted_versions,
            groupArray(toUnixTimestamp64Micro(entered_at)) AS unsorted_times,
            groupArray(amount) AS unsorted_amounts,
            groupArray(kind = 'repeat') AS unsorted_repeats,
            argMax(kind, step) AS last_kind,
            groupArray(toString(currency)) AS unsorted_currencies
        FROM stage_transitions FINAL
        GROUP BY funnel, prospect_id, visit
    ),
    -- Of each visit, arrays in the order of its steps. `repeat` rows lie in the last stage but do not win the visit again.
    visits AS
    (
        SELECT
            g.funnel AS funnel,
            first,
            arraySort((x, n) -> n, unsorted_names, numbers) AS names,
            arraySort((x, n) -> n, unsorted_versions, numbers) AS versions,
            arraySort((x, n) -> n, unsorted_times, numbers) AS times,
            arraySort((x, n) -> n, unsorted_repeats, numbers) AS repeats,
            arrayMap((name, version) -> indexOf(stages_of[version], name), names, versions) AS positions,
            arrayFirstIndex((p, v, r) -> p > 0 AND p = length(stages_of[v]) AND NOT r, positions, versions, repeats) AS winning,
            multiIf(winning > 0, 'won', last_kind IN ('lost', 'expired'), toString(last_kind), 'waiting') AS outcome,
            if(winning > 0, arraySort((x, n) -> n, unsorted_currencies, numbers)[winning], '') AS paid_in,
            arraySum((a, r, i) -> if(r OR i = winning, a, toDecimal64(0, 2)), arraySort((x, n) -> n, unsorted_amounts, numbers), repeats, arrayEnumerate(repeats)) AS paid,
            indexOf(positions, arrayMax(positions)) AS furthest,
            arrayFilter(i -> positions[i] > 0 AND indexOf(names, names[i]) = i, arrayEnumerate(names)) AS first_entries,
            timezone_of
        FROM grouped AS g
        INNER JOIN funnels AS f ON f.funnel = g.funnel
    ),
    -- One row for each stage of each visit, at its first entry.
    entries AS
    (
        SELECT
            funnel,
            outcome,
            paid_in,
            paid,
            first,
            names[entry] AS stage,
            toDate(formatDateTime(fromUnixTimestamp64Micro(times[entry], 'UTC'), '%F', timezone_of[versions[entry]])) AS entry_day,
            entry = furthest AS is_furthest,
            arrayFirstIndex((p, i) -> i > entry AND p > positions[entry], positions, arrayEnumerate(positions)) AS further,
            further > 0 AS has_moved_on,
            if(has_moved_on, times[further] - times[entry], 0) AS microseconds
        FROM visits
        ARRAY JOIN first_entries AS entry
    )
SELECT
    funnel,
    stage,
    entry_day,
    first.1 AS first_channel,
    first.2 AS first_campaign,
    paid_in AS currency,
    count() AS entered,
    countIf(has_moved_on) AS moved_on,
    countIf(outcome = 'won') AS won,
    countIf(outcome = 'lost') AS lost,
    countIf(outcome = 'expired') AS expired,
    countIf(outcome = 'waiting') AS waiting,
    countIf(is_furthest) AS furthest,
    sum(microseconds) / 1000000 AS seconds_to_move_on,
    groupArrayIf(microseconds / 1000000, has_moved_on) AS each_seconds_to_move_on,
    sum(paid) AS revenue
FROM entries
GROUP BY funnel, stage, entry_day, first_channel, first_campaign, currency
SETTINGS optimize_aggregation_in_order = 1, max_threads = 1;
