"""What somebody is told of a stalled prospect: the topic `stalled-prospects` (contract, section 6)."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import NamedTuple

from funnel.facts import STALL, Stall
from funnel.history import Kept
from funnel.journey import Progress
from funnel.rules import FunnelRules, RuleSet
from funnel.state import State

OPENED, ESCALATED, RESOLVED = "opened", "escalated", "resolved"


class Alert(NamedTuple):
    """One message on `stalled-prospects`. Times are microseconds, UTC; strings are '' where nothing is known."""

    alert_id: bytes
    """16 bytes: the same for all that is told of an episode."""
    change: str
    """opened, escalated or resolved."""
    prospect_id: bytes
    funnel: str
    visit: int
    stage: str
    team: str
    deadline: int
    level: int
    """How often it was escalated."""
    noticed_at: int
    resolved_at: int | None
    resolution: str
    """As in `funnel.facts.Stall`."""
    account_id: str
    rep: str
    """Who of the prospect's events is named last since the visit opened: whom to ask."""
    amount: int
    """Hundredths of `currency`: the last one named since the visit opened."""
    currency: str
    campaign: str
    """Of the event that opened the visit."""
    stage_entered_at: int
    last_activity_at: int
    last_channel: str
    """Of the latest event ..."""
    last_type: str
    kind: str = STALL
    """As in `funnel.facts.Stall`."""

    @property
    def step(self) -> str:
        """What of the episode this tells, the same however often it is told: the level, or `resolved`."""
        return RESOLVED if self.change == RESOLVED else str(self.level)


def alert_id_of(prospect: bytes, episode: Stall) -> bytes:
    """16 bytes (a UUID's) that are the same whenever and by whomever this episode is told.

    Args:
        prospect: whose it is, 16 bytes.
        episode: by its key alone: funnel, visit, stage, deadline and kind.
    """
    funnel, visit, stage, deadline, kind = episode.key
    named = prospect + f"{len(funnel)} {funnel} {visit} {len(stage)} {stage} {deadline} {kind}".encode()
    return uuid.UUID(bytes=sha256(named).digest()[:16], version=5).bytes


def alerts_of(prospect: bytes, episodes: Iterable[Stall], state: State, rules: RuleSet) -> Iterator[Alert]:
    """What to tell of a prospect's episodes.

    Args:
        prospect: its id, 16 bytes.
        episodes: those that began, were escalated or ended.
        state: of the prospect now.
        rules: of the funnels.
    """
    by_name = {one.funnel.name: (one, at) for one, at in zip(rules.funnels, state.progress, strict=True)}
    for episode in episodes:
        if episode.funnel in by_name:
            yield _alert(prospect, episode, state.effective, *by_name[episode.funnel])


def _alert(prospect: bytes, episode: Stall, events: Sequence[Kept], rules: FunnelRules, progress: Progress) -> Alert:
    rep = currency = channel = type_ = ""
    amount = 0
    for kept in events:
        touch = kept.touch
        if not touch.matches & rules.bits:
            continue
        channel, type_ = touch.channel, touch.type
        if touch.occurred_at >= progress.opened_at:
            rep = touch.rep or rep
            if touch.amount:
                amount, currency = touch.amount, touch.currency
    change = RESOLVED if episode.resolved_at is not None else ESCALATED if episode.level else OPENED
    teams = dict(zip(rules.stage_names, rules.teams, strict=True))
    return Alert(
        alert_id_of(prospect, episode), change, prospect, episode.funnel, episode.visit, episode.stage,
        teams.get(episode.stage, ""), episode.deadline, episode.level, episode.noticed_at, episode.resolved_at,
        episode.resolution, episode.account_id, rep, amount, currency, progress.first_campaign, progress.entered_at,
        progress.active_at, channel, type_, episode.kind,
    )  # fmt: skip
