# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way there and back by the notes: what the kernel followed before, it follows afterwards."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.accel.qat.plugins.module_utils._boot.arguments import (
    CommandLine,
    State,
    in_force,
    parse,
    read_argument,
    read_request,
)
from ansible_collections.accel.qat.plugins.module_utils._boot.detect import Firmware
from ansible_collections.accel.qat.plugins.module_utils._boot.ensure import ensure
from ansible_collections.accel.qat.plugins.module_utils._boot.notes import Notes
from ansible_collections.accel.qat.plugins.module_utils._boot.running import Running
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError
from ansible_collections.accel.qat.tests.fakes.host import FakeMachine
from ansible_collections.accel.qat.tests.unit.boot import machines

ADDED, REPLACED = "/var/lib/accel-qat/kernel_arguments", "/var/lib/accel-qat/kernel_arguments_replaced"


def run(machine: FakeMachine, wanted: t.Sequence[str], state: State = "present", noted_in: str | None = None) -> None:
    notes = Notes() if noted_in else Notes(ADDED, REPLACED)
    request = read_request(wanted, state, noted_in)
    ensure(machine, request, Running(parse("ro"), False), Firmware(True, ""), notes=notes)


def noted(machine: FakeMachine, path: str) -> list[str]:
    return machine.files.get(path, "").splitlines()


def tear_down(machine: FakeMachine) -> None:
    """As the role qat_node does."""
    ways: list[tuple[str, State]] = [(REPLACED, "present"), (ADDED, "absent")]
    for path, state in ways:
        if noted(machine, path):
            run(machine, noted(machine, path), state, path)


def of_grub(line: str) -> FakeMachine:
    """Half of the line is in the variable for normal entries alone."""
    words = line.split()
    first, second = (" ".join(some) for some in (words[: len(words) // 2], words[len(words) // 2 :]))
    return machines.debian(f'GRUB_CMDLINE_LINUX="{first}"\nGRUB_CMDLINE_LINUX_DEFAULT="{second}"\n')


def of_suse(line: str) -> FakeMachine:
    return machines.suse(f'GRUB_CMDLINE_LINUX="{line}"\n')


def of_rhel(line: str) -> FakeMachine:
    machine = machines.rhel9()
    for path, text in machine.files.items():
        if path.startswith("/boot/loader/") or path == "/etc/kernel/cmdline":
            machine.files[path] = text.replace("net.ifnames=0", line or "quiet")
    return machine


def of_core_os(line: str) -> FakeMachine:
    machine = machines.core_os()
    machine.files["/deployment"] += f" {line}"
    return machine


def of_systemd_boot(line: str) -> FakeMachine:
    machine = machines.systemd_boot()
    machine.files["/etc/kernel/cmdline"] = f"root=UUID=0d3b7c1e ro {line}\n"
    for version in machines.KERNELS:
        machine.run(["kernel-install", "add", version, ""])
    return machine


MACHINES = {one.__name__: one for one in (of_grub, of_suse, of_rhel, of_core_os, of_systemd_boot)}


def effect(line: CommandLine) -> set[str]:
    """What a kernel that is booted with this line follows, of lists each item by itself."""
    said = (each.in_list for each in line.arguments)
    single = [
        read_argument(text)
        for each in said
        for text in ([f"{each.key}={item}" for item in each.items] if each.items else [each.text])
    ]
    return {each.text for each in single if in_force(line, each)}


def after_the_way_there_and_back(machine: FakeMachine, requests: t.Sequence[t.Sequence[str]]) -> set[str]:
    for wanted in requests:
        try:
            run(machine, wanted)
        except NodeError:
            continue  # nothing was written
    tear_down(machine)
    return effect(parse(machines.next_boot(machine)))


CASES = [
    # What had no effect gets none.
    ("iommu.passthrough=0 iommu=pt", [["iommu.passthrough=1"]]),
    ("iommu=nopt,noforce iommu=pt", [["iommu=force"]]),
    ("iommu=off iommu.passthrough=1", [["iommu=pt"]]),
    # What was found goes, and comes again by a later run.
    ("iommu=pt", [["iommu=nopt"], ["iommu=pt"]]),
    ("loglevel=7", [["loglevel=3"], ["loglevel=7"], ["loglevel=3"]]),
]


@pytest.mark.parametrize("kind", MACHINES)
@pytest.mark.parametrize(("line", "requests"), CASES)
def test_what_the_kernel_followed_before_it_follows_afterwards(kind: str, line: str, requests: list[list[str]]) -> None:
    machine = MACHINES[kind](line)
    before = effect(parse(machines.next_boot(machine)))
    assert after_the_way_there_and_back(machine, requests) == before


def test_of_what_is_replaced_that_is_noted_which_had_effect() -> None:
    machine = of_systemd_boot("iommu.passthrough=0 iommu=pt iommu=noforce,nopt,nopt,pt")
    run(machine, ["iommu.passthrough=1", "iommu=force"])
    assert noted(machine, REPLACED) == ["iommu=noforce,pt"]


ITEMS = {
    "iommu": ["pt", "nopt", "off", "force", "noforce"],
    "intel_iommu": ["on", "off", "sm_on", "sm_off"],
    "amd_iommu": ["on", "off", "fullflush"],
    "iommu.passthrough": ["0", "1"],
    "loglevel": ["3", "7"],
}
of_a_key = st.sampled_from(sorted(ITEMS)).flatmap(
    lambda key: st.lists(
        st.sampled_from(ITEMS[key]), min_size=1, max_size=3 if key in ("iommu", "intel_iommu", "amd_iommu") else 1
    ).map(lambda items: f"{key}={','.join(items)}")
)
lines = st.lists(of_a_key, max_size=5)
of_one_item = st.sampled_from([f"{key}={item}" for key, items in ITEMS.items() for item in items])


# Of a list that contradicts itself in one argument grubby makes what its plan does not say, and that is refused.
@pytest.mark.parametrize("kind", sorted(MACHINES.keys() - {"of_rhel"}))
@given(line=lines, requests=st.lists(st.lists(of_one_item, min_size=1, max_size=2), min_size=1, max_size=3))
@settings(max_examples=25)
def test_so_it_is_with_any_line_and_any_requests(kind: str, line: list[str], requests: list[list[str]]) -> None:
    machine = MACHINES[kind](" ".join(line))
    before = effect(parse(machines.next_boot(machine)))
    assert after_the_way_there_and_back(machine, requests) == before
