"""Dashboard and alert rules parse and hang together; that their metrics exist is tested against the running product."""

import json
import re
from typing import Any

import yaml

from tests.tidy.project import ROOT, text

ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "tokentally.json"
OPERATIONS = ROOT / "docs" / "operations.md"
DURATION = re.compile(r"\d+[smh]")


def _rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(text(ALERTS))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def _balanced(expression: str) -> bool:
    return all(expression.count(left) == expression.count(right) for left, right in ("()", "{}", "[]"))


def test_every_alert_is_whole_and_has_a_name_of_its_own() -> None:
    rules = _rules()

    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}, rule["alert"]
        assert _balanced(rule["expr"]), rule["alert"]
        assert DURATION.fullmatch(rule.get("for", "1s")), rule["alert"]
        assert rule["labels"]["severity"] in ("page", "ticket"), rule["alert"]
        assert rule["annotations"]["summary"], rule["alert"]


def test_every_alert_leads_to_its_section_and_every_section_to_an_alert() -> None:
    alerts = {rule["alert"] for rule in _rules()}
    sections = set(re.findall(r"^### (\w+)$", text(OPERATIONS), re.MULTILINE))

    assert alerts == sections
    for rule in _rules():
        assert rule["annotations"]["runbook"] == f"docs/operations.md#{rule['alert'].lower()}"


def test_the_dashboards_panels_have_queries_and_places_of_their_own() -> None:
    panels = json.loads(text(DASHBOARD))["panels"]
    charts = [panel for panel in panels if panel["type"] != "row"]

    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}) == len(panels)
    assert len({panel["title"] for panel in charts}) == len(charts)
    for panel in charts:
        assert panel["targets"], panel["title"]
        assert all(_balanced(target["expr"]) for target in panel["targets"]), panel["title"]
