"""Generated funnels, events and populations: small and full of borders for the fold and for identity, many and plausible for the pipeline.

All of it is drawn from a seeded `random.Random`: fast, and the same on every machine.
"""

from __future__ import annotations

from tests.generators.borders import Case, cases, random_case, strangers
from tests.generators.crowds import generate_population
from tests.generators.declared import random_declarations
from tests.generators.funnels import funnel_toml, random_funnel
from tests.generators.populations import PopulationCase, populations, random_population
from tests.generators.realistic import generate_events, write_ndjson
from tests.generators.shrinking import smallest
from tests.generators.sign_ins import with_sign_ins

__all__ = [
    "Case",
    "PopulationCase",
    "cases",
    "funnel_toml",
    "generate_events",
    "generate_population",
    "populations",
    "random_case",
    "random_declarations",
    "random_funnel",
    "random_population",
    "smallest",
    "strangers",
    "with_sign_ins",
    "write_ndjson",
]
