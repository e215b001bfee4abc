"""The console of an embedded stack: a child of it like worker and sink."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from journey.console_command import address_of, answers
from journey.data_dir import DataDir
from journey.ports import free_port, is_free
from journey.processes import Child, Supervisor
from journey.settings import Settings
from journey.wiring import console_config

_PATIENCE_SECONDS = 30.0
"""How long to wait for it before its address is told all the same."""
_POLL_SECONDS = 0.05


def start_console(settings: Settings, data: DataDir, supervisor: Supervisor, check: Callable[[], None]) -> str:
    """Start it, on a free port where the configured one is taken, and return its address once it answers.

    Args:
        settings: name the stack's ClickHouse.
        data: the stack's directory.
        supervisor: keeps it alive.
        check: called while waiting.

    Raises:
        JourneyError: it would be open to others, or ends again and again.
    """
    host, wanted = settings.console_host, settings.console_port
    port = wanted if wanted and is_free(wanted, host) else free_port()
    settings = settings.model_copy(update={"console_port": port})
    console_config(settings)  # tell what is missing here, not in its log
    command = [sys.executable, "-m", "journey", "console", "--data-dir", str(data.path)]
    supervisor.start(Child("console", command, data.logs / "console.log", settings.environment()))
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not answers(host, port) and time.monotonic() < deadline:
        check()
        time.sleep(_POLL_SECONDS)
    return address_of(host, port)
