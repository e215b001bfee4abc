"""Random funnel files: valid, small, and with every rule of the contract somewhere."""

from __future__ import annotations

import json
import random
import tomllib
from pathlib import Path
from typing import Any

FunnelFile = dict[str, Any]

STAGES = ("a", "b", "c", "d")
TYPES = {
    "web": ("page_view", "purchase", "signup"),
    "email": ("opened", "clicked", "delivered"),
    "call": ("completed", "scheduled"),
}
OUTCOMES = ("won", "lost", "demo")
CAMPAIGNS = ("spring", "Spring", "")
URLS = ("/pricing", "/pricing/eu", "/a*b", "/a-b", "/two\nlines", "/[x]", "")
URL_GLOBS = ("*", "/pricing*", "*pricing?eu", "/a\\*b", "/a*b", "/two*", "/[x]", "", "/???????")
PLANS = ("pro", "free")
LENGTHS = ("30s", "2m", "1h", "3h", "1d")
CHANNEL_RULES = Path(__file__).parent / "channels.toml"
CHANNELS: tuple[dict[str, Any], ...] = tuple(tomllib.loads(CHANNEL_RULES.read_text())["channel"])
CALENDARS = (
    "always",
    "mon-sun 00:00-24:00",
    "mon-fri 09:00-17:00 Europe/Berlin",
    "mon-thu 08:30-12:00 13:00-17:30 fri 09:00-15:00",
    "sat-mon 22:00-24:00 America/New_York",
)
TIMEZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Apia")


def one_of(rng: random.Random, values: tuple[str, ...]) -> str | list[str]:
    """Draw a pattern or a list of patterns."""
    if rng.random() < 0.6:
        return rng.choice(values)
    return [rng.choice(values) for _ in range(rng.randint(1, 3))]


def random_clause(rng: random.Random) -> dict[str, Any]:
    """Draw a clause, mostly on channel and type."""
    clause: dict[str, Any] = {}
    channel = rng.choice(tuple(TYPES))
    if rng.random() < 0.8:
        clause["channel"] = channel
    if rng.random() < 0.75 or not clause:
        clause["type"] = one_of(rng, TYPES[channel] if rng.random() < 0.9 else ("*ed", "p*", "?urchase"))
    if channel == "web" and rng.random() < 0.25:
        clause["url"] = one_of(rng, URL_GLOBS)
    if channel == "call" and rng.random() < 0.5:
        clause["outcome"] = one_of(rng, OUTCOMES)
    if channel == "call" and rng.random() < 0.15:
        clause["min_duration_seconds"] = rng.choice((0, 60, 61))
    if rng.random() < 0.08:
        clause["campaign"] = one_of(rng, (*CAMPAIGNS, "*"))
    if rng.random() < 0.08:
        if rng.random() < 0.5:
            clause["properties.plan"] = one_of(rng, PLANS)
        else:
            clause["properties"] = {"plan": one_of(rng, PLANS)}
    if rng.random() < 0.3:
        clause["at_least"] = rng.randint(1, 3)
        clause["within"] = rng.choice(LENGTHS)
    return clause


def random_clauses(rng: random.Random) -> list[dict[str, Any]]:
    """Draw a list of one to three clauses."""
    return [random_clause(rng) for _ in range(rng.choice((1, 1, 2, 3)))]


def random_funnel(rng: random.Random, name: str = "f") -> FunnelFile:
    """Draw a funnel file, as `tomllib` would read it."""
    stages = STAGES[: rng.choice((1, 2, 3, 3, 3, 4, 4, 4))]
    funnel: FunnelFile = {"name": name, "version": rng.randint(1, 3)}
    if rng.random() < 0.7:
        funnel["timezone"] = rng.choice(TIMEZONES)
    funnel["window"] = rng.choice(LENGTHS)
    rest = {status: rng.choice(("0s", *LENGTHS)) for status in ("won", "lost") if rng.random() < 0.6}
    if rest:
        funnel["rest"] = rest
    if rng.random() < 0.5:
        funnel["wake"] = rng.choice(stages)
    if rng.random() < 0.6:
        funnel["activity"] = random_clauses(rng)
    funnel["stage"] = [{"name": stage, "enter": random_clauses(rng)} for stage in stages]
    if rng.random() < 0.6:
        funnel["lost"] = {"on": random_clauses(rng)}
    backs = rng.choice((0, 0, 1, 2, 3))
    if backs:
        funnel["back"] = [{"to": rng.choice(stages), "on": random_clauses(rng)} for _ in range(backs)]
    seed = json.dumps(funnel)
    add_stalls(random.Random(seed), funnel)  # nothing else that is drawn depends on it ...
    add_handoffs(random.Random(f"hand-offs of {seed}"), funnel)  # ... nor on this
    add_snooze(random.Random(f"snooze of {seed}"), funnel)
    return funnel


def add_handoffs(rng: random.Random, funnel: FunnelFile) -> None:
    """Draw teams, how long they may take to respond, and what is a response."""
    if rng.random() < 0.2:
        return
    stages = funnel["stage"]
    for stage in stages:
        if rng.random() < 0.9:
            stage["team"] = rng.choice(("x", "x", "y", "z", ""))
    for number, stage in enumerate(stages[:-1]):
        team = stage.get("team", "")
        if team and any(before.get("team", "") != team for before in stages[:number]) and rng.random() < 0.7:
            stage["respond_within"] = rng.choice(("0s", *LENGTHS))
    if rng.random() < 0.4:
        funnel["handoff"] = {"touch": [uncounted(clause) for clause in random_clauses(rng)]}


def add_snooze(rng: random.Random, funnel: FunnelFile) -> None:
    """Draw what snoozes a stage."""
    number = rng.choice((0, 0, 1, 2))
    if number:
        snoozes = [{"on": [uncounted(random_clause(rng))], "for": rng.choice(LENGTHS)} for _ in range(number)]
        funnel["snooze"] = snoozes


def uncounted(clause: dict[str, Any]) -> dict[str, Any]:
    """Give the clause without `at_least`."""
    return {key: wanted for key, wanted in clause.items() if key not in ("at_least", "within")}


def add_stalls(rng: random.Random, funnel: FunnelFile) -> None:
    """Draw when prospects are stalled."""
    if rng.random() < 0.2:
        funnel["calendar"] = rng.choice(CALENDARS)
    for stage in funnel["stage"]:
        if rng.random() < 0.6:
            stage["stall_after"] = rng.choice(LENGTHS)
            if rng.random() < 0.4:
                stage["escalate"] = rng.choice((["30s"], ["2m", "1h"]))
            if rng.random() < 0.1:
                stage["calendar"] = rng.choice(CALENDARS)


def clauses_in(funnel: FunnelFile) -> list[dict[str, Any]]:
    """Collect the clauses of a funnel, once for every list that they are in."""
    lists = [stage["enter"] for stage in funnel["stage"]] + [back["on"] for back in funnel.get("back", [])]
    lists += [funnel.get("lost", {}).get("on", []), funnel.get("activity", [])]
    return [clause for clauses in lists for clause in clauses]


def funnel_toml(funnel: FunnelFile) -> str:
    """Write a funnel file as TOML. A JSON string is a TOML string."""

    def value(thing: Any) -> str:
        if isinstance(thing, dict):
            return "{ " + ", ".join(f"{json.dumps(key)} = {value(inner)}" for key, inner in thing.items()) + " }"
        if isinstance(thing, list):
            return "[" + ", ".join(value(inner) for inner in thing) + "]"
        return json.dumps(thing)

    return "".join(f"{key} = {value(thing)}\n" for key, thing in funnel.items())
