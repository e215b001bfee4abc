-- To which touches won visits are credited, by rules. As in 019_conversion.sql.
--
-- Credits are whole numbers of 1e-15 of a visit. Those of a visit are the differences of rounded sums that end with all of it, so they add up to the last
-- digit, whatever the weights; times cents they are the value, so that does, too. And sums of whole numbers don't depend on an order.

DROP VIEW IF EXISTS attribution_totals SYNC;

DROP VIEW IF EXISTS attribution_by_rules SYNC;

DROP VIEW IF EXISTS credits_rebuilt SYNC;

CREATE OR REPLACE VIEW credit_parts
AS
WITH
    1000000000000000 AS whole,
    ifNull((SELECT value FROM attribution_settings FINAL WHERE name = 'half_life_seconds'), 604800.) AS half_life,
    touched AS
    (
        SELECT
            part,
            sign,
            v.built_at AS at,
            funnel,
            currency,
            assumeNotNull(closed_on) AS day,
            toInt128(v.revenue * 100) AS cents,
            notEmpty(touched_at) AS is_touch,
            -- A visit without touches has one place, of nobody.
            emptyArrayToSingle(touched_at) AS times,
            emptyArrayToSingle(touch_channel_groups) AS each_group,
            emptyArrayToSingle(touch_campaigns) AS each_campaign,
            length(each_group) AS touches,
            arrayEnumerate(each_group) AS places,
            ifNull(nullIf(arrayLastIndex(g -> g != 'Direct', each_group), 0), touches) AS not_direct,
            -- Measured by the last touch, so that none is too small to be told from 0 where all are old.
            arrayCumSum(arrayMap(t -> exp2(dateDiff('microsecond', times[-1], t) / 1000000 / half_life), times)) AS faded,
            arrayMap(f -> toInt64(round(whole * (f / faded[-1]))), faded) AS edges,
            arrayMap((edge, before) -> edge - before, edges, arrayPushFront(arrayPopBack(edges), 0)) AS decayed
        FROM visit_parts AS v
        WHERE outcome = 'won'
    ),
    credited AS
    (
        SELECT
            part, sign, at, funnel, currency, day, is_touch, cents, if(group = '', '(unattributed)', group) AS channel_group, campaign,
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
        ARRAY JOIN each_group AS group, each_campaign AS campaign, places AS place, decayed AS time_decay
    )
SELECT
    part, funnel, day, currency, channel_group, campaign,
    sumIf(toInt128(whole) * sign, NOT is_touch) AS nobodys_credit, sumIf(cents * sign, NOT is_touch) * whole AS nobodys_value,
    sumIf(toInt128(whole) * sign, is_first) AS first_credit, sumIf(cents * sign, is_first) * whole AS first_value,
    sumIf(toInt128(whole) * sign, is_last) AS last_credit, sumIf(cents * sign, is_last) * whole AS last_value,
    sumIf(toInt128(whole) * sign, is_last_non_direct) AS non_direct_credit, sumIf(cents * sign, is_last_non_direct) * whole AS non_direct_value,
    sum(toInt128(linear) * sign) AS linear_credit, sum(cents * sign * linear) AS linear_value,
    sum(toInt128(time_decay) * sign) AS decay_credit, sum(cents * sign * time_decay) AS decay_value,
    sum(toInt128(position_based) * sign) AS position_credit, sum(cents * sign * position_based) AS position_value,
    max(at) AS built_at
FROM credited
GROUP BY part, funnel, day, currency, channel_group, campaign;

CREATE MATERIALIZED VIEW IF NOT EXISTS credits_rebuilt
REFRESH EVERY 1 HOUR DEPENDS ON visits_rebuilt
(
    funnel LowCardinality(String),
    day Date,
    currency LowCardinality(String),
    channel_group LowCardinality(String),
    campaign LowCardinality(String),
    nobodys_credit Int128,
    nobodys_value Int128,
    first_credit Int128,
    first_value Int128,
    last_credit Int128,
    last_value Int128,
    non_direct_credit Int128,
    non_direct_value Int128,
    linear_credit Int128,
    linear_value Int128,
    decay_credit Int128,
    decay_value Int128,
    position_credit Int128,
    position_value Int128,
    built_at DateTime64(3, 'UTC'),
    half_life Float64 COMMENT 'seconds in which touches faded to a half'
)
ENGINE = MergeTree
ORDER BY (funnel, day)
EMPTY
AS
SELECT * EXCEPT part, ifNull((SELECT value FROM attribution_settings FINAL WHERE name = 'half_life_seconds'), 604800.) AS half_life
FROM credit_parts
WHERE part = 1
SETTINGS max_threads = 1, max_bytes_before_external_group_by = 1000000000;

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
    (SELECT ifNull(max(built_at) = (SELECT rebuilt_at FROM fitting_parts), false) FROM credits_rebuilt WHERE half_life = ifNull((SELECT value FROM attribution_settings FINAL WHERE name = 'half_life_seconds'), 604800.)) AS is_current,
    summed AS
    (
        SELECT
            funnel, day, currency, channel_group, campaign,
            sum(p.nobodys_credit) AS nobodys_credit, sum(p.nobodys_value) AS nobodys_value,
            sum(p.first_credit) AS first_credit, sum(p.first_value) AS first_value,
            sum(p.last_credit) AS last_credit, sum(p.last_value) AS last_value,
            sum(p.non_direct_credit) AS non_direct_credit, sum(p.non_direct_value) AS non_direct_value,
            sum(p.linear_credit) AS linear_credit, sum(p.linear_value) AS linear_value,
            sum(p.decay_credit) AS decay_credit, sum(p.decay_value) AS decay_value,
            sum(p.position_credit) AS position_credit, sum(p.position_value) AS position_value
        FROM
        (
            SELECT * EXCEPT (built_at, half_life) FROM credits_rebuilt WHERE is_current
            UNION ALL
            SELECT * EXCEPT (part, built_at) FROM credit_parts WHERE part = if(is_current, 2, 3)
        ) AS p
        GROUP BY funnel, day, currency, channel_group, campaign
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
SETTINGS max_threads = 1, max_bytes_before_external_group_by = 1000000000;

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
