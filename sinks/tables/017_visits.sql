-- One row a visit, which all reports are computed from, so that they need not put the rows of `stage_transitions` together each for itself.
--
-- Putting all visits together takes longer than reports may be behind, once there are some ten million of them (docs/adr/019-visits.md). So that is
-- done now and then (`visits_rebuilt`), and in between only for the prospects of whom a row was written since (`visits_changed`): again from all
-- their rows as they are now, so a visit that went or a row that was replaced needs no care. `visits` is the two put together.

DROP VIEW IF EXISTS visits_changed SYNC;

DROP VIEW IF EXISTS changed_prospects SYNC;

DROP VIEW IF EXISTS visits_rebuilt SYNC;

-- How visits are computed. Read it for a few prospects (`WHERE prospect_id IN ...` is pushed down to the key of the table); for all take `visits`.
--
-- A row's stage is looked up in the version of the funnel that wrote the row: `numbers` gives each (funnel, version, stage) a number, 0 where no
-- version has it, and the arrays `known_...` what there is to know of each. A row is then three integers in a `codes` element, in the order of
-- steps: strings, and tuples, are what makes grouping slow. `any` is exact where all rows of a visit have the same.
CREATE OR REPLACE VIEW visits_now
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
WITH
    numbered AS
    (
        SELECT
            *,
            position = max(position) OVER (PARTITION BY funnel, funnel_version) AS is_last,
            argMax(position, funnel_version) OVER (PARTITION BY funnel, stage) AS place,
            row_number() OVER (ORDER BY funnel, funnel_version, position) AS number
        FROM
        (
            SELECT toString(f.funnel) AS funnel, funnel_version, position, toString(f.stage) AS stage, toString(f.timezone) AS timezone
            FROM funnel_stages AS f FINAL
        )
    ),
    (
        SELECT (groupArray(funnel), groupArray(funnel_version), groupArray(stage), groupArray(position), groupArray(place), groupArray(is_last), groupArray(timezone))
        FROM (SELECT * FROM numbered ORDER BY number)
    ) AS known,
    (SELECT arrayDistinct(known.1)) AS funnels,
    (SELECT arrayDistinct(known.2)) AS versions,
    (SELECT arrayDistinct(known.3)) AS names,
    (SELECT known.3) AS known_stages,
    (SELECT known.4) AS known_positions,
    (SELECT known.5) AS known_places,
    (SELECT known.6) AS known_lasts,
    (SELECT known.7) AS known_timezones,
    (
        SELECT arrayMap(
            (f, v, s) -> (indexOf(funnels, f) * (length(versions) + 1) + indexOf(versions, v)) * (length(names) + 1) + indexOf(names, s),
            known.1, known.2, known.3)
    ) AS slots,
    (SELECT arrayMap(slot -> indexOf(slots, slot), range((length(funnels) + 1) * (length(versions) + 1) * (length(names) + 1)))) AS numbers,
    ['enter', 'advance', 'skip', 'back', 'repeat', 'lost', 'expired'] AS kind_names,
    moves AS
    (
        SELECT
            funnel, prospect_id, visit, step, first_channel, first_channel_group, first_campaign, account_id, reason, currency, amount, entered_at,
            touched_at, touch_channel_groups, touch_campaigns,
            transform(kind, kind_names, arrayEnumerate(kind_names), 0) AS kind_number,
            numbers[
                (transform(funnel, funnels, arrayEnumerate(funnels), 0) * (length(versions) + 1)
                + transform(funnel_version, versions, arrayEnumerate(versions), 0)) * (length(names) + 1)
                + transform(to_stage, names, arrayEnumerate(names), 0) + 1] AS number,
            kind_number = 5 AS is_repeat,
            known_lasts[number] AND NOT is_repeat AS is_win
        FROM stage_transitions FINAL
    ),
    grouped AS
    (
        SELECT
            funnel,
            prospect_id,
            visit,
            any(m.first_channel) AS first_channel,
            any(m.first_channel_group) AS first_channel_group,
            any(m.first_campaign) AS first_campaign,
            argMax(m.account_id, step) AS account_id,
            anyIf(m.reason, kind_number = 6) AS reason,
            anyIf(m.currency, is_win) AS currency,
            sumIf(amount, is_win OR is_repeat) AS revenue,
            arraySort(groupArray(bitOr(bitShiftLeft(toUInt64(step), 32), bitOr(bitShiftLeft(toUInt64(kind_number), 28), toUInt64(number))))) AS codes,
            arraySort(groupArray(toUnixTimestamp64Micro(entered_at))) AS times,
            arraySort(groupArrayIf((step, amount), is_repeat)) AS repeats,
            -- Only the row that closes it has any.
            groupArrayArray(m.touched_at) AS touched_at,
            groupArrayArray(m.touch_channel_groups) AS touch_channel_groups,
            groupArrayArray(m.touch_campaigns) AS touch_campaigns
        FROM moves AS m
        GROUP BY funnel, prospect_id, visit
    ),
    decoded AS
    (
        SELECT
            *,
            arrayMap(code -> bitAnd(bitShiftRight(code, 28), 15), codes) AS kind_numbers,
            arrayMap(code -> bitAnd(code, 268435455), codes) AS stage_numbers,
            arrayMap(kind -> kind_names[kind], kind_numbers) AS kinds,
            arrayMap((number, kind) -> if(number = 0 AND kind IN (6, 7), kind_names[kind], known_stages[number]), stage_numbers, kind_numbers) AS stages,
            arrayMap(number -> known_positions[number], stage_numbers) AS positions,
            arrayFirstIndex((number, kind) -> known_lasts[number] AND kind != 5, stage_numbers, kind_numbers) AS winning,
            multiIf(winning > 0, winning, kinds[-1] IN ('lost', 'expired'), length(codes), 0) AS closing,
            multiIf(winning > 0, 'won', closing > 0, kinds[-1], 'waiting') AS outcome,
            arrayMap((place, position) -> place = 1 AND position > 0, arrayEnumerateUniq(stages), positions) AS is_first,
            arrayFilter((one, kept) -> kept, arrayMap(number -> known_places[number], stage_numbers), is_first) AS entry_places,
            arrayFilter((one, kept) -> kept, arrayMap(time -> toUInt32(intDiv(time - times[1] + 86399999999, 86400000000)), times), is_first) AS entry_after,
            if(
                arrayAll(number -> known_timezones[number] IN ('UTC', ''), stage_numbers),
                arrayMap(time -> toDate(fromUnixTimestamp64Micro(time, 'UTC')), times),
                arrayMap(
                    (time, number) -> toDate(formatDateTime(fromUnixTimestamp64Micro(time, 'UTC'), '%F', known_timezones[if(number = 0, stage_numbers[1], number)])),
                    times, stage_numbers)) AS days,
            -- Until there was a move back, the next row is the first one that can be further.
            if(
                has(kind_numbers, 4),
                arrayMap(
                    (time, position, i) ->
                    (
                        arrayFirstIndex((later, j) -> j > i AND later > position, positions, arrayEnumerate(positions)) AS further,
                        if(further > 0, times[further] - time, -1)
                    ).2,
                    times, positions, arrayEnumerate(times)),
                arrayMap(
                    (time, position, next_time, next_position) -> if(next_position > position, next_time - time, -1),
                    times, positions, arrayShiftLeft(times, 1), arrayShiftLeft(positions, 1))) AS microseconds
        FROM grouped
    )
SELECT
    funnel,
    prospect_id,
    visit,
    moved_at[1] AS opened_at,
    days[1] AS opened_on,
    first_channel,
    first_channel_group,
    first_campaign,
    account_id,
    outcome,
    if(closing > 0, moved_at[closing], NULL) AS closed_at,
    if(closing > 0, days[closing], NULL) AS closed_on,
    currency,
    revenue,
    reason,
    if(outcome = 'lost', stages[-2], '') AS lost_from,
    arrayMax(positions) AS furthest,
    arrayStringConcat(arrayMap((kind, stage) -> concat(kind, '\x1f', stage), kinds, stages), '\x1e') AS path,
    stages,
    positions,
    kinds,
    arrayMap(time -> fromUnixTimestamp64Micro(time, 'UTC'), times) AS moved_at,
    arrayFilter((one, kept) -> kept, stages, is_first) AS entry_stages,
    arrayFilter((one, kept) -> kept, positions, is_first) AS entry_positions,
    arrayFilter((one, kept) -> kept, moved_at, is_first) AS entry_at,
    arrayFilter((one, kept) -> kept, days, is_first) AS entry_days,
    arrayFilter((one, kept) -> kept, microseconds, is_first) AS move_on_microseconds,
    arrayFilter((one, kind) -> kind = 5, moved_at, kind_numbers) AS repeats_at,
    arrayFilter((one, kind) -> kind = 5, days, kind_numbers) AS repeat_days,
    repeats.2 AS repeat_amounts,
    arrayFilter((place, i) -> place > arrayMax(arraySlice(entry_places, 1, i - 1)), entry_places, arrayEnumerate(entry_places)) AS reach_places,
    arrayFilter((one, place, i) -> place > arrayMax(arraySlice(entry_places, 1, i - 1)), entry_after, entry_places, arrayEnumerate(entry_places)) AS reach_days,
    touched_at,
    touch_channel_groups,
    touch_campaigns
FROM decoded;

-- All visits, as they were when this was built. On one thread, and in the order in which the table is sorted, so that memory does not grow with
-- their number and the other cores are left to those who read. Some visits are looked up in it, so its granules and blocks are small.
CREATE MATERIALIZED VIEW IF NOT EXISTS visits_rebuilt
REFRESH EVERY 1 HOUR
(
    funnel LowCardinality(String),
    prospect_id UUID,
    visit UInt32,
    opened_at DateTime64(6, 'UTC'),
    opened_on Date,
    first_channel LowCardinality(String),
    first_channel_group LowCardinality(String),
    first_campaign LowCardinality(String),
    account_id String,
    outcome LowCardinality(String),
    closed_at Nullable(DateTime64(6, 'UTC')),
    closed_on Nullable(Date),
    currency LowCardinality(String),
    revenue Decimal(18, 2),
    reason LowCardinality(String),
    lost_from LowCardinality(String) COMMENT 'stage, empty unless it was lost',
    furthest UInt16,
    path LowCardinality(String) COMMENT 'kinds and stages of all rows, separated by the units and records of ASCII: ways are counted many times faster by it than by the arrays',
    stages Array(LowCardinality(String)),
    positions Array(UInt16),
    kinds Array(LowCardinality(String)),
    moved_at Array(DateTime64(6, 'UTC')),
    entry_stages Array(LowCardinality(String)),
    entry_positions Array(UInt16),
    entry_at Array(DateTime64(6, 'UTC')),
    entry_days Array(Date),
    move_on_microseconds Array(Int64),
    repeats_at Array(DateTime64(6, 'UTC')),
    repeat_days Array(Date),
    repeat_amounts Array(Decimal(18, 2)),
    reach_places Array(UInt16),
    reach_days Array(UInt32),
    touched_at Array(DateTime64(6, 'UTC')),
    touch_channel_groups Array(LowCardinality(String)),
    touch_campaigns Array(LowCardinality(String)),
    sign Int8 COMMENT '1',
    built_at DateTime64(3, 'UTC') COMMENT 'when the rows were read'
)
ENGINE = MergeTree
ORDER BY (funnel, prospect_id, visit)
SETTINGS index_granularity = 256, min_compress_block_size = 4096, max_compress_block_size = 16384
AS
SELECT *, 1 AS sign, now64(3, 'UTC') AS built_at
FROM visits_now
SETTINGS optimize_aggregation_in_order = 1, max_threads = 1;

-- Of whom a row may have become visible since then. A row gets its `written_at` when the server takes its batch, and is seen when that is on disk:
-- ten minutes are far more than a batch may take. Other stages than those that were looked up concern everybody; so do more changes than a set that
-- each report has in memory should hold. There is always a row of nobody, which says so.
CREATE MATERIALIZED VIEW IF NOT EXISTS changed_prospects
REFRESH EVERY 30 SECOND
(
    prospect_id UUID,
    is_everybody Bool
)
ENGINE = MergeTree
ORDER BY prospect_id
EMPTY
AS
WITH
    (SELECT max(built_at) FROM visits_rebuilt) - INTERVAL 10 MINUTE AS since,
    (SELECT max(written_at) FROM funnel_stages) AS stages_written_at,
    (SELECT uniqCombined(prospect_id) FROM stage_transitions WHERE written_at >= since) AS number,
    stages_written_at >= since OR number > 1000000 AS everybody
SELECT DISTINCT t.prospect_id AS prospect_id, false AS is_everybody
FROM stage_transitions AS t
WHERE NOT everybody AND written_at >= since
UNION ALL
SELECT toUUID('00000000-0000-0000-0000-000000000000') AS prospect_id, everybody AS is_everybody
SETTINGS max_threads = 2;

-- Their visits as they are now, and with the sign -1 as `visits_rebuilt` has them: by these two, what was counted from that becomes what is to be
-- counted now. The row without a funnel that each has says that what `visits_rebuilt` has of this prospect no longer counts, should there be no visit
-- any more: a reader takes all of it from this one table, which is swapped in at once.
CREATE MATERIALIZED VIEW IF NOT EXISTS visits_changed
REFRESH EVERY 30 SECOND DEPENDS ON changed_prospects
(
    funnel LowCardinality(String),
    prospect_id UUID,
    visit UInt32,
    opened_at DateTime64(6, 'UTC'),
    opened_on Date,
    first_channel LowCardinality(String),
    first_channel_group LowCardinality(String),
    first_campaign LowCardinality(String),
    account_id String,
    outcome LowCardinality(String),
    closed_at Nullable(DateTime64(6, 'UTC')),
    closed_on Nullable(Date),
    currency LowCardinality(String),
    revenue Decimal(18, 2),
    reason LowCardinality(String),
    lost_from LowCardinality(String) COMMENT 'stage, empty unless it was lost',
    furthest UInt16,
    path LowCardinality(String) COMMENT 'kinds and stages of all rows, separated by the units and records of ASCII: ways are counted many times faster by it than by the arrays',
    stages Array(LowCardinality(String)),
    positions Array(UInt16),
    kinds Array(LowCardinality(String)),
    moved_at Array(DateTime64(6, 'UTC')),
    entry_stages Array(LowCardinality(String)),
    entry_positions Array(UInt16),
    entry_at Array(DateTime64(6, 'UTC')),
    entry_days Array(Date),
    move_on_microseconds Array(Int64),
    repeats_at Array(DateTime64(6, 'UTC')),
    repeat_days Array(Date),
    repeat_amounts Array(Decimal(18, 2)),
    reach_places Array(UInt16) COMMENT 'of entries further than all before, by position in the newest version that has the stage',
    reach_days Array(UInt32) COMMENT 'after so many days from the opening, begun ones counted in full',
    touched_at Array(DateTime64(6, 'UTC')) COMMENT 'what touched the prospect on the way, in order, as in the next two',
    touch_channel_groups Array(LowCardinality(String)),
    touch_campaigns Array(LowCardinality(String)),
    sign Int8 COMMENT '1: a visit as it is, -1: as it was, 0: neither, only whose',
    built_at DateTime64(3, 'UTC') COMMENT 'that of `visits_rebuilt`',
    is_everybody Bool COMMENT 'nothing of `visits_rebuilt` counts, nor does what was counted from it'
)
ENGINE = MergeTree
ORDER BY (funnel, prospect_id, visit)
EMPTY
AS
WITH
    (SELECT max(is_everybody) FROM changed_prospects) AS everybody,
    (SELECT max(built_at) FROM visits_rebuilt) AS rebuilt_at
SELECT *
FROM
(
    SELECT *, 1 AS sign, rebuilt_at AS built_at, everybody AS is_everybody
    FROM visits_now
    WHERE prospect_id IN (SELECT prospect_id FROM changed_prospects) OR everybody
    UNION ALL
    -- Without what nothing is counted by.
    SELECT
        * EXCEPT (sign, built_at) REPLACE (
            [] AS stages, [] AS positions, [] AS kinds, [] AS moved_at, [] AS entry_at, [] AS repeats_at),
        -1, built_at, everybody
    FROM visits_rebuilt
    WHERE prospect_id IN (SELECT prospect_id FROM changed_prospects) AND NOT everybody
    UNION ALL
    SELECT none.funnel, c.prospect_id, none.* EXCEPT (funnel, prospect_id, sign, built_at), 0, rebuilt_at, everybody
    FROM changed_prospects AS c
    LEFT JOIN (SELECT * FROM visits_rebuilt WHERE false) AS none ON none.prospect_id = c.prospect_id
)
SETTINGS optimize_aggregation_in_order = 1, optimize_move_to_prewhere_if_final = 1, max_threads = 2;

CREATE OR REPLACE VIEW visits
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
SELECT * EXCEPT (sign, built_at)
FROM visits_rebuilt
WHERE prospect_id NOT IN (SELECT prospect_id FROM visits_changed WHERE sign = 0)
    AND NOT (SELECT max(is_everybody) FROM visits_changed)
UNION ALL
SELECT * EXCEPT (sign, built_at, is_everybody)
FROM visits_changed
WHERE sign = 1;

-- What aggregates are computed from, each from the part of it that it needs. What is to be counted of the rebuilt visits (part 1) is counted once an
-- hour. With what the changed ones (part 2) count by their signs, that is what is to be counted now. All visits (part 3) are counted where the two
-- don't fit together: while the rebuilt ones have not been counted yet, or where all have changed. A part is told by a column of the table itself,
-- which says the same in each row, so that the other columns of the other parts are not read.
CREATE OR REPLACE VIEW visit_parts
AS
SELECT if(sign != 0, 1, 0) AS part, *
FROM visits_rebuilt
UNION ALL
SELECT if(sign != 0, 2, 0) AS part, * EXCEPT is_everybody
FROM visits_changed
UNION ALL
SELECT if(toInt64(visit) >= 0, 3, 0) AS part, *, 1 AS sign, toDateTime64(0, 3, 'UTC') AS built_at
FROM visits;

-- Of which rebuild the changed visits are: what was counted of that one fits to them. NULL where none does, as all have changed.
CREATE OR REPLACE VIEW fitting_parts
AS
SELECT if(min(built_at) = max(built_at) AND NOT max(is_everybody), max(built_at), NULL) AS rebuilt_at
FROM visits_changed;
