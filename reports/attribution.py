"""The Markov model of attribution: counted in ClickHouse, solved here, and its shares written back.

The counts are of pairs of touches that follow each other, so neither memory here nor the answers grow with the number of visits. What the shares mean,
and how the view puts them to days and amounts, is in docs/attribution.md.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from reports.markov import Chain, Matrix, shares_within

MOST_STATES = 1_000
"""Touches are told apart by channel group and campaign. Of each funnel, so many such pairs with most touches are; campaigns of other ones are one."""
OTHER = "(other)"
"""The campaign of those."""
UNATTRIBUTED = "(unattributed)"
"""The channel group of touches that have none."""

_NOBODY = (UNATTRIBUTED, "")
_BOUNDED = {"max_bytes_before_external_group_by": 200_000_000, "max_threads": 2}
"""What does not fit goes to disk: users of a shared server have limits."""
_GROUP = f"if(g = '', '{UNATTRIBUTED}', toString(g))"
_STATES = f"""
SELECT DISTINCT funnel, if(place > %(most)s, '{OTHER}', campaign) AS name, channel_group, sipHash64(channel_group, name) AS state
FROM
(
    SELECT funnel, channel_group, campaign, row_number() OVER (PARTITION BY funnel ORDER BY touches DESC, channel_group, campaign) AS place
    FROM
    (
        SELECT funnel, {_GROUP} AS channel_group, toString(c) AS campaign, count() AS touches
        FROM visit_paths
        ARRAY JOIN channel_groups AS g, campaigns AS c
        GROUP BY funnel, channel_group, campaign
    )
)"""  # noqa: S608  constants
# 0 is where paths begin and end.
_MOVES = f"""
SELECT source, target, count() AS moves
FROM
(
    SELECT arrayMap((g, c) -> if(sipHash64({_GROUP}, toString(c)) IN %(known)s, sipHash64({_GROUP}, toString(c)), sipHash64({_GROUP}, '{OTHER}')),
        channel_groups, campaigns) AS states
    FROM visit_paths
    WHERE funnel = %(funnel)s AND notEmpty(channel_groups)
)
ARRAY JOIN arrayPushFront(states, toUInt64(0)) AS source, arrayPushBack(states, toUInt64(0)) AS target
GROUP BY source, target"""  # noqa: S608  constants
_BROUGHT = f"""
SELECT
    sipHash64(toString(channel_group), toString(campaign)), sipHash64(toString(channel_group), '{OTHER}'), currency,
    toFloat64(sum(r.conversions - r.untouched_conversions)), toFloat64(sum(r.value - r.untouched_value))
FROM attribution_totals AS r
WHERE funnel = %(funnel)s AND model = 'last'
GROUP BY channel_group, campaign, currency"""  # noqa: S608  constants
_WRITE = "INSERT INTO attribution_shares (funnel, currency, channel_group, campaign, conversions_share, value_share, run) VALUES"


class Share(NamedTuple):
    """What touches of one kind get of what a funnel's visits brought in a currency, of 0 to 1."""

    funnel: str
    currency: str
    channel_group: str
    campaign: str
    conversions: float
    value: float


@dataclass(frozen=True, slots=True)
class Run:
    """What a run wrote."""

    number: int
    """Later runs have higher ones."""
    shares: tuple[Share, ...]


def attribute(client: Any, most_states: int = MOST_STATES) -> Run:
    """Work out the shares by the Markov model of all closed visits, and write them. Readers see all of a run or nothing.

    The amounts are taken from `attribution_totals` as it is: `sinks.refresh.refresh` first brings it up to now.

    Args:
        client: a clickhouse-driver client of our database.
        most_states: as `MOST_STATES`.

    Raises:
        clickhouse_driver.errors.Error: the server is away, or refuses.
    """
    states: dict[str, dict[int, tuple[str, str]]] = defaultdict(dict)
    for funnel, campaign, channel_group, state in client.execute(_STATES, {"most": most_states}, settings=_BOUNDED):
        states[funnel][state] = (channel_group, campaign)
    found = tuple(share for funnel, known in states.items() for share in _shares_of(client, funnel, known))
    ((newest,),) = client.execute("SELECT max(run) FROM attribution_shares")
    number = max(time.time_ns() // 1_000, newest + 1)
    # One block, which is there as a whole or not at all.
    client.execute(_WRITE, [(*share, number) for share in (*found, Share("", "", "", "", 0.0, 0.0))])
    return Run(number, found)


def _shares_of(client: Any, funnel: str, known: Mapping[int, tuple[str, str]]) -> Iterator[Share]:
    parameters = {"funnel": funnel, "known": tuple(known)}
    moves = client.execute(_MOVES, parameters, settings=_BOUNDED)
    brought = client.execute(_BROUGHT, parameters, settings=_BOUNDED)
    states = sorted({source for source, _, _ in moves} - {0}, key=known.__getitem__)
    numbers = {state: number for number, state in enumerate(states)}
    currencies = sorted({currency for _, _, currency, _, _ in brought})
    rewards = np.zeros((len(states), 2 * len(currencies)))
    for state, other, currency, conversions, value in brought:
        number = numbers.get(state, numbers.get(other))
        if number is not None:  # else it was not there a moment before, when moves were counted
            column = 2 * currencies.index(currency)
            rewards[number, column : column + 2] += (conversions, value)
    found = shares_within(_chain(moves, numbers, rewards), [known[state][0] for state in states])
    for position, currency in enumerate(currencies):
        by_conversions, by_value = found[:, 2 * position], found[:, 2 * position + 1]
        if not by_conversions.any():
            continue  # nobody's, all of it
        # Effects on amounts mean something only where none is below 0. Where there is nothing to share, any shares will do.
        if not by_value.any() or (rewards[:, 2 * position + 1] < 0).any():
            by_value = by_conversions
        for state, conversions, value in zip(states, by_conversions, by_value, strict=True):
            if known[state] != _NOBODY and (conversions or value):
                yield Share(funnel, currency, *known[state], float(conversions), float(value))
        # Always there: what visits without touches brought is put to this one by the views.
        nobody = [number for number, state in enumerate(states) if known[state] == _NOBODY]
        yield Share(funnel, currency, *_NOBODY, float(by_conversions[nobody].sum()), float(by_value[nobody].sum()))


def _chain(moves: Sequence[tuple[int, int, int]], numbers: Mapping[int, int], rewards: Matrix) -> Chain:
    starts, ends, between = np.zeros(len(numbers)), np.zeros(len(numbers)), np.zeros((len(numbers), len(numbers)))
    for source, target, count in moves:
        if source == 0:
            starts[numbers[target]] = count
        elif target == 0:
            ends[numbers[source]] = count
        else:
            between[numbers[source], numbers[target]] = count
    return Chain(starts, between, ends, rewards)
