"""The views of hand-offs, in ClickHouse, against the oracle: every column, after corrections."""

from __future__ import annotations

import random
from typing import Any

from funnel.prospect import Arrival, Opener, Outcome, State, Terms, Tick, empty, receive
from sinks.migrations import shipped
from tests.clickhouse import ClickHouse
from tests.generators import strangers
from tests.generators.borders import random_case
from tests.integration.test_views_aggregates import insert
from tests.oracle import HandoffRow, truth_of
from tests.sinking import Message, prepare
from tests.translation import SETTINGS, names_in, prospect_of, rules_of, touch_of

HANDOFFS = """
SELECT funnel, prospect_id, visit, step, stage, from_team, to_team, toUnixTimestamp64Micro(handed_at), channel, type, campaign, first_campaign,
    account_id, toUnixTimestamp64Micro(first_touch_at), seconds_to_first_touch, first_touch_type, first_touch_outcome, first_touch_rep,
    outcome, toUnixTimestamp64Micro(outcome_at), reason, rep, toUnixTimestamp64Micro(respond_by), in_time
FROM handoffs ORDER BY funnel, prospect_id, visit, step"""


def row_of(row: HandoffRow) -> tuple[Any, ...]:
    """What the view shows of a hand-off of long ago: nobody who waits is still in time."""
    handed, touch, decided = row.handed, row.first_touch, row.decided
    first: tuple[Any, ...] = (None, None, "", "", "")
    if touch is not None:
        seconds = (touch.occurred_at - handed.occurred_at) / 1e6
        first = (touch.occurred_at, seconds, touch.type, touch.outcome, touch.rep)
    in_time = None
    if row.respond_by is not None:
        if touch is not None:
            in_time = touch.occurred_at < row.respond_by
        elif row.outcome_at is None or row.outcome_at >= row.respond_by:
            in_time = False
    return (
        *(row.funnel, row.prospect_id, row.visit, row.step, row.stage, row.from_team, row.to_team, handed.occurred_at),
        *(handed.channel, handed.type, handed.campaign, row.first_campaign, row.account_id),
        *first,
        *(row.outcome, row.outcome_at, *(("", "") if decided is None else (decided.reason, decided.rep))),
        *(row.respond_by, in_time),
    )  # fmt: skip


def without_names(prospect: bytes, outcome: Outcome) -> list[Message]:
    """What is to be told of rows; identifiers are sealed elsewhere than here."""
    return [] if outcome.facts is None else [(prospect, outcome.facts._replace(identifiers=(), removed_identifiers=()))]


def told(seed: int) -> tuple[list[Message], list[HandoffRow], list[dict[str, Any]]]:
    """What prospects say whose events come in a random order, with what is true of them, and their funnels."""
    rng = random.Random(seed)
    case = strangers(random_case(rng, 30))
    case = case._replace(funnels=[{**one, "name": f"{one['name']}-{seed}"} for one in case.funnels])
    terms = Terms(rules_of(case.funnels), Opener(bytes, names_in, bytes.decode))
    arriving = [*case.events, *case.events[::3]]
    rng.shuffle(arriving)
    states: dict[bytes, State] = {}
    messages: list[Message] = []
    for position, event in enumerate(arriving):
        prospect, touch = prospect_of(event), touch_of(event, terms.rules)
        received: list[Arrival | Tick] = [Arrival(2 * position, touch, touch.body)]
        if rng.random() < 0.1:
            received.append(Tick(2 * position + 1, case.now))
        outcome = receive(prospect, states.get(prospect) or empty(terms.rules), received, terms)
        states[prospect] = outcome.state
        messages += without_names(prospect, outcome)
    for prospect, state in states.items():
        outcome = receive(prospect, state, [Tick(2 * len(arriving), case.now)], terms)
        messages += without_names(prospect, outcome)
    return messages, truth_of(case.events, case.funnels, SETTINGS, case.now).handoffs, case.funnels


def test_handoffs_equal_the_oracle(clickhouse: ClickHouse) -> None:
    """Whatever came late, twice and in whatever order; `unanswered` has those of them that wait too long."""
    messages: list[Message] = []
    rows: list[HandoffRow] = []
    funnels: list[dict[str, Any]] = []
    for seed in range(150):
        more, found, files = told(seed)
        messages += more
        rows += found
        funnels += files
    prepare(clickhouse, funnels)
    random.Random(1).shuffle(messages)
    insert(clickhouse, messages)
    expected = sorted(map(row_of, rows), key=lambda row: (row[0], row[1].bytes, *row[2:4]))
    assert {row.outcome for row in rows} == {
        "accepted", "sent_back", "lost", "won", "handed_on", "expired", "waiting"
    }, "the test must see everything"  # fmt: skip
    assert {row[-1] for row in expected} == {None, True, False}
    found_rows = sorted(clickhouse.query(HANDOFFS), key=lambda row: (row[0], row[1].bytes, *row[2:4]))
    assert found_rows == expected
    unanswered = clickhouse.query("SELECT funnel, prospect_id, visit, stage, team FROM unanswered")
    waiting = [row for row in rows if row.outcome == "waiting" and row.first_touch is None and row.respond_by]
    assert sorted(unanswered, key=str) == sorted(
        ((row.funnel, row.prospect_id, row.visit, row.stage, row.to_team) for row in waiting), key=str
    )


def test_a_key_grows_while_there_are_rows(clickhouse: ClickHouse) -> None:
    """Stalls of before are of kind `stall`, are replaced by what is told of them later, and don't hide a late response."""
    prepare(clickhouse)
    columns = "funnel, prospect_id, visit, stage, deadline, level, noticed_at, revision, is_deleted"
    values = "'f', '00000000-0000-5000-8000-000000000001', 1, 'a', toDateTime64(5, 6, 'UTC')"
    with clickhouse.client() as client:
        client.execute("DROP TABLE stalls")
        client.execute(
            "CREATE TABLE stalls (funnel LowCardinality(String), prospect_id UUID, visit UInt32, stage LowCardinality(String),"
            " deadline DateTime64(6, 'UTC'), level UInt16, noticed_at DateTime64(6, 'UTC'), resolved_at Nullable(DateTime64(6, 'UTC')),"
            " resolution LowCardinality(String), account_id String CODEC(ZSTD(1)), revision UInt64, is_deleted UInt8,"
            " written_at DateTime64(3, 'UTC') DEFAULT now64(3)) ENGINE = ReplacingMergeTree(revision, is_deleted)"
            " ORDER BY (funnel, prospect_id, visit, stage, deadline)"
        )
        client.execute(f"INSERT INTO stalls ({columns}) SELECT {values}, 0, toDateTime64(6, 6, 'UTC'), 1, 0")
        (alter,) = [
            statement.sql
            for migration in shipped()
            for statement in migration.statements
            if "MODIFY ORDER BY" in statement.sql
        ]
        for _ in range(2):  # as after a crash
            client.execute(alter)
        for kind in ("stall", "response"):
            client.execute(
                f"INSERT INTO stalls ({columns}, kind) SELECT {values}, 1, toDateTime64(7, 6, 'UTC'), 2, 0, '{kind}'"
            )
        found = "SELECT kind, level, revision FROM stalls FINAL ORDER BY kind"
        assert client.execute(found) == [("stall", 1, 2), ("response", 1, 2)]
        client.execute("OPTIMIZE TABLE stalls FINAL")
        assert client.execute(found) == [("stall", 1, 2), ("response", 1, 2)]
