"""Sending what is due: one message after another to each target, all targets at the same time."""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import structlog

from alerts import metrics
from alerts.config import Alerts
from alerts.errors import NotDelivered
from alerts.render import digest_of, text_of
from alerts.targets import Message, Sender
from funnel.alerts import Alert
from funnel.durations import MICROSECONDS, parse_duration
from schemas.alerts import FAILED, SENT, WAITING, Delivery

FIRST_WAIT, LONGEST_WAIT = 1.0, 600.0
"""Seconds between attempts: doubled from the first to the longest."""
_log = structlog.get_logger(__name__)


class Result(NamedTuple):
    """How sending a message went."""

    members: Sequence[Delivery]
    state: str
    """sent, failed, or waiting: to be tried again ..."""
    error: str = ""
    due_at: int = 0
    """... at this time (microseconds)."""


def message_of(alerts: Alerts, members: Sequence[Delivery], decode: Callable[[bytes], Alert], now: int) -> Message:
    """What goes out for deliveries that go together.

    Args:
        alerts: the file.
        members: at least one; all on one route to one target.
        decode: reads an alert.
        now: the wall clock (microseconds).
    """
    found = tuple(decode(one.alert) for one in members)
    route = alerts.route(members[0].route)
    subject, body = (route.subject, route.body) if route is not None else (None, None)
    if not members[0].digest:
        return Message(members[0].key.decode(), found, text_of(found[0], now, subject, body), False, now)
    # Its members are written down before it is first sent, so that another attempt has the same id.
    named = hashlib.sha256(b"\n".join(sorted(one.key for one in members))).hexdigest()[:32]
    message_id = f"digest/{members[0].route}/{members[0].target}/{members[0].digest}/{named}"
    return Message(message_id, found, digest_of(found, now, subject), True, now)


def wait_of(failures: int) -> float:
    """Seconds until the next attempt after so many (at least one) that failed in a row."""
    return float(min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(failures - 1, 20)))


class Outbox:
    """The messages to one target that are to be sent now, and its moods: a target that fails is left alone for a while, and delays no other."""

    def __init__(self, name: str, alerts: Alerts, sender: Sender, clock: Callable[[], float]) -> None:
        """Args: clock: the wall's, seconds since 1970."""
        self.name = name
        self.waiting: deque[Sequence[Delivery]] = deque()
        self._alerts, self._sender, self._clock = alerts, sender, clock
        self._give_up_after = parse_duration(alerts.targets[name].give_up_after)
        self._failures = 0
        self._blocked_until = 0.0
        metrics.FAILING.labels(name).set(0)

    @property
    def most_together(self) -> int:
        """Alerts in one message at most."""
        return self._sender.most_together

    def next(self) -> Sequence[Delivery] | None:
        """The message to send now; None where there is none, or the target is left alone."""
        if not self.waiting or self._clock() < self._blocked_until:
            return None
        return self.waiting.popleft()

    async def send(self, members: Sequence[Delivery], decode: Callable[[bytes], Alert]) -> Result:
        """Send one message and tell how it went; never raises but for cancellation."""
        now = int(self._clock() * MICROSECONDS)
        try:
            await self._sender.send(message_of(self._alerts, members, decode, now))
        except NotDelivered as error:
            return self._failed(members, error)
        except Exception as error:
            _log.exception("alert_sender_failed", target=self.name)
            return self._failed(members, NotDelivered(f"sending failed ({type(error).__name__})"))
        self._failures, self._blocked_until = 0, 0.0
        metrics.FAILING.labels(self.name).set(0)
        metrics.DELIVERIES.labels(self.name, "sent").inc(len(members))
        return Result(members, SENT)

    def _failed(self, members: Sequence[Delivery], error: NotDelivered) -> Result:
        now = self._clock()
        metrics.FAILING.labels(self.name).set(1)
        _log.warning(
            "alert_not_delivered", target=self.name, route=members[0].route, alerts=len(members), error=str(error)
        )
        if error.again:
            self._failures += 1
            wait = max(wait_of(self._failures), error.after or 0.0)
            self._blocked_until = now + wait
            due_at = int((now + wait) * MICROSECONDS)
            if due_at - members[0].planned_at <= self._give_up_after:
                metrics.DELIVERIES.labels(self.name, "retried").inc(len(members))
                return Result(members, WAITING, str(error), due_at)
        metrics.DELIVERIES.labels(self.name, "failed").inc(len(members))
        return Result(members, FAILED, str(error))

    async def close(self) -> None:
        """Let go of connections."""
        await self._sender.close()


class Dispatcher:
    """All outboxes, and what is on its way."""

    def __init__(
        self,
        alerts: Alerts,
        senders: Mapping[str, Sender],
        decode: Callable[[bytes], Alert],
        clock: Callable[[], float],
    ) -> None:
        self._outboxes = {name: Outbox(name, alerts, sender, clock) for name, sender in senders.items()}
        self._decode = decode
        self._sending: dict[str, asyncio.Task[Result]] = {}

    def add(self, messages: Sequence[Sequence[Delivery]]) -> None:
        """Messages that are due; those of targets that the file no longer has are not taken."""
        for members in messages:
            outbox = self._outboxes[members[0].target]
            for start in range(0, len(members), outbox.most_together):
                outbox.waiting.append(members[start : start + outbox.most_together])

    def ready(self) -> list[Sequence[Delivery]]:
        """The next message of every target that is sent nothing at present: to be written down as `sending`, then `start`ed."""
        found = (outbox.next() for name, outbox in self._outboxes.items() if name not in self._sending)
        return [members for members in found if members is not None]

    def start(self, members: Sequence[Delivery]) -> None:
        """Send a message of `ready`."""
        outbox = self._outboxes[members[0].target]
        self._sending[outbox.name] = asyncio.ensure_future(outbox.send(members, self._decode))

    def results(self) -> list[Result]:
        """What came of those that are no longer on their way."""
        done = [name for name, task in self._sending.items() if task.done()]
        return [self._sending.pop(name).result() for name in done]

    async def close(self, seconds: float) -> list[Result]:
        """Wait for what is on its way, for at most so long, and let go of connections."""
        if self._sending:
            await asyncio.wait(self._sending.values(), timeout=seconds)
        found = self.results()
        for task in self._sending.values():
            task.cancel()
        for outbox in self._outboxes.values():
            await outbox.close()
        return found
