"""Runs the command line as people do, and looks after what it leaves behind."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from journey.cli import app
from journey.reading import query as answer_to
from journey.reading import readable
from journey.settings import Settings

ROOT = Path(__file__).parents[2]
SECONDS = 180.0
"""A run takes ten; this is for machines that are busy with other tests."""


def environment(**variables: str) -> dict[str, str]:
    """Ours without settings of the machine's user, and these. Aggregates are refreshed when a command does it, which nearly all tests look at."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("JOURNEY_")}
    return {**clean, "PYTHONPATH": str(ROOT), "JOURNEY_REFRESH_EVERY": "1h", **variables}


def hear_signals() -> None:
    """Run in a child before its program: whoever runs the tests in the background may have had these ignored, which is inherited."""
    for one in (signal.SIGINT, signal.SIGHUP):
        signal.signal(one, signal.SIG_DFL)


def start(arguments: Iterable[str], cwd: Path, **variables: str) -> subprocess.Popen[str]:
    """A command that runs; both outputs are pipes."""
    return subprocess.Popen(
        [sys.executable, "-m", "journey", *arguments],
        cwd=cwd,
        env=environment(**variables),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        preexec_fn=hear_signals,
    )


def journey(*arguments: str, cwd: Path, stdin: str = "", code: int = 0, env: Mapping[str, str] | None = None) -> str:
    """A command's output, both kinds; fails unless it ends with this code."""
    process = start(arguments, cwd, **(env or {}))
    try:
        out, err = process.communicate(stdin, timeout=SECONDS)
    finally:
        process.kill()
    assert process.returncode == code, (
        f"journey {' '.join(arguments)} ended with {process.returncode}, expected {code}:\n{out}\n{err}"
    )
    return out + err


def ask(*arguments: str, cwd: Path, code: int = 0, env: Mapping[str, str] | None = None) -> str:
    """The same in this process, for commands that start nothing: to start Python for each costs a second, most of it imports.

    Which of them work as processes, too, and what those print, `tests/e2e/test_docs.py` and `test_no_command_tells_a_secret` say.
    """
    before, hook = dict(os.environ), sys.excepthook
    # What writes bytes goes past the text layer, as on a real standard output.
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    os.environ.clear()
    os.environ.update(environment(**(env or {})))
    try:
        with chdir(cwd), redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            app(arguments, prog_name="journey")
    finally:
        os.environ.clear()
        os.environ.update(before)
        sys.excepthook = hook
    told = "".join(stream.buffer.getvalue().decode(errors="replace") for stream in (out, err))
    assert (ended.value.code or 0) == code, f"journey {' '.join(arguments)} ended with {ended.value.code}:\n{told}"
    return told


def readable_in(directory: Path) -> AbstractContextManager[Settings]:
    """Settings with the ClickHouse of a data directory, which runs inside; commands that read, and tests, use that one and start none."""
    return readable(Settings(data_dir=directory, clickhouse=SecretStr("")))


def rows(query: str, cwd: Path, data_dir: str) -> list[dict[str, Any]]:
    """What `journey sql` says; asked in this process, as to start one for each question costs more than the answer."""
    with readable_in(cwd / data_dir) as found:
        answer = b"".join(answer_to(found, query, "JSONEachRow", colors=False))
    return [json.loads(line) for line in answer.splitlines()]


def wait_until(condition: Callable[[], Any], what: str, seconds: float = SECONDS) -> Any:
    """What the condition gives as soon as it is true; fails after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
        time.sleep(0.05)
    return found


def descendants(pid: int) -> set[int]:
    """The processes that a process started, and those that they started."""
    parent_of = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent_of[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
    found: set[int] = set()
    while new := {child for child, parent in parent_of.items() if parent in found | {pid}} - found:
        found |= new
    return found


def alive(pids: Iterable[int]) -> set[int]:
    """Those of the processes that still run (zombies don't)."""
    running = set()
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state != "Z":
            running.add(pid)
    return running


def event(event_id: str, channel: str, type_: str, occurred_at: str, **fields: Any) -> str:
    """A line of NDJSON."""
    return json.dumps(
        {
            "event_id": event_id,
            "source": "test",
            "channel": channel,
            "type": type_,
            "occurred_at": occurred_at,
            **fields,
        }
    )
