"""The environment of the rivals that can't live in ours."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

from benchmarks.job import ROOT

REQUIREMENTS = ROOT / "benchmarks" / "requirements-rivals.txt"
PLACE = ROOT / ".bench-venv"


def rivals_python() -> Path:
    """The interpreter of that environment, which is made (about a minute) where it is missing or its requirements changed.

    Raises:
        RuntimeError: pip could not install them; the message holds what it printed.
    """
    python = PLACE / "bin" / "python"
    stamp = PLACE / "installed"
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    if python.exists() and stamp.exists() and stamp.read_text() == digest:
        return python
    print("Making .bench-venv for Quix Streams and Bytewax (about a minute) ...", file=sys.stderr, flush=True)
    venv.create(PLACE, clear=True, with_pip=True)
    (PLACE / ".gitignore").write_text("*\n")
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(REQUIREMENTS)]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"pip could not install {REQUIREMENTS.name}:\n{done.stdout}{done.stderr}")
    stamp.write_text(digest)
    return python


def environment() -> dict[str, str]:
    """The environment variables of a contender: this project importable, hashes the same in every run."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0", "PYTHONWARNINGS": "ignore"}
