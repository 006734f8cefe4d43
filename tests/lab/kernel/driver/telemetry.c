// SPDX-FileCopyrightText: 2026 accel.qat contributors
// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * debugfs telemetry/ from gen 4 on: one sample a second while it is on, of the
 * load that was set for the simulated device.
 */
#include <linux/debugfs.h>
#include <linux/kernel.h>
#include <linux/limits.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>
#include "qat_common.h"
#include "show_write.h"

#define SAMPLE_INTERVAL		HZ
#define EXECUTIONS_A_PERCENT	10	/* of a busy slice, in a sample */

static const char * const device_counters[QAT_TELEMETRY_COUNTERS] = {
	"pci_trans_cnt", "max_rd_lat", "rd_lat_acc_avg", "max_gp_lat", "gp_lat_acc_avg", "bw_in", "bw_out",
	"at_page_req_lat_avg", "at_trans_lat_avg", "at_max_tlb_used",
};

static const char * const ring_pair_counters[QAT_TELEMETRY_RING_PAIR_COUNTERS] = {
	"pci_trans_cnt", "gp_lat_acc_avg", "bw_in", "bw_out", "at_glob_devtlb_hit", "at_glob_devtlb_miss",
	"tl_at_payld_devtlb_hit", "tl_at_payld_devtlb_miss",
};

/* Taking samples. */

static void fill(struct qat_device *qat, struct qat_sample *sample)
{
	const struct qat_slices *slices = qat->family->slices;
	int i, slot, ring_pair;

	memset(sample, 0, sizeof(*sample));
	for (i = 0; i < QAT_TELEMETRY_COUNTERS; i++)
		sample->device[i] = qat_sim_load(qat->hardware, -1, device_counters[i]);
	for (i = 0; i < QAT_TELEMETRY_ENGINES && slices[i].engine; i++)
		sample->engine[i] = qat_sim_load(qat->hardware, -1, slices[i].engine);
	for (slot = 0; slot < QAT_TELEMETRY_SLOTS; slot++) {
		ring_pair = qat->telemetry.ring_pair[slot];
		if (ring_pair < 0)
			continue;
		for (i = 0; i < QAT_TELEMETRY_RING_PAIR_COUNTERS; i++)
			sample->slot[slot][i] = qat_sim_load(qat->hardware, ring_pair, ring_pair_counters[i]);
	}
}

static void take_sample(struct work_struct *work)
{
	struct qat_telemetry *telemetry = container_of(to_delayed_work(work), struct qat_telemetry, sampling);
	struct qat_device *qat = container_of(telemetry, struct qat_device, telemetry);

	mutex_lock(&telemetry->lock);
	telemetry->newest = (telemetry->newest + 1) % QAT_TELEMETRY_HISTORY;
	fill(qat, &telemetry->history[telemetry->newest]);
	telemetry->shown = ++telemetry->taken;
	mutex_unlock(&telemetry->lock);
	schedule_delayed_work(&telemetry->sampling, SAMPLE_INTERVAL);
}

/* What was sampled so far stays to be seen until there is a new sample; callers hold the write_lock. */
static void stop_sampling(struct qat_telemetry *telemetry)
{
	cancel_delayed_work_sync(&telemetry->sampling);
	mutex_lock(&telemetry->lock);
	telemetry->samples = 0;
	telemetry->taken = 0;
	mutex_unlock(&telemetry->lock);
}

static void start_sampling(struct qat_telemetry *telemetry, unsigned int samples)
{
	mutex_lock(&telemetry->lock);
	telemetry->samples = samples;
	mutex_unlock(&telemetry->lock);
	schedule_delayed_work(&telemetry->sampling, SAMPLE_INTERVAL);
}

static void forget(struct qat_telemetry *telemetry)
{
	int slot;

	telemetry->shown = 0;
	memset(telemetry->history, 0, sizeof(telemetry->history));
	for (slot = 0; slot < QAT_TELEMETRY_SLOTS; slot++)
		telemetry->ring_pair[slot] = -1;
}

void qat_telemetry_init(struct qat_device *qat)
{
	mutex_init(&qat->telemetry.write_lock);
	mutex_init(&qat->telemetry.lock);
	INIT_DELAYED_WORK(&qat->telemetry.sampling, take_sample);
	forget(&qat->telemetry);
}

void qat_telemetry_reset(struct qat_device *qat)
{
	struct qat_telemetry *telemetry = &qat->telemetry;

	mutex_lock(&telemetry->write_lock);
	stop_sampling(telemetry);
	mutex_lock(&telemetry->lock);
	forget(telemetry);
	mutex_unlock(&telemetry->lock);
	mutex_unlock(&telemetry->write_lock);
}

/* Showing them; callers hold the lock. */

/*
 * The last value of a counter; and the least, the greatest and the average of
 * the last few where there is more than one sample to average. @counter is where
 * it is in the first sample of the history.
 */
static void print_counter(struct seq_file *seq, struct qat_telemetry *telemetry, const char *name,
			  const u32 *counter, u32 factor)
{
	unsigned int i, count = min3(telemetry->shown, telemetry->samples, (unsigned int)QAT_TELEMETRY_HISTORY);
	u64 value, last = 0, least = U64_MAX, greatest = 0, sum = 0;

	for (i = 0; i < count; i++) {
		unsigned int sample = (telemetry->newest + QAT_TELEMETRY_HISTORY - i) % QAT_TELEMETRY_HISTORY;

		value = (u64)counter[sample * (sizeof(struct qat_sample) / sizeof(u32))] * factor;
		last = i ? last : value;
		least = min(least, value);
		greatest = max(greatest, value);
		sum += value;
	}
	seq_printf(seq, "%-23s%20llu", name, last);
	if (telemetry->samples > 1)
		seq_printf(seq, "%20llu%20llu%20llu", count ? least : 0, greatest, count ? div_u64(sum, count) : 0);
	seq_puts(seq, "\n");
}

static void print_count(struct seq_file *seq, struct qat_telemetry *telemetry)
{
	seq_printf(seq, "%-23s%20u\n", "sample_cnt", telemetry->shown);
}

static void print_slices(struct seq_file *seq, struct qat_telemetry *telemetry, const struct qat_slices *slices,
			 const u32 *counter)
{
	char name[32];
	unsigned int i;

	for (i = 0; i < slices->count; i++) {
		snprintf(name, sizeof(name), "util_%s%u", slices->engine, i);
		print_counter(seq, telemetry, name, counter, 1);
		snprintf(name, sizeof(name), "exec_%s%u", slices->engine, i);
		print_counter(seq, telemetry, name, counter, EXECUTIONS_A_PERCENT);
	}
}

static int device_data_show(struct seq_file *seq, void *unused)
{
	struct qat_device *qat = seq->private;
	struct qat_telemetry *telemetry = &qat->telemetry;
	const struct qat_slices *slices = qat->family->slices;
	int i, err = 0;

	mutex_lock(&telemetry->lock);
	if (!telemetry->samples) {
		err = -EPERM;
		goto unlock;
	}
	print_count(seq, telemetry);
	for (i = 0; i < QAT_TELEMETRY_COUNTERS; i++)
		print_counter(seq, telemetry, device_counters[i], &telemetry->history[0].device[i], 1);
	for (i = 0; i < QAT_TELEMETRY_ENGINES && slices[i].engine; i++)
		print_slices(seq, telemetry, &slices[i], &telemetry->history[0].engine[i]);
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
	struct qat_telemetry *telemetry = &qat->telemetry;
	unsigned int samples;
	int err;

	err = kstrtouint_from_user(from, count, 10, &samples);
	if (err)
		return err;
	if (samples > QAT_TELEMETRY_HISTORY)
		return -EINVAL;
	mutex_lock(&telemetry->write_lock);
	stop_sampling(telemetry);
	if (samples)
		start_sampling(telemetry, samples);
	mutex_unlock(&telemetry->write_lock);
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
	int i, slot = slot_of(seq->file), ring_pair, err = 0;

	mutex_lock(&telemetry->lock);
	ring_pair = telemetry->ring_pair[slot];
	if (!telemetry->samples || ring_pair < 0) {
		err = -EPERM;
		goto unlock;
	}
	print_count(seq, telemetry);
	seq_printf(seq, "%-23s%20d\n", "rp_num", ring_pair);
	seq_printf(seq, "%-23s%20s\n", "service_type",
		   qat_ring_pair_service(qat->services, ring_pair % qat->family->ring_pairs_per_vf));
	for (i = 0; i < QAT_TELEMETRY_RING_PAIR_COUNTERS; i++)
		print_counter(seq, telemetry, ring_pair_counters[i], &telemetry->history[0].slot[slot][i], 1);
unlock:
	mutex_unlock(&telemetry->lock);
	return err;
}

/* Telemetry that is on starts over; callers hold the write_lock. */
static void choose(struct qat_telemetry *telemetry, int slot, unsigned int ring_pair)
{
	unsigned int samples = telemetry->samples;

	if (samples)
		stop_sampling(telemetry);
	mutex_lock(&telemetry->lock);
	telemetry->ring_pair[slot] = ring_pair;
	mutex_unlock(&telemetry->lock);
	if (samples)
		start_sampling(telemetry, samples);
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
	mutex_lock(&telemetry->write_lock);
	for (slot = 0; slot < QAT_TELEMETRY_SLOTS; slot++)
		if (telemetry->ring_pair[slot] == ring_pair)
			goto unlock;	/* watched in another slot: no error, and no change */
	choose(telemetry, slot_of(file), ring_pair);
unlock:
	mutex_unlock(&telemetry->write_lock);
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
