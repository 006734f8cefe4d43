# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What stands in the way of `accel.qat.site`, out of what the tasks of the playbook preflight saw. Decisions only."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.accel.qat.plugins.plugin_utils._kubelet.startable import fails_on_cgroup_v1
from ansible_collections.accel.qat.plugins.plugin_utils._table import one_line, table

Result = t.Mapping[str, t.Any]
"""What a task returned; one that failed lacks what it returns otherwise."""

Finding = dict[str, str]
"""`what` was looked at, what was `found`, the `state`, and a `reason` for any state but OK."""

OK, NOTE, UNKNOWN, STOPS = "ok", "note", "unknown", "STOPS"

_PACKAGES = "linux-firmware, or firmware-misc-nonfree on Debian"
_MODULES = "install the kernel's other modules, such as linux-modules-extra or kernel-modules-extra, or boot a kernel that has it"
_GEN4 = 4


def findings(seen: Result) -> list[Finding]:
    """Every finding. `seen` has the results by the names that the playbook gives them."""
    found = [*_of_texts(seen), *_of_node(seen)]
    if seen["kubernetes"]:
        found += [*_of_kubelet(seen), *_of_controller(seen)]
    return found


def reasons(found: t.Iterable[Finding]) -> list[str]:
    """Why `accel.qat.site` would stop, each once."""
    return list(dict.fromkeys(one_line(one["reason"]) for one in found if one["state"] == STOPS))


def lines(found: t.Sequence[Finding]) -> list[str]:
    """The findings for a person: a line each, and below them what there is to say of them."""
    rows = [("", "WHAT", "FOUND"), *((one["state"], one["what"], one["found"]) for one in found)]
    said = list(dict.fromkeys(f"- {one_line(one['reason'])}" for one in found if one["reason"]))
    return table(rows) + (["", *said] if said else [])


def _finding(what: str, found: str, state: str = OK, reason: str = "") -> Finding:
    return {"what": what, "found": found, "state": state, "reason": reason}


def _message(result: Result | None, otherwise: str) -> str:
    said = (result or {}).get("msg") or otherwise
    return said if isinstance(said, str) else "; ".join(map(str, said))


def _of_texts(seen: Result) -> t.Iterator[Finding]:
    failed = seen.get("variables_failed") or ""
    yield _finding("names of variables", "others" if failed else "known", STOPS if failed else OK, failed)
    for reason in seen.get("unfit") or ():
        yield _finding("texts for files of the node", "another", STOPS, reason)


def _of_node(seen: Result) -> t.Iterator[Finding]:
    if seen.get("node_failed"):
        yield _finding("the node", "not looked at", STOPS, seen["node_failed"])
        return
    node = seen.get("prerequisites") or {}
    if "accel_qat" not in node:
        reason = _message(node, "the node was not looked at")
        yield _finding("the node", "not seen", UNKNOWN, reason)
    else:
        yield from _of_hardware(node, _rules_by_pf(seen))
        yield _of_iommu(node, seen)
        yield _of_qatctl(node["qatctl"])
    yield _of_arguments(seen)
    yield _of_devices(seen)


def _rules_by_pf(seen: Result) -> dict[str, t.Any]:
    """Which rule provisions each device; empty where the rules could not be laid over the devices."""
    for one in (seen["now"] or {}, seen["with_arguments"] or {}):
        if "accel_qat" in one:
            devices = one["accel_qat"]["devices"]
            return {device["address"]: device["is_provisioned"] and device["rule"] for device in devices}
    return {}


def _of_hardware(node: Result, rules: Result) -> t.Iterator[Finding]:
    kernel = node["accel_qat"]["kernel"]
    yield (
        _finding("kernel", kernel)
        if kernel
        else _finding("kernel", "not seen", UNKNOWN, "the release of the running kernel cannot be read")
    )
    devices = node["accel_qat"]["devices"]
    left_alone = {one["address"] for one in devices if one["address"] in rules and not rules[one["address"]]}
    pfs = [one for one in devices if not one["is_vf"]]
    idle = {one["family"] for one in pfs} - {one["family"] for one in pfs if one["address"] not in left_alone}
    for one in node["drivers"]:
        yield _of_driver(one, one["name"] in idle)
    for one in devices:
        yield _of_vf(one) if one["is_vf"] else _of_pf(one)
    for one in pfs:
        yield _of_firmware(one, node["firmware"].get(one["address"]) or (), one["address"] in left_alone)


def _of_driver(seen: Result, idle: bool) -> Finding:
    what = f"driver {seen['name']}"
    if seen["there"]:
        return _finding(what, seen["reason"])
    if seen["there"] is None:
        return _finding(what, "not seen", UNKNOWN, f"{what}: {seen['reason']}")
    if idle:
        return _finding(what, "not there", NOTE, f"{what}: {seen['reason']}; no rule is for its devices")
    return _finding(what, "not there", STOPS, f"{what}: {seen['reason']}; {_MODULES}")


def _of_vf(vf: Result) -> Finding:
    what = f"VF {vf['address']} without its PF"
    if vf["blocked"]:
        return _finding(what, "does not answer", UNKNOWN, f"{what}: the kernel is still at work on it")
    return _finding(what, f"{vf['model']}, driver {vf['driver'] or 'none'}")


def _of_pf(pf: Result) -> Finding:
    what = f"PF {pf['address']}"
    found = (
        f"{pf['model']}, driver {pf['driver'] or 'none'}, {pf['state'] or 'no state'}, at most {pf['vfs_total']} VFs"
    )
    if pf["blocked"]:
        return _finding(what, "does not answer", UNKNOWN, f"{what}: the kernel is still at work on it")
    if not pf["vfs_total"]:
        reason = "it cannot have VFs; where a rule is for it, enable SR-IOV in the BIOS"
        return _finding(what, found, NOTE, f"{what}: {reason}")
    if not pf["driver"]:
        return _finding(what, found, NOTE, f"{what}: no driver has it yet")
    return _finding(what, found)


def _of_firmware(pf: Result, files: t.Sequence[Result], left_alone: bool) -> Finding:
    what = f"firmware of {pf['address']}"
    if pf["state"] == "up":
        return _finding(what, "the device runs it")
    if not files:
        return _finding(what, "not known", UNKNOWN, f"{what}: it is not known which files its driver asks for")
    missing = [one for one in files if one["there"] is False]
    unseen = [one for one in files if one["there"] is None]
    if not missing and not unseen:
        return _finding(what, ", ".join(one["reason"] for one in files))
    said = "; ".join(f"{one['name']}: {one['reason']}" for one in missing or unseen)
    # A driver that has taken its device before Gen4 does not say whether it runs; the file may have been in the initramfs.
    if not missing or (pf["driver"] and pf["generation"] < _GEN4):
        return _finding(what, "not seen", UNKNOWN, f"{what}: {said}")
    if left_alone:
        return _finding(what, "not there", NOTE, f"{what}: {said}; no rule is for this device")
    return _finding(what, "not there", STOPS, f"{what}: {said}; install the device's firmware ({_PACKAGES})")


def _of_qatctl(problem: str) -> Finding:
    what = "the command qatctl"
    return _finding(what, "cannot be there", STOPS, problem) if problem else _finding(what, "can be there")


def _needs_reboot(seen: Result) -> bool:
    return bool((seen.get("arguments") or {}).get("reboot_required"))


def _of_iommu(node: Result, seen: Result) -> Finding:
    what = "IOMMU"
    if node["accel_qat"]["iommu"]:
        return _finding(what, "at work")
    if _needs_reboot(seen):
        reason = "whether VT-d is on in the BIOS is seen only after a boot with the kernel arguments"
        return _finding(what, "off until the reboot", UNKNOWN, f"{what}: {reason}")
    if "steps" in (seen["now"] or {}):
        return _finding(what, "off, and no rule needs it")
    if "steps" in (seen["with_arguments"] or {}):
        reason = (
            "it is off, and no kernel argument is left to set; enable VT-d in the BIOS, or on the host of a virtual machine a virtual "
            "IOMMU, or set qat_node_kernel_arguments"
        )
        return _finding(what, "off", STOPS, f"{what}: {reason}")
    return _finding(
        what, "off", UNKNOWN, f"{what}: whether a rule needs it is seen when the QAT devices can be planned"
    )


def _of_arguments(seen: Result) -> Finding:
    what = "kernel arguments"
    result = seen.get("arguments") or {}
    if "missing_now" not in result:
        if result.get("skipped"):
            return _finding(what, "none are wanted")
        return _finding(what, "cannot be set", STOPS, _message(result, "the kernel arguments were not looked at"))
    wanted = " ".join([*result["added"], *result["missing_now"]])
    if not result["reboot_required"]:
        return _finding(what, "to be set for later boots" if result["changed"] else "as wanted")
    if seen["reboot_allowed"]:
        return _finding(what, "a reboot is needed", NOTE, f"{what}: accel.qat.site reboots the node for them")
    missing = " ".join(result["missing_now"]) or wanted
    if result["iommu_active"] or "steps" in (seen["now"] or {}):
        return _finding(what, "a reboot is left", NOTE, f"{what}: {missing} need a reboot, which is left to you")
    return _finding(
        what,
        "a reboot is left",
        STOPS,
        f"{what}: {missing} need a reboot, before which the QAT devices cannot be configured; set qat_node_reboot to true, "
        "or set them and reboot the node first",
    )


def _of_devices(seen: Result) -> Finding:
    what = "the QAT devices"
    result = seen["with_arguments" if _needs_reboot(seen) else "now"] or {}
    if "steps" in result:
        return _finding(what, f"{len(result['steps'])} steps to take" if result["steps"] else "as configured")
    return _finding(what, "cannot be configured", STOPS, _message(result, "the QAT devices were not looked at"))


def _of_kubelet(seen: Result) -> t.Iterator[Finding]:
    kubelet = seen.get("kubelet") or {}
    cgroup = (seen.get("prerequisites") or {}).get("cgroup") or ""
    if seen.get("kubelet_failed") or "asked" not in kubelet:
        reason = seen.get("kubelet_failed") or _message(kubelet, "kubelet was not looked at")
        yield _finding("kubelet", "cannot be configured", STOPS, reason)
    elif kubelet["flavour"] == "none":
        yield _finding("kubelet", "none is found", NOTE, "kubelet: none is found, and qat_kubelet_when_missing is skip")
    else:
        left = ", to be configured" if kubelet["files"] else ""
        yield _finding("kubelet", f"{kubelet['flavour']}, {kubelet['kubelet_version']}{left}")
    yield _of_cgroup(cgroup, kubelet)


def _of_cgroup(cgroup: str, kubelet: Result) -> Finding:
    what = "cgroups"
    if cgroup == "v2":
        return _finding(what, cgroup)
    if not cgroup:
        return _finding(what, "not seen", UNKNOWN, f"{what}: their version cannot be seen")
    version = re.search(r"\b1\.(\d+)", str(kubelet.get("kubelet_version") or ""))
    if version is None:
        return _finding(
            what, cgroup, UNKNOWN, f"{what}: {cgroup}, and it is not known whether kubelet starts with that"
        )
    if not fails_on_cgroup_v1(kubelet.get("effective") or {}, int(version[1])):
        return _finding(what, cgroup)
    reason = (
        f"kubelet 1.{version[1]} does not start on a node with cgroup v1; boot the node with cgroup v2 "
        "(systemd.unified_cgroup_hierarchy=1), or set failCgroupV1 to false"
    )
    return _finding(what, cgroup, STOPS, f"{what}: {reason}")


_ACCESS = {
    "drain": "the API server, to drain",
    "kubelet_access": "the API server, to see kubelet ready",
    "daemonset_access": "the API server, to have the DaemonSet",
    "verify": "the API server, to verify",
}


def _of_controller(seen: Result) -> t.Iterator[Finding]:
    failed = seen.get("controller_failed") or ""
    if failed:
        yield _finding("the controller", "not looked at", STOPS, failed)
    for name, what in {"device_plugin": "the device plugin's release", **_ACCESS}.items():
        if name not in seen["asked_for"]:
            continue
        looked = seen.get(name) or {}
        if "missing" not in looked:
            yield _finding(what, "not seen", UNKNOWN, failed or f"{what}: {_message(looked, 'nobody could say')}")
            continue
        yield from (_finding(what, "lacking", STOPS, reason) for reason in looked["missing"])
        for right in looked.get("unknown") or ():
            yield _finding(what, "not seen", UNKNOWN, f"{what}: nobody says whether these credentials may {right}")
        if not looked["missing"] and not looked.get("unknown"):
            yield _finding(what, "can be had" if name == "device_plugin" else "can be used")
