# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of the service: flags, each with a twin in the environment."""

from __future__ import annotations

import argparse
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ._node.facts.paths import KUBELET_DEVICE_PLUGINS, KUBELET_ROOTS, NFD_FEATURES, NODE_JSON
from .deployment import DEPLOYMENTS, SERVICE
from .flags import add_log, add_proc_root, add_sysfs_root, add_version, address, root, seconds
from .preference import POLICIES

ENVIRONMENT_PREFIX = "QAT_DEVICE_PLUGIN_"
_YES = ("1", "true", "yes", "on")
_NO = ("0", "false", "no", "off")


@dataclass(frozen=True)
class Settings:
    """Everything an operator can set. `metrics_address` is None where nothing is served over HTTP."""

    config: Path
    sysfs_root: str
    dev_root: str
    proc_root: str
    kubelet_dir: Path
    kubelet_root: str | None
    registration: str
    metrics_address: tuple[str, int] | None
    pod_labels: bool
    allocation_policy: str
    cdi: bool
    cdi_dir: Path
    nfd: bool
    nfd_dir: Path
    run_dir: Path
    deployment: str
    instance: str
    period: float
    log_level: str
    log_format: str
    validate: bool
    take_over: int | None

    @property
    def socket_dir(self) -> Path:
        """Where the sockets of the resources are: beside kubelet.sock, or where kubelet looks for plugins."""
        if self.registration == "socket":
            return self.kubelet_dir
        return Path(self.kubelet_root or self.kubelet_dir.parent) / "plugins_registry"

    @property
    def kubelet_roots(self) -> tuple[str, ...]:
        """The root directories that the kubelet may have: the usual directory of sockets is that of kubelets with another root, too."""
        if self.kubelet_root:
            return (self.kubelet_root,)
        usual = self.kubelet_dir == Path(KUBELET_DEVICE_PLUGINS)
        return KUBELET_ROOTS if usual else (str(self.kubelet_dir.parent),)


class SettingsError(Exception):
    """A flag or its twin in the environment has a value that it cannot have; the message says which."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> t.NoReturn:
        raise SettingsError(message)


def parse_settings(arguments: t.Sequence[str], environment: t.Mapping[str, str]) -> Settings:
    """Flags go before the environment, in which a variable that is empty is as one that is not there. Raises SettingsError."""
    parser = _parser()
    defaults: dict[str, t.Any] = {}
    for action in parser._actions:
        name = ENVIRONMENT_PREFIX + action.dest.upper()
        if action.dest not in ("help", "version", "take_over") and environment.get(name):
            defaults[action.dest] = _from_environment(action, name, environment[name])
    parser.set_defaults(**defaults)
    return Settings(**vars(parser.parse_args(arguments)))


def _from_environment(action: argparse.Action, name: str, text: str) -> t.Any:
    if action.nargs == 0:
        try:
            return _switch(text)
        except argparse.ArgumentTypeError as error:
            raise SettingsError(f"{name}: {error}") from None
    if action.choices is not None and text not in action.choices:
        raise SettingsError(f"{name}: {text!r} is not one of {', '.join(action.choices)}")
    convert = t.cast("t.Callable[[str], t.Any]", action.type or str)
    try:
        return convert(text)
    except argparse.ArgumentTypeError as error:
        raise SettingsError(f"{name}: {error}") from None


def _switch(text: str) -> bool:
    if text.lower() not in _YES + _NO:
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text.lower() in _YES


def _path(text: str) -> Path:
    return Path(root(text))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="qat-device-plugin",
        description="Offers the VFs of this machine's QAT devices to Kubernetes.",
        epilog=f"Each flag can also be given in the environment, as {ENVIRONMENT_PREFIX}CONFIG and so on; flags go first.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--config", type=_path, default=Path(NODE_JSON), metavar="FILE", help="what to offer")
    add_sysfs_root(parser)
    add("--dev-root", type=root, default="/dev", metavar="DIR", help="where the device nodes are")
    add_proc_root(parser)
    add(
        "--kubelet-dir",
        type=_path,
        default=Path(KUBELET_DEVICE_PLUGINS),
        metavar="DIR",
        help="has kubelet.sock",
    )
    add(
        "--kubelet-root",
        type=root,
        metavar="DIR",
        help="kubelet's root directory, if it is neither a usual one nor that of --kubelet-dir",
    )
    add(
        "--registration",
        choices=("socket", "watcher"),
        default="socket",
        help="call kubelet.sock, or be found in plugins_registry, in kubelet's root directory or beside that of kubelet.sock",
    )
    add(
        "--metrics-address",
        type=address,
        default=None,
        metavar="HOST:PORT",
        help="serve /metrics, /healthz and /readyz",
    )
    add(
        "--pod-labels",
        type=_switch,
        default=True,
        metavar="true|false",
        help="ask kubelet which pods have the VFs, for the metrics",
    )
    add("--allocation-policy", choices=POLICIES, default=POLICIES[0], help="how the VFs of a pod spread over the PFs")
    add("--cdi", action="store_true", help="name the VFs by CDI too, and write the specification for the runtime")
    add("--cdi-dir", type=_path, default=Path("/var/run/cdi"), metavar="DIR", help="where the specification goes")
    add("--nfd", action="store_true", help="write a file by which Node Feature Discovery labels this node")
    add(
        "--nfd-dir", type=_path, default=Path(NFD_FEATURES), metavar="DIR", help="where Node Feature Discovery reads it"
    )
    add(
        "--run-dir",
        type=_path,
        default=Path("/run/accel-qat/device-plugin"),
        metavar="DIR",
        help="where instances find each other; nobody else may write there",
    )
    add(
        "--deployment",
        choices=DEPLOYMENTS,
        default=SERVICE,
        help="how it is deployed on this node; one that finds another way there ends",
    )
    add("--instance", default="", metavar="NAME", help="what it is over all restarts of a pod, the pod's uid")
    add("--period", type=seconds, default=5.0, metavar="SECONDS", help="how often to look at what gives no event")
    add_log(parser)
    add("--validate", action="store_true", help="check the configuration and exit")
    add(
        "--take-over", type=int, metavar="PID", help="serve beside the instance with this process id, then in its place"
    )
    add_version(parser)
    return parser
