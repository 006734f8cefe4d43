/* SPDX-FileCopyrightText: 2026 accel.qat contributors */
/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What DEFINE_SHOW_STORE_ATTRIBUTE is in kernels newer than the virtual machine's. */
#ifndef QAT_SHOW_WRITE_H
#define QAT_SHOW_WRITE_H

#include <linux/fs.h>
#include <linux/module.h>
#include <linux/seq_file.h>

/* Defines name_fops from name_show() and name_write(). */
#define DEFINE_SHOW_WRITE_ATTRIBUTE(name)						\
static int name##_open(struct inode *inode, struct file *file)				\
{											\
	return single_open(file, name##_show, inode->i_private);			\
}											\
											\
static const struct file_operations name##_fops = {					\
	.owner = THIS_MODULE,								\
	.open = name##_open,								\
	.read = seq_read,								\
	.write = name##_write,								\
	.llseek = seq_lseek,								\
	.release = single_release,							\
}

#endif
