# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-test sanity, on every supported ansible-core for which this machine has a Python.

ansible-test installs its own tools into environments below its home directory. It gets a home of its own in the cache
directory, and there the script with which it would otherwise download pip.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from . import environments, interpreters
from .shell import CHECKOUT, VENV, Command, Shell, cache_directory, command

# The Pythons that a managed node or a controller of the supported ansible-core versions may have.
NODE_PYTHONS = ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
# ansible-core 2.19 is the last for Python 3.11; 2.21 needs 3.12 or newer.
OLD_CONTROLLER_PYTHONS = ("3.11",)
NEW_CONTROLLER_PYTHONS = ("3.12", "3.13", "3.14")
# What users get, and what ansible-test wants to know. Development code has ruff and mypy instead.
CHECKED = (
    "LICENSES",
    "README.md",
    "changelogs",
    "docs",
    "examples",
    "galaxy.yml",
    "meta",
    "playbooks",
    "plugins",
    "roles",
    "tests/config.yml",
    "tests/sanity",
)


@dataclasses.dataclass(frozen=True)
class Controller:
    """An ansible-core to test with: the directory of its commands, and its version."""

    commands: Path
    version: str


def sanity(shell: Shell) -> None:
    """Run ansible-test sanity on each controller that is found."""
    links = _link_interpreters(shell)
    controllers = _controllers(shell)
    shell.say("ansible-core " + " and ".join(controller.version for controller in controllers))
    with contextlib.ExitStack() as stack:
        shell.run_together(*(stack.enter_context(_test(shell, controller, links)) for controller in controllers))


def _controllers(shell: Shell) -> list[Controller]:
    """Return the controller of .venv, and one of the other generation of ansible-core when its Python is found."""
    found = [_controller(shell, VENV / "bin" / "python")]
    is_new = f"{sys.version_info[0]}.{sys.version_info[1]}" in NEW_CONTROLLER_PYTHONS
    wanted = OLD_CONTROLLER_PYTHONS if is_new else NEW_CONTROLLER_PYTHONS
    python = next(filter(None, map(interpreters.find, wanted)), None)
    if python:
        found.append(_controller(shell, environments.environment(shell, python, "controller")))
    else:
        shell.say(f"no Python {' or '.join(wanted)} found: only ansible-core {found[0].version} is tested")
    return found


def _controller(shell: Shell, python: Path) -> Controller:
    version = shell.read(python, "-c", "import ansible.release as r; print(r.__version__)").strip()
    return Controller(python.parent, version)


@contextlib.contextmanager
def _test(shell: Shell, controller: Controller, links: Path) -> Iterator[Command]:
    """Yield the command of a controller's tests, which run in a copy of their own."""
    home = _home(shell, controller)
    # ansible-test takes the interpreters from PATH; pyenv's shims would answer for versions that are not switched on.
    others = [entry for entry in shell.environment["PATH"].split(":") if Path(entry).name != "shims"]
    with tempfile.TemporaryDirectory(prefix="accel-qat-sanity-") as directory:
        shell.read(CHECKOUT / "tools" / "collection_tree", directory, *CHECKED)
        yield command(
            controller.commands / "ansible-test",
            "sanity",
            "--requirements",
            cwd=Path(directory) / "ansible_collections" / "accel" / "qat",
            HOME=home,
            PATH=":".join([str(controller.commands), str(links), *others]),
        )


def _home(shell: Shell, controller: Controller) -> Path:
    """Return a home directory for ansible-test, prepared so that nothing but the package index is needed."""
    home = cache_directory() / "ansible-test" / controller.version
    scripts = home / ".ansible" / "test" / "cache"
    scripts.mkdir(parents=True, exist_ok=True)
    for version in _pip_versions(shell, controller):
        shutil.copy(Path(__file__).with_name("get_pip.py"), scripts / f"get_pip_{version.replace('.', '_')}.py")
    # pip's settings (a mirror, a certificate) and its cache stay those of the user.
    for name in (".config/pip", ".cache/pip"):
        theirs, ours = Path.home() / name, home / name
        if theirs.is_dir() and not ours.is_symlink():
            ours.parent.mkdir(parents=True, exist_ok=True)
            ours.symlink_to(theirs)
    return home


def _pip_versions(shell: Shell, controller: Controller) -> list[str]:
    """Return the versions of pip that this ansible-test puts into its environments."""
    ask = (
        "import sys, types\n"
        "from ansible_test._internal.python_requirements import get_venv_packages\n"
        "print(*{get_venv_packages(types.SimpleNamespace(version=v))['pip'] for v in sys.argv[1:]})"
    )
    return shell.read(controller.commands / "python", "-c", ask, *NODE_PYTHONS).split()


def _link_interpreters(shell: Shell) -> Path:
    """Return a directory with a link to each working interpreter, and say which there are."""
    links = cache_directory() / "python" / "links"
    links.mkdir(parents=True, exist_ok=True)
    found = {version: binary for version in NODE_PYTHONS if (binary := interpreters.find(version))}
    for version in NODE_PYTHONS:
        link = links / f"python{version}"
        link.unlink(missing_ok=True)
        if version in found:
            link.symlink_to(found[version])
    shell.say(f"Python {', '.join(found)}; not found: {', '.join(sorted(set(NODE_PYTHONS) - set(found))) or 'none'}")
    return links
