"""What the tests share: toys, servers, and what was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.kafka import ApacheKafka
from tests.faults.servers import Servers, servers_in
from tests.toys import Toys

MakeToys = Callable[..., Toys]


@pytest.fixture
def make(apache_kafka: ApacheKafka, tmp_path: Path) -> Iterator[MakeToys]:
    """Toys on the shared Apache Kafka."""
    made: list[Toys] = []

    def make_toys(**options: Any) -> Toys:
        made.append(Toys(apache_kafka, tmp_path, **options))
        return made[-1]

    yield make_toys
    for toys in made:
        toys.__exit__(None, None, None)


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
