"""`journey who` and `journey explain` on a real ClickHouse, with what the sink writes of people who were joined."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from funnel.facts import Facts, SharedRow, Standing, Transition
from journey.cli import app
from journey.clickhouse import connected
from journey.errors import JourneyError
from journey.explain import explain
from journey.settings import Settings
from journey.who import who
from tests.clickhouse import ClickHouse
from tests.identities import KEY, Message, alias, id_of, insert, sealed
from tests.sinking import prepare

DAY = 86_400_000_000
JANUARY = 1_767_225_600_000_000
USER, OTHER, EMAIL, PHONE = "user_id:42", "user_id:7", "email:jane@x.com", "phone:+14155550100"
LAPTOP, KIOSK, SWITCHBOARD = "anonymous_id:laptop", "anonymous_id:kiosk", "phone:+14155550199"
WON = Transition(
    "sales", 1, 1, 0, "enter", "", "purchase", JANUARY, JANUARY, 0.0, "s", "e", "web", "purchase", "", "web", "", "", 0, "", "", ""
)  # fmt: skip
PEOPLE: list[Message] = [
    (PHONE, Facts(1, aliases=(alias(EMAIL, JANUARY),))),
    (EMAIL, Facts(1, aliases=(alias(USER, JANUARY + DAY),))),
    # Two people on one laptop, 42 first.
    (LAPTOP, Facts(1, aliases=(alias(USER, JANUARY), alias(OTHER, JANUARY + 2 * DAY)))),
    (KIOSK, Facts(1, shared=(SharedRow(3, 51),))),
    ("anonymous_id:desk", Facts(1, aliases=(alias(SWITCHBOARD, JANUARY),))),
    (SWITCHBOARD, Facts(1, shared=(SharedRow(2, 60),))),
    (
        USER,
        Facts(
            7,
            (WON,),
            standings=(Standing("sales", 1, "", "won", JANUARY, JANUARY, ""),),
            identifiers=tuple(map(sealed, (USER, EMAIL, PHONE, LAPTOP))),
        ),
    ),
    (OTHER, Facts(3, identifiers=(sealed(OTHER), sealed(LAPTOP)))),
]


@pytest.fixture
def settings(clickhouse: ClickHouse, tmp_path: Path) -> Settings:
    """A ClickHouse with these people."""
    prepare(clickhouse)
    insert(clickhouse, PEOPLE)
    server = clickhouse.server
    url = f"clickhouse://default:@{server.host}:{server.native_port}/{clickhouse.database}"
    return Settings(clickhouse=SecretStr(url), id_key=SecretStr(KEY.decode()), data_dir=tmp_path)


def test_an_identifier_is_followed_to_its_prospect(settings: Settings) -> None:
    """From a phone by an email to the user, with everything that is that prospect's; its old id says the same."""
    with connected(settings) as reader:
        found = who(reader, "+1 415 555 0100", settings)
        by_id = who(reader, str(id_of(PHONE)), settings)
        own = who(reader, USER, settings)
    assert (found.meant.prospect, found.now, found.shared, found.others) == (id_of(PHONE), id_of(USER), None, [])
    assert [step.new_id for step in found.way] == [id_of(EMAIL), id_of(USER)]
    assert found.way[1].since == datetime(2026, 1, 2, tzinfo=UTC)
    assert [step.old_id for step in found.before][-1] == id_of(PHONE)
    assert {step.old_id for step in found.before} == {id_of(one) for one in (PHONE, EMAIL, LAPTOP)}
    assert found.identifiers == [tuple(one.split(":", 1)) for one in (USER, EMAIL, PHONE, LAPTOP)]
    assert by_id._replace(meant=found.meant, guess=found.guess) == found
    assert (own.way, own.now, own.identifiers) == ([], id_of(USER), found.identifiers)


def test_a_device_is_whose_it_was(settings: Settings) -> None:
    """The latest until then, a sign-in at the same instant included; before all of them the first; now the last."""
    with connected(settings) as reader:
        for day, owner in ((-5, USER), (0, USER), (1, USER), (2, OTHER), (9, OTHER)):
            at = datetime.fromtimestamp((JANUARY + day * DAY) / 1_000_000, UTC)
            assert who(reader, LAPTOP, settings, at).now == id_of(owner), day
        found = who(reader, LAPTOP, settings)
    assert found.now == id_of(OTHER)
    assert [step.new_id for step in found.others] == [id_of(USER)]


def test_the_shared_are_nobodys(settings: Settings) -> None:
    """Whether the identifier itself is shared, or one that it goes on to."""
    with connected(settings) as reader:
        kiosk, desk = who(reader, KIOSK, settings), who(reader, "anonymous_id:desk", settings)
    assert (kiosk.shared, kiosk.shared_at) == (("anonymous_id", 51), id_of(KIOSK))
    assert (desk.shared, desk.shared_at) == (("phone", 60), id_of(SWITCHBOARD))


def test_what_is_unknown_is_said(settings: Settings) -> None:
    """With the id that it would have, and what may be wrong."""
    with (
        connected(settings) as reader,
        pytest.raises(JourneyError, match=f"nothing is known of it; its id would be {id_of('user_id:nobody')}"),
    ):
        who(reader, "nobody", settings)


def test_explain_follows_to_the_prospect_of_now(settings: Settings) -> None:
    """An old id or a weaker identifier explains the prospect that it belongs to now."""
    with connected(settings) as reader:
        for text in (PHONE, str(id_of(EMAIL)), USER):
            (known,) = explain(reader, text, settings)
            assert known.prospect == id_of(USER)
            assert [step.to_stage for step in known.steps] == ["purchase"]
            assert bool(known.way) == (text != USER)


def test_the_commands_tell_it(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """As people type them; a time without an offset is refused before anything is asked."""
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    run = CliRunner()
    told = run.invoke(app, ["who", "jane@x.com"])
    assert told.exit_code == 0
    assert f"prospect now    {id_of(USER)}" in told.output
    assert "identifier      phone:+14155550100" in told.output
    told = run.invoke(app, ["who", LAPTOP, "--at", "2026-01-01T12:00:00Z"])
    assert f"prospect then   {id_of(USER)}" in told.output
    told = run.invoke(app, ["explain", "jane@x.com"])
    squeezed = " ".join(told.output.split())
    assert f"is prospect {id_of(EMAIL)}, which belongs to prospect {id_of(USER)} now" in squeezed
    assert "enters purchase" in squeezed
    told = run.invoke(app, ["who", LAPTOP, "--at", "2026-01-01"])
    assert told.exit_code == 1
