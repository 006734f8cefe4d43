# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Sets the wanted fields of a node's own kubelet configuration: reads the node, decides here, lets the node write."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase

from ansible_collections.accel.qat.plugins.module_utils._cluster.in_force import Asked, InForce, NotInForceError
from ansible_collections.accel.qat.plugins.module_utils._kubelet.apply import PutBackError
from ansible_collections.accel.qat.plugins.module_utils._kubelet.fields import normal
from ansible_collections.accel.qat.plugins.module_utils._kubelet.flavours.base import OwnedByOthersError
from ansible_collections.accel.qat.plugins.module_utils._kubelet.observe import Observed
from ansible_collections.accel.qat.plugins.module_utils._kubelet.options import CONFIG, READ
from ansible_collections.accel.qat.plugins.module_utils._module import ROOTS
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError
from ansible_collections.accel.qat.plugins.module_utils._node.printable import printable
from ansible_collections.accel.qat.plugins.module_utils._node.time_limit import refuse_time_limit
from ansible_collections.accel.qat.plugins.module_utils._run import failure_of
from ansible_collections.accel.qat.plugins.plugin_utils._kubelet.order import Decision, decide
from ansible_collections.accel.qat.plugins.plugin_utils._kubelet.plan import Desired, asks_for_offered

if t.TYPE_CHECKING:
    from ansible_collections.accel.qat.plugins.plugin_utils._kubelet.wait_ready import Api

_READ = "accel.qat.kubelet_read"
_APPLY = "accel.qat.kubelet_apply"


# The result for a node without a kubelet, or without a change of ours to undo.
_NOTHING: dict[str, t.Any] = {
    "flavour": "none",
    "kubelet_version": "",
    "gates": [],
    "files": [],
    "drop_in": "",
    "state_files": [],
    "effective": {},
    "manifest": None,
    "service": "",
    "proven": False,
    "restarted": False,
    "backups": {},
    "resumed": False,
    "restart_pending": False,
    "asked": [],
    "in_force": InForce(reason="nothing is asked of kubelet").as_dict(),
}

_CUT_OFF = "An earlier run was cut off while it changed kubelet's configuration; this one starts from what was there before it."


class _Failed(Exception):
    """A module on the node has failed; its result says all."""

    def __init__(self, result: dict[str, t.Any]) -> None:
        super().__init__(result.get("msg"))
        self.result = result


class ActionModule(ActionBase):
    """The action behind `accel.qat.kubelet_config`: one round trip to read, and one more where something changes."""

    _requires_connection = True
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Bring the node to what the task says."""
        super().run(tmp, task_vars)
        variables = task_vars or {}
        _result, options = self.validate_argument_spec(  # type: ignore[no-untyped-call]
            argument_spec={**READ, **CONFIG, **ROOTS}
        )
        try:
            return self._bring(options, variables)
        except NodeError as error:
            return {**failure_of(error), **_in_force_of(error), **_manifest_of(error), "failed": True, "changed": False}
        except _Failed as failed:
            return {**failed.result, "failed": True, "changed": bool(failed.result.get("changed"))}

    def _bring(self, options: dict[str, t.Any], variables: dict[str, t.Any]) -> dict[str, t.Any]:
        refuse_time_limit(options["timeout"], "timeout")
        desired = Desired(
            configuration=normal(options["configuration"] or {}),
            device_plugin_gates=options["device_plugin_gates"],
            restore=options["state"] == "found",
            drained=options["drained"],
            restart=options["restart"],
            machine_config_pool=options["machine_config_pool"],
            version_given=bool(options["kubelet_version"]),
            drop_in=options["drop_in"],
        )
        asked = {name: options[name] for name in (*READ, *ROOTS) if options[name] is not None}
        looked = {**asked, "if_recorded": desired.restore, "offered": asks_for_offered(desired)}
        found = self._on_node(_READ, looked, variables)["observed"]
        if found is None:
            return {"changed": False, **_NOTHING}
        observed = Observed(**found)
        decision = decide(observed, desired, options)
        result = _result_of(observed, decision, self._task.diff)
        name = options["node_name"] or variables.get("inventory_hostname", "")
        in_force = InForce(reason=_unasked(observed, decision, options, self._task.check_mode))
        if decision.order is None:
            if not in_force.reason:
                in_force = _in_force_now(options["kubeconfig"], name, decision.plan.asked)
            return {**result, "changed": False, "in_force": in_force.as_dict()}
        arguments = decision.order
        asks_api = options["kubeconfig"] and arguments["restart"]
        api = _api(options["kubeconfig"], name, options["timeout"]) if asks_api else None
        done = self._on_node(_APPLY, arguments, variables)
        if api is not None and done["restarted"]:
            to_confirm = () if in_force.reason else decision.plan.asked
            in_force = self._require_ready(api, arguments, done["at"], to_confirm, variables) or in_force
        if done["restarted"] and decision.plan.asked and in_force.reason:
            warning = f"It is not verified that kubelet has in force what was wanted: {in_force.reason}"
            result["warnings"] = [*result.get("warnings", ()), warning]
        return {
            **result,
            "changed": True,
            "proven": done["proven"],
            "restarted": done["restarted"],
            "backups": done["backups"],
            "in_force": in_force.as_dict(),
        }

    def _require_ready(
        self,
        api: Api,
        arguments: dict[str, t.Any],
        since: float,
        asked: t.Sequence[Asked],
        variables: dict[str, t.Any],
    ) -> InForce | None:
        try:
            api.wait_until_ready(since, arguments["timeout"])
            in_force = api.require_in_force(asked, arguments["timeout"]) if asked else None
        except NodeError as error:
            self._put_back(error, arguments, variables)
            raise
        # What is left of it is to say that it is done.
        done = {"writes": [], "restart": False, "journal": arguments["journal"], "root": arguments["root"]}
        try:
            self._on_node(_APPLY, done, variables)
        except _Failed as failed:
            failed.result["changed"] = True
            raise
        return in_force

    def _put_back(self, error: NodeError, arguments: dict[str, t.Any], variables: dict[str, t.Any]) -> None:
        """Put back what was written; the failure then names both. Raises _Failed."""
        try:
            self._on_node(_APPLY, {**arguments, "put_back": error.sentence(), "backup": False}, variables)
        except _Failed as failed:
            failed.result.update(_in_force_of(error))
            if failed.result.get("failure", {}).get("kind") != PutBackError.kind:  # it has not come to that
                also = failed.result.get("msg", "the module failed")
                failed.result.update(changed=True, msg=f"{error.sentence()}; and nothing was put back: {also}")
            raise

    def _on_node(self, module: str, arguments: dict[str, t.Any], variables: dict[str, t.Any]) -> dict[str, t.Any]:
        result: dict[str, t.Any] = self._execute_module(module_name=module, module_args=arguments, task_vars=variables)
        if result.get("failed"):
            raise _Failed(result)
        return result


def _api(kubeconfig: str, name: str, patience: float = 0.0) -> Api:
    # Few tasks ask it, and loading the client takes a playbook longer than loading all else of this collection.
    from ansible_collections.accel.qat.plugins.plugin_utils._kubelet.wait_ready import Api  # noqa: PLC0415

    return Api(kubeconfig, name, patience)


def _unasked(observed: Observed, decision: Decision, options: t.Mapping[str, t.Any], check_mode: bool) -> str:
    """Why kubelet is not asked what is in force, empty where it is."""
    if not decision.plan.asked:
        return "nothing is asked that kubelet reports"
    if observed.kind.by_manifest:
        return "the Machine Config Operator brings it, and accel.qat.verify reports whether it has"
    if check_mode:
        return "kubelet is not asked in check mode"
    if decision.restart_pending or (decision.order is not None and not decision.order["restart"]):
        return "kubelet was not restarted"
    return "" if options["kubeconfig"] else "kubelet is not asked without a kubeconfig"


def _in_force_now(kubeconfig: str, name: str, asked: t.Sequence[Asked]) -> InForce:
    """Where nothing was to be done: a cluster that cannot be asked is no reason to fail then. Raises NotInForceError."""
    try:
        api = _api(kubeconfig, name)
    except NodeError as error:
        return InForce(reason=printable(error.problem))
    return api.require_in_force(asked, 0.0)


def _in_force_of(error: NodeError) -> dict[str, t.Any]:
    return {"in_force": error.in_force.as_dict()} if isinstance(error, NotInForceError) else {}


def _manifest_of(error: NodeError) -> dict[str, t.Any]:
    return {"manifest": error.manifest} if isinstance(error, OwnedByOthersError) else {}


def _result_of(observed: Observed, decision: Decision, wants_diff: bool) -> dict[str, t.Any]:
    plan = decision.plan
    result: dict[str, t.Any] = {
        **_NOTHING,
        "flavour": plan.flavour,
        "kubelet_version": plan.version.text,
        "gates": [decision.as_dict() for decision in plan.decisions],
        "files": [edit.path for edit in plan.edits],
        "drop_in": plan.drop_in,
        "state_files": list(plan.state_files),
        "effective": dict(plan.effective),
        "manifest": plan.manifest,
        "service": observed.unit,
        "resumed": decision.resumed,
        "restart_pending": decision.restart_pending,
        "asked": [one.as_dict() for one in plan.asked],
    }
    warnings = [*([_CUT_OFF] if decision.resumed else []), *plan.notes]
    if warnings:
        result["warnings"] = warnings
    if wants_diff:
        result["diff"] = plan.diff()
    return result
