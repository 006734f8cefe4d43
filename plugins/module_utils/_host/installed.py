# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where the roles install things on a node, unless their variables say otherwise."""

from __future__ import annotations

QATCTL = "/usr/local/sbin/qatctl"
QATCTL_PACKAGE = "accel_qat_node"
"""The package of Python in its file, by which the file is known for ours."""
PLUGIN_DIRECTORY = "/opt/accel-qat/device-plugin"
PLUGIN_ADDRESS = "127.0.0.1:9482"
"""Where the device plugin serves its pages."""
EXPORTER_ADDRESS = "127.0.0.1:9483"
"""Where the exporter does."""
