# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each scenario from beginning to end, as `molecule test` runs it."""

from __future__ import annotations

import os
import subprocess

import pytest

from ansible_collections.accel.qat.tools.checks.shell import BUILD, CHECKOUT, common_environment

SCENARIOS = sorted(path.parent.name for path in (CHECKOUT / "molecule").glob("*/molecule.yml"))


def start(subcommand: str, scenario: str) -> subprocess.Popen[bytes]:
    """Molecule, whose verifier is a pytest that is to know nothing of this one but where its numbers go."""
    ours = [name for name in os.environ if name.startswith("PYTEST_") and name != "PYTEST_ADDOPTS"]
    environment = {name: value for name, value in common_environment().items() if name not in ours}
    return subprocess.Popen(
        ["molecule", subcommand, "--scenario-name", scenario],
        cwd=CHECKOUT,
        env={**environment, "MOLECULE_EPHEMERAL_DIRECTORY": str(BUILD / "molecule" / scenario)},
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario(scenario: str) -> None:
    running = start("test", scenario)
    try:
        code = running.wait()
    except BaseException:
        running.terminate()
        running.wait()
        start("destroy", scenario).wait()
        raise
    assert code == 0
