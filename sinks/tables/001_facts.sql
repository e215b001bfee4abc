-- What the pipeline says of prospects. Every row carries a revision; of the rows of one key the highest revision counts, and none
-- does where that one is deleted. So a row sent twice, late or out of order changes nothing, and nothing here is partitioned:
-- a correction may change anything but the key, and rows are replaced only within a partition.

CREATE TABLE IF NOT EXISTS stage_transitions
(
    funnel LowCardinality(String),
    funnel_version UInt32,
    prospect_id UUID,
    visit UInt32,
    step UInt32,
    kind LowCardinality(String),
    from_stage LowCardinality(String),
    to_stage LowCardinality(String),
    entered_at DateTime64(6, 'UTC'),
    visit_opened_at DateTime64(6, 'UTC'),
    seconds_in_from Float64,
    cause_source LowCardinality(String),
    cause_event_id String CODEC(ZSTD(1)),
    channel LowCardinality(String),
    type LowCardinality(String),
    campaign LowCardinality(String),
    first_channel LowCardinality(String),
    first_campaign LowCardinality(String),
    account_id String CODEC(ZSTD(1)),
    amount Decimal(18, 2),
    currency LowCardinality(String),
    reason LowCardinality(String),
    rep LowCardinality(String),
    revision UInt64,
    is_deleted UInt8,
    written_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(revision, is_deleted)
ORDER BY (funnel, prospect_id, visit, step);

CREATE TABLE IF NOT EXISTS prospects
(
    funnel LowCardinality(String),
    prospect_id UUID,
    stage LowCardinality(String),
    visit UInt32,
    status LowCardinality(String),
    stage_entered_at DateTime64(6, 'UTC'),
    last_activity_at DateTime64(6, 'UTC'),
    account_id String CODEC(ZSTD(1)),
    stalled_since Nullable(DateTime64(6, 'UTC')),
    revision UInt64,
    is_deleted UInt8,
    written_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(revision, is_deleted)
ORDER BY (funnel, prospect_id);
