"""Identifiers come sealed; this is where they are opened, and nowhere else behind intake."""

from __future__ import annotations

from funnel.facts import IdentifierRow
from funnel.identifiers import KINDS, prospect_id
from schemas.sealing import Sealer
from sinks.config import PersonalData


class Opener:
    """From sealed identifiers to what is written of them. The same identifier always gives the same, so a tombstone finds its row."""

    def __init__(self, id_key: bytes, personal_data: PersonalData) -> None:
        """Args: id_key: JOURNEY_ID_KEY, under which they were sealed. personal_data: see `PersonalData`."""
        self._sealer, self._id_key, self._hashes = Sealer(id_key), id_key, personal_data == "hash"

    def open(self, row: IdentifierRow) -> tuple[str, str]:
        """Kind and value; as a hash, the value is the identifier's own id in hexadecimal digits.

        Raises:
            WrongKey: it was sealed under another key.
            ValueError: it is no identifier of this kind, without saying what it is.
        """
        canonical = self._sealer.open(row.name).decode()
        kind, _, value = canonical.partition(":")
        if not 0 <= row.kind < len(KINDS) or kind != KINDS[row.kind]:
            raise ValueError("an identifier is not of the kind that is said")
        return kind, prospect_id(self._id_key, canonical).hex() if self._hashes else value
