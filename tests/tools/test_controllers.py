# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the collection says of the supported releases of ansible-core is what it is tested with."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import yaml

from ansible_collections.accel.qat.tests.controller import playbook
from ansible_collections.accel.qat.tools.checks import controllers, interpreters
from ansible_collections.accel.qat.tools.checks.controllers import RELEASES, Release
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT, VENV, Shell, common_environment

OLDEST, NEWEST = RELEASES[0].version, RELEASES[-1].version


def test_the_collection_asks_for_the_oldest() -> None:
    asks = yaml.safe_load((CHECKOUT / "meta/runtime.yml").read_text())["requires_ansible"]
    assert asks == f">={OLDEST}.0"


@pytest.mark.parametrize("role", sorted(path.name for path in (CHECKOUT / "roles").iterdir()))
def test_the_roles_ask_for_the_oldest(role: str) -> None:
    about = yaml.safe_load((CHECKOUT / "roles" / role / "meta/main.yml").read_text())["galaxy_info"]
    assert about["min_ansible_version"] == OLDEST


def test_the_readme_names_the_oldest_and_the_newest() -> None:
    assert f"ansible-core {OLDEST} to {NEWEST} " in (CHECKOUT / "README.md").read_text()


def test_the_page_has_a_row_for_each_release() -> None:
    rows = re.findall(
        r"^\| (2\.\d+) \| (.+) to (.+) \| (.+) to (.+) \|$", (CHECKOUT / "docs/controller.md").read_text(), re.M
    )
    assert [row[0] for row in rows] == [release.version for release in RELEASES]
    for row, release in zip(rows, RELEASES, strict=True):
        assert row[3:] == (release.node_pythons[0], release.node_pythons[-1])
        assert set(release.pythons) <= set(between(*row[1:3]))


def between(first: str, last: str) -> list[str]:
    return [f"3.{minor}" for minor in range(int(first.removeprefix("3.")), int(last.removeprefix("3.")) + 1)]


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.version)
def test_the_lists_have_the_release(release: Release) -> None:
    pins = re.findall(
        r"^ansible-core==(\d+\.\d+)\.", (CHECKOUT / "requirements" / f"{release.lock}.txt").read_text(), re.M
    )
    assert release.version in pins


def test_the_oldest_and_the_newest_are_tested_or_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ACCEL_QAT_CONTROLLERS", raising=False)
    assert controllers.wanted() == (RELEASES[0], RELEASES[-1])
    monkeypatch.setenv("ACCEL_QAT_CONTROLLERS", "all")
    assert controllers.wanted() == RELEASES


def test_a_machine_with_one_python_tests_what_it_has(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("ACCEL_QAT_CONTROLLERS", raising=False)
    monkeypatch.setattr(interpreters, "find", lambda _version: None)
    (found,) = controllers.find(Shell())
    assert found.python == VENV / "bin/python"
    assert found.version.startswith(f"{found.release.version}.")
    assert f"{sys.version_info[0]}.{sys.version_info[1]}" in found.release.pythons
    assert "no Python 3.11 or 3.10 or 3.12 found: ansible-core 2.16 is not tested" in capsys.readouterr().out


def test_playbooks_of_tests_run_on_the_controller_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = tmp_path / "python"
    named.write_text(f'#!/bin/sh\ntouch {tmp_path}/started\nexec {sys.executable} "$@"\n')
    named.chmod(0o755)
    monkeypatch.setattr(playbook, "CONTROLLER", str(named))
    # A setting that no other test has, so that none of its processes is taken.
    environment = {**common_environment(), "ANSIBLE_FORCE_COLOR": "false", "ANSIBLE_HOME": str(tmp_path / "home")}
    code, said = playbook.run_playbook(["--version"], environment, tmp_path)
    assert (code, (tmp_path / "started").exists()) == (0, True), said


def test_2_16_alone_asks_for_empty_packages() -> None:
    """Its rule empty-init is for `module_utils` too. What else is ignored would be a fault that users get."""
    ignored = [line.split()[:2] for line in (CHECKOUT / "tests/sanity/ignore-2.16.txt").read_text().splitlines()]
    packages = (CHECKOUT / "plugins/module_utils").rglob("__init__.py")
    filled = sorted(str(path.relative_to(CHECKOUT)) for path in packages if path.stat().st_size)
    assert ignored == [[path, "empty-init"] for path in filled]
    assert [path.name for path in (CHECKOUT / "tests/sanity").iterdir()] == ["ignore-2.16.txt"]
