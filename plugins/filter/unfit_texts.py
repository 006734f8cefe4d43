# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Why texts cannot go into files on the node as they are."""

from __future__ import annotations

import json
import re
import typing as t

DOCUMENTATION = r"""
name: unfit_texts
short_description: Say which texts do not have the form that they need (internal)
version_added: 1.0.0
author:
  - accel.qat contributors (@accel-qat)
description:
  - For values that go into files on the node as they are, before anything is changed.
options:
  _input:
    description: The texts, each a dictionary with C(name), the list C(given), the regular expression C(form), C(what) it is the form of,
      and the C(remedy).
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Refuse names that no kernel module has
  ansible.builtin.assert:
    that: unfit | length == 0
    fail_msg: "{{ unfit | join('; ') }}"
  vars:
    unfit: "{{ [text] | accel.qat.unfit_texts }}"
    text: {name: load_modules, given: ["a b"], form: '[^ ]+', what: name of a kernel module, remedy: write one module an entry}
"""

RETURN = r"""
_value:
  description: A sentence for each text that does not have its form as a whole, and for what is no list of texts.
  type: list
  elements: str
  sample: ['load_modules: "a b" is no name of a kernel module; write one module an entry']
"""


class FilterModule:
    """Ansible asks it for its filters."""

    def filters(self) -> dict[str, object]:
        """The filters by name."""
        return {"unfit_texts": _unfit}


def _unfit(texts: t.Iterable[t.Mapping[str, t.Any]]) -> list[str]:
    return [
        f"{text['name']}: {json.dumps(value, default=str)} is no {what}; {text['remedy']}"
        for text in texts
        for value, what in _unfit_of(text)
    ]


def _unfit_of(text: t.Mapping[str, t.Any]) -> list[tuple[object, str]]:
    """What has not the form, and what it should be. Letter by letter a text in a list's place may well have it."""
    if not isinstance(text["given"], list):
        return [(text["given"], "list")]
    return [(value, text["what"]) for value in text["given"] if not re.fullmatch(text["form"], str(value))]
