"""Making the topics we need, and telling where those that exist differ."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError

from journey.errors import JourneyError
from journey.topics import Topic

_READY_MILLISECONDS = 30_000
SHARED_MISSING = "is JOURNEY_INPUT_PREFIX right? `journey topics` of the installation that the input belongs to makes it, or `journey topics --input` here"
"""What to do where a shared topic is missing."""


@dataclass(frozen=True)
class Drift:
    """Where a topic that exists differs from what it should be."""

    topic: str
    what: str
    """`partitions`, or the name of a config."""
    expected: str
    found: str
    is_shared: bool = False

    @property
    def remedy(self) -> str:
        """What to do about it."""
        if self.is_shared:
            return SHARED_MISSING
        if self.what == "partitions":
            return (
                f"partition counts must not change: set JOURNEY_PARTITIONS={self.found} if all topics have as many,"
                " else start over with new topics (JOURNEY_TOPIC_PREFIX) and replay the input"
            )
        return f"kafka-configs --alter --topic {self.topic} --add-config {self.what}={self.expected}"


def require_topics(admin: KafkaAdminClient, names: Iterable[str]) -> None:
    """Make sure that topics are there: asking for one in any other way may make it, with the broker's defaults.

    Raises:
        JourneyError: naming those that are not.
    """
    if missing := sorted(set(names) - set(admin.list_topics())):
        raise JourneyError(f"topics are missing: {', '.join(missing)}", hint="run `journey topics`")


def create_topics(admin: KafkaAdminClient, wanted: Iterable[Topic]) -> list[str]:
    """Make those that are missing and ours to make, and wait until they can be used; returns their names.

    Raises:
        JourneyError: the brokers refused, or the topics can't be used for long.
    """
    wanted = tuple(topic for topic in wanted if not topic.is_shared)
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
    """Where topics differ from what they should be; missing ones have 0 partitions. Of shared ones only that is looked at."""
    existing = set(admin.list_topics())
    present = [topic for topic in wanted if topic.name in existing]
    drift = [
        Drift(topic.name, "partitions", str(topic.partitions), "0", topic.is_shared)
        for topic in wanted
        if topic.name not in existing
    ]
    present = [topic for topic in present if not topic.is_shared]
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
