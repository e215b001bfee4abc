"""What became of all alerts of one partition: a table over the topic `alert-deliveries`, and what has to be done next.

Pure: it is told the time, and tells what changed; whoever uses it writes that down before anything is sent.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator

from alerts.config import Alerts, Route
from alerts.routing import Routing, digest_due, window_of
from funnel.alerts import RESOLVED, Alert
from funnel.durations import MICROSECONDS
from schemas.alerts import OVER, SENDING, SENT, VOID, WAITING, Delivery

KEPT = 400 * 86_400 * MICROSECONDS
"""How long what is over is remembered: an episode that goes on may be told again when its partition is read again."""
_WINDOWS = 1_000
_ENDED_BEFORE = "resolved before it could be told"


class Ledger:
    """Deliveries by their keys."""

    def __init__(self, alerts: Alerts) -> None:
        self._alerts, self._routing = alerts, Routing(alerts)
        self._deliveries: dict[bytes, Delivery] = {}
        self._of_alert: dict[bytes, dict[bytes, None]] = {}
        self._due: list[tuple[int, bytes]] = []
        self._planned: Counter[tuple[str, str, int]] = Counter()
        """By route, target and the end of a window: messages of their own that were planned in it."""
        self.open = 0
        """How many are not over."""

    def __len__(self) -> int:
        return len(self._deliveries)

    def __iter__(self) -> Iterator[Delivery]:
        return iter(self._deliveries.values())

    def __contains__(self, key: bytes) -> bool:
        return key in self._deliveries

    def __getitem__(self, key: bytes) -> Delivery:
        return self._deliveries[key]

    def put(self, delivery: Delivery) -> Delivery:
        """Know this of it from now on; also what comes back from the topic: a delivery that was cut off is due again."""
        key = delivery.key
        if key not in self._deliveries:
            self._of_alert.setdefault(delivery.alert_id, {})[key] = None
            route = self._alerts.route(delivery.route)
            if route is not None and not delivery.digest:
                end = window_of(route, delivery.planned_at)[1]
                self._planned[delivery.route, delivery.target, end] += 1
        before = self._deliveries.get(key)
        self.open += (delivery.state not in OVER) - (before is not None and before.state not in OVER)
        self._deliveries[key] = delivery
        if delivery.state == WAITING:
            heapq.heappush(self._due, (delivery.due_at, key))
        return delivery

    def restore(self, delivery: Delivery) -> None:
        """The same of what was read from the topic: what was being sent when its process ended is sent again."""
        self.put(delivery._replace(state=WAITING) if delivery.state == SENDING else delivery)

    def remove(self, key: bytes) -> None:
        """Forget about one."""
        gone = self._deliveries.pop(key, None)
        if gone is not None:
            self.open -= gone.state not in OVER
            left = self._of_alert[gone.alert_id]
            del left[key]
            if not left:
                del self._of_alert[gone.alert_id]

    def plan(self, alert: Alert, message: bytes, now: int) -> list[Delivery]:
        """What has to be done about an alert; nothing where all of it was planned before.

        Args:
            alert: the alert ...
            message: ... and as it came.
            now: the wall clock (microseconds).
        """
        if len(self._planned) > _WINDOWS:
            self._planned = Counter({window: count for window, count in self._planned.items() if window[2] > now})
        if alert.change == RESOLVED:
            return self._plan_end(alert, message, now)
        known = [self._deliveries[key] for key in self._of_alert.get(alert.alert_id, ())]
        if any(one.step == RESOLVED for one in known):
            return []  # told again from before its end
        told = {one.route for one in known}
        planned = []
        for route in self._routing.routes_of(alert, told.__contains__):
            for target in route.to:
                one = self._planned_now(alert, message, route, target, now)
                if one.key not in self._deliveries:
                    planned.append(self.put(one))
        return planned

    def _plan_end(self, alert: Alert, message: bytes, now: int) -> list[Delivery]:
        changed = []
        arrived: dict[tuple[str, str], None] = {}
        for key in list(self._of_alert.get(alert.alert_id, ())):
            one = self._deliveries[key]
            if one.step == RESOLVED:
                continue
            if one.state == WAITING:
                changed += self.change([one], now, state=VOID, error=_ENDED_BEFORE, alert=b"")
            if one.state in (SENT, SENDING) or one.attempts:
                arrived[one.route, one.target] = None
        for route_name, target in arrived:
            route = self._alerts.route(route_name)
            if route is None or target not in self._alerts.targets or not self._alerts.targets[target].resolved:
                continue
            one = self._planned_now(alert, message, route, target, now)
            if one.key not in self._deliveries:
                changed.append(self.put(one))
        return changed

    def _planned_now(self, alert: Alert, message: bytes, route: Route, target: str, now: int) -> Delivery:
        due, digest = now, ""
        later = digest_due(route, now)
        if later is None:
            end = window_of(route, now)[1]
            if self._planned[route.name, target, end] >= route.most:
                later = end
        if later is not None:
            due, digest = later, str(later)
        return Delivery(
            alert.alert_id, alert.step, route.name, target, alert.prospect_id, alert.funnel, alert.stage, WAITING, due, digest,
            0, now, now, "", message,
        )  # fmt: skip

    def due(self, now: int) -> list[list[Delivery]]:
        """What is to be sent now, in messages; each is named once, until it is put back."""
        messages: dict[tuple[str, ...], list[Delivery]] = {}
        while self._due and self._due[0][0] <= now:
            due_at, key = heapq.heappop(self._due)
            one = self._deliveries.get(key)
            if one is None or one.state != WAITING or one.due_at != due_at:
                continue
            name = (one.route, one.target, one.digest) if one.digest else (key.decode(),)
            if one not in messages.setdefault(name, []):
                messages[name].append(one)
        return [sorted(members, key=lambda one: one.key) for members in messages.values()]

    def change(self, deliveries: Iterable[Delivery], now: int, **fields: object) -> list[Delivery]:
        """These with other fields, at `now` (microseconds). Of two records of one the later one counts, so times differ."""
        return [self.put(one._replace(changed_at=max(now, one.changed_at + 1), **fields)) for one in deliveries]  # type: ignore[arg-type]  # fields of a named tuple

    def outdated(self, now: int) -> list[bytes]:
        """Keys of what is over for so long that nobody will ask."""
        return [key for key, one in self._deliveries.items() if one.state in OVER and now - one.changed_at > KEPT]
