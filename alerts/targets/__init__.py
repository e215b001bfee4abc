"""Those who are told: what a target of each type takes, over real HTTP."""

from __future__ import annotations

from alerts.config import AlertmanagerTarget, AppriseTarget, Target
from alerts.targets.base import Message, Sender
from alerts.targets.http import AlertmanagerSender, WebhookSender

__all__ = ["Message", "Sender", "sender_of"]


def sender_of(target: Target) -> Sender:
    """What delivers to a target."""
    if isinstance(target, AppriseTarget):
        from alerts.targets.services import AppriseSender  # it loads a hundred services; most do without

        return AppriseSender(target)
    if isinstance(target, AlertmanagerTarget):
        return AlertmanagerSender(target)
    return WebhookSender(target)
