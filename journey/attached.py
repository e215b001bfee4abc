"""Runs a program that ends when the process that started it ends, even by SIGKILL.

A script, started as `python -I -S attached.py PARENT_PID COMMAND...`: it asks the kernel to be killed with its parent
(this survives exec) and becomes COMMAND. Where the kernel can't do that, it stays and watches its parent instead.
Standard library only, as it starts before every child.
"""

import ctypes
import os
import signal
import sys
import time

_PR_SET_PDEATHSIG = 1
_POLL_SECONDS = 0.2


def _main() -> None:
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if os.uname().sysname == "Linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it ended before we asked
            sys.exit(1)
        os.execvp(command[0], command)  # noqa: S606  the whole point
    _watch(parent, command)


def _watch(parent: int, command: list[str]) -> None:
    """Run the command as a child; kill it when the parent is gone, pass SIGTERM on, end as it ends."""
    child = os.spawnvp(os.P_NOWAIT, command[0], command)  # noqa: S606  the command is ours
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            sys.exit(os.waitstatus_to_exitcode(status) & 0xFF)
        if os.getppid() != parent:
            os.kill(child, signal.SIGKILL)
        time.sleep(_POLL_SECONDS)


if __name__ == "__main__":
    _main()
