"""The rules for handovers that come late are needed: without one of them the simulator ends otherwise than the oracle."""

from __future__ import annotations

import random

import pytest

from funnel.reception import Reception
from tests.faults.worker import taking_stale
from tests.generators import random_population
from tests.property.populated import difference

TRIES = 300


@pytest.mark.parametrize("than", ["reset", "handover"])
def test_populations_end_otherwise_where_stale_handovers_count(than: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is older than what its sender took back since, or than how he handed the event over since, counts: soon rows differ."""
    rng = random.Random(12)
    monkeypatch.setattr(Reception, "_handed", taking_stale(than))
    assert any(difference(random_population(rng), seed, crashes=8, stray=True) for seed in range(TRIES))
