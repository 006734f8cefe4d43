# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The installed collection in execution environments: what ansible-builder makes of it, and runs by ansible-runner and others."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.accel.qat.plugins.modules import cluster_access
from ansible_collections.accel.qat.tests.unit.cluster.drain_site import BOTH, GIVE_BACK, Site
from ansible_collections.accel.qat.tests.unit.cluster.site import VF0
from ansible_collections.accel.qat.tools.checks import galaxy
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT, VENV, Shell, common_environment

from .conftest import Installed

EXAMPLE = CHECKOUT / "examples/execution-environment/execution-environment.yml"
PAGE = CHECKOUT / "docs/execution_environments.md"


@pytest.fixture(scope="module", name="commands")
def _commands() -> Path:
    """Where ansible-builder, ansible-runner and ansible-navigator are."""
    return galaxy.tools(Shell())


@pytest.fixture(name="site")
def _site() -> t.Iterator[Site]:
    """A node of files; paths of its sockets have to be short."""
    with tempfile.TemporaryDirectory(prefix="qat-") as root:
        site = Site(Path(root))
        yield site
        site.close()


def run(*words: str | Path, cwd: Path, **environment: str) -> str:
    """What a command prints; fails when it fails."""
    result = subprocess.run(
        words, capture_output=True, text=True, check=False, cwd=cwd, env={**os.environ, **environment}
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_builder_finds_what_the_collection_needs(installed: Installed, commands: Path) -> None:
    """Of packages those that a run asks the controller for before it begins."""
    found = yaml.safe_load(run(commands / "ansible-builder", "introspect", installed.path, cwd=installed.path))
    assert found == {
        kind: [f"{name}  # from collection accel.qat" for name in names]
        for kind, names in {
            "python": sorted(cluster_access.QUESTION["packages"]["choices"]),
            "system": ["openssh-client [platform:dpkg]", "openssh-clients [platform:rpm]"],
        }.items()
    }


def test_the_example_makes_a_context_with_collection_and_bundles(archive: Path, commands: Path, tmp_path: Path) -> None:
    shutil.copy(EXAMPLE, tmp_path)
    shutil.copy(archive, tmp_path / "accel-qat.tar.gz")
    (tmp_path / "bundles").mkdir()
    (tmp_path / "bundles/qat-device-plugin-1.tar.gz").write_text("packed")
    run(commands / "ansible-builder", "create", cwd=tmp_path)
    context = tmp_path / "context"
    (collection,) = yaml.safe_load((context / "_build/requirements.yml").read_text())["collections"]
    assert (context / "_build" / collection["name"]).read_bytes() == archive.read_bytes()
    assert (context / "_build/bundles/qat-device-plugin-1.tar.gz").read_text() == "packed"
    # A Dockerfile or a Containerfile.
    (steps,) = context.glob("*file")
    copied = re.search(r"^COPY _build/bundles (\S+)$", steps.read_text(), re.M)
    assert copied is not None
    assert f"qat_device_plugin_bundle: {copied[1]}\n" in PAGE.read_text()


# A run that may drain, of which only check mode and what cannot be had here are left out.
FLAGS = ("--check", "--diff", "--skip-tags", "device_plugin")


def playbook_of(site: Site, installed: Installed) -> str:
    """The playbook site of the installed collection, shown where the node is."""
    site.give("default/one", VF0)
    text = (installed.collection / "playbooks/site.yml").read_text()
    plays = yaml.safe_load(text.replace("_tasks: tasks/", f"_tasks: {installed.collection}/playbooks/tasks/"))
    return site.of_node(*({**play, "become": False} for play in plays))


def environment_of(site: Site, installed: Installed) -> dict[str, str]:
    """The address and the token of the cluster, and the commands of ansible-core, of which each takes those that it finds."""
    return {
        **common_environment(),
        **site.environment(),
        "ANSIBLE_COLLECTIONS_PATH": str(installed.path),
        "PATH": os.pathsep.join([site.environment()["PATH"], str(VENV / "bin")]),
    }


def variables() -> str:
    return json.dumps({"qat_kubernetes": True, **BOTH})


def write(directory: Path, **files: str) -> None:
    for name, text in files.items():
        (directory / name).mkdir()
        (directory / name / {"inventory": "hosts.yml", "env": "extravars"}[name]).write_text(text)


def test_runner_runs_a_check_of_the_playbook_site(
    site: Site, installed: Installed, commands: Path, tmp_path: Path
) -> None:
    """As a job of AWX does: an inventory, variables, and the address and the token in the environment."""
    playbook = playbook_of(site, installed)
    write(tmp_path, inventory=site.inventory(), env=variables())
    run(
        *(commands / "ansible-runner", "run", tmp_path, "--playbook", playbook, "--ident", "job"),
        *("--cmdline", " ".join(FLAGS)),
        cwd=tmp_path,
        **environment_of(site, installed),
    )
    events = [json.loads(path.read_text()) for path in (tmp_path / "artifacts/job/job_events").glob("*.json")]
    done = {event["event_data"].get("task"): event for event in events if event["event"] == "runner_on_ok"}
    assert GIVE_BACK.rpartition(" : ")[2] in {str(name).rpartition(" : ")[2] for name in done}
    evicted = next(event for name, event in done.items() if str(name).endswith("Say which pods go, and why"))
    assert evicted["event_data"]["res"]["msg"]["evicted"] == ["default/one"]
    assert site.cluster.pod_names() == ["default/one"]


def test_navigator_runs_a_check_of_the_playbook_site(
    site: Site, installed: Installed, commands: Path, tmp_path: Path
) -> None:
    """Without a container, as whoever tries it on a controller of their own does."""
    playbook = playbook_of(site, installed)
    write(tmp_path, inventory=site.inventory())
    run(
        *(commands / "ansible-navigator", "run", playbook, "--mode", "stdout", "--execution-environment", "false"),
        *("--inventory", tmp_path / "inventory/hosts.yml", "--extra-vars", variables(), *FLAGS),
        *("--playbook-artifact-save-as", tmp_path / "artifact.json", "--log-file", tmp_path / "log"),
        cwd=tmp_path,
        **{**environment_of(site, installed), "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)},
    )
    artifact = json.loads((tmp_path / "artifact.json").read_text())
    assert artifact["status"] == "successful"
    tasks = {task["task"]: task for play in artifact["plays"] for task in play["tasks"]}
    assert GIVE_BACK.rpartition(" : ")[2] in tasks
    assert tasks["Say which pods go, and why"]["res"]["msg"]["evicted"] == ["default/one"]
    assert site.cluster.pod_names() == ["default/one"]


def test_pull_runs_a_check_of_the_playbook_site(site: Site, installed: Installed, tmp_path: Path) -> None:
    """As a timer of the node does: the repository has the inventory and the playbook, and the node is localhost."""
    site.nodes = {"localhost": {"qat_drain_node_name": "node1"}}
    repository = tmp_path / "repository"
    repository.mkdir()
    shutil.copy(playbook_of(site, installed), repository / "local.yml")
    (repository / "hosts.yml").write_text(site.inventory())
    for words in (("init", "--quiet"), ("add", "."), ("commit", "--quiet", "--message", "Nodes")):
        run("git", "-c", "user.name=a", "-c", "user.email=a@example.com", *words, cwd=repository)
    checkout = tmp_path / "checkout"
    said = run(
        *(VENV / "bin/ansible-pull", "--url", repository, "--directory", checkout),
        *("--inventory", checkout / "hosts.yml", "--extra-vars", variables(), *FLAGS, "local.yml"),
        cwd=tmp_path,
        **environment_of(site, installed),
    )
    assert f"TASK [{GIVE_BACK}]" in said
    (recap,) = re.findall(r"^localhost +: ok=\d+ .*$", said.rpartition("PLAY RECAP")[2], re.M)
    assert "unreachable=0    failed=0 " in recap
    assert '"default/one"' in said.partition("Say which pods go, and why")[2].partition("TASK")[0]
    assert site.cluster.pod_names() == ["default/one"]
