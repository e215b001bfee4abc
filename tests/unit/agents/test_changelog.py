"""What counts in a changelog that several workers have written to, some of them when it was no longer theirs."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from agents.changelog import Entry, Reading, entries_of
from agents.fencing import FENCE_KEY, Fenced, Tenure, epoch_headers
from agents.store import StateError

ANNA = b"A" * 16
KEYS = [ANNA, ANNA + b"1", b"B" * 16 + b"2"]


def flat(reading: Reading) -> dict[bytes, bytes]:
    """The state as the changelog has it: by whole keys."""
    return {owner + suffix: value for owner, kept in reading.state.items() for suffix, value in kept.items()}


def compacted(log: list[Entry]) -> list[Entry]:
    """What compaction leaves: the last record of each key, where that does not delete."""
    last = {key: offset for offset, key, _, _ in log}
    return [entry for entry in log if last[entry[1]] == entry[0] and entry[2] is not None]


def read(log: list[Entry], pieces: int = 1) -> Reading:
    """A log read from its beginning, in so many pieces."""
    reading = Reading()
    step = -(-len(log) // pieces) or 1
    for start in range(0, len(log), step):
        reading.take(log[start : start + step])
    return reading


@dataclass
class Log:
    """A changelog partition, and what a reader who saw everything happen would believe of it.

    Attributes:
        entries: what was written.
        truth: what the writes of each epoch made of the state, until another one was opened.
    """

    entries: list[Entry] = field(default_factory=list)
    truth: dict[bytes, bytes] = field(default_factory=dict)
    owner: Worker | None = None

    def append(self, key: bytes, value: bytes | None, epoch: int) -> int:
        """Write a record; returns its offset."""
        self.entries.append((len(self.entries), key, value, epoch))
        return len(self.entries) - 1


class Worker:
    """A worker that takes the partition over, step by step, and writes to it for as long as it believes that it may."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._reading = Reading()
        self._read = 0
        self.token = b""
        self.tenure: Tenure | None = None
        self.memory: dict[bytes, bytes] = {}
        self.epoch = 0
        self.alive = True

    def read(self) -> None:
        """Read to the end."""
        self._reading.take(self._log.entries[self._read :])
        self._read = len(self._log.entries)

    def fence(self, token: bytes) -> None:
        """Open an epoch, as far as one can tell."""
        self.epoch, self.token = self._reading.epoch + 1, token
        highest = max((epoch for _, _, _, epoch in self._log.entries), default=0)
        self._log.append(FENCE_KEY, token, self.epoch)
        if self.epoch > highest:
            self._log.owner = self

    def own(self, healed: int) -> None:
        """Read on to the fence, and write again what was overwritten; only `healed` records of it where it is ended by a crash."""
        self.read()
        if not self._reading.opened(self.token) or self._reading.epoch > self.epoch:
            self.alive = (
                False  # another one opened the same epoch first, or a later one: it begins again, as a new worker here
            )
            return
        self.memory = flat(self._reading)
        self.tenure = Tenure("log", 0, self.epoch, self._reading.next_offset)
        changes = self._reading.to_heal()
        for key, value in changes[:healed]:
            self._write(key, value)
        if healed < len(changes):
            event("crash while healing")
            self.alive = False

    def change(self, key: bytes, value: bytes | None) -> bool:
        """Change a record; whether anything may follow from it."""
        if value is None:
            self.memory.pop(key, None)
        else:
            self.memory[key] = value
        return self._write(key, value)

    def _write(self, key: bytes, value: bytes | None) -> bool:
        assert self.tenure is not None
        if self._log.owner is self:
            if value is None:
                self._log.truth.pop(key, None)
            else:
                self._log.truth[key] = value
        offset = self._log.append(key, value, self.tenure.epoch)
        try:
            self.tenure.wrote([(offset, 1)])
        except Fenced:
            self.alive = False
        return self.alive


steps = st.lists(
    st.tuples(
        st.sampled_from(["take over", "begin", "advance", "advance", "change", "change", "change", "change"]),
        st.integers(0, 5),
        st.sampled_from(KEYS),
        st.none() | st.binary(min_size=1, max_size=1),
    ),
    max_size=50,
)


@settings(max_examples=400)
@given(steps=steps, pieces=st.integers(1, 5))
def test_only_writes_of_the_owner_of_the_time_count(
    steps: list[tuple[str, int, bytes, bytes | None]], pieces: int
) -> None:
    """Workers take over, write late, and end anywhere: readers believe each epoch's writes until the next one was opened.

    And whoever goes on after a write has only seen and written what readers believe.
    """
    log = Log()
    workers: list[Worker] = []
    for number, (what, which, key, value) in enumerate(steps):
        alive = [worker for worker in workers if worker.alive]
        owning = [worker for worker in alive if worker.tenure is not None]
        underway = [worker for worker in alive if worker.tenure is None]
        if what in {"take over", "begin"}:
            workers.append(Worker(log))
            workers[-1].read()
            if what == "take over":
                workers[-1].fence(b"token %d" % number)
                workers[-1].own(healed=which)
        elif what == "advance" and underway:
            worker = underway[which % len(underway)]
            if worker.token:
                worker.own(healed=which)
            else:
                worker.fence(b"token %d" % number)
        elif what == "change" and owning:
            worker = owning[which % len(owning)]
            late = log.owner is not worker
            went_on = worker.change(key, value)
            event(f"write, late={late}, went on={went_on}")
            assert not (went_on and late)
            if went_on:
                assert worker.memory == log.truth
    reading = read(log.entries, pieces)
    assert flat(reading) == log.truth
    # The next owner heals, and then compaction may do what it likes.
    last = Worker(log)
    last.read()
    last.fence(b"last")
    last.own(healed=1_000)
    assert last.alive
    assert not read(log.entries).to_heal()
    assert flat(read(compacted(log.entries))) == last.memory == log.truth


def test_what_a_late_writer_overwrote_is_written_again() -> None:
    """A stale value, a stale tombstone and a stale record of a key that there is none of; not one that was rewritten since."""
    good = [(0, FENCE_KEY, b"1", 1), (1, KEYS[0], b"a", 1), (2, KEYS[1], b"b", 1), (3, FENCE_KEY, b"2", 2)]
    stale = [(4, KEYS[0], b"x", 1), (5, KEYS[1], None, 1), (6, KEYS[2], b"z", 0)]
    reading = read([*good, *stale])
    assert flat(reading) == {KEYS[0]: b"a", KEYS[1]: b"b"}
    assert reading.stale == 3
    assert reading.to_heal() == [(KEYS[0], b"a"), (KEYS[1], b"b"), (KEYS[2], None)]
    reading.take([(7, FENCE_KEY, b"3", 3), (8, KEYS[0], b"c", 3)])
    assert reading.to_heal() == [(KEYS[1], b"b"), (KEYS[2], None)]
    assert (reading.next_offset, reading.epoch) == (9, 3)


def test_a_stale_tombstone_of_nothing_needs_no_healing() -> None:
    """Compaction takes it away by itself."""
    reading = read([(0, FENCE_KEY, b"1", 1), (1, ANNA, None, 0)])
    assert (reading.stale, reading.to_heal()) == (1, [])


def test_one_of_two_fences_of_an_epoch_opens_it() -> None:
    """The first in the log; one that hasn't been read is neither here nor there."""
    reading = read([(0, FENCE_KEY, b"first", 1), (1, FENCE_KEY, b"second", 1)])
    assert [reading.opened(token) for token in (b"first", b"second", b"third")] == [True, False, None]


def test_records_say_their_epoch_where_compaction_took_the_fence() -> None:
    """Of all fences only the last one is left; a record of a higher epoch makes what follows it stale all the same."""
    reading = read([(1, ANNA, b"a", 2), (2, ANNA, b"x", 1), (9, FENCE_KEY, b"3", 3)])
    assert flat(reading) == {ANNA: b"a"}


def test_records_without_an_epoch_are_those_of_the_beginning() -> None:
    """A changelog from before there were epochs, or one that was restored, is believed."""
    assert flat(read([(0, ANNA, b"a", 0), (1, ANNA, b"b", 0), (2, FENCE_KEY, b"1", 1)])) == {ANNA: b"b"}


def test_who_deletes_a_record_by_hand_must_do_so_in_the_newest_epoch() -> None:
    """As the error about a foreign record says; a deletion without an epoch counts for nothing, and the record would even be written again."""
    log: list[Entry] = [(0, ANNA, b"foreign", 0), (1, FENCE_KEY, b"1", 1), (2, ANNA, None, 0)]
    assert flat(read(log)) == {ANNA: b"foreign"}
    assert read(log).to_heal() == [(ANNA, b"foreign")]
    assert flat(read([*log, (3, ANNA, None, 1)])) == {}
    assert read([*log, (3, ANNA, None, 1)]).to_heal() == []


def test_what_clients_fetch_is_taken_with_its_epoch() -> None:
    """One client gives headers as a tuple, the other as a list; records change their epoch at any place."""
    epochs = [0, 1, 1, 2, 0]
    for kind in (tuple, list):
        records = [
            SimpleNamespace(offset=offset, key=ANNA, value=None, headers=kind(epoch_headers(epoch) if epoch else ()))
            for offset, epoch in enumerate(epochs)
        ]
        assert entries_of(records) == [(offset, ANNA, None, epoch) for offset, epoch in enumerate(epochs)]


@pytest.mark.parametrize("epoch", [0, 1])
@pytest.mark.parametrize("key", [None, b"", b"too short"])
def test_a_key_that_no_worker_wrote_is_refused(key: bytes | None, epoch: int) -> None:
    """Whenever it was written."""
    with pytest.raises(StateError, match="only workers may write"):
        read([(0, FENCE_KEY, b"1", 1), (1, key, b"", epoch)])
