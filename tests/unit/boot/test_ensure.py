# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every boot loader, as a user sees it: check, do, again, check again; undo; failures."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.accel.qat.plugins.module_utils._boot.arguments import (
    Request,
    in_force,
    parse,
    read_request,
    satisfied,
)
from ansible_collections.accel.qat.plugins.module_utils._boot.detect import Firmware
from ansible_collections.accel.qat.plugins.module_utils._boot.ensure import NO_NOTES, Outcome, ensure
from ansible_collections.accel.qat.plugins.module_utils._boot.notes import Notes
from ansible_collections.accel.qat.plugins.module_utils._boot.plan import WRITTEN
from ansible_collections.accel.qat.plugins.module_utils._boot.running import Running
from ansible_collections.accel.qat.plugins.module_utils._host.machine import CommandResult
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError, RefusedError
from ansible_collections.accel.qat.tests.fakes.host import FakeMachine, fails, says
from ansible_collections.accel.qat.tests.unit.boot import machines

QAT = ["intel_iommu=on", "iommu=pt", "vfio-pci.disable_denylist=1"]
RUNNING = Running(
    parse(f"BOOT_IMAGE=/vmlinuz {machines.SNAPSHOT_ROOT} ro splash initrd=/initrd"),
    iommu_active=False,
)
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


def run(
    machine: FakeMachine,
    request: Request,
    rehearse: bool = False,
    bootloader: str = "auto",
    notes: Notes = NO_NOTES,
) -> Outcome:
    return ensure(machine, request, RUNNING, Firmware(True, ""), bootloader, rehearse, notes)


@pytest.fixture(params=sorted(machines.ALL))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def machine(name: str) -> FakeMachine:
    return machines.ALL[name]()


def test_what_overrules_under_another_key_is_seen(name: str, machine: FakeMachine) -> None:
    """A hardening rule of the distribution has `iommu.passthrough=0`, which comes last."""
    hardened = read_request(["iommu.passthrough=0"], "present")
    run(machine, hardened)
    found = run(machine, read_request(["quiet"], "present"), rehearse=True).plan.before
    assert in_force(found, hardened.arguments[0]), name
    wanted = read_request(["iommu=pt"], "present")
    run(machine, wanted)
    assert in_force(parse(machines.next_boot(machine)), wanted.arguments[0])
    assert run(machine, wanted).plan.empty


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
    generated = {"/boot/grub/grub.cfg", "/boot/grub2/grub.cfg", "/deployment", WRITTEN}
    assert changed - generated == set(plan.files)


def test_removing_what_was_added_restores_the_machine(machine: FakeMachine) -> None:
    before = machines.next_boot(machine)
    run(machine, read_request(QAT, "present"))
    run(machine, read_request(QAT, "absent"))
    assert parse(machines.next_boot(machine)) == parse(before)
    assert not any(path.endswith("zz-accel-qat.cfg") for path in machine.files)


def test_all_that_was_added_over_time_is_removed(machine: FakeMachine) -> None:
    before = machines.next_boot(machine)
    values = ["intel_iommu=off", "intel_iommu=on"]
    for value in values:
        run(machine, read_request([value], "present"))
    run(machine, read_request(values, "absent"))
    assert parse(machines.next_boot(machine)) == parse(before)


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


# Notes for the way back.

NOTES = Notes("/var/lib/accel-qat/kernel_arguments", "/var/lib/accel-qat/kernel_arguments_replaced")


def noted(machine: FakeMachine) -> list[list[str] | None]:
    """The lines of both files, added first."""
    texts = [machine.files.get(str(path)) for path in (NOTES.added, NOTES.replaced)]
    return [None if text is None else text.splitlines() for text in texts]


def test_what_changes_is_noted_first(machine: FakeMachine) -> None:
    run(machine, read_request(["intel_iommu=off"], "present"))
    before = dict(machine.files)
    checked = run(machine, read_request(QAT, "present"), rehearse=True, notes=NOTES)
    assert machine.files == before
    machine.done.clear()
    done = run(machine, read_request(QAT, "present"), notes=NOTES)
    assert done.plan == checked.plan
    assert {NOTES.added, NOTES.replaced} <= set(done.plan.files)
    assert machine.done[:2] == [f"write {NOTES.added}", f"write {NOTES.replaced}"]
    added, replaced = noted(machine)
    assert (sorted(added or []), replaced) == (sorted(QAT), ["intel_iommu=off"])
    machine.done.clear()
    run(machine, read_request(QAT, "present"), notes=NOTES)
    assert machine.done == []


def test_a_run_that_is_killed_leaves_nothing_unnoted(machine: FakeMachine) -> None:
    run(machine, read_request(["intel_iommu=off"], "present"))
    write = machine.write

    def killed(path: str, text: str, *_attributes: t.Any) -> None:
        if path not in (NOTES.added, NOTES.replaced):
            raise KeyboardInterrupt
        write(path, text)

    def dies(_machine: FakeMachine, command: t.Sequence[str]) -> CommandResult:
        if " ".join(command) in machine.reading:
            return works(machine, command)
        raise KeyboardInterrupt

    (name,) = {"update-grub", "grub2-mkconfig", "grubby", "rpm-ostree", "kernel-install", "sdbootutil"} & {
        *machine.commands
    }
    works, machine.commands[name] = machine.commands[name], dies
    machine.write = killed  # type: ignore[method-assign, assignment]
    with pytest.raises(KeyboardInterrupt):
        run(machine, read_request(["intel_iommu=on"], "present"), notes=NOTES)
    assert noted(machine) == [["intel_iommu=on"], ["intel_iommu=off"]]


def test_a_failed_change_is_not_noted() -> None:
    machine = machines.debian()
    machine.commands["update-grub"] = fails(1, "boom")
    machine.files[str(NOTES.added)] = "quiet\n"
    with pytest.raises(NodeError, match="the files were put back"):
        run(machine, read_request(QAT, "present"), notes=NOTES)
    assert noted(machine) == [["quiet"], None]


def test_notes_of_earlier_runs_stay() -> None:
    machine = machines.debian()
    machine.files[str(NOTES.added)] = "intel_iommu=on\nnosmt"
    run(machine, read_request(QAT, "present"), notes=NOTES)
    assert noted(machine) == [["intel_iommu=on", "nosmt", *QAT[1:]], None]


def test_only_what_was_found_first_is_noted_as_replaced() -> None:
    """Neither what was added itself, nor what somebody has set since: the way back leads to what was found."""
    machine = machines.debian(settings='GRUB_CMDLINE_LINUX="intel_iommu=on intel_iommu=off"\n')
    for value in ("on,sm_on", "igfx_off", "on"):
        run(machine, read_request([f"intel_iommu={value}"], "present"), notes=NOTES if "on" in value else NO_NOTES)
    assert noted(machine) == [["intel_iommu=sm_on"], ["intel_iommu=off"]]
    machine = machines.debian()
    for value in ("off", "on"):
        run(machine, read_request([f"intel_iommu={value}"], "present"), notes=NOTES)
    assert noted(machine) == [["intel_iommu=off", "intel_iommu=on"], None]


def test_of_what_is_replaced_that_is_noted_which_the_kernel_followed() -> None:
    """With iommu=off nothing else counts, wherever it stands."""
    for line in ("iommu=off iommu=nopt", "iommu=nopt iommu=off", "iommu=off,force iommu.passthrough=0"):
        machine = machines.debian(settings=f'GRUB_CMDLINE_LINUX="{line}"\n')
        run(machine, read_request(["iommu=pt"], "present"), notes=NOTES)
        assert noted(machine)[1] == ["iommu=off"]


def test_of_one_kind_alone() -> None:
    machine = machines.debian(settings='GRUB_CMDLINE_LINUX="intel_iommu=off"\n')
    run(machine, read_request(["intel_iommu=on"], "present"), notes=Notes(added=NOTES.added))
    assert noted(machine) == [["intel_iommu=on"], None]


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
        " the files were put back as they were; fix this and run again"
    )
    assert not caught.value.has_changed
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


def test_files_that_cannot_be_put_back_are_reported() -> None:
    machine = machines.debian(settings='GRUB_CMDLINE_LINUX="iommu=off"\n')

    def breaks(target: FakeMachine, _command: object) -> object:
        target.read_only.add("/etc/default/grub")
        return fails(1, "boom")(target, [])

    machine.commands["update-grub"] = breaks  # type: ignore[assignment]
    with pytest.raises(NodeError) as caught:
        run(machine, read_request(["iommu=pt"], "present"))
    assert str(caught.value) == (
        "update-grub: failed with exit code 1: boom; the files could not be put back either (/etc/default/grub: cannot be"
        " written: Read-only file system); fix this before the next boot"
    )
    assert caught.value.has_changed


def test_the_others_are_put_back_where_one_cannot_be() -> None:
    machine = machines.debian(settings='GRUB_CMDLINE_LINUX="iommu=off"\n')
    configuration, settings = "/boot/grub/grub.cfg", "/etc/default/grub"
    before = dict(machine.files)

    def breaks(target: FakeMachine, _command: object) -> object:
        target.files[configuration] = "half of it"
        target.read_only.add(settings)
        return fails(1, "boom")(target, [])

    machine.commands["update-grub"] = breaks  # type: ignore[assignment]
    with pytest.raises(NodeError, match="the files could not be put back either"):
        run(machine, read_request(["iommu=pt"], "present"))
    assert {path for path, text in machine.files.items() if before.get(path) != text} == {settings}


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
    before = dict(machine.files)
    with pytest.raises(NodeError) as caught:
        run(machine, read_request(["intel_iommu=on"], "present"))
    has_files = kind != "core-os"
    assert str(caught.value) == (
        f"bootloader: {command} reported success, but the next boot would still not be with intel_iommu=on; "
        + ("the files were put back; " if has_files else "")
        + "see what else writes the boot loader's files"
    )
    assert caught.value.has_changed is not has_files
    assert machine.files == before


def test_of_what_a_command_alone_has_done_the_notes_stay_and_it_is_a_change() -> None:
    """Nobody puts a deployment back, and teardown takes out what is noted."""
    machine = machines.core_os()
    works = machine.commands["rpm-ostree"]

    def loses(target: FakeMachine, command: t.Sequence[str]) -> CommandResult:
        result = works(target, command)
        if " ".join(command) not in target.reading:
            target.files["/deployment"] = target.files["/deployment"].replace(" rw", "")
        return result

    machine.commands["rpm-ostree"] = loses
    with pytest.raises(NodeError, match="with what it has written rpm-ostree kargs would lose rw") as caught:
        run(machine, read_request(QAT, "present"), notes=NOTES)
    assert caught.value.has_changed
    assert satisfied(parse(machines.next_boot(machine)), read_request(QAT, "present"))
    assert noted(machine) == [QAT, None]


@pytest.mark.parametrize("fails_at", ["refused", "failed"])
def test_what_cannot_be_looked_at_afterwards_is_not_said_to_be_unchanged(fails_at: str) -> None:
    machine = machines.core_os()
    works = machine.commands["rpm-ostree"]
    looks = iter(range(100))

    def afterwards(target: FakeMachine, command: t.Sequence[str]) -> CommandResult:
        if " ".join(command) not in target.reading or next(looks) == 0:
            return works(target, command)
        return CommandResult(0, "ro -- single\n") if fails_at == "refused" else CommandResult(1, "", "busy")

    machine.commands["rpm-ostree"] = afterwards
    with pytest.raises(NodeError) as caught:
        run(machine, read_request(QAT, "present"))
    assert (caught.value.has_changed, caught.value.kind) == (True, "node")


def test_a_machine_that_boots_from_elsewhere_is_fine_while_its_arguments_are() -> None:
    machine = FakeMachine({}, {})
    outcome = run(machine, read_request(["splash"], "present"))
    assert outcome.bootloader == "none"
    assert outcome.plan.empty
    assert outcome.plan.notes == (
        "no boot loader was found: the kernel arguments, which are as requested, come from outside this machine",
    )
    with pytest.raises(RefusedError, match="bootloader: no boot loader was found that can be given kernel arguments"):
        run(machine, read_request(["splash"], "absent"))


@pytest.mark.parametrize("bootloader", ["grubby", "rpm-ostree"])
def test_a_named_boot_loader_needs_its_command(bootloader: str) -> None:
    with pytest.raises(RefusedError) as caught:
        run(machines.debian(), read_request(QAT, "present"), bootloader=bootloader)
    assert str(caught.value) == (
        f"bootloader: {bootloader} was asked for, but the node has no command {bootloader}; install it, or use"
        " bootloader: auto"
    )
