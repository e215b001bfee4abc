"""The shortcuts of the encoders, at every border."""

from __future__ import annotations

import pytest

from schemas.encoding import LONGS, compile_encoder, time
from schemas.errors import RefusedSchema
from schemas.messages import decode_tick, encode_tick
from schemas.model import parse
from tests.unit.schemas.reference import reference_write


@pytest.mark.parametrize("power", range(63))
def test_numbers_around_powers_of_two(power: int) -> None:
    """Every length of a number, and the borders of the shortcut for times, as the reference writes them."""
    for number in ((1 << power) + step for step in (-1, 0, 1)):
        for signed in (number, -number):
            framed = reference_write("tick", {"now": signed})
            assert encode_tick(signed) == framed
            assert time(signed) == LONGS[signed] == framed[5:]
            assert decode_tick(framed) == signed


def test_table_of_small_numbers_does_not_grow() -> None:
    """Only what was remembered at start stays in memory."""
    size = len(LONGS)
    assert [LONGS[number] for number in (1 << 40, -(1 << 40))]
    assert len(LONGS) == size


def test_types_without_an_encoder() -> None:
    """A schema of our own topics that the encoder can't write is refused when the program starts."""
    schema = parse('{"type": "record", "name": "R", "fields": [{"name": "f", "type": "float"}]}')
    with pytest.raises(RefusedSchema, match="no encoder for float"):
        compile_encoder(schema, b"", {"R": "f"}, {})
