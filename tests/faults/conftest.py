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
_MEASURED = "measured"


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


class Measured:
    """Takes what a scenario measured, a line."""

    def __init__(self, properties: list[tuple[str, object]]) -> None:
        self._properties = properties

    def append(self, line: str) -> None:
        """To be printed at the end."""
        self._properties.append((_MEASURED, line))


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Measured:
    """What this scenario measured; it goes with the test's report, as scenarios run in several processes."""
    return Measured(request.node.user_properties)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was measured."""
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", ()):
                if name == _MEASURED and getattr(report, "when", "") == "call":
                    terminalreporter.write_line(value)
