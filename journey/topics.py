"""The topics we need, as data; making them, and telling where those that exist differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError

from funnel.durations import parse_duration
from journey.errors import JourneyError
from journey.settings import Settings
from schemas.catalog import SUBJECT_OF_CHANNEL

INPUT_TOPICS: Mapping[str, str] = SUBJECT_OF_CHANNEL
"""The input topic of each channel: named as the subject of its schema."""
TOUCHES = "touches"
FACTS = "facts"
CHANGELOG = "journey-prospects-changelog"
DEAD_LETTERS = "dead-letters"
ERASURES = "erasures"
"""Who must not come back: ids, as keys, for good (`agents.erasures`)."""

_MIB = 1024 * 1024
INPUT_MESSAGE_BYTES = 8 * _MIB
"""Over-long events must reach intake, which makes dead letters of them."""
DEAD_LETTER_MESSAGE_BYTES = 10 * _MIB
"""An input record of the largest size, and headers."""
INTERNAL_MESSAGE_BYTES = 2 * _MIB
_READY_MILLISECONDS = 30_000
_DAY_MILLISECONDS = 24 * 60 * 60 * 1000
_FORGOTTEN_BY_MILLISECONDS = 7 * _DAY_MILLISECONDS
"""What was deleted from the changelog is gone from the brokers' disks after this time, given that something is written."""


@dataclass(frozen=True)
class Topic:
    """A topic as it should be."""

    name: str
    partitions: int
    replication: int
    configs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Drift:
    """Where a topic that exists differs from what it should be."""

    topic: str
    what: str
    """`partitions`, or the name of a config."""
    expected: str
    found: str

    @property
    def remedy(self) -> str:
        """What to do about it."""
        if self.what == "partitions":
            return (
                f"partition counts must not change: set JOURNEY_PARTITIONS={self.found} if all topics have as many,"
                " else start over with new topics (JOURNEY_TOPIC_PREFIX) and replay the input"
            )
        return f"kafka-configs --alter --topic {self.topic} --add-config {self.what}={self.expected}"


def changelog_of(settings: Settings) -> str:
    """The changelog, as it is called on the brokers."""
    return topic_name(settings, CHANGELOG)


def topic_name(settings: Settings, name: str) -> str:
    """A topic as it is called on the brokers."""
    return f"{settings.topic_prefix}{name}"


def wanted_topics(settings: Settings) -> tuple[Topic, ...]:
    """Every topic, with partition counts and settings. Touches, changelog and facts are partitioned alike."""

    def topic(name: str, **configs: str) -> Topic:
        return Topic(
            name,
            settings.partitions,
            settings.replication,
            {key.replace("_", "."): value for key, value in configs.items()},
        )

    kept = str(parse_duration(settings.input_retention) // 1_000)
    dead = str(parse_duration(settings.dead_letter_retention) // 1_000)
    inputs = [
        topic(
            topic_name(settings, name),
            cleanup_policy="delete",
            retention_ms=kept,
            max_message_bytes=str(INPUT_MESSAGE_BYTES),
        )
        for name in INPUT_TOPICS.values()
    ]
    internal = {"retention_ms": kept, "max_message_bytes": str(INTERNAL_MESSAGE_BYTES)}
    return (
        *inputs,
        topic(topic_name(settings, TOUCHES), cleanup_policy="delete", **internal),
        topic(topic_name(settings, FACTS), cleanup_policy="delete", **internal),
        topic(
            topic_name(settings, DEAD_LETTERS),
            cleanup_policy="delete",
            retention_ms=dead,
            max_message_bytes=str(DEAD_LETTER_MESSAGE_BYTES),
        ),
        topic(
            changelog_of(settings),
            cleanup_policy="compact",
            max_message_bytes=str(INTERNAL_MESSAGE_BYTES),
            # What a worker that no longer owned the partition has overwritten must still be there when its owner heals it (ADR 011).
            min_compaction_lag_ms=str(_DAY_MILLISECONDS),
            max_compaction_lag_ms=str(_FORGOTTEN_BY_MILLISECONDS),
        ),
        topic(
            topic_name(settings, ERASURES),
            cleanup_policy="compact",
        ),
    )


def require_topics(admin: KafkaAdminClient, names: Iterable[str]) -> None:
    """Make sure that topics are there: asking for one in any other way may make it, with the broker's defaults.

    Raises:
        JourneyError: naming those that are not.
    """
    if missing := sorted(set(names) - set(admin.list_topics())):
        raise JourneyError(f"topics are missing: {', '.join(missing)}", hint="run `journey topics`")


def create_topics(admin: KafkaAdminClient, wanted: Iterable[Topic]) -> list[str]:
    """Make those that are missing, and wait until they can be used; returns their names.

    Raises:
        JourneyError: the brokers refused, or the topics can't be used for long.
    """
    wanted = tuple(wanted)
    existing = set(admin.list_topics())
    created = []
    for topic in wanted:
        if topic.name in existing:
            continue
        new = NewTopic(topic.name, topic.partitions, topic.replication, topic_configs=dict(topic.configs))
        try:
            admin.create_topics([new])
        except TopicAlreadyExistsError:
            continue  # another process made it meanwhile
        except KafkaError as error:
            raise JourneyError(f"topic {topic.name} can't be created: {type(error).__name__}") from error
        created.append(topic.name)
    if new := [topic.name for topic in wanted if topic.name not in existing]:
        try:  # brokers answer that a topic is made before they know of its partitions, and before these have leaders
            admin.wait_for_topics(new, timeout_ms=_READY_MILLISECONDS)
        except KafkaError as error:
            raise JourneyError(
                f"topics that were made can't be used after {_READY_MILLISECONDS // 1000} s: {', '.join(new)}",
                hint="are all brokers up? see their logs",
            ) from error
    return created


def find_drift(admin: KafkaAdminClient, wanted: Sequence[Topic]) -> list[Drift]:
    """Where topics differ from what they should be; missing ones have 0 partitions."""
    existing = set(admin.list_topics())
    present = [topic for topic in wanted if topic.name in existing]
    drift = [
        Drift(topic.name, "partitions", str(topic.partitions), "0") for topic in wanted if topic.name not in existing
    ]
    if not present:
        return drift
    counts = {
        found["name"]: len(found["partitions"]) for found in admin.describe_topics([topic.name for topic in present])
    }
    resources = [ConfigResource(ConfigResourceType.TOPIC, topic.name) for topic in present]
    configs = admin.describe_configs(resources, config_filter="all")["topic"]
    for topic in present:
        if counts[topic.name] != topic.partitions:
            drift.append(Drift(topic.name, "partitions", str(topic.partitions), str(counts[topic.name])))
        found = configs.get(topic.name, {})
        for name, expected in topic.configs.items():
            value = str(found[name]["value"]) if name in found else "(unset)"
            if value != expected:
                drift.append(Drift(topic.name, name, expected, value))
    return drift
