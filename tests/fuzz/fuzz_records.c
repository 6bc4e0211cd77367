/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a record of the ring. The consumer below touches all that a record promises to hold,
 * so that a length that was believed too early is a read behind the buffer.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "capture/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint64_t sink;

static void touch(const void *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sink += ((const uint8_t *)bytes)[i];
}

static void on_data(void *ctx, uint64_t pos, const struct nt_data *rec)
{
	(void)ctx;
	(void)pos;
	touch(rec, sizeof(*rec));
	touch(rec->bytes, rec->len);
	sink += strlen(rec->comm);
}

static void on_registered(void *ctx, uint64_t pos, const struct nt_register *rec)
{
	(void)ctx;
	(void)pos;
	touch(rec, sizeof(*rec));
	sink += strlen(rec->comm);
}

static void on_end(void *ctx, uint64_t pos, const struct nt_end *rec)
{
	(void)ctx;
	(void)pos;
	touch(rec, sizeof(*rec));
}

static void on_cgroup(void *ctx, uint64_t pos, const struct nt_cgroup_event *rec)
{
	(void)ctx;
	(void)pos;
	touch(rec, sizeof(*rec));
	if (strlen(rec->path) > rec->path_len)
		abort();
}

static void on_note(void *ctx, uint64_t pos, const struct nt_note *rec)
{
	(void)ctx;
	(void)pos;
	touch(rec, sizeof(*rec));
	sink += strlen(rec->comm);
	if (!rec->count || rec->at + rec->count < rec->at)
		abort();
}

static const struct record_ops ops = {
	.data = on_data,
	.registered = on_registered,
	.tap = on_registered,
	.end = on_end,
	.cgroup_new = on_cgroup,
	.cgroup_gone = on_cgroup,
	.note = on_note,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *why = NULL;
	uint8_t *copy = malloc(size ? size : 1); /* aligned as the ring's records are */
	struct nt_hdr *hdr = (struct nt_hdr *)copy;

	if (!copy)
		return 0;
	memcpy(copy, data, size);
	if (record__dispatch(copy, size, 0, &ops, NULL, &why) < 0 && !why)
		abort();
	/* Once more with a header that agrees with the room, or hardly anything gets past it. */
	if (size >= sizeof(*hdr)) {
		hdr->size = (uint32_t)size;
		hdr->kind = (uint16_t)(NT_KIND_DATA + hdr->kind % NT_KIND_NOTE);
		record__dispatch(copy, size, 0, &ops, NULL, &why);
	}
	free(copy);
	return 0;
}
