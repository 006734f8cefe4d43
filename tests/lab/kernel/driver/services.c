// SPDX-FileCopyrightText: 2026 accel.qat contributors
// SPDX-License-Identifier: GPL-2.0-or-later
/* Service strings: what each kernel accepts, and what it prints back. */
#include <linux/bitops.h>
#include <linux/kernel.h>
#include <linux/string.h>
#include "qat_common.h"

/* In the order in which kernels from 6.16 on print them. */
static const char * const tokens[] = { "asym", "sym", "dc", "decomp", "dcc" };
enum { ASYM, SYM, DC, DECOMP, DCC };

/* Before 6.16 a string must be one of these, to the letter; the first two are all of 6.1. */
static const char * const strings[] = {
	"sym;asym", "dc",
	"asym;sym", "dcc", "sym", "asym", "dc;asym", "asym;dc", "dc;sym", "sym;dc",
};
#define STRINGS_OF_6_1	2

static int parse_string(const char *text, size_t known, char *services)
{
	int found = __sysfs_match_string(strings, known, text);

	if (found < 0)
		return -EINVAL;
	strscpy(services, strings[found], QAT_SERVICES_SIZE);
	return 0;
}

/* Gen 4 does one service or any two; chained compression only alone; decomp is gen 6's. */
static bool supported(unsigned long set)
{
	if (test_bit(DECOMP, &set))
		return false;
	return hweight_long(set) == 1 || (hweight_long(set) == 2 && !test_bit(DCC, &set));
}

static int parse_set(const char *text, char *services)
{
	char copy[QAT_SERVICES_SIZE], *rest = copy, *token;
	unsigned long set = 0;
	int bit, length = 0;

	if (strscpy(copy, text, sizeof(copy)) < 0)
		return -EINVAL;
	while ((token = strsep(&rest, ";"))) {
		bit = sysfs_match_string(tokens, token);
		if (bit < 0 || test_and_set_bit(bit, &set))
			return -EINVAL;
	}
	if (!supported(set))
		return -EINVAL;
	for_each_set_bit(bit, &set, ARRAY_SIZE(tokens))
		length += scnprintf(services + length, QAT_SERVICES_SIZE - length, "%s%s",
				    length ? ";" : "", tokens[bit]);
	return 0;
}

int qat_parse_services(const char *text, char services[QAT_SERVICES_SIZE])
{
	const struct qat_generation *generation = qat_generation();

	if (generation->service_sets)
		return parse_set(text, services);
	return parse_string(text, generation->any_combination ? ARRAY_SIZE(strings) : STRINGS_OF_6_1, services);
}

/*
 * Ring pairs of a VF alternate between two services; sym and asym always start
 * with asym, whatever the order in the string.
 */
const char *qat_ring_pair_service(const char *services, unsigned int ring_pair)
{
	bool sym = false, asym = false, dc = false;
	char copy[QAT_SERVICES_SIZE], *rest = copy, *token;

	strscpy(copy, services, sizeof(copy));
	while ((token = strsep(&rest, ";"))) {
		asym |= !strcmp(token, "asym");
		sym |= !strcmp(token, "sym");
		dc |= !strcmp(token, "dc") || !strcmp(token, "dcc");
	}
	if (ring_pair % 2 == 0)
		return asym ? "asym" : sym ? "sym" : "dc";
	return dc ? "dc" : sym ? "sym" : "asym";
}
