/* SPDX-License-Identifier: Apache-2.0 */
/* Go's layouts, Promtail's named formats, and what both do with odd input. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/util.h"
#include "process/go_time.h"

#define S UINT64_C(1000000000)
#define MS UINT64_C(1000000)
#define US UINT64_C(1000)

/* 2019-07-14 00:00:00 */
#define NOW (UINT64_C(1563062400) * S)

static int parse(const char *format, const struct time_zone *zone, const char *text, uint64_t now,
		 struct go_time_result *ret)
{
	struct go_time *t;
	int err;

	if (go_time__new(&t, format, zone))
		fail_msg("%s was refused", format);
	err = go_time__parse(t, text, strlen(text), now, ret);
	go_time__free(t);
	return err;
}

static void is_in(const char *format, const struct time_zone *zone, const char *text, uint64_t ns,
		  uint64_t resolution_ns)
{
	struct go_time_result r = {0};
	int err = parse(format, zone, text, NOW, &r);

	if (err || r.ns != ns || r.resolution_ns != resolution_ns)
		fail_msg("%s of '%s': %d, %llu, %llu", format, text, err, (unsigned long long)r.ns,
			 (unsigned long long)r.resolution_ns);
}

static void is(const char *format, const char *text, uint64_t ns, uint64_t resolution_ns)
{
	is_in(format, NULL, text, ns, resolution_ns);
}

static void fails_as(const char *format, const char *text, int expected)
{
	struct go_time_result r = {.ns = 7};
	int err = parse(format, NULL, text, NOW, &r);

	if (err != expected || r.ns != 7)
		fail_msg("%s of '%s': %d", format, text, err);
}

static void fails(const char *format, const char *text)
{
	fails_as(format, text, -EINVAL);
}

static struct time_zone *new_york(void)
{
	struct time_zone *z;

	if (time_zone__load(&z, "America/New_York", NULL)) {
		print_message("SKIP no time zones here (Debian: tzdata)\n");
		skip();
	}
	return z;
}

static void named_formats(void **state _unused_)
{
	uint64_t at = UINT64_C(1136239445) * S;	   /* 2006-01-02 22:04:05 UTC */
	uint64_t clock = UINT64_C(1136214245) * S; /* 15:04:05 UTC */

	is("ANSIC", "Mon Jan  2 15:04:05 2006", clock, S);
	is("UnixDate", "Mon Jan  2 15:04:05 UTC 2006", clock, S);
	is("UnixDate", "Mon Jan  2 15:04:05 MST 2006", clock, S); /* nobody knows MST here */
	is("RubyDate", "Mon Jan 02 15:04:05 -0700 2006", at, S);
	is("RFC822", "02 Jan 06 15:04 UTC", clock - 5 * S, 60 * S);
	is("RFC822Z", "02 Jan 06 15:04 -0700", at - 5 * S, 60 * S);
	is("RFC850", "Monday, 02-Jan-06 15:04:05 GMT", clock, S);
	is("RFC1123", "Mon, 02 Jan 2006 15:04:05 GMT", clock, S);
	is("RFC1123Z", "Mon, 02 Jan 2006 15:04:05 -0700", at, S);
	is("RFC3339", "2006-01-02T15:04:05-07:00", at, S);
	is("RFC3339Nano", "2006-01-02T15:04:05.123456789-07:00", at + 123456789, 1);
}

static void rfc3339(void **state _unused_)
{
	static const char *const nano = "RFC3339Nano", *const plain = "RFC3339";

	is(plain, "2012-11-01T22:08:41-04:00", UINT64_C(1351822121) * S, S);
	is(plain, "2012-11-01T22:08:41+00:00", UINT64_C(1351807721) * S, S);
	is(plain, "2106-01-02T23:04:05-04:00", UINT64_C(4291931045) * S, S);
	is(plain, "2019-10-01T01:02:03.4Z", UINT64_C(1569891723400) * MS, MS);
	is(nano, "2019-10-01T01:02:03.400000000Z", UINT64_C(1569891723400) * MS, 1);
	is(nano, "2019-10-01T01:02:03Z", UINT64_C(1569891723) * S, S);
	is(nano, "2019-10-01T01:02:03.123Z", UINT64_C(1569891723123) * MS, MS);
	is(nano, "2019-10-01T01:02:03.1234Z", UINT64_C(1569891723123400) * US, US);
	is(nano, "2019-10-01T01:02:03.1234567891Z", UINT64_C(1569891723123456789), 1);
	/* What Go's layout takes besides. */
	is(plain, "2019-10-01T1:02:03Z", UINT64_C(1569891723) * S, S);
	is(plain, "2019-10-01T01:02:03,5Z", UINT64_C(1569891723500) * MS, MS);
	is(plain, "2019-10-01T01:02:03+24:00", UINT64_C(1569805323) * S, S);
	fails(plain, "2019-10-01 01:02:03Z");
	fails(plain, "2019-10-01T01:02:03");
	fails(plain, "2019-10-01T01:02:03z");
	fails(plain, "2019-10-01T24:02:03Z");
	fails(plain, "2019-10-01T01:60:03Z");
	fails(plain, "2019-10-01T01:02:60Z");
	fails(plain, "2019-02-29T01:02:03Z");
	fails(plain, "2019-00-01T01:02:03Z");
	fails(plain, "2019-10-32T01:02:03Z");
	fails(plain, "2019-10-01T01:02:03+0100");
	fails(plain, "2019-10-01T01:02:03.Z");
	fails(plain, "2019-10-01T01:02:03Z ");
	fails(plain, "");
	fails_as(plain, "1969-12-31T23:59:59Z", -ERANGE);
	fails_as(plain, "9999-01-01T00:00:00Z", -ERANGE);
	is(plain, "1970-01-01T00:00:00Z", 0, S);
}

static void unix_times(void **state _unused_)
{
	is("Unix", "1562708916", UINT64_C(1562708916) * S, S);
	is("Unix", "1562708916.414123", UINT64_C(1562708916414123) * US, US);
	is("Unix", "1562708916.000000123", UINT64_C(1562708916000000123), 1);
	is("Unix", "1562708916.5", UINT64_C(1562708916500) * MS, MS);
	is("Unix", "+1", S, S);
	is("UnixMs", "1562708916414", UINT64_C(1562708916414) * MS, MS);
	is("UnixUs", "1562708916414123", UINT64_C(1562708916414123) * US, US);
	is("UnixNs", "1562708916000000123", UINT64_C(1562708916000000123), 1);
	fails("Unix", "1562708916.");
	fails("Unix", ".5");
	fails("Unix", "1.2.3");
	fails("Unix", "1.-5");
	fails("Unix", "12a");
	fails("Unix", "");
	fails("Unix", "-");
	fails("Unix", " 1");
	fails("UnixMs", "1562708916414.5");
	fails("UnixNs", "99999999999999999999");
	fails_as("Unix", "-1", -ERANGE);
	fails_as("Unix", "99999999999", -ERANGE);
}

static void layouts(void **state _unused_)
{
	uint64_t t = UINT64_C(1563152523) * S; /* 2019-07-15 01:02:03 */

	is("06 Jan 02 15:04:05", "19 Jul 15 01:02:03", t, S);
	is("2006 Jan 02 15:04:05", "2019 Jul 15 01:02:03", t, S);
	is("2006-01-02", "2009-01-01", UINT64_C(1230768000) * S, 86400 * S);
	is("2006-01-02 15:04:05.000", "2019-07-15 01:02:03.456", t + 456 * MS, MS);
	is("2006-01-02 15:04:05,000", "2019-07-15 01:02:03,456", t + 456 * MS, MS);
	is("2006-01-02 15:04:05.00", "2019-07-15 01:02:03.45", t + 450 * MS, 10 * MS);
	is("2006-01-02 15:04:05.000000", "2019-07-15 01:02:03.456789", t + 456789 * US, US);
	is("2006-01-02 15:04:05.999", "2019-07-15 01:02:03", t, S);
	is("2006-01-02 15:04:05.999", "2019-07-15 01:02:03.45", t + 450 * MS, MS);
	is("2006-01-02 15:04:05", "2019-07-15 01:02:03.456789", t + 456789 * US, US);
	is("2006-01-02 15:04:05", "2019-07-15   01:02:03", t,
	   S); /* a space is any number of them */
	is("02/Jan/2006:15:04:05 -0700", "15/Jul/2019:03:02:03 +0200", t, S);
	is("1/2/2006 3:4:5 PM", "7/15/2019 1:2:3 AM", t, S);
	is("1/2/06 3:4:5pm", "7/15/19 1:2:3pm", t + 12 * 3600 * S, S);
	is("2006-01-02 03:04:05 PM", "2019-07-15 12:02:03 AM", t - 3600 * S, S);
	is("2006-01-02 03:04:05 PM pm", "2019-07-15 01:02:03 PM am", t + 12 * 3600 * S, S);
	is("January _2, 2006 15:04:05", "july 15, 2019 01:02:03", t, S);
	is("Monday Jan _2 15:04:05 2006", "Friday Jul 15 01:02:03 2019", t, S);
	is("2006-002 15:04:05", "2019-196 01:02:03", t, S);
	is("2006 __2 15:04:05", "2019  74 01:02:03", t - 122 * 86400 * S, S);
	is("20060102150405", "20190715010203", t, S);
	is("20060102_150405", "20190715_010203", t, S);
	is("_2006-01-02 15:04:05", "_2019-07-15 01:02:03", t, S);
	is("2006-01-02T15:04:05Z0700", "2019-07-15T01:02:03Z", t, S);
	is("2006-01-02T15:04:05Z0700", "2019-07-15T03:02:03+0200", t, S);
	is("2006-01-02T15:04:05Z07", "2019-07-15T03:02:03+02", t, S);
	is("2006-01-02T15:04:05-07:00:00", "2019-07-15T03:02:04+02:00:01", t, S);
	is("2006-01-02T15:04:05Z070000", "2019-07-15T03:02:04+020001", t, S);
	is("2006-01-02 15:04:05.000 MST", "2019-07-15 01:02:03.000 UTC", t, MS);
	is("2006-01-02 15:04", "2019-07-15 01:02", t - 3 * S, 60 * S);
	is("2006-01-02 15h", "2019-07-15 01h", t - 123 * S, 3600 * S);
	fails("2006-01-02 15:04:05.000", "2019-07-15 01:02:03.45");
	fails("2006-01-02 15:04:05.000", "2019-07-15 01:02:03.4567");
	fails("2006-01-02 15:04:05.000", "2019-07-15 01:02:03");
	fails("2006-01-02 03:04:05 PM", "2019-07-15 13:02:03 AM");
	fails("2006-01-02 15:04:05 .000", "2019-07-15 01:02:03.5 .456"); /* it is named behind */
	fails("2006-01-02 03:04:05 PM", "2019-07-15 01:02:03 pm");
	fails("2006-01-02 15:04:05", "2019-7-15 01:02:03");
	fails("2006-002 Jan", "2019-196 Jun");
	fails("2006-002", "2019-366");
	fails("2006-01-02 MST", "2019-07-15 Xyz");
}

static void without_a_year(void **state _unused_)
{
	uint64_t jan = UINT64_C(1546300800) * S; /* 2019-01-01 00:00:00 */
	uint64_t dec = UINT64_C(1546300799) * S; /* 2018-12-31 23:59:59 */
	uint64_t day = UINT64_C(86400) * S;
	struct go_time_result r;

	is("Jan 02 15:04:05", "Jul 15 01:02:03", UINT64_C(1563152523) * S, S);
	is("Jan _2 15:04:05", "Jul  5 01:02:03", UINT64_C(1563152523) * S - 10 * day, S);
	assert_int_equal(parse("Jan 02 15:04:05", NULL, "Dec 31 23:59:59", jan, &r), 0);
	assert_int_equal(r.ns, dec);
	assert_int_equal(parse("Jan 02 15:04:05", NULL, "Jan 01 01:02:03", dec, &r), 0);
	assert_int_equal(r.ns, jan + 3723 * S);
	assert_int_equal(parse("Jan 02 15:04:05", NULL, "Feb 29 00:00:00", jan, &r), 0);
	assert_int_equal(r.ns, jan + 59 * day); /* the 1st of March */
	assert_int_equal(parse("15:04:05", NULL, "01:02:03", jan, &r), 0);
	assert_int_equal(r.ns, jan + 3723 * S);
}

static void in_a_zone(void **state _unused_)
{
	struct time_zone *z = new_york();
	struct go_time *t;

	is_in("2006-01-02 15:04:05", z, "2019-07-22 20:29:32", UINT64_C(1563841772) * S, S);
	is_in("2006-01-02 15:04:05", z, "2009-07-01 03:30:20", UINT64_C(1246433420) * S, S);
	is_in("2006 Jan 02 15:04:05", z, "2019 Jul 15 01:02:03", UINT64_C(1563166923) * S, S);
	is_in("Jan 02 15:04:05", z, "Jul 15 01:02:03", UINT64_C(1563166923) * S, S);
	is_in("Jan 02 15:04:05", z, "Jan 15 01:02:03", UINT64_C(1547532123) * S, S);
	is_in("2006-01-02 15:04:05 MST", z, "2019-01-15 01:02:03 EST", UINT64_C(1547532123) * S, S);
	is_in("2006-01-02 15:04:05 MST", z, "2019-01-15 01:02:03 UTC", UINT64_C(1547514123) * S, S);
	is_in("2006-01-02 15:04:05 -0700", z, "2019-01-15 01:02:03 +0000", UINT64_C(1547514123) * S,
	      S);
	/* Promtail's named formats take no notice. */
	is_in("ANSIC", z, "Tue Jan 15 01:02:03 2019", UINT64_C(1547514123) * S, S);
	assert_int_equal(go_time__new(&t, "ANSIC", z), 0);
	assert_true(go_time__ignores_zone(t));
	go_time__free(t);
	assert_int_equal(go_time__new(&t, "RFC3339", z), 0);
	assert_false(go_time__ignores_zone(t));
	go_time__free(t);
	time_zone__free(z);
}

static void refused(void **state _unused_)
{
	char many[400] = "";
	struct go_time *t = NULL;

	assert_int_equal(go_time__new(&t, "%Y-%m-%d", NULL), -EINVAL);
	assert_int_equal(go_time__new(&t, "yyyy-MM-dd HH:mm:ss", NULL), -EINVAL);
	assert_int_equal(go_time__new(&t, "", NULL), -EINVAL);
	assert_int_equal(go_time__new(&t, "Month", NULL), -EINVAL);
	for (int i = 0; i < 70; i++)
		strcat(many, "2006 ");
	assert_int_equal(go_time__new(&t, many, NULL), -EINVAL);
	assert_null(t);
	go_time__free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(named_formats),  cmocka_unit_test(rfc3339),
		cmocka_unit_test(unix_times),	  cmocka_unit_test(layouts),
		cmocka_unit_test(without_a_year), cmocka_unit_test(in_a_zone),
		cmocka_unit_test(refused),
	};

	return cmocka_run_group_tests_name("go_time", tests, NULL, NULL);
}
