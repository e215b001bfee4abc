"""The fault matrix: every way in which things go wrong, with its seed. `tests.faults.test_matrix` runs it."""

from __future__ import annotations

from tests.faults import outages, steps
from tests.faults.load import oversized
from tests.faults.trial import PACE, QUICK, Scenario

MATRIX = (
    Scenario("killed", steps.killed, seed=101, events=5_000, seconds=60.0, worker=QUICK),
    Scenario("paused", steps.paused, seed=102, workers=2, seconds=20.0),
    Scenario("stopped", steps.stopped, seed=103, seconds=12.0),
    Scenario("rolling-restart", steps.rolling, seed=104, workers=3, seconds=12.0),
    Scenario("scaled", steps.scaled, seed=105, seconds=10.0),
    Scenario("died-between-steps", steps.died_between_steps, seed=106, seconds=20.0, worker=QUICK),
    Scenario("broker-restarted", outages.broker_restarted, seed=107, seconds=12.0),
    Scenario("broker-cut-off", outages.broker_cut_off, seed=108, seconds=15.0, proxied=True),
    Scenario("broker-slow", outages.broker_slow, seed=109, seconds=12.0, proxied=True),
    Scenario("clickhouse-killed", outages.clickhouse_killed, seed=110),
    Scenario("clickhouse-slow", outages.clickhouse_slow, seed=111),
    Scenario("clickhouse-reply-dropped", outages.clickhouse_reply_dropped, seed=112),
    Scenario("changelog-refused", steps.changelog_refused, seed=113),
    Scenario("changelog-stalled", steps.changelog_stalled, seed=114, worker=QUICK | {"delivery_timeout": 4.0}),
    Scenario("changelog-poisoned", steps.poison_changelog, seed=115),
    Scenario(
        "state-oversized", steps.as_it_is, seed=116, events=2_000, generate=oversized, worker={"run_records": 500}
    ),
    Scenario("disk-full", steps.disk_full, seed=117, harm=PACE | {"no_disk": True}),
    Scenario("clock-jumps", steps.clock_jumps, seed=118, seconds=15.0),
    Scenario("replayed", steps.replayed, seed=119),
)
BY_NAME = {scenario.name: scenario for scenario in MATRIX}
