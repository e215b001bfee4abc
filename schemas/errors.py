"""What can go wrong between bytes and values."""

from __future__ import annotations


class Undecodable(ValueError):
    """The bytes are not exactly one record of a known schema (dead-letter reason `undecodable`).

    The message is one line for people and never holds a value of the record.
    """


class SchemaError(Exception):
    """Base of all trouble with schemas themselves."""


class UnknownSchema(SchemaError):
    """No schema has this id, or no schema is registered for this subject."""


class RefusedSchema(SchemaError):
    """A schema that is no valid Avro, or that we do not decode for safety. The message says why."""


class IncompatibleSchema(SchemaError):
    """What one schema wrote, another can't read. The message names the field."""


class RegistryUnavailable(SchemaError):
    """The schema registry did not answer, or not sensibly: try again later.

    Never a reason to dead-letter an event: it may be sound.
    """
