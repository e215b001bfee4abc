"""Forgetting: an identifier that is forgotten keeps nothing, takes nothing in, and tells whom it knew (docs/adr/013).

It is a property of the identifier, noted where its messages come, so replays and events that come late are turned away whatever their order.
An identifier all of whose events go to forgotten ones is forgotten with them. What others' events are decided by, such as the
sign-ins on a shared laptop, stays without names: otherwise events of the one who is forgotten would become somebody else's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from funnel.events import Touch
from funnel.identity import (
    ALIAS,
    ERASED,
    MISSING,
    USER,
    Declared,
    Erased,
    Identity,
    Member,
    Missing,
    Seen,
    StandsFor,
    Way,
    own,
    way_of,
)
from funnel.listed import entries
from funnel.messages import (
    Arrival,
    Declaration,
    Forget,
    Forgotten,
    Handed,
    Membership,
    Message,
    Reset,
    Said,
    Send,
    Sighting,
    SignInsWanted,
)

if TYPE_CHECKING:
    from funnel.history import Kept
    from funnel.reception import Reception


def is_missing(identity: Identity, one: bytes) -> bool:
    """Whether the actor was told that another one is forgotten."""
    return MISSING in identity and MISSING + one in identity


def comes_from_missing(identity: Identity, sender: bytes, start: bytes) -> bool:
    """Whether something was handed over by one that is forgotten, or started there."""
    return is_missing(identity, sender) or is_missing(identity, start)


def names_missing(identity: Identity, touch: Touch) -> bool:
    """Whether an event names an identifier that is forgotten by name."""
    return any(_is_named(identity, one) for _, one in entries(touch.weaker))


def names_kept(identity: Identity, declaration: Declaration) -> tuple[bytes, bytes]:
    """The names of a declaration's weaker and stronger identifier; b"" for one that is forgotten."""
    return (
        b"" if is_missing(identity, declaration.weaker) else declaration.weaker_name,
        b"" if is_missing(identity, declaration.stronger) else declaration.stronger_name,
    )


def forget(reception: Reception, erased: Erased) -> None:
    """Be forgotten from now on. What goes, goes once everything is taken in (`settle`)."""
    reception.note(ERASED, erased)


def turn_away(reception: Reception, message: Message) -> None:
    """Take a message to one that is forgotten."""
    erased = _erased(reception.identity)
    if isinstance(message, Arrival):
        reception.forgotten += 1
    elif isinstance(message, Handed):
        reception.answers.add(message.sender)
    elif isinstance(message, Said):
        statement = message.statement
        if isinstance(statement, Forget) and statement.named > erased.named:
            forget(reception, Erased(*statement))
        elif isinstance(statement, Sighting):
            if erased.named:
                reception.answers.add(statement.sender)
            else:
                key = b"s" + statement.sender + statement.slot
                known = reception.identity.get(key)
                if not isinstance(known, Seen) or known.revision < statement.revision:
                    reception.note(key, Seen(statement.revision, *statement.order, b"", statement.stronger))
        elif isinstance(statement, Membership | Reset):
            reception.answers.add(statement.sender)
        elif isinstance(statement, Declaration):
            reception.answers |= {statement.weaker} - {reception.me}
        elif isinstance(statement, SignInsWanted):
            reception.answers.add(statement.device)


def learn(reception: Reception, told: Forgotten) -> None:
    """Be told that another one is forgotten: let go of its name, of what it handed over, and of events that name it."""
    one, named, book = told
    key = MISSING + one
    known = reception.identity.get(key)
    if isinstance(known, Missing) and known.named >= named:
        return
    reception.note(MISSING, Missing(0, book))
    reception.note(key, Missing(named, book))
    for other, note in list(reception.identity.items()):
        if isinstance(note, Seen) and note.sender_name and other[1:17] == one:
            reception.note(other, note._replace(sender_name=b""))
        elif isinstance(note, Declared) and other[1:17] == one:
            reception.note(other, note._replace(weaker_name=b""))
        elif isinstance(note, Declared) and other[17:33] == one:
            reception.note(other, note._replace(stronger_name=b""))
        elif isinstance(note, Member) and one in (other[1:17], other[17:33]):
            reception.note(other, None)
    leaving = [
        kept
        for kept in reception.history.events
        if one in (kept.sender, kept.start)
        or (named and not kept.sender and any(one == weaker for _, weaker in entries(kept.touch.weaker)))
    ]
    _let_go(reception, leaving)


def settle(reception: Reception) -> None:
    """Once all is taken: let go of what goes to forgotten ones; of everything, where all does."""
    identity = reception.identity
    if ERASED not in identity:
        way = (
            way_of(identity, reception.terms.bounds, reception.terms.opener.clear)
            if reception.notes
            else reception.before.way
        )
        if not way.turns or way.shared:
            return
        if all(is_missing(identity, to) for _, to in way.turns):
            marker = identity[MISSING]
            assert isinstance(marker, Missing)
            forget(reception, Erased(0, marker.book))
        else:
            events = reception.history.events if reception.notes else list(reception.new.values())
            _let_go(reception, [kept for kept in events if is_missing(identity, way.at(kept.touch.occurred_at))])
            return
    if reception.notes.get(ERASED) is not None:
        _let_go_of_everything(reception)


def answers(reception: Reception) -> list[Send]:
    """What to tell those who don't know yet that the actor is forgotten."""
    return [told(reception.me, reception.identity, to) for to in sorted(reception.answers)]


def told(me: bytes, identity: Identity, to: bytes) -> Send:
    """Tell another one that this one is forgotten."""
    erased = _erased(identity)
    return Send(to, Forgotten(me, erased.named, erased.book))


def _let_go(reception: Reception, leaving: list[Kept]) -> None:
    """Without taking back whom they were seen with: that decides whose other events are."""
    if leaving:
        reception.forgotten += sum(not kept.sender for kept in leaving)
        reception.remove(leaving)


def _let_go_of_everything(reception: Reception) -> None:
    me, before = reception.me, reception.before
    erased = _erased(reception.identity)
    known = _known(reception, before.way)
    if erased.named or USER in (own(before.identity).kind, own(reception.identity).kind):
        known.add(erased.book)
    known -= {me, b""}
    _let_go(reception, list(reception.history.events))
    for key, note in list(reception.identity.items()):
        if key == ERASED:
            continue
        if isinstance(note, Seen) and not erased.named and not is_missing(before.identity, key[1:17]):
            # Those who name it may have to be told one day.
            if note.sender_name:
                reception.note(key, note._replace(sender_name=b""))
        else:
            reception.note(key, None)
    reception.sighted.clear()
    reception.asked.clear()
    reception.told = frozenset(known)


def _known(reception: Reception, way: Way) -> set[bytes]:
    """All identifiers that know of this one."""
    known = way.targets
    for key, note in (*reception.before.identity.items(), *reception.identity.items()):
        if isinstance(note, StandsFor):
            known.add(note.stands_for)
        elif key[:1] not in {ALIAS, MISSING}:
            known |= {key[1:17], key[17:33]} if isinstance(note, Declared | Member) else {key[1:17]}
    for (what, whose), _ in reception.before.head.retracted:
        if what in {"reset", "forgotten"}:
            known.add(whose)
        elif what == "sighting":
            known.add(whose[1:17])
    for kept in (*reception.history.events, *reception.before.history.events):
        known |= {kept.sender, kept.start} | {one for _, one in entries(kept.touch.weaker)}
    return known


def _erased(identity: Identity) -> Erased:
    erased = identity[ERASED]
    assert isinstance(erased, Erased)
    return erased


def _is_named(identity: Identity, one: bytes) -> bool:
    note = identity.get(MISSING + one)
    return isinstance(note, Missing) and note.named == 1
