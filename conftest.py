# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The path under which tests find the collection, and how many examples each property is tried on.

A few hundred, or with --hypothesis-profile=nightly ten thousand.
"""

from __future__ import annotations

import importlib
import subprocess
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis.database import DirectoryBasedExampleDatabase

_CHECKOUT = Path(__file__).parent
# Whoever has just cloned, or called `make clean`, may run a test at once.
if not (_CHECKOUT / "build/tree/ansible_collections/accel/qat").exists():
    subprocess.run([_CHECKOUT / "tools/collection_tree"], check=True, stdout=subprocess.DEVNULL)
    importlib.invalidate_caches()  # Python has noted that there is no such directory

_DATABASE = DirectoryBasedExampleDatabase(_CHECKOUT / "build/hypothesis")
# Making a node takes longer than hypothesis expects of an input. How long any takes depends on who else uses the processor, so no test
# has a limit to its time.
_SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)

settings.register_profile(
    "base", max_examples=300, deadline=None, database=_DATABASE, suppress_health_check=_SLOW, print_blob=True
)
# The same examples each time: a change is judged by what it changes. The nightly run looks for new ones.
settings.register_profile("default", settings.get_profile("base"), derandomize=True, database=None)
settings.register_profile("nightly", settings.get_profile("base"), max_examples=10_000)
settings.load_profile("default")
