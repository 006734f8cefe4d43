# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong in the lab besides its commands, each as one sentence for the person who asked."""

from __future__ import annotations

from ansible_collections.accel.qat.tools.building.errors import ToolError


class LabError(ToolError):
    """Something that the user of the lab can understand and fix."""
