# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every boot loader, as a user sees it: check, do, again, check again; undo; failures."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError, RefusedError
from ansible_collections.accel.qat.plugins.module_utils._node.kernel_args.arguments import (
    Request,
    parse,
    read_request,
    satisfied,
)
from ansible_collections.accel.qat.plugins.module_utils._node.kernel_args.detect import Firmware
from ansible_collections.accel.qat.plugins.module_utils._node.kernel_args.ensure import Outcome, ensure
from ansible_collections.accel.qat.plugins.module_utils._node.kernel_args.running import Running
from ansible_collections.accel.qat.tests.unit.kernel_args import machines
from ansible_collections.accel.qat.tests.unit.kernel_args.fake_machine import FakeMachine, fails, says

QAT = ["intel_iommu=on", "iommu=pt", "vfio-pci.disable_denylist=1"]
RUNNING = Running(parse("BOOT_IMAGE=/vmlinuz root=UUID=0d3b7c1e ro splash initrd=/initrd"), iommu_active=False)
LOADER_OF = {
    "debian": "grub",
    "ubuntu-cloud": "grub",
    "suse": "grub",
    "micro-os": "grub",
    "rhel9": "grubby",
    "rhel8": "grubby",
    "core-os": "rpm-ostree",
    "systemd-boot": "systemd-boot",
    "tumbleweed": "systemd-boot",
}


def run(machine: FakeMachine, request: Request, rehearse: bool = False, bootloader: str = "auto") -> Outcome:
    return ensure(machine, request, RUNNING, Firmware(True, ""), bootloader, rehearse)


@pytest.fixture(params=sorted(machines.ALL))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def machine(name: str) -> FakeMachine:
    return machines.ALL[name]()


def test_check_do_again_check_again(name: str, machine: FakeMachine) -> None:
    request = read_request(QAT, "present")
    before = dict(machine.files)

    checked = run(machine, request, rehearse=True)
    assert checked.bootloader == LOADER_OF[name]
    assert not checked.plan.empty
    assert machine.files == before
    assert machine.done == []

    done = run(machine, request)
    assert done.plan == checked.plan
    assert satisfied(parse(machines.next_boot(machine)), request)
    assert set(QAT) <= set(done.plan.after.texts())

    again = dict(machine.files)
    machine.done.clear()
    assert run(machine, request).plan.empty
    assert run(machine, request, rehearse=True).plan.empty
    assert machine.files == again
    assert machine.done == []


def test_check_mode_names_the_files_that_change(machine: FakeMachine) -> None:
    before = dict(machine.files)
    plan = run(machine, read_request(QAT, "present")).plan
    changed = {path for path in {*before, *machine.files} if before.get(path) != machine.files.get(path)}
    generated = {"/boot/grub/grub.cfg", "/boot/grub2/grub.cfg", "/deployment"}
    assert changed - generated == set(plan.files)


def test_removing_what_was_added_restores_the_machine(machine: FakeMachine) -> None:
    before = machines.next_boot(machine)
    run(machine, read_request(QAT, "present"))
    run(machine, read_request(QAT, "absent"))
    assert parse(machines.next_boot(machine)) == parse(before)
    assert not any(path.endswith("zz-accel-qat.cfg") for path in machine.files)


def test_another_value_is_replaced(machine: FakeMachine) -> None:
    run(machine, read_request(["intel_iommu=off", "vfio_pci.disable_denylist=0"], "present"))
    run(machine, read_request(QAT, "present"))
    texts = parse(machines.next_boot(machine)).texts()
    assert [text for text in texts if text.startswith(("intel_iommu", "vfio"))] == sorted(
        ["intel_iommu=on", "vfio-pci.disable_denylist=1"], key=texts.index
    )


def test_consoles_stay_beside_each_other(machine: FakeMachine) -> None:
    def consoles() -> list[str]:
        return [text for text in parse(machines.next_boot(machine)).texts() if text.startswith("console")]

    before = consoles()
    run(machine, read_request(["console=hvc0"], "present"))
    assert sorted(consoles()) == sorted([*before, "console=hvc0"])
    run(machine, read_request(["console=hvc0"], "absent"))
    assert consoles() == before


arguments = st.lists(
    st.sampled_from(
        ["intel_iommu=on", "intel_iommu=off", "iommu=pt", "quiet", "nosmt", "console=ttyS1", "vfio_pci.ids=1"]
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda text: text.partition("=")[0],
)
steps = st.lists(st.tuples(arguments, st.sampled_from(["present", "absent"])), min_size=1, max_size=3)


@pytest.mark.parametrize("kind", sorted(machines.ALL))
@given(steps=steps)
@settings(max_examples=25)
def test_any_sequence_of_requests_is_met_and_then_stable(kind: str, steps: list[tuple[list[str], str]]) -> None:
    machine = machines.ALL[kind]()
    for wanted, state in steps:
        request = read_request(wanted, "present" if state == "present" else "absent")
        names = {argument.name for argument in request.arguments}
        before = parse(machines.next_boot(machine))
        run(machine, request)
        after = parse(machines.next_boot(machine))
        assert satisfied(after, request)
        assert run(machine, request, rehearse=True).plan.empty
        others = [sorted(each.text for each in line.arguments if each.name not in names) for line in (before, after)]
        assert others[0] == others[1]


@pytest.mark.parametrize(
    ("kind", "command", "line"),
    [
        ("debian", "update-grub", "update-grub"),
        ("suse", "grub2-mkconfig", "grub2-mkconfig -o /boot/grub2/grub.cfg"),
        ("micro-os", "transactional-update", "transactional-update --non-interactive --continue grub.cfg"),
        ("systemd-boot", "kernel-install", "kernel-install add 6.1.0-31-amd64 /boot/vmlinuz-6.1.0-31-amd64"),
        ("tumbleweed", "sdbootutil", "sdbootutil update-all-entries"),
    ],
)
def test_a_failed_command_puts_the_files_back(kind: str, command: str, line: str) -> None:
    machine = machines.ALL[kind]()
    machine.commands[command] = fails(1, "one\ntwo\n\nthree\nfour\nfive\nsix: No space left on device\n")
    before = dict(machine.files)
    with pytest.raises(NodeError) as caught:
        run(machine, read_request(QAT, "present"))
    assert str(caught.value) == (
        f"{line}: failed with exit code 1: two / three / four / five / six: No space left on device;"
        " the files were put back as they were; mend this and run again"
    )
    assert machine.files == before


def test_grubby_failing_half_way_leaves_the_entries_as_they_were() -> None:
    machine = machines.rhel9()
    works = machine.commands["grubby"]

    def half(target: FakeMachine, command: list[str]) -> object:
        result = works(target, command)
        return result if "--info=ALL" in command else fails(1, "sed: couldn't flush stdout")(target, command)

    machine.commands["grubby"] = half  # type: ignore[assignment]
    before = dict(machine.files)
    with pytest.raises(NodeError, match=r"grubby --update-kernel=ALL .*: failed with exit code 1: sed: couldn't flush"):
        run(machine, read_request(QAT, "present"))
    assert machine.files == before


def test_a_file_that_cannot_be_written_runs_no_command() -> None:
    machine = machines.debian()
    machine.read_only.add("/etc/default/grub.d/zz-accel-qat.cfg")
    with pytest.raises(
        NodeError, match=r"zz-accel-qat\.cfg: cannot be written: Read-only file system; the files were put"
    ):
        run(machine, read_request(QAT, "present"))
    assert machine.done == []


def test_files_that_cannot_be_put_back_are_told() -> None:
    machine = machines.debian(settings='GRUB_CMDLINE_LINUX="iommu=off"\n')

    def breaks(target: FakeMachine, _command: object) -> object:
        target.read_only.add("/etc/default/grub")
        return fails(1, "boom")(target, [])

    machine.commands["update-grub"] = breaks  # type: ignore[assignment]
    with pytest.raises(NodeError) as caught:
        run(machine, read_request(["iommu=pt"], "present"))
    assert str(caught.value) == (
        "update-grub: failed with exit code 1: boom; the files could not be put back either (/etc/default/grub: cannot be"
        " written: Read-only file system); mend this before the next boot"
    )


@pytest.mark.parametrize(
    ("kind", "command"), [("debian", "update-grub"), ("rhel9", "grubby"), ("core-os", "rpm-ostree")]
)
def test_a_command_that_lies_is_caught(kind: str, command: str) -> None:
    machine = machines.ALL[kind]()
    works = machine.commands[command]
    reading = {"grubby --info=ALL", "rpm-ostree kargs"}

    def lies(target: FakeMachine, line: list[str]) -> object:
        return works(target, line) if " ".join(line) in reading else says("")(target, line)

    machine.commands[command] = lies  # type: ignore[assignment]
    with pytest.raises(NodeError) as caught:
        run(machine, read_request(["intel_iommu=on"], "present"))
    assert str(caught.value) == (
        f"bootloader: {command} reported success, but the next boot would still not be with intel_iommu=on;"
        " see what else writes the boot loader's files"
    )


def test_a_machine_that_boots_from_elsewhere_is_fine_while_its_arguments_are() -> None:
    machine = FakeMachine({}, {})
    outcome = run(machine, read_request(["splash"], "present"))
    assert outcome.bootloader == "none"
    assert outcome.plan.empty
    assert outcome.plan.notes == (
        "no boot loader was found: the kernel arguments, which are as requested, come from outside this machine",
    )
    with pytest.raises(RefusedError, match="bootloader: no boot loader was found that can be told kernel arguments"):
        run(machine, read_request(["splash"], "absent"))


@pytest.mark.parametrize("bootloader", ["grubby", "rpm-ostree"])
def test_a_named_boot_loader_needs_its_command(bootloader: str) -> None:
    with pytest.raises(RefusedError) as caught:
        run(machines.debian(), read_request(QAT, "present"), bootloader=bootloader)
    assert str(caught.value) == (
        f"bootloader: {bootloader} was asked for, but the node has no command {bootloader}; install it, or use"
        " bootloader: auto"
    )
