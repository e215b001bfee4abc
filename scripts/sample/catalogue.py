"""What the made-up company has: pages, campaigns, mails; and how the tables' words read in the words of the event contract."""

from __future__ import annotations

import random

from scripts.sample.tables import Lead, Opportunity, Row

SITE = "https://www.veridian.example"
ARTICLES = (
    "/blog/three-way-matching",
    "/blog/close-the-month-faster",
    "/blog/maverick-spend",
    "/blog/invoice-fraud",
    "/blog/erp-checklist",
)
PAGES = (
    "/",
    "/product",
    "/product/approvals",
    "/product/invoices",
    "/customers",
    "/integrations",
    "/security",
    "/about",
    *ARTICLES,
)
PRICING_PAGES = ("/pricing", "/pricing", "/pricing/enterprise")
DEMO_PAGES = ("/demo/tour", "/demo/approvals")
ASSETS = ("ap-automation-guide", "procurement-benchmark-2024", "roi-calculator", "rfp-template")
WEBINARS = ("touchless-invoices", "audit-ready-spend")

RESPONSE = {
    "email": (42, 20, 7),
    "linkedin_message": (55, 12, 10),
    "content_download": (45, 45, 3),
    "webinar": (40, 35, 3),
}
"""By touch_type of an outbound touch: how many in a hundred open it, and of those how many click and reply."""

REP_MAIL = {
    "connected": (100, 10, 100),
    "meeting_set": (100, 100, 30),
    "demo_completed": (100, 40, 10),
    "no_answer": (15, 0, 0),
    "left_voicemail": (30, 0, 0),
}
"""By activity_outcome of a rep's mail, likewise."""

CALL_TYPE = {
    (False, "connected"): "completed",
    (False, "meeting_set"): "completed",
    (False, "demo_completed"): "completed",
    (False, "no_answer"): "no_answer",
    (False, "left_voicemail"): "voicemail",
    (True, "connected"): "completed",
    (True, "meeting_set"): "scheduled",
    (True, "demo_completed"): "completed",
    (True, "no_answer"): "cancelled",
    (True, "left_voicemail"): "cancelled",
}
"""By (meeting or demo rather than call, activity_outcome): the type of the call event."""

REFERRER = {"google": "https://www.google.com/", "linkedin": "https://www.linkedin.com/"}

_INBOUND = {
    "google-brand": ("google", "cpc", 24),
    "google-ap-automation": ("google", "cpc", 22),
    "linkedin-cfo-series": ("linkedin", "paid_social", 18),
    "q1-benchmark-report": ("newsletter", "email", 16),
    "organic": ("google", "organic", 20),
}
_PARTNERS = ("ledgerbridge", "northstack", "erpworks")
_SEQUENCES = {
    "vp_finance": "seq-finance-leaders",
    "ap_manager": "seq-ap-teams",
    "it_director": "seq-it-leaders",
    "procurement_manager": "seq-procurement",
}
_LANDING = {
    "q1-benchmark-report": "/resources/procurement-benchmark-2024",
    "linkedin-cfo-series": "/blog/close-the-month-faster",
}
_REASONS = ("no budget", "chose a competitor", "no decision", "timing", "no fit")


def campaign_of(lead: Lead, rng: random.Random) -> str:
    """The campaign that brought the lead, of its source; the tables have none."""
    if lead.lead_source == "inbound_marketing":
        return rng.choices(list(_INBOUND), [weight for *_, weight in _INBOUND.values()])[0]
    if lead.lead_source == "partner_referral":
        return f"partner-{rng.choice(_PARTNERS)}"
    return _SEQUENCES[lead.role]


def utm_of(campaign: str) -> tuple[str, str]:
    """utm_source and utm_medium of a campaign's links."""
    if campaign in _INBOUND:
        return _INBOUND[campaign][:2]
    return ("partner", "referral") if campaign.startswith("partner-") else ("outreach", "email")


def landing_page(campaign: str) -> str:
    """Where the campaign's ad leads."""
    return _LANDING.get(campaign, "/product")


def pages_of(session: Row, rng: random.Random) -> list[str]:
    """The pages of a session: as many views of pricing and of the demo as the table says, never more; the rest of other kinds, a page at most once."""
    special = [rng.choice(PRICING_PAGES) for _ in range(session.pricing_views)] + [
        rng.choice(DEMO_PAGES) for _ in range(session.demo_views)
    ]
    pages = special[: session.page_views]
    pages += dict.fromkeys(rng.choice(PAGES) for _ in range(session.page_views - len(pages)))
    rng.shuffle(pages)
    return pages


def steps_of(deal: Opportunity) -> tuple[str, ...]:
    """The outcomes of the conversations that brought a deal as far as it came; of a lost deal the tables only tell how long it lived."""
    if deal.stage == "closed_lost" and deal.closed is not None:
        days = (deal.closed - deal.created).days
        return ("demo", "proposal", "negotiation")[: (days > 10) + (days > 25) + (days > 40)]
    reached = ("sql", "demo_scheduled", "demo_completed", "proposal_sent", "negotiation", "closed_won").index(
        deal.stage
    )
    return ("demo", "proposal", "negotiation")[: max(0, min(reached - 1, 3))]


def lost_reason(lead: Lead, rng: random.Random) -> str:
    """Why the deal was lost; drawn, for the tables don't say: money for those who hold it, fit for those who must live with it."""
    money = lead.role in ("vp_finance", "procurement_manager")
    return rng.choices(_REASONS, (30, 25, 20, 15, 10) if money else (12, 28, 20, 15, 25))[0]
