"""A server for consoles, consoles in the test's own process, who looks at them, and what they may not send."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
from clickhouse_driver import Client

from console.app import build_app
from console.config import ClickHouseAccess, ConsoleConfig
from journey.local_clickhouse import EmbeddedClickHouse
from tests.clickhouse import ClickHouse
from tests.console_rows import fill
from tests.integration.test_grants import guarded_server


@contextmanager
def populated_server(directory: Path) -> Iterator[EmbeddedClickHouse]:
    """A server with the compose file's users beside a local one who may everything, and the population."""
    with guarded_server(directory) as running:
        ClickHouse(running, "journey").migrate()
        with Client(running.host, port=running.native_port, database="journey") as client:
            fill(client)
        yield running


def config_of(server: EmbeddedClickHouse, **changes: Any) -> ConsoleConfig:
    """A console for the local user; anybody on this machine may look."""
    access = ClickHouseAccess(server.host, server.http_port, "journey", "default")
    return replace(ConsoleConfig(clickhouse=access, why=lambda row: f"because of {row['kind']}"), **changes)


def as_reader(server: EmbeddedClickHouse) -> ConsoleConfig:
    """A console for the compose file's reader."""
    return config_of(
        server,
        clickhouse=ClickHouseAccess(
            server.host, server.http_port, "journey", "journey_reader", "password-of-journey_reader"
        ),
    )


@asynccontextmanager
async def browser(
    config: ConsoleConfig, address: str = "127.0.0.1", **options: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who looks, from this address."""
    app = build_app(config)
    transport = httpx.ASGITransport(app, client=(address, 4_711))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8484", **options) as client:
        yield client
    await app.state.warehouse.close()


class Tags(HTMLParser):
    """Finds what a page may not have: handlers and styles inside tags, scripts inside the page, links that are code."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    @classmethod
    def forbidden_in(cls, page: str) -> list[str]:
        """What was found."""
        tags = cls()
        tags.feed(page)
        return tags.found

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """As the standard library says."""
        given = dict(attrs)
        self.found += [f"{tag} {name}" for name in given if name.startswith("on") or name == "style"]
        if tag == "script" and "src" not in given and given.get("type") != "application/json":
            self.found.append("script")
        if (given.get("href") or "").strip().lower().startswith(("javascript:", "data:")) or tag in (
            "style",
            "iframe",
            "object",
            "img",
        ):
            self.found.append(f"{tag} {given.get('href')}")


def ask(server: EmbeddedClickHouse, sql: str) -> str:
    """A statement's answer as CSV, asked by hand."""
    answer = httpx.post(
        f"http://{server.host}:{server.http_port}/",
        params={"database": "journey", "default_format": "CSVWithNames"},
        content=sql.encode(),
    )
    assert answer.is_success, answer.text
    return answer.text


def as_text_cells(text: str) -> str:
    """What a download makes of it: no text begins like a formula. Told apart by what it looks like, not by its quotes."""
    marked = re.compile(r'(?m)(^|,)"(?=[=+\-@\t\r])')
    return marked.sub(r"""\1"'""", text)


def rows(text: str) -> list[dict[str, str]]:
    """CSV as rows."""
    return list(csv.DictReader(io.StringIO(text)))
