"""What all scenarios share: one Apache Kafka and one ClickHouse, each with a proxy in front, and who judges what came of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from journey.local_clickhouse import EmbeddedClickHouse
from journey.ports import free_port
from tests.faults.judge import Judge
from tests.faults.kafka import ApacheKafka
from tests.faults.proxy import Proxy


@dataclass(frozen=True)
class Servers:
    """Workers and sinks come through the proxies, or directly where a scenario wants that; verifiers always come directly."""

    kafka: ApacheKafka
    kafka_proxy: Proxy
    clickhouse: EmbeddedClickHouse
    clickhouse_proxy: Proxy
    judge: Judge

    def mend(self) -> None:
        """Whatever a scenario left behind: everything runs and nothing is held up."""
        self.kafka_proxy.resume()
        self.clickhouse_proxy.resume()
        if not self.kafka.running:
            self.kafka.start()
        if self.clickhouse.pid is None:
            self.clickhouse.start()


@contextmanager
def servers_in(directory: Path) -> Iterator[Servers]:
    """Start them all; directories below `directory` hold their data."""
    behind, clickhouse = free_port(), EmbeddedClickHouse(directory / "clickhouse")
    with Proxy(behind) as kafka_proxy, Judge(directory / "verifier.log") as judge:
        kafka = ApacheKafka(directory / "kafka", proxied=(behind, kafka_proxy.address))
        with kafka, clickhouse, Proxy(clickhouse.native_port) as clickhouse_proxy:
            yield Servers(kafka, kafka_proxy, clickhouse, clickhouse_proxy, judge)
