"""The dbt package: what it reads exists, and dbt itself builds and tests it on the facts of a demo."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sinks.refresh import refresh
from tests.attribution import insert, rows_of, visits
from tests.clickhouse import ClickHouse
from tests.e2e.harness import ROOT
from tests.integration.test_views_attribution import prepared

_PACKAGE = ROOT / "dbt"
_DBT = ("dbt-core==1.10.23", "dbt-clickhouse==1.10.3")
_SECONDS = 240


def test_sources_exist(clickhouse: ClickHouse) -> None:
    """Every table and column that the package names is one that `journey migrate` makes; every source that models read is named."""
    prepared(clickhouse).disconnect()
    (source,) = yaml.safe_load((_PACKAGE / "models" / "sources.yml").read_text())["sources"]
    named = {table["name"]: {column["name"] for column in table.get("columns", ())} for table in source["tables"]}
    columns: dict[str, set[str]] = {}
    for table, column in clickhouse.query("SELECT table, name FROM system.columns WHERE database = currentDatabase()"):
        columns.setdefault(table, set()).add(column)
    for table, found in named.items():
        assert found <= columns[table], table
    read = {
        name
        for file in _PACKAGE.rglob("*.sql")
        for name in re.findall(r"source\('journey', '(\w+)'\)", file.read_text())
    }
    assert read <= set(named)


@pytest.mark.long
def test_dbt_builds_it(clickhouse: ClickHouse, tmp_path: Path) -> None:
    """In an environment of its own, as dbt pins libraries that we have in other versions: freshness, models and all tests."""
    with prepared(clickhouse) as client:
        insert(client, [rows_of(visit, 1) for visit in visits(1, 300)])
        refresh(client)
    environment = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    subprocess.run([environment / "bin" / "pip", "install", "--quiet", *_DBT], check=True, timeout=_SECONDS)
    made = f"{clickhouse.database}_dbt"
    variables = {
        "DBT_CLICKHOUSE_HOST": clickhouse.server.host,
        "DBT_CLICKHOUSE_PORT": str(clickhouse.server.native_port),
        "DBT_CLICKHOUSE_DATABASE": made,
        "DBT_TARGET_PATH": str(tmp_path / "target"),
        "DBT_LOG_PATH": str(tmp_path / "logs"),
    }
    try:
        for command in (("source", "freshness"), ("build",)):
            done = subprocess.run(
                [environment / "bin" / "dbt", *command, "--profiles-dir", ".", "--vars", f"journey_database: {clickhouse.database}"],
                cwd=_PACKAGE, env={**os.environ, **variables}, capture_output=True, text=True, timeout=_SECONDS, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stdout + done.stderr
        assert re.search(r"PASS=\d+ WARN=0 ERROR=0 SKIP=0", done.stdout), done.stdout
    finally:
        clickhouse.query(f"DROP DATABASE IF EXISTS {made}")
