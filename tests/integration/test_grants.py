"""The ClickHouse users that docker-compose.yml gives to its services can do their work, and nothing else."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from clickhouse_driver import Client
from clickhouse_driver.errors import ServerException
from pydantic import SecretStr
from rich.console import Console

from funnel.definition import load_funnels
from funnel.identifiers import prospect_id
from journey.clickhouse import connected
from journey.doctor import examine
from journey.errors import JourneyError
from journey.explain import explain
from journey.loading import load_segments
from journey.local_clickhouse import EmbeddedClickHouse
from journey.publishing import switch
from journey.screen import Screen
from journey.settings import Settings
from journey.who import who
from reports.attribution import attribute
from sinks.funnels import write_funnels
from sinks.migrations import migrate, shipped
from sinks.refresh import refresh
from sinks.retention import keep_dead_letters

_ROOT = Path(__file__).resolve().parents[2]
_DEPLOY = _ROOT / "deploy" / "clickhouse"
_PASSWORDS = {
    "journey_migrate": "CLICKHOUSE_MIGRATE_PASSWORD",
    "journey_sink": "CLICKHOUSE_SINK_PASSWORD",
    "journey_attribution": "CLICKHOUSE_ATTRIBUTION_PASSWORD",
    "journey_reader": "CLICKHOUSE_READER_PASSWORD",
}
_ID_KEY = "a key of at least 16"
_ACCESS_DENIED = 497
_UNKNOWN_TABLE = 60
_UNKNOWN_USER_OR_PASSWORD = 516
_READ_ONLY = 164
_SETTING_OUT_OF_BOUNDS = 452

# The embedded server's own never-ending query runs as `default`; it stays, but is out of this test's reach but for making it a name.
_LOCAL_USERS = """<clickhouse>
  <users><default><password/><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></default></users>
</clickhouse>"""


class _GuardedClickHouse(EmbeddedClickHouse):
    """The embedded server with the users and the server settings of docker-compose.yml."""

    def _write_config(self, token: str, ports: tuple[int, int]) -> None:
        super()._write_config(token, ports)
        config = self.data_dir / "config.xml"
        config.write_text(
            config.read_text().replace("</clickhouse>", "<users_config>users.xml</users_config></clickhouse>")
        )
        (self.data_dir / "users.xml").write_text(_LOCAL_USERS)
        users = (_DEPLOY / "users.xml").read_text()
        (self.data_dir / "users.d").mkdir(exist_ok=True)
        (self.data_dir / "users.d" / "journey.xml").write_text(users.replace('<default remove="remove"/>', ""))
        (self.data_dir / "config.d").mkdir(exist_ok=True)
        shutil.copy(_DEPLOY / "server.xml", self.data_dir / "config.d" / "journey.xml")


@contextmanager
def guarded_server(directory: Path) -> Iterator[EmbeddedClickHouse]:
    """A server with the compose file's users, whose passwords are `password-of-` and their names."""
    with pytest.MonkeyPatch.context() as patch:
        for user, variable in _PASSWORDS.items():
            patch.setenv(variable, f"password-of-{user}")
        with _GuardedClickHouse(directory) as running:
            yield running


def _made(*kinds: str) -> list[str]:
    """The names that the migrations give to what they make, e.g. of `TABLE`."""
    pattern = re.compile(rf"^\s*CREATE (?:OR REPLACE )?(?:{'|'.join(kinds)}) (?:IF NOT EXISTS )?(\w+)", re.MULTILINE)
    return [name for migration in shipped() for text in migration.statements for name in pattern.findall(text.sql)]


def _parts() -> set[str]:
    """Views that say how aggregates are counted (docs/adr/024)."""
    found = {view for view in _made("VIEW") if view.endswith("_parts")}
    assert "visit_parts" in found
    return found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedClickHouse]:
    """A server with these users, migrated by the one who is there for it."""
    with guarded_server(tmp_path_factory.mktemp("grants")) as running:
        migrate(lambda database: _client(running, "journey_migrate", database=database), "journey")
        yield running


def _client(server: EmbeddedClickHouse, user: str, *, password: str | None = None, database: str = "journey") -> Client:
    return Client(
        server.host, port=server.native_port, user=user, password=password or f"password-of-{user}", database=database
    )


@pytest.fixture
def migrator(server: EmbeddedClickHouse) -> Iterator[Client]:
    """As `journey migrate` connects."""
    with _client(server, "journey_migrate") as client:
        yield client


@pytest.fixture
def sink(server: EmbeddedClickHouse) -> Iterator[Client]:
    """As `journey sink` connects."""
    with _client(server, "journey_sink") as client:
        yield client


@pytest.fixture
def attributing(server: EmbeddedClickHouse) -> Iterator[Client]:
    """As `journey attribute` connects."""
    with _client(server, "journey_attribution") as client:
        yield client


@pytest.fixture
def reader(server: EmbeddedClickHouse) -> Iterator[Client]:
    """As people connect."""
    with _client(server, "journey_reader") as client:
        yield client


def _refused(client: Client, query: str, *codes: int, settings: dict[str, object] | None = None) -> None:
    with pytest.raises(ServerException) as caught:
        client.execute(query, settings=settings)
    assert caught.value.code in (codes or (_ACCESS_DENIED,)), caught.value.message


def test_compose_has_no_default_user() -> None:
    """The user that needs no password is removed; the tests' server puts it back for itself only."""
    assert '<default remove="remove"/>' in (_DEPLOY / "users.xml").read_text()


@pytest.mark.parametrize("user", _PASSWORDS)
def test_everyone_needs_the_password(server: EmbeddedClickHouse, user: str) -> None:
    """Without the password from the environment nobody gets in."""
    with _client(server, user, password="guessed") as client, pytest.raises(ServerException) as caught:
        client.execute("SELECT 1")
    assert caught.value.code == _UNKNOWN_USER_OR_PASSWORD


def test_migrating_again_works(migrator: Client) -> None:
    """Every statement may be run by this user a second time, over what is there: a view that changed is made anew."""
    for migration in shipped():
        for statement in migration.statements:
            migrator.execute(statement.sql)


def test_migrating_writes_the_funnels_down(migrator: Client) -> None:
    """`journey migrate` puts the stages of the funnels in use where the views find them, once."""
    funnels = load_funnels(_ROOT / "funnels" / f"{name}.toml" for name in ("sales", "b2b"))
    assert write_funnels(migrator, funnels) == sum(len(funnel.stages) for funnel in funnels)
    assert write_funnels(migrator, funnels) == 0


def test_migrating_sets_how_long_dead_letters_are_kept(migrator: Client) -> None:
    """The TTL may be changed and put back by this user, over rows that are there."""
    assert keep_dead_letters(migrator, 1_000_000)
    assert not keep_dead_letters(migrator, 1_000_000)
    assert keep_dead_letters(migrator, 2_000_000)


def test_the_funnel_is_recomputed_with_these_rights(migrator: Client) -> None:
    """The refreshable views read, replace their tables and swap them in as whoever migrated: that must not fail for want of a right."""
    refresh(migrator)


def test_what_people_know_is_loaded_with_these_rights(server: EmbeddedClickHouse, tmp_path: Path) -> None:
    """`journey load` needs no more than whoever migrates has."""
    file = tmp_path / "segments.csv"
    file.write_text("account_id,segment\nacme,enterprise\n")
    with io.StringIO() as told:
        screen = Screen(Console(file=told), Console(file=told))
        assert load_segments(_settings_of(server, "journey_migrate", tmp_path), file, screen) == 0
        assert "1 new" in told.getvalue()


@pytest.mark.parametrize(
    "query",
    [
        "TRUNCATE TABLE prospects",
        "DROP DATABASE journey",
        "ALTER TABLE prospects DELETE WHERE 1",
        "ALTER TABLE prospects DROP COLUMN account_id",
        "CREATE TABLE mine (x UInt8) ENGINE = Log",
        "CREATE USER eve",
        "GRANT SELECT ON journey.* TO journey_reader",
    ],
)
def test_migrating_destroys_nothing(migrator: Client, query: str) -> None:
    """Whoever migrates makes and extends, but can't empty or shorten a table, drop the database, or give rights away."""
    _refused(migrator, query)


def test_the_sink_inserts_into_every_table_of_facts(sink: Client) -> None:
    """Its rights cover every table that the migrations make: a new one without a grant is found here, not in production."""
    # `journey migrate` writes one, `journey load` and `journey attribute` the others.
    tables = set(_made("TABLE")) - {"funnel_stages", "spend", "account_segments", "targets"}
    tables -= {"attribution_settings", "attribution_shares"}
    assert "stage_transitions" in tables
    granted = "\n".join(row[0] for row in sink.execute("SHOW GRANTS"))
    for table in tables:
        assert f"INSERT ON journey.{table} TO" in granted, table
    sink.execute(
        "INSERT INTO prospect_identifiers (prospect_id, kind, value, revision, is_deleted) VALUES",
        [("00000000-0000-5000-8000-000000000001", "email", "jane@x.com", 1, 0)],
    )


@pytest.mark.parametrize(
    "query",
    [
        "SELECT count() FROM stage_transitions",
        "SELECT * FROM prospect_identifiers",
        "DROP TABLE prospects",
        "TRUNCATE TABLE prospects",
        "ALTER TABLE prospects DELETE WHERE 1",
        "CREATE TABLE mine (x UInt8) ENGINE = Memory",
        "SELECT * FROM system.users",
        "INSERT INTO FUNCTION url('http://127.0.0.1:1/', 'CSV', 'x UInt8') VALUES (1)",
    ],
)
def test_the_sink_only_inserts(sink: Client, query: str) -> None:
    """Whoever takes over the sink's password reads no personal data and destroys nothing."""
    _refused(sink, query)


def test_attribution_is_worked_out_with_these_rights(attributing: Client) -> None:
    """`journey attribute` needs no more than its user may."""
    assert attribute(attributing).shares == ()


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM stage_transitions",
        "SELECT * FROM prospect_identifiers",
        "SELECT * FROM attribution_shares",
        "INSERT INTO stage_transitions (funnel) VALUES ('x')",
        "TRUNCATE TABLE attribution_shares",
    ],
)
def test_attribution_reads_paths_and_writes_shares(attributing: Client, query: str) -> None:
    """Whoever takes over its password sees when prospects were touched, and neither who they are nor what they did."""
    _refused(attributing, query)


def test_readers_read_every_view(reader: Client) -> None:
    """Every view that the migrations make can be read, though readers have no right on any table."""
    views = _made("VIEW")
    assert {"funnel", "journey_of"} <= set(views)
    for view in sorted({*views} - {"visits_now"} - _parts()):  # these are how others are computed
        call = f"{view}(prospect = '00000000-0000-5000-8000-000000000001')" if view == "journey_of" else view
        reader.execute(f"SELECT * FROM {call}")


@pytest.mark.parametrize(
    "table",
    [
        "prospect_identifiers",
        "prospect_aliases",
        "shared_identifiers",
        "dead_letters",
        "stage_transitions",
        "prospects",
        "funnel_stages",
        "conversion_cohorts",
        "visits_now",
        "visits_rebuilt",
        "visit_parts",
        "conversion_rebuilt",
        "spend",
        "account_segments",
        "targets",
        "attribution_by_rules",
        "attribution_totals",
        "attribution_shares",
        "system.users",
        "system.processes",
    ],
)
def test_readers_read_no_table(reader: Client, table: str) -> None:
    """Least of all those with personal data."""
    _refused(reader, f"SELECT * FROM {table}")


@pytest.mark.parametrize(
    "query",
    [
        "INSERT INTO prospects (funnel) VALUES ('x')",
        "DROP VIEW funnel",
        "CREATE VIEW mine AS SELECT 1",
        "SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'x UInt8')",
        "SELECT * FROM file('/etc/passwd', 'CSV', 'x String')",
        "KILL QUERY WHERE 1",
    ],
)
def test_readers_change_nothing_and_reach_nothing_else(reader: Client, query: str) -> None:
    """No writing, no defining, no way to files, to other hosts, or to other people's queries."""
    _refused(reader, query, _ACCESS_DENIED, _READ_ONLY)


def test_readers_stay_within_limits(reader: Client) -> None:
    """They may set formats and shorter time-outs, but not lift the limits nor leave the read-only mode."""
    assert reader.execute("SELECT 1", settings={"max_execution_time": 5}) == [(1,)]
    _refused(reader, "SELECT 1", _SETTING_OUT_OF_BOUNDS, settings={"max_execution_time": 3600})
    _refused(reader, "SELECT 1", _SETTING_OUT_OF_BOUNDS, settings={"max_memory_usage": 10**12})
    _refused(reader, "SET readonly = 0", _READ_ONLY)


def _settings_of(server: EmbeddedClickHouse, user: str, tmp_path: Path, database: str = "journey") -> Settings:
    url = f"clickhouse://{user}:password-of-{user}@{server.host}:{server.native_port}/{database}"
    return Settings(clickhouse=SecretStr(url), id_key=SecretStr(_ID_KEY), data_dir=tmp_path)


def test_explain_needs_no_more_than_the_views(server: EmbeddedClickHouse, sink: Client, tmp_path: Path) -> None:
    """`journey explain`, as the compose file starts it, tells what the sink wrote: rows as they are now, not those replaced."""
    prospect = UUID(bytes=prospect_id(_ID_KEY.encode(), "email:jane@x.com"))
    then = datetime(2026, 1, 1, tzinfo=UTC)
    for revision, stage in ((1, "awareness"), (2, "interest")):
        sink.execute(
            "INSERT INTO prospects (funnel, prospect_id, stage, visit, status, stage_entered_at, last_activity_at, account_id, revision, is_deleted) VALUES",
            [("sales", prospect, stage, 1, "open", then, then, "acme", revision, 0)],
        )
        sink.execute(
            "INSERT INTO stage_transitions (funnel, prospect_id, visit, step, kind, to_stage, entered_at, revision, is_deleted) VALUES",
            [("sales", prospect, 1, 0, "enter", stage, then, revision, 0)],
        )
    settings = _settings_of(server, "journey_reader", tmp_path)
    with connected(settings) as reader:
        (known,) = explain(reader, "jane@x.com", settings)
    assert known.candidate.prospect == prospect
    assert [(step.kind, step.to_stage) for step in known.steps] == [("enter", "interest")]
    assert known.standings == [("sales", "open", "interest", 1, then, "acme")]


def test_who_tells_readers_all_but_the_identifiers(server: EmbeddedClickHouse, sink: Client, tmp_path: Path) -> None:
    """`journey who`, as the compose file starts it, follows aliases; identifiers are for those who have that grant."""
    old, new = (UUID(bytes=prospect_id(_ID_KEY.encode(), one)) for one in ("email:joe@x.com", "user_id:joe"))
    then = datetime(2026, 1, 1, tzinfo=UTC)
    sink.execute(
        "INSERT INTO prospect_aliases (old_id, new_id, since, revision, is_deleted) VALUES", [(old, new, then, 1, 0)]
    )
    settings = _settings_of(server, "journey_reader", tmp_path)
    with connected(settings) as reader:
        found = who(reader, "joe@x.com", settings)
        assert reader.execute("SELECT current_id FROM prospect_now WHERE old_id = %(old)s", {"old": old}) == [(new,)]
        with pytest.raises(JourneyError, match="may not read prospect_identifiers"):
            who(reader, "user_id:nobody", settings)
    assert (found.now, found.identifiers) == (new, None)


@pytest.mark.parametrize(
    ("user", "level", "told"),
    [
        ("journey_migrate", "ok", f"up to date ({len(shipped())} migrations)"),
        ("journey_reader", "warn", "user journey_reader may not see which migrations were applied"),
        ("journey_sink", "warn", "user journey_sink may not see which migrations were applied"),
    ],
)
def test_doctor_says_what_its_user_can_know(
    server: EmbeddedClickHouse, tmp_path: Path, user: str, level: str, told: str
) -> None:
    """Who may not see the migrations is told so, not that they are missing; and nothing fails for it."""
    findings = [
        found for found in examine(_settings_of(server, user, tmp_path)) if found.what in ("clickhouse", "tables")
    ]
    assert [found.what for found in findings] == ["clickhouse", "tables"]
    assert findings[1].level == level
    assert findings[1].found.startswith(told)


def test_doctor_finds_what_was_never_migrated(server: EmbeddedClickHouse, tmp_path: Path) -> None:
    """A database without tables is told as one, with the remedy."""
    with Client(server.host, port=server.native_port) as client:
        client.execute("CREATE DATABASE bare")
    url = f"clickhouse://default:@{server.host}:{server.native_port}/bare"
    findings = list(examine(Settings(clickhouse=SecretStr(url), data_dir=tmp_path)))
    (tables,) = [found for found in findings if found.what == "tables"]
    assert (tables.level, tables.remedy) == ("fail", "run `journey migrate`")
    assert all(step.file in tables.found for step in shipped())


def test_a_refusal_is_told_in_clickhouses_words(server: EmbeddedClickHouse, tmp_path: Path) -> None:
    """Which right is missing on what stands in the error; the password doesn't."""
    settings = _settings_of(server, "journey_reader", tmp_path)
    with (
        pytest.raises(JourneyError, match=r"^ClickHouse \(code 497\): .*SELECT.* journey\.prospects") as refused,
        connected(settings) as reader,
    ):
        reader.execute("SELECT count() FROM prospects")
    assert "password-of" not in str(refused.value)


def test_publishing_needs_no_more_than_these_rights(migrator: Client, reader: Client) -> None:
    """Who migrates publishes, again and again; readers read all that is published, and no table by it."""
    for _ in range(2):
        done = switch(migrator, "live", "journey")
    assert set(done.views) == set(_made("VIEW")) - _parts()
    for view in done.views:
        call = f"{view}(prospect = '00000000-0000-5000-8000-000000000001')" if view == "journey_of" else view
        reader.execute(f"SELECT * FROM live.{call}")
    assert reader.execute("SELECT DISTINCT database FROM live.publications") == [("journey",)]
    _refused(reader, "SELECT * FROM live.prospect_identifiers", _ACCESS_DENIED, _UNKNOWN_TABLE)
    _refused(reader, "DROP VIEW live.funnel", _ACCESS_DENIED, _READ_ONLY)
