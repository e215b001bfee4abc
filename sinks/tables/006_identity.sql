-- What was one prospect's and goes on to another one, and which identifiers are nobody's. No personal data: ids are keyed hashes.
-- `prospect_identifiers`, which names them, is there since 002.

CREATE TABLE IF NOT EXISTS prospect_aliases
(
    old_id UUID,
    new_id UUID,
    since DateTime64(6, 'UTC'),
    revision UInt64,
    is_deleted UInt8,
    written_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(revision, is_deleted)
ORDER BY (old_id, new_id);

CREATE TABLE IF NOT EXISTS shared_identifiers
(
    identifier UUID,
    kind LowCardinality(String),
    seen_with UInt32,
    revision UInt64,
    is_deleted UInt8,
    written_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(revision, is_deleted)
ORDER BY identifier;
