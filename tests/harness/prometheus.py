"""What the files for Prometheus and Grafana ask for, and what a scrape has."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent.parent
RULES = ROOT / "deploy/prometheus/rules.yml"
DASHBOARD = ROOT / "deploy/grafana/dashboard.json"

_METRIC = re.compile(r"\bmcp_(?:host|gateway)_\w+")
_STRINGS = re.compile(r'"[^"]*"')
#: What the text format adds to the name of a family.
_SUFFIXES = ("_total", "_bucket", "_count", "_sum", "_info")


def rules() -> list[dict[str, Any]]:
    """Return every rule of the file."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    """Return every panel of the dashboard."""
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def expressions() -> Iterator[tuple[str, str]]:
    """Yield what each expression is for, and itself."""
    for rule in rules():
        yield rule["alert"], rule["expr"]
    for panel in panels():
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


def asked_for() -> set[str]:
    """Return the metrics that rules and dashboard name."""
    return {name for _, text in expressions() for name in metrics_in(text)}


def metrics_in(expression: str) -> set[str]:
    """Return the metrics that an expression names."""
    return set(_METRIC.findall(_STRINGS.sub("", expression)))


def told(scrape: str) -> set[str]:
    """Return the names under which a scrape's families can be asked for, also those that have no sample yet."""
    found = set()
    for line in scrape.splitlines():
        if line.startswith("# TYPE "):
            name = line.split()[2]
            base = next((name.removesuffix(end) for end in _SUFFIXES if name.endswith(end)), name)  # fmt: skip
            found |= {name, base, *(base + end for end in _SUFFIXES)}
        elif line and not line.startswith("#"):
            found.add(re.split(r"[{ ]", line, maxsplit=1)[0])
    return found
