"""The client of a schema registry, against a real HTTP server that speaks Confluent's API."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from schemas.catalog import current
from schemas.codec import EventCodec
from schemas.confluent import ConfluentRegistry
from schemas.errors import IncompatibleSchema, RefusedSchema, RegistryUnavailable, Undecodable, UnknownSchema
from schemas.framing import HEADER, header
from tests.schema_registry import PASSWORD, USER, Server, running_registry


@pytest.fixture
def server() -> Iterator[Server]:
    """A registry on a free port of loopback."""
    with running_registry() as running:
        yield running


class _Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> _Clock:
    """A clock that the test moves."""
    return _Clock()


@pytest.fixture
def registry(server: Server, clock: _Clock) -> Iterator[ConfluentRegistry]:
    """A client with the right password."""
    with ConfluentRegistry(
        server.url, username=USER, password=PASSWORD, timeout=5, unknown_limit=5, clock=clock
    ) as client:
        yield client


def test_register_look_up_and_decode(server: Server, registry: ConfluentRegistry) -> None:
    """A schema registered by one is found by id and by subject by another, and events go through."""
    schema_id = registry.register("web-events")
    assert registry.register("web-events") == schema_id
    event = {"channel": "web", "event_id": "1", "source": "s", "occurred_at": 5, "type": "t", "properties": {}}
    with ConfluentRegistry(server.url, username=USER, password=PASSWORD) as other:
        assert other.id_of("web-events") == schema_id
        assert other.schema(schema_id) == current("web-events").schema
        framed = EventCodec(other).encode(event)
        assert framed[:HEADER] == header(schema_id)
        assert EventCodec(other).decode("web", framed)["event_id"] == "1"
    assert list(server.subjects) == ["web-events-value"]


def test_asks_once(server: Server, registry: ConfluentRegistry) -> None:
    """Ids never change their meaning, so what is known is not asked for again."""
    schema_id = registry.register("web-events")
    server.requests.clear()
    for _ in range(3):
        registry.schema(schema_id)
        registry.id_of("web-events")
    assert server.requests == [f"GET /schemas/ids/{schema_id}"]


def test_unknown_ids_expire(server: Server, registry: ConfluentRegistry, clock: _Clock) -> None:
    """An unknown id is asked for once in a while, and found when it is there."""
    for _ in range(3):
        with pytest.raises(UnknownSchema, match="no schema has the id 100"):
            registry.schema(100)
    assert len(server.requests) == 1
    server.schemas.append({"schema": current("tick").text})
    with pytest.raises(UnknownSchema):
        registry.schema(100)
    clock.now += 30
    assert registry.schema(100) == current("tick").schema


def test_a_flood_of_unknown_ids(server: Server, registry: ConfluentRegistry, clock: _Clock) -> None:
    """Thousands of different unknown ids cost a few requests, known ids go on, and nothing piles up."""
    known = registry.register("web-events")
    registry.schema(known)
    server.requests.clear()
    codec = EventCodec(registry)
    for schema_id in range(10_000, 13_000):
        with pytest.raises(Undecodable):
            codec.decode("web", header(schema_id))
    assert len(server.requests) == 5
    assert len(registry._unknown) == 5
    assert registry.schema(known) == current("web-events").schema
    clock.now += 30
    late = registry.register("email-events")
    assert registry.schema(late) == current("email-events").schema


def test_subject_that_is_not_registered(registry: ConfluentRegistry) -> None:
    """The message says what to do."""
    with pytest.raises(UnknownSchema, match="has not our version 1 of web-events-value: register it first"):
        registry.id_of("web-events")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"schema": "{}", "schemaType": "PROTOBUF"}, "not Avro"),
        ({"schema": "{}", "references": [{"name": "x"}]}, "refers to other schemas"),
        ({"schema": "nonsense"}, "not JSON"),
        ({"schema": '"string"'}, "expected a record"),
    ],
)
def test_schemas_we_refuse(server: Server, registry: ConfluentRegistry, answer: dict[str, Any], why: str) -> None:
    """They are refused, and asked for once."""
    server.schemas.append(answer)
    for _ in range(2):
        with pytest.raises(RefusedSchema, match=why):
            registry.schema(100)
    assert len(server.requests) == 1


def test_registration_that_the_registry_refuses(server: Server, registry: ConfluentRegistry) -> None:
    """Conflicts and invalid schemas are told apart."""
    server.incompatible = True
    with pytest.raises(IncompatibleSchema, match="web-events-value"):
        registry.register("web-events")
    server.failures = [(422, b'{"error_code": 42201}')]
    with pytest.raises(RefusedSchema, match="web-events-value"):
        registry.register("web-events")


def test_hiccups_are_ridden_out(server: Server, registry: ConfluentRegistry) -> None:
    """Two failures in a row do not show."""
    schema_id = registry.register("web-events")
    server.failures = [(500, b"{}"), (503, b"")]
    assert registry.schema(schema_id) == current("web-events").schema


@pytest.mark.parametrize(
    ("failures", "why"),
    [
        ([(500, b"{}")] * 3, "it answered 500"),
        ([(429, b"{}")] * 3, "it answered 429"),
        ([(200, b"<html>")], "is this a schema registry"),
        ([(200, b"[]")], "is this a schema registry"),
        ([(200, b"{}")], "without a schema"),
        ([(302, b"{}")], "it answered 302 without a schema"),
        ([(200, b"x" * 3_000_000)] * 3, "longer than"),
    ],
)
def test_answers_that_make_no_sense(
    server: Server, registry: ConfluentRegistry, failures: list[tuple[int, bytes]], why: str
) -> None:
    """None of them makes an id unknown: the caller has to try again later, and then it works."""
    schema_id = registry.register("web-events")
    server.failures = list(failures)
    with pytest.raises(RegistryUnavailable, match=why):
        registry.schema(schema_id)
    assert registry.schema(schema_id) == current("web-events").schema


def test_wrong_password(server: Server) -> None:
    """It is named as the likely cause, asked once, and no secret is in message or repr."""
    with (
        ConfluentRegistry(server.url.replace("//", f"//{USER}:wrong-{PASSWORD}@")) as client,
        pytest.raises(RegistryUnavailable, match="401: check the user name and password") as caught,
    ):
        client.schema(1)
    assert len(server.requests) == 1
    assert PASSWORD not in str(caught.value) + repr(client)


def test_password_in_the_url(server: Server) -> None:
    """User and password may come with the URL."""
    with ConfluentRegistry(server.url.replace("//", f"//{USER}:{PASSWORD}@")) as client:
        assert client.register("tick") == 100


def test_timeout(server: Server) -> None:
    """A registry that hangs is unavailable, soon."""
    server.hold.clear()
    with (
        ConfluentRegistry(server.url, username=USER, password=PASSWORD, timeout=0.1) as client,
        pytest.raises(RegistryUnavailable, match="ReadTimeout"),
    ):
        client.schema(1)


def test_nobody_there(server: Server) -> None:
    """A refused connection is told with the place, without credentials."""
    url = server.url
    server.server_close()
    with (
        ConfluentRegistry(url, username=USER, password=PASSWORD) as client,
        pytest.raises(RegistryUnavailable, match=re.escape(f"{url} can't be asked: ConnectError")),
    ):
        client.schema(1)


@pytest.mark.parametrize("url", ["localhost:8081", "ftp://x", "http://", "http://[::1", "http://x:99999", ""])
def test_bad_url(url: str) -> None:
    """A URL that can't work is refused at once."""
    with pytest.raises(ValueError, match="schema registry's URL"):
        ConfluentRegistry(url)
