"""`journey lint-funnel`: what is odd about a funnel file, by itself and by history."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from agents.days_off import days_off
from backtest.clauses import MOVING
from backtest.lint import Finding, lint
from backtest.lint_history import Observed, findings, observe, rules_for
from backtest.stitching import stitch
from funnel.definition import load_funnels
from funnel.rules import RuleSet
from journey.errors import SettingsError
from journey.funnel_files import funnel_paths
from journey.replay import Asked, gathered, no_collections
from journey.screen import Screen
from journey.settings import Settings
from journey.story import clause_text


def lint_funnel(settings: Settings, funnel: str, history: Asked | None, screen: Screen, *, strict: bool) -> int:
    """Look a funnel file over. Returns the exit code.

    Args:
        settings: decide on records.
        funnel: the file, or a preset's name.
        history: what to try it on; None: nothing.
        screen: where to tell.
        strict: exit with 1 where something is found.
    """
    try:
        (found,) = load_funnels(funnel_paths([funnel]))
        RuleSet([found], days_off)
    except ValueError as error:  # a FunnelError is one
        raise SettingsError(str(error)) from error
    told = lint(found)
    if history is not None:
        with no_collections():
            rules = rules_for(found, days_off)
            observed = observe(rules, stitch(gathered(settings, rules, history, screen)), history.as_of)
        screen.out.print(_uses(observed))
        known = {finding.where for finding in told}
        told += [finding for finding in findings(observed) if finding.where not in known]
    _tell(told, screen)
    return 1 if told and strict else 0


def _uses(observed: Observed) -> Table:
    title = f"{observed.events:,} events of {observed.prospects:,} prospects"
    table = Table(title=Text(title), title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("clause", no_wrap=True)
    for heading in ("match", "satisfy", "moved"):
        table.add_column(heading, justify="right")
    table.add_column("what it says", overflow="fold")
    for use in observed.uses:
        moves = f"{use.moved:,}" if use.placed.purpose in MOVING else ""
        counts = (f"{use.matched:,}", f"{use.satisfied:,}", moves)
        table.add_row(Text(use.placed.where), *counts, Text(clause_text(use.placed.clause)))
    return table


def _tell(told: list[Finding], screen: Screen) -> None:
    if not told:
        screen.out.print(Text("Nothing is odd."))
    for finding in told:
        screen.out.print(Text(f"{finding.where}: ", style="yellow") + Text(finding.problem), soft_wrap=True)
