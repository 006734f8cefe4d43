# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import itertools

import pytest

from ansible_collections.accel.qat.plugins.module_utils._node.facts.families import (
    FAMILIES,
    module_of_driver,
)
from ansible_collections.accel.qat.plugins.module_utils._node.facts.paths import qat_file
from ansible_collections.accel.qat.plugins.module_utils._node.facts.services import (
    RESOURCE_NAMES,
    RESOURCE_PREFIX,
    SERVICES,
    for_containers,
    for_vms,
    is_for_vms,
    parse_services,
    resource_name,
    services_named,
    services_problem,
    written_services,
)
from ansible_collections.accel.qat.tests.fakes import FakeKernel, pf
from ansible_collections.accel.qat.tests.fakes.families import family_named
from ansible_collections.accel.qat.tests.fakes.generation import GENERATIONS
from ansible_collections.accel.qat.tests.unit.node.nodes import GEN4


@pytest.mark.parametrize("text", ["sym;asym", "asym;sym", "asym;sym\n", "sym;asym;"])
def test_order_does_not_matter(text: str) -> None:
    assert parse_services(text) == {"sym", "asym"}


def test_writes_one_order() -> None:
    assert written_services({"dc", "asym", "sym"}) == "sym;asym;dc"
    assert written_services(["new", "decomp", "dcc"]) == "dcc;decomp;new"


def known_sets(generation: str) -> set[frozenset[str]]:
    """The sets of services that a kernel knows for 4xxx: those on its list, or any that the device can have."""
    listed = GENERATIONS[generation].services
    if listed:
        return {frozenset(text.split(";")) for text in listed}
    sets = (frozenset(one) for size in (1, 2) for one in itertools.combinations(SERVICES, size))
    return {one for one in sets if not services_problem(family_named("4xxx"), one)}


@pytest.mark.parametrize("generation", GENERATIONS)
def test_every_kernel_takes_what_is_written(generation: str) -> None:
    """Kernels that accept only certain orders accept this one, for every set that they know at all."""
    kernel = FakeKernel.with_pfs(pf("4xxx", GEN4, state="down"), generation=generation)
    sets = known_sets(generation)
    assert len(sets) >= 2
    for services in sets:
        kernel.write(qat_file(GEN4, "cfg_services"), written_services(services), 1)
        assert parse_services(kernel.read(qat_file(GEN4, "cfg_services"))) == services


@pytest.mark.parametrize(
    ("services", "name"),
    [
        (None, "generic"),
        (frozenset(), "generic"),
        ({"sym", "asym"}, "cy"),
        ({"dc"}, "dc"),
        ({"dc", "sym"}, "sym-dc"),
        ({"dc", "asym"}, "asym-dc"),
        ({"dcc"}, "dcc"),
        ({"sym", "asym", "dc"}, "sym-asym-dc"),
    ],
)
def test_resource(services: frozenset[str], name: str) -> None:
    assert resource_name(services) == name


@pytest.mark.parametrize("size", range(len(SERVICES) + 1))
def test_resources_for_vms(size: int) -> None:
    for services in itertools.combinations(SERVICES, size):
        resource = RESOURCE_PREFIX + resource_name(frozenset(services))
        assert for_vms(resource) == resource.replace("/", "/vm-")
        assert is_for_vms(for_vms(resource))
        assert not is_for_vms(resource)
        assert for_containers(for_vms(resource)) == for_containers(resource) == resource


@pytest.mark.parametrize("size", range(len(SERVICES) + 1))
def test_the_name_of_a_resource_says_its_services(size: int) -> None:
    for services in map(frozenset, itertools.combinations(SERVICES, size)):
        name = resource_name(services)
        assert name in RESOURCE_NAMES
        assert services_named(RESOURCE_PREFIX + name) == services_named(for_vms(RESOURCE_PREFIX + name)) == services


def test_names_of_others_say_no_services() -> None:
    for name in (resource_name(frozenset({"sym", "quantum"})), "", "vm-", "sym;asym"):
        assert name not in RESOURCE_NAMES
        assert services_named(RESOURCE_PREFIX + name) == frozenset()


def test_a_resource_of_somebody_else_is_for_no_vm_of_ours() -> None:
    assert not any(map(is_for_vms, ("devices.kubevirt.io/vm-cy", "qat.intel.com/cy-vm-", "vm-cy", "")))


def test_sets_that_a_family_can_offer() -> None:
    sets = [frozenset(one) for size in (1, 2, 3) for one in itertools.combinations(SERVICES, size)]
    offered = {
        family: sum(not services_problem(family_named(family), one) for one in sets) for family in ("4xxx", "6xxx")
    }
    # sym, asym, dc alone and in pairs, and dcc; 6xxx also decomp, and triples.
    assert offered == {"4xxx": 7, "6xxx": 15}


def test_ids_and_names_are_unique() -> None:
    ids = [number for family in FAMILIES for model in family.models for number in (model.pf_id, model.vf_id)]
    assert len(set(ids)) == len(ids)
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)
    with pytest.raises(KeyError):
        family_named("5xxx")


def test_modules_that_are_called_otherwise() -> None:
    assert module_of_driver("c6xx") == "qat_c62x"
    assert module_of_driver("dh895xccvf") == "qat_dh895xccvf"
    assert module_of_driver("igb") == "igb"
