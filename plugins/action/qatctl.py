# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Installs qatctl: packs the engine into one file on the controller and copies it to the node."""

from __future__ import annotations

import io
import json
import os
import re
import tempfile
import typing as t
import zipfile

import yaml
from ansible import constants
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.accel.qat.plugins.module_utils._host.edits import difference

_COLLECTION = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
_PACKAGE = "accel_qat_node"
_MAIN = """\
import sys

from {package}.cli.qatctl import main

sys.exit(main(version={version!r}))
"""
# The kernel takes the first word of a script's first line for the program.
_PYTHON = re.compile(r"/[^\x00-\x20\x7f]+")
# A zip file knows no time before this; a fixed one makes the same sources the same file.
_EPOCH = (1980, 1, 1, 0, 0, 0)


class ActionModule(ActionBase):
    """The action behind `accel.qat.qatctl`."""

    TRANSFERS_FILES = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Build the file and hand it to the copy action, which knows check mode and compares checksums."""
        super().run(tmp, task_vars)
        _result, options = self.validate_argument_spec(  # type: ignore[no-untyped-call]
            argument_spec={
                "path": {"type": "path", "default": "/usr/local/sbin/qatctl"},
                "python": {"type": "path", "default": "/usr/bin/python3"},
            }
        )
        if not _PYTHON.fullmatch(options["python"]):
            given = json.dumps(options["python"])
            raise AnsibleActionFail(
                f"python: {given} is no path of a Python; write an absolute path without blanks and control characters"
            )
        handle, source = tempfile.mkstemp(dir=constants.DEFAULT_LOCAL_TMP)  # type: ignore[attr-defined]
        with os.fdopen(handle, "wb") as stream:
            stream.write(build(options["python"]))
        task = self._task.copy()
        task.args = {"src": source, "dest": options["path"], "owner": "root", "group": "root", "mode": "0755"}
        copy = self._shared_loader_obj.action_loader.get(
            "ansible.legacy.copy",
            task=task,
            connection=self._connection,
            play_context=self._play_context,
            loader=self._loader,
            templar=self._templar,
            shared_loader_obj=self._shared_loader_obj,
        )
        result = dict(copy.run(task_vars=task_vars))
        if self._task.diff and result.get("changed"):
            result["diff"] = _difference(options["path"])
        return result


def _difference(path: str) -> dict[str, str]:
    """What diff mode shows instead of a binary file, of which Ansible would not even show the path."""
    return difference(path, "(none, or other content)\n", f"(qatctl {version()})\n")


def build(python: str) -> bytes:
    """The qatctl file: a Python zip application with the engine inside. The same sources give the same bytes."""
    engine = os.path.join(_COLLECTION, "plugins", "module_utils", "_node")
    packed = io.BytesIO()
    # Root runs it: nothing of the caller's PYTHON... variables or ~/.local comes into it.
    packed.write(b"#!" + python.encode() + b" -I\n")
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(_sources(engine)):
            with open(os.path.join(engine, path), "rb") as stream:
                _add(archive, f"{_PACKAGE}/{path}", stream.read())
        _add(archive, "__main__.py", _MAIN.format(package=_PACKAGE, version=version()).encode())
    return packed.getvalue()


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


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, content)
