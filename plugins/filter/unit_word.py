# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A text as a word of a systemd unit."""

from __future__ import annotations

from ansible.errors import AnsibleFilterError

from ansible_collections.accel.qat.plugins.plugin_utils import _unit_text

DOCUMENTATION = r"""
name: unit_word
short_description: Write a text as a word of a systemd unit (internal)
version_added: 1.0.0
author:
  - accel.qat contributors (@accel-qat)
description:
  - For values in C(Environment=), C(ReadWritePaths=), C(ExecStart=) and the like.
  - A control character is refused, since a unit has one assignment a line.
options:
  _input:
    description: The text.
    type: raw
    required: true
  argument:
    description: Whether it is an argument of a command, thus follows the program in C(ExecStart=), where a dollar sign has a meaning, too.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Show what a template of a unit gets
  ansible.builtin.debug:
    msg: "ReadWritePaths={{ '/var/lib/a b' | accel.qat.unit_word }}"

- name: Show what a command gets
  ansible.builtin.debug:
    msg: "ExecStart=/bin/cat {{ '/var/lib/a b' | accel.qat.unit_word(argument=true) }}"
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
        return {"unit_word": _word}


def _word(text: object, *, argument: bool = False) -> str:
    try:
        return _unit_text.argument(text) if argument else _unit_text.word(text)
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from None
