# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a module's real main() on a fake node, and takes what it would print."""

from __future__ import annotations

import json
import typing as t
from types import ModuleType

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.accel.qat.plugins.module_utils import _module
from ansible_collections.accel.qat.tests.unit.live_fake import LiveFake, put_in_place


class Player:
    """An Ansible controller, as far as a module notices."""

    def __init__(
        self, kernel: LiveFake, record: str, monkeypatch: pytest.MonkeyPatch, output: pytest.CaptureFixture[str]
    ) -> None:
        self.kernel = kernel
        self.record = record
        self.roots = put_in_place(monkeypatch, _module, kernel)
        # Not the machine's own.
        monkeypatch.setitem(_module.CHANGES["record"], "default", record)
        self._output = output

    def run(self, module: ModuleType, check: bool = False, **arguments: t.Any) -> t.Any:
        """The module's result."""
        with patch_module_args({**arguments, "_ansible_check_mode": check}), pytest.raises(SystemExit) as caught:
            module.main()
        result = json.loads(self._output.readouterr().out)
        assert bool(caught.value.code) == bool(result.get("failed"))
        assert self.kernel.closed
        return result

    def change(self, module: ModuleType, **arguments: t.Any) -> t.Any:
        """Check, do, check again, do again; returns what the doing said. Check mode must have said the same and written nothing."""
        writes = list(self.kernel.writes)
        checked = self.run(module, check=True, **arguments)
        assert self.kernel.writes == writes
        done = self.run(module, **arguments)
        compared = ("changed", "diff", "steps", "skipped_devices", "configuration_checksum")
        assert [checked.get(name) for name in compared] == [done.get(name) for name in compared]
        assert done["changed"]
        writes = list(self.kernel.writes)
        for check in (True, False):
            again = self.run(module, check=check, **arguments)
            assert (again["changed"], again["steps"]) == (False, [])
            assert again["diff"] == {"before": "", "after": ""}
        assert self.kernel.writes == writes
        return done

    def fail(self, module: ModuleType, **arguments: t.Any) -> t.Any:
        """A run that fails before the first write, in check mode with the same words; returns what it said."""
        writes = list(self.kernel.writes)
        checked = self.run(module, check=True, **arguments)
        failed = self.run(module, **arguments)
        assert failed["failed"]
        assert not failed["changed"]
        assert self.kernel.writes == writes
        assert (checked["msg"], checked["failure"]) == (failed["msg"], failed["failure"])
        return failed
