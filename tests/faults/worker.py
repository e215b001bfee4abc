"""A worker of the real pipeline to which things happen: `python -m tests.faults.worker OPTIONS`, started by `tests.pipeline.Installation`.

`harm` in its options says what, by name (`HARMS`). The pipeline itself knows nothing of it: what is between it and the world is
wrapped, or, for the mutants, one of its rules is taken out.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest
from prometheus_client import start_http_server

from agents import driver
from agents.app import RunApp, run_worker
from agents.batching import Run
from agents.driver import RunDriver, Shipment
from agents.fencing import Tenure
from agents.pipeline import equip
from agents.shipping import Change, Delivery, Headers, Output
from agents.tracing import Span
from funnel.channels import ChannelRules, load_channels
from funnel.definition import load_funnels
from funnel.history import suffix_of
from funnel.messages import Handed
from funnel.reception import Reception
from funnel.rules import RuleSet
from tests.pipeline import configured

CLOCK = "JOURNEY_TEST_CLOCK"
"""Environment variable: how far the wall clock is off (seconds), and when it jumps: `0:3600,4:-3600` is an hour ahead from the start, and an
hour behind from second 4 on. Nothing but this module reads it."""
Harm = Callable[[RunApp, Any], None]


def pace(app: RunApp, seconds: float) -> None:
    """Deliveries take a while, as those of a busy broker do: so kills hit between any two steps."""
    ship, ship_groups = app.shipper.ship, app.shipper.ship_groups

    async def ship_late(outputs: Iterable[Output]) -> None:
        await asyncio.sleep(random.uniform(0, seconds))
        await ship(outputs)
        await asyncio.sleep(random.uniform(0, seconds))

    async def ship_groups_late(
        topic: str, partition: int, groups: Iterable[Sequence[Change]], headers: Headers = ()
    ) -> list[Delivery]:
        await asyncio.sleep(random.uniform(0, seconds))
        deliveries = await ship_groups(topic, partition, groups, headers)
        await asyncio.sleep(random.uniform(0, seconds))
        return deliveries

    app.shipper.ship = ship_late  # type: ignore[method-assign]  # of this worker only
    app.shipper.ship_groups = ship_groups_late  # type: ignore[method-assign]  # of this worker only


def die(app: RunApp, when: dict[str, Any]) -> None:
    """End, as by SIGKILL, right before or after the `number`th shipment that has some of these: {"what", "number", "moment": before or after}.

    What: `touches` (of intake, which names their origin), `statements` (on the same topic, of prospects and timers) or `facts`.
    """
    what, left = when["what"], when["number"]
    topic = app.config.topic("facts" if what == "facts" else "touches")
    ship = app.shipper.ship

    def is_meant(output: Output) -> bool:
        return output.topic == topic and (what == "facts" or bool(output.headers) is (what == "touches"))

    async def ship_or_die(outputs: Iterable[Output]) -> None:
        nonlocal left
        outputs = list(outputs)
        left -= any(map(is_meant, outputs))
        if left <= 0 and when["moment"] == "before":
            os._exit(137)
        await ship(outputs)
        if left <= 0:
            os._exit(137)

    app.shipper.ship = ship_or_die  # type: ignore[method-assign]  # of this worker only


def stall_changelog(app: RunApp, number: int) -> None:
    """From the `number`th on, batches for the changelog are never acknowledged, and nobody says so."""
    deliver, left = app.shipper._deliver, number

    async def deliver_or_not(topic: str, partition: int, batches: Any) -> list[Delivery]:
        nonlocal left
        left -= topic.endswith("changelog")
        if topic.endswith("changelog") and left <= 0:
            await asyncio.Event().wait()
        return await deliver(topic, partition, batches)

    app.shipper._deliver = deliver_or_not  # type: ignore[method-assign]  # of this worker only


def no_disk(app: RunApp, _: Any) -> None:
    """No file can grow any more, as on a full disk. What is printed goes through another process, which may still write."""
    printer = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    assert printer.stdin is not None
    os.dup2(printer.stdin.fileno(), 1)
    os.dup2(printer.stdin.fileno(), 2)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    with pytest.raises(OSError, match="File too large"):
        (app.config.data_dir / "full").write_text("there is room")
    print("HARM: no file can grow", flush=True)


def commit_first(app: RunApp, agent: str) -> None:
    """MUTANT: an agent's runs are committed before what follows from them is sent."""

    async def settle(self: RunDriver, run: Run, shipment: Shipment, tenure: Tenure | None, span: Span | None) -> None:
        if self.name != agent:
            await _settle(self, run, shipment, tenure, span)
            return
        turns = self._turns.setdefault(run.tp, driver._Turns())
        async with turns.changelog:
            if shipment.changelog:
                await self._ship_changelog(run, shipment.changelog, tenure)
        async with turns.outputs:
            app.consumer.settle(run)
            await app.consumer.commit()
            if shipment.outputs:
                await app.shipper.ship(shipment.outputs)
        self._slots.release()

    _settle = RunDriver._settle
    RunDriver._settle = settle  # type: ignore[method-assign]  # in this process only


def facts_first(app: RunApp, _: Any) -> None:
    """MUTANT: facts are sent before the changelog."""

    async def settle(self: RunDriver, run: Run, shipment: Shipment, tenure: Tenure | None, span: Span | None) -> None:
        turns = self._turns.setdefault(run.tp, driver._Turns())
        async with turns.outputs:
            if shipment.outputs:
                await app.shipper.ship(shipment.outputs)
        async with turns.changelog:
            if shipment.changelog:
                await self._ship_changelog(run, shipment.changelog, tenure)
            app.consumer.settle(run)
        self._slots.release()

    RunDriver._settle = settle  # type: ignore[method-assign]  # in this process only


def deaf_to_redeliveries(_: RunApp, __: Any) -> None:
    """MUTANT: a message that was taken in before is taken for a copy that came again by chance."""
    take = Reception.take

    def deaf(self: Any, message: Any) -> None:
        take(self, message)
        self.redelivered = False

    Reception.take = deaf  # type: ignore[method-assign]  # in this process only


def stale_handovers(_: RunApp, than: str) -> None:
    """MUTANT: a handover counts though it is older than what its sender took back since, or than how he handed the event over since."""
    Reception._handed = taking_stale(than)  # type: ignore[method-assign]  # in this process only


def taking_stale(than: str) -> Callable[[Reception, Handed], None]:
    """Give `Reception._handed` without one of its two checks: what is older `than` a "reset", or than another "handover" of the event, counts."""
    take = Reception._handed

    def take_any(self: Reception, handed: Handed) -> None:
        suffix = suffix_of(handed.touch, handed.sender, handed.start)
        known = self.rehanded.get(suffix) or self.history.copy_of(suffix)
        identity = self.identity
        if than == "reset":
            self.identity = {key: note for key, note in identity.items() if key != b"r" + handed.sender}
        elif known is not None:
            self.rehanded[suffix] = known._replace(handed=-1)
        take(self, handed)
        self.identity = identity

    return take_any


HARMS: dict[str, Harm] = {
    harm.__name__: harm
    for harm in (
        *(pace, die, stall_changelog, no_disk),
        *(commit_first, facts_first, deaf_to_redeliveries, stale_handovers),
    )
}


def set_clock(jumps: str) -> None:
    """Let `time.time()` be off by so much; what measures durations is not concerned."""
    plan = sorted((float(at), float(off)) for at, _, off in (jump.partition(":") for jump in jumps.split(",")))
    true_time, begin = time.time, time.monotonic()

    def wrong_time() -> float:
        since = time.monotonic() - begin
        return true_time() + next((off for at, off in reversed(plan) if since >= at), 0.0)

    time.time = wrong_time


def main() -> None:
    """Run a worker as `Installation.start_worker` says."""
    options = json.loads(sys.argv[1])
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("aiokafka").setLevel("ERROR")  # a broker that is away is told of many times a second
    start_http_server(options["metrics_port"], addr="127.0.0.1")
    if jumps := os.environ.get(CLOCK):
        set_clock(jumps)
    worker, pipeline = configured(options)
    rules = RuleSet(load_funnels(pipeline.funnels), channels=ChannelRules(load_channels(pipeline.channels)))

    def equip_and_harm(app: RunApp) -> None:
        equip(app, pipeline, rules)
        for name, how in options.get("harm", {}).items():
            HARMS[name](app, how)

    sys.exit(run_worker(worker, equip_and_harm, without=options.get("without", ())))


if __name__ == "__main__":
    main()
