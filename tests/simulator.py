"""The prospects agent in one deterministic thread: logs, a changelog, facts, commits, and crashes anywhere.

What is real is the actor (`funnel.prospect`), its records' bytes (`agents.records`) and what goes between actors (`agents.mailbox`). What stands for Kafka
keeps its promises and no more: a log a partition, with offsets, a changelog in which the records of one actor and run become visible together, facts and
sends that stay sent, a committed offset. A crash forgets a partition's memory and everything that was not yet acknowledged; another worker goes on from there.
With `stray`, what actors send arrives in any order and some of it twice, also long after: more than Kafka ever does.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from operator import attrgetter
from typing import Any

from agents.mailbox import bytes_of, message_of
from agents.partitioning import partition_of
from agents.records import due_at_of, records_of, state_of
from funnel.messages import Declaration, Forget
from funnel.prospect import Message, Opener, Outcome, State, Terms, receive
from funnel.rules import RuleSet
from schemas.messages import decode_touch, encode_statement, encode_tick, encode_touch
from tests.oracle.identity import Event
from tests.replacing import ReplacingModel
from tests.translation import id_of, names_in, prospect_of, touch_of

BOOK = id_of("book of aliases")
COUNTS = ("applied", "duplicate", "ignored", "shared", "forgotten")
"""What an outcome counts."""
counts_of = attrgetter(*COUNTS)


def canonical_of(raw: bytes) -> bytes:
    """Give the canonical JSON of a touch; here its body isn't sealed."""
    return decode_touch(raw).body


# In hundreds of orders of one population the same bytes are read over and over; what they say is the same each time.
@lru_cache(maxsize=10_000)
def names_of(raw: bytes) -> tuple[bytes, ...]:
    """Give the names of the identifiers in a touch as it came."""
    return names_in(decode_touch(raw).body)


@lru_cache(maxsize=10_000)
def read(value: bytes) -> tuple[Callable[..., Message], tuple[Any, ...]]:
    """Give what makes the message in a record once its offset is known."""
    message = message_of(0, value)
    return type(message), message[1:]


OPENER = Opener(canonical_of, names_of, bytes.decode)
"""Opens what tests leave open."""


def record_of(event: Event, rules: RuleSet) -> tuple[bytes, bytes]:
    """Give the record, key and value, that intake would append for an event."""
    return prospect_of(event), encode_touch(touch_of(event, rules))


def records_that_declare(one: Declaration) -> list[tuple[bytes, bytes]]:
    """Give the records that intake would append for a declaration: both whom it concerns are told."""
    value = encode_statement(one)
    return [(BOOK if one.kind == one.stronger_kind else one.weaker, value), (one.stronger, value)]


def terms_of(rules: RuleSet) -> Terms:
    """Terms with the usual limits."""
    return Terms(rules, OPENER)


@dataclass
class Run:
    """A run of records on its way: outcomes whose records, then facts and sends, are still to be acknowledged."""

    end: int
    to_write: deque[tuple[bytes, Outcome]]
    to_tell: deque[tuple[bytes, Outcome]]


@dataclass(eq=False)
class Partition:
    """A partition's log, and the worker that owns it now."""

    number: int
    log: list[tuple[bytes, bytes]] = field(default_factory=list)
    committed: int = 0
    position: int = 0
    memory: dict[bytes, State] = field(default_factory=dict)
    due: dict[bytes, int | None] = field(default_factory=dict)
    in_flight: deque[Run] = field(default_factory=deque)


class Simulator:
    """Workers, and what outlives them."""

    def __init__(
        self, terms: Terms, rng: random.Random, *, crashes: int, partitions: int = 1, stray: bool = False
    ) -> None:
        """Prepare workers that will crash at most `crashes` times."""
        self.partitions = [Partition(number) for number in range(partitions)]
        self.changelog: dict[bytes, dict[bytes, bytes]] = {}
        self.tables = ReplacingModel()
        self.too_late: set[tuple[int, int]] = set()
        """Partitions and positions of dead letters."""
        self.circles: set[Declaration] = set()
        self.counts = dict.fromkeys(COUNTS, 0)
        """Right only where nothing crashed."""
        self.crashed = 0
        self._terms, self._rng, self._crashes = terms, rng, crashes
        self._crash_share = rng.choice((0.02, 0.05, 0.15))  # spread over everything, or one after the other
        self._stray = stray
        self._bag: list[tuple[bytes, bytes]] = []
        """Sends that have not arrived yet."""

    def append(self, key: bytes, value: bytes) -> None:
        """Append a record to the log of its partition."""
        self._partition_of(key).log.append((key, value))

    def deliver(self, events: Iterable[Event]) -> None:
        """Append events to the logs, as intake would."""
        for event in events:
            self.append(*record_of(event, self._terms.rules))

    def declare(self, declarations: Iterable[Declaration]) -> None:
        """Append declarations, as intake would."""
        for one in declarations:
            for key, value in records_that_declare(one):
                self.append(key, value)

    def forget(self, identifiers: Iterable[bytes]) -> None:
        """Append requests to forget, as intake would."""
        for one in identifiers:
            self.append(one, encode_statement(Forget(1, BOOK)))

    def tick(self, prospect: bytes, now: int) -> None:
        """Append a tick to the log, as timers would."""
        self.append(prospect, encode_tick(now))

    def drain(self) -> None:
        """Work until the logs are taken in, told and committed."""
        while True:
            busy = [one for one in self.partitions if one.committed < len(one.log)]
            if not busy and not self._bag:
                return
            if self._bag and (not busy or self._rng.random() < 0.3):
                self._let_arrive()
                continue
            partition = self._rng.choice(busy)
            if self._crashes and self._rng.random() < self._crash_share:
                self._crash(partition)
            elif partition.position < len(partition.log) and len(partition.in_flight) < 3 and self._rng.random() < 0.5:
                self._take_run(partition)
            elif partition.in_flight:
                self._advance(partition)

    def tick_until(self, now: int) -> None:
        """Let the wall clock reach `now`: send ticks until nothing is due, as timers do."""
        for _ in range(100):
            self.drain()
            due = [prospect for prospect in self.changelog if (at := self._due_at(prospect)) is not None and at <= now]
            if not due:
                return
            for prospect in due:
                if self._rng.random() < 0.2:  # the clock of another worker, that had this partition before
                    self.tick(prospect, now - self._rng.randrange(86_400_000_000))
                self.tick(prospect, now)
                if self._rng.random() < 0.2:
                    self.tick(prospect, now - self._rng.randrange(86_400_000_000))
        raise AssertionError("ticks change nothing, and yet something is due")

    def _partition_of(self, key: bytes) -> Partition:
        return self.partitions[partition_of(key, len(self.partitions))]

    def _let_arrive(self) -> None:
        at = self._rng.randrange(len(self._bag))
        self.append(*self._bag[at])
        if self._rng.random() < 0.9:  # or it will come again
            self._bag.pop(at)

    def _due_at(self, prospect: bytes) -> int | None:
        due = self._partition_of(prospect).due
        if prospect not in due:  # after a crash
            due[prospect] = due_at_of(self.changelog[prospect], self._terms)
        return due[prospect]

    def _state_of(self, partition: Partition, prospect: bytes) -> State:
        if prospect not in partition.memory:
            records = list(self.changelog.get(prospect, {}).items())
            partition.memory[prospect] = state_of(self._terms, dict(self._rng.sample(records, len(records))))
        return partition.memory[prospect]

    def _write(self, prospect: bytes, outcome: Outcome) -> None:
        """Let an actor's records of a run become visible, all at once."""
        records = self.changelog.setdefault(prospect, {})
        for suffix, value in records_of(outcome, self._terms):
            if value is None:
                records.pop(suffix, None)
            else:
                records[suffix] = value

    def _take_run(self, partition: Partition) -> None:
        end = min(len(partition.log), partition.position + self._rng.choice((1, 1, 2, 3, 5, 8)))
        messages: dict[bytes, list[Message]] = {}
        for offset in range(partition.position, end):
            key, value = partition.log[offset]
            kind, fields = read(value)
            messages.setdefault(key, []).append(kind(offset, *fields))
        outcomes = []
        for prospect, received in messages.items():
            state = self._state_of(partition, prospect)
            outcome = receive(prospect, state, received, self._terms, partition.committed)
            partition.memory[prospect], partition.due[prospect] = outcome.state, outcome.due_at
            self.too_late |= {(partition.number, message.position) for message in outcome.too_late}
            self.circles |= set(outcome.invalid)
            if any(counted := counts_of(outcome)):
                for name, count in zip(COUNTS, counted, strict=True):
                    self.counts[name] += count
            outcomes.append((prospect, outcome))
        partition.in_flight.append(Run(end, deque(outcomes), deque(outcomes)))
        partition.position = end

    def _advance(self, partition: Partition) -> None:
        """Let one thing be acknowledged. Runs overlap, but each kind of thing keeps its order."""
        in_flight = partition.in_flight
        first = in_flight[0]
        writing = next((run for run in in_flight if run.to_write), None)
        telling = next((run for run in in_flight if run.to_tell), None)
        if writing is not None and (telling is None or telling.to_write or self._rng.random() < 0.5):
            prospect, outcome = writing.to_write.popleft()
            self._write(prospect, outcome)
        elif telling is not None and not telling.to_write and (telling is first or self._rng.random() < 0.5):
            prospect, outcome = telling.to_tell.popleft()
            if outcome.facts is not None:
                self.tables.insert(prospect, outcome.facts)
            for to, statement in outcome.sends:
                if self._stray:
                    self._bag.append((to, bytes_of(statement)))
                else:
                    self.append(to, bytes_of(statement))
        elif not first.to_write and not first.to_tell:
            partition.committed = first.end
            in_flight.popleft()

    def _crash(self, partition: Partition) -> None:
        self._crashes -= 1
        self.crashed += 1
        partition.memory.clear()
        partition.due.clear()
        partition.in_flight.clear()
        partition.position = partition.committed
