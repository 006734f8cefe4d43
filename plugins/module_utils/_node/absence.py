# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What proves that a thing is not there, as against that it cannot be seen.

The only place that knows. A read that fails for want of descriptors, memory or permission says nothing about the node.
"""

from __future__ import annotations

import errno
import typing as t

_ABSENT = frozenset({errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.ESRCH})

_Seen = t.TypeVar("_Seen")


def is_absent(error: OSError) -> bool:
    """Whether the error says that the file, device or process is not there (errno(3): ENOENT, ENODEV, ENXIO, ESRCH)."""
    return error.errno in _ABSENT


def if_there(look: t.Callable[[], _Seen], otherwise: _Seen) -> _Seen:
    """What `look` gives, or `otherwise` where that which it looks at is not there. Raises every other OSError that it raises."""
    try:
        return look()
    except OSError as error:
        if not is_absent(error):
            raise
        return otherwise
