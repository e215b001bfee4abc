"""What is done with a broker, on the embedded one: topics, true ends, snapshots, lines."""

from __future__ import annotations

import gzip
import io
import json
import struct
import time
from pathlib import Path
from uuid import UUID

import pytest
from kafka import OffsetAndMetadata, TopicPartition
from pydantic import SecretStr
from rich.console import Console

from agents.config import WorkerConfig
from agents.erasures import request_of
from agents.fencing import FENCE_KEY, epoch_headers
from agents.records import without_position
from journey import sending, snapshot, topic_admin, topics, upkeep
from journey.behind import behind
from journey.doctor import examine
from journey.errors import JourneyError, StateError
from journey.forgotten import everybody
from journey.kafka_clients import admin_client, consumer_client, producer_client
from journey.offsets import lag, true_ends
from journey.produce import LineProducer, Produced
from journey.screen import terminal
from journey.settings import Settings
from journey.snapshot import Entry
from journey.wiring import codec_of, sink_group
from schemas.catalog import SUBJECT_OF_CHANNEL
from schemas.codec import EventCodec
from schemas.registry import FileRegistry
from tests.broker import Tansu, unique
from tests.e2e.harness import event
from tests.schema_registry import PASSWORD, USER, running_registry

VALUE = struct.pack(">BqqqqH", 3, 5, -1, 77, 33, 5) + b"reach" + b"payload"
"""A changelog record's value: format, revision, due, position, when it occurred, and what follows."""


@pytest.fixture
def settings(tansu: Tansu) -> Settings:
    """Topics of our own on the shared broker."""
    return Settings(kafka=tansu.bootstrap, topic_prefix=unique("t") + ".", partitions=3)


@pytest.fixture
def with_topics(settings: Settings) -> Settings:
    """The same, with all topics made."""
    with admin_client(settings) as admin:
        topic_admin.create_topics(admin, topics.wanted_topics(settings))
    return settings


def test_topics_are_made_once_as_wanted(settings: Settings) -> None:
    """The first time all are made, the second none, and nothing differs."""
    wanted = topics.wanted_topics(settings)
    with admin_client(settings) as admin:
        assert {one.found for one in topic_admin.find_drift(admin, wanted)} == {"0"}
        assert topic_admin.create_topics(admin, wanted) == [topic.name for topic in wanted]
        assert topic_admin.create_topics(admin, wanted) == []
        assert topic_admin.find_drift(admin, wanted) == []


def test_a_shared_input_is_left_to_whom_it_belongs(with_topics: Settings) -> None:
    """A second installation on it makes its own topics only; where the input is missing, it says what to do; `--input` makes it."""
    own = {"app_id": "second", "topic_prefix": unique("t") + "."}
    second = with_topics.model_copy(update=own | {"input_prefix": with_topics.topic_prefix, "partitions": 2})
    code, first = told(second, create=True)
    assert code == 0
    assert (first.count("created"), first.count("(shared input)")) == (6, 5)
    assert told(second, create=False)[0] == 0  # though the input has other numbers of partitions
    lost = second.model_copy(update={"input_prefix": unique("nobodys") + "."})
    code, looked = told(lost, create=True)
    assert code == 1
    assert looked.count("is JOURNEY_INPUT_PREFIX right?") == 5
    shown = Console(file=io.StringIO(), width=200)
    assert upkeep.topics(lost, shown, create=True, make_input=True) == 0
    assert told(lost, create=False)[0] == 0


def test_the_doctor_finds_two_installations_in_one_group(with_topics: Settings) -> None:
    """Topics in a group that are not this installation's are told; its own are not."""
    groups = {"app_id": unique("group"), "id_key": SecretStr("a key of at least 16")}
    first = with_topics.model_copy(update=groups)
    topic = TopicPartition(topics.topic_name(first, topics.TOUCHES), 0)
    with admin_client(first) as admin:
        admin.alter_group_offsets(first.app_id, {topic: OffsetAndMetadata(1, "", -1)})

    def found(settings: Settings) -> list[str]:
        return [one.found for one in examine(settings) if one.what == "groups"]

    assert found(first) == []
    (told_of,) = found(first.model_copy(update={"topic_prefix": unique("t") + "."}))
    assert topic.topic in told_of


def test_all_who_were_forgotten_are_listed(with_topics: Settings) -> None:
    """Ids on the topic `erasures`, and which of them were named; what is no request is passed over."""
    one, two = UUID(int=1, version=5), UUID(int=2, version=5)
    topic = topics.topic_name(with_topics, topics.ERASURES)
    with producer_client(with_topics) as producer:
        producer.send(topic, key=one.bytes, value=request_of(b"a key", named=True))
        producer.send(topic, key=two.bytes, value=request_of(b"a key", named=False))
        producer.send(topic, key=b"short", value=b"what is this")
        producer.flush()
    found = everybody(with_topics, lambda _, __: None)
    assert (found.theirs, found.named) == ({one, two}, {one})


def test_how_far_behind_is_told_in_records_and_seconds(with_topics: Settings) -> None:
    """Of each topic, what its group has not committed, and how old the oldest of that is; nothing once it has."""
    settings = with_topics.model_copy(update={"app_id": unique("group")})
    facts = topics.topic_name(settings, topics.FACTS)
    minute_ago = int(time.time() * 1_000) - 60_000
    with producer_client(settings) as producer:
        for at in (minute_ago, minute_ago + 30_000):
            producer.send(facts, value=b"fact", partition=1, timestamp_ms=at)
            producer.flush()
    group = sink_group(settings)
    with admin_client(settings) as admin, consumer_client(settings) as consumer:
        (left,) = behind(admin, consumer, settings)
        assert left[:3] == (facts, group, 2)
        assert 60 <= left.seconds < 90
        admin.alter_group_offsets(group, {TopicPartition(facts, 1): OffsetAndMetadata(1, "", -1)})
        (left,) = behind(admin, consumer, settings)
        assert (left.records, 30 <= left.seconds < 60) == (1, True)
        admin.alter_group_offsets(group, {TopicPartition(facts, 1): OffsetAndMetadata(2, "", -1)})
        assert behind(admin, consumer, settings) == []


def test_topics_registers_the_schemas(settings: Settings) -> None:
    """With a registry, `journey topics` registers what is missing, once; `--check` only looks; without one it says nothing of schemas."""
    with running_registry() as registry:
        ours = settings.model_copy(
            update={
                "schema_registry": registry.url,
                "schema_registry_user": USER,
                "schema_registry_password": SecretStr(PASSWORD),
            }
        )
        assert told(settings, create=True)[0] == 0
        code, looked = told(ours, create=False)
        assert code == 1
        assert looked.count("is missing: run `journey topics`") == 4
        assert registry.subjects == {}
        code, first = told(ours, create=True)
        assert code == 0
        for number, subject in enumerate(SUBJECT_OF_CHANNEL.values(), 100):
            assert registry.subjects[f"{subject}-value"] == [number]
            assert f"created  schema of {subject}, version 1 (id {number})" in first
        before = {name: list(ids) for name, ids in registry.subjects.items()}
        code, again = told(ours, create=True)
        assert (code, again.count("ok       schema of"), registry.subjects) == (0, 4, before)
        registry.subjects.clear()
        registry.incompatible = True
        with pytest.raises(JourneyError, match="versions of web-events-value that ours is not compatible with"):
            told(ours, create=True)
        wrong = ours.model_copy(update={"schema_registry_password": SecretStr("wrong-word")})
        with pytest.raises(JourneyError, match="check the user name and password") as refused:
            told(wrong, create=True)
    assert "wrong-word" not in str(refused.value)
    assert "schema" not in told(settings, create=True)[1]


def told(settings: Settings, *, create: bool) -> tuple[int, str]:
    """The exit code and the words of `journey topics`."""
    console = Console(file=io.StringIO(), width=200)
    code = upkeep.topics(settings, console, create=create)
    assert isinstance(console.file, io.StringIO)
    return code, console.file.getvalue()


def test_drift_is_told_with_its_remedy(with_topics: Settings) -> None:
    """Another partition count or config is found, topic by topic."""
    other = with_topics.model_copy(update={"partitions": 4, "dead_letter_retention": "1d"})
    with admin_client(with_topics) as admin:
        drift = topic_admin.find_drift(admin, topics.wanted_topics(other))
    counts = [one for one in drift if one.what == "partitions"]
    assert len(counts) == len(topics.wanted_topics(other))
    assert "JOURNEY_PARTITIONS=3" in counts[0].remedy
    (config,) = [one for one in drift if one.what != "partitions"]
    assert (config.what, config.expected, config.found) == ("retention.ms", "86400000", "1209600000")
    assert f"--topic {config.topic} --add-config retention.ms=86400000" in config.remedy


def test_topics_are_called_as_the_agents_call_them(settings: Settings) -> None:
    """Touches, changelog and facts have equally many partitions, and the names that workers use."""
    worker = WorkerConfig(brokers="x:1", app_id="a", data_dir=Path(), prefix=settings.topic_prefix)
    wanted = {topic.name: topic for topic in topics.wanted_topics(settings)}
    names = [worker.topic(name) for name in ("touches", "journey-prospects-changelog", "facts")]
    assert {wanted[name].partitions for name in names} == {3}
    assert wanted[names[1]].configs["cleanup.policy"] == "compact"
    assert wanted[names[1]].configs["min.compaction.lag.ms"] == "86400000"


def test_true_ends_are_found_where_the_broker_reports_less(with_topics: Settings) -> None:
    """The embedded broker reports the last batch's first offset + 1; an empty partition ends at 0."""
    topic = topics.topic_name(with_topics, "facts")
    with producer_client(with_topics) as producer, consumer_client(with_topics) as consumer:
        for _ in range(500):
            producer.send(topic, value=b"x" * 100, partition=0)
        producer.flush()
        ends = true_ends(consumer, [topic])
    assert ends == {TopicPartition(topic, 0): 500, TopicPartition(topic, 1): 0, TopicPartition(topic, 2): 0}
    assert lag(ends, {}) == 500
    assert lag(ends, {TopicPartition(topic, 0): 499}) == 1


def test_the_changelog_survives_a_broker(with_topics: Settings, tmp_path: Path) -> None:
    """The last value of each key, in its partition, without deleted keys and without positions, comes back.

    Neither fences nor what was written too late is a part of it.
    """
    kept, gone = b"K" * 16, b"G" * 16
    topic, again = topics.changelog_of(with_topics), topics.topic_name(with_topics, "facts")
    path = tmp_path / "changelog.snapshot"
    with producer_client(with_topics) as producer, consumer_client(with_topics) as consumer:
        for partition in range(3):
            for key, value, epoch in (
                (kept, b"?" * 30, 0),
                (FENCE_KEY, b"token", 2),
                (gone, VALUE, 2),
                (kept, VALUE, 2),
                (gone, None, 2),
                (kept, b"late", 1),
                (gone, b"late", 0),
            ):
                suffix = b"" if key == FENCE_KEY else bytes([partition])
                headers = epoch_headers(epoch) if epoch else []
                producer.send(topic, key=key + suffix, value=value, partition=partition, headers=headers)
        producer.flush()
        assert snapshot.save(path, snapshot.read_changelog(consumer, topic)) == 3
        assert snapshot.restore(producer, again, snapshot.load(path)) == 3
        found = sorted(snapshot.read_changelog(consumer, again))
    assert found == [Entry(partition, kept + bytes([partition]), without_position(VALUE)) for partition in range(3)]


@pytest.mark.parametrize("damage", ["cut", "flipped", "other", "count"])
def test_a_damaged_snapshot_is_refused(tmp_path: Path, damage: str) -> None:
    """Cut short, changed, another file, or one record short: told, never half restored as if it were whole."""
    path = tmp_path / "changelog.snapshot"
    snapshot.save(path, iter([Entry(0, b"k%d" % number, VALUE) for number in range(100)]))
    assert len(list(snapshot.load(path))) == 100
    content = path.read_bytes()
    clear = gzip.decompress(content)
    one = struct.calcsize(">iII") + 2 + len(VALUE)
    start = clear.index(b"\n") + 1
    path.write_bytes(
        {
            "cut": content[:-20],
            "flipped": content[:60] + bytes([content[60] ^ 255]) + content[61:],
            "other": gzip.compress(b"something else"),
            "count": gzip.compress(clear[:start] + clear[start + one :]),
        }[damage]
    )
    with pytest.raises(StateError, match="damaged"):
        list(snapshot.load(path))


def sent(settings: Settings, *names: str, shift: int = 0) -> Produced:
    """What became of these files."""
    with producer_client(settings) as producer:
        sender = LineProducer(producer, codec_of(settings), settings, shift=shift)
        for name in names:
            sender.send_file(name)
        sender.finish()
        return sender.produced


def records(settings: Settings, name: str) -> list[tuple[bytes, bytes, dict[str, bytes]]]:
    """Key, value and headers of all records of a topic."""
    topic = topics.topic_name(settings, name)
    found = []
    with consumer_client(settings) as consumer:
        ends = {tp: end for tp, end in true_ends(consumer, [topic]).items() if end}
        consumer.assign(list(ends))
        consumer.seek_to_beginning(*ends)
        while len(found) < sum(ends.values()):
            for batch in consumer.poll(100).values():
                found += [(record.key, record.value, dict(record.headers)) for record in batch]
    return found


def test_lines_become_events_keyed_by_the_strongest_identifier(with_topics: Settings, tmp_path: Path) -> None:
    """A byte order mark, empty lines and a missing last line end don't matter; times are shifted where asked."""
    path = tmp_path / "events.ndjson"
    lines = [
        event("1", "web", "page_view", "2026-01-01T00:00:00Z", email="a@b.c", user_id="u1"),
        "  ",
        event("2", "web", "page_view", "2026-01-01T00:00:01Z"),
    ]
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    produced = sent(with_topics, str(path), shift=86_400_000_000)
    assert (produced.lines, produced.sent, dict(produced.dead)) == (2, 2, {})
    codec = EventCodec(FileRegistry())
    found = {key: codec.decode("web", value) for key, value, _ in records(with_topics, "web-events")}
    assert {key: read["occurred_at"] for key, read in found.items()} == {
        b"u1": 1_767_312_000_000_000,
        b"2": 1_767_312_001_000_000,
    }


def test_lines_that_are_no_events_are_dead_letters(with_topics: Settings, tmp_path: Path) -> None:
    """Original bytes, reason, stage, file and line number; nothing of the line is in the message."""
    path = tmp_path / "bad.ndjson"
    secret = json.dumps({"channel": "web", "email": "private@example.com"}).encode()
    path.write_bytes(b"\xff\xfe{\n" + secret + b"\n")
    produced = sent(with_topics, str(path))
    assert [(bad.line, bad.reason) for bad in produced.bad] == [(1, "undecodable"), (2, "undecodable")]
    found = sorted(records(with_topics, "dead-letters"), key=lambda record: record[2]["__connect.errors.offset"])
    assert [value for _, value, _ in found] == [b"\xff\xfe{", secret]
    assert found[1][2]["__connect.errors.topic"] == b"bad.ndjson"
    assert found[1][2]["__connect.errors.offset"] == b"2"
    assert (found[1][2]["journey.stage"], found[1][2]["journey.reason"]) == (b"produce", b"undecodable")
    assert b"private" not in found[1][2]["__connect.errors.exception.message"]


def test_a_line_that_fits_nowhere_is_kept_in_part(with_topics: Settings, tmp_path: Path) -> None:
    """It is too_large; the lines around it are sent, and it counts as one."""
    path = tmp_path / "long.ndjson"
    good = event("1", "web", "page_view", "2026-01-01T00:00:00Z", user_id="u1")
    path.write_text(good + "\n" + "x" * 20_000_000 + "\n" + good.replace('"1"', '"2"') + "\n")
    produced = sent(with_topics, str(path))
    assert (produced.lines, produced.sent, dict(produced.dead)) == (3, 2, {"too_large": 1})
    assert "20000001 bytes" in produced.bad[0].message
    ((_, value, _),) = records(with_topics, "dead-letters")
    assert value == b"x" * (1024 * 1024)


def test_a_file_that_is_damaged_or_missing_is_told(with_topics: Settings, tmp_path: Path) -> None:
    """A gzip file that was cut short says how far it was read; zstd says how to read it."""
    whole = gzip.compress(
        "\n".join(event(str(n), "web", "x", "2026-01-01T00:00:00Z", user_id=f"{n}") for n in range(5_000)).encode()
    )
    cut, zstd = tmp_path / "cut.gz", tmp_path / "events.zst"
    cut.write_bytes(whole[: len(whole) // 2])
    zstd.write_bytes(b"\x28\xb5\x2f\xfd1234")
    with pytest.raises(JourneyError, match=r"cut.gz is damaged after line \d+"):
        sent(with_topics, str(cut))
    with pytest.raises(JourneyError, match="zstd"):
        sent(with_topics, str(zstd))
    with pytest.raises(JourneyError, match=r"missing\.ndjson can't be read"):
        sent(with_topics, str(tmp_path / "missing.ndjson"))


def test_missing_topics_are_told_before_anything_is_sent(settings: Settings) -> None:
    """No topic is made by accident, with whatever partitions the broker likes."""
    with pytest.raises(JourneyError, match="topics are missing") as refused:
        sending.produce(settings, ["-"], terminal())
    assert "journey topics" in refused.value.hint
    with admin_client(settings) as admin:
        assert [name for name in admin.list_topics() if name.startswith(settings.topic_prefix)] == []


def test_a_broker_that_is_away_is_told() -> None:
    """With what to check, and in a few seconds."""
    with pytest.raises(JourneyError, match="can't be reached"), admin_client(Settings(kafka="127.0.0.1:9")):
        pass
