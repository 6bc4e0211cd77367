/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/queue.h"
#include "base/util.h"

static bool readable(const struct queue *q)
{
	struct pollfd fd = {.fd = queue__fd(q), .events = POLLIN};

	return poll(&fd, 1, 0) == 1;
}

static void test_order_and_bound(void **state _unused_)
{
	struct queue *q;
	int items[5];

	assert_int_equal(queue__new(&q, 4), 0);
	assert_null(queue__pop(q));
	/* Twice, so that the ring wraps. */
	for (int round = 0; round < 3; round++) {
		assert_int_equal(queue__push(q, &items[0]), 0);
		assert_ptr_equal(queue__pop(q), &items[0]);
		for (int i = 0; i < 4; i++)
			assert_int_equal(queue__push(q, &items[i]), 0);
		assert_int_equal(queue__push(q, &items[4]), -EAGAIN);
		assert_int_equal(queue__len(q), 4);
		for (int i = 0; i < 4; i++)
			assert_ptr_equal(queue__pop(q), &items[i]);
		assert_null(queue__pop(q));
		assert_int_equal(queue__len(q), 0);
	}
	queue__free(q, NULL);
}

static void test_level(void **state _unused_)
{
	struct queue *q;
	int item;

	assert_int_equal(queue__new(&q, 2), 0);
	assert_false(readable(q));
	assert_int_equal(queue__push(q, &item), 0);
	assert_true(readable(q));
	assert_true(readable(q));
	assert_int_equal(queue__push(q, &item), 0);
	assert_int_equal(queue__push(q, &item), -EAGAIN);
	assert_non_null(queue__pop(q));
	assert_true(readable(q));
	assert_non_null(queue__pop(q));
	assert_null(queue__pop(q));
	assert_false(readable(q));
	assert_int_equal(queue__push(q, &item), 0);
	assert_true(readable(q));
	queue__free(q, NULL);
}

static void test_descriptor_flags(void **state _unused_)
{
	struct queue *q;

	assert_int_equal(queue__new(&q, 1), 0);
	assert_true(fcntl(queue__fd(q), F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(queue__fd(q), F_GETFL) & O_NONBLOCK);
	queue__free(q, NULL);
}

static void count(void *item)
{
	++*(int *)item;
}

static void test_free_gives_back_what_is_left(void **state _unused_)
{
	struct queue *q;
	int a = 0, b = 0;

	assert_int_equal(queue__new(&q, 8), 0);
	assert_int_equal(queue__push(q, &a), 0);
	assert_int_equal(queue__push(q, &b), 0);
	assert_int_equal(queue__push(q, &b), 0);
	assert_non_null(queue__pop(q));
	queue__free(q, count);
	assert_int_equal(a, 0);
	assert_int_equal(b, 2);
	queue__free(NULL, count);
}

static void test_new_refuses(void **state _unused_)
{
	struct queue *q = (void *)1;

	assert_int_equal(queue__new(&q, 0), -EINVAL);
	assert_int_equal(queue__new(&q, SIZE_MAX), -ENOMEM);
	assert_ptr_equal(q, (void *)1);
}

#define THREAD_ITEMS 20000

static void *produce(void *arg)
{
	struct queue *q = arg;

	for (uintptr_t i = 1; i <= THREAD_ITEMS; i++) {
		while (queue__push(q, (void *)i) == -EAGAIN)
			sched_yield();
	}
	return NULL;
}

/* Waits on the descriptor alone: a level that is lost once would hang here. */
static void test_two_threads(void **state _unused_)
{
	struct queue *q;
	pthread_t thread;
	uintptr_t expected = 1;

	assert_int_equal(queue__new(&q, 7), 0);
	assert_int_equal(pthread_create(&thread, NULL, produce, q), 0);
	while (expected <= THREAD_ITEMS) {
		struct pollfd fd = {.fd = queue__fd(q), .events = POLLIN};
		void *item;

		assert_int_equal(poll(&fd, 1, 30000), 1);
		while ((item = queue__pop(q)))
			assert_int_equal((uintptr_t)item, expected++);
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_null(queue__pop(q));
	assert_false(readable(q));
	queue__free(q, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_and_bound),
		cmocka_unit_test(test_level),
		cmocka_unit_test(test_descriptor_flags),
		cmocka_unit_test(test_free_gives_back_what_is_left),
		cmocka_unit_test(test_new_refuses),
		cmocka_unit_test(test_two_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
