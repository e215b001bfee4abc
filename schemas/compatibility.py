"""The rule our schemas evolve by, BACKWARD_TRANSITIVE: every version reads what all versions before it wrote.

Topics keep old messages, and dead letters come back years later. CI runs `python -m schemas.compatibility`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path

from schemas.catalog import Version, load
from schemas.decoding import compile_decoder
from schemas.errors import IncompatibleSchema, RefusedSchema
from schemas.resolution import problems


def breaks(catalog: Mapping[str, tuple[Version, ...]]) -> Iterator[str]:
    """What breaks the rule, a line each: file, field, what is wrong, and who wrote it so."""
    for subject, versions in catalog.items():
        for place, reader in enumerate(versions):
            for writer in versions[:place]:
                for problem in _between(writer, reader):
                    yield f"{subject}/v{reader.number}.avsc: {problem} (as written by v{writer.number})"


def _between(writer: Version, reader: Version) -> Iterator[str]:
    if writer.schema.name != reader.schema.name:
        yield f"is {reader.schema.name}; expected {writer.schema.name}"
        return
    found = list(problems(writer.schema, reader.schema))
    yield from found
    if not found:
        try:  # what our decoder does not support must not ship either
            compile_decoder(writer.schema, reader.schema, {}, names={}, start=0)
        except IncompatibleSchema as error:
            yield str(error)


def main(arguments: list[str]) -> int:
    """Check the schemas that ship, or those of the folder given. Returns the exit code: 1 on a break."""
    folder = Path(arguments[0]) if arguments else resources.files("schemas") / "avsc"
    try:
        catalog = load(folder)
        found = list(breaks(catalog))
    except (RefusedSchema, OSError, ValueError) as error:
        found = [str(error)]
        catalog = {}
    if found:
        hint = "Give new fields a default; never drop a branch of a union or narrow a type; else make a new subject."
        sys.stderr.write("\n".join([*found, hint, ""]))
        return 1
    count = sum(map(len, catalog.values()))
    sys.stdout.write(f"{count} schemas of {len(catalog)} subjects are backward compatible.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
