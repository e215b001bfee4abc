"""`journey attribute`: the Markov model's shares, once or every so often."""

from __future__ import annotations

import logging
import signal
import threading
import time

from rich.text import Text

from funnel.durations import MICROSECONDS, parse_duration
from journey.clickhouse import connected
from journey.errors import JourneyError, SettingsError
from journey.reading import readable
from journey.screen import Screen
from journey.services import begin
from journey.settings import Settings
from journey.wiring import require_clickhouse

_BEAT_SECONDS = 1.0
_RETRY_SECONDS = 30.0
_LEAST_SECONDS = 60.0
logger = logging.getLogger(__name__)


def period(text: str) -> float:
    """Seconds of `--every`.

    Raises:
        SettingsError: it is no duration, or less than a minute.
    """
    try:
        seconds = parse_duration(text) / MICROSECONDS
    except ValueError as error:
        raise SettingsError(f"--every {text}: {error}") from None
    if seconds < _LEAST_SECONDS:
        raise SettingsError(f"--every {text}: expected at least 1m")
    return seconds


def attribute(settings: Settings, screen: Screen) -> int:
    """Work the shares out once, and tell of how much. Returns the exit code.

    Raises:
        JourneyError: ClickHouse can't be reached or refuses.
    """
    from reports.attribution import attribute as work_out

    began = time.monotonic()
    with readable(settings) as reading, connected(reading) as client:
        run = work_out(client)
    funnels = len({share.funnel for share in run.shares})
    screen.out.print(
        Text(f"{len(run.shares):,} shares of {funnels} funnels, in {time.monotonic() - began:.1f} s"), highlight=False
    )
    return 0


def attribute_every(settings: Settings, seconds: float) -> int:
    """Work the shares out now and then, until SIGTERM or SIGINT. Returns the exit code.

    Where ClickHouse is away or refuses, that is logged and tried again soon; the shares stay as they are meanwhile.
    """
    require_clickhouse(settings)
    health = begin(settings)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    working = _Working(settings, seconds, stopping)
    # A daemon: what it reads may take a while, and nothing is lost where it is cut off.
    threading.Thread(target=working.run, name="attribution", daemon=True).start()
    while not stopping.wait(_BEAT_SECONDS):
        health.beat(working.missing)
    return 0


class _Working:
    def __init__(self, settings: Settings, seconds: float, stopping: threading.Event) -> None:
        self._settings, self._seconds, self._stopping = settings, seconds, stopping
        self.missing: str | None = "no shares have been worked out yet"
        """What keeps it from being ready; None: nothing."""

    def run(self) -> None:
        """Until it is to stop."""
        while not self._stopping.is_set():
            began = time.monotonic()
            self.missing = self._attempt()
            wait = self._seconds if self.missing is None else min(_RETRY_SECONDS, self._seconds)
            self._stopping.wait(max(0.0, began + wait - time.monotonic()))

    def _attempt(self) -> str | None:
        from reports.attribution import attribute as work_out

        began = time.monotonic()
        try:
            with connected(self._settings) as client:
                run = work_out(client)
        except JourneyError as error:
            logger.warning("attribution_failed: %s", error)
            return str(error)
        logger.info("attribution_done: %d shares in %.1f s", len(run.shares), time.monotonic() - began)
        return None
