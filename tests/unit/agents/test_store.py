"""The records of prospects, by partition."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.store import PartitionStore, StateError, file_records

ANNA, BERT = b"A" * 16, b"B" * 16
changes = st.lists(
    st.tuples(
        st.builds(bytes.__add__, st.sampled_from([ANNA, BERT]), st.sampled_from([b"", b"1", b"22"])),
        st.none() | st.binary(max_size=2),
    )
)


@given(changes=changes)
def test_filing_is_what_compaction_does(changes: list[tuple[bytes, bytes | None]]) -> None:
    """The last value of each key counts, None deletes, and no empty prospect is left."""
    partition: dict[bytes, dict[bytes, bytes]] = {}
    file_records(partition, changes)
    last = {key: value for key, value in dict(changes).items() if value is not None}
    assert {owner + suffix: value for owner, kept in partition.items() for suffix, value in kept.items()} == last
    assert all(partition.values())


def test_records_of_a_prospect() -> None:
    """Written by key, read by suffix; a prospect without records has none."""
    store = PartitionStore()
    store.install(3, {})
    store.apply(3, [(ANNA, b"head"), (ANNA + b"1", b"one"), (BERT + b"2", b"two")])
    store.apply(3, [(ANNA + b"1", None)])
    assert dict(store.records(3, ANNA)) == {b"": b"head"}
    assert dict(store.records(3, b"C" * 16)) == {}
    assert set(store.prospects(3)) == {ANNA, BERT}


def test_partitions_that_are_not_ours_are_gone() -> None:
    """Their records are dropped, whoever keeps something derived from them is told, and using them is an error."""
    store = PartitionStore()
    told: list[int] = []
    store.listeners.append(told.append)
    store.install(1, {ANNA: {b"": b"head"}})
    store.install(2, {})
    store.retain([2])
    assert told == [1, 2, 1]
    assert set(store.partitions) == {2}
    for use in (lambda: store.records(1, ANNA), lambda: store.apply(1, []), lambda: store.prospects(1)):
        with pytest.raises(StateError, match=r"partition 1 is not ours; ours are \[2\]"):
            use()


@pytest.mark.parametrize("key", [None, b"", b"too short"])
def test_a_key_that_no_worker_wrote_is_refused(key: bytes | None) -> None:
    """The changelog is the workers' own; anything else in it is an error, not a guess."""
    with pytest.raises(StateError, match="only workers may write"):
        file_records({}, [(key, b"")])
