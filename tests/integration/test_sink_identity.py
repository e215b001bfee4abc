"""What the sink writes of identity, on a real ClickHouse: whose an identifier is, what goes on to whom, what is nobody's."""

from __future__ import annotations

import random

import pytest

from funnel.facts import Facts, SharedRow
from sinks.config import PersonalData
from tests.clickhouse import ClickHouse
from tests.identities import Message, alias, id_of, insert, sealed
from tests.sinking import prepare

EMAIL, USER, OTHER, PHONE, DEVICE = (
    "email:jane@x.com",
    "user_id:42",
    "user_id:7",
    "phone:+14155550100",
    "anonymous_id:d1",
)
STORY: list[Message] = [
    # First the email stands for itself; then it is 42's; then another sign-in shows that it is 7's.
    (EMAIL, Facts(1, identifiers=(sealed(EMAIL),))),
    (EMAIL, Facts(2, removed_identifiers=(sealed(EMAIL),), aliases=(alias(USER),))),
    (EMAIL, Facts(3, aliases=(alias(OTHER, 5),), removed_aliases=(id_of(USER).bytes,))),
    (USER, Facts(4, identifiers=(sealed(USER), sealed(EMAIL)))),
    (USER, Facts(5, removed_identifiers=(sealed(EMAIL),))),
    (OTHER, Facts(2, identifiers=(sealed(OTHER), sealed(EMAIL)))),
    (PHONE, Facts(51, shared=(SharedRow(2, 51),))),
    (DEVICE, Facts(60, shared=(SharedRow(3, 51),))),
    (DEVICE, Facts(61, removed_shared=(3,))),
    (PHONE, Facts(52, shared=(SharedRow(2, 52),))),
]


@pytest.mark.parametrize("personal_data", ["clear", "hash"])
@pytest.mark.parametrize("seed", range(3))
def test_shuffled_and_doubled_facts_give_each_row_once(
    clickhouse: ClickHouse, personal_data: PersonalData, seed: int
) -> None:
    """In any order, some twice, before and after merges: of each key the last row, and none where that is a tombstone."""
    prepare(clickhouse)
    chance = random.Random(seed)
    messages = [*STORY, *chance.sample(STORY, 4)]
    chance.shuffle(messages)
    insert(clickhouse, messages, personal_data)

    def value(canonical: str) -> str:
        return canonical.partition(":")[2] if personal_data == "clear" else id_of(canonical).hex

    for _ in range(2):
        assert sorted(clickhouse.query("SELECT prospect_id, kind, value FROM prospect_identifiers FINAL")) == sorted(
            [
                (id_of(USER), "user_id", value(USER)),
                (id_of(OTHER), "user_id", value(OTHER)),
                (id_of(OTHER), "email", value(EMAIL)),
            ]
        )
        aliases = clickhouse.query("SELECT old_id, new_id, toUnixTimestamp64Micro(since) FROM aliases")
        assert aliases == [(id_of(EMAIL), id_of(OTHER), 5)]
        assert clickhouse.query("SELECT identifier, kind, seen_with FROM shared") == [(id_of(PHONE), "phone", 52)]
        for table in ("prospect_identifiers", "prospect_aliases", "shared_identifiers"):
            clickhouse.query(f"OPTIMIZE TABLE {table} FINAL")


def test_hashes_leave_no_identifier_in_clear(clickhouse: ClickHouse) -> None:
    """With hashes, no part of the table names anybody, tombstones and replaced rows included."""
    prepare(clickhouse)
    insert(clickhouse, STORY, "hash")
    values = {value for (value,) in clickhouse.query("SELECT DISTINCT value FROM prospect_identifiers")}
    assert values == {id_of(canonical).hex for canonical in (EMAIL, USER, OTHER)}


def test_old_ids_lead_to_where_they_ended_up(clickhouse: ClickHouse) -> None:
    """Any number of steps are followed; of several ways the latest; what was taken back leads nowhere; a circle ends."""
    prepare(clickhouse)
    insert(
        clickhouse,
        [
            (DEVICE, Facts(1, aliases=(alias(PHONE, 10),))),
            (PHONE, Facts(1, aliases=(alias(EMAIL),))),
            (EMAIL, Facts(1, aliases=(alias("user_id:1"),))),
            *[(f"user_id:{n}", Facts(1, aliases=(alias(f"user_id:{n + 1}"),))) for n in range(1, 6)],
            # A shared laptop: 9 signed in on it last.
            ("anonymous_id:laptop", Facts(1, aliases=(alias("user_id:9", 20), alias(EMAIL, 10)))),
            ("email:back@x.com", Facts(1, aliases=(alias(USER),))),
            ("email:back@x.com", Facts(2, removed_aliases=(id_of(USER).bytes,))),
            ("user_id:a", Facts(1, aliases=(alias("user_id:b"),))),
            ("user_id:b", Facts(1, aliases=(alias("user_id:a"),))),
        ],
    )
    for _ in range(2):
        found = dict(clickhouse.query("SELECT old_id, current_id FROM prospect_now"))
        in_circle = {found.pop(id_of("user_id:a")), found.pop(id_of("user_id:b"))}
        assert in_circle <= {id_of("user_id:a"), id_of("user_id:b")}
        wanted = [DEVICE, PHONE, EMAIL, *[f"user_id:{n}" for n in range(1, 6)]]
        assert found == {id_of(old): id_of("user_id:6") for old in wanted} | {
            id_of("anonymous_id:laptop"): id_of("user_id:9")
        }
        clickhouse.query("OPTIMIZE TABLE prospect_aliases FINAL")


def test_a_join_follows_old_ids(clickhouse: ClickHouse) -> None:
    """A list of ids that somebody kept is brought up to now by one join; ids that stayed are kept."""
    prepare(clickhouse)
    insert(clickhouse, STORY)
    kept = ", ".join(f"toUUID('{id_of(canonical)}')" for canonical in (EMAIL, USER))
    rows = clickhouse.query(
        f"SELECT id, coalesce(current_id, id) FROM (SELECT arrayJoin([{kept}]) AS id) AS mine "
        "LEFT JOIN prospect_now ON old_id = id SETTINGS join_use_nulls = 1"
    )
    assert dict(rows) == {id_of(EMAIL): id_of(OTHER), id_of(USER): id_of(USER)}
