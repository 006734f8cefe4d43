# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether the wanted fields go into a drop-in whose directory kubelet has to be given, and what of ours has to move for that.

kubeadm writes kubelet's configuration file again at each upgrade, and leaves drop-ins and an administrator's arguments alone.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from ansible_collections.accel.qat.plugins.module_utils._host.edits import FileEdit
from ansible_collections.accel.qat.plugins.module_utils._kubelet.environment import read_file
from ansible_collections.accel.qat.plugins.module_utils._kubelet.extra_arguments import (
    NAME,
    argument_of,
    config_dir_in,
)
from ansible_collections.accel.qat.plugins.module_utils._kubelet.flavours.base import DROP_IN_NAME, options_of
from ansible_collections.accel.qat.plugins.module_utils._kubelet.observe import Observed
from ansible_collections.accel.qat.plugins.module_utils._kubelet.options import ALWAYS, NEVER
from ansible_collections.accel.qat.plugins.module_utils._kubelet.version import Version
from ansible_collections.accel.qat.plugins.module_utils._node.errors import RefusedError

from .documents import CONFIG_DIR, DROP_IN, MANAGED, Document, EnvironmentFile
from .layers import BEHIND_A_LINK, Layer, document_of
from .record import File, Record
from .yaml_text import Path

# Kubelet takes --config-dir from 1.30 on; 1.28 and 1.29 want a variable in its environment besides.
_TAKES_SINCE = 30
# A file of ours with nothing in it goes.
EMPTY = (MANAGED, DROP_IN)

Leaf = tuple[Path, t.Any]


@dataclass(frozen=True)
class Placement:
    """What to plan from: the node with what is to move taken back, and with the command line that kubelet gets.

    `moved` are the fields of ours that this has taken away, and that are to be in force still.
    """

    real: Observed
    observed: Observed
    record: Record
    version: Version
    moved: tuple[Leaf, ...] = ()
    # The directory that an argument of ours gives kubelet as long as our drop-in is there, empty for none.
    directory: str = ""
    # Why the fields stand in the file though a drop-in is wanted, or would last longer.
    fault: str = ""

    def finish(self, edits: t.Sequence[FileEdit], record: Record) -> tuple[tuple[FileEdit, ...], Record, Observed]:
        """All edits from the node as it is, their record, and the node as it is then, for edits to what was planned from."""
        if self.real is self.observed and not self.directory:
            return tuple(edits), record, with_files(self.real, edits)
        after = with_files(self.observed, edits)
        if self.directory:
            if f"{self.directory}/{DROP_IN_NAME}" in after.files:
                after, record = self._with_argument(after, record)
            elif not drop_ins_in(after, self.directory):
                after, record, _moved = _taken_back(after, record, [after.extra_arguments], self.version)
        return in_order(self.real, after), record, as_started(after)

    def _with_argument(self, after: Observed, record: Record) -> tuple[Observed, Record]:
        path = after.extra_arguments
        before = after.files.get(path)
        if config_dir_in(before or "") == self.directory:
            return after, record
        edit = FileEdit(
            path, before, EnvironmentFile(before or "", path).with_value((CONFIG_DIR,), self.directory).text
        )
        return with_files(after, [edit]), record.with_argument(edit, self.directory, not after.drop_ins_there)


def as_started(observed: Observed) -> Observed:
    """The node with the command line that kubelet has at its next start by the file of its arguments."""
    if not observed.extra_arguments:
        return observed
    running = options_of(observed.words).get("config-dir", "").rstrip("/")
    directory = config_dir_in(observed.files.get(observed.extra_arguments, ""))
    started = _with_config_dir(observed, directory)
    # One that the caller has named is still compared with the command line.
    return started if observed.config_dir == running else replace(started, config_dir=observed.config_dir)


def place(observed: Observed, version: Version, mode: str) -> Placement:
    """Decide, for a node `as_started`. Raises RefusedError where kubelet would keep an argument that it does not take."""
    record = Record.parse(observed.record)
    here = Placement(observed, observed, record, version)
    directory = observed.kind.adds_drop_ins
    ours = directory_of_ours(observed, record)
    if not directory or (observed.config_dir and not ours):
        return here
    takes = version.minor >= _TAKES_SINCE
    others = drop_ins_in(_taken_back(observed, record, [f"{directory}/{DROP_IN_NAME}"], version)[0], directory)
    if ours and takes and (mode != NEVER or others):
        return replace(here, directory=ours, fault="" if mode == NEVER else _link_fault(observed, ours))
    if ours and others:
        raise RefusedError(
            f"kubelet {version.short} does not start with --config-dir, without which this file does not count any more",
            others[0],
            f"bring what it says into {observed.config}, and remove it; nothing was written",
        )
    fault = "" if mode == NEVER else _fault(observed, version, mode, others)
    if fault or not takes or mode == NEVER:
        return _with_fields_in_file(here, bool(ours), fault)
    return _with_drop_in(here, directory)


def directory_of_ours(observed: Observed, record: Record) -> str:
    """The directory that an argument of ours gives kubelet, empty for none."""
    file = record.files.get(observed.extra_arguments)
    directory = config_dir_in(observed.files.get(observed.extra_arguments, ""))
    return directory if file is not None and file.gives_arguments and directory in file.directories else ""


def drop_in_of(observed: Observed) -> str:
    """The drop-in that is ours, empty where there is none that kubelet reads."""
    directory = observed.config_dir or observed.kind.drop_ins
    path = f"{directory}/{DROP_IN_NAME}"
    return path if path in observed.files and directory not in observed.linked else ""


def read_by_kubelet(observed: Observed) -> str:
    """The directory of drop-ins on kubelet's command line, empty for none and for one of which it reads nothing."""
    return "" if observed.config_dir in observed.linked else observed.config_dir


def drop_ins_in(observed: Observed, directory: str) -> list[str]:
    """The drop-ins there."""
    return sorted(path for path in observed.files if path.startswith(f"{directory}/"))


def found_of(path: str, found: File, observed: Observed, version: Version) -> str | None:
    """A recorded file that is there as it was found, None for none. What somebody else has changed since stays."""
    after = found.restored(observed.files[path], lambda text: _document(path, text, found, observed, version))
    empty = found.gives_arguments and found.text is None and not (after or "").strip()
    return None if empty or after in EMPTY else after


def with_files(observed: Observed, edits: t.Iterable[FileEdit]) -> Observed:
    """The node once these are made."""
    files: dict[str, str | None] = {**observed.files, **{edit.path: edit.after for edit in edits}}
    return replace(observed, files={path: text for path, text in files.items() if text is not None})


def in_order(before: Observed, after: Observed) -> tuple[FileEdit, ...]:
    """The edits from one to the other. What moves is written in its new place before it goes from the old one."""
    adds = after.extra_arguments in after.files and bool(config_dir_in(after.files[after.extra_arguments]))
    order = {after.config: 2 if adds else 0, after.extra_arguments: 1}
    paths = sorted({*before.files, *after.files}, key=lambda path: (order.get(path, 0 if adds else 2), path))
    edits = (FileEdit(path, before.files.get(path), after.files.get(path)) for path in paths)
    return tuple(edit for edit in edits if edit.changes)


def _with_drop_in(here: Placement, directory: str) -> Placement:
    # An argument of ours that somebody has taken away since counts as never given.
    gone = (path for path, file in here.record.files.items() if file.gives_arguments)
    config = here.observed.config
    observed, record, moved = _taken_back(here.observed, here.record.without(*gone), [config], here.version)
    return replace(
        here, observed=_with_config_dir(observed, directory), record=record, moved=moved, directory=directory
    )


def _with_fields_in_file(here: Placement, was_read: bool, fault: str) -> Placement:
    drop_in = f"{here.observed.kind.adds_drop_ins}/{DROP_IN_NAME}"
    ours = [path for path, file in here.record.files.items() if file.gives_arguments or path == drop_in]
    if not ours:
        return replace(here, fault=fault)
    observed, record, moved = _taken_back(here.observed, here.record, ours, here.version)
    # What was not in force, since kubelet did not have the argument, need not be.
    return replace(here, observed=as_started(observed), record=record, moved=moved if was_read else (), fault=fault)


def _fault(observed: Observed, version: Version, mode: str, others: t.Sequence[str]) -> str:
    """Why kubelet cannot be given a directory of drop-ins; empty also where nobody expects that."""
    if version.minor < _TAKES_SINCE:
        return f"kubelet {version.short} does not take --config-dir without more" if mode == ALWAYS else ""
    if not observed.extra_arguments:
        return observed.extra_arguments_fault or "the file of its arguments is not known"
    others_fault = f"{others[0]} would come in force with it" if others else ""
    return _link_fault(observed, observed.kind.adds_drop_ins) or others_fault


def _link_fault(observed: Observed, directory: str) -> str:
    linked = directory in observed.linked
    return f"{directory} {BEHIND_A_LINK}" if linked else ""


def _with_config_dir(observed: Observed, directory: str) -> Observed:
    """With that directory on the command line, or with none."""
    words: list[str] = []
    value_follows = False
    for word in observed.words:
        if not value_follows and word.partition("=")[0] != "--config-dir":
            words.append(word)
        value_follows = word == "--config-dir"
    return replace(observed, words=[*words, *([argument_of(directory)] if directory else [])], config_dir=directory)


def _taken_back(
    observed: Observed, record: Record, paths: t.Sequence[str], version: Version
) -> tuple[Observed, Record, tuple[Leaf, ...]]:
    """The node as if we had never changed these files, the record without them, and the fields of ours that were in them."""
    edits, moved = [], []
    for path in paths:
        found, text = record.files.get(path), observed.files.get(path)
        if found is None or text is None:
            continue
        now = Layer(path, _document(path, text, found, observed, version).fields())
        if not found.gives_arguments:
            written = ((entry.path, entry.written) for entry in found.entries if entry.written is not None)
            moved += [(place, value) for place, value in written if now.value(place) == value]
        edits.append(FileEdit(path, text, found_of(path, found, observed, version)))
    return with_files(observed, edits), record.without(*paths), tuple(moved)


def _document(path: str, text: str, found: File, observed: Observed, version: Version) -> Document:
    if found.gives_arguments:
        # A line that was not there goes, and one that was stays.
        return EnvironmentFile(text, path, NAME in read_file(found.text or ""))
    return document_of(path, text, observed.kind, version)
