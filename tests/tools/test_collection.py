# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the collection says about itself agrees with what it holds."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT

MODULES = sorted(path.stem for path in (CHECKOUT / "plugins" / "modules").glob("*.py"))
# Each action group, and the fragment with the options that make a group of them.
GROUPS = {"qat": "accel.qat.roots", "cluster": "accel.qat.cluster"}


def fragments(module: str) -> list[str]:
    """The documentation fragments that a module names."""
    source = (CHECKOUT / "plugins" / "modules" / f"{module}.py").read_text()
    documentation = yaml.safe_load(source.split('DOCUMENTATION = r"""')[1].split('"""')[0])
    return list(documentation["extends_documentation_fragment"])


def test_an_action_group_holds_the_modules_that_share_its_options() -> None:
    runtime = yaml.safe_load((CHECKOUT / "meta" / "runtime.yml").read_text())
    expected = {
        group: [module for module in MODULES if fragment in fragments(module)] for group, fragment in GROUPS.items()
    }
    assert runtime["action_groups"] == expected


@pytest.mark.parametrize("module", MODULES)
def test_a_module_says_which_action_group_it_is_in(module: str) -> None:
    named = [name for name in fragments(module) if ".actiongroup_" in name]
    groups = [group for group, fragment in GROUPS.items() if fragment in fragments(module)]
    assert named == [f"accel.qat.attributes.actiongroup_{group}" for group in groups]


def test_an_unreleased_version_has_a_changelog_fragment() -> None:
    version = yaml.safe_load((CHECKOUT / "galaxy.yml").read_text())["version"]
    released = yaml.safe_load((CHECKOUT / "changelogs" / "changelog.yaml").read_text())["releases"]
    fragments = list(Path(CHECKOUT / "changelogs" / "fragments").glob("*.yml"))
    assert version in released or fragments


def test_the_licence_at_the_root_is_that_of_the_collection() -> None:
    """GitHub and packagers look there; `reuse` looks into LICENSES."""
    (licence,) = yaml.safe_load((CHECKOUT / "galaxy.yml").read_text())["license"]
    assert (CHECKOUT / "LICENSE").read_text() == (CHECKOUT / "LICENSES" / f"{licence}.txt").read_text()
