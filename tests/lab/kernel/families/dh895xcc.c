// SPDX-FileCopyrightText: 2026 accel.qat contributors
// SPDX-License-Identifier: GPL-2.0-or-later
/* PF driver dh895xcc, module qat_dh895xcc: generation 1, no service setting. */
#include <linux/module.h>
#include <linux/pci.h>
#include "qat_common.h"

static const struct qat_family family = {
	.name = "dh895xcc",
	.ring_pairs = 32,
	.ring_pairs_per_vf = 1,
};

static const struct pci_device_id ids[] = {
	{ PCI_VDEVICE(INTEL, 0x0435) },
	{ }
};
MODULE_DEVICE_TABLE(pci, ids);

static int probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	return qat_probe(pdev, &family);
}

static struct pci_driver qat_driver = {
	.name = "dh895xcc",
	.id_table = ids,
	.probe = probe,
	.remove = qat_remove,
	.sriov_configure = qat_sriov_configure,
};

module_pci_driver(qat_driver);
MODULE_DESCRIPTION("PF driver for simulated QAT dh895xcc devices");
MODULE_LICENSE("GPL");
