/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process left, or something else that lies there: halves of any bytes, and records whose
 * checksums are right and whose content is not. After it the journal takes new records, and has
 * them for the next.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "state/decisions.h"
#include "state/internal.h"

#define HALF 4096u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void *halves[2];
static struct counters counters;

/* `type length bytes`, as many as there are. Metadata whose number is near the last there can be is
 * left out: the next process would not take what follows it. */
static void write_records(const uint8_t *data, size_t size)
{
	struct meta_header h;
	struct journal *j;

	if (journal__new(&j, halves, HALF))
		abort();
	while (size > 2) {
		size_t len = MIN((size_t)data[1], size - 2);

		if (len >= sizeof(h))
			memcpy(&h, data + 2, sizeof(h));
		if ((data[0] % 8 != RECORD_META || len < sizeof(h) || h.id < UINT32_MAX / 4) &&
		    journal__append(j, data[0] % 8, data + 2, len, NULL))
			break;
		data += 2 + len;
		size -= 2 + len;
	}
	journal__free(j);
}

static void look(void *ctx, uint64_t cgroup_id, const struct meta *m)
{
	struct decided was;

	decisions__find(ctx, cgroup_id, LINE_STDOUT, m->version, &was);
	decisions__excluded_at(ctx, cgroup_id, 0, UINT64_MAX, NULL);
	decisions__first_pos(ctx, cgroup_id, LINE_STDERR);
}

static void look_guarded(void *ctx, const char *name, uint64_t since_ns)
{
	(void)since_ns;
	if (!decisions__guarded(ctx, name, decisions__guard(ctx)))
		abort();
}

static void look_around(struct decisions *d)
{
	struct decided_flush f;
	struct clock_anchor a;

	decisions__each(d, look, d);
	decisions__each_guarded(d, look_guarded, d);
	decisions__next_flush(d, 1, &f);
	if (decisions__clock(d, &a) == 0)
		clock__to_real(&a, 12345);
}

static void go_on(struct decisions *d, uint64_t cgroup_id)
{
	struct decision decision = {.cgroup_id = cgroup_id, .file = LINE_STDOUT, .from_ns = 7};
	_meta_ struct meta *m = meta__new();
	struct decided was;

	m->name = strdup("web");
	if (!decisions__add(d, &decision, m))
		abort();
	for (unsigned i = 0; i < 30; i++) {
		decision.from_ns++;
		decision.pos = i;
		free(m->name);
		m->name = strdup(i % 2 ? "a" : "b");
		decisions__add(d, &decision, m);
		decisions__guard_take(d, "user", i);
		decisions__gone(d, cgroup_id + 1 + i, i);
		decisions__committed(d, i);
	}
	if (!decisions__find(d, cgroup_id, LINE_STDOUT, UINT64_MAX, &was) ||
	    strcmp(was.meta->name, "a"))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint64_t mine = 0xfeedface12345678;
	struct decisions *d;
	struct decided was;
	bool near_end;

	log__level(LOG_ERROR);
	if (!size)
		return 0;
	halves[0] = calloc(1, HALF);
	halves[1] = calloc(1, HALF);
	if (data[0] % 2) {
		memcpy(halves[0], data + 1, MIN(size - 1, HALF));
		if (size - 1 > HALF)
			memcpy(halves[1], data + 1 + HALF, MIN(size - 1 - HALF, HALF));
	} else {
		write_records(data + 1, size - 1);
	}
	if (decisions__new(&d, halves, HALF, &counters))
		abort();
	look_around(d);
	go_on(d, mine);
	look_around(d);
	near_end = decisions__guard(d) > UINT64_MAX / 4; /* likewise */
	decisions__free(d);
	if (decisions__new(&d, halves, HALF, &counters))
		abort();
	look_around(d);
	if (!near_end && (!decisions__find(d, mine, LINE_STDOUT, UINT64_MAX, &was) ||
			  strcmp(was.meta->name, "a")))
		abort();
	decisions__free(d);
	free(halves[0]);
	free(halves[1]);
	return 0;
}
