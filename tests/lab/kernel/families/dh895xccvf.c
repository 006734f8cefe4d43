// SPDX-FileCopyrightText: 2026 accel.qat contributors
// SPDX-License-Identifier: GPL-2.0-or-later
/* VF driver dh895xccvf, module qat_dh895xccvf: claims the VFs of dh895xcc as soon as they appear. */
#include <linux/module.h>
#include <linux/pci.h>

static const struct pci_device_id ids[] = {
	{ PCI_VDEVICE(INTEL, 0x0443) },
	{ }
};
MODULE_DEVICE_TABLE(pci, ids);

static int probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	return pcim_enable_device(pdev);
}

static struct pci_driver qat_driver = {
	.name = "dh895xccvf",
	.id_table = ids,
	.probe = probe,
};

module_pci_driver(qat_driver);
MODULE_DESCRIPTION("VF driver for simulated QAT dh895xcc devices");
MODULE_LICENSE("GPL");
