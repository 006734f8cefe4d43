# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The debs on a machine without network: installed by apt, at work from boot on, upgraded and put back, beside the collection, purged."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from ansible_collections.accel.qat.tests.controller.controller import Controller
from ansible_collections.accel.qat.tests.lab.qat_lab.machine import Machine
from ansible_collections.accel.qat.tests.machine.node import KUBELET_GOES, Node
from ansible_collections.accel.qat.tests.machine.test_device_plugin import CY, FIRST, SECOND, START, Kubelet, get
from ansible_collections.accel.qat.tools.artifacts import packages
from ansible_collections.accel.qat.tools.building.cache import cache_directory
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT

NAMES = ("accel-qatctl", "accel-qat-node", "accel-qat-device-plugin")
NODE_UNIT, PLUGIN = "qat-node.service", "accel-qat-device-plugin.service"
UNITS = f"{NODE_UNIT} {PLUGIN}"
RULES = {"devices": [{"services": ["sym", "asym"]}]}
APT = "DEBIAN_FRONTEND=noninteractive apt-get --quiet=2 --yes --no-install-recommends --allow-downgrades"
# Names of all files, and the contents of those of /etc. What apt and dpkg note themselves does not count.
FILES = (
    "find /etc /opt /usr /var/lib -xdev -not -path '/var/lib/dpkg/*' -not -path '/var/lib/apt/*' -not -path '*/__pycache__*'"
    " -not -path '/var/lib/systemd/*' -not -path '/usr/lib/python*' | sort; find /etc -type f -exec md5sum {} + | sort"
)

# These tests are one story, in this order.


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with Machine.start(f"packages-{os.getpid()}") as machine:
        node = Node(machine)
        # That of the package is to run.
        node.run("rm /usr/local/sbin/qatctl")
        yield node


@pytest.fixture(scope="module")
def untouched(node: Node) -> str:
    return node.run(FILES)


@pytest.fixture(scope="module")
def debs(node: Node, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """The debs of two releases for the machine, which it has below /root, by the number of the release."""
    python = node.run("python3 -c 'import sys; print(*sys.version_info[:2], sep=\".\")'").strip()
    plugin = packages.of_device_plugin(python, "amd64", cache_directory() / "bundles")
    made: dict[str, list[Path]] = {}
    for number in ("1", "2"):
        directory = tmp_path_factory.mktemp(f"release-{number}")
        for package in (packages.of_qatctl(), packages.of_node(), plugin):
            release = f"{number}{package.release[1:]}"
            path = packages.build(dataclasses.replace(package, release=release), "deb", directory)
            node.machine.put(path.read_bytes(), f"/root/{path.name}")
            made.setdefault(number, []).append(path)
    return made


@pytest.fixture(scope="module")
def installed(node: Node, untouched: str, debs: dict[str, list[Path]]) -> str:
    """What apt and the packages say."""
    assert untouched
    return install(node, debs["1"])


@pytest.fixture(scope="module")
def booted(node: Node, installed: str) -> None:
    """With rules, after a reboot."""
    assert installed
    node.machine.put(json.dumps(RULES).encode(), "/etc/accel-qat/node.json")
    node.machine.reboot()


@pytest.fixture(scope="module")
def kubelet(node: Node, booted: None) -> Kubelet:
    assert booted is None
    return Kubelet(node, f"{packages.PLUGIN}/lib")


@pytest.fixture(scope="module")
def truth(node: Node, booted: None) -> dict[str, dict[str, str]]:
    """What is advertised once all is well."""
    assert booted is None
    devices = node.devices()
    return {CY: {vf["address"]: "Healthy" for pf in (FIRST, SECOND) for vf in devices[pf]["vfs"]}}


def install(node: Node, debs: Sequence[Path]) -> str:
    """What the packages say of themselves."""
    said = node.run(f"{APT} install {' '.join(f'/root/{path.name}' for path in debs)} 2>&1")
    return "\n".join(line for line in said.splitlines() if line.startswith("accel-"))


def states(node: Node) -> list[str]:
    return node.run(f"systemctl is-enabled {UNITS}; systemctl is-active {UNITS} || true").split()


def process(node: Node) -> tuple[str, str]:
    """The main process of the device plugin, and the program that it runs."""
    pid = node.run(f"systemctl show --property=MainPID --value {PLUGIN}").strip()
    words = node.run(f"tr '\\0' ' ' < /proc/{pid}/cmdline").split()
    return pid, next(word for word in words if word.endswith("/qat-device-plugin"))


def handed_over(node: Node, before: tuple[str, str]) -> str:
    """The program that has taken over from a process, which served until then."""
    pid, program = process(node)
    assert pid != before[0]
    assert f"has taken over from={before[0]}\n" in node.run(
        f"journalctl --boot --output=cat --unit={PLUGIN} _PID={pid}"
    )
    return program


def test_nothing_starts_without_rules(node: Node, installed: str) -> None:
    assert sorted(installed.splitlines()) == [
        f"accel-qat-device-plugin: write /etc/accel-qat/node.json, then run systemctl start {PLUGIN}",
        f"accel-qat-node: write /etc/accel-qat/node.json, then run systemctl start {NODE_UNIT}",
    ]
    node.run(f"systemctl start {UNITS}")
    assert states(node) == ["enabled", "enabled", "inactive", "inactive"]
    # The machine has neither documents nor manuals.
    missing = re.compile(r"missing +/usr/share/(doc|man)/.*")
    verified = node.run(f"dpkg --verify {' '.join(NAMES)}").splitlines()
    assert [line for line in verified if not missing.fullmatch(line)] == []


def test_the_vfs_are_made_at_boot_and_offered(node: Node, kubelet: Kubelet, truth: dict[str, dict[str, str]]) -> None:
    assert {vf["driver"] for device in node.devices().values() for vf in device["vfs"]} == {"vfio-pci"}
    assert len(truth[CY]) == 32
    assert node.run("command -v qatctl").strip() == packages.QATCTL
    assert node.ask("status").code == 0
    kubelet.has(truth)
    assert states(node) == ["enabled", "enabled", "inactive", "active"]


@pytest.mark.parametrize("release", ["2", "1"])
def test_an_upgrade_and_the_way_back_hand_over(
    node: Node, debs: dict[str, list[Path]], kubelet: Kubelet, truth: dict[str, dict[str, str]], release: str
) -> None:
    kubelet.has(truth)
    before = process(node)
    assert install(node, debs[release]) == ""
    assert node.run("dpkg-query -W -f '${Version}' accel-qat-device-plugin").split("-")[1][0] == release
    assert handed_over(node, before) == f"{packages.PLUGIN}/bin/qat-device-plugin"
    kubelet.has(truth)
    assert states(node)[3] == "active"


def test_a_reload_takes_other_settings(node: Node, kubelet: Kubelet, truth: dict[str, dict[str, str]]) -> None:
    kubelet.has(truth)
    before = process(node)
    node.run("echo QAT_DEVICE_PLUGIN_METRICS_ADDRESS=127.0.0.1:9999 >> /etc/accel-qat/device-plugin.conf")
    node.run(f"systemctl reload {PLUGIN}")
    handed_over(node, before)
    kubelet.has(truth)
    assert node.run(get("/readyz", 9999)).strip() == "ok"


def test_the_collection_takes_over_and_the_packages_leave_it_alone(
    node: Node, debs: dict[str, list[Path]], kubelet: Kubelet, truth: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    kubelet.has(truth)
    of_package = process(node)
    role = {"name": "accel.qat.qat_device_plugin"}
    run = Controller(node.machine, tmp_path).play([{"name": "Role", "ansible.builtin.include_role": role}])
    assert run.code == 0, run.output
    (action,) = (task.result["action"] for task in run.tasks if task.name.endswith(START))
    assert action == "reload"
    assert handed_over(node, of_package).startswith("/opt/accel-qat/device-plugin/")
    before = process(node)
    said = install(node, debs["2"])
    assert said == (
        f"accel-qat-device-plugin: the collection accel.qat has set up {PLUGIN}, which goes on with its files; what hands it to this "
        "package is in https://github.com/accel-qat/accel.qat/blob/main/docs/packages.md"
    )
    assert process(node) == before
    kubelet.has(truth)


def test_the_role_installs_the_package_and_takes_it_away_again(
    node: Node, debs: dict[str, list[Path]], kubelet: Kubelet, truth: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    kubelet.has(truth)
    of_release = process(node)
    controller = Controller(node.machine, tmp_path)
    (deb,) = (path for path in debs["1"] if "device-plugin" in path.name)
    include = {"name": "Role", "ansible.builtin.include_role": {"name": "accel.qat.qat_device_plugin"}}
    of_package = {"qat_device_plugin_deploy": "package", "qat_device_plugin_packages": [str(deb)]}
    run = controller.play([{**include, "vars": of_package}])
    assert run.code == 0, run.output
    assert handed_over(node, of_release) == f"{packages.PLUGIN}/bin/qat-device-plugin"
    kubelet.has(truth)
    assert node.run("dpkg-query -W -f '${Version}' accel-qat-device-plugin").split("-")[1][0] == "1"
    again = controller.play([{**include, "vars": of_package}])
    assert again.code == 0, again.output
    assert [task.name for task in again.tasks if task.changed] == []
    before = process(node)
    back = controller.play([include])
    assert back.code == 0, back.output
    assert handed_over(node, before).startswith("/opt/accel-qat/device-plugin/")
    kubelet.has(truth)
    assert node.run("dpkg-query -W -f '${db:Status-Status}' accel-qat-device-plugin") in (
        "config-files",
        "not-installed",
    )
    assert node.run(f"ls -d /etc/systemd/system/{PLUGIN}.d/*", check=False) == ""
    install(node, debs["2"])


def test_the_steps_of_the_page_hand_the_node_to_the_packages(
    node: Node, kubelet: Kubelet, truth: dict[str, dict[str, str]]
) -> None:
    kubelet.has(truth)
    before = process(node)
    page = (CHECKOUT / "docs/packages.md").read_text()
    steps = re.findall(
        r"^# (.+)$", page.partition("**From the collection to the packages**")[2].partition("```\n\n")[0], re.M
    )
    assert len(steps) == 8
    # Here the collection has set up the device plugin alone.
    node.run("\n".join(step.replace("rm ", "rm -f ") for step in steps))
    assert handed_over(node, before) == f"{packages.PLUGIN}/bin/qat-device-plugin"
    assert node.run("ls -d /opt/accel-qat", check=False) == ""
    kubelet.has(truth)
    assert states(node) == ["enabled", "enabled", "inactive", "active"]


def test_a_removal_leaves_the_vfs_and_a_purge_no_trace(
    node: Node, untouched: str, kubelet: Kubelet, truth: dict[str, dict[str, str]]
) -> None:
    kubelet.has(truth)
    node.run(f"{APT} remove {' '.join(NAMES)}")
    assert node.run(f"systemctl is-active {UNITS} || true").split() == ["inactive", "inactive"]
    assert len(node.run("ls -d /sys/bus/pci/drivers/vfio-pci/0000:*").split()) == 32
    assert node.run("cat /etc/accel-qat/node.json") == json.dumps(RULES)
    node.run(f"{KUBELET_GOES}; {APT} purge {' '.join(NAMES)}")
    assert set(node.run(FILES).splitlines()) ^ set(untouched.splitlines()) == set()
    left = "-name '*accel-qat*' -o -name '*qat-node*' -o -name 'qat.intel*'"
    assert node.run(f"find /var/lib/systemd /run/systemd /run/accel-qat /run/cdi {left} 2> /dev/null || true") == ""
