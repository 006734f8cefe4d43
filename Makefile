# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later

.PHONY: setup
setup:  ## make .venv and install what development needs
	@tools/setup
