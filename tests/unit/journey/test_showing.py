"""What people and log readers see: bars, durations, reasons, readings of identifiers, log lines."""

from __future__ import annotations

import io
import json
import logging
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
from rich.console import Console

from funnel.definition import parse_funnel
from funnel.identifiers import prospect_id
from journey.errors import JourneyError, SettingsError
from journey.explain import candidates
from journey.funnel_files import PRESETS, funnel_paths, load
from journey.report import bar, duration, stages_table
from journey.settings import Settings
from journey.story import Step, why
from journey.telemetry import configure_logging

SALES = parse_funnel((PRESETS / "sales.toml").read_text())
KEY = "a key of at least 16"


def test_bars_are_as_long_as_their_share() -> None:
    """Full, half, and never nothing for something."""
    assert bar(10, 10, 8) == "█" * 8
    assert bar(5, 10, 8) == "█" * 4
    assert bar(1, 10_000, 8) == "▏"
    assert bar(0, 10) == bar(0, 0) == ""


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0 s"), (59.6, "1 min"), (61, "1 min 1 s"), (3_600, "1 h"), (86_400 * 2 + 3_700, "2 d 1 h"), (86_401, "1 d")],
)
def test_durations_as_people_say_them(seconds: float, expected: str) -> None:
    """The two largest units, where the second is not nought."""
    assert duration(seconds) == expected


def test_nobody_moves_on_from_the_last_stage() -> None:
    """The picture shows a share for each stage but the last, where it would read as if all had been lost; 0 of others is shown."""
    # As `journey.report` asks: funnel, position, stage, team, entered, reached, moved on, won, lost, expired, waiting, revenue, median.
    rows = [
        ("f", 1, "first", "", 10, 10, 5, 0, 0, 0, 10, {}, 60.0),
        ("f", 2, "second", "", 5, 5, 0, 5, 0, 0, 0, {}, None),
        ("f", 3, "last", "", 4, 4, 0, 4, 0, 0, 0, {}, None),
    ]
    console = Console(file=io.StringIO(), width=140)
    console.print(stages_table("f", rows))
    assert isinstance(console.file, io.StringIO)
    cells = {line.split()[0]: line.split()[4:] for line in console.file.getvalue().splitlines() if line.split()}
    assert cells["first"] == ["5", "(50%)", "0", "0", "0", "10", "1", "min"]
    assert cells["second"] == ["0", "(0%)", "5", "0", "0", "0"]
    assert cells["last"] == ["4", "0", "0", "0"]


def step(**fields: Any) -> Step:
    """A row of `journey_of`."""
    empty: dict[str, Any] = dict.fromkeys(Step._fields, "")
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return Step(**{**empty, "visit": 1, "step": 1, "entered_at": now, "seconds_in_from": 0.0, "amount": 0, **fields})


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (
            step(kind="enter", to_stage="awareness", channel="email", type="opened"),
            "awareness.enter[1] channel = email",
        ),
        (step(kind="skip", to_stage="purchase", channel="call", type="completed"), "purchase.enter[1]"),
        (step(kind="lost", to_stage="lost", channel="email", type="unsubscribed"), "lost.on[1]"),
        (step(kind="back", to_stage="interest", channel="call", type="completed"), "back to interest[0]"),
        (step(kind="expired", to_stage="expired"), "window: no activity for 90 d"),
        (step(kind="advance", to_stage="interest", channel="web", type="page_view"), "at least 2 within 7 d"),
        (step(kind="enter", to_stage="retired"), "has no stage retired any more"),
    ],
)
def test_why_names_list_and_clause(row: Step, expected: str) -> None:
    """The list that the funnel file has for such a move, and the clause that the event's fields leave."""
    assert expected in why(row, SALES)


def test_presets_by_name_and_files_by_path(tmp_path: Path) -> None:
    """Both can be given together; what is neither is refused with the presets there are."""
    own = tmp_path / "own.toml"
    own.write_text((PRESETS / "sales.toml").read_text().replace('name = "sales"', 'name = "own"'))
    assert funnel_paths(["sales", str(own)]) == ((PRESETS / "sales.toml").resolve(), own.resolve())
    assert [funnel.name for funnel in load(["b2b", str(own)])[0]] == ["b2b", "own"]
    with pytest.raises(SettingsError, match=r"funnel salse: expected a TOML file or a preset .*sales"):
        funnel_paths(["salse"])
    own.write_text("name = 1")
    with pytest.raises(SettingsError, match=r"own.toml"):
        load([str(own)])


def test_identifiers_are_read_in_every_way_they_can_be_meant(tmp_path: Path) -> None:
    """Canonical forms in one way; bare ones as all kinds they may be, the likeliest first; UUIDs as prospects, too."""
    settings = Settings(id_key=KEY, data_dir=tmp_path)

    def meanings(text: str) -> list[str]:
        return [found.meaning for found in candidates(text, settings)]

    assert meanings(" email:JANE@x.com") == ["email:jane@x.com"]
    assert meanings("jane@x.com")[0] == "email:jane@x.com"
    assert meanings("+1 202 555 0123")[0] == "phone:+12025550123"
    assert meanings("abc:def") == ["user_id:abc:def", "anonymous_id:abc:def"]
    some = uuid.uuid4()
    assert meanings(str(some)) == ["prospect id", f"user_id:{some}", f"anonymous_id:{some}"]
    assert candidates("user_id:u1", settings)[0].prospect.bytes == prospect_id(KEY.encode(), "user_id:u1")
    with pytest.raises(JourneyError, match="placeholder"):
        candidates("null", settings)
    with pytest.raises(JourneyError, match="JOURNEY_ID_KEY is not set"):
        candidates("u1", Settings(data_dir=tmp_path))


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What is logged; the logging of the test run is put back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_logs_can_not_be_forged(log: io.StringIO, log_format: Any) -> None:
    """Control characters, line ends among them, come out escaped: one line a message, and nothing that steers a terminal."""
    configure_logging(Settings(log_format=log_format))
    handler = logging.getLogger().handlers[0]
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(log)
    evil = 'x\n{"event": "forged"}\x1b[2J\x9b\u202e'
    structlog.get_logger("a").warning("hello", value=evil)
    logging.getLogger("b").warning("stdlib %s", evil)
    lines = log.getvalue().splitlines()
    assert len(lines) == 2
    assert not {"\x1b", "\x9b", "\n"} & set("".join(lines))
    if log_format == "json":
        assert json.loads(lines[0])["value"] == evil
        assert json.loads(lines[1])["event"] == f"stdlib {evil}"
