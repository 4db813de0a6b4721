"""The dashboard and the alerts name metrics that are there; `make test-all` asks a Prometheus."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

import sojourn
from sojourn.admin import KindUsage, ServerMetrics
from sojourn.surfaces.cli.metrics import as_text
from sojourn.telemetry import CallFact, prometheus

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DASHBOARD = DEPLOY / "grafana" / "dashboard.json"


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    return found


def expressions() -> Iterator[tuple[str, str]]:
    """Those of the dashboard, with the titles of their panels."""
    for panel in panels():
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


async def exported() -> set[str]:
    """Names of samples that processes and `sojourn metrics` give."""
    registry = CollectorRegistry()
    server = ServerMetrics("", 1, 1, 1, 1, 1, True, [KindUsage("a", "b", 1, 1)], 1, 1)  # noqa: FBT003
    async with sojourn.open("memory://") as store:
        prometheus.register(store, registry=registry)
        prometheus.access_sink(registry)
        store._hooks.tell(CallFact("a.b", "ok", 0.1, 1, 1), None)
        texts = generate_latest(registry).decode(), as_text(server)
    found = {
        name
        for text in texts
        for family in text_string_to_metric_families(text)
        for name in (family.name, *(sample.name for sample in family.samples))
    }
    return found | {f"{name}_total" for name in found}


@pytest.mark.parametrize("where", ["dashboard", "alerts"])
async def test_each_metric_exists(where: str) -> None:
    texts = [text for _, text in expressions()] if where == "dashboard" else []
    texts += [rule["expr"] for rule in alerts()] if where == "alerts" else []
    named = set(re.findall(r"sojourn_\w+", " ".join(texts)))
    assert len(named) > 5
    assert named - await exported() == set()


def test_panels_have_room_and_ids_of_their_own() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        at = panel["gridPos"]
        places = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert at["x"] + at["w"] <= 24
        assert not taken & places, panel["title"]
        taken |= places
        assert panel.get("description") or panel["type"] == "row"
    ids = [panel["id"] for panel in panels()]
    assert len(set(ids)) == len(ids)


def test_each_alert_says_what_is_and_what_to_do() -> None:
    for rule in alerts():
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert set(rule["annotations"]) == {"summary", "description"}
    names = [rule["alert"] for rule in alerts()]
    assert len(set(names)) == len(names)
    operations = (ROOT / "docs" / "operations.md").read_text("utf-8")
    assert set(re.findall(r"^\| `(Sojourn\w+)` \|", operations, re.MULTILINE)) == set(names)
