"""What people chose, from the address of the page. The address says all of it, so that a page can be sent to somebody."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from urllib.parse import urlencode

NONE = "(none)"
"""How an address says "those without one": an empty value means that nothing was chosen."""
LONGEST_VALUE = 20_000
"""Characters. A campaign may have a long name, but an address has an end."""
FILTERS = ("funnel", "from", "to", "channel", "campaign", "segment")
OPTIONS = frozenset({"stage", "by", "measure", "currency", "team", "rep", "status"})
"""What some pages let one choose besides."""


@dataclass(frozen=True)
class Filters:
    """What was chosen; '' and None: nothing."""

    funnel: str = ""
    since: date | None = None
    until: date | None = None
    channel: str = ""
    campaign: str = ""
    segment: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    """What was wrong with the address, for people."""

    @property
    def parameters(self) -> dict[str, str]:
        """For `console.query.Query`: those that were chosen, and always the funnel. "Those without one" are known by an empty text."""
        chosen = {
            "funnel": self.funnel,
            "from": self.since.isoformat() if self.since else "",
            "to": self.until.isoformat() if self.until else "",
        }
        named = {"channel": self.channel, "campaign": self.campaign, "segment": self.segment, **self.options}
        given = {name: "" if value == NONE else value for name, value in named.items() if value}
        return {name: value for name, value in chosen.items() if value or name == "funnel"} | given

    def address(self, path: str, **changes: str) -> str:
        """A page with the same choices, but for `changes`; '' takes a choice away."""
        chosen = {
            "funnel": self.funnel,
            "from": self.since.isoformat() if self.since else "",
            "to": self.until.isoformat() if self.until else "",
            "channel": self.channel,
            "campaign": self.campaign,
            "segment": self.segment,
            **self.options,
            **changes,
        }
        query = urlencode({name: value for name, value in chosen.items() if value})
        return f"{path}?{query}" if query else path

    def only(self, taken: Iterable[str]) -> Filters:
        """Without the filters that a page does not take: what it shows must not depend on them."""
        kept = set(taken)
        return replace(
            self,
            since=self.since if "from" in kept else None,
            until=self.until if "to" in kept else None,
            channel=self.channel if "channel" in kept else "",
            campaign=self.campaign if "campaign" in kept else "",
            segment=self.segment if "segment" in kept else "",
        )

    @property
    def narrow(self) -> bool:
        """Whether something besides the funnel was chosen."""
        return bool(self.since or self.until or self.channel or self.campaign or self.segment)


def read_filters(query: Mapping[str, str]) -> Filters:
    """The choices that an address holds; what it says wrongly is left out, and told in `notices`."""
    notices: list[str] = []

    def text(name: str) -> str:
        value = query.get(name, "")
        if len(value) > LONGEST_VALUE:
            notices.append(f"{name}: expected at most {LONGEST_VALUE:,} characters")
            return ""
        return value

    def day(name: str) -> date | None:
        value = text(name).strip()
        try:
            return date.fromisoformat(value) if value else None
        except ValueError:
            notices.append(f"{name}: expected a day such as 2026-01-31")
            return None

    since, until = day("from"), day("to")
    if since and until and since > until:
        notices.append("from: expected a day that is not after the one in “to”")
        since = until = None
    return Filters(
        funnel=text("funnel"),
        since=since,
        until=until,
        channel=text("channel"),
        campaign=text("campaign"),
        segment=text("segment"),
        options={name: value for name in sorted(OPTIONS) if (value := text(name))},
        notices=tuple(notices),
    )


def chosen_parts(filters: Filters, columns: Mapping[str, str]) -> list[str]:
    """Conditions for what was chosen.

    Args:
        filters: the choices.
        columns: by filter (`from` and `to` share `day`), the column or expression of ours that it is about. Filters without one say nothing.
    """
    chosen = filters.parameters
    parts = []
    for name, column in columns.items():
        if name == "day":
            parts += [f"{column} >= {{from:Date}}"] if "from" in chosen else []
            parts += [f"{column} <= {{to:Date}}"] if "to" in chosen else []
        elif name in chosen:
            parts.append(f"{column} = {{{name}:String}}")
    return parts
