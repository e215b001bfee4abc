"""The notifier on a real broker, telling real web servers."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from datetime import UTC, datetime
from pathlib import Path

from tests.broker import Tansu
from tests.integration.notifying import notifier_config, running, send, states
from tests.recorder import Answer, Recorder, Request
from tests.sinking import until
from tests.unit.alerts.files import alert, ended

KEY = b"a secret that both sides know"
SECRETS = {"SECRET": "whsec_" + base64.b64encode(KEY).decode()}


def webhook(name: str, url: str, more: str = "") -> str:
    """A target of a file."""
    return f'\n[targets.{name}]\ntype = "webhook"\nurl = "{url}"\nsecret_env = "SECRET"\nallow_private = true\n{more}\n'


def route(to: str, more: str = "") -> str:
    """A route of a file."""
    return f'\n[[routes]]\nname = "all"\nto = {to}\n{more}\n'


def now() -> int:
    """Microseconds."""
    return int(time.time() * 1_000_000)


async def test_a_webhook_is_told_once_and_can_tell_who_it_is_from(tansu: Tansu, tmp_path: Path) -> None:
    """Signed over id, time and body by the rules of Standard Webhooks; the same alert told twice is one message."""
    with Recorder() as crm:
        config = notifier_config(tansu, tmp_path / "alerts.toml", webhook("crm", crm.url) + route('"crm"'), SECRETS)
        await send(config, [alert(1), alert(2), alert(1), ended(alert(2), now())])
        async with running(config) as notifier:
            await until(
                lambda: len(states(notifier)) >= 2 and not any(s[1] == "waiting" for s in states(notifier)), "all"
            )
        await send(config, [alert(1), alert(3)])
        async with running(config) as notifier:  # it knows what the one before has told
            await until(
                lambda: any(request.json["data"]["alert_id"].endswith("3") for request in crm.requests), "the third"
            )
    by_alert = {(request.json["data"]["alert_id"][-1], request.json["type"]) for request in crm.requests}
    assert by_alert >= {("1", "stall.opened"), ("3", "stall.opened")}
    assert len({request.id for request in crm.requests}) == len(crm.requests)
    for request in crm.requests:
        signed = f"{request.id}.{request.headers['webhook-timestamp']}.".encode() + request.body
        expected = base64.b64encode(hmac.digest(KEY, signed, hashlib.sha256)).decode()
        assert request.headers["webhook-signature"] == f"v1,{expected}"
        assert request.headers["idempotency-key"] == request.id
        assert abs(int(request.headers["webhook-timestamp"]) - time.time()) < 60
    data = next(request.json["data"] for request in crm.requests)
    assert (data["funnel"], data["stage"], data["account_id"], data["amount"]) == (
        "sales",
        "consideration",
        "acme",
        "12000.00",
    )


async def test_retry_after_is_respected_and_a_dead_target_delays_nobody(tansu: Tansu, tmp_path: Path) -> None:
    """One target asks for patience, one is silent, one refuses for good, one isn't there: the fifth is told at once, and the first when it wants."""
    asked: list[float] = []

    def busy(_: Request) -> Answer:
        asked.append(time.monotonic())
        return Answer(429, {"Retry-After": "3"}) if len(asked) == 1 else Answer()

    def silent(_: Request) -> Answer:
        time.sleep(5)
        return Answer()

    with (
        Recorder(busy) as patient,
        Recorder(silent) as dead,
        Recorder(lambda _: Answer(410)) as gone,
        Recorder() as good,
    ):
        targets = (
            webhook("patient", patient.url)
            + webhook("dead", dead.url, 'timeout = "1s"')
            + webhook("gone", gone.url)
            + webhook("nobody", "http://127.0.0.1:9/hook", 'give_up_after = "0s"')
            + webhook("good", good.url)
        )
        routes = route('["dead", "patient", "gone", "nobody", "good"]')
        config = notifier_config(tansu, tmp_path / "alerts.toml", targets + routes, SECRETS)
        async with running(config) as notifier:
            await until(lambda: len(notifier._ledgers) == 2, "partitions")
            began = time.monotonic()
            await send(config, [alert(number) for number in range(5)])
            await until(lambda: len(good.requests) == 5, "the good one knows all")
            assert time.monotonic() - began < 10
            await until(lambda: ("patient", "sent", "") in states(notifier), "the patient one was told")
            await until(lambda: sum(one[:2] == ("patient", "sent") for one in states(notifier)) == 5, "of all")
            found = states(notifier)
    assert asked[1] - asked[0] >= 3
    assert {one for one in found if one[0] == "gone"} == {("gone", "failed", "HTTP 410")}
    assert "failed" in {one[1] for one in found if one[0] == "nobody"}
    assert {one[1] for one in found if one[0] == "dead"} <= {"waiting", "sending"}
    assert len(dead.requests) < 5  # it is left alone for a while, not asked for each alert


async def test_private_addresses_and_redirects_are_refused(tansu: Tansu, tmp_path: Path) -> None:
    """By number and by name, unless the file says so; nothing reaches them."""
    with Recorder() as inside, Recorder(lambda _: Answer(302, {"Location": inside.url})) as redirecting:
        port = inside.address.partition(":")[2]
        targets = (
            webhook("number", inside.url).replace("allow_private = true", "")
            + webhook("name", f"http://localhost:{port}/").replace("allow_private = true", "")
            + webhook("redirecting", redirecting.url, 'give_up_after = "0s"')
            + '\n[targets.service]\ntype = "apprise"\nurl_env = "SERVICE"\n'
            + '\n[targets.mail]\ntype = "apprise"\nurl_env = "MAIL"\n'
        )
        secrets = SECRETS | {
            "SERVICE": f"json://{inside.address}/hook",
            "MAIL": f"mailto://user:pw@127.0.0.1:{port}?to=a@example.com&from=b@example.com",
        }
        routes = route('["number", "name", "redirecting", "service", "mail"]')
        config = notifier_config(tansu, tmp_path / "alerts.toml", targets + routes, secrets)
        async with running(config) as notifier:
            await send(config, [alert()])
            await until(lambda: sum(one[1] == "failed" for one in states(notifier)) == 5, "all have failed")
            found = {target: error for target, _, error in states(notifier)}
        assert not inside.requests
    for name in ("number", "name", "service", "mail"):
        assert "is no address of the public internet" in found[name], found
    assert found["redirecting"] == "HTTP 302: redirects are not followed"


async def test_alertmanager_sees_an_alert_begin_and_end(tansu: Tansu, tmp_path: Path) -> None:
    """The same labels both times, nothing that changes among them; what ended has its end."""
    with Recorder() as ops:
        file = (
            f'[targets.ops]\ntype = "alertmanager"\nurl = "http://{ops.address}"\ntoken_env = "TOKEN"\nallow_private = true\n'
            + route('"ops"')
        )
        config = notifier_config(tansu, tmp_path / "alerts.toml", file, {"TOKEN": "open sesame"})
        began, over = now() - 60_000_000, now()
        async with running(config):
            await send(config, [alert(deadline=began)])
            await until(lambda: len(ops.requests) == 1, "its beginning")
            await send(config, [alert(deadline=began, change="escalated", level=1)])
            await until(lambda: len(ops.requests) == 2, "its escalation")
            await send(config, [ended(alert(deadline=began, level=1), over)])
            await until(lambda: len(ops.requests) == 3, "its end")
    assert {request.path for request in ops.requests} == {"/api/v2/alerts"}
    assert {request.headers["authorization"] for request in ops.requests} == {"Bearer open sesame"}
    first, second, third = (request.json[0] for request in ops.requests)
    assert first["labels"] == second["labels"] == third["labels"]
    assert first["startsAt"] == third["startsAt"]
    assert second["annotations"]["level"] == "1"
    assert datetime.fromisoformat(first["endsAt"]) > datetime.now(UTC)
    assert round(datetime.fromisoformat(third["endsAt"]).timestamp() * 1e6) == over


async def test_services_are_told_by_apprise(tansu: Tansu, tmp_path: Path) -> None:
    """By the templates of the route; beyond the limit in a digest. A service that refuses is tried again."""
    answers = iter([Answer(503)])
    with Recorder(lambda _: next(answers, Answer())) as chat:
        file = '[targets.chat]\ntype = "apprise"\nurl_env = "CHAT"\nallow_private = true\n' + route(
            '"chat"', 'limit = "2 per minute"\nsubject = "{{ account_id }} waits"\nbody = "for {{ rep }}"'
        )
        config = notifier_config(tansu, tmp_path / "alerts.toml", file, {"CHAT": f"json://{chat.address}/hook"})
        ahead = [0.0]
        async with running(config, lambda: time.time() + ahead[0]) as notifier:
            await send(config, [alert(number, amount=number * 100) for number in range(40)])
            await until(lambda: len(states(notifier)) == 40, "all are planned")
            await until(lambda: len(chat.requests) >= 3, "the limit is reached")
            ahead[0] = 61.0
            await until(lambda: all(one[1] == "sent" for one in states(notifier)), "all were sent")
    told = [(request.json["title"], request.json["message"]) for request in chat.requests]
    assert told[1] == ("acme waits", "for sam")
    digests = [body for title, body in told if title == "38 prospects stalled"]
    assert digests or len({title for title, _ in told}) > 1  # a minute may end between two alerts
    assert len(chat.requests) <= 8
