"""Whose each event is (contract, section 4), from all of them at once.

Identifiers tell each other what they know, one message after the other, in the running pipeline; here all notes are there at once. What
the notes mean is the same code (`funnel.identity.way_of`, `funnel.aliases`). It depends on no funnel: stitched once, folded as often as one likes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from backtest.gathering import Gathering
from funnel.aliases import aliases_of
from funnel.events import OrderKey, Touch
from funnel.identity import BOOK, DEVICE, OWN, USER, Bounds, Declared, Note, Own, Seen, Way, way_of
from funnel.listed import ENTRY_BYTES, ID_BYTES, entries
from funnel.messages import Declaration

_Seen = dict[bytes, list[OrderKey]]
"""By list of stronger identifiers: the events on which an identifier was seen with exactly these."""


class Stitched(NamedTuple):
    """Whose all events are."""

    histories: dict[bytes, list[Touch]]
    """By prospect, its relevant events, in the order."""
    applied: int
    ignored: int
    """Events that no funnel cares for, ..."""
    shared: int
    """... that some does, but that are nobody's, ..."""
    forgotten: int
    """... and whose prospect is forgotten."""
    invalid: int
    """Links that close a circle: dead letters."""


class _End(NamedTuple):
    """Where a way ends."""

    prospect: bytes
    """b"": it is shared."""
    on: tuple[bytes, ...]
    """All identifiers on it, up to the first that is shared."""


def stitch(gathered: Gathering, bounds: Bounds | None = None) -> Stitched:
    """Stitch what was gathered.

    Args:
        gathered: all of it.
        bounds: of shared identifiers; those of the contract unless given.
    """
    ways, invalid = _ways(gathered, bounds or Bounds())
    ends = _Ends(ways)
    gone = _gone(gathered.forgotten, ways)
    named = {one for one, by_name in gathered.forgotten.items() if by_name}
    histories: dict[bytes, list[Touch]] = {}
    ignored = shared = forgotten = 0
    for touch, start in zip(gathered.touches, gathered.starts, strict=True):
        end = ends.of(start, touch.occurred_at)
        if gone and (
            not gone.isdisjoint(end.on) or start in named or any(one in named for _, one in entries(touch.weaker))
        ):
            forgotten += 1
        elif not touch.matches:
            ignored += 1
        elif not end.prospect:
            shared += 1
        else:
            histories.setdefault(end.prospect, []).append(touch)
    for history in histories.values():
        if len(history) > 1:
            _sort(history, gathered)
    applied = sum(map(len, histories.values()))
    return Stitched(histories, applied, ignored, shared, forgotten, invalid)


def _sort(history: list[Touch], gathered: Gathering) -> None:
    """Put events in the order. Touches begin with their place in it; only where two are at the same one do names decide."""
    history.sort()
    before = history[0]
    for touch in history[1:]:
        if touch[0] == before[0] and touch[:3] == before[:3]:
            history.sort(key=lambda one: (*one[:3], gathered.strongest_of(one)))
            return
        before = touch


class _Ends:
    """Finds where ways end; remembers it of all that don't turn."""

    def __init__(self, ways: dict[bytes, Way]) -> None:
        self._ways = ways
        self._known: dict[bytes, _End] = {}

    def of(self, start: bytes, occurred_at: int) -> _End:
        """Where the way of an event ends."""
        known = self._known.get(start)
        if known is not None:
            return known
        way = self._ways.get(start)
        if way is None:
            end = _End(start, (start,))
        elif way.shared:
            end = _End(b"", (start,))
        else:
            further = self.of(to, occurred_at) if (to := way.at(occurred_at)) else None
            end = _End(start, (start,)) if further is None else _End(further.prospect, (start, *further.on))
            if len(way.turns) > 1:
                return end
        self._known[start] = end
        return end


def _ways(gathered: Gathering, bounds: Bounds) -> tuple[dict[bytes, Way], int]:
    """Where each identifier leads that leads anywhere, and how many links close a circle."""
    kinds, seen = _sightings(gathered.touches, gathered.starts)
    book: dict[bytes, Note] = {OWN: Own(BOOK, b"")}
    declared: dict[bytes, dict[bytes, Note]] = {}
    for declaration in gathered.declared:
        if declaration.kind == declaration.stronger_kind == USER:
            _note(book, declaration)
        else:
            _note(declared.setdefault(declaration.weaker, {}), declaration)
            kinds[declaration.weaker] = declaration.kind
    names = _Names(gathered)
    ways: dict[bytes, Way] = {}
    for one in (*seen, *(one for one in declared if one not in seen)):
        notes: dict[bytes, Note] = {OWN: Own(kinds[one], b""), **declared.get(one, {})}
        for stronger, places in seen.get(one, {}).items():
            sender = stronger[1 : 1 + ID_BYTES]
            for place in places:
                notes[b"s%d" % len(notes)] = Seen(0, *place, sender, stronger)
        ways[one] = way_of(notes, bounds, names.clear)
    aliases = aliases_of(book, names.clear)
    for one, (to, since) in aliases.stands_for.items():
        ways[one] = Way(turns=((0, to),), since=((to, since),))
    return ways, len(aliases.invalid)


def _sightings(touches: Sequence[Touch], starts: Sequence[bytes]) -> tuple[dict[bytes, int], dict[bytes, _Seen]]:
    """The kind of each weaker identifier, and with whom it was seen when.

    Where it doesn't turn, the earliest event with the same ones says it all.
    """
    plans: dict[tuple[bytes, bytes], list[tuple[int, bytes, bytes]]] = {}
    kinds: dict[bytes, int] = {}
    seen: dict[bytes, _Seen] = {}
    for touch, start in zip(touches, starts, strict=True):
        listed = touch.weaker
        if not listed:
            continue
        plan = plans.get((start, listed))
        if plan is None:
            beginning = bytes((touch.kind,)) + start
            plan = plans[start, listed] = [
                (kind, weaker, beginning + listed[: at * ENTRY_BYTES])
                for at, (kind, weaker) in enumerate(entries(listed))
            ]
        place = touch[:3]
        for kind, weaker, stronger in plan:
            kinds[weaker] = kind
            found = seen.setdefault(weaker, {}).setdefault(stronger, [])
            if not found or kind == DEVICE:
                found.append(place)
            elif place < found[0]:
                found[0] = place
    for one, by_stronger in seen.items():
        if kinds[one] == DEVICE and len(by_stronger) == 1:
            for places in by_stronger.values():
                places[:] = [min(places)]
    return kinds, seen


def _note(notes: dict[bytes, Note], declaration: Declaration) -> None:
    """Note a declaration, as who receives it does: the latest counts, and that a pair was ever linked."""
    key = b"d" + declaration.weaker + declaration.stronger
    known = notes.get(key)
    linked = int(declaration.type == "link")
    if isinstance(known, Declared):
        linked |= known.linked
        if (*declaration.order, declaration.type) <= known[:4]:
            notes[key] = known._replace(linked=linked)
            return
    names = (declaration.weaker_name, declaration.stronger_name)
    notes[key] = Declared(*declaration.order, declaration.type, declaration.stronger_kind, *names, linked)


class _Names:
    """Canonical forms, found only where two things are at one place in the order."""

    def __init__(self, gathered: Gathering) -> None:
        self._gathered = gathered
        self._found: dict[bytes, str] = {}
        self._events: dict[bytes, Touch] | None = None

    def clear(self, name: bytes) -> str:
        """The canonical form of an id on which an event starts, or in a sealed name, which is longer than an id."""
        if len(name) != ID_BYTES:
            return self._gathered.clear(name)
        if self._events is None:
            self._events = dict(zip(self._gathered.starts, self._gathered.touches, strict=True))
        if name not in self._found:
            self._found[name] = self._gathered.strongest_of(self._events[name])
        return self._found[name]


def _gone(forgotten: dict[bytes, bool], ways: dict[bytes, Way]) -> set[bytes]:
    """Those who are forgotten, with everyone all of whose events go to them (docs/adr/013)."""
    gone = set(forgotten)
    leading = [(one, way.targets) for one, way in ways.items() if way.turns and not way.shared] if gone else []
    while more := {one for one, to in leading if to <= gone} - gone:
        gone |= more
    return gone
