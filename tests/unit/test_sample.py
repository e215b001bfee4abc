"""The shipped sample: what it was made from, and that its funnel is the data set's."""

from __future__ import annotations

import gzip
import json
import tomllib
from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from schemas.ndjson import parse_line
from scripts.build_sample import LARGEST_BYTES, Sample, build
from scripts.sample.tables import Lead, load_leads
from tests.oracle import Settings, Truth, strongest_identifier, truth_of

ROOT = Path(__file__).resolve().parents[2]
ARCHIVE = ROOT / "examples" / "leads.ndjson.gz"
DAY = 86_400_000_000


@pytest.fixture(scope="module")
def built() -> Sample:
    """The sample, built again."""
    return build()


@pytest.fixture(scope="module")
def leads() -> list[Lead]:
    """The data set."""
    return load_leads()


@pytest.fixture(scope="module")
def events() -> list[dict[str, Any]]:
    """The shipped events, decoded as `journey produce` decodes them."""
    return [parse_line(line) for line in gzip.decompress(ARCHIVE.read_bytes()).splitlines()]


@pytest.fixture(scope="module")
def truth(events: list[dict[str, Any]]) -> Truth:
    """What the oracle makes of the sample with the `sales` preset, a day after its last event."""
    sales = tomllib.loads((ROOT / "funnels" / "sales.toml").read_text())
    return truth_of(events, [sales], Settings(b"sample"), max(event["occurred_at"] for event in events) + DAY)


def test_sample_is_rebuilt_to_the_byte(built: Sample) -> None:
    """What is shipped is what the script makes, and nobody edited it since."""
    assert gzip.decompress(ARCHIVE.read_bytes()) == built.ndjson
    assert json.loads((ROOT / "examples" / "leads.json").read_text()) == built.facts


def test_archive_is_small_and_carries_no_time() -> None:
    """Under 1 MB; bytes 4 to 7 of a gzip header are its time."""
    archive = ARCHIVE.read_bytes()
    assert len(archive) < LARGEST_BYTES
    assert archive[4:8] == bytes(4)


def test_licence_note_names_the_source() -> None:
    """Whoever ships the sample on can read whose it is and how it was made."""
    note = (ROOT / "examples" / "README.md").read_text()
    for needed in (
        "leadforge",
        "1.0.0",
        "MIT licence",
        "© 2026 leadforge-dev",
        "--seed 7 --n-leads 1000",
        "python -m scripts.build_sample",
    ):
        assert needed in note


def test_every_lead_is_one_prospect(built: Sample, leads: list[Lead], events: list[dict[str, Any]]) -> None:
    """An event's own strongest identifier tells its lead: as many of them as leads, with none shared."""
    identifiers = {strongest_identifier(event, None) for event in events} - {None}
    assert len(identifiers) == len(leads) == built.facts["tables"]["leads"]
    leads_of: dict[str | None, set[str]] = defaultdict(set)
    for event in events:
        if (event["properties"] or {}).get("opportunity"):
            leads_of[strongest_identifier(event, None)].add(event["properties"]["opportunity"])
    assert {len(deals) for deals in leads_of.values()} == {1}


def test_won_visits_are_the_won_leads(truth: Truth, leads: list[Lead]) -> None:
    """Every won lead that has a closing event wins one visit, with its amount, although copies with other amounts arrive."""
    deals = [lead.opportunity for lead in leads if lead.opportunity is not None]
    won = {f"{deal.id}.closed": Decimal(deal.amount) for deal in deals if deal.outcome == "closed_won"}
    assert {row.cause_event_id: row.amount for row in truth.transitions if row.to_stage == "purchase"} == won
    assert not [row for row in truth.transitions if row.kind == "repeat"]
    assert len(won) == 213


def test_lost_leads_are_lost_by_their_closing_call(truth: Truth, leads: list[Lead]) -> None:
    """Every lost deal closes a visit as lost, with a reason; what else is lost unsubscribed."""
    deals = [lead.opportunity for lead in leads if lead.opportunity is not None]
    lost = {f"{deal.id}.closed" for deal in deals if deal.outcome == "closed_lost"}
    rows = [row for row in truth.transitions if row.kind == "lost"]
    assert {row.cause_event_id for row in rows if row.channel == "call"} == lost
    assert all(row.reason and row.rep for row in rows if row.channel == "call")
    assert {row.type for row in rows if row.channel != "call"} == {"unsubscribed"}


def test_funnel_is_worth_looking_at(truth: Truth) -> None:
    """All stages, ways out, channels and kinds of rows are there."""
    entered: dict[str, int] = defaultdict(int)
    for row in truth.conversion_facts:
        entered[row.stage] += row.entered
    assert all(entered[stage] >= 200 for stage in ("awareness", "interest", "consideration", "purchase"))
    statuses: dict[str, int] = defaultdict(int)
    for standing in truth.prospects:
        statuses[standing.status] += 1
    assert all(statuses[status] >= 50 for status in ("open", "won", "lost", "expired"))
    assert {row.kind for row in truth.transitions} == {"enter", "advance", "skip", "back", "lost", "expired"}
    assert {row.first_channel for row in truth.transitions} == {"web", "email", "call"}


def test_sample_has_the_troubles_of_the_field(truth: Truth, built: Sample, events: list[dict[str, Any]]) -> None:
    """Copies, broken tags and stragglers, in the numbers that leads.json tells."""
    told = built.facts["file"]
    assert len(truth.accounting.duplicate) == told["copies"]
    assert list(truth.accounting.dead.values()) == ["no_identifier"] * told["without_identifier"]
    newest, late = 0, 0
    for event in events:
        late += event["occurred_at"] < newest - DAY
        newest = max(newest, event["occurred_at"])
    assert late > 100


def test_events_keep_the_days_of_their_rows(leads: list[Lead], events: list[dict[str, Any]]) -> None:
    """Times of day are drawn; days are the data set's."""
    days = {row.id: row.day.isoformat() for lead in leads for row in (*lead.touches, *lead.sessions, *lead.activities)}
    checked = 0
    for event in events:
        row, _, _ = event["event_id"].partition(".")
        if row in days and "attempt" not in (event["properties"] or {}):
            happened = (event["occurred_at"] // DAY) * 86_400
            assert days[row] == _day(happened), event["event_id"]
            checked += 1
    assert checked > 20_000


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()
