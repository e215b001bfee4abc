"""As much of Prometheus's language as our rules and boards need: which metrics and labels an expression names, and what simple ones give."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

Samples = list[tuple[str, Mapping[str, str], float]]
"""Name, labels and value."""

FROM_PROMETHEUS = {
    "up": frozenset({"job", "instance"}),
    "ALERTS": frozenset({"job", "instance", "alertname", "alertstate", "severity"}),
}
"""What Prometheus adds by itself."""
_FROM_SCRAPING = {"job", "instance"}
_WORDS = {"by", "without", "on", "ignoring", "group_left", "group_right", "and", "or", "unless", "bool", "offset"}
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)(\s*\()?(?:\{([^}]*)\})?")
_COMPARISON = re.compile(r"(?:(?:max|sum) by \(\w+\) \()?(?:(increase)\()?(\w+)(?:\[\w+\])?\)?\)? (==|>) ([\d.]+)")


def known() -> dict[str, frozenset[str]]:
    """The labels of every sample that worker or sink serve; import their metrics first."""
    found: dict[str, frozenset[str]] = {}
    for collector in list(REGISTRY._collector_to_names):
        own: Any = getattr(collector, "_labelnames", ())
        for family in collector.collect():
            labels = frozenset(own)
            if family.type == "counter":
                found[family.name + "_total"] = labels
            elif family.type == "histogram":
                found |= {f"{family.name}_{part}": labels for part in ("sum", "count")}
                found[family.name + "_bucket"] = labels | {"le"}
            else:
                found[family.name] = labels
            # Those of the process itself have their names whole.
            found |= {
                sample.name: frozenset(sample.labels)
                for sample in family.samples
                if sample.name not in found and not sample.name.endswith("_created")
            }
    return found


def wrong_with(expression: str, metrics: Mapping[str, frozenset[str]]) -> Iterator[str]:
    """What an expression names that does not exist: metrics, and labels that its metrics don't have."""
    bare = re.sub(r"\[[^\]]*\]", "", _STRING.sub('""', expression))
    grouped = {label.strip() for found in _GROUPING.findall(bare) for label in found.split(",")} - {""}
    all_labels = set(_FROM_SCRAPING)
    names = 0
    for name, called, matchers in _SELECTOR.findall(_GROUPING.sub("", bare)):
        if called or name in _WORDS:
            continue
        names += 1
        if name not in metrics:
            yield f"{name} is no metric"
            continue
        labels = metrics[name] | _FROM_SCRAPING
        all_labels |= labels
        for matcher in filter(None, matchers.split(",")):
            label = matcher.split("=")[0].strip(" !")
            if label not in labels:
                yield f"{name} has no label {label}"
    if not names:
        yield "names no metric"
    for label in grouped - all_labels:
        yield f"none of the metrics has the label {label}"


def samples(exposition: str) -> Samples:
    """What /metrics said."""
    return [
        (sample.name, sample.labels, sample.value)
        for family in text_string_to_metric_families(exposition)
        for sample in family.samples
    ]


def fires(expression: str, now: Samples, before: Samples = ()) -> bool:  # type: ignore[assignment]  # an empty one will do
    """Whether a rule's expression holds for one process.

    Comparisons of a metric, its maximum or its increase (since `before`) with a number, joined by `or`; no other.
    """
    for part in expression.split(" or "):
        comparison = _COMPARISON.fullmatch(part.strip())
        assert comparison is not None, f"{part} is more than a comparison"
        increase, metric, operator, number = comparison.groups()
        then = {(name, *sorted(labels.items())): value for name, labels, value in before}
        for name, labels, value in now:
            if name != metric:
                continue
            found = value - then.get((name, *sorted(labels.items())), 0.0) if increase else value
            if found > float(number) if operator == ">" else found == float(number):
                return True
    return False
