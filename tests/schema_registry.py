"""A schema registry in memory: a real HTTP server that speaks as much of Confluent's API as we use."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

USER, PASSWORD = "reader", "s3cret-word"


class Server(ThreadingHTTPServer):
    """A schema registry in memory, with switches for what goes wrong."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.schemas: list[dict[str, Any]] = [{"schema": '{"type": "string"}'}] * 100
        """By id; ours come after those of others."""
        self.subjects: dict[str, list[int]] = {}
        self.requests: list[str] = []
        self.failures: list[tuple[int, bytes]] = []
        """Answers to give first, whatever is asked."""
        self.incompatible = False
        self.mistaken: set[str] = set()
        """Subjects whose schemas somebody got wrong: where ours says `occurred_at`, they don't."""
        self.hold = threading.Event()
        self.hold.set()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class calls it so
        """Keep the test's output clean."""

    def do_GET(self) -> None:
        self._serve("")

    def do_POST(self) -> None:
        self._serve(self.rfile.read(int(self.headers["Content-Length"])).decode())

    def _serve(self, body: str) -> None:
        self.server.requests.append(f"{self.command} {self.path}")
        self.server.hold.wait(10)
        expected = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") != expected:
            self._answer(401, json.dumps({"error_code": 401, "message": "Unauthorized"}).encode())
        elif self.server.failures:
            self._answer(*self.server.failures.pop(0))
        else:
            status, answer = self._registry(body)
            self._answer(status, json.dumps(answer).encode())

    def _registry(self, body: str) -> tuple[int, dict[str, Any]]:
        schemas, subjects = self.server.schemas, self.server.subjects
        if match := re.fullmatch(r"/schemas/ids/(\d+)", self.path):
            if int(match[1]) >= len(schemas):
                return 404, {"error_code": 40403, "message": "Schema not found"}
            found = schemas[int(match[1])]
            if any(int(match[1]) in subjects.get(subject, ()) for subject in self.server.mistaken):
                return 200, {"schema": found["schema"].replace('"occurred_at"', '"happened_at"')}
            return 200, found
        if match := re.fullmatch(r"/subjects/([\w-]+)(/versions)?", self.path):
            schema = json.loads(body)
            known = [number for number in subjects.get(match[1], []) if schemas[number] == schema]
            if not match[2]:
                found = {"subject": match[1], "version": 1, "id": known[0], **schema} if known else {}
                return (200, found) if known else (404, {"error_code": 40403, "message": "Schema not found"})
            if self.server.incompatible:
                return 409, {"error_code": 409, "message": "incompatible"}
            if not known:
                schemas.append(schema)
                known = [len(schemas) - 1]
                subjects.setdefault(match[1], []).append(known[0])
            return 200, {"id": known[0]}
        return 404, {"error_code": 404, "message": "HTTP 404 Not Found"}

    def _answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def running_registry() -> Iterator[Server]:
    """One on a free port of loopback."""
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield running
        finally:
            running.hold.set()
            running.shutdown()
            thread.join()
