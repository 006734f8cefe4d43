# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules, by a modprobe that is a script."""

from __future__ import annotations

import errno
import gc
import os
import re
import signal
import tempfile
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError, WriteTimeout
from ansible_collections.accel.qat.plugins.module_utils._node.kernel import commands
from ansible_collections.accel.qat.plugins.module_utils._node.kernel.live import LiveKernel
from ansible_collections.accel.qat.tests.unit.node.tree import DEVICE, Tree


def test_commands_are_found_where_the_connection_has_no_path_to_them(
    modprobe: t.Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    called = modprobe("exit 0")
    monkeypatch.setattr(commands, "COMMAND_DIRECTORIES", (str(called.parent / "bin"),))
    monkeypatch.setenv("PATH", "/bin")
    LiveKernel().unload_module("vfio_pci", 5)
    assert called.read_text() == "--remove vfio_pci\n"


@pytest.fixture
def modprobe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> t.Callable[[str], Path]:
    """A modprobe that does what the script says; its arguments are in the file that is returned."""
    directory = tmp_path / "bin"
    directory.mkdir()
    called = tmp_path / "called"
    monkeypatch.setenv("PATH", str(directory), prepend=os.pathsep)

    def install(script: str) -> Path:
        (directory / "modprobe").write_text(f'#!/bin/sh\necho "$@" >> {called}\n{script}\n')
        (directory / "modprobe").chmod(0o755)
        return called

    return install


def test_loads_and_unloads(modprobe: t.Callable[[str], Path]) -> None:
    called = modprobe("exit 0")
    LiveKernel().load_module("vfio_pci", ["disable_denylist=1"], 5)
    LiveKernel().load_module("qat_4xxx", (), 5)
    LiveKernel().unload_module("vfio_pci", 5)
    assert called.read_text().splitlines() == ["vfio_pci disable_denylist=1", "qat_4xxx", "--remove vfio_pci"]


@pytest.mark.parametrize("change", ["load", "unload"])
def test_what_was_read_before_a_module_came_or_went_is_forgotten(
    tree: Tree, modprobe: t.Callable[[str], Path], change: str
) -> None:
    """Its driver makes its devices again; what was read back after a write is kept for whoever reads next."""
    place = tree.file(f"{DEVICE}/sriov_numvfs", b"0\n")
    tree.kernel.write(f"{DEVICE}/sriov_numvfs", "16", 5)
    modprobe(f"printf '0\\n' > {place}")
    if change == "load":
        tree.kernel.load_module("qat_4xxx", (), 5)
    else:
        tree.kernel.unload_module("qat_4xxx", 5)
    assert tree.kernel.read(f"{DEVICE}/sriov_numvfs") == "0"


@pytest.mark.parametrize(("code", "there"), [(0, True), (1, False)])
def test_whether_a_module_is_there(modprobe: t.Callable[[str], Path], code: int, there: bool) -> None:
    called = modprobe(f"exit {code}")
    assert LiveKernel().has_module("vfio_pci") is there
    assert called.read_text() == "--dry-run vfio_pci\n"


@pytest.mark.parametrize(
    "said",
    [
        "modprobe: FATAL: Module vfio_pci not found in directory /lib/modules/6.1.0",
        "modprobe: module vfio_pci not found in modules.dep",
    ],
)
def test_a_module_that_is_not_there(modprobe: t.Callable[[str], Path], said: str) -> None:
    modprobe(f'echo "{said}" >&2; exit 1')
    assert not LiveKernel().has_module("vfio_pci")


@pytest.mark.parametrize(
    "script",
    [
        "kill -9 $$",
        "echo 'modprobe: error while loading shared libraries: libkmod.so.2: cannot open shared object file' >&2; exit 127",
        "echo 'modprobe: FATAL: kmod_new() failed!' >&2; exit 1",
    ],
)
def test_a_modprobe_that_cannot_look(modprobe: t.Callable[[str], Path], script: str) -> None:
    """Whether the module is there is not known then."""
    modprobe(script)
    with pytest.raises(NodeError, match="vfio_pci: modprobe failed: "):
        LiveKernel().has_module("vfio_pci")


def test_no_room_for_what_modprobe_says(modprobe: t.Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a disk that is full, where the VFs are to come back after a reset all the same."""
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/no/such/directory"])
    modprobe("echo 'not today' >&2; exit 1")
    with pytest.raises(NodeError, match="x: modprobe failed: not today; "):
        LiveKernel().load_module("x", (), 5)
    modprobe("exit 0")
    LiveKernel().load_module("x", (), 5)


def test_no_descriptor_for_what_modprobe_says(
    modprobe: t.Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: t.Any) -> t.NoReturn:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    modprobe("exit 0")
    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    monkeypatch.setattr(os, "memfd_create", refuse)
    with pytest.raises(NodeError) as caught:
        LiveKernel().load_module("x", (), 5)
    assert str(caught.value) == (
        "x: modprobe cannot be run: Too many open files; give this process more open files and memory"
    )


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'modprobe: FATAL: Module x' >&2; echo 'not found' >&2; exit 1", "modprobe: FATAL: Module x not found"),
        ("exit 3", "exit code 3"),
    ],
)
def test_a_module_that_cannot_be_loaded(modprobe: t.Callable[[str], Path], script: str, said: str) -> None:
    modprobe(script)
    with pytest.raises(NodeError) as caught:
        LiveKernel().load_module("x", (), 5)
    assert str(caught.value) == (
        f"x: modprobe failed: {said}; see the kernel's log, and that the module belongs to the running kernel"
    )


UNSIGNED = (
    "the kernel takes only modules with a signature that it trusts (Secure Boot, lockdown): install the distribution's own module, or"
    " sign this one"
)
# One errno for all of these.
NOT_ALLOWED = (
    "see the kernel's log for what forbids it: that the module has no signature that the kernel trusts (Secure Boot, lockdown),"
    " module_blacklist among its arguments, or the sysctl kernel.modules_disabled"
)


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ("Key was rejected by service", UNSIGNED),
        ("Required key not available", UNSIGNED),
        ("Operation not permitted", NOT_ALLOWED),
    ],
)
def test_a_module_that_the_kernel_does_not_take(modprobe: t.Callable[[str], Path], reason: str, remedy: str) -> None:
    said = f"modprobe: ERROR: could not insert 'x': {reason}"
    modprobe(f'echo "{said}" >&2; exit 1')
    with pytest.raises(NodeError) as caught:
        LiveKernel().load_module("x", (), 5)
    assert str(caught.value) == f"x: modprobe failed: {said}; {remedy}"


def test_a_module_that_modprobe_d_keeps_out(modprobe: t.Callable[[str], Path]) -> None:
    """The kernel's log has nothing of it."""
    said = "modprobe: ERROR: Error running install command '/bin/false' for module qat_4xxx: retcode 1"
    modprobe(f'echo "{said}" >&2; exit 1')
    with pytest.raises(NodeError) as caught:
        LiveKernel().load_module("qat_4xxx", (), 5)
    assert caught.value.remedy == (
        "remove the install line of modprobe.d that keeps the module out (modprobe --show-depends names it), or name another driver"
    )


def test_no_modprobe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(commands, "COMMAND_DIRECTORIES", ())
    with pytest.raises(NodeError) as caught:
        LiveKernel().unload_module("vfio_pci", 5)
    assert str(caught.value) == "vfio_pci: the command modprobe is missing; install kmod on the node"


@pytest.mark.parametrize(
    "path", ["", ":", ".", "bin", "./bin:", "{elsewhere}:", ":{elsewhere}", "bin:{elsewhere}", None]
)
@pytest.mark.parametrize("has_modprobe", [True, False], ids=["there is one", "there is none"])
def test_nothing_is_run_from_where_this_happens_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str | None, has_modprobe: bool
) -> None:
    """Neither modprobe nor udevadm, by whichever entry of PATH."""
    for place in (tmp_path, tmp_path / "bin"):
        place.mkdir(exist_ok=True)
        for name in ("modprobe", "udevadm"):
            (place / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/taken\n")
            (place / name).chmod(0o755)
    system, elsewhere = tmp_path / "system", tmp_path / "elsewhere"
    system.mkdir()
    elsewhere.mkdir()
    if has_modprobe:
        (system / "modprobe").write_text("#!/bin/sh\nexit 0\n")
        (system / "modprobe").chmod(0o755)
    monkeypatch.setattr(commands, "COMMAND_DIRECTORIES", (str(system),))
    monkeypatch.chdir(tmp_path)
    if path is None:
        monkeypatch.delenv("PATH")
    else:
        monkeypatch.setenv("PATH", path.format(elsewhere=elsewhere))
    if has_modprobe:
        commands.modprobe(["vfio_pci"], 5)
    else:
        with pytest.raises(NodeError, match="the command modprobe is missing"):
            commands.modprobe(["vfio_pci"], 5)
    commands.settle(0.1)
    assert not (tmp_path / "taken").exists()


def test_a_command_has_nothing_of_the_surroundings_but_the_path(
    modprobe: t.Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    called = modprobe(f"env > {os.devnull}; env >> $(dirname $0)/../environment; pwd >> $(dirname $0)/../environment")
    for name in ("MODPROBE_OPTIONS", "LD_PRELOAD_NOT", "PYTHONPATH", "LANG", "LC_MESSAGES"):
        monkeypatch.setenv(name, "de_DE.UTF-8")
    LiveKernel().load_module("vfio_pci", (), 5)
    *environment, directory = (called.parent / "environment").read_text().splitlines()
    own = {line.partition("=")[0] for line in environment} - {"PWD", "OLDPWD", "SHLVL", "_"}
    assert own == {"PATH", "LC_ALL"}
    assert "LC_ALL=C" in environment
    assert directory == "/"


def test_a_modprobe_that_cannot_be_run(modprobe: t.Callable[[str], Path]) -> None:
    called = modprobe("exit 0")
    script = called.parent / "bin/modprobe"
    script.write_text("#!/nowhere/sh\n")
    with pytest.raises(NodeError) as caught:
        LiveKernel().load_module("vfio_pci", (), 5)
    assert str(caught.value) == (
        f"vfio_pci: {script} cannot be run: No such file or directory; see that the node's kmod is sound"
    )


@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
def test_a_modprobe_that_hangs(modprobe: t.Callable[[str], Path]) -> None:
    modprobe("exec sleep 600")
    begin = time.monotonic()
    with pytest.raises(WriteTimeout) as caught:
        LiveKernel().load_module("qat_4xxx", (), 0.2)
    assert time.monotonic() - begin < 300
    match = re.fullmatch(
        r"qat_4xxx: modprobe has not returned after 0.2 seconds; "
        r"process (\d+) stays in the kernel; see the kernel's log",
        str(caught.value),
    )
    assert match is not None
    os.kill(int(match[1]), signal.SIGKILL)
    os.waitpid(int(match[1]), 0)
    del caught
    gc.collect()
