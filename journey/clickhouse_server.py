"""The program of the embedded ClickHouse's process; started, and explained, by `journey.local_clickhouse`.

Standard library and chdb only: what else its owner needs would cost it a third of the time that it takes to start.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from pathlib import Path

ENDLESS = "SELECT sleepEachRow(0.25) FROM numbers(1000000000)"
"""How the query begins that keeps the server alive. When it is killed, the server ends."""
_SERVE = (
    f"SYSTEM START LISTEN TCP; SYSTEM START LISTEN HTTP; {ENDLESS} "
    "SETTINGS max_block_size = 1, function_sleep_max_microseconds_per_block = 0 FORMAT Null"
)


def _watch() -> None:
    """End when standard input does: our owner is gone. ClickHouse's files are safe at any moment."""
    while sys.stdin.buffer.read(65536):
        pass
    os._exit(0)


def _serve() -> None:
    """Serve from the working directory until standard input ends or the query is cancelled."""
    threading.Thread(target=_watch, daemon=True).start()
    try:
        # Here, not above: only this process has it in memory (500 MB of code).
        _chdb = importlib.import_module("chdb._chdb")
    except ImportError as error:
        sys.exit(
            f"chdb-core is not installed ({error}): pip install 'buyer-journey[local]', "
            "or set JOURNEY_CLICKHOUSE to a server"
        )
    # chdb.query and chdb.connect refuse to listen; the C entry point below them does not.
    _chdb.query(_SERVE, "CSV", path=str(Path("data").resolve()))
    sys.stdout.flush()
    os._exit(0)  # skips the interpreter's way out: server threads may still hold on to what it would free


if __name__ == "__main__":
    _serve()
