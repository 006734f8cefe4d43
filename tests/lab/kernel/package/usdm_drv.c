// SPDX-FileCopyrightText: 2026 accel.qat contributors
// SPDX-License-Identifier: GPL-2.0-or-later
/* Stands for the memory driver of Intel's out-of-tree package: there, by its name, and without a function. */
#include <linux/module.h>

MODULE_DESCRIPTION("Stand-in for the memory driver of Intel's package");
MODULE_LICENSE("GPL");
