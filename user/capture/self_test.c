/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proof at start that both taps see and copy: known bytes through a pipe of our own, once with each
 * tap as the one that copies. While it runs the ring holds other streams' records too; they are
 * handed on as ever, only those of the test's pipe are kept back.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/util.h"
#include "capture/internal.h"
#include "capture/proc.h"

#define TEST_BYTES 1000
#define TRIES 3 /* a preemptible kernel may skip a program now and then */
#define WAIT_NS (5 * NS_PER_SEC)
#define PAUSE_MS 1

struct self_test {
	struct record_ops ops; /* the owner's */
	void *ctx;
	struct nt_stream_key key;
	uint8_t sent[TEST_BYTES], got[TEST_BYTES];
	size_t len;
	bool wrong; /* more than was sent, or at another place */
};

static bool is_test(const struct self_test *t, const struct nt_stream_key *key)
{
	return memcmp(key, &t->key, sizeof(*key)) == 0;
}

static void on_data(void *ctx, uint64_t pos, const struct nt_data *rec)
{
	struct self_test *t = ctx;

	if (!is_test(t, &rec->key)) {
		if (t->ops.data)
			t->ops.data(t->ctx, pos, rec);
		return;
	}
	if (rec->offset != t->len || rec->len > sizeof(t->got) - t->len) {
		t->wrong = true;
		return;
	}
	memcpy(t->got + t->len, rec->bytes, rec->len);
	t->len += rec->len;
}

static void on_registered(void *ctx, uint64_t pos, const struct nt_register *rec)
{
	const struct self_test *t = ctx;

	if (!is_test(t, &rec->key) && t->ops.registered)
		t->ops.registered(t->ctx, pos, rec);
}

static void on_tap(void *ctx, uint64_t pos, const struct nt_register *rec)
{
	const struct self_test *t = ctx;

	if (!is_test(t, &rec->key) && t->ops.tap)
		t->ops.tap(t->ctx, pos, rec);
}

static void on_end(void *ctx, uint64_t pos, const struct nt_end *rec)
{
	const struct self_test *t = ctx;

	if (!is_test(t, &rec->key) && t->ops.end)
		t->ops.end(t->ctx, pos, rec);
}

static void on_cgroup_new(void *ctx, uint64_t pos, const struct nt_cgroup_event *rec)
{
	const struct self_test *t = ctx;

	if (t->ops.cgroup_new)
		t->ops.cgroup_new(t->ctx, pos, rec);
}

static void on_cgroup_gone(void *ctx, uint64_t pos, const struct nt_cgroup_event *rec)
{
	const struct self_test *t = ctx;

	if (t->ops.cgroup_gone)
		t->ops.cgroup_gone(t->ctx, pos, rec);
}

static const struct record_ops test_ops = {
	.data = on_data,
	.registered = on_registered,
	.tap = on_tap,
	.end = on_end,
	.cgroup_new = on_cgroup_new,
	.cgroup_gone = on_cgroup_gone,
};

/* Moves the bytes through the pipe: one write, one read. */
static int transfer(struct self_test *t, const int fds[2])
{
	uint8_t back[TEST_BYTES];

	if (write(fds[1], t->sent, sizeof(t->sent)) != (ssize_t)sizeof(t->sent) ||
	    read(fds[0], back, sizeof(back)) != (ssize_t)sizeof(back))
		return -EIO;
	return memcmp(back, t->sent, sizeof(back)) == 0 ? 0 : -EIO;
}

/* Until the bytes are there, or nothing comes any more. */
static void collect(struct capture *c, struct self_test *t)
{
	uint64_t deadline = clock__boot_ns() + WAIT_NS, position;

	do {
		size_t n = capture__read(c, c->ring_bytes, &position);

		if (t->len >= sizeof(t->sent) || t->wrong)
			return;
		if (!n && ring__producer(c->ring) == position)
			return;
		if (!n)
			poll(NULL, 0, PAUSE_MS); /* somebody's record is not finished */
	} while (clock__boot_ns() < deadline);
}

static int judge(struct capture *c, const struct self_test *t, enum nt_tap tap, char *ret_why,
		 size_t size)
{
	const char *name = tap == NT_TAP_READ ? "read" : "write";
	uint64_t counted = c->opts.attribution == ATTRIBUTION_OFF ? 0 : TEST_BYTES;
	struct nt_stream s = {};

	capture__stream(c, &t->key, &s);
	if (s.written == counted && s.seen == TEST_BYTES && t->len == TEST_BYTES && !t->wrong &&
	    memcmp(t->got, t->sent, TEST_BYTES) == 0)
		return 0;
	/* A host that fills a small ring before it is read for the first time: both taps work, and
	 * what they deliver is in the way. */
	if (s.written == counted && s.seen == TEST_BYTES && !t->len && !t->wrong &&
	    s.lost[NT_LOST_RING_FULL] == TEST_BYTES)
		return 0;
	snprintf(ret_why, size,
		 "self-test: of %d bytes through a pipe the %s tap copied %llu and the write tap "
		 "counted %llu; %zu arrived%s (hook set %s)",
		 TEST_BYTES, name, (unsigned long long)s.seen, (unsigned long long)s.written,
		 t->len,
		 t->wrong || (t->len == TEST_BYTES && memcmp(t->got, t->sent, TEST_BYTES) != 0)
			 ? ", not as they were sent"
			 : "",
		 hook_set__name(c->hooks));
	return -EIO;
}

static int test_tap(struct capture *c, struct self_test *t, enum nt_tap tap, char *ret_why,
		    size_t size)
{
	const struct nt_stream s = {
		.reader = (uint32_t)getpid(),
		.file = NT_FILE_STDOUT,
		.tap = (uint8_t)tap,
		.origin = NT_ORIGIN_USER,
	};
	struct stat st;
	int fds[2], r;

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0 || fstat(fds[0], &st) < 0) {
		r = -errno;
		snprintf(ret_why, size, "self-test: cannot make a pipe: %s", strerror(errno));
		return r;
	}
	t->key = stat__key(&st);
	t->len = 0;
	t->wrong = false;
	r = stream__insert(c, &t->key, &s);
	if (r == 0)
		r = transfer(t, fds);
	if (r < 0) {
		snprintf(ret_why, size, "self-test: cannot use a pipe: %s", strerror(-r));
	} else {
		collect(c, t);
		r = judge(c, t, tap, ret_why, size);
	}
	/* Before the ends close: no end record is made for it. */
	stream__delete(c, &t->key);
	close(fds[0]);
	close(fds[1]);
	return r;
}

int capture__self_test(struct capture *c, char *ret_why, size_t size)
{
	struct self_test t = {.ops = c->ops, .ctx = c->ctx};
	/* Without names the write tap sleeps until a stream needs it. */
	enum nt_tap last = c->opts.attribution == ATTRIBUTION_OFF && c->opts.tap != TAP_WRITE
				   ? NT_TAP_READ
				   : NT_TAP_WRITE;
	int known, r = 0;

	/* Its records would lie behind those that a run before left: they are another's to read. */
	if (c->adopted)
		return 0;
	for (size_t i = 0; i < sizeof(t.sent); i++)
		t.sent[i] = (uint8_t)(i * 31 + i / 256 + 1);
	known = reader__insert(c, getpid());
	c->ops = test_ops;
	c->ctx = &t;
	for (enum nt_tap tap = NT_TAP_READ; tap <= last && r == 0; tap++) {
		for (int i = 0; i < TRIES; i++) {
			r = test_tap(c, &t, tap, ret_why, size);
			if (r == 0)
				break;
		}
	}
	c->ops = t.ops;
	c->ctx = t.ctx;
	if (known == 0)
		reader__delete(c, getpid());
	return r;
}
