"""What Faust 0.15.3 does with failures and rebalances, and what is done about it.

The machinery in this package replaces the parts of Faust that lose or double events. `FIXES` names each such part and can put Faust's own
behaviour back, which only tests do: every fix has a test that fails without it. The exact versions are asserted, because what is replaced is
internal to them.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from types import MethodType
from typing import TYPE_CHECKING

from faust.tables.recovery import Recovery
from faust.transport.consumer import Consumer
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread

if TYPE_CHECKING:
    from agents.app import RunApp

logger = logging.getLogger(__name__)
VERSIONS = {"faust-streaming": "0.15.3", "aiokafka": "0.14.0"}


class UnsupportedVersion(RuntimeError):
    """A library whose internals are replaced here is not the one that was examined."""


class Failure:
    """Why the process has to end, if it has to. The first reason counts and is logged once."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self.happened = asyncio.Event()
        self.listeners: list[Callable[[], None]] = []
        """Called at once when the process is to end: whatever must not happen any more is stopped here."""

    def fail(self, what: str, error: BaseException | None) -> None:
        """End the process: nothing is committed or sent from here on. Callable from the event loop only."""
        if self.reason is not None:
            return
        self.reason = what if error is None else f"{what}: {error}" if str(error) else f"{what}: {error!r}"
        logger.critical("worker stops: %s", self.reason, exc_info=error)
        for listener in self.listeners:
            listener()
        self.happened.set()

    @property
    def failed(self) -> bool:
        """Whether the process is to end."""
        return self.reason is not None


@dataclass(frozen=True)
class Fix:
    """One part of Faust that is replaced.

    Attributes:
        name: what tests take it out by.
        trap: what Faust does.
        remedy: what is done instead, and where.
        take_out: puts Faust's behaviour back.
    """

    name: str
    trap: str
    remedy: str
    take_out: Callable[[RunApp], None]


def _stock_recovery(app: RunApp) -> None:
    app.tables._recovery = Recovery(app, app.tables, beacon=app.tables.beacon, loop=app.tables.loop)
    _no_fence(app)  # it is ours that takes partitions over, and no other that knows fences


def _stock_seek(app: RunApp) -> None:
    app.consumer.perform_seek = MethodType(Consumer.perform_seek, app.consumer)


def _stock_delivery(app: RunApp) -> None:
    app.consumer._drain_messages = MethodType(Consumer._drain_messages, app.consumer)
    app.consumer.getmany = MethodType(Consumer.getmany, app.consumer)


def _stock_revocation(app: RunApp) -> None:
    async def forget_in_flight() -> None:
        await app.consumer.commit()

    app.consumer.settle_all = forget_in_flight


def _stock_errors(app: RunApp) -> None:
    app.fail_stop = False


def _stock_decoding(app: RunApp) -> None:
    app.raw_topics = False


def _stock_fetch(app: RunApp) -> None:
    thread = app.consumer._thread
    thread._fetch_records = MethodType(AIOKafkaConsumerThread._fetch_records, thread)


def _stock_buffers(app: RunApp) -> None:
    app.consumer.on_buffer_drop = MethodType(Consumer.on_buffer_drop, app.consumer)


def _stock_web(app: RunApp) -> None:
    app.boot_strategy.enable_web = True


def _no_fence(app: RunApp) -> None:
    app.takeover.fenced = False


FIXES = {
    fix.name: fix
    for fix in (
        Fix(
            "takeover",
            "After recovery Recovery.on_recovery_completed resumes the source partitions while records flow, then seeks, then resumes flow control, "
            "which clears the queues: what was fetched in between is lost, as the read position stays ahead. Records of an earlier assignment "
            "that are still in the changelog queue move the recovered offset past everything before them. Recovery._slurp_changelogs logs and "
            "skips a record that cannot be applied, and recovery ends at an end offset that the embedded broker reports wrongly.",
            "agents.recovery: one coroutine reads each missing partition completely; nothing flows until the source partitions are rewound.",
            _stock_recovery,
        ),
        Fix(
            "rewind",
            "Consumer.perform_seek leaves partitions without a committed offset (or with offset 0) where the fetcher happens to be, so what was "
            "fetched and dropped before the first commit is never read again.",
            "agents.transport: such partitions are rewound to their beginning, and a rewind waits for the fetch under way.",
            _stock_seek,
        ),
        Fix(
            "delivery",
            "Consumer._drain_messages drops what is below the highest offset it has delivered. Records fetched before a rewind and delivered after "
            "it raise that offset, so what lies between is dropped when it is fetched again: with the takeover above, 16 to 35 of 8,000 events.",
            "agents.transport: no such offset is kept; what was fetched before a rewind is not delivered after it.",
            _stock_delivery,
        ),
        Fix(
            "settle",
            "Consumer.on_partitions_revoked forgets what was acknowledged before it waits for events in progress, and commits only after that.",
            "agents.transport: the runs in flight are settled and committed while the partitions are still ours; a run that takes too long ends "
            "the process, because its batches could reach the brokers after the next owner has read the state back.",
            _stock_revocation,
        ),
        Fix(
            "fence",
            "A worker that lost its partitions without noticing, as it was stopped for longer than its session, delivers what it had in flight: "
            "its records overwrite those of the worker that has taken over, in the changelog and behind it.",
            "agents.fencing, agents.takeover: who takes over opens an epoch in the changelog; records of earlier ones count for nothing after "
            "that, and no output is sent unless the changelog shows that nobody else has written since.",
            _no_fence,
        ),
        Fix(
            "fail-stop",
            "An exception in an agent restarts it and acknowledges the event; a failed delivery is logged and the offset committed all the same.",
            "agents.driver: offsets follow awaited deliveries only, and whatever is raised ends the process.",
            _stock_errors,
        ),
        Fix(
            "decode",
            "A record that a topic's codec cannot decode is acknowledged, and the error thrown into the agent's stream instead of it.",
            "agents.app: topics hand on raw bytes; handlers decode, and what they cannot use becomes a dead letter.",
            _stock_decoding,
        ),
        Fix(
            "fetch",
            "The set of partitions to fetch from is shared with the consumer thread; when back-pressure empties it before the fetch runs, aiokafka "
            "takes the empty set for all partitions, and Consumer.getmany silently skips what came of the others.",
            "agents.transport: the fetch gets a copy, and fetches nothing for an empty one.",
            _stock_fetch,
        ),
        Fix(
            "buffers",
            "A queue that has room again makes its partition active even where a rebalance has paused or revoked it since.",
            "agents.transport: on_buffer_drop leaves such partitions alone.",
            _stock_buffers,
        ),
        Fix(
            "web",
            "The worker's web server listens on 0.0.0.0:6066 and serves table contents; web_enabled=False is overruled by the worker command.",
            "agents.app: the boot strategy has no web server.",
            _stock_web,
        ),
    )
}


def assert_versions() -> None:
    """Refuse to run on versions whose internals nobody has looked at.

    Raises:
        UnsupportedVersion: naming the package, what is installed and what is expected.
    """
    for package, expected in VERSIONS.items():
        installed = importlib.metadata.version(package)
        if installed != expected:
            raise UnsupportedVersion(
                f"{package} {installed} is installed, but agents/ replaces internals of {expected} exactly; "
                f"install {package}=={expected}, or review agents/guard.py and move VERSIONS on"
            )


def install(app: RunApp, *, without: Collection[str] = ()) -> None:
    """Check the versions, and tie the parts of `app` together so that a failure stops them all. Called in the event loop, before start.

    Args:
        app: with its agents.
        without: names of fixes to take out; for tests only.

    Raises:
        UnsupportedVersion: see `assert_versions`.
        KeyError: `without` names an unknown fix.
    """
    assert_versions()
    for name in without:
        FIXES[name].take_out(app)
    app.failure.listeners.append(app.freeze)
