# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Units of systemd: whether it knows them as they stand on the disk, and whether what runs is what stands. PRIVATE to the collection.

Standard library only, for Python 3.9: it runs on managed nodes.
"""

from __future__ import annotations
