# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The support bundle: what is taken of a node, without secrets, into one archive. Only looks.

`gather.py` says what is taken, `redaction.py` what of it stays, `archive.py` puts it together.
"""
