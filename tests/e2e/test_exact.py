"""`journey run` end to end: exactly the oracle's tables, and the same events again change nothing."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
import tomllib
import uuid
from pathlib import Path
from typing import NamedTuple

import pytest

from journey.clickhouse import connected
from tests.e2e.harness import readable_in
from tests.generators import generate_events, generate_population, write_ndjson
from tests.generators.declared import random_declarations
from tests.generators.realistic import ndjson_line
from tests.integration.test_pipeline import DAY, decoded, now_micros
from tests.oracle import Settings, truth_of
from tests.warehouse import Rows, expected, tables

FUNNELS = [Path(__file__).parents[2] / "funnels" / f"{name}.toml" for name in ("sales", "b2b")]
CHANNELS = tuple(tomllib.loads((Path(__file__).parents[2] / "channels" / "default.toml").read_text())["channel"])
SETTINGS = Settings(id_key=b"an end-to-end key", phone_region="US", channels=CHANNELS)
EVENTS = [pytest.param(10_000, marks=pytest.mark.slow), pytest.param(50_000, marks=pytest.mark.long)]
"""The first is enough for runs and batches of many pieces; `test_docs` holds the demo's 27,000 against the oracle, and `tests/faults` 50,000 at a time."""
pytestmark = pytest.mark.timeout(900)


def journey(directory: Path, *arguments: str, workers: int = 1) -> str:
    """Run the command line as a user does; gives what it printed."""
    settings = {"ID_KEY": SETTINGS.id_key.decode(), "PHONE_REGION": "US", "WORKERS": str(workers)}
    environment = os.environ | {f"JOURNEY_{name}": value for name, value in settings.items()}
    command = [sys.executable, "-m", "journey", *arguments, "--data-dir", str(directory)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=420, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Held(NamedTuple):
    """What the embedded ClickHouse of a data directory holds."""

    tables: dict[str, Rows]
    told: list[tuple[str, uuid.UUID, int]]
    """Funnel, prospect and deadline of all episodes that anybody was told of."""


def held(directory: Path) -> Held:
    """Look, and leave."""
    with readable_in(directory) as settings, connected(settings) as client:
        told = client.execute("SELECT funnel, prospect_id, toUnixTimestamp64Micro(deadline) FROM stalls FINAL")
        return Held(tables(client), sorted(told))


def found(directory: Path) -> dict[str, Rows]:
    """Its tables alone."""
    return held(directory).tables


@pytest.mark.parametrize("number", EVENTS)
def test_run_gives_exactly_the_oracles_tables(number: int, tmp_path: Path) -> None:
    """So many events, shuffled, duplicated, some copies differing, two funnels; then all of them again, shuffled anew."""
    now = int(time.time() * 1_000_000)
    events = generate_events(23, number, number // 18, start=now - 100 * DAY)
    once, again, data = tmp_path / "once.ndjson", tmp_path / "again.ndjson", tmp_path / "data"
    write_ndjson(once, events)
    write_ndjson(again, random.Random(1).sample(events, number))
    funnels = [argument for path in FUNNELS for argument in ("--funnel", str(path))]

    shown = journey(data, "run", str(once), *funnels)
    assert f"{number:,}  lines read" in shown
    files = [tomllib.loads(path.read_text()) for path in FUNNELS]
    rows = truth_of([decoded(event) for event in events], files, SETTINGS, now_micros())
    truth = expected(rows)
    stalled = sorted(
        (row.funnel, row.prospect_id, row.stalled_since) for row in rows.prospects if row.stalled_since is not None
    )
    assert len(stalled) > 100
    assert held(data) == (truth, stalled)  # nobody was told of who was stalled once, and is no longer

    journey(data, "run", str(again), *funnels)
    assert held(data) == (truth, stalled)


@pytest.mark.slow
def test_people_are_stitched_exactly_as_the_oracle_does(tmp_path: Path) -> None:
    """6,000 events of a population with shared laptops, kiosks, late sign-ins and conflicts, in any order; then again in another.

    The first time two workers share the work; what they leave is all that the one of the second time needs.
    """
    now = int(time.time() * 1_000_000)
    events = generate_population(5, 6_000, 400, now - 85 * DAY)
    declarations = random_declarations(random.Random(2), events, SETTINGS.phone_region, 60)
    declarations += declarations[:20]
    lines = [ndjson_line(event) for event in events]
    lines += [json.dumps(one._asdict() | {"channel": "declaration"}) for one in declarations]
    once, again, data = tmp_path / "once.ndjson", tmp_path / "again.ndjson", tmp_path / "data"
    once.write_text("\n".join(random.Random(2).sample(lines, len(lines))) + "\n")
    again.write_text("\n".join(random.Random(3).sample(lines, len(lines))) + "\n")

    shown = journey(data, "run", str(once), "--funnel", str(FUNNELS[0]), workers=2)
    funnels = [tomllib.loads(FUNNELS[0].read_text())]
    truth = truth_of([decoded(event) for event in events], funnels, SETTINGS, now_micros(), declarations)
    assert found(data) == expected(truth)
    counts = truth.accounting.counts
    assert counts["shared"]
    for name, what in (("applied", "events applied"), ("shared", "nobody's"), ("ignored", "ignored")):
        assert f"{counts[name]:,}  {what}" in shown

    journey(data, "run", str(again), "--funnel", str(FUNNELS[0]))
    assert found(data) == expected(truth)
