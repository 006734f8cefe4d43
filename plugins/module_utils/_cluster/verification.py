# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The report of a verification: from what the modules found to checks, and from checks to a table. Decisions only."""

from __future__ import annotations

import typing as t

from .._node.facts.services import RESOURCE_PREFIX, is_for_vms
from .._node.printable import aligned
from .in_force import Asked, compare, shown

Result = t.Mapping[str, t.Any]
"""What a module returned."""

Check = t.Dict[str, t.Any]  # noqa: UP006
"""`check`, `expected`, `found`, `ok`, and a `reason` where it is not. `ok` is None where nobody could say."""

_COLUMNS = ("", "CHECK", "EXPECTED", "FOUND")
_WIDEST = 60
_SHARED = "/dev/vfio/vfio"
"""The node that every container with a VF has, besides the VF's own."""
_STATES = {True: "ok", False: "FAILED", None: "not verified"}


def _check(name: str, expected: t.Any, found: t.Any, ok: bool, reason: str = "") -> Check:
    return {"check": name, "expected": str(expected), "found": str(found), "ok": ok, "reason": "" if ok else reason}


def _not_verified(name: str, expected: str, reason: str) -> Check:
    return {"check": name, "expected": expected, "found": "not known", "ok": None, "reason": reason}


def checks_of(devices: Result, **found: Result) -> list[Check]:
    """Every check. Each argument is what one task found; there is none for a task that was left out.

    `devices` has `problem`, why the node is not as configured, or an empty one. `kubelet` is of the module kubelet_config in check mode,
    `node` of cluster_node_info; `before`, `during` and `after` of device_plugin_info; `pod` of probe_pod, with the `resources` it asked
    for; `qat` is the fact of qat_info; `vms` what qat-vm-attach says, or the `reason` why it does not; `exporter` is of exporter_info.
    That kubelet_config, cluster_node_info or probe_pod failed is seen by what their results lack.
    """
    names = ("kubelet", "node", "before", "pod", "during", "after", "qat", "vms", "exporter")
    kubelet, node, before, pod, during, after, qat, vms, exporter = map(found.get, names)
    checks = [_of_devices(devices)]
    if exporter is not None:
        checks.append(_of_exporter(exporter))
    if kubelet is not None:
        checks += _of_kubelet(kubelet, node or {})
    if before is not None:
        checks += _of_mismatches(before)
    if node is not None:
        checks += _of_node(node)
    if vms is not None:
        checks.append(_of_vms(vms))
    if pod is not None:
        checks += _of_pod(pod, during or {}, after or {}, qat or {})
    return checks


def promises(before: Result) -> list[Check]:
    """Expectations of the Node object by what the rules promise: so much of each resource, and nothing of QAT besides."""
    counts = {resource: len(vfs) for resource, vfs in before["promised"].items()}
    for resource in before.get("allocatable") or {}:
        if resource.startswith(RESOURCE_PREFIX):
            counts.setdefault(resource, 0)
    return [
        {
            "name": f"allocatable {resource}",
            "query": f'status.allocatable."{resource}"' + ("" if count else " || '0'"),
            "equals": count,
        }
        for resource, count in sorted(counts.items())
    ]


def _of_devices(devices: Result) -> Check:
    problem = str(devices.get("problem") or "")
    return _check("the QAT devices", "as configured", "another" if problem else "as configured", not problem, problem)


def _of_kubelet(kubelet: Result, node: Result) -> list[Check]:
    """What was asked of kubelet, compared with its files and with its own word. Nothing where nothing was asked."""
    name = "kubelet's configuration"
    if "asked" not in kubelet:
        reason = str(kubelet.get("msg") or "it cannot be read")
        if (kubelet.get("failure") or {}).get("kind") == "refused":
            return [_check(name, "as configured", "refused", False, reason)]
        return [_not_verified(name, "in force", f"{name} is not verified: {reason}")]
    if kubelet["files"]:
        reason = f"{name} is not as configured in {' and '.join(kubelet['files'])}; run accel.qat.site"
        return [_check(name, "as configured", "another", False, reason)]
    if not kubelet["asked"]:
        return []
    reported = node.get("kubelet") or {}
    if reported.get("configuration") is None:
        reason = str(reported.get("problem") or node.get("msg") or "kubelet was not asked")
        return [_not_verified(name, "in force", f"{name} is not verified: {reason}")]
    differences = compare(map(Asked.of, kubelet["asked"]), reported["configuration"])
    checks = [
        _check(f"kubelet's {one.field}", shown(one.wanted), shown(one.in_force), False, one.sentence())
        for one in differences
    ]
    return checks or [_check(name, "in force", "in force", True)]


def _of_mismatches(info: Result) -> list[Check]:
    name, expected = "kubelet and the device plugin", "agree with the node"
    found = info["mismatches"]
    if not found:
        return [_check(name, expected, expected, True)]
    return [_check(name, expected, one["kind"], False, one["problem"]) for one in found]


def _of_node(node: Result) -> list[Check]:
    if "checks" not in node:
        return [_check("the Node object", "readable", "not", False, node.get("msg", "it cannot be read"))]
    return [
        _check(
            one["name"],
            one["expected"],
            "not there" if one["found"] is None else one["found"],
            one["ok"],
            one["reason"],
        )
        for one in node["checks"]
    ]


def _of_exporter(exporter: Result) -> Check:
    name, expected, problem = "the exporter", "sees the devices", str(exporter["problem"])
    return _check(name, expected, "does not" if problem else expected, not problem, problem)


def _of_vms(vms: Result) -> Check:
    """Whether each VF that a pod was given for its virtual machine is there."""
    name, expected = "virtual machines of pods", "have their VFs"
    if "lacking" not in vms:
        return _not_verified(name, expected, f"which VFs virtual machines have is not known: {vms.get('reason', '')}")
    silent = [one["text"] for one in vms["problems"] if one["reason"] == "kubelet"]
    if silent:
        return _not_verified(name, expected, f"which VFs pods have is not known: {silent[0]}")
    lacking = [f"{one['vf']} of the pod {one['pod']} (container {one['container']})" for one in vms["lacking"]]
    reason = (
        f"the virtual machine does not have {', '.join(lacking)}; journalctl -u accel-qat-vm-attach says why, "
        "and docs/virtual_machines.md what to do"
    )
    return _check(name, expected, f"{len(lacking)} VFs are lacking" if lacking else expected, not lacking, reason)


def _of_pod(pod: Result, during: Result, after: Result, qat: Result) -> list[Check]:
    if "device_nodes" not in pod:
        return [_check("the test pod", "runs", "does not", False, pod.get("msg", "it does not run"))]
    checks = [_check("the test pod", "runs", "runs", True)]
    nodes = _nodes_of_vfs(qat)
    own: set[str] = set()
    for resource in pod["resources"]:
        vfs = _of_this_pod(during.get("pods") or (), pod["pod"], resource)
        own |= {nodes.get(vf, "no node") for vf in vfs}
        checks += _of_resource(resource, vfs, pod, nodes)
        checks.append(_is_free(resource, vfs, after))
    own |= set() if all(map(is_for_vms, pod["resources"])) else {_SHARED}
    strange = sorted(set(pod["device_nodes"]) - own)
    text = f"the test pod also sees {', '.join(strange)}"
    checks.append(_check("device nodes of others", "none", ", ".join(strange) or "none", not strange, text))
    return checks


def _of_this_pod(given: t.Iterable[Result], pod: Result, resource: str) -> list[str]:
    wanted = (pod["namespace"], pod["name"], resource)
    return [str(one["device"]) for one in given if (one["namespace"], one["pod"], one["resource"]) == wanted]


def _of_resource(resource: str, vfs: t.Sequence[str], pod: Result, nodes: t.Mapping[str, str]) -> t.Iterator[Check]:
    text = f"kubelet says that the test pod has {len(vfs)} devices of {resource}"
    yield _check(f"VF of {resource}", "one", ", ".join(vfs) or "none", len(vfs) == 1, text)
    for vf in vfs:
        yield _of_node_of(vf, nodes.get(vf, "no node"), pod["device_nodes"], is_for_vms(resource))
        names = sorted(name for name, value in pod["environment"].items() if vf in str(value).split(","))
        text = f"no variable in the test pod names {vf}"
        yield _check(f"variable that names {vf}", "at least one", ", ".join(names) or "none", bool(names), text)


def _of_node_of(vf: str, node: str, nodes: t.Sequence[str], for_vm: bool) -> Check:
    name, seen = f"device node of {vf}", ", ".join(nodes) or "none"
    if for_vm:
        text = f"the test pod has {vf} for a virtual machine, and its container sees {node}"
        return _check(name, "none", node if node in nodes else "none", node not in nodes, text)
    has_node = node in nodes and _SHARED in nodes
    text = f"the test pod has {vf}, and of {node} and {_SHARED} it sees {seen}"
    return _check(name, node, node if has_node else seen, has_node, text)


def _is_free(resource: str, vfs: t.Sequence[str], after: Result) -> Check:
    free = (after.get("free") or {}).get(resource) or ()
    kept = [vf for vf in vfs if vf not in free]
    text = f"{', '.join(kept)} of {resource} is not free again after the test pod was deleted"
    return _check(f"{resource} after the pod", "free again", "not free" if kept else "free again", not kept, text)


def _nodes_of_vfs(qat: Result) -> dict[str, str]:
    vfs = (vf for device in qat.get("devices") or () for vf in device["vfs"])
    return {vf["address"]: vf["vfio_node"] for vf in vfs if vf["vfio_node"]}


def table(checks: t.Sequence[Check]) -> str:
    """The checks for a person: a line each, and below them why those failed or are not verified that are not well."""
    rows = [_COLUMNS, *(_row(check) for check in checks)]
    lines = aligned(rows)
    failed = [check for check in checks if not check["ok"]]
    lines += ["", *(f"- {check['reason']}" for check in failed)] if failed else []
    return "\n".join(lines)


def _row(check: Check) -> tuple[str, ...]:
    cells = (" ".join(check[name].split()) for name in ("check", "expected", "found"))
    shortened = (cell if len(cell) <= _WIDEST else cell[: _WIDEST - 3] + "..." for cell in cells)
    return (_STATES[check["ok"]], *shortened)
