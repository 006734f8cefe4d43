// SPDX-FileCopyrightText: 2026 accel.qat contributors
// SPDX-License-Identifier: GPL-2.0-or-later
/* VF driver c6xxvf, module qat_c62xvf: claims the VFs of c6xx as soon as they appear. */
#include <linux/module.h>
#include <linux/pci.h>

static const struct pci_device_id ids[] = {
	{ PCI_VDEVICE(INTEL, 0x37c9) },
	{ }
};
MODULE_DEVICE_TABLE(pci, ids);

static int probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	return pcim_enable_device(pdev);
}

static struct pci_driver qat_driver = {
	.name = "c6xxvf",
	.id_table = ids,
	.probe = probe,
};

module_pci_driver(qat_driver);
MODULE_DESCRIPTION("VF driver for simulated QAT c6xx devices");
MODULE_LICENSE("GPL");
