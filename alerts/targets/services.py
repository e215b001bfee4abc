"""Slack, Teams, e-mail, PagerDuty and the rest, by Apprise."""

from __future__ import annotations

import asyncio
import io
import logging
import re
import threading
from contextlib import AbstractContextManager, nullcontext

import apprise

from alerts.addresses import PrivateAddress, public_addresses_only
from alerts.config import AppriseTarget
from alerts.errors import NotDelivered
from alerts.targets.base import Message
from funnel.durations import MICROSECONDS, parse_duration

_STATUS = re.compile(r"error=(\d{3})\b")


class AppriseSender:
    """Hands messages to Apprise, which waits for its answers; so each goes through a thread."""

    most_together = 1_000_000

    def __init__(self, target: AppriseTarget) -> None:
        """Make one.

        Raises:
            NotDelivered: Apprise knows no service of this URL.
        """
        self._target = target
        self._seconds = parse_duration(target.timeout) / MICROSECONDS
        asset = apprise.AppriseAsset(
            app_id="buyer-journey",
            app_desc="buyer-journey",
            async_mode=False,
            secure_logging=True,
            http_redirects=False,
            allow_templates=False,
        )
        self._service = apprise.Apprise(asset=asset)
        if not self._service.add(target.url.get_secret_value()):
            raise NotDelivered(f"Apprise can't read the URL in {target.url_env}", again=False)
        for one in self._service:
            one.socket_connect_timeout = one.socket_read_timeout = self._seconds

    async def send(self, message: Message) -> None:
        """See `alerts.targets.base.Sender`."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[NotDelivered | None] = loop.create_future()

        def settle(why: NotDelivered | None) -> None:
            if not done.done():
                done.set_result(why)

        def work() -> None:
            why = self._notify(message)
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, why)

        # A thread that the end of the process does not wait for: a service that is silent must not keep us.
        threading.Thread(target=work, daemon=True, name="apprise").start()
        longest = 2 * self._seconds + 1
        try:
            why = await asyncio.wait_for(done, longest)
        except TimeoutError:
            raise NotDelivered(f"no answer within {longest:g} s") from None
        if why is not None:
            raise why

    def _notify(self, message: Message) -> NotDelivered | None:
        """Why it was not delivered; None where it was."""
        text = message.text
        guard: AbstractContextManager[list[PrivateAddress]] = (
            nullcontext([]) if self._target.allow_private else public_addresses_only()
        )
        try:
            with guard as refusals, _captured() as log:
                good = self._service.notify(
                    title=text.subject, body=text.body or text.subject, body_format=apprise.NotifyFormat.TEXT
                )
                said = log.getvalue()
        except Exception as error:
            return NotDelivered(f"Apprise failed ({type(error).__name__})")
        if good:
            return None
        if refusals:
            return NotDelivered(str(refusals[0]), again=False)
        # What Apprise logs may hold parts of the URL; only a status is safe to repeat.
        status = _STATUS.search(said)
        return NotDelivered(
            f"the service answered {status[1]}" if status else "the service can't be reached, or refused"
        )

    async def close(self) -> None:
        """Nothing is held."""


def _captured() -> AbstractContextManager[io.StringIO]:
    captured: AbstractContextManager[io.StringIO] = apprise.LogCapture(level=logging.WARNING)  # type: ignore[no-untyped-call]  # Apprise's own
    return captured
