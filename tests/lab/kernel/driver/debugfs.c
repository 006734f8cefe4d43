// SPDX-FileCopyrightText: 2026 accel.qat contributors
// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * /sys/kernel/debug/qat_<driver>_<address>/. Values end in a newline and a NUL
 * byte, as those of the real driver do.
 */
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>
#include "qat_common.h"

#define HEARTBEAT_DEFAULT_MS	500
#define HEARTBEAT_SHORTEST_MS	200
#define HEARTBEAT_UNANSWERED	3	/* queries in a row before the device counts as hung */
#define FATAL_INTERVAL_MS	5000	/* a hung device raises at most one fatal error per interval */

/* Wall clock, as in the real driver: it notices a clock that is set back. */
static u64 now_ms(void)
{
	return ktime_to_ms(ktime_get_real());
}

void qat_heartbeat_init(struct qat_device *qat)
{
	mutex_init(&qat->heartbeat.lock);
	qat->heartbeat.interval = HEARTBEAT_DEFAULT_MS;
}

/* All counters start again; only the interval is remembered. */
void qat_heartbeat_start(struct qat_device *qat)
{
	struct qat_heartbeat *heartbeat = &qat->heartbeat;

	mutex_lock(&heartbeat->lock);
	if (qat->family->fixed_heartbeat)
		heartbeat->interval = HEARTBEAT_SHORTEST_MS;
	heartbeat->last_query = 0;
	heartbeat->last_fatal = 0;
	heartbeat->unanswered = 0;
	heartbeat->sent = 0;
	heartbeat->failed = 0;
	mutex_unlock(&heartbeat->lock);
}

static void report_hang(struct qat_device *qat, u64 now)
{
	struct qat_heartbeat *heartbeat = &qat->heartbeat;

	dev_err(&qat->pdev->dev, "Heartbeat ERROR: QAT is not responding.\n");
	heartbeat->failed++;
	if (now - heartbeat->last_fatal < FATAL_INTERVAL_MS)
		return;
	heartbeat->last_fatal = now;
	if (READ_ONCE(qat->auto_reset))
		qat_schedule_reset(qat);
}

/* Each read of the status is a query; a second one within the interval counts as failed. */
static int query(struct qat_device *qat)
{
	struct qat_heartbeat *heartbeat = &qat->heartbeat;
	u64 now = now_ms();

	if (now - heartbeat->last_query < heartbeat->interval) {
		dev_warn(&qat->pdev->dev, "HB polling too frequent. Configured HB timer %u ms\n", heartbeat->interval);
		return -1;
	}
	heartbeat->last_query = now;
	heartbeat->sent++;
	if (qat_sim_heartbeat(qat->hardware)) {
		heartbeat->unanswered = 0;
		return 0;
	}
	if (++heartbeat->unanswered < HEARTBEAT_UNANSWERED)
		return 0;
	report_hang(qat, now);
	return -1;
}

static ssize_t read_number(char __user *to, size_t count, loff_t *pos, long long value)
{
	char text[24];
	int length = scnprintf(text, sizeof(text), "%lld\n", value);

	if (*pos > 0)
		return 0;
	return simple_read_from_buffer(to, count, pos, text, length + 1);
}

static ssize_t status_read(struct file *file, char __user *to, size_t count, loff_t *pos)
{
	struct qat_device *qat = file->private_data;
	int status = -1;

	if (*pos > 0)
		return 0;
	mutex_lock(&qat->heartbeat.lock);
	if (READ_ONCE(qat->up) && !test_bit(0, &qat->restarting))
		status = query(qat);
	mutex_unlock(&qat->heartbeat.lock);
	return read_number(to, count, pos, status);
}

static const struct file_operations status_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.read = status_read,
};

static ssize_t counter_read(struct file *file, char __user *to, size_t count, loff_t *pos)
{
	return read_number(to, count, pos, READ_ONCE(*(u32 *)file->private_data));
}

static const struct file_operations counter_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.read = counter_read,
};

static ssize_t config_read(struct file *file, char __user *to, size_t count, loff_t *pos)
{
	struct qat_device *qat = file->private_data;

	return read_number(to, count, pos, READ_ONCE(qat->heartbeat.interval));
}

static ssize_t config_write(struct file *file, const char __user *from, size_t count, loff_t *pos)
{
	struct qat_device *qat = file->private_data;
	unsigned int interval;
	int err;

	err = kstrtouint_from_user(from, count, 10, &interval);
	if (!err && interval < HEARTBEAT_SHORTEST_MS)
		err = -EINVAL;
	if (err) {
		dev_err(&qat->pdev->dev, "heartbeat_cfg: Invalid value\n");
		return err;
	}
	mutex_lock(&qat->heartbeat.lock);
	qat->heartbeat.interval = qat->family->fixed_heartbeat ? HEARTBEAT_SHORTEST_MS : interval;
	mutex_unlock(&qat->heartbeat.lock);
	return count;
}

static const struct file_operations config_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.read = config_read,
	.write = config_write,
};

static int dev_cfg_show(struct seq_file *seq, void *unused)
{
	struct qat_device *qat = seq->private;

	mutex_lock(&qat->state_lock);
	seq_puts(seq, "[GENERAL]\n");
	if (qat->family->configurable)
		seq_printf(seq, "ServicesEnabled = %s\n", qat->services);
	seq_puts(seq, "[KERNEL]\n");
	seq_puts(seq, "NumberCyInstances = 0\n");
	mutex_unlock(&qat->state_lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(dev_cfg);

static int fw_counters_show(struct seq_file *seq, void *unused)
{
	struct qat_device *qat = seq->private;

	seq_printf(seq, "AE  %16s %16s\n", "Requests", "Responses");
	seq_printf(seq, "%2d: %16u %16u\n", 0, qat->heartbeat.sent, qat->heartbeat.sent - qat->heartbeat.failed);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(fw_counters);

static const char * const running[] = { "fw_counters", "heartbeat", "telemetry" };

static void add_heartbeat(struct qat_device *qat)
{
	struct dentry *dir;

	if (qat->family->heartbeat_file) {
		debugfs_create_file("heartbeat", 0400, qat->debugfs, qat, &status_fops);
		return;
	}
	dir = debugfs_create_dir("heartbeat", qat->debugfs);
	debugfs_create_file("status", 0400, dir, qat, &status_fops);
	debugfs_create_file("queries_sent", 0400, dir, &qat->heartbeat.sent, &counter_fops);
	debugfs_create_file("queries_failed", 0400, dir, &qat->heartbeat.failed, &counter_fops);
	debugfs_create_file("config", 0600, dir, qat, &config_fops);
}

void qat_debugfs_add_running(struct qat_device *qat)
{
	debugfs_create_file("fw_counters", 0400, qat->debugfs, qat, &fw_counters_fops);
	add_heartbeat(qat);
	qat_telemetry_add(qat);
	qat->debugfs_running = true;
}

void qat_debugfs_remove_running(struct qat_device *qat)
{
	size_t i;

	if (!qat->debugfs_running)
		return;
	for (i = 0; i < ARRAY_SIZE(running); i++)
		debugfs_lookup_and_remove(running[i], qat->debugfs);
	qat->debugfs_running = false;
}

void qat_debugfs_add(struct qat_device *qat)
{
	char name[48];

	snprintf(name, sizeof(name), "qat_%s_%s", qat->family->name, pci_name(qat->pdev));
	qat->debugfs = debugfs_create_dir(name, NULL);
	debugfs_create_file("dev_cfg", 0400, qat->debugfs, qat, &dev_cfg_fops);
}

void qat_debugfs_remove(struct qat_device *qat)
{
	debugfs_remove(qat->debugfs);
}
