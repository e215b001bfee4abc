"""Whatever comes in: it is applied or it is a dead letter with its reason, and its neighbours are applied."""

from __future__ import annotations

import struct
import time
from collections import Counter
from pathlib import Path
from typing import Any

from funnel.events import Event
from schemas.codec import EventCodec
from schemas.registry import FileRegistry
from tests.broker import Tansu, unique, wait_until
from tests.clickhouse import ClickHouse
from tests.integration.test_pipeline import drained
from tests.pipeline import SALES, SESSION_SECONDS, Installation, account
from tests.warehouse import prepare, sink_process

DAY = 86_400_000_000


def event(number: int, **fields: Any) -> Event:
    """A good page view, or one that differs in `fields`."""
    good: Event = {
        "channel": "web",
        "event_id": f"e{number}",
        "source": "website",
        "occurred_at": int(time.time() * 1e6) - DAY + number,
        "anonymous_id": None,
        "user_id": f"u{number}",
        "email": None,
        "phone": None,
        "account_id": None,
        "type": "page_view",
        "campaign": None,
        "properties": {},
    }
    web = ["url", "referrer", "utm_source", "utm_medium", "utm_term", "utm_content", "user_agent", "amount", "currency"]
    return good | dict.fromkeys(web) | fields


def bad_records() -> list[tuple[str, bytes | None]]:
    """(reason, value) of records that must not be applied."""
    codec = EventCodec(FileRegistry())
    good = codec.encode(event(1_000_000))
    email = codec.encode(
        {k: v for k, v in event(1_000_001).items() if k in EMAIL_FIELDS}
        | {"channel": "email", "template": None, "url": None}
    )
    nested = b"\0" + struct.pack(">I", 1) + b"\x02" * 5_000
    future = int(time.time() * 1e6) + 3_600_000_000
    return [
        ("undecodable", b""),
        ("undecodable", None),
        ("undecodable", b"garbage"),
        ("undecodable", b"\xff" * 300),
        ("undecodable", good[:-1]),
        ("undecodable", good[: len(good) // 2]),
        ("undecodable", good + b"\0"),
        ("undecodable", b"\0" + struct.pack(">I", 987_654) + good[5:]),
        ("undecodable", b"\1" + good[1:]),
        ("undecodable", email),  # a good e-mail event, on the wrong topic
        ("undecodable", nested),
        ("undecodable", good.replace(b"website", b"web\xffite")),
        ("undecodable", b'{"event_id": "as JSON"}' + b"[" * 20_000),
        ("too_large", b"\0" * (2 * 1024 * 1024)),
        ("too_large", codec.encode(event(1_000_002, url="x" * 2_000_000))),
        ("no_identifier", codec.encode(event(1_000_003, user_id=None))),
        (
            "no_identifier",
            codec.encode(event(1_000_004, user_id=" 000-0 ", email="no at", phone="12", anonymous_id="NULL")),
        ),
        ("invalid_time", codec.encode(event(1_000_005, occurred_at=future))),
        ("invalid_time", codec.encode(event(1_000_006, occurred_at=946_684_799_999_999))),
        ("invalid_time", codec.encode(event(1_000_007, occurred_at=-(2**62)))),
    ]


EMAIL_FIELDS = frozenset(
    [
        "event_id",
        "source",
        "occurred_at",
        "anonymous_id",
        "user_id",
        "email",
        "phone",
        "account_id",
        "type",
        "campaign",
        "properties",
    ]
)


async def test_bad_input_is_dead_lettered_among_its_neighbours(
    tansu: Tansu, clickhouse: ClickHouse, tmp_path: Path
) -> None:
    """Each bad record is in `dead_letters` with reason, bytes and origin; each good one is applied; the sum is exact."""
    prepare(clickhouse, [SALES])
    codec = EventCodec(FileRegistry())
    bad = bad_records()
    records: list[tuple[str, bytes, bytes | None]] = []
    for number, (_, value) in enumerate(bad):
        records.append(("web-events", b"k", codec.encode(event(number))))
        records.append(("web-events", b"k", value))
    records.append(("web-events", b"k", codec.encode(event(0))))  # a copy
    records.append(("web-events", b"k", codec.encode(event(2_000_000, type="unheard_of"))))  # web is activity: relevant
    email = {k: v for k, v in event(3_000_000).items() if k in EMAIL_FIELDS}
    ignored = email | {"channel": "email", "type": "delivered", "template": None, "url": None}
    records.append(("email-events", b"k", codec.encode(ignored)))
    with Installation(tansu, tmp_path, unique("bad")) as installation:
        sent = await installation.produce_bytes(records)
        worker = installation.start_worker()
        wait_until(
            lambda: drained(worker, sent),
            seconds=40,
            what="all records settled",
            every=0.2,
        )
        metrics = worker.metrics()
        counts = account(metrics)
        assert counts == {
            "consumed": sent,
            "applied": len(bad) + 1,
            "duplicate": 1,
            "ignored": 1,
            "shared": 0,
            "declared": 0,
            "dead": len(bad),
            "settled": sent,
        }
        reasons = Counter(reason for reason, _ in bad)
        assert {reason: metrics[f"journey_dead_total{{{reason}}}"] for reason in reasons} == reasons

        assert worker.stop() == 0
        fields = "origin_offset, reason, stage, origin_topic, value, message"
        with (
            sink_process(tansu.bootstrap, installation.prefix, clickhouse, tmp_path / "sink.log", SESSION_SECONDS),
            clickhouse.client(strings_as_bytes=True) as client,
        ):
            query = f"SELECT {fields} FROM dead_letters FINAL ORDER BY origin_partition, origin_offset"
            letters = wait_until(
                lambda: len(rows := client.execute(query)) == len(bad) and rows,
                seconds=40,
                what="all letters in the table",
            )
    seen = Counter()
    for offset, reason, stage, topic, value, message in letters:
        seen[reason.decode(), value] += 1
        assert (stage, topic.decode()) == (b"intake", installation.topic("web-events"))
        assert (records[offset][2] or b"") == value
        assert b"u10000" not in message
    assert seen == Counter((reason, value or b"") for reason, value in bad)


async def test_events_before_folded_history_are_dead_letters_with_their_original_bytes(
    tansu: Tansu, tmp_path: Path
) -> None:
    """An event that would go before what was folded for good is `too_late`, and says where it came from."""
    codec = EventCodec(FileRegistry())
    start = int(time.time() * 1e6) - 300 * DAY

    def of_one(number: int, day: int) -> tuple[str, bytes, bytes]:
        return "web-events", b"k", codec.encode(event(number, user_id="one", occurred_at=start + day * DAY))

    with Installation(tansu, tmp_path, unique("late")) as installation:
        records = [of_one(1, 10), of_one(2, 200), of_one(3, 5), of_one(4, 50), of_one(1, 10)]
        sent = await installation.produce_bytes(records)
        worker = installation.start_worker()
        wait_until(
            lambda: drained(worker, sent),
            seconds=40,
            what="all records settled",
            every=0.2,
        )
        assert account(worker.metrics()) | {"consumed": 0, "settled": 0} == {
            "consumed": 0, "settled": 0, "applied": 3, "duplicate": 1, "ignored": 0, "shared": 0, "declared": 0, "dead": 1,
        }  # fmt: skip
        (letter,) = await installation.read("dead-letters")
        assert worker.stop() == 0
    headers = dict(letter.headers)
    assert headers["journey.reason"] == b"too_late"
    assert headers["journey.stage"] == b"prospects"
    assert headers["__connect.errors.topic"].decode() == installation.topic("web-events")
    assert headers["__connect.errors.offset"] == b"2"
    assert letter.value == records[2][2]
