"""The rows that say who is who (contract, section 4): identifiers, aliases, and what is shared."""

from __future__ import annotations

from tests.oracle.identity import kind_of, prospect_id_of, value_of
from tests.oracle.rows import AliasRow, IdentifierRow, SharedRow
from tests.oracle.stitching import Stitched


def identifier_rows(stitched: Stitched, id_key: bytes) -> list[IdentifierRow]:
    """Give `prospect_identifiers`; nothing of an identifier whose way is shared."""
    return sorted(
        IdentifierRow(prospect_id_of(end, id_key), kind_of(identifier), value_of(identifier))
        for identifier, end in stitched.end.items()
        if end is not None
    )


def alias_rows(stitched: Stitched, id_key: bytes) -> list[AliasRow]:
    """Give `prospect_aliases`, one step of the way a row."""
    return sorted(
        AliasRow(prospect_id_of(identifier, id_key), prospect_id_of(step.to, id_key), step.since)
        for identifier, steps in stitched.steps.items()
        for step in steps
    )


def shared_rows(stitched: Stitched, id_key: bytes) -> list[SharedRow]:
    """Give `shared_identifiers`."""
    return sorted(
        SharedRow(prospect_id_of(identifier, id_key), kind_of(identifier), seen_with)
        for identifier, seen_with in stitched.shared.items()
    )
