// SPDX-FileCopyrightText: 2026 accel.qat contributors
// SPDX-License-Identifier: GPL-2.0-or-later
/* The sysfs groups qat/ and qat_ras/ of a PF. */
#include <linux/kernel.h>
#include <linux/pci.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include "qat_common.h"

static struct qat_device *to_qat(struct device *dev)
{
	return pci_get_drvdata(to_pci_dev(dev));
}

/* qat/state */

static ssize_t state_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%s\n", READ_ONCE(to_qat(dev)->up) ? "up" : "down");
}

static int state_down(struct qat_device *qat)
{
	int err;

	dev_info(&qat->pdev->dev, "Stopping device qat_dev%d\n", qat->id);
	if (!qat->up) {
		dev_info(&qat->pdev->dev, "Device qat_dev%d already down\n", qat->id);
		return qat_generation()->down_twice_succeeds ? 0 : -EINVAL;
	}
	err = qat_down(qat);
	/* Kernels that refuse a second "down" also hide every other reason. */
	return err && !qat_generation()->down_twice_succeeds ? -EINVAL : err;
}

static int state_up(struct qat_device *qat)
{
	int err;

	dev_info(&qat->pdev->dev, "Starting device qat_dev%d\n", qat->id);
	if (qat->up) {
		dev_info(&qat->pdev->dev, "Device qat_dev%d already up\n", qat->id);
		return 0;
	}
	err = qat_up(qat);
	if (err) {
		dev_err(&qat->pdev->dev, "Failed to start device qat_dev%d\n", qat->id);
		qat_stop(qat);
	}
	return err;
}

static ssize_t state_store(struct device *dev, struct device_attribute *attr, const char *buf, size_t count)
{
	static const char * const words[] = { "down", "up" };
	struct qat_device *qat = to_qat(dev);
	int word, err;

	/* In this order: whoever writes nonsense to a busy device learns that it is busy. */
	if (qat_busy(qat)) {
		dev_info(dev, "Device qat_dev%d is busy\n", qat->id);
		return -EBUSY;
	}
	word = sysfs_match_string(words, buf);
	if (word < 0)
		return word;
	mutex_lock(&qat->state_lock);
	err = word ? state_up(qat) : state_down(qat);
	mutex_unlock(&qat->state_lock);
	return err ?: count;
}
static DEVICE_ATTR_RW(state);

/* qat/cfg_services */

static ssize_t cfg_services_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct qat_device *qat = to_qat(dev);
	ssize_t length;

	mutex_lock(&qat->state_lock);
	length = sysfs_emit(buf, "%s\n", qat->services);
	mutex_unlock(&qat->state_lock);
	return length;
}

static int set_services(struct qat_device *qat, const char *services)
{
	int err;

	if (qat->up) {
		dev_info(&qat->pdev->dev, "Device qat_dev%d must be down to reconfigure the service.\n", qat->id);
		return -EINVAL;
	}
	err = qat_sim_do(qat->hardware, QAT_SIM_SERVICES);
	if (err)
		return err;
	strscpy(qat->services, services, sizeof(qat->services));
	/* Too late: the value is stored by now. */
	return qat_sim_without_capabilities(qat->hardware) ? -EINVAL : 0;
}

static ssize_t cfg_services_store(struct device *dev, struct device_attribute *attr, const char *buf, size_t count)
{
	struct qat_device *qat = to_qat(dev);
	char services[QAT_SERVICES_SIZE];
	int err;

	err = qat_parse_services(buf, services);
	if (err)
		return err;
	mutex_lock(&qat->state_lock);
	err = set_services(qat, services);
	mutex_unlock(&qat->state_lock);
	return err ?: count;
}
static DEVICE_ATTR_RW(cfg_services);

/* qat/pm_idle_enabled */

static ssize_t pm_idle_enabled_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%d\n", READ_ONCE(to_qat(dev)->power_idle));
}

static ssize_t pm_idle_enabled_store(struct device *dev, struct device_attribute *attr, const char *buf, size_t count)
{
	struct qat_device *qat = to_qat(dev);
	bool enabled;
	int err;

	err = kstrtobool(buf, &enabled);
	if (err)
		return err;
	mutex_lock(&qat->state_lock);
	if (qat->up) {
		dev_info(dev, "Device qat_dev%d must be down to set pm_idle_enabled.\n", qat->id);
		err = -EINVAL;
	} else {
		WRITE_ONCE(qat->power_idle, enabled);
	}
	mutex_unlock(&qat->state_lock);
	return err ?: count;
}
static DEVICE_ATTR_RW(pm_idle_enabled);

/* qat/auto_reset */

static ssize_t auto_reset_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%s\n", READ_ONCE(to_qat(dev)->auto_reset) ? "on" : "off");
}

static ssize_t auto_reset_store(struct device *dev, struct device_attribute *attr, const char *buf, size_t count)
{
	bool enabled;
	int err;

	err = kstrtobool(buf, &enabled);
	if (err)
		return err;
	WRITE_ONCE(to_qat(dev)->auto_reset, enabled);
	return count;
}
static DEVICE_ATTR_RW(auto_reset);

/* qat/rp2srv and qat/num_rps: one chosen ring pair for all readers, as in the real driver */

static ssize_t rp2srv_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct qat_device *qat = to_qat(dev);
	ssize_t length = -EINVAL;

	mutex_lock(&qat->state_lock);
	if (qat->ring_pair >= 0)
		length = sysfs_emit(buf, "%s\n", qat_ring_pair_service(qat->services, qat->ring_pair %
								       qat->family->ring_pairs_per_vf));
	mutex_unlock(&qat->state_lock);
	return length;
}

static ssize_t rp2srv_store(struct device *dev, struct device_attribute *attr, const char *buf, size_t count)
{
	struct qat_device *qat = to_qat(dev);
	unsigned int ring_pair;
	int err;

	err = kstrtouint(buf, 10, &ring_pair);
	if (err)
		return err;
	if (ring_pair >= qat->family->ring_pairs) {
		dev_err(dev, "Device does not support more than %u ring pairs\n", qat->family->ring_pairs);
		return -EINVAL;
	}
	mutex_lock(&qat->state_lock);
	qat->ring_pair = ring_pair;
	mutex_unlock(&qat->state_lock);
	return count;
}
static DEVICE_ATTR_RW(rp2srv);

static ssize_t num_rps_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", to_qat(dev)->family->ring_pairs);
}
static DEVICE_ATTR_RO(num_rps);

static struct attribute *qat_attributes[] = {
	&dev_attr_state.attr,
	&dev_attr_cfg_services.attr,
	&dev_attr_pm_idle_enabled.attr,
	&dev_attr_rp2srv.attr,
	&dev_attr_num_rps.attr,
	&dev_attr_auto_reset.attr,
	NULL,
};

static umode_t qat_visible(struct kobject *kobj, struct attribute *attr, int index)
{
	bool first = attr == &dev_attr_state.attr || attr == &dev_attr_cfg_services.attr;

	return first || qat_generation()->all_attributes ? attr->mode : 0;
}

static const struct attribute_group qat_group = {
	.name = "qat",
	.attrs = qat_attributes,
	.is_visible = qat_visible,
};

/* qat_ras */

static ssize_t show_errors(struct device *dev, enum qat_sim_error kind, char *buf)
{
	return sysfs_emit(buf, "%d\n", atomic_read(&to_qat(dev)->errors[kind]));
}

static ssize_t errors_correctable_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return show_errors(dev, QAT_SIM_CORRECTABLE, buf);
}
static DEVICE_ATTR_RO(errors_correctable);

static ssize_t errors_nonfatal_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return show_errors(dev, QAT_SIM_NONFATAL, buf);
}
static DEVICE_ATTR_RO(errors_nonfatal);

static ssize_t errors_fatal_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return show_errors(dev, QAT_SIM_FATAL, buf);
}
static DEVICE_ATTR_RO(errors_fatal);

static void clear_errors(struct qat_device *qat)
{
	int kind;

	for (kind = 0; kind < QAT_SIM_ERRORS; kind++)
		atomic_set(&qat->errors[kind], 0);
}

/* Takes "1" and a newline, nothing else. */
static ssize_t reset_error_counters_store(struct device *dev, struct device_attribute *attr, const char *buf,
					  size_t count)
{
	if (buf[0] != '1' || count != 2)
		return -EINVAL;
	clear_errors(to_qat(dev));
	return count;
}
static DEVICE_ATTR_WO(reset_error_counters);

static struct attribute *ras_attributes[] = {
	&dev_attr_errors_correctable.attr,
	&dev_attr_errors_nonfatal.attr,
	&dev_attr_errors_fatal.attr,
	&dev_attr_reset_error_counters.attr,
	NULL,
};

static const struct attribute_group ras_group = {
	.name = "qat_ras",
	.attrs = ras_attributes,
};

/* The counters exist while the device is up, and start from zero each time. */
void qat_sysfs_show_errors(struct qat_device *qat, bool show)
{
	if (!qat->family->configurable || show == qat->errors_shown)
		return;
	clear_errors(qat);
	qat->errors_shown = show;
	if (show && device_add_group(&qat->pdev->dev, &ras_group))
		dev_err(&qat->pdev->dev, "Failed to create qat_ras attribute group.\n");
	else if (!show)
		device_remove_group(&qat->pdev->dev, &ras_group);
}

int qat_sysfs_add(struct qat_device *qat)
{
	return qat->family->configurable ? device_add_group(&qat->pdev->dev, &qat_group) : 0;
}

void qat_sysfs_remove(struct qat_device *qat)
{
	if (qat->family->configurable)
		device_remove_group(&qat->pdev->dev, &qat_group);
}

void qat_sysfs_refresh(struct qat_device *qat)
{
	if (qat->family->configurable && sysfs_update_group(&qat->pdev->dev.kobj, &qat_group))
		dev_err(&qat->pdev->dev, "Failed to update qat attribute group\n");
}
