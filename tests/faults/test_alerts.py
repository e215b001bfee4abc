"""Who is told of stalls on Apache Kafka: once, and of all, whatever is killed."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from funnel.events import Event
from schemas.ndjson import parse_line
from tests.broker import unique
from tests.e2e.harness import event
from tests.faults.fleet import until
from tests.faults.kafka import ApacheKafka
from tests.pipeline import ID_KEY, PARTITIONS, Installation, Worker
from tests.recorder import Recorder

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(540)]

SEED = 5
RESTARTS = 20
SHORT_SECONDS = 3
FUNNEL = """
name = "{name}"
window = "90d"
[[stage]]
name = "lead"
team = "sales"
stall_after = "{stall_after}"
enter = [ {{ channel = "web", type = "{type}" }} ]
[[stage]]
name = "customer"
enter = [ {{ type = "purchase" }} ]
"""
_ALERTS = """
[targets.crm]
type = "webhook"
url = "{url}"
secret_env = "CRM_SECRET"
allow_private = true

[[routes]]
name = "all"
to = "crm"
limit = "100000 per day"
"""


class Notifier:
    """A notifier process that can be killed."""

    def __init__(self, installation: Installation, alerts: Path) -> None:
        self.log = installation.directory / "notifier.log"
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("JOURNEY_")} | {
            "JOURNEY_KAFKA": installation.broker.bootstrap,
            "JOURNEY_TOPIC_PREFIX": installation.prefix,
            "JOURNEY_APP_ID": f"{installation.prefix}journey",
            "JOURNEY_ID_KEY": ID_KEY,
            "JOURNEY_ALERTS": str(alerts),
            "CRM_SECRET": "a secret of the tests",
        }
        self.start()

    def start(self) -> None:
        """Start it."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "journey", "notifier"], env=self._environment, stdout=output, stderr=output
            )

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()


@contextmanager
def installed(kafka: ApacheKafka, path: Path, url: str, *funnels: str) -> Iterator[tuple[Installation, Notifier]]:
    """An installation with a notifier that tells one web server."""
    files = []
    for number, text in enumerate(funnels):
        files.append(path / f"funnel-{number}.toml")
        files[-1].write_text(text)
    (path / "alerts.toml").write_text(_ALERTS.format(url=url))
    with Installation(
        kafka, path, unique("alerts"), funnels=files, idempotent=True, session_timeout=6.0
    ) as installation:
        deliveries = installation.topic("alert-deliveries")
        kafka.create_topics(deliveries, partitions=PARTITIONS, config={"cleanup.policy": "compact"})
        notifier = Notifier(installation, path / "alerts.toml")
        try:
            yield installation, notifier
        finally:
            notifier.kill()


def visits(type_: str, times: list[float]) -> list[Event]:
    """A page view of a prospect of its own at each time (seconds since 1970)."""
    when = [datetime.fromtimestamp(at, UTC).isoformat() for at in times]
    lines = (
        event(f"{type_}-{number}", "web", type_, at, user_id=f"{type_}-{number}") for number, at in enumerate(when)
    )
    return [parse_line(line.encode()) for line in lines]


async def test_each_is_told_once_over_twenty_kills(apache_kafka: ApacheKafka, tmp_path: Path) -> None:
    """Workers and notifiers are killed in turn while deadlines pass: nobody is missed, and no episode is told under two ids."""
    rng = random.Random(SEED)
    prospects = 400
    with Recorder() as crm:
        funnel = FUNNEL.format(name="quick", stall_after=f"{SHORT_SECONDS}s", type="page_view")
        with installed(apache_kafka, tmp_path, crm.url, funnel) as (installation, notifier):
            worker: Worker = installation.start_worker()
            worker.wait_ready()
            began = time.time()
            await installation.produce(visits("page_view", [began + rng.uniform(0, 60) for _ in range(prospects)]))
            for number in range(RESTARTS):
                await asyncio.sleep(rng.uniform(0.5, 2.5))
                if number % 2:
                    notifier.kill()
                    notifier.start()
                else:
                    worker.kill()
                    worker = installation.start_worker()
                    if number % 4 == 0:  # the other half of the time it is killed while it recovers
                        worker.wait_ready()
            ids = lambda: {request.id for request in crm.requests}  # noqa: E731
            await until(
                lambda: len(ids()) >= prospects, seconds=240, what=f"all {prospects} were told; {len(ids())} were"
            )
            await until(lambda: time.time() > began + 70, seconds=200, what="deadlines have passed")
            await asyncio.sleep(5)  # for what should not come
        told = Counter(request.id for request in crm.requests)
        by_episode = {request.json["data"]["alert_id"]: request.id for request in crm.requests}
    assert len(told) == len(by_episode) == prospects
    again = sum(count - 1 for count in told.values())
    assert again <= RESTARTS // 2, f"{again} were sent again under their id; at most one for each kill of the notifier"
