"""Who is stalled, and who waits for a response, is known when `journey run` returns, and over when something happens.

Two runs for all, as each takes seconds: in funnel `leads` are those of one test, in `requests` those of the other, and neither matches the other's events.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest

from tests.e2e.harness import ask, event, journey, readable_in, rows

pytestmark = pytest.mark.slow
FUNNEL = """
name = "leads"
timezone = "Europe/Berlin"
window = "60d"
[[stage]]
name = "lead"
team = "marketing"
stall_after = "10d"
escalate = ["5d"]
enter = [ { type = "page_view" } ]
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
REQUESTS = (
    FUNNEL.replace('"leads"', '"requests"')
    .replace('stall_after = "5d"', 'stall_after = "5d"\nrespond_within = "2d"')
    .replace('type = "page_view"', 'type = "form_submit"')
    .replace('channel = "call", outcome = "demo"', 'type = "demo_request"')
    .replace('"purchase"', '"order"')
)
STALLED = """
SELECT stage, team, rep, account_id, toFloat64(amount) AS amount, escalated, last_type, toUnixTimestamp(stalled_since) AS since,
    stalled_for_seconds > 0 AS counts FROM stalled WHERE funnel = 'leads' ORDER BY account_id"""
EPISODES = """
SELECT account_id, stage, level, resolution FROM stalls FINAL WHERE funnel = 'leads' ORDER BY account_id"""
UNANSWERED = "SELECT account_id, stage, team, campaign FROM unanswered WHERE funnel = 'requests'"
RESPONSES = """
SELECT account_id, toString(kind) AS kind, resolution FROM stalls FINAL WHERE funnel = 'requests' ORDER BY account_id, kind"""
HANDED = """
SELECT account_id, outcome, first_touch_rep, in_time FROM handoffs WHERE funnel = 'requests' ORDER BY account_id"""
QUERIES = (STALLED, EPISODES, UNANSWERED, RESPONSES, HANDED)
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


class Went(NamedTuple):
    """What was known after each of two runs."""

    first: Mapping[str, list[tuple[Any, ...]]]
    """By query."""
    preview: str
    """Of what would be told after the first."""
    second: Mapping[str, list[tuple[Any, ...]]]


@pytest.fixture(scope="module")
def went(tmp_path_factory: pytest.TempPathFactory) -> Went:
    """Everybody's events in two runs."""
    cwd = tmp_path_factory.mktemp("stalls")
    (cwd / "leads.toml").write_text(FUNNEL)
    (cwd / "requests.toml").write_text(REQUESTS)
    (cwd / "alerts.toml").write_text(ALERTS)
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
        event("11", "web", "demo_request", at(20), user_id="forgotten", account_id="a-forgotten", campaign="spring"),
        event("12", "web", "demo_request", at(20), user_id="called", account_id="b-called"),
        event("13", "call", "completed", at(19.9), user_id="called"),
        event("14", "web", "demo_request", at(0.01), user_id="just-asked", account_id="c-just-asked"),
        event("15", "web", "demo_request", at(20), user_id="bought", account_id="d-bought"),
        event("16", "web", "order", at(19), user_id="bought"),
    ]
    second = [
        event("8", "web", "page_view", at(1), user_id="quiet"),
        event("9", "call", "completed", at(1), user_id="long-quiet", outcome="demo"),
        event("10", "web", "purchase", at(1), user_id="talked", amount="99", currency="EUR"),
        event("17", "call", "completed", at(1), user_id="forgotten", rep="ann"),
    ]

    def known() -> dict[str, list[tuple[Any, ...]]]:
        return {query: [tuple(row.values()) for row in rows(query, cwd, ".journey")] for query in QUERIES}

    (cwd / "first.ndjson").write_text("\n".join(first))
    (cwd / "second.ndjson").write_text("\n".join(second))
    funnels = ("--funnel", "leads.toml", "--funnel", "requests.toml")
    journey("run", "first.ndjson", *funnels, cwd=cwd)
    with readable_in(cwd / ".journey"):
        before = known()
        preview = ask("alerts", "preview", "--file", "alerts.toml", cwd=cwd, env=SECRETS)
    journey("run", "second.ndjson", *funnels, cwd=cwd)
    with readable_in(cwd / ".journey"):
        return Went(before, preview, known())


def test_who_is_stalled(went: Went) -> None:
    """Those whose stage allows no more, in working hours where it says so; nobody whose visit expired; and no longer once they come back."""
    found = went.first[STALLED]
    assert [(*row[:7], row[8]) for row in found] == [
        ("lead", "marketing", "", "a-quiet", 0.0, 0, "page_view", 1),
        ("lead", "marketing", "", "b-long-quiet", 0.0, 1, "page_view", 1),
        ("talking", "sales", "ann", "e-talked", 120.5, 0, "completed", 1),
    ]
    assert [int(row[7]) for row in found[:2]] == [int((NOW - timedelta(days=days)).timestamp()) for days in (2, 10)]
    assert went.second[STALLED] == []
    assert went.second[EPISODES] == [
        ("a-quiet", "lead", 0, "active"),
        ("b-long-quiet", "lead", 1, "moved"),
        ("e-talked", "talking", 0, "won"),
    ]


def test_what_would_be_told(went: Went) -> None:
    """A preview of who is stalled or waits: three in `leads`; in `requests` two are stalled, one of whom also waits."""
    assert "6 episodes since 7d, 0 of them on no route" in went.preview
    assert "escalated → crm: 1 messages" in went.preview
    assert "all → crm: 6 messages" in went.preview
    assert "ann asks for e-talked" in went.preview


def test_who_waits_for_a_response(went: Went) -> None:
    """Those whom marketing handed over and nobody called in time; no longer once somebody did. Calendars and moves are taken into account."""
    assert went.first[UNANSWERED] == [("a-forgotten", "talking", "sales", "spring")]
    assert [row for row in went.first[RESPONSES] if row[1] == "response"] == [("a-forgotten", "response", "")]
    assert went.second[UNANSWERED] == []
    assert ("a-forgotten", "response", "answered") in went.second[RESPONSES]
    assert went.second[HANDED] == [
        ("a-forgotten", "waiting", "ann", False),
        ("b-called", "waiting", "", True),
        ("c-just-asked", "waiting", "", None),
        ("d-bought", "won", "", None),
    ]
