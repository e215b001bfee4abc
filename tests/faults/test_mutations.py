"""Each guard and each rule of order is needed: without it something goes red. Otherwise green tests would say nothing of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from agents.guard import FIXES
from tests.faults.mutations import GUARDED, ORDERING, SIMULATED, Mutation
from tests.faults.servers import Servers
from tests.faults.trial import Scenario, Trial, UnsafeMoment, trial_of

REPOSITORY = Path(__file__).parents[2]
pytestmark = [pytest.mark.kafka, pytest.mark.matrix]


async def findings_of(trial: Trial) -> set[str]:
    """Run it, and name the checks that are red: at the moment of the crash, else when all is worked off."""
    try:
        await trial.run()
        verdict = await trial.verify(patience=8.0)
    except UnsafeMoment as unsafe:
        verdict = unsafe.verdict
    return {one["check"] for one in verdict.findings}


@pytest.mark.parametrize("mutation", ORDERING, ids=lambda mutation: mutation.rule)
async def test_a_worker_that_breaks_the_order_is_found_out(
    mutation: Mutation, servers: Servers, tmp_path: Path
) -> None:
    """The same crash at the same moment: with the rule nothing is wrong, without it the verifier finds what the rule prevents."""
    found = {}
    for name, harm in (("kept", {}), ("broken", mutation.harm)):
        scenario = Scenario(f"rule-{name}", mutation.steps, seed=201, seconds=6.0, harm=harm)
        directory = tmp_path / name
        directory.mkdir()
        async with trial_of(scenario, servers, directory) as trial:
            try:
                found[name] = await findings_of(trial)
            except Exception as error:
                error.add_note(trial.describe())
                raise
    assert found["kept"] == set()
    assert found["broken"] & mutation.found_by, f"nothing but {found['broken']} was found"


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
