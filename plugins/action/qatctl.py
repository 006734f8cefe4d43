# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Installs qatctl: packs the engine into one file on the controller, and has the node put it in its place."""

from __future__ import annotations

import json
import os
import re
import typing as t

import yaml
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.accel.qat.plugins.module_utils._host.edits import difference
from ansible_collections.accel.qat.plugins.module_utils._host.installed import QATCTL, QATCTL_PACKAGE
from ansible_collections.accel.qat.plugins.module_utils._host.packed import Packed

_COLLECTION = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
_MAIN = """\
import os
import sys

from {package}.cli.qatctl import main

sys.exit(main(version={version!r}, name=os.path.basename(sys.argv[0])))
"""
# The kernel takes the first word of a script's first line for the program.
_PYTHON = re.compile(r"/[^\x00-\x20\x7f]+")


class ActionModule(ActionBase):
    """The action behind `accel.qat.qatctl`."""

    TRANSFERS_FILES = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Build the file and hand it to the node's part, which adds what only the node's Python can make."""
        super().run(tmp, task_vars)
        _result, options = self.validate_argument_spec(  # type: ignore[no-untyped-call]
            argument_spec={
                "path": {"type": "path", "default": QATCTL},
                "python": {"type": "path", "default": "/usr/bin/python3"},
            }
        )
        if not _PYTHON.fullmatch(options["python"]):
            named = json.dumps(options["python"])
            raise AnsibleActionFail(
                f"python: {named} is no path of a Python; write an absolute path without blanks and control characters"
            )
        packed = pack(options["python"])
        wanted = {**options, "digest": packed.digest}
        result = self._install(wanted, task_vars)
        if result.pop("to_send", False) and not self._task.check_mode:
            result = self._install({**wanted, "src": self._send(packed)}, task_vars)
            result.pop("to_send", None)
        if self._task.diff and result.get("changed"):
            result["diff"] = _difference(options["path"])
        return result

    def _install(self, arguments: dict[str, t.Any], variables: dict[str, t.Any] | None) -> dict[str, t.Any]:
        """Run the node's part."""
        result: dict[str, t.Any] = self._execute_module(
            module_name="accel.qat.qatctl_installed", module_args=arguments, task_vars=variables
        )
        return result

    def _send(self, packed: Packed) -> str:
        """Send the file; returns where it is on the node."""
        directory = self._connection._shell.tmpdir
        path = self._connection._shell.join_path(directory, "qatctl")
        self._transfer_data(path, packed.content())
        self._fixup_perms2((directory, path))  # type: ignore[no-untyped-call]
        return str(path)


def _difference(path: str) -> dict[str, str]:
    """What diff mode shows instead of a binary file, of which Ansible would not even show the path."""
    return difference(path, "(none, or other content)\n", f"(qatctl {version()})\n")


def build(python: str) -> bytes:
    """The qatctl file as it is sent: a Python zip application with the engine inside. The same sources give the same bytes."""
    return pack(python).content()


def pack(python: str) -> Packed:
    """The parts of that file."""
    engine = os.path.join(_COLLECTION, "plugins", "module_utils", "_node")
    sources = {"__main__.py": _MAIN.format(package=QATCTL_PACKAGE, version=version()).encode()}
    for path in _sources(engine):
        with open(os.path.join(engine, path), "rb") as stream:
            sources[f"{QATCTL_PACKAGE}/{path}"] = stream.read()
    # Root runs it: nothing of the caller's PYTHON... variables or ~/.local comes into it.
    return Packed(b"#!" + python.encode() + b" -I\n", sources)


def version() -> str:
    """The collection's version, from what galaxy installed or from the checkout."""
    manifest = os.path.join(_COLLECTION, "MANIFEST.json")
    if os.path.exists(manifest):
        with open(manifest, encoding="utf-8") as stream:
            return str(json.load(stream)["collection_info"]["version"])
    with open(os.path.join(_COLLECTION, "galaxy.yml"), encoding="utf-8") as stream:
        return str(yaml.safe_load(stream)["version"])


def _sources(directory: str) -> t.Iterator[str]:
    for place, _directories, names in os.walk(directory):
        for name in names:
            if name.endswith(".py"):
                yield os.path.relpath(os.path.join(place, name), directory)
