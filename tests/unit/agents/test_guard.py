"""What is replaced in Faust is what was looked at; the parts that need no broker to be seen."""

from __future__ import annotations

import asyncio
import importlib.metadata
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from faust.transport.consumer import Consumer
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from faust.types import TP

from agents import guard
from agents.app import RunApp, build_app
from agents.config import WorkerConfig
from agents.transport import RunConsumer, RunConsumerThread

TOUCHES = TP("touches", 0)


@pytest.fixture
async def app(tmp_path: Path) -> RunApp:
    """An app that is not started."""
    return build_app(WorkerConfig(brokers="127.0.0.1:1", app_id="app", data_dir=tmp_path))


def test_other_versions_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the package, both versions, and what to do."""
    monkeypatch.setitem(guard.VERSIONS, "faust-streaming", "0.15.4")
    with pytest.raises(guard.UnsupportedVersion, match=r"faust-streaming 0\.15\.3 is installed.*0\.15\.4 exactly"):
        guard.assert_versions()


def test_the_versions_here_are_the_ones_that_were_examined() -> None:
    """The lock and the guard say the same."""
    guard.assert_versions()
    assert {name: importlib.metadata.version(name) for name in guard.VERSIONS} == guard.VERSIONS


async def test_an_unknown_fix_cannot_be_taken_out(app: RunApp) -> None:
    """A test that takes out a fix by the wrong name would prove nothing."""
    with pytest.raises(KeyError):
        guard.install(app, without=["no such fix"])


async def test_the_first_failure_counts_and_freezes_everything(app: RunApp, caplog: pytest.LogCaptureFixture) -> None:
    """One line, whatever follows; nothing is committed any more."""
    guard.install(app)
    consumer = app.consumer
    with caplog.at_level(logging.CRITICAL):
        app.failure.fail("first", ValueError("why"))
        app.failure.fail("second", None)
    assert [record.getMessage() for record in caplog.records] == ["worker stops: first: why"]
    assert consumer.frozen
    assert not consumer.flow_active
    assert app.failure.happened.is_set()


class _Fetcher:
    """An aiokafka fetcher that holds records of a partition nobody asked for."""

    _closed = False
    _subscriptions = SimpleNamespace(fetch_context=lambda: _Context())

    async def fetched_records(self, partitions: Any, **_options: Any) -> dict[TP, list[int]]:
        # As aiokafka 0.14.0 does: an empty set means all.
        return {tp: [1] for tp in [TOUCHES] if not partitions or tp in partitions}


class _Context:
    def __enter__(self) -> None:
        pass

    def __exit__(self, *_exception: object) -> None:
        pass


@pytest.mark.parametrize("without", [(), ("fetch",)])
async def test_no_active_partition_means_that_nothing_is_fetched(app: RunApp, without: tuple[str, ...]) -> None:
    """Faust's own fetch takes the records of every partition then, and they are skipped."""
    guard.install(app, without=without)
    thread = app.consumer._thread
    fetched = await thread._fetch_records(SimpleNamespace(_fetcher=_Fetcher(), _closed=False), frozenset(), timeout=0.0)
    assert bool(fetched) == bool(without)


@pytest.mark.parametrize("without", [(), ("buffers",)])
async def test_room_in_a_queue_does_not_wake_a_paused_partition(
    app: RunApp, without: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rebalance has paused it since it was full; Faust makes it active all the same."""
    guard.install(app, without=without)
    consumer = app.consumer
    monkeypatch.setattr(consumer, "assignment", lambda: {TOUCHES})
    consumer._active_partitions = {TOUCHES}
    consumer.on_buffer_full(TOUCHES)
    assert TOUCHES not in consumer._active_partitions
    consumer._paused_partitions.add(TOUCHES)
    consumer.on_buffer_drop(TOUCHES)
    assert (TOUCHES in consumer._active_partitions) == bool(without)


async def test_room_in_a_queue_wakes_a_partition_that_is_ours(app: RunApp, monkeypatch: pytest.MonkeyPatch) -> None:
    """Back-pressure ends when the agent has caught up."""
    guard.install(app)
    consumer = app.consumer
    monkeypatch.setattr(consumer, "assignment", lambda: {TOUCHES})
    consumer._active_partitions = {TOUCHES}
    consumer.on_buffer_full(TOUCHES)
    consumer.on_buffer_drop(TOUCHES)
    assert TOUCHES in consumer._active_partitions


class _Kafka:
    """An aiokafka consumer that has read five records and committed none; its own rewind then leaves it where it is."""

    def __init__(self) -> None:
        self.position = 5

    def assignment(self) -> set[TP]:
        return {TOUCHES}

    async def committed(self, _partition: TP) -> None:
        return None

    async def seek_to_committed(self) -> dict[TP, None]:
        return {TOUCHES: None}

    async def seek_to_beginning(self, *_partitions: TP) -> None:
        self.position = 0


@pytest.mark.parametrize("without", [(), ("rewind",)])
async def test_what_was_never_committed_is_read_again(
    app: RunApp, without: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rewind goes back to the beginning where nothing is committed; Faust's stays behind what was fetched and dropped."""
    guard.install(app, without=without)
    consumer, thread, kafka = app.consumer, app.consumer._thread, _Kafka()

    async def call(method: Any, *arguments: Any) -> Any:
        return await method(*arguments)

    monkeypatch.setattr(thread, "_consumer", kafka)
    monkeypatch.setattr(thread, "call_thread", call)
    monkeypatch.setattr(consumer, "assignment", lambda: {TOUCHES})
    await consumer.perform_seek()
    assert kafka.position == (5 if without else 0)


@pytest.mark.parametrize("without", [(), ("delivery",)])
async def test_what_is_fetched_again_is_delivered(
    app: RunApp, without: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record below the highest offset that was ever delivered comes again after a rewind; Faust drops it."""
    app.run_topics.add("touches")
    guard.install(app, without=without)
    consumer = app.consumer
    fetcher = SimpleNamespace(should_stop=False, _stopped=asyncio.Event())
    delivered: list[int] = []

    async def fetch(_active: Any, _timeout: float) -> dict[TP, list[Any]]:
        if fetcher.should_stop:
            return {}
        fetcher.should_stop = True
        fetcher._stopped.set()
        return {TOUCHES: [SimpleNamespace(offset=3, timestamp=0)]}

    async def take(message: Any) -> None:
        delivered.append(message.offset)

    monkeypatch.setattr(consumer._thread, "getmany", fetch)
    monkeypatch.setattr(consumer, "highwater", lambda _: 9)
    monkeypatch.setattr(consumer, "callback", take)
    monkeypatch.setattr(consumer, "assignment", lambda: {TOUCHES})
    consumer._active_partitions = {TOUCHES}
    consumer._read_offset[TOUCHES] = 9
    consumer.resume_flow()
    await asyncio.wait_for(consumer._drain_messages(fetcher), 5)
    assert delivered == ([] if without else [3])


def test_the_overridden_parts_of_faust_still_exist() -> None:
    """An override of a method that upstream has renamed would do nothing."""
    for ours, stock in ((RunConsumer, Consumer), (RunConsumerThread, AIOKafkaConsumerThread)):
        overridden = {
            "perform_seek",
            "getmany",
            "_drain_messages",
            "on_buffer_drop",
            "ack",
            "force_commit",
            "wait_empty",
        }
        overridden |= {"on_partitions_revoked", "on_partitions_assigned", "_to_message", "verify_event_path"}
        overridden |= {"_fetch_records", "_create_worker_consumer"}
        for name in overridden & vars(ours).keys():
            assert callable(getattr(stock, name))


async def test_the_app_has_no_event_loop_work_before_it_starts(app: RunApp) -> None:
    """Building an app starts nothing."""
    assert len(asyncio.all_tasks()) == 1
    assert app.progress == {}
