"""Funnels as people write them: TOML into immutable values, refused with file, key and what was expected."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from funnel.calendar import Calendar, parse_calendar, parse_zone
from funnel.durations import UNIT_SECONDS
from funnel.handoffs import may_be_handed
from funnel.reading import FunnelError, Reading, document_in, text_in

RESERVED_STAGES = ("lost", "expired")
"""What `to_stage` says of closed visits; no stage may be called so."""
ACCOUNT_POLICIES = ("furthest", "majority")
"""How an account stands, of whose people some are further than others."""

MATCHABLE_FIELDS = frozenset(
    [
        *("channel", "event_id", "source", "anonymous_id", "user_id", "email", "phone", "account_id", "type"),
        *("campaign", "url", "referrer", "utm_source", "utm_medium", "utm_term", "utm_content", "user_agent"),
        *("amount", "currency", "template", "direction", "duration_seconds", "outcome", "rep", "reason"),
    ]
)
"""The event's own fields that a clause may name, beside `properties.<name>`."""

_REGION = re.compile(r"[A-Z]{2}(-[A-Za-z0-9]{1,8})?")
_DEFAULT_ACTIVITY: tuple[dict[str, Any], ...] = (
    {"channel": "web"},
    {"channel": "email", "type": ["opened", "clicked", "replied"]},
    {"channel": "call", "type": "completed"},
)


@dataclass(frozen=True, slots=True)
class Clause:
    """One way to satisfy a list: every pattern matches, and enough matching events lie close together."""

    patterns: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """(field, globs), sorted by field; any of the globs may match."""
    min_duration_seconds: int | None = None
    at_least: int = 1
    within: int = 0
    """Microseconds; meaningful where `at_least` was written."""
    counted: bool = False
    """Whether `at_least` and `within` were written."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a funnel."""

    name: str
    enter: tuple[Clause, ...]
    team: str = ""
    stall_after: int | None = None
    """Microseconds without activity after which a prospect in this stage is stalled; None: never."""
    escalate: tuple[int, ...] = ()
    """How long (microseconds) after that it is told again, to others; ascending."""
    calendar: Calendar | None = None
    """In whose working hours all of these are counted; None: at any time."""
    respond_within: int | None = None
    """Microseconds within which its team has to touch a prospect that another team hands over; None: no matter when."""


@dataclass(frozen=True, slots=True)
class Back:
    """What moves a prospect back to an earlier stage."""

    to: int
    """Index of the stage."""
    on: tuple[Clause, ...]


@dataclass(frozen=True, slots=True)
class Snooze:
    """What says that nothing needs to happen in the stage for a while."""

    on: tuple[Clause, ...]
    duration: int
    """Microseconds from the event on, whatever the working hours."""


@dataclass(frozen=True, slots=True)
class Funnel:
    """A funnel (contract, section 2). Durations are microseconds."""

    name: str
    stages: tuple[Stage, ...]
    version: int = 1
    timezone: str = "UTC"
    window: int = 90 * 86_400_000_000
    rest_won: int = 0
    rest_lost: int = 0
    wake: int | None = None
    """Index of the stage from which on events open a visit even during rest; None: none does."""
    activity: tuple[Clause, ...] = ()
    lost: tuple[Clause, ...] = ()
    back: tuple[Back, ...] = field(default=())
    touch: tuple[Clause, ...] = ()
    """What of a team's doings touches a prospect that was handed to it; (): a completed call."""
    snooze: tuple[Snooze, ...] = ()
    account_policy: str = "furthest"
    """One of `ACCOUNT_POLICIES`. Reports go by it; no transition does, so it is no part of a fingerprint."""


def load_funnels(paths: Iterable[Path]) -> tuple[Funnel, ...]:
    """Read funnel files, in the order given.

    Raises:
        FunnelError: a file can't be read or is wrong, or two files define a funnel of the same name.
    """
    funnels: dict[str, Funnel] = {}
    for path in paths:
        funnel = parse_funnel(text_in(path), str(path))
        if funnel.name in funnels:
            raise FunnelError(
                str(path), "name", f"expected a name of its own; {funnel.name!r} is taken by another file"
            )
        funnels[funnel.name] = funnel
    return tuple(funnels.values())


def parse_funnel(text: str, file: str = "<text>") -> Funnel:
    """A funnel from TOML.

    Args:
        text: the TOML.
        file: what errors call it.

    Raises:
        FunnelError: it is wrong; see the contract, section 2.
    """
    return _Reader(file).funnel(document_in(text, file))


class _Reader(Reading):
    """Reads one document; every method takes the key it stands at, for errors."""

    def funnel(self, document: Mapping[str, Any]) -> Funnel:
        known = ("name", "version", "timezone", "window", "rest", "wake", "activity", "stage", "lost", "back")
        self._only(document, "", (*known, "calendar", "holidays", "handoff", "snooze", "accounts"))
        timezone = self._timezone(document.get("timezone", "UTC"))
        holidays = self._holidays(document, "", "")
        calendar = self._calendar(document, "", timezone, holidays, None)
        stages = self._stages(document.get("stage"), timezone, holidays, calendar)
        index = {stage.name: number for number, stage in enumerate(stages)}
        version = document.get("version", 1)
        if type(version) is not int or not 0 <= version < 2**32:
            raise self._wrong("version", "expected a whole number from 0 to 4294967295")
        rest = self._table(document.get("rest", {}), "rest", ("won", "lost"))
        lost = self._table(document.get("lost", {"on": []}), "lost", ("on",))
        accounts = self._table(document.get("accounts", {}), "accounts", ("policy",))
        wake = document.get("wake")
        return Funnel(
            name=self._name(document.get("name"), "name"),
            stages=stages,
            version=version,
            timezone=timezone,
            window=self._duration(document.get("window", "90d"), "window"),
            rest_won=self._duration(rest.get("won", "0s"), "rest.won"),
            rest_lost=self._duration(rest.get("lost", "0s"), "rest.lost"),
            wake=None if wake is None else self._stage_index(wake, "wake", index),
            activity=self._clauses(document.get("activity", _DEFAULT_ACTIVITY), "activity"),
            lost=self._clauses(lost.get("on"), "lost.on", may_be_empty="lost" not in document),
            back=tuple(
                self._back(entry, f"back[{number}]", index)
                for number, entry in enumerate(self._list(document.get("back", []), "back"))
            ),
            touch=self._touch(document),
            snooze=tuple(
                self._snooze(entry, f"snooze[{number}]")
                for number, entry in enumerate(self._list(document.get("snooze", []), "snooze"))
            ),
            account_policy=self._one_of(accounts.get("policy", "furthest"), "accounts.policy", ACCOUNT_POLICIES),
        )

    def _stages(self, raw: object, timezone: str, holidays: str, calendar: Calendar | None) -> tuple[Stage, ...]:
        entries = self._list(raw, "stage")
        if not entries:
            raise self._wrong("stage", "expected at least one [[stage]]")
        stages: list[Stage] = []
        for number, entry in enumerate(entries):
            key = f"stage[{number}]"
            known = ("name", "team", "stall_after", "escalate", "respond_within", "calendar", "holidays", "enter")
            table = self._table(entry, key, known)
            name = self._name(table.get("name"), f"{key}.name")
            if name in RESERVED_STAGES:
                raise self._wrong(f"{key}.name", f"expected another name; {name!r} says how visits close")
            if any(stage.name == name for stage in stages):
                raise self._wrong(f"{key}.name", f"expected a name of its own; {name!r} is named twice")
            team = table.get("team", "")
            if not isinstance(team, str):
                raise self._wrong(f"{key}.team", "expected a string")
            hours = self._calendar(table, f"{key}.", timezone, self._holidays(table, f"{key}.", holidays), calendar)
            stages.append(
                Stage(
                    name=name,
                    enter=self._clauses(table.get("enter"), f"{key}.enter"),
                    team=team,
                    **self._deadlines(table, key, hours),
                )
            )
        teams = [stage.team for stage in stages]
        for number, stage in enumerate(stages):
            if stage.respond_within is not None and not may_be_handed(teams, number):
                raise self._wrong(
                    f"stage[{number}].respond_within",
                    "expected only where another team hands over: on a stage with a team, after one of another team, that is not the last",
                )
        return tuple(stages)

    def _deadlines(self, table: Mapping[str, Any], key: str, calendar: Calendar | None) -> dict[str, Any]:
        """By when what has to happen in a stage; with the calendar, where anything has to."""
        found = self._stall(table, key, UNIT_SECONDS if calendar is None else calendar.unit_seconds)
        return {**found, "calendar": calendar} if found else {}

    def _stall(self, table: Mapping[str, Any], key: str, units: Mapping[str, int]) -> dict[str, Any]:
        """When a prospect in the stage is stalled, when that is told again, and when its team is late to respond."""
        found: dict[str, Any] = {}
        if "respond_within" in table:
            found["respond_within"] = self._duration(table["respond_within"], f"{key}.respond_within", units)
        if "stall_after" not in table:
            if "escalate" in table:
                raise self._wrong(f"{key}.escalate", "expected beside stall_after, which it counts from")
            return found
        escalate = [
            self._duration(text, f"{key}.escalate[{number}]", units)
            for number, text in enumerate(self._list(table.get("escalate", []), f"{key}.escalate"))
        ]
        if any(later <= earlier for earlier, later in pairwise([0, *escalate])):
            raise self._wrong(f"{key}.escalate", "expected durations, each longer than the one before")
        stall_after = self._duration(table["stall_after"], f"{key}.stall_after", units)
        return {**found, "stall_after": stall_after, "escalate": tuple(escalate)}

    def _calendar(
        self, table: Mapping[str, Any], at: str, timezone: str, holidays: str, default: Calendar | None
    ) -> Calendar | None:
        """The calendar of a table; where it has none but other holidays, the default one with those."""
        text = table.get("calendar")
        if text == "always":
            return None
        if text is None:
            return default and replace(default, holidays=holidays)
        try:
            return parse_calendar(text, timezone, holidays)
        except ValueError as error:
            raise self._wrong(f"{at}calendar", f'{error}, or "always"') from error

    def _holidays(self, table: Mapping[str, Any], at: str, default: str) -> str:
        value = table.get("holidays", default)
        if not isinstance(value, str) or (value and not _REGION.fullmatch(value)):
            raise self._wrong(f"{at}holidays", "expected a country, or one of its parts, such as DE or DE-BE")
        return value

    def _back(self, raw: object, key: str, index: Mapping[str, int]) -> Back:
        table = self._table(raw, key, ("to", "on"))
        return Back(
            to=self._stage_index(table.get("to"), f"{key}.to", index),
            on=self._clauses(table.get("on"), f"{key}.on"),
        )

    def _snooze(self, raw: object, key: str) -> Snooze:
        table = self._table(raw, key, ("on", "for"))
        on = self._clauses(table.get("on"), f"{key}.on")
        self._uncounted(on, f"{key}.on", "one event is enough to snooze")
        return Snooze(on, self._duration(table.get("for"), f"{key}.for"))

    def _uncounted(self, clauses: tuple[Clause, ...], key: str, why: str) -> None:
        for number, clause in enumerate(clauses):
            if clause.counted:
                raise self._wrong(f"{key}[{number}].at_least", f"expected no at_least: {why}")

    def _touch(self, document: Mapping[str, Any]) -> tuple[Clause, ...]:
        table = self._table(document.get("handoff", {}), "handoff", ("touch",))
        if "handoff" not in document:
            return ()
        clauses = self._clauses(table.get("touch"), "handoff.touch")
        self._uncounted(clauses, "handoff.touch", "the first touch is one")
        return clauses

    def _clauses(self, raw: object, key: str, *, may_be_empty: bool = False) -> tuple[Clause, ...]:
        entries = self._list(raw, key)
        if not entries and not may_be_empty:
            raise self._wrong(key, 'expected at least one clause, such as { channel = "web" }')
        return tuple(self._clause(entry, f"{key}[{number}]") for number, entry in enumerate(entries))

    def _clause(self, raw: object, key: str) -> Clause:
        if not isinstance(raw, Mapping):
            raise self._wrong(key, 'expected a table, such as { channel = "web", type = "page_view" }')
        patterns: dict[str, tuple[str, ...]] = {}
        duration: int | None = None
        for name, value in _flatten(raw):
            at = f"{key}.{name}"
            if name == "min_duration_seconds":
                duration = self._whole(value, at, least=0)
            elif name not in ("at_least", "within"):
                if name not in MATCHABLE_FIELDS and not (name.startswith("properties.") and len(name) > 11):
                    raise self._wrong(
                        at, "expected a field of the event, properties.<name>, min_duration_seconds, at_least or within"
                    )
                patterns[name] = self._globs(value, at)
        if ("at_least" in raw) != ("within" in raw):
            present, missing = ("at_least", "within") if "at_least" in raw else ("within", "at_least")
            raise self._wrong(f"{key}.{missing}", f"expected beside {present} (both or neither)")
        counted = "at_least" in raw
        return Clause(
            patterns=tuple(sorted(patterns.items())),
            min_duration_seconds=duration,
            at_least=self._whole(raw["at_least"], f"{key}.at_least", least=1) if counted else 1,
            within=self._duration(raw["within"], f"{key}.within") if counted else 0,
            counted=counted,
        )

    def _timezone(self, value: object) -> str:
        expected = self._wrong("timezone", "expected an IANA time zone, such as Europe/Berlin")
        if not isinstance(value, str):
            raise expected
        try:
            return parse_zone(value)
        except ValueError as error:
            raise expected from error

    def _stage_index(self, value: object, key: str, index: Mapping[str, int]) -> int:
        if not isinstance(value, str) or value not in index:
            raise self._wrong(key, f"expected the name of a stage: {', '.join(index)}")
        return index[value]


def _flatten(table: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Dotted names of a clause: TOML reads `properties.plan = "pro"` as a table within a table."""
    for name, value in table.items():
        if isinstance(value, Mapping) and value:
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
