# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's own gRPC client against a real gRPC server that answers as kubelet does."""

from __future__ import annotations

import builtins
import errno
import os
import socket
import stat
import time
import typing as t
from pathlib import Path

import grpc
import pytest
from harness.pod_resources import CY, VF0, VF1, KubeletThread, entry, holders_of, kept_claim
from qat_device_plugin._node.users import podresources, pods
from qat_device_plugin._node.users.grpc_call import RpcError
from qat_device_plugin._node.users.holder import Holder
from qat_device_plugin._node.users.podresources import CHECKPOINT, CLAIMS, Given, ask_all, list_given
from qat_device_plugin._node.users.pods import BY_CHECKPOINT, Pods


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pods, "ASK_SECONDS", 0.5)


# The calls.


def test_v1(kubelet: KubeletThread) -> None:
    kubelet.fake.pods["default", "web-0"] = {"app": {CY: [VF0, VF1]}, "sidecar": {}}
    kubelet.fake.pods["kube-system", "proxy"] = {"proxy": {}}
    kubelet.fake.allocatable = {CY: [VF1, VF0], "example.com/x": ["1"]}
    kubelet.start()
    answer = ask_all(kubelet.socket, 10)
    assert answer.version == "v1"
    assert answer.given == tuple(Given("default", "web-0", "app", CY, vf) for vf in (VF0, VF1))
    assert answer.allocatable == {CY: (VF0, VF1), "example.com/x": ("1",)}


def test_v1alpha1(kubelet: KubeletThread) -> None:
    kubelet.fake.versions = ("v1alpha1",)
    kubelet.fake.pods["default", "web-0"] = {"app": {CY: [VF0]}}
    kubelet.start()
    answer = ask_all(kubelet.socket, 10)
    assert answer == ("v1alpha1", (Given("default", "web-0", "app", CY, VF0),), None, "this kubelet has no call for it")


def test_the_gate_of_allocatable_is_off(kubelet: KubeletThread) -> None:
    kubelet.fake.allocatable = None
    kubelet.start()
    answer = ask_all(kubelet.socket, 10)
    assert (answer.allocatable, answer.why_not) == (None, "Pod Resources API GetAllocatableResources disabled")


def test_many_pods(kubelet: KubeletThread) -> None:
    """More than any window or frame of HTTP/2 holds at first."""
    ids = [f"0000:{bus:02x}:00.{function}" for bus in range(256) for function in range(8)]
    for number in range(50):
        kubelet.fake.pods["default", f"pod-{number}"] = {"app": {CY: ids}}
    kubelet.start()
    given = list_given(kubelet.socket, 60).given
    assert len(given) == 50 * len(ids)
    assert {one.device for one in given} == set(ids)


@pytest.mark.parametrize("where", ["pods", "containers", "resources", "devices", "claims", "others"])
def test_so_many_fields_may_be_in_an_answer(
    kubelet: KubeletThread, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Whoever has made the socket may answer what he likes: with 16 MiB of them that took minutes, and hundreds of megabytes."""
    monkeypatch.setattr(podresources, "MOST_FIELDS", 100)
    many = b"\x1a\x00" * 101  # as containers of a pod
    device = many.replace(b"\x1a", b"\x12")

    def within(field: int, content: bytes) -> bytes:
        return bytes([field << 3 | 2, len(content) & 127 | 128, len(content) >> 7]) + content

    answers = {
        "pods": many.replace(b"\x1a", b"\x0a"),
        "containers": within(1, many),
        "resources": within(1, within(3, device)),
        "devices": within(1, within(3, within(2, device))),
        "claims": within(1, within(3, within(5, many.replace(b"\x1a", b"\x22")))),
        "others": within(1, within(3, b"\x18\x01" * 101)),
    }
    monkeypatch.setattr(kubelet.fake, "_list", lambda: answers[where])
    kubelet.start()
    with pytest.raises(ValueError, match=r"^its answer has more than 100 fields$"):
        list_given(kubelet.socket, 60)
    assert "more than 100 fields" in Pods([str(kubelet.root)]).named().problem


def test_too_many_calls_are_made_again(kubelet: KubeletThread) -> None:
    kubelet.fake.limits = 2
    kubelet.start()
    assert list_given(kubelet.socket, 10).given == ()
    assert kubelet.fake.calls == ["v1.List"] * 3


def test_too_many_calls_for_too_long(kubelet: KubeletThread) -> None:
    kubelet.fake.limits = 1000
    kubelet.start()
    with pytest.raises(RpcError, match=r"^rejected by rate limit$") as caught:
        list_given(kubelet.socket, 5)
    assert caught.value.code == 8


def test_a_refusal_is_the_reason_where_no_time_is_left_for_another_call(
    kubelet: KubeletThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = iter([RpcError(8, "rejected by rate limit"), TimeoutError()])

    def call(*_arguments: object) -> bytes:
        raise next(calls)

    monkeypatch.setattr(podresources, "call", call)
    with pytest.raises(RpcError, match=r"^rejected by rate limit$"):
        list_given(kubelet.socket, 60)


def test_a_refusal_in_other_letters(kubelet: KubeletThread) -> None:
    kubelet.fake.refusal = (grpc.StatusCode.PERMISSION_DENIED, "nicht für dich: 100%")
    kubelet.start()
    with pytest.raises(RpcError, match=r"^nicht für dich: 100%$") as caught:
        list_given(kubelet.socket, 10)
    assert caught.value.code == 7


def test_no_answer(kubelet: KubeletThread) -> None:
    kubelet.fake.silent = True
    kubelet.start()
    begin = time.monotonic()
    with pytest.raises(TimeoutError):
        list_given(kubelet.socket, 0.3)
    assert time.monotonic() - begin < 60


def test_a_path_longer_than_a_socket_may_have(kubelet: KubeletThread) -> None:
    """The client reaches it by its directory; the server here could not even be there."""
    kubelet.start()
    deep = kubelet.root / ("d" * 120)
    deep.symlink_to(kubelet.root)
    assert list_given(str(deep / "pod-resources/kubelet.sock"), 10).given == ()


# What counts as in use.


def test_a_pod_has_a_vf(kubelet: KubeletThread) -> None:
    kubelet.checkpoint([entry("gone", [VF1])], alive=["11-22"])
    kubelet.fake.pods["default", "web-0"] = {"app": {CY: [VF0.upper()]}, "b": {CY: [VF0]}, "c": {"x.y/z": ["7"]}}
    kubelet.start()
    assert holders_of(kubelet, VF0) == ["pod default/web-0 (container app)", "pod default/web-0 (container b)"]
    assert holders_of(kubelet, VF1) == []


# Both sources: a pod that either knows, and that lives, has its devices.


def test_a_kubelet_that_has_just_started(kubelet: KubeletThread) -> None:
    """It has no word from the API server yet, and lists no pods."""
    kubelet.checkpoint([entry("11-22", {"0": [VF0]}), entry("gone", [VF1])], alive=["11-22"])
    kubelet.start()
    assert holders_of(kubelet, VF0) == ["pod with uid 11-22 (container app, by kubelet's checkpoint)"]
    assert holders_of(kubelet, VF1) == []


def test_an_init_container_is_not_listed(kubelet: KubeletThread) -> None:
    init = {**entry("11-22", {"0": [VF0]}), "ContainerName": "init"}
    kubelet.checkpoint([init, entry("11-22", {"0": [VF1]})], alive=["11-22"])
    kubelet.fake.pods["default", "web-0"] = {"app": {CY: [VF1]}}
    kubelet.start()
    assert holders_of(kubelet, VF0) == ["pod with uid 11-22 (container init, by kubelet's checkpoint)"]
    assert holders_of(kubelet, VF1) == ["pod default/web-0 (container app)"]


@pytest.mark.parametrize("code", [None, errno.EACCES, errno.EMFILE])
def test_the_checkpoint_knows_no_names_but_kubelets_logs_do(
    kubelet: KubeletThread, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int | None
) -> None:
    """A pod by its name is one that can be drained."""
    monkeypatch.setattr(pods, "LOGS_OF_PODS", str(tmp_path / "pods"))
    for name in ("default_web-0_11-22", "web-1_33-44", "a_b_c_d"):
        (tmp_path / "pods" / name).mkdir(parents=True)
    kubelet.checkpoint([entry("11-22", [VF0]), entry("33-44", [VF1])], alive=["11-22", "33-44"])
    listdir = os.listdir

    def refuse(path: str) -> list[str]:
        if code and path == str(tmp_path / "pods"):
            raise OSError(code, os.strerror(code), path)
        return listdir(path)

    monkeypatch.setattr(os, "listdir", refuse)
    named = "with uid 11-22" if code else "default/web-0"
    assert holders_of(kubelet, VF0) == [f"pod {named} (container app, by kubelet's checkpoint)"]
    assert holders_of(kubelet, VF1) == ["pod with uid 33-44 (container app, by kubelet's checkpoint)"]


def test_a_device_is_named_once(kubelet: KubeletThread) -> None:
    init = {**entry("11-22", {"0": [VF0]}), "ContainerName": "init"}
    kubelet.checkpoint([init, entry("11-22", {"0": [VF0]})], alive=["11-22"])
    kubelet.fake.pods["default", "web-0"] = {"app": {CY: [VF0]}}
    kubelet.start()
    assert holders_of(kubelet, VF0) == ["pod default/web-0 (container app)"]


def test_a_kubelet_that_answers_and_whose_checkpoint_is_broken(kubelet: KubeletThread) -> None:
    """It lists no init containers, so others may have what it does not list."""
    kubelet.checkpoint([]).write_text("{")
    kubelet.fake.pods["default", "web-0"] = {"app": {CY: [VF1]}}
    kubelet.start()
    (unknown,) = holders_of(kubelet, VF0)
    assert unknown.startswith("perhaps a pod (")
    assert "kubelet_internal_checkpoint cannot be read: Expecting property name" in unknown
    assert holders_of(kubelet, VF1) == ["pod default/web-0 (container app)"]


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE, errno.EACCES, errno.EIO, errno.ENOMEM, errno.EINTR])
@pytest.mark.parametrize("call", ["stat", "listdir", "open", "socket"])
def test_what_cannot_be_read_frees_nothing(
    kubelet: KubeletThread, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    kubelet.checkpoint([entry("11-22", {"0": [VF0]})], alive=["11-22"])
    kubelet.fake.pods["default", "web-0"] = {"app": {CY: [VF1]}}
    kubelet.start()

    def refuse(*arguments: object, **_named: object) -> t.Any:
        raise OSError(code, os.strerror(code), str(arguments[0]))

    module = {"open": builtins, "socket": socket}.get(call, os)
    with monkeypatch.context() as patched:
        patched.setattr(module, call, refuse)
        found = Pods([str(kubelet.root)]).assignments()
    assert found.of(VF0)
    assert found.of(VF1)


def test_nested_too_deeply(kubelet: KubeletThread) -> None:
    path = kubelet.checkpoint([])
    path.write_text("[" * 100_000)
    assert holders_of(kubelet, VF0) == [
        f"perhaps a pod ({os.path.realpath(path)} cannot be read: it is nested too deeply)"
    ]


@pytest.mark.parametrize("ids", ["0000:6b:00.1", {"0": "0000:6b:00.1"}, {"0": {"a": 1}}, 7, [[VF0], 7]])
def test_ids_of_another_form(kubelet: KubeletThread, ids: t.Any) -> None:
    kubelet.checkpoint([entry("11-22", ids)], alive=["11-22"])
    assert holders_of(kubelet, VF0)


# Without an answer.


def test_no_kubelet(kubelet: KubeletThread) -> None:
    assert holders_of(kubelet, VF0) == []
    assert Pods(["/dev/null", "/nonexistent"]).assignments().of(VF0) == ()


@pytest.mark.parametrize("ids", [[VF0], {"0": [VF0]}, {"-1": [], "1": [VF0]}], ids=["before 1.20", "one", "two nodes"])
def test_kubelet_is_down(kubelet: KubeletThread, ids: t.Any) -> None:
    kubelet.checkpoint([entry("11-22", ids)], alive=["11-22"])
    kubelet.start()
    kubelet.stop()
    assert holders_of(kubelet, VF0) == ["pod with uid 11-22 (container app, by kubelet's checkpoint)"]
    assert holders_of(kubelet, VF1) == []


def test_a_kubelet_without_pod_resources(kubelet: KubeletThread) -> None:
    kubelet.checkpoint([entry("11-22", [VF0]), entry("33-44", [VF1])], alive=["11-22"])
    assert holders_of(kubelet, VF0) == ["pod with uid 11-22 (container app, by kubelet's checkpoint)"]
    assert holders_of(kubelet, VF1) == []


def test_without_the_directory_of_pods_each_counts(kubelet: KubeletThread) -> None:
    kubelet.checkpoint([entry("11-22", [VF0])])
    assert len(holders_of(kubelet, VF0)) == 1


def test_a_container_that_does_not_see_the_directory_of_pods_takes_nothing_for_free(kubelet: KubeletThread) -> None:
    """As the pod of the DaemonSet: it asks kubelet, which does not list init containers, and sees the checkpoint."""
    kubelet.checkpoint([{**entry("11-22", {"0": [VF0]}), "ContainerName": "init"}])
    kubelet.fake.pods["default", "web-0"] = {"app": {CY: [VF1]}}
    kubelet.start()
    assert holders_of(kubelet, VF0) == ["pod with uid 11-22 (container init, by kubelet's checkpoint)"]
    assert holders_of(kubelet, VF1) == ["pod default/web-0 (container app)"]


def test_a_kubelet_that_gave_no_device_yet(kubelet: KubeletThread) -> None:
    kubelet.start()
    kubelet.stop()
    kubelet.fake.path.unlink(missing_ok=True)
    assert holders_of(kubelet, VF0) == []


@pytest.mark.usefixtures("soon")
def test_a_kubelet_that_hangs_is_asked_once(kubelet: KubeletThread) -> None:
    kubelet.checkpoint([entry("11-22", [VF0])])
    kubelet.fake.silent = True
    kubelet.start()
    asked = Pods([str(kubelet.root)])
    for _ in range(10):
        assert asked.assignments().of(VF0) == (Holder(0, "", "app", "with uid 11-22", "by kubelet's checkpoint"),)
    assert len(kubelet.fake.calls) <= 1


@pytest.mark.usefixtures("soon")
def test_kubelet_refuses(kubelet: KubeletThread) -> None:
    kubelet.checkpoint([entry("11-22", [VF0])])
    kubelet.fake.refusal = (grpc.StatusCode.INTERNAL, "no")
    kubelet.start()
    assert holders_of(kubelet, VF0) == ["pod with uid 11-22 (container app, by kubelet's checkpoint)"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ("{}", "it has another form than expected, at 'Data'"),
        (" " * 65 + "{}", "it has more than 64 characters"),
        ("[]", "it has another form than expected, at list indices must be integers or slices, not str"),
        (
            '{"Data": {"PodDeviceEntries": [{}], "RegisteredDevices": {}}}',
            "it has another form than expected, at 'DeviceIDs'",
        ),
    ],
)
@pytest.mark.usefixtures("soon")
def test_what_nobody_reports_counts_as_given(
    kubelet: KubeletThread, monkeypatch: pytest.MonkeyPatch, text: str, reason: str
) -> None:
    monkeypatch.setattr(podresources, "LARGEST_KEPT", 64)
    path = kubelet.checkpoint([])
    path.write_text(text)
    kubelet.fake.refusal = (grpc.StatusCode.INTERNAL, "not now")
    kubelet.start()
    assert holders_of(kubelet, VF0) == [
        f"perhaps a pod (kubelet does not answer: not now, and {os.path.realpath(path)} cannot be read: {reason})"
    ]


def test_a_checkpoint_that_may_not_be_read(kubelet: KubeletThread) -> None:
    """A directory in its place, since root may read any file."""
    path = kubelet.checkpoint([])
    path.unlink()
    path.mkdir()
    assert holders_of(kubelet, VF0) == [f"perhaps a pod ({os.path.realpath(path)} cannot be read: Is a directory)"]


@pytest.mark.parametrize("kind", [stat.S_IFIFO, stat.S_IFSOCK])
@pytest.mark.parametrize("target", ["", "elsewhere", "/dev/full"])
def test_what_stands_in_a_checkpoints_place_is_not_waited_for(kubelet: KubeletThread, kind: int, target: str) -> None:
    """The pods of other plugins may write into its directory; a FIFO would hold up each look at the node for ever."""
    path = kubelet.checkpoint([])
    path.unlink()
    os.mknod(path.with_name("elsewhere") if target else path, kind | 0o600)
    if target:
        path.symlink_to(target)
    assert holders_of(kubelet, VF0) == [
        f"perhaps a pod ({os.path.realpath(kubelet.root)}/{CHECKPOINT} cannot be read: it is no regular file)"
    ]


@pytest.mark.parametrize("value", ["[]", "{}", '""', "0"])
@pytest.mark.parametrize("written", [CHECKPOINT, CLAIMS])
def test_so_many_values_may_be_in_what_is_kept(
    kubelet: KubeletThread, monkeypatch: pytest.MonkeyPatch, value: str, written: str
) -> None:
    """Of each a process has tens of bytes: a file of 16 million characters would end the device plugin, which may have 256 MiB."""
    monkeypatch.setattr(podresources, "MOST_PARTS", 100)
    kubelet.checkpoint([entry("11-22", [VF0])], alive=["11-22"])
    kubelet.keep_claims([])
    (kubelet.root / written).write_text('{"Data": [' + ",".join([value] * 101) + "]}")
    (found,) = holders_of(kubelet, VF1)
    assert f"{written} cannot be read: it has more than 100 values" in found


def test_what_is_kept_is_read_without_a_question(kubelet: KubeletThread) -> None:
    kubelet.checkpoint([entry("11-22", [VF0]), entry("gone", [VF1])], alive=["11-22"])
    kubelet.start()
    pods_here = Pods([str(kubelet.root), str(kubelet.root / "none")])
    by_plugin = ((Given("", "11-22", "app", CY, VF0),), "")
    assert pods_here.kept() == (by_plugin, ((), ""))
    kubelet.keep_claims([kept_claim("11-22", "qatvf-0000-6b-00-2"), kept_claim("gone", "qatvf-0000-6b-00-3")])
    by_claim = ((Given("", "11-22", "unknown, claim vf", "qat.intel.com", "0000:6b:00.2"),), "")
    assert pods_here.kept() == (by_plugin, by_claim)
    kubelet.keep_claims([]).write_text("{")
    assert pods_here.kept().devices == by_plugin
    assert "dra_manager_state cannot be read: " in pods_here.kept().claims.problem
    kubelet.keep_claims([kept_claim("11-22", "qatvf-0000-6b-00-2")])
    kubelet.checkpoint([]).write_text("{")
    assert "kubelet_internal_checkpoint cannot be read: " in pods_here.kept().devices.problem
    assert pods_here.kept().devices.given == ()
    assert pods_here.kept().claims == by_claim
    assert kubelet.fake.calls == []


def test_of_a_root_that_cannot_be_seen_neither_is_known(kubelet: KubeletThread, tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    (kubelet.root / "pods").symlink_to(loop)
    loop.symlink_to(loop)
    kept = Pods([str(kubelet.root)]).kept()
    assert "it is not known whether" in kept.devices.problem
    assert kept.claims.problem.startswith(kept.devices.problem.partition(";")[0])


# By name, for metrics.


def named(kubelet: KubeletThread, *roots: Path) -> pods.Named:
    return Pods([str(root) for root in roots or (kubelet.root,)]).named()


def test_what_kubelet_lists_and_what_it_does_not(
    kubelet: KubeletThread, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pods, "LOGS_OF_PODS", str(tmp_path))
    (tmp_path / "default_web-0_11-22").mkdir()
    init = {**entry("11-22", {"0": [VF1]}), "ContainerName": "init"}
    kubelet.checkpoint([init, entry("11-22", {"0": [VF0]}), entry("gone", ["0000:6b:00.3"])], alive=["11-22"])
    kubelet.fake.pods["default", "web-0"] = {"app": {CY: [VF0]}}
    kubelet.start()
    given = (Given("default", "web-0", "app", CY, VF0), Given("default", "web-0", "init", CY, VF1))
    assert named(kubelet) == (given, "")


def test_a_pod_that_nobody_names_has_its_uid(kubelet: KubeletThread) -> None:
    kubelet.checkpoint([entry("11-22", [VF0])], alive=["11-22"])
    kubelet.start()
    assert named(kubelet) == ((Given("", "11-22", "app", CY, VF0),), "")


def test_without_the_directory_of_pods_nothing_is_named_that_may_be_gone(kubelet: KubeletThread) -> None:
    """As the DaemonSet has it. What kubelet lists is there, and what counts as in use is more."""
    kubelet.checkpoint([entry("gone", [VF1])])
    kubelet.fake.pods["default", "web-0"] = {"app": {CY: [VF0]}}
    kubelet.start()
    assert named(kubelet) == ((Given("default", "web-0", "app", CY, VF0),), "")
    assert holders_of(kubelet, VF1) == ["pod with uid gone (container app, by kubelet's checkpoint)"]


def test_nothing_is_named_while_kubelet_does_not_answer(kubelet: KubeletThread) -> None:
    """What the checkpoint has is not all that kubelet would list by name, and what it listed before is better."""
    kubelet.checkpoint([entry("11-22", [VF0])], alive=["11-22"])
    socket_path = os.path.join(os.path.realpath(kubelet.root), "pod-resources/kubelet.sock")
    assert named(kubelet) == ((), f"no kubelet listens at {socket_path}")
    kubelet.fake.refusal = (grpc.StatusCode.INTERNAL, "not now")
    kubelet.start()
    assert named(kubelet) == ((), "kubelet does not answer: not now")
    kubelet.fake.refusal = None
    kubelet.checkpoint([]).write_text("{")
    assert named(kubelet).given == ()
    assert "kubelet_internal_checkpoint cannot be read: " in named(kubelet).problem


def test_a_directory_that_is_left_of_another_kubelet_keeps_nobody_from_being_named(
    kubelet: KubeletThread, tmp_path: Path
) -> None:
    (tmp_path / "pods").mkdir()
    kubelet.fake.pods["default", "web-0"] = {"app": {CY: [VF0]}}
    kubelet.start()
    assert named(kubelet, tmp_path, kubelet.root) == ((Given("default", "web-0", "app", CY, VF0),), "")
    assert kubelet.fake.calls == ["v1.List"]


def test_two_roots_that_are_one(kubelet: KubeletThread) -> None:
    kubelet.fake.pods["default", "web-0"] = {"app": {CY: [VF0]}}
    kubelet.start()
    other = kubelet.root / "snap"
    other.symlink_to(kubelet.root)
    holders = Pods([str(kubelet.root), str(other)]).assignments().of(VF0)
    assert [str(holder) for holder in holders] == ["pod default/web-0 (container app)"]
    assert kubelet.fake.calls == ["v1.List"]


# Kubelets with another root directory, whose device manager keeps to /var/lib/kubelet.


@pytest.fixture
def usual(kubelet: KubeletThread, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The usual root directory, where the checkpoint is; `kubelet` has another."""
    checkpoint = kubelet.checkpoint([entry("11-22", [VF0]), entry("gone", [VF1])], alive=["11-22"])
    usual = tmp_path / "usual"
    (usual / "device-plugins").mkdir(parents=True)
    checkpoint.rename(usual / "device-plugins" / checkpoint.name)
    checkpoint.parent.rmdir()
    monkeypatch.setattr(podresources, "KUBELET_ROOT", str(usual))
    return usual


@pytest.mark.usefixtures("usual")
def test_the_checkpoint_of_a_kubelet_with_another_root(kubelet: KubeletThread) -> None:
    assert holders_of(kubelet, VF0) == ["pod with uid 11-22 (container app, by kubelet's checkpoint)"]
    assert holders_of(kubelet, VF1) == []
    assert [one.device for one in Pods([str(kubelet.root)]).kept().devices.given] == [VF0]


@pytest.mark.usefixtures("soon")
def test_a_root_that_is_left_of_a_kubelet_before_says_of_no_pod_that_it_is_gone(
    kubelet: KubeletThread, usual: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the root directory was moved to another disk: none of the pods of now has a directory there."""
    (usual / "pods/old").mkdir(parents=True)
    (usual / "pod-resources").mkdir()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(usual / "pod-resources/kubelet.sock"))
    for_plugins = usual / "device-plugins/kubelet.sock"
    monkeypatch.setattr(pods, "REGISTRATION_SOCKET", str(for_plugins))
    assert Pods([str(usual)]).assignments().unknown == ""  # none runs, and kubelet is believed of what it keeps
    for_plugins.symlink_to(for_plugins)
    unseen = (
        f"it is not known whether a kubelet runs whose root directory is not {usual}: Too many levels of symbolic links"
    )
    assert Pods([str(usual)]).assignments().unknown == unseen
    for_plugins.unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(for_plugins))
        listener.listen(0)
        for _ in range(3):  # also where nobody takes the connections
            found = Pods([str(usual)]).assignments()
            assert found.unknown == (
                f"a kubelet runs whose root directory is not {usual}: name it with kubelet_root, or --kubelet-root"
            )
            assert found.of(VF0) == (Holder(0, "", note=found.unknown),)
        kubelet.start()
        found = Pods([str(usual), str(kubelet.root)]).assignments()
        assert (found.unknown, len(found.of(VF0))) == ("", 1)


def test_the_usual_root_is_nobodys_where_a_kubelet_has_another(kubelet: KubeletThread, usual: Path) -> None:
    kubelet.start()
    found = Pods([str(usual), str(kubelet.root)]).assignments()
    assert [str(one) for one in found.of(VF0)] == [f"pod with uid 11-22 (container app, {BY_CHECKPOINT})"]
    assert (found.of(VF1), found.unknown) == ((), "")
