"""Results as tables for people and as JSON for machines."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.contest import Score

TARGETS = {"faust_idiomatic": 7.0, "quix": 1.5, "bytewax": 1.1, "bare": 0.9}
"""How many times as fast as these ours should be."""
SHARE_OF_CORE = 0.5
END_TO_END = 8_000
STITCHED = 0.6
"""Of the end to end rate, with identities to be stitched."""
CROWDS = 1.1
"""Times the cost of a stream without identifiers of many people."""
FLAT = 1.5
RESULTS = Path(__file__).parent / "results"


def machine(broker: str) -> dict[str, Any]:
    """Where it was measured."""
    packages = ("faust-streaming", "aiokafka", "fastavro", "clickhouse-driver", "chdb-core")
    model = next(
        (line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")), platform.machine()
    )
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": model,
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "compiler": platform.python_compiler(),
        "loop_ms": round(min(_loop() for _ in range(5)) * 1e3),
        "broker": broker,
        "versions": {name: version(name) for name in packages},
    }


def _loop() -> float:
    """Seconds that a million steps of plain Python take. Says how fast machine and interpreter are at the time: builds of the same version differ."""
    began, counts = time.perf_counter(), {}
    for step in range(1_000_000):
        counts[step & 1023] = step
    return time.perf_counter() - began


def contest_results(scores: Sequence[Score]) -> list[dict[str, Any]]:
    """Each contender's runs, and how many times as fast ours is."""
    ours = next((score.rate for score in scores if score.contender.name == "ours"), None)
    found = []
    for score in scores:
        name = score.contender.name
        found.append(
            {
                "name": name,
                "title": score.contender.title,
                "events_per_second": round(score.rate),
                "runs": [round(rate) for rate in score.rates],
                "spread": round((max(score.rates) - min(score.rates)) / score.rate, 3),
                "cpu_us_per_event": [round(cpu, 1) for cpu in score.cpu],
                "peak_mib": round(max(score.peak_mib)),
                "ours_is_times": None if ours is None else round(ours / score.rate, 2),
                "target": TARGETS.get(name),
            }
        )
    return found


def markdown(results: dict[str, Any]) -> str:
    """The tables."""
    told = results["machine"]
    parts = [
        (
            f"Measured {told['at']} on {told['cores']} cores of {told['cpu']}, Python {told['python']}, {told['broker']};"
            f" load of the machine before: {told['load_before']}; a million steps of plain Python take {told['loop_ms']} ms."
        )
    ]
    if contest := results.get("contest"):
        rows = [
            [
                one["title"],
                f"{one['events_per_second']:,}",
                _range(one["runs"]),
                f"{_middle(one['cpu_us_per_event']):.0f}",
                f"{one['peak_mib']:,}",
                _times(one),
            ]
            for one in contest["contenders"]
        ]
        parts += [
            (
                f"**The stateful job**, {contest['events']:,} events, {contest['prospects']:,} prospects; medians of {contest['rounds']};"
                f" all gave the same {contest['rows']:,} rows."
            ),
            table(["contender", "events/s", "runs", "CPU µs/event", "peak MiB", "ours is"], rows),
        ]
    if core := results.get("core"):
        share = (
            f": {core['share']:.0%} of our agent's CPU time (at most {SHARE_OF_CORE:.0%} wanted)"
            if "share" in core
            else ""
        )
        alone = f"{core['receive_us']:.1f} µs an event for `receive` and {core['rules_us']:.1f} µs for the rules"
        parts += [f"**The pure core** takes {alone}{share}."]
    if flow := results.get("end_to_end"):
        parts += [
            (
                f"**End to end**, intake, prospects and sink together, until visible in ClickHouse: {flow['events_per_second']:,} events/s"
                f" ({END_TO_END:,} wanted), {_range(flow['runs'])}."
            )
        ]
    if stitched := results.get("stitching"):
        parts += [
            (
                "**With stitching**: the same stream, but that 60% of the events on the web name only a device, a fifth of these one on"
                f" which somebody signs in later: {_rate(stitched)}{_share(stitched, results, f' ({STITCHED} wanted)')}."
            )
        ]
    if people := results.get("people"):
        parts += [
            (
                "**With people of many identifiers**: up to two accounts, two addresses, four devices and a phone each, some of them shared,"
                f" as much of it anonymous: {_rate(people)}{_share(people, results)}."
            )
        ]
    if crowds := results.get("crowds"):
        parts += [
            (
                f"**Crowds** (a laptop of 40 people, a kiosk of 60, an address of 10,000): intake and prospects take {crowds['times']:.2f} times the"
                f" CPU time an event that they take where nobody shares anything (at most {CROWDS} wanted)."
            )
        ]
    if sink := results.get("sink"):
        alone, whole = sink["decode_and_insert"]["rows_per_second"], sink["kafka_to_clickhouse_rows_per_second"]
        parts += [
            f"**The sink**: {whole:,.0f} rows/s from Kafka to ClickHouse, {alone:,.0f} rows/s of decoding and inserting alone."
        ]
    if growth := results.get("growth"):
        rows = [
            [
                f"{one['prospects']:,}",
                one["events_on"],
                f"{one['events_per_second']:,}",
                f"{one['cpu_us_per_event']:.1f}",
                f"{one['times']:.2f}",
                f"{one['bytes_per_prospect']:,}",
            ]
            for one in growth
        ]
        parts += [
            f"**As prospects grow** ({growth[0]['events_kept_each']} events kept each; flat within {FLAT} wanted for the same events)",
            table(["prospects", "events fall", "events/s", "CPU µs/event", "times", "bytes a prospect"], rows),
        ]
    return "\n\n".join(parts) + "\n"


def write(results: dict[str, Any]) -> Path:
    """results/latest.json and results/latest.md."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "latest.md").write_text(markdown(results))
    path = RESULTS / "latest.json"
    path.write_text(json.dumps(results, indent=2) + "\n")
    return path


def _rate(flow: dict[str, Any]) -> str:
    return f"{flow['events_per_second']:,} events/s, {_range(flow['runs'])}, {flow['prospects']:,} prospects"


def _share(flow: dict[str, Any], results: dict[str, Any], wanted: str = "") -> str:
    """Of what the stream without stitching did in the same turns."""
    return f", {flow['share']:.2f} of the rate beside it{wanted}" if "end_to_end" in results else ""


def _times(one: dict[str, Any]) -> str:
    if one["name"] == "ours" or one["ours_is_times"] is None:
        return ""
    wanted = f" (wanted: {one['target']:g})" if one["target"] else ""
    return f"{one['ours_is_times']:.2f} times{wanted}"


def _range(runs: Sequence[int]) -> str:
    return f"{min(runs):,} to {max(runs):,}"


def _middle(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; all columns but the first hold numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cpuinfo() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return []
