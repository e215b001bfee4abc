"""The set of distinct events a prospect keeps, in the order, and how far back it reaches (contract, section 3)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from hashlib import blake2b
from itertools import groupby
from typing import NamedTuple

from funnel.durations import MICROSECONDS
from funnel.events import OrderKey, Touch


class Limits(NamedTuple):
    """How much history a prospect keeps."""

    lateness: int = 90 * 86_400 * MICROSECONDS
    """Microseconds behind the prospect's newest event."""
    events: int = 1_000
    """Relevant ones; and as many others, which are kept only to recognise their copies."""


class Kept(NamedTuple):
    """An event in a prospect's state."""

    touch: Touch
    raw: bytes
    """The touch as it came."""
    position: int
    """Offset of the message it came with."""
    revision: int
    """The prospect's revision that took it in."""
    suffix: bytes
    """What tells the event's record from the prospect's others, and its copies by: see `suffix_of`."""
    sender: bytes = b""
    """Who handed it over; b"" where its way started here ..."""
    start: bytes = b""
    """... and where it started else."""
    handed: int = 0
    """The sender's revision that handed it over last."""


Strongest = Callable[[bytes], str]
"""Canonical form of the strongest identifier of an event, from its touch: decides between events that are at the same place in
the order otherwise, which is rare."""


EVENT_SUFFIX = 8
"""Bytes of what `suffix_of` gives."""


def suffix_of(touch: Touch, sender: bytes = b"", start: bytes = b"") -> bytes:
    """Eight bytes that copies of an event share and no other event of its prospect has, as handed over by one sender."""
    return blake2b(sender + start + f"{len(touch[1])} {touch[1]}{touch[2]}".encode(), digest_size=EVENT_SUFFIX).digest()


def in_order(events: Iterable[Kept], strongest: Strongest) -> list[Kept]:
    """Events in the order."""
    found: list[Kept] = []
    for _, same in groupby(sorted(events, key=_order), key=_order):
        tied = list(same)
        if len(tied) > 1:
            tied.sort(key=lambda kept: strongest(kept.raw))
        found += tied
    return found


class Unread(NamedTuple):
    """Events of which only so much is known as most new ones ask for; what they are is read where it matters."""

    suffixes: Container[bytes]
    """Of all of them; never changes."""
    size: int
    """How many; at least 1."""
    oldest: int
    """When the first of them occurred (microseconds)."""
    last: OrderKey
    read: Callable[[], list[Kept]]
    """All of them, in the order."""


class History:
    """Distinct events in the order. Immutable; extending it at its end costs the same however long it is.

    Histories that grew from one another share a list and an index, and each looks only at as many events as it
    has: so the longer one can be made by appending, and the shorter one never notices.
    """

    __slots__ = ("_count", "_index", "_shared", "_unread")

    def __init__(self, events: Iterable[Kept] = (), unread: Unread | None = None) -> None:
        """Args: events: in the order, distinct; unread: those before them."""
        self._shared = list(events)
        self._index = {kept.suffix: kept for kept in self._shared}
        self._count = len(self._shared)
        self._unread = unread

    def __len__(self) -> int:
        return self._count + (self._unread.size if self._unread else 0)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, History) and list(self.events) == list(other.events)

    __hash__ = None  # type: ignore[assignment]  # compared by tests, never looked up

    def __repr__(self) -> str:
        return f"History({self.events!r})"

    @property
    def events(self) -> Sequence[Kept]:
        """The events, in the order. To be read only."""
        if self._unread is not None:
            self._read(self._unread)
        return self._shared if len(self._shared) == self._count else self._shared[: self._count]

    def beyond(self, number: int) -> Sequence[Kept]:
        """All events but the first so many. To be read only."""
        unread = self._unread.size if self._unread is not None else 0
        return self._shared[number - unread : self._count] if number >= unread else self.events[number:]

    def _read(self, unread: Unread) -> None:
        """Know every event from now on; those who share the list go on as they were."""
        self._shared = [*unread.read(), *self._shared[: self._count]]
        self._index = {kept.suffix: kept for kept in self._shared}
        self._count, self._unread = len(self._shared), None

    def copy_of(self, suffix: bytes) -> Kept | None:
        """The event with this suffix."""
        if self._unread is not None and suffix in self._unread.suffixes:
            self._read(self._unread)
        kept = self._index.get(suffix)
        if kept is None or self._count == len(self._shared):
            return kept
        if self._count and kept.touch[:3] <= self._shared[self._count - 1].touch[:3]:
            return kept
        return None  # a longer history has it

    @property
    def last(self) -> OrderKey | None:
        """Where the event that sorts last stands in the order."""
        if self._count:
            return self._shared[self._count - 1].touch.order
        return self._unread.last if self._unread else None

    def with_event(self, kept: Kept, strongest: Strongest) -> History:
        """With one event more, which is no copy of another."""
        last, order = self.last, kept.touch[:3]
        if last is not None and order <= last:
            unread = self._unread if self._unread is not None and order > self._unread.last else None
            events = self.events if unread is None else self._shared[: self._count]
            at = bisect_left(events, order, key=_order)
            while (
                at < len(events) and events[at].touch[:3] == order and strongest(events[at].raw) < strongest(kept.raw)
            ):
                at += 1
            return History([*events[:at], kept, *events[at:]], unread)
        if len(self._shared) != self._count:
            return History([*self._shared[: self._count], kept], self._unread)
        longer = History.__new__(History)
        longer._shared, longer._index, longer._count = self._shared, self._index, self._count + 1
        longer._unread = self._unread
        self._shared.append(kept)
        self._index[kept.suffix] = kept
        return longer

    def without(self, leaving: Iterable[Kept]) -> History:
        """Without some of its events."""
        gone = {kept.suffix for kept in leaving}
        return History(kept for kept in self.events if kept.suffix not in gone)

    def with_replaced(self, others: Mapping[bytes, Kept]) -> History:
        """With other notes (by suffix) of events that are in it, at the same places."""
        return History(others.get(kept.suffix, kept) for kept in self.events)

    def folded(self, limits: Limits) -> int:
        """How many events, from the first, are older than the history to keep: what they led to is for good.

        The last of them is relevant. Events that no funnel cares for may be forgotten before (`excess_ignored`), so
        what is folded, and with it what comes too late, never hangs on one of them.
        """
        lateness, most = limits
        if self._unread is not None:
            newest = self._shared[self._count - 1][0][0] if self._count else self._unread.last[0]
            if len(self) <= most and self._unread.oldest >= newest - lateness:
                return 0
            self._read(self._unread)
        count, shared = self._count, self._shared
        if not count:
            return 0
        oldest = shared[count - 1][0][0] - lateness  # of the touch, its occurred_at: this runs for every event
        folded = bisect_left(shared, oldest, 0, count, key=_occurred_at) if shared[0][0][0] < oldest else 0
        if count - folded > most:
            relevant = 0
            for at in range(count - 1, folded - 1, -1):
                relevant += shared[at].touch.matches != 0
                if relevant > most:
                    return at + 1
        while folded and not shared[folded - 1].touch.matches:
            folded -= 1
        return folded

    def horizon(self, limits: Limits) -> OrderKey | None:
        """The last event that is folded for good but still in here; None where there is none."""
        folded = self.folded(limits)
        return self._shared[folded - 1].touch.order if folded else None

    def excess_ignored(self, limits: Limits) -> list[Kept]:
        """The oldest events relevant to no funnel, beyond as many as may be kept."""
        if len(self) <= limits.events:
            return []
        ignored = [kept for kept in self.events if not kept.touch.matches]
        return ignored[: max(0, len(ignored) - limits.events)]


def _occurred_at(kept: Kept) -> int:
    return kept.touch.occurred_at


def _order(kept: Kept) -> OrderKey:
    return kept.touch[:3]
