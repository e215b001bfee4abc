-- Each visit as one row: the one pass over all transitions, from which every aggregate is made. Recomputed as a whole from the rows as they are
-- now and swapped in at once: late events change and delete rows, so anything that only adds up what comes in would count visits twice.
--
-- A row's stage is looked up in the version of the funnel that wrote the row. A stage that is in no version counts for nothing.

DROP VIEW IF EXISTS visits SYNC;

CREATE MATERIALIZED VIEW IF NOT EXISTS visits
REFRESH EVERY 30 SECOND
(
    funnel LowCardinality(String),
    prospect_id UUID,
    visit UInt32,
    first_channel LowCardinality(String),
    first_channel_group LowCardinality(String),
    first_campaign LowCardinality(String),
    account_id String COMMENT 'of the latest row',
    opened_at DateTime64(6, 'UTC'),
    opened_on Date COMMENT 'days are of the funnel''s time zone',
    outcome LowCardinality(String) COMMENT 'won, lost, expired or waiting',
    closed_at Nullable(DateTime64(6, 'UTC')),
    closed_on Nullable(Date),
    currency LowCardinality(String) COMMENT 'of the winning row',
    revenue Decimal(18, 2) COMMENT 'of the winning row and the repeats',
    reason LowCardinality(String) COMMENT 'of the row by which it was lost',
    furthest UInt16 COMMENT 'position',
    stages Array(LowCardinality(String)) COMMENT 'to_stage of all rows, in order, as the next three',
    positions Array(UInt16) COMMENT 'in the version that wrote the row',
    kinds Array(LowCardinality(String)),
    moved_at Array(DateTime64(6, 'UTC')),
    entry_stages Array(LowCardinality(String)) COMMENT 'that were entered, one element a stage at its first entry, as in the next four',
    entry_positions Array(UInt16),
    entry_at Array(DateTime64(6, 'UTC')),
    entry_days Array(Date),
    move_on_microseconds Array(Int64) COMMENT 'to the first later entry of a further stage, -1 for none',
    repeats_at Array(DateTime64(6, 'UTC')) COMMENT 'of the rows of kind repeat, as in the next two',
    repeat_days Array(Date),
    repeat_amounts Array(Decimal(18, 2))
)
ENGINE = MergeTree
ORDER BY (funnel, prospect_id, visit)
AS
WITH
    versions AS
    (
        SELECT
            funnel,
            funnel_version,
            arrayMap(s -> s.2, arraySort(groupArray((position, toString(stage))))) AS stage_names,
            toString(any(timezone)) AS timezone
        FROM funnel_stages FINAL
        GROUP BY funnel, funnel_version
    ),
    funnels AS
    (
        SELECT
            funnel,
            mapFromArrays(groupArray(funnel_version), groupArray(stage_names)) AS stages_of,
            mapFromArrays(groupArray(funnel_version), groupArray(timezone)) AS timezone_of
        FROM versions
        GROUP BY funnel
    ),
    grouped AS
    (
        SELECT
            funnel,
            prospect_id,
            visit,
            argMin((first_channel, first_channel_group, first_campaign), step) AS first,
            argMax(account_id, step) AS account_id,
            argMax(reason, step) AS last_reason,
            arraySort(r -> r.1, groupArray((step, toString(to_stage), toString(kind), funnel_version, toUnixTimestamp64Micro(entered_at), amount, toString(currency)))) AS rows
        FROM stage_transitions FINAL
        GROUP BY funnel, prospect_id, visit
    ),
    told AS
    (
        SELECT
            g.funnel AS funnel, prospect_id, visit, first, account_id, last_reason,
            rows.2 AS names,
            rows.3 AS row_kinds,
            rows.4 AS row_versions,
            rows.5 AS times,
            rows.6 AS amounts,
            rows.7 AS currencies,
            arrayMap((name, version) -> indexOf(stages_of[version], name), names, row_versions) AS places,
            -- `repeat` rows lie in the last stage but do not win the visit again.
            arrayFirstIndex((p, v, k) -> p > 0 AND p = length(stages_of[v]) AND k != 'repeat', places, row_versions, row_kinds) AS winning,
            multiIf(winning > 0, 'won', row_kinds[-1] IN ('lost', 'expired'), row_kinds[-1], 'waiting') AS outcome,
            arrayFilter(i -> places[i] > 0 AND indexOf(names, names[i]) = i, arrayEnumerate(names)) AS first_entries,
            arrayMap(i -> arrayFirstIndex((p, n) -> n > i AND p > places[i], places, arrayEnumerate(places)), first_entries) AS moves_on,
            arrayFilter((i, k) -> k = 'repeat', arrayEnumerate(row_kinds), row_kinds) AS repeats,
            arrayMap((t, v) -> toDate(formatDateTime(fromUnixTimestamp64Micro(t, 'UTC'), '%F', timezone_of[v])), times, row_versions) AS days
        FROM grouped AS g
        INNER JOIN funnels AS f ON f.funnel = g.funnel
    )
SELECT
    funnel,
    prospect_id,
    visit,
    first.1 AS first_channel,
    first.2 AS first_channel_group,
    first.3 AS first_campaign,
    account_id,
    fromUnixTimestamp64Micro(times[1], 'UTC') AS opened_at,
    days[1] AS opened_on,
    outcome,
    multiIf(winning > 0, fromUnixTimestamp64Micro(times[winning], 'UTC'), outcome != 'waiting', fromUnixTimestamp64Micro(times[-1], 'UTC'), NULL) AS closed_at,
    multiIf(winning > 0, days[winning], outcome != 'waiting', days[-1], NULL) AS closed_on,
    if(winning > 0, currencies[winning], '') AS currency,
    if(winning > 0, amounts[winning], toDecimal64(0, 2)) + arraySum(repeat_amounts) AS revenue,
    if(outcome = 'lost', last_reason, '') AS reason,
    arrayMax(places) AS furthest,
    names AS stages,
    places AS positions,
    row_kinds AS kinds,
    arrayMap(t -> fromUnixTimestamp64Micro(t, 'UTC'), times) AS moved_at,
    arrayMap(i -> names[i], first_entries) AS entry_stages,
    arrayMap(i -> places[i], first_entries) AS entry_positions,
    arrayMap(i -> fromUnixTimestamp64Micro(times[i], 'UTC'), first_entries) AS entry_at,
    arrayMap(i -> days[i], first_entries) AS entry_days,
    arrayMap((i, further) -> if(further > 0, times[further] - times[i], -1), first_entries, moves_on) AS move_on_microseconds,
    arrayMap(i -> fromUnixTimestamp64Micro(times[i], 'UTC'), repeats) AS repeats_at,
    arrayMap(i -> days[i], repeats) AS repeat_days,
    arrayMap(i -> amounts[i], repeats) AS repeat_amounts
FROM told
SETTINGS optimize_aggregation_in_order = 1, max_threads = 1;
