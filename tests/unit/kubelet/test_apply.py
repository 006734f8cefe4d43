# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The node's side of a change: proven by kubelet, written, restarted, waited for, and put back when that goes wrong."""

from __future__ import annotations

import errno
import os
import tempfile
import time
import typing as t
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.accel.qat.plugins.module_utils._host.edits import PRIVATE, FileEdit
from ansible_collections.accel.qat.plugins.module_utils._host.machine import LiveMachine
from ansible_collections.accel.qat.plugins.module_utils._kubelet import apply as apply_module
from ansible_collections.accel.qat.plugins.module_utils._kubelet.apply import (
    Order,
    Proof,
    PutBackError,
    apply,
    prove,
    put_back,
    why_it_ended,
)
from ansible_collections.accel.qat.plugins.module_utils._kubelet.gates import (
    GATES,
    Gate,
    decide_unasked,
    unmet_needs,
)
from ansible_collections.accel.qat.plugins.module_utils._kubelet.version import parse_version
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError, RefusedError
from ansible_collections.accel.qat.plugins.module_utils._node.facts.paths import COMMAND_DIRECTORIES
from ansible_collections.accel.qat.tests.fakes.kubelet_node import KubeletNode, examples
from ansible_collections.accel.qat.tests.fakes.kubelet_node.examples import CONFIG, CONFIG_DIR, CONFIGURATION
from ansible_collections.accel.qat.tests.unit.kubelet.conftest import call, machine_of

Make = t.Callable[..., KubeletNode]


@pytest.fixture(autouse=True)
def soon_steady(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake kubelet ends at once if it does not start."""
    monkeypatch.setattr(apply_module, "_STEADY", 0.5)


AFTER = CONFIGURATION + "topologyManagerPolicy: restricted\n"
BAD_GATE = CONFIGURATION + "featureGates:\n  Bogus: true\n"
STATE = "/var/lib/kubelet/cpu_manager_state"
OLD_STATE = '{"policyName": "none", "defaultCpuSet": "", "checksum": 1353318690}'
PROOF = Proof("/usr/bin/kubelet", CONFIG, "")


def order(after: str | None = AFTER, before: str | None = CONFIGURATION, path: str = CONFIG, **others: t.Any) -> Order:
    given = {"unit": "kubelet.service", "restart": True, "seconds": 120.0, **others}
    return Order((FileEdit(path, before, after),), **given)


def do(node: KubeletNode, wanted: Order, rehearse: bool = False) -> t.Any:
    return apply(machine_of(node), wanted, str(node.root), rehearse)


@pytest.fixture
def node(make_node: Make) -> KubeletNode:
    made = make_node(**examples.kubeadm())
    made.start()
    return made


def test_kubelet_runs_with_the_new_file(node: KubeletNode) -> None:
    place = node.root / CONFIG.lstrip("/")
    place.chmod(0o600)
    done = do(node, order(proof=PROOF))
    assert (done.proven, done.restarted) == (True, True)
    assert node.read(CONFIG) == AFTER
    assert place.stat().st_mode & 0o777 == 0o600
    assert node.asked()[1:] == ["stop kubelet.service", "start kubelet.service"]
    assert node.is_active()
    assert sorted(os.listdir(place.parent)) == ["config.yaml", "cpu_manager_state", "device-plugins"]


def test_a_rehearsal_asks_kubelet_and_writes_nothing(node: KubeletNode) -> None:
    before = node.state()
    assert do(node, order(proof=PROOF), rehearse=True).proven
    assert node.state() == before
    assert node.asked() == ["restart kubelet.service"]
    assert os.listdir(node.root / "tmp") == []


def test_kubelet_refuses_a_file_before_it_is_written(node: KubeletNode) -> None:
    for rehearse in (True, False):
        with pytest.raises(RefusedError) as caught:
            do(node, order(BAD_GATE, proof=PROOF), rehearse)
        assert caught.value.sentence() == (
            f"{CONFIG}: kubelet would not start: unrecognized feature gate: Bogus; correct the configuration; nothing was written"
        )
    assert (node.read(CONFIG), os.listdir(node.root / "tmp")) == (CONFIGURATION, [])
    assert node.is_active()


def test_a_drop_in_is_proven_with_the_others(make_node: Make) -> None:
    site = {f"{CONFIG_DIR}/20-site.conf": CONFIGURATION + "featureGates:\n  NodeSwap: true\n"}
    node = make_node(**examples.kubeadm(flags=[f"--config-dir={CONFIG_DIR}"], files=site), version="1.28.1")
    proof = replace(PROOF, config_dir=CONFIG_DIR)
    assert do(node, order(AFTER, None, f"{CONFIG_DIR}/99-accel-qat.conf", proof=proof), rehearse=True).proven
    with pytest.raises(RefusedError, match="unrecognized feature gate: Bogus"):
        do(node, order(BAD_GATE, None, f"{CONFIG_DIR}/99-accel-qat.conf", proof=proof))
    node.write(f"{CONFIG_DIR}/50-bad.conf", BAD_GATE)
    with pytest.raises(RefusedError, match="Bogus"):
        do(node, order(AFTER, None, f"{CONFIG_DIR}/99-accel-qat.conf", proof=proof))
    assert do(node, order(None, BAD_GATE, f"{CONFIG_DIR}/50-bad.conf", proof=proof), rehearse=True).proven


def test_flags_of_the_command_line_are_proven_too(node: KubeletNode) -> None:
    flags = ("--feature-gates=DevicePlugins=false",)
    with pytest.raises(RefusedError, match="feature is locked to true"):
        do(node, order(proof=replace(PROOF, flags=flags)))


@pytest.mark.parametrize("script", ["echo 'Error: unknown flag: --exit-on-lock-contention'; exit 1", "exit 124"])
def test_a_kubelet_that_cannot_be_asked(node: KubeletNode, script: str) -> None:
    node.write("/opt/bin/kubelet", f"#!/bin/sh\n{script}\n")
    (node.root / "opt/bin/kubelet").chmod(0o755)
    done = do(node, order(proof=replace(PROOF, program="/opt/bin/kubelet")))
    assert (done.proven, done.restarted) == (False, True)


def test_a_file_that_somebody_else_has_changed(node: KubeletNode) -> None:
    node.write(CONFIG, CONFIGURATION + "maxPods: 9\n")
    with pytest.raises(RefusedError) as caught:
        do(node, order())
    assert caught.value.sentence() == (
        f"{CONFIG}: somebody else has changed the file in this moment; run again; nothing was written"
    )


def test_what_kubelet_does_not_come_back_with_is_put_back(make_node: Make) -> None:
    node = make_node(**examples.kubeadm(), fails_with=("restricted", "no NUMA information on this machine"))
    node.start()
    record = FileEdit("/var/lib/accel-qat/kubelet.json", None, "{}", mode=PRIVATE)
    wanted = order(seconds=10.0)
    with pytest.raises(PutBackError) as caught:
        do(node, replace(wanted, writes=(record, *wanted.writes)))
    assert caught.value.sentence() == (
        "kubelet.service: kubelet does not come back in 10 seconds, /var/lib/kubelet/device-plugins/kubelet.sock does not answer: "
        "no NUMA information on this machine; the configuration is as it was and kubelet runs again; correct what was wanted"
    )
    assert node.read(CONFIG) == CONFIGURATION
    assert node.read(record.path) is None
    assert not (node.root / "var/lib/accel-qat").exists()
    assert node.is_active()


def test_a_kubelet_that_does_not_come_back_at_all(make_node: Make) -> None:
    node = make_node(**examples.kubeadm(), fails_with=("KubeletConfiguration", "the disk is gone"))
    with pytest.raises(PutBackError) as caught:
        do(node, order(seconds=1.0))
    assert caught.value.sentence() == (
        "kubelet.service: kubelet does not come back in 1 seconds, /var/lib/kubelet/device-plugins/kubelet.sock does not answer: "
        "the disk is gone; and with the configuration that was there before: kubelet does not come back in 1 seconds, it does not "
        "stay active: the disk is gone; the files are as they were; see journalctl -u kubelet.service"
    )
    assert node.read(CONFIG) == CONFIGURATION


STATIC = CONFIGURATION + "cpuManagerPolicy: static\nreservedSystemCPUs: 0-1\n"


def test_the_trap_is_real(node: KubeletNode) -> None:
    """Of the fake kubelet, as of the real one."""
    with pytest.raises(PutBackError, match="could not restore state from checkpoint"):
        do(node, order(STATIC, seconds=10.0))
    assert node.is_active()


def test_a_state_file_goes_between_stop_and_start(node: KubeletNode) -> None:
    assert do(node, order(STATIC, state_files=(STATE,))).restarted
    assert node.asked()[1:] == ["stop kubelet.service", "start kubelet.service"]
    assert '"static"' in (node.read(STATE) or "")


def test_a_state_file_is_put_back_too(make_node: Make) -> None:
    node = make_node(**examples.kubeadm(), fails_with=("reservedSystemCPUs", "not a subset of online-cpus"))
    node.start()
    found = node.read(STATE)
    with pytest.raises(
        PutBackError, match="not a subset of online-cpus; the configuration is as it was and kubelet runs"
    ):
        do(node, order(STATIC, state_files=(STATE,), seconds=10.0))
    assert (node.read(STATE), node.read(CONFIG)) == (found, CONFIGURATION)
    assert node.is_active()


def test_without_device_plugins_there_is_no_socket_to_wait_for(make_node: Make) -> None:
    node = make_node(**examples.kubeadm(), gates={"DevicePlugins": (False, False)})
    assert do(node, order(serves_device_plugins=False)).restarted
    assert node.read("/var/lib/kubelet/device-plugins/kubelet.sock") is None


def test_the_last_look_for_kubelet_comes_after_the_end(node: KubeletNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that stands still in between, as a virtual one does, may have had time for no other."""
    clock, slept, looks = time.monotonic, list[float](), iter([False, True])
    monkeypatch.setattr(time, "sleep", slept.append)
    monkeypatch.setattr(time, "monotonic", lambda: clock() + 1000 * len(slept))
    monkeypatch.setattr(apply_module, "_answers", lambda _path: next(looks))
    apply_module._wait(machine_of(node), order(), str(node.root))
    assert len(slept) == 1


def test_without_a_restart(node: KubeletNode) -> None:
    done = do(node, order(restart=False))
    assert (done.restarted, done.at, node.read(CONFIG)) == (False, 0.0, AFTER)
    assert node.asked() == ["restart kubelet.service"]


def test_a_state_file_cannot_go_without_a_restart(node: KubeletNode) -> None:
    for rehearse in (True, False):
        with pytest.raises(RefusedError) as caught:
            do(node, order(STATIC, restart=False, state_files=(STATE,)), rehearse)
    assert caught.value.sentence() == f"{STATE}: it can only be removed while kubelet is stopped; set restart to true"
    assert node.read(CONFIG) == CONFIGURATION


@pytest.mark.parametrize("unit", ["", "kubelet.service"])
def test_without_systemd(make_node: Make, unit: str) -> None:
    node = make_node(**examples.kubeadm())
    if unit:
        node.remove("/usr/bin/systemctl")
    for rehearse in (True, False):
        with pytest.raises(RefusedError) as caught:
            do(node, order(unit=unit), rehearse)
    node.services = {}
    assert caught.value.sentence() == (
        "service: the node has no systemd unit for kubelet; set service to the unit's name, or restart to false and restart kubelet "
        "by other means"
    )
    assert node.read(CONFIG) == CONFIGURATION
    with pytest.raises(RefusedError) as caught:
        do(node, order(unit=unit, state_files=(STATE,)))
    assert caught.value.sentence() == (
        f"service: the node has no systemd unit for kubelet; set service to the unit's name, or stop kubelet, remove {STATE}, set "
        "restart to false and run again"
    )


def test_a_new_file_and_a_record_for_root_alone(node: KubeletNode) -> None:
    path = f"{CONFIG_DIR}/99-accel-qat.conf"
    record = FileEdit("/var/lib/accel-qat/kubelet.json", None, "{}", mode=PRIVATE)
    do(node, Order((record, FileEdit(path, None, AFTER)), "kubelet.service", restart=False))
    modes = [(node.root / name.lstrip("/")).stat().st_mode & 0o777 for name in (path, record.path)]
    assert modes == [0o644, 0o600]
    do(node, Order((record.reversed(), FileEdit(path, AFTER, None)), "kubelet.service", restart=False))
    assert not (node.root / "var/lib/accel-qat").exists()


def test_a_file_that_cannot_be_written_leaves_the_others_as_they_were(node: KubeletNode) -> None:
    node.write("/etc/blocked", "a file where a directory should be")
    writes = (FileEdit(CONFIG, CONFIGURATION, AFTER), FileEdit("/etc/blocked/new.conf", None, "x"))
    with pytest.raises(PutBackError, match="cannot be written"):
        do(node, Order(writes, "kubelet.service", restart=True, seconds=120.0))
    assert node.read(CONFIG) == CONFIGURATION
    assert node.is_active()


def test_what_was_carried_out_can_be_put_back_later(node: KubeletNode) -> None:
    wanted = order()
    do(node, wanted)
    error = put_back(machine_of(node), wanted, "the node is not Ready", str(node.root))
    assert error.sentence() == (
        "the node is not Ready; the configuration is as it was and kubelet runs again; correct what was wanted"
    )
    assert node.read(CONFIG) == CONFIGURATION


def test_what_was_taken_away_can_be_put_back_later(node: KubeletNode) -> None:
    path = f"{CONFIG_DIR}/99-accel-qat.conf"
    for journal in ("", "/var/lib/accel-qat/kubelet.json.pending"):
        node.write(path, AFTER)
        (node.root / path.lstrip("/")).chmod(0o640)
        wanted = order(None, AFTER, path, journal=journal, confirmed=False)
        do(node, wanted)
        assert node.read(path) is None
        put_back(machine_of(node), wanted, "the node is not Ready", str(node.root))
        mode = (node.root / path.lstrip("/")).stat().st_mode & 0o777
        # Without a journal nobody knows how the file was that is gone.
        assert (node.read(path), mode) == (AFTER, 0o640 if journal else 0o644)


@pytest.mark.parametrize(
    ("log", "why"),
    [
        (
            "F1121 11:17:02.500439   24097 server.go:208] unrecognized feature gate: Bogus\ngoroutine 1 [running]:\n",
            "unrecognized feature gate: Bogus",
        ),
        (
            'E1121 11:17:02.500439   24097 run.go:74] "command failed" err="failed to parse kubelet flag: unknown flag: --bogus"\n',
            "failed to parse kubelet flag: unknown flag: --bogus",
        ),
        ("I1121 11:17:02.500439   24097 server.go:1] all is well\n", ""),
        (
            (
                "I1121 11:17:02.500439   24097 server.go:1] starting\npanic: failed to merge global and in-flight KubeletConfiguration "
                "while setting defaults, error: [cannot set feature gate A to false, feature is locked to true, "
                "unrecognized feature gate: B]"
                "\n\ngoroutine 1 [running]:\nk8s.io/kubernetes/pkg/kubelet/apis/config/v1beta1.SetDefaults_KubeletConfiguration(0xc000a)\n"
            ),
            "[cannot set feature gate A to false, feature is locked to true, unrecognized feature gate: B]",
        ),
        (
            "panic: failed to merge, error: A is enabled, but depends on features that are disabled: [B] [recovered, repanicked]\n",
            "A is enabled, but depends on features that are disabled: [B]",
        ),
        ("Error: failed to load kubelet config file\n", "failed to load kubelet config file"),
    ],
)
def test_why_a_kubelet_has_ended(log: str, why: str) -> None:
    assert why_it_ended(log) == why


def test_a_kubelet_that_panics_is_explained_in_one_sentence(make_node: Make) -> None:
    node = make_node(**examples.kubeadm(), version="1.36.3", gates=known_to(36))
    text = f"{CONFIGURATION}featureGates:\n  KubeletPodResourcesGet: false\n"
    with pytest.raises(RefusedError) as caught:
        prove(machine_of(node), PROOF, [FileEdit(CONFIG, CONFIGURATION, text)], str(node.root))
    assert caught.value.sentence() == (
        f"{CONFIG}: kubelet would not start: cannot set feature gate KubeletPodResourcesGet to false, feature is locked to true; "
        "correct the configuration; nothing was written"
    )


def test_a_node_without_room_for_the_files_to_prove(make_node: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_options: t.Any) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    node = make_node(**examples.kubeadm())
    monkeypatch.setattr(tempfile, "mkdtemp", full)
    with pytest.raises(NodeError) as caught:
        prove(machine_of(node), PROOF, [FileEdit(CONFIG, CONFIGURATION, CONFIGURATION)], str(node.root))
    assert caught.value.sentence() == (
        "/tmp: kubelet cannot be shown the files there: No space left on device; see that there is room, or set prove to false; "
        "nothing was written"
    )


class Asked(t.NamedTuple):
    """A kubelet that can be asked, and what it is expected to know."""

    machine: LiveMachine
    proof: Proof
    root: str
    minor: int

    def takes(self, text: str) -> bool:
        try:
            return prove(self.machine, self.proof, [FileEdit(self.proof.config, CONFIGURATION, text)], self.root)
        except RefusedError:
            return False


def known_to(minor: int) -> dict[str, tuple[bool, bool]]:
    """The table's gates of one version, as the fake kubelet takes them."""
    return {gate.name: (gate.stage(minor).default, gate.stage(minor).locked) for gate in GATES if gate.known_to(minor)}


class TestKubelet:
    """The kubelet that is asked for proofs: the fake one, and the one that ACCEL_QAT_KUBELET names."""

    @pytest.fixture(params=["fake", *(["real"] if os.environ.get("ACCEL_QAT_KUBELET") else [])])
    def asked(self, request: pytest.FixtureRequest, make_node: Make, tmp_path: Path) -> Asked:
        if request.param == "fake":
            node = make_node(**examples.kubeadm(), gates=known_to(27))
            return Asked(machine_of(node), PROOF, str(node.root), 27)
        path = tmp_path / "config.yaml"
        path.write_text(CONFIGURATION)
        program = os.environ["ACCEL_QAT_KUBELET"]
        minor = parse_version(call([program, "--version"]).out).minor
        return Asked(LiveMachine(call, "/", COMMAND_DIRECTORIES), Proof(program, str(path), ""), "/", minor)

    def test_takes_a_good_file(self, asked: Asked) -> None:
        assert asked.takes(AFTER)

    def test_refuses_an_unknown_gate(self, asked: Asked) -> None:
        with pytest.raises(NodeError, match="unrecognized feature gate: Bogus; correct the configuration"):
            prove(asked.machine, asked.proof, [FileEdit(asked.proof.config, CONFIGURATION, BAD_GATE)], asked.root)

    def test_takes_a_file_together_with_flags(self, asked: Asked) -> None:
        enforced = [
            FileEdit(
                asked.proof.config, CONFIGURATION, f"{CONFIGURATION}enforceNodeAllocatable: [pods, kube-reserved]\n"
            )
        ]
        with pytest.raises(NodeError, match="kubeReservedCgroup"):
            prove(asked.machine, asked.proof, enforced, asked.root)
        with_flag = replace(asked.proof, flags=("--kube-reserved-cgroup=/kubelet.slice",))
        assert prove(asked.machine, with_flag, enforced, asked.root)

    @pytest.mark.parametrize("gate", GATES, ids=lambda gate: gate.name)
    def test_takes_the_gates_that_the_table_says(self, asked: Asked, gate: Gate) -> None:
        for value in (True, False):
            text = f"{CONFIGURATION}featureGates:\n  {gate.name}: {str(value).lower()}\n"
            starts = decide_unasked(gate.name, value, asked.minor) is None
            assert asked.takes(text) == (starts and not unmet_needs({gate.name: value}, asked.minor)), value
