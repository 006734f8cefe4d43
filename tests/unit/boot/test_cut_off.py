# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that was cut off anywhere is finished by the next one, and check mode says so."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.accel.qat.plugins.module_utils._boot.arguments import (
    State,
    parse,
    read_request,
    satisfied,
)
from ansible_collections.accel.qat.plugins.module_utils._boot.detect import Firmware
from ansible_collections.accel.qat.plugins.module_utils._boot.ensure import Outcome, ensure
from ansible_collections.accel.qat.plugins.module_utils._boot.notes import Notes
from ansible_collections.accel.qat.plugins.module_utils._boot.plan import UNFINISHED, LeftError
from ansible_collections.accel.qat.plugins.module_utils._boot.running import Running
from ansible_collections.accel.qat.plugins.module_utils._host.machine import CommandResult
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError
from ansible_collections.accel.qat.tests.fakes.host import FakeMachine
from ansible_collections.accel.qat.tests.unit.boot import machines

QAT = ["intel_iommu=on", "iommu=pt"]
NOTES = Notes("/var/lib/accel-qat/kernel_arguments", "/var/lib/accel-qat/kernel_arguments_replaced")
RUNNING = Running(parse(f"{machines.SNAPSHOT_ROOT} ro splash"), iommu_active=False)


def computed() -> FakeMachine:
    """SUSE whose settings are no plain assignment."""
    return machines.suse(settings="GRUB_CMDLINE_LINUX=`echo rd.lvm.lv=vg/root`\n")


def unreadable() -> FakeMachine:
    """GRUB whose grub.cfg has no entries that can be read."""
    machine = machines.suse()
    machine.commands["grub2-mkconfig"] = _writes_something_else
    _writes_something_else(machine, ["grub2-mkconfig"])
    return machine


def _writes_something_else(machine: FakeMachine, _command: t.Sequence[str]) -> CommandResult:
    always, default = machines.sourced(machine.files["/etc/default/grub"])
    machine.files["/boot/grub2/grub.cfg"] = f"source custom # {always} {default}\n"
    return CommandResult(0)


ALL = {**machines.ALL, "proxmox": machines.proxmox, "computed": computed, "unreadable": unreadable}


def run(kind: str, machine: FakeMachine, wanted: t.Sequence[str], state: State, rehearse: bool = False) -> Outcome:
    loader = "systemd-boot 252.39" if kind == "proxmox" else ""
    return ensure(machine, read_request(wanted, state), RUNNING, Firmware(True, loader), rehearse=rehearse, notes=NOTES)


class Killed(BaseException):
    """As by kill -9: nobody catches it."""


class Mortal:
    """Kills the run before or after its nth change of the machine; `left` is how many may still be made."""

    def __init__(self, machine: FakeMachine, changes: int, after: bool) -> None:
        self.left, self.after = changes, after
        self._machine = machine
        for name in ("write", "remove", "run"):
            setattr(machine, name, self._mortal(getattr(machine, name), name))

    def _mortal(self, does: t.Callable[..., t.Any], name: str) -> t.Callable[..., t.Any]:
        def call(*arguments: t.Any) -> t.Any:
            if name == "run" and (arguments[0][0] == "sh" or " ".join(arguments[0]) in self._machine.reading):
                return does(*arguments)
            self.left -= 1
            if self.left == 0 and not self.after:
                raise Killed
            result = does(*arguments)
            if self.left == 0:
                raise Killed
            return result

        return call

    def is_over(self) -> None:
        for name in ("write", "remove", "run"):
            delattr(self._machine, name)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("state", ["present", "absent"])
@pytest.mark.parametrize("kind", sorted(ALL))
def test_the_next_run_finishes_what_was_cut_off(kind: str, state: State, after: bool) -> None:
    def start() -> FakeMachine:
        machine = ALL[kind]()
        run(kind, machine, ["intel_iommu=off"] if state == "present" else QAT, "present")
        return machine

    uncut = start()
    run(kind, uncut, QAT, state)
    assert UNFINISHED not in uncut.files
    changes = 0
    while True:
        changes += 1
        machine = start()
        mortal = Mortal(machine, changes, after)
        try:
            run(kind, machine, QAT, state)
            break
        except Killed:
            mortal.is_over()
        cut = dict(machine.files)
        if {path: text for path, text in cut.items() if path != UNFINISHED} != uncut.files:
            assert not run(kind, machine, QAT, state, rehearse=True).plan.empty, (changes, "check mode says nothing")
        assert machine.files == cut
        run(kind, machine, QAT, state)
        assert machine.files == uncut.files, changes
        assert run(kind, machine, QAT, state, rehearse=True).plan.empty
        assert satisfied(
            parse(machines.next_boot(machine) if kind != "unreadable" else ""), read_request(QAT, state)
        ) or (kind == "unreadable")
    assert changes > 1


# What a command leaves, or not, is looked at afterwards.


def _is_killed(_machine: FakeMachine, _command: t.Sequence[str]) -> CommandResult:
    raise Killed


@pytest.mark.parametrize(
    "cut", [False, True], ids=["a whole run", "one after a run that was cut off before update-grub"]
)
def test_an_argument_that_only_grub_cfg_has_is_not_lost(cut: bool) -> None:
    """Somebody has edited the generated file, or has taken an argument out of the settings since."""
    machine = machines.debian()
    if cut:
        works = machine.commands["update-grub"]
        machine.commands["update-grub"] = _is_killed
        with pytest.raises(Killed):
            run("debian", machine, QAT, "present")
        machine.commands["update-grub"] = works
    generated = machine.files["/boot/grub/grub.cfg"]
    machine.files["/boot/grub/grub.cfg"] = generated.replace(" ro  quiet", " ro rd.lvm.lv=vg/root quiet")
    assert machine.files["/boot/grub/grub.cfg"] != generated
    before = dict(machine.files)
    with pytest.raises(NodeError) as caught:
        run("debian", machine, QAT, "present")
    assert str(caught.value) == (
        "update-grub: with what it has written /boot/grub/grub.cfg (Debian GNU/Linux) would lose rd.lvm.lv=vg/root; the files were put"
        " back as they were; fix this and run again"
    )
    assert machine.files == before
    assert not isinstance(caught.value, LeftError)


@pytest.mark.parametrize("kind", ["rhel9", "rhel8", "core-os", "tumbleweed", "systemd-boot"])
def test_a_command_that_loses_an_argument_is_caught(kind: str) -> None:
    machine = ALL[kind]()
    (name,) = {"grubby", "rpm-ostree", "sdbootutil", "kernel-install"} & {*machine.commands}
    works = machine.commands[name]
    lost = "ro" if kind.startswith("rhel") else "quiet" if kind != "core-os" else "rw"

    def loses(target: FakeMachine, command: t.Sequence[str]) -> CommandResult:
        result = works(target, command)
        for path, text in target.files.items() if " ".join(command) not in target.reading else ():
            if "intel_iommu=on" in text:
                target.files[path] = text.replace(f" {lost} ", " ")
        return result

    machine.commands[name] = loses
    before = dict(machine.files)
    with pytest.raises(NodeError, match=rf"with what it has written .* would lose {lost}") as caught:
        run(kind, machine, QAT, "present")
    if kind == "core-os":
        assert "before the next boot" in str(caught.value)
    else:
        assert "the files were put back as they were" in str(caught.value)
        assert machine.files == before
