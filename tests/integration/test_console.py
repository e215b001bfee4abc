"""The console on a real ClickHouse with the compose file's users: pages, filters, CSV, roles, logins and what a browser is told."""

from __future__ import annotations

import html
import json
import logging
import re
import socket
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from ipaddress import ip_network
from pathlib import Path

import httpx
import pytest
from clickhouse_driver import Client

from console.config import ClickHouseAccess, ConsoleConfig
from journey.local_clickhouse import EmbeddedClickHouse
from journey.targets import read_targets
from tests.console_rows import (
    CAMPAIGNS,
    CANARY_EMAIL,
    CANARY_PHONE,
    CONTROLS,
    EMOJI,
    FORMULA,
    HOSTILE,
    LEFT,
    LONG,
    SCRIPT,
    prospect,
)
from tests.consoles import Tags, as_reader, as_text_cells, ask, browser, config_of, populated_server, rows

TOKEN = "a-token-of-more-than-16-characters"
STORY = f"/prospects/{prospect(0)}"
PAGES = (
    *(
        "/",
        "/flow",
        "/cohorts",
        "/velocity",
        "/retention",
        "/targets",
        "/targets?funnel=another",
        "/campaigns",
        "/attribution",
        "/attribution?by=campaign&measure=conversions",
        "/handoffs",
    ),
    *("/stalled", "/prospects", "/accounts", "/accounts?status=open", "/health", STORY),
)
_CODE = re.compile(r'<code id="([\w-]+)-sql" dir="ltr">(.*?)</code>', re.DOTALL)
_CSV = re.compile(r'href="(/csv/([\w-]+)[^"]*)"')


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedClickHouse]:
    """The population, for all tests."""
    with populated_server(tmp_path_factory.mktemp("console")) as running:
        yield running


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
                assert json.loads(data)["kind"] in ("lines", "bars", "sankey", "ranges", "bullets")


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
                told, by_hand = answer.text, as_text_cells(ask(server, shown[name]))
                if name == "refreshes":  # they go on meanwhile
                    told, by_hand = ("\n".join(row["view"] for row in rows(text)) for text in (told, by_hand))
                assert told == by_hand, name
                seen.add(name)
    assert {"funnel", "flow", "cohorts", "campaigns", "attribution", "handoffs", "prospects", "journey"} <= seen
    assert {"accounts", "accounts-by-stage", "retention", "repeat-revenue", "targets"} <= seen


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
        "/accounts",
        "/retention",
        "/targets",
        "/csv/accounts",
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
    for path in ("/accounts", "/retention", "/targets"):
        assert 'class="empty' not in answers[path].text, "the reader may see these"
    assert "Not shown: the ClickHouse user" in answers[STORY].text
    assert str(prospect(4))[:8] in answers["/stalled"].text
    assert answers[f"/csv/identifiers/{prospect(0)}"].status_code == 403
    assert "Not for this role" in answers["/health"].text
    assert "can&#39;t be looked for" in found.text
    async with browser(config_of(server)) as client:
        assert CANARY_EMAIL in (await client.get(STORY)).text
        assert CANARY_PHONE in (await client.get("/stalled")).text
        assert CANARY_EMAIL in (await client.get("/csv/stalled")).text
        assert f'"\'{CANARY_PHONE}"' in (await client.get(f"/csv/identifiers/{prospect(0)}")).text, "no formula"
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


async def test_accounts_stand_by_their_people(server: EmbeddedClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six people each, and one that nobody is with any more; narrowed by segment and status; what is left out is told."""
    async with browser(config_of(server)) as client:
        found = rows((await client.get("/csv/accounts?funnel=sales")).text)
        assert [row["buying_group"] for row in found] == ["6"] * 7 + ["0"]
        assert {row["status"] for row in found[:7]} == {"won"}, "each has somebody who bought"
        assert (found[-1]["account_id"], found[-1]["status"], found[-1]["revenue"]) == (f"'{LEFT}", "", "{'EUR':100}")
        assert f"'{FORMULA}" in {row["account_id"] for row in found}, "a spreadsheet shows it, and computes nothing"
        one = rows((await client.get("/csv/accounts", params={"segment": f"@{SCRIPT}"})).text)
        assert [(row["account_id"], row["segment"]) for row in one] == [(SCRIPT, f"'@{SCRIPT}")]
        assert [row["account_id"] for row in rows((await client.get("/csv/accounts?status=(none)")).text)] == [
            f"'{LEFT}"
        ]
        by_stage = rows((await client.get("/csv/accounts-by-stage?status=(none)")).text)
        assert [(row["status"], row["stage"], row["accounts"]) for row in by_stage] == [
            ("won", "purchase", "7"),
            ("", "", "1"),
        ]
        assert "largest buying groups of" not in (await client.get("/accounts")).text
        monkeypatch.setattr("console.customers._ROWS_SHOWN", 3)
        assert "The 3 largest buying groups of 8 accounts. The CSV has all." in (await client.get("/accounts")).text
        assert "largest buying groups of" not in (await client.get("/accounts?status=(none)")).text
        monkeypatch.setattr("console.customers.ACCOUNTS_LISTED", 5)
        assert "The CSV has the 5 largest; narrow by" in (await client.get("/accounts")).text


async def test_a_month_that_runs_is_no_drop_off(server: EmbeddedClickHouse) -> None:
    """Nine were won and five of them twice; the newest cell of each month is open, and has no share; what was paid later is apart."""
    async with browser(config_of(server)) as client:
        found = rows((await client.get("/csv/retention?funnel=sales")).text)
        assert sum(int(row["customers"]) for row in found if row["months_after"] == "0") == 9
        assert sum(int(row["repeated"]) for row in found) == 5
        page = (await client.get("/retention")).text
        running = [row for row in found if row["share"] == "\\N"]
        assert {row["is_mature"] for row in running} == {"false"}
        assert len(running) == len({row["month"] for row in found}) == page.count('class="n heat-open"')
        revenue = rows((await client.get("/csv/repeat-revenue?funnel=sales")).text)
        paid = [
            Decimal(amount)
            for row in revenue
            for key in ("first_revenue", "repeat_revenue")
            for amount in re.findall(r":(\d+)", row[key])
        ]
        assert sum(paid) == 1_400
        since = max(row["month"] for row in revenue)
        late = rows((await client.get(f"/csv/retention?funnel=sales&from={since[:-2]}28")).text)
        assert {row["month"] for row in late} == {since}, "any day of a month means it"


async def test_targets_and_how_far_they_are(server: EmbeddedClickHouse) -> None:
    """The newest period of each, and those before it; together they are all that happened."""
    async with browser(config_of(server)) as client:
        found = rows((await client.get("/csv/targets?funnel=sales")).text)
        for name, whole in (("Entries", 42), ("Revenue", 1_400)):
            assert sum(float(row["actual"]) for row in found if row["name"] == name) == whole
        page = (await client.get("/targets?funnel=sales")).text
        newest, earlier = page.split('id="earlier-title"')
        days = sorted(row["starts"] for row in found if row["name"] == "Rate")
        assert len(days) > 1
        assert (days[-1] in newest, days[-1] in earlier, days[0] in earlier) == (True, False, True)
        (picture,) = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page)
        assert len(json.loads(picture)["labels"]) == 3 + len(HOSTILE)
        narrowed = await client.get("/targets?funnel=sales&to=2001-01-01")
        assert "No period of a target has a day in this time." in narrowed.text
        assert "How to set targets" not in narrowed.text


async def test_the_example_of_targets_can_be_loaded(server: EmbeddedClickHouse, tmp_path: Path) -> None:
    """A funnel without targets is told how to set them, by a file that `journey load` takes, whatever the funnel's name."""
    async with browser(config_of(server)) as client:
        for funnel in ("another", SCRIPT, EMOJI, CONTROLS):
            page = (await client.get("/targets", params={"funnel": funnel})).text
            assert "journey load targets targets.toml</code>" in page
            example = re.search(r'<code id="example" dir="ltr">(.*?)</code>', page, re.DOTALL)
            assert example is not None
            (tmp_path / "targets.toml").write_text(html.unescape(example[1]))
            assert list(read_targets(tmp_path / "targets.toml", {funnel: ["one"]})) == [("Wins of a month",)]


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
        signed, _, signature = value.rpartition(".")
        # Its first letter: of the last one two bits say nothing, so that another letter may be the same signature.
        other = f"{signed}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"
        for forged in (other, "looks", "looks.x.y"):
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
        new = ("/accounts", "/retention", "/targets")
        for path in ("/", "/flow", "/cohorts", "/attribution", "/stalled", "/health", *new, STORY):
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
