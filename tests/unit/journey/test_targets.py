"""journey.targets: files of targets, and what is said of wrong ones."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from journey.errors import JourneyError
from journey.targets import read_targets

STAGES = {"sales": ["awareness", "purchase"], "b2b": ["lead", "customer"]}
GOOD = """
[[target]]
name = "leads"
funnel = "b2b"
metric = "entered"
stage = "lead"
period = "campaign"
campaign = "spring"
starts = 2026-03-01
ends = 2026-04-15
value = 40
[[target]]
name = "money"
funnel = "sales"
metric = "revenue"
currency = "EUR"
period = "quarterly"
starts = 2026-04-01
ends = 2026-12-31
value = 1000.5
[[target]]
name = "rate"
funnel = "sales"
metric = "conversion_rate"
period = "monthly"
starts = 2026-02-01
value = 0.25
"""


def written(directory: Path, text: str) -> Path:
    """A file with this in it."""
    file = directory / "targets.toml"
    file.write_text(text)
    return file


def test_targets(tmp_path: Path) -> None:
    """Each is a row by its name."""
    day = dt.date
    assert read_targets(written(tmp_path, GOOD), STAGES) == {
        ("leads",): ("b2b", "entered", "lead", "", "campaign", "spring", day(2026, 3, 1), day(2026, 4, 15), 40.0),
        ("money",): ("sales", "revenue", "", "EUR", "quarterly", None, day(2026, 4, 1), day(2026, 12, 31), 1000.5),
        ("rate",): ("sales", "conversion_rate", "", "", "monthly", None, day(2026, 2, 1), None, 0.25),
    }
    assert read_targets(written(tmp_path, "target = []"), STAGES) == {}


@pytest.mark.parametrize(
    ("old", "new", "key", "expected"),
    [
        ("[[target]]", "[[goal]]", "goal", "one of target"),
        ('name = "money"', 'name = "leads"', "target[1].name", "named twice"),
        ('name = "money"', 'name = ""', "target[1].name", "non-empty"),
        ('name = "money"', 'name = "money"\nteam = "x"', "target[1].team", "one of name, funnel"),
        ('funnel = "b2b"', 'funnel = "shop"', "target[0].funnel", "one of sales, b2b"),
        ('stage = "lead"', 'stage = "purchase"', "target[0].stage", "one of lead, customer"),
        ('stage = "lead"', "", "target[0].stage", "one of lead, customer"),
        ('metric = "revenue"', 'metric = "money"', "target[1].metric", "one of entered, won"),
        ('metric = "revenue"', 'metric = "won"', "target[1].currency", "only where metric is revenue"),
        ('currency = "EUR"', "", "target[1].currency", "three capital letters"),
        ('currency = "EUR"', 'currency = "EUR"\nstage = "purchase"', "target[1].stage", "only where metric"),
        ('period = "monthly"', 'period = "weekly"', "target[2].period", "one of monthly, quarterly, campaign"),
        ('campaign = "spring"', "", "target[0].campaign", "the campaign"),
        ('campaign = "spring"', "campaign = 1", "target[0].campaign", "a string"),
        ("starts = 2026-04-01", "starts = 2026-05-01", "target[1].starts", "first day of a quarter"),
        ("starts = 2026-02-01", "starts = 2026-02-02", "target[2].starts", "first day of a month"),
        ("starts = 2026-02-01", 'starts = "2026-02-01"', "target[2].starts", "without quotes"),
        ("starts = 2026-02-01", "starts = 2026-02-01T00:00:00Z", "target[2].starts", "without quotes"),
        ("starts = 2026-02-01", "", "target[2].starts", "without quotes"),
        ("ends = 2026-04-15", "", "target[0].ends", "without quotes"),
        ("ends = 2026-04-15", "ends = 2026-02-15", "target[0].ends", "not before starts"),
        ("ends = 2026-12-31", "ends = 2026-11-30", "target[1].ends", "last day of a quarter"),
        ("value = 40", "value = 0", "target[0].value", "above 0"),
        ("value = 40", "value = true", "target[0].value", "above 0"),
        ("value = 40", "value = inf", "target[0].value", "above 0"),
        ("value = 40", "value = nan", "target[0].value", "above 0"),
        ("value = 0.25", "value = 25", "target[2].value", "up to 1"),
    ],
)
def test_wrong_files_are_refused(tmp_path: Path, old: str, new: str, key: str, expected: str) -> None:
    """An error names the file, the key, and what was expected there."""
    assert old in GOOD
    file = written(tmp_path, GOOD.replace(old, new))
    with pytest.raises(JourneyError) as error:
        read_targets(file, STAGES)
    assert str(error.value).startswith(f"{file}: {key}: ")
    assert expected in str(error.value)


@pytest.mark.parametrize(("text", "told"), [("", "target: expected a list"), ("[[", "expected valid TOML")])
def test_no_targets(tmp_path: Path, text: str, told: str) -> None:
    """An empty file takes nothing away by mistake."""
    with pytest.raises(JourneyError, match=told):
        read_targets(written(tmp_path, text), STAGES)
