"""Declarations: somebody says whose an identifier is, or whose it is not (contract, section 4, 5)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tests.oracle.acceptance import Settings, is_invalid_time
from tests.oracle.identity import STRENGTH, kind_of, normalise, value_of

Pair = tuple[str, str]
"""The weaker identifier and the stronger one."""


class Declaration(NamedTuple):
    """Somebody says that an identifier is (`link`), or is not (`split`), another's; canonical forms.

    Its fields are in the order that decides which of two is later; at the same place a split comes after a link.
    """

    occurred_at: int
    source: str
    event_id: str
    type: str
    weaker: str
    stronger: str


def is_canonical(identifier: str, phone_region: str | None) -> bool:
    """Whether it is an identifier in canonical form: of a known kind, and normalised already."""
    kind, value = kind_of(identifier), value_of(identifier)
    return kind in STRENGTH and normalise(kind, value, phone_region) == value


def refusal(declaration: Declaration, settings: Settings) -> str | None:
    """Give the reason why a declaration is not accepted, whatever else was declared; None if it is."""
    weaker, stronger = declaration.weaker, declaration.stronger
    both = (weaker, stronger)
    if declaration.type not in ("link", "split"):
        return "invalid_declaration"
    if not all(is_canonical(identifier, settings.phone_region) for identifier in both):
        return "invalid_declaration"
    if weaker == stronger:
        return "invalid_declaration"
    of_two_users = [kind_of(identifier) for identifier in both] == ["user_id", "user_id"]
    if not of_two_users and STRENGTH.index(kind_of(weaker)) <= STRENGTH.index(kind_of(stronger)):
        return "invalid_declaration"
    return "invalid_time" if is_invalid_time(declaration.occurred_at, settings) else None


def latest_of_each_pair(declarations: Iterable[Declaration]) -> dict[Pair, Declaration]:
    """Give the declaration that decides each pair. Order matters in a pair: one of two user_ids stands for the other."""
    return {(one.weaker, one.stronger): one for one in sorted(declarations)}


def aliases_of(links: Iterable[Declaration]) -> tuple[dict[str, Declaration], list[Declaration]]:
    """Say for which other user_id each stands, and which links would close a circle.

    The links are taken from the earliest on: the first of a user_id counts, unless it would close a circle.
    """
    alias: dict[str, Declaration] = {}
    circles = []
    for link in sorted(links):
        if link.weaker in alias:
            continue
        end = link.stronger
        while end in alias:
            end = alias[end].stronger
        if end == link.weaker:
            circles.append(link)
        else:
            alias[link.weaker] = link
    return alias, circles
