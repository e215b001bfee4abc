"""`journey console`: the web application, on the configured ClickHouse or the one in the data directory."""

from __future__ import annotations

import socket
from collections.abc import Mapping

from rich.text import Text

from journey.data_dir import DataDir
from journey.errors import JourneyError
from journey.reading import readable
from journey.screen import Screen
from journey.settings import Settings
from journey.telemetry import configure_logging
from journey.wiring import console_config


def console(settings: Settings, screen: Screen) -> int:
    """Serve the console in this process until it is told to stop. Returns the exit code.

    Raises:
        JourneyError: there is nothing to read from, the address is taken, or others could look without a login.
    """
    from console.serving import PortTakenError, run_console

    configure_logging(settings)
    with readable(settings) as found:
        config = console_config(found, _services(settings))

        def say(address: str) -> None:
            screen.out.print(Text(f"Console     {address}\nStop        Ctrl-C"))

        try:
            return run_console(config, say)
        except PortTakenError as error:
            raise JourneyError(
                str(error), hint="choose another with --port or JOURNEY_CONSOLE_PORT; 0 is a free one"
            ) from None


def address_of(host: str, port: int) -> str:
    """For people to open."""
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def answers(host: str, port: int) -> bool:
    """Whether somebody listens there."""
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  where to ask one that listens on all
    try:
        with socket.create_connection((everywhere.get(host, host), port), timeout=1):
            return True
    except OSError:
        return False


def _services(settings: Settings) -> Mapping[str, int]:
    """The processes of a stack that runs in the data directory."""
    running = DataDir(settings.data_dir).running()
    return {str(name): int(port) for name, port in (running or {}).get("metrics", {}).items()}
