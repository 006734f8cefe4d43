# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is particular to each boot loader."""

from __future__ import annotations

import re

import pytest

from ansible_collections.accel.qat.plugins.module_utils._boot.arguments import (
    State,
    parse,
    read_request,
    satisfied,
)
from ansible_collections.accel.qat.plugins.module_utils._boot.detect import Firmware
from ansible_collections.accel.qat.plugins.module_utils._boot.ensure import ensure
from ansible_collections.accel.qat.plugins.module_utils._boot.loaders.grub import DROP_IN, SETTINGS, Grub
from ansible_collections.accel.qat.plugins.module_utils._boot.loaders.grubby import Grubby
from ansible_collections.accel.qat.plugins.module_utils._boot.loaders.rpm_ostree import RpmOstree
from ansible_collections.accel.qat.plugins.module_utils._boot.loaders.systemd_boot import SystemdBoot
from ansible_collections.accel.qat.plugins.module_utils._boot.plan import Plan
from ansible_collections.accel.qat.plugins.module_utils._boot.running import Running
from ansible_collections.accel.qat.plugins.module_utils._boot.unharmed import harm
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError, RefusedError
from ansible_collections.accel.qat.tests.fakes.host import FakeMachine, fails, says
from ansible_collections.accel.qat.tests.unit.boot import machines

SNAPSHOT = parse(f"initrd=/opensuse-tumbleweed/initrd quiet {machines.SNAPSHOT_ROOT}")
RUNNING = parse("BOOT_IMAGE=/vmlinuz root=UUID=0d3b7c1e ro splash initrd=/initrd -- init-argument")


def grub(machine: FakeMachine, wanted: list[str], state: State = "present") -> Plan:
    return Grub(machine, parse("ro")).plan(read_request(wanted, state))


def grubby(machine: FakeMachine, wanted: list[str], state: State = "present") -> Plan:
    return Grubby(machine).plan(read_request(wanted, state))


def systemd_boot(machine: FakeMachine, wanted: list[str], state: State = "present") -> Plan:
    return SystemdBoot(machine, RUNNING).plan(read_request(wanted, state))


class TestGrub:
    @pytest.mark.parametrize("path", [SETTINGS, "/etc/default/grub.d/50-site.cfg"])
    def test_refuses_settings_with_a_nul_byte(self, path: str) -> None:
        machine = machines.debian()
        machine.files[path] = "GRUB_TIMEOUT=5\0\n"
        with pytest.raises(NodeError, match=f"{path}: has a NUL byte, and is no shell script"):
            grub(machine, ["iommu=pt"])

    def test_adds_a_drop_in_and_leaves_the_settings_alone(self) -> None:
        (edit,) = grub(machines.debian(), ["intel_iommu=on", "iommu=pt"]).edits
        assert edit.path == DROP_IN
        assert edit.before is None
        assert edit.after is not None
        assert edit.after.endswith('GRUB_CMDLINE_LINUX="intel_iommu=on iommu=pt $GRUB_CMDLINE_LINUX"\n')

    def test_edits_the_settings_where_an_argument_contradicts_and_says_so(self) -> None:
        machine = machines.debian(settings='GRUB_CMDLINE_LINUX="intel_iommu=off ro" # mine\n')
        plan = grub(machine, ["intel_iommu=on", "iommu=pt"])
        assert [edit.path for edit in plan.edits] == [SETTINGS, DROP_IN]
        assert plan.edits[0].after == 'GRUB_CMDLINE_LINUX="intel_iommu=on ro" # mine\n'
        assert plan.notes == ("/etc/default/grub itself is edited, because it has an argument to be changed",)

    def test_an_argument_that_stands_in_the_settings_needs_no_drop_in(self) -> None:
        assert grub(machines.debian(settings='GRUB_CMDLINE_LINUX="intel_iommu=on"\n'), ["intel_iommu=on"]).empty

    def test_suse_has_only_the_settings(self) -> None:
        plan = grub(machines.suse(), ["intel_iommu=on"])
        assert [edit.path for edit in plan.edits] == [SETTINGS]
        assert plan.notes == ()
        assert 'GRUB_CMDLINE_LINUX="intel_iommu=on"\n' in str(plan.edits[0].after)

    def test_missing_settings_are_made(self) -> None:
        machine = machines.suse()
        del machine.files[SETTINGS]
        text = str(grub(machine, ["iommu=pt"]).edits[0].after)
        assert text.startswith("# There was no such file before.\n")
        assert text.endswith('\nGRUB_CMDLINE_LINUX="iommu=pt $GRUB_CMDLINE_LINUX"\n')

    @pytest.mark.parametrize(
        ("settings", "always"),
        [
            # A line that a tool has appended.
            (
                'GRUB_TIMEOUT=5\nGRUB_CMDLINE_LINUX_DEFAULT="quiet"\nGRUB_CMDLINE_LINUX+=" net.ifnames=0 biosdevname=0"\n',
                "net.ifnames=0 biosdevname=0",
            ),
            (
                (
                    'GRUB_CMDLINE_LINUX_DEFAULT="quiet"\nGRUB_CMDLINE_LINUX="rd.lvm.lv=vg/root rd.lvm.lv=vg/swap \\\n'
                    '  crashkernel=256M net.ifnames=0"\n'
                ),
                "rd.lvm.lv=vg/root rd.lvm.lv=vg/swap crashkernel=256M net.ifnames=0",
            ),
        ],
        ids=["plus-equals", "continuation"],
    )
    def test_what_the_settings_compute_stays_where_there_are_no_drop_ins(self, settings: str, always: str) -> None:
        machine = machines.suse()
        machine.shell = "bash"
        machine.files[SETTINGS] = settings
        plan = grub(machine, ["intel_iommu=on", "iommu=pt"])
        assert plan.before.texts() == [*always.split(), "quiet"]
        assert plan.after.texts() == ["intel_iommu=on", "iommu=pt", *plan.before.texts()]
        assert (plan.added, plan.removed) == (["intel_iommu=on", "iommu=pt"], [])
        (edit,) = plan.edits
        assert str(edit.after).startswith(settings)

    def test_items_of_a_list_stay_where_another_one_is_added(self) -> None:
        machine = machines.suse(
            settings='GRUB_CMDLINE_LINUX_DEFAULT="quiet intel_iommu=on intel_iommu=sm_on"\nGRUB_CMDLINE_LINUX=""\n'
        )
        plan = grub(machine, ["intel_iommu=on", "iommu=pt"])
        assert (plan.added, plan.removed) == (["iommu=pt"], [])
        assert plan.after.texts() == ["iommu=pt", "quiet", "intel_iommu=on", "intel_iommu=sm_on"]

    def test_a_file_of_others_with_a_list_is_left_alone(self) -> None:
        hardened = 'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX iommu=force iommu.strict=1"\n'
        plan = grub(machines.debian(drop_ins={"40_hardening.cfg": hardened}), ["iommu=pt"])
        assert [edit.path for edit in plan.edits] == [DROP_IN]
        assert (plan.added, plan.removed, plan.notes) == (["iommu=pt"], [], ())

    def test_a_file_of_others_that_overrules_under_another_key_is_edited(self) -> None:
        """What it says comes behind that of the drop-in, and the kernel follows the last."""
        hardened = 'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX iommu=force iommu.passthrough=0 iommu.strict=1"\n'
        plan = grub(machines.debian(drop_ins={"40_hardening.cfg": hardened}), ["iommu=pt"])
        path = "/etc/default/grub.d/40_hardening.cfg"
        assert [edit.path for edit in plan.edits] == [path, DROP_IN]
        assert plan.edits[0].after == hardened.replace("iommu.passthrough=0 ", "")
        assert (plan.added, plan.removed) == (["iommu=pt"], ["iommu.passthrough=0"])
        assert plan.notes == (f"{path} itself is edited, because it has an argument to be changed",)

    def test_settings_are_read_by_the_shell_that_reads_them_for_grub(self) -> None:
        machine = machines.suse(settings='GRUB_CMDLINE_LINUX="ro"\n')
        machine.shell = "dash"
        machine.files[SETTINGS] = 'GRUB_CMDLINE_LINUX+=" ro"\n'
        with pytest.raises(NodeError, match="GRUB's settings do not run as a shell script"):
            grub(machine, ["iommu=pt"])
        machine.files["/usr/sbin/grub2-mkconfig"] = "#! /usr/bin/env bash\n. ${sysconfdir}/default/grub\n"
        assert grub(machine, ["iommu=pt"]).before.texts() == ["ro"]

    def test_a_comment_on_drop_ins_is_no_drop_in(self) -> None:
        machine = machines.suse()
        machine.files["/usr/sbin/grub2-mkconfig"] += "# There is no /etc/default/grub.d here.\n"
        assert [edit.path for edit in grub(machine, ["iommu=pt"]).edits] == [SETTINGS]

    def test_a_run_that_ended_before_update_grub_is_finished(self) -> None:
        machine = machines.debian()
        stale = machine.files["/boot/grub/grub.cfg"]
        request = read_request(["intel_iommu=on"], "present")
        for edit in Grub(machine, parse("ro")).plan(request).edits:
            machine.write(edit.path, str(edit.after))
        plan = Grub(machine, parse("ro")).plan(request)
        assert (plan.edits, plan.commands) == ((), (("update-grub",),))
        machine.run(["update-grub"])
        assert machine.files["/boot/grub/grub.cfg"] != stale
        assert Grub(machine, parse("ro")).plan(request).empty

    @pytest.mark.parametrize("script", ["10_linux_zfs", "09_linux", "15_linux_proxy"])
    def test_entries_are_seen_whichever_script_has_made_them(self, script: str) -> None:
        machine = machines.debian(machines.DEBIAN_SETTINGS.replace('LINUX=""', 'LINUX="iommu=pt"'))
        empty = "### BEGIN /etc/grub.d/10_linux ###\n### END /etc/grub.d/10_linux ###\n\n"
        made = machine.files["/boot/grub/grub.cfg"].replace("/10_linux ", f"/{script} ")
        machine.files["/boot/grub/grub.cfg"] = empty + made
        assert grub(machine, ["iommu=pt"]).empty
        machine.files["/boot/grub/grub.cfg"] = empty + made.replace("iommu=pt", "quiet")
        assert grub(machine, ["iommu=pt"]).commands == (("update-grub",),)

    def test_a_value_that_a_shell_computes_is_read_but_not_edited(self) -> None:
        settings = 'MODE=off\nGRUB_CMDLINE_LINUX="intel_iommu=$MODE"\n'
        machine = machines.debian(settings=settings)
        assert grub(machine, ["intel_iommu=off"]).empty
        with pytest.raises(RefusedError) as caught:
            grub(machine, ["intel_iommu=on"])
        assert str(caught.value) == (
            "/etc/default/grub, /etc/default/grub.d/init-select.cfg: no edit that is safe to make brings intel_iommu=on"
            " (present): the files compute intel_iommu=off; change it by hand in the file that computes it"
        )

    def test_a_later_file_that_discards_ours_is_found_before_writing(self) -> None:
        machine = machines.debian(drop_ins={"zzz.cfg": 'GRUB_CMDLINE_LINUX="$(echo ro)"\n'})
        with pytest.raises(RefusedError, match=r"brings iommu=pt \(present\): the files compute a line without it"):
            grub(machine, ["iommu=pt"])
        assert machine.done == []

    def test_settings_that_do_not_run_are_reported(self) -> None:
        machine = machines.debian()
        machine.files[SETTINGS] = 'GRUB_CMDLINE_LINUX="ro\n'
        with pytest.raises(NodeError, match=r"GRUB's settings do not run as a shell script: .*nterminated"):
            grub(machine, ["iommu=pt"])

    @pytest.mark.parametrize("character", list("\\$`';&|<>"))
    def test_refuses_what_grub_would_read_otherwise(self, character: str) -> None:
        wanted = f"memmap=1G{character}2G"
        with pytest.raises(RefusedError) as caught:
            grub(machines.debian(), ["ro2", wanted])
        assert str(caught.value) == (
            f"arguments[1]: {wanted} has characters that mean something else to GRUB ({character});"
            " set this argument in GRUB's files by hand"
        )

    @pytest.mark.parametrize(("wanted", "key"), [("ro", "ro"), ("root=/dev/vda1", "root")])
    def test_refuses_what_grub_writes_by_itself(self, wanted: str, key: str) -> None:
        with pytest.raises(RefusedError) as caught:
            grub(machines.debian(), [wanted], "absent")
        assert str(caught.value) == f"arguments[0]: GRUB writes {key} by itself; leave it out of the list"

    def test_refuses_a_grub_that_reads_entries(self) -> None:
        machine = machines.rhel9()
        machine.commands["grub2-mkconfig"] = says("")
        with pytest.raises(RefusedError) as caught:
            grub(machine, ["iommu=pt"])
        assert str(caught.value) == (
            "bootloader: this GRUB takes its menu from /boot/loader/entries/*.conf, so its settings would change nothing;"
            " use bootloader: grubby"
        )

    def test_refuses_without_tools(self) -> None:
        with pytest.raises(RefusedError) as caught:
            grub(FakeMachine({"/boot/grub/grub.cfg": ""}, {}), ["iommu=pt"])
        assert str(caught.value) == (
            "bootloader: GRUB cannot be given kernel arguments here: looked for the commands update-grub, grub-mkconfig,"
            " grub2-mkconfig, and for /boot/grub/grub.cfg and /boot/grub2/grub.cfg; install GRUB's tools (grub2-common,"
            " grub2), or name the boot loader that is in use"
        )

    def test_a_writable_root_needs_no_snapshot(self) -> None:
        machine = machines.micro_os()
        machine.files["/proc/1/mounts"] = "/dev/vda3 / btrfs rw,relatime 0 0\n"
        assert grub(machine, ["iommu=pt"]).commands == (("grub2-mkconfig", "-o", "/boot/grub2/grub.cfg"),)


class TestGrubby:
    @pytest.mark.parametrize(
        ("wanted", "state", "options"),
        [
            (["intel_iommu=on", "iommu=pt"], "present", ["--args=intel_iommu=on iommu=pt"]),
            # grubby drops a key before it adds it, so the consoles of now go along.
            (["console=hvc0"], "present", ["--args=console=tty0 console=ttyS0,115200n8 console=hvc0"]),
            (["net-ifnames=1"], "present", ["--args=net-ifnames=1"]),
            (["net.ifnames"], "absent", ["--remove-args=net.ifnames"]),
            (["console=tty0", "net.ifnames=0"], "absent", ["--remove-args=console=tty0 net.ifnames=0"]),
        ],
    )
    def test_command(self, wanted: list[str], state: State, options: list[str]) -> None:
        assert grubby(machines.rhel9(), wanted, state).commands == (("grubby", "--update-kernel=ALL", *options),)

    def test_another_spelling_of_a_key_is_removed(self) -> None:
        machine = machines.rhel9()
        machine.run(["grubby", "--update-kernel=ALL", "--args=vfio_pci.ids=1"])
        assert grubby(machine, ["vfio-pci.ids=2"]).commands == (
            ("grubby", "--update-kernel=ALL", "--remove-args=vfio_pci.ids", "--args=vfio-pci.ids=2"),
        )

    def test_one_stale_entry_is_enough(self) -> None:
        machine = machines.rhel9()
        machine.run(["grubby", "--update-kernel=ALL", "--args=iommu=pt"])
        assert grubby(machine, ["iommu=pt"]).empty
        path = machine.glob("/boot/loader/entries/*.conf")[0]
        machine.files[path] = machine.files[path].replace(" iommu=pt", "")
        assert not grubby(machine, ["iommu=pt"]).empty

    def test_future_kernels_count(self) -> None:
        machine = machines.rhel9()
        machine.run(["grubby", "--update-kernel=ALL", "--args=iommu=pt"])
        machine.files["/etc/kernel/cmdline"] = "ro\n"
        (change,) = grubby(machine, ["iommu=pt"]).changes
        assert (change.label, change.after.render()) == ("/etc/kernel/cmdline", "ro iommu=pt")

    def test_rhel8_keeps_the_line_in_grubs_environment(self) -> None:
        plan = grubby(machines.rhel8(), ["iommu=pt"])
        assert plan.files == ["/boot/grub2/grubenv", "/etc/default/grub", "/etc/kernel/cmdline"]

    def test_refuses_when_entries_differ_in_a_repeatable_key(self) -> None:
        machine = machines.rhel9()
        path = machine.glob("/boot/loader/entries/*.conf")[0]
        machine.files[path] = machine.files[path].replace("console=tty0 ", "")
        with pytest.raises(RefusedError) as caught:
            grubby(machine, ["console=hvc0"])
        assert str(caught.value) == (
            "console=hvc0: the boot entries differ in console, and grubby can only give all of them the same;"
            " make the entries alike, or add it to each with grubby --update-kernel=KERNEL"
        )

    def test_refuses_to_remove_a_bare_key_with_all_its_values(self) -> None:
        machine = machines.rhel9()
        machine.run(["grubby", "--update-kernel=ALL", "--args=console=tty0 console"])
        with pytest.raises(
            RefusedError, match="console: grubby would remove every console= together with the bare console"
        ):
            grubby(machine, ["console"], "absent")

    def test_refuses_a_line_with_arguments_for_init(self) -> None:
        machine = machines.rhel9()
        machine.files["/etc/kernel/cmdline"] = "ro -- single\n"
        with pytest.raises(RefusedError, match="grubby: a boot entry passes arguments to init behind --"):
            grubby(machine, ["iommu=pt"])

    @pytest.mark.parametrize(("wanted", "character"), [('a="b c"', "' ' '\"'"), ("a=b&c", "'&'"), ("a=b|c", "'|'")])
    def test_refuses_what_grubby_would_garble(self, wanted: str, character: str) -> None:
        with pytest.raises(RefusedError) as caught:
            grubby(machines.rhel9(), [wanted])
        assert str(caught.value) == (
            f"grubby: {wanted} has characters that grubby does not carry unharmed ({character});"
            " set this argument in /boot/loader/entries/*.conf by hand"
        )

    @pytest.mark.parametrize(
        ("options", "wanted", "state"),
        [
            # What it removes or adds stands within the quotes of another argument.
            ('root=/dev/vda1 dyndbg="file a.c net.ifnames=0 +p" net.ifnames=0', ["net.ifnames=1"], "present"),
            ('root=/dev/vda1 dyndbg="file a.c nosmt +p" nosmt', ["nosmt"], "absent"),
            # It takes a quoted value apart, and makes one blank of two.
            ('root=/dev/vda1 x="a b" ro', ["x=1"], "present"),
            ('root=/dev/vda1 x="a b" ro', ["x"], "absent"),
            ('root=/dev/vda1 x="a  b" ro', ["iommu=pt"], "present"),
            ('root=/dev/vda1 x="a\tb" ro', ["iommu=pt"], "present"),
            # Sizes of pages and their numbers.
            ("root=/dev/vda1 hugepagesz=1G hugepages=4", ["hugepagesz=2M", "hugepages=512"], "present"),
            # The dot is any character to it.
            ("root=/dev/vda1 netxifnames=5 net.ifnames=0", ["net.ifnames"], "absent"),
        ],
    )
    def test_what_grubby_would_lose_is_refused(self, options: str, wanted: list[str], state: State) -> None:
        machine = machines.rhel9()
        for path in machine.glob("/boot/loader/entries/*.conf"):
            machine.files[path] = re.sub("^options .*", f"options {options}", machine.files[path], flags=re.MULTILINE)
        del machine.files["/etc/kernel/cmdline"]
        before = dict(machine.files)
        request = read_request(wanted, state)
        with pytest.raises(RefusedError, match=r"would (lose|get|have)|still not be"):
            ensure(machine, request, Running(RUNNING, False), Firmware(False, ""))
        assert (machine.files, machine.done) == (before, [])

    @pytest.mark.parametrize("wanted", [["intel_iommu=on", "iommu=pt"], ["console=hvc0"], ["net.ifnames=1"]])
    def test_quoted_arguments_stay(self, wanted: list[str]) -> None:
        quoted = 'dyndbg="file a.c line 1-9 +p"'
        machine = machines.rhel9()
        for path in machine.glob("/boot/loader/entries/*.conf"):
            machine.files[path] = machine.files[path].replace("options ", f"options {quoted} ")
        request = read_request(wanted, "present")
        before = machines.entry_options(machine)
        ensure(machine, request, Running(RUNNING, False), Firmware(False, ""))
        for old, new in zip(before, machines.entry_options(machine)):
            assert harm(parse(old), parse(new), request) is None
            assert satisfied(parse(new), request)
            assert quoted in parse(new).texts()

    @pytest.mark.parametrize(
        ("old", "new"),
        [("options ", "options\t"), ("options ", "  options "), ("options ", "options quiet\noptions ")],
        ids=["tab", "indented", "twice"],
    )
    def test_entries_that_grubby_reads_otherwise_are_refused(self, old: str, new: str) -> None:
        machine = machines.rhel9()
        path = machine.glob("/boot/loader/entries/*.conf")[-1]
        machine.files[path] = machine.files[path].replace(old, new)
        with pytest.raises(RefusedError) as caught:
            grubby(machine, ["iommu=pt"])
        assert str(caught.value) == (
            f"{path}: grubby reads no other than one line that begins with `options` and a space;"
            " write the line so, or edit the entries by hand"
        )

    @pytest.mark.parametrize("character", ["&", "\\"])
    def test_refuses_what_grubby_does_not_write_back(self, character: str) -> None:
        machine = machines.rhel9()
        path = machine.glob("/boot/loader/entries/*.conf")[-1]
        machine.files[path] = machine.files[path].replace("net.ifnames=0", f"x=1{character}2")
        with pytest.raises(
            RefusedError, match=re.escape(f"{path}: has characters that grubby does not write back (& \\)")
        ):
            grubby(machine, ["iommu=pt"])

    @pytest.mark.parametrize("character", ["\r", "\0", "\x85", "\u2028", "\udcff"])
    def test_refuses_what_only_some_of_grubbys_tools_take_for_white_space_or_a_character(self, character: str) -> None:
        machine = machines.rhel9()
        path = machine.glob("/boot/loader/entries/*.conf")[-1]
        machine.files[path] = machine.files[path].replace("net.ifnames=0", f"net.ifnames=0{character}x")
        with pytest.raises(RefusedError, match=f"{path}: has control characters, or bytes that are no UTF-8"):
            grubby(machine, ["iommu=pt"])

    def test_refuses_an_entry_that_is_no_text_though_grubby_does_not_list_it(self) -> None:
        machine = machines.rhel9()
        path = machine.glob("/boot/loader/entries/*.conf")[-1]
        machine.files[path] = "\0".join(machine.files[path])
        with pytest.raises(RefusedError, match=f"{path}: has control characters.*remove that entry"):
            grubby(machine, ["iommu=pt"])

    @pytest.mark.parametrize("state", ["present", "absent"])
    def test_a_line_that_grub_reads_and_grubby_does_not_is_refused(self, state: State) -> None:
        machine = machines.rhel9()
        path = machine.glob("/boot/loader/entries/*.conf")[-1]
        machine.files[path] = machine.files[path].replace("\noptions", "\n\roptions")
        with pytest.raises(RefusedError, match=f"{path}: has control characters.*write it as text"):
            grubby(machine, ["iommu=pt"], state)

    def test_refuses_entries_whose_shared_line_is_not_there(self) -> None:
        machine = machines.rhel8()
        machine.files["/boot/grub2/grubenv"] = "# GRUB Environment Block\n"
        with pytest.raises(
            RefusedError, match="takes its arguments from kernelopts, which /boot/grub2/grubenv does not have"
        ):
            grubby(machine, ["iommu=pt"])

    def test_items_of_a_list_are_given_along(self) -> None:
        machine = machines.rhel9()
        machine.run(["grubby", "--update-kernel=ALL", "--args=intel_iommu=sm_on,off"])
        request = read_request(["intel_iommu=on"], "present")
        assert grubby(machine, ["intel_iommu=on"]).commands[0][-1] == "--args=intel_iommu=sm_on,on"
        machine.run(["grubby", "--update-kernel=ALL", "--args=intel_iommu=sm_on"])
        assert grubby(machine, ["intel_iommu=on"]).commands[0][-1] == "--args=intel_iommu=sm_on intel_iommu=on"
        ensure(machine, request, Running(RUNNING, False), Firmware(False, ""))
        assert grubby(machine, ["intel_iommu=on"]).empty

    @pytest.mark.parametrize(
        "settings",
        [
            'GRUB_CMDLINE_LINUX="a \\\n b"\n',
            'GRUB_CMDLINE_LINUX="a"\nGRUB_CMDLINE_LINUX_DEFAULT="b"\n',
            'GRUB_CMDLINE_LINUX+=" a"\n',
            'GRUB_CMDLINE_LINUX="$(echo a)"\n',
            'export GRUB_TIMEOUT=1 GRUB_CMDLINE_LINUX="a"\n',
        ],
    )
    def test_settings_that_are_no_plain_line_are_kept_from_grubby(self, settings: str) -> None:
        machine = machines.rhel9()
        machine.files[SETTINGS] = settings
        plan = ensure(machine, read_request(["iommu=pt"], "present"), Running(RUNNING, False), Firmware(False, "")).plan
        assert plan.commands[0][-1] == "--no-etc-grub-update"
        assert SETTINGS not in plan.files
        assert machine.files[SETTINGS] == settings

    def test_no_entries(self) -> None:
        machine = machines.rhel9()
        machine.commands["grubby"] = fails(1, "The param ALL is incorrect\n")
        with pytest.raises(NodeError) as caught:
            grubby(machine, ["iommu=pt"])
        assert str(caught.value) == (
            "grubby --info=ALL: shows no boot entries: The param ALL is incorrect;"
            " see that /boot/loader/entries/*.conf has entries of installed kernels"
        )


class TestRpmOstree:
    def test_deletes_and_appends_what_differs(self) -> None:
        machine = machines.core_os()
        plan = RpmOstree(machine).plan(read_request(["mitigations=off", "intel_iommu=on"], "present"))
        assert plan.commands == (
            (
                "rpm-ostree",
                "kargs",
                "--delete=mitigations=auto,nosmt",
                "--append=mitigations=off",
                "--append=intel_iommu=on",
            ),
        )
        assert plan.files == []

    def test_what_follows_in_a_list_follows_still(self) -> None:
        """Whatever is appended comes last, and of a list the last item counts."""
        machine = machines.core_os()
        machine.files["/deployment"] = "ro iommu=nopt,noforce quiet iommu=pt"
        plan = RpmOstree(machine).plan(read_request(["iommu=force"], "present"))
        machine.run(plan.commands[0])
        assert machine.files["/deployment"] == plan.after.render() == "ro quiet iommu=nopt,force iommu=pt"

    def test_another_transaction_is_reported(self) -> None:
        machine = machines.core_os()
        machine.commands["rpm-ostree"] = fails(1, "error: Transaction in progress: upgrade\n")
        with pytest.raises(NodeError) as caught:
            RpmOstree(machine).plan(read_request(["iommu=pt"], "present"))
        assert str(caught.value) == (
            "rpm-ostree kargs: failed: error: Transaction in progress: upgrade; see rpm-ostree status"
        )

    def test_refuses_a_line_with_arguments_for_init(self) -> None:
        machine = machines.core_os()
        machine.files["/deployment"] = "ro -- single"
        with pytest.raises(RefusedError, match="rpm-ostree kargs: the deployment passes arguments to init behind --"):
            RpmOstree(machine).plan(read_request(["iommu=pt"], "present"))


class TestSystemdBoot:
    def test_writes_the_line_and_makes_every_entry_again(self) -> None:
        plan = systemd_boot(machines.systemd_boot(), ["iommu=pt"])
        assert [edit.after for edit in plan.edits] == ["root=UUID=0d3b7c1e ro quiet iommu=pt\n"]
        assert plan.commands == tuple(
            ("kernel-install", "add", version, f"/boot/vmlinuz-{version}") for version in machines.KERNELS
        )

    def test_fedora_keeps_the_image_with_the_modules(self) -> None:
        machine = machines.systemd_boot()
        machine.files["/lib/modules/6.1.0-32-amd64/vmlinuz"] = ""
        commands = systemd_boot(machine, ["iommu=pt"]).commands
        assert ("kernel-install", "add", "6.1.0-32-amd64", "/lib/modules/6.1.0-32-amd64/vmlinuz") in commands

    def test_comments_stay(self) -> None:
        machine = machines.systemd_boot()
        machine.files["/etc/kernel/cmdline"] = "# ours\nroot=UUID=0d3b7c1e\nro\n"
        assert systemd_boot(machine, ["iommu=pt"]).edits[0].after == "# ours\nroot=UUID=0d3b7c1e ro iommu=pt\n"

    @pytest.mark.parametrize(
        ("files", "expected"),
        [
            ({"/usr/lib/kernel/cmdline": "root=LABEL=os\n"}, "root=LABEL=os iommu=pt\n"),
            ({}, "root=UUID=0d3b7c1e ro splash iommu=pt -- init-argument\n"),
        ],
    )
    def test_without_a_line_it_starts_from_what_kernel_install_uses(self, files: dict[str, str], expected: str) -> None:
        machine = machines.systemd_boot()
        del machine.files["/etc/kernel/cmdline"]
        machine.files.update(files)
        assert systemd_boot(machine, ["iommu=pt"]).edits[0].after == expected

    def test_an_argument_typed_at_the_boot_menu_is_made_lasting(self) -> None:
        machine = machines.systemd_boot()
        del machine.files["/etc/kernel/cmdline"]
        plan = systemd_boot(machine, ["splash"])
        assert plan.edits[0].after == "root=UUID=0d3b7c1e ro splash -- init-argument\n"
        assert len(plan.commands) == len(machines.KERNELS)

    def test_entries_that_missed_the_last_change_are_found(self) -> None:
        machine = machines.systemd_boot()
        machine.files["/etc/kernel/cmdline"] = "root=UUID=0d3b7c1e ro quiet iommu=pt\n"
        plan = systemd_boot(machine, ["iommu=pt"])
        assert (plan.edits, len(plan.commands)) == ((), len(machines.KERNELS))

    @pytest.mark.parametrize(
        ("old", "new"),
        [(machines.MACHINE_ID, "another-machine"), ("6.1.0-31-amd64", "6.1.0-9-amd64")],
        ids=["another-machine", "kernel-removed"],
    )
    def test_entries_that_are_not_ours_to_make_do_not_count(self, old: str, new: str) -> None:
        machine = machines.systemd_boot()
        request = read_request(["iommu=pt"], "present")
        path = f"/efi/loader/entries/{machines.MACHINE_ID}-6.1.0-31-amd64.conf"
        foreign = machine.files[path].replace(old, new)
        for edit in SystemdBoot(machine, RUNNING).plan(request).edits:
            machine.write(edit.path, str(edit.after))
        for version in machines.KERNELS:
            machine.run(["kernel-install", "add", version, ""])
        machine.files["/efi/loader/entries/foreign.conf"] = foreign
        assert SystemdBoot(machine, RUNNING).plan(request).empty

    def test_entries_that_sdbootutil_missed_are_found(self) -> None:
        machine = machines.tumbleweed()
        loader = SystemdBoot(machine, SNAPSHOT)
        request = read_request(["iommu=pt"], "present")
        (edit,) = loader.plan(request).edits
        machine.write(edit.path, str(edit.after))
        plan = loader.plan(request)
        assert (plan.edits, plan.commands) == ((), (("sdbootutil", "update-all-entries"),))
        assert plan.files == ["/boot/efi/loader/entries/opensuse-tumbleweed-6.11.3-1-default-42.conf"]
        machine.run(*plan.commands)
        assert loader.plan(request).empty

    @pytest.mark.parametrize(
        "running", ["ro", "root=UUID=77aa", "root=UUID=0d3b7c1e rootflags=subvol=@/.snapshots/4/snapshot"]
    )
    def test_entries_that_sdbootutil_keeps_do_not_count(self, running: str) -> None:
        machine = machines.tumbleweed()
        machine.files["/etc/kernel/cmdline"] = "ro iommu=pt\n"
        assert SystemdBoot(machine, parse(running)).plan(read_request(["iommu=pt"], "present")).empty

    @pytest.mark.parametrize("missing", ["kernel-install", "kernels"])
    def test_refuses_when_entries_cannot_be_made(self, missing: str) -> None:
        machine = machines.systemd_boot()
        machine.commands.pop(missing, None)
        if missing == "kernels":
            machine.files = {path: text for path, text in machine.files.items() if not path.startswith("/lib/modules")}
        with pytest.raises(RefusedError) as caught:
            systemd_boot(machine, ["iommu=pt"])
        assert str(caught.value) == (
            "bootloader: systemd-boot's entries cannot be made again: looked for the command kernel-install, and for kernels"
            " in /lib/modules/VERSION/vmlinuz and /boot/vmlinuz-VERSION; install kernel-install (systemd), or set the"
            " arguments in the image"
        )
        assert machine.done == []
