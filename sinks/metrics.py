"""What the sink counts. Whoever runs it serves them."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

MESSAGES = Counter("journey_sink_messages", "Records taken from Kafka that are in ClickHouse.", ["topic"])
ROWS = Counter("journey_sink_rows", "Rows inserted, replaced ones and tombstones among them.", ["table"])
INSERT_SECONDS = Histogram(
    "journey_sink_insert_seconds",
    "Time of an insert, by the clock on the wall.",
    buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30),
)
RETRIES = Counter("journey_sink_retries", "Inserts that failed and are tried again.")
PAUSED = Gauge("journey_sink_paused", "1 while ClickHouse can't be written to and nothing is read, else 0.")
BATCH_ROWS = Gauge("journey_sink_batch_rows", "Rows held in memory that are not yet in ClickHouse.")
BATCH_SECONDS = Gauge("journey_sink_batch_seconds", "For how long the batch in memory has been held; 0: there is none.")
PAUSED_SINCE = Gauge("journey_sink_paused_since_seconds", "Since when (Unix time) it is paused; 0: it is not.")
LAG_RECORDS = Gauge(
    "journey_sink_lag_records", "Records of a topic's partitions here that are not inserted.", ["topic"]
)
LAG_SECONDS = Gauge("journey_sink_lag_seconds", "Age of the oldest record of a topic that is not inserted.", ["topic"])
