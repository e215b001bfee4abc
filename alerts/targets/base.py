"""What all targets have in common."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from alerts.render import Text
from funnel.alerts import Alert


class Message(NamedTuple):
    """What goes to a target at once."""

    id: str
    """The same whenever it is sent again: receivers may drop a copy by it."""
    alerts: tuple[Alert, ...]
    text: Text
    """The same for people."""
    digest: bool
    """Whether it holds what was collected; else it is about one alert."""
    now: int
    """The wall clock (microseconds)."""


class Sender(Protocol):
    """Delivers to one target."""

    most_together: int
    """Alerts in one message at most."""

    async def send(self, message: Message) -> None:
        """Deliver.

        Raises:
            NotDelivered: it was not taken, or nobody knows whether it was.
        """

    async def close(self) -> None:
        """Let go of connections."""
