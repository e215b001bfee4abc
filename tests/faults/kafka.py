"""Apache Kafka without Docker: one KRaft node on loopback, from the jars that `tests/kafka/pom.xml` names.

Import it as `tests.faults.kafka`, never with this folder on the path: there, its name would hide kafka-python's.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from kafka.admin import KafkaAdminClient

from journey.ports import free_port
from tests.broker import LOOPBACK, Broker, BrokerError

_KAFKA = Path(__file__).resolve().parent.parent / "kafka"
_POM = _KAFKA / "pom.xml"
_TARGET = _KAFKA / "target"
_JAVA_VERSION = 17
_MAVEN_SECONDS = 900
_NODE_ID = 1
_CLUSTER_ID = "am91cm5leS10ZXN0cy1rYQ"

# A small, short-lived server: the serial collector starts fastest. The code cache and thread stacks stay at their defaults.
_JAVA_OPTIONS = (
    "-Xms128m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xshare:auto",
    "-Djava.awt.headless=true",
)

_PROPERTIES = """\
process.roles=broker,controller
node.id={node_id}
controller.quorum.voters={node_id}@{host}:{controller_port}
listeners=CLIENTS://{host}:{port},CONTROLLER://{host}:{controller_port}{proxied_listener}
advertised.listeners=CLIENTS://{advertised}{proxied_advertised}
listener.security.protocol.map=CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT
inter.broker.listener.name=CLIENTS
controller.listener.names=CONTROLLER
log.dirs={data}
auto.create.topics.enable=false
message.max.bytes=10485760
# One node: nothing can be replicated. Few partitions of the internal topics: each costs files and time at every start.
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
# Quick groups: no waiting for members that might still come, and dead ones may be noticed in 1 s if the client asks for it.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
# A broker that was killed may register again at once, not only when its old session has ended.
broker.heartbeat.interval.ms=200
broker.session.timeout.ms=1000
"""


class KafkaUnavailableError(BrokerError):
    """Apache Kafka can't be run on this machine; the message says what to install."""


def java() -> str:
    """The path of a Java runtime new enough for Kafka 4: `JAVA_HOME`'s, else the one on the PATH.

    Raises:
        KafkaUnavailableError: there is none, or it is too old.
    """
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=str(Path(home) / "bin")) if home else shutil.which("java")
    if found is None:
        where = f"JAVA_HOME={home} has no bin/java" if home else "there is no `java` on the PATH"
        raise KafkaUnavailableError(
            f"Apache Kafka needs Java {_JAVA_VERSION} or newer, but {where}: install a JRE, or run `make test`, which needs none"
        )
    printed = subprocess.run([found, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', printed)
    if version is None or int(version[1]) < _JAVA_VERSION:
        first_line = printed.strip().partition("\n")[0]
        raise KafkaUnavailableError(f"Apache Kafka needs Java {_JAVA_VERSION} or newer, but {found} says: {first_line}")
    return found


def class_path() -> str:
    """The class path of the broker; Maven is asked once for each version of the POM, and the answer kept in `tests/kafka/target/`.

    Raises:
        KafkaUnavailableError: Maven is missing or failed; the message holds what it printed.
    """
    digest = hashlib.sha256(_POM.read_bytes()).hexdigest()[:12]
    kept = _TARGET / f"classpath-{digest}"
    if kept.exists():
        jars = kept.read_text().strip()
        # The local Maven repository may have been cleaned since.
        if all(Path(jar).exists() for jar in jars.split(os.pathsep)):
            return jars
    maven = shutil.which("mvn")
    if maven is None:
        raise KafkaUnavailableError(
            "Apache Kafka's jars come through Maven, but there is no `mvn` on the PATH: install Maven 3.6 or newer"
        )
    _TARGET.mkdir(exist_ok=True)
    # Written aside and renamed: two test runs may do this at once.
    aside = _TARGET / f"classpath-{digest}.{os.getpid()}"
    sys.stderr.write("Fetching Apache Kafka's jars through Maven (once; about 50 MB)\n")
    done = subprocess.run(
        [
            maven,
            "--batch-mode",
            "--quiet",
            "--no-transfer-progress",
            f"--file={_POM}",
            "dependency:build-classpath",
            f"-Dmdep.outputFile={aside}",
        ],
        capture_output=True,
        text=True,
        timeout=_MAVEN_SECONDS,
        check=False,
    )
    if done.returncode != 0 or not aside.exists():
        raise KafkaUnavailableError(
            f"Maven could not resolve {_POM.name} (exit code {done.returncode}):\n{(done.stdout + done.stderr)[-3000:]}"
        )
    aside.replace(kept)
    return kept.read_text().strip()


class ApacheKafka(Broker):
    """Apache Kafka 4: keeps its data over stop() and kill(), so recovery can be tested.

    Args (beside those of `Broker`):
        proxied: a second port to listen on, and the `host:port` that clients who come there are told to use: that of a proxy
            in front of it. Others, who judge what happens, reach the same broker past the proxy.

    Raises (when started):
        KafkaUnavailableError: Java or Maven is missing.
    """

    name = "Apache Kafka"
    keeps_data = True
    ready_seconds = 90.0

    def __init__(
        self,
        directory: Path,
        *,
        advertised: str | None = None,
        port: int | None = None,
        proxied: tuple[int, str] | None = None,
    ) -> None:
        super().__init__(directory, advertised=advertised, port=port)
        self._proxied = proxied
        self.data = directory / "data"
        self._properties = directory / "server.properties"
        self._controller_port = free_port()

    def _choose_ports(self) -> None:
        super()._choose_ports()
        self._controller_port = free_port()

    def _configuration(self) -> str:
        """The text of server.properties."""
        listener = advertised = ""
        if self._proxied is not None:
            listener = f",PROXIED://{LOOPBACK}:{self._proxied[0]}"
            advertised = f",PROXIED://{self._proxied[1]}"
        return _PROPERTIES.format(
            proxied_listener=listener,
            proxied_advertised=advertised,
            node_id=_NODE_ID,
            host=LOOPBACK,
            port=self.port,
            controller_port=self._controller_port,
            advertised=self.bootstrap,
            data=self.data,
        )

    def _prepare(self) -> None:
        super()._prepare()
        self._properties.write_text(self._configuration())
        if (self.data / "meta.properties").exists():
            return
        done = subprocess.run(
            self._java(
                "kafka.tools.StorageTool", "format", f"--cluster-id={_CLUSTER_ID}", f"--config={self._properties}"
            ),
            capture_output=True,
            text=True,
            timeout=self.ready_seconds,
            check=False,
        )
        if done.returncode != 0:
            raise BrokerError(
                f"Apache Kafka could not format {self.data.name} (exit code {done.returncode}):\n{(done.stdout + done.stderr)[-3000:]}"
            )

    def _command(self) -> Sequence[str]:
        return self._java("kafka.Kafka", str(self._properties))

    def _java(self, main: str, *arguments: str) -> Sequence[str]:
        logging = f"-Dlog4j2.configurationFile={_KAFKA / 'log4j2.properties'}"
        return [java(), *_JAVA_OPTIONS, logging, "-cp", class_path(), main, *arguments]

    def _answers(self) -> bool:
        with KafkaAdminClient(
            bootstrap_servers=self.bootstrap, bootstrap_timeout_ms=2_000, request_timeout_ms=5_000
        ) as admin:
            if not admin.describe_cluster()["brokers"]:
                return False
            # Makes the topic of group offsets (or loads it, after a restart), so that the first consumer of a test doesn't wait for it.
            admin.list_group_offsets({"readiness": None})
            topics = admin.list_topics()
            admin.wait_for_topics(topics, timeout_ms=5_000)
            return True
