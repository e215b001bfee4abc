"""Messages that are named tuples, field by field: nothing in them has to be made from anything else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from schemas.catalog import catalog, current
from schemas.decoding import compile_decoder
from schemas.encoding import compile_encoder
from schemas.errors import Undecodable
from schemas.framing import HEADER, header


class TupleCodec:
    """Encodes and decodes named tuples whose fields are those of a subject's current schema, in their order."""

    def __init__(self, subject: str, kind: type[Any]) -> None:
        """Args: kind: the named tuple."""
        version = current(subject)
        fields = tuple(field.name for field in version.schema.fields)
        if fields != kind._fields:
            raise TypeError(f"{kind.__name__} has fields {kind._fields}, the schema of {subject} {fields}")
        self._subject = subject
        # The comma makes one field a tuple of it, too.
        target = {version.schema.name: f"{', '.join(fields)},"}
        self.encode: Callable[[Any], bytes] = compile_encoder(version.schema, header(version.schema_id), target, {})
        """The message of one. Raises ValueError for numbers that don't fit, ids of other sizes and text that has no UTF-8."""

        def construct(values: Mapping[str, str]) -> str:
            return f"new(kind, ({', '.join(values[field] for field in fields)},))"

        names = {"new": tuple.__new__, "kind": kind}
        self.decoders: Mapping[bytes, Callable[[bytes], Any]] = {
            header(one.schema_id): compile_decoder(
                one.schema, version.schema, {version.schema.name: construct}, names=names, start=HEADER
            )
            for one in catalog()[subject]
        }
        """By frame header, what decodes each version. They raise Undecodable on any bytes that are not exactly one such message."""

    def decode(self, data: bytes) -> Any:
        """The named tuple of a message. Raises Undecodable where it is none."""
        decode = self.decoders.get(data[:HEADER])
        if decode is None:
            raise Undecodable(f"not framed as one of {self._subject}")
        return decode(data)
