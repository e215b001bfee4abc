-- What people read of the aggregates. What depends on the clock is worked out here, at each query.

-- How long visits that moved on from a stage had been in it, from the first entry; in seconds.
CREATE OR REPLACE VIEW stage_velocity
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
SELECT
    v.funnel AS funnel,
    s.position AS position,
    v.stage AS stage,
    v.moved_on AS moved_on,
    v.quantiles[1] / 1000000 AS median_seconds,
    v.quantiles[2] / 1000000 AS p75_seconds,
    v.quantiles[3] / 1000000 AS p90_seconds
FROM (SELECT funnel, stage, moved_on, quantiles FROM velocity WHERE is_all_weeks) AS v
INNER JOIN
(
    SELECT funnel, stage, argMax(position, funnel_version) AS position
    FROM funnel_stages FINAL
    GROUP BY funnel, stage
) AS s ON s.funnel = v.funnel AND s.stage = v.stage
ORDER BY funnel, position, stage;

-- Is it getting slower? A week is mature when it is over and all of its visits have moved on or are closed; before that, only the fast ones are seen.
CREATE OR REPLACE VIEW stage_velocity_weekly
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
WITH
    stages AS
    (
        SELECT
            funnel, stage, argMax(position, funnel_version) AS position, argMax(toString(timezone), funnel_version) AS timezone
        FROM funnel_stages FINAL
        GROUP BY funnel, stage
    ),
    open AS
    (
        SELECT funnel, stage, toMonday(entry_day) AS week, sum(undecided) AS waiting
        FROM conversion_cohorts
        WHERE undecided > 0
        GROUP BY funnel, stage, week
    )
SELECT
    v.funnel AS funnel,
    s.position AS position,
    v.stage AS stage,
    v.week AS week,
    v.moved_on AS moved_on,
    v.quantiles[1] / 1000000 AS median_seconds,
    v.quantiles[2] / 1000000 AS p75_seconds,
    v.quantiles[3] / 1000000 AS p90_seconds,
    o.waiting AS waiting,
    (o.waiting = 0 AND toDate(formatDateTime(now64(6, 'UTC'), '%F', s.timezone)) >= v.week + 7)::Bool AS is_mature
FROM (SELECT funnel, stage, week, moved_on, quantiles FROM velocity WHERE NOT is_all_weeks) AS v
INNER JOIN stages AS s ON s.funnel = v.funnel AND s.stage = v.stage
LEFT JOIN open AS o ON o.funnel = v.funnel AND o.stage = v.stage AND o.week = v.week
ORDER BY funnel, position, stage, week;

-- Of the visits that were opened in a week, how many had reached each stage after how many days. A day that not all of them are old enough for is
-- not mature: its share isn't known, and is no drop-off. Days for which none is old enough are left out.
CREATE OR REPLACE VIEW cohorts
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
WITH
    now64(6, 'UTC') AS moment,
    reached AS
    (
        SELECT
            funnel, week, position, groupArray((day, visits)) AS by_day,
            sum(visits) AS number, min(first_opened_at) AS first_opened_at, max(last_opened_at) AS last_opened_at
        FROM cohort_days
        GROUP BY funnel, week, position
    ),
    -- All visits are at the first place.
    sizes AS (SELECT funnel, week, number, first_opened_at, last_opened_at FROM reached WHERE position = 1),
    stages AS
    (
        SELECT funnel, (arrayJoin(argMax(all_stages, funnel_version)) AS one).1 AS position, one.2 AS stage
        FROM
        (
            SELECT funnel, funnel_version, groupArray((position, toString(stage))) AS all_stages
            FROM funnel_stages FINAL
            GROUP BY funnel, funnel_version
        )
        GROUP BY funnel
    )
SELECT
    c.funnel AS funnel,
    c.week AS week,
    c.number AS visits,
    s.position AS position,
    s.stage AS stage,
    toUInt16(day) AS day,
    arraySum(d -> if(d.1 <= day, d.2, 0), r.by_day) AS reached,
    if(is_mature, reached / visits, NULL) AS share,
    (c.last_opened_at + toIntervalDay(day) <= moment)::Bool AS is_mature
FROM sizes AS c
INNER JOIN stages AS s ON s.funnel = c.funnel
LEFT JOIN reached AS r ON r.funnel = c.funnel AND r.week = c.week AND r.position = s.position
ARRAY JOIN [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 21, 28, 30, 45, 60, 75, 90, 120, 150, 180, 270, 365] AS day
WHERE c.first_opened_at + toIntervalDay(day) <= moment
ORDER BY funnel, week, position, day;

-- What campaigns brought, and what they cost. Counts are of the campaign whatever the currency: the same on each of its rows.
CREATE OR REPLACE VIEW campaigns
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
WITH
    counted AS
    (
        SELECT
            funnel,
            first_campaign AS campaign,
            sum(visits) AS reach,
            sum(o.leads) AS leads,
            sumIf(visits, outcome = 'won') AS won,
            sumIf(visits, outcome = 'lost') AS lost,
            sumIf(visits, outcome = 'waiting') AS waiting
        FROM visit_outcomes AS o
        GROUP BY funnel, campaign
    ),
    earned AS
    (
        SELECT funnel, first_campaign AS campaign, currency, sum(o.revenue) AS amount
        FROM visit_outcomes AS o
        WHERE outcome = 'won'
        GROUP BY funnel, campaign, currency
        HAVING amount != 0
    ),
    spent AS
    (
        SELECT campaign, currency, sum(s.amount) AS amount
        FROM spend AS s FINAL
        GROUP BY campaign, currency
    ),
    named AS (SELECT DISTINCT funnel FROM funnel_stages FINAL),
    money AS
    (
        SELECT funnel, campaign, currency, sum(earned) AS revenue, sum(paid) AS spend, max(is_spend) AS has_spend, max(is_money) AS has_money
        FROM
        (
            SELECT funnel, campaign, currency, toDecimal128(amount, 2) AS earned, toDecimal128(0, 2) AS paid, false AS is_spend, true AS is_money FROM earned
            UNION ALL
            SELECT funnel, campaign, currency, toDecimal128(0, 2), toDecimal128(amount, 2), true, true FROM named CROSS JOIN spent
            UNION ALL
            SELECT funnel, campaign, '', toDecimal128(0, 2), toDecimal128(0, 2), false, false FROM counted
        )
        GROUP BY funnel, campaign, currency
    ),
    -- The row without a currency is for campaigns that have no money at all.
    rows AS (SELECT * FROM (SELECT *, max(has_money) OVER (PARTITION BY funnel, campaign) AS any_money FROM money) WHERE has_money OR NOT any_money)
SELECT
    r.funnel AS funnel,
    r.campaign AS campaign,
    r.currency AS currency,
    c.reach AS reach,
    c.leads AS leads,
    c.won AS won,
    c.lost AS lost,
    c.waiting AS waiting,
    r.revenue AS revenue,
    if(r.has_spend, r.spend, NULL) AS spend,
    if(r.has_spend AND leads > 0, toFloat64(r.spend) / leads, NULL) AS cost_per_lead,
    if(r.has_spend AND won > 0, toFloat64(r.spend) / won, NULL) AS cac,
    if(r.has_spend AND r.spend > 0, toFloat64(r.revenue) / toFloat64(r.spend), NULL) AS roas
FROM rows AS r
LEFT JOIN counted AS c ON c.funnel = r.funnel AND c.campaign = r.campaign
ORDER BY funnel, revenue DESC, reach DESC, campaign, currency;

-- The way back to marketing: why visits were lost, where, and where they had come from.
CREATE OR REPLACE VIEW lost_reasons
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
SELECT
    funnel,
    from_stage AS stage,
    reason,
    first_channel_group,
    first_campaign,
    sum(o.visits) AS visits,
    visits / sum(visits) OVER (PARTITION BY funnel) AS share
FROM visit_outcomes AS o
WHERE outcome = 'lost'
GROUP BY funnel, stage, reason, first_channel_group, first_campaign
ORDER BY funnel, visits DESC, stage, reason, first_channel_group, first_campaign;

CREATE OR REPLACE VIEW flow
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
SELECT funnel, from_stage, to_stage, kind, visits, moves
FROM flow_moves
ORDER BY funnel, moves DESC, from_stage, to_stage, kind;

CREATE OR REPLACE VIEW accounts
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
SELECT funnel, account_id, segment, policy, stage, position, status, buying_group, open, won, lost, revenue, last_activity_at
FROM account_standings;

-- Of the customers who were first won in a month, how many paid again in each later one. The month that runs is not mature.
CREATE OR REPLACE VIEW retention
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
WITH
    sizes AS (SELECT funnel, month, sum(r.customers) AS customers FROM retention_months AS r GROUP BY funnel, month),
    funnels AS (SELECT funnel, argMax(toString(timezone), funnel_version) AS timezone FROM funnel_stages FINAL GROUP BY funnel),
    this_month AS (SELECT funnel, toStartOfMonth(toDate(formatDateTime(now64(6, 'UTC'), '%F', timezone))) AS current FROM funnels),
    months AS
    (
        SELECT funnel, month, customers, current, toUInt16(arrayJoin(range(0, toUInt16(greatest(0, dateDiff('month', month, current)) + 1)))) AS months_after
        FROM sizes AS s
        INNER JOIN this_month AS t ON t.funnel = s.funnel
    )
SELECT
    m.funnel AS funnel,
    m.month AS month,
    m.customers AS customers,
    m.months_after AS months_after,
    r.repeated AS repeated,
    if(is_mature, repeated / customers, NULL) AS share,
    (addMonths(m.month, m.months_after) < m.current)::Bool AS is_mature,
    r.revenue AS revenue
FROM months AS m
LEFT JOIN retention_months AS r ON r.funnel = m.funnel AND r.month = m.month AND r.months_after = m.months_after
ORDER BY funnel, month, months_after;

-- Whether targets are met, and whether they will be at this pace. A goal that comes back has a row for each period that has begun; until then, for
-- the first one.
CREATE OR REPLACE VIEW target_attainment
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
WITH
    funnels AS
    (
        SELECT
            funnel,
            toDate(formatDateTime(now64(6, 'UTC'), '%F', argMax(toString(timezone), funnel_version))) AS today,
            argMin(toString(stage), (-toInt64(funnel_version), position)) AS first_stage
        FROM funnel_stages FINAL
        GROUP BY funnel
    ),
    wanted AS
    (
        SELECT
            t.name AS name, t.funnel AS funnel, t.metric AS metric, if(t.metric = 'conversion_rate' AND t.stage = '', f.first_stage, toString(t.stage)) AS stage,
            t.currency AS currency, t.period AS period, t.campaign AS campaign, t.value AS target, t.starts AS from_day, t.ends AS last_day, f.today AS today,
            transform(toString(t.period), ['monthly', 'quarterly'], [1, 3], 0) AS months
        FROM targets AS t FINAL
        INNER JOIN funnels AS f ON f.funnel = t.funnel
    ),
    periods AS
    (
        SELECT
            name, funnel, metric, stage, currency, period, campaign, target, today,
            arrayJoin(range(0, if(months = 0, 1, toUInt32(1 + greatest(0, intDiv(dateDiff('month', from_day, least(today, ifNull(last_day, today))), months)))))) AS number,
            if(months = 0, from_day, addMonths(from_day, number * months)) AS starts,
            if(months = 0, assumeNotNull(last_day), addMonths(from_day, (number + 1) * months) - 1) AS ends
        FROM wanted
    ),
    counted AS
    (
        SELECT
            p.name AS name, p.starts AS starts,
            sum(c.entered) AS entered, sum(c.won) AS won, sum(c.won + c.lost + c.expired) AS closed
        FROM periods AS p
        INNER JOIN
        (
            SELECT funnel, toString(c.stage) AS stage, entry_day, first_campaign, sum(c.entered) AS entered, sum(c.won) AS won, sum(c.lost) AS lost, sum(c.expired) AS expired
            FROM conversion_cohorts AS c
            WHERE (funnel, stage) IN (SELECT funnel, stage FROM wanted WHERE metric IN ('entered', 'conversion_rate'))
            GROUP BY funnel, stage, entry_day, first_campaign
        ) AS c ON c.funnel = p.funnel AND c.stage = p.stage
        WHERE p.metric IN ('entered', 'conversion_rate') AND c.entry_day BETWEEN p.starts AND p.ends AND (p.campaign IS NULL OR p.campaign = c.first_campaign)
        GROUP BY p.name, p.starts
    ),
    paid AS
    (
        SELECT p.name AS name, p.starts AS starts, sum(d.won) AS won, sumIf(d.revenue, d.currency = p.currency) AS revenue
        FROM periods AS p
        INNER JOIN payment_days AS d ON d.funnel = p.funnel
        WHERE p.metric IN ('won', 'revenue') AND d.day BETWEEN p.starts AND p.ends AND (p.campaign IS NULL OR p.campaign = d.first_campaign)
        GROUP BY p.name, p.starts
    )
SELECT
    p.name AS name,
    p.funnel AS funnel,
    p.metric AS metric,
    p.stage AS stage,
    p.currency AS currency,
    p.period AS period,
    p.campaign AS campaign,
    p.starts AS starts,
    p.ends AS ends,
    p.target AS target,
    multiIf(
        p.metric = 'entered', toNullable(toFloat64(c.entered)),
        p.metric = 'won', toFloat64(d.won),
        p.metric = 'revenue', toFloat64(d.revenue),
        c.closed > 0, c.won / c.closed,
        NULL) AS actual,
    actual / p.target AS attainment,
    if(p.metric = 'conversion_rate', p.target,
        p.target * greatest(0, least(1, (dateDiff('day', p.starts, p.today) + 1) / (dateDiff('day', p.starts, p.ends) + 1)))) AS expected_by_now,
    if(expected_by_now > 0 AND p.starts <= p.today, actual / expected_by_now, NULL) AS pace
FROM periods AS p
LEFT JOIN counted AS c ON c.name = p.name AND c.starts = p.starts
LEFT JOIN paid AS d ON d.name = p.name AND d.starts = p.starts
ORDER BY name, starts;
