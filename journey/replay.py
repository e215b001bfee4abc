"""What `journey backtest` and `journey lint-funnel` share: settings into a replay, and the records into it."""

from __future__ import annotations

import gc
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from agents.acceptance import phone_parser
from backtest.gathering import Gathering, Installation
from funnel.durations import MICROSECONDS, parse_duration
from funnel.rules import RuleSet
from journey.data_dir import DataDir
from journey.errors import JourneyError
from journey.input_records import gather_files, gather_topics
from journey.interrupts import orderly_interrupts
from journey.screen import Screen
from journey.sending import with_kafka
from journey.settings import Settings
from journey.wiring import codec_of
from schemas.codec import EventCodec

_EVERY_SECONDS = 0.1


class Asked(NamedTuple):
    """What is to be replayed."""

    sources: tuple[str, ...] = ()
    """Exports and files of events; (): the topics."""
    as_of: int = 0
    """The wall clock, microseconds."""
    until: int | None = None
    """What occurred later is left out; None: nothing is."""
    since: int | None = None
    """Only visits that opened then or later count."""


def asked(sources: Sequence[str], as_of: str | None, since: str | None) -> Asked:
    """The same, from the command line.

    Raises:
        JourneyError: a time or a duration is none.
    """
    now = time.time_ns() // 1_000
    until = None
    if as_of is not None:
        try:
            moment = datetime.fromisoformat(as_of)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            raise JourneyError(f"--as-of {as_of}: expected ISO-8601 with an offset, such as 2026-05-01T00:00:00Z")
        now = until = round(moment.timestamp() * MICROSECONDS)
    try:
        start = None if since is None else now - parse_duration(since)
    except ValueError as error:
        raise JourneyError(f"--since {since}: {error}") from error
    return Asked(tuple(sources), now, until, start)


def gathered(settings: Settings, rules: RuleSet, wanted: Asked, screen: Screen) -> Gathering:
    """The records that are wanted, taken in; shows how far it is.

    Raises:
        JourneyError: they can't be read.
        KeyboardInterrupt: it was asked to stop.
    """
    codec = codec_of(settings)
    gathering = Gathering(installation_of(settings, codec, screen), rules, wanted.until)
    with orderly_interrupts() as interrupts, _bar(screen) as bar:
        task = bar.add_task("starting", total=None)
        shown_at = 0.0

        def progress(what: str, done: int, total: int | None) -> None:
            nonlocal shown_at
            if (now := time.monotonic()) - shown_at >= _EVERY_SECONDS:
                shown_at = now
                bar.update(task, description=what, completed=done, total=total)

        if wanted.sources:
            gather_files(gathering, codec, wanted.sources, interrupts.check, progress)
        else:
            found = with_kafka(settings)
            gather_topics(gathering, found, interrupts.check, progress, embedded=not settings.kafka)
    gathering.seal()
    return gathering


def installation_of(settings: Settings, codec: EventCodec, screen: Screen) -> Installation:
    """What decides on records, beside the funnels. Without an id key a passing one is made: ids then mean nothing elsewhere."""
    data = DataDir(settings.data_dir)
    key = settings.id_key.get_secret_value() or (data.id_key() if data.has_id_key else "")
    if not key:
        screen.err.print(
            "[dim]JOURNEY_ID_KEY is not set: the prospects' ids are of this run alone.[/]", highlight=False
        )
        key = secrets.token_hex()
    return Installation(codec, key.encode(), phone_parser(settings.phone_region), settings.max_event_bytes)


@contextmanager
def no_collections() -> Iterator[None]:
    """Inside, the garbage collector does not run: it would look at millions of events again and again, which make no circles."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _bar(screen: Screen) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    return Progress(*columns, console=screen.err, transient=True)
