"""Settings: where they come from, what is refused and how, and that secrets stay secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from journey.errors import SettingsError
from journey.settings import ClickHouseAddress, Settings, load_settings, unknown_variables

CANARY = "canary-5d0f7a91-secret"


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings of the machine's user, and a working directory without a file."""
    for name in list(__import__("os").environ):
        if name.startswith("JOURNEY_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_environment_over_file_over_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """`journey.toml` is read; a variable counts more than it, an option more than both."""
    Path("journey.toml").write_text('kafka = "file:9092"\npartitions = 8\nfunnels = ["b2b", "sales"]\n')
    monkeypatch.setenv("JOURNEY_PARTITIONS", "16")
    settings = load_settings(data_dir=Path("elsewhere"))
    assert (settings.kafka, settings.partitions, settings.funnels) == ("file:9092", 16, ("b2b", "sales"))
    assert settings.data_dir == Path("elsewhere")
    assert settings.lateness == "90d"


def test_the_file_may_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """JOURNEY_CONFIG names another file, which has to be there."""
    Path("other.toml").write_text("partitions = 3\n")
    monkeypatch.setenv("JOURNEY_CONFIG", "other.toml")
    assert load_settings().partitions == 3
    monkeypatch.setenv("JOURNEY_CONFIG", "missing.toml")
    with pytest.raises(SettingsError, match=r"JOURNEY_CONFIG.*missing\.toml"):
        load_settings()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "v2-"),
        ('input_prefix = "v1-"', "v1-"),
        ('input_prefix = "/"', ""),
        ('input_prefix = "v2-"', "v2-"),
    ],
)
def test_the_input_may_be_anothers(text: str, expected: str) -> None:
    """Its prefix is the other topics' unless it is set, and `/` is none, which an empty variable can't say; children get the same."""
    Path("journey.toml").write_text(f'topic_prefix = "v2-"\napp_id = "v2"\n{text}\n')
    settings = load_settings()
    assert (settings.prefix_of_input, settings.shares_input) == (expected, expected != "v2-")
    again = {name.removeprefix("JOURNEY_").lower(): value for name, value in settings.environment().items()}
    assert load_settings(input_prefix=again["input_prefix"] or None).prefix_of_input == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('topic_prefix = "v2-"\ninput_prefix = "/"', "expected JOURNEY_APP_ID to be set, to another than"),
        ('input_prefix = "/v1"', "journey.toml: input_prefix: string should match pattern"),
        ("partitons = 3", "journey.toml: partitons: expected one of kafka, "),
        ("partitions = 0", "journey.toml: partitions: input should be greater than or equal to 1"),
        ('lateness = "3 months"', "journey.toml: lateness: expected a duration"),
        ("partitions = ", "journey.toml: expected a readable TOML file"),
        ('dead_letter_retention = "3651d"', "journey.toml: dead_letter_retention: expected at most 3650d"),
        ('stuck_after = "59s"', "journey.toml: stuck_after: expected at least 60s"),
        ('refresh_every = "9s"', "journey.toml: refresh_every: expected 10s to 1h"),
        ('session_timeout = "31s"', "journey.toml: session_timeout: expected 1s to 30s"),
        ('metrics_host = "everywhere"', "journey.toml: metrics_host: expected an IP address such as 127.0.0.1"),
        (f'id_key = "{CANARY[:8]}"', "journey.toml: id_key: expected at least 16 characters"),
        (f'clickhouse = "http://u:{CANARY}@host/"', "journey.toml: clickhouse: expected a URL such as clickhouse://"),
        (
            f'schema_registry = "http://u:{CANARY}@host/"',
            "journey.toml: schema_registry: expected an http(s) URL without",
        ),
    ],
)
def test_what_is_wrong_is_refused_with_file_key_and_expectation(text: str, expected: str) -> None:
    """The message names file and key and what was expected, and never repeats a value."""
    Path("journey.toml").write_text(text)
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert expected in str(refused.value)
    assert CANARY[:8] not in str(refused.value)


def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the environment is wrong, the variable is named, not the file."""
    monkeypatch.setenv("JOURNEY_MAX_EVENT_BYTES", "lots")
    with pytest.raises(SettingsError, match=r"^JOURNEY_MAX_EVENT_BYTES: input should be a valid integer"):
        load_settings()


def test_secrets_are_masked() -> None:
    """Neither `shown` nor `repr` holds a secret; the environment for children does."""
    secrets = {
        "id_key": CANARY,
        "sasl_password": CANARY,
        "schema_registry_password": CANARY,
        "ssl_key_password": CANARY,
    }
    settings = load_settings(clickhouse=f"clickhouse://sink:{CANARY}@host:9000/journey", **secrets)
    assert CANARY not in repr(settings) + str(settings.shown()) + repr(settings.clickhouse_address)
    assert settings.shown()["clickhouse"] == "clickhouse://sink:**********@host:9000/journey"
    assert settings.environment()["JOURNEY_ID_KEY"] == CANARY


def test_a_child_reads_back_what_its_parent_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings survive the way through the environment."""
    settings = load_settings(
        kafka="a:1,b:2", id_key=CANARY, funnels=("sales", "b2b"), lateness="30d", idempotent=False, pii="hash"
    )
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    assert load_settings() == settings


def test_misspelt_variables_are_found() -> None:
    """Variables that are no setting are listed; real ones, those of the tests and other programs' are not."""
    known = {"JOURNEY_KAFKA": "", "JOURNEY_CONFIG": "", "JOURNEY_TEST_EFFORT": "1", "PATH": ""}
    assert unknown_variables({**known, "JOURNEY_KAFAK": ""}) == ["JOURNEY_KAFAK"]


def test_the_parts_of_a_clickhouse_url() -> None:
    """Ports and names have defaults; user and password may be percent-encoded."""
    address = ClickHouseAddress("clickhouses://a%40b:p%2Fw@[::1]/facts")
    assert (address.host, address.port, address.user, address.password) == ("::1", 9440, "a@b", "p/w")
    assert (address.database, address.secure) == ("facts", True)
    bare = ClickHouseAddress("clickhouse://host")
    assert (bare.port, bare.user, bare.password, bare.database) == (9000, "default", "", "journey")


def test_every_setting_is_described_or_plain() -> None:
    """Every setting has a default: nothing needs to be configured to try things out."""
    assert all(not field.is_required() for field in Settings.model_fields.values())
