"""Targets as people write them: `targets.toml` into rows, refused with file, key and what was expected."""

from __future__ import annotations

import datetime as dt
import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from funnel.reading import FunnelError, Reading
from journey.errors import JourneyError
from sinks.given import TARGETS, Key

METRICS = ("entered", "won", "revenue", "conversion_rate")
PERIODS = {"monthly": 1, "quarterly": 3, "campaign": 0}
"""How many months each is long; 0: from `starts` to `ends`."""
_KNOWN = ("name", "funnel", "metric", "stage", "currency", "period", "starts", "ends", "campaign", "value")
_CURRENCY = re.compile(r"[A-Z]{3}")
_YEARS = range(2000, 2100)


def read_targets(path: Path, stages: Mapping[str, Sequence[str]]) -> dict[Key, Key]:
    """Read a file of targets.

    Args:
        path: of the file.
        stages: the funnels that there are, and the stages of each.

    Returns:
        Of (name,) the values, as the table `targets` has them.

    Raises:
        JourneyError: the file can't be read, or is wrong.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise JourneyError(f"{path}: expected a readable file ({error.strerror})") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise JourneyError(f"{path}: expected valid TOML in UTF-8 ({error})") from error
    try:
        return _Reader(str(path), stages).targets(document)
    except FunnelError as error:
        raise JourneyError(str(error), hint="nothing was loaded") from None


class _Reader(Reading):
    """Reads one document; every method takes the key it stands at, for errors."""

    def __init__(self, file: str, stages: Mapping[str, Sequence[str]]) -> None:
        super().__init__(file)
        self._stages = stages

    def targets(self, document: Mapping[str, Any]) -> dict[Key, Key]:
        self._only(document, "", ("target",))
        found: dict[Key, Key] = {}
        for number, entry in enumerate(self._list(document.get("target"), "target")):
            key = f"target[{number}]"
            row = self._target(self._table(entry, key, _KNOWN), key)
            if (row["name"],) in found:
                raise self._wrong(f"{key}.name", f"expected a name of its own; {row['name']!r} is named twice")
            found[row["name"],] = tuple(row[name] for name in TARGETS.values)
        return found

    def _target(self, table: Mapping[str, Any], key: str) -> dict[str, Any]:
        funnel = self._one_of(table.get("funnel"), f"{key}.funnel", tuple(self._stages))
        metric = self._one_of(table.get("metric"), f"{key}.metric", METRICS)
        period = self._one_of(table.get("period"), f"{key}.period", tuple(PERIODS))
        campaign = table.get("campaign")
        if campaign is not None and not isinstance(campaign, str):
            raise self._wrong(f"{key}.campaign", "expected a string")
        if campaign is None and period == "campaign":
            raise self._wrong(
                f"{key}.campaign", 'expected the campaign that the goal is of, where period is "campaign"'
            )
        starts, ends = self._days(table, key, period)
        return {
            "name": self._name(table.get("name"), f"{key}.name"),
            "funnel": funnel,
            "metric": metric,
            "stage": self._stage(table, key, metric, funnel),
            "currency": self._currency(table, key, metric),
            "period": period,
            "campaign": campaign,
            "starts": starts,
            "ends": ends,
            "value": self._value(table.get("value"), f"{key}.value", metric),
        }

    def _stage(self, table: Mapping[str, Any], key: str, metric: str, funnel: str) -> str:
        """Where visits enter, or from where on they are to be won: there the first stage, if none is named."""
        if metric == "entered" or (metric == "conversion_rate" and "stage" in table):
            return self._one_of(table.get("stage"), f"{key}.stage", self._stages[funnel])
        if "stage" in table:
            raise self._wrong(f"{key}.stage", "expected only where metric is entered or conversion_rate")
        return ""

    def _currency(self, table: Mapping[str, Any], key: str, metric: str) -> str:
        currency = table.get("currency")
        if metric != "revenue":
            if currency is not None:
                raise self._wrong(f"{key}.currency", "expected only where metric is revenue")
            return ""
        if not isinstance(currency, str) or not _CURRENCY.fullmatch(currency):
            raise self._wrong(f"{key}.currency", "expected three capital letters, such as EUR")
        return currency

    def _days(self, table: Mapping[str, Any], key: str, period: str) -> tuple[dt.date, dt.date | None]:
        months = PERIODS[period]
        starts = self._day(table.get("starts"), f"{key}.starts")
        ends = self._day(table.get("ends"), f"{key}.ends") if "ends" in table or not months else None
        if months and (starts.day != 1 or (starts.month - 1) % months):
            what = "month" if months == 1 else "quarter"
            raise self._wrong(f"{key}.starts", f"expected the first day of a {what}")
        if ends is not None and ends < starts:
            raise self._wrong(f"{key}.ends", "expected a day that is not before starts")
        if months and ends is not None:
            after = ends + dt.timedelta(days=1)
            if after.day != 1 or (after.month - 1) % months:
                what = "month" if months == 1 else "quarter"
                raise self._wrong(f"{key}.ends", f"expected the last day of a {what}")
        return starts, ends

    def _day(self, value: object, key: str) -> dt.date:
        if type(value) is not dt.date or value.year not in _YEARS:
            raise self._wrong(key, "expected a day without quotes, such as 2026-10-01")
        return value

    def _value(self, value: object, key: str, metric: str) -> float:
        most = 1.0 if metric == "conversion_rate" else math.inf
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most or value == math.inf:
            raise self._wrong(key, f"expected a number above 0{' and up to 1' if most == 1 else ''}")
        return float(value)
