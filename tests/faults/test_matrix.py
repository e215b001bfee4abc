"""The fault matrix on Apache Kafka: whatever happens, ClickHouse ends with the oracle's rows, and every event is accounted for.

A process that was not there decides (`tests.faults.verifier`). What a failure prints has the seed.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.conftest import Measured
from tests.faults.matrix import MATRIX
from tests.faults.servers import Servers
from tests.faults.trial import Scenario, passed

pytestmark = [pytest.mark.kafka, pytest.mark.matrix]


@pytest.mark.parametrize("scenario", MATRIX, ids=lambda scenario: scenario.name)
async def test_nothing_is_lost_and_nothing_counted_twice(
    scenario: Scenario, servers: Servers, tmp_path: Path, measured: Measured
) -> None:
    """A fault under load; then everything is worked off within its bound, and the verifier finds nothing wrong."""
    measured.append(await passed(scenario, servers, tmp_path))
