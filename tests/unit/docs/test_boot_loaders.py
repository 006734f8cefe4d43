# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A boot loader is known everywhere or nowhere: its class, LOADERS, detection, the choices of module and roles, the page."""

from __future__ import annotations

import importlib
import typing as t

import pytest
import yaml

from ansible_collections.accel.qat.plugins.module_utils._boot import loaders
from ansible_collections.accel.qat.plugins.module_utils._boot.arguments import parse, read_request
from ansible_collections.accel.qat.plugins.module_utils._boot.detect import Firmware
from ansible_collections.accel.qat.plugins.module_utils._boot.ensure import CHOICES, ensure
from ansible_collections.accel.qat.plugins.module_utils._boot.loaders import LOADERS
from ansible_collections.accel.qat.plugins.module_utils._boot.running import Running
from ansible_collections.accel.qat.plugins.module_utils._node.errors import RefusedError
from ansible_collections.accel.qat.plugins.modules import kernel_args
from ansible_collections.accel.qat.tests.fakes.host import FakeMachine
from ansible_collections.accel.qat.tests.unit.boot import machines
from ansible_collections.accel.qat.tests.unit.docs.test_pages import table
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT

FILES = sorted((CHECKOUT / "plugins/module_utils/_boot/loaders").glob("[!_]*.py"))
SPECS = sorted((CHECKOUT / "roles").glob("*/meta/argument_specs.yml"))
REQUEST = read_request(["intel_iommu=on"], "present")
RUNNING = Running(parse("BOOT_IMAGE=/vmlinuz ro"), iommu_active=False)
UEFI = Firmware(efi=True, loader="")


def test_every_class_of_a_boot_loader_is_in_the_table() -> None:
    modules = [importlib.import_module(f"{loaders.__name__}.{path.stem}") for path in FILES]
    found = [one for module in modules for one in vars(module).values() if isinstance(one, type)]
    names = {vars(one)["name"] for one in found if "plan" in vars(one) and isinstance(vars(one).get("name"), str)}
    assert names == set(LOADERS), "each file of _boot/loaders needs its line in LOADERS there"


def test_each_is_found_on_a_machine_of_the_tests() -> None:
    found = {ensure(make(), REQUEST, RUNNING, UEFI, rehearse=True).bootloader for make in machines.ALL.values()}
    assert found == set(LOADERS), "_boot/detect.py has to find each, on a machine of tests/unit/boot/machines.py"


@pytest.mark.parametrize("name", sorted(LOADERS))
def test_each_is_refused_where_it_is_named_and_not_there(name: str) -> None:
    machine = FakeMachine({}, {})
    with pytest.raises(RefusedError):
        ensure(machine, REQUEST, RUNNING, UEFI, name)
    assert machine.done == []


def test_choices_of_the_module() -> None:
    assert yaml.safe_load(kernel_args.DOCUMENTATION)["options"]["bootloader"]["choices"] == list(CHOICES), (
        "list each in the documentation of kernel_args"
    )


def boot_loader_options() -> t.Iterator[tuple[str, t.Any]]:
    """The choices of every variable of a role that names a boot loader, at every entry point."""
    for path in SPECS:
        for point, entry in yaml.safe_load(path.read_text())["argument_specs"].items():
            for name, option in entry.get("options", {}).items():
                if name.endswith("bootloader"):
                    yield f"{path.parts[-3]} {point} {name}", option["choices"]


def test_choices_of_roles() -> None:
    options = dict(boot_loader_options())
    assert options
    other = [where for where, choices in options.items() if choices != list(CHOICES)]
    assert other == [], f"the choices there should be {list(CHOICES)}"


def test_the_page_says_how_each_is_found_and_set() -> None:
    rows = table("docs/kernel_arguments.md", "`bootloader`")
    assert set(rows) == set(LOADERS), "docs/kernel_arguments.md needs a row for each"
