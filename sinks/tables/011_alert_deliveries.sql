-- What became of alerts on their way: one row for each alert, route and target. Kept for as long as the topic remembers them.

CREATE TABLE IF NOT EXISTS alert_deliveries
(
    alert_id UUID,
    step LowCardinality(String),
    route LowCardinality(String),
    target LowCardinality(String),
    prospect_id UUID,
    funnel LowCardinality(String),
    stage LowCardinality(String),
    state LowCardinality(String),
    due_at DateTime64(6, 'UTC'),
    digest String,
    attempts UInt32,
    planned_at DateTime64(6, 'UTC'),
    changed_at DateTime64(6, 'UTC'),
    error String,
    written_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(changed_at)
ORDER BY (alert_id, step, route, target)
TTL toDateTime(planned_at) + INTERVAL 400 DAY;
