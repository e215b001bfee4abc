-- The stages of the funnels in use, in order, written by `journey` from the funnel files.

CREATE TABLE IF NOT EXISTS funnel_stages
(
    funnel LowCardinality(String),
    funnel_version UInt32,
    position UInt16,
    stage LowCardinality(String),
    team LowCardinality(String),
    stall_after_seconds Nullable(Float64),
    window_seconds Float64,
    timezone LowCardinality(String),
    revision UInt64,
    is_deleted UInt8,
    written_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(revision, is_deleted)
ORDER BY (funnel, funnel_version, position);
