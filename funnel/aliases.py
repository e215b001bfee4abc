"""The book of aliases: which user_id stands for which other one (contract, section 4, 5).

Links of two user_ids can close a circle, and which of them does depends on all of them. So one actor has them all and
decides; user_ids are told. Declarations are made by people and are few.
"""

from __future__ import annotations

from typing import NamedTuple

from funnel.identity import Clear, Declared, Identity
from funnel.listed import ID_BYTES


class Aliases(NamedTuple):
    """What the declarations come to."""

    stands_for: dict[bytes, tuple[bytes, int]]
    """By user_id: the one that stands for it, and when that was declared to have come about (microseconds)."""
    invalid: frozenset[bytes]
    """Keys of the links that would close a circle."""


def aliases_of(identity: Identity, clear: Clear) -> Aliases:
    """The earliest link of a user_id counts, unless it closes a circle with those that count before it."""
    links = [(key, note) for key, note in identity.items() if isinstance(note, Declared) and note.type == "link"]
    links.sort(key=lambda link: link[1][:3])
    places = [note[:3] for _, note in links]
    if len(set(places)) < len(places):
        links.sort(key=lambda link: (*link[1][:3], clear(link[1].weaker_name), clear(link[1].stronger_name)))
    found: dict[bytes, tuple[bytes, int]] = {}
    invalid = set()
    for key, note in links:
        weaker, stronger = key[1 : 1 + ID_BYTES], key[1 + ID_BYTES :]
        if weaker in found:
            continue
        at: bytes | None = stronger
        while at is not None and at != weaker:
            at = found[at][0] if at in found else None
        if at is None:
            found[weaker] = (stronger, note.occurred_at)
        else:
            invalid.add(key)
    return Aliases(found, frozenset(invalid))
