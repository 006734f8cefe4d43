# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Devices that pods have by a claim (dynamic resource allocation), by what kubelet says and by what it keeps: no other field has them."""

from __future__ import annotations

import json
import os
import typing as t
from pathlib import Path

import pytest
from harness.pod_resources import CY, VF0, VF1, Claimed, KubeletThread, entry, holders_of, kept_claim
from qat_device_plugin import cdi
from qat_device_plugin._node.files import LARGEST, read_whole
from qat_device_plugin._node.users import claimed
from qat_device_plugin._node.users.podresources import Given
from qat_device_plugin._node.users.pods import Pods

SPECIFICATION = """cdiVersion: 0.6.0
containerEdits: {}
devices:
- containerEdits:
    deviceNodes:
    - path: /dev/vfio/vfio
    - hostPath: /dev/vfio/12
      path: /dev/vfio/12
  name: fast-1
kind: example.com/qat
"""


@pytest.fixture
def specifications(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "cdi"
    directory.mkdir()
    monkeypatch.setattr(claimed, "CDI_DIRECTORIES", (str(tmp_path / "none"), str(directory)))
    return directory


def claim(kubelet: KubeletThread, *devices: Claimed) -> None:
    kubelet.fake.pods["default", "web-0"] = {"app": {}}
    kubelet.fake.claims["default", "web-0", "app"] = list(devices)
    kubelet.start()


@pytest.mark.parametrize(
    "device",
    [
        Claimed("qatvf-0000-6b-00-1"),
        Claimed("0000:6b:00.1", "example.com"),
        Claimed("pci-0000-6b-00-1", "nic.example.com"),
        Claimed("vf7", cdi=("intel.com/qat=qatvf-0000-6b-00-1",)),
    ],
)
@pytest.mark.usefixtures("specifications")
def test_a_claimed_device_with_an_address(kubelet: KubeletThread, device: Claimed) -> None:
    claim(kubelet, device)
    assert holders_of(kubelet, VF0) == ["pod default/web-0 (container app)"]
    assert holders_of(kubelet, VF1) == []


@pytest.mark.parametrize(
    "device", [Claimed("fast-1"), Claimed("x", "example.com", ("example.com/qat=fast-1", "example.com/qat=fast-2"))]
)
@pytest.mark.parametrize("text", [SPECIFICATION, '{"devices": [{"name": "fast-1", "path": "/dev/vfio/12"}]}'])
def test_a_claimed_device_by_its_specification(
    kubelet: KubeletThread, specifications: Path, device: Claimed, text: str
) -> None:
    (specifications / "example.com-qat.yaml").write_text(text)
    (specifications / "other.json").write_text('{"devices": [{"name": "fast-11", "path": "/dev/vfio/13"}]}')
    claim(kubelet, device)
    found = Pods([str(kubelet.root)]).assignments()
    assert [str(one) for one in found.of(VF0, "12")] == ["pod default/web-0 (container app)"]
    assert found.of(VF0, "13") == found.of(VF0, None) == ()


@pytest.mark.parametrize(
    "text",
    [
        SPECIFICATION.replace("fast-1", "41"),
        SPECIFICATION.replace("fast-1", "'41'  # ours"),
        'kind: example.com/qat\ndevices: [{name: "41", containerEdits: {deviceNodes: [{path: /dev/vfio/12}]}}]\n',
        '{"kind": "example.com/qat", "devices": [{"name": "41", "path": "/dev/vfio/12"}, {"name": "7", "path": "/dev/vfio/13"}]}',
        '{"kind": "example.com/qat", "devices": [{"name": "41"}], "containerEdits": {"deviceNodes": [{"path": "/dev/vfio/12"}]}}',
        '{"kind": "example.com/qat", "devices": [{"name": "41", "path": "/dev/vfio/12"}',
        '{"kind": "example.com/qat", "devices": {"name": "41", "path": "/dev/vfio/12"}}',
    ],
    ids=["yaml", "yaml with quotes", "yaml in braces", "json", "json for all", "broken json", "json of another form"],
)
@pytest.mark.parametrize("device", [Claimed("41"), Claimed("x", cdi=("example.com/qat=41",))], ids=["name", "cdi"])
def test_how_a_specification_names_a_device(
    kubelet: KubeletThread, specifications: Path, device: Claimed, text: str
) -> None:
    (specifications / "one.json").write_text(text)
    claim(kubelet, device)
    found = Pods([str(kubelet.root)]).assignments()
    assert [str(one) for one in found.of(VF0, "12")] == ["pod default/web-0 (container app)"]
    assert found.of(VF1, "13") == ()


@pytest.mark.parametrize("name", ["41", "rw", "vfio", "cy", "name", "vf", "0.5.0", ""])
@pytest.mark.parametrize("text", [None, SPECIFICATION.replace("/12", "/41"), SPECIFICATION.replace("fast-1", "x-41")])
def test_a_word_of_a_specification_is_no_device(
    kubelet: KubeletThread, specifications: Path, name: str, text: str | None
) -> None:
    """As those of GPUs, which are numbers, in the specifications of this plugin and of others."""
    ours = {VF0: "/dev/vfio/41", VF1: "/dev/vfio/42"}
    (specifications / "one.json").write_text(text or json.dumps(cdi.specification(ours, CY), indent=2))
    claim(kubelet, Claimed(name, "gpu.example.com"), Claimed(name, "gpu.example.com", (f"gpu.example.com/gpu={name}",)))
    found = Pods([str(kubelet.root)]).assignments()
    assert found.of(VF0, "41") == found.of(VF1, "42") == ()


@pytest.mark.parametrize(
    "text", [SPECIFICATION, '{"kind": "example.com/qat", "devices": [{"name": "fast-1", "path": "/dev/vfio/12"}]}']
)
def test_a_device_of_another_kind_is_another(kubelet: KubeletThread, specifications: Path, text: str) -> None:
    (specifications / "one.yaml").write_text(text)
    claim(kubelet, Claimed("fast-1", "example.com", ("example.com/gpu=fast-1",)))
    assert Pods([str(kubelet.root)]).assignments().of(VF0, "12") == ()


class Calls:
    """A function, and how often it was called."""

    def __init__(self, function: t.Callable[..., t.Any]) -> None:
        self._function = function
        self.count = 0

    def __call__(self, *arguments: t.Any, **named: t.Any) -> t.Any:
        self.count += 1
        return self._function(*arguments, **named)


@pytest.mark.parametrize("listed", [True, False])
def test_specifications_are_read_once_for_all_claims(
    kubelet: KubeletThread, specifications: Path, monkeypatch: pytest.MonkeyPatch, listed: bool
) -> None:
    """Once for each look, not for each device, or each VFIO node of each: there are thousands of pairs on a node with GPUs."""
    nodes = "".join(f"    - path: /dev/vfio/{number}\n" for number in range(128))
    (specifications / "one.yaml").write_text(f"devices:\n- containerEdits:\n    deviceNodes:\n{nodes}  name: none\n")
    (specifications / "two.json").write_text(json.dumps({"devices": [{"name": str(one)} for one in range(128)]}))
    gpus = [f"gpu-{number}" for number in range(8)]
    if listed:
        claim(kubelet, *(Claimed(gpu, "gpu.example.com") for gpu in gpus))
    else:
        kubelet.keep_claims([kept_claim("11-22", gpu, "gpu.example.com") for gpu in gpus])
    read, looked = Calls(read_whole), Calls(claimed._is_named)
    monkeypatch.setattr(claimed, "read_whole", read)
    monkeypatch.setattr(claimed, "_is_named", looked)
    assert holders_of(kubelet, VF0) == []
    assert (read.count, looked.count) == (2, 8)


@pytest.mark.parametrize("claims", [[kept_claim("gone", "mystery")], [kept_claim("11-22", "qatvf-0000-6b-00-1")]])
def test_specifications_are_read_for_what_is_not_known_without(
    kubelet: KubeletThread, specifications: Path, monkeypatch: pytest.MonkeyPatch, claims: list[dict[str, t.Any]]
) -> None:
    """Not for pods that are gone, nor for names that have an address."""
    (specifications / "one.yaml").write_text(SPECIFICATION)
    read = Calls(read_whole)
    monkeypatch.setattr(claimed, "read_whole", read)
    kubelet.keep_claims(claims)
    assert holders_of(kubelet, VF1) == []
    assert read.count == 0


def test_a_claimed_device_that_nothing_identifies(kubelet: KubeletThread, specifications: Path) -> None:
    (specifications / "other.yaml").write_text(SPECIFICATION)
    claim(kubelet, Claimed("mystery"), Claimed("gpu-0", "gpu.example.com"))
    why = "pod default/web-0 (container app) has mystery by a claim, and nothing says which VF that is"
    assert holders_of(kubelet, VF0) == [f"perhaps a pod ({why})"]


def test_a_claimed_device_of_others(kubelet: KubeletThread, specifications: Path) -> None:
    (specifications / "other.yaml").write_text(SPECIFICATION)
    claim(kubelet, Claimed("gpu-0", "gpu.example.com"))
    assert holders_of(kubelet, VF0) == []


@pytest.mark.parametrize("key", ["ClaimInfoStateList", "Entries"])
@pytest.mark.parametrize("runs", [True, False])
@pytest.mark.usefixtures("specifications")
def test_claims_of_a_kubelet_that_lists_nothing(kubelet: KubeletThread, runs: bool, key: str) -> None:
    kubelet.keep_claims([kept_claim("11-22", "qatvf-0000-6b-00-1"), kept_claim("gone", "qatvf-0000-6b-00-2")], key=key)
    if runs:
        kubelet.start()
    assert holders_of(kubelet, VF0) == ["pod with uid 11-22 (container unknown, claim vf, by kubelet's checkpoint)"]
    assert holders_of(kubelet, VF1) == []


@pytest.mark.usefixtures("specifications")
def test_a_claim_that_kubelet_lists_is_reported_once(kubelet: KubeletThread) -> None:
    kubelet.keep_claims([kept_claim("11-22", "qatvf-0000-6b-00-1")])
    claim(kubelet, Claimed("qatvf-0000-6b-00-1"))
    assert holders_of(kubelet, VF0) == ["pod default/web-0 (container app)"]


@pytest.mark.usefixtures("specifications")
def test_a_kept_claim_that_nothing_identifies(kubelet: KubeletThread) -> None:
    kubelet.keep_claims([kept_claim("11-22", "mystery")])
    assert "has mystery by a claim, and nothing says which VF that is" in holders_of(kubelet, VF0)[0]


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "[]", '{"Data": "{"}', '{"Data": 7}', '{"Data": "[]"}'])
def test_kept_claims_of_another_form(kubelet: KubeletThread, text: str) -> None:
    kubelet.keep_claims([]).write_text(text)
    (unknown,) = holders_of(kubelet, VF0)
    assert "dra_manager_state cannot be read: " in unknown


def test_claims_of_an_older_kubelet_name_no_devices(kubelet: KubeletThread) -> None:
    old = {"DriverName": "qat.intel.com", "ClaimName": "vf", "PodUIDs": {"11-22": {}}, "CDIDevices": {}}
    kubelet.keep_claims([]).write_text(json.dumps({"version": "v1", "entries": [old], "checksum": 1}))
    assert holders_of(kubelet, VF0) == []


def test_specifications_that_cannot_be_read(kubelet: KubeletThread, specifications: Path) -> None:
    (specifications / "one.json").mkdir()
    claim(kubelet, Claimed("fast-1"))
    assert holders_of(kubelet, VF0) == ["perhaps a pod (kubelet does not answer: Is a directory)"]


def test_a_specification_of_which_a_part_could_lack_the_name(kubelet: KubeletThread, specifications: Path) -> None:
    (specifications / "one.json").touch()
    os.truncate(specifications / "one.json", LARGEST + 1)
    claim(kubelet, Claimed("fast-1"))
    assert holders_of(kubelet, VF0) == ["perhaps a pod (kubelet does not answer: File too large)"]


@pytest.mark.parametrize(("is_directory", "reason"), [(True, "Is a directory"), (False, "File too large")])
def test_a_specification_that_cannot_be_read_hides_claims_alone(
    kubelet: KubeletThread, specifications: Path, is_directory: bool, reason: str
) -> None:
    kubelet.checkpoint([entry("11-22", [VF0])], alive=["11-22"])
    kubelet.keep_claims([kept_claim("11-22", "mystery")])
    broken = specifications / "one.json"
    if is_directory:
        broken.mkdir()
    else:
        broken.touch()
        os.truncate(broken, LARGEST + 1)
    kept = Pods([str(kubelet.root)]).kept()
    assert kept.devices == ((Given("", "11-22", "app", CY, VF0),), "")
    assert kept.claims == ((), f"{broken} cannot be read: {reason}")


@pytest.mark.parametrize("listed", [True, False])
def test_a_file_in_the_place_of_specifications_hides_no_claim(
    kubelet: KubeletThread, specifications: Path, listed: bool
) -> None:
    """Runtimes find none there, either. That a place on the way is a file says only of what is behind it that it is not there."""
    specifications.rmdir()
    specifications.touch()
    if listed:
        claim(kubelet, Claimed("mystery", "example.com"), Claimed("qatvf-0000-6b-00-1"))
    else:
        kubelet.keep_claims([kept_claim("11-22", "mystery", "example.com"), kept_claim("11-22", "qatvf-0000-6b-00-1")])
    found = Pods([str(kubelet.root)]).assignments()
    assert (len(found.of(VF0)), found.of(VF1), found.unknown) == (1, (), "")


@pytest.mark.usefixtures("specifications")
def test_a_file_in_the_place_of_the_pods_hides_nothing(kubelet: KubeletThread) -> None:
    """It is not known then which pods live."""
    kubelet.checkpoint([entry("11-22", {"-1": [VF0]})])
    path = kubelet.keep_claims([kept_claim("11-22", "qatvf-0000-6b-00-2")])
    pods = path.with_name("pods")
    (pods / "11-22").rmdir()
    pods.rmdir()
    pods.touch()
    problem = f"{pods} cannot be read: Not a directory"
    assert Pods([str(kubelet.root)]).kept() == (((), problem), ((), problem))
    assert problem in Pods([str(kubelet.root)]).assignments().unknown
