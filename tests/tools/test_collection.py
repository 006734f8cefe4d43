# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the collection says about itself agrees with what it holds."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT

MODULES = sorted(path.stem for path in (CHECKOUT / "plugins" / "modules").glob("*.py"))
FRAGMENT = "accel.qat.attributes.actiongroup_qat"


def test_the_action_group_holds_every_module() -> None:
    runtime = yaml.safe_load((CHECKOUT / "meta" / "runtime.yml").read_text())
    assert {name: sorted(modules) for name, modules in runtime["action_groups"].items()} == {"qat": MODULES}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_says_that_it_is_in_the_action_group(module: str) -> None:
    source = (CHECKOUT / "plugins" / "modules" / f"{module}.py").read_text()
    documentation = yaml.safe_load(source.split('DOCUMENTATION = r"""')[1].split('"""')[0])
    assert FRAGMENT in documentation["extends_documentation_fragment"]


def test_an_unreleased_version_has_a_changelog_fragment() -> None:
    version = yaml.safe_load((CHECKOUT / "galaxy.yml").read_text())["version"]
    released = yaml.safe_load((CHECKOUT / "changelogs" / "changelog.yaml").read_text())["releases"]
    fragments = list(Path(CHECKOUT / "changelogs" / "fragments").glob("*.yml"))
    assert version in released or fragments
