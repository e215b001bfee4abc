"""Work that blocks, beside the event loop: inserts."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any

from sinks.base import Insert
from sinks.clickhouse import Writer

_ABORT_SECONDS = 0.5


async def insert_in_thread(writer: Writer, insert: Insert, stop: asyncio.Event, left: Callable[[], float]) -> None:
    """Insert while the event loop goes on with heartbeats.

    Args:
        writer: inserts.
        insert: what.
        stop: set when the process is to end ...
        left: ... and how many seconds it then has. When they are up, the connection is broken.

    Raises:
        TimeoutError: even so it didn't end.
        Exception: what `Writer.insert` raises.
    """
    inserting = in_daemon_thread(lambda: writer.insert(insert))
    stopping = asyncio.ensure_future(stop.wait())
    try:
        waiting: set[asyncio.Future[Any]] = {inserting, stopping}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if not inserting.done():
            await asyncio.wait({inserting}, timeout=left())
        if not inserting.done():
            writer.abort()
            await asyncio.wait({inserting}, timeout=_ABORT_SECONDS)
        if not inserting.done():
            raise TimeoutError("told to stop while ClickHouse did not answer")
        inserting.result()
    finally:
        stopping.cancel()


def in_daemon_thread(action: Callable[[], None]) -> asyncio.Future[None]:
    """Run it in a thread that the end of the process does not wait for: a server that is silent must not keep us."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()

    def settle(error: BaseException | None) -> None:
        if future.cancelled():
            return
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
            future.exception()  # nobody may be left to ask for it

    def run() -> None:
        caught: BaseException | None = None
        try:
            action()
        except BaseException as error:
            caught = error
        with contextlib.suppress(RuntimeError):  # the loop may have ended meanwhile
            loop.call_soon_threadsafe(settle, caught)

    threading.Thread(target=run, name="insert", daemon=True).start()
    return future
