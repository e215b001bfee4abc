"""What a prospect's history is made of."""

from __future__ import annotations

from typing import Any, NamedTuple

Event = dict[str, Any]
"""An accepted event as decoded: the common and channel fields by name, plus `channel`.

`occurred_at` is an int (microseconds since the epoch, UTC), `amount` a `decimal.Decimal`,
`duration_seconds` an int, `properties` a dict of strings; everything else a string. Absent is None.
"""

OrderKey = tuple[int, str, str]
"""Where an event stands in *the order* (contract, section 1): occurred_at, source, event_id."""


class Touch(NamedTuple):
    """An accepted event as its prospect keeps it: no clear identifiers, rules already matched.

    Strings are '' where the event has none.
    """

    occurred_at: int
    """Microseconds since the epoch, UTC."""
    source: str
    event_id: str
    channel: str
    type: str
    campaign: str
    account_id: str
    """Trimmed."""
    amount: int
    """Hundredths of `currency`; 0 where the event has none."""
    currency: str
    reason: str
    outcome: str
    rep: str
    matches: int
    """Bit i is set where clause i of the rule set matches (see `funnel.rules`); 0: no funnel cares."""
    rules: int
    """Fingerprint (signed 64 bits) of the rule set that `matches` speaks of."""
    kind: int = 0
    """Of the event's strongest identifier, where its way starts: its place in `funnel.identifiers.KINDS`."""
    weaker: bytes = b""
    """The event's other identifiers, the strongest first: for each its kind (a byte) and its id (16 bytes)."""
    channel_group: str = ""
    """See `funnel.channels`."""
    body: bytes = b""
    """The event's original bytes, sealed. Opened only to decide between copies that differ, to name identifiers, and for dead letters."""

    @property
    def order(self) -> OrderKey:
        """The touch's place in the order."""
        return self[:3]
