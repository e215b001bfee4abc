"""Runs of records through real workers on a real broker: exact, restartable, and ended by anything that goes wrong."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from journey.ports import free_port
from tests.broker import Tansu, wait_until
from tests.toy_worker import CHANGELOG
from tests.toys import Event, Toys, assert_exact, events, expected

MakeToys = Callable[..., Toys]


@pytest.fixture
def make(tansu: Tansu, tmp_path: Path) -> Iterator[MakeToys]:
    """Toys on the shared embedded broker."""
    made: list[Toys] = []

    def make_toys(**options: Any) -> Toys:
        made.append(Toys(tansu, tmp_path, **options))
        return made[-1]

    yield make_toys
    for toys in made:
        toys.__exit__(None, None, None)


def test_every_event_counts_once_and_a_requested_stop_commits_all(make: MakeToys) -> None:
    """20,000 events with duplicates give exact counts; SIGTERM then ends the worker with 0 and everything committed."""
    toys = make()
    sent = events(20_000)
    toys.send(sent, padding=200)
    worker = toys.start()
    assert_exact(toys.wait_told(expected(sent), seconds=60), sent)
    assert toys.stop(worker) == 0
    assert sum(toys.committed().values()) == len(sent)


def test_a_chain_of_agents_in_one_worker(make: MakeToys) -> None:
    """Two agents of one worker, the second consuming what the first one sends, in small runs."""
    toys = make(run_records=50, queued_runs=2)
    sent = events(4_000)
    toys.send(sent, topic="events")
    worker = toys.start(copier=True)
    assert_exact(toys.wait_told(expected(sent), seconds=60), sent)
    assert toys.stop(worker) == 0
    assert sum(toys.committed("events").values()) == len(sent)


def test_a_restarted_worker_knows_everything_again(make: MakeToys) -> None:
    """State comes back from the changelog whole: the same events again change nothing, new ones count on top."""
    toys = make()
    first, more = events(5_000, seed=1), events(5_000, seed=2)
    toys.send(first)
    worker = toys.start()
    toys.wait_told(expected(first), seconds=60)
    assert toys.stop(worker) == 0

    changes = len(asyncio.run(toys.read(CHANGELOG)))
    worker = toys.start()
    toys.wait_ready(worker)
    toys.send(first)
    wait_until(
        lambda: sum(toys.committed().values()) == 10_000, seconds=40, what="the same events are taken again", every=0.2
    )
    assert len(asyncio.run(toys.read(CHANGELOG))) == changes
    toys.send(more)
    assert_exact(toys.wait_told(expected([*first, *more]), seconds=60), [*first, *more])


def test_workers_come_and_go(make: MakeToys) -> None:
    """A second worker joins under load and the first one leaves: nothing is lost or counted twice."""
    toys = make()
    sent = events(30_000)

    async def sending() -> None:
        task = asyncio.create_task(toys.send_slowly(sent, seconds=6))
        first = toys.start(slow=0.002)
        await asyncio.to_thread(toys.wait_ready, first)
        second = toys.start(slow=0.002)
        await asyncio.to_thread(toys.wait_ready, second)
        assert await asyncio.to_thread(toys.stop, first) == 0
        await task

    asyncio.run(sending())
    assert_exact(toys.wait_told(expected(sent), seconds=90), sent)


def test_a_worker_stops_while_it_waits_for_the_group(make: MakeToys) -> None:
    """SIGTERM before the first assignment ends the worker with 0, too."""
    toys = make()
    worker = toys.start()
    wait_until(lambda: "RunConsumerThread" in toys.log(worker), seconds=20, what="the worker starts")
    assert toys.stop(worker, seconds=11) == 0


@pytest.mark.parametrize("broken", ["facts", "changelog"])
def test_a_failed_delivery_ends_the_worker(make: MakeToys, broken: str) -> None:
    """Records for a partition that does not exist: exit code 1, one line that says so, and nothing committed."""
    toys = make()
    toys.broker.create_topics(toys.topic("narrow"), partitions=1)
    toys.send([event for event in events(500) if event.key[-1] % toys.partitions])
    worker = toys.start(**{broken: "narrow"})
    assert worker.wait(40) == 1
    log = toys.log(worker)
    assert log.count("CRITICAL") == 1
    assert "narrow" in log
    assert sum(toys.committed().values()) == 0


def test_a_silent_broker_ends_the_worker(tmp_path: Path) -> None:
    """A broker that stops answering (SIGSTOP): the delivery under way times out and the worker ends."""
    with Tansu(tmp_path / "broker") as broker, Toys(broker, tmp_path, delivery_timeout=3.0) as toys:
        worker = toys.start(slow=0.05, config={"run_records": 100})
        toys.wait_ready(worker)
        toys.send(events(20_000))
        wait_until(lambda: sum(toys.committed().values()) > 0, seconds=20, what="the worker works")
        os.kill(broker.pid, signal.SIGSTOP)
        try:
            assert worker.wait(40) == 1
        finally:
            os.kill(broker.pid, signal.SIGCONT)
        assert toys.log(worker).count("CRITICAL") == 1


def poisoned() -> tuple[list[Event], list[tuple[bytes, bytes]]]:
    """Good events, and the same ones with one in the middle that the handler can't stand."""
    good = events(2_000, keys=50)
    values = [(event.key, event.event_id) for event in good]
    values.insert(1_000, (good[1_000].key, b"POISON"))
    return good, values


def test_an_exception_in_a_handler_ends_the_worker(make: MakeToys) -> None:
    """A handler that raises: exit code 1 at once, one line that names agent and record, and the offset stays before it."""
    toys = make(run_records=100)
    _, values = poisoned()
    asyncio.run(toys.send_values(values))
    worker = toys.start()
    assert worker.wait(30) == 1
    log = toys.log(worker)
    assert log.count("CRITICAL") == 1
    assert "agent counter failed on <Run" in log
    assert sum(toys.committed().values()) <= 1_000 + 3 * 1_000


def test_without_fail_stop_a_handler_that_raises_goes_unnoticed(make: MakeToys) -> None:
    """Faust restarts the agent and goes on behind the run that failed, whose other events are missing."""
    toys = make(run_records=100)
    good, values = poisoned()
    asyncio.run(toys.send_values(values))
    worker = toys.start(without=["fail-stop"])
    lost_run = {event.event_id for event in good[950:1_050]}

    def went_on() -> bool:
        kept = set().union(*toys.outcome().kept.values())
        return good[-1].event_id in kept and not lost_run <= kept

    wait_until(went_on, seconds=40, what="the worker goes on behind the run that failed")
    assert worker.poll() is None


def listening(pid: int) -> set[int]:
    """TCP ports on which a process listens."""
    inodes = {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()}
    ports = set()
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
            ports.add(int(fields[1].partition(":")[2], 16))
    return ports


@pytest.mark.parametrize("without", [(), pytest.param(("web",), marks=pytest.mark.slow)])
def test_a_worker_listens_on_no_port(make: MakeToys, without: tuple[str, ...]) -> None:
    """No web server, whatever Faust's settings say; it is there when the fix is taken out."""
    toys = make()
    worker = toys.start(without=without, environment={"WEB_PORT": str(free_port()), "WEB_BIND": "127.0.0.1"})
    toys.wait_ready(worker)
    assert bool(listening(worker.pid)) == bool(without)


@pytest.mark.parametrize("without", [(), pytest.param(("decode",), marks=pytest.mark.slow)])
def test_raw_bytes_reach_the_handler(make: MakeToys, without: tuple[str, ...]) -> None:
    """Topics hand on bytes as they are; Faust's own codec throws what it can't decode into the agent, which ends."""
    toys = make()
    sent = events(1_000)
    toys.send(sent)
    worker = toys.start(without=without)
    if without:
        assert worker.wait(40) == 1
        assert toys.outcome().told == {}
    else:
        toys.wait_told(expected(sent), seconds=40)
