# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The node's programs. Each is this file, called by its name, in a directory that stands for the node's file system.

The kubelet here stops where a real one stops: at an unknown or locked gate, at a state file of another policy, at a static policy
with nothing reserved; and it ends right after its configuration is read when it is asked to by --exit-on-lock-contention.

Thousands of these are started in a run of all tests: each imports no more than it needs, which is half of its time.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path

# As typing has it, which takes longer to import than most of these programs to run.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    import typing as t

ROOT = Path(os.environ["ACCEL_QAT_FAKE_ROOT"])
SETTINGS = json.loads((ROOT / "fake.json").read_text())


def at(path: str) -> Path:
    """Where a path of the node is."""
    return ROOT / path.lstrip("/")


def flags_of(words: list[str]) -> dict[str, str]:
    parts = (word[2:].partition("=") for word in words if word.startswith("--"))
    return {name: value if equals else "true" for name, equals, value in parts}


def configuration_of(path: Path) -> dict[str, t.Any]:
    """Enough of YAML for what kubelet is tried with: names and values, and mappings of them, one a line."""
    found: dict[str, t.Any] = {}
    inside: dict[str, str] | None = None
    for line in path.read_text().splitlines():
        text = line.split(" #")[0].rstrip()
        match = re.match(r'( *)"?([\w.-]+)"?:(?: +(.*))?$', text)
        if match is None:
            continue
        value = (match.group(3) or "").strip("\"'")
        if not match.group(1):
            inside = {} if not value else None
            found[match.group(2)] = value if inside is None else inside
        elif inside is not None:
            inside[match.group(2)] = value
    return found


def effective(flags: dict[str, str]) -> dict[str, t.Any]:
    paths = [at(flags["config"])] if "config" in flags else []
    if "config-dir" in flags:
        if not at(flags["config-dir"]).is_dir():
            fatal(
                "failed to merge kubelet configs: failed to walk through kubelet dropin directory: no such file or directory"
            )
        paths += sorted(at(flags["config-dir"]).rglob("*.conf"))
    merged: dict[str, t.Any] = {}
    for path in paths:
        for name, value in configuration_of(path).items():
            both = isinstance(value, dict) and isinstance(merged.get(name), dict)
            merged[name] = {**merged[name], **value} if both else value
    gates = dict(pair.split("=") for pair in flags.get("feature-gates", "").split(",") if pair)
    merged["featureGates"] = {**(merged.get("featureGates") or {}), **gates}
    return merged


def fatal(message: str) -> t.NoReturn:
    """As klog ends a program."""
    sys.stderr.write(f"F1121 11:17:02.500439   24097 server.go:208] {message}\ngoroutine 1 [running]:\nmain.main()\n")
    sys.exit(255)


def panic(message: str) -> t.NoReturn:
    """As Go ends a program, and kubelet from 1.32 on where a gate is wrong."""
    sys.stderr.write(
        "panic: failed to merge global and in-flight KubeletConfiguration while setting defaults, error: "
        f"{message}\n\ngoroutine 1 [running]:\nmain.main()\n\t/go/src/main.go:35 +0x1c\nexit status 2\n"
    )
    sys.exit(2)


def require_gates_known(gates: dict[str, str]) -> None:
    end = panic if int(SETTINGS["version"].split(".")[1]) >= 32 else fatal
    for name, value in gates.items():
        if name not in SETTINGS["gates"]:
            end(f"unrecognized feature gate: {name}")
        default, locked = SETTINGS["gates"][name]
        if locked and (value == "true") is not default:
            end(f"cannot set feature gate {name} to {value}, feature is locked to {str(default).lower()}")


def require_cgroups_named(given: dict[str, t.Any], flags: dict[str, str]) -> None:
    if "kube-reserved" in given.get("enforceNodeAllocatable", "") and not flags.get("kube-reserved-cgroup"):
        fatal("invalid configuration: kubeReservedCgroup (--kube-reserved-cgroup) must be specified")


def kubelet(words: list[str]) -> int:
    flags = flags_of(words)
    if "version" in flags:
        print(f"Kubernetes v{SETTINGS['version']}")
        return 0
    if "help" in flags:
        for name, (default, locked) in SETTINGS["gates"].items():
            if not locked:
                print(f"                {name}=true|false (BETA - default={str(default).lower()})")
        return 0
    if (
        "config-dir" in flags
        and SETTINGS["version"][:4] in ("1.28", "1.29")
        and "KUBELET_CONFIG_DROPIN_DIR_ALPHA" not in os.environ
    ):
        fatal("the KUBELET_CONFIG_DROPIN_DIR_ALPHA environment variable must be set to enable the drop-in directory")
    if SETTINGS["version"][:4] in ("1.24", "1.25", "1.26") and "container-runtime-endpoint" not in flags:
        fatal("failed to validate kubelet flags: the container runtime endpoint address was not specified or empty")
    given = effective(flags)
    require_gates_known(given["featureGates"])
    require_cgroups_named(given, flags)
    if "exit-on-lock-contention" in flags:
        if "kubeconfig" in flags:
            fatal("a kubelet that is only asked knows the cluster")
        (at(flags["cert-dir"]) / "kubelet.crt").write_text("made on the way")
        fatal("failed to run Kubelet: cannot exit on lock file contention: no lock file specified")
    if SETTINGS.get("fails_with") and SETTINGS["fails_with"][0] in json.dumps(given):
        fatal(SETTINGS["fails_with"][1])
    return serve(given, SETTINGS["programs"]["kubelet"], words)


def require_state_fits(directory: Path, given: dict[str, t.Any]) -> None:
    policy = given.get("cpuManagerPolicy", "none")
    reserved = given.get("reservedSystemCPUs") or any(
        "cpu" in (given.get(name) or {}) for name in ("kubeReserved", "systemReserved")
    )
    if policy == "static" and not reserved:
        fatal("the static policy requires systemreserved.cpu + kubereserved.cpu to be greater than zero")
    state = directory / "cpu_manager_state"
    if state.exists() and json.loads(state.read_text())["policyName"] != policy:
        fatal(
            f'could not restore state from checkpoint: configured policy "{policy}" differs from state checkpoint policy, '
            "please drain this node and delete the CPU manager checkpoint file"
        )
    state.write_text(json.dumps({"policyName": policy, "defaultCpuSet": "", "checksum": 1}))


def serve(given: dict[str, t.Any], program: str, words: list[str]) -> int:
    """Run until somebody ends it."""
    import shutil
    import signal

    directory = at(flags_of(words).get("root-dir", SETTINGS["kubelet_dir"]))
    directory.mkdir(parents=True, exist_ok=True)
    require_state_fits(directory, given)
    process = ROOT / "proc" / str(os.getpid())
    # With its content at once, as in /proc.
    aside = ROOT / "run" / f"proc-{os.getpid()}"
    # Of the same user, in the same namespaces as process 1.
    shutil.copytree(ROOT / "proc/1", aside, symlinks=True)
    (aside / "cmdline").write_text("\0".join([program, *words]) + "\0")
    (aside / "exe").unlink()
    (aside / "exe").symlink_to(program)
    aside.rename(process)
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    try:
        default, _locked = SETTINGS["gates"].get("DevicePlugins", [SETTINGS["serves"], True])
        on = given.get("featureGates", {}).get("DevicePlugins", str(default).lower()) == "true"
        listener = listen(at(SETTINGS["device_plugins_dir"])) if on else None
        while True:
            time.sleep(60)
            assert listener is not None or not on
    finally:
        shutil.rmtree(process)


def listen(directory: Path) -> socket.socket:
    import socket

    directory.mkdir(parents=True, exist_ok=True)
    os.chdir(directory)
    Path("kubelet.sock").unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind("kubelet.sock")
    listener.listen()
    return listener


def container(name: str) -> t.Callable[[list[str]], int]:
    """A program that contains a kubelet: it only serves."""

    def run(words: list[str]) -> int:
        if words[:1] in (["--version"], ["version"]):
            print(SETTINGS["said"])
            return 0
        return serve({}, SETTINGS["programs"][name], words)

    return run


def is_alive(unit: str) -> int:
    """The process of a unit, 0 where there is none."""
    try:
        pid = int((ROOT / "run" / unit).read_text())
        os.kill(pid, 0)
        return 0 if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z" else pid
    except (OSError, ValueError):
        return 0


def stop(unit: str) -> None:
    import signal

    pid = is_alive(unit)
    if pid:
        os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + 10
    while is_alive(unit) and time.monotonic() < end:
        time.sleep(0.02)


def extra_arguments(unit: dict[str, t.Any]) -> list[str]:
    """Those of an administrator, where they stand in one line."""
    import shlex

    value = ""
    for path in unit["environment_files"] if "$KUBELET_EXTRA_ARGS" in unit["argv"] else ():
        lines = at(path).read_text().splitlines() if at(path).exists() else []
        value = [value, *(line.partition("=")[2] for line in lines if line.startswith("KUBELET_EXTRA_ARGS="))][-1]
    return shlex.split(value.strip("\"'"))


def start(unit: str) -> None:
    import subprocess

    command = [*SETTINGS["units"][unit]["command"], *extra_arguments(SETTINGS["units"][unit])]
    with (ROOT / "run" / f"{unit}.log").open("ab") as log:
        process = subprocess.Popen(
            [str(at(command[0])), *command[1:]],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    (ROOT / "run" / unit).write_text(str(process.pid))
    (ROOT / "run" / f"{unit}.since").write_text(str(int(time.monotonic() * 1e6)))


def systemctl(words: list[str]) -> int:
    verb, *asked = [word for word in words if not word.startswith("--")]
    names = [name if "." in name else f"{name}.service" for name in asked]
    if verb == "show" and not names:
        print(f"Environment={SETTINGS['systemd_environment']}")
        return 0
    if verb == "show":
        own = {unit["alias"]: name for name, unit in SETTINGS["units"].items()}
        for name in (own.get(name, name) for name in names):
            unit = SETTINGS["units"].get(name)
            print(
                f"Id={name}\nNames={name} {unit['alias'] if unit else ''}\nLoadState={'loaded' if unit else 'not-found'}"
            )
            print(f"ActiveState={'active' if unit and is_alive(name) else 'inactive'}")
            print(f"MainPID={is_alive(name)}")
            since = ROOT / "run" / f"{name}.since"
            print(f"ExecMainStartTimestampMonotonic={since.read_text() if since.exists() else 0}")
            if unit:
                print(
                    f"ExecStart={{ path={unit['argv'].split()[0]} ; argv[]={unit['argv']} ; ignore_errors=no ; pid=0 }}"
                )
                print(f"Environment={unit.get('environment', '')}")
                for path in unit.get("environment_files", []):
                    print(f"EnvironmentFiles={path} (ignore_errors=yes)")
            print()
        return 0
    (name,) = names
    with (ROOT / "run" / "systemctl").open("a") as stream:
        stream.write(f"{verb} {name}\n")
    if verb == "is-active":
        return 0 if is_alive(name) else 3
    if verb in ("stop", "restart"):
        stop(name)
    if verb in ("start", "restart"):
        start(name)
    return 0


def journalctl(words: list[str]) -> int:
    unit = next(word.split("=")[1] for word in words if word.startswith("--unit="))
    log = ROOT / "run" / f"{unit}.log"
    sys.stdout.write(log.read_text() if log.exists() else "")
    return 0


def env(words: list[str]) -> t.NoReturn:
    names = [word.split("=") for word in words if re.match(r"[A-Z_]+=", word)]
    command = words[len(names) :]
    os.execve(at(command[0]), [str(at(command[0])), *command[1:]], {**os.environ, **dict(names)})


def timeout(words: list[str]) -> t.NoReturn:
    command = words[2:]
    os.execv(at(command[0]), [str(at(command[0])), *command[1:]])


PROGRAMS: dict[str, t.Callable[[list[str]], int]] = {
    "kubelet": kubelet,
    "systemctl": systemctl,
    "journalctl": journalctl,
    "env": env,
    "timeout": timeout,
    **{name: container(name) for name in ("k3s", "rke2", "kubelite", "hyperkube", "openshift")},
}


def main() -> t.NoReturn:
    """Be the program of this name."""
    called = Path(sys.argv[1]).name
    sys.exit(PROGRAMS[called](sys.argv[2:]))
