/* SPDX-License-Identifier: Apache-2.0 */
/* A layout, cut: what the files of go_time.h share. */
#ifndef NOTAIL_PROCESS_GO_TIME_INTERNAL_H
#define NOTAIL_PROCESS_GO_TIME_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "process/go_time.h"

#define ELEMENTS_MAX 64
#define SECOND_NS 1000000000u
#define DAY_S 86400

enum element_kind {
	END,
	LONG_MONTH,
	MONTH,
	NUM_MONTH,
	ZERO_MONTH,
	LONG_WEEKDAY,
	WEEKDAY,
	DAY,
	UNDER_DAY,
	ZERO_DAY,
	UNDER_YEAR_DAY,
	ZERO_YEAR_DAY,
	HOUR,
	HOUR12,
	ZERO_HOUR12,
	MINUTE,
	ZERO_MINUTE,
	SECOND,
	ZERO_SECOND,
	LONG_YEAR,
	YEAR,
	UPPER_PM,
	LOWER_PM,
	ZONE_NAME,
	ZONE_ISO, /* Z for UTC, else as ZONE_NUM */
	ZONE_NUM,
	FRACTION_0,
	FRACTION_9,
};

/* How a zone's offset is written: .number of an element. */
enum { ZONE_HHMM, ZONE_HH_MM, ZONE_HH, ZONE_HHMMSS, ZONE_HH_MM_SS };

struct element {
	enum element_kind kind;
	int number; /* a fraction's digits; a zone's form */
	const char *prefix;
	size_t prefix_len;
};

enum form { FORM_LAYOUT, FORM_RFC3339, FORM_UNIX };

struct go_time {
	enum form form;
	const struct time_zone *zone;
	bool ignores_zone, yearless;
	uint64_t unit_ns;	/* of FORM_UNIX */
	uint64_t resolution_ns; /* of times without a fraction */
	char *layout;
	size_t n_elements;
	struct element elements[ELEMENTS_MAX];
};

static inline bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

#endif
