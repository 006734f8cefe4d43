# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is gathered of a node has all that is of use and no secret; what is missing keeps nothing else from being there."""

from __future__ import annotations

import json
import tarfile
import typing as t
from pathlib import Path

import pytest

from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError
from ansible_collections.accel.qat.plugins.module_utils._support import gather as gather_module
from ansible_collections.accel.qat.tests.unit.kubelet.test_listener import OK, server
from ansible_collections.accel.qat.tests.unit.support.node_with_secrets import KUBELET, NodeWithSecrets
from ansible_collections.accel.qat.tests.unit.support.test_redaction import there

EXPECTED = {
    "qat/devices.json",
    "qat/plan.json",
    "qat/kubernetes.json",
    "qat/firmware.json",
    "sysfs/devices.json",
    "sysfs/iommu_groups.json",
    "system/versions.json",
    "system/cmdline",
    "system/memory",
    "system/hardware.json",
    "cluster/node.json",
    "kubelet/kubelet.json",
    "kubelet/checkpoint.json",
    "logs/kernel",
    "logs/kubelet.service",
    "systemd/kubelet.service",
    "systemd/qat-node.service",
    "files/etc/accel-qat/node.json",
    "files/etc/default/grub",
    "files/boot/grub/grub.cfg",
    "files/var/lib/accel-qat/kernel_arguments",
    "files/var/lib/accel-qat/kubelet.json",
    "files/var/lib/kubelet/config.yaml",
    "files/var/lib/kubelet/kubeadm-flags.env",
    "files/etc/default/kubelet",
    "files/etc/systemd/system/kubelet.service",
    "files/etc/systemd/system/kubelet.service.d/10-x.conf",
    "files/etc/systemd/system/qat-node.service",
}


@pytest.fixture
def node(tmp_path: Path) -> NodeWithSecrets:
    return NodeWithSecrets(tmp_path)


def texts(path: Path) -> dict[str, str]:
    with tarfile.open(path) as archive:
        found: dict[str, str] = {}
        for member in archive.getmembers():
            stream = archive.extractfile(member)
            assert stream is not None
            found[member.name] = stream.read().decode()
    return found


def test_no_secret_is_in_the_archive_and_all_else_is(node: NodeWithSecrets, tmp_path: Path) -> None:
    node.fill()
    bundle = node.gather()
    path = tmp_path / "a.tar.gz"
    size = bundle.write(str(path))
    assert (path.stat().st_mode & 0o777, path.stat().st_size) == (0o600, size)
    found = texts(path)
    assert EXPECTED - set(found) == set(), bundle.missing
    assert len(node.secrets) > 40
    assert [(name, secret) for name, text in found.items() for secret in node.secrets if there(secret, text)] == []
    # In an order of its own, with the list first.
    assert list(found)[:2] == ["README", "index.json"]
    assert list(found)[2:] == sorted(list(found)[2:])
    index = json.loads(found["index.json"])
    assert [one["name"] for one in index["files"]] == list(found)[2:]
    assert index["redacted"] == sum(one["redacted"] for one in index["files"]) > 20
    assert json.loads(found["qat/plan.json"])["left_to_do"] is True
    assert json.loads(found["system/versions.json"])["qatctl"] == "qatctl 0.1.0"
    assert "vfio-pci 0000:6b:00.1: enabling device" in found["logs/kernel"]
    assert "Got registration of device plugin" in found["logs/kubelet.service"]
    assert "cpuManagerPolicy: static" in found["files/var/lib/kubelet/config.yaml"]
    assert json.loads(found["kubelet/checkpoint.json"])["pods"] == [
        {"PodUID": "u", "ContainerName": "c", "ResourceName": "r", "DeviceIDs": {"0": ["d"]}}
    ]
    assert "--config=/var/lib/kubelet/config.yaml" in json.loads(found["kubelet/kubelet.json"])["words"]
    devices = json.loads(found["sysfs/devices.json"])
    assert {"0000:6b:00.0", "0000:6b:00.1"} <= set(devices)
    assert devices["0000:6b:00.0"]["sriov_totalvfs"] == "2"
    assert not any("shadow" in name for name in found)


def test_what_the_services_say_is_there_each_by_itself(node: NodeWithSecrets, tmp_path: Path) -> None:
    with server(lambda one: one.sendall(OK)) as plugin, server(lambda one: one.sendall(b"SSH-2.0\r\n")) as exporter:
        node.addresses = {"plugin_address": f"127.0.0.1:{plugin}", "exporter_address": f"127.0.0.1:{exporter}"}
        bundle = node.gather()
    bundle.write(str(tmp_path / "a.tar.gz"))
    found = texts(tmp_path / "a.tar.gz")
    assert (found["device_plugin/readyz"], found["device_plugin/metrics"]) == ("HTTP status 200\nok\n", "ok\n")
    reasons = {one.name: one.reason for one in bundle.missing}
    pages = ("exporter/readyz", "exporter/healthz", "exporter/metrics")
    assert {reasons[page] for page in pages} == {"it does not speak HTTP"}


def test_a_bare_node_has_an_archive_that_says_what_is_missing(node: NodeWithSecrets, tmp_path: Path) -> None:
    bundle = node.gather()
    bundle.write(str(tmp_path / "a.tar.gz"))
    reasons = {one.name: one.reason for one in bundle.missing}
    assert reasons["kubelet/checkpoint.json"] == "not there"
    assert reasons["systemd/qat-node.service"] == "the node has no command systemctl"
    assert reasons["system/cmdline"] == "not there"
    found = texts(tmp_path / "a.tar.gz")
    assert "What could not be had:" in found["README"]
    missing = {one["name"]: one["reason"] for one in json.loads(found["index.json"])["missing"]}
    assert missing == reasons


def test_a_part_that_breaks_keeps_nothing_from_the_others(
    node: NodeWithSecrets, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.fill()

    def broken(*_arguments: t.Any) -> t.NoReturn:
        raise KeyError("token hunter2")

    for name in ("read_node", "functions", "find_kubelet", "boot_files"):
        monkeypatch.setattr(gather_module, name, broken)
    bundle = node.gather()
    reasons = {one.name: one.reason for one in bundle.missing}
    for name in ("qat/devices.json", "sysfs/devices.json", "kubelet/kubelet.json", "of_boot"):
        assert reasons[name].startswith("cannot be taken: KeyError: "), reasons
        assert "hunter2" not in reasons[name]
    assert {"logs/kernel", "files/etc/accel-qat/node.json", "system/cmdline"} <= set(bundle.entries)


def test_all_of_it_is_bounded(node: NodeWithSecrets) -> None:
    node.fill()
    node.write("/etc/accel-qat/node.json", "x" * 300_000)
    bundle = node.gather(most=3000)
    reasons = {one.name: one.reason for one in bundle.missing}
    assert sum(len(one.content) for one in bundle.entries.values()) <= 3000
    assert reasons["files/etc/accel-qat/node.json"] == f"larger than {256 << 10} bytes"
    assert "left out: the archive would have more than 3000 bytes" in reasons.values()
    late = node.gather(seconds=-1)
    assert late.entries == {}
    assert {one.reason for one in late.missing} == {"left out: all of it would take longer than -1 seconds"}


def test_the_archive_is_a_new_file_and_the_same_for_the_same_node(node: NodeWithSecrets, tmp_path: Path) -> None:
    node.fill()
    bundle = node.gather()
    contents = []
    for name in ("a", "b"):
        bundle.write(str(tmp_path / name))
        contents.append((tmp_path / name).read_bytes())
    assert contents[0] == contents[1]
    (tmp_path / "other").write_text("x")
    (tmp_path / "link").symlink_to("other")
    for name in ("a", "link"):
        with pytest.raises(NodeError, match="the archive cannot be written: File exists"):
            bundle.write(str(tmp_path / name))
    with pytest.raises(NodeError, match="the archive cannot be written: No such file or directory"):
        bundle.write(str(tmp_path / "none/a"))
    assert (tmp_path / "other").read_text() == "x"


def test_a_disk_that_is_full_leaves_no_archive(
    node: NodeWithSecrets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = node.gather()

    def full(_stream: t.Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bundle, "_pack", full)
    with pytest.raises(NodeError, match="make room there"):
        bundle.write(str(tmp_path / "a"))
    assert not (tmp_path / "a").exists()


def test_texts_stay_texts(node: NodeWithSecrets) -> None:
    node.write("/etc/modprobe.d/vfio.conf", "options vfio \x1b[31m\tx=\u00e4\n")
    content = node.gather().entries["files/etc/modprobe.d/vfio.conf"].content
    assert content.decode() == "options vfio \\x1b[31m\tx=\u00e4\n"


def test_a_kubeconfig_is_never_taken(node: NodeWithSecrets) -> None:
    node.fill()
    node.write(f"{KUBELET}/config.yaml", "apiVersion: v1\nkind: Config\nusers:\n- name: x\n  user: {x: y}\n")
    bundle = node.gather()
    assert "files/var/lib/kubelet/config.yaml" not in bundle.entries
    assert {one.name: one.reason for one in bundle.missing}["files/var/lib/kubelet/config.yaml"] == "it is a kubeconfig"


def test_a_file_of_variables_that_only_the_unit_names_is_one_of_variables(node: NodeWithSecrets) -> None:
    """Of those that are not known the names are enough."""
    node.fill()
    path = "/etc/kubernetes/extra.env"
    node.write(path, f"SOMETHING={node.secret()}\nKUBELET_EXTRA_ARGS=--v=2 {node.secret()}\n")
    node.program(
        "systemctl",
        "cat << 'EOF'\nId=kubelet.service\nLoadState=loaded\nActiveState=active\nMainPID=0\n"
        "ExecStart={ path=/usr/bin/kubelet ; argv[]=/usr/bin/kubelet $KUBELET_EXTRA_ARGS ; ignore_errors=no }\n"
        f"EnvironmentFiles={path} (ignore_errors=yes)\nEOF",
    )
    text = node.gather().entries[f"files{path}"].content.decode()
    assert text == "SOMETHING=[redacted]\nKUBELET_EXTRA_ARGS=--v=2 [redacted]\n"


def test_of_kubelet_more_lines_are_looked_through_than_of_others(node: NodeWithSecrets) -> None:
    """With pods that fail again and again, what it says of devices is not among the last."""
    node.fill()
    head = "2026-11-29T10:05:30+0000 node kubelet[812]: "
    node.program(
        "journalctl",
        'for word; do case "$word" in --lines=*) lines=${word#--lines=};; esac; done\n'
        f'{{ echo "{head}Got registration of device plugin"; yes "{head}back-off of a pod" | head -n 5000; }} | tail -n "$lines"',
    )
    entries = node.gather().entries
    assert entries["logs/kubelet.service"].content.decode() == f"{head}Got registration of device plugin\n"
    assert entries["logs/qat-node.service"].content.count(b"\n") == 1500


def test_an_audited_command_of_others_is_left_out(node: NodeWithSecrets) -> None:
    (node.files.dev / "kmsg").write_text(
        '6,1,1000,-;audit: type=1309 audit(1.2:3): argc=3 a0="qatctl" a1="-p" a2="hunter2"\n'
        "6,2,2000,-;vfio-pci 0000:6b:00.1: enabling device\n"
    )
    assert node.gather().entries["logs/kernel"].content == b"[    0.002000] vfio-pci 0000:6b:00.1: enabling device\n"


def test_the_name_of_a_file_does_nothing_to_the_terminal(node: NodeWithSecrets) -> None:
    node.write("/etc/default/grub.d/a\x1b[31m\x9b.cfg", "GRUB_TIMEOUT=0\n")
    files = dict(node.gather().files())
    assert "files/etc/default/grub.d/a__31m_.cfg" in files
    for name in ("README", "index.json"):
        text = files[name].decode()
        assert not {"\x1b", "\x9b"} & set(text)
        assert "/etc/default/grub.d/a\\x1b[31m\\x9b.cfg" in text.replace("\\\\", "\\")
