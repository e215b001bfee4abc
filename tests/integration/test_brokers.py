"""The brokers that other tests stand on do what those tests take for granted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from journey.ports import free_port
from tests.broker import Broker, BrokerError, Tansu, unique
from tests.faults.kafka import ApacheKafka, KafkaUnavailableError, class_path, java


def _send(broker: Broker, topic: str, *values: bytes) -> None:
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap, acks="all", max_request_size=10_000_000)
    try:
        for value in values:
            producer.send(topic, value).get(timeout=20)
    finally:
        producer.close()


def _read(broker: Broker, topic: str, count: int) -> list[bytes]:
    consumer = KafkaConsumer(
        bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=20_000
    )
    try:
        consumer.assign([TopicPartition(topic, 0)])
        return [next(consumer).value for _ in range(count)]
    finally:
        consumer.close()


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_topic_carries_records(broker: Broker) -> None:
    """What is sent to a topic is read from it, with the partitions it was created with."""
    topic = unique("records")
    broker.create_topics(topic, partitions=3, config={"cleanup.policy": "delete"})
    with broker.admin() as admin:
        (described,) = admin.describe_topics([topic])
    assert len(described["partitions"]) == 3
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap, acks="all")
    producer.send(topic, b"one", partition=0).get(timeout=20)
    producer.send(topic, b"two", partition=0).get(timeout=20)
    producer.close()
    assert _read(broker, topic, 2) == [b"one", b"two"]


def test_tansu_forgets_and_comes_back_on_its_port(tmp_path: Path) -> None:
    """A killed Tansu starts again at the same address, empty: tests must not take it for a recovery."""
    with Tansu(tmp_path) as tansu:
        tansu.create_topics("gone")
        address, pid = tansu.bootstrap, tansu.pid
        tansu.kill()
        assert not _exists(pid)
        tansu.start()
        assert tansu.bootstrap == address
        with tansu.admin() as admin:
            assert "gone" not in admin.list_topics()
        pid = tansu.pid
    assert not _exists(pid)


def test_a_taken_port_is_not_mistaken_for_the_broker(tmp_path: Path) -> None:
    """Another broker on the port would answer in its place: starting is refused, and no process is left."""
    with Tansu(tmp_path / "first") as first:
        second = Tansu(tmp_path / "second", port=first.port)
        with pytest.raises(BrokerError, match=f"something else listens at {first.address}"):
            second.start()
        assert not second.running


def test_a_broker_that_cannot_start_says_why(tmp_path: Path) -> None:
    """The error carries what the broker printed, and no process is left."""
    tansu = Tansu(tmp_path, advertised="nowhere:not-a-port")
    with pytest.raises(BrokerError, match=r"(?s)Tansu ended with exit code \d+ while starting. Its log ends:.*\w"):
        tansu.start()
    assert not tansu.running


def test_ports_are_below_the_range_of_outgoing_connections() -> None:
    """A client that retries against a stopped broker must never meet itself on the broker's port."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert all(free_port() < lowest for _ in range(20))


def test_without_java_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No Java: one sentence that names the version, not a FileNotFoundError."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(KafkaUnavailableError, match=r"needs Java 17 or newer, but there is no `java` on the PATH"):
        java()


def test_a_java_that_is_too_old_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Java 11 is refused before the broker fails with an unreadable class version."""
    old = tmp_path / "bin" / "java"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n")
    old.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(KafkaUnavailableError, match=r'needs Java 17 or newer, but .* says: openjdk version "11'):
        java()


def test_without_maven_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No Maven and no jars from an earlier run: one sentence that says so."""
    monkeypatch.setattr("tests.faults.kafka._TARGET", tmp_path / "target")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(KafkaUnavailableError, match="no `mvn` on the PATH"):
        class_path()


@pytest.mark.kafka
def test_apache_kafka_keeps_acknowledged_records_over_kill_and_restart(tmp_path: Path) -> None:
    """SIGKILL, then SIGTERM: the same address, the same records, a large one among them; afterwards no process is left."""
    large = os.urandom(2_500_000)
    with ApacheKafka(tmp_path) as kafka:
        kafka.create_topics("kept", config={"max.message.bytes": str(8 * 1024 * 1024)})
        _send(kafka, "kept", b"before", large)
        address, pid = kafka.bootstrap, kafka.pid
        kafka.kill()
        assert not _exists(pid)
        kafka.start()
        assert kafka.bootstrap == address
        assert _read(kafka, "kept", 2) == [b"before", large]
        kafka.restart()
        _send(kafka, "kept", b"after")
        assert _read(kafka, "kept", 3) == [b"before", large, b"after"]
        pid = kafka.pid
    assert not _exists(pid)
