# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files that are replaced as a whole: a power cut leaves the old one or the new one."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
import typing as t

from .absence import if_there

_SELINUX_LABEL = "security.selinux"
_PREFIX = ".accel-qat-"


def json_bytes(document: t.Mapping[str, t.Any]) -> bytes:
    """The document as a file's content, for people to read too."""
    return json.dumps(document, indent=2).encode() + b"\n"


def replace_file(path: str, content: bytes, mode: int = 0o644, keep: bool = True) -> None:
    """Put a new file in the place of the old one when all of it is on the disk. Raises OSError; then nothing has changed.

    With `keep` it has mode, owner and label of the old one, and `mode` is for a file that was not there. Without, it has
    `mode`, belongs to who runs this, and has the label that is usual in its directory.
    """
    directory = os.path.dirname(path)
    os.makedirs(directory, mode=0o755, exist_ok=True)
    # The name ends in no suffix that a boot loader reads, should a crash leave it behind.
    descriptor, temporary = tempfile.mkstemp(prefix=_PREFIX, dir=directory)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fchmod(stream.fileno(), mode)
            if not keep:
                # In a directory with the bit setgid it has that one's group.
                os.fchown(stream.fileno(), os.geteuid(), os.getegid())
            elif os.path.exists(path):
                _look_like(path, stream.fileno())
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    sync_directory(directory)


def replace_link(path: str, target: str) -> None:
    """Put a link to `target` in the place of a file or link. Raises OSError; then nothing has changed."""
    directory = os.path.dirname(path)
    os.makedirs(directory, mode=0o755, exist_ok=True)
    # A name that nobody has; mkstemp makes files only.
    aside = tempfile.mkdtemp(prefix=_PREFIX, dir=directory)
    try:
        os.symlink(target, f"{aside}/link")
        os.replace(f"{aside}/link", path)
    finally:
        shutil.rmtree(aside)
    sync_directory(directory)


def remove_file(path: str) -> None:
    """Remove a file, from the disk too. Raises OSError; one that is not there is no error.

    Also then the directory is synced: the run that removed the file may have been cut off before it was.
    """
    if_there(lambda: os.unlink(path), None)
    if_there(lambda: sync_directory(os.path.dirname(path) or "."), None)


def remove_directory_if_empty(path: str) -> None:
    """Remove a directory in which nothing is, from the disk too. Raises OSError; one that is not there is no error."""
    try:
        if_there(lambda: os.rmdir(path), None)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
    else:
        if_there(lambda: sync_directory(os.path.dirname(path) or "."), None)


def _look_like(path: str, descriptor: int) -> None:
    """Give the new file mode, owner and SELinux label of the one it replaces."""
    old = os.stat(path)
    new = os.fstat(descriptor)
    os.fchmod(descriptor, old.st_mode & 0o7777)
    # FAT (an EFI system partition) has no owners and refuses the call.
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
        os.fchown(descriptor, old.st_uid, old.st_gid)
    try:
        os.setxattr(descriptor, _SELINUX_LABEL, os.getxattr(path, _SELINUX_LABEL))
    except OSError as error:
        # No label, or a file system without labels.
        if error.errno not in (errno.ENODATA, errno.ENOTSUP):
            raise


def sync_directory(path: str) -> None:
    """Have what was renamed or removed in a directory on the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
