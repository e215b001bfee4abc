"""What became of the events, as the worker and the sink of this command count it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from journey.local_stack import Stack
from journey.telemetry import scrape

_DEAD = "journey_dead_total{"


@dataclass(frozen=True)
class Counts:
    """Sums since the command began."""

    consumed: int = 0
    applied: int = 0
    duplicate: int = 0
    ignored: int = 0
    shared: int = 0
    forgotten: int = 0
    declared: int = 0
    """Declarations and requests to forget, which are no events, but are consumed."""
    dead: Mapping[str, int] = field(default_factory=dict)
    """By reason; those that the worker refused, not the lines that were none."""
    facts: int = 0
    rows: int = 0
    """That the sink inserted."""

    @property
    def accounted(self) -> int:
        """Events whose fate is known; equals `consumed` when all is through."""
        events = self.applied + self.duplicate + self.ignored + self.shared + self.forgotten
        return events + self.declared + sum(self.dead.values())


class Counter:
    """Adds up what the children tell, over their restarts."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._last: dict[tuple[str, int], Mapping[str, float]] = {}
        """By child and process, what it told last."""

    @property
    def is_exact(self) -> bool:
        """Whether no child died: one that died may have counted what its successor counts again."""
        return self._stack.supervisor.restarts == 0

    @property
    def is_ours(self) -> bool:
        """Whether worker and sink are children of this command; others' counts are not read."""
        return {"worker", "sink"} <= set(self._stack.metrics_ports)

    def read(self) -> Counts:
        """The sums now."""
        for child in self._stack.supervisor.children:
            port = self._stack.metrics_ports.get(child.name)  # the console counts nothing
            if port is not None and child.pid is not None and (told := scrape(port)) is not None:
                self._last[child.name, child.pid] = told
        totals: dict[str, float] = defaultdict(float)
        for told in self._last.values():
            for name, value in told.items():
                totals[name] += value

        def net(name: str) -> int:
            return int(totals[f"journey_{name}_total"] - totals[f"journey_taken_back_total{{{name}}}"])

        return Counts(
            consumed=int(totals["journey_consumed_total"]),
            applied=net("applied"),
            duplicate=int(totals["journey_duplicate_total"]),
            ignored=net("ignored"),
            shared=net("shared"),
            forgotten=int(totals["journey_forgotten_total"]),
            declared=net("declared"),
            dead={
                name[len(_DEAD) : -1]: int(value)
                for name, value in sorted(totals.items())
                if name.startswith(_DEAD) and value
            },
            facts=int(totals["journey_facts_total"]),
            rows=int(totals["journey_sink_rows_total"]),
        )
