# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hypothesis strategies: any node that can be, any configuration that somebody may want for it, and what can go wrong meanwhile."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from hypothesis import strategies as st

from ansible_collections.accel.qat.plugins.module_utils._node.devices.rules import ATTACH
from ansible_collections.accel.qat.plugins.module_utils._node.facts.families import FAMILIES, Family
from ansible_collections.accel.qat.plugins.module_utils._node.facts.services import SERVICES

from .families import family_named
from .generation import GENERATIONS
from .hardware import shape_of
from .kernel import FakeKernel
from .node import OWN, LoneVf, Nic, NodeSpec, Pf, Vf

Document = dict[str, t.Any]

_FAMILIES = tuple(family.name for family in FAMILIES)
_COMMON = ("4xxx", "4xxx", "420xx", "6xxx", "c6xx", "dh895xcc", "c3xxx")
_FREQUENT = _COMMON * 5 + _FAMILIES
_BUSES = (0x6B, 0x70, 0x75, 0x7A)
_LONE = ("0000:00:05.0", "0000:00:06.0", "0000:01:00.1")
_COMMANDS = ("qemu-system-x86", "dpdk-testpmd", "openssl")
_CONTAINER = "0123456789abcdef" * 4
_VFIO_DRIVERS = ("vfio-pci", "qat_vfio_pci")


@dataclass(frozen=True)
class _Surroundings:
    """What a PF can be depends on the rest of the node."""

    generation: str
    iommu: bool
    vfio: bool
    denylist: bool
    makes_vfs: bool


@st.composite
def nodes(draw: st.DrawFn, max_pfs: int = 4) -> NodeSpec:
    """Any node: PFs of any families, each with its driver or without, with VFs in any state or without, in use or not."""
    count = draw(st.integers(1, max_pfs) | st.integers(0, max_pfs))
    families = draw(st.lists(st.sampled_from(_FREQUENT), min_size=count, max_size=count))
    iommu = not _once_in(draw, 8)
    requires_iommu = draw(st.booleans())
    vfio = iommu and not _once_in(draw, 4)
    around = _Surroundings(
        generation=draw(st.sampled_from(tuple(GENERATIONS))),
        iommu=iommu,
        vfio=vfio,
        denylist=_once_in(draw, 3),
        makes_vfs=iommu or not requires_iommu,
    )
    loaded = _without_some(
        draw, sorted({family_named(name).pf_module for name in families if family_named(name).in_tree})
    )
    lone = draw(st.lists(st.sampled_from(_COMMON), max_size=3)) if _once_in(draw, 4) else []
    return NodeSpec(
        lone_vfs=tuple(draw(_lone_vfs(family, address, around)) for family, address in zip(lone, _LONE)),
        pfs=tuple(
            draw(_pfs(family, f"0000:{bus:02x}:00.0", around, family_named(family).pf_module in loaded))
            for family, bus in zip(families, _BUSES)
        ),
        nics=draw(st.just(()) | st.tuples(st.builds(Nic, st.just("0000:03:00.0"), vfs=st.sampled_from((0, 3, 7))))),
        generation=around.generation,
        iommu=iommu,
        loaded=(*loaded, "igb", *(("vfio_pci",) if vfio else ())),
        options={} if around.denylist else {"vfio_pci": ("disable_denylist=1",)},
        udev=draw(st.booleans()),
        cdevs=draw(st.booleans()),
        requires_iommu=requires_iommu,
        noiommu=None if iommu else draw(st.sampled_from((None, False, True))),
    )


def _once_in(draw: st.DrawFn, times: int) -> bool:
    """True once in so many times; False is the simpler one."""
    return draw(st.sampled_from((False,) * (times - 1) + (True,)))


def _without_some(draw: st.DrawFn, modules: t.Sequence[str]) -> tuple[str, ...]:
    """Mostly all of them."""
    return tuple(module for module in modules if not _once_in(draw, 12))


@st.composite
def _pfs(draw: st.DrawFn, name: str, address: str, around: _Surroundings, driven: bool) -> Pf:
    family = family_named(name)
    pf = Pf(
        family=name,
        address=address,
        numa_node=draw(st.sampled_from((-1, 0, 1))),
        device_id=draw(st.sampled_from([model.pf_id for model in family.models])),
        total_vfs=draw(st.sampled_from((None, None, None, None, None, 4, 4, 0))),
        driver=OWN if driven else None,
    )
    if not driven:
        return pf
    # total 0 has no SR-IOV, so no files for it either.
    total = shape_of(name).total_vfs if pf.total_vfs is None else pf.total_vfs
    if _once_in(draw, 16):
        return _replaced(pf, driver=None)
    changes: dict[str, t.Any] = {}
    if total:
        changes["autoprobe"] = draw(st.booleans())
    if total and around.makes_vfs and not _once_in(draw, 3):
        changes["vfs"] = draw(_vfs(family, total, around, changes["autoprobe"]))
    if family.has_services:
        changes["services"] = draw(st.none() | _service_texts(family, around.generation))
        if not changes.get("vfs"):
            changes["state"] = draw(st.sampled_from((None, None, "down")))
    return _replaced(pf, **changes)


@st.composite
def _lone_vfs(draw: st.DrawFn, name: str, address: str, around: _Surroundings) -> LoneVf:
    family = family_named(name)
    drivers = [driver for driver in _drivers(family, around) if driver != "qat_vfio_pci"]
    driver = draw(st.sampled_from(drivers))
    override = "vfio-pci" if driver == "vfio-pci" else draw(st.sampled_from((None, None, "vfio-pci", "none")))
    held_by = draw(st.sampled_from(("", "", "", *_COMMANDS))) if driver == "vfio-pci" else ""
    return LoneVf(
        family=name,
        address=address,
        numa_node=draw(st.sampled_from((-1, 0, 1))),
        device_id=draw(st.sampled_from([model.vf_id for model in family.models])),
        vf=Vf(driver, override if driver in (OWN, None, "vfio-pci") else driver, held_by),
    )


def _replaced(pf: Pf, **changes: t.Any) -> Pf:
    return Pf(**{**pf.__dict__, **changes})


def _service_texts(family: Family, generation: str) -> st.SearchStrategy[str]:
    strings = GENERATIONS[generation].services
    if strings:
        return st.sampled_from(strings)
    sets = st.lists(st.sampled_from(("sym", "asym", "dc")), min_size=1, max_size=family.max_services, unique=True)
    return st.just("dcc") | sets.map(";".join)


@st.composite
def _vfs(draw: st.DrawFn, family: Family, total: int, around: _Surroundings, autoprobe: bool) -> tuple[Vf, ...]:
    """Mostly alike, with a few that differ, as nodes are that several hands have worked on."""
    one = _one_vf(family, around, autoprobe)
    vfs = [draw(one)] * total
    others = st.lists(st.integers(0, total - 1), min_size=1, max_size=3, unique=True)
    for index in draw(st.just([]) | others):
        vfs[index] = draw(one)
    # Who has one VF open need not have them all.
    first = vfs[0]
    return tuple(Vf(vf.driver, vf.override) if vf is first and position else vf for position, vf in enumerate(vfs))


@st.composite
def _one_vf(draw: st.DrawFn, family: Family, around: _Surroundings, autoprobe: bool) -> Vf:
    driver = draw(st.sampled_from(_drivers(family, around)))
    if driver in _VFIO_DRIVERS:
        held_by = draw(st.sampled_from(("", "", "", *_COMMANDS)))
        return Vf(driver, driver, held_by, draw(st.sampled_from(("", _CONTAINER))) if held_by else "")
    if driver in (OWN, None):
        return Vf(driver, draw(st.sampled_from((None, None, "vfio-pci", "none"))))
    return Vf(driver, None if autoprobe else driver)


def _drivers(family: Family, around: _Surroundings) -> tuple[str | None, ...]:
    drivers: list[str | None] = [OWN, None]
    if around.vfio and not (family.denylisted and around.denylist):
        drivers += ["vfio-pci", "vfio-pci", "vfio-pci"]
    if around.vfio and family.name == "4xxx":
        drivers.append("qat_vfio_pci")
    if family.in_tree and family.vf_driver:
        drivers.append(family.vf_driver)
    return tuple(drivers)


def configurations(node: NodeSpec) -> st.SearchStrategy[Document]:
    """Any configuration for a node: mostly one that somebody could want for it, now and then nonsense that fits the schema."""
    wild = st.lists(_rules(node), max_size=4).map(lambda rules: {"devices": rules})
    return st.integers(0, 5).flatmap(lambda chance: _sensible(node) if chance else wild)


@st.composite
def _sensible(draw: st.DrawFn, node: NodeSpec) -> Document:
    """Rules for some of the PFs, and perhaps one for all others."""
    rules: list[Document] = []
    for pf in draw(st.permutations(node.pfs)):
        if draw(st.integers(0, 3)):
            rules.append(draw(_rule_for(pf, node)))
    for vf in node.lone_vfs:
        if draw(st.integers(0, 3)):
            rules.append(draw(_rule_for_vf(vf)))
    if not rules or draw(st.booleans()):
        rules.append(draw(_common_rule(node)))
    selections = [rule.get("select") for rule in rules]
    return {"devices": [rule for position, rule in enumerate(rules) if rule.get("select") not in selections[:position]]}


@st.composite
def _rule_for(draw: st.DrawFn, pf: Pf, node: NodeSpec) -> Document:
    family = family_named(pf.family)
    index = sorted(one.address for one in node.pfs).index(pf.address)
    same = (("address", pf.address), ("family", pf.family), ("index", index))
    key, value = draw(st.sampled_from(same))
    rule: Document = {"select": {key: value}, **draw(_desired(pf, family))}
    if family.has_services and draw(st.booleans()):
        rule["services"] = draw(_service_texts(family, node.generation)).split(";")
    return rule


@st.composite
def _rule_for_vf(draw: st.DrawFn, vf: LoneVf) -> Document:
    family = family_named(vf.family)
    key, value = draw(st.sampled_from((("address", vf.address), ("device_id", f"{vf.device_id:04x}"))))
    rule: Document = {"select": {key: value}, **draw(st.fixed_dictionaries({}, optional=_OF_ANY))}
    if family.has_services and draw(st.booleans()):
        rule["services"] = draw(st.sampled_from((["sym", "asym"], ["dc"])))
    if rule.get("provision") is False:
        rule.pop("noiommu", None)
    return rule


_OF_ANY: dict[str, st.SearchStrategy[t.Any]] = {
    "when_in_use": st.sampled_from(("fail", "skip", "force")),
    "provision": st.sampled_from((True, True, False)),
    "noiommu": st.booleans(),
}


def _desired(pf: Pf, family: Family) -> st.SearchStrategy[Document]:
    total = shape_of(pf.family).total_vfs if pf.total_vfs is None else pf.total_vfs
    drivers = ("vfio-pci", "vfio-pci", "vfio-pci", *((family.vf_driver,) if family.vf_driver else ("qat_vfio_pci",)))
    present = st.fixed_dictionaries(
        {},
        optional={
            "driver": st.sampled_from(drivers),
            "vfs": st.just(total),
            "advertise": st.integers(0, total),
            "attach": st.sampled_from(ATTACH),
            "when_in_use": st.sampled_from(("fail", "skip", "force")),
        },
    ).map(_without_contradiction)
    absent = st.fixed_dictionaries(
        {"state": st.just("absent")}, optional={"when_in_use": st.sampled_from(("fail", "skip", "force"))}
    )
    left = st.fixed_dictionaries({"provision": st.just(False)}, optional={"advertise": st.integers(0, total)})
    kinds = (absent, present, present, present, present, present, left, present.map(_without_iommu))
    return st.sampled_from(kinds).flatmap(lambda kind: kind)


def _without_iommu(rule: Document) -> Document:
    return {**rule, "noiommu": True}


def _without_contradiction(rule: Document) -> Document:
    """A VF on a driver of the host is attached to nothing."""
    if rule.get("driver", "vfio-pci") in _VFIO_DRIVERS:
        return rule
    return {key: value for key, value in rule.items() if key != "attach"}


def _common_rule(node: NodeSpec) -> st.SearchStrategy[Document]:
    desired: dict[str, st.SearchStrategy[t.Any]] = {"when_in_use": st.sampled_from(("fail", "skip", "force"))}
    if all(family_named(one.family).has_services for one in node.devices):
        desired["services"] = st.sampled_from((["sym", "asym"], ["dc"]))
    return st.fixed_dictionaries({}, optional=desired)


@st.composite
def _rules(draw: st.DrawFn, node: NodeSpec) -> Document:
    rule: Document = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "select": _selections(node),
                "state": st.sampled_from(("present", "present", "absent")),
                "services": st.lists(st.sampled_from(SERVICES), min_size=1, max_size=3, unique=True),
                "driver": st.sampled_from(("vfio-pci", "vfio-pci", "qat_vfio_pci", "c6xxvf", "no-such-driver")),
                "vfs": st.sampled_from((0, 4, 16, 16, 32)),
                "advertise": st.sampled_from((0, 1, 4, 16, 32)),
                "attach": st.sampled_from(ATTACH),
                **_OF_ANY,
            },
        )
    )
    return rule


def _selections(node: NodeSpec) -> st.SearchStrategy[Document]:
    addresses = tuple(one.address for one in node.devices) * 4 + (
        "0000:6b:00.1",
        "0000:03:00.0",
        "0000:ff:00.0",
    )
    families = tuple(pf.family for pf in node.pfs) * 3 + _COMMON
    models = tuple(model for family in FAMILIES for model in family.models)
    ids = tuple(f"{one:04x}" for model in models for one in (model.pf_id, model.vf_id))
    return st.fixed_dictionaries(
        {},
        optional={
            "address": _one_or_more(addresses),
            "family": _one_or_more(families),
            "device_id": _one_or_more(ids),
            "numa_node": _one_or_more((-1, 0, 1)),
            "index": _one_or_more((0, 1, 2, 3)),
        },
    )


def _one_or_more(values: t.Sequence[t.Any]) -> st.SearchStrategy[t.Any]:
    return st.sampled_from(values) | st.lists(st.sampled_from(values), min_size=1, max_size=3)


@st.composite
def scenarios(draw: st.DrawFn, max_pfs: int = 4) -> tuple[NodeSpec, Document]:
    """A node, and a configuration for it."""
    node = draw(nodes(max_pfs))
    return node, draw(configurations(node))


@dataclass(frozen=True)
class Fault:
    """A fault of a PF's hardware, as `FakeKernel.switch` takes it."""

    address: str
    name: str
    value: str

    def switch_on(self, kernel: FakeKernel) -> None:
        """Have it."""
        kernel.switch(self.address, self.name, self.value)


_FAULTS = (
    ("fail_up", "14"),
    ("fail_down", "5"),
    ("fail_services", "5"),
    ("fail_enable_vfs", "12"),
    ("fail_disable_vfs", "16"),
    ("missing_vfs", "1"),
    ("refuse_vfio", "0x5"),
    ("kernel_users", "1"),
    ("no_capabilities", "Y"),
    ("delay_down", "100000"),
)


def faults(node: NodeSpec) -> st.SearchStrategy[list[Fault]]:
    """Up to three faults of the node's hardware."""
    if not node.pfs:
        return st.just([])
    addresses = st.sampled_from([pf.address for pf in node.pfs])
    one = st.tuples(addresses, st.sampled_from(_FAULTS)).map(lambda pair: Fault(pair[0], *pair[1]))
    return st.lists(one, max_size=3)


def kernels(max_pfs: int = 4) -> st.SearchStrategy[FakeKernel]:
    """The kernels of any nodes, where a test does not need the description."""
    return nodes(max_pfs).map(FakeKernel.of)
