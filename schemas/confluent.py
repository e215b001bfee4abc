"""A client for a schema registry that speaks Confluent's HTTP API (Confluent, Karapace, Apicurio, Redpanda)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import httpx
import orjson
import stamina

from schemas.catalog import current
from schemas.errors import IncompatibleSchema, RefusedSchema, RegistryUnavailable, UnknownSchema
from schemas.model import Record, parse

_ACCEPT = "application/vnd.schemaregistry.v1+json, application/json"
_MAX_ANSWER = 2 * 1024 * 1024
"""Bytes of an answer; a schema we accept is far smaller."""


class ConfluentRegistry:
    """A Registry that asks a schema registry, once for each id: ids never change their meaning.

    Ids that are unknown are asked for again after `unknown_for` seconds. In that time no more than
    `unknown_limit` of them are asked for; beyond it an id that was never seen counts as unknown without
    asking, so that garbage can neither hammer the registry nor stall the stream with round trips.

    Every call that has to ask blocks for up to `timeout` seconds, times three attempts.
    """

    def __init__(
        self,
        url: str,
        *,
        username: str | None = None,
        password: str | None = None,
        timeout: float = 5.0,
        unknown_for: float = 30.0,
        unknown_limit: int = 100,
        subjects: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`subjects` maps ours to the registry's; by default `web-events` is `web-events-value`, and so on.

        Raises ValueError for an URL that is not http or https.
        """
        try:
            parsed = httpx.URL(url.rstrip("/") + "/")
        except httpx.InvalidURL:
            raise ValueError("the schema registry's URL can't be read; expected http(s)://HOST[:PORT]") from None
        if parsed.scheme not in ("http", "https") or not parsed.host or not 0 < (parsed.port or 1) < 1 << 16:
            raise ValueError("the schema registry's URL has to begin with http:// or https:// and name a host")
        if parsed.userinfo:
            username, password = username or parsed.username, password or parsed.password
            parsed = parsed.copy_with(username=None, password=None)
        self._where = f"{parsed.scheme}://{parsed.netloc.decode('ascii')}"
        auth = httpx.BasicAuth(username, password or "") if username else None
        # trust_env off: a proxy or .netrc of the environment must not see or change the credentials.
        self._client = httpx.Client(
            base_url=parsed, auth=auth, timeout=timeout, headers={"Accept": _ACCEPT}, trust_env=False
        )
        self._subjects = subjects or {}
        self._unknown_for = unknown_for
        self._unknown_limit = unknown_limit
        self._clock = clock
        self._schemas: dict[int, Record | RefusedSchema] = {}
        self._unknown: dict[int, float] = {}
        """By id, when to ask again; in the order of these times."""
        self._ids: dict[str, int] = {}

    def schema(self, schema_id: int) -> Record:
        """See Registry."""
        known = self._schemas.get(schema_id)
        if known is None:
            self._check_unknown(schema_id)
            known = self._schemas[schema_id] = self._fetch(schema_id)
        if isinstance(known, RefusedSchema):
            raise known
        return known

    def id_of(self, subject: str) -> int:
        """See Registry. `register` puts the version there."""
        if subject not in self._ids:
            name = self._name(subject)
            status, answer = self._ask("POST", f"subjects/{name}", {"schema": current(subject).text})
            if status == HTTPStatus.NOT_FOUND:
                raise UnknownSchema(
                    f"{self._where} has not our version {current(subject).number} of {name}: register it first"
                )
            self._ids[subject] = self._id(status, answer)
        return self._ids[subject]

    def register(self, subject: str) -> int:
        """Register the version of this subject that we write; returns its id, also where it was there before.

        Raises IncompatibleSchema or RefusedSchema where the registry will not have it, else as `id_of`.
        """
        name = self._name(subject)
        status, answer = self._ask("POST", f"subjects/{name}/versions", {"schema": current(subject).text})
        if status == HTTPStatus.CONFLICT:
            raise IncompatibleSchema(f"{self._where} has versions of {name} that ours is not compatible with")
        if status == HTTPStatus.UNPROCESSABLE_ENTITY:
            raise RefusedSchema(f"{self._where} does not accept our schema of {name}")
        self._ids[subject] = schema_id = self._id(status, answer)
        self._unknown.pop(schema_id, None)
        return schema_id

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"ConfluentRegistry({self._where!r})"

    def _name(self, subject: str) -> str:
        return self._subjects.get(subject, f"{subject}-value")

    def _check_unknown(self, schema_id: int) -> None:
        now = self._clock()
        for old in [old for old, ask_again in self._unknown.items() if ask_again <= now]:
            del self._unknown[old]
        if schema_id in self._unknown:
            raise UnknownSchema(f"no schema has the id {schema_id}")
        if len(self._unknown) >= self._unknown_limit:
            raise UnknownSchema(
                f"schema id {schema_id} was not asked for: {self._unknown_limit} ids were unknown "
                f"in the last {self._unknown_for:g} s"
            )

    def _fetch(self, schema_id: int) -> Record | RefusedSchema:
        status, answer = self._ask("GET", f"schemas/ids/{schema_id}")
        if status == HTTPStatus.NOT_FOUND:
            self._unknown[schema_id] = self._clock() + self._unknown_for
            raise UnknownSchema(f"no schema has the id {schema_id}")
        text = answer.get("schema")
        if status != HTTPStatus.OK or not isinstance(text, str):
            raise self._unavailable(f"it answered {status} without a schema")
        if answer.get("schemaType", "AVRO") != "AVRO":
            return RefusedSchema("it is not Avro")
        if answer.get("references"):
            return RefusedSchema("it refers to other schemas")
        try:
            return parse(text)
        except RefusedSchema as error:
            return error

    def _ask(self, method: str, path: str, body: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
        """Status and JSON object of an answer; asks again where the registry fails."""
        for attempt in stamina.retry_context(
            on=RegistryUnavailable, attempts=3, timeout=None, wait_initial=0.05, wait_max=0.5, wait_jitter=0.05
        ):
            with attempt:
                status, content = self._send(method, path, body)
                if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
                    break
                if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS:
                    raise self._unavailable(f"it answered {status}")
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise self._unavailable(f"it answered {status}: check the user name and password")
        try:
            answer = orjson.loads(content)
        except orjson.JSONDecodeError:
            answer = None
        if not isinstance(answer, dict):
            raise self._unavailable(f"it answered {status} without a JSON object: is this a schema registry?")
        return status, answer

    def _send(self, method: str, path: str, body: dict[str, str] | None) -> tuple[int, bytes]:
        content = bytearray()
        try:
            with self._client.stream(method, path, json=body) as response:
                for chunk in response.iter_bytes():
                    content += chunk
                    if len(content) > _MAX_ANSWER:
                        raise self._unavailable(f"its answer is longer than {_MAX_ANSWER} bytes")
        except httpx.HTTPError as error:
            raise self._unavailable(type(error).__name__) from None
        return response.status_code, bytes(content)

    def _id(self, status: int, answer: dict[str, Any]) -> int:
        schema_id = answer.get("id")
        if status != HTTPStatus.OK or type(schema_id) is not int or not 0 <= schema_id < 1 << 32:
            raise self._unavailable(f"it answered {status} without an id")
        return schema_id

    def _unavailable(self, why: str) -> RegistryUnavailable:
        return RegistryUnavailable(f"the schema registry at {self._where} can't be asked: {why}")
