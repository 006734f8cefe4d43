# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The service `qat-vm-attach`: gives the virtual machines of pods, which libvirt runs, the VFs that Kubernetes gave to those pods."""
