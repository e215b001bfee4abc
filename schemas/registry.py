"""Where schema ids come from, and what they stand for."""

from __future__ import annotations

from typing import Protocol

from schemas.catalog import catalog, current
from schemas.errors import UnknownSchema
from schemas.model import Record


class Registry(Protocol):
    """Ids to writer schemas, subjects to ids."""

    def schema(self, schema_id: int) -> Record:
        """The schema that data with this id was written with.

        Raises UnknownSchema where there is none, RefusedSchema where we won't decode it, and
        RegistryUnavailable where that can't be known now.
        """

    def id_of(self, subject: str) -> int:
        """The id of the version of this subject that we write (`schemas.catalog.current`).

        Raises UnknownSchema where it has none, and RegistryUnavailable where that can't be known now.
        """


class FileRegistry:
    """The schemas that ship with this package, under the ids committed in `avsc/ids.json`. Needs no server."""

    def __init__(self) -> None:
        self._by_id = {version.schema_id: version.schema for versions in catalog().values() for version in versions}

    def schema(self, schema_id: int) -> Record:
        """See Registry."""
        try:
            return self._by_id[schema_id]
        except KeyError:
            raise UnknownSchema(f"no schema has the id {schema_id}") from None

    def id_of(self, subject: str) -> int:
        """See Registry."""
        try:
            return current(subject).schema_id
        except KeyError:
            raise UnknownSchema(f"there is no subject {subject}; there are {', '.join(catalog())}") from None
