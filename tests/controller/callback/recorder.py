# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An Ansible callback that writes each task's result, a line of JSON, to the file that RECORDER_FILE names."""

from __future__ import annotations

import json
import os
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: recorder
type: aggregate
short_description: Write results to a file
description:
  - Writes the result of each task as one line of JSON.
"""

_PARTS = ("task", "result", "host")


class CallbackModule(CallbackBase):
    """Listens beside the callback that prints."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "recorder"

    def v2_runner_on_ok(self, result: Any) -> None:
        """A task, or all items of a loop, went well."""
        self._write(result, "ok")

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """A task failed, even if the play goes on."""
        self._write(result, "ignored" if ignore_errors else "failed")

    def v2_runner_on_skipped(self, result: Any) -> None:
        """A task's condition was false, or its loop empty."""
        self._write(result, "skipped")

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """The node did not answer."""
        self._write(result, "unreachable")

    def _write(self, result: Any, outcome: str) -> None:
        # Before ansible-core 2.19 these had no public names.
        task, said, host = (getattr(result, name if hasattr(result, name) else f"_{name}") for name in _PARTS)
        line = {"name": task.get_name(), "outcome": outcome, "result": said, "host": host.get_name()}
        with open(os.environ["RECORDER_FILE"], "a", encoding="utf-8") as stream:
            stream.write(json.dumps(line, default=str) + "\n")
