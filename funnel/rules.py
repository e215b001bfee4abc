"""Clauses compiled: which of them an event matches (at intake), and what a match means (in the fold).

All clauses of all funnels share one numbering: bit i of `Touch.matches` is set where predicate i matches.
So an event's fields are looked at once, at intake, and nothing personal has to travel further.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple, NoReturn

from funnel.channels import NO_CHANNELS, ChannelRules
from funnel.definition import Clause, Funnel
from funnel.events import Touch
from funnel.globs import compile_globs
from funnel.handoffs import begins, is_handed
from funnel.stalls import Holidays, patience_of, response_of

_Predicate = tuple[tuple[tuple[str, tuple[str, ...]], ...], int | None]
_Check = Callable[[Mapping[str, Any]], object]

_PLANS_KEPT = 4_096


class Verdict(NamedTuple):
    """What an event satisfies in one funnel, `at_least` counted."""

    stage: int
    """The furthest stage whose `enter` it satisfies; -1: none."""
    lost: bool
    back: tuple[int, ...]
    """Stages that satisfied `back` entries lead to, in the file's order."""
    activity: bool


class Counted(NamedTuple):
    """A clause with `at_least`: bit of its predicate, how many, within how many microseconds."""

    bit: int
    at_least: int
    within: int


class FunnelRules:
    """One funnel's clauses over the shared bits."""

    def __init__(self, funnel: Funnel, bit_of: Callable[[Clause], int], holidays: Holidays) -> None:
        self.funnel = funnel
        counted: list[Counted] = []

        def compiled(clauses: Iterable[Clause]) -> tuple[int, int]:
            """Bits that satisfy the list at once, and numbers (as bits) of the counted clauses that do."""
            plain = numbers = 0
            for clause in clauses:
                bit = bit_of(clause)
                if not clause.counted:
                    plain |= bit
                    continue
                spec = Counted(bit, clause.at_least, clause.within)
                if spec not in counted:
                    counted.append(spec)
                numbers |= 1 << counted.index(spec)
            return plain, numbers

        self._enter = tuple(compiled(stage.enter) for stage in funnel.stages)
        self._lost = compiled(funnel.lost)
        self._back = tuple((back.to, *compiled(back.on)) for back in funnel.back)
        self._activity = compiled(funnel.activity)
        self._touch, _ = compiled(funnel.touch)
        self._snooze = tuple((compiled(snooze.on)[0], snooze.duration) for snooze in funnel.snooze)
        self.snooze_bits = 0
        for plain, _ in self._snooze:
            self.snooze_bits |= plain
        self.counted = tuple(counted)
        """Clauses with `at_least`; clause j of these is bit j of `verdict`'s second argument."""
        self.bits = self._touch | self.snooze_bits
        """Predicates this funnel looks at: an event is relevant to it where `matches & bits` isn't 0."""
        for plain, _ in (*self._enter, self._lost, self._activity, *((p, n) for _, p, n in self._back)):
            self.bits |= plain
        self.counted_bits = 0
        for spec in counted:
            self.counted_bits |= spec.bit
        self.bits |= self.counted_bits
        self.nothing_counted: tuple[tuple[int, ...], ...] = ((),) * len(counted)
        self.stage_names = tuple(stage.name for stage in funnel.stages)
        self.teams = tuple(stage.team for stage in funnel.stages)
        stages = range(len(self.teams))
        self.hands = tuple(tuple(is_handed(self.teams, stage, to) for to in stages) for stage in stages)
        """By the stage a visit is in, and by the one it goes on to: whether it is handed to another team. No rule, as are the teams."""
        self.begins = tuple(begins(self.teams, stage) for stage in stages)
        """The first stage from which on all up to each one are of one team."""
        try:
            self.patience = tuple(patience_of(stage, holidays) for stage in funnel.stages)
            """For how long nothing may happen in each stage. No rule: it decides no transition."""
            self.responses = tuple(response_of(stage, holidays) for stage in funnel.stages)
            """The same of how long one may wait there for a team's response."""
        except ValueError as error:
            raise ValueError(f"funnel {funnel.name}: holidays: {error}") from error
        self._verdicts: dict[tuple[int, int], Verdict] = {}

    def touches(self, touch: Touch) -> bool:
        """Whether an event that is relevant to this funnel is a touch by whoever a visit was handed to."""
        if self._touch:
            return bool(touch.matches & self._touch)
        return touch.type == "completed" and touch.channel == "call"

    def snoozes(self, matches: int) -> int:
        """For how long (microseconds) an event snoozes the stage its prospect is in; 0: it doesn't."""
        return max((duration for plain, duration in self._snooze if matches & plain), default=0)

    def verdict(self, matches: int, enough: int) -> Verdict:
        """What an event satisfies.

        Args:
            matches: the event's matches, restricted to `bits`.
            enough: bit j is set where counted clause j matches and its count is reached.
        """
        try:
            return self._verdicts[matches, enough]
        except KeyError:
            return self._verdicts.setdefault((matches, enough), self._judge(matches, enough))

    def _judge(self, matches: int, enough: int) -> Verdict:
        def satisfied(clauses: tuple[int, int]) -> bool:
            return bool(matches & clauses[0] or enough & clauses[1])

        stages = [number for number, clauses in enumerate(self._enter) if satisfied(clauses)]
        return Verdict(
            stage=stages[-1] if stages else -1,
            lost=satisfied(self._lost),
            back=tuple(to for to, plain, numbers in self._back if satisfied((plain, numbers))),
            activity=satisfied(self._activity),
        )


class RuleSet:
    """All funnels that run together."""

    def __init__(
        self, funnels: Iterable[Funnel], holidays: Holidays | None = None, channels: ChannelRules = NO_CHANNELS
    ) -> None:
        """Make one.

        Args:
            funnels: in any order.
            holidays: gives days off by what funnel files call them; needed where one of them does.
            channels: what groups events by channel. They are no part of the fingerprint: what changes in them is for events to come.

        Raises:
            ValueError: they are needed and not given, or it raised this as they are unknown.
        """
        self._predicates: dict[_Predicate, int] = {}
        self.channels = channels
        self.funnels = tuple(FunnelRules(funnel, self.bit_of, holidays or _no_holidays) for funnel in funnels)
        self.bits = (1 << len(self._predicates)) - 1
        """All bits: an event with `matches == 0` is relevant to no funnel."""
        self.fingerprint = self._fingerprint()
        """Signed 64 bits; differs where the same events could give other transitions or other match bits."""
        self._checks = tuple(
            (1 << number, dict(patterns), minimum) for number, (patterns, minimum) in enumerate(self._predicates)
        )
        self._plans: dict[tuple[Any, Any], tuple[int, tuple[tuple[int, _Check], ...]]] = {}

    def match(self, event: Mapping[str, Any]) -> int:
        """The predicates an event matches, as bits. Fields are taken as received (contract, section 2)."""
        key = (event["channel"], event["type"])
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) >= _PLANS_KEPT:  # types come from outside: never keep them all
                self._plans.clear()
            plan = self._plans[key] = self._plan(*key)
        matches, residue = plan
        for bit, check in residue:
            if check(event):
                matches |= bit
        return matches

    def bit_of(self, clause: Clause) -> int:
        """The bit that is set where an event matches a clause of these funnels, `at_least` aside."""
        predicate = (clause.patterns, clause.min_duration_seconds)
        return 1 << self._predicates.setdefault(predicate, len(self._predicates))

    def _plan(self, channel: Any, type_: Any) -> tuple[int, tuple[tuple[int, _Check], ...]]:
        """For one (channel, type): the predicates that match already, and those that need more fields."""
        matches = 0
        residue: list[tuple[int, _Check]] = []
        known = {"channel": channel, "type": type_}
        for bit, patterns, minimum in self._checks:
            if not all(_matches(known[name], patterns[name]) for name in known if name in patterns):
                continue
            rest = {name: globs for name, globs in patterns.items() if name not in known}
            if rest or minimum is not None:
                residue.append((bit, _check(rest, minimum)))
            else:
                matches |= bit
        return matches, tuple(residue)

    def _fingerprint(self) -> int:
        parts = [
            (
                *(rules.funnel.name, rules.funnel.version, [stage.name for stage in rules.funnel.stages]),
                *(rules.funnel.window, rules.funnel.rest_won, rules.funnel.rest_lost, rules.funnel.wake),
                *([stage.enter for stage in rules.funnel.stages], rules.funnel.lost, rules.funnel.back),
                rules.funnel.activity,
                # What is not declared is no part: it was none before it could be.
                *([rules.funnel.touch] if rules.funnel.touch else ()),
                *([("snooze", rules.funnel.snooze)] if rules.funnel.snooze else ()),
            )
            for rules in self.funnels
        ]
        digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big", signed=True)


def _no_holidays(region: str) -> NoReturn:
    raise ValueError(f"nobody says which days are holidays in {region}")


def _matches(value: Any, globs: tuple[str, ...]) -> bool:
    return isinstance(value, str) and bool(compile_globs(globs)(value))


def _check(patterns: Mapping[str, tuple[str, ...]], minimum: int | None) -> _Check:
    """A predicate over the event for what channel and type don't decide."""
    checks: list[_Check] = [_field_check(name, globs) for name, globs in patterns.items()]
    if minimum is not None:
        checks.append(_duration_check(minimum))
    if len(checks) == 1:
        return checks[0]
    return lambda event: all(check(event) for check in checks)


def _field_check(name: str, globs: tuple[str, ...]) -> _Check:
    match = compile_globs(globs)
    if name.startswith("properties."):
        key = name.removeprefix("properties.")

        def check_property(event: Mapping[str, Any]) -> object:
            value = event["properties"].get(key)
            return value is not None and match(value)

        return check_property

    def check_field(event: Mapping[str, Any]) -> object:
        value = event.get(name)
        if value is None:
            return False
        return match(value if isinstance(value, str) else _as_text(value))

    return check_field


def _duration_check(minimum: int) -> _Check:
    def check(event: Mapping[str, Any]) -> object:
        duration = event.get("duration_seconds")
        return duration is not None and duration >= minimum

    return check


def _as_text(value: Any) -> str:
    """How a number is seen by a glob: amounts with two decimals, whole numbers plainly."""
    return f"{value:.2f}" if isinstance(value, Decimal) else str(value)
