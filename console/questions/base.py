"""What a question is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from console.filters import Filters
from console.query import Query

Schema = Mapping[str, frozenset[str]]
"""By table or view, its columns; empty where it is not there or may not be read."""


@dataclass(frozen=True)
class Asked:
    """What a question depends on."""

    filters: Filters
    schema: Schema = field(default_factory=dict)
    prospect: str = ""
    """A prospect's id, where it is about one."""

    def has(self, name: str) -> bool:
        """Whether a table or view can be read."""
        return bool(self.schema.get(name))

    @property
    def parameters(self) -> dict[str, str]:
        """For `Query`."""
        own = self.filters.parameters
        return own | {"prospect": self.prospect} if self.prospect else own


class Question(NamedTuple):
    """A named question."""

    name: str
    """In addresses."""
    ask: Callable[[Asked], Query]
    takes: tuple[str, ...] = ("funnel",)
    """The filters that it heeds."""
    looks_at: tuple[str, ...] = ()
    """Tables and views that it asks differently without; it gets their columns in `Asked.schema`."""


class Conversions(NamedTuple):
    """From where visits are counted: by channel group and segment where the installation has that, else by channel."""

    table: str
    channel: str
    segment: str
    """'' where there is none."""

    @property
    def columns(self) -> dict[str, str]:
        """By filter, what it is about; see `console.filters.chosen_parts`."""
        columns = {
            "funnel": "funnel",
            "day": "entry_day",
            "channel": self.channel,
            "campaign": "first_campaign",
            "segment": self.segment,
        }
        return {name: column for name, column in columns.items() if column}


CONVERSION_VIEWS = ("conversion_by_group",)
CONVERSION_FILTERS = ("funnel", "from", "to", "channel", "campaign", "segment")


def conversions(schema: Schema) -> Conversions:
    """The best that there is."""
    columns = schema.get("conversion_by_group", frozenset())
    if not columns:
        return Conversions("conversion_facts", "first_channel", "")
    return Conversions(
        "conversion_by_group",
        "first_channel_group",
        next((name for name in ("segment", "account_segment") if name in columns), ""),
    )
