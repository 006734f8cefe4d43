# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Carries a plan out on the node: proves the files with kubelet itself, writes, restarts, waits, and puts back on failure."""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
import time
import typing as t
from dataclasses import dataclass, replace

from .._host.edits import (
    PRIVATE,
    FileEdit,
    Transaction,
    removal_of,
)
from .._host.machine import CommandResult, Machine, last_lines
from .._node.errors import NodeError, RefusedError
from .._node.facts.paths import KUBELET_DEVICE_PLUGINS, KUBELET_SOCKET
from .._node.fields import lines_in
from .._node.files import remove_directory_if_empty
from .drop_ins import drop_ins
from .interruption import Interruptions
from .journal import Journal, now, read_journal
from .processes import command_line
from .programs import require_trusted

# kubelet says this right after it has taken its whole configuration as valid, before it touches anything of the node: --lock-file
# is missing (cmd/kubelet/app/server.go, run(); the same from 1.10 to 1.36).
_STOPS_AT = "--exit-on-lock-contention"
_STOPPED = "cannot exit on lock file contention"
_UNKNOWN_FLAG = "unknown flag: --exit-on-lock-contention"
_DROP_INS_ALPHA = "KUBELET_CONFIG_DROPIN_DIR_ALPHA"
# A kubelet that stops there needs a tenth of a second of a processor, which on a node that is busy, or emulated, can take many.
_PROOF_SECONDS = 120

_PAUSE = 0.2
# A kubelet that does not start ends within a few seconds, and systemd starts it again after ten.
_STEADY = 10.0
_LOG_LINES = 200
_STAND = "the files are as they were; see journalctl -u {unit}"
_LEFT = (
    "the files are not all as they were, and {unit} may be stopped; see to what is wrong and run again, which ends this"
)
# Of kubelet's log, the lines that say why it ended.
_FAILURE = re.compile(r"^(?:\S+ \S+: )?[FE]\d{4} [\d:.]+\s+\d+ \S+\] (.*)|^(?:Error|error): ?(.*)")
# From 1.32 on it panics on a gate; what is wrong with that stands behind the last "error: ", and a stack follows.
_PANIC = re.compile(r"^(?:\S+ \S+: )?panic: (?:.*\berror: )?(.*?)(?: \[recovered.*\])?$")
_ERROR = re.compile(r' err="(.*?)"(?: \w+=|$)')


@dataclass(frozen=True)
class Proof:
    """How kubelet can be asked whether it takes the files. Flags are those of its own command line that stand over them."""

    program: str
    config: str
    config_dir: str
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Order:
    """All of it, for one node."""

    writes: tuple[FileEdit, ...]
    unit: str
    restart: bool
    state_files: tuple[str, ...] = ()
    device_plugins_dir: str = KUBELET_DEVICE_PLUGINS
    serves_device_plugins: bool = True
    # Words that have to be on the command line of the unit's main process once it is started.
    started_with: tuple[str, ...] = ()
    # Those that go in the end where nothing is in them.
    directories: tuple[str, ...] = ()
    seconds: float = 120.0
    proof: Proof | None = None
    # Where is kept what is in hand, empty for nowhere.
    journal: str = ""
    # Whether it stays there in the end: until somebody else has confirmed the change, or because kubelet is yet to be restarted.
    confirmed: bool = True
    restart_later: bool = False
    proc_root: str = "/proc"


@dataclass(frozen=True)
class Done:
    """What came of it. `proven` means that kubelet itself has taken the files as valid before they were written."""

    proven: bool
    restarted: bool = False
    at: float = 0.0


class PutBackError(NodeError):
    """kubelet did not come back with the new configuration, and the one before stands again; or `left` says that not all does."""

    kind = "apply"

    def __init__(self, problem: str, where: str, remedy: str, left: bool = False) -> None:
        super().__init__(problem, where, remedy)
        self.left = left

    @property
    def has_changed(self) -> bool:
        return self.left


def apply(
    machine: Machine,
    order: Order,
    root: str = "/",
    rehearse: bool = False,
    interruptions: Interruptions | None = None,
) -> Done:
    """Do it; with `rehearse`, only all that can be found out without a change. Raises NodeError."""
    interruptions = interruptions or Interruptions()
    journal = _journal(machine, order)
    transaction = Transaction(machine, journal.back())
    _require_unchanged(machine, order)
    _require_restartable(machine, order)
    proven = order.proof is not None and prove(machine, order.proof, order.writes, root)
    if rehearse:
        return Done(proven)
    at = 0.0
    try:
        _keep(machine, order, journal)
        if order.restart:
            _stop(machine, order.unit)
            _set_aside(machine, order, journal, transaction)
        for write in order.writes:
            transaction.make(write)
        if order.restart:
            at = time.time()
            _start(machine, order.unit)
            _wait(machine, order, root)
            _require_kept(machine, order)
            _require_started_with(machine, order)
        _close(machine, order, root)
    except (NodeError, OSError) as error:
        interruptions.hold()
        raise _put_back(machine, order, transaction, _as_node_error(error), root) from error
    return Done(proven, order.restart, at)


def put_back(machine: Machine, order: Order, why: str, root: str) -> NodeError:
    """Undo an order that was applied, for a reason found later; the error says how that went."""
    # State files that are not in the journal were not there.
    made = (FileEdit(path, None, None) for path in order.state_files)
    transaction = Transaction(machine, (*made, *_journal(machine, order).back()))
    return _put_back(machine, order, transaction, NodeError(why), root)


def _journal(machine: Machine, order: Order) -> Journal:
    """What this order has in hand. Where an earlier run was cut off, what was there before that one is what is put back."""
    earlier = read_journal(machine, order.journal)
    changes = {write.path: _with_attributes(machine, write) for write in order.writes}
    states: tuple[FileEdit, ...] = ()
    if earlier is not None and earlier.written is None:
        states = earlier.states
        for change in earlier.changes:
            ours = changes.get(change.path, change)
            known = change if change.mode is not None else ours
            changes[change.path] = replace(change, after=ours.after, mode=known.mode, owner=known.owner)
    return Journal(order.unit, order.restart, tuple(changes.values()), states)


def _with_attributes(machine: Machine, write: FileEdit) -> FileEdit:
    """With mode and owner of the file where it is to go."""
    if write.after is not None or write.mode is not None:
        return write
    there = removal_of(machine, write.path)
    return replace(write, mode=there.mode, owner=there.owner)


def _keep(machine: Machine, order: Order, journal: Journal) -> None:
    if order.journal:
        machine.write(order.journal, journal.text(), PRIVATE)


def _set_aside(machine: Machine, order: Order, journal: Journal, transaction: Transaction) -> None:
    """Take the state files away, and have their text where a run that is cut off leaves it."""
    removals = [removal_of(machine, path) for path in order.state_files]
    known = {state.path for state in journal.states}
    found = tuple(removal for removal in removals if removal.changes)
    if found:
        new = (removal for removal in found if removal.path not in known)
        _keep(machine, order, replace(journal, states=(*journal.states, *new)))
    for removal in removals:
        transaction.make(removal)


def _close(machine: Machine, order: Order, root: str) -> None:
    """Take the journal away, unless something is left."""
    _remove_empty(order, root)
    if order.journal and order.restart_later:
        _keep(machine, order, Journal(order.unit, False, written=now(order.proc_root)))
    elif order.journal and order.confirmed:
        machine.remove(order.journal)
    _tidy(order, root)


def _tidy(order: Order, root: str) -> None:
    """The directory of the collection's own files goes with the last one in it."""
    own = [write.path for write in order.writes if write.private]
    for directory in {os.path.dirname(path) for path in (order.journal, *own) if path}:
        remove_directory_if_empty(_in(root, directory))


def _remove_empty(order: Order, root: str) -> None:
    """As long as the journal has them, should this be cut off."""
    for directory in order.directories:
        remove_directory_if_empty(_in(root, directory))


def _as_node_error(error: NodeError | OSError) -> NodeError:
    return error if isinstance(error, NodeError) else NodeError(error.strerror or str(error), str(error.filename or ""))


def prove(machine: Machine, proof: Proof, writes: t.Sequence[FileEdit], root: str = "/") -> bool:
    """Let the node's kubelet read the files as they would be. Raises RefusedError with its words where it would not start.

    False where this kubelet cannot be asked. NodeError where the files cannot be put anywhere for that.
    """
    require_trusted(root, proof.program)
    try:
        result = _asked(machine, proof, writes, root)
    except OSError as error:
        remedy = "see that there is room, or set prove to false; nothing was written"
        raise NodeError(f"kubelet cannot be shown the files there: {error.strerror}", "/tmp", remedy) from None
    said = result.out + result.err
    if _STOPPED in said:
        return True
    if _UNKNOWN_FLAG in said or result.code in (124, 137):
        return False
    raise RefusedError(
        f"kubelet would not start: {why_it_ended(said) or last_lines(result)}",
        proof.config,
        "correct the configuration; nothing was written",
    )


def _asked(machine: Machine, proof: Proof, writes: t.Sequence[FileEdit], root: str) -> CommandResult:
    place = tempfile.mkdtemp(prefix="accel-qat-kubelet-", dir=_in(root, "/tmp"))
    inside = place[len(root.rstrip("/")) :]  # noqa: E203
    try:
        arguments = _files_to_prove(machine, proof, writes, place, root)
        return machine.run(
            _wrapped(
                machine,
                [proof.program, *arguments, *proof.flags, _STOPS_AT, f"--cert-dir={inside}", f"--root-dir={inside}"],
            )
        )
    finally:
        shutil.rmtree(place, ignore_errors=True)


def why_it_ended(log: str) -> str:
    """The line of kubelet's log that says why it ended, empty where none does."""
    reason = ""
    for line in lines_in(log):
        panic = _PANIC.match(line.strip())
        if panic:
            reason = panic.group(1)
        match = _FAILURE.match(line.strip())
        if match:
            said = (match.group(1) or match.group(2) or "").strip()
            error = _ERROR.search(said)
            reason = error.group(1) if error else said
    return reason


def _files_to_prove(machine: Machine, proof: Proof, writes: t.Sequence[FileEdit], place: str, root: str) -> list[str]:
    inside = place[len(root.rstrip("/")) :]  # noqa: E203
    after = {write.path: write.after for write in writes}
    arguments = []
    if proof.config:
        text = after.get(proof.config, machine.read(proof.config))
        if text is not None:
            _put(f"{place}/config.yaml", text)
            arguments.append(f"--config={inside}/config.yaml")
    if proof.config_dir:
        os.mkdir(f"{place}/conf.d")
        for path in {
            # The plan has one only where kubelet finds what is in it.
            *drop_ins(root, f"{proof.config_dir}/"),
            *(path for path in after if path.startswith(f"{proof.config_dir}/")),
        }:
            text = after[path] if path in after else machine.read(path)
            if text is not None:
                name = path[len(proof.config_dir) + 1 :]  # noqa: E203
                os.makedirs(os.path.dirname(f"{place}/conf.d/{name}"), exist_ok=True)
                _put(f"{place}/conf.d/{name}", text)
        arguments.append(f"--config-dir={inside}/conf.d")
    return arguments


def _put(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
        stream.write(text)


def _wrapped(machine: Machine, command: list[str]) -> list[str]:
    """With what 1.28 and 1.29 need to take --config-dir; and should some kubelet not stop there after all, it is ended."""
    env, timeout = machine.command("env"), machine.command("timeout")
    variable = [env, f"{_DROP_INS_ALPHA}=1"] if env else []
    limit = [timeout, "--kill-after=5", str(_PROOF_SECONDS)] if timeout else []
    return [*limit, *variable, *command]


def _require_unchanged(machine: Machine, order: Order) -> None:
    for write in order.writes:
        if machine.read(write.path) != write.before:
            raise RefusedError(
                "somebody else has changed the file in this moment", write.path, "run again; nothing was written"
            )


def _require_restartable(machine: Machine, order: Order) -> None:
    if order.restart and (machine.command("systemctl") is None or not order.unit):
        by_hand = "restart to false and restart kubelet by other means"
        if order.state_files:
            by_hand = f"stop kubelet, remove {' and '.join(order.state_files)}, set restart to false and run again"
        raise RefusedError(
            "the node has no systemd unit for kubelet",
            "service",
            f"set service to the unit's name, or {by_hand}",
        )
    if order.state_files and not order.restart:
        raise RefusedError(
            "it can only be removed while kubelet is stopped", order.state_files[0], "set restart to true"
        )


def _require_kept(machine: Machine, order: Order) -> None:
    """What starts kubelet may have written a file again, and then it is in force as that one wants."""
    for write in order.writes:
        if machine.read(write.path) != write.after:
            raise NodeError(
                f"the start of {order.unit} has written this file again, so that the change is not in force; what manages the kubelet of "
                "this node owns the file, and has to make the change",
                write.path,
            )


def _require_started_with(machine: Machine, order: Order) -> None:
    """The unit may not hand on the file of its arguments as it was understood."""
    if not order.started_with:
        return
    systemctl = machine.command("systemctl") or "systemctl"
    main = re.search(r"^MainPID=(\d+)$", machine.run([systemctl, "show", "--property=MainPID", order.unit]).out, re.M)
    words = command_line(f"{order.proc_root}/{main.group(1)}") if main else ()
    for word in order.started_with:
        if word not in words:
            raise NodeError(
                f"kubelet was started without {word}, though that is in the file of its arguments, so that the change is not in force",
                order.unit,
            )


def _stop(machine: Machine, unit: str) -> None:
    _systemctl(machine, "stop", unit)


def _start(machine: Machine, unit: str) -> None:
    """Start it, and leave the waiting to others: the units of K3s and RKE2 have no limit of their own to their start."""
    # A unit that has failed too often does not start before that is forgotten.
    machine.run([machine.command("systemctl") or "systemctl", "reset-failed", unit])
    _systemctl(machine, "start", unit, "--no-block")


def _systemctl(machine: Machine, verb: str, unit: str, *options: str) -> None:
    result = machine.run([machine.command("systemctl") or "systemctl", *options, verb, unit])
    if result.code != 0:
        raise NodeError(f"systemctl {verb} fails: {last_lines(result)}", unit)


def _wait(machine: Machine, order: Order, root: str) -> None:
    """Until kubelet answers on kubelet.sock, or where it serves no device plugins, until its unit has been active for a while."""
    end = time.monotonic() + order.seconds
    path = f"{order.device_plugins_dir}/{KUBELET_SOCKET}"
    active_since: float | None = None
    is_over = False
    while not is_over:
        # The last look comes after the end: where the whole machine has stood still, there may have been no other.
        is_over = time.monotonic() >= end
        if _answers(_in(root, path)):
            return
        if not order.serves_device_plugins:
            now = time.monotonic()
            active_since = (active_since or now) if _active(machine, order.unit) else None
            if active_since is not None and now - active_since >= min(order.seconds / 2, _STEADY):
                return
        time.sleep(_PAUSE)
    what = f"{path} does not answer" if order.serves_device_plugins else "it does not stay active"
    why = _log(machine, order.unit)
    raise NodeError(
        f"kubelet does not come back in {order.seconds:g} seconds, {what}" + (f": {why}" if why else ""), order.unit
    )


def _answers(path: str) -> bool:
    """Whether somebody listens. By way of the directory, since a socket's path may only have 108 bytes."""
    try:
        directory = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY)
    except OSError:
        return False
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(1)
            client.connect(f"/proc/self/fd/{directory}/{os.path.basename(path)}")
    except OSError:
        return False
    finally:
        os.close(directory)
    return True


def _active(machine: Machine, unit: str) -> bool:
    systemctl = machine.command("systemctl")
    return systemctl is not None and machine.run([systemctl, "is-active", unit]).code == 0


def _log(machine: Machine, unit: str) -> str:
    journalctl = machine.command("journalctl")
    if journalctl is None:
        return ""
    result = machine.run([journalctl, "--no-pager", "--output=cat", f"--lines={_LOG_LINES}", f"--unit={unit}"])
    return why_it_ended(result.out) or ("" if result.code else last_lines(CommandResult(0, result.out), 1))


def _put_back(machine: Machine, order: Order, transaction: Transaction, error: NodeError, root: str) -> NodeError:
    """Put the files back, let kubelet run with them, and say how that went."""
    try:
        if order.restart:
            _stop(machine, order.unit)
        transaction.put_back()
        if order.restart:
            _start(machine, order.unit)
            _wait_back(machine, order, root)
        _remove_empty(order, root)
        if order.journal:
            machine.remove(order.journal)
        _tidy(order, root)
    except (NodeError, OSError) as second:
        found = _as_node_error(second)
        stands = _is_put_back(order, transaction)
        place = "" if found.where in ("", error.where) else f"{found.where}: "
        return PutBackError(
            f"{error.problem}; and with the configuration that was there before: {place}{found.problem}",
            error.where,
            (_STAND if stands else _LEFT).format(unit=order.unit),
            left=order.restart or not stands,
        )
    if not order.restart:
        return PutBackError(error.problem, error.where, "the files are as they were")
    return PutBackError(
        error.problem, error.where, "the configuration is as it was and kubelet runs again; correct what was wanted"
    )


def _is_put_back(order: Order, transaction: Transaction) -> bool:
    try:
        # kubelet writes its state files itself.
        return not set(transaction.left()) - set(order.state_files)
    except NodeError:
        return False


def _wait_back(machine: Machine, order: Order, root: str) -> None:
    """As before the change, when there may have been no kubelet.sock."""
    _wait(machine, replace(order, serves_device_plugins=False), root)


def _in(root: str, path: str) -> str:
    return root.rstrip("/") + path
