"""What ten million prospects leave behind, made by ClickHouse itself from numbers and their hashes: the same rows every time.

The funnel is the preset `sales`. A prospect has one visit, some have two or three; a visit takes one of the ways below. Campaigns come and go.
A part of the rows is there in an older revision, too, and some visits were taken back: what ReplacingMergeTree has to sort out when it is read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

STAGES = ("awareness", "interest", "consideration", "purchase")
_KINDS = ("enter", "advance", "skip", "back", "repeat", "lost", "expired")
_LOST, _EXPIRED = 0, 0
CHUNK = 1_250_000
"""Prospects that are made by one INSERT."""
_WAYS = (  # how many of 32 visits go this way; kind and stage (from 1) of each step
    (5, "enter 1, advance 2, advance 3, advance 4"),
    (2, "enter 1, advance 2, advance 3, advance 4, repeat 4, repeat 4"),
    (2, "enter 1, skip 3, advance 4, repeat 4"),
    (5, "enter 1, advance 2, advance 3, lost 0"),
    (4, "enter 1, advance 2, advance 3, back 2, advance 3, lost 0"),
    (2, "enter 1, advance 2, advance 3, back 2, advance 3, advance 4"),
    (3, "enter 1, advance 2, advance 3, back 2, advance 3, expired 0"),
    (2, "enter 2, advance 3, expired 0"),
    (1, "enter 1, expired 0"),
    (2, "enter 1, advance 2, advance 3"),
    (2, "enter 1, advance 2"),
    (1, "enter 3, lost 0"),
    (1, "enter 1, advance 2, skip 4"),
)


ACCOUNTS = """INSERT INTO account_segments (account_id, segment, revision)
SELECT DISTINCT account_id, ['small', 'small', 'medium', 'large'][1 + cityHash64(account_id) % 4], 1
FROM visits_rebuilt
WHERE account_id != ''"""
PROSPECTS = """INSERT INTO prospects (funnel, prospect_id, stage, visit, status, stage_entered_at, last_activity_at, account_id, revision, is_deleted)
SELECT
    funnel, prospect_id, argMax(stages[-1], visit), max(visit), argMax(if(outcome = 'waiting', 'open', outcome), visit), max(moved_at[-1]),
    max(moved_at[-1]), argMax(v.account_id, visit), 1, 0
FROM visits_rebuilt AS v
GROUP BY funnel, prospect_id
SETTINGS optimize_aggregation_in_order = 1, max_threads = 2, max_insert_threads = 1"""
"""Where the visits leave everyone."""


class Wave(NamedTuple):
    """Rows that are inserted together."""

    where: str
    """Which prospects, by `number` and the hash `prospect_hash`; SQL."""
    revision: int
    shift_days: int = 0
    """How much later than it really was everything is said to have happened."""
    is_deleted: bool = False
    extra_visit: bool = False
    """Of these prospects a visit that never was, instead of their visits."""
    written_at: str = "toDateTime64('2026-01-01', 3, 'UTC')"


HISTORY = (
    Wave("prospect_hash % 25 = 0", revision=1, shift_days=3),
    Wave("prospect_hash % 100 = 1", revision=1, extra_visit=True),
    Wave("true", revision=2),
    Wave("prospect_hash % 20 = 2", revision=2),
    Wave("prospect_hash % 100 = 1", revision=3, extra_visit=True, is_deleted=True),
)
"""All that was written long ago: older revisions, the rows as they are, some of them a second time, and what was taken back."""


def recent(one_of: int) -> Wave:
    """One of so many prospects changed just now: everything of theirs happened a day later than was known."""
    return Wave(f"cityHash64(number, 1) % {one_of} = 0", revision=4, shift_days=1, written_at="now64(3)")


def fill(
    execute: Callable[[str], Any], prospects: int, waves: tuple[Wave, ...], progress: Callable[[str], None]
) -> None:
    """Insert waves of rows into `stage_transitions`."""
    for number, wave in enumerate(waves, 1):
        for start in range(0, prospects, CHUNK):
            progress(f"wave {number} of {len(waves)}: {start:,} of {prospects:,} prospects")
            execute(transitions(start, min(CHUNK, prospects - start), wave))


def transitions(start: int, count: int, wave: Wave) -> str:
    """The INSERT of one wave's rows of the prospects from `start` on."""
    return f"""
INSERT INTO stage_transitions (funnel, funnel_version, prospect_id, visit, step, kind, from_stage, to_stage, entered_at, visit_opened_at,
    seconds_in_from, cause_source, cause_event_id, channel, channel_group, type, campaign, first_channel, first_channel_group, first_campaign,
    account_id, amount, currency, reason, rep, touched_at, touch_channel_groups, touch_campaigns, revision, is_deleted, written_at)
SELECT
    'sales', 1, prospect_id, visit, step, {_lookup("code % 8", _KINDS)}, {_lookup("from_stage", ("", *STAGES))},
    if(code < 8, {_lookup("code % 8", _KINDS)}, {_lookup("intDiv(code, 8)", ("", *STAGES))}),
    opened_at + toIntervalMicrosecond(offset), opened_at, gap / 1e6, if(is_caused, 'website', ''), if(is_caused, toString(drawn), ''),
    if(is_caused, {_lookup("drawn % 6", _CHANNELS)}, ''), if(is_caused, {_lookup("drawn % 6", _GROUPS)}, ''), if(is_caused, 'page_view', ''),
    if(is_caused, first_campaign, ''), {_lookup("first_channel", _CHANNELS)}, {_lookup("first_channel", _GROUPS)}, first_campaign,
    if(number % 3 = 0, 'account ' || toString(intDiv(number, 30)), ''), if(intDiv(code, 8) = 4, (drawn % 100000)::Decimal(18, 2) / 100, 0),
    if(intDiv(code, 8) = 4, if(visit_hash % 5 = 0, 'USD', 'EUR'), ''), if(code = 5, 'reason ' || toString(drawn % 12), ''),
    if(is_caused AND drawn % 6 = 5, 'rep ' || toString(drawn % 41), ''),
    arrayMap(touch -> opened_at + toIntervalMicrosecond(intDiv(offset * (touch - 1), length(touches))), touches),
    arrayMap(touch -> {_lookup("(drawn + touch) % 6", _GROUPS)}, touches),
    arrayMap(touch -> if(touch = 1 OR drawn % 3 = 0, first_campaign, {_campaign("drawn + touch")}), touches),
    {wave.revision}, {int(wave.is_deleted)}, {wave.written_at}
FROM
(
    SELECT
        *, code, step, from_stage, gap, offset, code % 8 != 6 AS is_caused, cityHash64(visit_hash, step) AS drawn,
        if(code < 8 OR intDiv(code, 8) = 4 AND code % 8 != 4, range(1, 2 + drawn % 5), []) AS touches
    FROM ({visits(start, count, wave)})
    ARRAY JOIN way AS code, range(length(way)) AS step, arrayShiftRight(arrayMap(c -> intDiv(c, 8), way), 1) AS from_stage, gaps AS gap, offsets AS offset
)
SETTINGS max_insert_threads = 1, max_threads = 2"""


def visits(start: int, count: int, wave: Wave) -> str:
    """The SELECT that gives visits with the way that each takes: codes (8 * stage + kind), gaps and offsets of its steps in microseconds."""
    number_of_visits = "1 + (prospect_hash % 100 < 20) + (prospect_hash % 100 < 4)"
    chosen = "[9]" if wave.extra_visit else f"range(1, 1 + {number_of_visits})"
    return f"""
    SELECT
        number,
        prospect_hash,
        reinterpretAsUUID(sipHash128(number)) AS prospect_id,
        visit,
        cityHash64(number, visit) AS visit_hash,
        {_ways()}[1 + visit_hash % 32] AS way,
        arrayMap(step -> if(step = 1, 0, toInt64(6e7 + pow((cityHash64(visit_hash, step, 1) % 1000003) / 1000003, 3) * 3e12)), arrayEnumerate(way)) AS gaps,
        arrayCumSum(gaps) AS offsets,
        intDiv(prospect_hash, 100) % 365 + (visit - 1) * 150 AS day,
        toDateTime64('2024-12-01', 6, 'UTC') + toIntervalDay(day + {wave.shift_days}) + toIntervalMicrosecond(visit_hash % 86400000000) AS opened_at,
        if(visit_hash % 10 < 3, '', {_campaign("intDiv(visit_hash, 1000)")}) AS first_campaign,
        -- A campaign has one channel.
        if(first_campaign = '', visit_hash, cityHash64(first_campaign)) % 6 AS first_channel
    FROM (SELECT number, cityHash64(number) AS prospect_hash FROM numbers({start}, {count}) WHERE {wave.where})
    ARRAY JOIN {chosen} AS visit"""


_CHANNELS = ("web", "web", "web", "email", "email", "call")
_GROUPS = ("Organic Search", "Paid Search", "Direct", "Email", "Email", "Sales Call")


def _campaign(drawn: str) -> str:
    """One of the twenty that run on a visit's day."""
    return f"'campaign ' || toString(intDiv(day, 2) + ({drawn}) % 20)"


def _ways() -> str:
    """Array of arrays of codes, each as often as it is taken."""
    ways = []
    for times, steps in _WAYS:
        codes = [8 * int(stage) + _KINDS.index(kind) for kind, stage in (step.split() for step in steps.split(", "))]
        ways += [f"[{', '.join(map(str, codes))}]"] * times
    assert len(ways) == 32
    return f"([{', '.join(ways)}]::Array(Array(UInt8)))"


def _lookup(index: str, values: tuple[str, ...]) -> str:
    """An element by an index from 0, as a string."""
    return f"transform({index}, range({len(values)}), [{', '.join(repr(value) for value in values)}], '')"
