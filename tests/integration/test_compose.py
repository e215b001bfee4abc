"""docker-compose.yml and Dockerfile, as far as they can be checked without an engine: they name only what exists, and hang together."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml
from kafka import KafkaProducer
from kafka.errors import KafkaError

from journey.ports import free_port
from journey.serving import ALIVE, READY
from journey.settings import CONFIG_VARIABLE, PREFIX, ClickHouseAddress, Settings, load_settings
from tests.broker import LOOPBACK
from tests.faults.kafka import ApacheKafka

_ROOT = Path(__file__).resolve().parents[2]
_TEXT = (_ROOT / "docker-compose.yml").read_text()
_OURS = ("topics", "migrate", "worker", "sink", "attribution", "notifier", "console", "journey")
_WATCHING = ("prometheus", "grafana")
# Written for one machine on purpose: what the specification allows and we use. A misspelt key is ignored by no one here.
_SERVICE_KEYS = {
    "build", "cap_drop", "command", "depends_on", "deploy", "env_file", "environment", "healthcheck", "hostname", "image", "init", "logging", "networks",
    "ports", "profiles", "read_only", "restart", "security_opt", "stop_grace_period", "tmpfs", "ulimits", "volumes",
}  # fmt: skip
_HEALTH_KEYS = {"test", "interval", "timeout", "retries", "start_period", "start_interval"}
_CONDITIONS = {"service_healthy", "service_completed_successfully"}
_REMAKE = (
    "make it anew: uv pip compile pyproject.toml --constraint requirements.lock --universal --python-version 3.11"
    " --no-header --no-annotate --output-file requirements-runtime.lock"
)
_VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


def _interpolate(value: Any) -> Any:
    """As compose does, after parsing; with a value for every secret."""
    if isinstance(value, dict):
        return {key: _interpolate(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_interpolate(one) for one in value]
    if isinstance(value, str):
        return _VARIABLE.sub(lambda found: found[3] if found[2] == "-" else f"value-of-{found[1]}", value)
    return value


_COMPOSE: dict[str, Any] = _interpolate(yaml.safe_load(_TEXT))
_SERVICES: dict[str, dict[str, Any]] = _COMPOSE["services"]


def _example() -> dict[str, str]:
    lines = (_ROOT / "deploy" / "compose.env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def _locked(name: str) -> set[str]:
    return set((_ROOT / name).read_text().splitlines())


def _package(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def test_only_keys_that_we_know() -> None:
    """A key that compose would refuse, or worse, take for something else, is found here."""
    assert {key for key in _COMPOSE if not key.startswith("x-")} == {"name", "services", "networks", "volumes"}
    for name, service in _SERVICES.items():
        assert set(service) <= _SERVICE_KEYS, name
        assert set(service.get("healthcheck", {})) <= _HEALTH_KEYS, name
        assert set(service["deploy"]) <= {"replicas", "resources"}, name
        assert all(isinstance(value, str) for value in service.get("environment", {}).values()), (
            f"{name}: quote numbers and true"
        )


def test_compose_itself_accepts_it() -> None:
    """Where the compose plugin is installed, it has the last word; it needs no engine for this."""
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("there is no docker compose here; the other tests of this file check what they can")
    values = {name: value or "abcdefghijklmnopqrstuv" for name, value in _example().items()}
    done = subprocess.run(
        [docker, "compose", "--project-directory", str(_ROOT), "--profile", "*", "config", "--quiet"],
        env={**os.environ, **values}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_every_reference_leads_somewhere() -> None:
    """Networks, volumes, mounted files and the services that others wait for exist, and can become what they are waited for to be."""
    for name, service in _SERVICES.items():
        assert set(service["networks"]) <= set(_COMPOSE["networks"]), name
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (_ROOT / source).exists() if source.startswith(".") else source in _COMPOSE["volumes"], (
                f"{name}: {volume}"
            )
        for other, wait in service.get("depends_on", {}).items():
            assert wait["condition"] in _CONDITIONS
            if wait["condition"] == "service_healthy":
                assert "healthcheck" in _SERVICES[other], f"{name} waits for the health of {other}"
            else:
                assert _SERVICES[other]["restart"] == "no", f"{name} waits for the end of {other}"
            assert set(service["networks"]) & set(_SERVICES[other]["networks"]) or other == "migrate", (
                f"{name} can't reach {other}"
            )


def test_what_runs_on_is_restarted_checked_and_bounded() -> None:
    """Services that stay have a restart policy and a health check; all have a memory limit; ours can neither write nor gain rights."""
    for name, service in _SERVICES.items():
        assert service["deploy"]["resources"]["limits"]["memory"], name
        if service["restart"] != "no":
            assert service["restart"] == "unless-stopped", name
            assert service["healthcheck"]["test"][0] == "CMD", name
    for name in (*_OURS, *_WATCHING, "boards"):
        assert _SERVICES[name]["read_only"] is True, name
        assert _SERVICES[name]["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in _SERVICES[name]["security_opt"], name


def test_nothing_is_published_beyond_this_machine() -> None:
    """Kafka and ClickHouse have no encryption here: their ports are on loopback only."""
    for name, service in _SERVICES.items():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), f"{name}: {port}"


def test_metrics_can_be_read_from_beside() -> None:
    """Workers and sink serve their metrics to the compose file's networks; this machine's ports stay shut. Prometheus finds them there."""
    config = yaml.safe_load((_ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    scraped = {(dns["names"][0], dns["port"]) for job in config["scrape_configs"] for dns in job["dns_sd_configs"]}
    for name in ("worker", "sink", "attribution", "notifier"):
        environment = _SERVICES[name]["environment"]
        assert environment["JOURNEY_METRICS_HOST"] == "0.0.0.0"
        assert f":{environment['JOURNEY_METRICS_PORT']}/" in _SERVICES[name]["healthcheck"]["test"][-1]
        assert "ports" not in _SERVICES[name]
        assert (name, int(environment["JOURNEY_METRICS_PORT"])) in scraped
        assert set(_SERVICES[name]["networks"]) & set(_SERVICES["prometheus"]["networks"])


def test_health_checks_ask_what_is_served() -> None:
    """A worker whether it is ready; a sink whether it is alive, as it is in order while it waits for ClickHouse."""
    assert f"{READY}'" in _SERVICES["worker"]["healthcheck"]["test"][-1]
    for name in ("sink", "attribution", "notifier"):
        assert f"{ALIVE}'" in _SERVICES[name]["healthcheck"]["test"][-1]


def test_who_watches_is_optional_pinned_and_reaches_nothing_else() -> None:
    """Prometheus and Grafana come by their profile, in a version, and only into the network of the metrics. Nobody waits for them."""
    for name in _WATCHING:
        service = _SERVICES[name]
        assert service["profiles"] == ["observability"]
        assert re.fullmatch(r"[\w/]+:v?\d+\.\d+\.\d+", service["image"])
        assert service["networks"] == ["observing"]
    for name, service in _SERVICES.items():
        assert name in _WATCHING or not set(_WATCHING) & set(service.get("depends_on", {}))


def test_the_board_is_where_grafana_looks_for_it() -> None:
    """Mounted where the provider and the home page say, with a datasource that is the Prometheus of this file; and nobody can log in."""
    grafana = _SERVICES["grafana"]
    mounts = dict(volume.split(":")[1::-1] for volume in grafana["volumes"])
    provisioning = _ROOT / mounts["/etc/grafana/provisioning"]
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "journey.yml").read_text())["providers"]
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    boards = provider["options"]["path"]
    assert (_ROOT / mounts[boards] / home.removeprefix(f"{boards}/")).is_file()
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert grafana["environment"]["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert grafana["environment"]["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"


def test_commands_exist() -> None:
    """Every command is one that `journey` has."""
    cli = pytest.importorskip("journey.cli", reason="the command line is not written yet")
    from typer.main import get_command

    commands = get_command(cli.app).commands  # type: ignore[attr-defined]  # it is a group
    assert {service["command"][0] for name, service in _SERVICES.items() if name in _OURS} <= set(commands)


@pytest.mark.parametrize("name", _OURS)
def test_variables_exist_and_their_values_are_accepted(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Every JOURNEY_ variable is a setting, and the settings are valid with what compose gives."""
    environment = _SERVICES[name]["environment"]
    assert set(environment) <= {PREFIX + field.upper() for field in Settings.model_fields} | {CONFIG_VARIABLE}
    for variable in [variable for variable in os.environ if variable.startswith(PREFIX)]:
        monkeypatch.delenv(variable)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.chdir(tmp_path)
    settings = load_settings()
    assert settings.kafka.split(":")[0] in _SERVICES
    assert settings.funnels == ("sales",)


def test_what_is_set_where_settings_are_commented() -> None:
    """The SASL settings that the comments offer exist, too."""
    for variable in re.findall(r"^\s*# (JOURNEY_\w+):", _TEXT, re.MULTILINE):
        assert variable.removeprefix(PREFIX).lower() in Settings.model_fields, variable


def test_no_secret_has_a_default_and_the_example_names_all() -> None:
    """A variable is either harmless, with a default, or must be given; the example lists the latter, empty."""
    example = _example()
    secrets = set()
    for variable, kind, _ in _VARIABLE.findall(re.sub(r"^\s*#.*$", "", _TEXT, flags=re.MULTILINE)):
        assert kind in ("-", "?"), f"{variable}: give a default, or say what is missing"
        is_secret = variable.endswith(("_PASSWORD", "_KEY", "_ID"))
        assert (kind == "?") is is_secret, variable
        if is_secret:
            secrets.add(variable)
    assert {variable for variable, value in example.items() if not value} == secrets


@pytest.mark.parametrize(
    ("service", "user"),
    [
        ("migrate", "journey_migrate"),
        ("sink", "journey_sink"),
        ("attribution", "journey_attribution"),
        ("journey", "journey_reader"),
    ],
)
def test_each_service_comes_as_its_own_clickhouse_user(service: str, user: str) -> None:
    """The users are those of users.xml, with the passwords that ClickHouse is given; the worker has none."""
    address = ClickHouseAddress(_SERVICES[service]["environment"]["JOURNEY_CLICKHOUSE"])
    assert (address.user, address.host, address.port, address.database) == (user, "clickhouse", 9000, "journey")
    users = ET.parse(_ROOT / "deploy" / "clickhouse" / "users.xml").getroot().find("users")
    assert users is not None
    password = users.find(f"{user}/password")
    assert password is not None
    assert address.password == _SERVICES["clickhouse"]["environment"][password.attrib["from_env"]]
    assert "JOURNEY_CLICKHOUSE" not in _SERVICES["worker"]["environment"]


def test_only_who_needs_the_id_key_has_it() -> None:
    """The key of prospect ids is with the worker, with the sink, which opens identifiers, and with the operator's commands."""
    assert {name for name, service in _SERVICES.items() if "JOURNEY_ID_KEY" in service.get("environment", {})} == {
        "worker",
        "sink",
        "journey",
    }


def test_kafka_is_reached_where_it_listens() -> None:
    """Advertised addresses, published port and the address that services use agree with the broker's own configuration."""
    lines = (_ROOT / "deploy" / "kafka" / "server.properties").read_text().splitlines()
    properties = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    advertised = dict(listener.split("://") for listener in properties["advertised.listeners"].split(","))
    kafka = _SERVICES["kafka"]
    assert advertised["INSIDE"] == _SERVICES["worker"]["environment"]["JOURNEY_KAFKA"] == f"{kafka['hostname']}:9092"
    assert kafka["ports"] == [f"127.0.0.1:{advertised['OUTSIDE'].split(':')[1]}:{advertised['OUTSIDE'].split(':')[1]}"]
    assert f"kafka-data:{properties['log.dirs']}" in kafka["volumes"]
    assert int(properties["message.max.bytes"]) >= 8 * 1024 * 1024


class _ComposeKafka(ApacheKafka):
    """Apache Kafka with the configuration of docker-compose.yml; only addresses and folders are those of the test."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._inside_port = free_port()

    def _configuration(self) -> str:
        text = (_ROOT / "deploy" / "kafka" / "server.properties").read_text()
        for inside, here in {
            "OUTSIDE://localhost:29092": f"OUTSIDE://{self.bootstrap}",
            "OUTSIDE://:29092": f"OUTSIDE://{self.address}",
            "INSIDE://kafka:9092": f"INSIDE://{LOOPBACK}:{self._inside_port}",
            "INSIDE://:9092": f"INSIDE://{LOOPBACK}:{self._inside_port}",
            "localhost:9093": f"{LOOPBACK}:{self._controller_port}",
            "/var/lib/kafka/data": str(self.data),
        }.items():
            assert inside in text, inside
            text = text.replace(inside, here)
        return text

    def _choose_ports(self) -> None:
        super()._choose_ports()
        self._inside_port = free_port()


@pytest.mark.kafka
def test_kafka_starts_with_this_configuration(tmp_path: Path) -> None:
    """Apache Kafka itself accepts the configuration, makes topics for us, and makes none by accident."""
    with _ComposeKafka(tmp_path) as kafka:
        kafka.create_topics("wanted", partitions=2)
        producer = KafkaProducer(bootstrap_servers=kafka.bootstrap, max_block_ms=2_000)
        with pytest.raises(KafkaError):
            producer.send("unwanted", b"x").get(timeout=5)
        producer.close()
        with kafka.admin() as admin:
            topics = admin.list_topics()
    assert "wanted" in topics
    assert "unwanted" not in topics
    assert "ERROR" not in kafka.log.read_text()


def test_versions_are_those_that_are_tested() -> None:
    """Kafka is the one of the tests' POM, ClickHouse the release of the embedded one, Python what the tests run on at least."""
    pom = (_ROOT / "tests" / "kafka" / "pom.xml").read_text()
    kafka = re.search(r"<kafka.version>(.*)</kafka.version>", pom)
    assert kafka is not None
    assert _SERVICES["kafka"]["image"] == f"apache/kafka:{kafka[1]}"
    chdb = next(line for line in _locked("requirements.lock") if line.startswith("chdb-core=="))
    assert _SERVICES["clickhouse"]["image"].split(":")[1] == ".".join(chdb.removeprefix("chdb-core==").split(".")[:2])


def test_the_image_has_every_package_and_no_more() -> None:
    """What pyproject.toml lists is copied and not ignored; so are the presets, without which no funnel has a name."""
    listed = tomllib.loads((_ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    packages = {name.partition(".")[0] for name in listed}
    copied = set(re.findall(r"^COPY (\w+) \./\1$", (_ROOT / "Dockerfile").read_text(), re.MULTILINE))
    allowed = {line[1:] for line in (_ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied == {*packages, "funnels", "channels"}
    assert copied <= allowed
    assert all((_ROOT / path).exists() for path in allowed - {"README.md"})


def test_the_image_gets_the_same_libraries_as_the_tests() -> None:
    """The image's lock is a part of the lock, holds all dependencies, and nothing of the extras `local` and `dev`."""
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    runtime = _locked("requirements-runtime.lock")
    assert runtime <= _locked("requirements.lock"), _REMAKE
    names = {_package(line) for line in runtime}
    dependencies = {_package(line) for line in project["dependencies"]}
    extras = {_package(line) for extra in project["optional-dependencies"].values() for line in extra}
    assert dependencies <= names
    # Apprise brings PyYAML, too.
    assert names & (extras - dependencies) == {"pyyaml"}
