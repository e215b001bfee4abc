"""`journey run` from files to facts, twice, and reading what came of it."""

from __future__ import annotations

import gzip
import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from journey.local_clickhouse import EmbeddedClickHouse
from tests.e2e.harness import ask, event, journey, rows

CANARY = "canary-e7b1f3c95d20-secret"
TRANSITIONS = "SELECT visit, step, kind, from_stage, to_stage, amount, currency FROM stage_transitions FINAL ORDER BY prospect_id, visit, step"


def at(days_ago: float) -> str:
    """A time before now, ISO-8601."""
    return (datetime.now(UTC) - timedelta(days=days_ago)).isoformat()


class Ran(NamedTuple):
    """A directory in which two runs went by."""

    cwd: Path
    first: str
    between: list[dict[str, object]]
    second: str


JANE = {"email": " Jane@Example.com"}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    """A prospect that comes as far as interest in the first run, and is won in the second; one that expires; bad lines."""
    cwd = tmp_path_factory.mktemp("runs")
    view = event("1", "web", "page_view", at(20), campaign="spring", **JANE)
    first = [
        view,
        event("2", "email", "clicked", at(18), email="jane@example.com"),
        "this is no JSON",
        "",
        view,
        event("3", "web", "page_view", "2026-01-01T10:00:00", **JANE),
        event("4", "web", "page_view", at(200), user_id="someone-long-gone"),
        event("5", "web", "page_view", at(5), anonymous_id="undefined"),
        event("6", "call", "no_answer", at(5), phone="+1 202 555 0123"),
    ]
    (cwd / "first.ndjson.gz").write_bytes(gzip.compress("\n".join(first).encode()))
    second = [
        event("7", "call", "completed", at(10), outcome="qualified", email="jane@example.com"),
        event(
            "8", "call", "completed", at(3), outcome="won", amount="120.50", currency="EUR", email="jane@example.com"
        ),
        view,
    ]
    env = {"JOURNEY_ID_KEY": CANARY}
    told = journey("run", "first.ndjson.gz", "--data-dir", "data", cwd=cwd, env=env)
    between = rows(TRANSITIONS, cwd, "data")
    again = journey("run", "-", "--data-dir", "data", cwd=cwd, env=env, stdin="\n".join(second))
    # Commands that read find this server; else each of them would start one.
    with EmbeddedClickHouse(cwd / "data" / "clickhouse"):
        yield Ran(cwd, told, between, again)


def test_a_run_accounts_for_every_line(ran: Ran) -> None:
    """Lines, applied, duplicates, ignored and dead letters are told, and add up."""
    for expected in (
        "8  lines read",
        "3  events applied",
        "1  duplicates",
        "1  ignored",
        "1  dead letters: no_identifier",
        "2  dead letters: undecodable",
        "6 consumed = applied + duplicate + ignored + dead, plus 2 lines that were no events",
    ):
        assert expected in ran.first


def test_bad_lines_are_shown_and_kept(ran: Ran) -> None:
    """A bad line is named by file and number, and its bytes are in `dead_letters` with reason and place."""
    assert "first.ndjson.gz:3: undecodable: not a line of JSON" in ran.first
    assert "first.ndjson.gz:6: undecodable: occurred_at: no offset" in ran.first
    letters = rows(
        "SELECT reason, stage, origin_topic, origin_offset, value FROM dead_letters FINAL WHERE stage = 'produce' ORDER BY origin_offset",
        ran.cwd,
        "data",
    )
    assert [(one["reason"], one["origin_topic"], int(one["origin_offset"])) for one in letters] == [
        ("undecodable", "first.ndjson.gz", 3),
        ("undecodable", "first.ndjson.gz", 6),
    ]
    assert letters[0]["value"] == "this is no JSON"


def test_a_run_returns_when_due_visits_have_expired(ran: Ran) -> None:
    """The visit of 200 days ago is expired when the first run returns, by the wall clock alone."""
    assert [row["kind"] for row in ran.between].count("expired") == 1


def test_a_second_run_adds_to_the_first(ran: Ran) -> None:
    """The visit that the first run left in interest goes on in the second, and copies count once."""
    assert {"visit": 1, "step": 1} in [{"visit": row["visit"], "step": row["step"]} for row in ran.between]
    assert "2  events applied" in ran.second
    assert "1  duplicates" in ran.second
    won = rows(
        "SELECT step, kind, to_stage, toFloat64(amount) AS amount FROM stage_transitions FINAL WHERE prospect_id IN "
        "(SELECT prospect_id FROM stage_transitions WHERE to_stage = 'purchase') ORDER BY step",
        ran.cwd,
        "data",
    )
    assert [(row["step"], row["kind"], row["to_stage"]) for row in won] == [
        (0, "enter", "awareness"),
        (1, "advance", "interest"),
        (2, "advance", "consideration"),
        (3, "advance", "purchase"),
    ]
    assert won[3]["amount"] == 120.5


def test_the_aggregates_are_up_to_date_when_a_run_returns(ran: Ran) -> None:
    """`funnel` shows both runs without waiting for a refresh."""
    funnel = rows("SELECT stage, entered, won, expired FROM funnel", ran.cwd, "data")
    assert [(row["stage"], int(row["entered"]), int(row["won"]), int(row["expired"])) for row in funnel] == [
        ("awareness", 2, 1, 1),
        ("interest", 1, 1, 0),
        ("consideration", 1, 1, 0),
        ("purchase", 1, 1, 0),
    ]


def test_sql_reads_only_and_formats(ran: Ran) -> None:
    """Any output format; changes and nonsense are refused with ClickHouse's own words."""
    assert ask("sql", "SELECT 1 AS one", "--format", "CSVWithNames", "--data-dir", "data", cwd=ran.cwd) == '"one"\n1\n'
    assert "readonly" in ask("sql", "DROP TABLE prospects", "--data-dir", "data", cwd=ran.cwd, code=1)
    assert "nonsense" in ask("sql", "SELECT nonsense", "--data-dir", "data", cwd=ran.cwd, code=1)


def test_explain_says_why(ran: Ran) -> None:
    """Canonical form, bare identifier and prospect id lead to the same story, with list and clause."""
    env = {"JOURNEY_ID_KEY": CANARY}
    by_form = ask("explain", "email:jane@example.com", "--data-dir", "data", cwd=ran.cwd, env=env)
    bare = ask("explain", "JANE@example.com", "--data-dir", "data", cwd=ran.cwd, env=env)
    assert by_form == bare
    prospect = by_form.split("is prospect ")[1].split()[0]
    by_id = ask("explain", prospect, "--data-dir", "data", cwd=ran.cwd)
    for told in (by_form, by_id):
        assert str(uuid.UUID(prospect)) in told
        assert "consideration.enter[1]" in told
        assert "purchase.enter[1]" in told
    assert "nothing moved such a prospect" in ask(
        "explain", "nobody@example.com", "--data-dir", "data", cwd=ran.cwd, env=env, code=1
    )


def test_another_key_or_funnel_is_refused_by_name(ran: Ran) -> None:
    """A run that would mix what can't be mixed says what differs, and changes nothing."""
    (ran.cwd / "more.ndjson").write_text(event("20", "web", "page_view", at(1), **JANE))
    refused = journey("run", "more.ndjson", "--data-dir", "data", "--funnel", "three-step", cwd=ran.cwd, code=1)
    assert "funnels: it holds sales v1" in refused
    assert "id key" in refused  # this run would use the directory's own
    assert "--fresh" in refused
    assert ask("doctor", "--data-dir", "data", cwd=ran.cwd).count("fail") == 0


def test_no_secret_is_told_anywhere(ran: Ran) -> None:
    """The id key is in no output, no log and no note; only the settings of the caller hold it."""
    assert CANARY not in ran.first + ran.second
    files = [path for path in (ran.cwd / "data").rglob("*") if path.is_file() and "clickhouse/data" not in str(path)]
    assert any(path.name == "worker.log" for path in files)
    assert [path for path in files if CANARY.encode() in path.read_bytes()] == []


def test_logs_are_json_lines(ran: Ran) -> None:
    """Every line of the worker's and the sink's log is one JSON object."""
    for name in ("worker.log", "sink.log"):
        lines = (ran.cwd / "data" / "logs" / name).read_text().splitlines()
        assert lines
        for line in lines:
            assert isinstance(json.loads(line), dict)
