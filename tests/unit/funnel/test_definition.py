"""funnel.definition: funnel files, and what is said of wrong ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from funnel.definition import Clause, load_funnels, parse_funnel
from funnel.reading import FunnelError
from funnel.rules import RuleSet

PRESETS = Path(__file__).parents[3] / "funnels"
HOUR = 3_600_000_000
DAY = 24 * HOUR

MINIMAL = """
name = "tiny"
[[stage]]
name = "only"
enter = [ { channel = "web" } ]
"""


def test_defaults() -> None:
    """What a file leaves out is as the contract says."""
    funnel = parse_funnel(MINIMAL)
    assert (funnel.name, funnel.version, funnel.timezone, funnel.window) == ("tiny", 1, "UTC", 90 * DAY)
    assert (funnel.rest_won, funnel.rest_lost, funnel.wake, funnel.lost, funnel.back) == (0, 0, None, (), ())
    assert funnel.activity == (
        Clause((("channel", ("web",)),)),
        Clause((("channel", ("email",)), ("type", ("opened", "clicked", "replied")))),
        Clause((("channel", ("call",)), ("type", ("completed",)))),
    )


def test_sales() -> None:
    """The default preset is read as the contract prints it."""
    (sales,) = load_funnels([PRESETS / "sales.toml"])
    assert [stage.name for stage in sales.stages] == ["awareness", "interest", "consideration", "purchase"]
    assert [stage.team for stage in sales.stages] == ["marketing", "marketing", "sales", ""]
    assert [stage.stall_after for stage in sales.stages] == [14 * DAY, 10 * DAY, 7 * DAY, None]
    assert (sales.rest_won, sales.rest_lost, sales.wake) == (30 * DAY, 14 * DAY, 2)
    assert sales.stages[1].enter[2] == Clause(
        patterns=(("channel", ("web",)), ("type", ("page_view",)), ("url", ("*/pricing*",))),
        at_least=2,
        within=7 * DAY,
        counted=True,
    )
    assert [(back.to, back.on[0].patterns) for back in sales.back] == [
        (1, (("channel", ("call",)), ("outcome", ("nurture",)), ("type", ("completed",))))
    ]


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("three-step", ["awareness", "consideration", "decision"]),
        ("b2b", ["lead", "mql", "sql", "opportunity", "customer"]),
        ("loyalty", ["customer", "repeat", "advocate"]),
    ],
)
def test_presets(name: str, stages: list[str]) -> None:
    """The presets that ship are right, and have the stages they promise."""
    (funnel,) = load_funnels([PRESETS / f"{name}.toml"])
    assert (funnel.name, [stage.name for stage in funnel.stages]) == (name, stages)


def test_handoff() -> None:
    """In the preset b2b, mql and sql are the hand-off from marketing to sales."""
    (b2b,) = load_funnels([PRESETS / "b2b.toml"])
    assert [stage.team for stage in b2b.stages[1:3]] == ["marketing", "sales"]


def test_properties_may_be_written_either_way() -> None:
    """`properties.plan` quoted or not (then it is a table to TOML) is the same key."""
    quoted, plain = (
        parse_funnel(MINIMAL.replace('channel = "web"', f'{key} = "pro"'))
        for key in ('"properties.plan"', "properties.plan")
    )
    assert quoted == plain
    assert plain.stages[0].enter[0].patterns == (("properties.plan", ("pro",)),)


ENTER = 'enter = [ { channel = "web" } ]'


@pytest.mark.parametrize(
    ("old", "new", "key", "expected"),
    [
        ('name = "tiny"', 'name = "tiny"\ncolour = 1', "colour", "expected one of name, version"),
        ('name = "tiny"', "", "name", "non-empty string"),
        ('name = "tiny"', 'name = " "', "name", "non-empty string"),
        ('name = "tiny"', 'name = "tiny"\nversion = -1', "version", "whole number"),
        ('name = "tiny"', 'name = "tiny"\nversion = true', "version", "whole number"),
        ('name = "tiny"', 'name = "tiny"\nversion = 1.0', "version", "whole number"),
        ('name = "tiny"', 'name = "tiny"\ntimezone = "Mars/Base"', "timezone", "Europe/Berlin"),
        ('name = "tiny"', 'name = "tiny"\ntimezone = "../etc/passwd"', "timezone", "Europe/Berlin"),
        ('name = "tiny"', 'name = "tiny"\nwindow = "90"', "window", "90d"),
        ('name = "tiny"', 'name = "tiny"\nwindow = 90', "window", "90d"),
        ('name = "tiny"', 'name = "tiny"\nrest = { won = "x" }', "rest.won", "90d"),
        ('name = "tiny"', 'name = "tiny"\nrest = { expired = "1d" }', "rest.expired", "won, lost"),
        ('name = "tiny"', 'name = "tiny"\nrest = "1d"', "rest", "table"),
        ('name = "tiny"', 'name = "tiny"\nwake = "two"', "wake", "only"),
        ('name = "tiny"', 'name = "tiny"\nactivity = "web"', "activity", "list"),
        ('name = "only"', "", "stage[0].name", "non-empty string"),
        ('name = "only"', 'name = "lost"', "stage[0].name", "another name"),
        ('name = "only"', 'name = "expired"', "stage[0].name", "another name"),
        ('name = "only"', 'name = "only"\nteam = 1', "stage[0].team", "string"),
        ('name = "only"', 'name = "only"\nstall_after = "2 days"', "stage[0].stall_after", "90d"),
        ('name = "tiny"', 'name = "tiny"\ncalendar = "mon-fri"', "calendar", "weekdays"),
        ('name = "tiny"', 'name = "tiny"\ncalendar = 1', "calendar", "always"),
        ('name = "tiny"', 'name = "tiny"\nholidays = "Germany"', "holidays", "DE-BE"),
        ('name = "only"', 'name = "only"\ncalendar = "fri-mon 9-5"', "stage[0].calendar", "weekdays"),
        ('name = "only"', 'name = "only"\nholidays = 1', "stage[0].holidays", "DE-BE"),
        ('name = "only"', 'name = "only"\nescalate = ["1d"]', "stage[0].escalate", "beside stall_after"),
        ('name = "only"', 'name = "only"\nstall_after = "1d"\nescalate = ["x"]', "stage[0].escalate[0]", "90d"),
        ('name = "only"', 'name = "only"\nstall_after = "1d"\nescalate = ["2d", "2d"]', "stage[0].escalate", "longer"),
        ('name = "only"', 'name = "only"\nstall_after = "1d"\nescalate = ["0d"]', "stage[0].escalate", "longer"),
        ('name = "only"', 'name = "only"\nstall_after = "1d"\nescalate = "1d"', "stage[0].escalate", "list"),
        ('name = "only"', 'name = "only"\nexit = []', "stage[0].exit", "enter"),
        (ENTER, "", "stage[0].enter", "list"),
        (ENTER, "enter = []", "stage[0].enter", "at least one clause"),
        (ENTER, 'enter = ["web"]', "stage[0].enter[0]", "table"),
        (ENTER, "enter = [ { shape = 'x' } ]", "stage[0].enter[0].shape", "field of the event"),
        (ENTER, "enter = [ { properties = 'x' } ]", "stage[0].enter[0].properties", "properties.<name>"),
        (ENTER, "enter = [ { occurred_at = 'x' } ]", "stage[0].enter[0].occurred_at", "field of the event"),
        (ENTER, "enter = [ { url = 1 } ]", "stage[0].enter[0].url", "list of strings"),
        (ENTER, "enter = [ { url = [] } ]", "stage[0].enter[0].url", "list of strings"),
        (ENTER, "enter = [ { url = ['a', 1] } ]", "stage[0].enter[0].url", "list of strings"),
        (ENTER, "enter = [ { url = {} } ]", "stage[0].enter[0].url", "list of strings"),
        (ENTER, "enter = [ { url = '*', at_least = 2 } ]", "stage[0].enter[0].within", "both or neither"),
        (ENTER, "enter = [ { url = '*', within = '1d' } ]", "stage[0].enter[0].at_least", "both or neither"),
        (ENTER, "enter = [ { url = '*', at_least = 0, within = '1d' } ]", "stage[0].enter[0].at_least", "at least 1"),
        (ENTER, "enter = [ { url = '*', at_least = 2, within = 1 } ]", "stage[0].enter[0].within", "90d"),
        (ENTER, "enter = [ { min_duration_seconds = 'x' } ]", "stage[0].enter[0].min_duration_seconds", "number"),
        (ENTER, ENTER + "\n[[stage]]\nname = 'only'\n" + ENTER, "stage[1].name", "named twice"),
        (ENTER, ENTER + "\n[lost]\non = []", "lost.on", "at least one clause"),
        (ENTER, ENTER + "\n[lost]", "lost.on", "list"),
        (ENTER, ENTER + "\n[lost]\nif = []", "lost.if", "on"),
        (ENTER, ENTER + "\n[[back]]\nto = 'start'\non = [ { type = 'x' } ]", "back[0].to", "only"),
        (ENTER, ENTER + "\n[[back]]\nto = 'only'", "back[0].on", "list"),
        ("[[stage]]", "[stage]", "stage", "list"),
        (ENTER, ENTER + "\n[accounts]\npolicy = 'best'", "accounts.policy", "expected one of furthest, majority"),
        (ENTER, ENTER + "\n[accounts]\npolicy = ['furthest']", "accounts.policy", "expected one of furthest, majority"),
        (ENTER, ENTER + "\n[accounts]\nrule = 'furthest'", "accounts.rule", "policy"),
        ('name = "tiny"', 'name = "tiny"\naccounts = "furthest"', "accounts", "table"),
    ],
)
def test_wrong_files_are_refused(old: str, new: str, key: str, expected: str) -> None:
    """An error names the file, the key, and what was expected there."""
    assert old in MINIMAL
    with pytest.raises(FunnelError) as error:
        parse_funnel(MINIMAL.replace(old, new), "tiny.toml")
    assert (error.value.file, error.value.key) == ("tiny.toml", key)
    assert expected in error.value.expected
    assert str(error.value).startswith(f"tiny.toml: {key}: ")


def test_how_accounts_stand() -> None:
    """As the furthest of their people unless the file says otherwise; nothing is derived anew for it."""
    plain, majority = parse_funnel(MINIMAL), parse_funnel(MINIMAL + "\n[accounts]\npolicy = 'majority'")
    assert (plain.account_policy, majority.account_policy) == ("furthest", "majority")
    assert RuleSet([plain]).fingerprint == RuleSet([majority]).fingerprint


TWO_TEAMS = """
name = "f"
[[stage]]
name = "lead"
team = "marketing"
enter = [ { channel = "web" } ]
[[stage]]
name = "sql"
team = "sales"
respond_within = "4h"
enter = [ { type = "demo_request" } ]
[[stage]]
name = "customer"
team = "success"
enter = [ { type = "purchase" } ]
[handoff]
touch = [ { channel = "call" } ]
"""


def test_snooze() -> None:
    """What snoozes a stage, and for how long."""
    more = '[[snooze]]\non = [ { channel = "call", outcome = "follow_up" } ]\nfor = "14d"\n'
    (snooze,) = parse_funnel(TWO_TEAMS + more).snooze
    assert snooze.on == (Clause((("channel", ("call",)), ("outcome", ("follow_up",)))),)
    assert snooze.duration == 14 * 24 * HOUR
    for old, new, key, expected in (
        ('for = "14d"', "", "snooze[0].for", "90d"),
        ("for =", "until =", "snooze[0].until", "on, for"),
        ('"follow_up" }', '"follow_up", at_least = 2, within = "1d" }', "snooze[0].on[0].at_least", "one event"),
        ('on = [ { channel = "call", outcome = "follow_up" } ]', "", "snooze[0].on", "list"),
    ):
        with pytest.raises(FunnelError) as caught:
            parse_funnel(TWO_TEAMS + more.replace(old, new))
        assert caught.value.key == key
        assert expected in caught.value.expected


def test_handoffs() -> None:
    """How long a team has to respond, in the working hours of its stage, and what a touch is."""
    funnel = parse_funnel(TWO_TEAMS)
    assert [stage.respond_within for stage in funnel.stages] == [None, 4 * HOUR, None]
    assert funnel.touch == (Clause((("channel", ("call",)),)),)
    working = TWO_TEAMS.replace('"4h"', '"1d"\ncalendar = "mon-fri 09:00-17:00"')
    stage = parse_funnel(working).stages[1]
    assert (stage.respond_within, stage.stall_after) == (8 * HOUR, None)
    assert stage.calendar is not None


@pytest.mark.parametrize(
    ("old", "new", "key", "expected"),
    [
        ('"4h"', '"soon"', "stage[1].respond_within", "90d"),
        ('"sales"', '"marketing"', "stage[1].respond_within", "another team"),
        ('"sales"', '""', "stage[1].respond_within", "another team"),
        ('"marketing"', '"marketing"\nrespond_within = "1h"', "stage[0].respond_within", "another team"),
        ('"success"', '"success"\nrespond_within = "1h"', "stage[2].respond_within", "not the last"),
        ("touch = [", "on = [", "handoff.on", "touch"),
        ('touch = [ { channel = "call" } ]', "", "handoff.touch", "list"),
        ('{ channel = "call" }', "", "handoff.touch", "at least one clause"),
        ('"call" }', '"call", at_least = 2, within = "1d" }', "handoff.touch[0].at_least", "the first touch is one"),
    ],
)
def test_wrong_handoffs_are_refused(old: str, new: str, key: str, expected: str) -> None:
    """By key, and with what was expected."""
    assert old in TWO_TEAMS
    with pytest.raises(FunnelError) as error:
        parse_funnel(TWO_TEAMS.replace(old, new), "f.toml")
    assert error.value.key == key
    assert expected in error.value.expected


def test_calendars() -> None:
    """A stage counts in the funnel's working hours, unless it has others; in them a day is a working day."""
    stages = "".join(
        f"""
        [[stage]]
        name = "{name}"
        stall_after = "2d"
        escalate = ["1h", "1w"]
        {more}
        enter = [ {{ channel = "web" }} ]
        """
        for name, more in (
            ("a", ""),
            ("b", 'calendar = "always"'),
            ("c", 'holidays = "AT"'),
            ("d", 'calendar = "sat 10:00-14:00 Asia/Tokyo"'),
        )
    )
    head = """
        name = "f"
        timezone = "Europe/Berlin"
        calendar = "mon-fri 09:00-17:00"
        holidays = "DE-BE"
    """
    funnel = parse_funnel(head + stages)
    assert [stage.stall_after for stage in funnel.stages] == [16 * HOUR, 2 * DAY, 16 * HOUR, 8 * HOUR]
    assert [stage.escalate for stage in funnel.stages] == [
        (HOUR, 40 * HOUR), (HOUR, 7 * DAY), (HOUR, 40 * HOUR), (HOUR, 4 * HOUR)
    ]  # fmt: skip
    calendars = [stage.calendar for stage in funnel.stages]
    assert [one and (one.zone, one.holidays) for one in calendars] == [
        ("Europe/Berlin", "DE-BE"), None, ("Europe/Berlin", "AT"), ("Asia/Tokyo", "DE-BE")
    ]  # fmt: skip


def test_holidays_have_to_be_known() -> None:
    """Where nobody says which days they are, the rules are refused."""
    funnel = parse_funnel(
        """
        name = "f"
        holidays = "DE"
        [[stage]]
        name = "a"
        calendar = "mon-fri 09:00-17:00"
        stall_after = "1d"
        enter = [ { channel = "web" } ]
        """
    )
    with pytest.raises(ValueError, match="holidays in DE"):
        RuleSet([funnel])
    RuleSet([funnel], lambda region: lambda year: [])


def test_no_toml_at_all() -> None:
    """What is no TOML is refused with the place in it."""
    with pytest.raises(FunnelError, match=r"^x\.toml: expected valid TOML .*line 1"):
        parse_funnel("stage stage", "x.toml")


def test_stages_missing() -> None:
    """A funnel has a stage."""
    with pytest.raises(FunnelError, match="stage: "):
        parse_funnel('name = "x"')


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """A file that is missing, or no text, is named."""
    with pytest.raises(FunnelError, match=r"missing\.toml: expected a readable"):
        load_funnels([tmp_path / "missing.toml"])
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(FunnelError, match=r"binary\.toml: expected a readable"):
        load_funnels([tmp_path / "binary.toml"])


def test_two_files_of_one_name(tmp_path: Path) -> None:
    """Two funnels of one name would write over each other's rows."""
    for file in ("one.toml", "two.toml"):
        (tmp_path / file).write_text(MINIMAL, encoding="utf-8")
    with pytest.raises(FunnelError, match=r"two\.toml: name: .*'tiny'"):
        load_funnels([tmp_path / "one.toml", tmp_path / "two.toml"])
