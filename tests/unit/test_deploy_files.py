"""Rules for Prometheus and the dashboard for Grafana are what these programs read."""

import json
import re

import pytest

from tests.harness.prometheus import DASHBOARD, expressions, metrics_in, panels, rules

_DURATION = re.compile(r"\d+(s|m|h|d)")
_FIELDS = {"alert", "expr", "for", "labels", "annotations"}
_PAIRS = {")": "(", "]": "[", "}": "{"}


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_a_rule_has_what_prometheus_and_people_need(rule: dict[str, object]) -> None:
    assert set(rule) <= _FIELDS
    assert rule["labels"] in ({"severity": "warning"}, {"severity": "critical"})
    assert set(rule["annotations"]) == {"summary", "description"}  # type: ignore[call-overload]  # of YAML
    assert "for" not in rule or _DURATION.fullmatch(str(rule["for"]))


def test_no_two_rules_have_one_name() -> None:
    names = [rule["alert"] for rule in rules()]

    assert len(names) == len(set(names))


@pytest.mark.parametrize(("title", "expression"), [*expressions()])
def test_an_expression_names_a_metric_and_closes_what_it_opens(
    title: str, expression: str
) -> None:
    opened: list[str] = []
    for sign in re.sub(r'"[^"]*"', "", expression):
        if sign in _PAIRS.values():
            opened.append(sign)
        elif sign in _PAIRS:
            assert opened
            assert opened.pop() == _PAIRS[sign], title
    assert not opened, title
    assert metrics_in(expression), title


def test_the_dashboard_is_one_that_grafana_imports() -> None:
    found = json.loads(DASHBOARD.read_text())
    numbers = [panel["id"] for panel in panels()]
    (source,) = found["templating"]["list"]

    assert found["title"]
    assert found["schemaVersion"] >= 36
    assert len(numbers) == len(set(numbers))
    assert source["type"] == "datasource"
    for panel in panels():
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == "${datasource}"
            letters = [target["refId"] for target in panel["targets"]]
            assert len(letters) == len(set(letters))


def test_no_two_panels_lie_on_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
