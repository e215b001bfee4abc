"""What the scenarios share: servers, and what was measured."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.servers import Servers, servers_in


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """The servers that all scenarios share; a scenario may do to them what it likes, and they are mended after it."""
    with servers_in(tmp_path_factory.mktemp("faults")) as running:
        yield running


@pytest.fixture(scope="session")
def measured(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """What each scenario measured, a line each; printed at the end."""
    lines: list[str] = []
    yield lines
    reporter = request.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        for line in ["", *lines]:
            reporter.write_line(line)
