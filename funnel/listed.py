"""Identifiers in a list, as touches and sightings have them: for each its kind, a byte, and its id."""

from __future__ import annotations

from funnel.events import Touch

ID_BYTES = 16
ENTRY_BYTES = 1 + ID_BYTES


def entries(listed: bytes) -> list[tuple[int, bytes]]:
    """Kind and id of each identifier in a list, as `Touch.weaker` and `Sighting.stronger` have them."""
    return [(listed[at], listed[at + 1 : at + ENTRY_BYTES]) for at in range(0, len(listed), ENTRY_BYTES)]


def pairs_of(me: bytes, touch: Touch) -> list[tuple[bytes, bytes]]:
    """Each weaker identifier of an event with each that is stronger on it, this one's own among them."""
    found = []
    stronger = [me]
    for _, weaker in entries(touch.weaker):
        found += [(weaker, one) for one in stronger]
        stronger.append(weaker)
    return found


def stronger_of(me: bytes, touch: Touch, weaker: bytes) -> bytes:
    """The list of identifiers stronger than one of an event's weaker ones, the strongest first."""
    listed = touch.weaker
    at = next(at for at in range(0, len(listed), ENTRY_BYTES) if listed[at + 1 : at + ENTRY_BYTES] == weaker)
    return bytes((touch.kind,)) + me + listed[:at]


def place_of(touch: Touch, weaker: bytes) -> int:
    """Which of the event's identifiers a weaker one is, the strongest being 0."""
    listed = touch.weaker
    return 1 + next(
        at // ENTRY_BYTES for at in range(0, len(listed), ENTRY_BYTES) if listed[at + 1 : at + ENTRY_BYTES] == weaker
    )
