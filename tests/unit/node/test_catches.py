# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing but `absence.py` decides what proves absence. Each other place that catches an OSError is here, with the reason why it may.

A new one most likely takes a failed read for "not there": let the error through, ask `if_there`, or say what could not be seen.
"""

from __future__ import annotations

import typing as t
from collections import Counter
from pathlib import Path

import pytest

from ansible_collections.accel.qat.tests.unit.node.catches import catches

ROOT = Path(__file__).parents[3]

NODE, HOST, BOOT, KUBELET, SUPPORT = (
    f"plugins/module_utils/{name}" for name in ("_node", "_host", "_boot", "_kubelet", "_support")
)
PLUGIN = "device_plugin/src/qat_device_plugin"

_REPORTED = "what could not be done, or why it is not known, is reported"
_NO_DIRECTORY = "a file in the place of a directory: nothing can be below it"
_NO_SUCH_PATH = "raises, unless there is no such path, or a file in the place of a directory"
_FOUND_TWICE = "what is asked for is written to or looked at next, which fails by itself where it cannot be"
_TIDYING = "tidying up: what stays harms nobody, and decides nothing"
_OWN = "files of the collection itself, on the controller"
_UNSEEN_IS_USED = "whoever cannot be seen, or what cannot be read, counts as in use"
_NO_TRUST = "what cannot be seen is not believed, or refused"
_UNKNOWN = "then nothing is known, and nothing is attached or taken out"
_SECOND_LOOK = "the lock itself is had; this only adds what its removal has hidden"
_AGAIN = "it is tried again, and said to be so"

ALLOWED: t.Mapping[str, t.Mapping[str, str]] = {
    "plugins/action/site_report.py": {"ActionModule.run: except OSError": _REPORTED},
    "plugins/action/qatctl.py": {"version: path.exists": _OWN, "_sources: os.walk": _OWN},
    "plugins/module_utils/_module.py": {
        "NodeModule._warn_where_pods_are_unknown: path.isdir": "a warning, which is given then"
    },
    "plugins/modules/qat_restore.py": {"main.work: path.lexists": _FOUND_TWICE},
    "plugins/plugin_utils/_variables.py": {"role_variables: roles.glob": _OWN},
    "plugins/plugin_utils/_kubelet/wait_ready.py": {
        "Api.wait_until_ready: except Exception": _AGAIN,
    },
    f"{KUBELET}/apply.py": {
        "_put_back: except (NodeError, OSError)": _REPORTED,
        "_answers: except OSError 1": "it is asked again until the time is up, which is an error",
        "_answers: except OSError 2": "the same",
    },
    f"{KUBELET}/processes.py": {"_process: except OSError": _NO_TRUST, "_host: path.lexists": _NO_TRUST},
    f"{KUBELET}/programs.py": {"fault_of: except OSError": "only what is not there, or no directory, has no program"},
    f"{KUBELET}/drop_ins.py": {"is_link: except OSError": _NO_SUCH_PATH},
    f"{KUBELET}/extra_arguments.py": {"_usable: except OSError": _REPORTED},
    f"{HOST}/packed.py": {
        "unpack: except Exception": "text in memory; what is damaged is another file, and is replaced"
    },
    f"{HOST}/one_run.py": {
        "_is_held_by_one_that_was_removed: except (OSError, ValueError)": _SECOND_LOOK,
        "_has_open: except OSError": _SECOND_LOOK,
    },
    f"{HOST}/machine.py": {
        "LiveMachine._at: path.islink": _FOUND_TWICE,
        "LiveMachine.read: except OSError": _NO_SUCH_PATH,
        "LiveMachine.attributes: except OSError": _NO_SUCH_PATH,
        "LiveMachine.exists: except OSError": _NO_SUCH_PATH,
        "LiveMachine._names: except OSError": _NO_SUCH_PATH,
        "LiveMachine.remove: except OSError": _NO_SUCH_PATH,
        "LiveMachine.command: os.access": "a command that cannot be run is not run",
        "LiveMachine.run: shutil.which": "a command that cannot be run is not run",
    },
    f"{HOST}/namesake.py": {"_is_of_others: except NotADirectoryError": _NO_DIRECTORY},
    f"{SUPPORT}/archive.py": {"Bundle.take: except Exception": _REPORTED},
    f"{SUPPORT}/devices.py": {"_names: except OSError": _REPORTED},
    f"{SUPPORT}/files.py": {"seen: except OSError": _REPORTED},
    f"{SUPPORT}/gather.py": {
        "Gatherer.gather: except Exception": _REPORTED,
        "Gatherer._try: except Exception": _REPORTED,
        "Gatherer._kubelet: except Exception": _REPORTED,
    },
    f"{SUPPORT}/kernel_log.py": {
        "_records: except BrokenPipeError": "records were overwritten, the rest is read",
        "_records: except BlockingIOError": "no record is left to read",
    },
    f"{NODE}/devices/activity.py": {
        "_read: except OSError": "the errno is kept: it is absent, or there is a reason why nothing is known"
    },
    f"{NODE}/cli/top.py": {"Top._switch: except OSError": _REPORTED},
    f"{NODE}/devices/apply.py": {
        "_write: except OSError": "a write: its errno is explained, after reading back what came of it",
        "_read_back: except OSError": "not as wanted; where nothing is wanted it raises",
        "_state_of: except OSError": "the kernel has refused it, and that is reported",
        "_stands: except (OSError, NodeError)": "what was written and cannot be seen counts as standing",
    },
    f"{NODE}/kernel/child.py": {
        "_attempt: except OSError": "the errno goes to the parent, which raises it",
        "_close_all_but: contextlib.suppress(OSError)": "closing, not reading",
    },
    f"{NODE}/kernel/commands.py": {
        "_output: except OSError": "it goes elsewhere; where it cannot, that is reported",
        "_path: shutil.which": "a command that cannot be run is missing, and that is reported",
        "settle: contextlib.suppress(OSError, subprocess.TimeoutExpired)": "a wait, after which everything is looked at again",
    },
    f"{NODE}/kernel/descriptors.py": {"_Task._number: except OSError": "raises, unless the mount can have no device"},
    f"{KUBELET}/audit.py": {
        "_read_checkpoint: except (FileNotFoundError, NotADirectoryError)": _NO_DIRECTORY,
        "_read_checkpoint: except (OSError, ValueError)": _REPORTED,
        "_ask_kubelet: except (FileNotFoundError, NotADirectoryError)": _NO_DIRECTORY,
        "_ask_kubelet: except (OSError, RpcError, ValueError)": _REPORTED,
        "_connects: except OSError": "raises what does not say whether somebody listens",
        "_resource: except (OSError, RpcError, ValueError)": "a name for people, given by whoever listens; decides nothing",
        "_ask_plugin: except (ConnectionError, TimeoutError, socket.gaierror, socket.timeout)": _REPORTED,
    },
    "plugins/modules/exporter_info.py": {"problem_of: except OSError": _REPORTED},
    f"{HOST}/file_set.py": {
        "look: path.isdir": _FOUND_TWICE,
        "look: except (FileNotFoundError, NotADirectoryError)": _NO_DIRECTORY,
        "_refuse_what_is_in_the_way: path.lexists": _FOUND_TWICE,
        "_refuse_what_is_in_the_way: path.isdir": _FOUND_TWICE,
        "sync_removals: except OSError": "reported, unless nothing can be written there",
        "_above: path.isdir": _FOUND_TWICE,
    },
    f"{NODE}/files.py": {
        "make_directories: path.isdir 1": _FOUND_TWICE,
        "make_directories: path.isdir 2": _FOUND_TWICE,
        "make_directories: except FileExistsError": "somebody else was quicker, or it raises",
        "remove_drafts: contextlib.suppress(OSError) 1": _TIDYING,
        "remove_drafts: contextlib.suppress(OSError) 2": _TIDYING,
        "remove_directory_if_empty: except OSError": "raises, unless something is in the directory",
        "_set_attribute: except OSError": "raises, unless it is a label and SELinux is off",
        "_attribute: except OSError": "raises, unless there is no such attribute",
    },
    f"{NODE}/kernel/live.py": {
        "LiveKernel._fetch: except OSError": "the errno is kept, and raised when the file is read; or it is read by itself",
        "LiveKernel.write_each: except OSError": "a write: its errno is given back",
        "LiveKernel.writable: os.access": "what is not known counts as not writable, and is refused",
        "_has_ended: except ChildProcessError": "there is no such child any more (ECHILD)",
    },
    f"{KUBELET}/listener.py": {"_processes_with: except OSError": _NO_TRUST},
    f"{NODE}/kernel/lock.py": {
        "_try_lock: except BlockingIOError": "somebody else has it",
        "_root_has: except (OSError, IndexError)": "what cannot be read counts as held",
    },
    f"{NODE}/kernel/log.py": {
        "Log.__init__: except OSError": "the kernel's words explain an error; they decide nothing",
        "Log._drain: except BrokenPipeError": "records were overwritten, the rest is read",
        "Log._drain: except OSError": "the kernel's words explain an error; they decide nothing",
    },
    f"{NODE}/devices/baseline.py": {"read_record: except OSError": "raises, unless there is none"},
    f"{NODE}/users/podresources.py": {"_is_there: except NotADirectoryError": _NO_DIRECTORY},
    f"{NODE}/users/grpc_call.py": {
        "listens_at: except (TimeoutError, socket.timeout)": "somebody listens, and does not come to take connections",
        "listens_at: except ConnectionRefusedError": "nobody has the socket",
    },
    f"{NODE}/users/claimed.py": {"_names_in: except NotADirectoryError": _NO_DIRECTORY},
    f"{NODE}/users/pods.py": {
        "_why_elsewhere: except OSError": "said to be not known, and no pod is taken for gone",
        "Pods._in_use: except OSError": _UNSEEN_IS_USED,
        "Pods._ask: except (FileNotFoundError, NotADirectoryError)": _NO_DIRECTORY,
        "Pods._ask: except (OSError, RpcError, ValueError)": _UNSEEN_IS_USED,
        "_names_of_pods: except OSError": "a pod is shown by its uid then, and counts the same",
        "_read: except (OSError, ValueError)": _UNSEEN_IS_USED,
    },
    f"{NODE}/cli/qatctl.py": {
        "_Command._forget_configuration: path.lexists": _FOUND_TWICE,
    },
    f"{NODE}/devices/read.py": {
        "_Reader.text: except TimeoutError": "the device is silent, which blocks every change of it",
        "_Reader.text: except OSError": "raises, unless a QAT driver says that it has nothing to show",
    },
    f"{NODE}/users/usage.py": {
        "_look: except OSError 1": _UNSEEN_IS_USED,
        "_look: except OSError 2": _UNSEEN_IS_USED,
        "_shown: except OSError": "a process's names help people to find it; they decide nothing",
    },
    f"{PLUGIN}/cli.py": {"_run: except OSError": _REPORTED},
    f"{PLUGIN}/cdi.py": {
        "_content: except (OSError, ValueError)": "then the file is written again, which fails where it cannot be",
        "Specifications.write: except OSError": "it is raised when the other files are written",
    },
    f"{PLUGIN}/events.py": {
        "DirectoryWatch._happened: except BlockingIOError": "no event is left to read",
        "DeviceWatch._happened: except BlockingIOError": "no event is left to read",
        "DeviceWatch._happened: except OSError": "events were lost, so anything may have changed: it looks",
    },
    f"{PLUGIN}/handover.py": {
        "Line.send: contextlib.suppress(OSError)": "the other side has gone, which it sees when it listens next",
        "Line.shut: contextlib.suppress(OSError)": _TIDYING,
        "Reception.shut: contextlib.suppress(OSError)": _TIDYING,
        "Reception._accept: except OSError": _AGAIN,
        "_remove_left: run_dir.glob": _TIDYING,
        "_remove_left: contextlib.suppress(OSError)": _TIDYING,
        "Reporter._report: contextlib.suppress(OSError)": "nobody waits any more for what is reported",
        "_outcome: except socket.timeout": _REPORTED,
    },
    f"{PLUGIN}/claims.py": {"ClaimsLook._once: except OSError": "what was seen last counts"},
    f"{PLUGIN}/kernel_thread.py": {
        "KernelThread.__init__: contextlib.suppress(OSError)": "a thread, which is started when there is work",
        "KernelThread.run.work: except BaseException": "it is raised where the work is waited for",
    },
    f"{PLUGIN}/limits.py": {
        "raise_descriptors: contextlib.suppress(OSError, ValueError)": "a limit that stays as it is"
    },
    f"{PLUGIN}/nfd.py": {"Labeler._try: except OSError": _REPORTED},
    f"{PLUGIN}/probe.py": {
        "Prober._status: except PermissionError": "lockdown: the health is unknown, as without debugfs",
        "Prober._read: except OSError": "raises, unless a QAT driver says that it has nothing to show",
    },
    f"{PLUGIN}/registration.py": {
        "Registrar.run: except OSError": _AGAIN,
        "SocketRegistrar._register: except (ConnectionRefusedError, FileNotFoundError)": _AGAIN,
        "SocketRegistrar._register: except (RpcError, OSError)": _AGAIN,
        "_refuse_lost: contextlib.suppress(OSError)": "whether it can be written shows when it is",
    },
    f"{PLUGIN}/attribution.py": {"ask: except OSError": _REPORTED},
    f"{PLUGIN}/server.py": {
        "_linked: except OSError": "no second name: the socket gets its first one by a rename, which raises",
        "ResourceServer.stop: contextlib.suppress(OSError) 1": _TIDYING,
        "ResourceServer.stop: contextlib.suppress(OSError) 2": _TIDYING,
        "ResourceServer.stand_again: contextlib.suppress(OSError)": "whether it stands is looked at next",
    },
    f"{PLUGIN}/service.py": {
        "Service._watch_directory: except OSError": _REPORTED,
        "Service._watch_node: except OSError": _REPORTED,
        "Service._scan_loop: except (NodeError, OSError)": "the scan has failed, is reported and counted, and the list stays",
        "Service._write_cdi: except OSError": _REPORTED,
    },
    f"{PLUGIN}/sockets.py": {
        "identity: except OSError": "raises nothing, and distinguishes what is absent from what is unseen",
        "why_away: except OSError": _REPORTED,
        "why_no_socket: except OSError": _REPORTED,
        "why_unseen: except OSError": _REPORTED,
        "kept_path: contextlib.suppress(FileExistsError)": "what is there is looked at next",
        "kept_path: except OSError": "no second name: the socket is made again, as without",
        "remove_dead: ?.is_symlink": "what others have put there is left",
        "_entries: except OSError": _TIDYING,
        "_remove: except OSError": _TIDYING,
        "is_dead: except ConnectionRefusedError": "nobody listens (ECONNREFUSED)",
        "is_dead: except OSError": "not surely dead, so it stays",
        "beginning_of: except OSError": "raises, unless there is no such file",
        "InstanceLock.signatures_beside: except OSError": "raises, unless nobody has had a lock so far",
        "_is_had: except OSError 1": "one that cannot be seen counts as had",
        "_is_had: except OSError 2": "the same",
        "InstanceLock._is_removed: except OSError": "what is not known has it count as before",
        "InstanceLock._try: except BlockingIOError": _AGAIN,
    },
    f"{PLUGIN}/succession.py": {
        "Succession._sign: except (NodeError, OSError)": _REPORTED,
        "Succession.open: except OSError": _REPORTED,
        "Succession._name_to_systemd: except OSError": _REPORTED,
    },
    f"{PLUGIN}/status_page.py": {
        "Page.run: except OSError": _AGAIN,
        "Page.answer: except Exception": "a client's request fails, which says nothing of the node",
        "_Connection.begin: except BaseException": "the same",
        "_Door._accept: except (BlockingIOError, ConnectionAbortedError, InterruptedError)": "nobody is there to be let in",
        "_Door._accept: except OSError": _AGAIN,
    },
    f"{PLUGIN}/exporter/command.py": {"_run: except OSError": _REPORTED},
    f"{PLUGIN}/exporter/sampling.py": {"Sampler._follow: except (OSError, NodeError)": _REPORTED},
    f"{PLUGIN}/exporter/service.py": {
        "Exporter._go_round: contextlib.suppress(NodeError, OSError)": _AGAIN,
        "Exporter._collect: except Exception": "nothing is known of the PFs then, and the metrics say so",
        "Exporter._switch: except OSError": "nothing is switched on, and it is reported",
        "Exporter._switched: except Exception": "a fault of the program, which is logged; the next look tries again",
    },
    f"{PLUGIN}/exporter/switches.py": {"Switches._set: except (OSError, WriteTimeout)": _REPORTED},
    f"{PLUGIN}/vm_attach/agent.py": {
        "scan: except (NodeError, OSError)": "nothing is decided then, and it is reported why"
    },
    f"{PLUGIN}/vm_attach/command.py": {"_follow.report: except OSError": _REPORTED},
    f"{PLUGIN}/vm_attach/hypervisor.py": {
        "Hypervisor.connected: except self._libvirt.libvirtError": "it connects again, which fails where it cannot",
        "Call._run: except Exception": "it is raised where the call is waited for",
        "Hypervisor.close: except self._libvirt.libvirtError": _TIDYING,
        "Hypervisor.do: except self._libvirt.libvirtError": "raises, unless libvirt says that there is no such domain",
        "Hypervisor._domain: except self._libvirt.libvirtError": "raises, unless libvirt says that there is no such domain",
        "Hypervisor._follow_events: except self._libvirt.libvirtError": "events make it look sooner, and decide nothing",
    },
    f"{PLUGIN}/vm_attach/kubelet.py": {
        "ask: except OSError": _UNKNOWN,
        "ask: except (OSError, RpcError, ValueError)": _UNKNOWN,
        "ask: except (OSError, ValueError)": _UNKNOWN,
        "ask: except (FileNotFoundError, NotADirectoryError)": _NO_DIRECTORY,
    },
    f"{PLUGIN}/warming.py": {
        "warm_up: except (NodeError, RpcError, OSError, asyncio.TimeoutError)": "it only makes the first call quicker",
    },
    f"{PLUGIN}/systemd.py": {"Systemd._send: except OSError": "systemd is notified, not asked"},
}
"""By file and place. Where a function has the same more than once, each has its number."""


def sources() -> list[Path]:
    """The whole code of managed nodes and controllers; the plugin's copy of the engine is a link to it."""
    return [
        path
        for top in ("plugins", "device_plugin/src")
        for path in sorted((ROOT / top).rglob("*.py"))
        if "qat_device_plugin/_node" not in str(path)
    ]


def places(source: str) -> list[str]:
    found = catches(source)
    count, seen = Counter(found), Counter[str]()
    numbered = []
    for one in found:
        seen[one] += 1
        numbered.append(f"{one} {seen[one]}" if count[one] > 1 else one)
    return numbered


def test_each_place_that_catches_has_a_reason() -> None:
    found = {f"{path.relative_to(ROOT)}: {one}" for path in sources() for one in places(path.read_text())}
    allowed = {f"{path}: {one}" for path, reasons in ALLOWED.items() for one in reasons}
    assert sorted(found - allowed) == [], "new: see the head of this file"
    assert sorted(allowed - found) == [], "gone: remove it from the list"


def in_function(*lines: str) -> str:
    body = "\n".join(f"    {line}" for line in lines)
    return f"def text(path):\n{body}\n"


@pytest.mark.parametrize(
    "kind",
    [
        *("OSError", "EnvironmentError", "IOError", "Exception", "BaseException", "PermissionError", "socket.timeout"),
        *("(ValueError, OSError)", "NotADirectoryError", "(FileNotFoundError, PermissionError)", "UNUSABLE", "kinds"),
        *("select.error", "shutil.Error", "ConnectionError", "TimeoutError", "InterruptedError"),
    ],
)
@pytest.mark.parametrize(
    "body",
    [
        ["return None"],
        ["pass"],
        ["log(error)"],
        ["if error.errno == 13:", "    return None", "raise"],
        ["if error.errno != 2:", "    raise", "return None"],
        ["if is_absent(error):", "    return None"],
        ["if not is_absent(error) and other:", "    raise"],
        ["raise ValueError if path else error", "return None"],
    ],
)
def test_finds_a_handler(kind: str, body: list[str]) -> None:
    source = in_function("try:", "    read(path)", f"except {kind} as error:", *(f"    {line}" for line in body))
    assert catches(source) == [f"text: except {kind}"]


@pytest.mark.parametrize(
    "line",
    [
        *(
            "os.path.exists(path)",
            "os.path.isdir(path)",
            "os.path.lexists(path)",
            "os.path.islink(path)",
            "exists(path)",
        ),
        *("Path(path).exists()", "path.is_dir()", "path.parent.is_file()", "os.access(path, 4)", "os.walk(path)"),
        *("glob.glob(path)", "path.glob('*')", "path.rglob('*')", "path.is_symlink()", "path.is_socket()"),
        *("map(os.path.isdir, path)", "any(filter(os.path.exists, path))"),
    ],
)
def test_finds_a_call(line: str) -> None:
    assert len(catches(in_function(f"return {line}"))) == 1


@pytest.mark.parametrize("words", ["OSError", "ValueError, OSError", "Exception", "PermissionError"])
@pytest.mark.parametrize("name", ["suppress", "contextlib.suppress"])
def test_finds_a_suppression(name: str, words: str) -> None:
    assert catches(in_function(f"with {name}({words}):", "    read(path)")) == [f"text: {name}({words})"]


@pytest.mark.parametrize(
    "lines",
    [
        ["try:", "    read(path)", "except FileNotFoundError:", "    return None"],
        ["try:", "    read(path)", "except ProcessLookupError:", "    return None"],
        ["try:", "    read(path)", "except OSError as error:", "    raise NodeError(str(error)) from None"],
        [
            "try:",
            "    read(path)",
            "except OSError as error:",
            "    if not is_absent(error):",
            "        raise",
            "    return None",
        ],
        [
            "try:",
            "    read(path)",
            "except OSError:",
            "    if path:",
            "        raise ValueError",
            "    else:",
            "        raise",
        ],
        ["try:", "    read(path)", "except (ValueError, NodeError, _Refused):", "    return None"],
        ["with suppress(FileNotFoundError):", "    read(path)"],
        ["return kernel.exists(path) or self._kernel.exists(path)"],
        ["return os.walk(path, onerror=refuse)"],
        ["return if_there(lambda: os.stat(path), None)"],
    ],
)
def test_lets_pass_what_shows_absence(lines: list[str]) -> None:
    assert catches(in_function(*lines)) == []
