# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Brings the wanted fields into a node's own kubelet configuration: reads the node, decides here, lets the node write."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase

from ansible_collections.accel.qat.plugins.module_utils._kubelet.fields import VALIDATED_FLAGS, normal
from ansible_collections.accel.qat.plugins.module_utils._kubelet.flavours import (
    BY_NAME,
    KUBEADM,
    RANCHER_DROP_INS_SINCE,
    RKE2,
)
from ansible_collections.accel.qat.plugins.module_utils._kubelet.observe import Observed
from ansible_collections.accel.qat.plugins.module_utils._kubelet.options import CONFIG, READ
from ansible_collections.accel.qat.plugins.module_utils._module import ROOTS
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError
from ansible_collections.accel.qat.plugins.plugin_utils._kubelet.documents import join_arguments
from ansible_collections.accel.qat.plugins.plugin_utils._kubelet.plan import (
    Plan,
    Wishes,
    asks_for_offered,
    plan_kubelet,
)

if t.TYPE_CHECKING:
    from ansible_collections.accel.qat.plugins.plugin_utils._kubelet.ready import Api

_READ = "accel.qat.kubelet_read"
_APPLY = "accel.qat.kubelet_apply"


# The result for a node without a kubelet, or without a change of ours to undo.
_NOTHING: dict[str, t.Any] = {
    "flavour": "none",
    "kubelet_version": "",
    "gates": [],
    "files": [],
    "state_files": [],
    "effective": {},
    "manifest": None,
    "service": "",
    "proven": False,
    "restarted": False,
    "backups": {},
}


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
            return {"failed": True, "changed": False, "msg": error.sentence(), "failure": error.as_dict()}
        except _Failed as failed:
            return {**failed.result, "failed": True, "changed": False}

    def _bring(self, options: dict[str, t.Any], variables: dict[str, t.Any]) -> dict[str, t.Any]:
        wishes = Wishes(
            configuration=normal(options["configuration"] or {}),
            device_plugin_gates=options["device_plugin_gates"],
            restore=options["state"] == "found",
            drained=options["drained"],
            restart=options["restart"],
            machine_config_pool=options["machine_config_pool"],
            version_given=bool(options["kubelet_version"]),
        )
        asked = {name: options[name] for name in (*READ, *ROOTS) if options[name] is not None}
        looked = {**asked, "if_recorded": wishes.restore, "offered": asks_for_offered(wishes)}
        found = self._on_node(_READ, looked, variables)["observed"]
        if found is None:
            return {"changed": False, **_NOTHING}
        observed = Observed(**found)
        plan = plan_kubelet(observed, wishes)
        record_stale = wishes.restore and observed.record is not None
        result = _result_of(observed, plan, self._task.diff)
        if not plan.edits and not record_stale:
            return {**result, "changed": False}
        arguments = _order(observed, plan, options)
        name = options["node_name"] or variables.get("inventory_hostname", "")
        api = _api(options["kubeconfig"], name) if options["kubeconfig"] and arguments["restart"] else None
        done = self._on_node(_APPLY, arguments, variables)
        if api is not None and done["restarted"]:
            self._see_that_ready(api, arguments, done["at"], variables)
        return {
            **result,
            "changed": True,
            "proven": done["proven"],
            "restarted": done["restarted"],
            "backups": done["backups"],
        }

    def _see_that_ready(self, api: Api, arguments: dict[str, t.Any], since: float, variables: dict[str, t.Any]) -> None:
        try:
            api.wait_until_ready(since, arguments["timeout"])
        except NodeError as error:
            self._on_node(_APPLY, {**arguments, "put_back": error.sentence(), "backup": False}, variables)
            raise

    def _on_node(self, module: str, arguments: dict[str, t.Any], variables: dict[str, t.Any]) -> dict[str, t.Any]:
        result: dict[str, t.Any] = self._execute_module(module_name=module, module_args=arguments, task_vars=variables)
        if result.get("failed"):
            raise _Failed(result)
        return result


def _api(kubeconfig: str, name: str) -> Api:
    # Few tasks ask it, and loading the client takes a playbook longer than loading all else of this collection.
    from ansible_collections.accel.qat.plugins.plugin_utils._kubelet.ready import Api  # noqa: PLC0415

    return Api(kubeconfig, name)


def _order(observed: Observed, plan: Plan, options: dict[str, t.Any]) -> dict[str, t.Any]:
    """The arguments of the module that writes."""
    writes = [
        {"path": options["record"], "before": observed.record, "after": plan.record, "private": True},
        *({"path": edit.path, "before": edit.before, "after": edit.after} for edit in plan.edits),
    ]
    order = {
        "writes": [write for write in writes if write["before"] != write["after"]],
        "unit": observed.unit,
        "restart": options["restart"] and bool(plan.edits),
        "state_files": list(plan.state_files),
        "device_plugins_dir": BY_NAME[observed.flavour].device_plugins_dir,
        "serves_device_plugins": plan.serves_device_plugins,
        "timeout": options["timeout"],
        "backup": options["backup"],
        "root": options["root"],
    }
    # The kubelet that is there cannot speak for one of another version.
    proof = _proof(observed, plan) if options["prove"] and plan.edits and not options["kubelet_version"] else None
    return {**order, "proof": proof} if proof else order


def _proof(observed: Observed, plan: Plan) -> dict[str, t.Any] | None:
    """How kubelet can be asked, None where it is not a program of its own or where another version is meant."""
    if observed.program.rpartition("/")[2] != "kubelet":
        return None
    if observed.flavour == RKE2 and plan.version.minor < RANCHER_DROP_INS_SINCE:
        return None
    if observed.flavour not in (KUBEADM, RKE2):
        return None
    arguments = join_arguments(observed.words)
    given = dict(arguments)
    is_rke2 = observed.flavour == RKE2
    return {
        "program": observed.program,
        "config": given.get("config", "") if is_rke2 else observed.config,
        "config_dir": observed.config_dir,
        "flags": [f"--{flag}={text}" for flag, text in arguments if flag in VALIDATED_FLAGS],
    }


def _result_of(observed: Observed, plan: Plan, wants_diff: bool) -> dict[str, t.Any]:
    result: dict[str, t.Any] = {
        **_NOTHING,
        "flavour": plan.flavour,
        "kubelet_version": plan.version.text,
        "gates": [decision.as_dict() for decision in plan.decisions],
        "files": [edit.path for edit in plan.edits],
        "state_files": list(plan.state_files),
        "effective": dict(plan.effective),
        "manifest": plan.manifest,
        "service": observed.unit,
    }
    if wants_diff:
        result["diff"] = [
            {
                "before_header": edit.path,
                "after_header": edit.path,
                "before": edit.before or "",
                "after": edit.after or "",
            }
            for edit in plan.edits
        ]
    return result
