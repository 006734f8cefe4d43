# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-test sanity, on the ansible-cores that `controllers` finds.

ansible-test installs its own tools into environments below its home directory. It gets a home of its own in the cache
directory, and there the script with which it would otherwise download pip.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..building.cache import cache_directory
from . import controllers, interpreters
from .controllers import Controller
from .shell import CHECKOUT, Command, CommandFailed, Shell, command

# Each keeps one core busy.
AT_ONCE = 2
# The Pythons that a managed node may have: the newest ansible-core serves them all.
NODE_PYTHONS = controllers.RELEASES[-1].node_pythons
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
)


def sanity(shell: Shell) -> None:
    """Run ansible-test sanity on each controller that is wanted, two at once."""
    links = _link_interpreters(shell)
    found = controllers.find(shell)
    for controller in found:
        _insist_on_pythons(shell, controller)
    for first in range(0, len(found), AT_ONCE):
        with contextlib.ExitStack() as stack:
            some = found[first : first + AT_ONCE]
            shell.run_together(*(stack.enter_context(_test(shell, controller, links)) for controller in some))


def _insist_on_pythons(shell: Shell, controller: Controller) -> None:
    """See that this ansible-core serves the Pythons of nodes, and runs on those of controllers, that we say; raise CommandFailed."""
    ask = (
        "from ansible_test._util.target.common import constants as c\n"
        "print(*c.REMOTE_ONLY_PYTHON_VERSIONS, *c.CONTROLLER_PYTHON_VERSIONS, '/', *c.CONTROLLER_PYTHON_VERSIONS)"
    )
    nodes, _slash, own = shell.read(controller.python, "-c", ask).partition("/")
    release = controller.release
    serves = tuple(version for version in nodes.split() if version in NODE_PYTHONS)
    if serves != release.node_pythons or not {*release.pythons} <= {*own.split()}:
        raise CommandFailed(
            f"ansible-core {controller.version} runs on Python {own.strip()} and serves nodes with {nodes.strip()}"
        )


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
            *(f"--skip-test={test}" for test in controller.release.dropped_tests),
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
    return shell.read(controller.python, "-c", ask, *controller.release.node_pythons).split()


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
