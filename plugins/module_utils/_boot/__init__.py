# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Sees that a node's kernel is booted with the wanted arguments.

`arguments` is the pure core, `machine` the port to files and commands, `running` what the kernel has now, `detect` finds
the boot loader, `loaders` has one file per boot loader (each only reads and plans), `notes` keeps what the way back needs,
`ensure` plans, applies and checks.
"""
