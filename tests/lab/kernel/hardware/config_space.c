// SPDX-FileCopyrightText: 2026 accel.qat contributors
// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Configuration space of a PF and its VFs.
 *
 * What matters of it:
 * - The PCI Express capability says "root complex integrated endpoint". The
 *   kernel's ACS quirk for those gives each function an IOMMU group of its own,
 *   as on real hardware.
 * - The SR-IOV capability has no VF BARs, so that no memory has to be simulated.
 * - A VF answers only while VF Enable is set and its number is below NumVFs, and
 *   reads all ones as vendor and device id (SR-IOV specification 3.4.1).
 */
#include <linux/pci.h>
#include "hardware.h"

#define EXPRESS		0x40	/* offset of the PCI Express capability */
#define SRIOV		0x100	/* offset of the SR-IOV extended capability */
#define CLASS_COPROCESSOR	0x0b40
#define REVISION	0x40
#define PAGE_SIZES	0x553	/* 4k, 8k, 64k, 256k, 1M, 4M */

static void set16(u8 *registers, int where, u16 value)
{
	registers[where] = value & 0xff;
	registers[where + 1] = value >> 8;
}

static void set32(u8 *registers, int where, u32 value)
{
	set16(registers, where, value & 0xffff);
	set16(registers, where + 2, value >> 16);
}

static u16 get16(const u8 *registers, int where)
{
	return registers[where] | registers[where + 1] << 8;
}

static void init_header(u8 *value, u16 vendor, u16 device)
{
	set16(value, PCI_VENDOR_ID, vendor);
	set16(value, PCI_DEVICE_ID, device);
	set16(value, PCI_STATUS, PCI_STATUS_CAP_LIST);
	value[PCI_REVISION_ID] = REVISION;
	set16(value, PCI_CLASS_DEVICE, CLASS_COPROCESSOR);
	set16(value, PCI_SUBSYSTEM_VENDOR_ID, PCI_VENDOR_ID_INTEL);
	value[PCI_CAPABILITY_LIST] = EXPRESS;

	value[EXPRESS] = PCI_CAP_ID_EXP;
	set16(value, EXPRESS + PCI_EXP_FLAGS, 2 | PCI_EXP_TYPE_RC_END << 4);
	set32(value, EXPRESS + PCI_EXP_DEVCAP, PCI_EXP_DEVCAP_RBER | PCI_EXP_DEVCAP_FLR);
}

static void init_writable(u8 *writable)
{
	set16(writable, PCI_COMMAND, PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE);
	writable[PCI_INTERRUPT_LINE] = 0xff;
	set16(writable, EXPRESS + PCI_EXP_DEVCTL, (u16)~PCI_EXP_DEVCTL_BCR_FLR);
}

static void init_sriov(struct qat_sim_pf *pf)
{
	u8 *value = pf->pf_value + SRIOV, *writable = pf->pf_writable + SRIOV;

	set32(value, 0, PCI_EXT_CAP_ID_SRIOV | 1 << 16);
	set16(value, PCI_SRIOV_INITIAL_VF, pf->total_vfs);
	set16(value, PCI_SRIOV_TOTAL_VF, pf->total_vfs);
	set16(value, PCI_SRIOV_VF_OFFSET, pf->family->vf_offset);
	set16(value, PCI_SRIOV_VF_STRIDE, 1);
	set16(value, PCI_SRIOV_VF_DID, pf->family->vf_id);
	set32(value, PCI_SRIOV_SUP_PGSIZE, PAGE_SIZES);
	set32(value, PCI_SRIOV_SYS_PGSIZE, 1);

	set16(writable, PCI_SRIOV_CTRL, PCI_SRIOV_CTRL_VFE | PCI_SRIOV_CTRL_MSE | PCI_SRIOV_CTRL_ARI);
	set16(writable, PCI_SRIOV_NUM_VF, 0xffff);
	set32(writable, PCI_SRIOV_SYS_PGSIZE, PAGE_SIZES);
}

void qat_sim_config_space_init(struct qat_sim_pf *pf)
{
	int i;

	init_header(pf->pf_value, PCI_VENDOR_ID_INTEL, pf->family->pf_id);
	init_writable(pf->pf_writable);
	/* SR-IOV switched off in the BIOS hides the whole capability. */
	if (pf->total_vfs)
		init_sriov(pf);

	for (i = 0; i < pf->total_vfs; i++)
		init_header(pf->vf_value[i], 0xffff, 0xffff);
	init_writable(pf->vf_writable);
}

/* Number of the VF at @devfn, or -1 if no VF answers there now. */
static int vf_number(struct qat_sim_pf *pf, unsigned int devfn)
{
	const u8 *sriov = pf->pf_value + SRIOV;
	int vf = (int)devfn - pf->family->vf_offset;

	if (!(get16(sriov, PCI_SRIOV_CTRL) & PCI_SRIOV_CTRL_VFE))
		return -1;
	if (vf < 0 || vf >= min(get16(sriov, PCI_SRIOV_NUM_VF), pf->total_vfs))
		return -1;
	return vf;
}

static bool find_function(struct qat_sim_pf *pf, unsigned int devfn, struct qat_sim_registers *found)
{
	int vf;

	if (READ_ONCE(pf->absent))
		return false;
	if (devfn == 0) {
		*found = (struct qat_sim_registers){ pf->pf_value, pf->pf_writable, QAT_SIM_PF_CONFIG };
		return true;
	}
	vf = vf_number(pf, devfn);
	if (vf < 0)
		return false;
	*found = (struct qat_sim_registers){ pf->vf_value[vf], pf->vf_writable, QAT_SIM_VF_CONFIG };
	return true;
}

static int read_config(struct pci_bus *bus, unsigned int devfn, int where, int size, u32 *value)
{
	struct qat_sim_registers function;
	int i;

	*value = ~0;
	if (!find_function(qat_sim_pf_of_bus(bus), devfn, &function))
		return PCIBIOS_DEVICE_NOT_FOUND;

	*value = 0;
	for (i = 0; i < size && where + i < function.size; i++)
		*value |= (u32)function.value[where + i] << 8 * i;
	return PCIBIOS_SUCCESSFUL;
}

static int write_config(struct pci_bus *bus, unsigned int devfn, int where, int size, u32 value)
{
	struct qat_sim_registers function;
	int i;

	if (!find_function(qat_sim_pf_of_bus(bus), devfn, &function))
		return PCIBIOS_DEVICE_NOT_FOUND;

	for (i = 0; i < size && where + i < function.size; i++) {
		u8 mask = function.writable[where + i];
		u8 *byte = &function.value[where + i];

		*byte = (*byte & ~mask) | (value >> 8 * i & mask);
	}
	return PCIBIOS_SUCCESSFUL;
}

/* Called by the PCI core with its configuration lock held and interrupts off. */
struct pci_ops qat_sim_pci_ops = {
	.read = read_config,
	.write = write_config,
};
