"""How Faust is set: by a worker's configuration, and so that it does nothing of what is done here instead (`agents.guard`)."""

from __future__ import annotations

from typing import Any

from yarl import URL

from agents.config import WorkerConfig


def faust_settings(config: WorkerConfig) -> dict[str, Any]:
    """Keyword arguments for `faust.App`."""
    return {
        "broker": [URL(f"kafka://{server}") for server in config.bootstrap_servers],
        "broker_commit_interval": config.commit_interval,
        "broker_session_timeout": config.session_timeout,
        "broker_heartbeat_interval": config.heartbeat_interval,
        "broker_rebalance_timeout": config.rebalance_timeout,
        "broker_request_timeout": config.request_timeout,
        "datadir": str(config.data_dir),
        "store": "memory://",
        "table_standby_replicas": 0,
        "topic_allow_declare": False,
        "topic_disable_leader": True,
        "stream_buffer_maxsize": config.queued_runs,
        "stream_wait_empty": True,
        "stream_recovery_delay": 0.0,
        "autodiscover": False,
        "web_enabled": False,
        "web_tables_enabled": False,
        "web_router_enabled": False,
    }
