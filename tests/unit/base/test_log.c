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
		cmocka_unit_test(test_errno_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
