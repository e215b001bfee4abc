"""Owning a partition: what a worker may write, and how it sees that somebody else did."""

from __future__ import annotations

import pytest

from agents.fencing import EPOCH_HEADER, Fenced, Ownership, Tenure, epoch_headers, epoch_of
from agents.store import PartitionStore


@pytest.mark.parametrize("epoch", [1, 255, 256, 2**32 - 1])
def test_records_carry_their_epoch(epoch: int) -> None:
    """What is written is read, among other headers, too."""
    assert epoch_of(epoch_headers(epoch)) == epoch
    assert epoch_of((("other", b"1234"), *epoch_headers(epoch))) == epoch


def test_records_without_an_epoch_have_the_lowest() -> None:
    """No header, or one of that name that is none of ours."""
    assert epoch_of(()) == epoch_of([(EPOCH_HEADER, b"12345")]) == 0


def test_an_owner_writes_without_gaps() -> None:
    """Each batch begins where the one before ended, over several calls."""
    tenure = Tenure("changelog", 3, epoch=7, next_offset=100)
    tenure.wrote([(100, 5), (105, 1)])
    tenure.wrote([])
    tenure.wrote([(106, 2)])
    assert tenure.headers == epoch_headers(7)


@pytest.mark.parametrize("offset", [101, 99, -1])
def test_an_offset_that_is_not_the_next_one_means_that_somebody_else_wrote(offset: int) -> None:
    """Ahead: records in between. Behind: the log was cut. Unknown: nobody can tell. The message says which partition and offsets."""
    tenure = Tenure("changelog", 3, epoch=7, next_offset=95)
    with pytest.raises(Fenced, match=rf"changelog-3: our records of epoch 7 lie at offset {offset} instead of 100"):
        tenure.wrote([(95, 5), (offset, 1)])


def test_who_gives_records_up_may_not_go_on_writing() -> None:
    """Dropping a partition's records, or reading them anew, ends its tenure."""
    store, ownership = PartitionStore(), Ownership()
    store.listeners.append(ownership.end)
    for partition in (1, 2):
        store.install(partition, {})
        ownership.begin(partition, Tenure("changelog", partition, 1, 0))
    store.retain([2])
    assert ownership.of(2).epoch == 1
    with pytest.raises(Fenced, match=r"partition 1 is not ours to write to; ours are \[2\]"):
        ownership.of(1)
    store.install(2, {})
    with pytest.raises(Fenced):
        ownership.of(2)
