# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the disk image of the virtual machine, in layers that are cached by a hash of what goes into them.

    base      root file system (root.tar.zst) and compiler (toolchain.tar.zst), by mmdebstrap
    modules   our kernel modules, compiled against the headers of exactly that kernel
    disk      a bootable raw disk made of both

A change of the kernel sources rebuilds only the last two. Everything is built aside and renamed into place, under a
lock, so any number of processes may ask for the image at once.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import host
from .errors import LabError
from .paths import IMAGE_SOURCES, KERNEL_SOURCES, SOURCES, cache_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

RELEASE = "bookworm"
DISK_BYTES = 8 << 30
PARTITION_OFFSET = 1 << 20
SECTOR = 512

# Features that every mke2fs since 2022 knows and the GRUB of Debian 12 can read.
FILE_SYSTEM_FEATURES = (
    "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,"
    "huge_file,dir_nlink,extra_isize"
)
GRUB_MODULES = ("biosdisk", "part_msdos", "ext2", "normal", "linux", "serial", "terminal")

# Units that do nothing useful in a machine that lives for minutes.
NEEDLESS_UNITS = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty@tty1.service",
    "modprobe@dm_mod.service",
    "modprobe@drm.service",
    "modprobe@loop.service",
    "proc-sys-fs-binfmt_misc.automount",
    "sys-fs-fuse-connections.mount",
    "systemd-binfmt.service",
    "systemd-pstore.service",
    "systemd-repart.service",
)


@dataclass(frozen=True)
class Image:
    """A finished image: its directory and what identifies it."""

    directory: Path
    key: str

    @property
    def disk(self) -> Path:
        """The raw disk, never written to after it was built."""
        return self.directory / "disk.raw"

    @property
    def kernel(self) -> Path:
        """The kernel of the machine, for probing whether KVM runs it."""
        return self.directory / "vmlinuz"


def ensure() -> Image:
    """Return the image for the current sources, building what is missing; asks for root by sudo if it has to."""
    image = find()
    if image.disk.exists():
        os.utime(image.directory)
        return image
    if os.geteuid() != 0:
        _build_as_root()
    else:
        _build(image)
    return image


def find() -> Image:
    """Tell where the image for the current sources is, or will be once built."""
    key = _disk_key()
    return Image(_layer("disk", key), key)


def layers() -> list[Path]:
    """The layers of the image for the current sources."""
    return [_layer("base", _base_key()), _layer("modules", _modules_key()), _layer("disk", _disk_key())]


def ssh_key() -> Path:
    """Private key that the machines let in as root; made once for each cache."""
    path = cache_directory() / "ssh" / "id_ed25519"
    if not path.exists():
        with host.lock(path.parent / "lock", "making an ssh key"):
            if not path.exists():
                aside = path.with_name("new")
                for old in (aside, aside.with_suffix(".pub")):
                    old.unlink(missing_ok=True)
                host.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "accel.qat lab", "-f", aside])
                aside.with_suffix(".pub").rename(path.with_suffix(".pub"))
                aside.rename(path)
    return path


def _build_as_root() -> None:
    """Run this build through sudo, then give its results to the user who asked."""
    host.say("building the image needs root, for mmdebstrap and file ownership: using sudo")
    ssh_key()
    command = [
        "sudo",
        "--",
        "env",
        f"ACCEL_QAT_CACHE={cache_directory()}",
        sys.executable,
        str(SOURCES / "lab"),
        "image",
    ]
    # Its progress goes where ours goes; only our own standard output is read by others.
    if code := subprocess.run(command, stdout=sys.stderr, check=False).returncode:
        raise LabError(f"building the image through sudo failed with exit code {code}; its messages stand above.")


def _build(image: Image) -> None:
    base, modules, _ = layers()
    _build_layer(base, _build_base, "the root file system and the compiler")
    _build_layer(modules, lambda target: _build_modules(base, target), "the kernel modules")
    _build_layer(image.directory, lambda target: _build_disk(base, modules, target), "the disk")


def _build_layer(layer: Path, build: Callable[[Path], None], what: str) -> None:
    """Build one layer aside and rename it into place, unless it is there by now."""
    with host.lock(layer.with_suffix(".lock"), f"building {what}"):
        if layer.exists():
            return
        for left in layer.parent.glob(f"{layer.name}.building-*"):
            shutil.rmtree(left)
        host.say(f"building {what}")
        # Readable by all, since mmdebstrap may change its user.
        aside = Path(tempfile.mkdtemp(prefix=f"{layer.name}.building-", dir=layer.parent))
        try:
            aside.chmod(0o755)
            build(aside)
            _give_to_user([layer.parent, aside, *aside.rglob("*")])
            aside.rename(layer)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def _give_to_user(paths: Iterable[Path]) -> None:
    """Under sudo, what was built belongs to the user who called it."""
    if user := os.environ.get("SUDO_UID"):
        for path in paths:
            os.chown(path, int(user), int(os.environ["SUDO_GID"]), follow_symlinks=False)


# The keys of the layers.


def _hash(parts: Iterable[str | bytes]) -> str:
    total = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else part.encode()
        total.update(struct.pack("<Q", len(data)) + data)
    return total.hexdigest()[:16]


def _tree(directory: Path) -> list[str | bytes]:
    """Names, modes and contents of all files below a directory, in a fixed order."""
    parts: list[str | bytes] = []
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            parts += [str(path.relative_to(directory)), str(path.stat().st_mode & 0o111 != 0), path.read_bytes()]
    return parts


def _base_key() -> str:
    """Of the base layer; the part of this file that builds it counts, the rest does not, for it is slow to build."""
    recipe = [inspect.getsource(part) for part in (_mmdebstrap, _build_base, _words, _first_files)]
    lists = [path.read_bytes() for path in sorted(IMAGE_SOURCES.glob("*.txt"))]
    first = [(IMAGE_SOURCES / "files" / name).read_bytes() for name in _first_files()]
    return _hash([RELEASE, *recipe, *lists, *_first_files(), *first])


def _modules_key() -> str:
    return _hash([_base_key(), Path(__file__).read_bytes(), *_tree(KERNEL_SOURCES)])


def _disk_key() -> str:
    public = ssh_key().with_suffix(".pub").read_bytes()
    return _hash([_modules_key(), public, *_tree(IMAGE_SOURCES / "files")])


def _layer(kind: str, key: str) -> Path:
    return cache_directory() / "image" / f"{kind}-{key}"


# The base layer.


def _words(list_name: str) -> list[str]:
    """Lines of one of the lists beside the image, without comments."""
    lines = (IMAGE_SOURCES / list_name).read_text().splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _first_files() -> list[str]:
    """Files that must be there before the kernel is installed, because its initial RAM disk is made then."""
    files = IMAGE_SOURCES / "files"
    found = [*files.glob("etc/initramfs-tools/**/*"), *files.glob("usr/share/initramfs-tools/**/*")]
    return sorted(str(path.relative_to(files)) for path in found if path.is_file())


def _mirrors() -> list[str]:
    """Where Debian 12 comes from: this host's own sources if it is Debian 12 itself, else mmdebstrap's default."""
    system = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    if system.get("ID") != "debian" or system.get("VERSION_CODENAME") != RELEASE:
        return []
    fields = "$(CREATED_BY) $(REPO_URI) $(RELEASE) $(COMPONENT)"
    suites = (RELEASE, f"{RELEASE}-updates", f"{RELEASE}-security")
    sources: dict[str, None] = {}
    for line in host.run(["apt-get", "indextargets", "--format", fields]).splitlines():
        kind, address, suite, component = line.split()
        if kind == "Packages" and suite in suites and component == "main":
            sources[f"deb {address} {suite} {component}"] = None
    return list(sources)


def _mmdebstrap(target: Path, variant: str, packages: list[str], hooks: list[str]) -> None:
    """Make a file system with these packages as a tar file."""
    options = [f"--dpkgopt=path-exclude={pattern}" for pattern in _words("not-installed.txt")]
    command = [
        "mmdebstrap",
        "--mode=root",
        f"--variant={variant}",
        "--aptopt=APT::Install-Recommends false",
        f"--include={','.join(packages)}",
        *options,
        *hooks,
        RELEASE,
        str(target),
        *_mirrors(),
    ]
    host.run(command)


def _build_base(target: Path) -> None:
    hooks = []
    for name in _first_files():
        hooks.append(f'--essential-hook=mkdir -p "$1/{Path(name).parent}"')
        hooks.append(f"--essential-hook=upload {IMAGE_SOURCES / 'files' / name} /{name}")
    with ThreadPoolExecutor() as pool:
        jobs = [
            pool.submit(_mmdebstrap, target / "root.tar.zst", "minbase", _words("guest-packages.txt"), hooks),
            pool.submit(_mmdebstrap, target / "toolchain.tar.zst", "essential", _words("toolchain-packages.txt"), []),
        ]
        for job in jobs:
            job.result()


# The modules layer.


def _unpack(tar: Path, target: Path) -> None:
    target.mkdir()
    host.run(["tar", "--extract", "--file", tar, "--directory", target, "--numeric-owner", "--xattrs"])


def _kernel_version(root: Path) -> str:
    """The one kernel version below a root file system's lib/modules."""
    versions = sorted(path.name for path in (root / "usr/lib/modules").iterdir())
    if len(versions) != 1:
        raise LabError(f"expected one kernel in the image, found {', '.join(versions) or 'none'}.")
    return versions[0]


def _build_modules(base: Path, target: Path) -> None:
    """Compile in a chroot, so that neither the host's compiler nor its headers matter."""
    chroot = target / "toolchain"
    _unpack(base / "toolchain.tar.zst", chroot)
    version = _kernel_version(chroot)
    shutil.copytree(KERNEL_SOURCES, chroot / "build")
    host.run(
        ["chroot", chroot, "make", "-C", f"/lib/modules/{version}/build", "M=/build", f"-j{os.cpu_count()}", "modules"]
    )
    host.run(["chroot", chroot, "sh", "-c", "strip --strip-debug /build/*.ko"])
    for module in (chroot / "build").glob("*.ko"):
        shutil.copy(module, target)
    (target / "version").write_text(version)
    shutil.rmtree(chroot)


# The disk layer.


def _build_disk(base: Path, modules: Path, target: Path) -> None:
    root = target / "root"
    _unpack(base / "root.tar.zst", root)
    version = _kernel_version(root)
    compiled = (modules / "version").read_text()
    if version != compiled:
        raise LabError(
            f"the mirror changed between two downloads: kernel {version}, headers {compiled}. Remove {base} and try again."
        )
    _install_modules(root, modules, version)
    _install_files(root)
    _install_boot_loader(root, version, target)
    shutil.copy(root / "boot" / f"vmlinuz-{version}", target / "vmlinuz")
    _write_disk(root, target)
    shutil.rmtree(root)
    for part in ("boot.img", "core.img"):
        (target / part).unlink()


def _install_modules(root: Path, modules: Path, version: str) -> None:
    updates = root / "usr/lib/modules" / version / "updates"
    updates.mkdir(exist_ok=True)
    for module in modules.glob("*.ko"):
        shutil.copy(module, updates)
    host.run(["chroot", root, "depmod", version])


def _install_files(root: Path) -> None:
    shutil.copytree(IMAGE_SOURCES / "files", root, dirs_exist_ok=True, copy_function=_copy_for_root)
    key_file = root / "root/.ssh/authorized_keys"
    key_file.parent.mkdir(mode=0o700, exist_ok=True)
    shutil.copy(ssh_key().with_suffix(".pub"), key_file)
    key_file.chmod(0o600)
    (root / "etc/hostname").write_text("qat\n")
    # An identity is made at the first boot; an empty file says so.
    (root / "etc/machine-id").write_text("")
    systemctl = ["systemctl", "--root", str(root)]
    host.run([*systemctl, "enable", "qat-hardware.service", "systemd-networkd.service"])
    host.run([*systemctl, "mask", *NEEDLESS_UNITS])


def _copy_for_root(source: str, target: str) -> None:
    """Copy contents and mode; the file belongs to root, whoever owns the checkout."""
    Path(target).unlink(missing_ok=True)
    shutil.copyfile(source, target)
    Path(target).chmod(0o755 if Path(source).stat().st_mode & 0o111 else 0o644)


def _install_boot_loader(root: Path, version: str, target: Path) -> None:
    """GRUB as grub-install would leave it, without a block device: its core goes between MBR and first partition."""
    shutil.copytree(root / "usr/lib/grub/i386-pc", root / "boot/grub/i386-pc")
    for name in ("vmlinuz", "initrd.img"):
        link = root / name
        link.unlink(missing_ok=True)
        link.symlink_to(f"boot/{name}-{version}")
    prefix = ["-O", "i386-pc", "-p", "(hd0,msdos1)/boot/grub"]
    host.run(["chroot", root, "grub-mkimage", *prefix, "-o", "/core.img", *GRUB_MODULES])
    (root / "core.img").rename(target / "core.img")
    shutil.copy(root / "boot/grub/i386-pc/boot.img", target / "boot.img")


def _write_disk(root: Path, target: Path) -> None:
    """Boot loader and file system, written straight into a file: no loop device, no mount."""
    disk = target / "disk.raw"
    with disk.open("wb") as file:
        file.truncate(DISK_BYTES)
    _write_boot_loader(disk, (target / "boot.img").read_bytes(), (target / "core.img").read_bytes())
    blocks = (DISK_BYTES - PARTITION_OFFSET) // 1024
    options = f"offset={PARTITION_OFFSET},root_owner=0:0,lazy_itable_init=1"
    make = ["mke2fs", "-q", "-F", "-t", "ext4", "-O", FILE_SYSTEM_FEATURES, "-J", "size=16", "-m", "0"]
    host.run([*make, "-L", "root", "-E", options, "-d", root, disk, f"{blocks}k"])


def _write_boot_loader(disk: Path, boot: bytes, core: bytes) -> None:
    """Master boot record with GRUB's first stage and one active Linux partition; GRUB's core in the sectors behind it."""
    if SECTOR + len(core) > PARTITION_OFFSET:
        raise LabError(f"GRUB's core image of {len(core)} bytes does not fit before the first partition.")
    # Active, type 83, addressed by sector number only: the old cylinder fields say "beyond reach".
    beyond = b"\xfe\xff\xff"
    first, count = PARTITION_OFFSET // SECTOR, (DISK_BYTES - PARTITION_OFFSET) // SECTOR
    partition = b"\x80" + beyond + b"\x83" + beyond + struct.pack("<II", first, count)
    record = boot[:446] + partition + bytes(48) + b"\x55\xaa"
    with disk.open("r+b") as file:
        file.write(record)
        file.write(core)
