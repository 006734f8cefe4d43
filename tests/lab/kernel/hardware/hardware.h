/* SPDX-FileCopyrightText: 2026 accel.qat contributors */
/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Internals of the qat_sim module. */
#ifndef QAT_SIM_HARDWARE_H
#define QAT_SIM_HARDWARE_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/spinlock.h>
#include "qat_sim.h"

#define QAT_SIM_MAX_VFS		32
#define QAT_SIM_PF_CONFIG	4096
#define QAT_SIM_VF_CONFIG	256

/*
 * One family of QAT devices, as the PCI bus sees it.
 * @vf_offset: device/function number of the first VF, relative to the PF
 */
struct qat_sim_family {
	const char *name;
	u16 pf_id;
	u16 vf_id;
	u16 vfs;
	u16 vf_offset;
};

/* Registers of one function, and which of their bits software may change. */
struct qat_sim_registers {
	u8 *value;
	u8 *writable;
	unsigned int size;
};

/* heartbeat: alive; lost until the next reset; or dead for good */
enum qat_sim_pulse { QAT_SIM_ALIVE, QAT_SIM_LOST, QAT_SIM_DEAD };

/* @error: positive errno; @count: how often still, negative for ever; @delay_ms: once */
struct qat_sim_fault {
	int error;
	int count;
	unsigned int delay_ms;
};

struct qat_sim_faults {
	spinlock_t lock;		/* guards @step */
	struct qat_sim_fault step[QAT_SIM_STEPS];
	u32 missing_vfs;
	u32 kernel_users;
	u32 refuse_vfio;		/* a bit per VF index */
	bool no_capabilities;
	enum qat_sim_pulse pulse;
};

/*
 * One PF on a root bus of its own.
 * @absent: the PF does not answer, as after a surprise removal
 * @driver_lock: guards @events and @driver
 */
struct qat_sim_pf {
	struct list_head list;
	const struct qat_sim_family *family;
	u16 total_vfs;
	u8 busnr;
	char name[sizeof("0000:00:00.0")];

	struct pci_sysdata sysdata;
	struct resource busn;
	struct pci_bus *bus;
	bool absent;

	u8 pf_value[QAT_SIM_PF_CONFIG];
	u8 pf_writable[QAT_SIM_PF_CONFIG];
	u8 vf_value[QAT_SIM_MAX_VFS][QAT_SIM_VF_CONFIG];
	u8 vf_writable[QAT_SIM_VF_CONFIG];

	struct mutex driver_lock;
	const struct qat_sim_events *events;
	void *driver;

	struct qat_sim_faults faults;
	struct mutex load_lock;		/* guards @load */
	struct list_head load;
	struct dentry *debugfs;
};

extern struct pci_ops qat_sim_pci_ops;

/* Fill in the power-on values of all registers of @pf. */
void qat_sim_config_space_init(struct qat_sim_pf *pf);

struct qat_sim_pf *qat_sim_pf_of_bus(struct pci_bus *bus);

void qat_sim_faults_init(struct qat_sim_pf *pf, struct dentry *parent);
void qat_sim_faults_exit(struct qat_sim_pf *pf);

/* The file for what the PF has to do, in the directory of its faults. */
void qat_sim_load_init(struct qat_sim_pf *pf);

/* Make a VF refuse vfio-pci, or not, as the faults of its PF say. */
void qat_sim_apply_vfio_refusal(struct qat_sim_pf *pf, struct pci_dev *vf);

/* Take the PF off its bus, or put it back. */
void qat_sim_set_present(struct qat_sim_pf *pf, bool present);

#endif
