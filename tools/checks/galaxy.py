# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Galaxy and Automation Hub do with an archive: galaxy-importer, with the rules for certified collections.

It has an environment of its own, as have ansible-builder, ansible-runner and ansible-navigator: requirements/galaxy.in says why.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from . import environments
from .shell import CommandFailed, Shell

# An ansible-core that galaxy-importer knows; the first that is found is taken.
PYTHONS = ("3.11", "3.12", "3.13")
RULES = {
    "check_changelog": True,
    "check_required_tags": True,
    "run_ansible_doc": True,
    # Without a network as with one.
    "offline_ansible_lint": True,
    # This one wants containers; the stage `sanity` has ansible-test.
    "run_ansible_test": False,
}
# How it calls flake8, once for each plugin, which takes most of its time.
FLAKE8 = ("--isolated", "--extend-ignore=E402", "--select=E,F,W", "--max-line-length=160")
COMPLETED = "Importer processing completed successfully"


def tools(shell: Shell) -> Path:
    """Return the directory with the commands of galaxy-importer and of what execution environments take. Raises CommandFailed."""
    return environments.commands(shell, PYTHONS, "galaxy", "galaxy-importer")


def import_archive(shell: Shell, archive: Path, *, thorough: bool, released: bool = False) -> None:
    """Have an archive imported; raise CommandFailed with each error and warning.

    Thorough is as there, in two minutes or so. Otherwise ansible-lint is left to the stage `lint`, which has it with the same profile, and
    flake8 looks at all plugins at once. `released` is whether 1.0.0 is the least.
    """
    commands = tools(shell)
    if not thorough:
        shell.run(commands / "flake8", *FLAKE8, "plugins")
    with tempfile.TemporaryDirectory(prefix="accel-qat-import-") as directory:
        rules = {
            **RULES,
            "run_ansible_lint": thorough,
            "run_flake8": thorough,
            "require_v1_or_greater": released,
            "ansible_local_tmp": f"{directory}/ansible",
        }
        settings = Path(directory) / "galaxy-importer.cfg"
        settings.write_text("[galaxy-importer]\n" + "".join(f"{name} = {value}\n" for name, value in rules.items()))
        log = shell.read(
            # A non-zero end says less than the log, which is read in any case.
            *("sh", "-c", '"$0" -m galaxy_importer.main "$1" 2>&1 || true', commands / "python", archive),
            cwd=Path(directory),
            GALAXY_IMPORTER_CONFIG=settings,
            PATH=f"{commands}:{shell.environment['PATH']}",
            # It looks at the archive, and finds no collection of this name elsewhere.
            ANSIBLE_COLLECTIONS_PATH=directory,
        )
    if found := complaints(log):
        raise CommandFailed("\n".join([f"galaxy-importer does not take {archive.name} as it is:", *found]))
    shell.say(f"galaxy-importer takes {archive.name} without an error or a warning")


def complaints(log: str) -> list[str]:
    """What the log says besides what was done: errors and warnings, or that there was no end. Empty for a clean one."""
    lines = log.splitlines()
    found = [line for line in lines if re.match(r"(WARNING|ERROR|CRITICAL):|Traceback ", line)]
    if not found and COMPLETED not in lines:
        return ["it did not come to its end:", *lines[-20:]]
    return found
