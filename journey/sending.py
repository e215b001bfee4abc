"""`journey produce`: files into Kafka."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from journey import topic_admin, topics
from journey.data_dir import DataDir
from journey.errors import JourneyError
from journey.kafka_clients import admin_client, producer_client
from journey.produce import LineProducer, send_files
from journey.screen import Screen, bytes_bar, tell_bad_lines
from journey.settings import Settings
from journey.wiring import codec_of


def running_kafka(settings: Settings) -> Settings | None:
    """The settings with brokers: the configured ones, else those of the stack that runs in the data directory; None: there are none."""
    if settings.kafka:
        return settings
    running = DataDir(settings.data_dir).running() or {}
    return settings.model_copy(update={"kafka": running["kafka"]}) if running.get("kafka") else None


def with_kafka(settings: Settings) -> Settings:
    """The same.

    Raises:
        JourneyError: there are none.
    """
    found = running_kafka(settings)
    if found is None:
        raise JourneyError(
            f"JOURNEY_KAFKA is not set, and no stack runs in {settings.data_dir}",
            hint="set it, or start one with `journey up`",
        )
    return found


def produce(settings: Settings, files: Sequence[str], screen: Screen) -> int:
    """Send files; returns the exit code when Kafka has taken everything."""
    settings = with_kafka(settings)
    with admin_client(settings) as admin:
        topic_admin.require_topics(admin, [topic.name for topic in topics.wanted_topics(settings)])
    with bytes_bar(screen) as bar, producer_client(settings) as producer:
        sender = LineProducer(producer, codec_of(settings), settings)
        try:
            send_files(sender, files, bar)
        finally:
            sender.finish()
    produced = sender.produced
    tell_bad_lines(produced, screen)
    dead = sum(produced.dead.values())
    screen.out.print(Text(f"{produced.lines:,} lines read, {produced.sent:,} events sent, {dead:,} dead letters"))
    return 0
