"""The pages on teams, prospects and the pipeline itself."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

import httpx
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from console import shapes
from console.asking import begin
from console.panels import Column, rows_of
from console.questions.prospects import named
from console.rendering import page, render
from console.text import name_of, ratio
from console.warehouse import Problem

_LARGEST_FORM = 4_096
_OUTCOMES = {
    "accepted": "Accepted",
    "won": "Won",
    "handed_on": "Handed on",
    "waiting": "Waiting",
    "sent_back": "Sent back",
    "lost": "Lost",
}
_PROSPECT = Column("prospect_id", "Prospect", "prospect")


async def handoffs(request: Request) -> Response:
    """What became of prospects that one team handed to another."""
    asking = await begin(request)
    await asking.ask("handoffs", "handoffs-by-campaign", "unanswered")
    counts = [
        Column("handed", "Handed over"),
        Column("touched", "Touched"),
        Column("median_seconds_to_first_touch", "Median to first touch", "duration"),
        Column("in_time_share", "In time", "percent"),
        *(Column(key, name) for key, name in _OUTCOMES.items()),
    ]
    by_stage, by_campaign = asking.rows("handoffs"), asking.rows("handoffs-by-campaign")
    for row in (*by_stage, *by_campaign):
        row["in_time_share"] = ratio(row["in_time"], row["in_time"] + row["late"])
    for row in by_stage:
        row["label"] = f"{name_of(row['from_team'])} → {name_of(row['to_team'])}, {name_of(row['stage'])}"
    return await page(
        asking,
        "handoffs.html",
        "/handoffs",
        panel=asking.panel(
            "handoffs",
            "Hand-offs",
            [
                Column("stage", "Into stage", "outside"),
                Column("from_team", "From", "outside"),
                Column("to_team", "To", "outside"),
                *counts,
            ],
            rows=by_stage,
            chart=shapes.bars(by_stage, "label", _OUTCOMES) if by_stage else None,
            about="By what came of each first. Median by the clock on the wall; in time counts the team's working hours.",
            empty="Nobody was handed from one team to another. Teams are named in the funnel file.",
        ),
        campaigns=asking.panel(
            "handoffs-by-campaign",
            "By first campaign",
            [Column("campaign", "Campaign", "outside", link="campaign"), *counts],
            rows=by_campaign,
        ),
        unanswered=asking.panel(
            "unanswered",
            "Waiting for a first touch for too long",
            [
                _PROSPECT,
                Column("team", "Team", "outside"),
                Column("stage", "Stage", "outside"),
                Column("late_by_seconds", "Late by", "duration"),
                Column("handed_at", "Handed over", "moment"),
                Column("campaign", "Campaign", "outside"),
                Column("account_id", "Account", "outside"),
            ],
            empty="Nobody waits for too long.",
        ),
    )


async def stalled(request: Request) -> Response:
    """Whom to call now: open visits in which nothing happened for longer than their stage allows."""
    asking = await begin(request)
    await asking.ask("stalled", "stalled-by-stage")
    groups = asking.rows("stalled-by-stage")
    rows = asking.rows("stalled")
    columns = [
        _PROSPECT,
        *([Column("contacts", "Reach at", "contacts")] if rows and "phones" in rows[0] else []),
        Column("stage", "Stage", "outside"),
        Column("team", "Team", "outside"),
        Column("rep", "Spoke last", "outside", link="rep"),
        Column("stalled_for_seconds", "Stalled for", "duration"),
        Column("amount_shown", "Amount", "amounts"),
        Column("account_id", "Account", "outside"),
        Column("last_activity_at", "Last active", "moment"),
        Column("last_event", "Last move by", "outside"),
        Column("escalated", "Escalated"),
    ]
    for row in rows:
        row["amount_shown"] = {row["currency"]: row["amount"]} if row["amount"] else None
        row["last_event"] = f"{row['last_channel']} {row['last_type']}"
        row["contacts"] = [*row.get("phones", []), *row.get("emails", [])][:4]
    return await page(
        asking,
        "stalled.html",
        "/stalled",
        stages=sorted({str(row["stage"]) for row in groups}),
        teams=sorted({str(row["team"]) for row in groups if row["team"]}),
        reps=sorted({str(row["rep"]) for row in groups if row["rep"]}),
        count=sum(row["stalled"] for row in groups),
        panel=asking.panel(
            "stalled",
            "To call now",
            columns,
            rows=rows,
            about="The largest amount first, then who has waited longest.",
            empty="Nobody is stalled with these filters.",
            most=100,
        ),
        summary=asking.panel(
            "stalled-by-stage",
            "Where they wait",
            [
                Column("stage", "Stage", "outside", link="stage"),
                Column("team", "Team", "outside", link="team"),
                Column("rep", "Spoke last", "outside", link="rep"),
                Column("stalled", "Stalled"),
                Column("amounts", "Amounts", "amounts"),
            ],
            empty="Nobody is stalled.",
        ),
    )


async def prospects(request: Request, *, notice: str = "") -> Response:
    """Where prospects stand, the most recently active first; and a way to find one."""
    asking = await begin(request)
    await asking.ask("prospects")
    return await page(
        asking,
        "prospects.html",
        "/prospects",
        may_name=bool(await asking.warehouse.columns("prospect_identifiers")),
        notice=notice,
        panel=asking.panel(
            "prospects",
            "Most recently active",
            [
                _PROSPECT,
                Column("status", "Status", "status", link="status"),
                Column("stage", "Stage", "outside", link="stage"),
                Column("visit", "Visit"),
                Column("last_activity_at", "Last active", "moment"),
                Column("stage_entered_at", "There since", "moment"),
                Column("stalled_since", "Stalled since", "moment"),
                Column("account_id", "Account", "outside"),
            ],
            most=100,
        ),
    )


async def search(request: Request) -> Response:
    """From an id or an identifier to a prospect's page. By POST: identifiers are personal data, and addresses are kept in many places."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _LARGEST_FORM:
            return render(
                request,
                "error.html",
                413,
                title="That is too long",
                text="An id or an identifier has at most 4,096 bytes.",
            )
    text = parse_qs(body.decode("utf-8", "replace")).get("for", [""])[0].strip()
    try:
        return RedirectResponse(f"/prospects/{UUID(text)}", 303)
    except ValueError:
        pass
    if not text:
        return RedirectResponse("/prospects", 303)
    found = await request.app.state.warehouse.ask(named(text))
    if isinstance(found, Problem):
        said = "Identifiers are not shown to this console's ClickHouse user, so they can't be looked for. Give a prospect's id."
        return await prospects(request, notice=said if found.kind == "denied" else found.text)
    ids = [str(row["prospect_id"]) for row in rows_of(found)]
    if len(ids) == 1:
        return RedirectResponse(f"/prospects/{ids[0]}", 303)
    return await prospects(
        request,
        notice=f"{len(ids)} prospects have that identifier: {', '.join(ids)}"
        if ids
        else "No prospect has that id or identifier.",
    )


async def prospect(request: Request) -> Response:
    """One prospect's story: every move, and why."""
    try:
        own = str(UUID(request.path_params["prospect"]))
    except ValueError:
        return render(
            request,
            "error.html",
            404,
            title="No such prospect",
            text="A prospect's id looks like 361f39e8-939b-521a-80b2-3eb307a091b3.",
        )
    asking = await begin(request, prospect=own)
    await asking.ask("journey", "standing", "identifiers", "prospect-now", "prospect-handoffs")
    steps, standing = asking.rows("journey"), asking.rows("standing")
    moved = asking.rows("prospect-now")
    if not steps and not standing and moved:
        return RedirectResponse(f"/prospects/{moved[0]['current_id']}", 303)
    for row in steps:
        row["why"] = asking.config.why(row)
    problem = asking.problem("journey") or asking.problem("standing")
    response = await page(
        asking,
        "prospect.html",
        "/prospects",
        prospect=own,
        standing=standing,
        visits=_visits(steps),
        identifiers=asking.rows("identifiers"),
        identifiers_problem=asking.problem("identifiers"),
        handoffs=asking.rows("prospect-handoffs"),
        panel=asking.panel(
            "journey", "Every move, and why", rows=steps, most=2_000, empty="Nothing moved such a prospect."
        ),
    )
    response.status_code = 200 if steps or standing or problem else 404
    return response


def _visits(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The steps of each visit, the newest visit first."""
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for step in steps:
        found.setdefault((step["funnel"], step["visit"]), []).append(step)
    return [
        {"funnel": funnel, "visit": visit, "steps": own}
        for (funnel, visit), own in sorted(found.items(), key=lambda item: item[1][0]["entered_at"], reverse=True)
    ]


async def health(request: Request) -> Response:
    """How the pipeline is."""
    asking = await begin(request)
    await asking.ask("standings", "writes", "dead-letters", "refreshes", "deliveries")
    moment = "moment"
    return await page(
        asking,
        "health.html",
        "/health",
        services=await asyncio.gather(*(_service(name, port) for name, port in asking.config.services.items())),
        standings=asking.panel(
            "standings",
            "Prospects by funnel",
            [
                Column("funnel", "Funnel", "outside"),
                *(Column(key, key.capitalize()) for key in ("prospects", "open", "won", "lost", "expired", "stalled")),
                Column("newest_activity", "Newest activity", moment),
            ],
        ),
        writes=asking.panel(
            "writes",
            "What the sink wrote last",
            [
                Column("funnel", "Funnel", "outside"),
                Column("moves", "Moves"),
                Column("newest_move", "Newest move", moment),
                Column("last_written", "Last written", moment),
            ],
        ),
        letters=asking.panel(
            "dead-letters",
            "Dead letters",
            [
                Column("reason", "Reason", "outside"),
                Column("stage", "Refused by", "outside"),
                *(Column(key, key.capitalize()) for key in ("letters", "waiting", "retried", "dropped")),
                Column("newest", "Newest", moment),
            ],
            about="`journey dead-letters list` shows them.",
            empty="No event was refused.",
        ),
        refreshes=asking.panel(
            "refreshes",
            "Aggregates",
            [
                Column("view", "View", "outside"),
                Column("status", "Status", "outside"),
                Column("last_success_time", "Computed last", moment),
                Column("last_success_duration_ms", "Took (ms)"),
                Column("has_failed", "Failed last time", "yes"),
            ],
        ),
        deliveries=asking.panel(
            "deliveries",
            "Alerts on their way",
            [
                Column("target", "Target", "outside"),
                Column("state", "State", "outside"),
                Column("alerts", "Alerts"),
                Column("newest", "Newest", moment),
            ],
            about="`journey alerts list` shows them.",
            empty="Nobody was told of anything yet.",
        ),
    )


async def _service(name: str, port: int) -> dict[str, Any]:
    """Whether a worker or sink on this machine is ready."""
    try:
        async with httpx.AsyncClient(timeout=1.0, trust_env=False) as client:
            answer = await client.get(f"http://127.0.0.1:{port}/readyz")
    except httpx.HTTPError:
        return {"name": name, "ready": False, "said": "does not answer"}
    return {"name": name, "ready": answer.is_success, "said": answer.text.strip()[:200]}
