-- To which touches won visits are credited, by rules. Recomputed as a whole and swapped in at once, for the reason given in 004_conversion.sql.
--
-- Credits are whole numbers of 1e-15 of a visit. Those of a visit are the differences of rounded sums that end with all of it, so they add up to the last
-- digit, whatever the weights; times cents they are the value, so that does, too. And sums of whole numbers don't depend on an order.
--
-- Won visits are put together in the order in which the table is sorted, so memory does not grow with their number.

DROP VIEW IF EXISTS attribution_totals SYNC;

DROP VIEW IF EXISTS attribution_by_rules SYNC;

CREATE MATERIALIZED VIEW IF NOT EXISTS attribution_by_rules
REFRESH EVERY 5 MINUTE
(
    funnel LowCardinality(String),
    model LowCardinality(String),
    day Date,
    currency LowCardinality(String),
    channel_group LowCardinality(String),
    campaign LowCardinality(String),
    conversions Decimal(38, 15),
    value Decimal(38, 17),
    untouched_conversions Decimal(38, 15) COMMENT 'of these, of visits without any touch',
    untouched_value Decimal(38, 17)
)
ENGINE = MergeTree
ORDER BY (funnel, model, day)
AS
WITH
    1000000000000000 AS whole,
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
    -- `repeat` rows lie in the last stage but do not win the visit again; what they brought is part of its value. They have no touches.
    wins AS
    (
        SELECT
            funnel,
            argMinIf(funnel_version, step, kind != 'repeat') AS version,
            argMinIf(entered_at, step, kind != 'repeat') AS won_at,
            argMinIf(t.currency, step, kind != 'repeat') AS currency,
            toInt128(sum(amount) * 100) AS cents,
            groupArrayArray(touched_at) AS touch_times,
            groupArrayArray(touch_channel_groups) AS groups,
            groupArrayArray(touch_campaigns) AS campaigns
        FROM stage_transitions AS t FINAL
        WHERE kind = 'repeat' OR (funnel, funnel_version, to_stage) IN (SELECT funnel, funnel_version, stage FROM last_stages)
        GROUP BY funnel, prospect_id, visit
        HAVING countIf(kind != 'repeat') > 0
    ),
    touched AS
    (
        SELECT
            funnel,
            currency,
            toDate(formatDateTime(won_at, '%F', zones[concat(toString(version), ' ', funnel)])) AS day,
            cents,
            notEmpty(touch_times) AS is_touch,
            -- A visit without touches has one place, of nobody.
            emptyArrayToSingle(touch_times) AS times,
            emptyArrayToSingle(groups) AS each_group,
            emptyArrayToSingle(campaigns) AS each_campaign,
            length(each_group) AS touches,
            arrayEnumerate(each_group) AS places,
            ifNull(nullIf(arrayLastIndex(g -> g != 'Direct', each_group), 0), touches) AS not_direct,
            -- Measured by the last touch, so that none is too small to be told from 0 where all are old.
            arrayCumSum(arrayMap(t -> exp2(dateDiff('microsecond', times[-1], t) / 1000000 / half_life), times)) AS faded,
            arrayMap(f -> toInt64(round(whole * (f / faded[-1]))), faded) AS edges,
            arrayMap((edge, before) -> edge - before, edges, arrayPushFront(arrayPopBack(edges), 0)) AS decayed
        FROM wins
    ),
    credited AS
    (
        SELECT
            funnel, currency, day, is_touch, cents, channel_group, campaign,
            place = 1 AS is_first,
            place = touches AS is_last,
            time_decay,
            place = not_direct AS is_last_non_direct,
            intDiv(whole * place, touches) - intDiv(whole * (place - 1), touches) AS linear,
            toInt64(multiIf(
                touches <= 2, linear,
                is_first OR is_last, intDiv(whole, 5) * 2,
                intDiv(intDiv(whole, 5) * (place - 1), touches - 2) - intDiv(intDiv(whole, 5) * (place - 2), touches - 2))) AS position_based
        FROM touched
        ARRAY JOIN each_group AS channel_group, each_campaign AS campaign, places AS place, decayed AS time_decay
    ),
    summed AS
    (
        SELECT
            funnel, currency, day, if(channel_group = '', '(unattributed)', channel_group) AS channel_group, campaign,
            sumIf(toInt128(whole), NOT is_touch) AS nobodys_credit, sumIf(cents, NOT is_touch) * whole AS nobodys_value,
            sumIf(toInt128(whole), is_first) AS first_credit, sumIf(cents, is_first) * whole AS first_value,
            sumIf(toInt128(whole), is_last) AS last_credit, sumIf(cents, is_last) * whole AS last_value,
            sumIf(toInt128(whole), is_last_non_direct) AS non_direct_credit, sumIf(cents, is_last_non_direct) * whole AS non_direct_value,
            sum(toInt128(linear)) AS linear_credit, sum(cents * linear) AS linear_value,
            sum(toInt128(time_decay)) AS decay_credit, sum(cents * time_decay) AS decay_value,
            sum(toInt128(position_based)) AS position_credit, sum(cents * position_based) AS position_value
        FROM credited
        GROUP BY funnel, currency, day, channel_group, campaign
    )
SELECT
    funnel,
    model,
    day,
    currency,
    channel_group,
    campaign,
    toDecimal128(credit, 0) * toDecimal128('0.000000000000001', 15) AS conversions,
    toDecimal128(amount, 0) * toDecimal128('0.00000000000000001', 17) AS value,
    toDecimal128(nobodys_credit, 0) * toDecimal128('0.000000000000001', 15) AS untouched_conversions,
    toDecimal128(nobodys_value, 0) * toDecimal128('0.00000000000000001', 17) AS untouched_value
FROM summed
ARRAY JOIN
    ['first', 'last', 'last_non_direct', 'linear', 'time_decay', 'position_based'] AS model,
    [first_credit, last_credit, non_direct_credit, linear_credit, decay_credit, position_credit] AS credit,
    [first_value, last_value, non_direct_value, linear_value, decay_value, position_value] AS amount
WHERE credit != 0 OR amount != 0
SETTINGS optimize_aggregation_in_order = 1, max_threads = 1;

-- The same over all days, for those who ask for no days.
CREATE MATERIALIZED VIEW IF NOT EXISTS attribution_totals
REFRESH EVERY 5 MINUTE DEPENDS ON attribution_by_rules
(
    funnel LowCardinality(String),
    model LowCardinality(String),
    currency LowCardinality(String),
    channel_group LowCardinality(String),
    campaign LowCardinality(String),
    conversions Decimal(38, 15),
    value Decimal(38, 17),
    untouched_conversions Decimal(38, 15),
    untouched_value Decimal(38, 17)
)
ENGINE = MergeTree
ORDER BY (funnel, model)
AS
SELECT
    funnel, model, currency, channel_group, campaign,
    sum(r.conversions) AS conversions, sum(r.value) AS value,
    sum(r.untouched_conversions) AS untouched_conversions, sum(r.untouched_value) AS untouched_value
FROM attribution_by_rules AS r
GROUP BY funnel, model, currency, channel_group, campaign
SETTINGS max_threads = 1;

-- What each touch is credited with, by day of winning. By the Markov model, what a day brought is shared as all of the funnel's visits together say.
-- Of some visits nobody knows the touches, and what `journey attribute` has not seen the like of yet has no shares: both are nobody's.
CREATE OR REPLACE VIEW attribution_facts
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
SELECT funnel, model, day, currency, channel_group, campaign, conversions, value
FROM attribution_by_rules
UNION ALL
SELECT
    t.funnel AS funnel, 'markov' AS model, t.day AS day, t.currency AS currency,
    if(s.run = 0, '(unattributed)', s.channel_group) AS channel_group,
    s.campaign AS campaign,
    if(s.run = 0, t.conversions,
        toDecimal128(toFloat64(t.conversions - t.untouched_conversions) * s.conversions_share, 15) + if(s.takes_rest, t.untouched_conversions, 0)) AS conversions,
    if(s.run = 0, t.value,
        toDecimal128(toFloat64(t.value - t.untouched_value) * s.value_share, 17) + if(s.takes_rest, t.untouched_value, 0)) AS value
FROM
(
    SELECT
        funnel, day, currency, sum(r.conversions) AS conversions, sum(r.value) AS value,
        sum(r.untouched_conversions) AS untouched_conversions, sum(r.untouched_value) AS untouched_value
    FROM attribution_by_rules AS r
    WHERE model = 'first'
    GROUP BY funnel, day, currency
) AS t
LEFT JOIN
(
    SELECT funnel, currency, channel_group, campaign, conversions_share, value_share, run, channel_group = '(unattributed)' AND campaign = '' AS takes_rest
    FROM attribution_shares FINAL
    WHERE funnel != '' AND run = (SELECT max(run) FROM attribution_shares)
) AS s ON s.funnel = t.funnel AND s.currency = t.currency
WHERE conversions != 0 OR value != 0;

-- The same over all days.
CREATE OR REPLACE VIEW attribution
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
SELECT funnel, model, channel_group, campaign, currency, toFloat64(conversions) AS conversions, toFloat64(value) AS value
FROM
(
    SELECT funnel, model, currency, channel_group, campaign, conversions, value
    FROM attribution_totals
    UNION ALL
    SELECT
        t.funnel AS funnel, 'markov' AS model, t.currency AS currency,
        if(s.run = 0, '(unattributed)', s.channel_group) AS channel_group,
        s.campaign AS campaign,
        if(s.run = 0, t.conversions,
            toDecimal128(toFloat64(t.conversions - t.untouched_conversions) * s.conversions_share, 15) + if(s.takes_rest, t.untouched_conversions, 0)) AS conversions,
        if(s.run = 0, t.value,
            toDecimal128(toFloat64(t.value - t.untouched_value) * s.value_share, 17) + if(s.takes_rest, t.untouched_value, 0)) AS value
    FROM
    (
        SELECT
            funnel, currency, sum(r.conversions) AS conversions, sum(r.value) AS value,
            sum(r.untouched_conversions) AS untouched_conversions, sum(r.untouched_value) AS untouched_value
        FROM attribution_totals AS r
        WHERE model = 'first'
        GROUP BY funnel, currency
    ) AS t
    LEFT JOIN
    (
        SELECT funnel, currency, channel_group, campaign, conversions_share, value_share, run, channel_group = '(unattributed)' AND campaign = '' AS takes_rest
        FROM attribution_shares FINAL
        WHERE funnel != '' AND run = (SELECT max(run) FROM attribution_shares)
    ) AS s ON s.funnel = t.funnel AND s.currency = t.currency
)
WHERE conversions != 0 OR value != 0
ORDER BY funnel, model, value DESC, conversions DESC, channel_group, campaign, currency;
