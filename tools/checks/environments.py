# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual environments for other Pythons than the one of .venv, kept in the cache directory."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..building.cache import cache_directory
from . import interpreters
from .shell import BUILD, CHECKOUT, CommandFailed, Shell


def commands(shell: Shell, pythons: Sequence[str], lock: str, purpose: str) -> Path:
    """Return the directory with the commands of an environment of the first of these Pythons that is found. Raises CommandFailed."""
    python = next(filter(None, map(interpreters.find, pythons)), None)
    if python is None:
        raise CommandFailed(f"no Python {' or '.join(pythons)} found for {purpose}")
    return environment(shell, python, lock).parent


def environment(shell: Shell, python: Path, lock: str) -> Path:
    """Return the interpreter of an environment of `python` that holds what requirements/`lock`.txt lists.

    Made again when the list changes. Safe when two checkouts ask at once.
    """
    requirements = CHECKOUT / "requirements" / f"{lock}.txt"
    wanted = hashlib.sha256(requirements.read_bytes() + bytes(python)).hexdigest()
    home = cache_directory() / "python" / f"{lock}-{python.name}"
    interpreter, stamp = home / "bin" / "python", home / ".installed"
    with _locked(home.with_suffix(f"{home.suffix}.lock")):
        if not (stamp.exists() and stamp.read_text() == wanted):
            shell.say(f"making an environment of {python} with requirements/{lock}.txt (once)")
            shell.run(python, "-m", "venv", "--clear", home)
            # -qq: only errors. The lists are complete, so pip has nothing to resolve.
            pip = (interpreter, "-m", "pip", "install", "-qq", "--disable-pip-version-check")
            shell.run(*pip, "--no-deps", "--require-hashes", "-r", requirements)
            stamp.write_text(wanted)
    return interpreter


def node_library(shell: Shell) -> Path:
    """Return a directory to import from that holds what ansible-core sends to a managed node, and nothing else of it.

    ansible-core cannot be installed on the oldest Python that a node may have, yet its module_utils run there.
    """
    package = Path(shell.read("python", "-c", "import ansible; print(ansible.__path__[0])").strip())
    library = BUILD / "node-library"
    (library / "ansible").mkdir(parents=True, exist_ok=True)
    (library / "ansible" / "__init__.py").touch()
    for name in ("module_utils", "release.py"):
        link = library / "ansible" / name
        if not link.is_symlink() or Path(os.readlink(link)) != package / name:
            link.unlink(missing_ok=True)
            link.symlink_to(package / name)
    return library


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
