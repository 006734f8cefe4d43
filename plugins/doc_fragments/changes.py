# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)


from __future__ import annotations


class ModuleDocFragment:
    """Options of every module that changes devices."""

    DOCUMENTATION = r"""
options:
  time_limit:
    description: How many seconds one write to the kernel may take before the module gives up on it, 0.1 to 3600.
    type: float
    default: 60
  record:
    description:
      - File on the node that keeps what was found there before the first change, for the way back.
      - A PF is recorded once, right before the first write to it.
    type: path
    default: /var/lib/accel-qat/found.json
"""
