"""Templates: everything that goes through them is escaped."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.requests import Request
from starlette.responses import HTMLResponse

from console import text
from console.asking import Asking
from console.filters import NONE
from console.panels import NUMERIC, SHOWN, Panel

HERE = Path(__file__).parent
STATIC = HERE / "static"


class Place(NamedTuple):
    """A page in the navigation."""

    path: str
    name: str
    takes: tuple[str, ...]
    """The filters that it heeds."""
    icon: str


NAVIGATION: tuple[tuple[str, tuple[Place, ...]], ...] = (
    (
        "Funnel",
        (
            Place("/", "Funnel", ("funnel", "from", "to", "channel", "campaign", "segment"), "funnel"),
            Place("/flow", "Flow", ("funnel", "channel", "campaign"), "flow"),
            Place("/cohorts", "Cohorts", ("funnel", "from", "to"), "cohorts"),
            Place("/velocity", "Velocity", ("funnel", "from", "to"), "velocity"),
            Place("/retention", "Retention", ("funnel", "from", "to"), "retention"),
            Place("/targets", "Targets", ("funnel", "from", "to"), "targets"),
        ),
    ),
    (
        "Marketing",
        (
            Place("/campaigns", "Campaigns", ("funnel", "campaign"), "campaigns"),
            Place("/attribution", "Attribution", ("funnel", "channel", "campaign"), "attribution"),
        ),
    ),
    (
        "Sales",
        (
            Place("/stalled", "To call now", ("funnel",), "stalled"),
            Place("/handoffs", "Hand-offs", ("funnel", "from", "to", "campaign"), "handoffs"),
            Place("/prospects", "Prospects", ("funnel", "from", "to"), "prospects"),
            Place("/accounts", "Accounts", ("funnel", "segment"), "accounts"),
        ),
    ),
    ("System", (Place("/health", "Pipeline", (), "health"),)),
)
PLACES = {place.path: place for _, places in NAVIGATION for place in places}


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= SHOWN | {"plain": text.plain, "name_of": text.name_of, "ago": text.ago, "toml": text.toml}
    environment.globals |= {
        "static": static_address,
        "navigation": NAVIGATION,
        "NONE": NONE,
        "shown": lambda value, kind: SHOWN[kind](value),
        "is_numeric": lambda kind: kind in NUMERIC,
        "ratio": text.ratio,
    }
    return environment


@cache
def static_address(name: str) -> str:
    """Where a file is served, with a mark of what it holds: browsers may keep it until it changes."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?v={digest}"


_TEMPLATES = _environment()


async def page(asking: Asking, template: str, place: str, **values: Any) -> HTMLResponse:
    """A page of the console."""
    where = PLACES[place]
    choices = {
        name: await asking.choices(name)
        for name in ("channel", "campaign", "segment")
        if name in where.takes and asking.filters.funnel
    }
    panels = [value for value in values.values() if isinstance(value, Panel)]
    return render(
        asking.request,
        template,
        place=where,
        filters=asking.filters,
        funnels=asking.funnels,
        choices={name: [one for one in found if one] + [NONE] * ("" in found) for name, found in choices.items()},
        notices=asking.filters.notices,
        migrate=any(panel.problem is not None and panel.problem.kind == "missing" for panel in panels),
        **values,
    )


def render(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A template as an answer."""
    config = request.app.state.config
    common: Mapping[str, Any] = {
        "now": datetime.now(UTC),
        "user": getattr(request.state, "user", ""),
        "can_log_out": bool(config.token) and not getattr(request.state, "user", ""),
    }
    return HTMLResponse(_TEMPLATES.get_template(template).render(**common, **values), status)
