"""What goes over `stalled-prospects` and `alert-deliveries`: named tuples of the schemas' fields."""

from __future__ import annotations

import uuid
from typing import NamedTuple

from funnel.alerts import Alert
from schemas.tuples import TupleCodec

WAITING, SENDING, SENT, FAILED, VOID = "waiting", "sending", "sent", "failed", "void"
"""`sending`: it may have arrived. `void`: nobody needs to know any more."""
OVER = frozenset({SENT, FAILED, VOID})
"""Nothing more will be done about these."""


class Delivery(NamedTuple):
    """What became of one alert on its way to one target; a record of the topic `alert-deliveries`. Times are microseconds, UTC."""

    alert_id: bytes
    """16 bytes."""
    step: str
    """See `funnel.alerts.Alert.step`."""
    route: str
    target: str
    prospect_id: bytes
    """16 bytes."""
    funnel: str
    stage: str
    state: str
    due_at: int
    """When it is tried (again)."""
    digest: str
    """Names the message that it goes in together with others; '' where it goes in one of its own."""
    attempts: int
    planned_at: int
    changed_at: int
    error: str
    """Why the last attempt failed, or why there will be none."""
    alert: bytes
    """The message on `stalled-prospects`; empty once it is over, as accounts and names need not be kept twice."""

    @property
    def key(self) -> bytes:
        """What tells it from all others, and what a receiver may know it by."""
        return f"{uuid.UUID(bytes=self.alert_id)}/{self.step}/{self.route}/{self.target}".encode()


ALERTS = TupleCodec("stalled-prospects", Alert)
DELIVERIES = TupleCodec("alert-deliveries", Delivery)
