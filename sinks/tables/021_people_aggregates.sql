-- What is counted of people and their accounts. As in 019_conversion.sql.

-- Who was won in a month, and how many of them paid again so many months later.
DROP VIEW IF EXISTS retention_months SYNC;

DROP VIEW IF EXISTS retention_rebuilt SYNC;

CREATE OR REPLACE VIEW retention_parts
AS
WITH
    -- A customer who changed is there twice: as of now, and as counted before.
    customers AS
    (
        SELECT
            part,
            sign,
            funnel,
            prospect_id,
            groupArrayArray(arrayMap(d -> toStartOfMonth(d), arrayPushFront(repeat_days, assumeNotNull(closed_on)))) AS months,
            groupArrayArray(arrayPushFront(repeat_amounts, v.revenue - arraySum(repeat_amounts))) AS amounts,
            groupArrayArray(arrayResize([currency], 1 + length(repeat_days), currency)) AS currencies,
            max(v.built_at) AS at
        FROM visit_parts AS v
        WHERE outcome = 'won'
        GROUP BY part, sign, funnel, prospect_id
    ),
    payments AS
    (
        SELECT
            part, sign, at, funnel, arrayMin(months) AS month, paid_in, amount, currency, nth,
            toUInt16(dateDiff('month', month, paid_in)) AS months_after
        FROM customers
        ARRAY JOIN months AS paid_in, amounts AS amount, currencies AS currency, arrayEnumerateUniq(months) AS nth
    )
SELECT
    part,
    funnel,
    month,
    months_after,
    sumIf(sign, months_after = 0 AND nth = 1) AS customers,
    sumIf(sign, nth = if(months_after = 0, 2, 1)) AS repeated,
    sumMapIf(map(currency, toDecimal128(sign * amount, 2)), amount != 0) AS revenue,
    max(at) AS built_at
FROM payments
GROUP BY part, funnel, month, months_after;

CREATE MATERIALIZED VIEW IF NOT EXISTS retention_rebuilt
REFRESH EVERY 1 HOUR DEPENDS ON visits_rebuilt
(
    funnel LowCardinality(String),
    month Date,
    months_after UInt16,
    customers Int64,
    repeated Int64,
    revenue Map(LowCardinality(String), Decimal(38, 2)),
    built_at DateTime64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY (funnel, month, months_after)
EMPTY
AS
SELECT * EXCEPT part
FROM retention_parts
WHERE part = 1
SETTINGS max_threads = 1, max_bytes_before_external_group_by = 1000000000;

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
    (
        SELECT min(built_at) = max(built_at) AND NOT max(is_everybody) AND max(built_at) = (SELECT max(built_at) FROM retention_rebuilt)
        FROM visits_changed
    ) AS is_current
SELECT
    funnel, month, months_after, sum(p.customers) AS customers, sum(p.repeated) AS repeated,
    mapFilter((currency, amount) -> amount != 0, sumMap(p.revenue)) AS revenue
FROM
(
    SELECT * EXCEPT built_at FROM retention_rebuilt WHERE is_current
    UNION ALL
    SELECT * EXCEPT (part, built_at) FROM retention_parts WHERE part = if(is_current, 2, 3)
) AS p
GROUP BY funnel, month, months_after
HAVING customers != 0 OR repeated != 0 OR notEmpty(revenue)
SETTINGS max_threads = 1, max_bytes_before_external_group_by = 1000000000;

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
