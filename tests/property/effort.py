"""How hard property tests try.

Enough to catch a mistake in what somebody works on, in the minutes that everybody waits for `make test`; four times as hard with `make properties`,
before a release; all night with `JOURNEY_TEST_EFFORT=100`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings

EFFORT = float(os.environ.get("JOURNEY_TEST_EFFORT", "1"))
"""Multiplies the number of examples."""
FIRST = int(os.environ.get("JOURNEY_TEST_FIRST", "0"))
"""Number of the first population of each trait: another one each night has others."""
TIMEOUT = 300 * max(1, EFFORT)
"""Seconds that a test may take, as in pyproject.toml."""


def tries(examples: int) -> Callable[[Any], Any]:
    """Let a test try so many examples at the usual effort; without a deadline for each, as machines are shared."""
    limits = settings(
        max_examples=max(1, int(examples * EFFORT)),
        deadline=None,
        # Cases are drawn by seeds, which can't be shrunk; `tests.generators.smallest` does that.
        phases=(Phase.explicit, Phase.reuse, Phase.generate),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )

    def decorate(test: Any) -> Any:
        return pytest.mark.timeout(TIMEOUT)(limits(test))

    return decorate
