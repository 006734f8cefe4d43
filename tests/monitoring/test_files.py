# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The board and the alerts are sound, ask for what there is, and alerts fire and resolve."""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import pytest
import yaml
from grafana_foundation_sdk.models.dashboard import Dashboard
from qat_device_plugin.attribution import Attribution
from qat_device_plugin.exporter import exposition as exporter
from qat_device_plugin.exporter.collection import errors
from qat_device_plugin.exposition import exposition
from qat_device_plugin.model import Model
from qat_device_plugin.statistics import Statistics
from qat_device_plugin.status import Status

from ansible_collections.accel.qat.tests.monitoring.board import ALERTS, BOARD, PLACE, RULES, asked, metrics_in
from ansible_collections.accel.qat.tests.monitoring.programs import promtool
from ansible_collections.accel.qat.tests.unit.docs.test_exporter_page import whole
from ansible_collections.accel.qat.tests.unit.docs.test_pages import examples, table
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT
from ansible_collections.accel.qat.tools.monitoring.files import FILES

HERE = Path(__file__).parent
CASES = sorted(HERE.glob("alerts_*.yml"))
SUFFIXES = {"histogram": ("_bucket", "_count", "_sum")}


PLUGIN = exposition(Status(Model(), 0.0, {}, {}, attribution=Attribution()), Statistics())
EXPORTER = exporter.exposition(whole(), errors(), 1.0)


def names_in(text: bytes) -> set[str]:
    """The names of the series of an exposition, whether there are any as yet or not."""
    types = [line.split()[2:4] for line in text.decode().splitlines() if line.startswith("# TYPE ")]
    return {name + suffix for name, kind in types for suffix in SUFFIXES.get(kind, ("",))}


@pytest.mark.parametrize("name", FILES)
def test_what_is_made_is_current(name: str) -> None:
    assert (PLACE / name).read_text() == FILES[name](), "run: .venv/bin/python -m tools.monitoring"


def test_the_operator_gets_the_same_alerts() -> None:
    rule = yaml.safe_load((PLACE / "prometheus_rule.yml").read_text())
    assert (rule["apiVersion"], rule["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    assert rule["spec"] == RULES


def test_prometheus_takes_the_alerts() -> None:
    assert f"{len(ALERTS)} rules found" in promtool("check", "rules", PLACE / "rules.yml")


@pytest.mark.parametrize("cases", CASES, ids=lambda path: path.stem)
def test_alerts_fire_and_resolve(cases: Path) -> None:
    assert "SUCCESS" in promtool("test", "rules", cases)


def expectations() -> dict[str, list[bool]]:
    """By alert whether it is expected to be there, in the order of the tests."""
    found: dict[str, list[bool]] = {}
    for cases in CASES:
        for case in yaml.safe_load(cases.read_text())["tests"]:
            for one in case["alert_rule_test"]:
                found.setdefault(one["alertname"], []).append(bool(one.get("exp_alerts")))
    return found


def test_each_alert_is_seen_before_it_fires_and_after_it_has_resolved() -> None:
    assert {name: (seen[0], True in seen, seen[-1]) for name, seen in expectations().items()} == {
        rule["alert"]: (False, True, False) for rule in ALERTS
    }


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_is_wrong_and_where_to_read_on(rule: t.Mapping[str, t.Any]) -> None:
    words = rule["annotations"]
    assert set(words) == {"summary", "description", "runbook_url"}
    assert words["description"].endswith(".")
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    page = "https://github.com/accel-qat/accel.qat/blob/main/docs/monitoring.md#alerts"
    assert words["runbook_url"] == page


def test_the_page_has_a_row_for_each_alert() -> None:
    rows = table("docs/monitoring.md", "alert")
    assert {name: cells[0] for name, cells in rows.items()} == {
        rule["alert"]: rule["labels"]["severity"] for rule in ALERTS
    }


def test_the_board_is_of_the_form_that_grafana_takes() -> None:
    assert Dashboard.from_json(dict(BOARD)).panels
    numbers = [panel["id"] for panel in BOARD["panels"]]
    assert len(set(numbers)) == len(numbers)


def as_rules(expressions: t.Sequence[str], directory: Path) -> Path:
    """A file of rules that record these, since promtool reads them without a server."""
    rules = [{"record": f"asked:{number}", "expr": one} for number, one in enumerate(expressions)]
    path = directory / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "asked", "rules": rules}]}))
    return path


def test_prometheus_takes_every_query(tmp_path: Path) -> None:
    found = list(asked().values())
    assert f"{len(found)} rules found" in promtool("check", "rules", as_rules(found, tmp_path))


@pytest.mark.parametrize("name", asked())
def test_every_metric_that_is_asked_for_exists(name: str) -> None:
    assert metrics_in(asked()[name])
    assert metrics_in(asked()[name]) <= {*names_in(PLUGIN), *names_in(EXPORTER), "up"}


@pytest.mark.parametrize("text", [PLUGIN, EXPORTER], ids=["plugin", "exporter"])
def test_what_is_exposed_is_of_good_form(text: bytes) -> None:
    """Names, types and units, as promtool lints them."""
    assert promtool("check", "metrics", said=text) == ""


# How Prometheus reaches a node.


def document(name: str) -> t.Any:
    return yaml.safe_load((PLACE / name).read_text())


def objects(name: str) -> list[t.Any]:
    """Those of a list of Kubernetes: ansible-test takes one document a file."""
    (kind, items) = (document(name)[key] for key in ("kind", "items"))
    assert kind == "List"
    return list(items)


def test_prometheus_takes_the_scrape_configuration(tmp_path: Path) -> None:
    """But for the list of nodes, for which Debian's has no code."""
    example = document("scrape.yml")
    for job in example["scrape_configs"]:
        assert job.pop("kubernetes_sd_configs") == [{"role": "node"}]
    path = tmp_path / "prometheus.yml"
    path.write_text(yaml.safe_dump(example))
    assert "SUCCESS" in promtool("check", "config", path)


def test_prometheus_takes_what_the_page_shows(tmp_path: Path) -> None:
    (example,) = (one for one in examples(CHECKOUT / "docs/monitoring.md") if "scrape_configs" in one)
    text = yaml.safe_dump(example).replace("/etc/prometheus", str(tmp_path))
    for job in example["scrape_configs"]:
        (tmp_path / f"{job['job_name']}.json").write_text('[{"targets": ["node1:9482"]}]')
    path = tmp_path / "prometheus.yml"
    path.write_text(text)
    assert "SUCCESS" in promtool("check", "config", path)


def test_the_operator_scrapes_the_same() -> None:
    example = document("scrape.yml")
    names = {"source_labels": "sourceLabels", "target_label": "targetLabel"}
    jobs = [
        {
            "jobName": job["job_name"],
            "honorLabels": job["honor_labels"],
            "kubernetesSDConfigs": [{"role": one["role"].capitalize()} for one in job["kubernetes_sd_configs"]],
            "relabelings": [
                {names.get(key, key): value for key, value in one.items()} for one in job["relabel_configs"]
            ],
        }
        for job in example["scrape_configs"]
    ]
    found = objects("scrape_config.yml")
    assert [one["spec"] for one in found] == jobs
    assert [one["metadata"]["name"] for one in found] == [job["jobName"] for job in jobs]


def test_services_for_an_older_operator_fit_each_other() -> None:
    found: dict[str, dict[str, t.Any]] = {}
    for one in objects("service_monitor.yml"):
        found.setdefault(one["metadata"]["name"], {})[one["kind"]] = one
    example = document("scrape.yml")
    assert list(found) == [job["job_name"] for job in example["scrape_configs"]]
    for name, parts in found.items():
        labels = {"app.kubernetes.io/name": name}
        assert parts["Service"]["metadata"]["labels"] == parts["Endpoints"]["metadata"]["labels"] == labels
        assert parts["ServiceMonitor"]["spec"]["selector"]["matchLabels"] == labels
        (port,) = parts["Service"]["spec"]["ports"]
        assert parts["Endpoints"]["subsets"][0]["ports"] == [port]
        assert [one["port"] for one in parts["ServiceMonitor"]["spec"]["endpoints"]] == [port["name"]]


def test_ports_are_those_of_the_services() -> None:
    usual = yaml.safe_load((CHECKOUT / "roles/qat_device_plugin/defaults/main.yml").read_text())
    addresses = {name: value for name, value in usual.items() if name.endswith("_address")}
    assert len(addresses) == 2
    for name, address in addresses.items():
        assert address.rpartition(":")[2] in (PLACE / "scrape.yml").read_text(), name


def test_prometheus_takes_the_questions_of_the_page(tmp_path: Path) -> None:
    text = (CHECKOUT / "docs/monitoring.md").read_text()
    blocks = re.findall(r"^```\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    cells = re.findall(r"^\| [^|]*\? \| `(.*)` \|$", text, re.MULTILINE)
    found = [one for one in (*blocks, *cells) if metrics_in(one)]
    assert len(found) >= len(cells) > 3
    assert promtool("check", "rules", as_rules(found, tmp_path))
