"""`journey link` and `journey split`: people declare whose an identifier is, or is not."""

from __future__ import annotations

import time
import uuid
from typing import Any

from rich.text import Text

from agents.acceptance import phone_parser
from funnel.durations import MICROSECONDS
from funnel.identifiers import KINDS, Identifier, identify
from journey import topic_admin, topics
from journey.clickhouse import connected
from journey.errors import JourneyError
from journey.kafka_clients import admin_client, producer_client
from journey.local_stack import running_stack
from journey.screen import Screen, waiting_line
from journey.sending import running_kafka
from journey.settings import Settings
from journey.who import lines_of, who
from journey.wiring import codec_of

SOURCE = "journey-cli"


def declare(settings: Settings, kind: str, weaker: str, stronger: str, screen: Screen) -> int:
    """Declare a link or a split; returns the exit code.

    Where brokers are configured or a stack runs in the data directory, the declaration is sent there. Else a stack is started for it.

    Args:
        settings: say where.
        kind: link or split.
        weaker: kind:value ...
        stronger: ... of a stronger kind, or both user_ids.
        screen: to show the outcome on.

    Raises:
        JourneyError: they are no such identifiers, or Kafka can't be reached.
    """
    declaration = declaration_of(kind, weaker, stronger, settings.phone_region)
    running = running_kafka(settings)
    if running is not None:
        with admin_client(running) as admin:
            topic_admin.require_topics(admin, [_topic(running)])
        _send(running, declaration)
        screen.out.print(Text(f"{kind} sent; facts follow within seconds (`journey who {weaker}`)"))
        return 0
    with waiting_line(screen) as waiting, running_stack(settings, say=waiting.say, progress=waiting.show) as stack:
        _send(stack.settings, declaration)
        stack.drain(waiting.show)
        waiting.hide()
        with connected(stack.settings) as reader:
            for line in lines_of(who(reader, declaration["weaker"], stack.settings)):
                screen.out.print(Text(line))
    return 0


def declaration_of(kind: str, weaker: str, stronger: str, phone_region: str) -> dict[str, Any]:
    """The event, as of now.

    Raises:
        JourneyError: it would be a dead letter.
    """
    low, high = (_identifier(text, phone_region) for text in (weaker, stronger))
    strength, other = KINDS.index(low.kind), KINDS.index(high.kind)
    if low == high:
        raise JourneyError("both are the same identifier")
    if strength < other or (strength == other and low.kind != "user_id"):
        raise JourneyError(
            f"a {low.kind} is not weaker than a {high.kind}",
            hint=f"the weaker one comes first; from strong to weak: {', '.join(KINDS)}; two user_ids may be linked, too",
        )
    return {
        "channel": "declaration",
        "event_id": str(uuid.uuid4()),
        "source": SOURCE,
        "occurred_at": int(time.time() * MICROSECONDS),
        "type": kind,
        "weaker": low.canonical,
        "stronger": high.canonical,
    }


def _identifier(text: str, phone_region: str) -> Identifier:
    kind, colon, value = text.strip().partition(":")
    found = identify({kind: value}, phone_parser(phone_region)) if colon and kind in KINDS else ()
    if not found:
        raise JourneyError(f"expected kind:value (kinds: {', '.join(KINDS)}), such as email:jane@x.com")
    return found[0]


def _send(settings: Settings, declaration: dict[str, Any]) -> None:
    with producer_client(settings) as producer:
        value = codec_of(settings).encode(declaration)
        producer.send(_topic(settings), key=declaration["weaker"].encode(), value=value).get(timeout=30)


def _topic(settings: Settings) -> str:
    return topics.topic_name(settings, topics.INPUT_TOPICS["declaration"])
