"""What is to be done about alerts, and that nothing is done twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.config import Alerts, Route, WebhookTarget
from alerts.ledger import KEPT, Ledger
from funnel.alerts import ESCALATED, Alert
from schemas.alerts import ALERTS, SENDING, SENT, VOID, WAITING, Delivery
from tests.unit.alerts.files import MINUTE, NOW, alert, alerts_file, ended

ROUTE = '\n[[routes]]\nname = "all"\nto = ["crm", "slack"]\n'


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Of a file with one route to two targets, of which only the first is told of ends."""
    return Ledger(alerts_file(tmp_path, ROUTE))


def _plan(ledger: Ledger, one: Alert, now: int = NOW) -> list[Delivery]:
    return ledger.plan(one, ALERTS.encode(one), now)


def _send(ledger: Ledger, now: int = NOW) -> list[list[str]]:
    """Send all that is due; the keys that went together."""
    sent = []
    for members in ledger.due(now):
        ledger.change(members, now, state=SENT, alert=b"", attempts=1)
        sent.append([one.key.decode() for one in members])
    return sent


def test_an_alert_goes_to_each_target_once(ledger: Ledger) -> None:
    """However often it is told."""
    assert [one.target for one in _plan(ledger, alert())] == ["crm", "slack"]
    assert _plan(ledger, alert()) == []
    assert len(_send(ledger)) == 2
    assert _send(ledger) == []
    assert _plan(ledger, alert()) == []
    assert ledger.open == 0


def test_an_escalation_is_told_of_its_own(ledger: Ledger) -> None:
    """With the same alert_id and another key."""
    _plan(ledger, alert())
    _send(ledger)
    assert [one.step for one in _plan(ledger, alert(change=ESCALATED, level=1))] == ["1", "1"]


def test_an_end_is_told_to_those_who_were_told(ledger: Ledger) -> None:
    """Once, and only to targets that want to know."""
    _plan(ledger, alert())
    _send(ledger)
    assert [(one.target, one.step) for one in _plan(ledger, ended(alert()))] == [("crm", "resolved")]
    assert _plan(ledger, ended(alert())) == []
    assert _plan(ledger, ended(alert(7))) == []


def test_what_ended_before_it_was_told_is_told_nobody(ledger: Ledger) -> None:
    """Nor is its end."""
    _plan(ledger, alert())
    assert {one.state for one in _plan(ledger, ended(alert()))} == {VOID}
    assert _send(ledger) == []
    assert _plan(ledger, alert()) == []  # told again from before its end


def test_an_end_follows_what_may_have_arrived(ledger: Ledger) -> None:
    """A message whose answer was lost may be known to its target."""
    _plan(ledger, alert())
    for members in ledger.due(NOW):
        ledger.change(members, NOW, state=WAITING, attempts=1, due_at=NOW + MINUTE)
    planned = _plan(ledger, ended(alert()))
    assert [(one.target, one.step, one.state) for one in planned if one.state != VOID] == [("crm", "resolved", WAITING)]


@pytest.mark.slow
def test_beyond_the_limit_all_goes_in_one_digest(tmp_path: Path) -> None:
    """10,000 stalls are 20 messages, and one more when the hour is over; then it starts over."""
    ledger = Ledger(alerts_file(tmp_path, ROUTE.replace('["crm", "slack"]', '"crm"')))
    for number in range(10_000):
        _plan(ledger, alert(number))
    assert len(_send(ledger)) == 20
    later = NOW + 60 * MINUTE
    (digest,) = _send(ledger, later)
    assert len(digest) == 9_980
    _plan(ledger, alert(20_000), later)
    assert len(_send(ledger, later)) == 1


def test_a_digest_holds_who_is_stalled_when_it_goes_out(tmp_path: Path) -> None:
    """And keeps its members when it has to be sent again, though others come."""
    ledger = Ledger(alerts_file(tmp_path, ROUTE.replace('["crm", "slack"]', '"crm"') + 'when = "hourly"'))
    for number in range(3):
        _plan(ledger, alert(number))
    _plan(ledger, ended(alert(1)))
    assert _send(ledger) == []
    hour = NOW - NOW % (60 * MINUTE) + 60 * MINUTE
    (members,) = ledger.due(hour)
    assert len(members) == 2
    again = ledger.change(members, hour, state=WAITING, attempts=1, due_at=hour + MINUTE)
    _plan(ledger, alert(5), hour + 1)
    (second,) = ledger.due(hour + MINUTE)
    assert second == sorted(again, key=lambda one: one.key)


def test_what_was_being_sent_is_sent_again_after_a_crash(ledger: Ledger, tmp_path: Path) -> None:
    """Under the same key; what was sent is not."""
    planned = _plan(ledger, alert())
    (first,) = ledger.change(planned[:1], NOW, state=SENDING)
    (second,) = ledger.change(planned[1:], NOW, state=SENT, alert=b"")
    after = Ledger(alerts_file(tmp_path, ROUTE))
    for one in (first, second):
        after.restore(one)
    assert _send(after) == [[first.key.decode()]]
    assert _plan(after, alert()) == []


def test_what_is_over_for_long_is_forgotten(ledger: Ledger) -> None:
    """What is not over isn't."""
    _plan(ledger, alert())
    _send(ledger)
    _plan(ledger, alert(1))
    outdated = ledger.outdated(NOW + KEPT + MINUTE)
    assert len(outdated) == 2
    for key in outdated:
        ledger.remove(key)
    assert len(ledger) == ledger.open == 2


_ALERTS = Alerts(
    targets={"a": WebhookTarget(type="webhook", url="https://a.example.com", secret_env="A")},
    routes=(Route(name="r", to=("a",), limit="2 per minute"),),
)


@given(st.data())
def test_crashes_lose_and_double_nothing(data: st.DataObject) -> None:
    """Whatever comes again, and wherever the process ends: every step is sent, and none again but what was on its way."""
    told = [
        alert(number, change="opened" if level == 0 else ESCALATED, level=level)
        for number in range(4)
        for level in range(2)
    ]
    book: dict[bytes, Delivery] = {}
    ledger = Ledger(_ALERTS)
    now = NOW
    arrived: list[bytes] = []
    cut_off: set[bytes] = set()
    stream = data.draw(st.permutations(told * 2))
    for one in [*stream, *told]:
        now += data.draw(st.integers(0, 40)) * 1_000_000
        book |= {change.key: change for change in ledger.plan(one, ALERTS.encode(one), now)}
        for members in ledger.due(now):
            sending = ledger.change(members, now, state=SENDING)
            book |= {change.key: change for change in sending}
            arrived += [change.key for change in sending]
            if data.draw(st.integers(0, 3)) == 0:  # killed before the answer
                cut_off |= {change.key for change in sending}
                ledger = Ledger(_ALERTS)
                for known in book.values():
                    ledger.restore(known)
                break
            book |= {change.key: change for change in ledger.change(sending, now, state=SENT, alert=b"")}
    for members in ledger.due(now + 10 * MINUTE):
        arrived += [change.key for change in members]
        ledger.change(members, now, state=SENT)
    wanted = {f"{one.step}".encode() for one in told}
    assert {key.split(b"/")[1] for key in arrived} == wanted
    assert len(set(arrived)) == len({(one.alert_id, one.step) for one in told})
    assert {key for key in arrived if arrived.count(key) > 1} <= cut_off
