"""The touches of a visit: what a prospect did or was told, session by session, for attribution (docs/attribution.md).

Every event that moves the visit or counts as activity belongs to a touch. It begins a new one, unless it goes on with the session before: not
later than half an hour after it, and from the same channel group and campaign or from none in particular. So the pages read after a click on an
advertisement are one touch, of the advertisement.
"""

from __future__ import annotations

from funnel.channels import DIRECT
from funnel.durations import MICROSECONDS
from funnel.events import Touch

SESSION_GAP = 30 * 60 * MICROSECONDS
"""Microseconds without activity after which a session is over; Google Analytics' default."""
MOST_TOUCHPOINTS = 50
"""Of a visit. Of more, the first half and the latest half are known: they are what attribution models look at, and a state must stay small."""


Touchpoint = tuple[int, str, str]
"""A touch of a visit: when it began (microseconds), its channel group and its campaign."""
Path = tuple[tuple[Touchpoint, ...], int]
"""The touches of a visit, in the order, and how many more there were in the middle. Plain tuples: a state's records hold them."""
NO_PATH: Path = ((), 0)


def opened_by(touch: Touch) -> Path:
    """The path of a visit that this opens."""
    return ((touch.occurred_at, touch.channel_group, touch.campaign),), 0


def followed_by(path: Path, touch: Touch, active_at: int) -> Path:
    """The path with one event more.

    Args:
        path: of the visit so far.
        touch: it moves the visit, or counts as activity.
        active_at: when (microseconds) the last such event before occurred.
    """
    touchpoints, left_out = path
    group, campaign = touch.channel_group, touch.campaign
    if touch.occurred_at - active_at <= SESSION_GAP:
        if group in ("", DIRECT) and not campaign:
            return path
        if touchpoints and touchpoints[-1][1:] == (group, campaign):
            return path
    longer = (*touchpoints, (touch.occurred_at, group, campaign))
    if len(longer) > MOST_TOUCHPOINTS:
        half = MOST_TOUCHPOINTS // 2
        return (*longer[:half], *longer[half + 1 :]), left_out + 1
    return longer, left_out


Listed = tuple[tuple[int, ...], tuple[str, ...], tuple[str, ...], int]
NOT_LISTED: Listed = ((), (), (), 0)


def listed(path: Path) -> Listed:
    """A path as the last fields of a `Transition` have it."""
    touchpoints, left_out = path
    if not touchpoints:
        return NOT_LISTED
    at, groups, campaigns = zip(*touchpoints, strict=True)
    return at, groups, campaigns, left_out
