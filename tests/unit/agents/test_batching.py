"""Runs and commit positions."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from agents.batching import Positions, Run, RunScheduler

TOUCHES = TP("touches", 0)


def fetched(*offsets: int) -> list[Any]:
    """Records with these offsets."""
    return [SimpleNamespace(offset=offset) for offset in offsets]


@given(sizes=st.lists(st.integers(0, 60), max_size=6), most=st.integers(1, 25))
def test_runs_hold_every_record_once_and_in_order(sizes: list[int], most: int) -> None:
    """Whatever was fetched: no record is left out, runs are never larger than asked, and about the same size."""
    records = {TP("touches", partition): fetched(*range(size)) for partition, size in enumerate(sizes)}
    yielded: dict[TP, list[Run]] = {}
    for tp, run in RunScheduler(["touches"], most).iterate(records):
        yielded.setdefault(tp, []).append(run)
    for tp, wanted in records.items():
        runs = yielded.get(tp, [])
        assert [record for run in runs for record in run.records] == wanted
        lengths = [len(run.records) for run in runs]
        assert all(0 < length <= most for length in lengths)
        assert len(runs) == -(-len(wanted) // most)
        assert all(run.end == run.records[-1].offset + 1 for run in runs)


def test_partitions_take_turns_and_other_topics_pass_through() -> None:
    """A partition with much to read does not keep the others waiting; records of other topics stay records."""
    other = TP("other", 0)
    records = {TOUCHES: fetched(*range(6)), TP("touches", 1): fetched(*range(2)), other: fetched(7, 8)}
    seen = list(RunScheduler(["touches"], 2).iterate(records))
    touches = [tp.partition for tp, _ in seen if tp.topic == "touches"]
    assert touches == [0, 1, 0, 0]
    assert [record.offset for tp, record in seen if tp == other] == [7, 8]


@given(order=st.permutations(range(8)))
def test_only_the_end_of_the_settled_prefix_is_committed(order: list[int]) -> None:
    """In whatever order runs are settled, the position is the end of the longest prefix, gaps between offsets included."""
    positions = Positions()
    runs = [Run(TOUCHES, fetched(10 * number, 10 * number + 4)) for number in range(8)]
    for run in runs:
        positions.fetched(run)
    settled: set[int] = set()
    for number in order:
        assert positions.settled(runs[number])
        settled.add(number)
        prefix = next(length for length in range(9) if length not in settled)
        assert positions.committable() == ({TOUCHES: runs[prefix - 1].end} if prefix else {})
    assert positions.pending() == 0


def test_a_run_lost_on_its_way_holds_the_position_back() -> None:
    """A run that was fetched and never settled is in front of all later ones."""
    positions = Positions()
    first, second = Run(TOUCHES, fetched(1, 2)), Run(TOUCHES, fetched(3, 4))
    positions.fetched(first)
    positions.fetched(second)
    positions.settled(second)
    assert positions.committable() == {}


def test_nothing_from_before_a_rebalance_counts() -> None:
    """A run of an earlier epoch settles nothing, even if the same records have been fetched again since."""
    positions = Positions()
    stale = Run(TOUCHES, fetched(1, 2))
    positions.fetched(stale)
    positions.begin()
    again = Run(TOUCHES, fetched(1, 2))
    positions.fetched(again)
    assert not positions.settled(stale)
    assert positions.committable() == {}
    assert positions.settled(again)
    assert positions.committable() == {TOUCHES: 3}


def test_what_is_committed_is_not_committed_again() -> None:
    """A position is committable until told that it has been committed, and known from then on."""
    positions = Positions()
    positions.committed({TOUCHES: 1})
    assert positions.committed_end(TOUCHES) == 1
    run = Run(TOUCHES, fetched(1, 2))
    positions.fetched(run)
    positions.settled(run)
    positions.committed(positions.committable())
    assert positions.committable() == {}
    assert positions.committed_end(TOUCHES) == 3
    assert positions.committed_end(TP("touches", 1)) == 0


def test_a_run_says_what_it_is() -> None:
    """Log lines name topic, partition and offsets."""
    assert repr(Run(TOUCHES, fetched(5, 9))) == "<Run touches-0 5..9>"
    with pytest.raises(IndexError):
        Run(TOUCHES, [])
