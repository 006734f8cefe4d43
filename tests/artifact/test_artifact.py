# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The archive holds what users need and nothing else, and works from where it is installed."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from ansible_collections.accel.qat.tools.checks.archive import build_archive, reproducible
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT, Shell

from .conftest import Installed

MODULES = sorted(path.stem for path in (CHECKOUT / "plugins" / "modules").glob("*.py"))
ROLES = sorted(path.name for path in (CHECKOUT / "roles").iterdir() if path.is_dir())
PLAYBOOKS = sorted(path.stem for path in (CHECKOUT / "playbooks").glob("*.yml"))
SHIPPED = {"LICENSES", "README.md", "changelogs", "deploy", "docs", "examples", "meta", "playbooks", "plugins", "roles"}
# What stands at the root of a project, and what README.md and docs lead to.
SHIPPED |= {"CHANGELOG.md", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "LICENSE", "SECURITY.md"}
# What the role qat_device_plugin packs for a node.
SHIPPED |= {"device_plugin", "requirements", "tests"}
# Of directories that are shipped, what stays in the checkout.
LEFT_OUT = (
    "examples/awx/site.yml",
    "examples/awx/verify.yml",
    "deploy/image/",
    "deploy/packages/",
    "device_plugin/bench/",
    "device_plugin/tests/",
    "device_plugin/pyproject.toml",
    "requirements/",
    "tests/",
)
# Of those, what users need: the role's list of wheels, and the Pythons of nodes for their ansible-test.
SHIPPED_ALL_THE_SAME = ("requirements/device_plugin.txt", "tests/config.yml")
MADE_BY_THE_BUILD = {"FILES.json", "MANIFEST.json"}


def known_to_git() -> set[str]:
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(listing.stdout.split("\0"))


def test_the_archive_holds_only_what_users_need(names: set[str]) -> None:
    assert {name.split("/")[0] for name in names} <= SHIPPED | MADE_BY_THE_BUILD
    assert {name for name in names if name.startswith(LEFT_OUT)} == {*SHIPPED_ALL_THE_SAME}


def test_the_archive_holds_all_that_users_need(names: set[str]) -> None:
    def is_shipped(name: str) -> bool:
        if name.startswith(LEFT_OUT) and name not in SHIPPED_ALL_THE_SAME:
            return False
        if any(part.startswith(".") for part in name.split("/")):
            return False
        return name.split("/", maxsplit=1)[0] in SHIPPED and (CHECKOUT / name).exists()

    assert {name for name in known_to_git() if is_shipped(name)} <= names


def test_the_archive_holds_nothing_that_git_does_not_know(names: set[str]) -> None:
    assert names - MADE_BY_THE_BUILD <= known_to_git()


def test_what_somebody_keeps_in_the_checkout_stays_there(tmp_path: Path) -> None:
    """Such as an inventory with its secrets, in a directory that git has not, or beside files that it has."""
    clone, output = tmp_path / "clone", tmp_path / "output"
    subprocess.run(["git", "clone", "--quiet", CHECKOUT, clone], check=True)
    secrets = [
        ".env",
        "my-nodes/.vault_pass",
        "my-nodes/group_vars/qat_nodes.yml",
        "examples/host_vars/mine.yml",
        "roles/qat_node/key",
    ]
    for name in secrets:
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).write_text("secret\n")
    build_archive(Shell(), output, clone)
    (archive,) = output.iterdir()
    with tarfile.open(archive) as tar:
        assert not {member.name for member in tar} & {*secrets, "my-nodes"}


def test_the_same_files_give_the_same_archive(archive: Path) -> None:
    """At another time of day, found in another order: who has the commit can see what an archive was built of."""
    moment = 1_700_000_000
    rebuilt = reproducible(_otherwise(archive), moment)
    assert rebuilt == reproducible(archive.read_bytes(), moment)
    assert rebuilt != _otherwise(archive)


def _otherwise(archive: Path) -> bytes:
    """The archive as another run of ansible-galaxy may write it."""
    raw = io.BytesIO()
    with tarfile.open(archive) as tar, tarfile.open(fileobj=raw, mode="w:gz") as other:
        for member in reversed(tar.getmembers()):
            content = file.read() if (file := tar.extractfile(member) if member.isreg() else None) else b""
            if member.name == "FILES.json":
                listing = json.loads(content)
                listing["files"].reverse()
                content = json.dumps(listing, indent=1).encode()
            member.mtime, member.size = 1_800_000_000, len(content)
            other.addfile(member, io.BytesIO(content))
    return raw.getvalue()


def test_every_module_has_documentation(installed: Installed) -> None:
    found = json.loads(installed.run("ansible-doc", "--json", *(f"accel.qat.{name}" for name in MODULES)))
    assert sorted(found) == [f"accel.qat.{name}" for name in MODULES]
    for name, parts in found.items():
        assert parts["doc"]["short_description"], name
        assert parts["examples"].strip(), name
        assert parts["return"], name


def test_every_role_has_documentation(installed: Installed) -> None:
    found = json.loads(installed.run("ansible-doc", "--json", "-t", "role", "--list", "accel.qat"))
    assert sorted(found) == [f"accel.qat.{name}" for name in ROLES]
    for name, role in found.items():
        assert role["entry_points"]["main"], name


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_a_playbook_is_found_by_its_name(installed: Installed, playbook: str) -> None:
    installed.run("ansible-playbook", "--syntax-check", "-i", "localhost,", f"accel.qat.{playbook}")


def test_a_module_runs(installed: Installed) -> None:
    python = f"ansible_python_interpreter={sys.executable}"
    output = installed.run("ansible", "localhost", "-c", "local", "-e", python, "-m", "accel.qat.qat_info")
    assert output.startswith("localhost | SUCCESS")
