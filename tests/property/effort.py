"""How hard property tests try: enough for every run, or all night with `JOURNEY_TEST_EFFORT=100`."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, settings

EFFORT = float(os.environ.get("JOURNEY_TEST_EFFORT", "1"))
"""Multiplies the number of examples."""


def tries(examples: int) -> Callable[[Any], Any]:
    """Hypothesis settings for so many examples at the usual effort; without a deadline, as machines are shared."""
    return settings(
        max_examples=max(1, int(examples * EFFORT)),
        deadline=None,
        # Cases are drawn by seeds, which can't be shrunk; `tests.generators.smallest` does that.
        phases=(Phase.explicit, Phase.reuse, Phase.generate),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
