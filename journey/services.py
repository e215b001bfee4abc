"""`journey worker`, `journey sink` and `journey notifier`: long-running processes that tell through logs and metrics.

What they run is imported when they run: Faust alone takes a second to import, and no other command needs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from funnel.history import Limits
from journey.funnel_files import channel_paths, funnel_paths
from journey.health import Health
from journey.serving import serve
from journey.settings import Settings
from journey.telemetry import configure_logging
from journey.tracing import traced
from journey.wiring import id_key_of, notifier_config, registry_of, sink_config, worker_config

if TYPE_CHECKING:
    from agents.pipeline import PipelineConfig


def worker(settings: Settings) -> int:
    """Run a worker in this process; returns its exit code."""
    from agents.pipeline import run_pipeline

    configured, pipeline = worker_config(settings), pipeline_config(settings)
    with traced("worker", settings) as tracer:
        return run_pipeline(configured, pipeline, begin(settings).beat, tracer)


def sink(settings: Settings) -> int:
    """Run the sink in this process; returns its exit code."""
    from sinks.process import run_sink

    configured = sink_config(settings)
    with traced("sink", settings) as tracer:
        return run_sink(configured, begin(settings).beat, tracer)


def begin(settings: Settings) -> Health:
    """What every service tells, from its start on."""
    configure_logging(settings)
    health = Health(settings.stuck_after_seconds)
    health.watch()
    serve(settings.metrics_host, settings.metrics_port, health)
    return health


def notifier(settings: Settings) -> int:
    """Run the notifier in this process; returns its exit code."""
    from alerts.process import run_notifier

    return run_notifier(notifier_config(settings), begin(settings).beat)


def pipeline_config(settings: Settings) -> PipelineConfig:
    """What the worker's agents do.

    Raises:
        SettingsError: something that they need is not set, or a funnel file is missing.
    """
    from agents.pipeline import PipelineConfig

    return PipelineConfig(
        funnels=funnel_paths(settings.funnels),
        id_key=id_key_of(settings),
        registry=registry_of(settings),
        partitions=settings.partitions,
        dead_letter_partitions=settings.partitions,
        phone_region=settings.phone_region,
        max_event_bytes=settings.max_event_bytes,
        limits=Limits(lateness=settings.lateness_microseconds),
        channels=channel_paths(settings.channels),
    )
