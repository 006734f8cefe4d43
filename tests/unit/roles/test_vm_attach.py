# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent for virtual machines, as the role qat_device_plugin has it run: its unit, and what is refused before anything is changed."""

from __future__ import annotations

import os
import re
import sys
import typing as t
from pathlib import Path

import jinja2
import pytest
import yaml
from ansible.plugins.filter.core import FilterModule

from ansible_collections.accel.qat.tests.unit.roles.complaints import complaints_of_systemd
from ansible_collections.accel.qat.tests.unit.roles.test_device_plugin import Plugin
from ansible_collections.accel.qat.tools.artifacts.unit_templates import unit_templates
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT

ROLE = CHECKOUT / "roles/qat_device_plugin"
UNIT = "accel-qat-vm-attach.service"
VARIABLES = yaml.safe_load((ROLE / "vars/main.yml").read_text())
STAMP = VARIABLES["__qat_device_plugin_stamp"]


def rendered(**variables: t.Any) -> str:
    """The text of the unit."""
    environment = unit_templates(ROLE)
    names = ("stamp", "vm_attach_run")
    values = {
        **{f"__qat_device_plugin_{name}": VARIABLES[f"__qat_device_plugin_{name}"] for name in names},
        "__qat_device_plugin_current": "/opt/accel-qat/device-plugin/current",
        "__qat_device_plugin_chosen": "0.1.0-py3.11-e7e7937c13",
        "__qat_device_plugin_kubelet_root": "",
        "qat_device_plugin_python": "/usr/bin/python3",
        **variables,
    }
    return environment.get_template(f"{UNIT}.j2").render(**values)


def settings(text: str) -> dict[str, str]:
    """The settings of the unit, of which the last one counts."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))


def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    program = tmp_path / "a b 100% $x" / "python"
    program.parent.mkdir()
    program.symlink_to("/bin/true")
    file = tmp_path / UNIT
    file.write_text(rendered(qat_device_plugin_python=str(program)))
    assert complaints_of_systemd(file) == []


def test_it_may_do_little_and_needs_no_libvirt_to_start() -> None:
    found = settings(rendered())
    assert found["CapabilityBoundingSet"] == ""
    assert found["RestrictAddressFamilies"] == "AF_UNIX"
    assert found["ProtectSystem"] == "strict"
    assert "libvirtd.socket" in found["After"].split()
    assert not {"Requires", "Wants", "BindsTo", "Requisite"} & set(found)
    assert (found["Restart"], found["RestartPreventExitStatus"]) == ("always", "2")


@pytest.mark.parametrize(
    ("directory", "given", "root"),
    [
        ("/var/lib/kubelet/device-plugins", "", ""),
        ("/var/lib/kubelet/device-plugins/", "", ""),
        ("/data/a kubelet/device-plugins", "", "/data/a kubelet"),
        ("/data/kubelet/device-plugins/", "", "/data/kubelet"),
        ("/var/lib/kubelet/device-plugins", "/data/kubelet/", "/data/kubelet"),
        ("/k/device-plugins", "/data/kubelet", "/data/kubelet"),
    ],
)
def test_it_asks_the_kubelet_of_the_device_plugin(directory: str, given: str, root: str) -> None:
    environment = jinja2.Environment(autoescape=False)
    environment.filters.update({**FilterModule().filters(), "dirname": os.path.dirname})
    found = environment.from_string(VARIABLES["__qat_device_plugin_kubelet_root"]).render(
        qat_device_plugin_kubelet_dir=directory, qat_device_plugin_kubelet_root=given
    )
    assert found == root
    command = settings(rendered(__qat_device_plugin_kubelet_root=found))["ExecStart"]
    assert command.endswith(
        f'"--kubelet-root={root}"' if " " in root else f" --kubelet-root={root}" if root else ".prom"
    )


def test_another_release_is_another_unit() -> None:
    stamps = [settings(rendered(__qat_device_plugin_chosen=one))["Environment"] for one in ("0.1.0", "0.1.0", "0.1.1")]
    assert stamps[0] == stamps[1] != stamps[2]
    assert all(re.fullmatch(f"{STAMP}=[0-9a-f]{{40}}", one) for one in stamps)


def test_a_node_without_the_module_for_libvirt_is_refused_before_anything_is_changed(tmp_path: Path) -> None:
    python = tmp_path / "python3"
    # The same Python, which answers as one does that has no such module.
    python.write_text(
        '#!/bin/sh\ncase "$*" in *libvirt*) echo ModuleNotFoundError >&2; exit 1;; esac\nexec '
        + sys.executable
        + ' "$@"\n'
    )
    python.chmod(0o755)
    given: dict[str, t.Any] = {"qat_device_plugin_python": str(python), "qat_device_plugin_vm_attach": True}
    failed = Plugin(tmp_path).role("--check", **given)
    assert failed.code != 0
    assert failed.tasks[-1].message == (
        f"qat_device_plugin_vm_attach: {python} of the node cannot load the module libvirt; install python3-libvirt of the "
        "distribution (SUSE: python3-libvirt-python), and see that qat_device_plugin_python is the distribution's own Python"
    )
    assert not any(task.changed for task in failed.tasks)
    without = Plugin(tmp_path).role(entry_point="prove", **{**given, "qat_device_plugin_vm_attach": False})
    assert without.tasks[-1].result["ansible_facts"]["__qat_device_plugin_lacks"] == []


def test_the_verification_asks_the_same_kubelet(tmp_path: Path) -> None:
    python = tmp_path / "python3"
    python.write_text("""#!/bin/sh\necho "{\\"arguments\\": \\"$*\\"}"\n""")
    python.chmod(0o755)
    for directory, root in (("/var/lib/kubelet/device-plugins", ""), ("/data/kubelet/device-plugins", "/data/kubelet")):
        given = {"qat_device_plugin_python": str(python), "qat_device_plugin_kubelet_dir": directory}
        run = Plugin(tmp_path).role(entry_point="verify", **given)
        said = run.tasks[-1].result["ansible_facts"]["__qat_verify_vms"]["arguments"]
        assert said.endswith("/bin/qat-vm-attach --status" + (f" --kubelet-root={root}" if root else ""))
