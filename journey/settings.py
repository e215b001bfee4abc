"""Settings: `JOURNEY_*` environment variables over a TOML file over defaults.

The file is `JOURNEY_CONFIG`, else `journey.toml` in the working directory where there is one. Its keys are the fields
of `Settings`; an environment variable is `JOURNEY_` and the field's name in capitals.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from funnel.durations import MICROSECONDS, parse_duration
from journey.clickhouse_address import MASK, ClickHouseAddress
from journey.errors import SettingsError
from journey.setting_types import Duration, duration_within, split_list

PREFIX = "JOURNEY_"
CONFIG_VARIABLE = "JOURNEY_CONFIG"
TEST_PREFIX = "JOURNEY_TEST_"
"""Variables of the test suite; no setting, and no mistake."""
DEFAULT_CONFIG = Path("journey.toml")
NO_PREFIX = "/"
"""Of `input_prefix`: an empty variable counts as none, and no topic's name has a slash."""
LEAST_KEY_LENGTH = 16


class Settings(BaseSettings):
    """Everything that can be set. Durations are written as in funnel files (`90d`)."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, hide_input_in_errors=True, env_ignore_empty=True
    )

    kafka: str = Field("", description="Kafka bootstrap servers, host:port[,host:port]; empty: the embedded broker")
    clickhouse: SecretStr = Field(
        SecretStr(""), description="clickhouse://user:password@host:port/database; empty: the embedded ClickHouse"
    )
    clickhouse_http_port: int = Field(
        8123, ge=1, le=65_535, description="port of ClickHouse's HTTP interface, for `journey sql`"
    )
    id_key: SecretStr = Field(
        SecretStr(""), description="the secret that prospect ids are made with; the embedded stack makes its own"
    )
    pii: Literal["clear", "hash"] = Field(
        "clear", description="how the table prospect_identifiers has identifiers: clear, or hash (keyed)"
    )
    app_id: str = Field("journey", pattern=r"^[a-zA-Z0-9._-]{1,100}$", description="prefix of our groups and changelog")
    topic_prefix: str = Field("", pattern=r"^[a-zA-Z0-9._-]{0,100}$", description="put before every topic's name")
    input_prefix: str = Field(
        "",
        pattern=r"^(/|[a-zA-Z0-9._-]{0,100})$",
        description="put before the input topics' names instead, to read what another installation reads; /: nothing is",
    )
    funnels: Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_list)] = Field(
        ("sales",), min_length=1, description="funnel files, or names of presets that ship"
    )
    channels: str = Field("", description="file of channel rules that come before those that ship")
    partitions: int = Field(4, ge=1, le=1024, description="partitions of every topic; must never change")
    replication: int = Field(1, ge=1, le=10, description="replicas of every topic")
    lateness: Duration = Field("90d", description="how far behind a prospect's newest event one may still arrive")
    max_event_bytes: int = Field(65_536, ge=1_024, le=1_000_000, description="longer events are dead letters")
    phone_region: str = Field("US", pattern=r"^[A-Z]{2}$", description="region of phone numbers without a country code")
    idempotent: bool = Field(
        True, description="producer ids, so that resent batches are never doubled; the embedded broker has none"
    )
    input_retention: Duration = Field("7d", description="how long Kafka keeps events, touches and facts")
    # A deletion time has to fit into ClickHouse's DateTime, which ends in 2106: beyond, letters would go at once.
    dead_letter_retention: Annotated[Duration, duration_within(most="3650d")] = Field(
        "14d", description="how long dead letters (personal data) are kept, in Kafka and in ClickHouse; at most 3650d"
    )

    attribution_half_life: Annotated[Duration, duration_within(least="1h")] = Field(
        "7d", description="attribution by time: after so long before the last touch, a touch counts half; at least 1h"
    )
    refresh_every: Annotated[Duration, duration_within("10s", "1h")] = Field(
        "30s",
        description="how often ClickHouse brings the aggregates up to now; each time costs it a second of CPU, or more with millions of prospects; 10s to 1h",
    )

    schema_registry: str = Field("", description="URL of a schema registry; empty: the schemas that ship")
    schema_registry_user: str = ""
    schema_registry_password: SecretStr = SecretStr("")

    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = ""
    sasl_username: str = ""
    sasl_password: SecretStr = SecretStr("")
    ssl_cafile: str = ""
    ssl_certfile: str = ""
    ssl_keyfile: str = ""
    ssl_key_password: SecretStr = SecretStr("")

    alerts: str = Field("", description="the file that says who is told of stalled prospects; empty: nobody")
    workers: int = Field(1, ge=1, le=64, description="how many workers a command starts that starts its own")
    data_dir: Path = Field(Path(".journey"), description="where the embedded stack keeps its data")
    metrics_host: str = Field("127.0.0.1", description="address that Prometheus metrics listen on; 0.0.0.0: on all")
    metrics_port: int = Field(0, ge=0, le=65_535, description="port of metrics, /healthz and /readyz; 0: none")
    console_host: str = Field(
        "127.0.0.1", description="address that the console listens on; elsewhere than on loopback it needs a login"
    )
    console_port: int = Field(8484, ge=0, le=65_535, description="port of the console; 0: a free one")
    console_token: SecretStr = Field(
        SecretStr(""), description="the secret that people log in to the console with; empty: no login"
    )
    console_user_header: str = Field(
        "",
        pattern=r"^[A-Za-z0-9-]{0,100}$",
        description="header in which a proxy tells the console who somebody is, such as X-Forwarded-User",
    )
    console_proxies: Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_list)] = Field(
        (), description="addresses or networks of the proxy whose headers the console believes"
    )
    traces: str = Field(
        "",
        description="URL that OpenTelemetry's traces go to (OTLP over HTTP), such as http://host:4318/v1/traces; empty: none",
    )
    # A run may take seconds, and its deliveries have half a minute each.
    stuck_after: Annotated[Duration, duration_within(least="60s")] = Field(
        "120s", description="a worker that settles nothing for so long while records wait ends; at least 60s"
    )
    # Clients wait for an answer no longer than the most; brokers may take long to answer who joins.
    session_timeout: Annotated[Duration, duration_within("1s", "30s")] = Field(
        "10s", description="without a heartbeat for so long, a worker's partitions go to others; 1s to 30s"
    )
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"

    @field_validator("clickhouse")
    @classmethod
    def _check_clickhouse(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value():
            ClickHouseAddress(value.get_secret_value())
        return value

    @field_validator("id_key", "console_token")
    @classmethod
    def _check_length(cls, value: SecretStr) -> SecretStr:
        if 0 < len(value.get_secret_value()) < LEAST_KEY_LENGTH:
            raise ValueError(f"expected at least {LEAST_KEY_LENGTH} characters")
        return value

    @field_validator("console_proxies")
    @classmethod
    def _check_console_proxies(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        try:
            return tuple(str(ip_network(one)) for one in value)
        except ValueError:
            raise ValueError("expected IP addresses or networks such as 10.0.0.5 or 10.0.0.0/24") from None

    @field_validator("metrics_host", "console_host")
    @classmethod
    def _check_listening_host(cls, value: str) -> str:
        try:
            return str(ip_address(value))
        except ValueError:
            raise ValueError("expected an IP address such as 127.0.0.1 or 0.0.0.0") from None

    @model_validator(mode="after")
    def _check_group(self) -> Self:
        # In one group, each of two installations would be given input that the other one then never sees.
        if self.shares_input and self.app_id == type(self).model_fields["app_id"].default:
            raise ValueError(
                "expected JOURNEY_APP_ID to be set, to another than that of the installation whose input JOURNEY_INPUT_PREFIX names"
            )
        return self

    @field_validator("traces")
    @classmethod
    def _check_traces(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc):
            raise ValueError("expected an http(s) URL without user and password, such as http://host:4318/v1/traces")
        return value

    @field_validator("schema_registry")
    @classmethod
    def _check_schema_registry(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc):
            raise ValueError(
                "expected an http(s) URL without user and password (schema_registry_user has its own setting)"
            )
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  pydantic's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  pydantic's signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments over the environment over the file; no .env file, no secrets directory."""
        return init_settings, env_settings, _File(settings_cls)

    @property
    def prefix_of_input(self) -> str:
        """What stands before the names of the input topics."""
        return "" if self.input_prefix == NO_PREFIX else self.input_prefix or self.topic_prefix

    @property
    def shares_input(self) -> bool:
        """Whether the input topics are another installation's, or nobody's in particular."""
        return self.prefix_of_input != self.topic_prefix

    @property
    def lateness_microseconds(self) -> int:
        """`lateness` in microseconds."""
        return parse_duration(self.lateness)

    @property
    def dead_letter_retention_seconds(self) -> int:
        """`dead_letter_retention` in seconds."""
        return parse_duration(self.dead_letter_retention) // MICROSECONDS

    @property
    def attribution_half_life_seconds(self) -> float:
        """`attribution_half_life` in seconds."""
        return parse_duration(self.attribution_half_life) / MICROSECONDS

    @property
    def stuck_after_seconds(self) -> float:
        """`stuck_after` in seconds."""
        return parse_duration(self.stuck_after) / MICROSECONDS

    @property
    def refresh_every_seconds(self) -> int:
        """`refresh_every` in seconds."""
        return parse_duration(self.refresh_every) // MICROSECONDS

    @property
    def session_timeout_seconds(self) -> float:
        """`session_timeout` in seconds."""
        return parse_duration(self.session_timeout) / MICROSECONDS

    @property
    def clickhouse_address(self) -> ClickHouseAddress:
        """Where ClickHouse is; only where `clickhouse` is set."""
        return ClickHouseAddress(self.clickhouse.get_secret_value())

    def shown(self) -> dict[str, str]:
        """Every setting as text that may be printed: secrets masked."""
        shown = {}
        for name, value in self:
            if name == "clickhouse" and value.get_secret_value():
                shown[name] = repr(self.clickhouse_address)
            elif isinstance(value, SecretStr):
                shown[name] = MASK if value.get_secret_value() else ""
            else:
                shown[name] = ", ".join(value) if isinstance(value, tuple) else str(value)
        return shown

    def environment(self) -> dict[str, str]:
        """The settings as environment variables for a child process. Holds secrets: never print it."""
        variables = {}
        for name, value in self:
            if isinstance(value, SecretStr):
                text = value.get_secret_value()
            else:
                text = ",".join(value) if isinstance(value, tuple) else str(value)
            variables[PREFIX + name.upper()] = text
        return variables


def config_file() -> Path | None:
    """The TOML file that settings come from, if any.

    Raises:
        SettingsError: JOURNEY_CONFIG names a file that is not there.
    """
    named = os.environ.get(CONFIG_VARIABLE)
    if named:
        path = Path(named)
        if not path.is_file():
            raise SettingsError(f"{CONFIG_VARIABLE}: expected the path of a TOML file; there is none at {path}")
        return path
    return DEFAULT_CONFIG if DEFAULT_CONFIG.is_file() else None


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """`JOURNEY_*` variables that are no setting: most likely misspelt."""
    known = {PREFIX + name.upper() for name in Settings.model_fields} | {CONFIG_VARIABLE}
    return sorted(
        name
        for name in environment
        if name.startswith(PREFIX) and not name.startswith(TEST_PREFIX) and name not in known
    )


def load_settings(**overrides: Any) -> Settings:
    """The settings of this process.

    Args:
        overrides: what the command line says; None is "not given".

    Raises:
        SettingsError: a value or a key is wrong; names where it was written and what was expected.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        raise SettingsError("\n".join(_explain(problem, given) for problem in error.errors())) from None


class _File(PydanticBaseSettingsSource):
    """The TOML file; unknown keys are refused here, where the file's name is known."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002  pydantic's signature
        """Unused: `__call__` gives all at once."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        path = config_file()
        if path is None:
            return {}
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise SettingsError(f"{path}: expected a readable TOML file ({error})") from None
        for key in document:
            if key not in self.settings_cls.model_fields:
                known = ", ".join(self.settings_cls.model_fields)
                raise SettingsError(f"{path}: {key}: expected one of {known}")
        return document


def _explain(problem: Any, given: Mapping[str, Any]) -> str:
    """One line of a validation error: where it was written, what was expected; never the value."""
    name = str(problem["loc"][0]) if problem["loc"] else "settings"
    if name in given:
        origin = f"option {name}"
    elif os.environ.get(PREFIX + name.upper()):
        origin = PREFIX + name.upper()
    else:
        origin = f"{config_file() or 'settings'}: {name}"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{origin}: {message[:1].lower()}{message[1:]}"
