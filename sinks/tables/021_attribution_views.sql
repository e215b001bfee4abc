-- To which touches won visits are credited, by rules. Recomputed as a whole and swapped in at once, for the reason given in 004_conversion.sql.
--
-- A rule is a list of edges: touch i gets what lies between edge i - 1 and edge i, of 0 to 1. Credits are the differences of rounded edges, so those of
-- a visit add up to its value to the last digit, whatever the weights; and as they are whole numbers, their sums don't depend on an order.
--
-- Won visits are put together in the order in which the table is sorted, so memory does not grow with their number.

DROP VIEW IF EXISTS attribution_by_rules SYNC;

CREATE MATERIALIZED VIEW IF NOT EXISTS attribution_by_rules
REFRESH EVERY 1 MINUTE
(
    funnel LowCardinality(String),
    model LowCardinality(String),
    day Date,
    currency LowCardinality(String),
    channel_group LowCardinality(String),
    campaign LowCardinality(String),
    is_touch Bool COMMENT 'whether a touch has it, or nobody as there was none',
    conversions Decimal(38, 15),
    value Decimal(38, 12)
)
ENGINE = MergeTree
ORDER BY (funnel, model, day)
AS
WITH
    ['first', 'last', 'last_non_direct', 'linear', 'time_decay', 'position_based'] AS models,
    1e15 AS conversion,
    ifNull((SELECT value FROM attribution_settings FINAL WHERE name = 'half_life_seconds'), 604800.) AS half_life,
    (
        SELECT mapFromArrays(groupArray(concat(toString(funnel_version), ' ', funnel)), groupArray(zone))
        FROM (SELECT funnel, funnel_version, toString(any(timezone)) AS zone FROM funnel_stages FINAL GROUP BY funnel, funnel_version)
    ) AS zones,
    last_stages AS
    (
        SELECT funnel, funnel_version, argMax(stage, position) AS stage
        FROM funnel_stages FINAL
        GROUP BY funnel, funnel_version
    ),
    -- `repeat` rows lie in the last stage but do not win the visit again; what they brought is part of its value.
    wins AS
    (
        SELECT
            funnel,
            prospect_id,
            visit,
            argMinIf(
                (funnel_version, entered_at, toString(t.currency), touched_at, touch_channel_groups, touch_campaigns),
                step, kind != 'repeat') AS winning,
            toInt128(sum(amount) * 100) * 10000000000 AS units
        FROM stage_transitions AS t FINAL
        WHERE kind = 'repeat' OR (funnel, funnel_version, to_stage) IN (SELECT funnel, funnel_version, stage FROM last_stages)
        GROUP BY funnel, prospect_id, visit
        HAVING countIf(kind != 'repeat') > 0
    ),
    touched AS
    (
        SELECT
            funnel,
            winning.3 AS currency,
            toDate(formatDateTime(winning.2, '%F', zones[concat(toString(winning.1), ' ', funnel)])) AS day,
            units,
            winning.4 AS touched_at,
            notEmpty(touched_at) AS is_touch,
            -- A visit without touches has one place, of nobody.
            if(is_touch, winning.5, ['']) AS groups,
            if(is_touch, winning.6, ['']) AS names,
            length(groups) AS touches,
            arrayEnumerate(groups) AS places,
            -- Measured by the last touch, so that none is too small to be told from 0 where all are old.
            arrayMap(t -> exp2((toUnixTimestamp64Micro(t) - toUnixTimestamp64Micro(touched_at[-1])) / 1000000 / half_life), touched_at) AS fading,
            arrayCumSum(if(is_touch, fading, [1.])) AS faded,
            greatest(arrayLastIndex(g -> g != 'Direct', groups), 0) AS not_direct
        FROM wins
    ),
    edged AS
    (
        SELECT
            funnel, currency, day, units, is_touch, groups, names, places,
            [
                arrayMap(i -> 1., places),
                arrayMap(i -> toFloat64(i = touches), places),
                arrayMap(i -> toFloat64(i >= if(not_direct = 0, touches, not_direct)), places),
                arrayMap(i -> i / touches, places),
                arrayMap(f -> f / faded[-1], faded),
                arrayMap(i -> multiIf(i = touches, 1., touches = 2, 0.5, 0.4 + 0.2 * (i - 1) / (touches - 2)), places)
            ] AS edges
        FROM touched
    ),
    credited AS
    (
        SELECT
            funnel, currency, day, is_touch, groups[place] AS channel_group, names[place] AS campaign,
            -- Edge 0 of a list that begins with edge 1 is its default, 0.
            arrayMap(e -> toInt128(round(conversion * e[place])) - toInt128(round(conversion * e[place - 1])), edges) AS conversions,
            arrayMap(
                e -> if(e[place] = 1, units, toInt128(round(toFloat64(units) * e[place]))) - if(e[place - 1] = 1, units, toInt128(round(toFloat64(units) * e[place - 1]))),
                edges) AS amounts
        FROM edged
        ARRAY JOIN places AS place
    )
SELECT
    funnel,
    model,
    day,
    currency,
    channel_group,
    campaign,
    is_touch,
    toDecimal128(all_conversions, 0) * toDecimal128('0.000000000000001', 15) AS conversions,
    toDecimal128(all_amounts, 0) * toDecimal128('0.000000000001', 12) AS value
FROM
(
    SELECT
        funnel, day, currency, if(channel_group = '', '(unattributed)', channel_group) AS channel_group, campaign, is_touch,
        sumForEach(conversions) AS sums,
        sumForEach(amounts) AS amounts_of
    FROM credited
    GROUP BY funnel, day, currency, channel_group, campaign, is_touch
)
ARRAY JOIN models AS model, sums AS all_conversions, amounts_of AS all_amounts
WHERE all_conversions != 0 OR all_amounts != 0
SETTINGS optimize_aggregation_in_order = 1, max_threads = 1;

-- What each touch is credited with, by day of winning. By the Markov model, what a day brought is shared as all of the funnel's visits together say.
CREATE OR REPLACE VIEW attribution_facts
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
WITH
    shares AS
    (
        SELECT funnel, currency, channel_group, campaign, conversions_share, value_share
        FROM attribution_shares FINAL
        WHERE funnel != '' AND run = (SELECT max(run) FROM attribution_shares)
    ),
    totals AS
    (
        SELECT funnel, day, currency, is_touch, sum(conversions) AS conversions, sum(value) AS value
        FROM attribution_by_rules
        WHERE model = 'linear'
        GROUP BY funnel, day, currency, is_touch
    )
SELECT funnel, model, day, currency, channel_group, campaign, sum(r.conversions) AS conversions, sum(r.value) AS value
FROM attribution_by_rules AS r
GROUP BY funnel, model, day, currency, channel_group, campaign
UNION ALL
SELECT
    funnel, 'markov' AS model, day, currency, channel_group, campaign,
    sum(credit) AS conversions, sum(amount) AS value
FROM
(
    SELECT
        t.funnel AS funnel, t.day AS day, t.currency AS currency, s.channel_group AS channel_group, s.campaign AS campaign,
        toDecimal128(toFloat64(t.conversions) * s.conversions_share, 15) AS credit,
        toDecimal128(toFloat64(t.value) * s.value_share, 12) AS amount
    FROM totals AS t
    INNER JOIN shares AS s ON s.funnel = t.funnel AND s.currency = t.currency
    WHERE t.is_touch
    UNION ALL
    -- Of these visits nobody knows the touches, or `journey attribute` has not seen the like yet.
    SELECT funnel, day, currency, '(unattributed)', '', conversions, value
    FROM totals
    WHERE NOT is_touch OR (funnel, currency) NOT IN (SELECT funnel, currency FROM shares)
)
GROUP BY funnel, day, currency, channel_group, campaign;

-- The same over all days.
CREATE OR REPLACE VIEW attribution
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
SELECT
    funnel, model, channel_group, campaign, currency,
    toFloat64(sum(f.conversions)) AS conversions,
    toFloat64(sum(f.value)) AS value
FROM attribution_facts AS f
GROUP BY funnel, model, channel_group, campaign, currency
ORDER BY funnel, model, value DESC, conversions DESC, channel_group, campaign, currency;
