// SPDX-FileCopyrightText: 2026 accel.qat contributors
// SPDX-License-Identifier: GPL-2.0-or-later
/* Which kernel's QAT driver to behave like: one table, chosen by a parameter. */
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/string.h>
#include "qat_common.h"

static const struct qat_generation generations[] = {
	{ .name = "6.1" },
	{
		.name = "6.12",
		.down_twice_succeeds = true,
		.numvfs_zero = true,
		.failed_vfs_undone = true,
		.reset_restores_vfs = true,
		.all_attributes = true,
		.keeps_power_setting = true,
		.any_combination = true,
	},
	{
		.name = "6.16",
		.down_twice_succeeds = true,
		.numvfs_zero = true,
		.failed_vfs_undone = true,
		.reset_restores_vfs = true,
		.all_attributes = true,
		.keeps_power_setting = true,
		.any_combination = true,
		.service_sets = true,
	},
};

static const struct qat_generation *current_generation = &generations[1];

const struct qat_generation *qat_generation(void)
{
	return READ_ONCE(current_generation);
}

static int generation_set(const char *value, const struct kernel_param *param)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(generations); i++) {
		if (!sysfs_streq(value, generations[i].name))
			continue;
		WRITE_ONCE(current_generation, &generations[i]);
		qat_refresh_all();
		return 0;
	}
	return -EINVAL;
}

static int generation_get(char *buffer, const struct kernel_param *param)
{
	return sysfs_emit(buffer, "%s\n", qat_generation()->name);
}

static const struct kernel_param_ops generation_ops = {
	.set = generation_set,
	.get = generation_get,
};
module_param_cb(generation, &generation_ops, NULL, 0644);
MODULE_PARM_DESC(generation, "kernel to behave like: 6.1, 6.12 (default) or 6.16");

/* Mainline 6.12 to 6.15; stable kernels and 6.16 dropped the requirement. */
static bool require_iommu;
module_param(require_iommu, bool, 0644);
MODULE_PARM_DESC(require_iommu, "refuse VFs on a PF that is not behind an IOMMU");

bool qat_requires_iommu(void)
{
	return require_iommu;
}
