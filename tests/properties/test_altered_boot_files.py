# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever a boot loader's files are: the next boot has what was asked for and all else that it had, or nothing is written."""

from __future__ import annotations

import shutil
import subprocess
import typing as t
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import assume, event, given
from hypothesis import strategies as st

from ansible_collections.accel.qat.plugins.module_utils._boot.arguments import (
    CommandLine,
    Request,
    names_of,
    parse,
    read_request,
    satisfied,
)
from ansible_collections.accel.qat.plugins.module_utils._boot.detect import Firmware
from ansible_collections.accel.qat.plugins.module_utils._boot.ensure import ensure
from ansible_collections.accel.qat.plugins.module_utils._boot.loaders import grub_settings
from ansible_collections.accel.qat.plugins.module_utils._boot.loaders.entries import read_entry
from ansible_collections.accel.qat.plugins.module_utils._boot.loaders.grubby import read_info
from ansible_collections.accel.qat.plugins.module_utils._boot.plan import WRITTEN
from ansible_collections.accel.qat.plugins.module_utils._boot.running import Running
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError
from ansible_collections.accel.qat.tests.fakes.host import FakeMachine
from ansible_collections.accel.qat.tests.properties.altered import altered_texts, examples, in_time, see_sentence
from ansible_collections.accel.qat.tests.unit.boot import machines

pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")

WORDS = (
    *("GRUB_CMDLINE_LINUX", "GRUB_CMDLINE_LINUX=", "GRUB_CMDLINE_LINUX_DEFAULT+=", "export ", "$GRUB_CMDLINE_LINUX"),
    *("options ", "options\t"),
    *("iommu=pt", "iommu=off", "intel_iommu=on,sm_on", "intel-iommu=off", "iommu.passthrough=1", " -- single", '"file a.c +p"', "nosmt"),
    *("console=ttyS0", "$kernelopts", "$tuned_params", "default ", "version ", "machine-id ", "linux /x quiet", "menuentry 'x' {"),
    "kernelopts=",
)  # fmt: skip
SETTINGS = (
    """\
GRUB_DEFAULT=saved
GRUB_TIMEOUT="3"
GRUB_CMDLINE_LINUX_DEFAULT="quiet loglevel=3"  # for people
GRUB_CMDLINE_LINUX="console=tty0 console=ttyS0,115200n8 iommu=off rd.lvm.lv=vg/root"
""",
    """\
GRUB_TIMEOUT=1
GRUB_CMDLINE_LINUX='intel_iommu=off dyndbg="file a.c +p"'
export GRUB_CMDLINE_LINUX_DEFAULT=splash
""",
    """\
GRUB_CMDLINE_LINUX="crashkernel=512M,high"
GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX hugepagesz=1G hugepages=4"
GRUB_CMDLINE_LINUX_DEFAULT="\\$x \\"a b\\" \\\\ iommu=pt \\
  nomodeset"
""",
    """\
if [ "$x" = y ]; then
  GRUB_CMDLINE_LINUX="mem=4G"
else
  GRUB_CMDLINE_LINUX="nosmt"
fi
GRUB_CMDLINE_LINUX+=" audit=1"
""",
)
DROP_IN = 'GRUB_TIMEOUT=0\nGRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT crashkernel=1G-:256M"\n'
LINES = (
    "root=ZFS=tank/os boot=zfs quiet\n",
    "# For kernel-install\nroot=UUID=0d3b7c1e ro iommu=off\nquiet -- single\n",
)
ENTRY = (
    "title Linux\nversion {version}\nmachine-id {machine}\nlinux /vmlinuz-{version}\n"
    'initrd /initrd\noptions root=/dev/sda1 ro intel_iommu=off dyndbg="file a.c +p" quiet\n'
)
REQUESTS = (
    read_request(["intel_iommu=on", "iommu=pt"], "present"),
    read_request(["intel_iommu=on,sm_on", "vfio-pci.disable_denylist=1", "console=ttyS1"], "present"),
    read_request(["iommu", "quiet"], "absent"),
)
RUNNING = Running(parse(f"BOOT_IMAGE=/vmlinuz {machines.SNAPSHOT_ROOT} ro splash initrd=/initrd"), iommu_active=False)

Alter = t.Callable[[FakeMachine, str], None]


@pytest.fixture(autouse=True, scope="module")
def nothing_to_run(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[None]:
    """What is altered is run by a real shell: nothing is there that it could start, and what would write files is not tried."""
    directory = tmp_path_factory.mktemp("bin")
    for name in ("bash", "sed", "sh"):
        found = shutil.which(name)
        assert found
        (directory / name).symlink_to(Path(found).resolve())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(directory))
        patch.chdir(directory)
        yield


def _put(path: str) -> Alter:
    def alter(machine: FakeMachine, text: str) -> None:
        machine.files[path] = text

    return alter


def _deployment(machine: FakeMachine, text: str) -> None:
    """The options of a deployment are one line."""
    machine.files["/deployment"] = " ".join(text.split("\n"))


def _entry(pattern: str) -> Alter:
    def alter(machine: FakeMachine, text: str) -> None:
        machine.files[machine.glob(pattern)[-1]] = text

    return alter


def _options_of_entry(machine: FakeMachine, text: str) -> None:
    """An entry without its kernel's version is nobody's, and kernel-install puts its own in the place."""
    _entry("/efi/loader/entries/1*.conf")(machine, f"{_INSTALLED[0].partition('options ')[0]}options {text}")


def _entries(version: str) -> list[str]:
    return [ENTRY.format(version=version, machine=machines.MACHINE_ID)]


_GRUB_CFG = machines.debian().files["/boot/grub/grub.cfg"]
_INSTALLED = _entries(machines.KERNELS[-1])
SITUATIONS: dict[str, tuple[str, Alter, t.Sequence[str]]] = {
    "Debian's settings": ("debian", _put("/etc/default/grub"), SETTINGS),
    "Debian's drop-in": ("debian", _put("/etc/default/grub.d/50-site.cfg"), [DROP_IN, *SETTINGS]),
    "a drop-in of ours": ("debian", _put("/etc/default/grub.d/zz-accel-qat.cfg"), [grub_settings.drop_in(REQUESTS[0].arguments)]),
    "SUSE's settings": ("suse", _put("/etc/default/grub"), [*SETTINGS, grub_settings.with_own_part(SETTINGS[0], REQUESTS[0].arguments)]),
    "Debian's grub.cfg": ("debian", _put("/boot/grub/grub.cfg"), [_GRUB_CFG]),
    "an entry of RHEL 9": ("rhel9", _entry("/boot/loader/entries/*.conf"), _entries("5.14.0-362.24.1.el9_3.x86_64")),
    "the line of RHEL 9": ("rhel9", _put("/etc/kernel/cmdline"), LINES),
    "the settings of RHEL 9": ("rhel9", _put("/etc/default/grub"), SETTINGS),
    "the environment of RHEL 8": ("rhel8", _put("/boot/grub2/grubenv"), ["# GRUB\nkernelopts=root=/dev/sda1 ro iommu=off\n"]),
    "a deployment": ("core-os", _deployment, LINES),
    "the line for kernel-install": ("systemd-boot", _put("/etc/kernel/cmdline"), LINES),
    "an entry of kernel-install": ("systemd-boot", _options_of_entry, [_INSTALLED[0].partition("options ")[2]]),
    "a choice of entries": ("systemd-boot", _put("/efi/loader/loader.conf"), ["timeout 3\ndefault 156865930c1b4effa36dcba8df70e78c-*\n"]),
    "the id of a machine": ("systemd-boot", _put("/etc/machine-id"), [machines.MACHINE_ID + "\n"]),
    "the line for sdbootutil": ("tumbleweed", _put("/etc/kernel/cmdline"), LINES),
    "the line of Proxmox": ("proxmox", _put("/etc/kernel/cmdline"), LINES),
}  # fmt: skip
MACHINES = {**machines.ALL, "proxmox": machines.proxmox}


# Milliseconds; a shell is started many times for each of these.
_COSTS = {"debian": 80, "suse": 80, "rhel9": 60, "rhel8": 60}


@pytest.mark.parametrize("name", SITUATIONS)
def test_all_is_there_afterwards_or_nothing_is_written(name: str) -> None:
    kind, alter, texts = SITUATIONS[name]

    # Sixteen of them take four minutes.
    @examples(_COSTS.get(kind, 3) * 4)
    @given(altered_texts(texts, WORDS), st.sampled_from(REQUESTS))
    def hold(text: str, request: Request) -> None:
        assume(">" not in text)
        machine = MACHINES[kind]()
        alter(machine, text)
        if kind in ("debian", "suse") and "grub.cfg" not in name:
            _generate(machine)
        _require_all_there(machine, request)

    hold()


def _require_all_there(machine: FakeMachine, request: Request) -> None:
    files, before = dict(machine.files), _next_boot(machine)
    try:
        with in_time():
            outcome = ensure(machine, request, RUNNING, Firmware(True, ""))
    except NodeError as refusal:
        event("refused")
        see_sentence(refusal)
        assert machine.files == files
        return
    after = _next_boot(machine)
    event("written" if outcome.plan.files else "as it was")
    assert after is not None
    assert satisfied(after, request)
    if before is not None:
        names = {name for wanted in request.arguments for name in names_of(wanted)}
        rest = [Counter(each.text for each in line.arguments if each.name not in names) for line in (before, after)]
        assert rest[0] <= rest[1]
        assert before.init == after.init
    assert {path for path in {*files, *machine.files} if files.get(path) != machine.files.get(path)} <= {
        *outcome.plan.files,
        *outcome.plan.guarded,
        *machine.glob("/boot/grub*/grub.cfg"),
        *machine.glob("/efi/loader/entries/*.conf"),
        machines.PROXMOX_PARTITION,
        WRITTEN,
        "/deployment",
    }
    files = dict(machine.files)
    assert ensure(machine, request, RUNNING, Firmware(True, "")).plan.empty
    assert machine.files == files


def _generate(machine: FakeMachine) -> None:
    """As after the last change of the settings; those with which it fails are found by the next run."""
    try:
        for name in ("update-grub", "grub2-mkconfig"):
            if name in machine.commands:
                machine.commands[name](machine, [name, "-o", "/boot/grub2/grub.cfg"])
    except (subprocess.CalledProcessError, ValueError):
        event("does not run")


def _next_boot(machine: FakeMachine) -> CommandLine | None:
    try:
        return parse(machines.next_boot(machine))
    except (subprocess.CalledProcessError, ValueError, IndexError):
        return None


@examples(0.6)
@given(altered_texts([*SETTINGS, DROP_IN, grub_settings.with_own_part(SETTINGS[1], REQUESTS[1].arguments)], WORDS))
def test_a_part_of_our_own_goes_without_a_trace(text: str) -> None:
    arguments = REQUESTS[0].arguments
    with in_time():
        bare = grub_settings.without_own_part(text)
        own = grub_settings.with_own_part(text, arguments)
        grub_settings.edit(text, REQUESTS[0])
        grub_settings.add(text, arguments)
        grub_settings.is_one_plain_line(text)
    assert grub_settings.without_own_part(own) == bare
    assert [each.text for each in grub_settings.own_part_arguments(own)] == [each.text for each in arguments]
    assert own.startswith(bare)
    assert grub_settings.with_own_part(own, arguments) == own


@examples(0.6)
@given(altered_texts([*LINES, *_INSTALLED, 'index=0\nkernel="/boot/x"\nargs="ro quiet"\nid="y"\n'], WORDS))
def test_lines_and_entries_are_read(text: str) -> None:
    with in_time():
        line = parse(text)
        read_entry(text)
        read_info(text)
    assert parse(line.render()).texts() == line.texts()
    assert parse(line.render()).init == line.init
