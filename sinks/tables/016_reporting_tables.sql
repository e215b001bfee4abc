-- What the events can't say, and people fill in with `journey load`: what campaigns cost, in which segment an account is, and what is to be reached.

CREATE TABLE IF NOT EXISTS spend
(
    day Date,
    channel_group LowCardinality(String),
    campaign LowCardinality(String),
    currency LowCardinality(String),
    amount Decimal(18, 2),
    revision UInt64,
    is_deleted UInt8,
    written_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(revision, is_deleted)
ORDER BY (day, channel_group, campaign, currency);

CREATE TABLE IF NOT EXISTS account_segments
(
    account_id String,
    segment LowCardinality(String),
    revision UInt64,
    is_deleted UInt8,
    written_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(revision, is_deleted)
ORDER BY account_id;

CREATE TABLE IF NOT EXISTS targets
(
    name String,
    funnel LowCardinality(String),
    metric LowCardinality(String),
    stage LowCardinality(String),
    currency LowCardinality(String),
    period LowCardinality(String),
    campaign Nullable(String),
    starts Date,
    ends Nullable(Date),
    value Float64,
    revision UInt64,
    is_deleted UInt8,
    written_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(revision, is_deleted)
ORDER BY name;

-- How an account stands, of whose people some are further than others: as the funnel file says.
ALTER TABLE funnel_stages ADD COLUMN IF NOT EXISTS account_policy LowCardinality(String) DEFAULT 'furthest' AFTER timezone;
