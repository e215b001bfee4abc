"""What goes wrong with the servers. Each function is the fault of one scenario; when it returns, the fault is over."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.faults.fleet import until
from tests.faults.steps import committed_more, some_time

if TYPE_CHECKING:
    from tests.faults.trial import Trial


async def broker_restarted(trial: Trial) -> None:
    """The broker is killed under load and comes back, and is then restarted in order."""
    kafka = trial.servers.kafka
    await committed_more(trial)
    await some_time(trial, 0.0, 0.5)
    kafka.kill()
    await asyncio.to_thread(kafka.start)
    await some_time(trial, 0.5, 1.5)
    await asyncio.to_thread(kafka.restart)
    trial.notes["workers that ended"] = len(trial.fleet.ended)


async def broker_cut_off(trial: Trial) -> None:
    """Workers lose their connections for some seconds, and later all that they say and hear is held up, longer than they wait."""
    proxy = trial.servers.kafka_proxy
    await committed_more(trial)
    await asyncio.to_thread(proxy.cut)
    await some_time(trial, 1.0, 3.0)
    await asyncio.to_thread(proxy.resume)
    await committed_more(trial, await committed_more(trial))
    await asyncio.to_thread(proxy.freeze)
    await some_time(trial, 7.0, 9.0)
    await trial.look()
    await asyncio.to_thread(proxy.resume)
    trial.notes["workers that ended"] = len(trial.fleet.ended)


async def broker_slow(trial: Trial) -> None:
    """Few bytes a second come through to and from the broker."""
    proxy = trial.servers.kafka_proxy
    await committed_more(trial)
    await asyncio.to_thread(proxy.slow_down, 20_000)
    await some_time(trial, 7.0, 9.0)
    await trial.look()
    await asyncio.to_thread(proxy.resume)
    trial.notes["workers that ended"] = len(trial.fleet.ended)


async def _inserting(trial: Trial) -> None:
    """Wait until the sink is sending rows at this moment."""
    proxy = trial.servers.clickhouse_proxy
    sent = proxy.requested_bytes
    await until(lambda: proxy.requested_bytes > sent + 4_000, seconds=30, what="the sink sends rows")


async def clickhouse_killed(trial: Trial) -> None:
    """ClickHouse is killed while rows come in, is away for some seconds, and comes back."""
    server = trial.servers.clickhouse
    for _ in range(2):
        await _inserting(trial)
        server.kill()
        await some_time(trial, 0.5, 2.0)
        await asyncio.to_thread(server.start)
    await committed_more(trial)
    assert not trial.fleet.ended, "workers have nothing to do with ClickHouse"


async def clickhouse_slow(trial: Trial) -> None:
    """Few bytes a second come through to ClickHouse, and for a while none."""
    proxy = trial.servers.clickhouse_proxy
    await _inserting(trial)
    await asyncio.to_thread(proxy.slow_down, 30_000)
    await some_time(trial, 3.0, 4.0)
    await asyncio.to_thread(proxy.freeze)
    await some_time(trial, 6.0, 7.0)
    await asyncio.to_thread(proxy.resume)
    assert not trial.fleet.ended, "workers have nothing to do with ClickHouse"


async def clickhouse_reply_dropped(trial: Trial) -> None:
    """ClickHouse takes rows, but what it answers gets lost: the sink can't know, and sends them again."""
    proxy = trial.servers.clickhouse_proxy
    for _ in range(2):
        await _inserting(trial)
        dropped = proxy.dropped_bytes
        await asyncio.to_thread(proxy.drop_replies)
        await until(lambda dropped=dropped: proxy.dropped_bytes > dropped, seconds=30, what="an answer is lost")
        await asyncio.to_thread(proxy.resume)
    trial.notes["answers lost"] = 2
