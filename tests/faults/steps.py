"""What goes wrong with workers and with what they keep. Each function is the fault of one scenario; when it returns, the fault is over."""

from __future__ import annotations

import asyncio
import os
import signal
from itertools import product
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import OffsetAndMetadata

from agents.fencing import epoch_headers
from agents.partitioning import partition_of
from agents.shipping import Headers
from tests.faults.evidence import CHANGELOG, TOUCHES, committed_offsets
from tests.faults.fleet import owned, tail, until
from tests.faults.worker import CLOCK
from tests.pipeline import PARTITIONS, TOPIC_OF_CHANNEL, Worker
from tests.translation import prospect_of

if TYPE_CHECKING:
    from tests.faults.trial import Trial, Verdict

ALL_PARTITIONS = PARTITIONS * (len(TOPIC_OF_CHANNEL) + 1)
"""Source partitions that a lone worker owns."""


async def some_time(trial: Trial, least: float, most: float) -> None:
    """Let the work go on for a moment of chance: the moment is the test's input, nothing is waited for."""
    await asyncio.sleep(trial.rng.uniform(least, most))


async def committed_more(trial: Trial, than: int = 0, *, seconds: float = 30.0) -> int:
    """Wait until workers have committed more than so many records; how many it is now."""
    total = 0

    async def more() -> bool:
        nonlocal total
        prefix = trial.installation.prefix
        offsets = await committed_offsets(trial.servers.kafka.bootstrap, f"{prefix}journey", prefix)
        total = sum(offsets.values())
        return total > than

    await until(more, seconds=seconds, what=f"more than {than} records are committed")
    return total


async def killed(trial: Trial, *, rounds: int = 20) -> None:
    """A worker is killed again and again, first when it is alone, then when a second one takes over. Some die before they own anything."""
    alone = rounds * 2 // 5
    for number in range(rounds):
        if number == alone:
            trial.fleet.start()
        if trial.rng.random() < 0.75:
            await trial.fleet.ready()
            await some_time(trial, 0.0, 1.0)
        else:
            await some_time(trial, 0.2, 3.0)
        ended = len(trial.fleet.ended)
        trial.fleet.kill(trial.rng.choice(trial.fleet.workers))
        if number % 10 == 5:
            await trial.look()
        await until(lambda ended=ended: len(trial.fleet.ended) > ended, seconds=30, what="the killed worker is gone")
    trial.notes["kills"] = len(trial.fleet.ended)
    await trial.fleet.ready()


async def paused(trial: Trial) -> None:
    """One of two workers stops until others have its partitions, and then goes on with what it was doing."""
    for _ in range(2):
        await trial.fleet.ready()
        await some_time(trial, 0.2, 1.0)
        zombie, other = trial.rng.sample(trial.fleet.workers, 2)
        os.kill(zombie.process.pid, signal.SIGSTOP)
        try:
            await until(
                lambda other=other: owned(other) == ALL_PARTITIONS,
                seconds=30,
                what="the other worker has all partitions",
            )
            await some_time(trial, 0.2, 1.0)
        finally:
            os.kill(zombie.process.pid, signal.SIGCONT)
        await some_time(trial, 0.2, 1.0)
        await trial.look()


async def stopped(trial: Trial) -> None:
    """SIGTERM in the middle of the work: it ends within 10 s with everything in order, and another goes on."""
    slowest = 0.0
    for _ in range(2):
        await committed_more(trial)
        await some_time(trial, 0.0, 0.5)
        slowest = max(slowest, await trial.fleet.stop(trial.fleet.workers[0]))
        await trial.look()
        trial.fleet.start()
        await trial.fleet.ready()
    trial.notes["stopped within"] = round(slowest, 1)


async def rolling(trial: Trial) -> None:
    """Three workers are restarted one after the other."""
    for worker in tuple(trial.fleet.workers):
        await trial.fleet.stop(worker)
        trial.fleet.start()
        await trial.fleet.ready()
    assert not trial.fleet.ended, "no worker ends in a rolling restart but those that are told to"


async def scaled(trial: Trial) -> None:
    """From one worker to three, and back to one."""
    await committed_more(trial)
    for _ in range(2):
        trial.fleet.start()
    await trial.fleet.ready()
    await some_time(trial, 0.5, 1.5)
    for _ in range(2):
        await trial.fleet.stop(trial.rng.choice(trial.fleet.workers))
    assert not trial.fleet.ended, "no worker ends in scaling but those that are told to"


async def died_between_steps(trial: Trial) -> None:
    """Workers die right between the changelog and what is told, and between that and the commit."""
    await committed_more(trial, 200)
    trial.fleet.restarting = False
    for what, moment in product(("touches", "statements", "facts"), ("before", "after")):
        ended = len(trial.fleet.ended)
        only(trial, trial.fleet.start({"die": {"what": what, "moment": moment, "number": trial.rng.randrange(5, 15)}}))
        await until(
            lambda ended=ended: len(trial.fleet.ended) > ended, seconds=30, what=f"the worker dies {moment} {what}"
        )
        assert trial.fleet.ended[-1][1] == 137, tail(trial.fleet.ended[-1][0])
        await trial.look()
    trial.fleet.restarting = True
    await trial.fleet.ready()


def only(trial: Trial, chosen: Worker) -> None:
    """All workers but one are killed and do not come back."""
    for worker in tuple(trial.fleet.workers):
        if worker is not chosen:
            trial.fleet.workers.remove(worker)
            worker.process.kill()
            worker.process.wait()


async def changelog_refused(trial: Trial) -> None:
    """The broker takes no batch for the changelog any more: workers end, and nothing is committed, until it does again."""
    await committed_more(trial)
    await _limit_changelog(trial, "100")
    await until(lambda: bool(trial.fleet.ended), seconds=30, what="the worker ends")
    worker, code = trial.fleet.ended[0]
    assert code == 1, tail(worker)
    assert CHANGELOG in tail(worker, 60), "the worker must say what could not be delivered"
    await trial.look()
    await _limit_changelog(trial, str(2 * 1024 * 1024))


async def _limit_changelog(trial: Trial, size: str) -> None:
    from kafka.admin import ConfigResource, ConfigResourceType

    topic = trial.installation.topic(CHANGELOG)
    config = {"cleanup.policy": "compact", "max.message.bytes": size}
    with trial.servers.kafka.admin() as admin:
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, config)])


async def changelog_stalled(trial: Trial) -> None:
    """Batches for the changelog are never acknowledged: the worker ends when its patience does, and nothing is committed meanwhile."""
    await committed_more(trial, 200)
    victim = trial.fleet.start({"stall_changelog": trial.rng.randrange(2, 6)})
    only(trial, victim)
    await until(lambda: bool(trial.fleet.ended), seconds=30, what="the worker ends")
    assert trial.fleet.ended[-1] == (victim, 1), tail(victim)
    assert "not acknowledged within" in tail(victim, 60)
    await trial.look()


async def poison_changelog(trial: Trial) -> None:
    """Somebody wrote into the changelog. What has no epoch is passed over; what claims one is refused by workers until it is deleted."""
    await committed_more(trial, 200)
    prospect = prospect_of(trial.load.events[0])
    key, partition = prospect + b"poison!!", partition_of(prospect, PARTITIONS)
    topic, fleet = trial.installation.topic(CHANGELOG), trial.fleet
    async with AIOKafkaProducer(bootstrap_servers=trial.servers.kafka.bootstrap) as producer:

        async def write(value: bytes | None, headers: Headers = ()) -> None:
            await producer.send_and_wait(topic, value, key, partition=partition, headers=list(headers))

        await write(b"not a record of ours")
        await until(lambda: bool(fleet.ended), seconds=40, what="the worker finds that it isn't alone, and ends")
        assert fleet.ended[0][1] == 1, tail(fleet.ended[0][0])
        await fleet.ready()
        assert "were written by workers that no longer owned" in fleet.workers[0].log.read_text()
        await trial.look()

        await write(b"not a record of ours", epoch_headers(1_000))
        await until(lambda: len(fleet.ended) > 2, seconds=40, what="workers that read the poison end")
        fleet.restarting = False
        await until(lambda: fleet.workers[0].process.poll() is not None, seconds=40, what="the last of them ends")
        await until(lambda: fleet.ended[-1][0] is fleet.workers[0], seconds=30, what="that is noticed")
        assert {code for _, code in fleet.ended} == {1}
        trial.notes["said of the poison"] = _critical(tail(fleet.ended[-1][0], 80))
        await write(None, await _newest_headers(trial, partition))
        fleet.restarting = True


async def _newest_headers(trial: Trial, partition: int) -> Headers:
    """Headers of the last record of a partition of the changelog, which has the highest epoch while no worker runs."""
    tp = TopicPartition(trial.installation.topic(CHANGELOG), partition)
    async with AIOKafkaConsumer(bootstrap_servers=trial.servers.kafka.bootstrap, enable_auto_commit=False) as consumer:
        consumer.assign([tp])
        consumer.seek(tp, (await consumer.end_offsets([tp]))[tp] - 1)
        return (await consumer.getone(tp)).headers


def _critical(log: str) -> str:
    lines = [line for line in log.splitlines() if " CRITICAL " in line]
    assert lines, f"a worker that ends says why:\n{log}"
    return lines[0].partition(" CRITICAL ")[2][:200]


async def as_it_is(trial: Trial) -> None:
    """Nothing beside what the workers are given: they have work."""
    await committed_more(trial)
    await some_time(trial, 1.0, 2.0)


async def disk_full(trial: Trial) -> None:
    """No file can grow on the worker's disk; it may even be killed there."""
    await as_it_is(trial)
    trial.fleet.kill(trial.fleet.workers[0])
    await until(lambda: bool(trial.fleet.ended), seconds=30, what="the killed worker is gone")
    assert "no file can grow" in trial.fleet.ended[0][0].log.read_text()
    await trial.fleet.ready()
    await as_it_is(trial)


async def clock_jumps(trial: Trial) -> None:
    """The clocks of two workers are an hour off, one ahead and one behind, and jump over each other in the middle of the work."""
    for jumps in ("0:3600,5:-3600", "0:-3600,5:3600"):
        trial.fleet.start(environment={CLOCK: jumps})
    await trial.fleet.ready()
    await trial.fleet.stop(trial.fleet.workers[0])
    # Long enough that there is work before and after each has jumped.
    await some_time(trial, 4.0, 5.0)


async def replayed(trial: Trial) -> None:
    """Everything is worked off; then all groups start over at offset 0, and every table stays as it is."""
    before = await _worked_off(trial)
    await _start_over(trial)
    after = await _worked_off(trial)
    assert after.tables == before.tables, f"the replay changed tables: {before.tables} became {after.tables}"
    trial.notes["replayed"] = sum(after.accounting[name] for name in ("consumed",))


async def worked_off_twice(trial: Trial) -> None:
    """The same, for a mutant that may change tables the second time: whether it does is asked afterwards."""
    await _worked_off(trial)
    await _start_over(trial)


async def _worked_off(trial: Trial) -> Verdict:
    trial.load.finish()
    await until(trial.is_drained, seconds=60, what="everything is worked off")
    verdict = await trial.verify()
    assert not verdict.findings, str(verdict)
    return verdict


async def _start_over(trial: Trial) -> None:
    for worker in tuple(trial.fleet.workers):
        await trial.fleet.stop(worker)
    await _rewind(trial)
    trial.fleet.start()
    await trial.fleet.ready()


async def _rewind(trial: Trial) -> None:
    """Offset 0 for all that the workers read."""
    prefix, bootstrap = trial.installation.prefix, trial.servers.kafka.bootstrap
    names = [*TOPIC_OF_CHANNEL.values(), TOUCHES]
    offsets = {
        TopicPartition(prefix + name, partition): OffsetAndMetadata(0, "")
        for name in names
        for partition in range(PARTITIONS)
    }
    group = f"{prefix}journey"
    # One that commits by itself would do so again at its end, and where it stood.
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False) as consumer:
        consumer.assign(list(offsets))
        await consumer.commit(offsets)
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        now = await admin.list_consumer_group_offsets(group)
        assert all(now[tp].offset == 0 for tp in offsets), "the group starts over"
    finally:
        await admin.close()
