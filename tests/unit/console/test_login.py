"""Who may look, and what is refused at the start."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from console.config import ClickHouseAccess, ConsoleConfig
from console.login import STAYS_SECONDS, Logins, safe_next
from journey.errors import SettingsError
from journey.settings import Settings, load_settings
from journey.wiring import console_config

TOKEN = "a-token-of-more-than-16-characters"
_ACCESS = ClickHouseAccess("127.0.0.1", 1, "journey", "u", "canary")


def config(**changes: Any) -> ConsoleConfig:
    """A console's configuration."""
    return ConsoleConfig(clickhouse=_ACCESS, why=str, **changes)


def test_cookies_are_ours_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signed with the token, so another token's are none; and only for some hours."""
    logins = Logins(TOKEN)
    cookie = logins.cookie()
    assert logins.accepts(cookie)
    assert not Logins(TOKEN + "x").accepts(cookie)
    assert not logins.accepts(cookie[:-2])
    assert not logins.accepts("é")
    import time

    later = time.time() + STAYS_SECONDS + 2
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: later)
    assert not logins.accepts(cookie)


@pytest.mark.parametrize("given", ["", TOKEN[:-1], TOKEN + " ", TOKEN.upper(), "\udcff", "é" * 100])
def test_only_the_token_is_the_token(given: str) -> None:
    """Compared as a whole; odd texts are wrong, not errors."""
    assert Logins(TOKEN).knows(TOKEN)
    assert not Logins(TOKEN).knows(given)


@pytest.mark.parametrize(
    ("wanted", "goes"),
    [
        ("/flow?funnel=a", "/flow?funnel=a"),
        ("https://evil.example/", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/a\r\nSet-Cookie: x", "/"),
        ("javascript:alert(1)", "/"),
        ("/login?next=/login", "/"),
        ("", "/"),
    ],
)
def test_after_the_login_comes_a_page_of_ours(wanted: str, goes: str) -> None:
    """Wherever an address says to go."""
    assert safe_next(wanted) == goes


def test_others_may_not_look_without_a_login() -> None:
    """Off loopback, a token or a proxy is wanted; a header that anybody may send is believed from nobody."""
    assert not config().asks_for_login
    for host in ("0.0.0.0", "::", "192.168.1.5"):
        with pytest.raises(ValueError, match="JOURNEY_CONSOLE_TOKEN"):
            config(host=host)
        assert config(host=host, token=TOKEN).asks_for_login
    with pytest.raises(ValueError, match="JOURNEY_CONSOLE_PROXIES"):
        config(user_header="X-Forwarded-User")
    assert config(host="0.0.0.0", user_header="X-Forwarded-User", proxies=(ip_network("10.0.0.5"),)).asks_for_login


def test_no_secret_is_shown() -> None:
    """Neither the token nor ClickHouse's password."""
    assert TOKEN not in repr(config(token=TOKEN))
    assert "canary" not in repr(config())


def test_settings_make_the_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is wrong is told as a mistake of settings; what is right gets through, the reasons of moves among it."""
    settings = Settings(
        clickhouse=SecretStr("clickhouse://u:p@db:9000/d"), console_token=SecretStr(TOKEN), console_host="0.0.0.0",
        console_user_header="X-User", console_proxies=("10.0.0.0/8",), data_dir=tmp_path,
    )  # fmt: skip
    made = console_config(settings, {"sink": 1})
    assert (made.clickhouse.url, made.clickhouse.user, made.clickhouse.database) == ("http://db:8123", "u", "d")
    assert (made.token, made.user_header, made.proxies, dict(made.services)) == (
        TOKEN,
        "X-User",
        (ip_network("10.0.0.0/8"),),
        {"sink": 1},
    )
    row = {
        "funnel": "sales", "visit": 1, "step": 1, "kind": "advance", "from_stage": "awareness", "to_stage": "interest", "entered_at": None,
        "seconds_in_from": 1.0, "channel": "email", "type": "clicked", "campaign": "", "cause_source": "", "cause_event_id": "", "account_id": "",
        "amount": 0, "currency": "", "reason": "", "rep": "", "first_channel": "email",
    }  # fmt: skip
    assert made.why(row).startswith("interest.enter")
    with pytest.raises(SettingsError, match="JOURNEY_CONSOLE_TOKEN"):
        console_config(settings.model_copy(update={"console_token": SecretStr(""), "console_user_header": ""}))
    monkeypatch.chdir(tmp_path)
    for name, value in (("TOKEN", "short"), ("HOST", "everywhere"), ("PROXIES", "nowhere"), ("USER_HEADER", "a b")):
        with monkeypatch.context() as one:
            one.setenv(f"JOURNEY_CONSOLE_{name}", value)
            with pytest.raises(SettingsError, match=rf"^JOURNEY_CONSOLE_{name}: "):
                load_settings()
