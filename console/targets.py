"""The page on targets."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from console import shapes
from console.asking import begin
from console.panels import Column
from console.rendering import page
from console.text import measure, name_of

_MEASURES = ("target", "actual", "expected_by_now")
_WHAT = {
    "entered": "Visits that entered {stage}",
    "won": "Visits won",
    "revenue": "Revenue",
    "conversion_rate": "Won, of decided in {stage}",
}


async def targets(request: Request) -> Response:
    """How far goals are met, and whether they will be at this pace."""
    asking = await begin(request)
    await asking.ask("targets")
    # One question for both tables: the view works out all periods, whichever are wanted.
    by_name = [list(rows) for _, rows in groupby(_told(asking.rows("targets")), key=lambda row: row["name"])]
    newest = [rows[0] for rows in by_name]
    earlier = [row for rows in by_name for row in rows[1:]]
    about = [Column("name", "Name", "outside"), Column("what", "Of what", "outside")]
    numbers = [
        Column("actual_shown", "Actual", "measure"),
        Column("target_shown", "Target", "measure"),
        Column("attainment", "Attained", "percent"),
    ]
    period = [
        Column("starts", "From", "day"),
        Column("ends", "To", "day"),
        Column("campaign", "Campaign", "outside"),
    ]
    narrowed = bool(asking.filters.since or asking.filters.until)
    return await page(
        asking,
        "targets.html",
        "/targets",
        shows_example=not newest and not narrowed and bool(asking.filters.funnel) and not asking.problem("targets"),
        panel=asking.panel(
            "targets",
            "Targets",
            [
                *about,
                *numbers,
                Column("expected_by_now_shown", "Expected by now", "measure"),
                Column("pace", "Pace", "percent"),
                Column("on_track", "On track", "yes"),
                *period,
            ],
            rows=newest,
            chart=shapes.bullets(newest) if newest else None,
            about="The newest period of each. Expected by now is the target's part for the days that have begun; a pace of 100% is on track.",
            empty="No period of a target has a day in this time."
            if narrowed
            else "Nothing is to be reached in this funnel, as far as the console knows: no targets were loaded for it.",
        ),
        earlier=asking.panel(
            "targets",
            "Earlier periods",
            [*about, *numbers, *period],
            rows=sorted(earlier, key=lambda row: row["starts"], reverse=True),
        ),
    )


def _told(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """With what each is about, and its numbers in their unit."""
    for row in rows:
        row["what"] = _WHAT.get(row["metric"], row["metric"]).replace("{stage}", name_of(row["stage"]))
        row["on_track"] = None if row["pace"] is None else row["pace"] >= 1
        for key in _MEASURES:
            row[f"{key}_shown"] = measure(row[key], row["metric"], row["currency"])
    return rows
