"""A funnel is changed in production: the new version derives everything anew from the same input, beside the old one, and takes over."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from clickhouse_driver import Client
from pydantic import SecretStr
from rich.console import Console

from funnel.events import Event
from journey import topics, upkeep
from journey.errors import JourneyError
from journey.kafka_clients import producer_client
from journey.local_clickhouse import EmbeddedClickHouse
from journey.publish import publish
from journey.publishing import history
from journey.screen import Screen
from journey.settings import Settings
from journey.wiring import codec_of, sink_config
from sinks.process import Sink
from tests.broker import Tansu, unique, wait_until
from tests.e2e.harness import environment
from tests.e2e.test_exact import SETTINGS
from tests.generators import generate_events
from tests.integration.test_pipeline import DAY, decoded, now_micros
from tests.oracle import truth_of
from tests.pipeline import SALES
from tests.warehouse import expected, tables

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
LIVE = "live"
CHANGED = SALES.read_text().replace("version = 1", "version = 2").replace("at_least = 2", "at_least = 1")
"""One look at the prices will do."""
USERS = f"""<clickhouse>
  <profiles><default/><readers><readonly>2</readonly></readers></profiles>
  <quotas><default/></quotas>
  <users>
    <default><password/><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></default>
    <people>
      <password/><networks><ip>127.0.0.1</ip></networks><profile>readers</profile><quota>default</quota>
      <grants><query>GRANT SELECT ON {LIVE}.*</query></grants>
    </people>
  </users>
</clickhouse>"""


class ClickHouseWithPeople(EmbeddedClickHouse):
    """The embedded server with a user who may read what is published, and nothing else."""

    def _write_config(self, token: str, ports: tuple[int, int]) -> None:
        super()._write_config(token, ports)
        config = self.data_dir / "config.xml"
        users = "<users_config>users.xml</users_config></clickhouse>"
        config.write_text(config.read_text().replace("</clickhouse>", users))
        (self.data_dir / "users.xml").write_text(USERS)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedClickHouse]:
    """The server."""
    with ClickHouseWithPeople(tmp_path_factory.mktemp("clickhouse")) as running:
        yield running


class Version(NamedTuple):
    """An installation, and the funnel that it has."""

    settings: Settings
    funnel: Path

    def client(self) -> Client:
        """A client of its database."""
        address = self.settings.clickhouse_address
        return Client(address.host, port=address.port, database=address.database)

    def reading(self, input_prefix: str) -> Version:
        """The same installation, reading another input."""
        return self._replace(settings=self.settings.model_copy(update={"input_prefix": input_prefix}))

    def set_up(self) -> str:
        """Topics, tables, views; what `journey topics` says."""
        said = io.StringIO()
        assert upkeep.topics(self.settings, Console(file=said, width=200), create=True) == 0
        upkeep.migrate(self.settings, Console(file=io.StringIO()))
        return said.getvalue()

    async def comes_to(self, events: list[Event]) -> None:
        """Wait until its tables are what the oracle says of these events."""
        truth = truth_of(list(map(decoded, events)), [tomllib.loads(self.funnel.read_text())], SETTINGS, now_micros())
        wanted, found = expected(truth), {}

        def has() -> bool:
            with self.client() as client:
                if client.execute("SELECT count() FROM stage_transitions FINAL") == [(len(truth.transitions),)]:
                    found.update(tables(client))  # which asks for much
            return found == wanted

        try:
            await until(has, "the tables are the oracle's")
        except TimeoutError:
            differing = [(table, row) for table in wanted for row in wanted[table] if row not in found.get(table, [])]
            pytest.fail(f"rows that are missing: {differing[:2]}")

    def publish(self, **options: Any) -> str:
        """What `journey publish` says."""
        out = Console(file=io.StringIO(), width=200)
        given = {"max_lag": 60.0, "force": False, "back": False} | options
        assert publish(self.settings, LIVE, Screen(out, out), **given) == 0
        return out.file.getvalue()  # type: ignore[attr-defined]  it is the StringIO from above

    @contextmanager
    def worker(self) -> Iterator[None]:
        """Its worker."""
        log = self.settings.data_dir / "worker.log"
        self.settings.data_dir.mkdir(exist_ok=True)
        with log.open("wb") as output:
            command = [sys.executable, "-m", "journey", "worker"]
            process = subprocess.Popen(
                command, env=environment(**self.settings.environment()), stdout=output, stderr=output
            )
        try:
            yield
            assert process.poll() is None, log.read_text()
        finally:
            process.terminate()
            process.wait(60)

    @asynccontextmanager
    async def sink(self) -> Any:
        """Its sink, in this event loop."""
        sink = Sink(replace(sink_config(self.settings), max_delay=0.1, session_timeout=2.0))
        running = asyncio.ensure_future(sink.run())
        try:
            yield
        finally:
            sink.stop()
            await running


def version(number: int, tansu: Tansu, server: EmbeddedClickHouse, directory: Path, **changes: Any) -> Version:
    """An installation of its own names."""
    own = unique(f"v{number}").replace("-", "_")
    funnel = directory / f"sales-{number}.toml"
    funnel.write_text(SALES.read_text() if number == 1 else CHANGED)
    url = f"clickhouse://default:@{server.host}:{server.native_port}/{own}"
    settings = Settings(
        kafka=tansu.bootstrap,
        clickhouse=SecretStr(url),
        id_key=SecretStr(SETTINGS.id_key.decode()),
        app_id=own,
        topic_prefix=f"{own}.",
        funnels=(str(funnel),),
        partitions=3,
        idempotent=False,
        data_dir=directory / own,
        **changes,
    )
    return Version(settings, funnel)


def send(settings: Settings, events: list[Event]) -> None:
    """Send events to the input topics, as emitters do."""
    codec = codec_of(settings)
    with producer_client(settings) as producer:
        for event in events:
            topic = topics.topic_name(settings, topics.INPUT_TOPICS[event["channel"]])
            producer.send(topic, key=event["event_id"].encode(), value=codec.encode(event))
        producer.flush()


async def until(condition: Callable[[], Any], what: str) -> None:
    """Wait for it in a thread, so that the sinks go on."""
    await asyncio.to_thread(wait_until, condition, seconds=120, what=what, every=0.5)


def read(server: EmbeddedClickHouse, query: str) -> list[tuple[Any, ...]]:
    """What people see."""
    with Client(server.host, port=server.native_port, user="people", database=LIVE) as client:
        rows: list[tuple[Any, ...]] = client.execute(query)
        return rows


def funnel_of(one: Version) -> list[tuple[Any, ...]]:
    """The view `funnel` of its own database."""
    with one.client() as client:
        rows: list[tuple[Any, ...]] = client.execute("SELECT * FROM funnel")
        return rows


async def test_a_new_version_takes_over(tansu: Tansu, server: EmbeddedClickHouse, tmp_path: Path) -> None:
    """It reads the same input from its start, after raw events kept elsewhere, while more comes in; both databases are the oracle's; readers are switched, and back."""
    events = generate_events(21, 450, 30, start=now_micros() - 100 * DAY)
    old = version(1, tansu, server, tmp_path)
    new = version(2, tansu, server, tmp_path, input_prefix=old.settings.topic_prefix)
    await asyncio.to_thread(old.set_up)
    async with old.sink():
        with old.worker():
            send(old.settings, events[:250])
            await old.comes_to(events[:250])
            assert "nothing was published before" in await asyncio.to_thread(old.publish)

            # Raw events that were kept elsewhere come by input topics of its own, before it turns to the shared ones.
            alone = new.reading(new.settings.topic_prefix)
            await asyncio.to_thread(alone.set_up)
            send(alone.settings, events[:60])
            with pytest.raises(JourneyError, match=rf"{new.settings.app_id} has \d+ records of .*web-events to go"):
                await asyncio.to_thread(alone.publish, max_lag=0.0)

            async with new.sink():
                with alone.worker():
                    await alone.comes_to(events[:60])
                assert (await asyncio.to_thread(new.set_up)).count("(shared input)") == 5
                with new.worker():
                    send(old.settings, events[250:350])  # while it catches up
                    for one in (old, new):
                        await one.comes_to(events[:350])
                    assert funnel_of(old) != funnel_of(new)
                    assert read(server, "SELECT * FROM funnel") == funnel_of(old)

                    await asyncio.to_thread(new.publish)
                    assert read(server, "SELECT * FROM funnel") == funnel_of(new)
                    ((prospect,),) = read(server, "SELECT prospect_id FROM standings LIMIT 1")
                    assert read(server, f"SELECT count() FROM journey_of(prospect = '{prospect}')") != [(0,)]

                    send(old.settings, events[350:])
                    for one in (old, new):
                        await one.comes_to(events)
                    assert read(server, "SELECT * FROM funnel") == funnel_of(new)

        # Its worker stands still, but what it has can be gone back to.
        assert f"shows {old.settings.clickhouse_address.database}" in await asyncio.to_thread(old.publish, back=True)
        assert read(server, "SELECT * FROM funnel") == funnel_of(old)
    with old.client() as client:
        shown = [one.database for one in reversed(history(client, LIVE))]
    names = [one.settings.clickhouse_address.database for one in (old, new)]
    assert shown == [*names, names[0]]
