# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of the node from one scan to the next: what has vanished, and what is another device now."""

from __future__ import annotations

import contextlib
import inspect
import re
import typing as t
from pathlib import Path

import pytest
from harness.node_files import NodeFiles
from qat_device_plugin import reasons as why
from qat_device_plugin._node.devices.read import read_devices
from qat_device_plugin._node.devices.rules import Rule, parse_configuration
from qat_device_plugin._node.kernel.live import LiveKernel
from qat_device_plugin.catalogue import Claims, OfferedVf, Snapshot, claims_of
from qat_device_plugin.health import Reading
from qat_device_plugin.model import Model, Scan, advance, changes, with_rules
from qat_device_plugin.probe import read_groups

CY, DC, GENERIC = "qat.intel.com/cy", "qat.intel.com/dc", "qat.intel.com/generic"
VM_CY = "qat.intel.com/vm-cy"
PF, OTHER = "0000:6b:00.0", "0000:70:00.0"
VFS = NodeFiles.vf_addresses(PF, 4)


class Course:
    """A model, and what it makes of the files scan by scan."""

    def __init__(self, files: NodeFiles, *rules: dict[str, t.Any]) -> None:
        self.files = files
        self.model = Model()
        self.rules = self._rules(*rules)
        self.given: dict[str, frozenset[str]] | None = {}
        self.named: frozenset[str] | None = None
        self.claims: Claims | None = Claims()
        self._now = 0.0
        self.look()

    @staticmethod
    def _rules(*rules: dict[str, t.Any]) -> tuple[Rule, ...]:
        return parse_configuration({"devices": list(rules) or [{}]})

    def look(self, reading: Reading | None = None, seconds: float = 5.0) -> list[dict[str, str]]:
        """Look at the files so much later, with this reading of the PF; returns the news."""
        self._now += seconds
        with contextlib.closing(LiveKernel(str(self.files.sys), str(self.files.proc), str(self.files.dev))) as kernel:
            node = read_devices(kernel)
            snapshot = Snapshot(node, frozenset(kernel.list("/dev/vfio")), read_groups(kernel, node))
        before = self.model
        readings = {} if reading is None else {PF: reading}
        scan = Scan(self._now, snapshot, readings, given=self.given, named=self.named, claims=self.claims)
        self.model = advance(before, scan, self.rules)
        return changes(before, self.model)

    def reload(self, *rules: dict[str, t.Any]) -> list[dict[str, str]]:
        before = self.model
        self.rules = self._rules(*rules)
        self.model = with_rules(before, self.rules, self._now)
        return changes(before, self.model)

    @property
    def offers(self) -> dict[str, dict[str, str]]:
        """The codes of the reasons by VF, by resource. No resource has a VF twice: kubelet would count one more than there is."""
        for vfs in self.model.offers.values():
            assert len({vf.address for vf in vfs}) == len(vfs)
        return {
            resource: {vf.address: ",".join(reason.code for reason in vf.reasons) for vf in vfs}
            for resource, vfs in self.model.offers.items()
        }


@pytest.fixture
def files(tmp_path: Path) -> NodeFiles:
    files = NodeFiles(tmp_path)
    files.add_pf(PF, vfs=4)
    return files


def events(news: t.Iterable[dict[str, str]]) -> dict[str, str]:
    return {one["vf"]: one["event"] for one in news}


HEALTHY = dict.fromkeys(VFS, "")
VANISHED = dict.fromkeys(VFS, "vanished")


def test_what_vanished_stays_until_its_pf_offers_it_again(files: NodeFiles) -> None:
    course = Course(files)
    files.remove_vfs(PF)
    news = course.look()
    assert events(news) == dict.fromkeys(VFS, "vanished")
    assert {one["why"] for one in news} == {f"it is not on the node any more (it was a VF of {PF})"}
    assert course.offers == {CY: VANISHED}
    assert course.look() == []
    assert [vf.numa_node for vf in course.model.offers[CY]] == [0] * 4
    files.create_vfs(PF, 2)
    assert events(course.look()) == dict.fromkeys(VFS[:2], "appeared")
    assert course.offers == {CY: {**VANISHED, **dict.fromkeys(VFS[:2], "")}}
    files.bind(VFS[0], None)
    assert events(course.look()) == {VFS[0]: "unhealthy"}


def test_one_vf_that_vanished_takes_no_place_of_another(files: NodeFiles) -> None:
    course = Course(files, {"advertise": 2})
    assert course.offers == {CY: dict.fromkeys(VFS[:2], "")}
    (files.devices / PF / "virtfn0").unlink()
    (files.devices / VFS[0]).rename(files.root / "gone")
    course.look()
    assert course.offers == {CY: {VFS[1]: "", VFS[0]: "vanished"}}


def test_a_pf_that_vanished_takes_its_vfs_along(files: NodeFiles) -> None:
    course = Course(files)
    files.remove_vfs(PF)
    (files.devices / PF).rename(files.root / "gone")
    course.look()
    course.look()
    assert course.offers == {CY: VANISHED}
    (files.root / "gone").rename(files.devices / PF)
    files.create_vfs(PF, 4)
    course.look()
    assert course.offers == {CY: HEALTHY}


def test_rules_that_are_read_again_forget_what_vanished(files: NodeFiles) -> None:
    """Also those that say the same."""
    course = Course(files)
    files.remove_vfs(PF)
    course.look()
    assert events(course.reload({})) == dict.fromkeys(VFS, "withdrawn")
    assert course.offers == {CY: {}}
    course.look()
    assert course.offers == {CY: {}}


@pytest.mark.parametrize("rule", [{"advertise": 0}, {"state": "absent"}, {"driver": "4xxxvf"}])
def test_what_the_rules_do_not_offer_any_more_has_not_vanished(files: NodeFiles, rule: dict[str, t.Any]) -> None:
    course = Course(files)
    assert events(course.reload(rule)) == dict.fromkeys(VFS, "withdrawn")
    files.remove_vfs(PF)
    assert course.look() == []
    assert course.offers == {CY: {}}


def test_fewer_that_are_advertised_are_no_loss(files: NodeFiles) -> None:
    course = Course(files)
    assert events(course.reload({"advertise": 3})) == {VFS[3]: "withdrawn"}
    course.look()
    assert course.offers == {CY: dict.fromkeys(VFS[:3], "")}


def test_a_rule_that_takes_another_pf_by_now_withdraws_what_is_there(files: NodeFiles) -> None:
    """PFs are counted, and one before it has gone."""
    others = files.add_pf(OTHER, vfs=4)
    course = Course(files, {"select": {"index": 1}})
    assert course.offers == {CY: dict.fromkeys(others, "")}
    files.remove_vfs(PF)
    (files.devices / PF).rename(files.root / "gone")
    assert events(course.look()) == dict.fromkeys(others, "withdrawn")
    assert course.offers == {CY: {}}


def test_other_services_are_another_resource_and_no_loss(files: NodeFiles) -> None:
    """In the order of a change: the VFs go, and come back as another resource."""
    course = Course(files)
    files.remove_vfs(PF)
    course.look()
    files.set_services(PF, "dc")
    course.look()
    assert course.offers == {CY: VANISHED}
    files.create_vfs(PF, 4)
    course.look()
    assert course.offers == {CY: {}, DC: HEALTHY}
    # And what has gone before the first list of it was there once.
    files.remove_vfs(PF)
    course.look()
    assert course.offers == {CY: {}, DC: VANISHED}


def test_a_new_start_knows_nothing_of_before(files: NodeFiles) -> None:
    files.remove_vfs(PF)
    assert Course(files).offers == {}


def test_what_a_pod_has_and_a_new_process_does_not_find_is_not_healthy(files: NodeFiles) -> None:
    """From 1.36 on kubelet reports to the pod what the list says, and for healthy what is not in it: also after an upgrade."""
    course = Course(files)
    gone = dict.fromkeys(("0000:99:00.1", "0000:99:00.2"), frozenset({DC}))
    course.given = {
        **gone,
        "0000:99:00.3": frozenset({VM_CY, "example.com/x"}),
        "0000:99:00.4": frozenset({"example.com/x"}),
        "0000:99:00.5": frozenset({"qat.intel.com/others"}),
        "uio0": frozenset({CY}),
        VFS[0]: frozenset({CY}),
        PF: frozenset({CY}),
    }
    course.model = Model()
    course.look()
    lost = {DC: dict.fromkeys(gone, "vanished"), VM_CY: {"0000:99:00.3": "vanished"}}
    assert course.offers == {CY: HEALTHY, **lost}
    # Of its PF nothing is known, so that kubelet is given no NUMA node for it.
    assert {(vf.pf_address == vf.address, vf.numa_node) for vf in course.model.offers[DC]} == {(True, -1)}
    assert {reason.detail for vf in course.model.offers[DC] for reason in vf.reasons} == {
        "it is not on the node any more"
    }
    assert course.look() == []
    # Kubelet's checkpoint cannot be read for a while.
    course.given = None
    assert course.look() == []
    course.given = {}
    course.look()
    assert course.offers == {CY: HEALTHY, DC: {}, VM_CY: {}}


def test_kubelet_s_own_word_goes_before_what_its_checkpoint_keeps_of_pods_that_have_ended(files: NodeFiles) -> None:
    """As in a DaemonSet, whose pod does not see which pods have a directory: after a drain, with fewer VFs than before."""
    course = Course(files)
    gone = NodeFiles.vf_addresses(PF, 16)[4:]
    course.given = {**pods_have(CY, *gone), **pods_have(CY, VFS[0])}
    course.model = Model()
    course.look()
    assert course.offers == {CY: {**HEALTHY, **dict.fromkeys(gone, "vanished")}}
    course.named = frozenset({VFS[0], gone[0]})
    assert events(course.look()) == dict.fromkeys(gone[1:], "withdrawn")
    course.reload({})
    assert course.offers == {CY: {**HEALTHY, gone[0]: "vanished"}}
    course.named = frozenset()
    course.look()
    assert course.offers == {CY: HEALTHY}


def test_what_a_pod_has_stays_over_a_reload_with_its_pf(files: NodeFiles) -> None:
    """For as long as the pod has it, also where no VF is left by then."""
    course = Course(files)
    files.remove_vfs(PF)
    files.create_vfs(PF, 2)
    course.given = pods_have(CY, VFS[2])
    course.look()
    assert course.offers == {CY: {**HEALTHY, **dict.fromkeys(VFS[2:], "vanished")}}
    assert events(course.reload({})) == {VFS[3]: "withdrawn"}
    course.look()
    files.remove_vfs(PF)
    course.look()
    course.reload({})
    (lost,) = course.model.offers[CY]
    assert (lost.address, lost.pf_address, lost.numa_node) == (VFS[2], PF, 0)
    assert [reason.detail for reason in lost.reasons] == [f"it is not on the node any more (it was a VF of {PF})"]
    course.given = {}
    course.look()
    assert course.offers == {CY: {}}


def test_a_process_that_sees_no_vf_takes_nothing_for_lost(files: NodeFiles) -> None:
    """Its node has not been provisioned, or its container lacks a mount: it has nothing to take over with."""
    files.remove_vfs(PF)
    course = Course(files)
    course.given = {VFS[0]: frozenset({CY})}
    course.look()
    assert course.offers == {}


def test_a_card_behind_a_controller_that_has_a_domain_of_its_own(files: NodeFiles) -> None:
    """Those of VMD begin at 10000 (drivers/pci/controller/vmd.c, vmd_find_free_domain)."""
    vfs = files.add_pf("10000:01:00.0", services="dc", vfs=2)
    assert vfs == ["10000:01:00.1", "10000:01:00.2"]
    assert Course(files).offers == {CY: HEALTHY, DC: dict.fromkeys(vfs, "")}


# Another device at an address.


def replaced(files: NodeFiles, services: str | None, family: str) -> None:
    files.remove_vfs(PF)
    (files.devices / PF).rename(files.root / f"old-{family}")
    files.add_pf(PF, services=services, family=family, vfs=4)


def test_another_card_has_not_the_resource_of_the_one_before(files: NodeFiles) -> None:
    """Its services cannot be read so far."""
    course = Course(files)
    replaced(files, None, "6xxx")
    course.look()
    assert course.offers == {CY: VANISHED}
    assert list(course.model.left_out) == [PF]
    (files.devices / PF / "qat").mkdir()
    files.set_state(PF, "up")
    files.set_services(PF, "dc")
    course.look()
    assert course.offers == {CY: {}, DC: HEALTHY}


def test_the_same_card_keeps_its_resource_while_its_services_cannot_be_read(files: NodeFiles) -> None:
    course = Course(files)
    files.set_services(PF, "")
    course.look()
    assert course.offers == {CY: dict.fromkeys(VFS, "services")}


def test_another_card_has_not_the_health_of_the_one_before(files: NodeFiles) -> None:
    course = Course(files)
    for _ in range(2):
        course.look(Reading("up", False, 5))
    assert course.offers == {CY: dict.fromkeys(VFS, "heartbeat")}
    replaced(files, "asym;sym", "6xxx")
    course.look(Reading("up", None, 7))
    assert course.offers == {CY: HEALTHY}


def test_a_card_before_gen4_is_generic_whatever_files_it_has(tmp_path: Path) -> None:
    files = NodeFiles(tmp_path)
    files.add_pf(PF, services="asym;sym", family="c6xx", vfs=4)
    assert Course(files).offers == {GENERIC: HEALTHY}


# What pods have by the other way of attaching it.


def pods_have(resource: str, *vfs: str) -> dict[str, frozenset[str]]:
    return dict.fromkeys(vfs, frozenset({resource}))


GIVEN = dict.fromkeys(VFS, "given")


@pytest.mark.parametrize(("before", "after"), [(("container", CY), ("vm", VM_CY)), (("vm", VM_CY), ("container", CY))])
def test_what_a_pod_has_by_the_former_rule_is_given_to_no_other(
    files: NodeFiles, before: tuple[str, str], after: tuple[str, str]
) -> None:
    course = Course(files, {"attach": before[0]})
    course.given = pods_have(before[1], VFS[0])
    assert course.look() == []
    assert course.offers == {before[1]: HEALTHY}
    assert events(course.reload({"attach": after[0]})) == dict.fromkeys(VFS, "unhealthy")
    assert course.offers == {before[1]: {}, after[1]: GIVEN}
    # Kubelet may have given one in this moment, and its checkpoint does not show it yet.
    course.look(seconds=1.0)
    assert course.offers == {before[1]: {}, after[1]: GIVEN}
    assert events(course.look()) == dict.fromkeys(VFS[1:], "healthy")
    assert course.offers == {before[1]: {}, after[1]: {**HEALTHY, VFS[0]: "given"}}
    (reason,) = course.model.offers[after[1]][0].reasons
    assert reason.detail == f"a pod has it as {before[1]}, or may just have been given it so"
    course.given = {}
    assert events(course.look()) == {VFS[0]: "healthy"}


def test_a_rule_that_is_changed_back_takes_nothing_from_anybody(files: NodeFiles) -> None:
    course = Course(files)
    course.given = pods_have(CY, VFS[0])
    course.look()
    course.reload({"attach": "vm"})
    course.reload({})
    assert course.offers == {CY: HEALTHY, VM_CY: {}}


def test_a_plugin_that_starts_knows_what_pods_have(files: NodeFiles) -> None:
    course = Course(files, {"attach": "vm"})
    course.model = Model()
    course.given = {**pods_have(CY, VFS[0]), **pods_have(VM_CY, VFS[1]), **pods_have("example.com/x", VFS[2])}
    course.look()
    assert course.offers == {VM_CY: {**HEALTHY, VFS[0]: "given"}}


@pytest.mark.parametrize("rule", [{}, {"attach": "vm"}])
def test_what_a_pod_has_by_a_claim_is_given_to_no_other(files: NodeFiles, rule: dict[str, str]) -> None:
    """Kubelet's device manager, which counts what is free, knows nothing of claims, nor a DRA driver of device plugins."""
    course = Course(files, rule)
    resource = VM_CY if rule else CY
    node = f"/dev/vfio/{(files.devices / VFS[1] / 'iommu_group').resolve().name}"
    course.claims = Claims({VFS[0]: "qat.intel.com", node: "vfio.example.com", "0000:03:00.0": "gpu.example.com"})
    assert events(course.look()) == dict.fromkeys(VFS[:2], "unhealthy")
    assert course.offers[resource] == {**HEALTHY, **dict.fromkeys(VFS[:2], "given")}
    assert [reason.detail for vf in course.model.offers[resource] for reason in vf.reasons] == [
        f"a pod has it by a claim, from the driver {driver}" for driver in ("qat.intel.com", "vfio.example.com")
    ]
    course.claims = None
    assert course.look() == []
    course.claims = Claims()
    assert events(course.look()) == dict.fromkeys(VFS[:2], "healthy")


@pytest.mark.parametrize("rule", [{}, {"attach": "vm"}])
def test_claims_and_kubelets_checkpoint_are_known_each_without_the_other(
    files: NodeFiles, rule: dict[str, str]
) -> None:
    course = Course(files, rule)
    resource = VM_CY if rule else CY
    course.model, course.claims = Model(), None
    course.look()
    assert course.offers == {resource: HEALTHY}
    course.claims, course.given = Claims({VFS[0]: "qat.intel.com"}), None
    course.look()
    assert course.offers == {resource: {**HEALTHY, VFS[0]: "given"}}
    course.given, course.claims = {}, None
    course.reload(rule)
    course.look()
    assert course.offers == {resource: {**HEALTHY, VFS[0]: "given"}}


def test_of_claims_is_kept_what_can_be_a_vf() -> None:
    """A node may have hundreds of GPUs by claims, and no VF is compared with each of them."""
    gpus = [("gpu.example.com", f"gpu-{number}") for number in range(300)]
    assert claims_of(gpus) == Claims()
    vfs = [("vfio.example.com", "/dev/vfio/41"), ("qat.intel.com", VFS[0]), ("other.example.com", VFS[0])]
    assert claims_of([*gpus, *vfs]) == Claims({"/dev/vfio/41": "vfio.example.com", VFS[0]: "other.example.com"})
    assert claims_of([*gpus, ("qat.intel.com", "slow"), ("qat.intel.com", "fast")]) == Claims({}, "fast")


def test_a_claim_of_which_nothing_says_which_vf_it_is_may_be_of_any(files: NodeFiles) -> None:
    """But not of one that a pod has by this plugin."""
    course = Course(files)
    course.given, course.claims = pods_have(CY, VFS[2]), Claims({}, "fast\x1b")
    course.look()
    assert course.offers == {CY: {**GIVEN, VFS[2]: ""}}
    assert course.model.offers[CY][0].reasons == (why.given_by_unknown_claim("fast\x1b"),)
    assert "\x1b" not in course.model.offers[CY][0].reasons[0].detail


def test_what_pods_have_is_not_known(files: NodeFiles) -> None:
    """Those for containers are as on nodes that have no others. What was known stays."""
    for rule, expected in (({}, {CY: HEALTHY}), ({"attach": "vm"}, {VM_CY: GIVEN})):
        course = Course(files, rule)
        course.model, course.given = Model(), None
        course.look()
        assert course.offers == expected
        course.reload(rule)
        assert course.offers == expected
    course.given = pods_have(CY, VFS[0])
    course.look()
    course.given = None
    course.look()
    assert course.offers == {VM_CY: {**HEALTHY, VFS[0]: "given"}}


# Reasons.


def test_every_reason_has_a_code_of_its_table_and_one_home() -> None:
    codes = set()
    for name, function in inspect.getmembers(why, inspect.isfunction):
        if function.__module__ == why.__name__ and name != "vfio_node":
            arguments = dict.fromkeys(inspect.signature(function).parameters, "x")
            codes.add(function(**arguments).code)
    assert codes == set(why.REASONS)
    source = Path(why.__file__).parent
    made = [path.name for path in source.glob("*.py") if re.search(r"\bReason\(", path.read_text())]
    assert made == ["reasons.py"]


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (("vfio", "devices"), " (IOMMUFD without CONFIG_VFIO_GROUP)"),
        (("vfio", "12"), ""),
        ((), ""),
    ],
)
def test_a_kernel_without_groups_is_reported(files: NodeFiles, names: t.Sequence[str], shown: str) -> None:
    for path in (files.dev / "vfio").iterdir():
        path.unlink()
    for name in names:
        (files.dev / "vfio" / name).touch()
    details = [reason.detail for vf in Course(files).model.offers[CY] for reason in vf.reasons]
    assert details[0].startswith("/dev/vfio/10 is missing")
    assert all((shown in detail) if shown else detail.endswith(" is missing") for detail in details)


@pytest.mark.parametrize("other", ["0000:00:01.0", "0000:ff:01.0"], ids=["before", "after"])
@pytest.mark.parametrize(
    ("driver", "free"),
    [
        ("igb", False),
        ("4xxxvf", False),
        ("pcieport", True),
        ("pci-stub", True),
        ("vfio-pci", True),
        ("qat_vfio_pci", True),
    ],
)
def test_a_group_is_the_vfs_alone_unless_another_driver_has_part_of_it(
    files: NodeFiles, other: str, driver: str, free: bool
) -> None:
    files.add_function(other, driver)
    files.set_group(other, int(files.node(VFS[2]).name))
    reasons = {vf.address: vf.reasons for vf in Course(files).model.offers[CY]}
    assert [address for address, why_not in reasons.items() if why_not] == ([] if free else [VFS[2]])
    if not free:
        assert reasons[VFS[2]][0].code == "iommu_group"
        assert f" has {other} too, which is bound to {driver}" in reasons[VFS[2]][0].detail


def test_a_group_of_several_vfs_is_for_the_first(files: NodeFiles) -> None:
    for address in VFS[1:]:
        files.set_group(address, int(files.node(VFS[1]).name))
    reasons = {vf.address: " ".join(reason.detail for reason in vf.reasons) for vf in Course(files).model.offers[CY]}
    assert [address for address, detail in reasons.items() if not detail] == VFS[:2]
    assert all(f" has {VFS[1]} too, which is offered" in reasons[address] for address in VFS[2:])


def test_what_has_vanished_and_what_is_given_otherwise_is_known_by_its_reason_alone() -> None:
    vfs = {code: OfferedVf(VFS[0], PF, 0, "vfio-pci", (why.Reason(code, ""),)) for code in why.REASONS}
    assert [code for code, vf in vfs.items() if vf.vanished] == ["vanished"]
    assert [code for code, vf in vfs.items() if vf.given_otherwise] == ["given"]


@pytest.mark.parametrize(("of_vf", "numa_node"), [(-1, 1), (0, 0), (1, 1), (2, 2)])
def test_a_vf_is_on_its_own_numa_node_and_on_that_of_its_pf_where_it_has_none(
    files: NodeFiles, of_vf: int, numa_node: int
) -> None:
    (files.devices / PF / "numa_node").write_text("1\n")
    for address in VFS:
        (files.devices / address / "numa_node").write_text(f"{of_vf}\n")
    model = Course(files).model
    assert {vf.numa_node for vf in model.offers[CY]} == {numa_node}
    assert model.allotments[PF].numa_node == 1


LONE = ("0000:06:00.0", "0000:07:00.0")


def lone_vfs(tmp_path: Path, **others: t.Any) -> NodeFiles:
    files = NodeFiles(tmp_path)
    for address in LONE:
        files.add_vf(address, **others)
    return files


def test_vfs_without_their_pf_are_what_the_rules_say_they_are(tmp_path: Path) -> None:
    files = lone_vfs(tmp_path)
    course = Course(files, {"select": {"address": LONE[0]}, "services": ["dc"]}, {"select": {"device_id": "4941"}})
    assert course.offers == {DC: {LONE[0]: ""}, GENERIC: {LONE[1]: ""}}
    files.bind(LONE[0], None)
    course.look()
    assert course.offers == {DC: {LONE[0]: "driver"}, GENERIC: {LONE[1]: ""}}


def test_a_vf_without_its_pf_that_vanished_stays_until_the_rules_are_read_again(tmp_path: Path) -> None:
    files = lone_vfs(tmp_path)
    course = Course(files)
    files.remove_vf(LONE[1])
    assert [(one["event"], one["why"]) for one in course.look()] == [("vanished", "it is not on the node any more")]
    assert course.look() == []
    assert course.offers == {GENERIC: {LONE[0]: "", LONE[1]: "vanished"}}
    course.reload({})
    assert course.offers == {GENERIC: {LONE[0]: ""}}


def test_vfs_without_their_pf_need_no_iommu_where_vfio_has_their_nodes(tmp_path: Path) -> None:
    files = lone_vfs(tmp_path, noiommu=True)
    assert Course(files, {"noiommu": True}).offers == {GENERIC: dict.fromkeys(LONE, "")}


def test_a_pf_whose_driver_shows_no_services_is_offered_as_it_is_where_the_rule_says_so(tmp_path: Path) -> None:
    files = NodeFiles(tmp_path)
    files.add_pf(PF, services=None, vfs=4)
    assert Course(files).offers == {}
    course = Course(files, {"provision": False})
    assert course.offers == {GENERIC: HEALTHY}
    files.bind(VFS[3], "4xxxvf")
    course.look()
    assert course.offers == {GENERIC: dict.fromkeys(VFS[:3], "")}
    course.reload({"provision": False, "services": ["dc"]})
    assert course.offers == {GENERIC: {}, DC: dict.fromkeys(VFS[:3], "given")}
    course.look()
    assert course.offers == {GENERIC: {}, DC: dict.fromkeys(VFS[:3], "")}


def test_what_a_pod_has_by_the_former_statement_is_given_to_no_other(tmp_path: Path) -> None:
    """Nothing is written for another statement, so that nobody has had to end."""
    course = Course(lone_vfs(tmp_path))
    course.given = {**pods_have(GENERIC, LONE[0]), **pods_have("example.com/x", LONE[1])}
    course.look()
    assert course.offers == {GENERIC: dict.fromkeys(LONE, "")}
    for rule, resource in (({"services": ["dc"]}, DC), ({"services": ["dc"], "attach": "vm"}, "qat.intel.com/vm-dc")):
        course.reload(rule)
        course.look()
        assert course.offers[resource] == {LONE[0]: "given", LONE[1]: ""}
        (reason,) = course.model.offers[resource][0].reasons
        assert reason.detail == f"a pod has it as {GENERIC}, or may just have been given it so"
    course.given = {}
    course.look()
    assert course.offers["qat.intel.com/vm-dc"] == dict.fromkeys(LONE, "")


def test_of_several_resources_that_keep_a_vf_from_others_the_first_is_named(tmp_path: Path) -> None:
    """One reason is enough; which one does not depend on the order of a set, or it would be news in each log."""
    course = Course(lone_vfs(tmp_path), {"services": ["dc"]})
    course.given = {LONE[0]: frozenset({GENERIC, CY, DC})}
    course.look()
    assert course.offers == {DC: {LONE[0]: "given", LONE[1]: ""}}
    (reason,) = course.model.offers[DC][0].reasons
    assert f"as {CY}," in reason.detail


def test_what_is_not_provisioned_and_has_other_services_than_stated_is_unhealthy(files: NodeFiles) -> None:
    assert Course(files, {"provision": False, "services": ["dc"]}).offers == {DC: dict.fromkeys(VFS, "services")}
