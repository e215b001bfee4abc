"""Channel groups of events, and the touches of a visit, as docs/channels.md says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from tests.oracle.clauses import SECOND, Event, field_of, glob_matches

SESSION = 30 * 60 * SECOND
LISTED = 50
CLICK_IDS = [
    "gclid",
    "gbraid",
    "wbraid",
    "dclid",
    "msclkid",
    "yclid",
    "fbclid",
    "li_fat_id",
    "ttclid",
    "twclid",
    "rdt_cid",
    "epik",
    "sccid",
]
HOST = re.compile(r"[a-z][a-z0-9+.-]*://(?:[^/?#]*@)?([^:/?#]*)", re.IGNORECASE)


def host_of(url: str | None) -> str:
    """Give the host of a URL in lower case, without "www."."""
    found = HOST.match(url or "")
    return found.group(1).lower().removeprefix("www.").rstrip(".") if found else ""


def click_id_of(url: str | None) -> str:
    """Give the name of the first ad network that has its click id in a URL's query."""
    query = (url or "").partition("#")[0].partition("?")[2]
    names = {part.partition("=")[0].lower() for part in query.split("&") if part.partition("=")[2]}
    return next((name for name in CLICK_IDS if name in names), "")


def value_of(event: Event, field: str) -> str:
    """Give what a rule looks at, in lower case."""
    if field == "click_id":
        return click_id_of(event.get("url")) or click_id_of(event.get("referrer"))
    if field == "referrer_host":
        host, own = host_of(event.get("referrer")), host_of(event.get("url"))
        same = own and (host == own or host.endswith(f".{own}") or own.endswith(f".{host}"))
        return "" if same else host
    return (field_of(event, field) or "").lower()


def channel_group_of(event: Event, channels: Sequence[dict[str, Any]]) -> str:
    """Give the name of the first channel that knows the event."""
    for channel in channels:
        for clause in channel["when"]:
            wanted = {field: [globs] if isinstance(globs, str) else globs for field, globs in clause.items()}
            values = {field: value_of(event, field) for field in wanted}
            if all(
                values[field] and any(glob_matches(glob.lower(), values[field]) for glob in globs)
                for field, globs in wanted.items()
            ):
                return str(channel["name"])
    return ""


def path_of(events: list[Event]) -> dict[str, Any]:
    """Give the touches of a visit from the events in it that moved it or were activity: fields of the row that closes it."""
    touches: list[tuple[int, str, str]] = []
    for number, event in enumerate(events):
        touch = (event["occurred_at"], event["channel_group"], event.get("campaign") or "")
        same_session = number > 0 and event["occurred_at"] <= events[number - 1]["occurred_at"] + SESSION
        tells_nothing = touch[2] == "" and touch[1] in ("", "Direct")
        if same_session and (tells_nothing or touches[-1][1:] == touch[1:]):
            continue
        touches.append(touch)
    listed = touches if len(touches) <= LISTED else touches[: LISTED // 2] + touches[-(LISTED // 2) :]
    return {
        "touched_at": tuple(at for at, _, _ in listed),
        "touch_channel_groups": tuple(group for _, group, _ in listed),
        "touch_campaigns": tuple(campaign for _, _, campaign in listed),
        "touches_left_out": len(touches) - len(listed),
    }
