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
    (SELECT ifNull(max(built_at) = (SELECT rebuilt_at FROM fitting_parts), false) FROM retention_rebuilt) AS is_current
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

DROP VIEW IF EXISTS revenue_rebuilt SYNC;

CREATE OR REPLACE VIEW revenue_parts
AS
SELECT part, funnel, account_id, currency, toDecimal128(sum(sign * v.revenue), 2) AS revenue, max(v.built_at) AS built_at
FROM visit_parts AS v
WHERE outcome = 'won' AND account_id != ''
GROUP BY part, funnel, account_id, currency;

CREATE MATERIALIZED VIEW IF NOT EXISTS revenue_rebuilt
REFRESH EVERY 1 HOUR DEPENDS ON visits_rebuilt
(
    funnel LowCardinality(String),
    account_id String,
    currency LowCardinality(String),
    revenue Decimal(38, 2),
    built_at DateTime64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY (funnel, account_id)
EMPTY
AS
SELECT * EXCEPT part
FROM revenue_parts
WHERE part = 1
SETTINGS max_threads = 1;

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
    -- Where somebody stands is one number, so that standings are compared and counted fast: rank, position and name.
    (
        SELECT arraySort(groupUniqArray(name))
        FROM (SELECT toString(stage) AS name FROM funnel_stages UNION ALL SELECT DISTINCT toString(stage) FROM prospects)
    ) AS names,
    ['expired', 'lost', 'open', 'won'] AS statuses,
    people AS
    (
        SELECT
            p.funnel AS funnel,
            p.account_id AS account_id,
            p.status AS status,
            p.last_activity_at AS active_at,
            f.policy AS policy,
            toUInt64(greatest(indexOf(statuses, toString(status)), 1) - 1) AS rank,
            multiIf(status = 'won', f.last.2, status = 'open', s.position, 0) AS place,
            indexOf(names, multiIf(status = 'won', f.last.1, toString(p.stage))) AS number,
            bitOr(bitOr(bitShiftLeft(rank, 48), bitShiftLeft(toUInt64(place), 32)), number) AS standing
        FROM (SELECT funnel, account_id, status, stage, last_activity_at FROM prospects FINAL WHERE account_id != '') AS p
        INNER JOIN funnels AS f ON f.funnel = p.funnel
        LEFT JOIN stages AS s ON s.funnel = p.funnel AND s.stage = p.stage
    ),
    ranked AS
    (
        SELECT
            funnel,
            account_id,
            any(p.policy) AS policy,
            max(standing) AS furthest,
            sumMapIf([standing], [1], p.policy = 'majority') AS numbers,
            count() AS buying_group,
            countIf(status = 'open') AS open,
            countIf(status = 'won') AS won,
            countIf(status = 'lost') AS lost,
            max(active_at) AS last_activity_at
        FROM people AS p
        GROUP BY funnel, account_id
    ),
    stands AS
    (
        SELECT
            * EXCEPT (furthest, numbers),
            if(policy = 'majority', arraySort(arrayZip(numbers.2, numbers.1))[-1].2, furthest) AS standing
        FROM ranked
    ),
    (SELECT ifNull(max(built_at) = (SELECT rebuilt_at FROM fitting_parts), false) FROM revenue_rebuilt) AS is_current,
    paid AS
    (
        SELECT funnel, account_id, sumMap(map(currency, total)) AS revenue
        FROM
        (
            SELECT funnel, account_id, currency, sum(p.revenue) AS total
            FROM
            (
                SELECT * EXCEPT built_at FROM revenue_rebuilt WHERE is_current
                UNION ALL
                SELECT * EXCEPT (part, built_at) FROM revenue_parts WHERE part = if(is_current, 2, 3)
            ) AS p
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
    names[bitAnd(a.standing, 4294967295)] AS stage,
    bitAnd(bitShiftRight(a.standing, 32), 65535) AS position,
    if(a.buying_group = 0, '', statuses[bitShiftRight(a.standing, 48) + 1]) AS status,
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
