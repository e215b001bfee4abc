"""The realistic events, of people who mostly look around before they sign in."""

from __future__ import annotations

import random
from collections.abc import Sequence

from tests.generators.crowds import ANONYMOUS, SIGN_IN_LATER, Event, Identifiers
from tests.oracle.identity import STRENGTH


def with_sign_ins(seed: int, events: Sequence[Event]) -> list[Event]:
    """The same events, of which those on the web mostly name only a device.

    `ANONYMOUS` of the web's events do; `SIGN_IN_LATER` of these are on the device of somebody who signs in on it later, all others on one
    where nobody ever does, which there is once for each person. The web's other events name the person and the device. On mail and calls
    nothing changes, but that everybody has a name.

    Args:
        seed: of the generator.
        events: as `generate_events` gives them unshuffled: in the order of time, copies (which stay copies) at the end.
    """
    rng = random.Random(seed)
    web: dict[str, Event] = {}
    for event in events:
        if event["channel"] == "web":
            web.setdefault(event["event_id"], event)
    anonymous = {event_id for event_id in web if rng.random() < ANONYMOUS}
    sign_in: set[str] = set()
    before: list[str] = []
    for event_id, event in reversed(web.items()):
        if event_id not in anonymous:
            sign_in.add(_person(event))
        elif _person(event) in sign_in:
            before.append(event_id)
    at_home = set(rng.sample(before, min(len(before), round(len(anonymous) * SIGN_IN_LATER))))

    def whose(event: Event) -> Identifiers:
        person, event_id = _person(event), event["event_id"]
        if event["channel"] == "web" and event_id in anonymous:
            return {"anonymous_id": f"{person} {'at home' if event_id in at_home else 'elsewhere'}"}
        named = {kind: event[kind] for kind in STRENGTH if kind in event and kind != "anonymous_id"}
        found = named or {"email": f"{person}@example.net"}
        return found | {"anonymous_id": f"{person} at home"} if event["channel"] == "web" else found

    return [{name: value for name, value in event.items() if name not in STRENGTH} | whose(event) for event in events]


def _person(event: Event) -> str:
    return next(event[kind] for kind in STRENGTH if kind in event)
