"""The figures of `benchmarks.reports` as tables for people and as JSON for machines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.report import RESULTS, table

REFRESH_SECONDS = 20
REPORT_MILLISECONDS = 300


def markdown(results: dict[str, Any]) -> str:
    """The tables."""
    told, sizes, total = results["machine"], results["sizes"], results["refresh"]
    parts = [
        (
            f"Measured {told['at']} on {told['cores']} cores of {told['cpu']}, chdb-core {told['versions']['chdb-core']} on two threads with at most"
            f" {results['memory_limit_mib']:,} MiB; load of the machine before: {told['load_before']}."
        ),
        (
            f"{sizes['prospects']:,} prospects, {sizes['visits']:,} visits, {sizes['transitions']:,} transitions ({sizes['stored_rows']:,} rows in {sizes['parts']} parts,"
            f" {sizes['bytes'] / 2**30:.1f} GiB), {sizes['raw_events']:,} raw events."
        ),
        (
            f"**Refresh** after {sizes['changed_prospects']:,} prospects changed: {total['seconds']:.1f} s ({REFRESH_SECONDS} wanted), {total['cpu_seconds']:.1f} s of CPU,"
            f" at most {total['peak_mib']:,} MiB for all together. Each alone:"
        ),
        table(
            ["view", "seconds", "CPU seconds", "peak MiB"], [_row(name, one) for name, one in results["views"].items()]
        ),
        "**Once an hour, in the background**, on one thread each, all visits are put together and counted:",
        table(
            ["view", "seconds", "CPU seconds", "peak MiB"],
            [
                _row("visits_rebuilt", results["rebuild"]),
                *(_row(name, one) for name, one in results["counted"].items()),
            ],
        ),
        f"**Reports**, medians of {results['rounds']} ({REPORT_MILLISECONDS} ms wanted), and the same asked of raw events with `windowFunnel`:",
        table(["question", "ms", "of raw events, ms", "times"], [_asked(one) for one in results["questions"]]),
    ]
    return "\n\n".join(parts) + "\n"


def write(results: dict[str, Any]) -> Path:
    """results/reports.json and results/reports.md."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "reports.md").write_text(markdown(results))
    path = RESULTS / "reports.json"
    path.write_text(json.dumps(results, indent=2) + "\n")
    return path


def _row(name: str, one: dict[str, float]) -> list[str]:
    return [name, f"{one['seconds']:.1f}", f"{one['cpu_seconds']:.1f}", f"{one['peak_mib']:,.0f}"]


def _asked(one: dict[str, Any]) -> list[str]:
    raw = one.get("of_raw_events")
    return [
        one["name"],
        f"{one['median']:.0f}",
        f"{raw:,.0f}" if raw else "",
        f"{raw / one['median']:,.0f}" if raw else "",
    ]
