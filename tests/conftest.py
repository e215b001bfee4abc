"""Fixtures that tests of more than one kind share."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests.broker import Broker, Tansu
from tests.clickhouse import clickhouse, clickhouse_server  # noqa: F401  fixtures, found by name
from tests.faults.kafka import ApacheKafka, KafkaUnavailableError

ORDER = (
    "tests/faults/",
    "tests/e2e/test_people.py",  # one run after the other
    "tests/unit/",
    "tests/e2e/test_exact.py",
    "tests/e2e/test_docs.py",
    "tests/e2e/test_runs.py",
    "tests/e2e/test_letters.py",
    "tests/e2e/",
    "tests/property/test_stitching.py",
    # Those of properties keep a core busy, those of integration wait for brokers: they take turns.
    ("tests/property/", "tests/integration/"),
)
"""In which order tests start. Fast ones first, but for a long chain; then what takes longest, so that all processes
end at about the same time. What needs Apache Kafka runs without the fast ones, and `tests/faults` takes longest of it."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put them in `ORDER`, and of a place in it modules that go to one process first: one that came last would keep the others waiting."""
    groups: dict[tuple[int, bool, str], list[pytest.Item]] = {}
    for item in items:
        place = next((place for place, name in enumerate(ORDER) if item.nodeid.startswith(name)), len(ORDER))
        kind = item.nodeid.split("/")[1]
        groups.setdefault((place, not _shares(item.path), kind), []).append(item)
    # Kinds of one place are mixed evenly, however many there are of each.
    placed = [
        (place, alone, number / len(group), item)
        for (place, alone, _), group in groups.items()
        for number, item in enumerate(group)
    ]
    items[:] = [item for *_, item in sorted(placed, key=lambda one: one[:3])]


class Scheduling(LoadScopeScheduling):
    """Hands tests out in their order, one by one; those of a module that share something dear, such as a whole run, go to one process as they are.

    xdist's own way to say so, the mark `xdist_group`, does nothing with pytest 9.2: xdist 3.8 writes it into a `_nodeid` that nobody reads.
    """

    def _split_scope(self, nodeid: str) -> str:
        module, _, _ = nodeid.partition("::")
        return module if _shares(self.config.rootpath / module) else nodeid


@functools.cache
def _shares(module: Path) -> bool:
    """Whether a module has fixtures that are made once for all of its tests."""
    return 'scope="module"' in module.read_text(encoding="utf-8")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling | None:
    """Ours instead of xdist's for `--dist loadscope`."""
    return Scheduling(config, log) if config.getoption("dist") == "loadscope" else None


@pytest.fixture(scope="session")
def tansu(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tansu]:
    """The embedded broker, shared by the whole run: name topics with `unique()`, and start one of your own to kill it."""
    with Tansu(tmp_path_factory.mktemp("tansu")) as broker:
        yield broker


@pytest.fixture(scope="session")
def apache_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApacheKafka]:
    """Apache Kafka, shared by the whole run: name topics with `unique()`, and start one of your own to kill it.

    Without Java or Maven a test that asks for it fails, and says what is missing: a skipped test would look like a passed one.
    """
    kafka = ApacheKafka(tmp_path_factory.mktemp("kafka"))
    try:
        kafka.start()
    except KafkaUnavailableError as error:
        pytest.fail(str(error), pytrace=False)
    try:
        yield kafka
    finally:
        kafka.stop()


@pytest.fixture(scope="session", params=["tansu", pytest.param("apache_kafka", marks=pytest.mark.kafka)])
def broker(request: pytest.FixtureRequest) -> Broker:
    """Each kind of broker in turn: for what has to hold on both."""
    running: Broker = request.getfixturevalue(request.param)
    return running
