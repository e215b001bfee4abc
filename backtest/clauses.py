"""The clauses of a funnel as its file has them, and which of them an event satisfied."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from funnel.definition import Clause, Funnel
from funnel.events import Touch
from funnel.journey import Progress, count_matches
from funnel.rules import Counted, FunnelRules, RuleSet

ENTER, LOST, BACK, ACTIVITY, TOUCH, SNOOZE = "enter", "lost", "back", "activity", "touch", "snooze"
"""What the list that a clause stands in is for."""
MOVING = (ENTER, LOST, BACK)
"""Lists that move somebody."""


class Placed(NamedTuple):
    """A clause, and where it stands."""

    purpose: str
    to: int
    """Index of the stage that it leads to; -1: to none."""
    list_name: str
    """Such as `interest.enter`, `lost.on` or `back[0].on`."""
    number: int
    """Its place in the list."""
    clause: Clause

    @property
    def where(self) -> str:
        """Such as `interest.enter[1]`."""
        return f"{self.list_name}[{self.number}]"


class Compiled(NamedTuple):
    """A clause as the rules have it."""

    placed: Placed
    bit: int
    """Set in `Touch.matches` where an event matches it."""
    counted: int
    """Which of `FunnelRules.counted` it is, as a bit; 0: it has no `at_least`."""

    def satisfied(self, matches: int, enough: int) -> bool:
        """Whether an event satisfies it, from its matches and the counted clauses that have enough."""
        return bool(enough & self.counted) if self.counted else bool(matches & self.bit)


def placed(funnel: Funnel) -> Iterator[Placed]:
    """All clauses of a funnel, in the file's order."""
    for to, stage in enumerate(funnel.stages):
        yield from _listed(ENTER, to, f"{stage.name}.enter", stage.enter)
    yield from _listed(LOST, -1, "lost.on", funnel.lost)
    for number, back in enumerate(funnel.back):
        yield from _listed(BACK, back.to, f"back[{number}].on", back.on)
    yield from _listed(ACTIVITY, -1, "activity", funnel.activity)
    yield from _listed(TOUCH, -1, "handoff.touch", funnel.touch)
    for number, snooze in enumerate(funnel.snooze):
        yield from _listed(SNOOZE, -1, f"snooze[{number}].on", snooze.on)


def compiled(rules: RuleSet, funnel: FunnelRules) -> list[Compiled]:
    """All clauses of one funnel of a rule set."""
    found = []
    for one in placed(funnel.funnel):
        bit, clause = rules.bit_of(one.clause), one.clause
        spec = Counted(bit, clause.at_least, clause.within)
        found.append(Compiled(one, bit, 1 << funnel.counted.index(spec) if clause.counted else 0))
    return found


def enough_for(rules: FunnelRules, progress: Progress, touch: Touch) -> int:
    """Which counted clauses (as bits) an event satisfies that comes after a progress; as the fold counts."""
    expired = progress.stage >= 0 and touch.occurred_at > progress.active_at + rules.funnel.window
    counts = progress.counts if progress.counts and not expired else rules.nothing_counted
    return count_matches(rules.counted, counts, touch.matches & rules.bits, touch.occurred_at)[1]


def _listed(purpose: str, to: int, name: str, clauses: tuple[Clause, ...]) -> Iterator[Placed]:
    for number, clause in enumerate(clauses):
        yield Placed(purpose, to, name, number, clause)
