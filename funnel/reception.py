"""Taking messages in: what they change of an actor's events and notes, before anything is told of it."""

from __future__ import annotations

from funnel import erasure, sightings
from funnel.events import OrderKey, Touch
from funnel.history import Kept, suffix_of
from funnel.identity import (
    ALIAS,
    BOOK,
    DEVICE,
    ERASED,
    MISSING,
    OVERRUN,
    OWN,
    USER,
    Declared,
    Erased,
    Flag,
    Identity,
    Member,
    Note,
    Own,
    Seen,
    StandsFor,
    Taken,
    declared_key,
    own,
    seen_ever,
)
from funnel.journey import due_at
from funnel.messages import (
    Alias,
    Arrival,
    Declaration,
    Forget,
    Forgotten,
    Handed,
    Membership,
    Message,
    Reset,
    Said,
    Sighting,
    SignInsWanted,
    Tick,
)
from funnel.sightings import EACH
from funnel.state import RulesChanged, State, Terms, fold_all


class Reception:
    """The messages of one run for one actor, taken in one after the other."""

    __slots__ = (
        *("me", "before", "terms", "revision", "position", "as_of", "clock"),
        *("history", "identity", "notes", "new", "gone"),
        *("reordered", "first_change", "redelivered", "too_late", "duplicate"),
        *("entered", "left", "rehanded", "sighted", "recount", "asked", "forgotten", "answers", "told"),
    )

    def __init__(self, me: bytes, before: State, terms: Terms) -> None:
        """Args: me: the actor's own id; before: what it knows."""
        self.me, self.before, self.terms = me, before, terms
        self.revision = before.revision + 1
        self.position, self.as_of = before.position, before.head.as_of
        self.clock = 0
        """The latest wall clock that came."""
        self.history = before.history
        self.identity: Identity = before.identity
        self.notes: dict[bytes, Note | None] = {}
        """Notes that changed; None: it goes."""
        self.new: dict[bytes, Kept] = {}
        """Events whose records must be written, by suffix ..."""
        self.gone: dict[bytes, Kept] = {}
        """... and those whose records must go."""
        self.entered: list[Kept] = []
        self.left: list[Kept] = []
        self.rehanded: dict[bytes, Kept] = {}
        self.reordered = self.redelivered = False
        self.first_change: OrderKey | None = None
        self.duplicate = 0
        self.too_late: list[Arrival | Handed] = []
        self.sighted: dict[tuple[bytes, bytes], tuple[int, Kept | None]] = {}
        """Sightings to tell, by weaker one and slot: its kind, and the event; None: taken back."""
        self.recount: dict[tuple[bytes, bytes], int] = {}
        """(weaker, stronger) whose earliest event went, and the kind of the weaker one."""
        self.asked: set[bytes] = set()
        """Devices that want every sign-in from now on."""
        self.forgotten = 0
        self.answers: set[bytes] = set()
        """Those to be answered that the actor is forgotten."""
        self.told: frozenset[bytes] | None = None
        """All whom a forgotten actor knew and has to tell; None where it has not just been forgotten."""

    @property
    def noted(self) -> set[int]:
        """First bytes of the keys of notes that changed."""
        return {key[0] for key in self.notes}

    def take(self, message: Message) -> None:
        """Take one message."""
        if message.position <= self.before.position:
            self.redelivered = True
        elif message.position > self.position:
            self.position = message.position
        if ERASED in self.identity:
            erasure.turn_away(self, message)
        elif isinstance(message, Arrival):
            self._arrive(message)
        elif isinstance(message, Handed):
            self._handed(message)
        elif isinstance(message, Tick):
            self._tick(message.now)
        else:
            self._said(message)

    # -- events

    def _arrive(self, arrival: Arrival) -> None:
        touch = arrival.touch
        self._check_rules(touch, arrival.position)
        if MISSING in self.identity and erasure.names_missing(self.identity, touch):
            self.forgotten += 1
            return
        suffix = suffix_of(touch)
        known = self.history.copy_of(suffix)
        if known is not None and not self._takes_the_place_of(known, arrival):
            self.duplicate += 1
        elif self._is_too_late(touch):
            self.too_late.append(arrival)
        else:
            kept = Kept(touch, arrival.raw, arrival.position, self.revision, suffix)
            if not own(self.identity).started:
                self.note(OWN, Own(touch.kind, self.terms.opener.names_of(arrival.raw)[0], 1))
            if known is not None:
                self.duplicate += 1
                self.remove([known])
                if known.touch.weaker:
                    sightings.unsee(self, known)
            self._insert(kept)
            if touch.weaker:
                sightings.see(self, kept)

    def _handed(self, handed: Handed) -> None:
        touch, sender = handed.touch, handed.sender
        self._check_rules(touch, handed.position)
        if MISSING in self.identity and erasure.comes_from_missing(self.identity, sender, handed.start):
            return
        taken = self.identity.get(b"r" + sender)
        if isinstance(taken, Taken) and handed.revision < taken.revision and touch[:3] > taken[1:]:
            return
        suffix = suffix_of(touch, sender, handed.start)
        known = self.rehanded.get(suffix) or self.history.copy_of(suffix)
        kept = Kept(touch, handed.raw, handed.position, self.revision, suffix, sender, handed.start, handed.revision)
        if known is not None:
            if handed.revision <= known.handed:
                return
            if known.raw == handed.raw:
                self.rehanded[suffix] = self.new[suffix] = kept
                return
            self.remove([known])
        elif self._is_too_late(touch):
            self.too_late.append(handed)
            return
        self._insert(kept)

    def _check_rules(self, touch: Touch, position: int) -> None:
        if touch.rules != self.terms.rules.fingerprint:
            raise RulesChanged(f"the touch at position {position}", touch.rules, self.terms.rules.fingerprint)

    def _takes_the_place_of(self, known: Kept, arrival: Arrival) -> bool:
        """Whether of two copies the one that arrives counts (contract, section 1, "Duplicates")."""
        if arrival.position <= self.before.position:
            return False  # it was judged when it came first
        if arrival.touch.occurred_at != known.touch.occurred_at:
            return arrival.touch.occurred_at < known.touch.occurred_at
        if arrival.raw == known.raw:
            return False
        canonical_of = self.terms.opener.canonical_of
        return canonical_of(arrival.raw) < canonical_of(known.raw)

    def _is_too_late(self, touch: Touch) -> bool:
        folded_for_good = self.before.head.horizon
        if folded_for_good is not None and touch.order <= folded_for_good:
            return True
        horizon = self.history.horizon(self.terms.limits)
        return horizon is not None and touch.order <= horizon

    def _insert(self, kept: Kept) -> None:
        last = self.history.last
        if kept.touch.matches and last is not None and kept.touch.order <= last:
            self.reordered = True
        self._note_change_at(kept.touch)
        self.history = self.history.with_event(kept, self.terms.opener.strongest)
        self.new[kept.suffix] = kept
        self.gone.pop(kept.suffix, None)
        self.entered.append(kept)

    def remove(self, leaving: list[Kept]) -> None:
        """Let go of events."""
        self.history = self.history.without(leaving)
        self.reordered = True
        for kept in leaving:
            self._note_change_at(kept.touch)
            self.new.pop(kept.suffix, None)
            self.rehanded.pop(kept.suffix, None)
            self.gone[kept.suffix] = kept
            self.left.append(kept)

    def _note_change_at(self, touch: Touch) -> None:
        if self.first_change is None or touch.order < self.first_change:
            self.first_change = touch.order

    def _tick(self, now: int) -> None:
        self.clock = max(self.clock, now)
        progress = self.before.progress
        if self.new or self.gone or self.notes:
            progress = fold_all(self.terms.rules, self.before.head, self.history.events)[0]
        dues = [due_at(one, p) for one, p in zip(self.terms.rules.funnels, progress, strict=True)]
        # A clock that expires nothing leaves no trace, so that ticks alone don't make records.
        if any(due is not None and self.as_of < due <= now for due in dues):
            self.as_of = now

    # -- statements

    def _said(self, said: Said) -> None:
        statement = said.statement
        if isinstance(statement, Sighting):
            self._sighting(statement)
        elif isinstance(statement, Membership):
            self._membership(statement)
        elif isinstance(statement, Reset):
            self._reset(statement)
        elif isinstance(statement, SignInsWanted):
            if b"q" + statement.device not in self.identity:
                self.note(b"q" + statement.device, Flag())
                self.asked.add(statement.device)
        elif isinstance(statement, Declaration):
            self._declaration(statement)
        elif isinstance(statement, Alias):
            known = self.identity.get(ALIAS)
            if not isinstance(known, StandsFor) or statement.revision > known.revision:
                self.note(ALIAS, StandsFor(*statement))
                self._is(USER, b"")
        elif isinstance(statement, Forget):
            erasure.forget(self, Erased(*statement))
        elif isinstance(statement, Forgotten):
            erasure.learn(self, statement)
        else:
            raise TypeError(f"a {type(statement).__name__} is taken as a message of its own kind")

    def _is(self, kind: int, name: bytes) -> None:
        """Somebody says what the identifier is."""
        known = own(self.identity)
        if known.kind < 0 or (name and not known.name):
            self.note(OWN, Own(kind, name or known.name, known.started))

    def _sighting(self, sighting: Sighting) -> None:
        self._is(sighting.kind, sighting.name)
        if OVERRUN in self.identity:
            return
        key = b"s" + sighting.sender + sighting.slot
        known = self.identity.get(key)
        if isinstance(known, Seen) and known.revision >= sighting.revision:
            return
        # The name decides between events at one place in the order; of what is taken back, or is forgotten, nothing is to be kept.
        named = sighting.stronger and not erasure.is_missing(self.identity, sighting.sender)
        seen = Seen(sighting.revision, *sighting.order, sighting.sender_name if named else b"", sighting.stronger)
        self.note(key, seen)
        self._bound()
        if sighting.kind == DEVICE and sighting.slot[:1] == EACH:
            self._bound_sign_ins()

    def _bound(self) -> None:
        """Seen with far too many, it is shared for good, and need not remember whom it was seen with."""
        most = self.terms.bounds.most_kept
        if OVERRUN in self.identity or len(self.identity) <= most or own(self.identity).kind == BOOK:
            return
        if seen_ever(self.identity) > most:
            self.note(OVERRUN, Flag())
            for key in [key for key, note in self.identity.items() if isinstance(note, Seen)]:
                self.note(key, None)

    def _bound_sign_ins(self) -> None:
        each = [
            (note[1:4], key) for key, note in self.identity.items() if isinstance(note, Seen) and key[17:18] == EACH
        ]
        if len(each) > self.terms.bounds.sign_ins:
            self.note(min(each)[1], None)

    def _declaration(self, declaration: Declaration) -> None:
        if declaration.stronger == self.me:
            # It concerns the weaker one. That is noted as one that has taken nothing back, to be told if this one is forgotten.
            if b"r" + declaration.weaker not in self.identity:
                self.note(b"r" + declaration.weaker, Taken(0, -1, "", ""))
            return
        if declaration.weaker == self.me:
            self._is(declaration.kind, declaration.weaker_name)
        else:
            self._is(BOOK, b"")
        key = declared_key(declaration)
        known = self.identity.get(key)
        if not isinstance(known, Declared):
            known = None
        note = Declared(
            *declaration.order,
            declaration.type,
            declaration.stronger_kind,
            *erasure.names_kept(self.identity, declaration),
            int(declaration.type == "link" or (known is not None and known.linked)),
        )
        if known is None or note[:4] > known[:4]:
            self.note(key, note)
        elif note.linked > known.linked:
            self.note(key, known._replace(linked=1))
        self._bound()

    def _membership(self, membership: Membership) -> None:
        sender, revision, identifier, kind, name = membership
        taken = self.identity.get(b"r" + sender)
        if isinstance(taken, Taken) and revision < taken.revision:
            return
        if erasure.comes_from_missing(self.identity, sender, identifier):
            return
        key = b"m" + sender + identifier
        known = self.identity.get(key)
        if not isinstance(known, Member) or revision > known.revision:
            self.note(key, Member(revision, kind, name))

    def _reset(self, reset: Reset) -> None:
        key = b"r" + reset.sender
        known = self.identity.get(key)
        if isinstance(known, Taken) and known.revision >= reset.revision:
            return
        self.note(key, Taken(*reset[1:]))
        stays = reset[2:]
        leaving = [
            kept
            for kept in self.history.events
            if kept.sender == reset.sender
            and self.rehanded.get(kept.suffix, kept).handed < reset.revision
            and kept.touch[:3] > stays
        ]
        if leaving:
            self.remove(leaving)
        for member, note in list(self.identity.items()):
            if isinstance(note, Member) and member[1:17] == reset.sender and note.revision < reset.revision:
                self.note(member, None)

    def note(self, key: bytes, note: Note | None) -> None:
        """Note something; None: no more."""
        identity = self.identity
        if not self.notes:
            self.identity = identity = dict(identity)
        assert isinstance(identity, dict)
        self.notes[key] = note
        if note is None:
            identity.pop(key, None)
        else:
            identity[key] = note

    def settle(self) -> None:
        """Once all is taken: count again what must be, and put events handed again in their places."""
        if self.rehanded:
            self.history = self.history.with_replaced(self.rehanded)
        if self.recount:
            sightings.count_again(self)
        if MISSING in self.identity or ERASED in self.identity:
            erasure.settle(self)
