/* SPDX-License-Identifier: Apache-2.0 */
/* Layouts, by their names too. */
#include "process/go_time_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

static const struct {
	const char *name, *layout;
} named[] = {
	{"ANSIC", "Mon Jan _2 15:04:05 2006"},
	{"UnixDate", "Mon Jan _2 15:04:05 MST 2006"},
	{"RubyDate", "Mon Jan 02 15:04:05 -0700 2006"},
	{"RFC822", "02 Jan 06 15:04 MST"},
	{"RFC822Z", "02 Jan 06 15:04 -0700"},
	{"RFC850", "Monday, 02-Jan-06 15:04:05 MST"},
	{"RFC1123", "Mon, 02 Jan 2006 15:04:05 MST"},
	{"RFC1123Z", "Mon, 02 Jan 2006 15:04:05 -0700"},
	{"RFC3339", "2006-01-02T15:04:05Z07:00"},
	{"RFC3339Nano", "2006-01-02T15:04:05.999999999Z07:00"},
};

static const struct {
	const char *name;
	uint64_t unit_ns;
} units[] = {{"Unix", SECOND_NS}, {"UnixMs", 1000000}, {"UnixUs", 1000}, {"UnixNs", 1}};

const char *const go_time_names[] = {"ANSIC",  "UnixDate", "RubyDate", "RFC822",  "RFC822Z",
				     "RFC850", "RFC1123",  "RFC1123Z", "RFC3339", "RFC3339Nano",
				     "Unix",   "UnixMs",   "UnixUs",   "UnixNs",  NULL};

/* The elements whose text says all; of several that match, the first. "Jan" and "Mon" are not in
 * words ("Month"), and "_2006" is an underscore before a year. */
static const struct {
	const char *text;
	enum element_kind kind;
	int number;
} spellings[] = {
	{"January", LONG_MONTH, 0},
	{"Jan", MONTH, 0},
	{"Monday", LONG_WEEKDAY, 0},
	{"Mon", WEEKDAY, 0},
	{"MST", ZONE_NAME, 0},
	{"01", ZERO_MONTH, 0},
	{"02", ZERO_DAY, 0},
	{"03", ZERO_HOUR12, 0},
	{"04", ZERO_MINUTE, 0},
	{"05", ZERO_SECOND, 0},
	{"06", YEAR, 0},
	{"002", ZERO_YEAR_DAY, 0},
	{"15", HOUR, 0},
	{"1", NUM_MONTH, 0},
	{"2006", LONG_YEAR, 0},
	{"2", DAY, 0},
	{"_2", UNDER_DAY, 0},
	{"__2", UNDER_YEAR_DAY, 0},
	{"3", HOUR12, 0},
	{"4", MINUTE, 0},
	{"5", SECOND, 0},
	{"PM", UPPER_PM, 0},
	{"pm", LOWER_PM, 0},
	{"-070000", ZONE_NUM, ZONE_HHMMSS},
	{"-07:00:00", ZONE_NUM, ZONE_HH_MM_SS},
	{"-0700", ZONE_NUM, ZONE_HHMM},
	{"-07:00", ZONE_NUM, ZONE_HH_MM},
	{"-07", ZONE_NUM, ZONE_HH},
	{"Z070000", ZONE_ISO, ZONE_HHMMSS},
	{"Z07:00:00", ZONE_ISO, ZONE_HH_MM_SS},
	{"Z0700", ZONE_ISO, ZONE_HHMM},
	{"Z07:00", ZONE_ISO, ZONE_HH_MM},
	{"Z07", ZONE_ISO, ZONE_HH},
};

static bool starts(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* The fraction at `p`, a point or a comma and noughts or nines up to what is no digit. */
static size_t fraction_element(const char *p, struct element *e)
{
	size_t n = 1;

	if ((*p != '.' && *p != ',') || (p[1] != '0' && p[1] != '9'))
		return 0;
	while (p[n] == p[1])
		n++;
	if (is_digit(p[n]))
		return 0;
	e->kind = p[1] == '0' ? FRACTION_0 : FRACTION_9;
	e->number = (int)n - 1;
	return n;
}

/* The element at `p`: its length, 0: none begins here. */
static size_t element_at(const char *p, struct element *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(spellings); i++) {
		size_t len = strlen(spellings[i].text);
		enum element_kind kind = spellings[i].kind;

		if (!starts(p, spellings[i].text))
			continue;
		if ((kind == MONTH || kind == WEEKDAY) && p[len] >= 'a' && p[len] <= 'z')
			continue;
		if (kind == UNDER_DAY && starts(p, "_2006"))
			continue;
		e->kind = kind;
		e->number = spellings[i].number;
		return len;
	}
	return fraction_element(p, e);
}

static int cut_layout(struct go_time *t)
{
	const char *p = t->layout, *prefix = p;

	for (;;) {
		struct element *e = &t->elements[t->n_elements];
		size_t len = 0;

		if (t->n_elements == ELEMENTS_MAX)
			return -EINVAL;
		if (*p && !(len = element_at(p, e))) {
			p++;
			continue;
		}
		e->prefix = prefix;
		e->prefix_len = (size_t)(p - prefix);
		t->n_elements++;
		if (!*p) {
			e->kind = END;
			break;
		}
		p += len;
		prefix = p;
	}
	return t->n_elements > 1 ? 0 : -EINVAL;
}

static void find_resolution(struct go_time *t)
{
	t->resolution_ns = (uint64_t)DAY_S * SECOND_NS;
	for (size_t i = 0; i < t->n_elements; i++) {
		enum element_kind kind = t->elements[i].kind;
		uint64_t unit = kind >= HOUR && kind <= ZERO_HOUR12	? 3600
				: kind == MINUTE || kind == ZERO_MINUTE ? 60
				: kind == SECOND || kind == ZERO_SECOND ? 1
									: DAY_S;

		t->resolution_ns = MIN(t->resolution_ns, unit * SECOND_NS);
	}
}

int go_time__new(struct go_time **ret, const char *format, const struct time_zone *zone)
{
	struct go_time *t = calloc(1, sizeof(*t));
	const char *layout = format;
	int err;

	if (!t)
		return -ENOMEM;
	t->zone = zone;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (strcmp(format, units[i].name) == 0) {
			t->form = FORM_UNIX;
			t->unit_ns = units[i].unit_ns;
			*ret = t;
			return 0;
		}
	for (size_t i = 0; i < ARRAY_SIZE(named); i++) {
		if (strcmp(format, named[i].name) != 0)
			continue;
		layout = named[i].layout;
		t->ignores_zone = zone && !strstr(layout, "07");
		t->zone = NULL;
	}
	if (strcmp(layout, "2006-01-02T15:04:05Z07:00") == 0 ||
	    strcmp(layout, "2006-01-02T15:04:05.999999999Z07:00") == 0)
		t->form = FORM_RFC3339;
	t->yearless = !strstr(layout, "06");
	t->layout = strdup(layout);
	err = t->layout ? cut_layout(t) : -ENOMEM;
	if (err) {
		go_time__free(t);
		return err;
	}
	find_resolution(t);
	*ret = t;
	return 0;
}

void go_time__free(struct go_time *t)
{
	if (!t)
		return;
	free(t->layout);
	free(t);
}

bool go_time__ignores_zone(const struct go_time *t)
{
	return t->ignores_zone;
}
