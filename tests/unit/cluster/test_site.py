# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the playbook site makes of tags, of variables and of several nodes, and of what its roles disrupt."""

from __future__ import annotations

import json
import re
import sys
import typing as t

import pytest

from ansible_collections.accel.qat.tests.controller.controller import MOST_TASKS, REPORT, Run
from ansible_collections.accel.qat.tests.unit.cluster.drain_site import (
    BOTH,
    COMPRESSION,
    EVICT,
    GIVE_BACK,
    LAST,
    LAST_OF_NODE,
    STATIC,
    Site,
    evictions,
    names,
    one,
)
from ansible_collections.accel.qat.tests.unit.cluster.site import VF0, VF1

# Tags.


@pytest.mark.usefixtures("kubelet")
def test_the_tags_say_what_is_drained_for(site: Site) -> None:
    """The node's part waits for another run, so what it disrupts is left alone; and the reverse."""
    site.give("default/one", VF0)
    site.give("default/other")
    for flags, evicted in (
        (("--tags", "node"), ["default/one"]),
        (("--tags", "kubelet"), ["default/one", "default/other"]),
        (("--tags", "drain", "--skip-tags", "kubelet"), ["default/one"]),
        (("--skip-tags", "kubelet,device_plugin"), ["default/one"]),
        (("--skip-tags", "kubelet,device_plugin,node"), None),
        (("--skip-tags", "drain,device_plugin,node,kubelet"), None),
        (("--tags", "verify"), None),
    ):
        run = site.site("--check", *flags, qat_kubernetes=True, **BOTH)
        assert run.code == 0, (flags, run.output)
        assert evictions(run) == ([evicted] if evicted else []), flags
        assert (GIVE_BACK in names(run)) == (flags[1] not in ("drain", "verify")), flags


@pytest.mark.usefixtures("kubelet")
def test_a_tag_of_the_callers_own_play(site: Site) -> None:
    """Which imports the playbook, beside plays that have others."""
    site.give("default/one", VF0)
    site.give("default/other")
    for flags, evicted in (
        (("--tags", "qat"), ["default/one", "default/other"]),
        (("--tags", "qat", "--skip-tags", "kubelet"), ["default/one"]),
        (("--tags", "others"), None),
        (("--skip-tags", "qat"), None),
    ):
        skipped = ("--skip-tags", "device_plugin") if "--skip-tags" not in flags else ()
        run = site.site("--check", *flags, *skipped, tags=["qat"], qat_kubernetes=True, **BOTH)
        assert evictions(run) == ([evicted] if evicted else []), flags
        assert (GIVE_BACK in names(run)) == bool(evicted), flags


# Roles and variables.


def roles(run: Run) -> list[str]:
    """Which roles had tasks of their own, in their order, but for proofs. Each role looks at its variables, whatever the tags."""
    own = (
        task.name.partition(" : ")
        for task in run.tasks
        if not re.search(" : (Validating|Prove|Ask for what it takes)", task.name) and task.outcome != "skipped"
    )
    return list(dict.fromkeys(role.removeprefix("accel.qat.qat_") for role, _colon, name in own if name))


@pytest.mark.core
def test_check_mode_says_who_would_go_and_goes_on(site: Site) -> None:
    site.give("default/one", VF0)
    run = site.site(
        "--check", "--skip-tags", "device_plugin", qat_node_devices=COMPRESSION, qat_kubernetes=True, qat_drain=True
    )
    assert run.code == 0, run.output
    assert one(run, "Say which pods go, and why").result["msg"]["evicted"] == ["default/one"]
    assert one(run, "Configure the QAT devices").result["steps"][0]["disrupts"] == [VF0, VF1]
    assert roles(run) == ["node", "kubelet", "drain"]
    assert site.cluster.pod_names() == ["default/one"]
    assert site.cluster.cordoned() == (False, [])


def test_without_qat_drain_nothing_is_asked(site: Site) -> None:
    site.give("default/one", VF0)
    failed = site.site("--check", "--skip-tags", "device_plugin", qat_node_devices=COMPRESSION, qat_kubernetes=True)
    assert failed.code != 0
    assert "pod default/one (container main) was given 0000:6b:00.1" in failed.tasks[-1].message
    assert site.cluster.requests == []


@pytest.mark.core
@pytest.mark.parametrize("kubernetes", [False, True])
def test_a_variable_that_nobody_knows_fails_the_run_before_anything(site: Site, kubernetes: bool) -> None:
    given: dict[str, t.Any] = {
        "qat_node_devices": [{}],
        "qat_kubernetes": kubernetes,
        "qat_drian": True,
        "drain_timeout": 5,
    }
    failed = site.site("--check", "--tags", "node", **given)
    assert failed.code != 0
    assert failed.tasks[-1].message == (
        "drain_timeout is called qat_drain_timeout now; qat_drian is not a variable of accel.qat; the nearest is qat_drain; "
        "rename them in the inventory, or name what somebody else uses in qat_variables_of_others"
    )
    assert roles(failed) == []
    run = site.site("--check", "--tags", "node", qat_variables_of_others=["qat_drian", "drain_timeout"], **given)
    assert "qat_node_devices" in one(run, "Refuse misspelt variables of the collection").result["variables"]
    assert roles(run)


def test_names_of_others_are_a_list(site: Site) -> None:
    failed = site.site("--check", qat_node_devices=[{}], qat_variables_of_others="drain_timeout")
    assert failed.tasks[-1].message == (
        "qat_variables_of_others: it is not a list; write names of variables, one an entry"
    )


def test_a_node_without_kubernetes_has_few_tasks(site: Site) -> None:
    """A run on a node that is as configured has as many."""
    run = site.site("--check", qat_node_devices=[{}], qat_drain=True, qat_node_kernel_arguments=["quiet"])
    assert run.code == 0, run.output
    # The report is one of the run.
    assert len([task for task in run.tasks if task.name != REPORT]) <= MOST_TASKS
    assert roles(run) == ["node", "device_plugin"]


@pytest.mark.parametrize("kubernetes", [False, True])
def test_the_tag_node_runs_the_role_node_to_its_end(site: Site, kubernetes: bool) -> None:
    """Once, also where the role was loaded twice: for what it disrupts, too."""
    run = site.site("--check", "--tags", "node", qat_node_devices=[{}], qat_kubernetes=kubernetes, qat_drain=kubernetes)
    assert run.code == 0, run.output
    assert roles(run) == (["node", "drain"] if kubernetes else ["node"])
    assert [task.name for task in run.tasks].count(LAST_OF_NODE) == 1


def test_each_tag_runs_its_part(site: Site) -> None:
    given: dict[str, t.Any] = {"qat_node_devices": [{}], "qat_kubernetes": True, "qat_drain": True}
    assert roles(site.site("--check", "--tags", "kubelet", **given)) == ["kubelet", "drain"]
    assert roles(site.site("--check", "--tags", "drain", **given)) == ["node", "kubelet"]
    assert roles(site.site("--check", "--tags", "uncordon", **given)) == ["drain"]
    without = {**given, "qat_kubernetes": False}
    tags = "kubelet,device_plugin,verify,drain,uncordon"
    # It looks for an exporter that an earlier run has left.
    assert roles(site.site("--check", "--tags", tags, **without)) == ["device_plugin"]


# Several nodes.

BEGIN = "Configure the node"
HELD_BACK = "Leave the node alone, since one of an earlier batch failed"


def of_host(run: Run, host: str) -> list[str]:
    """The tasks that came to pass on one node, before the report."""
    of_it = (task for task in run.tasks if task.host == host and task.name != REPORT)
    return [task.name for task in of_it if task.outcome != "skipped"]


def reported(run: Run) -> list[dict[str, t.Any]]:
    """What the report has of each node."""
    (task,) = (task for task in run.tasks if task.name == REPORT and "nodes" in task.result)
    rows: list[dict[str, t.Any]] = task.result["nodes"]
    return rows


# Rules that no node takes; and no directory can be made there, which Ansible takes for a node that it does not reach.
LOST: dict[str, tuple[dict[str, t.Any], str]] = {
    "failed": ({"qat_node_devices": [{"services": ["dc", "dcc"]}]}, "failed"),
    "unreachable": ({"ansible_remote_tmp": "/proc/none"}, "unreachable"),
}


@pytest.mark.core
@pytest.mark.parametrize("lost", LOST)
def test_after_a_node_that_is_lost_its_batch_goes_on_and_no_other_is_begun(site: Site, lost: str) -> None:
    variables, outcome = LOST[lost]
    given: dict[str, t.Any] = {"qat_node_devices": [{}]}
    site.nodes = {"node1": given, "node2": {**given, **variables}, "node3": given, "node4": given, "node5": given}
    run = site.site("--check", qat_serial=2)
    assert run.code != 0
    assert [task.outcome for task in run.tasks if task.host == "node2"][-1] == outcome, run.output
    assert of_host(run, "node1")[-1] == LAST
    of_node3 = [task for task in run.tasks if task.host == "node3"]
    included, held_back, failed = of_node3[[task.name for task in of_node3].index(BEGIN) :]
    assert included.outcome == "ok"
    assert (held_back.name, held_back.outcome, held_back.changed) == (HELD_BACK, "ok", False)
    assert (failed.name, failed.outcome) == (REPORT, "failed")
    assert failed.message == (
        "nothing was changed on node3: node2 of an earlier batch failed or could not be reached, and after that no batch is begun; "
        "fix that and run again, or leave it out with --limit '!node2'"
    )
    assert of_host(run, "node4")[-2:] == of_host(run, "node5")[-2:] == [BEGIN, HELD_BACK]
    # One node reports on all, those too that are lost.
    assert {row["node"]: row["run"] for row in reported(run)} == {
        "node1": "ok",
        "node2": "lost",
        **dict.fromkeys(("node3", "node4", "node5"), "held back"),
    }
    (reporter,) = (task for task in run.tasks if "nodes" in task.result)
    assert (reporter.host, reporter.outcome) == ("node1", "ok")


MISSPELT = (
    "qat_drian is not a variable of accel.qat; the nearest is qat_drain; rename it in the inventory, "
    "or name what somebody else uses in qat_variables_of_others"
)
REFUSE = "Refuse to begin any node while one could not be brought to the end"


@pytest.mark.core
def test_what_would_stop_a_node_of_the_last_batch_stops_all_before_the_first(site: Site) -> None:
    """With all that is wrong with any of them, in one message. What cannot be seen before stops its own batch, as above."""
    given: dict[str, t.Any] = {
        "qat_node_devices": [{}],
        "qat_kubernetes": True,
        "qat_device_plugin_python": sys.executable,
        # Packed elsewhere: to pack takes a package index.
        "qat_device_plugin_release": "0.1.0-0123456789",
    }
    site.nodes = {
        "node1": given,
        "node2": {**given, "qat_drian": True},
        # Otherwise a command needs no directory.
        "node3": {**given, **LOST["unreachable"][0], "ansible_pipelining": False},
        "node4": {**given, "qat_device_plugin_python": "/none"},
    }
    run = site.site("--check", qat_serial=1)
    assert run.code != 0
    (failed,) = (task for task in run.tasks if task.name == REFUSE and task.outcome != "skipped")
    assert run.tasks[-1] is failed
    assert failed.outcome == "failed", run.output
    assert [line.replace(" of the node does not run", "|").partition("|")[0] for line in failed.result["msg"]] == [
        "nothing was changed on any node, since not all could be brought to the end of this run",
        f"node2: {MISSPELT}",
        "node4: qat_device_plugin_python: /none",
        "node3: it could not be reached",
        "put that in order, or leave these nodes out with --limit '!node2:!node4:!node3'",
    ]
    assert BEGIN not in {task.name for task in run.tasks}


def test_a_host_without_kubernetes_has_the_exporter_where_it_is_wanted(site: Site) -> None:
    releases = site.root / "releases"
    (releases / "0.1.0-0123456789").mkdir(parents=True)
    (releases / "0.1.0-0123456789/.complete").touch()
    given: dict[str, t.Any] = {
        "qat_node_devices": [{}],
        "qat_device_plugin_python": sys.executable,
        "qat_device_plugin_directory": str(releases),
        "qat_device_plugin_release": "0.1.0-0123456789",
    }
    for wanted in (False, True):
        run = site.site("--check", "--tags", "device_plugin", **given, qat_device_plugin_exporter=wanted)
        assert run.code == 0, run.output
        changed = {task.name.rpartition(" : ")[2] for task in run.tasks if task.changed}
        assert ("Start the exporter" in changed) is wanted
        # One that an earlier run has left is removed.
        looked = {task.name.rpartition(" : ")[2] for task in run.tasks if task.outcome == "ok"}
        assert ("Look for the unit of the exporter" in looked) is not wanted
        assert "Start the device plugin, and wait until kubelet has taken every resource" not in changed


def test_a_run_that_begins_no_node_writes_its_report(site: Site) -> None:
    """As the last thing that it does. Where it cannot be written the refusal is not lost."""
    path = site.root / "report.json"
    given: dict[str, t.Any] = {"qat_node_devices": [{}]}
    site.nodes = {"node1": given, "node2": {**given, "qat_drian": True}}
    run = site.site("--tags", "verify", qat_serial=1, qat_report_file=str(path))
    assert run.tasks[-1].result["msg"][1] == f"node2: {MISSPELT}"
    rows = json.loads(path.read_text())["nodes"]
    assert rows == run.tasks[-1].result["nodes"]
    assert [(row["node"], row["run"], row["changed"]) for row in rows] == [
        ("node1", "not begun", False),
        ("node2", "not begun", False),
    ]
    nowhere = path / "report.json"
    said = site.site("--tags", "verify", qat_serial=1, qat_report_file=str(nowhere)).tasks[-1].result["msg"]
    assert said[1] == f"node2: {MISSPELT}"
    assert said[-1].startswith(f"qat_report_file: {nowhere} cannot be written: ")


def test_without_batches_each_node_proves_for_itself(site: Site) -> None:
    """A node that could not be brought to its end is no other's business then."""
    given: dict[str, t.Any] = {"qat_node_devices": [{}]}
    site.nodes = {"node1": given, "node2": {**given, "qat_drian": True}}
    run = site.site("--check")
    assert REFUSE not in {task.name for task in run.tasks}
    assert of_host(run, "node1")[-1] == LAST


def test_a_node_that_is_left_out_holds_no_other_back(site: Site) -> None:
    """Whether by --limit or since an earlier play has lost it."""
    given: dict[str, t.Any] = {"qat_node_devices": [{}]}
    wrong = {"qat_node_devices": [{"services": ["dc", "dcc"]}]}
    site.nodes = {"node1": given, "node2": wrong, "node3": given}
    limited = site.site("--check", "--limit", "!node2", qat_serial=1)
    assert limited.code == 0, limited.output
    assert (of_host(limited, "node1")[-1], of_host(limited, "node3")[-1]) == (LAST, LAST)
    fail = {"name": "Fail", "ansible.builtin.fail": {}, "when": "inventory_hostname == 'node2'"}
    earlier = {"hosts": "qat_nodes", "gather_facts": False, "tasks": [fail]}
    after = site.site("--check", before=[earlier], qat_serial=1)
    assert (of_host(after, "node1")[-1], of_host(after, "node2"), of_host(after, "node3")[-1]) == (LAST, ["Fail"], LAST)


@pytest.mark.core
@pytest.mark.usefixtures("kubelet")
def test_a_drained_node_comes_back_when_another_of_its_batch_fails(site: Site) -> None:
    site.give("default/other")
    given: dict[str, t.Any] = {"qat_node_devices": [{}], "qat_kubernetes": True}
    site.nodes = {
        "node1": {**given, "qat_drain": True, "qat_kubelet_configuration": STATIC, "qat_kubelet_timeout": 20},
        # Fails in the role qat_kubelet, when the first is drained already.
        "node2": {**given, "qat_kubelet_configuration": {"cpuManagerPolicy": "static"}},
    }
    run = site.site("--tags", "kubelet")
    assert run.code != 0
    assert [task.outcome for task in run.tasks if task.host == "node2"][-1] == "failed", run.output
    assert {EVICT, GIVE_BACK} <= set(of_host(run, "node1"))
    assert site.cluster.cordoned() == (False, [])


def test_the_report_as_json_is_written_where_it_differs(site: Site) -> None:
    """And not in check mode. A change of the file alone is a change."""
    path = site.root / "report.json"
    site.nodes = {"node1": {"qat_node_devices": [{}]}, "node2": {"qat_node_devices": [{}]}}
    given: dict[str, t.Any] = {"qat_report_file": str(path)}
    checked = site.site("--check", "--limit", "node1", **given)
    assert checked.code == 0, checked.output
    assert not path.exists()
    assert [row["node"] for row in reported(checked)] == ["node1"]
    # Nothing of the node is done by this tag.
    changed = []
    for _turn in range(2):
        run = site.site("--tags", "verify", **given)
        assert run.code == 0, run.output
        changed.append(sorted(task.changed for task in run.tasks if task.name == REPORT))
    assert changed == [[False, True], [False, False]]
    (row, _other) = json.loads(path.read_text())["nodes"]
    assert row == {
        "node": "node1",
        "run": "ok",
        "pfs": None,
        "vfs": None,
        "changed": False,
        "reboot_left": None,
        "verified": None,
    }
