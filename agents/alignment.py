"""What was fetched of several partitions, handed on in about the order in which it was written.

A broker gives a partition's records a few megabytes at a time: hours of a quiet topic, seconds of a busy one. Who reads them as they come
sees a prospect's calls long before its visits, and each visit that comes late makes its history be looked at again. So a worker that is behind
goes through its topics at one pace, by the records' timestamps. Nothing hangs on it but speed.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection, KeysView
from typing import Any

from faust.types import TP

STEP = 250
"""Records of a partition that are handed on together."""
PATIENCE = 1.0
"""How long (seconds) the others wait for a partition that has more, which doesn't come."""

Drain = Callable[[TP, int], Awaitable[list[Any]]]
"""Gives at most so many of the records that were fetched of a partition; none where there are none."""


class Alignment:
    """The next few records of each partition."""

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        """Args: timer: seconds."""
        self._timer = timer
        self._ahead: dict[TP, list[Any]] = {}
        self._missed: dict[TP, float] = {}
        """Since when nothing has come of partitions that have more."""

    @property
    def ahead(self) -> KeysView[TP]:
        """The partitions of which there are records that were not handed on."""
        return self._ahead.keys()

    def first(self, tp: TP) -> Any:
        """The first record of `tp` that was not handed on; None where there is none. Callable from any thread."""
        records = self._ahead.get(tp)
        return records[0] if records else None

    def clear(self) -> None:
        """Forget what was fetched: it is going to be fetched again."""
        self._ahead.clear()
        self._missed.clear()

    async def next(
        self, tps: Collection[TP], most: int, drain: Drain, has_more: Callable[[TP], bool]
    ) -> dict[TP, list[Any]]:
        """Records to go on with, as long as each partition's are there or there are none.

        Args:
            tps: the partitions to read.
            most: about how many records.
            drain: gives what was fetched.
            has_more: whether the brokers have told of records of a partition that were not fetched yet.
        """
        found: dict[TP, list[Any]] = {}
        ahead, left = self._ahead, most
        empty = [tp for tp in tps if tp not in ahead]
        while left > 0:
            for tp in empty:
                if records := await drain(tp, STEP):
                    ahead[tp] = records
            waiting = [tp for tp in tps if tp in ahead]
            missing = self._missing([tp for tp in tps if tp not in ahead and has_more(tp)])
            if not waiting or missing:
                break
            tp = min(waiting, key=lambda tp: ahead[tp][0].timestamp)
            records = ahead.pop(tp)
            found.setdefault(tp, []).extend(records)
            left -= len(records)
            empty = [tp]
        return found

    def _missing(self, tps: Collection[TP]) -> bool:
        """Whether any of these is to be waited for."""
        now = self._timer()
        self._missed = {tp: self._missed.get(tp, now) for tp in tps}
        return any(now - since < PATIENCE for since in self._missed.values())
