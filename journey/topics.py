"""The topics we need, as data. `journey.topic_admin` makes them; worker and sink, which only need the names, do without its Kafka client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agents import config
from funnel.durations import parse_duration
from journey.settings import Settings
from schemas.catalog import SUBJECT_OF_CHANNEL

INPUT_TOPICS: Mapping[str, str] = SUBJECT_OF_CHANNEL
"""The input topic of each channel: named as the subject of its schema."""
TOUCHES = "touches"
FACTS = "facts"
CHANGELOG = "journey-prospects-changelog"
DEAD_LETTERS = "dead-letters"
ERASURES = config.ERASURES
"""Who must not come back: ids, as keys, for good (`agents.erasures`)."""

STALLED_PROSPECTS = "stalled-prospects"
ALERT_DELIVERIES = "alert-deliveries"
"""What became of alerts on their way (`alerts`)."""

_MIB = 1024 * 1024
INPUT_MESSAGE_BYTES = 8 * _MIB
"""Over-long events must reach intake, which makes dead letters of them."""
DEAD_LETTER_MESSAGE_BYTES = 10 * _MIB
"""An input record of the largest size, and headers."""
INTERNAL_MESSAGE_BYTES = 2 * _MIB
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
    is_shared: bool = False
    """Whether it is another installation's, which made it as it wants it: it only has to be there."""


def changelog_of(settings: Settings) -> str:
    """The changelog, as it is called on the brokers."""
    return topic_name(settings, CHANGELOG)


def topic_name(settings: Settings, name: str) -> str:
    """A topic as it is called on the brokers."""
    prefix = settings.prefix_of_input if name in config.INPUT_TOPICS else settings.topic_prefix
    return f"{prefix}{name}"


def wanted_topics(settings: Settings, *, make_input: bool = False) -> tuple[Topic, ...]:
    """Every topic, with partition counts and settings. Touches, changelog and facts are partitioned alike.

    Args:
        settings: say how they are called and what they are to be like.
        make_input: also of input topics that other installations read, which else are left to these.
    """
    shared = {topic_name(settings, name) for name in config.INPUT_TOPICS} if settings.shares_input else set()

    def topic(name: str, **configs: str) -> Topic:
        return Topic(
            name,
            settings.partitions,
            settings.replication,
            {key.replace("_", "."): value for key, value in configs.items()},
            is_shared=name in shared and not make_input,
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
        topic(topic_name(settings, STALLED_PROSPECTS), cleanup_policy="delete", **internal),
        topic(
            topic_name(settings, ALERT_DELIVERIES),
            cleanup_policy="compact",
            max_message_bytes=str(INTERNAL_MESSAGE_BYTES),
        ),
        topic(
            topic_name(settings, ERASURES),
            cleanup_policy="compact",
        ),
    )
