"""agents.weighing: the size of a store from some of its prospects."""

from __future__ import annotations

import pytest

from agents import metrics
from agents.store import PartitionStore
from agents.weighing import EVERY_SECONDS, SAMPLE, Scales
from tests.unit.agents.test_backlog import Clock


def sizes() -> tuple[float, float, float]:
    """What the metrics say: prospects, records and bytes."""
    gauges = (metrics.STATE_PROSPECTS, metrics.STATE_RECORDS, metrics.STATE_BYTES)
    return tuple(gauge.collect()[0].samples[0].value for gauge in gauges)  # type: ignore[return-value]  # three


def filled(store: PartitionStore, partition: int, prospects: int, records: int) -> None:
    """A partition of prospects with so many records of 8 + 92 bytes each."""
    kept = {b"%08d" % number: b"v" * 92 for number in range(records)}
    store.install(partition, {number.to_bytes(16, "big"): dict(kept) for number in range(prospects)})


def test_small_states_are_weighed_exactly() -> None:
    """Prospects, records, and bytes of keys and values; nothing once the partition has gone."""
    clock, store = Clock(), PartitionStore()
    scales = Scales(store, clock)
    filled(store, 3, prospects=10, records=2)
    filled(store, 4, prospects=1, records=1)
    for _ in range(2):  # a partition at each look
        scales.weigh()
    assert sizes() == (11, 21, 21 * (16 + 100))
    store.retain([4])
    scales.weigh()
    assert sizes() == (1, 1, 116)


def test_large_states_are_estimated_and_seldom_looked_at() -> None:
    """Where old prospects have more records than new ones, the estimate is about right; it isn't made anew at each look."""
    clock, store = Clock(), PartitionStore()
    scales = Scales(store, clock)
    prospects = SAMPLE * 20
    store.install(
        0,
        {
            number.to_bytes(16, "big"): dict.fromkeys([b"1", b"2", b"3"] if number < prospects / 2 else [b"1"], b"")
            for number in range(prospects)
        },
    )
    scales.weigh()
    assert sizes()[0] == prospects
    assert sizes()[1] == pytest.approx(prospects * 2, rel=0.01)
    store.install(0, {bytes(16): {b"": b""}})
    scales.weigh()
    assert sizes() == (1, 2, pytest.approx(2 * 17, abs=1)), "of the prospects that were looked at"
    clock.now += EVERY_SECONDS
    scales.weigh()
    assert sizes() == (1, 1, 16)
