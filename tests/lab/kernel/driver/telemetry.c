// SPDX-FileCopyrightText: 2026 accel.qat contributors
// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * debugfs telemetry/ of gen 4: one snapshot a second while it is on. The idle
 * simulated device has nothing to report but the number of snapshots.
 */
#include <linux/debugfs.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>
#include "qat_common.h"
#include "show_write.h"

#define MOST_SAMPLES	4

static const char * const device_counters[] = {
	"pci_trans_cnt", "max_rd_lat", "rd_lat_acc_avg", "max_gp_lat", "gp_lat_acc_avg", "bw_in", "bw_out",
	"at_page_req_lat_avg", "at_trans_lat_avg", "at_max_tlb_used",
};

static const char * const ring_pair_counters[] = {
	"pci_trans_cnt", "gp_lat_acc_avg", "bw_in", "bw_out", "at_glob_devtlb_hit", "at_glob_devtlb_miss",
	"tl_at_payld_devtlb_hit", "tl_at_payld_devtlb_miss",
};

void qat_telemetry_init(struct qat_device *qat)
{
	mutex_init(&qat->telemetry.lock);
	qat_telemetry_reset(qat);
}

void qat_telemetry_reset(struct qat_device *qat)
{
	int slot;

	mutex_lock(&qat->telemetry.lock);
	qat->telemetry.samples = 0;
	for (slot = 0; slot < QAT_TELEMETRY_SLOTS; slot++)
		qat->telemetry.ring_pair[slot] = -1;
	mutex_unlock(&qat->telemetry.lock);
}

/* With more than one sample, a line also has the least, the greatest and the average of them. */
static void print_counter(struct seq_file *seq, struct qat_telemetry *telemetry, const char *name, u64 value)
{
	seq_printf(seq, "%-23s%20llu", name, value);
	if (telemetry->samples > 1)
		seq_printf(seq, "%20llu%20llu%20llu", value, value, value);
	seq_puts(seq, "\n");
}

static void print_snapshots(struct seq_file *seq, struct qat_telemetry *telemetry)
{
	seq_printf(seq, "%-23s%20lld\n", "snapshot_cnt", ktime_ms_delta(ktime_get(), telemetry->begin) / MSEC_PER_SEC);
}

static int device_data_show(struct seq_file *seq, void *unused)
{
	struct qat_telemetry *telemetry = &((struct qat_device *)seq->private)->telemetry;
	int err = 0;
	size_t i;

	mutex_lock(&telemetry->lock);
	if (!telemetry->samples) {
		err = -EPERM;
		goto unlock;
	}
	print_snapshots(seq, telemetry);
	for (i = 0; i < ARRAY_SIZE(device_counters); i++)
		print_counter(seq, telemetry, device_counters[i], 0);
unlock:
	mutex_unlock(&telemetry->lock);
	return err;
}
DEFINE_SHOW_ATTRIBUTE(device_data);

static int control_show(struct seq_file *seq, void *unused)
{
	struct qat_device *qat = seq->private;

	seq_printf(seq, "%u\n", READ_ONCE(qat->telemetry.samples));
	return 0;
}

static ssize_t control_write(struct file *file, const char __user *from, size_t count, loff_t *pos)
{
	struct qat_device *qat = ((struct seq_file *)file->private_data)->private;
	unsigned int samples;
	int err;

	err = kstrtouint_from_user(from, count, 10, &samples);
	if (err)
		return err;
	if (samples > MOST_SAMPLES)
		return -EINVAL;
	mutex_lock(&qat->telemetry.lock);
	qat->telemetry.samples = samples;
	qat->telemetry.begin = ktime_get();
	mutex_unlock(&qat->telemetry.lock);
	return count;
}
DEFINE_SHOW_WRITE_ATTRIBUTE(control);

/* rp_A_data is slot 0, and so on. */
static int slot_of(const struct file *file)
{
	return file->f_path.dentry->d_name.name[strlen("rp_")] - 'A';
}

static int ring_pair_show(struct seq_file *seq, void *unused)
{
	struct qat_device *qat = seq->private;
	struct qat_telemetry *telemetry = &qat->telemetry;
	int ring_pair, err = 0;
	size_t i;

	mutex_lock(&telemetry->lock);
	ring_pair = telemetry->ring_pair[slot_of(seq->file)];
	if (!telemetry->samples || ring_pair < 0) {
		err = -EPERM;
		goto unlock;
	}
	print_snapshots(seq, telemetry);
	seq_printf(seq, "%-23s%20d\n", "rp_num", ring_pair);
	seq_printf(seq, "%-23s%20s\n", "service_type",
		   qat_ring_pair_service(qat->services, ring_pair % qat->family->ring_pairs_per_vf));
	for (i = 0; i < ARRAY_SIZE(ring_pair_counters); i++)
		print_counter(seq, telemetry, ring_pair_counters[i], 0);
unlock:
	mutex_unlock(&telemetry->lock);
	return err;
}

static ssize_t ring_pair_write(struct file *file, const char __user *from, size_t count, loff_t *pos)
{
	struct qat_device *qat = ((struct seq_file *)file->private_data)->private;
	struct qat_telemetry *telemetry = &qat->telemetry;
	unsigned int ring_pair;
	int slot, err;

	err = kstrtouint_from_user(from, count, 10, &ring_pair);
	if (err)
		return err;
	if (ring_pair >= qat->family->ring_pairs)
		return -EINVAL;
	mutex_lock(&telemetry->lock);
	for (slot = 0; slot < QAT_TELEMETRY_SLOTS; slot++)
		if (telemetry->ring_pair[slot] == ring_pair)
			goto unlock;	/* watched in another slot: no error, and no change */
	telemetry->ring_pair[slot_of(file)] = ring_pair;
unlock:
	mutex_unlock(&telemetry->lock);
	return count;
}
DEFINE_SHOW_WRITE_ATTRIBUTE(ring_pair);

void qat_telemetry_add(struct qat_device *qat)
{
	struct dentry *dir;
	char name[] = "rp_A_data";
	int slot;

	if (!qat->family->configurable)
		return;
	dir = debugfs_create_dir("telemetry", qat->debugfs);
	debugfs_create_file("device_data", 0444, dir, qat, &device_data_fops);
	debugfs_create_file("control", 0644, dir, qat, &control_fops);
	for (slot = 0; slot < QAT_TELEMETRY_SLOTS; slot++) {
		name[strlen("rp_")] = 'A' + slot;
		debugfs_create_file(name, 0644, dir, qat, &ring_pair_fops);
	}
}
