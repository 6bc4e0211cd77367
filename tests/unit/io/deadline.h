/* SPDX-License-Identifier: Apache-2.0 */
/* A loop that a test runs until something stops it, and not for ever. */
#ifndef NOTAIL_TESTS_IO_DEADLINE_H
#define NOTAIL_TESTS_IO_DEADLINE_H

#include <stdbool.h>

#include "base/clock.h"
#include "io/loop.h"

#define DEADLINE_NS (60 * NS_PER_SEC)

struct deadline {
	struct loop *loop;
	struct loop_timer *timer;
	bool passed;
};

static inline void deadline__pass(void *ctx)
{
	struct deadline *d = ctx;

	d->passed = true;
	loop__stop(d->loop);
}

static inline int deadline__init(struct deadline *d, struct loop *loop)
{
	d->loop = loop;
	return loop__timer(loop, deadline__pass, d, &d->timer);
}

/* Before the loop is freed. */
static inline void deadline__done(struct deadline *d)
{
	loop_timer__free(d->timer);
}

static inline void deadline__run(struct deadline *d)
{
	loop_timer__set(d->timer, DEADLINE_NS);
	assert_int_equal(loop__run(d->loop), 0);
	loop_timer__cancel(d->timer);
	assert_false(d->passed);
}

#endif
