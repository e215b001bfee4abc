"""What is odd about a funnel, by its file alone: clauses that can't match or never decide, stages nobody can enter or leave.

A finding is certain: it says what follows from the contract (sections 1 to 3), whatever the events are. What depends on them is in
`backtest.lint_history`.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import NamedTuple

from backtest.clauses import BACK, ENTER, LOST, Placed, placed
from funnel.definition import Clause, Funnel
from funnel.durations import shown
from funnel.globs import compile_globs, literal
from funnel.handoffs import may_be_handed
from schemas.catalog import SUBJECT_OF_CHANNEL, current

CHANNELS = ("web", "email", "call")
TYPES = {
    "web": (
        *("page_view", "form_submit", "content_download", "webinar_signup", "signup", "trial_started"),
        *("demo_request", "add_to_cart", "purchase", "referral"),
    ),
    "email": ("delivered", "opened", "clicked", "replied", "bounced", "unsubscribed", "spam_report"),
    "call": ("scheduled", "completed", "no_answer", "voicemail", "cancelled"),
}
"""Types with a meaning of their own (contract, section 1). Others are accepted, so only what looks misspelt is told."""
OUTCOMES = (*("qualified", "disqualified", "demo", "proposal", "negotiation", "won", "lost", "nurture", "follow_up"),)
_FIELDS = {
    channel: {"channel", *(field.name for field in current(SUBJECT_OF_CHANNEL[channel]).schema.fields)}
    for channel in CHANNELS
}
_SIMILAR = 0.8


class Finding(NamedTuple):
    """Something odd."""

    where: str
    """Such as `interest.enter[1]`, or the name of a stage."""
    problem: str


def lint(funnel: Funnel) -> list[Finding]:
    """Everything that is odd about a funnel, in the file's order."""
    return list(_Linter(funnel).findings())


def impossible(clause: Clause) -> str:
    """Why no event matches a clause; '' where one can."""
    channels = channels_of(clause)
    if not channels:
        return f"no channel is called so; there are {', '.join(CHANNELS)}"
    wanted = {name for name, _ in clause.patterns if not name.startswith("properties.")}
    if clause.min_duration_seconds is not None:
        wanted.add("duration_seconds")
    missing = {channel: wanted - _FIELDS[channel] for channel in channels}
    if not all(missing.values()):
        return ""
    return "; ".join(f"{channel} events have no {', '.join(sorted(names))}" for channel, names in missing.items())


def channels_of(clause: Clause) -> list[str]:
    """The channels whose events a clause may match."""
    patterns = dict(clause.patterns)
    matches = compile_globs(patterns.get("channel", ("*",)))
    return [channel for channel in CHANNELS if matches(channel)]


def covers(wide: Clause, narrow: Clause) -> bool:
    """Whether every event that satisfies `narrow` surely satisfies `wide`, too."""
    if wide.counted and not (
        narrow.counted and wide.at_least <= narrow.at_least and wide.within >= narrow.within and _same(wide, narrow)
    ):
        return False
    least = wide.min_duration_seconds
    if least is not None and (narrow.min_duration_seconds is None or narrow.min_duration_seconds < least):
        return False
    patterns = dict(narrow.patterns)
    return all(name in patterns and _covers_globs(globs, patterns[name]) for name, globs in wide.patterns)


def _same(one: Clause, other: Clause) -> bool:
    """Whether they count the same events."""
    return (one.patterns, one.min_duration_seconds) == (other.patterns, other.min_duration_seconds)


def _covers_globs(wide: tuple[str, ...], narrow: tuple[str, ...]) -> bool:
    matches = compile_globs(wide)
    return all(
        "*" in wide or glob in wide or ((text := literal(glob)) is not None and bool(matches(text))) for glob in narrow
    )


class _Linter:
    def __init__(self, funnel: Funnel) -> None:
        self._funnel = funnel
        self._last = len(funnel.stages) - 1
        self._clauses = list(placed(funnel))
        self._possible = [one for one in self._clauses if not impossible(one.clause)]
        self._hidden = {one.where: by for one in self._possible if one.purpose == ENTER and (by := self._further(one))}

    def findings(self) -> Iterator[Finding]:
        for one in self._clauses:
            yield from self._of_clause(one)
        yield from self._of_backs()
        yield from self._of_stages()
        yield from self._of_funnel()

    def _of_clause(self, one: Placed) -> Iterator[Finding]:
        clause = one.clause
        if why := impossible(clause):
            yield Finding(one.where, f"matches no event: {why}")
            return
        yield from _misspelt(one)
        if clause.counted and clause.at_least == 1:
            yield Finding(one.where, "at_least = 1 is what every clause without at_least says")
        if clause.counted and clause.at_least > 1 and clause.within == 0:
            yield Finding(one.where, f"wants {clause.at_least} events at the same instant: within is 0")
        if other := self._wider_in_list(one):
            yield Finding(one.where, f"adds nothing: {other.where} matches all of its events")
        elif further := self._hidden.get(one.where):
            leads = self._funnel.stages[further.to].name
            yield Finding(
                one.where, f"never decides: {further.where} matches all of its events and leads on to {leads}"
            )
        if one.purpose in (ENTER, BACK) and (lost := self._covering(one, LOST)):
            when = "decides only where no visit is open" if one.purpose == ENTER else "never decides"
            yield Finding(one.where, f"{when}: {lost.where} matches all of its events, and losing comes first")

    def _of_backs(self) -> Iterator[Finding]:
        for number, back in enumerate(self._funnel.back):
            if back.to >= self._last - 1:
                name = self._funnel.stages[back.to].name
                yield Finding(
                    f"back[{number}]", f"never happens: a visit is in no stage after {name} without being won"
                )
        for one in self._possible:
            if one.purpose == BACK and (won := self._covering(one, ENTER, self._last)):
                yield Finding(one.where, f"never decides: {won.where} matches all of its events and wins the visit")

    def _of_stages(self) -> Iterator[Finding]:
        stages = self._funnel.stages
        enterable = {one.to for one in self._possible if one.purpose == ENTER and one.where not in self._hidden}
        enterable |= {one.to for one in self._possible if one.purpose == BACK and one.to < self._last - 1}
        can_be_lost = any(one.purpose == LOST for one in self._possible)
        for number, stage in enumerate(stages):
            if number not in enterable:
                says = "nobody can win" if number == self._last else "nobody can enter it"
                yield Finding(stage.name, f"{says}: none of its clauses can decide")
            elif number < self._last and not can_be_lost and not any(to > number for to in enterable):
                yield Finding(stage.name, "nobody can leave it but by expiring: no further stage can be entered")
            if stage.stall_after is not None and stage.calendar is None and stage.stall_after > self._funnel.window:
                window = shown(self._funnel.window)
                yield Finding(stage.name, f"never stalls: a visit expires after {window}, before its stall_after")

    def _of_funnel(self) -> Iterator[Finding]:
        funnel = self._funnel
        if funnel.wake is not None and not funnel.rest_won and not funnel.rest_lost:
            yield Finding("wake", "has no effect without rest: nothing rests")
        if funnel.wake == 0:
            yield Finding("wake", "is the first stage, so every event that enters any stage wakes: rest has no effect")
        if funnel.rest_lost and not any(one.purpose == LOST for one in self._possible):
            yield Finding("rest.lost", "has no effect: nothing loses a visit")
        teams = [stage.team for stage in funnel.stages]
        if funnel.touch and not any(may_be_handed(teams, to) for to in range(len(teams))):
            yield Finding("handoff.touch", "has no effect: no stage is handed to another team")

    def _wider_in_list(self, one: Placed) -> Placed | None:
        """Another clause of the same list that makes this one superfluous; of two that are equal the second one is."""
        for other in self._possible:
            if other.list_name != one.list_name or other.number == one.number:
                continue
            if covers(other.clause, one.clause) and (other.number < one.number or not covers(one.clause, other.clause)):
                return other
        return None

    def _further(self, one: Placed) -> Placed | None:
        """A clause of a further stage that is satisfied whenever this one is; of those stages the furthest counts."""
        found = [
            other
            for other in self._possible
            if other.purpose == ENTER and other.to > one.to and covers(other.clause, one.clause)
        ]
        return found[-1] if found else None

    def _covering(self, one: Placed, purpose: str, to: int = -1) -> Placed | None:
        for other in self._possible:
            if other.purpose == purpose and other.to == to and covers(other.clause, one.clause):
                return other
        return None


def _misspelt(one: Placed) -> Iterator[Finding]:
    """Values that are nearly one with a meaning; others are anybody's own."""
    patterns = dict(one.clause.patterns)
    known = {
        "type": [type_ for channel in channels_of(one.clause) for type_ in TYPES[channel]],
        "outcome": list(OUTCOMES),
    }
    for name, values in known.items():
        for glob in patterns.get(name, ()):
            text = literal(glob)
            if text is None or text in values:
                continue
            if close := get_close_matches(text, values, 1, _SIMILAR):
                yield Finding(one.where, f"{name} {text!r} is none that ships; is {close[0]!r} meant?")
