# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the disk image of the virtual machine, in layers that are cached by a hash of what goes into them.

    base        root file system (root.tar.zst) and compiler (toolchain.tar.zst), by mmdebstrap
    modules     our kernel modules, compiled against the headers of exactly that kernel
    disk        a bootable raw disk made of both

Each Debian has its own. A node of a cluster has two layers more, and a disk for each release of Kubernetes:

    kubernetes  kubelet and kubeadm, and what the test host runs: see cluster/programs.py
    node        the base with a container runtime

A host of virtual machines has one more:

    host        the base with libvirt and QEMU

A change of the kernel sources rebuilds only modules and disks.
"""

from __future__ import annotations

import inspect
import os
import shlex
import shutil
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.accel.qat.tools.building import debian, host, layers
from ansible_collections.accel.qat.tools.building.cache import cache_directory
from ansible_collections.accel.qat.tools.building.debian import Debian

from . import pod_image
from .cluster import programs, releases
from .cluster.releases import Release
from .errors import LabError
from .paths import (
    IMAGE_SOURCES,
    KERNEL_SOURCES,
    KUBERNETES_SOURCES,
    SOURCES,
    VIRTUALIZATION_SOURCES,
)

DISK_BYTES = 8 << 30
PARTITION_OFFSET = 1 << 20
SECTOR = 512

# Features that every mke2fs since 2022 knows and the GRUB of Debian 12 can read.
FILE_SYSTEM_FEATURES = (
    "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,"
    "huge_file,dir_nlink,extra_isize"
)
COMPILE_CACHE = SOURCES / "guest_programs/compile_cache.py"
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
class Flavour:
    """What is installed in a machine.

    With a release of Kubernetes that is kubelet, kubeadm, containerd and what they need, to become a node of a cluster. A host
    of virtual machines has libvirt and QEMU; it is no node.
    """

    debian: Debian = debian.BOOKWORM
    kubernetes: Release | None = None
    virtualization: bool = False


def node(release: Release) -> Flavour:
    """What the node of a cluster of this release has."""
    return Flavour(release.debian, release)


PLAIN = Flavour()
HOST = Flavour(virtualization=True)
"""A host of virtual machines."""
FLAVOURS = (*map(Flavour, debian.RELEASES.values()), *map(node, releases.RELEASES.values()), HOST)


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


def ensure(flavour: Flavour = PLAIN) -> Image:
    """Return the image for the current sources, building what is missing; asks for root by sudo if it has to."""
    image = find(flavour)
    if image.disk.exists():
        os.utime(image.directory)
        return image
    if flavour.kubernetes and not flavour.kubernetes.packaged:
        # This needs no root, and Go's caches are the user's.
        programs.ensure(flavour.kubernetes, programs.of_node(flavour.kubernetes))
    if os.geteuid() != 0:
        _build_as_root(flavour)
    else:
        _build(flavour)
    return image


def find(flavour: Flavour = PLAIN) -> Image:
    """Return where the image for the current sources is, or will be once built."""
    key = _disk_key(flavour)
    return Image(layers.directory("disk", key), key)


def etcd(system: Debian) -> Path:
    """The store of a control plane: a program that came with the node layer."""
    return _node_layer(system) / "etcd"


def current_layers() -> list[Path]:
    """The layers of the images for the current sources."""
    found = [find(flavour).directory for flavour in FLAVOURS]
    found += [_host_layer(HOST.debian)]
    for system in debian.RELEASES.values():
        found += [_base_layer(system), _modules_layer(system), _node_layer(system)]
    for release in releases.RELEASES.values():
        found += programs.all_layers(release)
    return found


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


def _build_as_root(flavour: Flavour) -> None:
    """Run this build through sudo, then give its results to the user who asked."""
    host.say("building the image needs root, for mmdebstrap and file ownership: using sudo")
    ssh_key()
    command = [
        "sudo",
        "--",
        "env",
        f"ACCEL_QAT_CACHE={cache_directory()}",
        *((f"{programs.VARIABLE}={programs.given()}",) if programs.given() else ()),
        sys.executable,
        str(SOURCES / "lab"),
        "image",
        *_options(flavour),
    ]
    # Its progress goes where ours goes; only our own standard output is read by others.
    if code := subprocess.run(command, stdout=sys.stderr, check=False).returncode:
        raise LabError(f"building the image through sudo failed with exit code {code}; its messages stand above.")


def _options(flavour: Flavour) -> tuple[str, ...]:
    """How the command line calls this flavour."""
    if flavour.kubernetes:
        return ("--node", flavour.kubernetes.name)
    return ("--debian", flavour.debian.number, *(("--host",) if flavour.virtualization else ()))


def _build(flavour: Flavour) -> None:
    system = flavour.debian
    base, modules, node_layer = _base_layer(system), _modules_layer(system), _node_layer(system)
    what = f"the root file system and the compiler of {system}, once; two to three minutes on two cores"
    layers.build(base, lambda target: _build_base(system, target), what)
    what = f"the kernel modules for {system}, once; a minute on two cores"
    layers.build(modules, lambda target: _build_modules(base, target), what)
    if flavour.kubernetes:
        programs.ensure(flavour.kubernetes, programs.of_node(flavour.kubernetes))
        what = f"the root file system of a node of {system}, once; a minute on two cores"
        layers.build(node_layer, lambda target: _build_node(system, base, target), what)
    if flavour.virtualization:
        what = f"the root file system of a host of virtual machines of {system}, once; two minutes on two cores"
        layers.build(_host_layer(system), lambda target: _build_host(system, base, target), what)
    what = f"the disk of {system}, once; a minute on two cores"
    layers.build(find(flavour).directory, lambda target: _build_disk(flavour, target), what)


# The keys of the layers.


def _base_key(system: Debian) -> str:
    """Of the base layer; the part of this file that builds it counts, the rest does not, for it is slow to build."""
    recipe = [inspect.getsource(part) for part in (debian.mmdebstrap, _build_base, _first_files)]
    lists = [path.read_bytes() for path in sorted(IMAGE_SOURCES.glob("*.txt"))]
    first = [(IMAGE_SOURCES / "files" / name).read_bytes() for name in _first_files()]
    return layers.key([system.suite, *recipe, *lists, *_first_files(), *first])


def _modules_key(system: Debian) -> str:
    return layers.key([_base_key(system), inspect.getsource(_build_modules), *layers.tree(KERNEL_SOURCES)])


def _node_key(system: Debian) -> str:
    packages = (KUBERNETES_SOURCES / "node-packages.txt").read_bytes()
    return layers.key([_base_key(system), inspect.getsource(_build_node), packages])


def _host_key(system: Debian) -> str:
    packages = (VIRTUALIZATION_SOURCES / "host-packages.txt").read_bytes()
    return layers.key([_base_key(system), inspect.getsource(_build_host), packages])


def _disk_key(flavour: Flavour) -> str:
    public = ssh_key().with_suffix(".pub").read_bytes()
    parts = [Path(__file__).read_bytes(), _modules_key(flavour.debian), public, *layers.tree(IMAGE_SOURCES / "files")]
    parts += [COMPILE_CACHE.read_bytes()]
    if flavour.virtualization:
        parts += [_host_key(flavour.debian)]
    if release := flavour.kubernetes:
        parts += [_node_key(flavour.debian), *(programs.key(release, name) for name in programs.of_node(release))]
        parts += [*layers.tree(KUBERNETES_SOURCES / "files"), Path(pod_image.__file__).read_bytes()]
    return layers.key(parts)


def _base_layer(system: Debian) -> Path:
    return layers.directory("base", _base_key(system))


def _modules_layer(system: Debian) -> Path:
    return layers.directory("modules", _modules_key(system))


def _node_layer(system: Debian) -> Path:
    return layers.directory("node", _node_key(system))


def _host_layer(system: Debian) -> Path:
    return layers.directory("host", _host_key(system))


def _root_layer(flavour: Flavour) -> Path:
    """The layer that has the root file system."""
    if flavour.virtualization:
        return _host_layer(flavour.debian)
    return _node_layer(flavour.debian) if flavour.kubernetes else _base_layer(flavour.debian)


# The base layer.


def _first_files() -> list[str]:
    """Files that must be there before the kernel is installed, because its initial RAM disk is made then."""
    files = IMAGE_SOURCES / "files"
    found = [*files.glob("etc/initramfs-tools/**/*"), *files.glob("usr/share/initramfs-tools/**/*")]
    return sorted(str(path.relative_to(files)) for path in found if path.is_file())


def _build_base(system: Debian, target: Path) -> None:
    hooks = []
    for name in _first_files():
        hooks.append(f'--essential-hook=mkdir -p "$1/{Path(name).parent}"')
        hooks.append(f"--essential-hook=upload {IMAGE_SOURCES / 'files' / name} /{name}")
    leave_out = debian.words(IMAGE_SOURCES / "not-installed.txt")
    with ThreadPoolExecutor() as pool:
        jobs = [
            pool.submit(
                debian.mmdebstrap,
                system,
                target / tar,
                variant,
                debian.words(IMAGE_SOURCES / packages),
                leave_out,
                more,
            )
            for tar, variant, packages, more in (
                ("root.tar.zst", "minbase", "guest-packages.txt", hooks),
                ("toolchain.tar.zst", "essential", "toolchain-packages.txt", []),
            )
        ]
        for job in jobs:
            job.result()


# The node layer.


def _build_node(system: Debian, base: Path, target: Path) -> None:
    """Install into the root file system that is there, so that its kernel stays the one our modules are for."""
    into = _unpacked_first(base)
    # The store runs on the test host, so only the program is wanted.
    etcd_server = (
        '--customize-hook=cd "$1/root" && APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get download etcd-server &&'
        f" dpkg-deb --extract etcd-server_*.deb etcd && cp etcd/usr/bin/etcd {shlex.quote(str(target))} &&"
        " rm -r etcd etcd-server_*.deb"
    )
    packages = debian.words(KUBERNETES_SOURCES / "node-packages.txt")
    leave_out = debian.words(IMAGE_SOURCES / "not-installed.txt")
    debian.mmdebstrap(system, target / "root.tar.zst", "custom", packages, leave_out, [into, etcd_server])


def _unpacked_first(base: Path) -> str:
    """Has mmdebstrap begin with the root file system of the base layer."""
    return f'--setup-hook=tar --extract --file {shlex.quote(str(base / "root.tar.zst"))} --directory "$1"'


# The host layer.


def _build_host(system: Debian, base: Path, target: Path) -> None:
    packages = debian.words(VIRTUALIZATION_SOURCES / "host-packages.txt")
    leave_out = debian.words(IMAGE_SOURCES / "not-installed.txt")
    debian.mmdebstrap(system, target / "root.tar.zst", "custom", packages, leave_out, [_unpacked_first(base)])


# The modules layer.


def _build_modules(base: Path, target: Path) -> None:
    """Compile in a chroot, so that neither the host's compiler nor its headers matter."""
    chroot = target / "toolchain"
    debian.unpack(base / "toolchain.tar.zst", chroot)
    version = debian.kernel_version(chroot)
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


def _build_disk(flavour: Flavour, target: Path) -> None:
    root, modules, base = target / "root", _modules_layer(flavour.debian), _base_layer(flavour.debian)
    debian.unpack(_root_layer(flavour) / "root.tar.zst", root)
    version = debian.kernel_version(root)
    compiled = (modules / "version").read_text()
    if version != compiled:
        raise LabError(
            f"the mirror changed between two downloads: kernel {version}, headers {compiled}. "
            f"Remove {base} and try again."
        )
    _install_modules(root, modules, version)
    _install_files(root)
    if flavour.kubernetes:
        _install_kubelet(root, flavour.kubernetes)
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
    _copy_for_root(str(COMPILE_CACHE), str(root / "usr/lib/python3/dist-packages" / COMPILE_CACHE.name))
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


def _install_kubelet(root: Path, release: Release) -> None:
    shutil.copytree(KUBERNETES_SOURCES / "files", root, dirs_exist_ok=True, copy_function=_copy_for_root)
    for name in programs.of_node(release):
        shutil.copy(programs.program(release, name), root / "usr/bin")
    # The package of kubelet brings it.
    (root / "etc/kubernetes/manifests").mkdir(parents=True)
    applets = host.run(["chroot", root, "busybox", "--list"]).split()
    pod_image.write(root / "usr/local/share/pod-image.tar", root / "bin/busybox", applets)
    host.run(["systemctl", "--root", root, "enable", "containerd.service", "pod-image.service"])


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
