"""What the command line tells people when it can't go on."""

from __future__ import annotations


class JourneyError(Exception):
    """Something the user can act on: what was wrong, where, and what to do.

    The command line prints the message without a traceback and ends with `exit_code`.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        """What to do about it; '' where the message says it."""


class SettingsError(JourneyError):
    """A setting is wrong: says where it was written, its name and what was expected, never its value."""

    exit_code = 2


class StackError(JourneyError):
    """The embedded stack can't start or had to stop."""


class StateError(JourneyError):
    """The data directory holds something that this run may not be mixed with."""
