# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations


class ModuleDocFragment:
    """What a module says about check mode, differences, repetition and platforms."""

    # The module adds C(support) (and C(details)) to each of these.
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: In check mode, reports exactly what a run would change, and changes nothing.
  diff_mode:
    description: Shows the state before and after a change.
  idempotent:
    description:
      - When run twice in a row with the same options, the second run reports RV(ignore:changed=false).
      - This assumes that nothing else changes the node in between.
"""

    PLATFORM_LINUX = r"""
options: {}
attributes:
  platform:
    description: Operating systems of the managed node that the module supports.
    platforms: linux
    support: full
"""

    # For modules that only read.
    INFO_MODULE = r"""
options: {}
attributes:
  check_mode:
    support: full
    details:
      - The module changes nothing, so check mode makes no difference.
  diff_mode:
    support: N/A
    details:
      - The module changes nothing.
  idempotent:
    support: full
    details:
      - The module changes nothing.
"""

    ACTIONGROUP_QAT = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/accel.qat.qat) in C(module_defaults) to set defaults for this module.
    support: full
    membership:
      - accel.qat.qat
"""

    ACTIONGROUP_CLUSTER = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/accel.qat.cluster) in C(module_defaults) to set defaults for this module.
    support: full
    membership:
      - accel.qat.cluster
"""
