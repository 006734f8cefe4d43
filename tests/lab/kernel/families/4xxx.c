// SPDX-FileCopyrightText: 2026 accel.qat contributors
// SPDX-License-Identifier: GPL-2.0-or-later
/* PF driver 4xxx, module qat_4xxx: generation 4. */
#include <linux/module.h>
#include <linux/pci.h>
#include "qat_common.h"

static const struct qat_slices slices[] = {
	{ "cpr", 1 }, { "xlt", 1 }, { "dcpr", 3 }, { "pke", 6 }, { "ucs", 4 }, { "cph", 4 }, { "ath", 4 }, { }
};

static const struct qat_family family = {
	.name = "4xxx",
	.ring_pairs = 64,
	.ring_pairs_per_vf = 4,
	.slices = slices,
	.configurable = true,
	.migrates = true,
	.fixed_heartbeat = true,
};

/* As Intel's package has it: services are in files below /etc, and no migration. */
static const struct qat_family packaged_family = {
	.name = "4xxx",
	.ring_pairs = 64,
	.ring_pairs_per_vf = 4,
	.slices = slices,
	.fixed_heartbeat = true,
	.heartbeat_file = true,
};

static bool out_of_tree;
module_param(out_of_tree, bool, 0444);
MODULE_PARM_DESC(out_of_tree, "behave like the driver of Intel's package");

static const struct pci_device_id ids[] = {
	{ PCI_VDEVICE(INTEL, 0x4940) },
	{ PCI_VDEVICE(INTEL, 0x4942) },
	{ PCI_VDEVICE(INTEL, 0x4944) },
	{ }
};
MODULE_DEVICE_TABLE(pci, ids);

static int probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	return qat_probe(pdev, out_of_tree ? &packaged_family : &family);
}

static struct pci_driver qat_driver = {
	.name = "4xxx",
	.id_table = ids,
	.probe = probe,
	.remove = qat_remove,
	.sriov_configure = qat_sriov_configure,
};

module_pci_driver(qat_driver);
MODULE_DESCRIPTION("PF driver for simulated QAT 4xxx devices");
MODULE_LICENSE("GPL");
