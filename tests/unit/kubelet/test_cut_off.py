# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that was cut off anywhere is ended by the next: cut, run again, and all is as after a run that was not."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import stat
import typing as t
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.accel.qat.plugins.module_utils._kubelet import apply as carrying_out
from ansible_collections.accel.qat.plugins.module_utils._kubelet.apply import Order, apply
from ansible_collections.accel.qat.plugins.module_utils._kubelet.interruption import InterruptedRunError, Interruptions
from ansible_collections.accel.qat.plugins.module_utils._kubelet.journal import journal_of, locked
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError, RefusedError
from ansible_collections.accel.qat.plugins.module_utils._node.files import Owner
from ansible_collections.accel.qat.plugins.modules.kubelet_apply import order_of
from ansible_collections.accel.qat.plugins.plugin_utils._kubelet.plan import Desired
from ansible_collections.accel.qat.tests.unit.kubelet.quick_node import (
    CONFIG,
    CONFIGURATION,
    DEFAULTS,
    DROP_INS,
    RECORD,
    STATE,
    Killed,
    QuickNode,
    bring,
    decided,
)

RESTRICTED = Desired({"topologyManagerPolicy": "restricted"})
STATIC = Desired({"cpuManagerPolicy": "static", "reservedSystemCPUs": "0-1"}, drained=True)
NONE = Desired({"topologyManagerPolicy": "none"})
FOUND = Desired(restore=True, drained=True)
JOURNAL = journal_of(RECORD)

IN_FILE = replace(RESTRICTED, drop_in="never")
OLD = "1.27.4"

SCENARIOS: dict[str, tuple[list[Desired], Desired, str]] = {
    "a field": ([], RESTRICTED, ""),
    "a second field": ([RESTRICTED], STATIC, ""),
    "a state file": ([], STATIC, ""),
    "a state file and the way back": ([STATIC], FOUND, ""),
    "the way back": ([RESTRICTED], FOUND, ""),
    "a kubelet that does not start": ([], RESTRICTED, "restricted"),
    "a kubelet that does not start, and a state file": ([RESTRICTED], STATIC, "reservedSystemCPUs"),
}
# The same, and more, on a kubelet that has to be given a directory of drop-ins.
GIVEN: dict[str, tuple[list[Desired], Desired, str]] = {
    **{
        f"given, {name}": SCENARIOS[name]
        for name in ("a field", "a state file and the way back", "the way back", "a kubelet that does not start")
    },
    "given, from the file into a drop-in": ([IN_FILE], RESTRICTED, ""),
    "given, from the file into a drop-in with another field": ([IN_FILE], STATIC, ""),
    "given, from a drop-in into the file": ([RESTRICTED], IN_FILE, ""),
    "given, from the file into a drop-in with which it does not start": ([IN_FILE], STATIC, "reservedSystemCPUs"),
}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[None]:
    monkeypatch.setattr(carrying_out, "_PAUSE", 0.02)
    yield
    QuickNode.end()


def node_for(directory: Path, before: t.Sequence[Desired], bad: str = "", version: str = OLD) -> QuickNode:
    directory.mkdir(parents=True)
    node = QuickNode(directory, version=version)
    for desired in before:
        assert bring(node, desired) == "changed"
    node.bad = bad
    return node


def cut(node: QuickNode, desired: Desired, after: int) -> bool:
    """Run until so many things are done; returns whether there were more."""
    node.left = after
    with contextlib.suppress(Killed):
        bring(node, desired)
        node.left = None
        return False
    return True


def settled(node: QuickNode) -> dict[str, str]:
    """The node's state but for the collection's directory: cut off after its last file has gone, a run leaves that empty."""
    return {name: text for name, text in node.state().items() if name != "directories"}


@pytest.mark.parametrize("name", [*SCENARIOS, *GIVEN])
def test_a_run_that_was_cut_off_is_ended_by_the_next(tmp_path: Path, name: str) -> None:
    before, desired, bad = {**SCENARIOS, **GIVEN}[name]
    version = "1.31.4" if name in GIVEN else OLD
    whole = node_for(tmp_path / "whole", before, bad, version)
    outcome = bring(whole, desired)
    assert (outcome == "changed") is not bool(bad)
    again = bring(whole, desired)
    assert again == (outcome if bad else "unchanged")
    number = 0
    while cut(node := node_for(tmp_path / str(number), before, bad, version), desired, number):
        left = node.state()
        unfinished = JOURNAL.lstrip("/") in left
        # Check mode sees it too, and changes nothing.
        assert bring(node, desired, rehearse=True) == ("changed" if unfinished or bad else "unchanged"), number
        assert decided(node, desired).resumed is unfinished
        assert node.state() == left
        assert bring(node, desired) == (outcome if unfinished or bad else "unchanged"), number
        assert settled(node) == settled(whole), number
        assert not unfinished or node.state() == whole.state(), number
        assert bring(node, desired) == again
        number += 1
    # The journal, stop, the record, the file, start, and the journal's end at the least.
    assert number >= 5
    assert node.state() == whole.state()


@pytest.mark.parametrize(
    "name", ["a field", "a state file and the way back", "a second field", "given, from the file into a drop-in"]
)
def test_also_when_the_next_is_cut_off_too(tmp_path: Path, name: str) -> None:
    before, desired, _bad = {**SCENARIOS, **GIVEN}[name]
    version = "1.31.4" if name in GIVEN else OLD
    whole = node_for(tmp_path / "whole", before, version=version)
    bring(whole, desired)
    for first in range(1, 9):
        for second in range(1, 9):
            node = node_for(tmp_path / f"{first}-{second}", before, version=version)
            cut(node, desired, first)
            cut(node, desired, second)
            bring(node, desired)
            assert settled(node) == settled(whole), (first, second)


@pytest.mark.parametrize("version", [OLD, "1.31.4"])
@pytest.mark.parametrize("then", [NONE, STATIC, FOUND], ids=["nothing", "another field", "the way back"])
def test_the_next_may_want_something_else(tmp_path: Path, then: Desired, version: str) -> None:
    """What the one that was cut off had wanted goes; kubelet runs."""
    whole = node_for(tmp_path / "whole", [], version=version)
    bring(whole, then)
    number = 0
    while cut(node := node_for(tmp_path / str(number), [], version=version), RESTRICTED, number):
        if JOURNAL.lstrip("/") in node.state():
            assert bring(node, then) == "changed"
            assert node.state() == whole.state(), number
        number += 1


def test_what_somebody_else_has_written_since_stays(tmp_path: Path) -> None:
    node = node_for(tmp_path / "node", [])
    cut(node, RESTRICTED, 4)
    theirs = f"{CONFIGURATION}maxPods: 9\n"
    node.place(CONFIG).write_text(theirs)
    assert bring(node, RESTRICTED) == "changed"
    assert node.place(CONFIG).read_text() == f"{theirs}topologyManagerPolicy: restricted\n"
    assert node.active


def test_without_a_restart_nothing_is_ended(tmp_path: Path) -> None:
    node = node_for(tmp_path / "node", [])
    cut(node, RESTRICTED, 2)
    left = node.state()
    for rehearse in (True, False):
        assert bring(node, Desired(RESTRICTED.configuration, restart=False), rehearse) == (
            f"kubelet.service: an earlier run was cut off while it changed {CONFIG}, and may have left kubelet stopped; set restart to "
            "true to have it ended; nothing was written"
        )
    assert (node.state(), node.active) == (left, False)


@pytest.mark.parametrize("after", range(4))
def test_one_without_a_restart_can_be_cut_off_too(tmp_path: Path, after: int) -> None:
    quiet = Desired(RESTRICTED.configuration, restart=False)
    node = node_for(tmp_path / "node", [])
    cut(node, quiet, after)
    bring(node, quiet)
    assert node.place(CONFIG).read_text() == f"{CONFIGURATION}topologyManagerPolicy: restricted\n"
    assert (bring(node, quiet), decided(node, quiet).restart_pending) == ("unchanged", True)
    assert (bring(node, RESTRICTED), bring(node, RESTRICTED)) == ("changed", "unchanged")


@pytest.mark.parametrize("meanwhile", ["nothing", "stopped", "restarted", "rebooted", "rebooted and stopped"])
def test_a_restart_that_is_yet_to_come(tmp_path: Path, meanwhile: str) -> None:
    quiet = Desired(RESTRICTED.configuration, restart=False)
    node = node_for(tmp_path / "node", [])
    (node.directory / "proc/sys/kernel/random").mkdir(parents=True)
    boot = node.directory / "proc/sys/kernel/random/boot_id"
    boot.write_text("one\n")
    assert (bring(node, quiet), decided(node, quiet).restart_pending) == ("changed", True)
    if meanwhile != "nothing":
        node.stop()
    if meanwhile == "restarted":
        node.start()
    if meanwhile.startswith("rebooted"):
        boot.write_text("two\n")
    if meanwhile == "rebooted":
        node.start()
        node.started = 1.0
    done = meanwhile in ("restarted", "rebooted")
    started = node.started
    assert decided(node, quiet).restart_pending is not done
    assert bring(node, RESTRICTED, rehearse=True) == ("unchanged" if done else "changed")
    assert bring(node, RESTRICTED) == ("unchanged" if done else "changed")
    assert (node.active, node.started > started) == (True, not done)
    assert bring(node, RESTRICTED) == "unchanged"
    assert bring(node, FOUND) == "changed"
    assert "accel-qat" not in node.state()["directories"]


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EROFS])
@pytest.mark.parametrize("at", range(4))
def test_a_write_that_fails_leaves_kubelet_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, at: int
) -> None:
    """Whatever call it is that fails, and whether it is caught as one of the node's errors or not."""
    node = node_for(tmp_path / "node", [])
    untouched = node.state()
    calls = iter(range(100))
    write = QuickNode.write

    def failing(self: QuickNode, path: str, text: str, mode: int | None = None, owner: Owner | None = None) -> None:
        if next(calls) == at:
            raise OSError(number, os.strerror(number), path)
        write(self, path, text, mode, owner)

    monkeypatch.setattr(QuickNode, "write", failing)
    said = bring(node, STATIC)
    assert os.strerror(number) in said
    assert said.endswith("; the configuration is as it was and kubelet runs again; correct what was wanted")
    assert node.state() == untouched


OLD_STATE = '{"policyName": "none", "entries": "of pods that run"}'
MEMORY_STATE = "/var/lib/kubelet/memory_manager_state"


def with_states(directory: Path) -> tuple[QuickNode, dict[str, str]]:
    """A node whose kubelet has state files for root alone, as it writes them, and its state."""
    node = node_for(directory, [])
    for path in (STATE, MEMORY_STATE):
        node.place(path).write_text(OLD_STATE)
        node.place(path).chmod(0o600)
    return node, node.state()


def modes(node: QuickNode) -> list[int]:
    return [stat.S_IMODE(node.place(path).stat().st_mode) for path in (STATE, MEMORY_STATE)]


def with_both(node: QuickNode) -> Order:
    decision = decided(node, STATIC)
    assert decision.order is not None
    return replace(order_of({"proof": None, **decision.order}), state_files=(STATE, MEMORY_STATE))


def test_state_files_are_put_back_as_they_were(tmp_path: Path) -> None:
    node, untouched = with_states(tmp_path / "node")
    node.bad = "reservedSystemCPUs"
    with pytest.raises(NodeError, match="the configuration is as it was and kubelet runs again"):
        apply(node, with_both(node), node.root)
    assert (node.state(), modes(node)) == (untouched, [0o600, 0o600])


@pytest.mark.parametrize(("does", "at"), [*(("write", at) for at in range(4)), *(("remove", at) for at in range(3))])
def test_state_files_stay_wherever_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str, at: int
) -> None:
    node, untouched = with_states(tmp_path / "node")
    calls = iter(range(100))
    real = getattr(QuickNode, does)

    def failing(self: QuickNode, path: str, *arguments: t.Any) -> None:
        if next(calls) == at:
            raise NodeError("cannot be done", path)
        real(self, path, *arguments)

    monkeypatch.setattr(QuickNode, does, failing)
    with pytest.raises(NodeError, match="cannot be done; the configuration is as it was and kubelet runs again"):
        apply(node, with_both(node), node.root)
    assert (node.state(), modes(node)) == (untouched, [0o600, 0o600])


def test_state_files_come_back_after_a_run_that_was_cut_off_too(tmp_path: Path) -> None:
    number = 0
    while True:
        node, untouched = with_states(tmp_path / str(number))
        node.left, number = number, number + 1
        try:
            apply(node, with_both(node), node.root)
            break
        except Killed:
            pass
        if JOURNAL.lstrip("/") not in node.state():
            continue
        node.bad = "reservedSystemCPUs"
        assert "kubelet runs again" in bring(node, STATIC)
        assert (node.state()[STATE.lstrip("/")], modes(node)) == (untouched[STATE.lstrip("/")], [0o600, 0o600])
    assert number >= 8


def test_the_file_that_cannot_be_put_back_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = node_for(tmp_path / "node", [], "restricted")
    write = QuickNode.write

    def failing(self: QuickNode, path: str, text: str, *arguments: t.Any) -> None:
        if path == CONFIG and text == CONFIGURATION:
            raise NodeError("cannot be written: Read-only file system", path)
        write(self, path, text, *arguments)

    monkeypatch.setattr(QuickNode, "write", failing)
    said = bring(node, RESTRICTED)
    assert f"with the configuration that was there before: {CONFIG}: cannot be written: Read-only file system; " in said
    assert "the files are not all as they were, and kubelet.service may be stopped" in said
    # The others are put back, and the next run does the rest.
    assert not node.place(RECORD).exists()
    monkeypatch.setattr(QuickNode, "write", write)
    assert bring(node, FOUND) == "changed"
    assert (node.place(CONFIG).read_text(), node.active) == (CONFIGURATION, True)


def test_a_run_that_cannot_put_back_says_what_is_left_and_the_next_does(tmp_path: Path) -> None:
    node = node_for(tmp_path / "node", [], "restricted")
    untouched = node.state()
    node.bad = "KubeletConfiguration"
    said = bring(node, RESTRICTED)
    assert "and with the configuration that was there before: kubelet does not come back" in said
    assert said.endswith("the files are as they were; see journalctl -u kubelet.service")
    assert not node.active
    node.bad = ""
    assert (bring(node, FOUND), node.state()) == ("changed", untouched)


@pytest.mark.parametrize(
    ("bad", "is_left"), [("restricted", False), ("KubeletConfiguration", True)], ids=["put back", "stopped"]
)
def test_a_failure_is_a_change_where_not_all_is_as_before(tmp_path: Path, bad: str, is_left: bool) -> None:
    node = node_for(tmp_path / "node", [], bad)
    decision = decided(node, RESTRICTED)
    assert decision.order is not None
    with pytest.raises(NodeError) as caught:
        apply(node, order_of({"proof": None, **decision.order}), node.root)
    assert (caught.value.kind, caught.value.has_changed, node.active) == ("apply", is_left, not is_left)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
@pytest.mark.parametrize("at", range(1, 6))
def test_a_signal_puts_back_first(tmp_path: Path, name: str, at: int) -> None:
    node = node_for(tmp_path / "node", [])
    untouched = node.state()
    number = getattr(signal, name)

    class Signalled(QuickNode):
        def _done(self) -> None:
            if self.left is not None:
                self.left -= 1
                # A second one, while things are put back, comes to nothing.
                if self.left in (0, -2):
                    os.kill(os.getpid(), number)

    node.__class__ = Signalled
    node.left = at
    decision = decided(node, STATIC)
    assert decision.order is not None
    order = order_of({"proof": None, **decision.order})
    interruptions = Interruptions()
    handler = signal.getsignal(number)
    with pytest.raises(NodeError) as caught, interruptions.raised():
        apply(node, order, node.root, interruptions=interruptions)
    assert caught.value.sentence() == (
        f"the run was ended by {name}; the configuration is as it was and kubelet runs again; correct what was wanted"
    )
    assert node.state() == untouched
    assert signal.getsignal(number) is handler


def test_a_signal_before_the_first_write_is_reported() -> None:
    interruptions = Interruptions()
    with pytest.raises(InterruptedRunError, match="the run was ended by SIGTERM"), interruptions.raised():
        os.kill(os.getpid(), signal.SIGTERM)


def test_nobody_else_works_at_it_meanwhile(tmp_path: Path) -> None:
    """A run that is at work must not be taken for one that was cut off."""
    node = node_for(tmp_path / "node", [])
    cut(node, RESTRICTED, 2)
    with locked(node.root):
        for rehearse in (True, False):
            assert bring(node, RESTRICTED, rehearse).startswith(
                "/run/accel-qat-kubelet.lock: another run is changing kubelet's configuration in this moment; wait"
            )
        with pytest.raises(RefusedError), locked(node.root):
            pass
    assert stat.S_IMODE(node.place("/run/accel-qat-kubelet.lock").stat().st_mode) == 0o600
    assert bring(node, RESTRICTED) == "changed"


def test_what_is_kept_is_for_root_alone_from_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = node_for(tmp_path / "node", [])
    modes: dict[str, set[int]] = {}
    replace = os.replace

    def replacing(source: str, target: str) -> None:
        modes.setdefault(Path(target).name, set()).add(stat.S_IMODE(os.stat(source).st_mode))
        replace(source, target)

    monkeypatch.setattr(os, "replace", replacing)
    umask = os.umask(0)
    try:
        bring(node, STATIC)
    finally:
        os.umask(umask)
    assert modes["kubelet.json"] == modes["kubelet.json.pending"] == {0o600}


CHANGED: dict[str, t.Any] = {"path": CONFIG, "before": "a", "after": "b", "mode": None, "owner": None}
IN_HAND: dict[str, t.Any] = {
    "format": 1, "unit": "kubelet.service", "restart": True, "changes": [CHANGED], "states": [], "written": None
}  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        *("", "{}", "[" * 100_000, '{"format": 2}', "null", json.dumps({**IN_HAND, "format": True})),
        *(json.dumps({**IN_HAND, name: 5}) for name in IN_HAND),
        json.dumps({**IN_HAND, "restart": "no"}),
        json.dumps({**IN_HAND, "written": {"boot": 1, "at": 2}}),
        json.dumps({**IN_HAND, "written": {"boot": "", "at": 10**400}}),
        *(json.dumps({**IN_HAND, "states": [{**CHANGED, name: 5}]}) for name in CHANGED if name != "mode"),
        json.dumps({**IN_HAND, "changes": [{**CHANGED, "mode": "0600"}]}),
    ],
)
def test_a_journal_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    node = node_for(tmp_path / "node", [])
    node.place(JOURNAL).parent.mkdir()
    node.place(JOURNAL).write_text(text)
    assert bring(node, RESTRICTED).startswith(f"{JOURNAL}: what an earlier run had in hand cannot be read: ")


def test_a_unit_that_does_not_hand_on_the_argument(tmp_path: Path) -> None:
    """As systemd shows it, it would."""
    node = node_for(tmp_path / "node", [], version="1.31.4")
    untouched = node.state()
    node.hands_on = False
    assert bring(node, RESTRICTED) == (
        f"kubelet.service: kubelet was started without --config-dir={DROP_INS}, though that is in the file of its arguments, so that the "
        "change is not in force; the configuration is as it was and kubelet runs again; correct what was wanted"
    )
    assert node.state() == untouched


@pytest.mark.parametrize("there", [True, False])
def test_there_and_back_by_a_drop_in(tmp_path: Path, there: bool) -> None:
    node = node_for(tmp_path / "node", [], version="1.31.4")
    if there:
        node.place(DROP_INS).mkdir(parents=True)
    untouched = node.state()
    umask = os.umask(0o077)
    try:
        assert (bring(node, RESTRICTED), bring(node, RESTRICTED)) == ("changed", "unchanged")
    finally:
        os.umask(umask)
    modes = [
        stat.S_IMODE(node.place(path).stat().st_mode) for path in (DROP_INS, f"{DROP_INS}/99-accel-qat.conf", DEFAULTS)
    ]
    assert modes == [0o755, 0o644, 0o644]
    assert node.place(CONFIG).read_text() == CONFIGURATION
    assert (bring(node, FOUND), bring(node, FOUND)) == ("changed", "unchanged")
    assert node.state() == untouched


def test_an_upgrade_past_1_30_and_a_downgrade_are_one_restart_each(tmp_path: Path) -> None:
    node = node_for(tmp_path / "node", [RESTRICTED])
    in_file = node.state()
    node.version = "1.31.4"
    assert (bring(node, RESTRICTED), bring(node, RESTRICTED)) == ("changed", "unchanged")
    assert node.place(CONFIG).read_text() == CONFIGURATION
    node.version = OLD
    assert (bring(node, RESTRICTED), bring(node, RESTRICTED)) == ("changed", "unchanged")
    assert {name: text for name, text in node.state().items() if "accel-qat" not in name} == {
        name: text for name, text in in_file.items() if "accel-qat" not in name
    }
    assert bring(node, FOUND) == "changed"
    assert node.place(CONFIG).read_text() == CONFIGURATION


def test_a_drop_in_without_a_restart(tmp_path: Path) -> None:
    quiet = replace(RESTRICTED, restart=False)
    node = node_for(tmp_path / "node", [], version="1.31.4")
    untouched = node.state()
    assert (bring(node, quiet), bring(node, quiet)) == ("changed", "unchanged")
    assert (bring(node, RESTRICTED), bring(node, RESTRICTED)) == ("changed", "unchanged")
    assert bring(node, FOUND) == "changed"
    assert node.state() == untouched


def test_a_supervisor_that_writes_the_file_again_is_reported(tmp_path: Path) -> None:
    """As k0s does at each start of its unit."""
    node = node_for(tmp_path / "node", [])
    untouched = node.state()

    def supervise() -> None:
        node.place(CONFIG).write_text(CONFIGURATION)

    node.supervisor = supervise
    said = bring(node, RESTRICTED)
    assert said == (
        f"{CONFIG}: the start of kubelet.service has written this file again, so that the change is not in force; what manages the kubelet "
        "of this node owns the file, and has to make the change; the configuration is as it was and kubelet runs again; correct what was "
        "wanted"
    )
    assert node.state() == untouched
    assert STATE.lstrip("/") in untouched
