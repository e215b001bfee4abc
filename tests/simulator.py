"""The prospects agent in one deterministic thread: a log, a changelog, facts, commits, and crashes anywhere.

What is real is the actor (`funnel.prospect`) and its records' bytes (`agents.records`). What stands for Kafka keeps its promises and no more: a log with
offsets, a changelog in which the records of one prospect and run become visible together, facts that stay sent, a
committed offset. A crash forgets memory and everything that was not yet acknowledged.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from agents.records import due_at_of, records_of, state_of
from funnel.history import Limits
from funnel.prospect import Arrival, Message, Outcome, State, Tick, receive
from funnel.rules import RuleSet
from schemas.messages import decode_touch, decode_touch_without_body, encode_touch
from tests.oracle.identity import Event
from tests.replacing import ReplacingModel
from tests.translation import prospect_of, touch_of


def canonical_of(raw: bytes) -> bytes:
    """Give the canonical JSON of a touch; here its body isn't sealed."""
    return decode_touch(raw).body


@dataclass
class Run:
    """A run of records on its way: outcomes whose records, then facts, are still to be acknowledged."""

    end: int
    to_write: deque[tuple[bytes, Outcome]]
    to_tell: deque[tuple[bytes, Outcome]]


class Simulator:
    """A worker that owns the only partition, and what outlives it."""

    def __init__(self, rules: RuleSet, rng: random.Random, *, crashes: int, limits: Limits | None = None) -> None:
        """Prepare a worker that will crash at most `crashes` times."""
        self.log: list[tuple[bytes, Message]] = []
        self.changelog: dict[bytes, dict[bytes, bytes]] = {}
        self.tables = ReplacingModel()
        self.too_late: set[int] = set()
        """Positions of dead letters."""
        self.committed = 0
        self.crashed = 0
        self._rules, self._rng, self._crashes = rules, rng, crashes
        self._limits = limits or Limits()
        self._memory: dict[bytes, State] = {}
        self._due: dict[bytes, int | None] = {}
        self._position = 0
        self._in_flight: deque[Run] = deque()

    def deliver(self, events: Iterable[Event]) -> None:
        """Append events to the log, as intake would."""
        for event in events:
            raw = encode_touch(touch_of(event, self._rules))
            self.log.append((prospect_of(event), Arrival(len(self.log), decode_touch_without_body(raw), raw)))

    def tick(self, prospect: bytes, now: int) -> None:
        """Append a tick to the log, as timers would."""
        self.log.append((prospect, Tick(len(self.log), now)))

    def drain(self) -> None:
        """Work until the log is taken in, told and committed."""
        while self.committed < len(self.log):
            if self._crashes and self._rng.random() < 0.15:
                self._crash()
            elif self._position < len(self.log) and len(self._in_flight) < 3 and self._rng.random() < 0.5:
                self._take_run()
            elif self._in_flight:
                self._advance()

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

    def _due_at(self, prospect: bytes) -> int | None:
        if prospect not in self._due:  # after a crash
            self._due[prospect] = due_at_of(self.changelog[prospect])
        return self._due[prospect]

    def _state_of(self, prospect: bytes) -> State:
        if prospect not in self._memory:
            records = list(self.changelog.get(prospect, {}).items())
            self._memory[prospect] = state_of(self._rules, dict(self._rng.sample(records, len(records))))
        return self._memory[prospect]

    def _write(self, prospect: bytes, outcome: Outcome) -> None:
        """Let a prospect's records of a run become visible, all at once."""
        for suffix, value in records_of(outcome, self._rules):
            records = self.changelog.setdefault(prospect, {})
            if value is None:
                records.pop(suffix, None)
            else:
                records[suffix] = value

    def _take_run(self) -> None:
        end = min(len(self.log), self._position + self._rng.choice((1, 1, 2, 3, 5, 8)))
        messages: dict[bytes, list[Message]] = {}
        for prospect, message in self.log[self._position : end]:
            messages.setdefault(prospect, []).append(message)
        outcomes = []
        for prospect, received in messages.items():
            state = self._state_of(prospect)
            outcome = receive(state, received, self._rules, canonical_of, self._limits, self.committed)
            self._memory[prospect], self._due[prospect] = outcome.state, outcome.due_at
            self.too_late |= {arrival.position for arrival in outcome.too_late}
            outcomes.append((prospect, outcome))
        self._in_flight.append(Run(end, deque(outcomes), deque(outcomes)))
        self._position = end

    def _advance(self) -> None:
        """Let one thing be acknowledged. Runs overlap, but each kind of thing keeps its order."""
        first = self._in_flight[0]
        writing = next((run for run in self._in_flight if run.to_write), None)
        telling = next((run for run in self._in_flight if run.to_tell), None)
        if writing is not None and (telling is None or telling.to_write or self._rng.random() < 0.5):
            prospect, outcome = writing.to_write.popleft()
            self._write(prospect, outcome)
        elif telling is not None and not telling.to_write and (telling is first or self._rng.random() < 0.5):
            prospect, outcome = telling.to_tell.popleft()
            if outcome.facts is not None:
                self.tables.insert(prospect, outcome.facts)
        elif not first.to_write and not first.to_tell:
            self.committed = first.end
            self._in_flight.popleft()

    def _crash(self) -> None:
        self._crashes -= 1
        self.crashed += 1
        self._memory.clear()
        self._due.clear()
        self._in_flight.clear()
        self._position = self.committed
