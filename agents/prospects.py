"""The agent of the topic `touches`: each prospect's touches and ticks into its state and its facts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from faust.types import TP

from agents import metrics
from agents.acceptance import Acceptance
from agents.backlog import Backlog
from agents.batching import Record
from agents.dead_letters import headers, headers_of_touch
from agents.deadlines import Deadlines
from agents.declarations import Declarations
from agents.driver import Change, Shipment
from agents.mailbox import bytes_of, message_of
from agents.partitioning import partition_of
from agents.records import due_at_of, records_of, state_of
from agents.shipping import Output
from agents.store import PartitionStore
from funnel.alerts import alerts_of
from funnel.facts import Facts
from funnel.messages import Arrival, Declaration, Handed, Message
from funnel.prospect import receive
from funnel.state import Outcome, State, Terms
from schemas.alerts import ALERTS
from schemas.messages import encode_facts

STATES_READY = 100_000
"""Prospects whose state is held ready to use, a worker; of the others only the records are, a third of the size."""

PART_BYTES = 512 * 1024
"""A busy prospect's changes are stored, and told, in parts of about this size: a group of changes and a message each go in
one record batch, and no topic of ours takes one of more than 2 MiB (`journey.topics`)."""

_CIRCLE = "a link of two user_ids closes a circle with earlier ones"
_TOO_LATE = "before what its prospect keeps of history; that is folded for good"


class Prospects:
    """Gives each prospect its messages of a run in one call of the pure core."""

    def __init__(
        self,
        terms: Terms,
        acceptance: Acceptance,
        declarations: Declarations,
        store: PartitionStore,
        backlog: Backlog,
        settled: Callable[[TP], int],
        *,
        touches: str,
        partitions: int,
        facts: str,
        stalled: str,
        dead_letters: str,
        dead_letter_partitions: int,
    ) -> None:
        """Make one; topics by their full names.

        Args:
            terms: on which prospects are kept.
            acceptance: opens what it sealed ...
            declarations: ... and so do these.
            store: the prospects' records.
            backlog: told how old the records are that are handled.
            settled: offset of a source partition before which nothing will be delivered again.
            touches: where what prospects tell each other goes ...
            partitions: ... and how many partitions that, the changelog, `facts` and `stalled-prospects` have.
            facts: where facts go.
            stalled: where it goes who is stalled, and who no longer is.
            dead_letters: where events that come too late go.
            dead_letter_partitions: how many partitions that has.
        """
        self._terms, self._store = terms, store
        self._acceptance, self._declarations = acceptance, declarations
        self._backlog, self._settled = backlog, settled
        self._touches, self._partitions = touches, partitions
        self._facts, self._stalled = facts, stalled
        self._dead_letters, self._dead_letter_partitions = dead_letters, dead_letter_partitions
        self._states: dict[int, dict[bytes, State]] = {}
        self.deadlines: dict[int, Deadlines] = {}
        """Of the partitions that are ours."""
        store.listeners.append(self._partition_changed)

    def handle(self, tp: TP, records: Sequence[Record]) -> Shipment:
        """Changes of state, and the facts and dead letters that follow."""
        self._backlog.note(tp, records[-1].timestamp)
        messages: dict[bytes, list[Message]] = {}
        newest = 0
        for record in records:
            received_now = message_of(record.offset, record.value or b"")
            if type(received_now) is Arrival and received_now.touch.occurred_at > newest:
                newest = received_now.touch.occurred_at
            prospect = record.key or b""
            others = messages.get(prospect)
            if others is None:
                messages[prospect] = [received_now]
            else:
                others.append(received_now)
        if newest:
            self._backlog.note_events(tp, newest)

        partition, settled = tp.partition, self._settled(tp)
        terms, deadlines, states = self._terms, self.deadlines[partition], self._states[partition]
        changelog: list[list[Change]] = []
        outputs: list[Output] = []
        counted, told = Counted(), 0
        late: set[int] = set()
        for prospect, received in messages.items():
            state = states.pop(prospect, None)
            if state is None:
                state = state_of(terms, self._store.records(partition, prospect))
            for part in (received,) if len(received) == 1 else _parts(received):
                outcome = receive(prospect, state, part, terms, settled)
                state = outcome.state
                counted.add(outcome)
                if outcome.too_late:
                    late.update(message.position for message in outcome.too_late)
                if changes := records_of(outcome, terms):
                    changelog.append([(prospect + suffix, value) for suffix, value in changes])
                    self._store.change(partition, prospect, changes)
                deadlines.set(prospect, outcome.due_at)
                if outcome.facts is not None:
                    for message in _messages_of(prospect, outcome.facts):
                        told += 1
                        outputs.append(Output(self._facts, partition, prospect, message))
                    if outcome.facts.stalls:
                        alerts = alerts_of(prospect, outcome.facts.stalls, state, terms.rules)
                        outputs += [Output(self._stalled, partition, prospect, ALERTS.encode(one)) for one in alerts]
                for to, statement in outcome.sends:
                    outputs.append(Output(self._touches, partition_of(to, self._partitions), to, bytes_of(statement)))
                if outcome.invalid:
                    outputs += [self._circle(records[-1], one) for one in outcome.invalid]
            states[prospect] = state  # at the end of the dict: it was used last
        if late:
            outputs.extend(self._dead_letter(record) for record in records if record.offset in late)
        self._forget_some(states)

        def count() -> None:
            counted.tell()
            metrics.FACTS.inc(told)
            metrics.DEAD.labels("too_late").inc(len(late))
            metrics.DEADLINES.set(sum(map(len, self.deadlines.values())))
            metrics.STATES.set(sum(map(len, self._states.values())))

        return Shipment(changelog, outputs, count)

    def _dead_letter(self, record: Record) -> Output:
        message = message_of(record.offset, record.value or b"")
        original = self._acceptance.original_of(message.raw) if isinstance(message, Arrival | Handed) else b""
        about = headers_of_touch(record, "too_late", _TOO_LATE)
        partition = record.partition % self._dead_letter_partitions
        return Output(self._dead_letters, partition, record.key, original, about)

    def _circle(self, record: Record, declaration: Declaration) -> Output:
        """The dead letter of a link that closes a circle, which may have come long before the record that shows it."""
        about = headers("prospects", "invalid_declaration", _CIRCLE, record.topic, record.partition, record.offset)
        partition = record.partition % self._dead_letter_partitions
        return Output(self._dead_letters, partition, record.key, self._declarations.original_of(declaration), about)

    def _forget_some(self, states: dict[bytes, State]) -> None:
        """Let go of the states that were used longest ago, beyond the partition's share; their records stay."""
        excess = len(states) - STATES_READY // len(self._states)
        if excess > 0:
            for prospect in list(islice(states, excess)):
                del states[prospect]

    def _partition_changed(self, partition: int) -> None:
        """A partition came with all its records, or went."""
        self._backlog.forget()
        self._states.pop(partition, None)
        self.deadlines.pop(partition, None)
        if partition in self._store.partitions:
            store, deadlines = self._store, Deadlines()
            for prospect in islice(store.prospects(partition), 1):
                state_of(self._terms, store.records(partition, prospect))  # refuses the state of other funnels at once
            dues = (
                (prospect, due_at_of(store.records(partition, prospect), self._terms))
                for prospect in store.prospects(partition)
            )
            deadlines.load((prospect, due) for prospect, due in dues if due is not None)
            self.deadlines[partition] = deadlines
            self._states[partition] = {}


class Counted:
    """What became of events in one run; events that go elsewhere count there."""

    def __init__(self) -> None:
        self._applied = self._ignored = self._shared = self._forgotten = self._duplicate = 0
        self._invalid = self._sent = 0

    def add(self, outcome: Outcome) -> None:
        """Count one outcome."""
        self._applied += outcome.applied
        self._ignored += outcome.ignored
        self._shared += outcome.shared
        self._forgotten += outcome.forgotten
        self._duplicate += outcome.duplicate
        self._invalid += len(outcome.invalid)
        self._sent += len(outcome.sends)

    def tell(self) -> None:
        """Add it to the metrics."""
        metrics.DUPLICATE.inc(self._duplicate)
        metrics.count(metrics.APPLIED, "applied", self._applied)
        metrics.count(metrics.IGNORED, "ignored", self._ignored)
        metrics.count(metrics.SHARED, "shared", self._shared)
        metrics.FORGOTTEN.inc(self._forgotten)
        metrics.count(metrics.DECLARED, "declared", -self._invalid)
        metrics.DEAD.labels("invalid_declaration").inc(self._invalid)
        metrics.SENT.inc(self._sent)


def _parts(messages: list[Message]) -> Iterator[list[Message]]:
    """A prospect's messages in parts that may be stored one without the other; almost always one."""
    size = start = 0
    for at, message in enumerate(messages):
        if isinstance(message, Arrival | Handed):
            size += len(message.raw)
            if size > PART_BYTES and at > start:
                yield messages[start:at]
                size, start = len(message.raw), at
    yield messages[start:] if start else messages


def _messages_of(prospect: bytes, facts: Facts) -> list[bytes]:
    """The facts, encoded; in several messages where one would be too large, as no row depends on another."""
    message = encode_facts(prospect, facts)
    if len(message) <= PART_BYTES:
        return [message]
    rows = sum(map(len, facts[1:]))
    if rows == 1:
        return [message]
    left = rows // 2
    first: list[object] = []
    second: list[object] = []
    for kind in facts[1:]:
        first.append(kind[:left])
        second.append(kind[left:])
        left = max(0, left - len(kind))
    return [
        *_messages_of(prospect, Facts._make([facts.revision, *first])),
        *_messages_of(prospect, Facts._make([facts.revision, *second])),
    ]
