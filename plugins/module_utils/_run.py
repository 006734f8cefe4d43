# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How every module ends: with its result, or with the one sentence of what went wrong."""

from __future__ import annotations

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ._node.errors import NodeError


def failure_of(error: NodeError) -> dict[str, t.Any]:
    """What the result says of an error."""
    return {"msg": error.sentence(), "failure": error.as_dict()}


def run_module(
    module: AnsibleModule,
    work: t.Callable[[], t.Mapping[str, t.Any]],
    has_changed: t.Callable[[NodeError], bool] = lambda error: error.has_changed,
) -> t.NoReturn:
    """End the module with what `work` returns, or with the NodeError that it raises.

    `has_changed` says whether anything is not as it was before when it fails; the error knows, where nobody knows better.
    """
    try:
        result = work()
    except NodeError as error:
        module.fail_json(**failure_of(error), changed=has_changed(error))
    module.exit_json(**result)
