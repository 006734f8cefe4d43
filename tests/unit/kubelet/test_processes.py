# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Only a kubelet of the host counts, and only a program of root's is run, whatever a process says of itself."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

from ansible_collections.accel.qat.plugins.module_utils._kubelet import processes, programs
from ansible_collections.accel.qat.plugins.module_utils._kubelet.apply import Proof, prove
from ansible_collections.accel.qat.plugins.module_utils._kubelet.observe import Observed, Request, observe
from ansible_collections.accel.qat.plugins.module_utils._kubelet.processes import find_kubelets
from ansible_collections.accel.qat.plugins.module_utils._node.errors import ConfigurationError, NodeError, RefusedError
from ansible_collections.accel.qat.tests.fakes.kubelet_node import KubeletNode, Service, examples
from ansible_collections.accel.qat.tests.unit.kubelet.conftest import machine_of

Make = t.Callable[..., KubeletNode]

KUBELET = "/usr/bin/kubelet"
NAMES = ("kubelet", "k3s", "rke2", "kubelite")
SECRET = "root:$6$secret"
POD = "/var/lib/kubelet/pods/7c2d/volumes/kubernetes.io~empty-dir/scratch/kubelet"


def look(node: KubeletNode, **request: t.Any) -> Observed:
    return observe(machine_of(node), str(node.root / "proc"), Request(**request))


def seen(node: KubeletNode) -> list[int]:
    return [process.pid for process in find_kubelets(str(node.root / "proc"), str(node.root), NAMES).trusted]


def trap(node: KubeletNode, path: str) -> Path:
    """A program that leaves a mark when it is run."""
    mark = node.directory / "was-run"
    node.write(path, f"#!/bin/sh\ntouch {mark}\necho Kubernetes v1.27.4\n")
    (node.root / path.lstrip("/")).chmod(0o755)
    return mark


@pytest.fixture
def node(make_node: Make) -> KubeletNode:
    made = make_node(**examples.kubeadm(files={"/etc/shadow": SECRET}))
    made.add_process(2345, [KUBELET, f"--config={examples.CONFIG}", "--v=2"])
    return made


@pytest.mark.parametrize("path", ["/home/eve/kubelet", POD, KUBELET], ids=["home", "empty-dir", "kubelet"])
@pytest.mark.parametrize("program", ["/usr/bin/sleep", "/usr/bin/perl", KUBELET])
@pytest.mark.parametrize("pid", [77, 1_000_077])
def test_a_process_of_another_user_is_not_believed(node: KubeletNode, path: str, program: str, pid: int) -> None:
    mark = None if path == KUBELET else trap(node, path)
    words = [path, "--config=/etc/shadow", "--config-dir=/etc", "--root-dir=/etc"]
    node.add_process(pid, words, program, user=os.geteuid() + 65534)
    found = look(node)
    assert (found.program, found.words[-1], list(found.files)) == (KUBELET, "--v=2", [examples.CONFIG])
    assert SECRET not in str(found.as_dict())
    assert mark is None or not mark.exists()


@pytest.mark.parametrize("namespaces", ["pod", "mnt=pod", "pid=pod", "user=pod", "cgroup=pod"])
@pytest.mark.parametrize("program", [KUBELET, "/usr/local/bin/k3s", POD])
def test_root_of_a_container_is_not_the_hosts(node: KubeletNode, namespaces: str, program: str) -> None:
    """A kubelet of kind, the k3s of a vcluster's pod."""
    mark = trap(node, POD)
    node.add_program("/usr/local/bin/k3s")
    node.add_process(1234, [program, "--config=/etc/shadow"], namespaces=namespaces)
    node.add_process(1_000_077, [program, "--config=/etc/shadow"], namespaces=namespaces)
    found = look(node)
    assert (found.flavour, found.words[-1], seen(node)) == ("kubeadm", "--v=2", [2345])
    assert SECRET not in str(found.as_dict())
    assert not mark.exists()


def test_nor_is_one_in_another_root_directory(node: KubeletNode) -> None:
    node.add_process(77, [KUBELET, "--config=/etc/shadow"])
    (node.root / "proc/77/root").unlink()
    (node.root / "proc/77/root").symlink_to("/proc")
    assert seen(node) == [2345]


def test_with_nothing_but_such_processes_there_is_no_kubelet(make_node: Make) -> None:
    node = make_node(files={}, programs={})
    mark = trap(node, "/home/eve/kubelet")
    trap(node, "/home/eve/k3s")
    node.add_process(77, ["/home/eve/kubelet"], "/usr/bin/sleep", user=os.geteuid() + 1000)
    node.add_process(78, ["/home/eve/k3s"], user=os.geteuid() + 1000)
    node.add_process(79, ["/home/eve/kubelet"], "/usr/bin/sleep")
    node.add_process(80, ["/home/eve/k3s server"], namespaces="pod")
    with pytest.raises(ConfigurationError, match="no kubelet is found on this node"):
        look(node)
    assert not mark.exists()


def test_pids_are_numbers(node: KubeletNode) -> None:
    node.add_process(1_000_077, [KUBELET, "--v=9"])
    assert seen(node) == [2345, 1_000_077]
    assert look(node).words[-1] == "--v=2"


@pytest.mark.parametrize("started_by_it", [False, True])
def test_the_units_process_comes_before_others(make_node: Make, started_by_it: bool) -> None:
    node = make_node(**examples.kubeadm())
    node.start()
    (main,) = (pid for pid in seen(node))
    node.add_process(2, [KUBELET, "--config=/by/hand.yaml"])
    if started_by_it:
        # As by a script around it.
        for name in ("exe", "cmdline", "ns", "root"):
            (node.root / f"proc/{main}/{name}").rename(node.root / f"run/{name}")
        (node.root / f"proc/{main}/exe").symlink_to("/bin/sh")
        node.add_process(4_000_001, [KUBELET, f"--config={examples.CONFIG}"], parent=main)
    assert look(node).config == examples.CONFIG


def spoil(node: KubeletNode, place: str, how: str) -> str:
    """Let others than root change what is there; returns how that is reported."""
    path = node.root / place.lstrip("/")
    if how == "owner":
        os.chown(path, 65534, -1) if os.geteuid() == 0 else None
        return "it belongs to user"
    path.chmod(path.stat().st_mode | int(how, 8))
    return "others than root may write to it"


@pytest.fixture(params=["0020", "0002", "1777", "owner"])
def how(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "owner" and os.geteuid() != 0:
        monkeypatch.setattr(programs.os, "geteuid", lambda: 65534)  # type: ignore[attr-defined]
    return str(request.param)


@pytest.mark.parametrize("place", [KUBELET, "/usr/bin", "/usr", "/"])
def test_a_program_that_others_could_exchange_is_not_run(make_node: Make, place: str, how: str) -> None:
    node = make_node(**examples.kubeadm())
    mark = trap(node, KUBELET)
    reported = spoil(node, place, how)
    # Whether it runs, is started by the unit, is found in a usual directory or is named.
    for request in ({}, {"kubelet": KUBELET}):
        with pytest.raises(
            RefusedError, match=rf"{reported}.*so that {KUBELET} is not run as root; .*set kubelet_version"
        ):
            look(node, **request)
    with pytest.raises(RefusedError, match="is not run as root"):
        prove(machine_of(node), Proof(KUBELET, examples.CONFIG, ""), [], str(node.root))
    assert look(node, version="1.27.4", offered=False).version == "1.27.4"
    assert not mark.exists()


@pytest.mark.parametrize("place", ["/opt/mine", "/opt/mine/kubelet"])
def test_nor_is_the_command_line_of_its_process_believed(node: KubeletNode, place: str, how: str) -> None:
    mark = trap(node, "/opt/mine/kubelet")
    spoil(node, place, how)
    node.add_process(77, ["/opt/mine/kubelet", "--config=/etc/shadow"])
    found = look(node) if os.geteuid() == 0 or how != "owner" else None
    assert SECRET not in str(found and found.as_dict())
    assert 77 not in seen(node)
    assert not mark.exists()


def test_the_units_own_process_with_such_a_program_is_reported(make_node: Make) -> None:
    node = make_node(**examples.kubeadm())
    node.start()
    (node.root / "usr/bin").chmod(0o777)
    with pytest.raises(RefusedError) as caught:
        look(node, version="1.27.4")
    assert caught.value.sentence() == (
        "/usr/bin: others than root may write to it, so that the kubelet /usr/bin/kubelet that runs is not believed; let root alone "
        "write to it (chmod go-w)"
    )


@pytest.mark.parametrize(
    "program",
    [
        "/var/lib/rancher/rke2/data/v1.33.4/bin/kubelet",
        "/var/lib/rancher/k3s/data/0f3e/bin/k3s",
        "/snap/microk8s/6532/kubelite",
        "/usr/local/bin/kubelet",
    ],
)
def test_wherever_root_has_put_its_kubelet(make_node: Make, program: str) -> None:
    node = make_node(files={})
    node.add_program(program)
    node.add_process(77, ["whatever it calls itself"], program)
    assert seen(node) == [77]


def test_a_link_is_followed_inside_of_the_node(make_node: Make) -> None:
    node = make_node(files={})
    node.add_program("/opt/kubernetes-1.30/bin/kubelet")
    (node.root / "opt/current").symlink_to("/opt/kubernetes-1.30")
    (node.root / "opt/kubelet").symlink_to("current/bin/../bin/./kubelet")
    assert programs.fault_of(str(node.root), "/opt/kubelet") is None
    (node.root / "opt/kubernetes-1.30/bin").chmod(0o777)
    fault = programs.fault_of(str(node.root), "/opt/kubelet")
    assert fault is not None
    assert fault.place == "/opt/kubernetes-1.30/bin"
    (node.root / "opt/kubelet").unlink()
    (node.root / "opt/kubelet").symlink_to("kubelet")
    fault = programs.fault_of(str(node.root), "/opt/kubelet")
    assert fault is not None
    assert fault.problem == "the symbolic link leads in a circle"


def test_one_that_was_upgraded_and_not_restarted(node: KubeletNode) -> None:
    """What is there now is what a restart starts, so that is asked."""
    exe = node.root / "proc/2345/exe"
    exe.unlink()
    exe.symlink_to(f"{KUBELET} (deleted)")
    found = look(node)
    assert (found.running, found.program, found.version) == (True, KUBELET, "Kubernetes v1.27.4")


def test_one_whose_program_is_gone(make_node: Make) -> None:
    node = make_node(**examples.kubeadm())
    node.start()
    node.remove(KUBELET)
    with pytest.raises(RefusedError) as caught:
        look(node)
    assert caught.value.sentence() == (
        f"{KUBELET}: {KUBELET} runs and is not there any more; install it again, or stop kubelet"
    )


class Failing:
    """The reads of one file of a process fail, all of them or from the second one on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str, number: int, first: int = 0) -> None:
        self._name, self._number, self._left = name, number, first
        self._readlink, self._stat, self._listdir = os.readlink, os.stat, os.listdir
        for call in ("readlink", "stat", "listdir"):
            monkeypatch.setattr(processes.os, call, self._failing(getattr(os, call)))  # type: ignore[attr-defined]
        monkeypatch.setattr(processes, "open", self._failing(open), raising=False)

    def _failing(self, call: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
        def instead(path: str, *arguments: t.Any, **named: t.Any) -> t.Any:
            if str(path).endswith(self._name):
                self._left -= 1
                if self._left < 0:
                    raise OSError(self._number, os.strerror(self._number), path)
            return call(path, *arguments, **named)

        return instead


PLACES = ["/proc", "/2345/status", "/2345/exe", "/2345/cmdline", "/2345/ns/mnt", "/2345/root", "/1/ns/pid", "/1/root"]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.EIO, errno.ENOMEM])
@pytest.mark.parametrize("place", PLACES)
def test_what_cannot_be_read_is_not_absent(
    node: KubeletNode, monkeypatch: pytest.MonkeyPatch, place: str, number: int
) -> None:
    Failing(monkeypatch, place, number)
    with pytest.raises(NodeError, match=r"cannot be read, so that kubelet may be overlooked: .*; run as root"):
        seen(node)


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ESRCH])
@pytest.mark.parametrize("place", PLACES[1:6])
@pytest.mark.parametrize("first", [0, 1])
def test_a_process_that_ends_meanwhile_is_absent(
    node: KubeletNode, monkeypatch: pytest.MonkeyPatch, place: str, number: int, first: int
) -> None:
    if place.rpartition("/")[2] not in ("status", "exe"):
        first = 0
    Failing(monkeypatch, place, number, first)
    assert seen(node) == ([2345] if place.endswith("cmdline") else [])


def test_a_program_that_is_hidden_from_root_is_a_kubelets_only_by_its_name(
    node: KubeletNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.add_process(812, ["/usr/sbin/guard"])
    Failing(monkeypatch, "/812/exe", errno.EACCES)
    assert seen(node) == [2345]


def test_a_program_that_cannot_be_looked_at(node: KubeletNode, monkeypatch: pytest.MonkeyPatch) -> None:
    def lstat(path: str) -> os.stat_result:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(programs.os, "lstat", lstat)  # type: ignore[attr-defined]
    with pytest.raises(NodeError, match="cannot be looked at: Permission denied; run as root"):
        seen(node)


def test_a_process_that_becomes_another_one_while_it_is_looked_at(
    node: KubeletNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As sudo does, which is root's until it runs the program of its user."""
    node.add_process(77, [KUBELET, "--config=/etc/shadow"])
    status = node.root / "proc/77/status"
    later = status.read_text().replace(f"\t{os.geteuid()}\t", f"\t{os.geteuid() + 1000}\t")
    readlink = os.readlink

    def becoming(path: str) -> str:
        if path.endswith("/77/exe"):
            status.write_text(later)
        return readlink(path)

    monkeypatch.setattr(processes.os, "readlink", becoming)  # type: ignore[attr-defined]
    assert seen(node) == [2345]


def test_without_process_1_none_is_the_hosts(node: KubeletNode) -> None:
    (node.root / "proc/1").rename(node.root / "run/1")
    assert seen(node) == []
    # What every procfs has, also one that hides the processes of others.
    (node.root / "proc/self").symlink_to("2345")
    with pytest.raises(
        NodeError, match="process 1 is hidden here, so that it is not known which processes are the host's"
    ):
        seen(node)


def test_a_wrappers_container_does_not_lend_its_kubelet(make_node: Make) -> None:
    """What a unit starts in a container is not the host's."""
    service = Service(["/usr/bin/kubelet"], "/usr/bin/docker run kubelet")
    node = make_node(**{**examples.kubeadm(), "services": {"kubelet.service": service}})
    node.add_process(77, [KUBELET, "--config=/etc/shadow"], namespaces="pod")
    with pytest.raises(
        ConfigurationError, match="its unit starts it by /usr/bin/docker, so that its command line is not known"
    ):
        look(node)


REAL = r"""
import os, shutil, subprocess, sys, time
from ansible_collections.accel.qat.plugins.module_utils._kubelet.processes import find_kubelets

place, other, is_root = sys.argv[1], sys.argv[2], sys.argv[3] == "root"
if is_root:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "none", place], check=True)
os.mkdir(f"{place}/bin", 0o755)
for path in (f"{place}/bin/kubelet", f"{other}/kubelet"):
    shutil.copy(shutil.which("sleep"), path)
kubelet = f"{place}/bin/kubelet"
started = {}


def start(name, *command, argv=None, **how):
    started[name] = subprocess.Popen(list(command), stdin=subprocess.DEVNULL, **how)


start("called so", "bash", "-c", f"exec -a {kubelet} sleep 60")
start("script", "bash", "-c", f"exec -a {kubelet} perl -e 'sleep 60' -- --config=/etc/shadow")
start("elsewhere", f"{other}/kubelet", "60")
start("in a container", "unshare", "--mount", "--pid", "--fork", "--kill-child", kubelet, "61")
start("other mounts", "unshare", "--mount", kubelet, "60")
start("other cgroups", "unshare", "--cgroup", kubelet, "60")
start("host", kubelet, "60")
if is_root:
    start("nobody", kubelet, "60", user=65534)
    start("nobody's script", "bash", "-c", f"exec -a {kubelet} sleep 60", user=65534)
time.sleep(1)
try:
    found = find_kubelets("/proc", "/", ["kubelet"])
    names = {process.pid: name for name, process in started.items()}
    print([names.get(process.pid) for process in found.trusted])
    print(sorted(str(names.get(process.pid)) for process, _fault in found.others))
finally:
    for process in started.values():
        process.kill()
"""


def test_real_processes_in_real_namespaces(tmp_path: Path) -> None:
    """In namespaces of its own, which stand for a host: with its own process 1, as root or as one that is root in there alone."""
    is_root = os.geteuid() == 0
    place = "/mnt" if is_root else str(tmp_path / "place")
    (tmp_path / "place").mkdir()
    (tmp_path / "other").mkdir()
    apart = [
        "unshare",
        *([] if is_root else ["--user", "--map-root-user"]),
        "--mount",
        "--pid",
        "--fork",
        "--mount-proc",
    ]
    done = subprocess.run(
        [
            *apart,
            "--kill-child",
            sys.executable,
            "-c",
            REAL,
            place,
            str(tmp_path / "other"),
            "root" if is_root else "user",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    # Below a directory where anybody may write (/tmp) nothing is believed, so without root the host's kubelet is there too.
    trusted, others = (["host"], ["elsewhere"]) if is_root else ([], ["elsewhere", "host"])
    assert done.stdout.splitlines() == [str(trusted), str(others)], done.stderr
