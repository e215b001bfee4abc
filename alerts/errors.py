"""What can go wrong in telling people."""

from __future__ import annotations


class AlertsError(RuntimeError):
    """Telling people can't go on; the message says what was wrong and what to do."""


class AlertsFileError(AlertsError):
    """`alerts.toml` is wrong; names the file, the key and what was expected."""


class NotDelivered(RuntimeError):
    """A target did not take a message. The message holds no secret."""

    def __init__(self, why: str, *, again: bool = True, after: float | None = None) -> None:
        """Args: why: in a few words; again: whether trying again may help; after: seconds the target asked us to wait."""
        super().__init__(why)
        self.again, self.after = again, after
