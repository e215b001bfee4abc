"""Who is stalled is known when `journey run` returns, and over when something happens."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.e2e.harness import event, journey, readable_in, rows

FUNNEL = """
name = "leads"
timezone = "Europe/Berlin"
window = "60d"
[[stage]]
name = "lead"
team = "marketing"
stall_after = "10d"
escalate = ["5d"]
enter = [ { channel = "web" } ]
[[stage]]
name = "talking"
team = "sales"
calendar = "mon-fri 09:00-18:00"
holidays = "DE-BE"
stall_after = "5d"
enter = [ { channel = "call", outcome = "demo" } ]
[[stage]]
name = "customer"
enter = [ { type = "purchase" } ]
"""
STALLED = """
SELECT stage, team, rep, account_id, toFloat64(amount) AS amount, escalated, last_type, toUnixTimestamp(stalled_since) AS since,
    stalled_for_seconds > 0 AS counts FROM stalled ORDER BY account_id"""
ALERTS = """
[targets.crm]
type = "webhook"
url = "https://crm.example.com/"
secret_env = "CRM_SECRET"
[[routes]]
name = "all"
to = "crm"
subject = "{{ rep or 'nobody' }} asks for {{ account_id }}"
[[routes]]
name = "escalated"
to = "crm"
min_level = 1
"""
SECRETS = {"CRM_SECRET": "whsec_c2VjcmV0"}
NOW = datetime.now(UTC).replace(microsecond=0)


def at(days_ago: float) -> str:
    """A time before now, ISO-8601."""
    return (NOW - timedelta(days=days_ago)).isoformat()


def test_who_is_stalled(tmp_path: Path) -> None:
    """Those whose stage allows no more, in working hours where it says so; nobody whose visit expired; and no longer once they come back."""
    (tmp_path / "leads.toml").write_text(FUNNEL)
    (tmp_path / "alerts.toml").write_text(ALERTS)
    first = [
        event("1", "web", "page_view", at(12), user_id="quiet", account_id="a-quiet"),
        event("2", "web", "page_view", at(20), user_id="long-quiet", account_id="b-long-quiet"),
        event("3", "web", "page_view", at(9), user_id="fresh", account_id="c-fresh"),
        event("4", "web", "page_view", at(80), user_id="gone", account_id="d-gone"),
        event("5", "web", "page_view", at(30), user_id="talked", account_id="e-talked"),
        event(
            "6",
            "call",
            "completed",
            at(29),
            user_id="talked",
            outcome="demo",
            rep="ann",
            amount="120.50",
            currency="EUR",
        ),
        event("7", "call", "completed", at(4), user_id="in-talks", outcome="demo", account_id="f-in-talks"),
    ]
    (tmp_path / "first.ndjson").write_text("\n".join(first))
    journey("run", "first.ndjson", "--funnel", "leads.toml", cwd=tmp_path)
    found = [tuple(row.values()) for row in rows(STALLED, tmp_path, ".journey")]
    assert [(*row[:7], row[8]) for row in found] == [
        ("lead", "marketing", "", "a-quiet", 0.0, 0, "page_view", 1),
        ("lead", "marketing", "", "b-long-quiet", 0.0, 1, "page_view", 1),
        ("talking", "sales", "ann", "e-talked", 120.5, 0, "completed", 1),
    ]
    assert [int(row[7]) for row in found[:2]] == [int((NOW - timedelta(days=days)).timestamp()) for days in (2, 10)]
    told = journey("alerts", "preview", "--file", "alerts.toml", cwd=tmp_path, env=SECRETS)
    assert "3 episodes since 7d, 0 of them on no route" in told
    assert "escalated → crm: 1 messages" in told
    assert "all → crm: 3 messages" in told
    assert "ann asks for e-talked" in told
    second = [
        event("8", "web", "page_view", at(1), user_id="quiet"),
        event("9", "call", "completed", at(1), user_id="long-quiet", outcome="demo"),
        event("10", "web", "purchase", at(1), user_id="talked", amount="99", currency="EUR"),
    ]
    (tmp_path / "second.ndjson").write_text("\n".join(second))
    journey("run", "second.ndjson", "--funnel", "leads.toml", cwd=tmp_path)
    with readable_in(tmp_path / ".journey"):
        assert rows(STALLED, tmp_path, ".journey") == []
        episodes = rows(
            "SELECT account_id, stage, level, resolution FROM stalls FINAL ORDER BY account_id", tmp_path, ".journey"
        )
    assert [tuple(row.values()) for row in episodes] == [
        ("a-quiet", "lead", 0, "active"),
        ("b-long-quiet", "lead", 1, "moved"),
        ("e-talked", "talking", 0, "won"),
    ]


def test_who_waits_for_a_response(tmp_path: Path) -> None:
    """Those whom marketing handed over and nobody called in time; no longer once somebody did. Calendars and moves are taken into account."""
    funnel = FUNNEL.replace('stall_after = "5d"', 'stall_after = "5d"\nrespond_within = "2d"').replace(
        'outcome = "demo" }', 'outcome = "demo" }, { type = "demo_request" }'
    )
    (tmp_path / "leads.toml").write_text(funnel)
    first = [
        event("1", "web", "demo_request", at(20), user_id="forgotten", account_id="a-forgotten", campaign="spring"),
        event("2", "web", "demo_request", at(20), user_id="called", account_id="b-called"),
        event("3", "call", "completed", at(19.9), user_id="called"),
        event("4", "web", "demo_request", at(0.01), user_id="fresh", account_id="c-fresh"),
        event("5", "web", "demo_request", at(20), user_id="bought", account_id="d-bought"),
        event("6", "web", "purchase", at(19), user_id="bought"),
    ]
    (tmp_path / "first.ndjson").write_text("\n".join(first))
    journey("run", "first.ndjson", "--funnel", "leads.toml", cwd=tmp_path)
    unanswered = "SELECT account_id, stage, team, campaign FROM unanswered"
    assert [tuple(row.values()) for row in rows(unanswered, tmp_path, ".journey")] == [
        ("a-forgotten", "talking", "sales", "spring")
    ]
    episodes = "SELECT account_id, toString(kind) AS kind, resolution FROM stalls FINAL ORDER BY account_id, kind"
    found = [tuple(row.values()) for row in rows(episodes, tmp_path, ".journey")]
    assert [row for row in found if row[1] == "response"] == [("a-forgotten", "response", "")]
    (tmp_path / "second.ndjson").write_text(event("7", "call", "completed", at(1), user_id="forgotten", rep="ann"))
    journey("run", "second.ndjson", "--funnel", "leads.toml", cwd=tmp_path)
    assert rows(unanswered, tmp_path, ".journey") == []
    assert ("a-forgotten", "response", "answered") in [
        tuple(row.values()) for row in rows(episodes, tmp_path, ".journey")
    ]
    handed = rows(
        "SELECT account_id, outcome, first_touch_rep, in_time FROM handoffs ORDER BY account_id", tmp_path, ".journey"
    )
    assert [tuple(row.values()) for row in handed] == [
        ("a-forgotten", "waiting", "ann", False),
        ("b-called", "waiting", "", True),
        ("c-fresh", "waiting", "", None),
        ("d-bought", "won", "", None),
    ]
