# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A flavour of kubelet is known everywhere or nowhere: its file, the choices of modules and roles, pages, roots, units to wait for."""

from __future__ import annotations

import re
import typing as t

import pytest
import yaml

from ansible_collections.accel.qat.plugins.doc_fragments.kubelet import ModuleDocFragment
from ansible_collections.accel.qat.plugins.module_utils._kubelet.flavours import CHOICES, FLAVOURS
from ansible_collections.accel.qat.plugins.module_utils._kubelet.flavours.base import Files, Flavour
from ansible_collections.accel.qat.plugins.module_utils._kubelet.options import READ
from ansible_collections.accel.qat.plugins.module_utils._node.facts.paths import KUBELET_ROOTS
from ansible_collections.accel.qat.plugins.plugin_utils._kubelet.layers import WAYS
from ansible_collections.accel.qat.tests.unit.docs.test_pages import text_of
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT

EACH = pytest.mark.parametrize("flavour", FLAVOURS, ids=lambda flavour: flavour.name)
NAMES = {flavour.name for flavour in FLAVOURS}
# Its kubelets are older than PodResources, and keep what pods were given in the usual root directory.
ROOTS_NOT_ASKED = {"/var/lib/origin/openshift.local.volumes"}


def options(ending: str) -> t.Iterator[tuple[str, t.Any]]:
    """The variables of roles with this ending, at every entry point."""
    for path in sorted((CHECKOUT / "roles").glob("*/meta/argument_specs.yml")):
        for point, entry in yaml.safe_load(path.read_text())["argument_specs"].items():
            for name, option in entry.get("options", {}).items():
                if name.endswith(ending):
                    yield f"{path.parts[-3]} {point} {name}", option


def test_choices_of_modules() -> None:
    assert READ["flavour"]["choices"] == list(CHOICES)
    documented = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]["flavour"]["choices"]
    assert documented == list(CHOICES), "list each in plugins/doc_fragments/kubelet.py"


def test_choices_of_roles() -> None:
    found = dict(options("kubelet_flavour"))
    assert found
    other = [where for where, option in found.items() if option["choices"] != list(CHOICES)]
    assert other == [], f"the choices there should be {list(CHOICES)}"


def test_the_controller_has_documents_and_layers_of_each_kind_of_files() -> None:
    assert set(WAYS) == set(Files), "layers.py needs documents and layers for each kind in WAYS"


def test_pages() -> None:
    rows = text_of("docs/kubelet.md").partition("| kubelet is run by |")[2].partition("\n\n")[0]
    pages = re.findall(r"\(kubelet_(\w+)\.md\)", rows)
    assert sorted(pages) == sorted(NAMES), "docs/kubelet.md needs a row for each, with a page kubelet_NAME.md"
    assert set(re.findall(r"\(kubelet_(\w+)\.md\)", text_of("docs/README.md"))) >= NAMES


@EACH
def test_its_page_names_its_units(flavour: Flavour) -> None:
    text = text_of(f"docs/kubelet_{flavour.name}.md")
    units = () if flavour.by_manifest else flavour.units
    assert [unit for unit in units if f"`{unit}`" not in text] == [], "its page does not name these units"


def test_root_directories_in_which_pods_are_looked_for() -> None:
    roots = {flavour.kubelet_dir for flavour in FLAVOURS}
    assert roots > ROOTS_NOT_ASKED
    assert set(KUBELET_ROOTS) == roots - ROOTS_NOT_ASKED, (
        "write its kubelet_dir into KUBELET_ROOTS of facts/paths.py, too"
    )


def test_units_that_wait_for_vfs_and_device_plugin() -> None:
    units = sorted(unit for flavour in FLAVOURS for unit in flavour.units)
    found = {}
    for path in sorted((CHECKOUT / "roles").glob("*/defaults/main.yml")):
        defaults = yaml.safe_load(path.read_text()) or {}
        found.update({name: value for name, value in defaults.items() if name.endswith("units_after")})
    assert len(found) == 2
    lists = {name: sorted(value) for name, value in found.items()}
    assert lists == dict.fromkeys(found, sorted(set(units))), (
        "the defaults of these variables need the units of each flavour"
    )
