"""Ctrl-C, SIGTERM and a closed terminal: taken up where it is safe, so that things end in order.

An exception at any moment would leave clients in the middle of an answer, useless for settling what was sent. So the
first signal is only noted, and raised where `check` is called or `interruptible` says that nothing can break; the
second is raised at once: who presses Ctrl-C twice wants out.
"""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """What was asked for; made by `orderly_interrupts`."""

    def __init__(self) -> None:
        self.requested = False
        """Whether we were asked to stop."""
        self._may_raise = False

    def check(self) -> None:
        """Raise KeyboardInterrupt where we were asked to stop."""
        if self.requested:
            raise KeyboardInterrupt

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Inside, a signal raises at once: for waiting where nothing can break."""
        self._may_raise = True
        try:
            self.check()
            yield
        finally:
            self._may_raise = False

    def note(self, number: int, _: FrameType | None) -> None:
        """The signal handler."""
        again, self.requested = self.requested, True
        if number == signal.SIGHUP:
            _say_no_more()
            again = False  # terminals send both; the second must not be taken for "give it up"
        if again or self._may_raise:
            raise KeyboardInterrupt


@contextmanager
def orderly_interrupts() -> Iterator[Interrupts]:
    """Note signals inside. What was ignored before (nohup) still is."""
    interrupts = Interrupts()
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, interrupts.note)
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say_no_more() -> None:
    """The terminal is gone: what is still written to it goes nowhere, instead of failing. Files and pipes stay."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        if stat.S_ISCHR(os.fstat(stream).st_mode):
            os.dup2(nowhere, stream)
    os.close(nowhere)
