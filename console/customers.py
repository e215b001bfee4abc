"""The pages on companies, and on customers who come back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from console import shapes
from console.asking import Asking, begin
from console.panels import Column
from console.questions.customers import ACCOUNTS_LISTED
from console.rendering import page
from console.text import month, name_of

_ROWS_SHOWN = 100
_STANDS = {"furthest": "as the furthest of its people does", "majority": "as most of its people do"}
_STATUSES = {"open": "Open", "won": "Won", "lost": "Lost", "expired": "Expired", "": "Nobody left"}


async def accounts(request: Request) -> Response:
    """Where companies stand, and of how many people: the largest buying groups first."""
    asking = await begin(request)
    await asking.ask("accounts", "accounts-by-stage")
    by_stage = asking.rows("accounts-by-stage")
    for row in by_stage:
        # Who is lost or expired is in no stage; who is won, in the last one.
        row["label"] = name_of(row["stage"]) if row["stage"] else _STATUSES.get(row["status"], row["status"])
        row |= {f"accounts:{status}": row["accounts"] if row["status"] == status else 0 for status in _STATUSES}
    statuses = {status: name for status, name in _STATUSES.items() if any(row["status"] == status for row in by_stage)}
    stands = _STANDS.get(by_stage[0]["policy"], "") if by_stage else ""
    return await page(
        asking,
        "accounts.html",
        "/accounts",
        statuses=statuses,
        count=sum(row["accounts"] for row in by_stage),
        people=sum(row["people"] for row in by_stage),
        by_status=Counter({status: sum(row[f"accounts:{status}"] for row in by_stage) for status in _STATUSES}),
        summary=asking.panel(
            "accounts-by-stage",
            "Accounts by stage",
            [
                Column("status", "Status", "status"),
                Column("stage", "Stage", "outside", link="stage"),
                Column("accounts", "Accounts"),
                Column("people", "People"),
                Column("revenue", "Revenue", "amounts"),
            ],
            rows=by_stage,
            chart=shapes.bars(
                by_stage, "label", {f"accounts:{status}": name for status, name in statuses.items()}, most=40
            )
            if by_stage
            else None,
            about=f"Each account stands {stands}: `policy` in the funnel file." if stands else "",
            empty="No event of this funnel named an account (`account_id`).",
        ),
        panel=asking.panel(
            "accounts",
            "Largest buying groups",
            [
                Column("account_id", "Account", "outside"),
                Column("segment", "Segment", "outside", link="segment"),
                Column("status", "Status", "status"),
                Column("stage", "Stage", "outside", link="stage"),
                Column("buying_group", "Buying group"),
                *(Column(status, _STATUSES[status]) for status in ("open", "won", "lost")),
                Column("revenue", "Revenue", "amounts"),
                Column("last_activity_at", "Last active", "moment"),
            ],
            about="A buying group is everybody of an account who is in this funnel. Revenue stays with the account when people leave it.",
            most=_ROWS_SHOWN,
            note=_what_is_left_out(asking, by_stage),
        ),
    )


def _what_is_left_out(asking: Asking, by_stage: Sequence[dict[str, Any]]) -> str:
    """How many accounts there are, where the table has fewer; nothing where it has all."""
    chosen = asking.filters.parameters
    total = sum(
        row["accounts"]
        for row in by_stage
        if all(row[name] == chosen[name] for name in ("status", "stage") if name in chosen)
    )
    if total <= _ROWS_SHOWN:
        return ""
    said = f"The {_ROWS_SHOWN} largest buying groups of {total:,} accounts."
    if total <= ACCOUNTS_LISTED:
        return f"{said} The CSV has all."
    return f"{said} The CSV has the {ACCOUNTS_LISTED:,} largest; narrow by segment, status or stage to see others."


async def retention(request: Request) -> Response:
    """Of those first won in a month, how many paid again in each later one, and how much."""
    asking = await begin(request)
    await asking.ask("retention", "repeat-revenue")
    paid = asking.rows("repeat-revenue")
    months_with = Counter(currency for row in paid for currency in row["first_revenue"] | row["repeat_revenue"])
    currencies = sorted(months_with, key=lambda one: (-months_with[one], one))
    currency = asking.filters.options.get("currency", "")
    if currency not in currencies:
        currency = currencies[0] if currencies else ""
    bars = [
        {"label": month(row["month"])} | {key: row[key].get(currency, 0) for key in ("first_revenue", "repeat_revenue")}
        for row in paid
    ]
    return await page(
        asking,
        "retention.html",
        "/retention",
        heat=shapes.heat_map(asking.rows("retention"), "month", "months_after", "customers", "repeated"),
        currencies=currencies,
        currency=currency,
        panel=asking.panel(
            "retention",
            "Paid again, by month of the first win",
            about="Month 0 is that of the first win, and counts who paid a second time in it. A month that is not over yet is open: that is no drop-off.",
            empty="Nobody was won yet in these months.",
            most=100_000,
        ),
        revenue=asking.panel(
            "repeat-revenue",
            "Revenue by month of the first win",
            [
                Column("month", "Month", "month"),
                Column("customers", "Customers"),
                Column("months_over", "Later months that are over"),
                Column("first_revenue", "In the first month", "amounts"),
                Column("repeat_revenue", "In later months", "amounts"),
            ],
            chart=shapes.bars(
                bars, "label", {"first_revenue": "In the first month", "repeat_revenue": "In later months"}, most=24
            )
            if currencies
            else None,
            about=f"{'In ' + name_of(currency) + '. ' if currency else ''}What these customers paid. Younger ones have had less time to come back.",
            empty="Nobody was won yet in these months.",
        ),
    )
