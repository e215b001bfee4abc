"""Which schemas can read what others wrote (Avro's schema resolution, on the strict side)."""

from __future__ import annotations

from collections.abc import Iterator

from schemas.model import Array, Enum, Fixed, Map, Primitive, Record, Type, Union

_PROMOTIONS = {
    ("int", "long"),
    ("int", "float"),
    ("int", "double"),
    ("long", "float"),
    ("long", "double"),
    ("float", "double"),
    ("string", "bytes"),
    ("bytes", "string"),
}


def problems(writer: Type, reader: Type, place: str = "") -> Iterator[str]:
    """Why `reader` can't read what `writer` wrote, a line for each place; nothing where it can.

    Stricter than the specification where that would change meaning: decimals must agree in precision
    and scale, and times in their unit (a long without a unit may become one), and records by full name.
    """
    match writer, reader:
        case Union(branches=branches), _:
            for branch in branches:
                if isinstance(reader, Union) and branch_for(branch, reader) is None:
                    yield f"{place}: the reader has no branch for {_called(branch)}"
                elif not isinstance(reader, Union):
                    yield from problems(branch, reader, place)
        case _, Union():
            if branch_for(writer, reader) is None:
                yield f"{place}: the reader has no branch for {_called(writer)}"
        case Primitive(), Primitive():
            yield from _primitives(writer, reader, place)
        case Record(), Record() if writer.name == reader.name:
            yield from _records(writer, reader, place)
        case Array(), Array():
            yield from problems(writer.items, reader.items, f"{place}[]")
        case Map(), Map():
            yield from problems(writer.values, reader.values, f"{place}{{}}")
        case Fixed(), Fixed() if writer == reader:
            pass
        case Enum(), Enum() if writer.name == reader.name:
            missing = [symbol for symbol in writer.symbols if symbol not in reader.symbols]
            if missing:
                yield f"{place}: the reader lacks the symbols {', '.join(missing)}"
        case _:
            yield f"{place}: {_called(writer)} can't be read as {_called(reader)}"


def branch_for(writer: Type, reader: Union) -> Type | None:
    """The first branch of the reader's union that can read what `writer` wrote."""
    return next((branch for branch in reader.branches if next(problems(writer, branch), None) is None), None)


def _primitives(writer: Primitive, reader: Primitive, place: str) -> Iterator[str]:
    if writer.kind != reader.kind and (writer.kind, reader.kind) not in _PROMOTIONS:
        yield f"{place}: {_called(writer)} can't be read as {_called(reader)}"
    elif reader.logical == "decimal" or writer.logical == "decimal":
        if writer != reader:
            yield f"{place}: {_called(writer)} can't be read as {_called(reader)}"
    elif writer.logical and reader.logical and writer.logical != reader.logical:
        yield f"{place}: {_called(writer)} can't be read as {_called(reader)}"


def _records(writer: Record, reader: Record, place: str) -> Iterator[str]:
    written = {field.name: field for field in writer.fields}
    for field in reader.fields:
        inner = f"{place}.{field.name}" if place else field.name
        if field.name in written:
            yield from problems(written[field.name].type, field.type, inner)
        elif not field.has_default:
            yield f"{inner}: not in the writer's schema, and the reader has no default"


def _called(type_: Type) -> str:
    match type_:
        case Primitive(logical="decimal"):
            return f"decimal({type_.precision},{type_.scale})"
        case Primitive():
            return f"{type_.kind} ({type_.logical})" if type_.logical else type_.kind
        case Record() | Enum():
            return f"{type_.kind} {type_.name}"
        case Fixed():
            return f"fixed {type_.name} of {type_.size} bytes"
        case _:
            return type_.kind
