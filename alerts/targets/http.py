"""Targets that take JSON over HTTP: a signed webhook, and Alertmanager."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from alerts.addresses import PrivateAddress, PublicResolver, check_host
from alerts.config import AlertmanagerTarget, WebhookTarget
from alerts.errors import NotDelivered
from alerts.render import data_of, iso
from alerts.targets.base import Message
from funnel.alerts import RESOLVED, Alert
from funnel.durations import MICROSECONDS, parse_duration
from funnel.facts import STALL

_GOOD, _OVER, _CLIENT, _SERVER = 200, 300, 400, 500
_AGAIN = frozenset({408, 409, 423, 425, 429})
"""Refusals that are about the moment, not about the message."""
_FIRING_FOR = 30 * 86_400 * MICROSECONDS
"""For how long Alertmanager shows an alert that nobody ends; visits expire after weeks."""


class _HttpSender:
    """Posts JSON; no redirects, no proxies from the environment, no private addresses unless allowed."""

    most_together = 500

    def __init__(self, target: WebhookTarget | AlertmanagerTarget) -> None:
        self._target = target
        self._session: aiohttp.ClientSession | None = None

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> None:
        target = self._target
        try:
            if not target.allow_private:
                check_host(urlsplit(url).hostname or "")
            async with self._connected().post(url, data=body, headers=headers, allow_redirects=False) as answer:
                if _GOOD <= answer.status < _OVER:
                    return
                again = answer.status >= _SERVER or answer.status in _AGAIN
                raise NotDelivered(
                    f"HTTP {answer.status}" + ("" if answer.status >= _CLIENT else ": redirects are not followed"),
                    again=again,
                    after=_seconds(answer.headers.get("Retry-After")) if again else None,
                )
        except TimeoutError:
            raise NotDelivered(f"no answer within {target.timeout}") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            refused = getattr(error, "os_error", error)  # what was behind it, where it is aiohttp's
            if isinstance(refused, PrivateAddress):
                raise NotDelivered(str(refused), again=False) from None
            raise NotDelivered(f"can't be reached ({type(error).__name__})") from None

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            resolver = None if self._target.allow_private else PublicResolver()
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=resolver, limit=4),
                timeout=aiohttp.ClientTimeout(total=parse_duration(self._target.timeout) / MICROSECONDS),
                auto_decompress=False,
                headers={"User-Agent": "buyer-journey", "Content-Type": "application/json"},
            )
        return self._session

    async def close(self) -> None:
        """Let go of connections."""
        if self._session is not None:
            await self._session.close()


class WebhookSender(_HttpSender):
    """JSON that is signed as Standard Webhooks say: receivers check it with any of their libraries."""

    def __init__(self, target: WebhookTarget) -> None:
        super().__init__(target)
        self._url, self._secret = target.url, secret_bytes(target.secret.get_secret_value())

    async def send(self, message: Message) -> None:
        """See `alerts.targets.base.Sender`."""
        kind = "digest" if message.digest else f"{message.alerts[0].kind}.{message.alerts[0].change}"
        body = json.dumps(
            {
                "type": kind,
                "timestamp": iso(message.now),
                "data": [data_of(one) for one in message.alerts] if message.digest else data_of(message.alerts[0]),
                "text": message.text._asdict(),
            },
            ensure_ascii=False,
        ).encode()
        timestamp = str(message.now // MICROSECONDS)
        await self._post(
            self._url,
            body,
            {
                "webhook-id": message.id,
                "webhook-timestamp": timestamp,
                "webhook-signature": signature(self._secret, message.id, timestamp, body),
                "Idempotency-Key": message.id,
            },
        )


def secret_bytes(secret: str) -> bytes:
    """The key that a secret stands for: `whsec_` and base64, or the text itself."""
    if secret.startswith("whsec_"):
        try:
            return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except ValueError:
            pass
    return secret.encode()


def signature(secret: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    """HMAC-SHA256 over id, time (seconds since 1970) and body: nobody can send it as theirs, or send it again much later."""
    signed = hmac.new(secret, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(signed).decode()


class AlertmanagerSender(_HttpSender):
    """Alertmanager's API v2. Labels say what an alert is and stay the same; all that changes is in the annotations."""

    def __init__(self, target: AlertmanagerTarget) -> None:
        super().__init__(target)
        self._url = target.url.rstrip("/") + "/api/v2/alerts"
        token = target.token.get_secret_value()
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def send(self, message: Message) -> None:
        """See `alerts.targets.base.Sender`."""
        body = json.dumps([_posted(one, message) for one in message.alerts], ensure_ascii=False).encode()
        await self._post(self._url, body, self._headers)


def _posted(alert: Alert, message: Message) -> dict[str, Any]:
    data = data_of(alert)
    ends = alert.resolved_at if alert.change == RESOLVED else message.now + _FIRING_FOR
    # Alertmanager refuses an end before the start, as an episode that late events take back has.
    ends = max(ends or 0, alert.deadline + 1)
    labels = {
        "alertname": "ProspectStalled" if alert.kind == STALL else "ProspectUnanswered",
        "alert_id": data["alert_id"],
        "prospect_id": data["prospect_id"],
        "funnel": alert.funnel,
        "stage": alert.stage,
        "team": alert.team,
    }
    annotations = {
        "summary": message.text.subject
        if not message.digest
        else f"{alert.stage}: {alert.account_id or data['prospect_id']}",
        "level": str(alert.level),
        "account": alert.account_id,
        "rep": alert.rep,
        "amount": f"{data['amount']} {alert.currency}" if alert.amount else "",
        "resolution": alert.resolution,
    }
    return {
        # Empty ones are the same as none to Alertmanager.
        "labels": {name: value for name, value in labels.items() if value},
        "annotations": {name: value for name, value in annotations.items() if value},
        "startsAt": iso(alert.deadline),
        "endsAt": iso(ends),
    }


def _seconds(text: str | None) -> float | None:
    """What a Retry-After asks for; None where it says nothing that can be read."""
    if text is None:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (until - datetime.now(UTC if until.tzinfo else None)).total_seconds())
