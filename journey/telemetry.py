"""What processes tell in logs, as lines of JSON; and reading the metrics that they serve (`journey.serving`).

Libraries are imported where they are used: commands import this module without telling anything, and structlog alone takes a tenth of a second.
"""

from __future__ import annotations

import logging
import sys
from collections import defaultdict
from collections.abc import Mapping, MutableMapping
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import Any

from journey.ports import LOOPBACK
from journey.settings import Settings

_SCRAPE_SECONDS = 1.0
_NOISY = ("aiokafka", "faust", "mode", "kafka", "httpx", "httpcore")
"""Loggers whose `info` is of use only to their own authors."""
_ESCAPED = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}


def configure_logging(settings: Settings) -> None:
    """Send all logs (structlog's and the standard library's) to standard error, one line each.

    Control characters are escaped in both formats: nothing from outside can forge a line or steer a terminal.
    """
    import structlog

    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    if settings.log_format == "json":
        # JSON escapes what is below 0x20, and, as non-ASCII is escaped too, everything above 0x7e.
        last: list[Any] = [structlog.processors.JSONRenderer(ensure_ascii=True)]
    else:
        last = [_escape_control_characters, structlog.dev.ConsoleRenderer(colors=False)]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    if root.level > logging.DEBUG:
        for noisy in _NOISY:
            logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def scrape(port: int) -> Mapping[str, float] | None:
    """Totals of a process's `journey_*` metrics, by name; those with a reason or topic also as `name{value}`.

    None where it does not answer (yet).
    """
    from prometheus_client.parser import text_string_to_metric_families

    try:
        # Not httpx: a client of it makes ready for TLS, 40 ms each time, and runs are watched twice a second.
        with closing(HTTPConnection(LOOPBACK, port, timeout=_SCRAPE_SECONDS)) as connection:
            connection.request("GET", "/metrics")
            answer = connection.getresponse()
            if answer.status != HTTPStatus.OK:
                return None
            families = list(text_string_to_metric_families(_ours(answer.read().decode())))
    except (OSError, HTTPException, ValueError):
        return None
    totals: dict[str, float] = defaultdict(float)
    for family in families:
        for sample in family.samples:
            if sample.name.endswith("_created"):
                continue
            totals[sample.name] += sample.value
            for label in ("reason", "topic", "table", "count"):
                if label in sample.labels:
                    totals[f"{sample.name}{{{sample.labels[label]}}}"] += sample.value
    return dict(totals)


def _ours(text: str) -> str:
    """The lines that are read: parsing all of them, of which most are buckets and help, is most of what watching a run costs."""
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if line.startswith("journey_") and "_bucket{" not in line)


def _escape_control_characters(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in event.items():
        if isinstance(value, str):  # a traceback keeps its lines, and nothing else
            lines = value.split("\n") if name == "exception" else [value]
            event[name] = "\n".join(line.translate(_ESCAPED) for line in lines)
    return event
