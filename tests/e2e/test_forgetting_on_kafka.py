"""`journey forget` on Apache Kafka, where topics stay: a search for canaries in every record of every topic."""

from __future__ import annotations

from pathlib import Path

import pytest

from journey import topics
from journey.forget_topics import records_of
from journey.kafka_clients import consumer_client
from journey.offsets import true_ends
from journey.settings import Settings
from tests.broker import unique
from tests.e2e.harness import ask, journey
from tests.e2e.people import ADA, BOB, CANARY, EMAIL, PHONE, REFUSED, USER, contents, files_with, write
from tests.faults.kafka import ApacheKafka

pytestmark = pytest.mark.kafka


def everything_in(settings: Settings) -> list[tuple[str, bytes]]:
    """Every record of every topic: keys, values and headers in one piece."""
    found = []
    with consumer_client(settings) as consumer:
        for topic in topics.wanted_topics(settings):
            ends = {tp: end for tp, end in true_ends(consumer, [topic.name]).items() if end}
            for _, record in records_of(consumer, ends, lambda _, __: None, topic.name):
                parts = [record.key or b"", record.value or b"", *(value or b"" for _, value in record.headers)]
                found.append((topic.name, b"|".join(parts).lower()))
    return found


def installation(kafka: ApacheKafka, directory: Path, input_prefix: str = "") -> tuple[Settings, dict[str, str]]:
    """Settings with topics and groups of their own, and the environment that makes them."""
    own = unique("forget").replace("-", "_")
    settings = Settings(
        kafka=kafka.bootstrap,
        app_id=own,
        topic_prefix=f"{own}.",
        input_prefix=input_prefix,
        id_key="a key of at least 16",
        data_dir=directory / ".journey",
    )
    env = {
        "JOURNEY_KAFKA": settings.kafka,
        "JOURNEY_APP_ID": own,
        "JOURNEY_TOPIC_PREFIX": settings.topic_prefix,
        "JOURNEY_INPUT_PREFIX": input_prefix,
        "JOURNEY_ID_KEY": settings.id_key.get_secret_value(),
    }
    return settings, env


@pytest.mark.timeout(900)  # ClickHouse keeps replaced parts for a while, and each waits for that
def test_both_that_share_the_input_forget(apache_kafka: ApacheKafka, tmp_path: Path) -> None:
    """Ada is forgotten in one installation, and then in another one that reads the same input, which knows her ids by the list only."""
    places = [tmp_path / "old", tmp_path / "new"]
    for place in places:
        place.mkdir()
    old, in_old = installation(apache_kafka, places[0])
    new, in_new = installation(apache_kafka, places[1], old.topic_prefix)
    journey("run", write(places[0] / "events.ndjson", [*ADA, *BOB, *REFUSED]), cwd=places[0], env=in_old)
    journey("run", "-", cwd=places[1], env=in_new)  # nothing more: it works off what is there
    assert contents(new).facts == contents(old).facts
    for place, env in zip(places, (in_old, in_new), strict=True):
        journey("forget", f"email:{EMAIL}", "--yes", cwd=place, env=env)
    for settings in (old, new):
        assert CANARY.decode() not in contents(settings).everything
        assert [topic for topic, data in everything_in(settings) if CANARY in data] == []
    assert contents(new).facts == contents(old).facts


def test_the_forgotten_are_in_no_topic(apache_kafka: ApacheKafka, tmp_path: Path) -> None:
    """Ada is nowhere, others' records are all there, and Bob's facts are what they were; replays bring nothing back."""
    settings, env = installation(apache_kafka, tmp_path)
    journey("run", write(tmp_path / "events.ndjson", [*ADA, *BOB, *REFUSED]), cwd=tmp_path, env=env)
    before = contents(settings)
    with_canary = {topic for topic, data in everything_in(settings) if CANARY in data}
    assert {topic.removeprefix(settings.topic_prefix) for topic in with_canary} >= {
        "web-events",
        "email-events",
        "dead-letters",
    }
    told = journey("forget", f"email:{EMAIL}", "--yes", cwd=tmp_path, env=env)
    assert "max.compaction.lag.ms" in told

    left = everything_in(settings)
    assert [topic for topic, data in left if CANARY in data] == []
    assert list(files_with(CANARY, tmp_path)) == [tmp_path / "events.ndjson"]
    inputs = [data for topic, data in left if topic.endswith(("web-events", "sales-call-events"))]
    # A5 and a6 are Ada's, but the first names her; what was done on the laptop before anybody signed in names the laptop alone.
    assert sorted(data.count(b"bob") > 0 for data in inputs) == [False, False, True, True]
    after = contents(settings)
    assert CANARY.decode() not in after.everything
    assert len(after.facts["prospects FINAL"]) == 1
    assert set(after.facts["stage_transitions FINAL"]) <= set(before.facts["stage_transitions FINAL"])

    journey("run", write(tmp_path / "again.ndjson", [*ADA, *BOB]), cwd=tmp_path, env=env)
    assert contents(settings).facts == after.facts

    # The phone was Ada's by the rules, and went with her; Bob's call on it stays until somebody names it.
    calls = "stage_transitions FINAL"
    assert any("'b3'" in row for row in after.facts[calls])
    journey("forget", f"phone:{PHONE}", "--yes", cwd=tmp_path, env=env)
    assert not any("'b3'" in row for row in contents(settings).facts[calls])
    assert "nothing is known" in ask("who", f"user_id:{USER}", cwd=tmp_path, env=env, code=1)
