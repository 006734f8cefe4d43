// SPDX-FileCopyrightText: 2026 accel.qat contributors
// SPDX-License-Identifier: GPL-2.0-or-later
/* PF driver 420xx, module qat_420xx: generation 4, later devices. */
#include <linux/module.h>
#include <linux/pci.h>
#include "qat_common.h"

static const struct qat_slices slices[] = {
	{ "cpr", 1 }, { "xlt", 1 }, { "dcpr", 3 }, { "pke", 6 }, { "wat", 5 }, { "wcp", 5 }, { "ucs", 4 },
	{ "cph", 4 }, { "ath", 4 }, { }
};

static const struct qat_family family = {
	.name = "420xx",
	.ring_pairs = 64,
	.ring_pairs_per_vf = 4,
	.slices = slices,
	.configurable = true,
	.migrates = true,
	.fixed_heartbeat = true,
};

static const struct pci_device_id ids[] = {
	{ PCI_VDEVICE(INTEL, 0x4946) },
	{ }
};
MODULE_DEVICE_TABLE(pci, ids);

static int probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	return qat_probe(pdev, &family);
}

static struct pci_driver qat_driver = {
	.name = "420xx",
	.id_table = ids,
	.probe = probe,
	.remove = qat_remove,
	.sriov_configure = qat_sriov_configure,
};

module_pci_driver(qat_driver);
MODULE_DESCRIPTION("PF driver for simulated QAT 420xx devices");
MODULE_LICENSE("GPL");
