"""The data set as one bundle of rows per lead."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from typing import Any

RECIPE = "b2b_saas_procurement_v1"
SEED = 7
LEADS = 1_000
PACKAGE_VERSION = "1.0.0"


@dataclass(frozen=True)
class Row:
    """A row that happened on a day: a touch, a session or a sales activity."""

    id: str
    day: date
    kind: str
    """touch_type, session_type or activity_type."""
    detail: str = ""
    """A touch's direction, an activity's outcome."""
    rep: str = ""
    page_views: int = 0
    pricing_views: int = 0
    demo_views: int = 0
    seconds: int = 0


@dataclass(frozen=True)
class Opportunity:
    """A deal: when it was opened, how far it came, and how it ended if it did."""

    id: str
    created: date
    stage: str
    amount: int
    """Whole dollars a year."""
    outcome: str
    """closed_won, closed_lost, or '' while it is open."""
    closed: date | None
    plan: str
    """The plan subscribed to; '' unless won."""


@dataclass(frozen=True)
class Lead:
    """A lead with everything that the tables hold about it, rows in their tables' order (which is their order in time)."""

    id: str
    account_id: str
    region: str
    """US or UK."""
    industry: str
    role: str
    mailbox: str
    """corporate, personal or unknown."""
    created: date
    lead_source: str
    rep: str
    stage: str
    opportunity: Opportunity | None
    touches: tuple[Row, ...]
    sessions: tuple[Row, ...]
    activities: tuple[Row, ...]


def load_leads() -> list[Lead]:
    """Generate the data set (about 2 s) and group it by lead.

    Raises:
        RuntimeError: another version of leadforge is installed, which would give other data.
    """
    installed = version("leadforge")
    if installed != PACKAGE_VERSION:
        raise RuntimeError(
            f"leadforge {installed} is installed; the sample is made from {PACKAGE_VERSION}: pip install leadforge=={PACKAGE_VERSION}"
        )
    from leadforge.api.generator import Generator  # only the builder needs it, and it brings pandas

    bundle = Generator.from_recipe(RECIPE, seed=SEED, n_leads=LEADS, exposure_mode="research_instructor").generate()
    population, result = bundle.population, bundle.simulation_result
    if population is None or result is None:
        raise RuntimeError("leadforge generated no population or no simulation")
    accounts = {account.account_id: account for account in population.accounts}
    contacts = {contact.contact_id: contact for contact in population.contacts}
    customers = {customer.opportunity_id: customer.customer_id for customer in result.customers}
    plans = {subscription.customer_id: subscription.plan_name for subscription in result.subscriptions}
    opportunities = {
        row.lead_id: _opportunity(row, plans.get(customers.get(row.opportunity_id, ""), ""))
        for row in result.opportunities
    }
    touches = _by_lead(
        result.touches,
        lambda row: Row(row.touch_id, date.fromisoformat(row.touch_timestamp), row.touch_type, row.touch_direction),
    )
    sessions = _by_lead(
        result.sessions,
        lambda row: Row(
            row.session_id,
            date.fromisoformat(row.session_timestamp),
            row.session_type,
            page_views=row.page_views,
            pricing_views=row.pricing_page_views,
            demo_views=row.demo_page_views,
            seconds=row.session_duration_seconds,
        ),
    )
    activities = _by_lead(
        result.sales_activities,
        lambda row: Row(
            row.activity_id,
            date.fromisoformat(row.activity_timestamp),
            row.activity_type,
            row.activity_outcome,
            row.rep_id,
        ),
    )
    return [
        Lead(
            id=lead.lead_id,
            account_id=lead.account_id,
            region=accounts[lead.account_id].region,
            industry=accounts[lead.account_id].industry,
            role=contacts[lead.contact_id].role_function,
            mailbox=contacts[lead.contact_id].email_domain_type,
            created=date.fromisoformat(lead.lead_created_at),
            lead_source=lead.lead_source,
            rep=lead.owner_rep_id,
            stage=lead.current_stage,
            opportunity=opportunities.get(lead.lead_id),
            touches=touches.get(lead.lead_id, ()),
            sessions=sessions.get(lead.lead_id, ()),
            activities=activities.get(lead.lead_id, ()),
        )
        for lead in result.leads
    ]


def _opportunity(row: Any, plan: str) -> Opportunity:
    closed = date.fromisoformat(row.closed_at) if row.closed_at else None
    return Opportunity(
        row.opportunity_id,
        date.fromisoformat(row.created_at),
        row.stage,
        row.estimated_acv,
        row.close_outcome or "",
        closed,
        plan,
    )


def _by_lead(rows: Iterable[Any], convert: Any) -> dict[str, tuple[Row, ...]]:
    grouped: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        grouped[row.lead_id].append(convert(row))
    return {lead_id: tuple(of_lead) for lead_id, of_lead in grouped.items()}
