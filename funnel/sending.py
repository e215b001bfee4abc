"""What an actor has to tell others: events that go on, what is taken back, whom its events were seen with.

What goes out follows from the states before and after and from nothing else. A receiver counts what was handed over with at least the revision
of the sender's last `Reset`; so what still holds is handed over again before the reset takes back the rest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from funnel import erasure
from funnel.aliases import Aliases, aliases_of
from funnel.history import Kept
from funnel.identity import BOOK, DEVICE, HERE, LEADING, Flag, Identity, Member, Told, Way, names, own, wanted
from funnel.listed import entries, place_of, stronger_of
from funnel.messages import Alias, Handover, Membership, Reset, Send, Sighting, SignInsWanted
from funnel.reception import Reception
from funnel.sightings import EACH, FIRST
from funnel.state import Retracted, State, Terms

_NAMING = frozenset(b"mks")
"""First bytes of keys of the notes that say which identifiers go where this one goes."""
_NO_ALIASES = Aliases({}, frozenset())
_Named = tuple[bytes, int, bytes]
"""Identifier, kind, sealed name."""


class Sending(NamedTuple):
    """What to send, and what of it would have to be said again after a crash though nothing else in the state says so."""

    sends: list[Send]
    retracted: list[Retracted]
    invalid: frozenset[bytes] = frozenset()
    """Keys of declarations that turned out to close a circle."""


def changes(reception: Reception, way: Way) -> Sending:
    """What follows from a reception for others."""
    before = reception.before
    if way is HERE and before.way is HERE and not reception.notes and not reception.sighted and not reception.asked:
        return Sending([], [])
    sends: list[Send] = []
    retracted: list[Retracted] = []
    _tell_sightings(reception, sends, retracted)
    if not LEADING.isdisjoint(reception.noted) and (now := wanted(reception.identity)):
        sends += [Send(one, SignInsWanted(reception.me)) for one in sorted(now - wanted(before.identity))]
    _hand_on(reception, way, sends, retracted)
    invalid = _tell_aliases(reception, sends, retracted)
    return Sending(sends, retracted, invalid)


def everything(me: bytes, state: State, terms: Terms) -> list[Send]:
    """All that an actor has to tell others and that could have been lost."""
    revision, identity, way = state.revision, state.identity, state.way
    names_of = terms.opener.names_of
    sends: list[Send] = []
    owned = {kept.touch.order: kept for kept in state.history.events if not kept.sender and kept.touch.weaker}
    for key, note in identity.items():
        weaker = key[1:17]
        if isinstance(note, Told) and note in owned:
            kept = owned[note]
            kind = next(kind for kind, one in entries(kept.touch.weaker) if one == weaker)
            sends.append(_sighting(me, identity, revision, kind, weaker, FIRST + key[17:], kept, names_of(kept.raw)))
        elif isinstance(note, Flag) and key[:1] == b"q":
            sends += _each(me, identity, revision, weaker, owned.values())
    for what, whose in (pair for pair, _ in state.head.retracted):
        if what == "sighting":
            sends.append(_taken_back(me, identity, revision, whose[0], whose[1:17], whose[17:]))
        elif what == "alias-of":
            sends.append(Send(whose, Alias(revision, b"", 0)))
        elif what == "forgotten":
            sends.append(erasure.told(me, identity, whose))
    sends += [Send(one, SignInsWanted(me)) for one in sorted(wanted(identity))]
    events = _routed(state.history.events, way)
    members = set(_members(me, identity)) if way.now else set()
    after = _after(state)
    targets = {whose for (what, whose), _ in state.head.retracted if what == "reset"} | events.keys() | _for_a_time(way)
    for to in sorted(targets | ({way.now} if members else set())):
        sends += [_handover(me, to, revision, kept) for kept in events[to].values()]
        if to == way.now:
            sends += [_membership(me, to, revision, member) for member in sorted(members)]
        sends.append(Send(to, Reset(me, revision, *after)))
    if own(identity).kind == BOOK:
        stands_for = aliases_of(identity, terms.opener.clear).stands_for
        sends += [Send(one, Alias(revision, to, since)) for one, (to, since) in stands_for.items()]
    return sends


def said_again(sends: Iterable[Send]) -> set[Retracted]:
    """What these sends say that may have been taken back before."""
    found: set[Retracted] = set()
    for to, statement in sends:
        if isinstance(statement, Sighting) and statement.stronger:
            found.add(("sighting", bytes((statement.kind,)) + to + statement.slot))
        elif isinstance(statement, Alias) and statement.stands_for:
            found.add(("alias-of", to))
    return found


def _tell_sightings(reception: Reception, sends: list[Send], retracted: list[Retracted]) -> None:
    me, identity, revision = reception.me, reception.identity, reception.revision
    names_of = reception.terms.opener.names_of
    for (weaker, slot), (kind, kept) in reception.sighted.items():
        if kept is None:
            sends.append(_taken_back(me, identity, revision, kind, weaker, slot))
            retracted.append(("sighting", bytes((kind,)) + weaker + slot))
        else:
            named = names_of(kept.raw) if slot[:1] == FIRST else ()
            sends.append(_sighting(me, identity, revision, kind, weaker, slot, kept, named))
    for device in sorted(reception.asked):
        sends += _each(me, identity, revision, device, reception.history.events)


def _each(me: bytes, identity: Identity, revision: int, device: bytes, events: Iterable[Kept]) -> list[Send]:
    """Every sign-in on a device."""
    return [
        _sighting(me, identity, revision, DEVICE, device, EACH + kept.suffix, kept, ())
        for kept in events
        if device in kept.touch.weaker
        and not kept.sender
        and any(one == device for _, one in entries(kept.touch.weaker))
    ]


def _sighting(
    me: bytes,
    identity: Identity,
    revision: int,
    kind: int,
    weaker: bytes,
    slot: bytes,
    kept: Kept,
    named: tuple[bytes, ...],
) -> Send:
    name = named[place_of(kept.touch, weaker)] if named else b""
    stronger = stronger_of(me, kept.touch, weaker)
    return Send(weaker, Sighting(kind, me, slot, revision, name, own(identity).name, *kept.touch.order, stronger))


def _taken_back(me: bytes, identity: Identity, revision: int, kind: int, weaker: bytes, slot: bytes) -> Send:
    return Send(weaker, Sighting(kind, me, slot, revision, b"", own(identity).name, 0, "", "", b""))


def _hand_on(reception: Reception, way: Way, sends: list[Send], retracted: list[Retracted]) -> None:
    me, before, revision = reception.me, reception.before, reception.revision
    if not way.turns and not before.way.turns:
        return
    if way == before.way and not reception.left and _NAMING.isdisjoint(reception.noted):
        going = ((way.at(kept.touch.occurred_at), kept) for kept in reception.new.values() if kept.touch.matches)
        sends += [_handover(me, to, revision, kept) for to, kept in going if to]
        return
    old, new = _routed(before.history.events, before.way), _routed(reception.history.events, way)
    old_members = set(_members(me, before.identity)) if before.way.now else set()
    new_members = set(_members(me, reception.identity)) if way.now else set()
    after = _after(before)
    introduced = _for_a_time(way) - before.way.targets
    for to in sorted(old.keys() | new.keys() | introduced | ({before.way.now, way.now} - {b""})):
        was, now = old.get(to, {}), new.get(to, {})
        members_were = old_members if to == before.way.now else set()
        members_are = new_members if to == way.now else set()
        leaves = was.keys() - now.keys() or members_were - members_are
        for suffix, kept in now.items():
            if leaves or suffix in reception.new or suffix not in was:
                sends.append(_handover(me, to, revision, kept))
        new_here = members_are if leaves else members_are - members_were
        sends += [_membership(me, to, revision, member) for member in sorted(new_here)]
        if leaves:
            retracted.append(("reset", to))
        if leaves or to in introduced:
            sends.append(Send(to, Reset(me, revision, *after)))


def _routed(events: Iterable[Kept], way: Way) -> defaultdict[bytes, dict[bytes, Kept]]:
    """To whom events go that some funnel cares for."""
    found: defaultdict[bytes, dict[bytes, Kept]] = defaultdict(dict)
    if way.turns and not way.shared:
        for kept in events:
            if kept.touch.matches:
                found[way.at(kept.touch.occurred_at)][kept.suffix] = kept
    return found


def _handover(me: bytes, to: bytes, revision: int, kept: Kept) -> Send:
    return Send(to, Handover(me, revision, kept.start or me, kept.raw))


def _members(me: bytes, identity: Identity) -> list[_Named]:
    """The identifiers that go where this one goes, itself among them."""
    found = [(me, kind, name) for kind, name in names(identity)]
    found += [(key[17:], note.kind, note.name) for key, note in identity.items() if isinstance(note, Member)]
    return found


def _membership(me: bytes, to: bytes, revision: int, member: _Named) -> Send:
    return Send(to, Membership(me, revision, *member))


def _for_a_time(way: Way) -> set[bytes]:
    """Those to whom a device's way led for a time only: a `Reset` tells them of the device, so that they can tell it if they are forgotten."""
    return way.targets - {way.now}


def _after(state: State) -> tuple[int, str, str]:
    """What of the handed-over events stays where it is."""
    return state.head.horizon or (-1, "", "")


def _tell_aliases(reception: Reception, sends: list[Send], retracted: list[Retracted]) -> frozenset[bytes]:
    if not reception.notes or own(reception.identity).kind != BOOK:
        return frozenset()
    clear = reception.terms.opener.clear
    before = reception.before.identity
    old = aliases_of(before, clear) if before else _NO_ALIASES
    new = aliases_of(reception.identity, clear)
    for one, (to, since) in new.stands_for.items():
        if old.stands_for.get(one) != (to, since):
            sends.append(Send(one, Alias(reception.revision, to, since)))
    for one in sorted(old.stands_for.keys() - new.stands_for.keys()):
        sends.append(Send(one, Alias(reception.revision, b"", 0)))
        retracted.append(("alias-of", one))
    return new.invalid - old.invalid
