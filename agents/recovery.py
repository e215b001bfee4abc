"""Reads state back from the changelog before a partition is worked on.

It takes the place of Faust's recovery, which lets records of an earlier assignment, still in a queue, move its position past everything before
them; swallows errors while applying records; believes an end offset that the embedded broker reports wrongly; and starts the flow of source
records before it has rewound them. Here one coroutine takes over what is missing (`agents.takeover`) into a dictionary of its own, which is
installed when complete and thrown away when another rebalance comes first. Nothing flows meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from aiokafka.errors import IllegalStateError
from faust.tables.recovery import Recovery
from mode import Service

from agents.store import StateTable

if TYPE_CHECKING:
    from agents.app import RunApp
    from agents.transport import RunConsumer

logger = logging.getLogger(__name__)


class RunRecovery(Recovery):  # type: ignore[misc]  # Faust is untyped for mypy
    """Faust's recovery service with a reader of ours."""

    app: RunApp
    _last_complete: tuple[int, str] = (-1, "")
    """Generation and member id of the last assignment that was recovered completely."""

    @Service.task  # type: ignore[untyped-decorator]  # mode is untyped for mypy
    async def _restart_recovery(self) -> None:
        while not self.should_stop:
            if await self.wait_for_stopped(self.signal_recovery_start):
                return
            self.signal_recovery_start.clear()
            work = asyncio.ensure_future(self._recover(self._generation_id))
            again = asyncio.ensure_future(self.signal_recovery_start.wait())
            stopped = asyncio.ensure_future(self.wait_until_stopped())
            try:
                await asyncio.wait({work, again, stopped}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (work, again, stopped):
                    task.cancel()
                results = await asyncio.gather(work, again, stopped, return_exceptions=True)
            if isinstance(results[0], Exception) and not self._superseded(results[0]):
                self.app.failure.fail("state could not be recovered", results[0])
                return

    def _superseded(self, error: Exception) -> bool:
        """Whether an error is that of a recovery whose partitions have just been taken away; another one follows."""
        over: bool = self.should_stop or self.app.consumer.handing_over or self.signal_recovery_start.is_set()
        return over or isinstance(error, IllegalStateError)

    @Service.task  # type: ignore[untyped-decorator]  # mode is untyped for mypy
    async def _slurp_changelogs(self) -> None:
        """Nothing: the changelog does not come through Faust's queue."""

    @Service.task  # type: ignore[untyped-decorator]  # mode is untyped for mypy
    async def _publish_stats(self) -> None:
        """Nothing: progress is told while reading."""

    def flush_buffers(self) -> None:
        """Nothing is buffered."""

    async def _recover(self, generation: int) -> None:
        self._set_recovery_started()
        consumer: RunConsumer = self.app.consumer
        member = await consumer._thread.member()
        # What stays with us needs no reading back, provided that nobody else can have had it in between: we took part in every generation.
        unbroken = member == (self._last_complete[0] + 1, self._last_complete[1])
        for table, tps in list(self.actives_for_table.items()):
            await self._recover_table(table, {tp.partition for tp in tps}, unbroken)
        for table in self.tables.values():
            if table not in self.actives_for_table:
                table.records.retain(())
        if member[0] == generation and await self._resume(generation):
            self._last_complete = member

    async def _recover_table(self, table: StateTable, partitions: set[int], unbroken: bool) -> None:
        self.app.check_copartitioning(table, partitions)
        store = table.records
        store.retain(partitions if unbroken else ())
        missing = partitions - set(store.partitions)
        for partition, taken in (await self.app.takeover.take(table.changelog_topic_name, missing)).items():
            store.install(partition, taken.state)
            if taken.tenure is not None:
                table.ownership.begin(partition, taken.tenure)

    async def _resume(self, generation: int) -> bool:
        """Rewind the source partitions while nothing flows, and only then let them flow; False if another rebalance has begun."""
        app, consumer = self.app, self.app.consumer
        consumer.stop_flow()
        app.flow_control.suspend()
        app.flow_control.clear()
        self._set_recovery_ended()
        sources = {tp for tp in consumer.assignment() if not self._is_changelog_tp(tp)}
        if sources:
            async with asyncio.timeout(app.config.request_timeout):
                await consumer.perform_seek()
        await app.on_rebalance_complete.send()
        # From here to the end of the resumption nothing is awaited: no rebalance can come in between.
        if consumer.handing_over or app.consumer_generation_id != generation:
            return False
        consumer.resume_partitions(sources)
        app.flow_control.resume()
        consumer.resume_flow()
        self.tables.on_actives_ready()
        self.tables.on_standbys_ready()
        self.completed.set()
        app.on_rebalance_end()
        ready = ", ".join(f"{tp.topic}-{tp.partition}" for tp in sorted(sources))
        logger.info("ready: %s", ready or "no partitions yet")
        await app._fetcher.maybe_start()
        return True
