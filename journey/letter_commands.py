"""`journey dead-letters`: what was refused is listed, shown or dropped; `journey.letter_retry` tries it again."""

from __future__ import annotations

import json
from typing import Any

from rich.text import Text

from funnel.events import Event
from journey import topics
from journey.clickhouse import connected
from journey.errors import JourneyError
from journey.letters import DROPPED, Filter, Letter, how_many, letters, mark, server_time
from journey.reading import readable
from journey.screen import Screen
from journey.settings import Settings
from journey.wiring import codec_of
from schemas.codec import EventCodec
from schemas.errors import Undecodable

AT_ONCE = 1_000
_SHOWN_BYTES = 4_096


def show_list(settings: Settings, wanted: Filter, most: int, screen: Screen) -> int:
    """One line a letter, without its content; returns the exit code."""
    with readable(settings) as found, connected(found) as reader:
        count = how_many(reader, wanted)
        for letter in letters(reader, wanted, most=most):
            screen.out.print(Text(_line(letter)))
    shown = min(count, most)
    screen.out.print(Text(f"{count:,} letters" + (f", {shown:,} shown" if shown < count else "")))
    return 0


def show_one(settings: Settings, letter_id: str, screen: Screen) -> int:
    """All of one letter, its content too; returns the exit code."""
    with readable(settings) as found, connected(found) as reader:
        letter = _one(reader, letter_id)
    for name in ("id", "reason", "stage", "message", "written_at", "outcome"):
        screen.out.print(Text(f"{name:<11} {getattr(letter, name)}"))
    screen.out.print(Text(f"{'origin':<11} {origin_of(letter)}"))
    screen.out.print(Text(f"{'key':<11} {_readable(letter.key)}"))
    event = event_in(letter, codec_of(settings))
    value = _readable(letter.value) if event is None else json.dumps(event, default=str, ensure_ascii=False)
    screen.out.print(Text(f"{'value':<11} {value}"))
    return 0


def drop(settings: Settings, wanted: Filter, screen: Screen) -> int:
    """Note that nobody wants to see these letters again; returns the exit code."""
    dropped, after = 0, ""
    with readable(settings) as found, connected(found) as client:
        at = server_time(client)
        while some := letters(client, wanted, most=AT_ONCE, after=after):
            mark(client, [letter.id for letter in some], DROPPED, at)
            dropped, after = dropped + len(some), some[-1].id
    screen.out.print(Text(f"{dropped:,} letters dropped"))
    return 0


def origin_of(letter: Letter) -> str:
    """Topic or file, partition and offset or line of where it came from first."""
    return f"{letter.origin_topic}/{letter.origin_partition}/{letter.origin_offset}"


def event_in(letter: Letter, codec: EventCodec) -> Event | None:
    """The event, with its channel, that a letter holds as a record; None where it is none."""
    for channel in topics.INPUT_TOPICS:
        try:
            return {"channel": channel, **codec.decode(channel, letter.value)}
        except Undecodable:
            continue
    return None


def _one(reader: Any, letter_id: str) -> Letter:
    found = letters(reader, Filter(ids=(letter_id,), settled=True), most=1, content=True)
    if not found:
        raise JourneyError(f"there is no letter {letter_id}", hint="`journey dead-letters list` has their ids")
    return found[0]


def _line(letter: Letter) -> str:
    outcome = f"  {letter.outcome}" if letter.outcome else ""
    when = letter.written_at.strftime("%Y-%m-%d %H:%M:%S")
    return f"{letter.id}  {when}  {letter.reason:<13} {origin_of(letter)}  {letter.message}{outcome}"


def _readable(data: bytes) -> str:
    cut = data[:_SHOWN_BYTES]
    more = f" ... ({len(data):,} bytes)" if len(cut) < len(data) else ""
    return repr(cut)[2:-1] + more
