"""Decides whether an installation holds what it must; a process that has nothing to do with the pipeline or the test that harmed it.

    python -m tests.faults.verifier --bootstrap HOST:PORT --prefix P --clickhouse HOST:PORT/DATABASE --events FILE

Prints a JSON report. Exit code 0: everything is as it must be. 1: the report's `findings` say what is not.
With `--while-running` only that is checked which holds at any moment, also in the middle of a crash.

    python -m tests.faults.verifier --answer

Reads such options from its input, a JSON list a line, and answers each with a report, a line. It keeps nothing from one to the next; starting
takes longer than judging.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from clickhouse_driver import Client

from tests.faults import findings as checks
from tests.faults.evidence import Evidence, collect
from tests.faults.expectations import Expectations, expect, sent_in
from tests.faults.findings import Finding
from tests.pipeline import SALES
from tests.warehouse import expected as expected_rows
from tests.warehouse import tables

_REPLACING = """
SELECT name, sorting_key FROM system.tables
WHERE database = currentDatabase() AND engine LIKE 'Replacing%' AND engine_full LIKE '%is_deleted%'
"""
_OF_THE_INSERT = ("revision", "is_deleted", "written_at")


def main() -> None:
    """Verify, report, and end with the verdict as exit code."""
    if sys.argv[1:] == ["--answer"]:
        for line in sys.stdin:
            print(json.dumps(_report(_options(json.loads(line)))), flush=True)
        return
    report = _report(_options(sys.argv[1:]))
    print(json.dumps(report, indent=1))
    sys.exit(1 if report["findings"] else 0)


def _report(options: argparse.Namespace) -> dict[str, Any]:
    evidence = asyncio.run(collect(options.bootstrap, options.prefix, options.funnels))
    expected = expect(evidence.inputs, options.funnels)
    found = list(_moment(expected, evidence))
    judged = len(checks.settled(expected, evidence))
    report: dict[str, Any] = {"accounting": checks.accounting(expected, evidence), "judged": judged}
    if not options.while_running:
        found += _end(expected, evidence, options.events)
        if options.clickhouse:
            with _client(options.clickhouse) as client:
                found += _tables(expected, client)
                report["tables"] = _digests(client)
    return report | {"findings": [finding._asdict() for finding in found]}


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bootstrap", required=True, help="host:port of the broker itself, past any proxy")
    parser.add_argument("--prefix", required=True, help="of the installation's topics and groups")
    parser.add_argument("--clickhouse", help="host:port/database; without it only topics are judged")
    parser.add_argument("--events", type=Path, help="what was sent; needed unless --while-running")
    parser.add_argument("--funnels", type=Path, nargs="*", default=[SALES])
    parser.add_argument("--while-running", action="store_true")
    options = parser.parse_args(arguments)
    if not options.while_running and options.events is None:
        parser.error("--events says what was sent; only --while-running does without it")
    return options


def _moment(expected: Expectations, evidence: Evidence) -> Iterator[Finding]:
    """What holds at any moment."""
    yield from checks.commits_are_behind(expected, evidence)
    yield from checks.facts_are_behind(evidence)
    yield from checks.facts_agree(evidence)
    yield from checks.told_what_follows(expected, evidence)


def _end(expected: Expectations, evidence: Evidence, events: Path) -> Iterator[Finding]:
    """What holds when all is done."""
    yield from checks.drained(evidence)
    yield from checks.sent_is_there(expected, evidence, *sent_in(events))
    yield from checks.conservation(expected, evidence)


def _tables(expected: Expectations, client: Client) -> Iterator[Finding]:
    """Rows equal the oracle's; no key is there twice, or with two contents of one revision."""
    found, wanted = tables(client), expected_rows(expected.truth)
    for table, rows in wanted.items():
        yield from checks.differing_rows(table, found[table], rows)
    for table, key in client.execute(_REPLACING):
        twice = client.execute(f"SELECT {key}, count() FROM {table} FINAL GROUP BY {key} HAVING count() > 1 LIMIT 5")
        yield from checks.several("uniqueness", f"keys are twice in {table}", twice)
        contents = ", ".join(_contents(client, table, (*key.split(", "), *_OF_THE_INSERT)))
        contrary = client.execute(
            f"SELECT {key}, revision FROM {table} WHERE NOT is_deleted GROUP BY {key}, revision"
            f" HAVING uniqExact(tuple({contents or '1'})) > 1 LIMIT 5"
        )
        yield from checks.several("uniqueness", f"keys have two contents of one revision in {table}", contrary)


def _contents(client: Client, table: str, without: tuple[str, ...]) -> list[str]:
    query = "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = %(table)s"
    return [name for (name,) in client.execute(query, {"table": table}) if name not in without]


def _digests(client: Client) -> dict[str, str]:
    """Of each table's rows: what a replay must not change. The revision may: what is told again carries that of the state."""
    digests = {}
    for table, _ in client.execute(_REPLACING):
        rows = sorted(map(str, client.execute(f"SELECT * EXCEPT (revision, written_at) FROM {table} FINAL")))
        digests[table] = f"{len(rows)} rows {hashlib.sha256(chr(10).join(rows).encode()).hexdigest()[:16]}"
    return digests


def _client(address: str) -> Client:
    where, _, database = address.partition("/")
    host, _, port = where.partition(":")
    return Client(host, port=int(port), database=database)


if __name__ == "__main__":
    main()
