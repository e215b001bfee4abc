"""`journey backtest` against two full `journey run`s, one with each funnel: the same numbers, and exactly the prospects that differ."""

from __future__ import annotations

import json
import random
import time
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.e2e.harness import ROOT, SECONDS, journey, rows, start
from tests.generators import generate_population
from tests.generators.declared import random_declarations
from tests.generators.realistic import ndjson_line

DAY = 86_400_000_000
ENVIRONMENT = {"JOURNEY_ID_KEY": "key of the backtest's test", "JOURNEY_PHONE_REGION": "US"}
CURRENT = ROOT / "funnels" / "sales.toml"
CHANGES = {
    'window = "90d"': 'window = "20d"',
    '"content_download", "webinar_signup", "form_submit"': '"content_download", "webinar_signup"',
    "at_least = 2": "at_least = 3",
    "version = 1": "version = 2",
}
FIGURES = """
SELECT f.stage AS stage, entered, reached, f.moved_on AS moved_on, won, lost, expired, waiting,
    v.moved_on > 0 ? v.median_seconds : NULL AS median_seconds, revenue
FROM funnel AS f LEFT JOIN stage_velocity AS v ON v.funnel = f.funnel AND v.stage = f.stage ORDER BY f.position"""
TABLES = {
    "stage_transitions": "* EXCEPT (funnel, funnel_version, revision, is_deleted, written_at)",
    "visit_paths": "* EXCEPT (funnel, revision, is_deleted, written_at)",
}


class Ran(NamedTuple):
    """What a full run left."""

    figures: list[dict[str, Any]]
    by_prospect: dict[str, list[dict[str, Any]]]


class Place(NamedTuple):
    """Where both ran, and what they left."""

    cwd: Path
    before: Ran
    now: Ran


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """People with shared laptops, late sign-ins, copies and declarations, run through both funnels at once."""
    cwd = tmp_path_factory.mktemp("backtest")
    new = CURRENT.read_text()
    for old, changed in CHANGES.items():
        assert old in new
        new = new.replace(old, changed)
    (cwd / "new.toml").write_text(new)
    events = generate_population(8, 1_500, 120, int(time.time() * 1_000_000) - 85 * DAY)
    declarations = random_declarations(random.Random(1), events, "US", 20)
    lines = [ndjson_line(event) for event in events]
    lines += [json.dumps(one._asdict() | {"channel": "declaration"}) for one in declarations]
    lines += ['{"channel": "web"}', "no event at all"]
    (cwd / "events.ndjson").write_text("\n".join(random.Random(2).sample(lines, len(lines))) + "\n")
    commands = {
        name: ("run", "events.ndjson", "--funnel", funnel, "--data-dir", name)
        for name, funnel in (("before", str(CURRENT)), ("now", "new.toml"))
    }
    with ExitStack() as stack:
        running = [stack.enter_context(start(command, cwd, **ENVIRONMENT)) for command in commands.values()]
        for process in running:
            stack.callback(process.kill)
        for process in running:
            out, err = process.communicate(timeout=SECONDS)
            assert process.returncode == 0, out + err
    return Place(cwd, *(left_in(cwd, name) for name in commands))


def left_in(cwd: Path, data_dir: str) -> Ran:
    """What the embedded ClickHouse of a data directory says."""
    by_prospect = defaultdict(list)
    for table, columns in TABLES.items():
        for row in rows(f"SELECT {columns} FROM {table} FINAL ORDER BY ALL", cwd, data_dir):
            by_prospect[row["prospect_id"]].append(row)
    return Ran(rows(FIGURES, cwd, data_dir), dict(by_prospect))


def backtest(place: Place, funnel: str) -> dict[str, Any]:
    """What a backtest says, for programs."""
    arguments = ("--funnel", funnel, "--against", str(CURRENT), "--from", "events.ndjson", "--json", "--limit", "0")
    found: dict[str, Any] = json.loads(journey("backtest", *arguments, cwd=place.cwd, env=ENVIRONMENT))
    for stages in found["stages"].values():
        for row in stages:
            row["median_seconds"] = to_the_millisecond(row["median_seconds"])
    return found


def to_the_millisecond(seconds: float | None) -> float | None:
    """The mean of two times may differ in the last digits that floating point has."""
    return None if seconds is None else round(seconds, 3)


@pytest.mark.slow
def test_the_unchanged_funnel_makes_no_difference(place: Place) -> None:
    """No prospect differs, and the numbers are those of the run."""
    found = backtest(place, str(CURRENT))
    assert found["differing"] == []
    assert found["stages"]["now"] == found["stages"]["before"] == as_told(place.before)
    assert found["prospects"] == len(place.before.by_prospect)


@pytest.mark.slow
def test_a_changed_funnel_makes_the_difference_of_two_runs(place: Place) -> None:
    """The numbers before and after, and the prospects that differ, are those of the two runs."""
    found = backtest(place, "new.toml")
    assert found["stages"] == {"before": as_told(place.before), "now": as_told(place.now)}
    before, now = place.before.by_prospect, place.now.by_prospect
    differing = sorted(one for one in before.keys() | now.keys() if before.get(one) != now.get(one))
    assert len(differing) > 20
    assert found["differing"] == differing
    assert [one["prospect"] for one in found["reasons"]] == differing
    whys = {one["now"]["why"] for one in found["reasons"]}
    assert {"no activity for 20d", "no clause that moves anybody matches"} <= whys
    assert found["events"]["duplicate"]
    assert found["events"]["dead"] == {"undecodable": 2}


def as_told(ran: Ran) -> list[dict[str, Any]]:
    """The views' numbers as a backtest has them."""
    return [
        {
            **row,
            **{name: int(row[name]) for name in row if name not in ("stage", "median_seconds", "revenue")},
            "median_seconds": to_the_millisecond(row["median_seconds"]),
            "revenue": {currency: f"{float(amount):.2f}" for currency, amount in row["revenue"].items()},
        }
        for row in ran.figures
    ]
