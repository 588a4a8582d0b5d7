"""Rules and dashboard: read by Prometheus's own tool, and on metrics that the service has."""

import json
import re
import subprocess
from typing import Any

import pytest
from prometheus_client.metrics import MetricWrapperBase

from serving import metrics
from tests.test_deploy.tools import DEPLOY, program, read_yaml

MONITORING = DEPLOY / "monitoring"
(RULES,) = read_yaml(MONITORING / "alerts.yml")
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"]]
DASHBOARD = json.loads((MONITORING / "dashboard.json").read_text())
QUERIES = [alert["expr"] for alert in ALERTS] + [
    target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]
]


def exposed() -> dict[str, set[str]]:
    """Return the series of /metrics with the names of their labels."""
    found = {}
    for collector in vars(metrics).values():
        if not isinstance(collector, MetricWrapperBase):
            continue
        for family in collector.describe():
            labels = set(collector._labelnames)
            for name in {
                "counter": [f"{family.name}_total"],
                "histogram": [f"{family.name}_{part}" for part in ("bucket", "count", "sum")],
            }.get(family.type, [family.name]):
                found[name] = labels | ({"le"} if name.endswith("_bucket") else set())
    return found


@pytest.mark.slow
@pytest.mark.parametrize("what", [("check", "config", "prometheus.yml"),
                                  ("check", "rules", "alerts.yml"),
                                  ("test", "rules", "alerts_test.yml")])  # fmt: skip
def test_prometheus_reads_it(what: tuple[str, ...]):
    done = subprocess.run(
        [program("promtool"), *what], cwd=MONITORING, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("query", QUERIES, ids=map(str, range(len(QUERIES))))
def test_a_query_is_on_metrics_there_are(query: str):
    known = exposed()
    named = set(re.findall(r"\bffl_risk_\w+", query))
    assert named <= set(known), named - set(known)
    for name, matchers in re.findall(r"\b(ffl_risk_\w+)\{([^}]*)\}", query):
        assert set(re.findall(r"(\w+)=~?\"", matchers)) <= known[name]
    labels = {w.strip() for by in re.findall(r"by \(([^)]*)\)", query) for w in by.split(",")}
    assert labels <= set().union(*(known[name] for name in named)) if named else not labels


def test_every_metric_is_watched_or_shown():
    """One that nobody looks at is not worth its place."""
    named = set(re.findall(r"\bffl_risk_\w+", " ".join(QUERIES)))
    unseen = {name for name in exposed() if name not in named} - {"up"}
    assert {n for n in unseen if not n.endswith(("_count", "_sum"))} == set()


def test_every_alert_says_what_to_do_and_how_much_it_matters():
    for alert in ALERTS:
        assert alert["labels"]["severity"] in {"page", "ticket"}, alert["alert"]
        assert set(alert["annotations"]) == {"summary", "action"}, alert["alert"]
    tested: set[str] = set()
    for document in read_yaml(MONITORING / "alerts_test.yml"):
        for case in document["tests"]:
            tested |= {one["alertname"] for one in case["alert_rule_test"]}
    assert tested == {alert["alert"] for alert in ALERTS}


def test_every_panel_has_its_place():
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place: dict[str, Any] = panel["gridPos"]
        cells = {
            (place["x"] + dx, place["y"] + dy)
            for dx in range(place["w"])
            for dy in range(place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
