# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep what Python compiles out of zip files: Ansible sends each module as one, and an emulated processor compiles it for seconds.

The guest's Python imports this whenever it starts. What it keeps is gone with the next boot. Elsewhere COMPILE_CACHE says where.
"""

from __future__ import annotations

import _imp
import contextlib
import marshal
import os
import sys
import zipimport
from types import CodeType

DIRECTORY = os.environ.get("COMPILE_CACHE", "/run/compile-cache")

_compile = zipimport._compile_source  # type: ignore[attr-defined]


def _compile_once(path: str, source: bytes) -> CodeType:
    # Each version of Python has code of its own.
    kept = f"{DIRECTORY}/{sys.implementation.cache_tag}-{_imp.source_hash(0, source).hex()}"
    try:
        with open(kept, "rb") as stream:
            code: CodeType = marshal.loads(stream.read())
    except (OSError, ValueError, EOFError, TypeError):
        code = _compile(path, source)
        # Whoever may not write there has what root has kept.
        with contextlib.suppress(OSError):
            _keep(code, kept)
    else:
        # Tracebacks name the file of now: each run of a module has one of its own.
        _imp._fix_co_filename(code, path)  # type: ignore[attr-defined]
    return code


def _keep(code: CodeType, kept: str) -> None:
    os.makedirs(DIRECTORY, exist_ok=True)
    aside = f"{kept}.{os.getpid()}"
    with open(aside, "wb") as stream:
        stream.write(marshal.dumps(code))
    os.rename(aside, kept)


zipimport._compile_source = _compile_once  # type: ignore[attr-defined]
