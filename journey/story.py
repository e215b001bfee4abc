"""One prospect's story: every event that moved it, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from uuid import UUID

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from funnel.definition import Clause, Funnel
from funnel.durations import MICROSECONDS
from funnel.globs import compile_globs
from journey.report import duration

_COLUMNS = (
    "funnel, visit, step, kind, from_stage, to_stage, entered_at, seconds_in_from, channel, type, campaign,"
    " cause_source, cause_event_id, account_id, amount, currency, reason, rep"
)
_STEPS = f"SELECT {_COLUMNS} FROM journey_of(prospect = %(prospect)s)"  # noqa: S608  constants
_STANDINGS = """
SELECT funnel, status, stage, visit, last_activity_at, account_id FROM standings
WHERE prospect_id = %(prospect)s ORDER BY funnel"""
_WORTH_TELLING = """
SELECT prospect_id FROM (SELECT * FROM stage_transitions FINAL) AS t
INNER JOIN (SELECT funnel, argMax(stage, position) AS last_stage FROM funnel_stages FINAL GROUP BY funnel) AS s
ON s.funnel = t.funnel
GROUP BY t.funnel, prospect_id HAVING countIf(to_stage = last_stage) > 0
ORDER BY count() BETWEEN 4 AND 9 DESC, uniqExact(channel) DESC, countIf(kind = 'back') > 0 DESC, count() DESC, prospect_id
LIMIT 1"""


class Step(NamedTuple):
    """A row of `journey_of`."""

    funnel: str
    visit: int
    step: int
    kind: str
    from_stage: str
    to_stage: str
    entered_at: Any
    seconds_in_from: float
    channel: str
    type: str
    campaign: str
    cause_source: str
    cause_event_id: str
    account_id: str
    amount: Any
    currency: str
    reason: str
    rep: str


def worth_telling(reader: Any) -> UUID | None:
    """A prospect with a won visit of several steps; None where there is none."""
    rows = reader.execute(_WORTH_TELLING)
    return rows[0][0] if rows else None


def steps_of(reader: Any, prospect: UUID) -> list[Step]:
    """What moved the prospect, in order."""
    return [Step(*row) for row in reader.execute(_STEPS, {"prospect": prospect})]


def standings_of(reader: Any, prospect: UUID) -> list[tuple[Any, ...]]:
    """Where it stands, per funnel."""
    return list(reader.execute(_STANDINGS, {"prospect": prospect}))


def story(
    prospect: UUID, steps: Iterable[Step], standings: Iterable[tuple[Any, ...]], funnels: Mapping[str, Funnel]
) -> RenderableType:
    """The story, as tables, one a funnel.

    Args:
        prospect: whose.
        steps: see `steps_of`.
        standings: see `standings_of`.
        funnels: by name, as the funnel files say.
    """
    by_funnel: dict[str, list[Step]] = {}
    for step in steps:
        by_funnel.setdefault(step.funnel, []).append(step)
    parts: list[RenderableType] = []
    for name, status, stage, visit, last_activity_at, account_id in standings:
        where = f"{status} in {stage}" if stage else status
        account = f", account {account_id}" if account_id else ""
        head = f"Prospect {prospect}, funnel {name}: visit {visit} {where}, last active {last_activity_at:%Y-%m-%d %H:%M}{account}"
        parts += [Text(head, style="bold"), _table(by_funnel.pop(name, []), funnels.get(name))]
    for name, own in by_funnel.items():
        parts += [Text(f"Prospect {prospect}, funnel {name}", style="bold"), _table(own, funnels.get(name))]
    return Group(*parts)


def _table(steps: list[Step], funnel: Funnel | None) -> RenderableType:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("visit", "when (UTC)", "what", "after", "event", "why"):
        table.add_column(heading, overflow="fold")
    for step in steps:
        table.add_row(
            f"{step.visit}.{step.step}",
            f"{step.entered_at:%Y-%m-%d %H:%M:%S}",
            Text(_movement(step)),
            duration(step.seconds_in_from) if step.step else "",
            Text(_event(step)),
            Text(why(step, funnel)),
        )
    return table


def _movement(step: Step) -> str:
    if step.kind == "enter":
        return f"enters {step.to_stage}"
    if step.kind == "repeat":
        return f"{step.to_stage} again"
    arrow = "→" if step.kind != "back" else "←"
    return f"{step.from_stage} {arrow} {step.to_stage}"


def _event(step: Step) -> str:
    if step.kind == "expired":
        return "(none)"
    parts = [f"{step.channel} {step.type}"]
    if step.amount:
        parts.append(f"{step.amount:,.2f} {step.currency}".rstrip())
    parts += [
        f"{name} {value}"
        for name, value in (("campaign", step.campaign), ("reason", step.reason), ("rep", step.rep))
        if value
    ]
    return f"{', '.join(parts)} [{step.cause_source} {step.cause_event_id}]"


def why(step: Step, funnel: Funnel | None) -> str:
    """Which list of the funnel file the event satisfied, and which of its clauses can have been it."""
    if funnel is None:
        return "(its funnel is not among the configured ones)"
    if step.kind == "expired":
        return f"window: no activity for {_written(funnel.window)}"
    if step.kind == "lost":
        return _clauses("lost.on", funnel.lost, step)
    names = [stage.name for stage in funnel.stages]
    if step.to_stage not in names:
        return f"(the funnel file has no stage {step.to_stage} any more)"
    index = names.index(step.to_stage)
    if step.kind == "back":
        clauses = next((back.on for back in funnel.back if back.to == index), ())
        return _clauses(f"back to {step.to_stage}", clauses, step)
    return _clauses(f"{step.to_stage}.enter", funnel.stages[index].enter, step)


def _clauses(where: str, clauses: tuple[Clause, ...], step: Step) -> str:
    """Those that the event's stored fields don't rule out; more than one is told as `one of`."""
    possible = [f"[{number}] {clause_text(clause)}" for number, clause in enumerate(clauses) if _possible(clause, step)]
    if not possible:
        return f"{where} (by clauses that the funnel file no longer has)"
    return f"{where}{possible[0]}" if len(possible) == 1 else f"{where}, one of {' or '.join(possible)}"


def _possible(clause: Clause, step: Step) -> bool:
    known = {
        "channel": step.channel,
        "type": step.type,
        "source": step.cause_source,
        "event_id": step.cause_event_id,
        "campaign": step.campaign,
        "rep": step.rep,
        "currency": step.currency,
    }
    return all(bool(compile_globs(globs)(known[name])) for name, globs in clause.patterns if name in known)


def clause_text(clause: Clause) -> str:
    """A clause in a line."""
    parts = [f"{name} = {' | '.join(globs)}" for name, globs in clause.patterns]
    if clause.min_duration_seconds is not None:
        parts.append(f"at least {clause.min_duration_seconds} s long")
    if clause.counted:
        parts.append(f"at least {clause.at_least} within {_written(clause.within)}")
    return ", ".join(parts) or "any event"


def _written(microseconds: int) -> str:
    return duration(microseconds / MICROSECONDS)
