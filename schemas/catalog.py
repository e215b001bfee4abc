"""The schemas this package ships: subjects, their versions, and the ids that are fixed for them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from types import MappingProxyType

from schemas.errors import RefusedSchema
from schemas.model import Record, parse

SUBJECT_OF_CHANNEL: Mapping[str, str] = MappingProxyType(
    {
        "web": "web-events",
        "email": "email-events",
        "call": "sales-call-events",
        "declaration": "identity-declarations",
    }
)
"""Which subject's schemas the events of a channel are written with; declarations count as a channel of their own."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a subject's schema."""

    subject: str
    number: int
    schema_id: int
    """Its id where no schema registry says otherwise (`avsc/ids.json`)."""
    text: str
    """The schema's JSON, as committed."""
    schema: Record


def load(folder: Traversable) -> Mapping[str, tuple[Version, ...]]:
    """By subject, its versions, oldest first, from a folder laid out as `schemas/avsc` is.

    Raises RefusedSchema, naming the file, for a schema that breaks our own rules, and where `ids.json`
    and the files don't agree.
    """
    ids = json.loads((folder / "ids.json").read_text("utf-8"))
    found: dict[str, tuple[Version, ...]] = {}
    for subject, numbered in ids.items():
        there = sorted(file.name for file in (folder / subject).iterdir())
        if there != sorted(f"v{number}.avsc" for number in numbered):
            raise RefusedSchema(f"ids.json: {subject} has the versions {', '.join(numbered)}, its folder {there}")
        versions = (_version(folder, subject, int(number), schema_id) for number, schema_id in numbered.items())
        found[subject] = tuple(sorted(versions, key=lambda version: version.number))
    schema_ids = [version.schema_id for versions in found.values() for version in versions]
    if len(set(schema_ids)) < len(schema_ids):
        raise RefusedSchema("ids.json: an id is there twice")
    return MappingProxyType(found)


@cache
def catalog() -> Mapping[str, tuple[Version, ...]]:
    """By subject, the versions that ship, oldest first."""
    return load(resources.files("schemas") / "avsc")


def current(subject: str) -> Version:
    """The version we write, and read as. Raises KeyError for a subject that isn't ours."""
    return catalog()[subject][-1]


def _version(folder: Traversable, subject: str, number: int, schema_id: int) -> Version:
    text = (folder / subject / f"v{number}.avsc").read_text("utf-8")
    try:
        return Version(subject, number, schema_id, text, parse(text))
    except RefusedSchema as error:
        raise RefusedSchema(f"{subject}/v{number}.avsc: {error}") from None
