"""The fault matrix on Apache Kafka: whatever happens, ClickHouse ends with the oracle's rows, and every event is accounted for.

A process that was not there decides (`tests.faults.verifier`). What a failure prints has the seed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.matrix import MATRIX
from tests.faults.servers import Servers, servers_in
from tests.faults.trial import Scenario, trial_of

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """The servers that all scenarios share; a scenario may do to them what it likes."""
    with servers_in(tmp_path_factory.mktemp("faults")) as running:
        yield running


@pytest.fixture(scope="module")
def measured(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """What each scenario measured; printed at the end."""
    lines: list[str] = []
    yield lines
    reporter = request.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.write_line("")
        for line in lines:
            reporter.write_line(line)


@pytest.mark.parametrize("scenario", MATRIX, ids=lambda scenario: scenario.name)
async def test_nothing_is_lost_and_nothing_counted_twice(
    scenario: Scenario, servers: Servers, tmp_path: Path, measured: list[str]
) -> None:
    """A fault under load; then everything is worked off within its bound, and the verifier finds nothing wrong."""
    began = time.monotonic()
    async with trial_of(scenario, servers, tmp_path) as trial:
        try:
            await trial.run()
            verdict = await trial.verify()
        except Exception as error:
            error.add_note(trial.describe())
            raise
        took = time.monotonic() - began
        measured.append(f"{scenario.name}: {took:.0f} s, seed {scenario.seed}, {trial.notes}, {verdict.accounting}")
        assert not verdict.findings, f"{trial.describe()}\n{verdict}"
