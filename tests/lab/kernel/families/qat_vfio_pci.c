// SPDX-FileCopyrightText: 2026 accel.qat contributors
// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * VFIO driver of VFs that can be migrated, module qat_vfio_pci: what vfio-pci does, for VFs of a PF whose driver can save their state.
 * It takes a function that names it in driver_override, and no other. No state of a simulated device can be saved: the feature
 * VFIO_DEVICE_FEATURE_MIGRATION is not there.
 */
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/version.h>
#include <linux/vfio.h>
#include <linux/vfio_pci_core.h>
#include "qat_common.h"

static const struct pci_device_id ids[] = {
	{ PCI_DRIVER_OVERRIDE_DEVICE_VFIO(PCI_VENDOR_ID_INTEL, 0x4941) },
	{ PCI_DRIVER_OVERRIDE_DEVICE_VFIO(PCI_VENDOR_ID_INTEL, 0x4943) },
	{ PCI_DRIVER_OVERRIDE_DEVICE_VFIO(PCI_VENDOR_ID_INTEL, 0x4945) },
	{ }
};
MODULE_DEVICE_TABLE(pci, ids);

static int open_device(struct vfio_device *device)
{
	struct vfio_pci_core_device *core = container_of(device, struct vfio_pci_core_device, vdev);
	int err = vfio_pci_core_enable(core);

	if (err)
		return err;
	vfio_pci_core_finish_enable(core);
	return 0;
}

static const struct vfio_device_ops ops = {
	.name = "qat-vf-vfio-pci",
	.init = vfio_pci_core_init_dev,
	.release = vfio_pci_core_release_dev,
	.open_device = open_device,
	.close_device = vfio_pci_core_close_device,
	.ioctl = vfio_pci_core_ioctl,
	.device_feature = vfio_pci_core_ioctl_feature,
	.read = vfio_pci_core_read,
	.write = vfio_pci_core_write,
	.mmap = vfio_pci_core_mmap,
	.request = vfio_pci_core_request,
	.match = vfio_pci_core_match,
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5, 0)
	.bind_iommufd = vfio_iommufd_physical_bind,
	.unbind_iommufd = vfio_iommufd_physical_unbind,
	.attach_ioas = vfio_iommufd_physical_attach_ioas,
	.detach_ioas = vfio_iommufd_physical_detach_ioas,
#endif
};

static int probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct vfio_pci_core_device *core;
	int err;

	if (!pdev->is_virtfn)
		return -ENODEV;
	err = qat_migrates(pci_physfn(pdev));
	if (err)
		return err;
	core = vfio_alloc_device(vfio_pci_core_device, vdev, &pdev->dev, &ops);
	if (IS_ERR(core))
		return PTR_ERR(core);
	pci_set_drvdata(pdev, core);
	err = vfio_pci_core_register_device(core);
	if (err)
		vfio_put_device(&core->vdev);
	return err;
}

static void remove(struct pci_dev *pdev)
{
	struct vfio_pci_core_device *core = pci_get_drvdata(pdev);

	vfio_pci_core_unregister_device(core);
	vfio_put_device(&core->vdev);
}

static struct pci_driver qat_driver = {
	.name = "qat_vfio_pci",
	.id_table = ids,
	.probe = probe,
	.remove = remove,
	.err_handler = &vfio_pci_core_err_handlers,
	.driver_managed_dma = true,
};

module_pci_driver(qat_driver);
MODULE_DESCRIPTION("VFIO driver for VFs of simulated QAT devices that can be migrated");
MODULE_LICENSE("GPL");
