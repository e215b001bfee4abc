"""The pages on funnels and marketing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from console import shapes
from console.asking import Asking, begin
from console.panels import Column, Row
from console.questions.base import conversions
from console.questions.campaigns import credited
from console.rendering import page
from console.text import name_of, ratio

_NO_FACTS = "There are no facts yet. `journey produce FILE` sends events, `journey demo --keep` shows the sample."


def _stage_names(rows: list[Row] | list[dict[str, Any]]) -> list[str]:
    return [str(row["stage"]) for row in rows]


def _with_option(asking: Asking, name: str, value: str) -> Asking:
    options = {key: kept for key, kept in asking.filters.options.items() if key != name}
    if value:
        options[name] = value
    return replace(asking, filters=replace(asking.filters, options=options))


async def funnel(request: Request) -> Response:
    """How many visits entered each stage; those that wait are shown apart, as they are no drop-off."""
    asking = await begin(request)
    await asking.ask("funnel", "entries-by-week", "channels")
    stages = asking.rows("funnel")
    names = _stage_names(stages)
    most = max((row["entered"] for row in stages), default=0)
    for row in stages:
        row["moved_share"] = ratio(row["moved_on"], row["entered"])
        row["won_share"] = ratio(row["won"], row["entered"] - row["waiting"])
        row["width"] = 0 if not most else 100 * row["entered"] / most
    per_channel = shapes.pivot(asking.rows("channels"), "channel", "stage", ("entered", "won", "lost", "waiting"))
    first, last = (names[0], names[-1]) if names else ("", "")
    for row in per_channel:
        row["won"], row["entered"] = row.get(f"won:{last}", 0), row.get(f"entered:{first}", 0)
        row["lost"], row["waiting"] = row.get(f"lost:{first}", 0), row.get(f"waiting:{first}", 0)
        row["won_share"] = ratio(row.get(f"won:{first}", 0), row["entered"] - row["waiting"])
    per_channel.sort(key=lambda row: (-row["won"], -row["entered"], row["channel"]))
    schema = await asking.warehouse.schema(("conversion_by_group",))
    columns = [
        Column("stage", "Stage", "outside"),
        *([Column("reached", "Reached")] if stages and "reached" in stages[0] else []),
        Column("entered", "Entered"),
        Column("moved_on", "Moved on"),
        Column("moved_share", "of entered", "percent"),
        Column("won", "Won"),
        Column("lost", "Lost"),
        Column("expired", "Expired"),
        Column("waiting", "Waiting"),
        Column("won_share", "Won, of decided", "percent"),
        Column("mean_seconds_to_move_on", "Mean time to move on", "duration"),
        Column("revenue", "Revenue", "amounts"),
    ]
    channel_columns = [
        Column("channel", "First channel", "outside", link="channel"),
        *(Column(f"entered:{stage}", f"Entered {name_of(stage)}") for stage in names),
        Column("waiting", "Waiting"),
        Column("won_share", f"Won, of decided in {name_of(first)}", "percent"),
    ]
    return await page(
        asking,
        "funnel.html",
        "/",
        stages=stages,
        panel=asking.panel(
            "funnel",
            "Funnel",
            columns,
            rows=stages,
            about="Visits by the day on which they first entered a stage. Those that wait are still open: no drop-off.",
            empty=_NO_FACTS,
        ),
        trend=asking.panel(
            "entries-by-week",
            "First entries by week",
            [Column("week", "Week of", "day"), Column("stage", "Stage", "outside"), Column("entered", "Entered")],
            chart=shapes.lines(asking.rows("entries-by-week"), "week", names, "stage", "entered"),
            most=400,
        ),
        channels=asking.panel(
            "channels",
            "By first channel group" if conversions(schema).channel == "first_channel_group" else "By first channel",
            channel_columns,
            rows=per_channel,
            about="The channel of the event that opened the visit.",
        ),
    )


async def flow(request: Request) -> Response:
    """Where visits moved to, back moves and losses among it."""
    asking = await begin(request)
    await asking.ask("funnel", "flow", "open-visits", "lost-reasons")
    names = _stage_names(asking.rows("funnel"))
    moves = asking.rows("flow")
    backs = sum(row["moves"] for row in moves if row["kind"] == "back")
    lost = sum(row["moves"] for row in moves if row["kind"] == "lost")
    return await page(
        asking,
        "flow.html",
        "/flow",
        panel=asking.panel(
            "flow",
            "Where visits go",
            [
                Column("from_stage", "From", "stage"),
                Column("to_stage", "To", "stage"),
                Column("kind", "Kind", "outside"),
                Column("visits", "Visits"),
                Column("moves", "Moves"),
            ],
            chart=shapes.sankey(moves, asking.rows("open-visits"), names) if moves else None,
            about=f"All moves of this funnel: {backs:,} back to an earlier stage, {lost:,} lost.",
            empty=_NO_FACTS,
        ),
        reasons=asking.panel(
            "lost-reasons",
            "Why visits were lost",
            [
                Column("stage", "Lost in", "outside"),
                Column("reason", "Reason", "outside"),
                Column("visits", "Visits", "number"),
            ],
            chart=shapes.bars(
                [
                    row | {"label": f"{name_of(row['reason'])} · {name_of(row['stage'])}"}
                    for row in asking.rows("lost-reasons")
                ],
                "label",
                {"visits": "Lost visits"},
                most=10,
            ),
            about="Narrowed by channel and campaign; the picture above is of all visits.",
            empty="No lost visits here.",
        ),
    )


async def cohorts(request: Request) -> Response:
    """Of the visits opened in a week, the share that reached a stage by day n."""
    asking = await begin(request)
    await asking.ask("funnel")
    names = _stage_names(asking.rows("funnel"))
    stage = asking.filters.options.get("stage", "")
    if stage not in names:
        stage = names[-1] if names else ""
    asking = _with_option(asking, "stage", stage)
    await asking.ask("cohorts")
    rows = asking.rows("cohorts")
    return await page(
        asking,
        "cohorts.html",
        "/cohorts",
        names=names,
        stage=stage,
        heat=shapes.heat_map(rows, "week", "day", "visits", "reached", thin_out=True),
        panel=asking.panel(
            "cohorts",
            f"Reached {name_of(stage)} by day",
            about="Visits by the week in which they were opened. Where the youngest visit of a week is not that old yet, the cell is open: that is no drop-off.",
            empty="No visits were opened in these weeks.",
            most=100_000,
        ),
    )


async def velocity(request: Request) -> Response:
    """How long visits are in a stage before they move on."""
    asking = await begin(request)
    await asking.ask("velocity", "velocity-by-week")
    rows = asking.rows("velocity")
    names = _stage_names(rows)
    columns = [
        Column("stage", "Stage", "outside"),
        Column("moved_on", "Moved on"),
        Column("median_seconds", "Median", "duration"),
        Column("p75_seconds", "Three quarters by", "duration"),
        Column("p90_seconds", "Nine tenths by", "duration"),
    ]
    return await page(
        asking,
        "velocity.html",
        "/velocity",
        panel=asking.panel(
            "velocity",
            "Time in stage",
            columns,
            chart=shapes.ranges(rows) if rows else None,
            about="Of the visits that moved on: from first entry to the first further stage. From the median to the slowest tenth.",
            empty="Nobody has moved on yet.",
        ),
        trend=asking.panel(
            "velocity-by-week",
            "Median by week of entry",
            [Column("week", "Week of", "day"), *columns, Column("is_mature", "Complete", "yes")],
            chart=shapes.lines(asking.rows("velocity-by-week"), "week", names, "stage", "median_seconds", "seconds"),
            about="A ring: some visits of that week have not moved on yet, so its median may rise.",
            most=400,
        ),
    )


async def campaigns(request: Request) -> Response:
    """What campaigns brought and cost."""
    asking = await begin(request)
    await asking.ask("campaigns")
    rows = asking.rows("campaigns")
    by_reach = sorted(rows, key=lambda row: (-row["reach"], row["campaign"]))
    return await page(
        asking,
        "campaigns.html",
        "/campaigns",
        panel=asking.panel(
            "campaigns",
            "Campaigns",
            [
                Column("campaign", "Campaign", "outside", link="campaign"),
                Column("currency", "Currency", "outside"),
                Column("reach", "Reach"),
                Column("leads", "Leads"),
                Column("won", "Won"),
                Column("lost", "Lost"),
                Column("waiting", "Waiting"),
                Column("revenue", "Revenue", "money"),
                Column("spend", "Spend", "money"),
                Column("cost_per_lead", "Cost per lead", "money"),
                Column("cac", "CAC", "money"),
                Column("roas", "ROAS", "number"),
            ],
            chart=shapes.bars(by_reach, "campaign", {"won": "Won", "lost": "Lost", "waiting": "Waiting"})
            if rows
            else None,
            about="By the campaign of the event that opened the visit. Costs need the table spend.",
        ),
    )


async def attribution(request: Request) -> Response:
    """To whom models give the credit for what was won."""
    asking = await begin(request)
    await asking.ask("attribution-currencies")
    currencies = [str(row["currency"]) for row in asking.rows("attribution-currencies")]
    measure = "conversions" if asking.filters.options.get("measure") == "conversions" else "value"
    currency = asking.filters.options.get("currency", "")
    if measure == "value" and currency not in currencies and currencies:
        asking = _with_option(asking, "currency", next((one for one in currencies if one), "") or "(none)")
    elif measure == "conversions":
        asking = _with_option(asking, "currency", "")
    await asking.ask("attribution")
    by = credited(asking.filters)
    models, rows = shapes.credits_of(asking.rows("attribution"), measure)
    kind = "money" if measure == "value" else "number"
    totals = {"credited": "Total"} | {model: sum(row[model] for row in rows) for model in models}
    return await page(
        asking,
        "attribution.html",
        "/attribution",
        measure=measure,
        by=by,
        currencies=[one for one in currencies if one],
        panel=asking.panel(
            "attribution",
            f"{'Value' if measure == 'value' else 'Won visits'} by {'channel' if by == 'channel' else 'campaign'}",
            [
                Column("credited", "Channel" if by == "channel" else "Campaign", "outside", link=by),
                *(Column(model, model.replace("_", " ").capitalize(), kind) for model in models),
            ],
            rows=[*rows, totals] if rows else [],
            chart=shapes.bars(
                rows, "credited", {model: model.replace("_", " ") for model in models}, stacked=False, most=8
            )
            if rows
            else None,
            about="Each model divides the same wins; what no touch explains is (unattributed).",
            empty="Nothing was won with these filters.",
            most=200,
        ),
    )
