# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node whose systemd and kubelet are in this process: quick enough to cut a run off at every place."""

from __future__ import annotations

import json
import os
import socket
import time
import typing as t
import weakref
from pathlib import Path

from ansible_collections.accel.qat.plugins.module_utils._host.machine import CommandResult, LiveMachine
from ansible_collections.accel.qat.plugins.module_utils._kubelet.apply import apply
from ansible_collections.accel.qat.plugins.module_utils._kubelet.environment import words_of
from ansible_collections.accel.qat.plugins.module_utils._kubelet.extra_arguments import NAME
from ansible_collections.accel.qat.plugins.module_utils._kubelet.observe import Observed, Request, observe
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError
from ansible_collections.accel.qat.plugins.module_utils._node.files import Owner
from ansible_collections.accel.qat.plugins.modules.kubelet_apply import order_of
from ansible_collections.accel.qat.plugins.plugin_utils._kubelet.order import Decision, decide
from ansible_collections.accel.qat.plugins.plugin_utils._kubelet.plan import Desired

CONFIG = "/var/lib/kubelet/config.yaml"
STATE = "/var/lib/kubelet/cpu_manager_state"
DEFAULTS = "/etc/default/kubelet"
DROP_INS = "/etc/kubernetes/kubelet.conf.d"
RECORD = "/var/lib/accel-qat/kubelet.json"
CONFIGURATION = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nstaticPodPath: /etc/manifests\n"
UNIT = "kubelet.service"


_PID = "4242"


class Killed(BaseException):
    """As by kill -9: nothing handles it."""


class QuickNode(LiveMachine):
    """Its kubelet starts where no word of `bad` is in its file and the state file fits, and serves a socket then."""

    made: t.ClassVar[list[QuickNode]] = []

    def __init__(self, directory: Path, bad: str = "", cut_after: int | None = None, version: str = "1.27.4") -> None:
        super().__init__(self._command, str(directory), ["/usr/bin"])
        self.bad = bad
        self.version = version
        # Whether its unit hands on what the file of its arguments says.
        self.hands_on = True
        self.left = cut_after
        self.started = 0.0
        self.supervisor: t.Callable[[], None] = lambda: None
        self._listener: socket.socket | None = None
        self.directory = directory
        for path, text in {CONFIG: CONFIGURATION, "/usr/bin/kubelet": "", "/usr/bin/systemctl": ""}.items():
            place = self.place(path)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
            place.chmod(0o755)
        for name in ("run", "proc", "etc"):
            (directory / name).mkdir()
        self.place("/var/lib/kubelet/device-plugins").mkdir()
        self.made.append(self)
        self.start()

    @classmethod
    def end(cls) -> None:
        """Stop all that were made."""
        while cls.made:
            cls.made.pop().stop()

    def place(self, path: str) -> Path:
        return self.directory / path.lstrip("/")

    @property
    def active(self) -> bool:
        return self._listener is not None

    def write(self, path: str, text: str, mode: int | None = None, owner: Owner | None = None) -> None:
        super().write(path, text, mode, owner)
        self._done()

    def remove(self, path: str) -> None:
        super().remove(path)
        self._done()

    def _done(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                self.left = None
                raise Killed

    def stop(self) -> None:
        if self._listener is not None:
            self._listener.close()
        self._listener = None

    def start(self) -> None:
        self.supervisor()
        words = (words_of(self._arguments(), NAME) or []) if self.hands_on else []
        if f"--config-dir={DROP_INS}" in words and not self.place(DROP_INS).is_dir():
            return
        text = self._in_force(words)
        wanted = "static" if "cpuManagerPolicy: static" in text else "none"
        state = self.place(STATE)
        fits = not state.exists() or json.loads(state.read_text())["policyName"] == wanted
        if not fits or (self.bad and self.bad in text):
            return
        if not state.exists():
            state.write_text(json.dumps({"policyName": wanted}))
            state.chmod(0o600)
        self.started = time.monotonic()
        process = self.directory / "proc" / _PID
        process.mkdir(exist_ok=True)
        (process / "cmdline").write_text("\0".join(["/usr/bin/kubelet", f"--config={CONFIG}", *words, ""]))
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        weakref.finalize(self, self._listener.close)
        here = os.getcwd()
        os.chdir(self.place("/var/lib/kubelet/device-plugins"))
        try:
            Path("kubelet.sock").unlink(missing_ok=True)
            self._listener.bind("kubelet.sock")
        finally:
            os.chdir(here)
        self._listener.listen()

    def _arguments(self) -> str:
        place = self.place(DEFAULTS)
        return place.read_text() if place.exists() else ""

    def _in_force(self, words: t.Sequence[str]) -> str:
        """All that the files say which kubelet reads."""
        given = f"--config-dir={DROP_INS}" in words
        paths = sorted(self.place(DROP_INS).rglob("*.conf")) if given else []
        return "".join(path.read_text() for path in (self.place(CONFIG), *paths))

    def run(self, command: t.Sequence[str]) -> CommandResult:
        return self._command(command)

    def _command(self, command: t.Sequence[str]) -> CommandResult:
        name, words = command[0].rpartition("/")[2], list(command[1:])
        if name == "kubelet":
            return CommandResult(0, f"Kubernetes v{self.version}\n")
        assert name == "systemctl", command
        if words[0] == "show":
            # Without a unit it is of systemd itself.
            return CommandResult(0, "" if words[-1].startswith("-") else self._shown())
        if "is-active" in words:
            return CommandResult(0 if self.active else 3)
        if "stop" in words:
            self.stop()
            self._done()
        if "start" in words:
            self.start()
            self._done()
        return CommandResult(0)

    def _shown(self) -> str:
        argv = f"/usr/bin/kubelet --config={CONFIG} ${NAME}"
        main = _PID if self.active else "0"
        return (
            f"Id={UNIT}\nLoadState=loaded\nActiveState={'active' if self.active else 'inactive'}\nMainPID={main}\n"
            f"ExecMainStartTimestampMonotonic={int(self.started * 1e6)}\n"
            f"ExecStart={{ path=/usr/bin/kubelet ; argv[]={argv} ; ignore_errors=no }}\nEnvironment=\n"
            f"EnvironmentFiles={DEFAULTS} (ignore_errors=yes)\n"
        )

    def state(self) -> dict[str, str]:
        """Every file that a run may leave something in, and whether kubelet runs."""
        found = [path for top in ("/var", "/etc") for path in self.place(top).rglob("*")]
        texts = {str(path.relative_to(self.directory)): path.read_text() for path in found if path.is_file()}
        texts.update({f"{DROP_INS}/": "a directory"} if self.place(DROP_INS).is_dir() else {})
        directories = " ".join(sorted(path.name for path in self.place("/var/lib").iterdir()))
        return {**texts, "active": str(self.active), "directories": directories}


def decided(node: QuickNode, desired: Desired, **options: t.Any) -> Decision:
    """What the controller decides."""
    proc_root = str(node.directory / "proc")
    found = observe(node, proc_root, Request(record=RECORD, offered=False)).as_dict()
    given = {
        "proc_root": proc_root,
        "record": RECORD,
        "timeout": 0.4,
        "backup": False,
        "root": "/",
        "kubeconfig": None,
        "prove": False,
    }
    return decide(Observed(**json.loads(json.dumps(found))), desired, {**given, "kubelet_version": None, **options})


def bring(node: QuickNode, desired: Desired, rehearse: bool = False, **options: t.Any) -> str:
    """As the module does; returns what came of it."""
    try:
        decision = decided(node, desired, **options)
        if decision.order is None:
            return "unchanged"
        apply(node, order_of({"proof": None, **decision.order}), node.root, rehearse)
    except NodeError as error:
        return error.sentence()
    return "changed"
