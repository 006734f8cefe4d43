# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which entry GRUB starts, and whether that gets its arguments from the settings."""

from __future__ import annotations

import pytest

from ansible_collections.accel.qat.plugins.module_utils._boot.arguments import (
    State,
    parse,
    read_request,
)
from ansible_collections.accel.qat.plugins.module_utils._boot.loaders.grub import Grub
from ansible_collections.accel.qat.plugins.module_utils._boot.loaders.grub_menu import read_menu, started
from ansible_collections.accel.qat.plugins.module_utils._boot.loaders.grubby import Grubby
from ansible_collections.accel.qat.plugins.module_utils._boot.plan import Plan
from ansible_collections.accel.qat.plugins.module_utils._node.errors import RefusedError
from ansible_collections.accel.qat.tests.fakes.host import FakeMachine
from ansible_collections.accel.qat.tests.unit.boot import machines

# Of Debian 12, shortened.
MENU = """\
function savedefault {
  if [ -z "${boot_once}" ]; then
    saved_entry="${chosen}"
  fi
}
### BEGIN /etc/grub.d/10_linux ###
function gfxmode {
\tset gfxpayload="${1}"
}
menuentry 'Debian GNU/Linux' --class debian $menuentry_id_option 'gnulinux-simple-5f1e' {
\tload_video
\tif [ x$grub_platform = xxen ]; then insmod xzio; fi
\tlinux\t/boot/vmlinuz-6.1.0-32 root=/dev/vda1 ro quiet
\tinitrd\t/boot/initrd.img-6.1.0-32
}
submenu 'Advanced options for Debian GNU/Linux' $menuentry_id_option 'gnulinux-advanced-5f1e' {
\tmenuentry 'Debian GNU/Linux, with Linux 6.1.0-32' --class debian $menuentry_id_option 'gnulinux-6.1.0-32' {
\t\tlinux\t/boot/vmlinuz-6.1.0-32 root=/dev/vda1 ro
\t}
\tmenuentry 'Debian GNU/Linux, with Linux 6.1.0-31' --class debian $menuentry_id_option 'gnulinux-6.1.0-31' {
\t\tlinux\t/boot/vmlinuz-6.1.0-31 root=/dev/vda1 ro old
\t}
}
### END /etc/grub.d/10_linux ###
### BEGIN /etc/grub.d/40_custom ###
# This file provides an easy way to add custom menu entries.
menuentry "it's > mine" --id=mine {
  linux /vmlinuz root=/dev/vda1 custom
}
menuentry Bare --id bare {
  chainloader +1
}
### END /etc/grub.d/40_custom ###
"""


@pytest.mark.parametrize(
    ("default", "title"),
    [
        ("0", "Debian GNU/Linux"),
        ("", "Debian GNU/Linux"),
        ("gnulinux-simple-5f1e", "Debian GNU/Linux"),
        ("1", "Debian GNU/Linux, with Linux 6.1.0-32"),
        ("1>1", "Debian GNU/Linux, with Linux 6.1.0-31"),
        ("gnulinux-advanced-5f1e>gnulinux-6.1.0-31", "Debian GNU/Linux, with Linux 6.1.0-31"),
        (
            "Advanced options for Debian GNU/Linux>Debian GNU/Linux, with Linux 6.1.0-31",
            "Debian GNU/Linux, with Linux 6.1.0-31",
        ),
        ("gnulinux-advanced-5f1e>removed", "Debian GNU/Linux, with Linux 6.1.0-32"),
        ("2", "it's > mine"),
        ("it's >> mine", "it's > mine"),
        ("mine", "it's > mine"),
        ("bare", "Bare"),
        ("3", "Bare"),
        # GRUB starts the first one where there is no such entry.
        ("4", "Debian GNU/Linux"),
        ("removed", "Debian GNU/Linux"),
    ],
)
def test_which_entry_is_started(default: str, title: str) -> None:
    item = started(read_menu(MENU), default)
    assert item is not None
    assert item.title == title


def test_entries_have_their_arguments_and_who_wrote_them() -> None:
    first, _submenu, mine, bare = read_menu(MENU)
    assert (first.script, first.line) == ("/etc/grub.d/10_linux", parse("root=/dev/vda1 ro quiet"))
    assert (mine.script, mine.line) == ("/etc/grub.d/40_custom", parse("root=/dev/vda1 custom"))
    assert bare.line is None


def test_braces_in_comments_open_and_close_nothing() -> None:
    commented = MENU.replace("  chainloader", "  # if older {\n  chainloader").replace(
        "  linux /vmlinuz", "  # function unused {\n  # }\n  linux /vmlinuz"
    )
    assert read_menu(commented) == read_menu(MENU)


@pytest.mark.parametrize(
    "text", ["", "}\n}\n", "menuentry 'a {\n", "submenu x {\n", "menuentry {\n}\n", "{\n" * 10_000]
)
def test_a_menu_that_is_damaged_is_read_all_the_same(text: str) -> None:
    started(read_menu(text), "0>0")


HEADER = "#!/bin/sh\nexec tail -n +3 $0\n"
CUSTOM = "menuentry 'Ours' --id ours {\n\tlinux /vmlinuz root=/dev/vda1 ro\n}\n"


def plan(machine: FakeMachine, wanted: list[str], state: State = "present", noted_in: str | None = None) -> Plan:
    return Grub(machine, parse("ro")).plan(read_request(wanted, state, noted_in))


def with_default(default: str, script: str = "/etc/grub.d/40_custom") -> FakeMachine:
    """Debian whose menu has an entry of an administrator."""
    settings = machines.DEBIAN_SETTINGS.replace("GRUB_DEFAULT=0", f"GRUB_DEFAULT={default}")
    machine = machines.debian(settings)
    if script.endswith("custom.cfg"):
        machine.files[script] = CUSTOM
    else:
        machine.files[script] = HEADER + CUSTOM
        machine.files["/boot/grub/grub.cfg"] += f"### BEGIN {script} ###\n{CUSTOM}### END {script} ###\n"
    return machine


REFUSED = (
    "{}: GRUB starts Ours, an entry that gets no arguments from /etc/default/grub; set them in that entry by hand, or have another"
    " one started (GRUB_DEFAULT, grub-set-default)"
)


@pytest.mark.parametrize("default", ["ours", "Ours", "3", "saved"])
@pytest.mark.parametrize("script", ["/etc/grub.d/40_custom", "/boot/grub/custom.cfg", "/etc/grub.d/06_mine"])
def test_an_entry_written_by_hand_does_not_get_the_settings(default: str, script: str) -> None:
    machine = with_default(default, script)
    if default == "saved":
        assert plan(machine, ["intel_iommu=on"]).commands
        machine.files["/boot/grub/grubenv"] = "# GRUB Environment Block\nsaved_entry=ours\n######\n"
    before = dict(machine.files)
    with pytest.raises(RefusedError) as caught:
        plan(machine, ["intel_iommu=on"])
    assert str(caught.value) == REFUSED.format(script)
    assert machine.files == before
    assert plan(machine, ["intel_iommu=on"], "absent").empty


def test_the_entry_of_the_next_boot_alone_counts_too() -> None:
    machine = with_default("0")
    assert plan(machine, ["intel_iommu=on"]).commands
    machine.files["/boot/grub/grubenv"] = "# GRUB Environment Block\nnext_entry=ours\n######\n"
    with pytest.raises(RefusedError, match="GRUB starts Ours"):
        plan(machine, ["intel_iommu=on"])


def test_an_entry_written_by_hand_that_has_the_arguments_is_fine() -> None:
    machine = with_default("ours")
    for path in ("/etc/grub.d/40_custom", "/boot/grub/grub.cfg"):
        machine.files[path] = machine.files[path].replace(
            "/vmlinuz root=/dev/vda1 ro", "/vmlinuz root=/dev/vda1 ro intel_iommu=on"
        )
    assert plan(machine, ["intel_iommu=on"]).commands


def test_another_system_does_not_get_the_settings() -> None:
    settings = machines.DEBIAN_SETTINGS.replace("GRUB_DEFAULT=0", "GRUB_DEFAULT='Debian GNU/Linux on /dev/sdb1'")
    with pytest.raises(RefusedError, match="30_os-prober: GRUB starts Debian GNU/Linux on /dev/sdb1, an entry that"):
        plan(machines.debian(settings), ["intel_iommu=on"])


@pytest.mark.parametrize("variable", ["saved_entry", "next_entry"])
@pytest.mark.parametrize("path", ["/boot/grub2/custom.cfg", "/etc/grub.d/40_custom"])
def test_neither_does_grubby_write_it(path: str, variable: str) -> None:
    machine = machines.rhel9()
    machine.files[path] = CUSTOM
    if path == "/etc/grub.d/40_custom":
        machine.files["/boot/grub2/grub.cfg"] += f"### BEGIN {path} ###\n{CUSTOM}### END {path} ###\n"
    machine.files["/boot/grub2/grubenv"] = (
        f"# GRUB Environment Block\n{variable}=a98618aa-5.14.0-362.24.1.el9_3.x86_64\n"
    )
    request = read_request(["intel_iommu=on"], "present")
    assert Grubby(machine).plan(request).commands
    machine.files["/boot/grub2/grubenv"] = f"# GRUB Environment Block\n{variable}=ours\n"
    with pytest.raises(RefusedError) as caught:
        Grubby(machine).plan(request)
    assert str(caught.value) == REFUSED.format(path).replace("/etc/default/grub", "grubby")
    assert Grubby(machine).plan(read_request(["intel_iommu=on"], "absent")).empty


@pytest.mark.parametrize(("arguments", "is_refused"), [("ro $GRUB_CMDLINE_LINUX", False), ("ro", True)])
def test_a_script_of_an_administrator_may_take_the_settings(arguments: str, is_refused: bool) -> None:
    machine = with_default("ours", "/etc/grub.d/11_mine")
    text = CUSTOM.replace("root=/dev/vda1 ro", arguments)
    machine.files["/etc/grub.d/11_mine"] = (
        f"#!/bin/sh\n# Not as 10_linux, which has $GRUB_CMDLINE_LINUX.\ncat << EOF\n{text}EOF\n"
    )
    machine.files["/boot/grub/grub.cfg"] = machine.files["/boot/grub/grub.cfg"].replace("root=/dev/vda1 ro\n}", "ro\n}")
    if is_refused:
        with pytest.raises(RefusedError, match="GRUB starts Ours"):
            plan(machine, ["intel_iommu=on"])
    else:
        assert plan(machine, ["intel_iommu=on"]).commands == (("update-grub",),)


@pytest.mark.parametrize("default", ["1", "gnulinux-6.1.0-32-amd64", "'Debian GNU/Linux'"])
def test_an_entry_that_a_script_makes_gets_them(default: str) -> None:
    assert plan(with_default(default), ["intel_iommu=on"]).commands == (("update-grub",),)


# On the way back what is ours goes, and what others have written stays.

NOTES = "/var/lib/accel-qat/kernel_arguments"
LEFT = "{}: GRUB starts Ours, an entry that gets no arguments from {}; it is left as it is, and {} by hand"
HAS, LACKS = "has intel_iommu=on until somebody takes that out", "lacks iommu=off until somebody sets that"


def with_arguments(machine: FakeMachine, *arguments: str) -> FakeMachine:
    """Those of the administrator's entry."""
    for path, text in machine.files.items():
        machine.files[path] = text.replace("/vmlinuz root=/dev/vda1 ro\n", f"/vmlinuz ro {' '.join(arguments)}\n")
    return machine


@pytest.mark.parametrize("script", ["/etc/grub.d/40_custom", "/boot/grub/custom.cfg"])
def test_the_way_back_leaves_an_entry_written_by_hand(script: str) -> None:
    machine = with_arguments(with_default("ours", script), "intel_iommu=on")
    found = dict(machine.files)
    ours = plan(machine, ["intel_iommu=on"])
    assert ours.notes == ()
    for edit in ours.edits:
        edit.make(machine)
    with pytest.raises(RefusedError) as caught:
        plan(machine, ["intel_iommu=on"], "absent")
    assert str(caught.value) == REFUSED.format(script)
    back = plan(machine, ["intel_iommu=on"], "absent", NOTES)
    assert [(edit.path, edit.after) for edit in back.edits] == [("/etc/default/grub.d/zz-accel-qat.cfg", None)]
    assert back.notes == (LEFT.format(script, "/etc/default/grub", HAS),)
    assert [each.text for each in back.out_of_reach] == ["intel_iommu=on"]
    for edit in back.edits:
        edit.make(machine)
    again = plan(machine, ["intel_iommu=on"], "absent", NOTES)
    assert (again.empty, again.notes, machine.files) == (True, back.notes, found)


def test_the_way_back_brings_what_was_replaced_into_the_settings_alone() -> None:
    back = plan(with_default("ours"), ["iommu=off"], noted_in=NOTES)
    assert (back.added, back.commands) == (["iommu=off"], (("update-grub",),))
    assert back.notes == (LEFT.format("/etc/grub.d/40_custom", "/etc/default/grub", LACKS),)
    assert [each.text for each in back.out_of_reach] == ["iommu=off"]


def test_what_the_next_boot_brings_is_within_reach() -> None:
    """The one after it is by the entry of the administrator again."""
    machine = with_arguments(with_default("ours"), "intel_iommu=on", "iommu=pt")
    machine.files["/boot/grub/grubenv"] = "# GRUB Environment Block\nnext_entry=0\n######\n"
    back = plan(machine, ["intel_iommu=on", "nosmt"], "absent", NOTES)
    assert back.notes == (LEFT.format("/etc/grub.d/40_custom", "/etc/default/grub", HAS),)
    assert back.out_of_reach == ()
    machine.files["/boot/grub/grubenv"] = "# GRUB Environment Block\nnext_entry=ours\n######\n"
    back = plan(machine, ["intel_iommu=on", "nosmt"], "absent", NOTES)
    assert [each.text for each in back.out_of_reach] == ["intel_iommu=on"]
    assert len(back.notes) == 1


def test_so_it_is_with_grubby() -> None:
    machine = machines.rhel9()
    machine.files["/boot/grub2/custom.cfg"] = CUSTOM.replace(" ro", " ro intel_iommu=on")
    machine.files["/boot/grub2/grubenv"] = "# GRUB Environment Block\nsaved_entry=ours\n"
    Grubby(machine).plan(read_request(["intel_iommu=on"], "present"))
    machine.run(["grubby", "--update-kernel=ALL", "--args=intel_iommu=on"])
    for is_ours in (True, False):
        back = Grubby(machine).plan(read_request(["intel_iommu=on"], "absent", NOTES))
        assert back.empty is not is_ours
        assert back.notes == (LEFT.format("/boot/grub2/custom.cfg", "grubby", HAS),)
        assert [each.text for each in back.out_of_reach] == ["intel_iommu=on"]
        for command in back.commands:
            machine.run(command)
