/* SPDX-FileCopyrightText: 2026 accel.qat contributors */
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the simulated hardware offers to the drivers in driver/ and families/.
 *
 * A real driver learns these things from registers and firmware messages; the
 * simulation has neither, so the driver asks here.
 */
#ifndef QAT_SIM_H
#define QAT_SIM_H

#include <linux/pci.h>
#include <linux/types.h>

struct qat_sim_pf;

/* The steps of a driver that a fault can slow down or make fail. */
enum qat_sim_step {
	QAT_SIM_UP,
	QAT_SIM_DOWN,
	QAT_SIM_SERVICES,
	QAT_SIM_ENABLE_VFS,
	QAT_SIM_DISABLE_VFS,
	QAT_SIM_STEPS
};

enum qat_sim_error {
	QAT_SIM_CORRECTABLE,
	QAT_SIM_NONFATAL,
	QAT_SIM_FATAL,
	QAT_SIM_ERRORS
};

/*
 * Events the hardware reports to the driver bound to a PF.
 * @reset: a fatal error; the device has to be reset
 * @error: a RAS interrupt reporting @count errors of one kind
 */
struct qat_sim_events {
	void (*reset)(void *context);
	void (*error)(void *context, enum qat_sim_error kind, unsigned int count);
};

/* The simulated PF behind @pdev, or NULL if the device is not one of ours. */
struct qat_sim_pf *qat_sim_pf(struct pci_dev *pdev);

/* Start and stop delivery of events; the driver calls these in probe and remove. */
void qat_sim_attach(struct qat_sim_pf *pf, const struct qat_sim_events *events, void *context);
void qat_sim_detach(struct qat_sim_pf *pf);

/*
 * Do one step: sleeps as long as the delay set for it and returns the negative
 * errno set for it, else 0. The errno is consumed, the delay too.
 */
int qat_sim_do(struct qat_sim_pf *pf, enum qat_sim_step step);

/* How many VFs really come up when the driver enables all @total of them. */
int qat_sim_working_vfs(struct qat_sim_pf *pf, int total);

/* Whether a change of services leaves the device without any capability. */
bool qat_sim_without_capabilities(struct qat_sim_pf *pf);

/* Number of users inside the kernel (crypto API instances such as IPsec's). */
unsigned int qat_sim_kernel_users(struct qat_sim_pf *pf);

/* Whether the firmware still answers heartbeat queries. */
bool qat_sim_heartbeat(struct qat_sim_pf *pf);

/* What @name is to show, of the device with @ring_pair negative, else of that ring pair: 0 where no load was set. */
unsigned int qat_sim_load(struct qat_sim_pf *pf, int ring_pair, const char *name);

/* The device goes down, and has nothing to do any more. */
void qat_sim_end_load(struct qat_sim_pf *pf);

/* The driver has reset the device: ends every fault that a reset repairs. */
void qat_sim_was_reset(struct qat_sim_pf *pf);

#endif
