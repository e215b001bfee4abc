"""The console on a real ClickHouse with the compose file's users: pages, filters, CSV, roles, logins and what a browser is told."""

from __future__ import annotations

import csv
import html
import io
import json
import logging
import re
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from html.parser import HTMLParser
from ipaddress import ip_network
from typing import Any

import httpx
import pytest
from clickhouse_driver import Client

from console.app import build_app
from console.config import ClickHouseAccess, ConsoleConfig
from journey.local_clickhouse import EmbeddedClickHouse
from sinks.migrations import migrate
from tests.console_rows import (
    CAMPAIGNS,
    CANARY_EMAIL,
    CANARY_PHONE,
    CONTROLS,
    HOSTILE,
    LONG,
    fill,
    prospect,
)
from tests.integration.test_grants import _PASSWORDS, _GuardedClickHouse

TOKEN = "a-token-of-more-than-16-characters"
STORY = f"/prospects/{prospect(0)}"
PAGES = (
    *(
        "/",
        "/flow",
        "/cohorts",
        "/velocity",
        "/campaigns",
        "/attribution",
        "/attribution?by=campaign&measure=conversions",
        "/handoffs",
    ),
    *("/stalled", "/prospects", "/health", STORY),
)
_CODE = re.compile(r'<code id="([\w-]+)-sql" dir="ltr">(.*?)</code>', re.DOTALL)
_CSV = re.compile(r'href="(/csv/([\w-]+)[^"]*)"')


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedClickHouse]:
    """A server with the compose file's users beside a local one who may everything, and the population."""
    with pytest.MonkeyPatch.context() as patch:
        for user, variable in _PASSWORDS.items():
            patch.setenv(variable, f"password-of-{user}")
        with _GuardedClickHouse(tmp_path_factory.mktemp("console")) as running:
            migrate(lambda name: Client(running.host, port=running.native_port, database=name), "journey")
            with Client(running.host, port=running.native_port, database="journey") as client:
                fill(client)
            yield running


def config_of(server: EmbeddedClickHouse, **changes: Any) -> ConsoleConfig:
    """A console for the local user; anybody on this machine may look."""
    access = ClickHouseAccess(server.host, server.http_port, "journey", "default")
    return replace(ConsoleConfig(clickhouse=access, why=lambda row: f"because of {row['kind']}"), **changes)


def as_reader(server: EmbeddedClickHouse) -> ConsoleConfig:
    """A console for the compose file's reader."""
    return config_of(
        server,
        clickhouse=ClickHouseAccess(
            server.host, server.http_port, "journey", "journey_reader", "password-of-journey_reader"
        ),
    )


@asynccontextmanager
async def browser(
    config: ConsoleConfig, address: str = "127.0.0.1", **options: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who looks, from this address."""
    app = build_app(config)
    transport = httpx.ASGITransport(app, client=(address, 4_711))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8484", **options) as client:
        yield client
    await app.state.warehouse.close()


class Tags(HTMLParser):
    """Finds what a page may not have: handlers and styles inside tags, scripts inside the page, links that are code."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    @classmethod
    def forbidden_in(cls, page: str) -> list[str]:
        """What was found."""
        tags = cls()
        tags.feed(page)
        return tags.found

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """As the standard library says."""
        given = dict(attrs)
        self.found += [f"{tag} {name}" for name in given if name.startswith("on") or name == "style"]
        if tag == "script" and "src" not in given and given.get("type") != "application/json":
            self.found.append("script")
        if (given.get("href") or "").strip().lower().startswith(("javascript:", "data:")) or tag in (
            "style",
            "iframe",
            "object",
            "img",
        ):
            self.found.append(f"{tag} {given.get('href')}")


def ask(server: EmbeddedClickHouse, sql: str) -> str:
    """A statement's answer as CSV, asked by hand."""
    answer = httpx.post(
        f"http://{server.host}:{server.http_port}/",
        params={"database": "journey", "default_format": "CSVWithNames"},
        content=sql.encode(),
    )
    assert answer.is_success, answer.text
    return answer.text


def rows(text: str) -> list[dict[str, str]]:
    """CSV as rows."""
    return list(csv.DictReader(io.StringIO(text)))


async def test_every_page_shows_the_population_and_harms_nobody(server: EmbeddedClickHouse) -> None:
    """Names from outside are text: in the page, in its JSON, and of a bounded length. Nothing fails."""
    async with browser(config_of(server)) as client:
        for path in PAGES:
            answer = await client.get(path)
            assert answer.status_code == 200, path
            text = answer.text
            assert "That did not work" not in text, path
            assert "<script>document" not in text, path
            assert 'onerror="' not in text, path
            # Choices and addresses of links hold whole names; what is read is cut.
            read = re.sub(
                r"<option.*?</option>|href=\"[^\"]*\"|<input[^>]*>|<code.*?</code>", "", text, flags=re.DOTALL
            )
            assert LONG[:500] not in html.unescape(read), path
            for data in re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', text, re.DOTALL):
                assert json.loads(data)["kind"] in ("lines", "bars", "sankey", "ranges")


async def test_every_csv_is_what_the_shown_sql_gives(server: EmbeddedClickHouse) -> None:
    """The SQL that a page shows, run by hand, gives what its CSV holds; also with names that would break out of a string."""
    seen = set()
    async with browser(config_of(server)) as client:
        for path in PAGES:
            page = await client.get(
                path, params=httpx.QueryParams(httpx.URL(path).params).merge({"campaign": CONTROLS})
            )
            shown = {name: html.unescape(sql) for name, sql in _CODE.findall(page.text)}
            offered = {name: html.unescape(address) for address, name in _CSV.findall(page.text)}
            assert set(shown) == set(offered), path
            for name, address in offered.items():
                if name in seen or name in ("stalled", "unanswered"):
                    continue  # how long somebody waits is another answer each time
                answer = await client.get(address)
                assert answer.headers["content-type"].startswith("text/csv"), address
                assert answer.text == ask(server, shown[name]), name
                seen.add(name)
    assert {"funnel", "flow", "cohorts", "campaigns", "attribution", "handoffs", "prospects", "journey"} <= seen


@pytest.mark.parametrize("campaign", [*HOSTILE, "spring"])
async def test_a_campaign_is_found_by_its_whole_name(server: EmbeddedClickHouse, campaign: str) -> None:
    """Filters are bound by ClickHouse: a name means itself, whatever is in it."""
    async with browser(config_of(server)) as client:
        found = rows((await client.get("/csv/funnel", params={"campaign": campaign, "funnel": "sales"})).text)
        assert found[0]["entered"] == "6"


@pytest.mark.parametrize("campaign", ["' OR '1'='1", "\\", "spring'--", "{funnel:String}", "\\'", "spring\0", "%"])
async def test_nothing_gets_out_of_a_parameter(server: EmbeddedClickHouse, campaign: str) -> None:
    """What would be more than a name in a concatenated query is a name that nobody has."""
    async with browser(config_of(server)) as client:
        answer = await client.get("/csv/funnel", params={"campaign": campaign, "funnel": "sales"})
        assert answer.status_code == 200
        assert {row["entered"] for row in rows(answer.text)} == {"0"}


async def test_filters_narrow_and_are_kept_in_the_address(server: EmbeddedClickHouse) -> None:
    """Days and those without a campaign; links of the navigation keep what was chosen; what is wrong is told."""
    async with browser(config_of(server)) as client:
        everyone = rows((await client.get("/csv/funnel?funnel=sales")).text)
        assert [row["entered"] for row in everyone] == ["42", "42", "26", "9"]
        assert [row["waiting"] for row in everyone] == ["16", "16", "8", "0"]
        nobody = rows((await client.get("/csv/funnel?funnel=sales&from=2001-01-01&to=2001-12-31")).text)
        assert [row["entered"] for row in nobody] == ["0"] * 4
        without = rows((await client.get("/csv/funnel", params={"funnel": "sales", "campaign": "(none)"})).text)
        assert without[0]["entered"] == "6"
        page = (await client.get("/?funnel=sales&campaign=spring&from=2026-01-01")).text
        assert 'href="/campaigns?funnel=sales&amp;from=2026-01-01&amp;campaign=spring"' in page
        wrong = await client.get("/?from=yesterday")
        assert "expected a day such as 2026-01-31" in wrong.text
        assert (await client.get("/csv/funnel?from=yesterday")).status_code == 400
        assert (await client.get("/csv/nothing")).status_code == 404


async def test_who_may_not_read_identifiers_sees_none(server: EmbeddedClickHouse) -> None:
    """With the compose file's reader, no page, CSV or search tells an identifier; with a user who may, those places do."""
    places = [
        "/",
        "/flow",
        "/stalled",
        "/prospects",
        "/health",
        STORY,
        f"/prospects/{prospect(4)}",
        "/csv/stalled",
        f"/csv/identifiers/{prospect(0)}",
        "/csv/dead-letters",
    ]
    async with browser(as_reader(server)) as client:
        answers = {path: await client.get(path) for path in places}
        found = await client.post("/search", data={"for": CANARY_EMAIL})
    for path, answer in [*answers.items(), ("/search", found)]:
        assert answer.status_code in (200, 403), path
        assert CANARY_EMAIL not in answer.text.replace('value="', ""), path
        assert CANARY_PHONE not in answer.text, path
    assert "Not shown: the ClickHouse user" in answers[STORY].text
    assert str(prospect(4))[:8] in answers["/stalled"].text
    assert answers[f"/csv/identifiers/{prospect(0)}"].status_code == 403
    assert "Not for this role" in answers["/health"].text
    assert "can&#39;t be looked for" in found.text
    async with browser(config_of(server)) as client:
        assert CANARY_EMAIL in (await client.get(STORY)).text
        assert CANARY_PHONE in (await client.get("/stalled")).text
        assert CANARY_EMAIL in (await client.get("/csv/stalled")).text
        assert CANARY_EMAIL not in (await client.get("/health")).text, "dead letters are counted, not shown"
        both = await client.post("/search", data={"for": CANARY_EMAIL})
        assert str(prospect(0)) in both.text


async def test_a_prospect_is_found_by_its_ids(server: EmbeddedClickHouse) -> None:
    """By its own, and by one that it had before; each move says why."""
    async with browser(config_of(server)) as client:
        assert (await client.post("/search", data={"for": f" {prospect(3)} "})).headers[
            "location"
        ] == f"/prospects/{prospect(3)}"
        assert (await client.get(f"/prospects/{prospect(1_000)}")).headers["location"] == STORY
        story = (await client.get(STORY)).text
        assert "because of enter" in story
        assert "because of advance" in story
        assert (await client.get(f"/prospects/{prospect(999)}")).status_code == 404
        assert (await client.get("/prospects/<script>")).status_code == 404


async def test_a_login_by_token(server: EmbeddedClickHouse, caplog: pytest.LogCaptureFixture) -> None:
    """Without it nothing is shown but the page that asks; the cookie is signed, HttpOnly and SameSite; no log has the token."""
    caplog.set_level(logging.DEBUG)
    async with browser(config_of(server, token=TOKEN)) as client:
        for path in (*PAGES, "/nowhere"):
            answer = await client.get(path)
            assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, "/login"), path
        assert (await client.get("/csv/funnel")).status_code == 401
        assert (await client.post("/search", data={"for": "x"})).status_code == 401
        assert (await client.get("/login")).status_code == 200
        assert (await client.get("/?token=" + TOKEN)).status_code == 303
        wrong = await client.post("/login", data={"token": TOKEN[:-1]})
        assert (wrong.status_code, "set-cookie" in wrong.headers) == (401, False)
        foreign = await client.post("/login", data={"token": TOKEN}, headers={"Origin": "https://elsewhere.example"})
        assert foreign.status_code == 403
        right = await client.post("/login", data={"token": TOKEN, "next": "/flow?funnel=sales"})
        assert (right.status_code, right.headers["location"]) == (303, "/flow?funnel=sales")
        cookie = right.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert TOKEN not in cookie
        assert (await client.get("/")).status_code == 200
        assert "Log out" in (await client.get("/")).text
        value = client.cookies["journey_console"]
        for forged in (value[:-1] + ("A" if value[-1] != "A" else "B"), "looks", "looks.x.y"):
            client.cookies.clear()
            assert (await client.get("/", headers={"Cookie": f"journey_console={forged}"})).status_code == 303, forged
        client.cookies.set("journey_console", value)
        assert (await client.post("/logout")).headers["location"] == "/login"
    ours = [
        record.getMessage() for record in caplog.records if not record.name.startswith("http")
    ]  # which is the browser here
    assert any("wrong token" in message for message in ours)
    assert not any(TOKEN in message for message in ours)
    async with browser(config_of(server, token=TOKEN + "2")) as client:
        client.cookies.set("journey_console", value)
        assert (await client.get("/")).status_code == 303, "another token ends all logins"


async def test_a_proxy_says_who_somebody_is(server: EmbeddedClickHouse) -> None:
    """Its header is believed from its own address only; over TLS in front of it, cookies and browsers are told."""
    behind = config_of(server, user_header="X-Forwarded-User", proxies=(ip_network("10.0.0.0/24"),), token=TOKEN)
    headers = {"X-Forwarded-User": "ada <b>", "X-Forwarded-Proto": "https"}
    async with browser(behind, "10.0.0.7") as client:
        page = await client.get("/", headers=headers)
        assert page.status_code == 200
        assert "ada &lt;b&gt;" in page.text
        assert "max-age" in page.headers["strict-transport-security"]
        login = await client.post("/login", data={"token": TOKEN}, headers={"X-Forwarded-Proto": "https"})
        assert "Secure" in login.headers["set-cookie"]
        client.cookies.clear()
        assert (await client.get("/")).status_code == 303
    async with browser(behind, "10.0.1.7") as client:
        assert (await client.get("/", headers=headers)).status_code == 303
    async with browser(replace(behind, token=""), "10.0.1.7") as client:
        assert (await client.get("/", headers=headers)).status_code == 403


async def test_a_page_of_somebody_elses_gets_nothing(server: EmbeddedClickHouse) -> None:
    """Without a login, a host name that was made to point here (DNS rebinding) is not answered."""
    async with browser(config_of(server)) as client:
        for host in ("evil.example", "evil.example:8484", "127.0.0.1.evil.example", ""):
            assert (await client.get("/", headers={"Host": host})).status_code == 421, host
        for host in ("localhost:8484", "127.0.0.1", "[::1]:8484"):
            assert (await client.get("/healthz", headers={"Host": host})).status_code == 200, host


async def test_browsers_are_told_to_run_nothing_else(server: EmbeddedClickHouse) -> None:
    """Every answer, errors among them, has the headers; no page needs what they forbid."""
    async with browser(config_of(server)) as client:
        for path in ("/", "/campaigns", STORY, "/nowhere", "/static/console.css", "/csv/funnel", "/prospects/x"):
            answer = await client.get(path)
            policy = answer.headers["content-security-policy"]
            assert "script-src 'self';" in policy
            assert "unsafe" not in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["cache-control"] == ("no-cache" if path.startswith("/static") else "no-store")
            if answer.headers["content-type"].startswith("text/html"):
                assert not Tags.forbidden_in(answer.text), path
        kept = re.search(r"/static/console\.css\?v=\w+", (await client.get("/")).text)
        assert kept is not None
        assert "immutable" in (await client.get(kept[0])).headers["cache-control"]
        assert (await client.get("/static/../app.py")).status_code == 404


async def test_an_installation_that_was_not_migrated_is_told_so(server: EmbeddedClickHouse) -> None:
    """Pages whose views are not there say what to do; none fails."""
    with Client(server.host, port=server.native_port) as client:
        client.execute("CREATE DATABASE IF NOT EXISTS bare")
    bare = replace(config_of(server), clickhouse=ClickHouseAccess(server.host, server.http_port, "bare", "default"))
    async with browser(bare) as client:
        for path in ("/", "/flow", "/cohorts", "/attribution", "/stalled", "/health", STORY):
            answer = await client.get(path)
            assert answer.status_code == 200, path
            assert "journey migrate</code>" in answer.text or path == STORY, path
        assert (await client.get("/csv/funnel")).status_code == 404


async def test_clickhouse_away_is_told_without_its_password() -> None:
    """The page says what to look at; the password is nowhere."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        access = ClickHouseAccess("127.0.0.1", probe.getsockname()[1], "journey", "u", "secret-canary")
        config = ConsoleConfig(clickhouse=access, why=str)
        assert "secret-canary" not in repr(config)
        async with browser(config) as client:
            page = await client.get("/")
            assert page.status_code == 503
            assert "JOURNEY_CLICKHOUSE_HTTP_PORT" in page.text
            assert "secret-canary" not in page.text
            assert (await client.get("/csv/funnel")).status_code == 503
            assert (await client.get("/healthz")).status_code == 200


def test_the_population_has_every_campaign() -> None:
    """So that the tests above see them all."""
    assert len(set(CAMPAIGNS)) == 7
