"""What a worker of this pipeline does: its agents, wired to the app that `agents.app` runs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from faust.types import TP

from agents import metrics
from agents.acceptance import Acceptance, phone_parser
from agents.app import RunApp, run_worker
from agents.backlog import Backlog
from agents.batching import Positions
from agents.config import WorkerConfig
from agents.days_off import days_off
from agents.declarations import Declarations
from agents.intake import CHANNEL_OF_TOPIC, Intake
from agents.prospects import Prospects
from agents.shipping import Output
from agents.tracing import Tracer
from agents.watch import Beat
from agents.weighing import Scales
from funnel.channels import ChannelRules, load_channels
from funnel.definition import load_funnels
from funnel.durations import MICROSECONDS
from funnel.history import Limits
from funnel.identity import Bounds
from funnel.rules import RuleSet
from funnel.state import Terms
from schemas.codec import EventCodec
from schemas.messages import encode_tick
from schemas.registry import Registry

DEFAULT_LIMITS = Limits()
DEFAULT_BOUNDS = Bounds()
TICK_SECONDS = 0.5
TICKS_AT_ONCE = 5_000


@dataclass(frozen=True, kw_only=True)
class PipelineConfig:
    """What the agents need to know, beside how the worker runs. Times are microseconds."""

    funnels: tuple[Path, ...]
    """Funnel files."""
    id_key: bytes
    """JOURNEY_ID_KEY."""
    registry: Registry
    partitions: int
    """Of `touches`, the changelog and `facts`."""
    dead_letter_partitions: int
    phone_region: str | None = None
    max_event_bytes: int = 65_536
    limits: Limits = DEFAULT_LIMITS
    bounds: Bounds = DEFAULT_BOUNDS
    channels: tuple[Path, ...] = ()
    """Files of channel rules; without any, events have no channel group."""

    def __repr__(self) -> str:
        """Everything but the key."""
        return f"PipelineConfig(funnels={self.funnels}, partitions={self.partitions})"


def run_pipeline(
    worker: WorkerConfig, pipeline: PipelineConfig, beat: Beat = lambda _: None, tracer: Tracer | None = None
) -> int:
    """Run a worker with this pipeline's agents in this process (`agents.app.run_worker`, which says what `beat` is told).

    Raises:
        FunnelError: a funnel file is wrong.
        ValueError: one of them names holidays that nobody knows.
    """
    rules = RuleSet(load_funnels(pipeline.funnels), days_off, ChannelRules(load_channels(pipeline.channels)))
    return run_worker(worker, partial(equip, pipeline=pipeline, rules=rules, tracer=tracer), beat=beat)


def equip(app: RunApp, pipeline: PipelineConfig, rules: RuleSet, tracer: Tracer | None = None) -> None:
    """Add the agents to an app; their runs are told to `tracer`."""
    app.run_tracer = tracer
    topic = app.config.topic
    backlog = Backlog()
    codec, parse_phone = EventCodec(pipeline.registry), phone_parser(pipeline.phone_region)
    acceptance = Acceptance(codec, rules, pipeline.id_key, parse_phone, pipeline.max_event_bytes)
    declarations = Declarations(codec, pipeline.id_key, parse_phone, pipeline.max_event_bytes)
    intake = Intake(
        acceptance,
        declarations,
        backlog,
        {topic(name): channel for name, channel in CHANNEL_OF_TOPIC.items()},
        touches=topic("touches"),
        dead_letters=topic("dead-letters"),
        partitions=pipeline.partitions,
        dead_letter_partitions=pipeline.dead_letter_partitions,
    )
    feeding = app.add_agent("intake", list(CHANNEL_OF_TOPIC), intake, aligned=True)
    state = app.state()
    prospects = Prospects(
        Terms(rules, acceptance.opener, pipeline.limits, pipeline.bounds),
        acceptance,
        declarations,
        state.records,
        backlog,
        partial(_settled, app),
        touches=topic("touches"),
        partitions=pipeline.partitions,
        facts=topic("facts"),
        stalled=topic("stalled-prospects"),
        dead_letters=topic("dead-letters"),
        dead_letter_partitions=pipeline.dead_letter_partitions,
    )
    app.add_agent("prospects", ["touches"], prospects, state=state, fed_by=[feeding])

    async def tell_who_is_due() -> None:
        """Send ticks to prospects that the wall clock changes something for (tables can't be written from timers)."""
        if not app.consumer.flow_active or backlog.is_behind():
            return
        now = int(time.time() * MICROSECONDS)
        ticks = [
            Output(topic("touches"), partition, prospect, encode_tick(now))
            for partition, deadlines in prospects.deadlines.items()
            for prospect in deadlines.pop_due(now, TICKS_AT_ONCE)
        ]
        await app.shipper.ship(ticks)
        metrics.TICKS.inc(len(ticks))

    async def timer() -> None:
        try:
            await tell_who_is_due()
        except Exception as error:
            app.failure.fail("the timer of deadlines failed", error)

    app.timer(TICK_SECONDS)(timer)

    def look_for_overdue() -> None:
        now = int(time.time() * MICROSECONDS)
        overdue = max((deadlines.overdue(now) for deadlines in prospects.deadlines.values()), default=0)
        metrics.OVERDUE_SECONDS.set(overdue / MICROSECONDS)

    app.looks += [look_for_overdue, Scales(state.records).weigh]


def _settled(app: RunApp, tp: TP) -> int:
    """Offset of a source partition before which nothing will be delivered again."""
    positions: Positions = app.consumer.positions
    return positions.committed_end(tp)
