"""Where topics end, on a broker that is slow to answer."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from journey.offsets import true_ends
from tests.broker import Tansu, unique

HALT_SECONDS = 4.0


class LeaderlessConsumer(KafkaConsumer):  # type: ignore[misc]  # kafka-python has no types
    """Does not know a leader of one partition, the first time that it looks."""

    unknown = 1

    def beginning_offsets(self, *partitions: Any) -> Any:
        """What the broker says, once the leader is known."""
        leader_of = self._client.cluster.leader_for_partition

        def forgetful(partition: TopicPartition) -> Any:
            if self.unknown:
                self.unknown -= 1
                return None
            return leader_of(partition)

        self._client.cluster.leader_for_partition = forgetful
        try:
            return super().beginning_offsets(*partitions)
        finally:
            self._client.cluster.leader_for_partition = leader_of


class HaltingConsumer(KafkaConsumer):  # type: ignore[misc]  # kafka-python has no types
    """Halts the broker once it has told where topics begin, for a while."""

    broker: Tansu

    def beginning_offsets(self, *partitions: Any) -> Any:
        """What the broker says, before it says nothing more."""
        offsets = super().beginning_offsets(*partitions)
        os.kill(self.broker.pid, signal.SIGSTOP)
        threading.Timer(HALT_SECONDS, os.kill, (self.broker.pid, signal.SIGCONT)).start()
        return offsets


def test_the_end_is_not_guessed_while_the_embedded_broker_is_slow(tmp_path: Path) -> None:
    """It reports the last batch's first offset + 1: whoever takes that for the end would stop waiting too early."""
    with Tansu(tmp_path) as tansu:
        topic = unique("slow")
        tansu.create_topics(topic)
        producer = KafkaProducer(bootstrap_servers=tansu.bootstrap, linger_ms=500, batch_size=200_000)
        for _ in range(300):
            producer.send(topic, b"x" * 100)
        producer.close()
        consumer = HaltingConsumer(
            bootstrap_servers=tansu.bootstrap, enable_auto_commit=False, max_poll_records=100_000
        )
        consumer.broker = tansu
        try:
            assert true_ends(consumer, [topic], embedded=True) == {TopicPartition(topic, 0): 300}
        finally:
            consumer.close()


def test_a_leader_that_is_not_known_yet(tmp_path: Path) -> None:
    """kafka-python stumbles over one of several partitions whose leader its metadata lacks; it has one a moment later."""
    with Tansu(tmp_path) as tansu:
        known, leaderless = unique("known"), unique("leaderless")
        tansu.create_topics(known, leaderless)
        consumer = LeaderlessConsumer(bootstrap_servers=tansu.bootstrap, enable_auto_commit=False)
        try:
            ends = true_ends(consumer, [leaderless, known], embedded=True)
            assert ends == {TopicPartition(leaderless, 0): 0, TopicPartition(known, 0): 0}
            assert consumer.unknown == 0
        finally:
            consumer.close()
