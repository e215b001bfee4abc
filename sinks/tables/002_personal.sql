-- The only tables with personal data; both deserve grants of their own.

CREATE TABLE IF NOT EXISTS prospect_identifiers
(
    prospect_id UUID,
    kind LowCardinality(String),
    value String CODEC(ZSTD(1)),
    revision UInt64,
    is_deleted UInt8,
    written_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(revision, is_deleted)
ORDER BY (prospect_id, kind, value);

-- A letter is known by where its original is and what that holds: sent again, it replaces itself. What it holds counts too,
-- because the embedded broker forgets, and then gives the same offsets to other events.
-- How long letters are kept is a setting: `journey migrate` changes the TTL to it (sinks/retention.py).
CREATE TABLE IF NOT EXISTS dead_letters
(
    origin_topic LowCardinality(String),
    origin_partition Int32,
    origin_offset Int64,
    reason LowCardinality(String),
    stage LowCardinality(String),
    message String CODEC(ZSTD(1)),
    key String CODEC(ZSTD(1)),
    value String CODEC(ZSTD(1)),
    value_hash UInt64 DEFAULT xxh3(value),
    kafka_time DateTime64(3, 'UTC'),
    written_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(written_at)
ORDER BY (origin_topic, origin_partition, origin_offset, stage, value_hash)
TTL toDateTime(written_at) + INTERVAL 30 DAY DELETE
SETTINGS index_granularity = 512;
