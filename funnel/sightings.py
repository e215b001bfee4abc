"""Whom an actor's own events were seen with, and what of that the weaker ones are told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from funnel.history import Kept
from funnel.identity import Told
from funnel.listed import entries, pairs_of

if TYPE_CHECKING:
    from funnel.reception import Reception

FIRST, EACH = b"f", b"e"
"""How slots of sightings begin: the earliest with a stronger one, whose id follows; each event, whose suffix follows."""


def see(reception: Reception, kept: Kept) -> None:
    """Tell the weaker ones of an event that is new: of the earliest with each, and of every sign-in where a device asked."""
    touch, order = kept.touch, kept.touch.order
    stronger = [reception.me]
    for kind, weaker in entries(touch.weaker):
        for one in stronger:
            key = b"t" + weaker + one
            told = reception.identity.get(key)
            if not isinstance(told, Told) or order < told:
                reception.note(key, Told(*order))
                reception.sighted[weaker, FIRST + one] = (kind, kept)
        if b"q" + weaker in reception.identity:
            reception.sighted[weaker, EACH + kept.suffix] = (kind, kept)
        stronger.append(weaker)


def unsee(reception: Reception, kept: Kept) -> None:
    """One of the actor's own events gave way to a copy: what it told of others may have to be taken back."""
    stronger = [reception.me]
    for kind, weaker in entries(kept.touch.weaker):
        for one in stronger:
            if reception.identity.get(b"t" + weaker + one) == kept.touch.order:
                reception.recount[weaker, one] = kind
        if b"q" + weaker in reception.identity:
            reception.sighted[weaker, EACH + kept.suffix] = (kind, None)
        stronger.append(weaker)


def count_again(reception: Reception) -> None:
    """Find the earliest of the events that are left, where it went."""
    earliest: dict[tuple[bytes, bytes], Kept] = {}
    for kept in reversed(reception.history.events):
        if not kept.sender:
            for pair in pairs_of(reception.me, kept.touch):
                earliest[pair] = kept
    for pair, kind in reception.recount.items():
        weaker, one = pair
        key = b"t" + weaker + one
        first = earliest.get(pair)
        if first is None:
            reception.note(key, None)
            reception.sighted[weaker, FIRST + one] = (kind, None)
        elif reception.identity.get(key) != first.touch.order:
            reception.note(key, Told(*first.touch.order))
            reception.sighted[weaker, FIRST + one] = (kind, first)
