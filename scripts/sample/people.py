"""A made-up person behind each lead: the data set has roles and companies, but no names, addresses or numbers.

Everything is reserved for fiction: `.example` domains (RFC 2606), 555-01xx numbers in the US, Ofcom's drama numbers in the UK.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from scripts.sample.tables import SEED, Lead

_FIRST = (  # noqa: SIM905  names read better so
    "Ada Alan Amir Ana Anil Beth Bruno Carla Chen Chloe Dana Daniel Elif Emma Erik Esther Farid Fiona Gita Grace Hana Hugo Ines Ivan Jamal Jane "
    "Joan Jonas Kaito Karen Keiko Laila Leo Lina Luis Maja Marco Maria Mei Milan Mina Nadia Nina Noah Olga Omar Owen Paula Priya Rafael Rania Rosa "
    "Ruth Sami Sara Sofia Tariq Tessa Tom Uma Vera Wen Yara Yusuf Zoe"
).split()
_LAST = (  # noqa: SIM905  names read better so
    "Abbott Adeyemi Ali Baker Becker Bell Brooks Byrne Castro Chan Clarke Cole Costa Cruz Dahl Davies Diaz Doyle Eriksen Evans Farah Fischer Flores "
    "Ford Garcia Gill Gray Haddad Hall Hansen Hayes Hughes Ito Jain James Kaur Kelly Khan Kim Klein Kovac Lane Lee Lopez Mahmood Marsh Mensah Meyer "
    "Moore Mori Nolan Novak Okafor Ortiz Park Patel Perez Quinn Rao Reid Rossi Santos Shah Silva Singh Stone Tan Usman Vega Walsh Ward West Wood Young"
).split()
_COMPANY_START = (  # noqa: SIM905  names read better so
    "alder amber argo aspen atlas birch blue bright cedar clear coral crown delta dover ember falcon fern harbor haven hazel iron juniper keystone "
    "lake larch linden lumen maple marlow mercer north oak onyx orchard pine prime quarry raven ridge river rowan sable silver slate spruce sterling "
    "stone summit swift tidal vale willow"
).split()
_COMPANY_END = {
    "logistics": ("freight", "haulage", "cargo", "couriers", "warehousing", "transit"),
    "manufacturing": ("works", "tooling", "castings", "plastics", "machines", "fasteners"),
    "professional_services": ("advisors", "partners", "consulting", "legal", "audit", "surveyors"),
    "healthcare_non_clinical": ("care", "health", "medsupply", "wellbeing", "labs", "homes"),
}
_AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36 Edg/120.0.0.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.2 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.2 Mobile/15E148 Safari/604.1",
)
_AGENT_WEIGHTS = (50, 20, 16, 6, 8)
_US_AREAS = (212, 303, 312, 404, 415, 512, 617, 713, 919, 971)
_UK_AREAS = ("20 7946 0", "113 496 0", "121 496 0", "131 496 0", "141 496 0", "161 496 0", "7700 900")


@dataclass(frozen=True)
class Person:
    """Who acts in one lead's story. The email is on every event: it is the strongest identifier, so the story is one prospect's."""

    email: str
    phone: str
    """International, as a call log writes it."""
    anonymous_id: str
    """The cookie of the browser that the web events come from."""
    user_agent: str
    utc_offset: int
    """Hours that the person's office is ahead of UTC."""


def meet_people(leads: list[Lead]) -> dict[str, Person]:
    """One person a lead, no two with the same email or phone.

    The data set lets one contact have several leads (104 have). Each lead gets a person of its own, for a lead is what the data set calls won or lost.
    """
    people: dict[str, Person] = {}
    taken: set[str] = set()
    for lead in leads:
        rng = random.Random(f"{SEED}:person:{lead.id}")
        email = _fresh(taken, lambda lead=lead, rng=rng: _email(lead, rng))
        phone = _fresh(taken, lambda lead=lead, rng=rng: _phone(lead, rng))
        cookie = f"v-{rng.randrange(16**7):07x}"
        agent = rng.choices(_AGENTS, _AGENT_WEIGHTS)[0]
        people[lead.id] = Person(email, phone, cookie, agent, 0 if lead.region == "UK" else -6)
    return people


def domain(account_id: str, industry: str) -> str:
    """The web domain of an account: always the same, and no other account's."""
    number = int(account_id.rpartition("_")[2])
    ends = _COMPANY_END[industry]
    start, end = _COMPANY_START[number % len(_COMPANY_START)], ends[number // len(_COMPANY_START) % len(ends)]
    again = number // (len(_COMPANY_START) * len(ends))
    return f"{start}{end}{again or ''}.example"


def _email(lead: Lead, rng: random.Random) -> str:
    first, last = rng.choice(_FIRST).lower(), rng.choice(_LAST).lower()
    if lead.mailbox == "corporate":
        return f"{first[0]}{last}@{domain(lead.account_id, lead.industry)}"
    return f"{first}.{last}{rng.randrange(60, 100)}@{rng.choice(('mail', 'post', 'inbox'))}.example"


def _phone(lead: Lead, rng: random.Random) -> str:
    if lead.region == "US":
        return f"+1 {rng.choice(_US_AREAS)}-555-01{rng.randrange(100):02d}"
    return f"+44 {rng.choice(_UK_AREAS)}{rng.randrange(1000):03d}"


def _fresh(taken: set[str], draw: object) -> str:
    assert callable(draw)
    while (value := str(draw())) in taken:
        pass
    taken.add(value)
    return value
