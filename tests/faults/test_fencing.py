"""Workers that are stopped for longer than their session and go on afterwards, as if nothing had happened."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.broker import wait_until
from tests.faults.conftest import MakeToys
from tests.toys import Toys, assert_exact, events, expected
from tests.warm import Process

pytestmark = pytest.mark.kafka
FENCED = "another worker has written to "


def stop_clock(worker: Process) -> None:
    """Stop a worker where it is; it notices nothing."""
    os.kill(worker.pid, signal.SIGSTOP)


def go_on(worker: Process) -> None:
    """Let it go on."""
    os.kill(worker.pid, signal.SIGCONT)


def told_what_counts(toys: Toys) -> bool:
    """Whether all that the changelog has is told."""
    outcome = toys.outcome()
    return bool(outcome.counted) and outcome.told == outcome.counted


@pytest.mark.parametrize("without", [(), ("fence",)])
def test_what_a_zombie_delivers_late_counts_for_nothing(
    make: MakeToys, tmp_path: Path, without: tuple[str, ...]
) -> None:
    """Its changes are held back until another worker has taken over and gone on. It ends, and says why; nothing of it is told.

    Without the fence, it puts its older numbers over the newer ones, and tells them.
    """
    toys = make(run_records=100)
    first, second, third = (events(9_000, keys=100)[start::3] for start in range(3))
    released = tmp_path / "released"
    toys.send(first)
    zombie = toys.start(without=without, hold={"after": 8, "until": str(released)})
    wait_until(lambda: "holding changes back" in toys.log(zombie), seconds=40, what="the worker has changes in flight")
    # What it had acknowledged before counts, and it may tell that late: here everything that it tells late would be wrong.
    wait_until(lambda: told_what_counts(toys), seconds=40, what="nothing but what is held back is in flight")
    stop_clock(zombie)
    owner = toys.start(without=without)
    toys.wait_ready(owner)
    toys.send(second)
    toys.wait_told(expected([*first, *second]), seconds=60)

    sent = len(first) + len(second)
    wait_until(lambda: sum(toys.committed().values()) == sent, seconds=40, what="nothing will be told again")
    told = Counter(asyncio.run(toys.read("facts")))
    released.touch()
    go_on(zombie)
    if without:
        wait_until(
            lambda: (
                toys.outcome().counted != expected([*first, *second])
                and Counter(asyncio.run(toys.read("facts"))) != told
            ),
            seconds=30,
            what="what the zombie delivered counts, and is told",
        )
        assert zombie.poll() is None
        return
    assert zombie.wait(30) == 1
    assert FENCED in toys.log(zombie)
    assert toys.log(zombie).count("CRITICAL") == 1
    assert Counter(asyncio.run(toys.read("facts"))) == told

    # The owner repairs it: when the zombie's coming back made the partitions change hands, or else after its own next write.
    toys.send(third)
    everything = [*first, *second, *third]
    exact = expected(everything)

    def told_exactly() -> bool:
        if owner.poll() is not None and len(toys.logs) == 2:
            assert FENCED in toys.log(owner)
            toys.start()
        return toys.outcome().told == exact

    wait_until(told_exactly, seconds=90, what="all is told")
    assert_exact(toys.outcome(), everything)
    assert any("were written by workers that no longer owned the partition" in log.read_text() for log in toys.logs)


def test_workers_stopped_under_load_lose_and_double_nothing(make: MakeToys) -> None:
    """Two workers share the work; one after the other is stopped for longer than its session, and whoever ends is started again."""
    toys = make(run_records=100)
    sent = events(30_000, keys=1_000)

    async def work() -> None:
        sending = asyncio.create_task(toys.send_slowly(sent, padding=100, seconds=45))
        workers = [toys.start(slow=0.02) for _ in range(2)]
        for worker in workers:
            await asyncio.to_thread(toys.wait_ready, worker)
        for _ in range(3):
            stopped = workers[0]
            stop_clock(stopped)
            # Whoever takes over goes on for some time.
            told = await toys.read("facts")
            await asyncio.to_thread(_taken_over, toys, workers[1])
            assert len(await toys.read("facts")) > len(told)
            go_on(stopped)
            await asyncio.sleep(2)  # the moment it goes on, it does whatever it does; the work goes on meanwhile
            workers = [workers[1], stopped]
            for number, worker in enumerate(workers):
                if worker.poll() is not None:
                    assert worker.returncode == 1
                    assert FENCED in toys.log(worker)
                    workers[number] = toys.start(slow=0.02)
                    await asyncio.to_thread(toys.wait_ready, workers[number])
        await sending

    asyncio.run(work())
    assert_exact(toys.wait_told(expected(sent), seconds=120), sent)
    fenced = [log for log in toys.logs if FENCED in log.read_text()]
    assert fenced


def _taken_over(toys: Toys, worker: Process) -> None:
    everything = "ready: " + ", ".join(f"{toys.topic('touches')}-{partition}" for partition in range(toys.partitions))
    wait_until(
        lambda: (
            toys.log(worker).rpartition(" ready: ")[2].startswith(everything[len("ready: ") :])
            or worker.poll() is not None
        ),
        seconds=40,
        what="the other worker has all partitions",
    )
    assert worker.poll() is None, toys.log(worker)
