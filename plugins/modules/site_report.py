#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin `site_report`."""

from __future__ import annotations

DOCUMENTATION = r"""
module: site_report
short_description: Report what came of each node in a run (internal)
version_added: 1.0.0
author:
  - accel.qat contributors (@accel-qat)
description:
  - The playbook C(accel.qat.site) ends with it. One node reports on all of the play, those too that failed or could not be reached.
extends_documentation_fragment:
  - accel.qat.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  file:
    description: A file of the controller that gets the report as JSON. It is not written in check mode.
    type: path
  failure:
    description: Why this node fails after the report; empty where it does not.
    type: list
    elements: str
    default: []
notes:
  - The work is done by an action plugin of the same name, on the controller. The node is not asked.
"""

EXAMPLES = r"""
- name: Report on the run
  accel.qat.site_report:
    file: report.json
"""

RETURN = r"""
msg:
  description: The report as a table, a line an entry.
  returned: for the node that reports
  type: list
  elements: str
  sample: ["NODE   RUN  PFS  VFS                 CHANGED  REBOOT LEFT  VERIFIED"]
nodes:
  description: The same for machines, an entry for each node of the play. What is not known is none.
  returned: for the node that reports
  type: list
  elements: dict
  sample:
    - {node: node1, run: ok, pfs: ["0000:6b:00.0"], vfs: {qat.intel.com/cy: 16}, changed: true, reboot_left: false, verified: true}
"""
