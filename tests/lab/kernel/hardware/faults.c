// SPDX-FileCopyrightText: 2026 accel.qat contributors
// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Faults of the simulated hardware, switched at run time through
 * /sys/kernel/debug/qat_sim/<PF address>/:
 *
 * fail_<step>      "ERRNO [COUNT]": the next COUNT (1; -1 for ever) steps fail so; 0 clears
 * delay_<step>     milliseconds the next such step blocks, uninterruptibly
 * missing_vfs      that many VFs fewer than promised come up
 * refuse_vfio      bit mask of the VFs that vfio-pci cannot drive
 * kernel_users     users inside the kernel: the driver says EBUSY
 * no_capabilities  Y: a change of services is stored, then refused with EINVAL
 * heartbeat        alive; lost (until the next reset); dead (survives resets)
 * error            "correctable|nonfatal|fatal [COUNT]": report RAS errors now
 * reset            any write: the device reports a fatal error and gets reset
 * present          0: the PF vanishes from its bus; 1: it returns
 * load             what it has to do: see load.c
 */
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/pci.h>
#include <linux/seq_file.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include "hardware.h"
#include "show_write.h"

/* Not a header type that exists, so vfio-pci refuses the device and nothing else cares. */
#define HEADER_TYPE_BROKEN	0x7f

static const char * const step_names[QAT_SIM_STEPS] = {
	[QAT_SIM_UP] = "up",
	[QAT_SIM_DOWN] = "down",
	[QAT_SIM_SERVICES] = "services",
	[QAT_SIM_ENABLE_VFS] = "enable_vfs",
	[QAT_SIM_DISABLE_VFS] = "disable_vfs",
};

static const char * const error_names[QAT_SIM_ERRORS] = {
	[QAT_SIM_CORRECTABLE] = "correctable",
	[QAT_SIM_NONFATAL] = "nonfatal",
	[QAT_SIM_FATAL] = "fatal",
};

static const char * const pulse_names[] = {
	[QAT_SIM_ALIVE] = "alive",
	[QAT_SIM_LOST] = "lost",
	[QAT_SIM_DEAD] = "dead",
};

/* What the drivers ask. */

void qat_sim_attach(struct qat_sim_pf *pf, const struct qat_sim_events *events, void *context)
{
	mutex_lock(&pf->driver_lock);
	pf->events = events;
	pf->driver = context;
	mutex_unlock(&pf->driver_lock);
}
EXPORT_SYMBOL_GPL(qat_sim_attach);

void qat_sim_detach(struct qat_sim_pf *pf)
{
	qat_sim_attach(pf, NULL, NULL);
}
EXPORT_SYMBOL_GPL(qat_sim_detach);

int qat_sim_do(struct qat_sim_pf *pf, enum qat_sim_step step)
{
	struct qat_sim_fault *fault = &pf->faults.step[step];
	unsigned int delay_ms;
	int error = 0;

	spin_lock(&pf->faults.lock);
	delay_ms = fault->delay_ms;
	fault->delay_ms = 0;
	if (fault->count) {
		error = fault->error;
		if (fault->count > 0)
			fault->count--;
	}
	spin_unlock(&pf->faults.lock);

	if (delay_ms)
		msleep(delay_ms);
	return -error;
}
EXPORT_SYMBOL_GPL(qat_sim_do);

int qat_sim_working_vfs(struct qat_sim_pf *pf, int total)
{
	return max_t(int, total - READ_ONCE(pf->faults.missing_vfs), 0);
}
EXPORT_SYMBOL_GPL(qat_sim_working_vfs);

bool qat_sim_without_capabilities(struct qat_sim_pf *pf)
{
	return READ_ONCE(pf->faults.no_capabilities);
}
EXPORT_SYMBOL_GPL(qat_sim_without_capabilities);

unsigned int qat_sim_kernel_users(struct qat_sim_pf *pf)
{
	return READ_ONCE(pf->faults.kernel_users);
}
EXPORT_SYMBOL_GPL(qat_sim_kernel_users);

bool qat_sim_heartbeat(struct qat_sim_pf *pf)
{
	return READ_ONCE(pf->faults.pulse) == QAT_SIM_ALIVE;
}
EXPORT_SYMBOL_GPL(qat_sim_heartbeat);

void qat_sim_was_reset(struct qat_sim_pf *pf)
{
	cmpxchg(&pf->faults.pulse, QAT_SIM_LOST, QAT_SIM_ALIVE);
}
EXPORT_SYMBOL_GPL(qat_sim_was_reset);

void qat_sim_apply_vfio_refusal(struct qat_sim_pf *pf, struct pci_dev *vf)
{
	int index = (int)vf->devfn - pf->family->vf_offset;
	bool refuse = index >= 0 && index < 32 && pf->faults.refuse_vfio & BIT(index);

	vf->hdr_type = refuse ? HEADER_TYPE_BROKEN : PCI_HEADER_TYPE_NORMAL;
}

/* The files. */

/* Copy what user space wrote into @text, as one line without its end. */
static int copy_line(char *text, size_t size, const char __user *from, size_t length)
{
	if (length >= size)
		return -EINVAL;
	if (copy_from_user(text, from, length))
		return -EFAULT;
	text[length] = '\0';
	strim(text);
	return 0;
}

/* A step is known by the dentry's name, the part behind the first '_'. */
static int step_of(const struct file *file)
{
	const char *name = file->f_path.dentry->d_name.name;

	return match_string(step_names, QAT_SIM_STEPS, strchr(name, '_') + 1);
}

static int fail_show(struct seq_file *seq, void *unused)
{
	struct qat_sim_pf *pf = seq->private;
	struct qat_sim_fault *fault = &pf->faults.step[step_of(seq->file)];

	seq_printf(seq, "%d %d\n", fault->count ? fault->error : 0, fault->count);
	return 0;
}

static ssize_t fail_write(struct file *file, const char __user *from, size_t length, loff_t *pos)
{
	struct qat_sim_pf *pf = ((struct seq_file *)file->private_data)->private;
	struct qat_sim_fault *fault = &pf->faults.step[step_of(file)];
	int error, count = 1, err;
	char text[32];

	err = copy_line(text, sizeof(text), from, length);
	if (err)
		return err;
	if (sscanf(text, "%d %d", &error, &count) < 1 || error < 0 || error > MAX_ERRNO)
		return -EINVAL;
	spin_lock(&pf->faults.lock);
	fault->error = error;
	fault->count = error ? count : 0;
	spin_unlock(&pf->faults.lock);
	return length;
}

DEFINE_SHOW_WRITE_ATTRIBUTE(fail);

static int heartbeat_show(struct seq_file *seq, void *unused)
{
	struct qat_sim_pf *pf = seq->private;

	seq_printf(seq, "%s\n", pulse_names[READ_ONCE(pf->faults.pulse)]);
	return 0;
}

static ssize_t heartbeat_write(struct file *file, const char __user *from, size_t length, loff_t *pos)
{
	struct qat_sim_pf *pf = ((struct seq_file *)file->private_data)->private;
	char text[16];
	int err, pulse;

	err = copy_line(text, sizeof(text), from, length);
	if (err)
		return err;
	pulse = match_string(pulse_names, ARRAY_SIZE(pulse_names), text);
	if (pulse < 0)
		return pulse;
	WRITE_ONCE(pf->faults.pulse, pulse);
	return length;
}

DEFINE_SHOW_WRITE_ATTRIBUTE(heartbeat);

static ssize_t error_write(struct file *file, const char __user *from, size_t length, loff_t *pos)
{
	struct qat_sim_pf *pf = file->private_data;
	unsigned int count = 1;
	char text[32], *kind_name, *rest = text;
	int err, kind;

	err = copy_line(text, sizeof(text), from, length);
	if (err)
		return err;
	kind_name = strsep(&rest, " ");
	kind = match_string(error_names, QAT_SIM_ERRORS, kind_name);
	if (kind < 0 || (rest && kstrtouint(rest, 10, &count)))
		return -EINVAL;

	mutex_lock(&pf->driver_lock);
	if (pf->events)
		pf->events->error(pf->driver, kind, count);
	else
		err = -ENODEV;
	mutex_unlock(&pf->driver_lock);
	return err ?: length;
}

static const struct file_operations error_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = error_write,
};

static ssize_t reset_write(struct file *file, const char __user *from, size_t length, loff_t *pos)
{
	struct qat_sim_pf *pf = file->private_data;
	int err = 0;

	mutex_lock(&pf->driver_lock);
	if (pf->events)
		pf->events->reset(pf->driver);
	else
		err = -ENODEV;
	mutex_unlock(&pf->driver_lock);
	return err ?: length;
}

static const struct file_operations reset_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = reset_write,
};

static int present_get(void *data, u64 *value)
{
	struct qat_sim_pf *pf = data;

	*value = !READ_ONCE(pf->absent);
	return 0;
}

static int present_set(void *data, u64 value)
{
	qat_sim_set_present(data, value);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(present_fops, present_get, present_set, "%llu\n");

static int refuse_vfio_get(void *data, u64 *value)
{
	struct qat_sim_pf *pf = data;

	*value = pf->faults.refuse_vfio;
	return 0;
}

static int refuse_vfio_set(void *data, u64 value)
{
	struct qat_sim_pf *pf = data;
	struct pci_dev *pdev;

	pf->faults.refuse_vfio = value;
	pci_lock_rescan_remove();
	list_for_each_entry(pdev, &pf->bus->devices, bus_list)
		if (pdev->is_virtfn)
			qat_sim_apply_vfio_refusal(pf, pdev);
	pci_unlock_rescan_remove();
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(refuse_vfio_fops, refuse_vfio_get, refuse_vfio_set, "0x%llx\n");

void qat_sim_faults_init(struct qat_sim_pf *pf, struct dentry *parent)
{
	struct dentry *dir = debugfs_create_dir(pf->name, parent);
	char name[32];
	int i;

	spin_lock_init(&pf->faults.lock);
	pf->debugfs = dir;
	for (i = 0; i < QAT_SIM_STEPS; i++) {
		snprintf(name, sizeof(name), "fail_%s", step_names[i]);
		debugfs_create_file(name, 0600, dir, pf, &fail_fops);
		snprintf(name, sizeof(name), "delay_%s", step_names[i]);
		debugfs_create_u32(name, 0600, dir, &pf->faults.step[i].delay_ms);
	}
	debugfs_create_u32("missing_vfs", 0600, dir, &pf->faults.missing_vfs);
	debugfs_create_u32("kernel_users", 0600, dir, &pf->faults.kernel_users);
	debugfs_create_bool("no_capabilities", 0600, dir, &pf->faults.no_capabilities);
	debugfs_create_file("refuse_vfio", 0600, dir, pf, &refuse_vfio_fops);
	debugfs_create_file("heartbeat", 0600, dir, pf, &heartbeat_fops);
	debugfs_create_file("error", 0200, dir, pf, &error_fops);
	debugfs_create_file("reset", 0200, dir, pf, &reset_fops);
	debugfs_create_file("present", 0600, dir, pf, &present_fops);
	qat_sim_load_init(pf);
}

void qat_sim_faults_exit(struct qat_sim_pf *pf)
{
	debugfs_remove(pf->debugfs);
	qat_sim_end_load(pf);
}
