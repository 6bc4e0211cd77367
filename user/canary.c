/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first line comes after a part of the interval that is chance, or all nodes of a cluster would
 * speak at once. What was missed (SIGSTOP, a ring that is full) is not made up for.
 */
#include "canary.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/utsname.h>

#include "base/clock.h"

struct canary {
	struct label_set *set;
	uint64_t interval_ns, next_ns, n;
};

int canary__new(struct canary **ret, const char *host, uint64_t interval_ns)
{
	struct canary *c;
	struct utsname name;
	uint64_t chance = 0;
	int err = -ENOMEM;

	*ret = NULL;
	if (!interval_ns)
		return 0;
	c = calloc(1, sizeof(*c));
	if (c)
		c->set = label_set__new();
	if (c && c->set)
		err = label_set__add(c->set, "job", "notail_canary");
	if (!err)
		err = label_set__add(c->set, "host",
				     host		 ? host
				     : uname(&name) == 0 ? name.nodename
							 : "");
	if (!err)
		err = label_set__seal(c->set);
	if (err) {
		canary__free(c);
		return err;
	}
	if (getrandom(&chance, sizeof(chance), GRND_NONBLOCK) < 0)
		chance = clock__real_ns();
	c->interval_ns = interval_ns;
	c->next_ns = clock__boot_ns() + chance % interval_ns;
	*ret = c;
	return 0;
}

void canary__free(struct canary *c)
{
	if (!c)
		return;
	label_set__unref(c->set);
	free(c);
}

uint64_t canary__tick(struct canary *c, uint64_t now_ns, uint64_t ring_pos, canary_fn fn, void *ctx)
{
	char text[64];
	struct line line = {
		.bytes = text,
		.time_ns = now_ns,
		.ring_pos = ring_pos,
		.stream = LINE_STDOUT,
		.canary = true,
	};

	if (!c)
		return UINT64_MAX;
	if (now_ns < c->next_ns)
		return c->next_ns;
	c->next_ns = now_ns + c->interval_ns;
	line.len = (size_t)snprintf(text, sizeof(text), "notail " NOTAIL_VERSION " canary %" PRIu64,
				    c->n++);
	fn(ctx, c->set, &line);
	return c->next_ns;
}
