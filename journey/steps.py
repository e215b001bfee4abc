"""The legs of the way from events to rows: which topics are read by which group."""

from __future__ import annotations

from journey import topics
from journey.drain import Step
from journey.settings import Settings
from journey.wiring import sink_group


def steps_of(settings: Settings) -> list[Step]:
    """Of the installation that the settings are of, in the order of the way."""

    def named(*names: str) -> tuple[str, ...]:
        return tuple(topics.topic_name(settings, name) for name in names)

    worker, sink = settings.app_id, sink_group(settings)
    return [
        Step("taking in", named(*topics.INPUT_TOPICS.values(), topics.ERASURES), worker),
        Step("folding", named(topics.TOUCHES), worker, feeds_itself=True),
        Step("writing", named(topics.FACTS, topics.DEAD_LETTERS, topics.ALERT_DELIVERIES), sink),
    ]
