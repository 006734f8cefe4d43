# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find out whether KVM really runs our guest, by letting it try; a KVM that only opens is of no use."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.accel.qat.tools.building import host
from ansible_collections.accel.qat.tools.building.cache import cache_directory

from .errors import LabError

if TYPE_CHECKING:
    from .image import Image


class Accelerator(NamedTuple):
    """How to run a guest: QEMU's options, and the arguments that the guest's kernel gets for it."""

    options: tuple[str, ...]
    kernel_arguments: tuple[str, ...] = ()


KVM = Accelerator(("-accel", "kvm", "-cpu", "host"))

# tb-size, in MiB, is what translated code may take. A page table of five levels takes longer to walk than one of four.
# A busy host makes emulated timer interrupts late, which the kernel at boot takes for broken hardware (check_timer in
# arch/x86/kernel/apic/io_apic.c) unless asked not to check. QEMU translates code again for each address where it is mapped:
# with addresses that are random, a third of all processor time went there. Emulated processors leak nothing worth mitigating.
# A processor with ERMS and FSRM is asked to copy byte by byte, which QEMU really does: without them a program starts in four
# fifths of the time.
TCG = Accelerator(
    ("-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max,la57=off,erms=off,fsrm=off"),
    ("no_timer_check", "norandmaps", "mitigations=off"),
)
PROBE_SECONDS = 10

# The kernel alone, without a disk, gets this far and no further.
_PROOF = b"Unable to mount root fs"


def choose(image: Image) -> Accelerator:
    """The faster accelerator that works; ACCEL_QAT_ACCELERATOR=kvm or tcg decides without a try."""
    forced = os.environ.get("ACCEL_QAT_ACCELERATOR", "")
    if forced not in ("", "kvm", "tcg"):
        raise LabError(f"ACCEL_QAT_ACCELERATOR is {forced!r}: set it to kvm or tcg, or leave it unset.")
    if forced:
        return KVM if forced == "kvm" else TCG
    return KVM if _kvm_works(image) else TCG


def _kvm_works(image: Image) -> bool:
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    # The answer holds until the host is booted again or the kernel to run is another one.
    question = {"boot": Path("/proc/sys/kernel/random/boot_id").read_text().strip(), "kernel": _digest(image.kernel)}
    memory = cache_directory() / "kvm.json"
    try:
        known = json.loads(memory.read_text())
        if known["question"] == question:
            return bool(known["works"])
    except (OSError, ValueError, KeyError):
        pass
    with host.lock(memory.with_suffix(".lock"), "trying KVM"):
        works = _probe(image)
        aside = memory.with_suffix(f".{os.getpid()}")
        aside.write_text(json.dumps({"question": question, "works": works}))
        aside.rename(memory)
    host.say("KVM works" if works else "KVM does not run the guest here: using software emulation")
    return works


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _probe(image: Image) -> bool:
    """Boot the kernel until it misses its disk, which takes a second or two where KVM works."""
    host.say("trying KVM")
    with tempfile.TemporaryDirectory() as directory:
        console = Path(directory) / "console"
        command = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", *KVM.options]
        command += ["-no-reboot", "-m", "256", "-serial", f"file:{console}", "-kernel", str(image.kernel)]
        command += ["-append", "console=ttyS0 panic=-1"]
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PROBE_SECONDS, check=False)
        return console.exists() and _PROOF in console.read_bytes()
