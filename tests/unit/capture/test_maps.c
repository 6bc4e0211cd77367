/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel answers about maps is tests/bpf's matter: here, what stays of a call. */
#include "capture/maps.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void priority_is_given_back(void **state)
{
	uint32_t key = 0, value = 0;

	(void)state;
	for (unsigned n = 0; n < 2; n++) {
		assert_int_equal(map__lookup(-1, &key, &value), -EBADF);
		assert_int_equal(errno, EBADF);
		assert_int_equal(map__update(-1, &key, &value, 0), -EBADF);
		assert_int_equal(map__delete(-1, &key), -EBADF);
		assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
		maps__undisturbed();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(priority_is_given_back)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
