// SPDX-FileCopyrightText: 2026 accel.qat contributors
// SPDX-License-Identifier: GPL-2.0-or-later
/* Life of a PF: probe, up, down, reset, remove. */
#include <linux/delay.h>
#include <linux/idr.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/numa.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include "qat_common.h"

#define RESET_MS	100	/* what a function level reset takes at least */

static DEFINE_IDA(ids);
static LIST_HEAD(devices);
static DEFINE_MUTEX(devices_lock);
static struct workqueue_struct *reset_queue;

bool qat_busy(struct qat_device *qat)
{
	return test_bit(0, &qat->restarting) || qat_sim_kernel_users(qat->hardware);
}

/* Shows the files that belong to a device that is up. */
static void show_running(struct qat_device *qat)
{
	if (!qat_generation()->all_attributes)
		return;
	qat_debugfs_add_running(qat);
	qat_sysfs_show_errors(qat, true);
}

static void hide_running(struct qat_device *qat)
{
	qat_debugfs_remove_running(qat);
	qat_sysfs_show_errors(qat, false);
}

int qat_up(struct qat_device *qat)
{
	int err = qat_sim_do(qat->hardware, QAT_SIM_UP);

	if (err) {
		dev_err(&qat->pdev->dev, "Failed to load acceleration FW\n");
		return err;
	}
	qat_heartbeat_start(qat);
	qat->up = true;
	show_running(qat);
	return 0;
}

/* Stops the device and, as the hardware demands, destroys its VFs. */
void qat_stop(struct qat_device *qat)
{
	hide_running(qat);
	qat_telemetry_reset(qat);
	qat_sim_end_load(qat->hardware);
	qat->up = false;
	qat_sriov_disable(qat);
	if (!qat_generation()->keeps_power_setting)
		qat->power_idle = true;
}

int qat_down(struct qat_device *qat)
{
	int err = qat_sim_do(qat->hardware, QAT_SIM_DOWN);

	if (!err)
		qat_stop(qat);
	return err;
}

static void reset_worker(struct work_struct *work)
{
	struct qat_device *qat = container_of(work, struct qat_device, reset_work);
	int err;

	mutex_lock(&qat->state_lock);
	dev_info(&qat->pdev->dev, "Resetting device qat_dev%d\n", qat->id);
	qat->reenable_vfs = qat->vfs_claimed && qat_generation()->reset_restores_vfs;
	qat_stop(qat);
	msleep(RESET_MS);
	qat_sim_was_reset(qat->hardware);
	err = qat_up(qat);
	if (!err)
		qat_sriov_restore(qat);
	mutex_unlock(&qat->state_lock);
	if (err) {
		/* As the real driver: the device stays "restarting" until it is unbound. */
		dev_err(&qat->pdev->dev, "Restart device failed\n");
		return;
	}
	clear_bit(0, &qat->restarting);
}

void qat_schedule_reset(struct qat_device *qat)
{
	if (READ_ONCE(qat->up) && !test_and_set_bit(0, &qat->restarting))
		queue_work(reset_queue, &qat->reset_work);
}

static void on_reset(void *context)
{
	qat_schedule_reset(context);
}

static void on_error(void *context, enum qat_sim_error kind, unsigned int count)
{
	struct qat_device *qat = context;

	if (!READ_ONCE(qat->up))
		return;
	atomic_add(count, &qat->errors[kind]);
	if (kind != QAT_SIM_FATAL)
		return;
	dev_err(&qat->pdev->dev, "Fatal error detected\n");
	if (READ_ONCE(qat->auto_reset))
		qat_schedule_reset(qat);
}

static const struct qat_sim_events events = { .reset = on_reset, .error = on_error };

static struct qat_device *new_device(struct pci_dev *pdev, const struct qat_family *family)
{
	struct qat_device *qat = kzalloc(sizeof(*qat), GFP_KERNEL);

	if (!qat)
		return ERR_PTR(-ENOMEM);
	qat->id = ida_alloc(&ids, GFP_KERNEL);
	if (qat->id < 0) {
		int err = qat->id;

		kfree(qat);
		return ERR_PTR(err);
	}
	qat->pdev = pdev;
	qat->family = family;
	qat->hardware = qat_sim_pf(pdev);
	qat->power_idle = true;
	qat->ring_pair = -1;
	/* Nothing remembers services over a driver unbind: even devices do crypto, odd ones compression. */
	strscpy(qat->services, qat->id % 2 ? "dc" : "sym;asym", sizeof(qat->services));
	mutex_init(&qat->state_lock);
	INIT_WORK(&qat->reset_work, reset_worker);
	qat_heartbeat_init(qat);
	qat_telemetry_init(qat);
	return qat;
}

static void free_device(struct qat_device *qat)
{
	ida_free(&ids, qat->id);
	kfree(qat);
}

int qat_probe(struct pci_dev *pdev, const struct qat_family *family)
{
	struct qat_device *qat;
	int err;

	if (!qat_sim_pf(pdev)) {
		dev_err(&pdev->dev, "not simulated hardware; this driver is for tests only\n");
		return -ENODEV;
	}
	if (num_possible_nodes() > 1 && dev_to_node(&pdev->dev) < 0) {
		dev_err(&pdev->dev, "Invalid NUMA configuration.\n");
		return -EINVAL;
	}
	qat = new_device(pdev, family);
	if (IS_ERR(qat))
		return PTR_ERR(qat);
	pci_set_drvdata(pdev, qat);
	qat_debugfs_add(qat);
	err = pcim_enable_device(pdev);
	if (err)
		goto err_debugfs;
	pci_set_master(pdev);

	mutex_lock(&qat->state_lock);
	err = qat_up(qat);
	mutex_unlock(&qat->state_lock);
	if (err)
		goto err_debugfs;
	err = qat_sysfs_add(qat);
	if (err)
		goto err_stop;

	mutex_lock(&devices_lock);
	list_add_tail(&qat->list, &devices);
	mutex_unlock(&devices_lock);
	qat_sim_attach(qat->hardware, &events, qat);
	return 0;

err_stop:
	mutex_lock(&qat->state_lock);
	qat_stop(qat);
	mutex_unlock(&qat->state_lock);
err_debugfs:
	qat_debugfs_remove(qat);
	free_device(qat);
	return err;
}
EXPORT_SYMBOL_GPL(qat_probe);

void qat_remove(struct pci_dev *pdev)
{
	struct qat_device *qat = pci_get_drvdata(pdev);

	qat_sim_detach(qat->hardware);
	mutex_lock(&devices_lock);
	list_del(&qat->list);
	mutex_unlock(&devices_lock);
	qat_sysfs_remove(qat);

	mutex_lock(&qat->state_lock);
	qat_stop(qat);
	mutex_unlock(&qat->state_lock);
	/* Readers of debugfs may schedule a last reset; after this there are none. */
	qat_debugfs_remove(qat);
	cancel_work_sync(&qat->reset_work);
	free_device(qat);
}
EXPORT_SYMBOL_GPL(qat_remove);

/* Called while a VF is probed: the driver that has made it removes it before it goes itself. */
int qat_migrates(struct pci_dev *pf)
{
	struct qat_device *qat = pf->dev.driver ? pci_get_drvdata(pf) : NULL;

	if (!qat)
		return -ENODEV;
	return qat->family->migrates ? 0 : -EINVAL;
}
EXPORT_SYMBOL_GPL(qat_migrates);

void qat_refresh_all(void)
{
	struct qat_device *qat;

	mutex_lock(&devices_lock);
	list_for_each_entry(qat, &devices, list) {
		qat_sysfs_refresh(qat);
		mutex_lock(&qat->state_lock);
		if (qat->up) {
			hide_running(qat);
			show_running(qat);
		}
		mutex_unlock(&qat->state_lock);
	}
	mutex_unlock(&devices_lock);
}

static int __init intel_qat_init(void)
{
	reset_queue = alloc_workqueue("qat_device_reset_wq", WQ_MEM_RECLAIM, 0);
	return reset_queue ? 0 : -ENOMEM;
}

static void __exit intel_qat_exit(void)
{
	destroy_workqueue(reset_queue);
}

module_init(intel_qat_init);
module_exit(intel_qat_exit);
MODULE_DESCRIPTION("Common part of the drivers for simulated QAT devices");
MODULE_LICENSE("GPL");
