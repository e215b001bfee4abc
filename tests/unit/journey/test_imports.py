"""What the command line does not import: people wait for it."""

from __future__ import annotations

import subprocess
import sys


def printed(program: str) -> str:
    """What a Python program prints."""
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


def test_commands_do_not_wait_for_faust() -> None:
    """Only `journey worker` needs Faust, which takes a second to import; lines that are dead letters don't. Nor for what tells logs."""
    modules = "journey.cli, journey.runs, journey.sending, journey.upkeep, journey.services, agents.dead_letters"
    slow = "{'faust', 'mode', 'aiokafka', 'structlog', 'cryptography'}"
    assert printed(f"import sys, {modules}; print(sorted({slow} & set(sys.modules)))") == "[]\n"


def test_nobody_waits_for_a_table_of_all_dates() -> None:
    """clickhouse-driver makes one when it is imported, unless told otherwise before; dates come and go all the same."""
    for importing in ("journey.clickhouse", "sinks.clickhouse"):
        dates = "from clickhouse_driver.columns.datecolumn import _date_lut as dates"
        assert printed(f"import {importing}; {dates}; print(len(dates), dates[20_000])") == "0 2024-10-04\n"
