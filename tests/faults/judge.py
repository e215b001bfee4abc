"""A verifier at work: a process that was not there when things went wrong, and is asked what it makes of what they left."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

SECONDS = 60.0
"""An answer may take so long."""


class Judge:
    """Asks a verifier (`tests.faults.verifier`), and starts another where one has failed. A context manager."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._end()

    async def ask(self, options: Sequence[str]) -> dict[str, Any]:
        """The report.

        Raises:
            TimeoutError: it takes too long.
            RuntimeError: the verifier failed.
        """
        try:
            async with asyncio.timeout(SECONDS):
                answer = await asyncio.to_thread(self._answer, options)
        except TimeoutError:
            self._end()
            raise
        if not answer:
            self._end()
            raise RuntimeError(f"the verifier failed:\n{self._log.read_text()[-3000:]}")
        report: dict[str, Any] = json.loads(answer)
        return report

    def _answer(self, options: Sequence[str]) -> bytes:
        """A line; nothing where it ended."""
        if self._process is None:
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "tests.faults.verifier", "--answer"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(options).encode() + b"\n")
        self._process.stdin.flush()
        return self._process.stdout.readline()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with process:
                process.kill()
