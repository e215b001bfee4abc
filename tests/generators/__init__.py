"""Generated funnels and events: small and full of borders for the fold, many and plausible for the pipeline.

All of it is drawn from a seeded `random.Random`: fast, and the same on every machine.
"""

from __future__ import annotations

from tests.generators.borders import Case, cases, random_case, smallest, strangers
from tests.generators.funnels import funnel_toml, random_funnel
from tests.generators.realistic import generate_events, write_ndjson

__all__ = [
    "Case",
    "cases",
    "funnel_toml",
    "generate_events",
    "random_case",
    "random_funnel",
    "smallest",
    "strangers",
    "write_ndjson",
]
