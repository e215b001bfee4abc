"""The contest: every contender in turn, round after round, each in a process of its own, on the same events."""

from __future__ import annotations

import json
import selectors
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.harness import Task
from benchmarks.job import ROOT
from benchmarks.rivals import environment, rivals_python
from benchmarks.stream import read_facts
from benchmarks.truth import Digest, digest_of
from tests.broker import Broker

PARTITIONS = 4
STALLED_SECONDS = 120.0


@dataclass(frozen=True)
class Contender:
    """Who takes part."""

    name: str
    title: str
    rival: bool = False
    """Whether it lives in the rivals' environment."""
    changelog: bool = True
    """Whether it needs its changelog made beforehand."""


CONTENDERS = (
    Contender("ours", "buyer-journey (Faust with runs of records)"),
    Contender("faust_idiomatic", "Faust, idiomatic (Record, Table, per event)"),
    Contender("quix", "Quix Streams 3 (stateful apply)", rival=True, changelog=False),
    Contender("bytewax", "Bytewax 0.21 (stateful, recovery every 5 s)", rival=True, changelog=False),
    Contender("bare", "bare aiokafka loop (batch API)"),
)


@dataclass
class Score:
    """A contender's runs."""

    contender: Contender
    rates: list[float] = field(default_factory=list)
    """Events per second."""
    cpu: list[float] = field(default_factory=list)
    """CPU microseconds per event."""
    peak_mib: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """The median."""
        return median(self.rates)


class ContenderFailed(RuntimeError):
    """A contender gave no result, or wrong facts."""


def compete(
    broker: Broker,
    contenders: Sequence[Contender],
    events_topic: str,
    events: int,
    truth: Digest,
    rounds: int,
    progress: Callable[[str, int], None],
) -> list[Score]:
    """Let them take turns.

    Args:
        broker: where the events are.
        contenders: in the order of their turns.
        events_topic: holds them, in `PARTITIONS` partitions.
        events: how many there are.
        truth: what must come out.
        rounds: how many runs each has.
        progress: told (who, events handled).

    Raises:
        ContenderFailed: naming it, with the end of its log.
    """
    scores = [Score(contender) for contender in contenders]
    for number in range(rounds):
        for score in scores:
            result = run(
                broker, score.contender, f"bench-{score.contender.name}-{number}", events_topic, events, truth, progress
            )
            score.rates.append(events / result["seconds"])
            score.cpu.append(result["cpu_seconds"] / events * 1e6)
            score.peak_mib.append(result["peak_mib"])
    return scores


def run(
    broker: Broker,
    contender: Contender,
    group: str,
    events_topic: str,
    events: int,
    truth: Digest,
    progress: Callable[[str, int], None],
) -> dict[str, Any]:
    """One run of one contender, checked."""
    facts, changelog = f"{group}-facts", f"{group}-changelog"
    broker.create_topics(facts, partitions=PARTITIONS)
    if contender.changelog:
        broker.create_topics(changelog, partitions=PARTITIONS, config={"cleanup.policy": "compact"})
    with tempfile.TemporaryDirectory(prefix="bench-") as work:
        task = Task(
            bootstrap=broker.bootstrap,
            events_topic=events_topic,
            facts_topic=facts,
            changelog_topic=changelog,
            group=group,
            events=events,
            partitions=PARTITIONS,
            work_dir=str(Path(work) / "data"),
        )
        python = str(rivals_python()) if contender.rival else sys.executable
        result = watch(
            contender.name,
            [python, "-m", f"benchmarks.contenders.{contender.name}", task.to_json()],
            Path(work) / "log",
            progress,
        )
    found = digest_of(read_facts(broker.bootstrap, facts, PARTITIONS))
    if found != truth:
        raise ContenderFailed(
            f"{contender.name}: {found.rows:,} rows, digest {found.digest}; expected {truth.rows:,} rows, {truth.digest}"
        )
    with broker.admin() as admin:
        admin.delete_topics([facts, *([changelog] if contender.changelog else [])])
    return result


def watch(name: str, command: list[str], log: Path, progress: Callable[[str, int], None]) -> dict[str, Any]:
    """Run a contender's process and collect what it tells, until it ends.

    Raises:
        ContenderFailed: it gave no result, or told nothing for `STALLED_SECONDS`.
    """
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command,
            bufsize=0,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=ROOT,
            env=environment(),
            start_new_session=True,
        )
    assert process.stdout is not None
    result: dict[str, Any] = {}
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while selector.select(STALLED_SECONDS) and (line := process.stdout.readline()):
                if not line.startswith(b"{"):
                    continue  # Faust prints a banner
                result |= json.loads(line)
                progress(name, int(result["done"]))
        process.wait(10 if "seconds" in result else 1)
    except subprocess.TimeoutExpired:
        pass  # killed below; it has told its result, or is stuck
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if "seconds" not in result:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-25:])
        raise ContenderFailed(
            f"{name} gave no result (exit code {process.returncode}, {result.get('done', 0)} events); its log ends:\n{tail}"
        )
    return result
