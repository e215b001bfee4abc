"""The fold: a prospect's events, in the order, into moves through one funnel (contract, section 3).

Incremental and from scratch are the same function: `fold` continues from a `Progress`, and `START` is the
progress of a prospect without history. It looks at nothing but its arguments; expiry by the wall clock is told
apart (`expiry`), because a late event may take it back.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from funnel.durations import MICROSECONDS
from funnel.events import Touch
from funnel.facts import Row, Standing, Transition
from funnel.handoffs import decided, decision_of, handed, touched
from funnel.rules import Counted, FunnelRules
from funnel.touchpoints import NO_PATH, NOT_LISTED, Path, followed_by, listed, opened_by

NOT_SNOOZED = (0, 0)


class Progress(NamedTuple):
    """What the fold has to know of everything before, for one prospect and funnel. Times are microseconds."""

    visit: int = 0
    """Number of the last visit; 0 before the first."""
    status: str = ""
    """open, won, lost or expired: the last visit's; '' before the first."""
    stage: int = -1
    """Index of the stage the open visit is in; -1: no visit is open."""
    step: int = -1
    """The last visit's last row ..."""
    entered_at: int = 0
    """... and its entered_at."""
    opened_at: int = 0
    closed_at: int = 0
    active_at: int = 0
    """The latest of what counts as activity: rows with a cause, and events that satisfy `activity`.

    Of an open visit this is its *clock*: what came before its last row can't be later than that row.
    """
    first_channel: str = ""
    first_campaign: str = ""
    account_id: str = ""
    counts: tuple[tuple[int, ...], ...] = ()
    """For each counted clause, times of its latest matches since the last visit closed: as many as it needs."""
    undecided: int = -1
    """Step with which the open visit was last handed to another team, while that has not decided; -1: none waits for that."""
    untouched: int = -1
    """The same, while the team has not touched it either."""
    first_channel_group: str = ""
    path: Path = NO_PATH
    """Of the open visit."""
    snoozed: tuple[int, int] = NOT_SNOOZED
    """When (microseconds) an event snoozed the open visit's stage, and until when; a move to another one ends that."""

    @property
    def snoozed_until(self) -> int:
        """Until when (microseconds) the stage of the open visit is snoozed; 0: it is not."""
        return self.snoozed[1]


START = Progress()


def fold(rules: FunnelRules, progress: Progress, touches: Iterable[Touch]) -> tuple[Progress, list[Row]]:
    """Take events with everything before them known.

    Args:
        rules: the funnel.
        progress: where the events before led.
        touches: the next ones, in the order, distinct; those irrelevant to this funnel are passed over.

    Returns:
        Where they lead, and the rows they add.
    """
    bits = rules.bits
    counted = rules.counted
    funnel = rules.funnel
    names = rules.stage_names
    last = len(names) - 1

    (visit, status, stage, step, entered_at, opened_at, closed_at, active_at,
     first_channel, first_campaign, account_id, counts, undecided, untouched,
     first_channel_group, path, snoozed) = progress  # fmt: skip
    counts = counts or rules.nothing_counted
    rows: list[Row] = []

    for touch in touches:
        matches = touch.matches & bits
        if not matches:
            continue
        at = touch.occurred_at

        if stage >= 0 and at > active_at + funnel.window:
            open_visit = Progress(visit, status, stage, step, entered_at, opened_at, closed_at, active_at,
                                  first_channel, first_campaign, account_id,
                                  first_channel_group=first_channel_group, path=path)  # fmt: skip
            rows.append(_expired(rules, open_visit))
            step += 1
            entered_at = closed_at = active_at + funnel.window
            status, stage, counts = "expired", -1, rules.nothing_counted
            undecided = untouched = -1
            path, snoozed = NO_PATH, NOT_SNOOZED

        if touch.account_id:
            account_id = touch.account_id
        enough = 0
        if matches & rules.counted_bits:
            counts, enough = count_matches(counted, counts, matches, at)
        furthest, lost, back, activity = rules.verdict(matches, enough)

        if undecided >= 0 and rules.touches(touch):
            if untouched >= 0:
                rows.append(touched(funnel.name, visit, untouched, touch))
                untouched = -1
            if furthest >= rules.begins[stage] and not lost:
                rows.append(decided(funnel.name, visit, undecided, touch, "accepted"))
                undecided = -1

        kind, to = "", furthest
        if stage >= 0:
            if lost:
                kind = "lost"
            elif furthest > stage:
                kind = "advance" if furthest == stage + 1 else "skip"
            else:
                for to in back:
                    if to < stage:
                        kind = "back"
                        break
        elif furthest >= 0:
            # The event rests where a visit closed not long ago; then only few events matter.
            if status == "won" and at < closed_at + funnel.rest_won:
                if furthest == last:
                    kind = "repeat"
                elif funnel.wake is not None and furthest >= funnel.wake:
                    kind = "enter"
            elif status == "lost" and at < closed_at + funnel.rest_lost:
                if funnel.wake is not None and furthest >= funnel.wake:
                    kind = "enter"
            else:
                kind = "enter"

        if stage >= 0 and (kind or activity):
            path = followed_by(path, touch, active_at)

        if kind:
            reason = touch.reason
            if kind == "enter":
                visit, step, opened_at, entered_at, status = visit + 1, 0, at, at, "open"
                first_channel, first_campaign, from_stage = touch.channel, touch.campaign, ""
                first_channel_group, path = touch.channel_group, opened_by(touch)
            else:
                step += 1
                from_stage = names[stage]  # after a won visit `stage` is -1: the last one
            if kind == "lost":
                to_stage, reason = "lost", reason or touch.outcome or touch.type
            else:
                to_stage = names[to]
            closes = kind == "lost" or (to == last and kind != "repeat")
            row = Transition(
                funnel.name, funnel.version, visit, step, kind, from_stage, to_stage, at, opened_at,
                (at - entered_at) / MICROSECONDS,
                touch.source, touch.event_id, touch.channel, touch.type, touch.campaign,
                first_channel, first_campaign, account_id, touch.amount, touch.currency, reason, touch.rep,
                touch.channel_group, first_channel_group, *(listed(path) if closes else NOT_LISTED),
            )  # fmt: skip
            rows.append(row)
            if closes:
                path = NO_PATH
            entered_at, snoozed = at, NOT_SNOOZED
            if undecided >= 0 and (decision := decision_of(rules.teams, kind, stage, to)):
                rows.append(decided(funnel.name, visit, undecided, touch, decision))
                undecided = untouched = -1
            if kind == "lost":
                status, stage, closed_at, counts = "lost", -1, at, rules.nothing_counted
            elif kind != "repeat":
                if rules.hands[max(stage, 0)][to]:  # a visit that opens further on comes from the first stage's team
                    undecided = untouched = step
                    rows += _handed(rules, row, max(stage, 0), to, touch)
                    if rules.touches(touch):
                        undecided = untouched = -1
                stage = to
                if to == last:
                    status, stage, closed_at, counts = "won", -1, at, rules.nothing_counted
        if matches & rules.snooze_bits and stage >= 0:
            until = at + rules.snoozes(matches)
            if until > snoozed[1]:
                snoozed = (at, until)
        if (kind or activity) and at > active_at:
            active_at = at

    return (
        Progress(visit, status, stage, step, entered_at, opened_at, closed_at, active_at,
                 first_channel, first_campaign, account_id, counts, undecided, untouched,
                 first_channel_group, path, snoozed),
        rows,
    )  # fmt: skip


def due_at(rules: FunnelRules, progress: Progress) -> int | None:
    """The first instant at which the open visit is expired by the wall clock; None where none is open."""
    return progress.active_at + rules.funnel.window + 1 if progress.stage >= 0 else None


def expiry(rules: FunnelRules, progress: Progress, as_of: int) -> Transition | None:
    """The row that closes the open visit as expired, if it is by `as_of` (microseconds); else None."""
    due = due_at(rules, progress)
    return _expired(rules, progress) if due is not None and as_of >= due else None


def standing(rules: FunnelRules, progress: Progress, as_of: int, stalled_since: int | None = None) -> Standing | None:
    """Where the prospect stands as of `as_of`; None before its first visit. `stalled_since` is told by the wall clock, too."""
    if progress.visit == 0:
        return None
    name, visit, status = rules.funnel.name, progress.visit, progress.status
    if progress.stage < 0:
        return Standing(name, visit, "", status, progress.closed_at, progress.active_at, progress.account_id)
    closing = expiry(rules, progress, as_of)
    if closing is not None:
        return Standing(name, visit, "", "expired", closing.entered_at, progress.active_at, progress.account_id)
    stage = rules.funnel.stages[progress.stage].name
    return Standing(
        name, visit, stage, status, progress.entered_at, progress.active_at, progress.account_id, stalled_since,
        progress.snoozed_until or None,
    )  # fmt: skip


def _handed(rules: FunnelRules, row: Transition, stage: int, to: int, touch: Touch) -> list[Row]:
    """What is told of a hand-off at once: it may come with a touch that decides it, as where a call qualifies."""
    response = rules.responses[to]
    respond_by = None if response is None else response.deadline(row.entered_at)
    told: list[Row] = [handed(row, (rules.teams[stage], rules.teams[to]), touch, respond_by)]
    if rules.touches(touch):
        told.append(touched(row.funnel, row.visit, row.step, touch))
        told.append(decided(row.funnel, row.visit, row.step, touch, "accepted"))
    return told


def _expired(rules: FunnelRules, progress: Progress) -> Transition:
    funnel = rules.funnel
    at = progress.active_at + funnel.window
    return Transition(
        funnel.name, funnel.version, progress.visit, progress.step + 1, "expired",
        funnel.stages[progress.stage].name, "expired", at, progress.opened_at, (at - progress.entered_at) / MICROSECONDS,
        "", "", "", "", "",
        progress.first_channel, progress.first_campaign, progress.account_id, 0, "", "", "",
        "", progress.first_channel_group, *listed(progress.path),
    )  # fmt: skip


def count_matches(
    clauses: tuple[Counted, ...], counts: tuple[tuple[int, ...], ...], matches: int, at: int
) -> tuple[tuple[tuple[int, ...], ...], int]:
    """Count one event for the clauses with `at_least`; says (as bits) which of them it satisfies.

    Args:
        clauses: `FunnelRules.counted`.
        counts: `Progress.counts`.
        matches: the event's.
        at: when it occurred, microseconds.
    """
    enough = 0
    counted = list(counts)
    for number, (bit, at_least, within) in enumerate(clauses):
        if matches & bit:
            times = (*counted[number], at)[-at_least:]
            counted[number] = times
            if len(times) == at_least and times[0] >= at - within:
                enough |= 1 << number
    return tuple(counted), enough
