# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the modules of the Kubernetes API share: a run that ends with its result, or with one sentence."""

from __future__ import annotations

import abc
import typing as t

from ansible.module_utils.basic import AnsibleModule

from .._node.time_limit import refuse_time_limit
from .._run import run_module

_MOST_SECONDS = 86_400.0
"""How long the pods of a node may take to go, with whatever budgets."""


class ClusterModule(abc.ABC):
    """One run of a module. `changed` says whether it has changed anything yet, which a failure reports too."""

    def __init__(self, module: AnsibleModule) -> None:
        self.changed = False
        self._module = module
        self._params: dict[str, t.Any] = module.params

    @abc.abstractmethod
    def result(self) -> dict[str, object]:
        """Do the work and return what the module returns; raises NodeError."""

    def run(self) -> t.NoReturn:
        """End the module with the result, or with the sentence of the NodeError."""
        run_module(self._module, self._result_in_time, lambda _error: self.changed)

    def _result_in_time(self) -> dict[str, object]:
        refuse_time_limit(self._params["wait_timeout"], "wait_timeout", 0.0, _MOST_SECONDS)
        return self.result()
