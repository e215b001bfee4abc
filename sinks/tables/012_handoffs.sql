-- What is told of hand-offs from one team to another: three things of each, a row for each as it happens (part 0: handed over, 1: first touch,
-- 2: decision). Readers get them put together in the view `handoffs`.

CREATE TABLE IF NOT EXISTS handoff_parts
(
    funnel LowCardinality(String),
    prospect_id UUID,
    visit UInt32,
    step UInt32,
    part UInt8,
    occurred_at DateTime64(6, 'UTC'),
    source LowCardinality(String),
    event_id String CODEC(ZSTD(1)),
    channel LowCardinality(String),
    type LowCardinality(String),
    campaign LowCardinality(String),
    outcome LowCardinality(String),
    reason LowCardinality(String),
    rep LowCardinality(String),
    decision LowCardinality(String),
    from_team LowCardinality(String),
    to_team LowCardinality(String),
    stage LowCardinality(String),
    first_campaign LowCardinality(String),
    account_id String CODEC(ZSTD(1)),
    respond_by Nullable(DateTime64(6, 'UTC')),
    revision UInt64,
    is_deleted UInt8,
    written_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(revision, is_deleted)
ORDER BY (funnel, prospect_id, visit, step, part);

-- An episode of a late response is not the one of a stall that has the same deadline. A column that joins the key may have no DEFAULT: what an
-- Enum has by itself is its first value, which is what all rows so far are.
ALTER TABLE stalls
    ADD COLUMN IF NOT EXISTS kind Enum8('stall' = 0, 'response' = 1) AFTER account_id,
    MODIFY ORDER BY (funnel, prospect_id, visit, stage, deadline, kind);
