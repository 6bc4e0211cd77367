/* SPDX-License-Identifier: Apache-2.0 */
/* From the ring's bytes to a typed record: every length is checked before a cast. Pure; fuzz
 * target. */
#ifndef NOTAIL_CAPTURE_RECORD_H
#define NOTAIL_CAPTURE_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "event.h"

/* In ring order; bytes are borrowed until the function returns; NULL members are skipped. */
struct record_ops {
	void (*data)(void *ctx, uint64_t pos, const struct nt_data *rec);
	void (*registered)(void *ctx, uint64_t pos, const struct nt_register *rec);
	/* A stream that was registered before the ring's first record: of a run that was taken over.
	 */
	void (*known)(void *ctx, uint64_t pos, const struct nt_register *rec);
	/* A stream's reader or tap is another from here on. */
	void (*tap)(void *ctx, uint64_t pos, const struct nt_register *rec);
	void (*end)(void *ctx, uint64_t pos, const struct nt_end *rec);
	void (*cgroup_new)(void *ctx, uint64_t pos, const struct nt_cgroup_event *rec);
	void (*cgroup_gone)(void *ctx, uint64_t pos, const struct nt_cgroup_event *rec);
	void (*note)(void *ctx, uint64_t pos, const struct nt_note *rec);
};

/* A stream as the kernel side has it. */
typedef void (*stream_fn)(void *arg, const struct nt_stream_key *key, const struct nt_stream *s);

/*
 * `size`: what the ring says the record has. 0, or -EBADMSG with *ret_why (static text): the record
 * is to be counted and skipped.
 */
int record__dispatch(const void *data, size_t size, uint64_t pos, const struct record_ops *ops,
		     void *ctx, const char **ret_why);

#endif
