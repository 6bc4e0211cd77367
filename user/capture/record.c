/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring is shared memory that another program fills: nothing in it is believed before it was
 * checked. Two lengths exist, the ring's and the header's; the header's must fit into the ring's
 * and must cover the structure of its kind, and whatever is counted inside a record (bytes of log,
 * a path, a name's NUL) must fit into the header's. A consumer may then use a record without
 * looking at sizes again.
 */
#include "capture/record.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

static int bad(const char **ret_why, const char *why)
{
	*ret_why = why;
	return -EBADMSG;
}

static bool stream_ok(const struct nt_stream_key *key, uint8_t file, uint8_t tap)
{
	return key->type <= NT_KEY_TTY && file >= NT_FILE_STDOUT && file <= NT_FILE_TTY &&
	       (tap == NT_TAP_READ || tap == NT_TAP_WRITE);
}

static const char *check_data(const struct nt_data *rec)
{
	if (rec->hdr.size < sizeof(*rec))
		return "data record too short";
	if (rec->len > NT_CHUNK_MAX || rec->len > rec->hdr.size - sizeof(*rec))
		return "data record with more bytes than it has room for";
	if (rec->comm[NT_COMM_LEN - 1] != '\0')
		return "data record with an unterminated name";
	if (!stream_ok(&rec->key, rec->file, rec->tap))
		return "data record of an unknown kind of stream";
	return NULL;
}

static const char *check_register(const struct nt_register *rec)
{
	if (rec->hdr.size < sizeof(*rec))
		return "register record too short";
	if (rec->comm[NT_COMM_LEN - 1] != '\0')
		return "register record with an unterminated name";
	if (!stream_ok(&rec->key, rec->file, rec->tap))
		return "register record of an unknown kind of stream";
	return NULL;
}

static const char *check_end(const struct nt_end *rec)
{
	if (rec->hdr.size < sizeof(*rec))
		return "end record too short";
	if (!stream_ok(&rec->key, rec->file, rec->tap))
		return "end record of an unknown kind of stream";
	if (rec->comm[NT_COMM_LEN - 1] != '\0')
		return "end record with an unterminated name";
	return NULL;
}

static const char *check_note(const struct nt_note *rec)
{
	if (rec->hdr.size < sizeof(*rec))
		return "note too short";
	if (!stream_ok(&rec->key, rec->file, rec->tap))
		return "note of an unknown kind of stream";
	if (rec->comm[NT_COMM_LEN - 1] != '\0')
		return "note with an unterminated name";
	if (!rec->count || rec->at + rec->count < rec->at)
		return "note of no bytes";
	return NULL;
}

static const char *check_cgroup(const struct nt_cgroup_event *rec)
{
	if (rec->hdr.size < sizeof(*rec))
		return "cgroup record too short";
	if (rec->path_len >= NT_PATH_LEN || rec->path[rec->path_len] != '\0')
		return "cgroup record with an unterminated path";
	return NULL;
}

/* One case of record__dispatch: check, then hand on. */
#define DISPATCH(type, check, op)                  \
	do {                                       \
		const struct type *rec_ = data;    \
		const char *why_ = check(rec_);    \
                                                   \
		if (why_)                          \
			return bad(ret_why, why_); \
		if (ops->op)                       \
			ops->op(ctx, pos, rec_);   \
		return 0;                          \
	} while (0)

int record__dispatch(const void *data, size_t size, uint64_t pos, const struct record_ops *ops,
		     void *ctx, const char **ret_why)
{
	const struct nt_hdr *hdr = data;

	if (size < sizeof(*hdr))
		return bad(ret_why, "record shorter than its header");
	if (hdr->size > size)
		return bad(ret_why, "record longer than its room in the ring");

	switch (hdr->kind) {
	case NT_KIND_DATA:
		DISPATCH(nt_data, check_data, data);
	case NT_KIND_REGISTER:
		DISPATCH(nt_register, check_register, registered);
	case NT_KIND_TAP:
		DISPATCH(nt_register, check_register, tap);
	case NT_KIND_END:
		DISPATCH(nt_end, check_end, end);
	case NT_KIND_CGROUP_NEW:
		DISPATCH(nt_cgroup_event, check_cgroup, cgroup_new);
	case NT_KIND_CGROUP_GONE:
		DISPATCH(nt_cgroup_event, check_cgroup, cgroup_gone);
	case NT_KIND_NOTE:
		DISPATCH(nt_note, check_note, note);
	case NT_KIND_READER_GONE:
		return size < sizeof(struct nt_reader_gone)
			       ? bad(ret_why, "record of a reader too short")
			       : 0;
	default:
		return bad(ret_why, "record of an unknown kind");
	}
}
