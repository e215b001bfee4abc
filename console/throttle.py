"""Wrong tokens cost time: whoever guesses gets a few tries a minute, however many machines they guess from."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable

logger = logging.getLogger(__name__)
WRONG_TRIES = 10
"""That are judged at once."""
REFILL_SECONDS = 60.0
"""After which as many are judged again."""
DELAY_SECONDS = 0.5
"""Before anybody is told that a token was wrong."""


class Throttle:
    """A bucket of wrong tries that everybody shares; each takes one out, and time puts them back.

    It does not tell visitors apart: behind a proxy they all come from one address, and a header that says otherwise is written by whoever guesses.
    So it holds one number. Where the bucket is empty, right tokens wait as well: else they would be told from wrong ones as fast as before.

    Args:
        tries: how many it holds.
        refill_seconds: after which an empty one is full again.
        delay_seconds: how long the answer to a wrong try takes.
        clock: seconds that never go back.
        sleep: waits for so many seconds.
    """

    def __init__(
        self,
        tries: int = WRONG_TRIES,
        refill_seconds: float = REFILL_SECONDS,
        delay_seconds: float = DELAY_SECONDS,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._seconds_a_try = refill_seconds / tries
        self._seconds_with_one_left = refill_seconds - self._seconds_a_try
        """Until it is full, where it holds just one."""
        self._delay_seconds = delay_seconds
        self._clock, self._sleep = clock, sleep
        self._full_at = clock()

    def seconds_to_wait(self) -> int:
        """Until another try is judged; 0: it is judged now."""
        return max(0, math.ceil(self._full_at - self._clock() - self._seconds_with_one_left))

    async def count_wrong_try(self) -> None:
        """Take one out, and hold the answer back. It counts before it waits: tries side by side get no more than one after the other."""
        self._full_at = max(self._full_at, self._clock()) + self._seconds_a_try
        if seconds := self.seconds_to_wait():
            logger.warning("too many wrong tokens: logins wait for %d seconds", seconds)
        await self._sleep(self._delay_seconds)
