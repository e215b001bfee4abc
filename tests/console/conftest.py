"""The demo with its console, and a real browser. `make test-console` runs these tests; nothing else does."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clickhouse_driver import Client
from playwright.sync_api import Browser, Page, Request, sync_playwright

from journey.clickhouse_address import ClickHouseAddress
from tests.console_rows import fill
from tests.e2e.harness import start, wait_until

CHROMIUM = "JOURNEY_TEST_CHROMIUM"
"""Names the browser's program where it has another name or place."""
CONSOLE = "JOURNEY_TEST_CONSOLE"
"""The address of a console that runs already, on data with what `fill` makes: for whoever works on these tests."""
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
_DEMO_SECONDS = 300.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of these need Chromium."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.chromium)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, without a window. Where there is none, tests fail and say what to install: a skipped test would look like a passed one."""
    program = os.environ.get(CHROMIUM) or next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        pytest.fail(
            f"there is no Chromium: install it (Debian: apt-get install chromium), or name it in {CHROMIUM}",
            pytrace=False,
        )
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=list(_ARGUMENTS))
        yield running
        running.close()


class Demo:
    """`journey demo --keep`, and what it printed so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.said: list[str] = []
        for stream in (process.stdout, process.stderr):
            threading.Thread(target=self._listen, args=(stream,), daemon=True).start()

    def _listen(self, stream: Any) -> None:
        for line in stream:
            self.said.append(line)

    def find(self, pattern: str) -> re.Match[str] | None:
        """In what it said."""
        assert self.process.poll() is None, "".join(self.said)
        return re.search(pattern, "".join(self.said))


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the demo's console is, as the demo says; beside the sample lie names that nobody should trust."""
    if running := os.environ.get(CONSOLE):
        yield running
        return
    process = start(
        ["demo", "--keep", "--data-dir", "demo"], tmp_path_factory.mktemp("console"), JOURNEY_CONSOLE_PORT="0"
    )
    demo = Demo(process)
    try:
        found = wait_until(lambda: demo.find(r"Console\s+(http://\S+)/\n"), "the demo's console", _DEMO_SECONDS)
        place = wait_until(lambda: demo.find(r"ClickHouse\s+(clickhouse://\S+)"), "its ClickHouse")
        clickhouse = ClickHouseAddress(place[1])
        with Client(clickhouse.host, port=clickhouse.port, database=clickhouse.database) as client:
            fill(client)
        yield found[1]
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        finally:
            process.kill()


class Watched:
    """A page, with what went wrong in it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.wrong: list[str] = []
        page.on(
            "console", lambda message: self.wrong.append(message.text) if message.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("requestfailed", self._failed)

    def _failed(self, request: Request) -> None:
        # Aborted by going on to another page while this one was still loading its icon.
        if request.failure != "net::ERR_ABORTED":
            self.wrong.append(f"{request.url} {request.failure}")

    def go(self, url: str) -> Page:
        """Open a page, and wait until its pictures are drawn."""
        self.page.goto(url)
        for place in self.page.locator("[data-chart]").all():
            place.and_(self.page.locator("[data-drawn]")).wait_for()
        return self.page


@pytest.fixture
def watched(browser: Browser, address: str, request: pytest.FixtureRequest) -> Iterator[Watched]:
    """A page of its own for each test; parameters, if any, are options of its context. Nothing may have gone wrong in the end."""
    context = browser.new_context(base_url=address, accept_downloads=True, **getattr(request, "param", {}))
    context.set_default_timeout(15_000)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    seen = Watched(context.new_page())
    yield seen
    context.close()
    assert seen.wrong == [], "what the browser's console says"
