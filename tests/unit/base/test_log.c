/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/log.h"

static char text[8192];

/* stderr is a pipe between these two. */
static int saved_fd, read_fd;

static void begin(void)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	saved_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	dup2(fds[1], STDERR_FILENO);
	close(fds[1]);
	read_fd = fds[0];
}

static size_t end(void)
{
	size_t len = 0;
	ssize_t n;

	if (saved_fd >= 0) {
		dup2(saved_fd, STDERR_FILENO);
		close(saved_fd);
	} else {
		close(STDERR_FILENO);
	}
	while ((n = read(read_fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	close(read_fd);
	return len;
}

static void test_levels(void **state _unused_)
{
	begin();
	log_error("e %d", 1);
	log_warn("w");
	log_info("i");
	log_debug("d");
	log__level(LOG_DEBUG);
	log_debug("d2");
	log__level(LOG_ERROR);
	log_warn("w2");
	log_error("e2");
	log__level(LOG_INFO);
	end();
	assert_string_equal(text, "notail: error: e 1\nnotail: warn: w\nnotail: i\nnotail: d2\n"
				  "notail: error: e2\n");
}

static void test_recent(void **state _unused_)
{
	struct log_message recent[LOG_RECENT];
	char wide[2 * LOG_RECENT_LEN];

	memset(wide, 'x', sizeof(wide) - 1);
	wide[sizeof(wide) - 1] = '\0';
	begin();
	for (int i = 0; i < LOG_RECENT + 3; i++)
		log_warn("w %d\n", i);
	log_info("no warning");
	log_error("%s", wide);
	log__level(LOG_ERROR);
	log_warn("not printed");
	log__level(LOG_INFO);
	end();
	assert_int_equal(log__recent(recent), LOG_RECENT);
	assert_int_equal(recent[0].level, LOG_ERROR);
	assert_int_equal(strlen(recent[0].text), LOG_RECENT_LEN - 1);
	assert_int_equal(recent[1].level, LOG_WARN);
	assert_string_equal(recent[1].text, "w 18?");
	assert_string_equal(recent[LOG_RECENT - 1].text, "w 4?");
	assert_true(recent[1].real_ns > 0);
}

static void test_enabled(void **state _unused_)
{
	assert_true(log__enabled(LOG_ERROR));
	assert_true(log__enabled(LOG_INFO));
	assert_false(log__enabled(LOG_DEBUG));
}

static void test_parse(void **state _unused_)
{
	enum log_level level = LOG_WARN;

	assert_int_equal(log__level_parse("loud", &level), -EINVAL);
	assert_int_equal(log__level_parse("", &level), -EINVAL);
	assert_int_equal(level, LOG_WARN);
	assert_int_equal(log__level_parse("error", &level), 0);
	assert_int_equal(level, LOG_ERROR);
	assert_int_equal(log__level_parse("warn", &level), 0);
	assert_int_equal(level, LOG_WARN);
	assert_int_equal(log__level_parse("info", &level), 0);
	assert_int_equal(level, LOG_INFO);
	assert_int_equal(log__level_parse("debug", &level), 0);
	assert_int_equal(level, LOG_DEBUG);
}

static void test_control_characters(void **state _unused_)
{
	begin();
	log_info("%s", "a\nnotail: forged\033[2J\r\t\x7f \xc3\xa4");
	end();
	assert_string_equal(text, "notail: a?notail: forged?[2J??? \xc3\xa4\n");
}

static void test_long_line_is_cut(void **state _unused_)
{
	char wide[3000];
	size_t len;

	memset(wide, 'x', sizeof(wide) - 1);
	wide[sizeof(wide) - 1] = '\0';
	begin();
	log_warn("%s", wide);
	len = end();
	assert_int_equal(len, 1024);
	assert_string_equal(text + 1020, "...\n");
	begin();
	log_info("%.*s", 1024 - 8 - 1, wide); /* fits to the byte */
	len = end();
	assert_int_equal(len, 1024);
	assert_string_equal(text + 1020, "xxx\n");
}

static void test_formats(void **state _unused_)
{
	enum log_format format = LOG_TEXT;

	assert_int_equal(log__format_parse("xml", &format), -EINVAL);
	assert_int_equal(log__format_parse("logfmt", &format), 0);
	log__format(format);
	begin();
	log_warn("a \"b\" \\ \xff\n");
	end();
	assert_string_equal(text + 3 + 30, " level=warn msg=\"a \\\"b\\\" \\\\ ??\"\n");
	assert_memory_equal(text, "ts=2", 4);
	assert_int_equal(log__format_parse("json", &format), 0);
	log__format(format);
	begin();
	log_error("\"");
	end();
	assert_memory_equal(text, "{\"ts\":\"2", 8);
	assert_non_null(strstr(text, "Z\",\"level\":\"error\",\"msg\":\"\\\"\"}\n"));
	log__format(LOG_TEXT);
}

static size_t count(const char *what)
{
	size_t n = 0;

	for (const char *p = text; (p = strstr(p, what)); p++)
		n++;
	return n;
}

static void say(struct log_site *site, int n)
{
	for (int i = 0; i < n; i++)
		log__print_from(site, LOG_WARN, "again");
}

static void test_one_place_is_held_back(void **state _unused_)
{
	uint64_t before = log__suppressed();
	struct log_site site = {0}, other = {0};

	begin();
	say(&site, LOG_BURST + 5);
	say(&other, 1);
	end();
	assert_int_equal(count("again"), LOG_BURST + 1);
	assert_int_equal(count("suppressed for a while"), 1);
	assert_int_equal(log__suppressed() - before, 5);
	atomic_store(&site.window_ns, atomic_load(&site.window_ns) - LOG_WINDOW_NS);
	begin();
	say(&site, 2);
	end();
	assert_string_equal(text, "notail: warn: 5 more suppressed, of the kind that follows\n"
				  "notail: warn: again\nnotail: warn: again\n");
}

/* A pipe that nobody reads is full after a while: it costs messages, and never the caller. */
static void test_a_stuck_reader(void **state _unused_)
{
	uint64_t before = log__unwritten();

	begin();
	assert_true(fcntl(STDERR_FILENO, F_SETPIPE_SZ, 4096) > 0);
	for (int i = 0; i < 8; i++)
		log__print(LOG_INFO, "%1000d", i);
	end();
	assert_in_range(log__unwritten() - before, 1, 7);
}

static void test_errno_stays(void **state _unused_)
{
	begin();
	errno = ENOENT;
	log_info("%m");
	assert_int_equal(errno, ENOENT);
	end();
	assert_non_null(strstr(text, strerror(ENOENT)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_recent),
		cmocka_unit_test(test_enabled),
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_control_characters),
		cmocka_unit_test(test_long_line_is_cut),
		cmocka_unit_test(test_formats),
		cmocka_unit_test(test_one_place_is_held_back),
		cmocka_unit_test(test_a_stuck_reader),
		cmocka_unit_test(test_errno_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
