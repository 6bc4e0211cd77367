/* SPDX-License-Identifier: Apache-2.0 */
/* What streams go on from, with any bytes in it: the streams go on, and leave something that can be
 * read again. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "process/hold.h"
#include "state/state.h"
#include "streams/streams.h"

#include "../unit/streams/no_kernel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define POSITION 4096

static void on_line(void *ctx, struct label_set *set, const struct line *line)
{
	(void)ctx;
	(void)set;
	(void)line;
}

static void hold(const char *bytes, size_t len)
{
	struct label_set *set = label_set__new();
	struct held h = {0};

	assert(set && label_set__seal(set) == 0);
	held__load(&h, bytes, len, 3, set);
	held__free(&h);
	label_set__unref(set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct marks marks = {.n = 1, .pos = {POSITION + 1000}};
	struct counters counters = {0};
	struct streams_opts opts = {.counters = &counters,
				    .host = "h",
				    .marks = &marks,
				    .max_line_size = 64,
				    .line = on_line,
				    .kernel_stream = no_kernel__stream,
				    .forget = no_kernel__forget};
	struct buf again = {0};
	struct registry *registry;
	struct streams *s;
	uint64_t oldest;
	char *bytes = malloc(size + 1); /* aligned, as in the memory */

	log__level(LOG_ERROR);
	if (size)
		memcpy(bytes, data, size);
	hold(bytes, size);
	assert(registry__new(&registry) == 0);
	opts.registry = registry;
	assert(streams__new(&s, &opts) == 0);
	streams__restore(s, POSITION, bytes, size);
	assert(streams__save(s, POSITION + 1000, SIZE_MAX, SIZE_MAX, &again, &oldest) == 0);
	streams__finish(s);
	streams__free(s);
	assert(streams__new(&s, &opts) == 0);
	assert(streams__restore(s, POSITION + 1000, again.data ? again.data : "", again.len) == 0);
	streams__free(s);
	registry__free(registry);
	buf__free(&again);
	free(bytes);
	return 0;
}
