"""Work that blocks, beside the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable


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
