/* SPDX-License-Identifier: Apache-2.0 */
/* Zones: files made here, so that the host needs none, and the host's where it has them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/util.h"
#include "process/time_zone.h"

struct file {
	uint8_t bytes[1024];
	size_t len;
};

static void put(struct file *f, const void *data, size_t len)
{
	assert_true(f->len + len <= sizeof(f->bytes));
	memcpy(f->bytes + f->len, data, len);
	f->len += len;
}

static void put_number(struct file *f, uint64_t value, unsigned width)
{
	while (width--) {
		uint8_t byte = (uint8_t)(value >> (8 * width));

		put(f, &byte, 1);
	}
}

static void put_header(struct file *f, char version, unsigned times, unsigned types, unsigned chars)
{
	char head[20] = "TZif";

	head[4] = version;
	put(f, head, sizeof(head));
	for (int i = 0; i < 3; i++)
		put_number(f, 0, 4);
	put_number(f, times, 4);
	put_number(f, types, 4);
	put_number(f, chars, 4);
}

/* Two transitions: to CET's summer time in 1980, back in 1981; EST-like names of three letters. */
static void make_file(struct file *f, const char *footer)
{
	put_header(f, '2', 0, 1, 1);
	put(f, "\0\0\0\0\0\0", 6);
	put(f, "", 1);
	put_header(f, '2', 2, 2, 8);
	put_number(f, 323830800, 8); /* 1980-04-06 01:00 */
	put_number(f, 354675600, 8); /* 1981-03-29 01:00 */
	put(f, "\1\0", 2);
	put_number(f, 3600, 4);
	put(f, "\0\0", 2);
	put_number(f, 7200, 4);
	put(f, "\1\4", 2);
	put(f, "CET\0CES\0", 8);
	put(f, "\n", 1);
	put(f, footer, strlen(footer));
	put(f, "\n", 1);
}

static struct time_zone *zone_with(const char *footer)
{
	struct file f = {.len = 0};
	struct time_zone *z;

	make_file(&f, footer);
	assert_int_equal(time_zone__parse(&z, f.bytes, f.len), 0);
	return z;
}

static void offset_is(const struct time_zone *z, int64_t unix_s, int32_t offset, const char *name)
{
	const char *got;

	assert_int_equal(time_zone__offset(z, unix_s, &got), offset);
	assert_string_equal(got, name);
}

static void transitions(void **state _unused_)
{
	struct time_zone *z = zone_with("");

	offset_is(z, 0, 3600, "CET");
	offset_is(z, INT64_MIN / 2, 3600, "CET");
	offset_is(z, 323830799, 3600, "CET");
	offset_is(z, 323830800, 7200, "CES");
	offset_is(z, 354675599, 7200, "CES");
	offset_is(z, 354675600, 3600, "CET");
	offset_is(z, 4000000000, 3600, "CET");
	offset_is(NULL, 0, 0, "UTC");
	time_zone__free(z);
	time_zone__free(NULL);
}

static void rules(void **state _unused_)
{
	struct time_zone *z = zone_with("CET-1CEST,M3.5.0,M10.5.0/3");

	offset_is(z, 1774745999, 3600, "CET"); /* 2026-03-29 01:00 UTC less one second */
	offset_is(z, 1774746000, 7200, "CEST");
	offset_is(z, 1792889999, 7200, "CEST"); /* 2026-10-25 01:00 UTC less one second */
	offset_is(z, 1792890000, 3600, "CET");
	offset_is(z, 320000000, 3600, "CET"); /* before the last transition: the table */
	time_zone__free(z);

	z = zone_with("EST5EDT,M3.2.0,M11.1.0");
	offset_is(z, 1772953199, -18000, "EST"); /* 2026-03-08 07:00 UTC less one second */
	offset_is(z, 1772953200, -14400, "EDT");
	offset_is(z, 1793512799, -14400, "EDT"); /* 2026-11-01 06:00 UTC less one second */
	offset_is(z, 1793512800, -18000, "EST");
	time_zone__free(z);

	z = zone_with("AEST-10AEDT,M10.1.0,M4.1.0/3"); /* the year begins in summer */
	offset_is(z, 1767225600, 39600, "AEDT");
	offset_is(z, 1782864000, 36000, "AEST");
	time_zone__free(z);

	z = zone_with("<+0330>-3:30<+0430>,J79/24,J263/24");
	offset_is(z, 1774008000, 12600, "+0330"); /* 2026-03-20 12:00 UTC */
	offset_is(z, 1774094400, 16200, "+0430"); /* 2026-03-21 12:00 UTC */
	time_zone__free(z);

	z = zone_with("<-02>2<-01>,M3.5.0/-1,M10.5.0/0");
	offset_is(z, 1774745999, -7200, "-02");
	offset_is(z, 1774746000, -3600, "-01");
	time_zone__free(z);

	z = zone_with("JST-9");
	offset_is(z, 1774746000, 32400, "JST");
	time_zone__free(z);
}

/* In a gap and a fold Go's Date takes what its arithmetic gives: here the standard time. */
static void local_times(void **state _unused_)
{
	struct time_zone *z = zone_with("CET-1CEST,M3.5.0,M10.5.0/3");
	int64_t gap = 1774746000 + 3600, fold = 1792890000 + 3600;
	int32_t offset = 0;

	assert_int_equal(time_zone__offset_of_local(z, gap - 1), 3600);
	assert_int_equal(time_zone__offset_of_local(z, gap), 3600);
	assert_int_equal(time_zone__offset_of_local(z, gap + 3600), 7200);
	assert_int_equal(time_zone__offset_of_local(z, fold - 1), 7200);
	assert_int_equal(time_zone__offset_of_local(z, fold), 3600);
	assert_int_equal(time_zone__offset_of_local(z, fold + 3600), 3600);
	assert_int_equal(time_zone__offset_of_local(NULL, fold), 0);

	assert_int_equal(time_zone__abbreviation(z, "CES", 3, fold, &offset), 0);
	assert_int_equal(offset, 7200);
	assert_int_equal(time_zone__abbreviation(z, "PST", 3, fold, &offset), -ENOENT);
	assert_int_equal(time_zone__abbreviation(NULL, "PST", 3, fold, &offset), -ENOENT);
	assert_int_equal(offset, 7200);
	time_zone__free(z);
}

static void broken_files(void **state _unused_)
{
	static const char *const footers[] = {
		"CET",
		"CE-1",
		"CET-1CEST,M3.5.0",
		"CET-1CEST,M13.5.0,M10.5.0",
		"CET-1CEST",
		"CET-1CEST,J0,J1",
		"CET-1CEST,M3.5.0,M10.5.0x",
		"<CET-1",
		"CET-99",
		"CET-1CEST,M3.6.0,J1",
		"CET-1CEST,M3.5.7,J1",
		"CET-1CEST,,",
	};
	struct time_zone *z = NULL;
	struct file f = {.len = 0};

	for (size_t i = 0; i < ARRAY_SIZE(footers); i++) {
		f.len = 0;
		make_file(&f, footers[i]);
		if (time_zone__parse(&z, f.bytes, f.len) != -EINVAL)
			fail_msg("%s was taken", footers[i]);
	}
	f.len = 0;
	make_file(&f, "CET-1");
	for (size_t len = 0; len < f.len; len++)
		assert_int_equal(time_zone__parse(&z, f.bytes, len), -EINVAL);
	f.bytes[0] = 'X';
	assert_int_equal(time_zone__parse(&z, f.bytes, f.len), -EINVAL);
	assert_null(z);
}

static void names(void **state _unused_)
{
	static const char *const bad[] = {"../passwd", "/etc/localtime", "a\\b", "Europe/../x"};
	struct time_zone *z = (void *)1;

	assert_int_equal(time_zone__load(&z, "UTC", NULL), 0);
	assert_null(z);
	z = (void *)1;
	assert_int_equal(time_zone__load(&z, "", NULL), 0);
	assert_null(z);
	assert_int_equal(time_zone__load(&z, "America/Canada", NULL), -ENOENT);
	assert_int_equal(time_zone__load(&z, "America", NULL), -ENOENT);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(time_zone__load(&z, bad[i], NULL), -EINVAL);
	assert_int_equal(time_zone__load(&z, "self/status", "/proc"), -EINVAL);
}

static void of_the_host(void **state _unused_)
{
	struct time_zone *z;

	if (access("/usr/share/zoneinfo/America/New_York", R_OK)) {
		print_message("SKIP no time zones here (Debian: tzdata)\n");
		skip();
	}
	assert_int_equal(time_zone__load(&z, "America/New_York", NULL), 0);
	offset_is(z, 1563829200, -14400, "EDT");
	offset_is(z, 1547510400, -18000, "EST");
	offset_is(z, 4102444800, -18000, "EST"); /* 2100: by the rule */
	offset_is(z, 4118083200, -14400, "EDT");
	time_zone__free(z);
}

static void dates(void **state _unused_)
{
	int64_t year;
	unsigned month, day;

	assert_int_equal(date__days(1970, 1, 1), 0);
	assert_int_equal(date__days(2000, 2, 29), 11016);
	assert_int_equal(date__days(2023, 2, 29), date__days(2023, 3, 1));
	assert_int_equal(date__days(0, 1, 1), -719528);
	for (int64_t d = -800000; d < 800000; d += 13) {
		date__of_days(d, &year, &month, &day);
		assert_int_equal(date__days(year, month, day), d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(transitions), cmocka_unit_test(rules),
		cmocka_unit_test(local_times), cmocka_unit_test(broken_files),
		cmocka_unit_test(names),       cmocka_unit_test(of_the_host),
		cmocka_unit_test(dates),
	};

	return cmocka_run_group_tests_name("time_zone", tests, NULL, NULL);
}
