"""Each guard and each rule of order is needed: without it something goes red. Otherwise green tests would say nothing of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from agents.guard import FIXES
from tests.faults.conftest import Measured
from tests.faults.mutations import GUARDED, MOMENTS, ORDERING, SIMULATED, Mutation, Steps
from tests.faults.servers import Servers
from tests.faults.trial import PACE, QUICK, Scenario, UnsafeMoment, trial_of

REPOSITORY = Path(__file__).parents[2]
pytestmark = [pytest.mark.kafka, pytest.mark.matrix]


TRIES = 3
"""Whether a crash hits something that was not told before is chance: a worker that missed a session tells things again first."""


async def findings_of(
    steps: Steps, harm: Mapping[str, Any], servers: Servers, directory: Path, *, seed: int, patience: float
) -> set[str]:
    """Run it, and name the checks that are red: at the moment of the crash, else when all is worked off.

    `patience` is how many seconds ticks may take that follow when there is nothing else to do.
    """
    scenario = Scenario("rule", steps, seed=seed, seconds=6.0, harm=PACE | dict(harm), worker=QUICK)
    async with trial_of(scenario, servers, directory) as trial:
        try:
            await trial.run()
            verdict = await trial.verify(patience=patience)
        except UnsafeMoment as unsafe:
            verdict = unsafe.verdict
        except Exception as error:
            error.add_note(trial.describe())
            raise
    return {one["check"] for one in verdict.findings}


@pytest.mark.parametrize("moment", sorted(MOMENTS.keys() - {"again"}))
async def test_a_crash_at_that_moment_does_no_harm(moment: str, servers: Servers, tmp_path: Path) -> None:
    """With all rules kept nothing is wrong, so what is found below is due to what was taken out. For `again`, `replayed` of the matrix says so."""
    assert await findings_of(MOMENTS[moment], {}, servers, tmp_path, seed=201, patience=20.0) == set()


@pytest.mark.parametrize("mutation", ORDERING, ids=lambda mutation: mutation.rule)
async def test_a_worker_that_breaks_the_order_is_found_out(
    mutation: Mutation, servers: Servers, tmp_path: Path, measured: Measured
) -> None:
    """The same crash at the same moment, without the rule: the verifier finds what it prevents."""
    found: set[str] = set()
    for number in range(TRIES):
        if not found & mutation.found_by:
            directory, steps = tmp_path / f"trial-{number}", MOMENTS[mutation.moment]
            directory.mkdir()
            found |= await findings_of(steps, mutation.harm, servers, directory, seed=201 + number, patience=4.0)
    measured.append(f"without the rule that {mutation.rule}: {', '.join(sorted(found)) or 'nothing'}")
    assert found & mutation.found_by, f"nothing but {found} was found"


def test_every_fix_has_a_test_that_goes_red_without_it() -> None:
    """No fix is left out of the list, and every test on it is there to be run."""
    assert GUARDED.keys() == FIXES.keys()
    tests = sorted({test for tests in (*GUARDED.values(), *SIMULATED.values()) for test in tests})
    asked = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *tests],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert asked.returncode == 0, asked.stdout + asked.stderr
