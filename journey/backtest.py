"""`journey backtest`: a funnel file over history, beside the one that runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from agents.days_off import days_off
from backtest.clauses import compiled
from backtest.comparison import Comparison, compare
from backtest.figures import Figures
from backtest.gathering import Gathering
from backtest.reasons import Parting, Rules, Side, parting
from backtest.stitching import Stitched, stitch
from funnel.channels import ChannelRules, load_channels
from funnel.definition import Funnel, load_funnels
from funnel.rules import RuleSet
from journey.backtest_report import show
from journey.errors import JourneyError, SettingsError
from journey.funnel_files import channel_paths, funnel_paths, load
from journey.replay import Asked, gathered, no_collections
from journey.screen import Screen
from journey.settings import Settings


class Backtest:
    """Two funnels over one history."""

    def __init__(self, before: Funnel, now: Funnel, gathered: Gathering, wanted: Asked, rules: RuleSet) -> None:
        """Stitch and fold. `rules` are of these two funnels, in this order, and matched what was gathered."""
        self.before, self.now, self.gathered, self.wanted = before, now, gathered, wanted
        self.stitched: Stitched = stitch(gathered)
        was, would_be = rules.funnels
        self.comparison: Comparison = compare(self.stitched, was, would_be, wanted.as_of, wanted.since)
        self._was, self._would_be = Rules(was, compiled(rules, was)), Rules(would_be, compiled(rules, would_be))

    def partings(self, most: int | None) -> list[tuple[UUID, Parting]]:
        """Why prospects differ, by id; at most so many, None: all."""
        return [
            (
                UUID(bytes=prospect),
                parting(
                    self.stitched.histories[prospect],
                    self._was,
                    self._would_be,
                    self.wanted.as_of,
                    self.wanted.since,
                ),
            )
            for prospect in self.comparison.differing[:most]
        ]


def backtest(
    settings: Settings, funnel: str, against: str | None, wanted: Asked, screen: Screen, *, most: int, as_json: bool
) -> int:
    """Replay, and show what would change. Returns the exit code.

    Args:
        settings: name the funnel that runs, and what decides on records.
        funnel: the file to try.
        against: the one to compare with; the configured one of the same name unless given.
        wanted: what to replay.
        screen: where to show it.
        most: list at most so many prospects; 0: all.
        as_json: as one JSON document, for programs.
    """
    now, before = _both(settings, funnel, against)
    channels = ChannelRules(load_channels(channel_paths(settings.channels)))
    rules = RuleSet([before, now], days_off, channels)
    with no_collections():
        records = gathered(settings, rules, wanted, screen)
        found = Backtest(before, now, records, wanted, rules)
        if as_json:
            screen.out.file.write(json.dumps(document(found, most or None), ensure_ascii=False, indent=1) + "\n")
        else:
            show(found, most or None, screen)
    return 0


def document(found: Backtest, most: int | None) -> dict[str, Any]:
    """All of it, for programs. Times are microseconds."""
    gathered, stitched, comparison = found.gathered, found.stitched, found.comparison
    return {
        "funnel": found.now.name,
        "versions": {"before": found.before.version, "now": found.now.version},
        "as_of": found.wanted.as_of,
        "since": found.wanted.since,
        "records": gathered.records,
        "events": {
            "applied": stitched.applied,
            "duplicate": gathered.duplicate,
            "ignored": stitched.ignored,
            "shared": stitched.shared,
            "forgotten": stitched.forgotten,
            "later": gathered.later,
            "dead": dict(sorted(gathered.dead.items())),
        },
        "prospects": comparison.prospects,
        "stages": {"before": _figures(comparison.before), "now": _figures(comparison.now)},
        "differing": [str(UUID(bytes=prospect)) for prospect in comparison.differing],
        "reasons": [
            {
                "prospect": str(prospect),
                "at": one.at,
                "event": one.event
                and {name: getattr(one.event, name) for name in ("source", "event_id", "channel", "type")},
                "before": _side(one.before),
                "now": _side(one.now),
            }
            for prospect, one in found.partings(most)
        ],
    }


def _figures(figures: Sequence[Figures]) -> list[dict[str, Any]]:
    return [
        one._asdict() | {"revenue": {currency: f"{amount / 100:.2f}" for currency, amount in one.revenue.items()}}
        for one in figures
    ]


def _side(side: Side) -> dict[str, Any]:
    row = side.row
    return {
        "move": None if row is None else {"kind": row.kind, "from": row.from_stage, "to": row.to_stage},
        "clauses": [one.where for one in side.clauses],
        "why": side.why,
        "end": side.end,
    }


def _both(settings: Settings, funnel: str, against: str | None) -> tuple[Funnel, Funnel]:
    """The funnel to try, and the one to compare with."""
    try:
        (now,) = load_funnels(funnel_paths([funnel]))
        if against is not None:
            (before,) = load_funnels(funnel_paths([against]))
            return now, before
    except ValueError as error:  # a FunnelError is one
        raise SettingsError(str(error)) from error
    configured = {one.name: one for one in load(settings.funnels)[0]}
    if now.name not in configured:
        raise JourneyError(
            f"{funnel}: no configured funnel is called {now.name} (there are {', '.join(sorted(configured))})",
            hint="--against names the file to compare with",
        )
    return now, configured[now.name]
