# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is built of a release besides the collection, and the programs of others by which that is built and tested."""
