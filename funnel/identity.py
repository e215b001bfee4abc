"""What an identifier knows of itself, and where that leads (contract, section 4).

Every identifier owns what was said about it: who was seen with it, what was declared, whom it told. That is a flat
mapping of small notes, each a record of its own in the state, so a change writes what changed. Where events go from here, the
*way*, is derived from the notes and from nothing else; so it can't depend on the order in which they came.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from funnel.events import OrderKey
from funnel.identifiers import KINDS
from funnel.listed import entries
from funnel.messages import Declaration

USER, EMAIL, PHONE, DEVICE = range(len(KINDS))
"""Kinds by number, strongest first."""
BOOK = len(KINDS)
"""The kind of the one actor that is no identifier: the book of aliases."""
BEFORE_ALL: OrderKey = (-1, "", "")
"""Where a declared link stands in the order: before every observed event."""

_Sighting = tuple[int, int, list[tuple[int, bytes]]]
"""Where it stands in time (links: before all), when it came about, and with whom it was seen, the strongest first."""
Clear = Callable[[bytes], str]
"""Opens a sealed name (b"": that of one forgotten); asked only to decide between events at the same place in the order."""


class Own(NamedTuple):
    """Who the identifier is; key `k`."""

    kind: int
    name: bytes
    """Its canonical form, sealed; b"" where nobody said it yet."""
    started: int = 0
    """1 where an event's way started here."""


class Seen(NamedTuple):
    """An event on which it was seen with stronger ones; key `s`, sender, slot."""

    revision: int
    occurred_at: int
    source: str
    event_id: str
    sender_name: bytes
    stronger: bytes
    """b"": taken back."""


class Declared(NamedTuple):
    """The latest declaration about a pair; key `d`, weaker, stronger."""

    occurred_at: int
    source: str
    event_id: str
    type: str
    kind: int
    """Of the stronger one."""
    weaker_name: bytes
    stronger_name: bytes
    linked: int
    """1 where the pair was ever linked."""


class StandsFor(NamedTuple):
    """The book's word on a user_id; key `a`."""

    revision: int
    stands_for: bytes
    since: int


class Member(NamedTuple):
    """An identifier that was handed on to this one; key `m`, sender, identifier."""

    revision: int
    kind: int
    name: bytes


class Taken(NamedTuple):
    """What a sender last took back; key `r`, sender."""

    revision: int
    after_occurred_at: int
    after_source: str
    after_event_id: str


class Told(NamedTuple):
    """The earliest event on which a weaker one was seen with a stronger one, as it was told; key `t`, weaker, stronger."""

    occurred_at: int
    source: str
    event_id: str


class Erased(NamedTuple):
    """The identifier is forgotten; key `x`."""

    named: int
    """As in `Forgotten`."""
    book: bytes


class Missing(NamedTuple):
    """Another identifier is forgotten; key `f`, identifier. Where there is one, key `f` alone has one more."""

    named: int
    book: bytes


class Flag(NamedTuple):
    """Something is so: a device asked for every sign-in (key `q`, device); too many were seen ever (key `o`)."""


Note = Own | Seen | Declared | StandsFor | Member | Taken | Told | Erased | Missing | Flag
Identity = Mapping[bytes, Note]
"""Notes by key; immutable."""
NOBODY: Identity = {}

NOTE_OF: Mapping[bytes, Any] = {
    b"k": Own,
    b"s": Seen,
    b"d": Declared,
    b"a": StandsFor,
    b"m": Member,
    b"r": Taken,
    b"t": Told,
    b"x": Erased,
    b"f": Missing,
    b"q": Flag,
    b"o": Flag,
}
"""What is noted under keys that begin so."""
OWN, ALIAS, OVERRUN, ERASED, MISSING = b"k", b"a", b"o", b"x", b"f"
_NOT_SAID = Own(-1, b"")
LEADING = frozenset(b"ksdaox")
"""First bytes of keys of the notes that the way hangs on; the others are about members, and about what was told or taken back."""
SHOWN = LEADING | frozenset(b"mf")
"""The same of those that the identifier's own rows hang on."""


class Bounds(NamedTuple):
    """How much an identifier knows at most."""

    most_stronger: int = 50
    """Seen with more different stronger ones of one kind than this, it is shared."""
    most_ever: int = 128
    """With more than this it is shared whatever was declared apart ..."""
    most_kept: int = 192
    """... and with more than this for good: it forgets whom it was seen with. Further, so that copies that give way don't decide it."""
    sign_ins: int = 500
    """Sign-ins a device with several people remembers one by one; the latest."""


class Way(NamedTuple):
    """Where an identifier's events go from here."""

    shared: int = 0
    """Of how many stronger ones it is, where that is too many; then its events go nowhere."""
    turns: tuple[tuple[int, bytes], ...] = ()
    """From when on (microseconds) they go to whom; the first also has what is before it. Of all but devices, one at most."""
    since: tuple[tuple[bytes, int], ...] = ()
    """To whom at all, and when (microseconds) the event or declaration that says so occurred first."""

    @property
    def ends(self) -> bool:
        """Whether it ends here: the identifier is a prospect."""
        return not self.turns and not self.shared

    @property
    def now(self) -> bytes:
        """Where the identifier itself belongs; b"" where the way ends."""
        return self.turns[-1][1] if self.turns and not self.shared else b""

    @property
    def targets(self) -> set[bytes]:
        """To whom it leads at any time."""
        return {to for _, to in self.turns}

    def at(self, occurred_at: int) -> bytes:
        """Where an event of this time (microseconds) goes; b"" where it stays."""
        turns = self.turns
        if not turns or self.shared:
            return b""
        if len(turns) == 1:
            return turns[0][1]
        return turns[max(0, bisect_right(turns, occurred_at, key=_when) - 1)][1]


HERE = Way()
"""The way of an identifier that nobody said anything about."""


def own(identity: Identity) -> Own:
    """Who it is."""
    note = identity.get(OWN, _NOT_SAID)
    assert isinstance(note, Own)
    return note


def names(identity: Identity) -> list[tuple[int, bytes]]:
    """The identifier itself, as kind and name, where it is on any event that counts; one only declared is on none."""
    kind, name, started = own(identity)
    if not name or kind == BOOK:
        return []
    if started or OVERRUN in identity:
        return [(kind, name)]
    for note in identity.values():
        if isinstance(note, Seen) and note.stronger:
            return [(kind, name)]
    return []


def senders(identity: Identity) -> set[bytes]:
    """Those whose sightings of it count."""
    return {key[1:17] for key, note in identity.items() if isinstance(note, Seen) and note.stronger}


def wanted(identity: Identity) -> set[bytes]:
    """Of whom a device wants every sign-in: of nobody while there is only one, and nothing is declared."""
    if own(identity).kind != DEVICE or OVERRUN in identity:
        return set()
    found = senders(identity)
    return found if len(found) > 1 or any(isinstance(note, Declared) for note in identity.values()) else set()


def way_of(identity: Identity, bounds: Bounds, clear: Clear) -> Way:
    """Where the notes lead."""
    if own(identity).kind == BOOK or ERASED in identity:
        return HERE
    alias = identity.get(ALIAS)
    if isinstance(alias, StandsFor):
        return _straight(alias.stands_for, alias.since) if alias.stands_for else HERE
    if OVERRUN in identity:
        return Way(bounds.most_ever + 1)
    seen: list[Seen] = []
    declared: dict[bytes, Declared] = {}
    for key, note in identity.items():
        if isinstance(note, Seen):
            seen.append(note)
        elif isinstance(note, Declared):
            declared[key[17:33]] = note
    sightings = _sightings(seen, declared, clear)
    if not sightings and len(identity) <= bounds.most_ever:
        return HERE
    different: defaultdict[int, set[bytes]] = defaultdict(set)
    for _, _, stronger in sightings:
        for kind, one in stronger:
            different[kind].add(one)
    ever = seen_ever(identity) if len(identity) > bounds.most_stronger else 0
    if ever > bounds.most_ever or max(map(len, different.values()), default=0) > bounds.most_stronger:
        return Way(min(ever, bounds.most_ever + 1))
    if not sightings:
        return HERE
    if own(identity).kind == DEVICE:
        return _turning(sightings)
    best = min(different)
    since, to = next((since, one) for _, since, stronger in sightings for kind, one in stronger if kind == best)
    return _straight(to, since)


def seen_ever(identity: Identity) -> int:
    """Different stronger ones of the kind of which there are most, whatever was declared apart."""
    different: defaultdict[int, set[bytes]] = defaultdict(set)
    for key, note in identity.items():
        if isinstance(note, Seen):
            for kind, one in entries(note.stronger):
                different[kind].add(one)
        elif isinstance(note, Declared) and note.linked:
            different[note.kind].add(key[17:33])
    return max(map(len, different.values()), default=0)


def declared_key(declaration: Declaration) -> bytes:
    """The key of what is noted of a declaration."""
    return b"d" + declaration.weaker + declaration.stronger


def _sightings(seen: list[Seen], declared: Mapping[bytes, Declared], clear: Clear) -> list[_Sighting]:
    """All that count, in the order, links first; without what is split."""
    split = {stronger for stronger, note in declared.items() if note.type == "split"}
    links = [(note, stronger) for stronger, note in declared.items() if note.type == "link"]
    if len(links) > 1:
        links.sort(key=lambda link: (*link[0][:3], clear(link[0].stronger_name)))
    found = [
        (note, kept)
        for note in seen
        if (kept := [entry for entry in entries(note.stronger) if not split or entry[1] not in split])
    ]
    if len(found) > 1:
        found.sort(key=lambda seen: seen[0][1:4])
        # One event makes several sightings; only where events of several senders are at one place do names decide.
        if len({note[1:4] for note, _ in found}) < len({note[1:5] for note, _ in found}):
            found.sort(key=lambda seen: (*seen[0][1:4], clear(seen[0].sender_name)))
    return [(BEFORE_ALL[0], note.occurred_at, [(note.kind, one)]) for note, one in links] + [
        (note.occurred_at, note.occurred_at, stronger) for note, stronger in found
    ]


def _straight(to: bytes, since: int) -> Way:
    return Way(turns=((0, to),), since=((to, since),))


def _turning(sightings: list[_Sighting]) -> Way:
    """A device's way: each sign-in leads to the strongest on it."""
    turns: list[tuple[int, bytes]] = []
    first: dict[bytes, int] = {}
    for when, since, stronger in sightings:
        to = stronger[0][1]
        first.setdefault(to, since)
        if not turns or turns[-1][1] != to:
            turns.append((when, to))
    return Way(turns=tuple(turns), since=tuple(sorted(first.items())))


def _when(turn: tuple[int, bytes]) -> int:
    return turn[0]
