"""What a worker needs to know, as one value; `journey` builds it from its settings."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path

from schemas.catalog import SUBJECT_OF_CHANNEL

MIB = 1024 * 1024
ERASURES = "erasures"
"""The topic of those who must not come back (`agents.erasures`)."""
INPUT_TOPICS = frozenset({*SUBJECT_OF_CHANNEL.values(), ERASURES})
"""What emitters and commands write to. Several installations may read the same ones; all other topics are an installation's own."""


@dataclass(frozen=True, kw_only=True)
class Security:
    """How to speak to the brokers. Every Kafka client of a worker is opened with exactly this."""

    security_protocol: str = "PLAINTEXT"
    """PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."""
    sasl_mechanism: str = "PLAIN"
    """PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512."""
    sasl_username: str | None = None
    sasl_password: str | None = field(default=None, repr=False)
    ssl_cafile: Path | None = None
    ssl_certfile: Path | None = None
    ssl_keyfile: Path | None = None
    ssl_key_password: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Refuse half a configuration here, where the setting can be named, rather than as a broker's hang-up later."""
        if self.security_protocol not in {"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"}:
            raise ValueError(
                f"security_protocol is {self.security_protocol!r}; expected PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"
            )
        if self.uses_sasl and (self.sasl_username is None or self.sasl_password is None):
            raise ValueError(f"security_protocol {self.security_protocol} needs sasl_username and sasl_password")
        if self.ssl_keyfile is not None and self.ssl_certfile is None:
            raise ValueError("ssl_keyfile is set but ssl_certfile is not; a client certificate needs both")

    @property
    def uses_sasl(self) -> bool:
        """Whether clients log in."""
        return self.security_protocol.startswith("SASL")

    def ssl_context(self) -> ssl.SSLContext | None:
        """The TLS context, or None for a protocol without TLS. Host names and certificates are always verified."""
        if not self.security_protocol.endswith("SSL"):
            return None
        context = ssl.create_default_context(cafile=str(self.ssl_cafile) if self.ssl_cafile else None)
        if self.ssl_certfile is not None:
            keyfile = str(self.ssl_keyfile) if self.ssl_keyfile else None
            context.load_cert_chain(str(self.ssl_certfile), keyfile, self.ssl_key_password)
        return context

    def client_options(self) -> dict[str, object]:
        """Keyword arguments for any aiokafka client."""
        options: dict[str, object] = {"security_protocol": self.security_protocol, "ssl_context": self.ssl_context()}
        if self.uses_sasl:
            options |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.sasl_username,
                "sasl_plain_password": self.sasl_password,
            }
        return options


@dataclass(frozen=True, kw_only=True)
class WorkerConfig:
    """One worker process. Sizes are bytes, times are seconds."""

    brokers: str
    """host:port, several separated by commas."""
    app_id: str
    """Consumer group, and the name the worker goes by."""
    data_dir: Path
    """Where Faust may keep files; nothing of value is kept there."""
    prefix: str = ""
    """Put before every topic name, so that several installations (or tests) can share a broker."""
    input_prefix: str | None = None
    """Put before the names of `INPUT_TOPICS` instead; None: `prefix`, too."""
    security: Security = field(default_factory=Security)

    run_records: int = 16_000
    """Most records handed to a handler at once, if it is fast enough (`agents.gathering.RUN_SECONDS`). Who is behind gets large runs, and a
    prospect's records of one run are one step."""
    queued_runs: int = 8
    """Pieces of runs (`piece_records`) waiting in an agent's queue before fetching pauses."""
    runs_in_flight: int = 3
    """Runs handled but not yet acknowledged by the brokers, per agent."""
    fetch_bytes: int = 4 * MIB
    """Most bytes fetched from one partition at once."""
    check_crcs: bool = True

    batch_bytes: int = 768 * 1024
    """Record batches are closed at this size, well under the brokers' usual limit of 1 MiB for one batch."""
    max_request_bytes: int = 10 * MIB
    """Largest record (or group of records that must stay together) that may be sent at all."""
    compression: str | None = None
    """gzip, or one of lz4, snappy, zstd where their libraries are installed."""
    idempotent: bool = True
    """Producer ids, so that a resent batch is neither doubled nor put behind a newer one. The embedded broker has none: False there."""

    commit_interval: float = 1.0
    session_timeout: float = 10.0
    """Without a heartbeat for this long, the group gives a worker's partitions to others."""
    heartbeat_interval: float = 2.0
    rebalance_timeout: float = 60.0
    request_timeout: float = 30.0
    delivery_timeout: float = 30.0
    """A delivery that takes longer ends the process."""
    settle_timeout: float = 20.0
    """How long a rebalance waits for the runs in flight before the process ends instead. Below `rebalance_timeout`."""
    recovery_timeout: float = 60.0
    """Without a single record for this long while state is read back, the process ends."""
    stuck_after: float = 120.0
    """An agent that settles nothing for this long while records wait for it ends the process. Above what a run and its deliveries may take."""
    stop_timeout: float = 9.0
    """A requested stop that takes longer is cut short (exit code 1)."""

    def __post_init__(self) -> None:
        """Refuse values that would only show as odd behaviour much later."""
        for name in ("run_records", "queued_runs", "runs_in_flight"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; expected at least 1")
        if self.batch_bytes > self.max_request_bytes:
            raise ValueError(
                f"batch_bytes ({self.batch_bytes}) is larger than max_request_bytes ({self.max_request_bytes})"
            )
        if self.session_timeout > self.request_timeout:
            raise ValueError(
                f"session_timeout ({self.session_timeout:g} s) is larger than request_timeout ({self.request_timeout:g} s)"
            )
        if self.settle_timeout >= self.rebalance_timeout:
            raise ValueError(
                f"settle_timeout ({self.settle_timeout:g} s) must be below rebalance_timeout ({self.rebalance_timeout:g} s)"
            )

    @property
    def piece_records(self) -> int:
        """Most records of the pieces that runs are joined from: so small that almost nothing is missing to a full run."""
        return -(-self.run_records // 8)

    def topic(self, name: str) -> str:
        """The topic `name` as it is called on the brokers."""
        if self.input_prefix is not None and name in INPUT_TOPICS:
            return f"{self.input_prefix}{name}"
        return f"{self.prefix}{name}"

    @property
    def bootstrap_servers(self) -> list[str]:
        """The brokers, one by one."""
        return [server.strip() for server in self.brokers.split(",") if server.strip()]
