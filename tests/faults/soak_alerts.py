"""Alerts come in time with many open prospects, which take minutes to come in: `make soak` runs this."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

import pytest

from tests.faults.fleet import until
from tests.faults.kafka import ApacheKafka
from tests.faults.test_alerts import FUNNEL, SHORT_SECONDS, installed, visits
from tests.recorder import Recorder

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(540)]

OPEN = 200_000


async def test_in_time_with_many_open_prospects(apache_kafka: ApacheKafka, tmp_path: Path) -> None:
    """200,000 open visits whose deadlines are far away delay nobody's alert by a minute."""
    with Recorder() as crm:
        slow = FUNNEL.format(name="slow", stall_after="60d", type="page_view")
        quick = FUNNEL.format(name="quick", stall_after=f"{SHORT_SECONDS}s", type="signup")
        with installed(apache_kafka, tmp_path, crm.url, slow, quick) as (installation, _):
            worker = installation.start_worker()
            worker.wait_ready()
            await installation.produce(visits("page_view", [time.time()] * OPEN))
            await until(lambda: worker.metrics().get("journey_deadlines", 0) >= OPEN, seconds=300, what="all are open")
            await installation.produce(visits("signup", [time.time() + number / 10 for number in range(100)]))
            await until(lambda: len(crm.requests) >= 100, seconds=120, what="all were told")
        late = [
            int(request.headers["webhook-timestamp"])
            - datetime.fromisoformat(request.json["data"]["deadline"]).timestamp()
            for request in crm.requests
        ]
    assert max(late) < 60, f"{max(late):.1f} s late"
