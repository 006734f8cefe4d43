# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What builders share, those of artifacts and that of the virtual machine: commands, the cache, file systems of Debian, a Go compiler."""
