/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lowest real-time priority is enough to run before every ordinary task, for the microsecond
 * that a call takes; the scheduler's settings are a thread's own.
 */
#include "capture/maps.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

static _Atomic bool undisturbed;

void maps__undisturbed(void)
{
	atomic_store_explicit(&undisturbed, sched_getscheduler(0) == SCHED_OTHER,
			      memory_order_relaxed);
}

static bool begin(void)
{
	const struct sched_param lowest = {.sched_priority = 1};

	if (!atomic_load_explicit(&undisturbed, memory_order_relaxed))
		return false;
	if (sched_setscheduler(0, SCHED_FIFO, &lowest) == 0)
		return true;
	atomic_store_explicit(&undisturbed, false, memory_order_relaxed);
	return false;
}

static int end(bool begun, int result)
{
	const struct sched_param none = {0};
	int err = result < 0 ? errno : 0;

	if (begun)
		sched_setscheduler(0, SCHED_OTHER, &none);
	errno = err;
	return result < 0 ? -err : 0;
}

int map__lookup(int fd, const void *key, void *ret_value)
{
	bool begun = begin();

	return end(begun, bpf_map_lookup_elem(fd, key, ret_value));
}

int map__update(int fd, const void *key, const void *value, uint64_t flags)
{
	bool begun = begin();

	return end(begun, bpf_map_update_elem(fd, key, value, flags));
}

int map__delete(int fd, const void *key)
{
	bool begun = begin();

	return end(begun, bpf_map_delete_elem(fd, key));
}
