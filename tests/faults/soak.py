"""The fault matrix for hours: `make soak`. Every scenario with other seeds, more events, and more kills.

JOURNEY_SOAK_SEEDS says which seeds: `7`, `1-100` or `3,5,8`; 1-5 unless it is set. A failure names scenario and seed; the same seed makes the
same events and choices again.
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.faults import steps
from tests.faults.conftest import Measured
from tests.faults.matrix import BY_NAME
from tests.faults.servers import Servers
from tests.faults.trial import passed

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(1_800)]
ROUNDS = 60
"""Kills in a soak's `killed`."""


def seeds(text: str) -> list[int]:
    """The numbers in `1-3,8`."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


@pytest.mark.parametrize("seed", seeds(os.environ.get("JOURNEY_SOAK_SEEDS", "1-5")))
@pytest.mark.parametrize("name", BY_NAME)
async def test_soak(name: str, seed: int, servers: Servers, tmp_path: Path, measured: Measured) -> None:
    """A scenario of the matrix, larger; the verifier finds nothing wrong."""
    scenario = replace(BY_NAME[name], seed=seed, events=2 * BY_NAME[name].events)
    if name == "killed":
        scenario = replace(scenario, steps=partial(steps.killed, rounds=ROUNDS), seconds=3.0 * ROUNDS)
    measured.append(await passed(scenario, servers, tmp_path))
