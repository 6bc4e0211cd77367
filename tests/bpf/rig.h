/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the kernel side share: one loaded capture, and the records of the ring by
 * stream. A record's offset, place in time and gap are checked as it comes in. The ring of this
 * host may hold other streams too: only what a test asks for by its key or cgroup is looked at.
 */
#ifndef NOTAIL_TESTS_BPF_RIG_H
#define NOTAIL_TESTS_BPF_RIG_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/util.h"
#include "capture/capture.h"

#ifndef RIG_STREAMS
#define RIG_STREAMS 512
#endif
#define RIG_EVENTS 512
#define RIG_CGROUP_ID 4242 /* of streams that tests insert: no real cgroup has it */
#ifndef RIG_RING_BYTES
#define RIG_RING_BYTES (1u << 20)
#endif
#define RIG_DEADLINE_MS 60000

/* All records of one stream, put together. */
struct rig_stream {
	struct nt_stream_key key;
	uint64_t cgroup_id;
	char *bytes;
	size_t len, room;
	uint64_t gap_bytes, gap_calls, gap_reason; /* added up; the last reason */
	size_t records;
	uint64_t next_offset, next_ns;
	struct nt_data last; /* without its bytes */
	size_t notes;
	struct nt_note note; /* the last */
	size_t ends, registers;
	struct nt_end end;
	struct nt_register reg;
	size_t taps; /* changes of reader or tap, and the last one */
	struct nt_register tap;
};

struct rig {
	struct capture *c;
	struct rig_stream streams[RIG_STREAMS];
	size_t n_streams;
	struct nt_cgroup_event events[RIG_EVENTS]; /* new and gone */
	size_t n_events;
	const char *skip; /* why nothing can be tested here */
	char why[512];
};

static struct rig rig;

static inline struct rig_stream *rig_stream(const struct nt_stream_key *key)
{
	struct rig_stream *s;

	for (size_t i = 0; i < rig.n_streams; i++) {
		s = &rig.streams[i];
		if (memcmp(&s->key, key, sizeof(*key)) == 0 && !s->ends)
			return s;
	}
	assert_true(rig.n_streams < RIG_STREAMS);
	s = &rig.streams[rig.n_streams++];
	s->key = *key;
	return s;
}

/* Found whether it has ended or not, the latest. NULL: no record had the key. */
static inline struct rig_stream *rig_seen(const struct nt_stream_key *key)
{
	for (size_t i = rig.n_streams; i-- > 0;) {
		if (memcmp(&rig.streams[i].key, key, sizeof(*key)) == 0)
			return &rig.streams[i];
	}
	return NULL;
}

static inline void rig_on_data(void *ctx, uint64_t pos, const struct nt_data *rec)
{
	struct rig_stream *s = rig_stream(&rec->key);

	(void)ctx;
	(void)pos;
	if (s->cgroup_id && s->cgroup_id != rec->hdr.cgroup_id)
		return;
	s->cgroup_id = rec->hdr.cgroup_id;
	if (s->len + rec->len > s->room) {
		s->room = (s->len + rec->len) * 2;
		s->bytes = realloc(s->bytes, s->room);
		assert_non_null(s->bytes);
	}
	memcpy(s->bytes + s->len, rec->bytes, rec->len);
	s->len += rec->len;
	s->records++;
	s->gap_bytes += rec->gap.bytes;
	s->gap_calls += rec->gap.calls;
	if (rec->gap.bytes)
		s->gap_reason = rec->gap.reason;
	if (rec->hdr.cgroup_id == RIG_CGROUP_ID) {
		assert_int_equal(rec->offset, s->next_offset + rec->gap.bytes);
		assert_true(rec->hdr.time_ns >= s->next_ns);
	}
	s->next_offset = rec->offset + rec->len;
	s->next_ns = rec->hdr.time_ns + rec->len;
	memcpy(&s->last, rec, sizeof(s->last));
}

static inline void rig_on_register(void *ctx, uint64_t pos, const struct nt_register *rec)
{
	struct rig_stream *s = rig_stream(&rec->key);

	(void)ctx;
	(void)pos;
	s->reg = *rec;
	s->cgroup_id = rec->hdr.cgroup_id;
	s->registers++;
}

static inline void rig_on_tap(void *ctx, uint64_t pos, const struct nt_register *rec)
{
	struct rig_stream *s = rig_stream(&rec->key);

	(void)ctx;
	(void)pos;
	s->tap = *rec;
	s->taps++;
}

static inline void rig_on_end(void *ctx, uint64_t pos, const struct nt_end *rec)
{
	struct rig_stream *s = rig_stream(&rec->key);

	(void)ctx;
	(void)pos;
	s->end = *rec;
	s->ends++;
}

static inline void rig_on_note(void *ctx, uint64_t pos, const struct nt_note *rec)
{
	struct rig_stream *s = rig_stream(&rec->key);

	(void)ctx;
	(void)pos;
	s->notes++;
	s->note = *rec;
}

static inline void rig_on_cgroup(void *ctx, uint64_t pos, const struct nt_cgroup_event *rec)
{
	(void)ctx;
	(void)pos;
	if (rig.n_events < RIG_EVENTS)
		rig.events[rig.n_events++] = *rec;
}

static inline void rig_drain(void)
{
	struct capture_counters counters;
	uint64_t pos;

	/* A record that another CPU is about to submit holds up those behind it. */
	for (int i = 0; i < 60000; i++) {
		while (capture__read(rig.c, SIZE_MAX / 2, &pos) > 0)
			;
		capture__commit(rig.c, pos);
		capture__counters(rig.c, &counters);
		if (!counters.ring_used_bytes)
			return;
		usleep(1000);
	}
}

/* A pipe of a test must not become this program's stdio, which capture denies. */
static inline void rig_fill_stdio(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	close_p(&fd);
}

/* The ring's size and the hook set are the rig's own. */
static inline int rig_load_with(struct capture_opts opts)
{
	const struct record_ops ops = {.data = rig_on_data,
				       .registered = rig_on_register,
				       .tap = rig_on_tap,
				       .end = rig_on_end,
				       .cgroup_new = rig_on_cgroup,
				       .cgroup_gone = rig_on_cgroup,
				       .note = rig_on_note};
	const char *hooks = getenv("NT_HOOKS");

	opts.ring_bytes = RIG_RING_BYTES;
	if (geteuid() != 0) {
		rig.skip = "not root";
		return 0;
	}
	if (access("/sys/kernel/btf/vmlinux", R_OK) < 0) {
		rig.skip = "this kernel has no BTF";
		return 0;
	}
	if (hooks && hook_set__parse(hooks, &opts.hooks) < 0) {
		fprintf(stderr, "NT_HOOKS=%s is no hook set\n", hooks);
		return -1;
	}
	if (capture__new(&rig.c, &opts, &ops, NULL, rig.why, sizeof(rig.why)) < 0) {
		fprintf(stderr, "capture__new: %s\n", rig.why);
		return -1;
	}
	if (opts.attribution == ATTRIBUTION_LINE && capture__legacy(rig.c))
		rig.skip = "legacy programs make no notes";
	return 0;
}

static inline int rig_load(enum tap_mode tap, bool containers)
{
	return rig_load_with((struct capture_opts){.tap = tap, .containers = containers});
}

static inline int rig_unload(void **state)
{
	(void)state;
	capture__free(rig.c);
	for (size_t i = 0; i < rig.n_streams; i++)
		free(rig.streams[i].bytes);
	memset(&rig, 0, sizeof(rig));
	return 0;
}

/* At the beginning of each test. */
static inline void rig_ready(void)
{
	if (rig.skip) {
		fprintf(stderr, "SKIP: %s\n", rig.skip);
		skip();
	}
	rig_drain();
}

/* After rig_ready, where a stream is to change its tap. */
static inline void rig_needs_switch(void)
{
	if (capture__legacy(rig.c)) {
		fprintf(stderr, "SKIP: with legacy programs a stream keeps its tap\n");
		skip();
	}
}

/* ---- pipes ---- */

struct pipe_end {
	int r, w;
	struct nt_stream_key key;
};

static inline struct nt_stream_key rig_key(int fd)
{
	struct nt_stream_key key = {.type = NT_KEY_INODE};
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	key.ino = st.st_ino;
	key.dev = major(st.st_dev) << 20 | minor(st.st_dev);
	return key;
}

static inline struct pipe_end open_pipe(void)
{
	struct pipe_end p;
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	p.r = fds[0];
	p.w = fds[1];
	p.key = rig_key(p.r);
	return p;
}

/* A pipe that is a stream, read by this process. */
static inline struct pipe_end open_stream(void)
{
	struct pipe_end p = open_pipe();

	assert_int_equal(capture__add_pipe(rig.c, p.r, getpid(), NT_FILE_STDOUT, RIG_CGROUP_ID), 0);
	return p;
}

static inline void close_pipe(struct pipe_end *p)
{
	close_p(&p->w);
	if (p->r >= 0) {
		char buf[4096];

		while (read(p->r, buf, sizeof(buf)) > 0)
			;
	}
	close_p(&p->r);
}

/* Bytes that say where in the stream they are. */
static inline void pattern(char *buf, size_t len, size_t from)
{
	for (size_t i = 0; i < len; i++) {
		size_t at = from + i;

		buf[i] = (char)(at ^ at >> 8 ^ at >> 16);
	}
}

static inline void put(const struct pipe_end *p, const char *text)
{
	assert_int_equal(write(p->w, text, strlen(text)), strlen(text));
}

/* Reads exactly `len` bytes, `piece` at a time. */
static inline void get(const struct pipe_end *p, size_t len, size_t piece)
{
	char *buf = malloc(piece);

	assert_non_null(buf);
	while (len) {
		ssize_t n = read(p->r, buf, MIN(len, piece));

		assert_true(n > 0);
		len -= (size_t)n;
	}
	free(buf);
}

static inline struct nt_stream kernel_stream(const struct nt_stream_key *key)
{
	struct nt_stream s;

	assert_int_equal(capture__stream(rig.c, key, &s), 0);
	return s;
}

static inline void expect_text(const struct nt_stream_key *key, const void *bytes, size_t len)
{
	struct rig_stream *s;

	rig_drain();
	s = rig_seen(key);
	assert_non_null(s);
	assert_int_equal(s->len, len);
	assert_memory_equal(s->bytes, bytes, len);
}

/* The counters agree: all that was written was seen, nothing is lost. */
static inline void expect_proof(const struct nt_stream_key *key)
{
	struct nt_stream s = kernel_stream(key);

	assert_int_equal(s.written, s.seen);
	for (int i = 0; i < NT_LOST_MAX; i++)
		assert_int_equal(s.lost[i], 0);
}

static inline int wait_child(pid_t pid)
{
	int status = -1;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* A child that writes all of it at once and exits: with 0, or not all was written. */
static inline pid_t writing_child(int fd, const void *bytes, size_t len)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(write(fd, bytes, len) == (ssize_t)len ? 0 : 1);
	return pid;
}

/* A child that wrote `text` and has exited. */
static inline pid_t child_writes(int fd, const char *text)
{
	pid_t pid = writing_child(fd, text, strlen(text));

	assert_int_equal(wait_child(pid), 0);
	return pid;
}

#endif
