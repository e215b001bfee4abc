"""`make bench-backtest`: a million events of people who have to be stitched, from an export, through two funnels.

The figure is of the whole command, from its start to its JSON; the events are drawn before, in a directory that is removed, or kept with `--keep`.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

from backtest.exports import parts, write_part
from backtest.records import InputRecord
from journey.export import PART_RECORDS
from schemas.codec import EventCodec
from schemas.registry import FileRegistry
from tests.generators.crowds import generate_population
from tests.pipeline import SALES

EVENTS, EVENTS_A_PERSON, DRAWN_AT_ONCE = 1_000_000, 15, 100_000
LIMIT_SECONDS = 60.0
CHANGE = ('window = "90d"', 'window = "30d"')


def main() -> int:
    """Measure; 1 if it takes longer than it may, or an unchanged funnel makes a difference."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--events", type=int, default=EVENTS)
    arguments.add_argument("--keep", type=Path, help="where the events are, or are put to be used again")
    options = arguments.parse_args()
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="bench-") as work:
        history = options.keep or Path(work) / "history"
        history.mkdir(parents=True, exist_ok=True)
        if not parts(history):
            console.print(f"drawing {options.events:,} events")
            draw(history, options.events)
        changed = Path(work) / "changed.toml"
        changed.write_text(SALES.read_text().replace(*CHANGE))
        same, other = (measured(history, funnel) for funnel in (SALES, changed))
    for name, found in (("unchanged", same), ("changed", other)):
        print(
            f"{name}: {found['records']:,} records in {found['seconds']:.1f} s ({found['cpu_seconds']:.1f} s of CPU),"
            f" {found['records'] / found['seconds']:,.0f} events/s, {found['peak_mib']:,.0f} MiB;"
            f" {len(found['differing']):,} of {found['prospects']:,} prospects differ"
        )
    wrong = same["differing"] or not other["differing"]
    return int(bool(wrong) or other["seconds"] > LIMIT_SECONDS)


def draw(history: Path, events: int) -> None:
    """Write an export of so many events, of people that are others in each hundred thousand."""
    codec = EventCodec(FileRegistry())
    for number, count in enumerate(range(0, events, DRAWN_AT_ONCE)):
        drawn = generate_population(
            number,
            min(DRAWN_AT_ONCE, events - count),
            DRAWN_AT_ONCE // EVENTS_A_PERSON,
            duplicates=0.02,
            differing=0.005,
        )
        records = list(_records(codec, drawn, number))
        for channel in ("web", "email", "call"):
            of_channel = [one for one in records if one.channel == channel]
            for at in range(0, len(of_channel), PART_RECORDS):
                write_part(history, of_channel[at : at + PART_RECORDS])


def _records(codec: EventCodec, drawn: list[dict[str, Any]], number: int) -> Iterator[InputRecord]:
    for offset, event in enumerate(drawn):
        event["source"] += f"-{number}"
        for kind in ("user_id", "email", "anonymous_id"):
            if event.get(kind):
                event[kind] = f"{number}.{event[kind].strip()}"
        timestamp = event["occurred_at"] // 1_000 + 1_000
        yield InputRecord(event["channel"], number, offset, timestamp, None, codec.encode(event))


def measured(history: Path, funnel: Path) -> dict[str, Any]:
    """What a backtest says, how long it took, and how much memory."""
    command = ["backtest", "--funnel", str(funnel), "--against", str(SALES), "--from", str(history), "--json"]
    environment = os.environ | {"JOURNEY_ID_KEY": "key of the benchmark"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "journey", *command], env=environment, stdout=subprocess.PIPE, check=True
    )
    seconds = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found: dict[str, Any] = json.loads(done.stdout)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return found | {"seconds": seconds, "cpu_seconds": cpu, "peak_mib": after.ru_maxrss / 1024}


if __name__ == "__main__":
    sys.exit(main())
