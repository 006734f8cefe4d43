# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A text as an argument of a command in a systemd unit."""

from __future__ import annotations

from ansible.errors import AnsibleFilterError

from ansible_collections.accel.qat.plugins.plugin_utils._unit_text import argument

DOCUMENTATION = r"""
name: unit_argument
short_description: Write a text as an argument of a command in a systemd unit (internal)
version_added: 0.1.0
author:
  - accel.qat contributors (@accel-qat)
description:
  - For what follows the program in C(ExecStart=) and the like, where a dollar sign has a meaning, too.
  - A control character is refused, since a unit has one assignment a line.
options:
  _input:
    description: The text.
    type: raw
    required: true
"""

EXAMPLES = r"""
- name: Show what a template of a unit gets
  ansible.builtin.debug:
    msg: "ExecStart=/bin/cat {{ '/var/lib/a b' | accel.qat.unit_argument }}"
"""

RETURN = r"""
_value:
  description: The text, in quotes where it needs them.
  type: str
  sample: '"/var/lib/a b"'
"""


class FilterModule:
    """Ansible asks it for its filters."""

    def filters(self) -> dict[str, object]:
        """The filters by name."""
        return {"unit_argument": _argument}


def _argument(text: object) -> str:
    try:
        return argument(text)
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from None
