"""The commands on Apache Kafka, which takes its time where the embedded broker doesn't."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from journey import topic_admin, topics
from journey.kafka_clients import admin_client
from journey.settings import Settings
from tests.broker import unique
from tests.e2e.harness import event, journey, rows
from tests.faults.kafka import ApacheKafka

pytestmark = pytest.mark.kafka

START = datetime.now(UTC).replace(microsecond=0) - timedelta(days=7)


def at(hours: int) -> str:
    """So many hours after the start, as ISO-8601."""
    return (START + timedelta(hours=hours)).isoformat()


def test_topics_can_be_used_when_they_are_made(apache_kafka: ApacheKafka) -> None:
    """The brokers answer a creation before they know the partitions; whoever asks next must not see a topic with none."""
    for _ in range(5):
        settings = Settings(kafka=apache_kafka.bootstrap, topic_prefix=unique("made") + ".", partitions=8)
        wanted = topics.wanted_topics(settings)
        with admin_client(settings) as admin:
            assert len(topic_admin.create_topics(admin, wanted)) == len(wanted)
            assert topic_admin.find_drift(admin, wanted) == []


def test_a_run_on_a_fresh_broker(apache_kafka: ApacheKafka, tmp_path: Path) -> None:
    """Topics are made, events go in, and the rows are in the embedded ClickHouse when the command returns; a second run adds to them."""
    own = unique("run").replace("-", "_")
    env = {
        "JOURNEY_KAFKA": apache_kafka.bootstrap,
        "JOURNEY_APP_ID": own,
        "JOURNEY_TOPIC_PREFIX": f"{own}.",
        "JOURNEY_ID_KEY": "a key of at least 16",
    }
    first = [
        event("1", "web", "page_view", at(0), user_id="u1"),
        event("2", "email", "clicked", at(2), user_id="u1"),
        event("2", "email", "clicked", at(2), user_id="u1"),
        event("3", "web", "page_view", at(1), user_id="u2"),
        "no event",
    ]
    (tmp_path / "first.ndjson").write_text("\n".join(first))
    told = journey("run", "first.ndjson", cwd=tmp_path, env=env)
    assert "3  events applied" in told
    assert "1  duplicates" in told
    assert "1  dead letters: undecodable" in told
    (tmp_path / "second.ndjson").write_text(event("4", "web", "purchase", at(5), user_id="u1", amount="9.50"))
    journey("run", "second.ndjson", cwd=tmp_path, env=env)
    found = rows(
        "SELECT visit, step, kind, from_stage, to_stage, seconds_in_from AS seconds, cause_event_id AS cause, amount::String AS amount"
        " FROM stage_transitions FINAL ORDER BY min(entered_at) OVER (PARTITION BY prospect_id), step",
        tmp_path,
        ".journey",
    )
    assert [tuple(row.values()) for row in found] == [
        (1, 0, "enter", "", "awareness", 0, "1", "0"),
        (1, 1, "advance", "awareness", "interest", 7_200, "2", "0"),
        (1, 2, "skip", "interest", "purchase", 10_800, "4", "9.5"),
        (1, 0, "enter", "", "awareness", 0, "3", "0"),
    ]
    reached = rows("SELECT stage, entered, reached, won FROM funnel ORDER BY position", tmp_path, ".journey")
    assert [tuple(row.values()) for row in reached] == [
        ("awareness", 2, 2, 1),
        ("interest", 1, 1, 1),
        ("consideration", 0, 1, 0),
        ("purchase", 1, 1, 1),
    ]
