"""The boards on the reports, as far as no ClickHouse is needed: the compose file, the data source, panels, and how queries are made."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

import pytest
import yaml

from tests.grafana import (
    BOARDS,
    CLIENT_ADDS_SECONDS,
    SOURCE,
    Between,
    BoardError,
    Chosen,
    Everything,
    panels_of,
    query_of,
    variables_of,
)
from tests.integration.test_compose import _COMPOSE, _ROOT, _SERVICES

DURING = Between(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 31, 12, tzinfo=UTC))


def test_the_boards_on_the_reports_are_a_grafana_of_their_own() -> None:
    """With a login and a profile, on the network of ClickHouse only; it finds boards, data source, password and plugin where it looks."""
    service = _SERVICES["boards"]
    environment = service["environment"]
    assert (service["profiles"], service["networks"]) == (["boards"], ["storage"])
    assert service["image"] == _SERVICES["grafana"]["image"]
    assert not any("boards" in other.get("depends_on", {}) for other in _SERVICES.values())
    assert environment["GF_SECURITY_ADMIN_PASSWORD"] == "value-of-GRAFANA_ADMIN_PASSWORD"
    assert not any(name.startswith("GF_AUTH_") for name in environment), "nobody looks without a login"
    mounts = dict(volume.split(":")[1::-1] for volume in service["volumes"])
    provisioning = _ROOT / mounts["/etc/grafana/provisioning"]
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "reports.yml").read_text())["providers"]
    boards = provider["options"]["path"]
    home = environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (_ROOT / mounts[boards] / home.removeprefix(f"{boards}/")).is_file()
    (source,) = yaml.safe_load((provisioning / "datasources" / "clickhouse.yml").read_text())["datasources"]
    users = ET.parse(_ROOT / "deploy" / "clickhouse" / "users.xml").getroot().find("users")
    assert users is not None
    password = users.find(f"{source['jsonData']['username']}/password")
    assert password is not None
    variable = password.attrib["from_env"]
    assert source["secureJsonData"]["password"] == f"${variable}"
    assert environment[variable] == _SERVICES["clickhouse"]["environment"][variable]
    assert source["jsonData"]["host"] == "clickhouse"
    assert set(service["networks"]) <= set(_SERVICES["clickhouse"]["networks"])
    plugin, _, version = environment["GF_PLUGINS_PREINSTALL"].partition("@")
    assert plugin == source["type"]
    assert mounts["/var/lib/grafana/plugins"] in _COMPOSE["volumes"], "a tmpfs runs no programs"
    for file in sorted((_ROOT / mounts[boards]).glob("*.json")):
        assert set(re.findall(r'"pluginVersion": "([^"]+)"', file.read_text())) == {version}, file.name


@pytest.mark.parametrize("name", BOARDS)
def test_a_board_is_put_together(name: str) -> None:
    """It can't be changed, comes from the data source that is provisioned, and its panels don't overlap and say what they show."""
    board = BOARDS[name]
    assert (board["uid"], board["editable"], board["schemaVersion"]) == (f"journey-{name}", False, 39)
    assert board["timezone"] == "utc", "days would be shown as the day before, west of Greenwich"
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    ours = {"type": SOURCE["type"], "uid": SOURCE["uid"]}
    for panel in panels_of(board):
        assert panel["title"]
        assert len(panel["description"]) > 40, panel["title"]
        assert [panel["datasource"], *(target["datasource"] for target in panel["targets"])] == [ours, ours]
        asks_for_days = "$__" in panel["targets"][0]["rawSql"]
        assert not (asks_for_days and board["timepicker"]["hidden"]), panel["title"]
        # Who chose days must be told where they don't matter.
        assert asks_for_days or re.search(r"[Oo]ver all days|days are chosen", panel["description"]), panel["title"]
    assert all(variable["datasource"] == ours for variable in variables_of(board))


def test_the_data_source_comes_as_the_reader_and_stays_within_its_limits() -> None:
    """Its user is the one of the views, its password comes from the environment, and its time-out is one that this user may have."""
    given = SOURCE["jsonData"]
    assert (given["username"], SOURCE["secureJsonData"]) == (
        "journey_reader",
        {"password": "$CLICKHOUSE_READER_PASSWORD"},
    )
    assert SOURCE["editable"] is False
    limit = (
        ET.parse(_ROOT / "deploy" / "clickhouse" / "users.xml")
        .getroot()
        .findtext("profiles/journey_reader/max_execution_time")
    )
    assert limit is not None
    assert given["queryTimeout"] + CLIENT_ADDS_SECONDS <= int(limit)


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("SELECT $__timeFilters(at)", r"\$__timeFilters is no macro"),
        ("SELECT $__dateFilter(a, b)", r"\$__dateFilter\(a, b\): wrong number of arguments"),
        ("SELECT ${campagin:sqlstring}", "there is no variable campagin"),
        ("SELECT [[campagin]]", "there is no variable campagin"),
        ("SELECT '$campaign'", "needs the format sqlstring"),
        ("SELECT ${campaign:csv}", "needs the format sqlstring"),
    ],
)
def test_what_grafana_would_not_replace_is_found(sql: str, told: str) -> None:
    """A macro or variable that doesn't exist, or would go in unquoted, fails here and not on somebody's board."""
    with pytest.raises(BoardError, match=told):
        query_of(sql, {"campaign": ["spring"]}, DURING)


def test_queries_become_what_grafana_makes_of_them() -> None:
    """Quotes are doubled, all is put in as it stands, and days are those of the time range."""
    chosen: dict[str, Chosen] = {"a": ["it's", "b"], "b": Everything("'(all)'"), "c": "x"}
    assert query_of("${a:sqlstring} ${b:sqlstring} ${c:sqlstring}", chosen, DURING) == "'it''s','b' '(all)' 'x'"
    assert query_of("$__dateFilter(day)", {}, DURING) == "day >= toDate('2026-01-01') AND day <= toDate('2026-01-31')"
    assert (
        query_of("$__timeFilter(at) $__toTime", {}, DURING)
        == "at >= toDateTime(1767225600) AND at <= toDateTime(1769860800) toDateTime(1769860800)"
    )
