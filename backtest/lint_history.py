"""What is odd about a funnel, by history: clauses that match nothing or move nobody, thresholds nobody meets, stages nobody enters or leaves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from backtest.clauses import BACK, ENTER, LOST, MOVING, Compiled, Placed, compiled, enough_for, placed
from backtest.figures import Figures, Tally
from backtest.lint import Finding
from backtest.stitching import Stitched
from funnel.definition import Funnel, Stage
from funnel.durations import shown
from funnel.events import Touch
from funnel.facts import Transition
from funnel.journey import START, Progress, count_matches, expiry, fold
from funnel.rules import FunnelRules, RuleSet
from funnel.stalls import Holidays

_PURPOSE_OF = {"lost": LOST, "back": BACK}


@dataclass
class Use:
    """How often a clause mattered."""

    placed: Placed
    matched: int = 0
    """Events that match it, `at_least` aside."""
    satisfied: int = 0
    moved: int = 0
    """Moves that it decided, alone or with others of its list."""
    most: int = 0
    """Of a clause with `at_least`: the most of its events that lay close enough together."""
    but_for_duration: int = 0
    """Of a clause with min_duration_seconds: events that match all the rest of it."""


class Observed(NamedTuple):
    """What a funnel makes of a history."""

    uses: list[Use]
    figures: list[Figures]
    events: int
    """That some clause matches, and that are somebody's."""
    prospects: int


def rules_for(funnel: Funnel, holidays: Holidays) -> RuleSet:
    """Rules of a funnel whose use is to be observed: with a second one beside it, whose clauses ask for no duration.

    Args:
        funnel: the funnel.
        holidays: as `RuleSet` takes it.
    """
    return RuleSet([funnel, *_without_durations(funnel)], holidays)


def observe(rules: RuleSet, stitched: Stitched, as_of: int) -> Observed:
    """Fold all histories, and see what each clause did.

    Args:
        rules: see `rules_for`.
        stitched: made with them.
        as_of: the wall clock, microseconds.
    """
    one = rules.funnels[0]
    clauses = compiled(rules, one)
    uses = [Use(clause.placed) for clause in clauses]
    observer = _Observer(one, clauses, uses, _bits_without_durations(rules, clauses))
    tally = Tally(one.funnel)
    events = prospects = 0
    for history in stitched.histories.values():
        rows, relevant = observer.watch(history, as_of)
        tally.add(rows)
        events += relevant
        prospects += bool(relevant)
    return Observed(uses, tally.figures(), events, prospects)


def findings(observed: Observed) -> Iterator[Finding]:
    """What is odd about it."""
    for use in observed.uses:
        yield from _of_use(use, observed.events)
    last = len(observed.figures) - 1
    for number, figures in enumerate(observed.figures):
        if not figures.entered:
            says = (
                f"always skipped by the {figures.reached:,} visits that came so far"
                if figures.reached
                else "nobody came so far"
            )
            yield Finding(figures.stage, says)
        elif number < last and not figures.moved_on and not figures.lost:
            stay = f"{figures.expired:,} of {figures.entered:,} visits expired, {figures.waiting:,} wait"
            yield Finding(figures.stage, f"nobody left it but by expiring: {stay}")


class _Observer:
    def __init__(self, rules: FunnelRules, clauses: list[Compiled], uses: list[Use], probes: list[int]) -> None:
        self._rules, self._clauses, self._uses = rules, clauses, uses
        self._probes = [(use, bit) for use, bit in zip(uses, probes, strict=True) if bit]
        self._of_matches: dict[int, list[tuple[Compiled, Use]]] = {}

    def watch(self, history: list[Touch], as_of: int) -> tuple[list[Transition], int]:
        """The rows of one prospect, and how many of its events matter."""
        rules, progress, rows, relevant = self._rules, START, [], 0
        for touch in history:
            for use, bit in self._probes:
                use.but_for_duration += touch.matches & bit != 0
            if not touch.matches & rules.bits:
                continue
            relevant += 1
            enough = enough_for(rules, progress, touch) if touch.matches & rules.counted_bits else 0
            after, told = fold(rules, progress, (touch,))
            moved = [row for row in told if type(row) is Transition]
            rows += moved
            self._note(progress, touch, enough, next((row for row in moved if row.kind != "expired"), None))
            progress = after
        if (end := expiry(rules, progress, as_of)) is not None:
            rows.append(end)
        return rows, relevant

    def _note(self, progress: Progress, touch: Touch, enough: int, row: Transition | None) -> None:
        matches = touch.matches & self._rules.bits
        found = self._of_matches.get(matches)
        if found is None:
            both = zip(self._clauses, self._uses, strict=True)
            found = self._of_matches[matches] = [(clause, use) for clause, use in both if matches & clause.bit]
        for clause, use in found:
            use.matched += 1
            if clause.counted:
                use.most = max(use.most, self._close(progress, touch, clause))
            if not clause.satisfied(matches, enough):
                continue
            use.satisfied += 1
            if row is not None and self._decided(clause.placed, row):
                use.moved += 1

    def _decided(self, one: Placed, row: Transition) -> bool:
        if one.purpose != _PURPOSE_OF.get(row.kind, ENTER):
            return False
        return one.to < 0 or self._rules.stage_names[one.to] == row.to_stage

    def _close(self, progress: Progress, touch: Touch, clause: Compiled) -> int:
        rules = self._rules
        expired = progress.stage >= 0 and touch.occurred_at > progress.active_at + rules.funnel.window
        counts = rules.nothing_counted if expired or not progress.counts else progress.counts
        times = count_matches(rules.counted, counts, touch.matches & rules.bits, touch.occurred_at)[0]
        own = times[clause.counted.bit_length() - 1]
        return sum(at >= touch.occurred_at - clause.placed.clause.within for at in own)


def _of_use(use: Use, events: int) -> Iterator[Finding]:
    one, clause = use.placed, use.placed.clause
    if not use.matched:
        if use.but_for_duration:
            least = clause.min_duration_seconds
            yield Finding(
                one.where,
                f"nobody meets it: of {use.but_for_duration:,} events that match otherwise none lasts {least} s",
            )
        else:
            yield Finding(one.where, f"matches none of {events:,} events")
    elif not use.satisfied:
        wanted = f"{clause.at_least} within {shown(clause.within)}"
        yield Finding(
            one.where, f"nobody meets it: {use.matched:,} events match, but never {wanted}; at most {use.most}"
        )
    elif not use.moved and one.purpose in MOVING:
        yield Finding(
            one.where, f"moved nobody: satisfied {use.satisfied:,} times, where no visit could be moved by it"
        )


def _without_durations(funnel: Funnel) -> Iterator[Funnel]:
    relaxed = tuple(
        replace(one.clause, min_duration_seconds=None, at_least=1, within=0, counted=False)
        for one in placed(funnel)
        if one.clause.min_duration_seconds is not None
    )
    if relaxed:
        yield Funnel("", (Stage("", relaxed),))


def _bits_without_durations(rules: RuleSet, clauses: list[Compiled]) -> list[int]:
    return [
        0
        if one.placed.clause.min_duration_seconds is None
        else rules.bit_of(replace(one.placed.clause, min_duration_seconds=None))
        for one in clauses
    ]
