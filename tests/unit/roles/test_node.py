# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role node: its arguments are the schema's, and what it writes onto a node is what the node's tools understand."""

from __future__ import annotations

import configparser
import re
import typing as t

import jinja2
import pytest
import yaml

from ansible_collections.accel.qat.plugins.module_utils._module import argument_of
from ansible_collections.accel.qat.plugins.module_utils._node.families import FAMILIES, INTEL
from ansible_collections.accel.qat.plugins.module_utils._node.schema import SCHEMA
from ansible_collections.accel.qat.plugins.modules import kernel_args
from ansible_collections.accel.qat.tests.fakes import FakeKernel, pf
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT

ROLE = CHECKOUT / "roles/node"


def load(name: str) -> t.Any:
    return yaml.safe_load((ROLE / name).read_text())


ENTRY_POINTS = load("meta/argument_specs.yml")["argument_specs"]
OPTIONS = ENTRY_POINTS["main"]["options"]


# Arguments.


def argument(option: dict[str, t.Any]) -> dict[str, t.Any]:
    """An option as an argument spec says it."""
    assert option["description"]
    kept = {name: value for name, value in option.items() if name not in ("description", "options")}
    if "options" in option:
        kept["options"] = {name: argument(one) for name, one in option["options"].items()}
    return kept


def test_devices_are_the_schema() -> None:
    assert argument(OPTIONS["node_devices"]) == {**argument_of(SCHEMA["properties"]["devices"]), "required": True}


def test_boot_loaders_are_those_of_the_module() -> None:
    module = yaml.safe_load(kernel_args.DOCUMENTATION)["options"]["bootloader"]
    assert [OPTIONS["node_bootloader"][name] for name in ("choices", "default")] == [
        module[name] for name in ("choices", "default")
    ]


def test_defaults_are_documented() -> None:
    """At every entry point that takes the variable."""
    defaults = load("defaults/main.yml")
    options = [pair for entry in ENTRY_POINTS.values() for pair in entry["options"].items()]
    documented = [(name, option["default"]) for name, option in options if "default" in option]
    assert [(name, defaults[name]) for name, _default in documented] == documented
    assert set(defaults) == {name for name, _default in documented}


# Kernel arguments.


def test_teardown_reads_what_is_noted_of_the_kernel_arguments() -> None:
    brought, torn_down = ({task["name"]: task for task in load(f"tasks/{name}.yml")} for name in ("main", "teardown"))
    noted = [
        brought["Set the kernel arguments"]["accel.qat.kernel_args"][f"{what}_file"] for what in ("added", "replaced")
    ]
    assert noted == ["{{ __node_added_arguments }}", "{{ __node_replaced_arguments }}"]
    assert torn_down["Read which kernel arguments were added and replaced"]["loop"] == noted
    removed = torn_down["Remove the notes of the kernel arguments"]["accel.qat.files"]["files"]
    assert [entry["path"] for entry in removed if entry["state"] == "absent"] == noted


# Templates.


def render(name: str, **variables: t.Any) -> str:
    """A template as Ansible renders it."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(ROLE / "templates"),
        trim_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,
    )
    return environment.get_template(name).render(**load("defaults/main.yml"), **variables)


def settings(text: str) -> list[str]:
    """The lines that are no comments."""
    return [line for line in text.splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize(
    ("options", "lines"), [({}, []), ({"vfio-pci": "disable_denylist=1"}, ["options vfio-pci disable_denylist=1"])]
)
def test_module_options(options: dict[str, str], lines: list[str]) -> None:
    text = render("modprobe.conf.j2", __node_devices={"module_options": options})
    assert settings(text) == lines
    assert text.startswith("# Managed by accel.qat.node\n")


def test_modules_to_load() -> None:
    assert settings(render("modules-load.conf.j2")) == ["vfio-pci"]


def test_the_unit_comes_before_every_kubelet() -> None:
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string(render("qat-node.service.j2"))
    assert unit["Service"]["ExecStart"] == "/usr/local/sbin/qatctl apply --settle"
    assert unit["Service"]["Type"] == "oneshot"
    kubelets = {"kubelet.service", "k3s.service", "k3s-agent.service", "rke2-server.service", "rke2-agent.service"}
    kubelets |= {"snap.microk8s.daemon-kubelite.service", "k0scontroller.service", "k0sworker.service"}
    assert kubelets <= set(unit["Unit"]["Before"].split())
    # Longer than two writes that hang, so that qatctl itself says which one does.
    assert int(unit["Service"]["TimeoutStartSec"]) > 2 * OPTIONS["node_time_limit"]["default"]


def test_the_rules_for_udev_are_for_qat() -> None:
    kernel = FakeKernel.with_pfs(*(pf(one.name, f"0000:{bus:02x}:00.0") for bus, one in enumerate(FAMILIES, 0x10)))
    *rules, gone = settings(render("udev.rules.j2"))
    # What has gone has the words of its event alone (drivers/pci/pci-driver.c, pci_uevent: %04X:%04X and %04X).
    assert gone.startswith('ACTION=="remove", SUBSYSTEM=="pci", ENV{PCI_ID}=="8086:*", ENV{PCI_CLASS}=="B4000", ')
    assert gone.endswith('RUN+="/bin/systemctl --no-block start qat-node.service"')
    for rule in rules:
        conditions = dict(re.findall(r"ATTR\{(\w+)\}==\"(\w+)\"", rule))
        assert conditions["vendor"] == f"{INTEL:#06x}"
        # A co-processor (PCI Code and ID Assignment, base class 0B, sub-class 40), as `lspci -n` shows each QAT device.
        assert conditions["class"] == "0x0b4000"
        assert {one.device_class for one in kernel.machine.bus.functions.values()} == {int(conditions["class"], 16)}
    starting = 'TAG+="systemd", ENV{SYSTEMD_WANTS}+="qat-node.service"'
    vfs, pfs, without_driver = rules
    assert vfs.startswith('ACTION=="add"')
    assert vfs.endswith(f'TEST=="physfn", {starting}')
    assert pfs.startswith('ACTION=="bind"')
    assert pfs.endswith(f'TEST=="sriov_numvfs", {starting}')
    assert without_driver.endswith('TEST=="sriov_numvfs", TAG+="systemd", ENV{SYSTEMD_READY}="0"')
