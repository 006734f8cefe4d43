// SPDX-FileCopyrightText: 2026 accel.qat contributors
// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Virtual functions: all of them or none, however many are asked for, because
 * the rings of the device are only usable when shared out completely.
 */
#include <linux/device.h>
#include <linux/iommu.h>
#include <linux/module.h>
#include <linux/pci.h>
#include "qat_common.h"

static int enable(struct qat_device *qat)
{
	int err = qat_sim_do(qat->hardware, QAT_SIM_ENABLE_VFS);

	if (err)
		return err;
	return pci_enable_sriov(qat->pdev, qat_sim_working_vfs(qat->hardware, pci_sriov_get_totalvfs(qat->pdev)));
}

void qat_sriov_disable(struct qat_device *qat)
{
	if (!qat->vfs_claimed)
		return;
	pci_disable_sriov(qat->pdev);
	qat->vfs_claimed = false;
}

void qat_sriov_restore(struct qat_device *qat)
{
	if (!qat->reenable_vfs)
		return;
	qat->reenable_vfs = false;
	qat->vfs_claimed = true;
	if (enable(qat))
		dev_err(&qat->pdev->dev, "Failed to re-enable SR-IOV\n");
}

/* Enabling VFs restarts the device, and so also starts one that is down. */
static int enable_all(struct qat_device *qat, int requested)
{
	int err;

	if (qat->up) {
		if (qat_busy(qat)) {
			dev_err(&qat->pdev->dev, "Device busy\n");
			return -EBUSY;
		}
		err = qat_down(qat);
		if (err)
			return err;
	}
	qat->vfs_claimed = true;
	err = qat_up(qat);
	if (err)
		dev_err(&qat->pdev->dev, "Failed to start qat_dev%d\n", qat->id);
	else
		err = enable(qat);

	if (!qat_generation()->failed_vfs_undone)
		/* Old kernels hide the reason, return what was asked for, and stay claimed. */
		return err && !qat->up ? -EFAULT : err ?: requested;
	if (err) {
		qat_stop(qat);
		return err;
	}
	return pci_sriov_get_totalvfs(qat->pdev);
}

static int disable_all(struct qat_device *qat)
{
	int err;

	if (qat_busy(qat)) {
		dev_err(&qat->pdev->dev, "Cannot disable SR-IOV, device in use\n");
		return -EBUSY;
	}
	err = qat_sim_do(qat->hardware, QAT_SIM_DISABLE_VFS);
	if (err)
		return err;
	if (qat->up) {
		err = qat_down(qat);
		if (err)
			return err;
	}
	qat_sriov_disable(qat);
	return qat_up(qat);
}

int qat_sriov_configure(struct pci_dev *pdev, int vfs)
{
	struct qat_device *qat = pci_get_drvdata(pdev);
	int ret;

	if (!device_iommu_mapped(&pdev->dev) && vfs) {
		dev_warn(&pdev->dev, "IOMMU should be enabled for SR-IOV to work correctly\n");
		if (qat_requires_iommu())
			return -EINVAL;
	}
	mutex_lock(&qat->state_lock);
	if (!qat_generation()->numvfs_zero && qat->vfs_claimed) {
		dev_info(&pdev->dev, "Already enabled for this device\n");
		ret = -EINVAL;
	} else {
		ret = vfs ? enable_all(qat, vfs) : disable_all(qat);
	}
	mutex_unlock(&qat->state_lock);
	return ret;
}
EXPORT_SYMBOL_GPL(qat_sriov_configure);
