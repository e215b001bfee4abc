-- What attribution needs beside the facts: how fast a touch fades, and what `journey attribute` found.

CREATE TABLE IF NOT EXISTS attribution_settings
(
    name LowCardinality(String),
    value Float64,
    revision UInt64,
    written_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(revision)
ORDER BY name;

-- Of what the won visits brought, whose touches did how much by the Markov model. A run writes all its rows in one insert, and only those of
-- the newest run count; one of them has no funnel, so that a run that finds nothing counts, too.
CREATE TABLE IF NOT EXISTS attribution_shares
(
    funnel LowCardinality(String),
    currency LowCardinality(String),
    channel_group LowCardinality(String),
    campaign LowCardinality(String),
    conversions_share Float64,
    value_share Float64,
    run UInt64,
    written_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(run)
ORDER BY (funnel, currency, channel_group, campaign);
