"""What the command line does not import: people wait for it."""

from __future__ import annotations

import subprocess
import sys


def test_commands_do_not_wait_for_faust() -> None:
    """Only `journey worker` needs Faust, which takes a second to import; lines that are dead letters don't."""
    modules = "journey.cli, journey.runs, journey.sending, journey.upkeep, journey.services, agents.dead_letters"
    check = f"import sys, {modules}; print(sorted({{'faust', 'mode', 'aiokafka'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
