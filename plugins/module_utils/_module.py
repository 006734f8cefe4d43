# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the modules share: arguments from the schema, the engine's call, and results or one failure out of it."""

from __future__ import annotations

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ._node.devices.apply import (
    ApplyError,
    Outcome,
    Planner,
    converge,
    rehearse,
    with_what_stands,
)
from ._node.devices.baseline import RECORD, remember
from ._node.devices.plan import Plan
from ._node.devices.read import read_node
from ._node.devices.snapshot import Node
from ._node.devices.step import Step
from ._node.errors import NodeError
from ._node.facts.paths import KUBELET_ROOTS
from ._node.time_limit import refuse_time_limit
from ._node.users.pods import LiveKernelWithPods, Pods
from ._run import run_module

ROOTS: dict[str, dict[str, t.Any]] = {
    "sysfs_root": {"type": "path", "default": "/sys"},
    "proc_root": {"type": "path", "default": "/proc"},
    "dev_root": {"type": "path", "default": "/dev"},
    "kubelet_root": {"type": "path"},
}

CHANGES: dict[str, dict[str, t.Any]] = {
    "time_limit": {"type": "float", "default": 60.0},
    "record": {"type": "path", "default": RECORD},
}

_TYPES = {"string": "str", "integer": "int", "boolean": "bool", "array": "list", "object": "dict"}


def argument_of(schema: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The Ansible argument for a value that the JSON Schema describes."""
    if "oneOf" in schema:
        schema = schema["oneOf"][1]
    argument: dict[str, t.Any] = {"type": _TYPES[schema["type"]]}
    for key, name in (("enum", "choices"), ("default", "default")):
        if key in schema:
            argument[name] = schema[key]
    if schema["type"] == "array":
        items = argument_of(schema["items"])
        argument["elements"] = items.pop("type")
        argument.update(items)
    if schema["type"] == "object":
        argument["options"] = {name: argument_of(entry) for name, entry in schema["properties"].items()}
    return argument


def passed(value: t.Any) -> t.Any:
    """A module's parameters without those that the user left out, which Ansible fills with None."""
    if isinstance(value, dict):
        return {key: passed(entry) for key, entry in value.items() if entry is not None}
    if isinstance(value, list):
        return [passed(entry) for entry in value]
    return value


class NodeModule:
    """An Ansible module's run over the engine."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        sysfs_root, proc_root, dev_root, kubelet_root = (module.params[name] for name in ROOTS)
        pods = Pods([kubelet_root] if kubelet_root else KUBELET_ROOTS)
        self.kernel = LiveKernelWithPods(sysfs_root, proc_root, dev_root, pods)
        self.done: t.Sequence[Step] = ()
        """What was written, and stays also where something fails afterwards."""

    def run(self, work: t.Callable[[NodeModule], dict[str, t.Any]]) -> t.NoReturn:
        """Ends the module with what `work` returns, or with the one sentence of the NodeError that it raises."""
        run_module(self._module, lambda: self._result(work))

    def _result(self, work: t.Callable[[NodeModule], dict[str, t.Any]]) -> dict[str, t.Any]:
        try:
            if "time_limit" in self._module.params:
                refuse_time_limit(self._module.params["time_limit"], "time_limit")
            return work(self)
        except NodeError as error:
            raise with_what_stands(error, self.done) from None
        finally:
            self.kernel.close()

    def read(self, others: t.Iterable[str] = ()) -> Node:
        """The node as it is."""
        return read_node(self.kernel, others)

    def converge(
        self,
        planner: Planner,
        others: t.Iterable[str] = (),
        then: t.Callable[[], None] = lambda: None,
        at_end: t.Callable[[Outcome], None] = lambda _outcome: None,
        at_first: t.Callable[[], None] = lambda: None,
    ) -> Outcome:
        """The node as the planner wants it; in check mode, what that would take.

        `then` and `at_end` are what else has to be done before anybody else may change the devices. `then` is done where single VFs
        failed, too: the others are as wanted, and what keeps them so, as udev does, has to know what that is. `at_first` is done before
        each round of writes, when nothing speaks against these.
        """
        others = tuple(others)

        def before_writes(plan: Plan, node: Node) -> None:
            at_first()
            self._remember(plan, node)

        self._warn_where_pods_are_unknown()
        if not self._module.check_mode:
            seconds: float = self._module.params["time_limit"]
            with self.kernel.locked(2 * seconds):
                try:
                    outcome = converge(self.kernel, lambda: self.read(others), planner, seconds, before_writes)
                except ApplyError as error:
                    if error.only_vfs:
                        _also(then, error)
                    raise
                self.done = outcome.steps
                then()
                at_end(outcome)
                return outcome
        node = self.read(others)
        plan = planner(node)
        rehearse(plan, self.kernel)
        return Outcome(node, node, list(plan.steps), plan.skipped)

    def _warn_where_pods_are_unknown(self) -> None:
        params = self._module.params
        is_mounted = params["sysfs_root"] != ROOTS["sysfs_root"]["default"]
        if is_mounted and not params["kubelet_root"] and not any(map(os.path.isdir, KUBELET_ROOTS)):
            self._module.warn(
                f"It is not known which pods have VFs: sysfs_root is {params['sysfs_root']}, and kubelet_root does not say where "
                "kubelet's root directory is mounted here."
            )

    def _remember(self, plan: Plan, node: Node) -> None:
        remember(self._module.params["record"], plan, node)


def _also(then: t.Callable[[], None], error: ApplyError) -> None:
    """Do it in spite of the error, which says where that fails too."""
    try:
        then()
    except NodeError as another:
        error.remedy = "; ".join(filter(None, (error.remedy, another.sentence())))


def changes(plan: Plan) -> dict[str, t.Any]:
    """What a plan contributes to a module's result."""
    return {
        "changed": bool(plan.steps),
        "diff": plan.diff(),
        "steps": [step.as_dict() for step in plan.steps],
        "skipped_devices": [skip.as_dict() for skip in plan.skipped],
    }
