# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster keeps to itself while it is up, and leaves nothing when it goes or never comes."""

from __future__ import annotations

import os
from pathlib import Path

import kubernetes.client
import kubernetes.config
import kubernetes.stream
import pytest

from ansible_collections.accel.qat.tests.lab.qat_lab import processes
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster import cluster as clusters
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster import control_plane, programs
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.cluster import Cluster
from ansible_collections.accel.qat.tests.lab.qat_lab.errors import LabError
from ansible_collections.accel.qat.tests.lab.qat_lab.machine import Machine
from ansible_collections.accel.qat.tests.lab.qat_lab.paths import cluster_directory

LOOPBACK = "0100007F"
LISTENING = "0A"


def listening(pid: int) -> list[str]:
    """Addresses, as /proc/net has them, where a process listens for TCP."""
    links = [os.readlink(handle) for handle in Path(f"/proc/{pid}/fd").iterdir() if handle.is_symlink()]
    sockets = [link[len("socket:[") : -1] for link in links if link.startswith("socket:[")]
    rows = [
        line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()
    ]
    return [row[1].split(":")[0] for row in rows if row[3] == LISTENING and row[9] in sockets]


def test_nothing_listens_but_on_loopback(cluster: Cluster) -> None:
    pids = {name: processes.pid(cluster.directory, name) for name in control_plane.PROGRAMS}
    found = {name: listening(pid) for name, pid in pids.items() if pid is not None}
    assert found == {name: [LOOPBACK] if name == "kube-apiserver" else [] for name in control_plane.PROGRAMS}


def test_keys_and_tokens_are_private(cluster: Cluster) -> None:
    assert cluster.directory.stat().st_mode & 0o077 == 0


@pytest.mark.usefixtures("no_pods")
def test_logs_and_commands_of_a_pod_come_by_the_api(cluster: Cluster) -> None:
    cluster.create_pod("talks")
    cluster.wait_for_phase("talks")
    with kubernetes.config.new_client_from_config(str(cluster.kubeconfig)) as client:
        session = kubernetes.stream.stream(
            kubernetes.client.CoreV1Api(client).connect_get_namespaced_pod_exec,
            "talks",
            "default",
            command=["sh", "-c", "echo to the log > /proc/1/fd/1; echo to the caller"],
            stdout=True,
            _preload_content=False,
        )
        try:
            session.run_forever(timeout=300)
            answer = session.read_all()
        finally:
            session.sock.shutdown()  # its close() leaves the socket open where the server has closed first
    assert answer == "to the caller\n"
    assert cluster.wait_for("the pod's log", lambda: cluster.log("talks"), bool) == "to the log\n"


def test_a_second_cluster_of_the_name_is_refused(cluster: Cluster) -> None:
    with pytest.raises(LabError, match=r"is there already: remove it with `lab cluster down test-[\d-]+`"):
        Cluster.up(cluster.name)
    assert cluster.running


def test_a_start_that_fails_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"fails-{os.getpid()}"
    directory = cluster_directory(name)
    started: list[int | None] = []

    def fail(*_: object, **__: object) -> Machine:
        started.extend(processes.pid(directory, program) for program in control_plane.PROGRAMS)
        raise LabError("no machine today")

    monkeypatch.setattr(Machine, "start", fail)
    with pytest.raises(LabError, match="no machine today"):
        Cluster.up(name)
    assert len(started) == len(control_plane.PROGRAMS)
    assert not [pid for pid in started if pid is None or Path(f"/proc/{pid}").exists()]
    assert not directory.exists()
    assert name not in clusters.names()


def test_a_program_that_ends_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for program in programs.NAMES:
        (tmp_path / program).write_text("#!/bin/sh\necho not today >&2\nexit 1\n")
        (tmp_path / program).chmod(0o755)
    monkeypatch.setattr(programs, "program", lambda _, program: tmp_path / program)
    name = f"ends-{os.getpid()}"
    with pytest.raises(LabError, match="kube-apiserver does not listen: not today"):
        Cluster.up(name)
    assert not cluster_directory(name).exists()


def test_a_directory_that_lacks_a_program_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(programs.VARIABLE, str(tmp_path))
    with pytest.raises(LabError) as refusal:
        programs.given()
    assert str(refusal.value) == (
        f"ACCEL_QAT_KUBERNETES is '{tmp_path}', where there is no program {', '.join(programs.NAMES)}: "
        f"name a directory with {', '.join(programs.NAMES)}, or unset it to have them compiled."
    )


def test_a_cluster_without_nodes_is_refused() -> None:
    with pytest.raises(LabError, match="a cluster of 0 nodes cannot be: ask for one or more"):
        Cluster.up("empty", nodes=0)


def test_an_unknown_cluster_is_refused() -> None:
    with pytest.raises(LabError, match="there is no cluster 'never': start it with `lab cluster up never`"):
        Cluster("never")
