// SPDX-FileCopyrightText: 2026 accel.qat contributors
// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the simulated hardware has to do, which telemetry shows: set at run time
 * through /sys/kernel/debug/qat_sim/<PF address>/load, until the PF goes down.
 *
 * Any number of settings, each on a line of its own or behind a comma or semicolon:
 *   ENGINE PERCENT        "pke 37": how busy all slices of an engine are
 *   COUNTER VALUE         "bw_in 400": a counter of the device, in its unit
 *   rp N COUNTER VALUE    "rp 5 bw_in 400": a counter of a ring pair
 */
#include <linux/debugfs.h>
#include <linux/kernel.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include "hardware.h"
#include "show_write.h"

#define LONGEST_TEXT	2048
#define RING_PAIRS	64
#define NAME_SIZE	24

/* Those of gen 4, and cnv and dcprz of gen 6. */
static const char * const engines[] = {
	"cpr", "xlt", "dcpr", "pke", "wat", "wcp", "ucs", "cph", "ath", "cnv", "dcprz",
};

static const char * const device_counters[] = {
	"pci_trans_cnt", "max_rd_lat", "rd_lat_acc_avg", "max_gp_lat", "gp_lat_acc_avg", "bw_in", "bw_out",
	"at_page_req_lat_avg", "at_trans_lat_avg", "at_max_tlb_used",
};

static const char * const ring_pair_counters[] = {
	"pci_trans_cnt", "gp_lat_acc_avg", "bw_in", "bw_out", "at_glob_devtlb_hit", "at_glob_devtlb_miss",
	"tl_at_payld_devtlb_hit", "tl_at_payld_devtlb_miss",
};

/* @ring_pair: negative for the whole device */
struct setting {
	struct list_head list;
	int ring_pair;
	char name[NAME_SIZE];
	unsigned int value;
};

static struct setting *find(struct qat_sim_pf *pf, int ring_pair, const char *name)
{
	struct setting *setting;

	list_for_each_entry(setting, &pf->load, list)
		if (setting->ring_pair == ring_pair && !strcmp(setting->name, name))
			return setting;
	return NULL;
}

unsigned int qat_sim_load(struct qat_sim_pf *pf, int ring_pair, const char *name)
{
	struct setting *setting;
	unsigned int value;

	mutex_lock(&pf->load_lock);
	setting = find(pf, ring_pair, name);
	value = setting ? setting->value : 0;
	mutex_unlock(&pf->load_lock);
	return value;
}
EXPORT_SYMBOL_GPL(qat_sim_load);

void qat_sim_end_load(struct qat_sim_pf *pf)
{
	struct setting *setting, *next;

	mutex_lock(&pf->load_lock);
	list_for_each_entry_safe(setting, next, &pf->load, list) {
		list_del(&setting->list);
		kfree(setting);
	}
	mutex_unlock(&pf->load_lock);
}
EXPORT_SYMBOL_GPL(qat_sim_end_load);

static bool is_one_of(const char * const names[], size_t count, const char *name)
{
	return match_string(names, count, name) >= 0;
}

static int check(const struct setting *setting)
{
	const char *name = setting->name;

	if (setting->ring_pair >= RING_PAIRS)
		return -EINVAL;
	if (setting->ring_pair >= 0)
		return is_one_of(ring_pair_counters, ARRAY_SIZE(ring_pair_counters), name) ? 0 : -EINVAL;
	if (is_one_of(engines, ARRAY_SIZE(engines), name))
		return setting->value <= 100 ? 0 : -EINVAL;
	return is_one_of(device_counters, ARRAY_SIZE(device_counters), name) ? 0 : -EINVAL;
}

static int parse(const char *text, struct setting *setting)
{
	int end = 0;

	setting->ring_pair = -1;
	if (sscanf(text, "rp %d %23s %u%n", &setting->ring_pair, setting->name, &setting->value, &end) == 3)
		return !text[end] && setting->ring_pair >= 0 ? check(setting) : -EINVAL;
	setting->ring_pair = -1;
	if (sscanf(text, "%23s %u%n", setting->name, &setting->value, &end) == 2)
		return !text[end] ? check(setting) : -EINVAL;
	return -EINVAL;
}

static int set(struct qat_sim_pf *pf, const struct setting *wanted)
{
	struct setting *setting = find(pf, wanted->ring_pair, wanted->name);

	if (setting) {
		setting->value = wanted->value;
		return 0;
	}
	setting = kmemdup(wanted, sizeof(*wanted), GFP_KERNEL);
	if (!setting)
		return -ENOMEM;
	list_add_tail(&setting->list, &pf->load);
	return 0;
}

/* Each setting of @text in turn, with @apply; without, whether all of them are sound. @text is taken apart. */
static int settings(struct qat_sim_pf *pf, char *text, bool apply)
{
	struct setting setting;
	char *one;
	int err;

	while ((one = strsep(&text, ",;\n"))) {
		one = strim(one);
		if (!*one)
			continue;
		err = parse(one, &setting);
		if (!err && apply)
			err = set(pf, &setting);
		if (err)
			return err;
	}
	return 0;
}

static int load_show(struct seq_file *seq, void *unused)
{
	struct qat_sim_pf *pf = seq->private;
	struct setting *setting;

	mutex_lock(&pf->load_lock);
	list_for_each_entry(setting, &pf->load, list) {
		if (setting->ring_pair >= 0)
			seq_printf(seq, "rp %d ", setting->ring_pair);
		seq_printf(seq, "%s %u\n", setting->name, setting->value);
	}
	mutex_unlock(&pf->load_lock);
	return 0;
}

static int change(struct qat_sim_pf *pf, const char *text)
{
	char *copy = kstrdup(text, GFP_KERNEL);
	int err;

	if (!copy)
		return -ENOMEM;
	err = settings(pf, copy, false);
	if (!err) {
		strcpy(copy, text);
		mutex_lock(&pf->load_lock);
		err = settings(pf, copy, true);
		mutex_unlock(&pf->load_lock);
	}
	kfree(copy);
	return err;
}

static ssize_t load_write(struct file *file, const char __user *from, size_t length, loff_t *pos)
{
	struct qat_sim_pf *pf = ((struct seq_file *)file->private_data)->private;
	char *text;
	int err;

	if (length > LONGEST_TEXT)
		return -EINVAL;
	text = memdup_user_nul(from, length);
	if (IS_ERR(text))
		return PTR_ERR(text);
	mutex_lock(&pf->driver_lock);
	err = pf->events ? change(pf, text) : -ENODEV;
	mutex_unlock(&pf->driver_lock);
	kfree(text);
	return err ?: length;
}
DEFINE_SHOW_WRITE_ATTRIBUTE(load);

void qat_sim_load_init(struct qat_sim_pf *pf)
{
	mutex_init(&pf->load_lock);
	INIT_LIST_HEAD(&pf->load);
	debugfs_create_file("load", 0600, pf->debugfs, pf, &load_fops);
}
