-- Episodes in which nothing happened in an open visit for longer than its stage allows, one row each. What was told once stays: an episode ends,
-- but is not taken back.

CREATE TABLE IF NOT EXISTS stalls
(
    funnel LowCardinality(String),
    prospect_id UUID,
    visit UInt32,
    stage LowCardinality(String),
    deadline DateTime64(6, 'UTC'),
    level UInt16,
    noticed_at DateTime64(6, 'UTC'),
    resolved_at Nullable(DateTime64(6, 'UTC')),
    resolution LowCardinality(String),
    account_id String CODEC(ZSTD(1)),
    revision UInt64,
    is_deleted UInt8,
    written_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(revision, is_deleted)
ORDER BY (funnel, prospect_id, visit, stage, deadline);
