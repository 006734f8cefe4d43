// SPDX-FileCopyrightText: 2026 accel.qat contributors
// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Simulated QAT hardware: for each PF a PCI root bus with accessors of our own.
 *
 * Everything above the accessors is the real kernel: enumeration, SR-IOV, sysfs,
 * IOMMU groups, vfio-pci. The machine must reserve the bus numbers used here
 * under a bridge known to its IOMMU, or the functions get no IOMMU group.
 */
#include <linux/debugfs.h>
#include <linux/ioport.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/numa.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/string.h>
#include "hardware.h"

static char *pfs = "";
module_param(pfs, charp, 0444);
MODULE_PARM_DESC(pfs, "comma-separated PFs, each FAMILY@[DOMAIN:]BUS[:NODE][/TOTAL_VFS], e.g. 4xxx@6b:0,c6xx@75:1/0");

/* VF offsets: gen 4 numbers its VFs right after the PF, older ones from device 1 on. */
static const struct qat_sim_family families[] = {
	{ .name = "4xxx", .pf_id = 0x4940, .vf_id = 0x4941, .vfs = 16, .vf_offset = 1 },
	{ .name = "420xx", .pf_id = 0x4946, .vf_id = 0x4947, .vfs = 16, .vf_offset = 1 },
	{ .name = "c6xx", .pf_id = 0x37c8, .vf_id = 0x37c9, .vfs = 16, .vf_offset = 8 },
	{ .name = "dh895xcc", .pf_id = 0x0435, .vf_id = 0x0443, .vfs = 32, .vf_offset = 8 },
	/* A VF as a virtual machine has it: a function of its own, of whose PF nothing is to be seen. */
	{ .name = "4xxxvf", .pf_id = 0x4941 },
};

static LIST_HEAD(all_pfs);
static struct dentry *debugfs_root;

struct qat_sim_pf *qat_sim_pf_of_bus(struct pci_bus *bus)
{
	return container_of((struct pci_sysdata *)bus->sysdata, struct qat_sim_pf, sysdata);
}

struct qat_sim_pf *qat_sim_pf(struct pci_dev *pdev)
{
	return pdev->bus->ops == &qat_sim_pci_ops ? qat_sim_pf_of_bus(pdev->bus) : NULL;
}
EXPORT_SYMBOL_GPL(qat_sim_pf);

void qat_sim_set_present(struct qat_sim_pf *pf, bool present)
{
	struct pci_dev *pdev;

	pci_lock_rescan_remove();
	if (pf->absent == !present)
		goto unlock;
	if (present) {
		/* Power was lost meanwhile: nothing of the old configuration remains. */
		memset(pf->pf_value, 0, sizeof(pf->pf_value));
		memset(pf->vf_value, 0, sizeof(pf->vf_value));
		qat_sim_config_space_init(pf);
	}
	WRITE_ONCE(pf->absent, !present);
	if (present) {
		pci_rescan_bus(pf->bus);
		goto unlock;
	}
	pdev = pci_get_slot(pf->bus, 0);
	if (pdev)
		pci_stop_and_remove_bus_device(pdev);
	pci_dev_put(pdev);
unlock:
	pci_unlock_rescan_remove();
}

/* New VFs take on the refusals set for their PF before any driver is probed. */
static int on_bus_event(struct notifier_block *nb, unsigned long action, void *data)
{
	struct pci_dev *pdev = to_pci_dev(data);
	struct qat_sim_pf *pf = qat_sim_pf(pdev);

	if (action == BUS_NOTIFY_ADD_DEVICE && pf && pdev->is_virtfn)
		qat_sim_apply_vfio_refusal(pf, pdev);
	return NOTIFY_DONE;
}

static struct notifier_block bus_events = { .notifier_call = on_bus_event };

static const struct qat_sim_family *find_family(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(families); i++)
		if (!strcmp(families[i].name, name))
			return &families[i];
	return NULL;
}

/* Parse what follows the '@' of one PF: [DOMAIN:]BUS[:NODE][/TOTAL_VFS]. */
static int parse_place(struct qat_sim_pf *pf, char *place)
{
	char *total = place, *node, *bus = strsep(&total, "/");
	u16 domain = 0;
	int err;

	/* A domain has four digits, a bus two: that distinguishes them. */
	if (strcspn(bus, ":") == 4) {
		node = bus;
		err = kstrtou16(strsep(&node, ":"), 16, &domain);
		if (err || !node)
			return -EINVAL;
		bus = node;
	}
	node = bus;
	bus = strsep(&node, ":");
	pf->sysdata.domain = domain;
	pf->sysdata.node = NUMA_NO_NODE;
	pf->total_vfs = pf->family->vfs;

	err = kstrtou8(bus, 16, &pf->busnr);
	if (!err && node)
		err = kstrtoint(node, 10, &pf->sysdata.node);
	if (!err && total)
		err = kstrtou16(total, 10, &pf->total_vfs);
	if (err || pf->total_vfs > pf->family->vfs || pf->sysdata.node >= MAX_NUMNODES)
		return -EINVAL;
	return 0;
}

static struct qat_sim_pf *new_pf(char *description)
{
	char *place = description, *family = strsep(&place, "@");
	struct qat_sim_pf *pf;
	int err;

	pf = kzalloc(sizeof(*pf), GFP_KERNEL);
	if (!pf)
		return ERR_PTR(-ENOMEM);
	pf->family = find_family(family);
	err = pf->family && place ? parse_place(pf, place) : -EINVAL;
	if (err) {
		pr_err("qat_sim: PF %s: not FAMILY@[DOMAIN:]BUS[:NODE][/TOTAL_VFS]\n", description);
		kfree(pf);
		return ERR_PTR(err);
	}
	mutex_init(&pf->driver_lock);
	snprintf(pf->name, sizeof(pf->name), "%04x:%02x:00.0", pf->sysdata.domain, pf->busnr);
	qat_sim_config_space_init(pf);
	return pf;
}

static int plug_in(struct qat_sim_pf *pf)
{
	LIST_HEAD(resources);

	pf->busn = (struct resource)DEFINE_RES_NAMED(pf->busnr, 1, "QAT", IORESOURCE_BUS);
	pci_add_resource(&resources, &ioport_resource);
	pci_add_resource(&resources, &iomem_resource);
	pci_add_resource(&resources, &pf->busn);

	pci_lock_rescan_remove();
	pf->bus = pci_create_root_bus(NULL, pf->busnr, &qat_sim_pci_ops, &pf->sysdata, &resources);
	if (pf->bus) {
		pci_scan_child_bus(pf->bus);
		pci_bus_add_devices(pf->bus);
	}
	pci_unlock_rescan_remove();
	if (!pf->bus) {
		pci_free_resource_list(&resources);
		pr_err("qat_sim: cannot create bus %04x:%02x, is it taken?\n", pf->sysdata.domain, pf->busnr);
		return -EBUSY;
	}
	return 0;
}

static void unplug_all(void)
{
	struct qat_sim_pf *pf, *next;

	list_for_each_entry_safe(pf, next, &all_pfs, list) {
		qat_sim_faults_exit(pf);
		pci_lock_rescan_remove();
		pci_stop_root_bus(pf->bus);
		pci_remove_root_bus(pf->bus);
		pci_unlock_rescan_remove();
		list_del(&pf->list);
		kfree(pf);
	}
}

static int plug_in_all(char *descriptions)
{
	char *description;

	while ((description = strsep(&descriptions, ","))) {
		struct qat_sim_pf *pf;
		int err;

		if (!*description)
			continue;
		pf = new_pf(description);
		if (IS_ERR(pf))
			return PTR_ERR(pf);
		qat_sim_faults_init(pf, debugfs_root);
		err = plug_in(pf);
		if (err) {
			qat_sim_faults_exit(pf);
			kfree(pf);
			return err;
		}
		list_add_tail(&pf->list, &all_pfs);
	}
	return 0;
}

static int __init qat_sim_init(void)
{
	char *descriptions = kstrdup(pfs, GFP_KERNEL);
	int err;

	if (!descriptions)
		return -ENOMEM;
	debugfs_root = debugfs_create_dir("qat_sim", NULL);
	bus_register_notifier(&pci_bus_type, &bus_events);
	err = plug_in_all(descriptions);
	if (err) {
		unplug_all();
		bus_unregister_notifier(&pci_bus_type, &bus_events);
		debugfs_remove(debugfs_root);
	}
	kfree(descriptions);
	return err;
}

static void __exit qat_sim_exit(void)
{
	unplug_all();
	bus_unregister_notifier(&pci_bus_type, &bus_events);
	debugfs_remove(debugfs_root);
}

module_init(qat_sim_init);
module_exit(qat_sim_exit);
MODULE_DESCRIPTION("Simulated Intel QAT hardware");
MODULE_LICENSE("GPL");
