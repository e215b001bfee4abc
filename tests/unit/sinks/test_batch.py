"""Batches and collectors: when they are full, what they freeze, what they refuse."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from funnel.facts import AliasRow, Facts, Handoff, IdentifierRow, SharedRow, Stall, Standing, Transition
from funnel.identifiers import prospect_id
from schemas.messages import encode_facts
from schemas.sealing import Sealer
from sinks.base import Insert
from sinks.batch import Batch
from sinks.clickhouse import reason_of
from sinks.config import ClickHouseConfig, SinkConfig
from sinks.dead_letters import DeadLettersCollector
from sinks.errors import PoisonRecordError
from sinks.facts import FactsCollector
from sinks.identifiers import Opener

PROSPECT = UUID("01234567-89ab-5def-8123-456789abcdef")
ROW = Transition(
    "f", 2, 1, 0, "enter", "", "a", 5, 5, 0.0, "s", "e", "web", "t", "c", "web", "c", "acc", 1234, "EUR", "r", "p"
)
KEY = b"a key of at least 16"
OTHER = UUID("01234567-89ab-5def-8123-456789abcd00")
STAND = Standing("f", 1, "a", "open", 5, 6, "acc")


def record(value: bytes | None, *, offset: int = 0, partition: int = 0, topic: str = "facts", **more: Any) -> Any:
    """A record with what is read of one."""
    given = {"key": None, "timestamp": 1_700_000_000_123, "headers": ()} | more
    return SimpleNamespace(topic=topic, partition=partition, offset=offset, value=value, **given)


def collector() -> FactsCollector:
    """A collector that writes identifiers in clear."""
    return FactsCollector(Opener(KEY, "clear"))


def batch(**limits: Any) -> Batch:
    """A batch of facts and dead letters with wide limits, but for those given."""
    wide = {"max_rows": 1000, "max_bytes": 10**9, "max_delay": 60.0} | limits
    return Batch({"facts": collector(), "dead": DeadLettersCollector()}, **wide)


def test_facts_become_columns_with_tombstones() -> None:
    """Rows, and keys that are no more, with prospect and revision; hundredths become decimals, which the driver takes for what they are."""
    facts = Facts(9, (ROW, ROW._replace(step=1, amount=-5)), (("f", 1, 2),), (STAND,), ("g",))
    facts_collector = collector()
    assert facts_collector.add(record(encode_facts(PROSPECT.bytes, facts))) == 5
    transitions, standings = facts_collector.take()
    rows = [dict(zip(transitions.names, row, strict=True)) for row in zip(*transitions.columns, strict=True)]
    assert (transitions.table, transitions.rows) == ("stage_transitions", 3)
    assert [(row["step"], row["amount"], row["is_deleted"]) for row in rows] == [
        (0, Decimal("12.34"), 0),
        (1, Decimal("-0.05"), 0),
        (2, 0, 1),
    ]
    assert {(row["prospect_id"], row["revision"], row["funnel"], row["visit"]) for row in rows} == {
        (PROSPECT, 9, "f", 1)
    }
    assert rows[2]["kind"] == ""
    assert (standings.table, standings.rows) == ("prospects", 2)
    assert dict(zip(standings.names, standings.columns, strict=True))["funnel"] == ("f", "g")
    assert dict(zip(standings.names, standings.columns, strict=True))["is_deleted"] == [0, 1]
    assert facts_collector.take() == []


def sealed(kind: int, canonical: str, key: bytes = KEY) -> IdentifierRow:
    """An identifier as the workers send it."""
    return IdentifierRow(kind, Sealer(key).seal(canonical.encode()))


def rows_of(inserts: list[Insert]) -> dict[str, list[dict[str, Any]]]:
    """By table, the rows by column."""
    return {
        insert.table: [dict(zip(insert.names, row, strict=True)) for row in zip(*insert.columns, strict=True)]
        for insert in inserts
    }


IDENTITY = Facts(
    9,
    identifiers=(sealed(1, "email:jane@x.com"), sealed(0, "user_id:a:b")),
    removed_identifiers=(sealed(2, "phone:+14155550100"),),
    aliases=(AliasRow(OTHER.bytes, 7),),
    removed_aliases=(PROSPECT.bytes,),
    shared=(SharedRow(2, 51),),
    removed_shared=(3,),
)


def test_identity_becomes_rows() -> None:
    """Identifiers are opened; aliases and shared ones are known by the prospect whose facts they are; all have tombstones."""
    facts_collector = collector()
    assert facts_collector.add(record(encode_facts(PROSPECT.bytes, IDENTITY))) == 7
    found = rows_of(facts_collector.take())
    about = {"prospect_id": PROSPECT, "revision": 9}
    assert found["prospect_identifiers"] == [
        {"kind": "email", "value": "jane@x.com", "is_deleted": 0} | about,
        {"kind": "user_id", "value": "a:b", "is_deleted": 0} | about,
        {"kind": "phone", "value": "+14155550100", "is_deleted": 1} | about,
    ]
    assert found["prospect_aliases"] == [
        {"old_id": PROSPECT, "new_id": OTHER, "since": 7, "revision": 9, "is_deleted": 0},
        {"old_id": PROSPECT, "new_id": PROSPECT, "since": 0, "revision": 9, "is_deleted": 1},
    ]
    assert found["shared_identifiers"] == [
        {"identifier": PROSPECT, "kind": "phone", "seen_with": 51, "revision": 9, "is_deleted": 0},
        {"identifier": PROSPECT, "kind": "anonymous_id", "seen_with": 0, "revision": 9, "is_deleted": 1},
    ]
    assert set(found) == {"prospect_identifiers", "prospect_aliases", "shared_identifiers"}


def test_hashed_identifiers_have_keys_that_tombstones_find() -> None:
    """With hashes, nothing of an identifier is written but its keyed id, and a row and its tombstone have the same key."""
    for personal_data, value in (("clear", "jane@x.com"), ("hash", prospect_id(KEY, "email:jane@x.com").hex())):
        facts_collector = FactsCollector(Opener(KEY, personal_data))
        for revision, field in ((1, "identifiers"), (2, "removed_identifiers")):
            facts = Facts(revision)._replace(**{field: (sealed(1, "email:jane@x.com"),)})
            facts_collector.add(record(encode_facts(PROSPECT.bytes, facts)))
        first, second = rows_of(facts_collector.take())["prospect_identifiers"]
        assert (first["kind"], first["value"]) == (second["kind"], second["value"]) == ("email", value)
        assert (first["is_deleted"], second["is_deleted"]) == (0, 1)


@pytest.mark.parametrize(
    "wrong",
    [
        sealed(1, "email:jane@x.com", b"another key of some length"),
        sealed(1, "phone:+14155550100"),
        sealed(9, "email:jane@x.com"),
        sealed(-1, "anonymous_id:jane"),
        IdentifierRow(1, b"jane@x.com"),
    ],
)
def test_identifiers_that_cant_be_opened_are_named_and_not_taken(wrong: IdentifierRow) -> None:
    """The error says where and what to do, without the identifier; nothing of the message is taken."""
    facts_collector = collector()
    facts = IDENTITY._replace(transitions=(ROW,), removed_identifiers=(wrong,))
    with pytest.raises(PoisonRecordError, match=r"facts\[3\] offset 17: .*JOURNEY_ID_KEY") as caught:
        facts_collector.add(record(encode_facts(PROSPECT.bytes, facts), offset=17, partition=3))
    assert "jane" not in str(caught.value)
    assert facts_collector.take() == []


@pytest.mark.parametrize("value", [None, b"", b"\x00\x00\x00\x00\x01x", b"\x00" * 40])
def test_a_poison_record_is_named_and_not_taken(value: bytes | None) -> None:
    """The error says where it is; the batch goes on as if it had not been there."""
    filling = batch()
    filling.add(record(encode_facts(PROSPECT.bytes, Facts(1, (ROW,))), offset=4), 0.0)
    with pytest.raises(PoisonRecordError, match=r"facts\[3\] offset 17 is no facts message"):
        filling.add(record(value, offset=17, partition=3), 0.0)
    assert filling.freeze().offsets == {("facts", 0): 5}


def test_full_by_rows_bytes_or_time() -> None:
    """Each limit alone makes a batch due."""
    message = encode_facts(PROSPECT.bytes, Facts(1, (ROW, ROW._replace(step=1))))
    for limits in ({"max_rows": 4}, {"max_bytes": 2 * len(message)}):
        filling = batch(**limits)
        filling.add(record(message), 0.0)
        assert not filling.is_full
        assert not filling.is_due(59.0)
        filling.add(record(message, offset=1), 0.0)
        assert filling.is_full
        assert filling.is_due(0.0)
    waiting = batch()
    assert not waiting.is_due(float("inf")), "an empty batch is never due"
    waiting.add(record(message), 100.0)
    assert not waiting.is_due(159.9)
    assert waiting.is_due(160.0)


def test_freezing_empties_and_knows_what_to_commit() -> None:
    """The offset after the last record of each partition, also of messages without rows."""
    filling = batch()
    filling.add(record(encode_facts(PROSPECT.bytes, Facts(1)), offset=7), 0.0)
    filling.add(record(encode_facts(PROSPECT.bytes, Facts(2, (ROW,))), offset=9), 0.0)
    filling.add(record(b"x", topic="dead", partition=1, offset=3), 0.0)
    frozen = filling.freeze()
    assert frozen.offsets == {("facts", 0): 10, ("dead", 1): 4}
    assert frozen.messages == {"facts": 2, "dead": 1}
    assert frozen.rows == 2
    assert not filling.is_due(float("inf"))
    assert filling.freeze().inserts == []


@pytest.mark.parametrize("partition", [b"x", b"", b"99999999999", None])
def test_a_letter_without_a_usable_origin_is_known_by_its_own_place(partition: bytes | None) -> None:
    """Half an origin is none; nothing in the headers can stop the sink."""
    headers = [("__connect.errors.topic", b"web"), ("__connect.errors.offset", b"5")]
    headers += [("__connect.errors.partition", partition)] if partition is not None else []
    collector = DeadLettersCollector()
    assert collector.add(record(None, topic="dead", offset=8, headers=headers, timestamp=-1)) == 1
    (insert,) = collector.take()
    row = dict(zip(insert.names, (column[0] for column in insert.columns), strict=True))
    assert (row["origin_topic"], row["origin_partition"], row["origin_offset"], row["value"], row["kafka_time"]) == (
        b"dead",
        0,
        8,
        b"",
        0,
    )


def test_secrets_are_not_shown() -> None:
    """Neither the password nor the id key nor what logs in to Kafka is in a repr."""
    config = SinkConfig(
        "b:1", ClickHouseConfig("h", password="hush"), b"hush", kafka_options={"sasl_plain_password": "hush"}
    )
    assert "hush" not in repr(config)


def test_reasons_are_one_line() -> None:
    """An error without words is named by its kind."""
    assert reason_of(EOFError()) == "EOFError"
    assert reason_of(OSError("a\n b Stack trace: 0. x")) == "a b"


def test_stalls_become_columns() -> None:
    """An episode that goes on has no end; a standing says since when, or nothing."""
    episode = Stall("f", 1, "a", 7, 0, 8, account_id="acc")
    facts = Facts(
        9, standings=(STAND._replace(stalled_since=7), STAND), stalls=(episode, episode._replace(resolved_at=9))
    )
    facts_collector = collector()
    assert facts_collector.add(record(encode_facts(PROSPECT.bytes, facts))) == 4
    standings, stalls = facts_collector.take()
    assert dict(zip(standings.names, standings.columns, strict=True))["stalled_since"] == (7, None)
    columns = dict(zip(stalls.names, stalls.columns, strict=True))
    assert (stalls.table, columns["deadline"], columns["resolved_at"]) == ("stalls", (7, 7), (None, 9))


def test_handoffs_become_columns() -> None:
    """What is told of one, and keys of what is told no more."""
    handed = Handoff("f", 1, 2, 0, 5, "s", "e", "web", "t", "c", "", "", "", "", "x", "y", "a", "c", "acc", 9)
    facts = Facts(9, handoffs=(handed, handed._replace(part=1, respond_by=None)), removed_handoffs=(("f", 1, 2, 2),))
    facts_collector = collector()
    assert facts_collector.add(record(encode_facts(PROSPECT.bytes, facts))) == 3
    (rows,) = rows_of(facts_collector.take()).values()
    assert [(row["part"], row["respond_by"], row["is_deleted"]) for row in rows] == [
        (0, 9, 0),
        (1, None, 0),
        (2, None, 1),
    ]
    assert {(row["funnel"], row["visit"], row["step"], row["prospect_id"], row["revision"]) for row in rows} == {
        ("f", 1, 2, PROSPECT, 9)
    }
