# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stages: what each one checks, and which of them `make test` runs. A new check goes into the stage it belongs to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from . import controllers, environments, interpreters
from .archive import build_archive, build_twice
from .galaxy import import_archive
from .sanity import sanity
from .shell import BUILD, CHECKOUT, COLLECTION, VENV, Shell, command
from .site import build_site

# Controller and tests are written for 3.11, what a managed node runs for 3.9.
OLDEST_NODE_PYTHON = "3.9"
# Tests of what runs on managed nodes. pyproject.toml lists them too, with those of fakes and tools, for a plain `pytest`.
NODE_TESTS = ("tests/unit", "device_plugin/tests")
# Where tests with the mark `core` are: whole playbooks, which show whether an ansible-core can run the collection.
CORE_TESTS = ("tests/unit/cluster", "tests/unit/roles", "tests/unit/plugins/action")
# A package of its own, which is not part of the collection.
PLUGIN_CODE = ("device_plugin/src/qat_device_plugin", "device_plugin/tests", "device_plugin/bench")
PLUGIN_PATH = "device_plugin/src:device_plugin/tests"
# The tests of a file share what they set up, those of tests/cluster all of it: tests/conftest.py sees to that. Files are taken in the
# order in which they are named, or by the number of their tests. A virtual machine without KVM keeps one core busy and needs 1 to 2 GB.
SIDE_BY_SIDE = ("--numprocesses=auto", "--maxprocesses=4", "--dist=loadfile")
IN_THIS_ORDER = "--no-loadscope-reorder"
# Tests without a machine also wait: for a service, a time limit, a write that blocks.
MORE_THAN_CORES = ("--numprocesses=4", "--dist=worksteal")
LAB_TESTS = ("tests/behaviour/test_machine.py", "tests/lab")


def lint(shell: Shell) -> None:
    """Style, documentation, changelog and licences."""
    # Its cache takes no notice of a module that comes or goes, and with it the order of imports elsewhere.
    shell.run("ruff", "check", "--no-cache")
    shell.run("ruff", "format", "--check")
    shell.run_together(
        command("yamllint", "--strict", "."),
        command("ansible-lint"),
        command("python", "-m", "tools.checks.plugin_docs", COLLECTION),
        command("antsibull-changelog", "lint"),
        command("reuse", "lint", "--lines"),
        command("python", "tools/reference_pages", "--check"),
    )


def types(shell: Shell) -> None:
    """Types, by mypy --strict."""
    node_code = ("plugins", "tests/behaviour", "tests/fakes", "tests/unit")
    all_code = ("conftest.py", "plugins", "molecule", "roles", "tests", "tools")
    shell.run_together(
        command("mypy", *_with_python(node_code)),
        command("mypy", "--python-version", "3.11", *_with_python(all_code)),
        command("mypy", *PLUGIN_CODE, "--cache-dir", BUILD / "mypy-plugin", MYPYPATH=PLUGIN_PATH),
    )


def unit(shell: Shell) -> None:
    """Tests that need neither root nor a virtual machine."""
    shell.say(f"on {shell.read('python', '--version').strip()} (.venv)")
    shell.run("pytest", *MORE_THAN_CORES)


def oldest(shell: Shell) -> None:
    """Those of unit that are for managed nodes, on the oldest Python of one, with only what a node has."""
    python = interpreters.find(OLDEST_NODE_PYTHON)
    if python is None:
        shell.say(f"no Python {OLDEST_NODE_PYTHON} found: not run on the oldest Python of a managed node")
        return
    shell.say(f"on Python {OLDEST_NODE_PYTHON} ({python})")
    node = environments.environment(shell, python, "node")
    library = environments.node_library(shell)
    shell.run(
        node, "-m", "pytest", *MORE_THAN_CORES, *NODE_TESTS, PYTHONPATH=f"{library}:{shell.environment['PYTHONPATH']}"
    )


def core(shell: Shell) -> None:
    """The core tests on the oldest and the newest supported ansible-core, or on all of them."""
    for controller in controllers.find(shell):
        if controller.python.parent != VENV / "bin":  # that one runs them with all others
            shell.run("pytest", *MORE_THAN_CORES, "-m", "core", *CORE_TESTS, ACCEL_QAT_CONTROLLER=controller.python)


def build(shell: Shell) -> None:
    """Build the collection as Galaxy takes it, install it into an empty path, and use it from there."""
    import_archive(shell, build_archive(shell, CHECKOUT / "dist"), thorough=False)
    shell.run("pytest", *SIDE_BY_SIDE, "tests/artifact")


def galaxy(shell: Shell) -> None:
    """That building the collection again gives the same archive, and all of galaxy-importer."""
    import_archive(shell, build_twice(shell, CHECKOUT / "dist"), thorough=True)


def docs(shell: Shell) -> None:
    """The documentation site, in build/site, and that its links and its navigation are whole."""
    build_site(shell)


def lab(shell: Shell) -> None:
    """Tests of the virtual QAT machine."""
    shell.run("pytest", *SIDE_BY_SIDE, *LAB_TESTS)


def machine(shell: Shell) -> None:
    """The engine on the virtual QAT machine: generations, families, faults, users of VFs, bad input."""
    shell.run("pytest", *SIDE_BY_SIDE, "tests/machine")


def cluster(shell: Shell) -> None:
    """The collection on nodes of a real Kubernetes, which is compiled the first time, and what the newest kubelet says of its gates."""
    shell.run("pytest", "tests/cluster", "tests/kubelets")


def machines(shell: Shell) -> None:
    """The stages cluster, machine and lab, side by side as far as there are cores."""
    # What takes longest goes first, so that nothing waits for it at the end. By name, since the first to fail should not be known last.
    # And with the slowest tests at the end, whoever wants it shorter begins there.
    words = ("--verbose", "--durations=25", *SIDE_BY_SIDE, IN_THIS_ORDER)
    shell.run("pytest", *words, "tests/cluster", "tests/kubelets", "tests/machine", *LAB_TESTS)


def molecule(shell: Shell) -> None:
    """The collection on the virtual QAT machine by Molecule, from untouched to verified."""
    shell.run("pytest", "tests/molecule")


STAGES: dict[str, Callable[[Shell], None]] = {
    "lint": lint,
    "types": types,
    "sanity": sanity,
    "unit": unit,
    "oldest": oldest,
    "core": core,
    "build": build,
    "galaxy": galaxy,
    "docs": docs,
    "lab": lab,
    "machine": machine,
    "cluster": cluster,
    "machines": machines,
    "molecule": molecule,
}
# Not core: .venv has one of the releases, and all others are run each night. Nor galaxy, of which lint and build have the most, nor docs:
# tests of unit have the links of all pages. Nor molecule: tests/machine and tests/cluster have the playbook twice and over
# a reboot, too.
ALL = ("lint", "types", "sanity", "unit", "oldest", "build", "machines")


def describe(name: str) -> str:
    """Return what a stage checks, in one line."""
    return (STAGES[name].__doc__ or "").splitlines()[0].rstrip(".")


def overview() -> str:
    """Return all stages with what they check."""
    return "; ".join(f"{name}: {describe(name)}" for name in STAGES)


def _with_python(names: tuple[str, ...]) -> list[Path]:
    """Return those that are, or hold, Python files, as paths in the tree that gives them their full names."""
    collection = COLLECTION.relative_to(CHECKOUT)
    return [collection / name for name in names if name.endswith(".py") or any((CHECKOUT / name).rglob("*.py"))]
