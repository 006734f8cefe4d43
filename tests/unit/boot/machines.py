# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines with each boot loader, their files and outputs as recorded from real ones, shortened.

Debian: grub2-common 2.06-13+deb12u2's template and 10_linux run over two kernels, kernel-install of systemd 252.39.
RHEL: grubby-bls 8.40 of RHEL 8 and 9. rpm-ostree: Fedora CoreOS. SUSE: Leap 15 and MicroOS.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
import typing as t
from pathlib import Path

from ansible_collections.accel.qat.plugins.module_utils._host.machine import CommandResult
from ansible_collections.accel.qat.tests.fakes.host import FakeMachine, says

DEBIAN_SETTINGS = """\
# If you change this file, run 'update-grub' afterwards to update
# /boot/grub/grub.cfg.
# For full documentation of the options in this file, see:
#   info -f grub -n 'Simple configuration'

GRUB_DEFAULT=0
GRUB_TIMEOUT=5
GRUB_DISTRIBUTOR=`( . /etc/os-release; echo ${NAME:-Debian} ) 2>/dev/null || echo Debian`
GRUB_CMDLINE_LINUX_DEFAULT="quiet"
GRUB_CMDLINE_LINUX=""

# Uncomment to disable graphical terminal
#GRUB_TERMINAL=console
"""

# /etc/default/grub.d/50-cloudimg-settings.cfg of Ubuntu's cloud images and kdump-tools' file.
CLOUD_IMAGE = """\
# Cloud Image specific Grub settings for Generic Cloud Images
GRUB_RECORDFAIL_TIMEOUT=0
GRUB_TIMEOUT=0
GRUB_CMDLINE_LINUX_DEFAULT="console=tty1 console=ttyS0"
GRUB_TERMINAL=console
"""
KDUMP = 'GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT crashkernel=2G-4G:320M,4G-32G:512M"\n'

SUSE_SETTINGS = """\
GRUB_DISTRIBUTOR=
GRUB_DEFAULT=saved
GRUB_TIMEOUT=8
GRUB_CMDLINE_LINUX_DEFAULT="splash=silent mitigations=auto quiet security=apparmor"
GRUB_CMDLINE_LINUX=""
"""

RHEL_SETTINGS = """\
GRUB_TIMEOUT=5
GRUB_DISTRIBUTOR="$(sed 's, release .*$,,g' /etc/system-release)"
GRUB_DEFAULT=saved
GRUB_CMDLINE_LINUX="crashkernel=1G-4G:192M,4G-64G:256M console=tty0 console=ttyS0,115200n8 net.ifnames=0"
GRUB_ENABLE_BLSCFG=true
"""
RHEL_GRUB_CFG = """\
### BEGIN /etc/grub.d/10_linux ###
insmod part_gpt
insmod xfs
set root='hd0,gpt4'
insmod blscfg
blscfg
### END /etc/grub.d/10_linux ###
"""

MACHINE_ID = "156865930c1b4effa36dcba8df70e78c"
KERNELS = ("6.1.0-31-amd64", "6.1.0-32-amd64")
PROXMOX_PARTITION = "/unseen/0D3B-7C1E"
SNAPSHOT_ROOT = "root=UUID=0d3b7c1e rootflags=subvol=@/.snapshots/42/snapshot"


def debian(settings: str = DEBIAN_SETTINGS, drop_ins: t.Mapping[str, str] | None = None) -> FakeMachine:
    """Debian or Ubuntu with GRUB, whose grub.cfg is as update-grub leaves it."""
    files = {
        "/etc/default/grub": settings,
        "/etc/default/grub.d/init-select.cfg": "# Work around a bug in the obsolete init-select package.\n",
        "/usr/sbin/grub-mkconfig": "for x in ${sysconfdir}/default/grub.d/*.cfg ; do\n",
        **{f"/etc/default/grub.d/{name}": text for name, text in (drop_ins or {}).items()},
    }
    machine = FakeMachine(files, {"update-grub": _update_grub, "grub-mkconfig": says("")})
    _write_grub_cfg(machine, "/boot/grub/grub.cfg")
    return machine


def suse(settings: str = SUSE_SETTINGS) -> FakeMachine:
    """SUSE with GRUB, which reads no drop-ins."""
    files = {"/etc/default/grub": settings, "/usr/sbin/grub2-mkconfig": ". ${sysconfdir}/default/grub\n"}
    machine = FakeMachine(files, {"grub2-mkconfig": _mkconfig})
    _write_grub_cfg(machine, "/boot/grub2/grub.cfg")
    return machine


def micro_os() -> FakeMachine:
    """SUSE with a read-only root: the new grub.cfg goes into a snapshot, the old one stays until the reboot."""
    machine = suse()
    machine.commands["transactional-update"] = says("")
    machine.files["/proc/1/mounts"] = "/dev/vda3 / btrfs ro,relatime,subvol=/@/.snapshots/1/snapshot 0 0\n"
    return machine


def rhel9() -> FakeMachine:
    """RHEL 9 and newer, Fedora: the options stand in the entries."""
    options = "root=/dev/mapper/rhel-root ro console=tty0 console=ttyS0,115200n8 net.ifnames=0"
    machine = _with_entries(f"{options} $tuned_params")
    machine.files["/etc/kernel/cmdline"] = f"{options}\n"
    return machine


def rhel8() -> FakeMachine:
    """RHEL 8: the entries refer to a variable of GRUB's environment."""
    machine = _with_entries("$kernelopts $tuned_params")
    machine.files["/boot/grub2/grubenv"] = "# GRUB Environment Block\nkernelopts=root=/dev/mapper/rhel-root ro quiet\n"
    return machine


def core_os() -> FakeMachine:
    """Fedora CoreOS."""
    line = "mitigations=auto,nosmt ignition.platform.id=metal $ignition_firstboot ostree=/ostree/boot.1/fc/0a root=UUID=6e0c rw"
    files = {"/run/ostree-booted": "", "/etc/os-release": "ID=fedora\nVARIANT_ID=coreos\n", "/deployment": line}
    return FakeMachine(files, {"rpm-ostree": _rpm_ostree}, reading=["rpm-ostree kargs"])


def systemd_boot() -> FakeMachine:
    """Debian with systemd-boot."""
    files = {"/etc/machine-id": MACHINE_ID + "\n", "/etc/kernel/cmdline": "root=UUID=0d3b7c1e ro quiet\n"}
    files["/efi/EFI/systemd/systemd-bootx64.efi"] = "MZ"
    for version in KERNELS:
        files[f"/boot/vmlinuz-{version}"] = files[f"/lib/modules/{version}/modules.order"] = ""
    machine = FakeMachine(files, {"kernel-install": _kernel_install})
    for version in KERNELS:
        _kernel_install(machine, ["kernel-install", "add", version, ""])
    machine.files["/efi/loader/entries/windows.conf"] = "title Windows\nefi /EFI/Microsoft/Boot/bootmgfw.efi\n"
    return machine


def proxmox() -> FakeMachine:
    """Proxmox VE on ZFS with UEFI: nobody mounts its boot partitions but its own tool, and kernel-install does nothing."""
    files = {
        "/etc/kernel/cmdline": "root=ZFS=rpool/ROOT/pve-1 boot=zfs\n",
        "/etc/kernel/proxmox-boot-uuids": "0D3B-7C1E\n",
        "/etc/machine-id": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
        "/boot/vmlinuz-6.8.12-9-pve": "",
        "/lib/modules/6.8.12-9-pve/modules.order": "",
        "/boot/grub/grub.cfg": "",
    }
    machine = FakeMachine(files, {"kernel-install": says(""), "proxmox-boot-tool": _proxmox_boot_tool})
    _proxmox_boot_tool(machine, ["proxmox-boot-tool", "refresh"])
    return machine


def tumbleweed() -> FakeMachine:
    """openSUSE with systemd-boot and sdbootutil, booted from a snapshot; an older one has an entry too."""
    files = {"/etc/kernel/cmdline": f"splash=silent quiet security=selinux {SNAPSHOT_ROOT}\n"}
    for snapshot in ("41", "42"):
        options = f"splash=silent quiet security=selinux {SNAPSHOT_ROOT.replace('42', snapshot)} systemd.machine_id={MACHINE_ID}"
        files[f"/boot/efi/loader/entries/opensuse-tumbleweed-6.11.3-1-default-{snapshot}.conf"] = (
            "# Boot Loader Specification type#1 entry\n"
            f"title      openSUSE Tumbleweed\nversion    {snapshot}@6.11.3-1-default\nsort-key   opensuse-tumbleweed\n"
            f"options    {options}\nlinux      /opensuse-tumbleweed/6.11.3-1-default/linux-5f1e\n"
        )
    return FakeMachine(files, {"sdbootutil": _sdbootutil})


ALL: dict[str, t.Callable[[], FakeMachine]] = {
    "debian": debian,
    "ubuntu-cloud": lambda: debian(drop_ins={"50-cloudimg-settings.cfg": CLOUD_IMAGE, "kdump-tools.cfg": KDUMP}),
    "suse": suse,
    "micro-os": micro_os,
    "rhel9": rhel9,
    "rhel8": rhel8,
    "core-os": core_os,
    "systemd-boot": systemd_boot,
    "tumbleweed": tumbleweed,
}


def sourced(settings: str, drop_ins: t.Iterable[str] = (), start: str = "set -e", shell: str = "sh") -> tuple[str, str]:
    """What the files come to when a shell sources them as grub-mkconfig does: GRUB_CMDLINE_LINUX and ..._DEFAULT."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        paths = [directory / f"{index:03}" for index, _text in enumerate([settings, *drop_ins])]
        for path, text in zip(paths, [settings, *drop_ins]):
            path.write_bytes(text.encode("utf-8", "surrogateescape"))
        dots = "".join(f". {path}\n" for path in paths)
        script = f'{start}\n{dots}printf "%s\\0%s" "$GRUB_CMDLINE_LINUX" "$GRUB_CMDLINE_LINUX_DEFAULT"'
        done = subprocess.run([shell, "-c", script], capture_output=True, check=True)
    always, default = done.stdout.decode("utf-8", "surrogateescape").split("\0")
    return always, default


_OPTIONS = re.compile(r"^[ \t]*options[ \t]+(.*?)[ \t]*$", re.MULTILINE)


def _options(text: str) -> str:
    return " ".join(_OPTIONS.findall(text))


def entry_options(machine: FakeMachine) -> list[str]:
    """The command lines of all boot entries, as the boot loader would read them."""
    patterns = ("/*/loader/entries/*.conf", "/boot/efi/loader/entries/*.conf")
    # To systemd-boot a carriage return ends a line; GRUB passes over each (grub_file_getline).
    return_is = "" if any(name.startswith("grub") for name in machine.commands) else "\n"
    entries = [machine.files[path].replace("\r", return_is) for pattern in patterns for path in machine.glob(pattern)]
    lines = [_options(text) for text in entries if _OPTIONS.search(text)]
    kernel_options = re.search(r"kernelopts=(.*)", machine.files.get("/boot/grub2/grubenv", ""))
    return [line.replace("$kernelopts", kernel_options[1] if kernel_options else "") for line in lines]


_FIRST_ENTRY = re.compile(
    r"^menuentry 'Debian GNU/Linux' --class debian .*\n(?:[ \t].*\n)*?[ \t]+linux[ \t]+\S+ (.*)$", re.MULTILINE
)


def next_boot(machine: FakeMachine) -> str:
    """The command line with which the machine would boot."""
    for path in ("/deployment", PROXMOX_PARTITION):
        if path in machine.files:
            return machine.files[path]
    for path in ("/boot/grub/grub.cfg", "/boot/grub2/grub.cfg"):
        entry = _FIRST_ENTRY.search(machine.files.get(path, ""))
        if entry and "transactional-update" not in machine.commands:
            return entry[1]
    if "transactional-update" in machine.commands:
        return " ".join(sourced(machine.files["/etc/default/grub"]))
    return entry_options(machine)[-1]


# --- What the commands do ---------------------------------------------------------------------------------------------

_RHEL_KERNELS = ("0-rescue-a98618aa", "5.14.0-362.8.1.el9_3.x86_64", "5.14.0-362.24.1.el9_3.x86_64")


def _write_grub_cfg(machine: FakeMachine, path: str) -> None:
    drop_ins = [machine.files[each] for each in machine.glob("/etc/default/grub.d/*.cfg")]
    always, default = sourced(machine.files["/etc/default/grub"], drop_ins)
    entry = (
        "menuentry 'Debian GNU/Linux{title}' --class debian $menuentry_id_option 'gnulinux-{kernel}' {{\n"
        "\tload_video\n\tinsmod gzio\n"
        "\techo\t'Loading Linux {kernel} ...'\n"
        "\tlinux\t/boot/vmlinuz-{kernel} root=/dev/vda1 ro {line}\n"
        "\techo\t'Loading initial ramdisk ...'\n"
        "\tinitrd\t/boot/initrd.img-{kernel}\n}}\n"
    )
    kernel = KERNELS[-1]
    machine.files[path] = (
        "### BEGIN /etc/grub.d/10_linux ###\n"
        + entry.format(title="", kernel=kernel, line=f"{always} {default}")
        + entry.format(title=f", with Linux {kernel} (recovery mode)", kernel=kernel, line=f"single {always}")
        + "### END /etc/grub.d/10_linux ###\n\n### BEGIN /etc/grub.d/30_os-prober ###\n"
        + entry.format(title=" on /dev/sdb1", kernel="5.10.0-9-amd64", line="quiet")
        + "### END /etc/grub.d/30_os-prober ###\n"
    )


def _update_grub(machine: FakeMachine, _command: t.Sequence[str]) -> CommandResult:
    _write_grub_cfg(machine, "/boot/grub/grub.cfg")
    return CommandResult(0, "", "Generating grub configuration file ...\nFound linux image: /boot/vmlinuz\ndone\n")


def _mkconfig(machine: FakeMachine, command: t.Sequence[str]) -> CommandResult:
    assert list(command) == ["grub2-mkconfig", "-o", "/boot/grub2/grub.cfg"]
    _write_grub_cfg(machine, command[2])
    return CommandResult(0, "", "Generating grub configuration file ...\ndone\n")


def _with_entries(options: str) -> FakeMachine:
    files = {"/etc/default/grub": RHEL_SETTINGS, "/boot/grub2/grub.cfg": RHEL_GRUB_CFG}
    for version in _RHEL_KERNELS:
        files[f"/boot/loader/entries/a98618aa-{version}.conf"] = (
            f"title Red Hat Enterprise Linux ({version}) 9.3 (Plow)\nversion {version}\n"
            f"linux /vmlinuz-{version}\ninitrd /initramfs-{version}.img $tuned_initrd\noptions {options}\n"
            "grub_users $grub_users\ngrub_arg --unrestricted\ngrub_class rhel\n"
        )
    return FakeMachine(files, {"grubby": _grubby}, reading=["grubby --info=ALL"])


def _grubby(machine: FakeMachine, command: t.Sequence[str]) -> CommandResult:
    """What grubby-bls does with a line is done by the shell and the sed that it uses."""
    options = dict(option.lstrip("-").partition("=")[::2] for option in command[1:])
    if options == {"info": "ALL"}:
        return CommandResult(0, _grubby_info(machine))
    assert options.pop("update-kernel") == "ALL"
    remove, add = options.pop("remove-args", "").split(), options.pop("args", "").split()
    keeps_settings = options.pop("no-etc-grub-update", None) is not None
    assert not options
    future = machine.files.setdefault("/etc/kernel/cmdline", entry_options(machine)[-1] + "\n")
    machine.files["/etc/kernel/cmdline"] = _grubby_arguments(future.strip(), remove, add) + "\n"
    if not keeps_settings:
        settings = machine.files["/etc/default/grub"]
        # That of grubby goes on where a file is no script.
        line = _grubby_arguments(sourced(settings, start="exec 2>/dev/null", shell="bash")[0], remove, add)
        machine.files["/etc/default/grub"] = re.sub(
            r"^GRUB_CMDLINE_LINUX.*", lambda _match: f'GRUB_CMDLINE_LINUX="{line}"', settings, flags=re.MULTILINE
        )
    for path in machine.glob("/boot/grub2/grubenv"):
        machine.files[path] = re.sub(
            r"^kernelopts=(.*)",
            lambda match: "kernelopts=" + _grubby_arguments(match[1], remove, add),
            machine.files[path],
            flags=re.MULTILINE,
        )
    for path in machine.glob("/boot/loader/entries/*.conf"):
        line = " ".join(re.findall(r"^options[ t\\](.*)", machine.files[path], re.MULTILINE))
        if "$kernelopts" not in line:
            line = _grubby_arguments(line, remove, add)
            machine.files[path] = _echoed(
                machine.files[path], "s/^options.*/options {}/".format(line.replace("/", "\\/"))
            )
    return CommandResult(0)


def _grubby_arguments(line: str, remove: t.Sequence[str], add: t.Sequence[str]) -> str:
    """The function update_args of grubby-bls: a key goes with every value, a key=value once; what is added comes last."""
    anything = "s/(^|[[:space:]]){}(([[:space:]]|$)|([=][^ ]*([$]*)))/ /g"
    for text in remove:
        whole = f"s/(^|[[:space:]]){text}([[:space:]]|$)/ /".replace("/dev/", "\\/dev\\/")
        line = _echoed(line, whole if "=" in text else anything.format(text), words=True)
    for text in add:
        line = _echoed(line, anything.format(text.partition("=")[0]), words=True)
    return " ".join([*line.split(), *add])


def _echoed(text: str, script: str, words: bool = False) -> str:
    """The text through sed; as `words` the shell parts and expands it before."""
    echo = "echo $1" if words else 'printf %s "$1"'
    with tempfile.TemporaryDirectory() as empty:
        done = subprocess.run(
            ["bash", "-c", f'{echo} | sed -E "$2"', "bash", text, script],
            capture_output=True,
            check=True,
            cwd=empty,
        )
    said = done.stdout.decode("utf-8", "surrogateescape")
    return said.rstrip("\n") if words else said


def _grubby_info(machine: FakeMachine) -> str:
    """`grubby --info=ALL`, newest kernel first; root= is shown apart."""
    paths = machine.glob("/boot/loader/entries/*.conf")
    blocks = []
    for index, (path, line) in enumerate(reversed(list(zip(paths, entry_options(machine))))):
        name = path.rpartition("/")[2][: -len(".conf")]
        version = name.partition("-")[2]
        shown = " ".join(line.split()).replace("root=/dev/mapper/rhel-root ", "")
        if not re.search(r"^options ", machine.files[path], re.MULTILINE):
            shown = ""  # its grep knows no \\t, and no blanks before
        blocks.append(
            f'index={index}\nkernel="/boot/vmlinuz-{version}"\n'
            f'args="{shown}"\nroot="/dev/mapper/rhel-root"\n'
            f'initrd="/boot/initramfs-{version}.img $tuned_initrd"\n'
            f'title="Red Hat Enterprise Linux ({version}) 9.3 (Plow)"\nid="{name}"\n'
        )
    return "".join(blocks)


def _rpm_ostree(machine: FakeMachine, command: t.Sequence[str]) -> CommandResult:
    """Deletes, then appends; deleting what is not there is an error (ostree_kernel_args_delete)."""
    assert command[1] == "kargs"
    words = re.findall(r"[^ \t\n]+", machine.files["/deployment"])
    if len(command) == len(["rpm-ostree", "kargs"]):
        return CommandResult(0, " ".join(words) + "\n")
    for option in command[2:]:
        name, _equals, text = option.partition("=")
        if name == "--delete" and text not in words:
            return CommandResult(1, "", f"error: No karg '{text}' found\n")
        if name == "--delete":
            words.remove(text)
    words += [option.partition("=")[2] for option in command[2:] if option.startswith("--append=")]
    machine.files["/deployment"] = " ".join(words)
    return CommandResult(0, 'Staging deployment... done\nChanges queued for next boot. Run "systemctl reboot"\n')


def _kernel_install(machine: FakeMachine, command: t.Sequence[str]) -> CommandResult:
    """What 90-loaderentry.install writes."""
    assert command[1] == "add"
    version = command[2]
    line = machine.files.get("/etc/kernel/cmdline", "root=UUID=0d3b7c1e ro splash").strip()
    machine.files[f"/efi/loader/entries/{MACHINE_ID}-{version}.conf"] = (
        f"title      Debian GNU/Linux 12 (bookworm)\nversion    {version}\nmachine-id {MACHINE_ID}\nsort-key   debian\n"
        f"options    {line} systemd.machine_id={MACHINE_ID}\nlinux      /efi/{MACHINE_ID}/{version}/linux\n"
    )
    return CommandResult(0)


def _proxmox_boot_tool(machine: FakeMachine, command: t.Sequence[str]) -> CommandResult:
    """The hook zz-proxmox-boot: the file is the line, of which a boot entry has the first."""
    assert list(command) == ["proxmox-boot-tool", "refresh"]
    machine.files[PROXMOX_PARTITION] = machine.files["/etc/kernel/cmdline"].split("\n")[0]
    return CommandResult(0, "Copying and configuring kernels on /dev/disk/by-uuid/0D3B-7C1E\n")


def _sdbootutil(machine: FakeMachine, command: t.Sequence[str]) -> CommandResult:
    """The function update_all_entries of sdbootutil: new options for the entries of the running snapshot."""
    assert list(command) == ["sdbootutil", "update-all-entries"]
    words = [machine.files["/etc/kernel/cmdline"].strip()]
    if "/etc/kernel/cmdline.d" in machine.files.get("/usr/sbin/sdbootutil", ""):
        # Those of the snapshot and those of the system, which are the same.
        words += 2 * [machine.files[path].strip() for path in machine.glob("/etc/kernel/cmdline.d/*")]
    line = " ".join([*words, f"systemd.machine_id={MACHINE_ID}"])
    for path in machine.glob("/boot/efi/loader/entries/*.conf"):
        if SNAPSHOT_ROOT in machine.files[path]:
            machine.files[path] = re.sub(
                r"^options\s.*$", f"options    {line}", machine.files[path], flags=re.MULTILINE
            )
    return CommandResult(0)
