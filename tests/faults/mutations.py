"""What keeps events from being lost or doubled, one by one, and what goes red when it is taken out.

`GUARDED`: each fix of `agents.guard`, and the tests that run with the fix taken out and show the harm.
`SIMULATED`: the same of rules that the simulator takes out.
`ORDERING`: each rule of the order in which things are made safe, and a worker that breaks it (`tests.faults.worker`) in a scenario of the
matrix, where a verifier must find it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.faults.fleet import tail, until
from tests.faults.steps import only, worked_off_twice

if TYPE_CHECKING:
    from tests.faults.trial import Trial

Steps = Callable[["Trial"], Awaitable[None]]
_UNIT, _REBALANCE = "tests/unit/agents/test_guard.py", "tests/integration/test_runs_rebalance.py"
_RUNS = "tests/integration/test_runs.py"
GUARDED: Mapping[str, tuple[str, ...]] = {
    "takeover": (
        f"{_REBALANCE}::test_state_is_read_back_to_the_end_that_the_embedded_broker_hides",
        f"{_REBALANCE}::test_a_changelog_record_that_is_none_of_ours_ends_the_worker",
    ),
    "rewind": (f"{_UNIT}::test_what_was_never_committed_is_read_again",),
    "delivery": (f"{_UNIT}::test_what_is_fetched_again_is_delivered",),
    "settle": (f"{_REBALANCE}::test_runs_in_flight_are_settled_before_their_partitions_go",),
    "fence": ("tests/faults/test_fencing.py::test_what_a_zombie_delivers_late_counts_for_nothing",),
    "fail-stop": (f"{_RUNS}::test_without_fail_stop_a_handler_that_raises_goes_unnoticed",),
    "decode": (f"{_RUNS}::test_raw_bytes_reach_the_handler",),
    "fetch": (f"{_UNIT}::test_no_active_partition_means_that_nothing_is_fetched",),
    "buffers": (f"{_UNIT}::test_room_in_a_queue_does_not_wake_a_paused_partition",),
    "web": (f"{_RUNS}::test_a_worker_listens_on_no_port",),
}
"""By the name of the fix."""
SIMULATED: Mapping[str, tuple[str, ...]] = {
    "a handover that was taken back since, or is older than another of its event, counts for nothing": (
        "tests/property/test_stale_handovers.py::test_populations_end_otherwise_where_stale_handovers_count",
    ),
}
"""Rules that keep statements from doing harm that come late or twice, in more ways than Kafka has: only the simulator shows that reliably."""


@dataclass(frozen=True)
class Mutation:
    """A rule, and a worker without it.

    Attributes:
        rule: what is taken out.
        harm: the worker that does without (`tests.faults.worker.HARMS`).
        moment: that the rule is for (`MOMENTS`).
        found_by: one of the checks that must go red (`tests.faults.findings`).
    """

    rule: str
    harm: Mapping[str, Any]
    moment: str
    found_by: frozenset[str]


def dying_once(dies: Mapping[str, Any]) -> Steps:
    """A scenario's steps: one worker takes the place of all others and dies at a certain moment; then another goes on."""

    async def steps(trial: Trial) -> None:
        trial.fleet.restarting = False
        only(trial, trial.fleet.start({"die": dict(dies)}))
        await until(lambda: bool(trial.fleet.ended), seconds=60, what="the worker dies")
        assert trial.fleet.ended[0][1] == 137, tail(trial.fleet.ended[0][0])
        await trial.look()
        trial.fleet.restarting = True
        await trial.fleet.ready()

    return steps


NUMBER = 10
"""Of the shipment at which it dies: past what only comes again, as a worker that was killed before had told it and not committed."""
MOMENTS: Mapping[str, Steps] = {
    "before touches": dying_once({"what": "touches", "moment": "before", "number": NUMBER}),
    "before facts": dying_once({"what": "facts", "moment": "before", "number": NUMBER}),
    "after facts": dying_once({"what": "facts", "moment": "after", "number": NUMBER}),
    "again": worked_off_twice,
}
"""A worker dies right before or after it tells something, or everything comes again."""
ORDERING = (
    Mutation(
        "the changelog comes before all that is told",
        {"facts_first": True},
        "after facts",
        # The facts of that moment may be told again after a redelivery, and so be none that are ahead; then what is told others is.
        frozenset({"facts ahead of changelog", "statements ahead of changelog"}),
    ),
    Mutation(
        "facts come before the commit",
        {"commit_first": "prospects"},
        "before facts",
        frozenset({"facts behind commit"}),
    ),
    Mutation(
        "touches come before the commit",
        {"commit_first": "intake"},
        "before touches",
        frozenset({"commit ahead of touches"}),
    ),
    Mutation(
        "a message that was taken in before makes its prospect tell everything again",
        {"deaf_to_redeliveries": True},
        "before facts",
        frozenset({"facts behind commit", "equality"}),
    ),
    Mutation(
        "a handover that was taken back since counts for nothing",
        {"stale_handovers": "reset"},
        "again",
        frozenset({"equality"}),
    ),
)
