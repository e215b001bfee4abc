"""`make bench`: everything in one go, half an hour to more than an hour; see `--help` for parts of it."""

from __future__ import annotations

import argparse
import json
import pickle
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markdown import Markdown
from rich.status import Status

from benchmarks import report
from benchmarks.contest import CONTENDERS, PARTITIONS, ContenderFailed, compete
from benchmarks.events import Flow, Keyed, keyed_events, population_events, stitched_events
from benchmarks.growth import grow
from benchmarks.job import ROOT
from benchmarks.pipeline import PipelineWrong, take_turns
from benchmarks.rivals import environment, rivals_python
from benchmarks.stream import load
from benchmarks.truth import expected
from journey.errors import JourneyError
from tests.broker import BrokerError
from tests.faults.kafka import ApacheKafka

EVENTS, PROSPECTS, ROUNDS = 300_000, 20_000, 3
SIZES = (20_000, 200_000, 2_000_000)
PARTS = ("end_to_end", "stitching", "people", "contest", "core", "growth", "crowds", "sink")
GROWTH_EVENTS = 100_000


def main() -> int:
    """Measure; 1 if something could not be, or a contender's facts were wrong."""
    options = _arguments()
    console = Console(stderr=True)
    began = time.monotonic()
    with console.status("starting") as status, tempfile.TemporaryDirectory(prefix="bench-") as work:
        try:
            results = _measure(options, Path(work), _Teller(console, status))
        except (ContenderFailed, PipelineWrong, BrokerError, JourneyError, RuntimeError) as error:
            console.print(str(error), style="red", markup=False)
            return 1
        except KeyboardInterrupt:
            return 130
    path = report.write(results)
    Console().print(Markdown(report.markdown(results)))
    console.print(f"{path.relative_to(ROOT)} written after {time.monotonic() - began:.0f} s")
    return 0


class _Teller:
    """Says what is going on: one line that changes, and one that stays for each thing done."""

    def __init__(self, console: Console, status: Status) -> None:
        self._console, self._status = console, status

    def doing(self, what: str) -> None:
        self._console.print(what, markup=False, highlight=False)
        self._status.update(what)

    def so_far(self, who: str, number: int) -> None:
        self._status.update(f"{who}: {number:,}")


def _measure(options: argparse.Namespace, work: Path, teller: _Teller) -> dict[str, Any]:
    results: dict[str, Any] = {"machine": report.machine(ApacheKafka.name)}
    teller.doing(f"drawing {options.events:,} events")
    events = keyed_events(options.events, options.prospects)
    truth = expected(events)
    flows = {}
    if "end_to_end" in options.parts:
        flows["end_to_end"] = Flow(events, truth.lasting, options.prospects)
    for part, stitched in (("stitching", stitched_events), ("people", population_events)):
        if part in options.parts:
            teller.doing(f"the oracle looks at {options.events:,} events to be stitched")
            flows[part] = stitched(options.events, options.prospects)
    if flows:
        teller.doing(f"end to end, {options.rounds} rounds")
        results |= take_turns(flows, options.rounds, work, teller.so_far)
        report.write(results)
    contenders = [one for one in CONTENDERS if not options.only or one.name in options.only]
    if "contest" in options.parts and any(one.rival for one in contenders):
        rivals_python()
    if "contest" in options.parts or "growth" in options.parts:
        teller.doing("starting Apache Kafka")
        with ApacheKafka(work / "kafka") as broker:
            if "contest" in options.parts:
                broker.create_topics("events", partitions=PARTITIONS)
                load(broker.bootstrap, lambda _: "events", events, PARTITIONS)
                teller.doing(f"{len(contenders)} contenders, {options.rounds} rounds")
                scores = compete(broker, contenders, "events", len(events), truth, options.rounds, teller.so_far)
                results["contest"] = {
                    "events": len(events),
                    "prospects": options.prospects,
                    "rounds": options.rounds,
                    "rows": truth.rows,
                    "digest": truth.digest,
                    "contenders": report.contest_results(scores),
                }
                report.write(results)
            if "core" in options.parts:
                teller.doing("the pure core alone")
                results["core"] = _core(events, work, results)
            if "growth" in options.parts:
                sizes = ", ".join(f"{size:,}" for size in options.sizes)
                teller.doing(f"{sizes} prospects, {options.rounds} rounds")
                results["growth"] = grow(broker, events[-GROWTH_EVENTS:], options.sizes, options.rounds, teller.so_far)
    if "crowds" in options.parts:
        teller.doing("a stream with identifiers of many people, and one without")
        results["crowds"] = _told_by("benchmarks.crowds")
    if "sink" in options.parts:
        teller.doing("the sink alone")
        results["sink"] = _told_by("benchmarks.sink")
    return results


def _core(events: list[Keyed], work: Path, results: dict[str, Any]) -> dict[str, Any]:
    """The core's cost by itself, and its share of our agent's CPU time."""
    place = work / "events"
    place.write_bytes(pickle.dumps([tuple(event) for event in events]))
    found: dict[str, Any] = {name: round(value, 2) for name, value in _told_by("benchmarks.core", str(place)).items()}
    for one in results.get("contest", {}).get("contenders", ()):
        if one["name"] == "ours":
            whole = sorted(one["cpu_us_per_event"])[len(one["cpu_us_per_event"]) // 2]
            found["share"] = round((found["receive_us"] + found["rules_us"]) / whole, 3)
    return found


def _told_by(module: str, *arguments: str) -> dict[str, Any]:
    """What a measurement in a process of its own prints."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment(), check=False)
    if done.returncode:
        raise RuntimeError(f"{module} failed:\n{done.stderr[-3000:]}")
    told: dict[str, Any] = json.loads(done.stdout[done.stdout.index("{") :])
    return told


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--prospects", type=int, default=PROSPECTS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of prospects to grow to")
    parser.add_argument("--only", nargs="+", choices=[one.name for one in CONTENDERS], help="these contenders")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
