#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin `check_variables`."""

from __future__ import annotations

DOCUMENTATION = r"""
module: check_variables
short_description: Refuse misspelt variables of the collection
version_added: 1.0.0
author:
  - accel.qat contributors (@accel-qat)
description:
  - Fails for a host that has a variable whose name begins with C(qat_) and that no role or playbook of the collection has. Ansible
    itself ignores such a variable, and a node is then not as its inventory says. The message gives the nearest name.
  - Fails for the names that variables of the roles had before 1.0, which are those of today without C(qat_) in front.
  - The playbooks run it before anything else. Put it before the roles in a playbook of your own.
extends_documentation_fragment:
  - accel.qat.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: N/A
    details:
      - It changes nothing.
  idempotent:
    support: full
options: {}
notes:
  - The work is done by an action plugin of the same name, on the controller. The node is not asked.
  - Names that somebody else uses are listed in the variable C(qat_variables_of_others).
"""

EXAMPLES = r"""
- name: See that no variable of the roles is misspelt
  accel.qat.check_variables:
"""

RETURN = r"""
variables:
  description: Names of the variables of roles that the host has.
  returned: success
  type: list
  elements: str
  sample: [qat_node_devices, qat_node_reboot]
"""
