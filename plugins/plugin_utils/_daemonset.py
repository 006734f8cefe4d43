# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The DaemonSet of the device plugin as a role applies it: the manifest of deploy/kubernetes/base with the settings of nodes."""

from __future__ import annotations

import copy
import os.path
import typing as t

from ansible_collections.accel.qat.plugins.module_utils._node.facts.paths import NFD_FEATURES

Object = t.Dict[str, t.Any]  # noqa: UP006

_ENVIRONMENT = "QAT_DEVICE_PLUGIN_"


def daemonset(manifest: Object, image: Object, configuration: str, kubelet_dir: str, settings: Object) -> Object:
    """The manifest with these instead.

    `image` has `name`, `pull_policy` and `pull_secrets`. The pods read `configuration` of their host. `settings` are values of flags of
    the device plugin, by their names in its environment without the beginning that all have. Without KUBELET_ROOT kubelet's root directory
    is above `kubelet_dir`.
    """
    made = copy.deepcopy(manifest)
    pod = made["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    container["image"], container["imagePullPolicy"] = image["name"], image["pull_policy"]
    if image["pull_secrets"]:
        pod["imagePullSecrets"] = [{"name": name} for name in image["pull_secrets"]]
    root = settings.get("KUBELET_ROOT") or os.path.dirname(kubelet_dir)
    values = {"CONFIG": configuration, "KUBELET_DIR": kubelet_dir, **settings, "KUBELET_ROOT": root}
    for variable in container["env"]:
        name = variable["name"].removeprefix(_ENVIRONMENT)
        if name in values:
            variable["value"] = _text(values.pop(name))
    container["env"] += [{"name": f"{_ENVIRONMENT}{name}", "value": _text(value)} for name, value in values.items()]
    directory = os.path.dirname(configuration)
    _mount(pod, "configuration", directory, {"hostPath": {"path": directory, "type": "Directory"}})
    _mount(pod, "device-plugins", kubelet_dir, {"hostPath": {"path": kubelet_dir, "type": "Directory"}})
    resources = f"{root}/pod-resources"
    _mount(pod, "pod-resources", resources, {"hostPath": {"path": resources, "type": "DirectoryOrCreate"}})
    if _text(settings.get("NFD", False)) == "true":
        _mount(pod, "features", NFD_FEATURES, {"hostPath": {"path": NFD_FEATURES, "type": "DirectoryOrCreate"}})
    return made


def _text(value: t.Any) -> str:
    """As YAML has it, which the program reads: true and false in lower case."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _mount(pod: Object, name: str, path: str, source: Object) -> None:
    """Have the volume of this name come from there, and be at this path; one that is not in the manifest is written to."""
    (container,) = pod["containers"]
    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
    mounts.setdefault(name, {"name": name})["mountPath"] = path
    container["volumeMounts"] = list(mounts.values())
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    volumes[name] = {"name": name, **source}
    pod["volumes"] = list(volumes.values())
