/* SPDX-FileCopyrightText: 2026 accel.qat contributors */
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Common part of the QAT drivers: what intel_qat offers to the family modules,
 * and what its own files share.
 */
#ifndef QAT_COMMON_H
#define QAT_COMMON_H

#include <linux/bits.h>
#include <linux/debugfs.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/types.h>
#include <linux/workqueue.h>
#include "qat_sim.h"

#define QAT_SERVICES_SIZE	64

/* The slices of one engine, such as the three of "dcpr", in the order of the kernel's own list. */
struct qat_slices {
	const char *engine;
	unsigned int count;
};

/*
 * What differs between families.
 * @name: class name, in /sys/bus/pci/drivers/ and in the debugfs directory
 * @ring_pairs: ring pairs of the PF; @ring_pairs_per_vf of them go to each VF
 * @slices: of its engines, up to one without a name; of a real device the firmware says how many there are
 * @configurable: has the sysfs groups qat/ and qat_ras/ and the service setting
 * @fixed_heartbeat: the heartbeat timer always runs at its shortest period
 * @heartbeat_file: debugfs has a file heartbeat, and no directory of that name
 * @migrates: the state of a VF can be saved, and so the driver qat_vfio_pci takes it
 */
struct qat_family {
	const char *name;
	unsigned int ring_pairs;
	unsigned int ring_pairs_per_vf;
	const struct qat_slices *slices;
	bool configurable;
	bool fixed_heartbeat;
	bool heartbeat_file;
	bool migrates;
};

/*
 * Counters and times of heartbeat queries, all times in milliseconds.
 * @lock: guards the rest; a reader never waits for a change of state
 */
struct qat_heartbeat {
	struct mutex lock;
	unsigned int interval;
	u64 last_query;
	u64 last_fatal;
	unsigned int unanswered;
	u32 sent;
	u32 failed;
};

#define QAT_TELEMETRY_SLOTS		4
#define QAT_TELEMETRY_HISTORY		4	/* samples that are kept */
#define QAT_TELEMETRY_COUNTERS		10	/* of the device */
#define QAT_TELEMETRY_ENGINES		9
#define QAT_TELEMETRY_RING_PAIR_COUNTERS	8

/* What one sample has; of an engine the percentage that all its slices have. */
struct qat_sample {
	u32 device[QAT_TELEMETRY_COUNTERS];
	u32 engine[QAT_TELEMETRY_ENGINES];
	u32 slot[QAT_TELEMETRY_SLOTS][QAT_TELEMETRY_RING_PAIR_COUNTERS];
};

/*
 * @write_lock: held while telemetry is started or stopped
 * @lock: guards the rest
 * @sampling: takes a sample each second while telemetry is on
 * @samples: how many samples to average; 0 while telemetry is off
 * @taken: samples since the last start; @shown is the same, but keeps what it was over a restart until there is a sample
 * @newest: of @history
 * @ring_pair: the ring pairs that are watched, or negative
 */
struct qat_telemetry {
	struct mutex write_lock;
	struct mutex lock;
	struct delayed_work sampling;
	unsigned int samples;
	unsigned int taken;
	unsigned int shown;
	unsigned int newest;
	struct qat_sample history[QAT_TELEMETRY_HISTORY];
	int ring_pair[QAT_TELEMETRY_SLOTS];
};

/*
 * One PF that a driver is bound to.
 * @restarting: a reset is under way
 * @state_lock: guards what follows it; held over a whole change of state
 * @vfs_claimed: the driver set itself up for VFs, whether or not any came up
 * @ring_pair: the one chosen through rp2srv, or negative
 */
struct qat_device {
	struct list_head list;
	struct pci_dev *pdev;
	struct qat_sim_pf *hardware;
	const struct qat_family *family;
	int id;
	unsigned long restarting;
	struct work_struct reset_work;

	struct mutex state_lock;
	bool up;
	bool vfs_claimed;
	bool reenable_vfs;
	bool power_idle;
	bool auto_reset;
	int ring_pair;
	char services[QAT_SERVICES_SIZE];

	atomic_t errors[QAT_SIM_ERRORS];
	bool errors_shown;
	struct qat_heartbeat heartbeat;
	struct qat_telemetry telemetry;
	struct dentry *debugfs;
	bool debugfs_running;
};

/* For the family modules. */
int qat_probe(struct pci_dev *pdev, const struct qat_family *family);
void qat_remove(struct pci_dev *pdev);
int qat_sriov_configure(struct pci_dev *pdev, int vfs);
/* 0 if VFs of this PF can be migrated; -ENODEV without its driver, -EINVAL where that cannot. */
int qat_migrates(struct pci_dev *pf);

/*
 * What differs between kernel versions; each flag holds from that kernel on.
 * @name: the first kernel that behaves so
 */
struct qat_generation {
	const char *name;
	bool down_twice_succeeds;	/* state=down on a device that is down */
	bool numvfs_zero;		/* sriov_numvfs=0 removes the VFs */
	bool failed_vfs_undone;		/* failing VFs leave the device down, ready for another try */
	bool reset_restores_vfs;
	bool all_attributes;		/* all of qat/, qat_ras/, and debugfs beyond dev_cfg */
	bool keeps_power_setting;	/* pm_idle_enabled survives down and up */
	bool any_combination;		/* service pairs beyond sym;asym and dc */
	bool service_sets;		/* services in any order, printed in one order */
};

const struct qat_generation *qat_generation(void);
bool qat_requires_iommu(void);

/* Life of a device; callers of the first three hold the state_lock. */
int qat_up(struct qat_device *qat);
int qat_down(struct qat_device *qat);
void qat_stop(struct qat_device *qat);
bool qat_busy(struct qat_device *qat);
void qat_schedule_reset(struct qat_device *qat);
/* Bring files into line with a generation that has just been changed. */
void qat_refresh_all(void);

/* Removes the VFs, if any; the caller holds the state_lock. */
void qat_sriov_disable(struct qat_device *qat);
/* After a reset: brings the VFs back if there were any. */
void qat_sriov_restore(struct qat_device *qat);

/* Which service a ring pair of a VF does: "sym", "asym" or "dc". */
const char *qat_ring_pair_service(const char *services, unsigned int ring_pair);
/* Checks and stores what user space wrote; -EINVAL if this kernel does not know it. */
int qat_parse_services(const char *text, char services[QAT_SERVICES_SIZE]);

int qat_sysfs_add(struct qat_device *qat);
void qat_sysfs_remove(struct qat_device *qat);
void qat_sysfs_refresh(struct qat_device *qat);
void qat_sysfs_show_errors(struct qat_device *qat, bool show);

void qat_debugfs_add(struct qat_device *qat);
void qat_debugfs_remove(struct qat_device *qat);
/* The files that exist only while the device is up. */
void qat_debugfs_add_running(struct qat_device *qat);
void qat_debugfs_remove_running(struct qat_device *qat);

void qat_heartbeat_init(struct qat_device *qat);
void qat_heartbeat_start(struct qat_device *qat);

void qat_telemetry_init(struct qat_device *qat);
/* The device goes down: off, with no ring pair watched and nothing known. */
void qat_telemetry_reset(struct qat_device *qat);
void qat_telemetry_add(struct qat_device *qat);

#endif
