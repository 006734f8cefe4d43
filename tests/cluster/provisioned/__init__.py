# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node offers that site.yml has provisioned, and how it changes and is given back."""
