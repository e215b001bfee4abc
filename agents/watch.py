"""Looks at a worker every second: how far behind it is, whether it is ready, and whether it makes progress.

A worker whose agent settles nothing although records wait for it is ended, as anything else that goes wrong ends it: a fresh start is the
remedy. Only records that have come from the brokers count. What has not come is for them to give, and what is on its way to them has a time
limit of its own (`WorkerConfig.delivery_timeout`): so a worker is not ended because Kafka is away.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

from faust.types import TP

from agents import metrics
from agents.lag import Behind, Lag, Standing

if TYPE_CHECKING:
    from agents.app import RunApp
    from agents.driver import RunDriver

LOOK_SECONDS = 1.0
Beat = Callable[[str | None], None]
"""Called at each look, with what keeps the worker from being ready; None: it is."""


class Stillness:
    """For how long an agent has settled nothing while records were waiting for it."""

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        """Args: timer: seconds."""
        self._timer = timer
        self._settled = -1
        self._since: float | None = None

    def seconds(self, settled: int, *, waiting: bool) -> float:
        """The same, given how many runs it has settled so far, and whether records wait that it could handle."""
        if settled != self._settled or not waiting:
            self._settled, self._since = settled, None
        if not waiting:
            return 0.0
        now = self._timer()
        if self._since is None:
            self._since = now
        return now - self._since


class Watch:
    """Looks at one worker."""

    def __init__(self, app: RunApp, beat: Beat, timer: Callable[[], float] = time.monotonic) -> None:
        """Args: app: with its agents; beat: told at each look; timer: seconds."""
        self._app, self._beat = app, beat
        self._lag = Lag(timer=timer)
        self._stillness = {name: Stillness(timer) for name in app.drivers}

    async def run(self) -> None:
        """Look until the worker is to end."""
        app = self._app
        try:
            while not app.failure.failed:
                self.look()
                await asyncio.sleep(LOOK_SECONDS)
        except Exception as error:  # nobody would look any more
            app.failure.fail("watching the worker failed", error)

    def look(self) -> None:
        """Look once."""
        app = self._app
        missing = self._missing()
        self._beat(missing)
        # While partitions change hands nobody knows where they stand: what was told last stays, so that an alert doesn't start over.
        if self._flows():
            standings: Mapping[TP, Standing] = app.consumer.standings()
            behind = self._lag.measure(app.run_topics, standings)
            for topic, (records, seconds) in behind.items():
                metrics.LAG_RECORDS.labels(topic).set(records)
                metrics.LAG_SECONDS.labels(topic).set(seconds)
            self._look_for_progress(standings, behind)
        else:
            self._look_for_progress({}, {})
        for look in app.looks:
            look()

    def _look_for_progress(self, standings: Mapping[TP, Standing], behind: Mapping[str, Behind]) -> None:
        app = self._app
        for name, driver in app.drivers.items():
            waiting = [tp for tp, standing in standings.items() if tp.topic in driver.topics and standing.here]
            seconds = self._stillness[name].seconds(driver.progress.runs_settled, waiting=bool(waiting))
            metrics.STUCK_SECONDS.labels(name).set(seconds)
            if seconds >= app.config.stuck_after:
                app.failure.fail(_stuck(driver, waiting, behind, seconds), None)
                return

    def _missing(self) -> str | None:
        app = self._app
        if app.failure.failed:
            return "the worker ends"
        if not self._has_joined():
            return "the group has not been joined, or the state has not been read back yet"
        if app.consumer.handing_over:
            return "partitions are changing hands"
        if not app.consumer.flow_active:
            return "state is being read back"
        return None if app.consumer._thread.in_touch() else "the consumer group's broker does not answer"

    def _has_joined(self) -> bool:
        # Both are made when Faust starts them; to ask for them earlier would make them too early.
        app = self._app
        recovery = app.tables._recovery
        return app._consumer is not None and recovery is not None and recovery.completed.is_set()

    def _flows(self) -> bool:
        return self._has_joined() and self._app.consumer.flow_active and not self._app.consumer.handing_over


def _stuck(driver: RunDriver, waiting: Collection[TP], behind: Mapping[str, Behind], seconds: float) -> str:
    """What is stuck, for the log."""
    topics = sorted({tp.topic for tp in waiting})
    told = ", ".join(
        f"{behind[topic].records:,} of {topic}, the oldest {behind[topic].seconds:,.0f} s old" for topic in topics
    )
    return (
        f"agent {driver.name} is stuck: it has settled no run for {seconds:.0f} s while records wait ({told}); "
        f"{driver.gathering.records:,} records wait to be handled, and of the runs that were, "
        f"{driver.progress.in_flight} are not settled"
    )
