# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Install pip into the environment of the interpreter that runs this, from the copy that comes with Python.

Stands in for the script of that name that ansible-test downloads, and takes the same arguments: packages and options
of `pip install`. sanity.py puts it where ansible-test looks first.
"""

from __future__ import annotations

import subprocess
import sys

# Options of the original script, for what an environment of ansible-test never holds.
OWN_OPTIONS = ("--no-setuptools", "--no-wheel")

subprocess.run([sys.executable, "-m", "ensurepip"], check=True, stdout=subprocess.DEVNULL)
subprocess.run(
    [sys.executable, "-m", "pip", "install", "--upgrade", *(word for word in sys.argv[1:] if word not in OWN_OPTIONS)],
    check=True,
)
