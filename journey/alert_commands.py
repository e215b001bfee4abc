"""`journey alerts list`, `preview` and `test`."""

from __future__ import annotations

import asyncio
import time as clock
import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from alerts.config import Alerts, Route
from alerts.errors import NotDelivered
from alerts.ledger import Ledger
from alerts.render import SAMPLE, iso, text_of, time
from alerts.targets import Message, sender_of
from funnel.alerts import ESCALATED, OPENED, RESOLVED, Alert, alert_id_of
from funnel.durations import MICROSECONDS, parse_duration
from funnel.facts import Stall
from journey.clickhouse import connected
from journey.errors import JourneyError, SettingsError
from journey.letters import server_time
from journey.reading import readable
from journey.screen import Screen
from journey.settings import Settings
from journey.wiring import alerts_of
from schemas.alerts import ALERTS, FAILED, SENDING, SENT, VOID, WAITING

_STATES = (WAITING, SENDING, SENT, FAILED, VOID)
_LIST = """
SELECT changed_at, state, route, target, funnel, stage, toString(prospect_id), step, attempts, error
FROM alert_deliveries FINAL
WHERE changed_at >= fromUnixTimestamp64Micro(toInt64(%(since)s)) AND state IN %(states)s
ORDER BY changed_at DESC LIMIT %(limit)s"""
_STALLS = """
WITH
    told AS (SELECT * FROM stalls FINAL WHERE noticed_at >= fromUnixTimestamp64Micro(toInt64(%(since)s))),
    moves AS (SELECT * FROM stage_transitions FINAL WHERE (funnel, prospect_id) IN (SELECT funnel, prospect_id FROM told)),
    teams AS (SELECT funnel, stage, argMax(team, funnel_version) AS team FROM funnel_stages FINAL GROUP BY funnel, stage)
SELECT
    toString(told.prospect_id), funnel, visit, stage, any(teams.team),
    toUnixTimestamp64Micro(deadline), level, toUnixTimestamp64Micro(any(noticed_at)),
    toUnixTimestamp64Micro(any(resolved_at)), any(resolution), any(told.account_id),
    argMaxIf(moves.rep, moves.step, moves.rep != '' AND moves.entered_at <= deadline),
    argMaxIf(toInt64(moves.amount * 100), moves.step, moves.amount != 0 AND moves.entered_at <= deadline),
    argMaxIf(moves.currency, moves.step, moves.amount != 0 AND moves.entered_at <= deadline),
    any(moves.first_campaign),
    toUnixTimestamp64Micro(maxIf(moves.entered_at, moves.entered_at <= deadline)),
    argMaxIf(moves.channel, moves.step, moves.entered_at <= deadline),
    argMaxIf(moves.type, moves.step, moves.entered_at <= deadline),
    kind
FROM told
LEFT JOIN moves ON moves.funnel = told.funnel AND moves.prospect_id = told.prospect_id AND moves.visit = told.visit
LEFT JOIN teams ON teams.funnel = told.funnel AND teams.stage = told.stage
GROUP BY told.prospect_id, told.funnel AS funnel, told.visit AS visit, told.stage AS stage, told.deadline AS deadline, told.level AS level, told.kind AS kind
ORDER BY any(noticed_at), told.prospect_id"""


def show_list(settings: Settings, since: str, state: str, limit: int, screen: Screen) -> int:
    """What became of alerts, a line each; returns the exit code."""
    if state != "all" and state not in _STATES:
        raise SettingsError(f"--state: expected all, or one of {', '.join(_STATES)}")
    states = _STATES if state == "all" else (state,)
    with readable(settings) as found, connected(found) as reader:
        values = {"since": server_time(reader) * 1_000 - _micros(since), "states": states, "limit": limit}
        rows = reader.execute(_LIST, values)
    table = Table(
        "changed", "state", "route", "target", "funnel", "stage", "prospect", "step", "tries", "why", box=None
    )
    for row in rows:
        table.add_row(*(Text(_shown(value)) for value in row))
    screen.out.print(table if rows else Text(f"nothing {'' if state == 'all' else state + ' '}since {since}"))
    return 0


def preview(settings: Settings, since: str, screen: Screen) -> int:
    """What would have been sent; returns the exit code."""
    alerts = alerts_of(settings)
    with readable(settings) as found, connected(found) as reader:
        begins = server_time(reader) * 1_000 - _micros(since)
        stalls = [_alert_of(row) for row in reader.execute(_STALLS, {"since": begins})]
    table = Table("when", "route", "target", "in a digest", "subject", box=None)
    messages: dict[tuple[str, str], set[str]] = {}
    unmatched = 0
    for alert, planned in _planned(alerts, stalls):
        unmatched += not planned
        for route, target, due_at, digest, key in planned:
            messages.setdefault((route.name, target), set()).add(digest or key)
            subject = text_of(alert, alert.noticed_at, route.subject, route.body).subject
            table.add_row(time(due_at), route.name, target, "yes" if digest else "", Text(subject))
    screen.out.print(table)
    for (name, target), sent in sorted(messages.items()):
        screen.out.print(Text(f"{name} → {target}: {len(sent):,} messages"))
    screen.out.print(Text(f"{len(stalls):,} episodes since {since}, {unmatched:,} of them on no route"))
    return 0


def try_route(settings: Settings, name: str, screen: Screen) -> int:
    """Send a made-up alert to a route's targets; returns 1 where one did not take it."""
    alerts = alerts_of(settings)
    route = alerts.route(name)
    if route is None:
        known = ", ".join(one.name for one in alerts.routes)
        raise JourneyError(f"there is no route {name}", hint=f"routes of this file: {known}")
    failed = False
    for target, why in asyncio.run(_try_all(alerts, route)):
        failed |= bool(why)
        style = "red" if why else "green"
        screen.out.print(Text(f"{target}: ") + Text(why or "delivered", style=style))
    return 1 if failed else 0


async def _try_all(alerts: Alerts, route: Route) -> list[tuple[str, str]]:
    results = []
    now = int(clock.time() * MICROSECONDS)
    day = 86_400 * MICROSECONDS
    alert = SAMPLE._replace(
        alert_id=uuid.uuid4().bytes,
        deadline=now - day,
        noticed_at=now,
        stage_entered_at=now - 9 * day,
        last_activity_at=now - 8 * day,
    )
    for name in route.to:
        try:
            sender = sender_of(alerts.targets[name])
            text = text_of(alert, now, route.subject, route.body)
            text = text._replace(subject=f"[test] {text.subject}")
            try:
                await sender.send(Message(f"test/{uuid.uuid4()}", (alert,), text, False, now))
            finally:
                await sender.close()
            results.append((name, ""))
        except NotDelivered as error:
            results.append((name, str(error)))
    return results


def _planned(alerts: Alerts, stalls: list[Alert]) -> Iterator[tuple[Alert, list[tuple[Route, str, int, str, str]]]]:
    """Each alert, and where it would have gone, as if all had come as they were noticed."""
    ledger = Ledger(alerts)
    for alert in stalls:
        opened = alert._replace(change=ESCALATED if alert.level else OPENED)
        planned = []
        for one in ledger.plan(opened, ALERTS.encode(opened), alert.noticed_at):
            route = alerts.route(one.route)
            if route is not None:
                planned.append((route, one.target, one.due_at, one.digest, one.key.decode()))
        yield opened, planned


def _alert_of(row: Any) -> Alert:
    (prospect, funnel, visit, stage, team, deadline, level, noticed, resolved, resolution, account, rep, amount, currency,
     campaign, entered, channel, type_, kind) = row  # fmt: skip
    prospect_id = uuid.UUID(prospect).bytes
    episode = Stall(funnel, visit, stage, deadline, level, noticed, kind=kind)
    return Alert(
        alert_id_of(prospect_id, episode), RESOLVED if resolved else OPENED, prospect_id, funnel, visit, stage, team or "",
        deadline, level, noticed, resolved, resolution, account, rep, amount, currency, campaign or "", entered or 0,
        entered or 0, channel, type_, kind,
    )  # fmt: skip


def _micros(duration: str) -> int:
    try:
        return parse_duration(duration)
    except ValueError as error:
        raise SettingsError(f"--since: {error}") from None


def _shown(value: Any) -> str:
    return iso(int(value.timestamp() * MICROSECONDS)) or "" if isinstance(value, datetime) else str(value)
