/* SPDX-License-Identifier: Apache-2.0 */
/* The loop's side and the thread: order, callbacks, failures and what happens after them. */
#include "spool_test.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mount.h>

#include "base/clock.h"
#include "base/log.h"
#include "io/loop.h"

static struct loop *loop;

struct seen {
	unsigned changed, ready, done, failed;
	int last_err;
	bool overtaken; /* one was written behind one that was not, before anybody knew */
	unsigned order[4096];
};

static void on_changed(void *ctx)
{
	((struct seen *)ctx)->changed++;
}

static void on_ready(void *ctx)
{
	((struct seen *)ctx)->ready++;
}

static const struct spool_queue_ops OPS = {.changed = on_changed, .ready = on_ready};

static void on_timer(void *ctx)
{
	(void)ctx;
	loop__stop(loop);
}

/* Runs the loop for a moment. */
static void turn(void)
{
	struct loop_timer *t;

	assert_int_equal(loop__timer(loop, on_timer, NULL, &t), 0);
	loop_timer__set(t, NS_PER_MS);
	assert_int_equal(loop__run(loop), 0);
	loop_timer__free(t);
}

#define wait_for(condition)                                                   \
	do {                                                                  \
		uint64_t until = clock__boot_ns() + 60 * NS_PER_SEC;          \
		while (!(condition)) {                                        \
			if (clock__boot_ns() > until)                         \
				fail_msg("not within a minute: " #condition); \
			turn();                                               \
		}                                                             \
	} while (0)

struct pending {
	struct seen *seen;
	unsigned number;
	char *payload;
};

static void on_done(void *ctx, int err)
{
	struct pending *p = ctx;

	p->seen->order[p->seen->done++ % ARRAY_SIZE(p->seen->order)] = p->number;
	p->seen->failed += err != 0;
	p->seen->overtaken |= p->seen->last_err && !err;
	if (err)
		p->seen->last_err = err;
	free(p->payload);
	free(p);
}

static int append(struct spool_queue *q, struct seen *seen, unsigned number, size_t len)
{
	struct pending *p = malloc(sizeof(*p));
	struct spool_record r;
	int err;

	*p = (struct pending){seen, number, malloc(len)};
	r = make_record(p->payload, len, number);
	/* Borrowed until it is done: not of this stack. */
	r.streams = NULL;
	r.n_streams = 0;
	err = spool_queue__append(q, &r, on_done, p);
	if (err) {
		free(p->payload);
		free(p);
	}
	return err;
}

static struct spool_queue *make_queue(struct spool *s, const char *key, struct seen *seen)
{
	struct spool_queue *q;

	assert_int_equal(spool_queue__new(&q, s, key, &OPS, seen), 0);
	return q;
}

static struct spool *make_spool(const struct spool_opts *opts)
{
	struct spool *s;

	assert_int_equal(spool__new(&s, loop, opts), 0);
	return s;
}

static struct spool_queue_stats stats_of(struct spool_queue *q)
{
	struct spool_queue_stats stats;

	spool_queue__stats(q, &stats);
	return stats;
}

static void drain(struct spool_queue *q, unsigned from, unsigned to)
{
	struct spool_record *r;

	for (unsigned i = from; i < to; i++) {
		wait_for((r = spool_queue__next(q)));
		assert_int_equal(number_of(r), i);
		spool_queue__consumed(q, r);
	}
}

static void test_order(void **state _unused_)
{
	struct spool_opts opts = {.directory = in_scratch("order")};
	struct spool *s = make_spool(&opts);
	struct spool_queue *q, *other;
	struct seen seen = {0}, seen_other = {0};

	q = make_queue(s, "a", &seen);
	other = make_queue(s, "b", &seen_other);
	assert_int_equal(spool_queue__new(&(struct spool_queue *){0}, s, "a", &OPS, NULL), -EEXIST);
	wait_for(spool_queue__state(q) == SPOOL_READY && seen.changed);
	assert_true(spool_queue__empty(q));
	wait_for(spool_queue__state(other) == SPOOL_READY);
	for (unsigned i = 0; i < 200; i++) {
		assert_int_equal(append(q, &seen, i, 1000 + 37 * i), 0);
		assert_int_equal(append(other, &seen_other, 500 + i, 200), 0);
	}
	assert_false(spool_queue__empty(q));
	assert_int_equal(seen.done, 0);
	wait_for(seen.done == 200 && seen_other.done == 200);
	assert_int_equal(seen.failed, 0);
	for (unsigned i = 0; i < 200; i++)
		assert_int_equal(seen.order[i], i);
	wait_for(seen.ready);
	drain(q, 0, 200);
	assert_null(spool_queue__next(q));
	wait_for(spool_queue__empty(q));
	assert_int_equal(stats_of(q).consumed.batches, 200);
	assert_int_equal(stats_of(q).memory_bytes, 0);
	drain(other, 500, 700);
	spool_queue__free(q);
	spool_queue__free(other);
	spool__free(s);
}

static void test_restart_and_put_back(void **state _unused_)
{
	struct spool_opts opts = {.directory = in_scratch("restart"), .read_ahead = 5};
	struct spool_record *records[4];
	struct seen seen = {0};
	struct spool *s = make_spool(&opts);
	struct spool_queue *q = make_queue(s, "a", &seen);

	wait_for(spool_queue__state(q) == SPOOL_READY);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(append(q, &seen, i, 5000), 0);
	wait_for(seen.done == 20);
	for (unsigned i = 0; i < 4; i++)
		wait_for((records[i] = spool_queue__next(q)));
	spool_queue__put_back(q, records[2]);
	spool_queue__put_back(q, records[0]);
	spool_queue__consumed(q, records[1]);
	spool_queue__put_back(q, records[3]);
	drain(q, 0, 1);
	drain(q, 2, 6);
	wait_for((records[0] = spool_queue__next(q)));
	assert_int_equal(number_of(records[0]), 6);
	spool_queue__put_back(q, records[0]);
	spool_queue__free(q);
	spool__free(s);

	s = make_spool(&opts);
	seen = (struct seen){0};
	q = make_queue(s, "a", &seen);
	wait_for(spool_queue__state(q) == SPOOL_READY);
	assert_int_equal(stats_of(q).found.batches, 14);
	assert_int_equal(append(q, &seen, 20, 5000), 0);
	drain(q, 6, 21);
	wait_for(spool_queue__empty(q));
	spool_queue__free(q);
	spool__free(s);
}

static void append_of(struct spool_queue *q, struct seen *seen, uint64_t *streams, size_t n)
{
	struct pending *p = malloc(sizeof(*p));
	struct spool_record r = {
		.payload = "payload", .len = 7, .lines = 1, .streams = streams, .n_streams = n};

	*p = (struct pending){seen, 0, NULL};
	assert_int_equal(spool_queue__append(q, &r, on_done, p), 0);
}

static void test_streams(void **state _unused_)
{
	uint64_t first[] = {11, 12}, second[] = {12, 13, 14}, *hashes, version;
	struct spool_opts opts = {.directory = in_scratch("streams")};
	struct spool *s = make_spool(&opts);
	struct seen seen = {0};
	struct spool_queue *q = make_queue(s, "a", &seen);
	struct spool_record *r;
	size_t n;

	wait_for(spool_queue__state(q) == SPOOL_READY);
	assert_int_equal(spool_queue__streams(q, &hashes, &n), 0);
	assert_int_equal(n, 0);
	version = spool_queue__streams_version(q);
	append_of(q, &seen, first, 2);
	/* From the call on. */
	assert_true(spool_queue__has_stream(q, 11));
	assert_false(spool_queue__has_stream(q, 13));
	assert_true(spool_queue__streams_version(q) != version);
	append_of(q, &seen, second, 3);
	wait_for(seen.done == 2);
	spool_queue__free(q);
	spool__free(s);

	s = make_spool(&opts);
	q = make_queue(s, "a", &seen);
	wait_for(spool_queue__state(q) == SPOOL_READY);
	assert_int_equal(spool_queue__streams(q, &hashes, &n), 0);
	assert_int_equal(n, 4);
	free(hashes);
	version = spool_queue__streams_version(q);
	wait_for((r = spool_queue__next(q)));
	assert_int_equal(r->n_streams, 2);
	assert_int_equal(r->streams[1], 12);
	seen.changed = 0;
	spool_queue__consumed(q, r);
	wait_for((r = spool_queue__next(q)));
	spool_queue__consumed(q, r);
	wait_for(spool_queue__empty(q) && seen.changed);
	assert_true(spool_queue__streams_version(q) != version);
	assert_false(spool_queue__has_stream(q, 11));
	assert_false(spool_queue__has_stream(q, 14));
	assert_int_equal(spool_queue__streams(q, &hashes, &n), 0);
	assert_int_equal(n, 0);
	spool_queue__free(q);
	spool__free(s);
}

static _Atomic int disk_err;
static _Atomic unsigned disk_calls;
static pthread_mutex_t disk_hangs = PTHREAD_MUTEX_INITIALIZER;

static ssize_t odd_pwritev(int fd, const struct iovec *iov, int n, off_t offset)
{
	int err = disk_err;

	disk_calls++;
	pthread_mutex_lock(&disk_hangs);
	pthread_mutex_unlock(&disk_hangs);
	if (err) {
		errno = err;
		return -1;
	}
	return pwritev(fd, iov, n, offset);
}

static const struct spool_io odd_io = {
	.pwritev = odd_pwritev, .pread = pread, .fdatasync = fdatasync};

/* What a failed append had stays the caller's; others are refused at once until it is tried again.
 */
static void check_disk_error(int err, const char *name)
{
	struct spool_opts opts = {.directory = in_scratch(name),
				  .io = &odd_io,
				  .min_backoff_ns = 20 * NS_PER_MS,
				  .max_backoff_ns = 40 * NS_PER_MS};
	struct spool *s = make_spool(&opts);
	struct seen seen = {0};
	struct spool_queue *q = make_queue(s, "a", &seen);
	unsigned calls;
	int r;

	wait_for(spool_queue__state(q) == SPOOL_READY);
	assert_int_equal(append(q, &seen, 0, 1000), 0);
	wait_for(seen.done == 1);
	assert_null(spool__problem(s));
	disk_err = err;
	assert_int_equal(append(q, &seen, 1, 1000), 0);
	wait_for(seen.done == 2);
	assert_int_equal(seen.failed, 1);
	assert_int_equal(seen.last_err, -err);
	assert_non_null(strstr(spool__problem(s), strerror(err)));
	/* As often as the backoff lets it. */
	calls = disk_calls;
	wait_for((r = append(q, &seen, 1, 1000)) == 0 || r == -err);
	wait_for(disk_calls > calls + 2 || append(q, &seen, 1, 1000) == 1);
	disk_err = 0;
	calls = seen.done;
	wait_for(append(q, &seen, 1, 1000) == 0);
	wait_for(!spool__problem(s));
	wait_for(spool_queue__state(q) == SPOOL_READY);
	drain(q, 0, 1);
	assert_true(stats_of(q).failed_appends >= 1);
	spool_queue__free(q);
	spool__free(s);
}

static void test_disk_errors(void **state _unused_)
{
	check_disk_error(ENOSPC, "enospc");
	check_disk_error(EDQUOT, "edquot");
	check_disk_error(EIO, "eio");
	check_disk_error(EROFS, "erofs");
}

/* A disk that hangs holds nobody but the thread. */
static void test_disk_hangs(void **state _unused_)
{
	struct spool_opts opts = {.directory = in_scratch("hangs"), .io = &odd_io};
	struct spool *s = make_spool(&opts);
	struct seen seen = {0};
	struct spool_queue *q = make_queue(s, "a", &seen);
	struct spool_stats stats;
	unsigned calls;

	wait_for(spool_queue__state(q) == SPOOL_READY);
	pthread_mutex_lock(&disk_hangs);
	calls = disk_calls;
	assert_int_equal(append(q, &seen, 0, 1000), 0);
	wait_for(disk_calls > calls);
	for (unsigned i = 1; i < 100; i++)
		assert_int_equal(append(q, &seen, i, 1000), 0);
	spool__stats(s, &stats);
	stats_of(q);
	assert_null(spool_queue__next(q));
	assert_int_equal(seen.done, 0);
	pthread_mutex_unlock(&disk_hangs);
	wait_for(seen.done == 100);
	drain(q, 0, 100);
	spool_queue__free(q);
	spool__free(s);
}

static _Atomic int sync_err;
static _Atomic unsigned syncs_begun, syncs;
static pthread_mutex_t sync_hangs = PTHREAD_MUTEX_INITIALIZER;

static int odd_sync(int fd)
{
	int err, r;

	syncs_begun++;
	pthread_mutex_lock(&sync_hangs);
	pthread_mutex_unlock(&sync_hangs);
	err = sync_err;
	r = err ? -1 : fdatasync(fd);
	sync_err = 0;
	syncs++;
	errno = err;
	return r;
}

static const struct spool_io odd_sync_io = {
	.pwritev = pwritev, .pread = pread, .fdatasync = odd_sync};

/* A disk that takes its time to sync holds no append; at the end it is waited for. */
static void test_sync_hangs(void **state _unused_)
{
	struct spool_opts opts = {.directory = in_scratch("sync-hangs"),
				  .segment_bytes = 64 << 10,
				  .fsync = SPOOL_FSYNC_SEGMENT,
				  .io = &odd_sync_io};
	struct spool *s = make_spool(&opts);
	struct seen seen = {0};
	struct spool_queue *q = make_queue(s, "a", &seen);
	struct spool_stats stats;

	wait_for(spool_queue__state(q) == SPOOL_READY);
	syncs_begun = syncs = 0;
	pthread_mutex_lock(&sync_hangs);
	for (unsigned i = 0; i < 40; i++)
		assert_int_equal(append(q, &seen, i, 5000), 0);
	wait_for(syncs_begun);
	wait_for(seen.done == 40);
	assert_int_equal(seen.failed, 0);
	assert_int_equal(syncs, 0);
	pthread_mutex_unlock(&sync_hangs);
	drain(q, 0, 40);
	/* Three files are full; the fourth is not, and is synced when it is closed. */
	spool_queue__free(q);
	spool__stats(s, &stats);
	assert_int_equal(stats.errors, 0);
	spool__free(s);
	assert_in_range(syncs, 4, 8); /* with the directory */
	assert_int_equal(syncs, syncs_begun);
}

/* More files than are kept for it: then appends do wait. */
static void test_sync_hangs_for_long(void **state _unused_)
{
	struct spool_opts opts = {.directory = in_scratch("sync-long"),
				  .segment_bytes = 64 << 10,
				  .fsync = SPOOL_FSYNC_SEGMENT,
				  .io = &odd_sync_io};
	struct spool *s = make_spool(&opts);
	struct seen seen = {0};
	struct spool_queue *q = make_queue(s, "a", &seen);

	wait_for(spool_queue__state(q) == SPOOL_READY);
	syncs_begun = syncs = 0;
	pthread_mutex_lock(&sync_hangs);
	for (unsigned i = 0; i < 200; i++)
		assert_int_equal(append(q, &seen, i, 40000), 0);
	wait_for(syncs_begun == 2); /* the second is the append's own */
	assert_in_range(seen.done, 0, 100);
	pthread_mutex_unlock(&sync_hangs);
	wait_for(seen.done == 200);
	assert_int_equal(seen.failed, 0);
	drain(q, 0, 200);
	spool_queue__free(q);
	spool__free(s);
}

/* It is said, what comes goes to another file, and all of it is there. */
static void test_sync_fails(void **state _unused_)
{
	struct spool_opts opts = {.directory = in_scratch("sync-fails"),
				  .segment_bytes = 64 << 10,
				  .fsync = SPOOL_FSYNC_SEGMENT,
				  .io = &odd_sync_io,
				  .min_backoff_ns = 20 * NS_PER_MS,
				  .max_backoff_ns = 40 * NS_PER_MS};
	struct spool *s = make_spool(&opts);
	struct seen seen = {0};
	struct spool_queue *q = make_queue(s, "a", &seen);
	struct spool_stats stats;

	wait_for(spool_queue__state(q) == SPOOL_READY);
	syncs_begun = 0;
	pthread_mutex_lock(&sync_hangs);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(append(q, &seen, i, 5000), 0);
	wait_for(seen.done == 20 && syncs_begun);
	sync_err = EIO;
	pthread_mutex_unlock(&sync_hangs);
	wait_for(spool_queue__state(q) == SPOOL_FAILED);
	assert_non_null(spool__problem(s));
	wait_for((spool__stats(s, &stats), stats.errors));
	assert_non_null(strstr(stats.last_error, "Input/output"));
	wait_for(spool_queue__state(q) == SPOOL_READY);
	for (unsigned i = 20; i < 30; i++)
		assert_int_equal(append(q, &seen, i, 5000), 0);
	wait_for(seen.done == 30);
	assert_int_equal(seen.failed, 0);
	wait_for(!spool__problem(s));
	drain(q, 0, 30);
	spool_queue__free(q);
	spool__free(s);
}

/* A directory that cannot be used now can be later, with what is in it. */
static void test_directory_comes(void **state _unused_)
{
	struct spool_opts opts = {.directory = in_scratch("comes"),
				  .min_backoff_ns = 10 * NS_PER_MS,
				  .max_backoff_ns = 20 * NS_PER_MS};
	struct spool *s = make_spool(&opts);
	struct seen seen = {0};
	struct spool_queue *q = make_queue(s, "a", &seen);

	wait_for(spool_queue__state(q) == SPOOL_READY);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(append(q, &seen, i, 1000), 0);
	wait_for(seen.done == 5);
	spool_queue__free(q);
	spool__free(s);

	chmod(in_scratch("comes"), 0777);
	s = make_spool(&opts);
	q = make_queue(s, "a", &seen);
	wait_for(spool_queue__state(q) == SPOOL_FAILED);
	assert_non_null(strstr(spool__problem(s), "others may write"));
	assert_int_equal(append(q, &seen, 5, 1000), -EPERM);
	assert_null(spool_queue__next(q));
	chmod(in_scratch("comes"), 0700);
	wait_for(spool_queue__state(q) == SPOOL_READY);
	assert_null(spool__problem(s));
	drain(q, 0, 5);
	spool_queue__free(q);
	spool__free(s);
}

static void test_held_by_another(void **state _unused_)
{
	struct spool_opts opts = {.directory = in_scratch("held"),
				  .min_backoff_ns = 10 * NS_PER_MS,
				  .max_backoff_ns = 20 * NS_PER_MS};
	struct spool *first = make_spool(&opts), *second;
	struct seen seen = {0}, seen_second = {0};
	struct spool_queue *q = make_queue(first, "a", &seen), *other;
	char pid[32];

	wait_for(spool_queue__state(q) == SPOOL_READY);
	assert_int_equal(append(q, &seen, 0, 1000), 0);
	second = make_spool(&opts);
	other = make_queue(second, "a", &seen_second);
	wait_for(spool_queue__state(other) == SPOOL_FAILED);
	snprintf(pid, sizeof(pid), "process %d has it", (int)getpid());
	assert_non_null(strstr(spool__problem(second), pid));
	wait_for(seen.done == 1);
	spool_queue__free(q);
	spool__free(first);
	wait_for(spool_queue__state(other) == SPOOL_READY);
	drain(other, 0, 1);
	spool_queue__free(other);
	spool__free(second);
}

/* With all that is in it; a new one is made, and what is lost is counted. */
static void test_directory_removed(void **state _unused_)
{
	struct spool_opts opts = {.directory = in_scratch("gone"),
				  .segment_bytes = 64 << 10,
				  .min_backoff_ns = 10 * NS_PER_MS,
				  .max_backoff_ns = 20 * NS_PER_MS};
	struct spool_queue_stats stats;
	struct spool *s = make_spool(&opts);
	struct seen seen = {0};
	struct spool_queue *q = make_queue(s, "a", &seen);
	struct spool_record *r;
	unsigned number = 100, written;

	wait_for(spool_queue__state(q) == SPOOL_READY);
	for (unsigned i = 0; i < 30; i++)
		assert_int_equal(append(q, &seen, i, 5000), 0);
	wait_for(seen.done == 30);
	remove_tree(in_scratch("gone"));
	/* Until one is written again. */
	for (written = 0; !written;) {
		unsigned done = seen.done, failed = seen.failed;

		wait_for(append(q, &seen, number, 5000) == 0);
		wait_for(seen.done == done + 1);
		written = seen.failed == failed && !access(in_scratch("gone"), F_OK);
		number++;
	}
	wait_for((r = spool_queue__next(q)));
	while (number_of(r) < 30) {
		spool_queue__consumed(q, r);
		wait_for((r = spool_queue__next(q)));
	}
	assert_int_equal(number_of(r), number - 1);
	spool_queue__consumed(q, r);
	wait_for(spool_queue__empty(q));
	stats = stats_of(q);
	assert_true(stats.lost[SPOOL_LOSS_REMOVED].batches >= 28);
	assert_int_equal(stats.written.lines,
			 stats.consumed.lines + stats.lost[SPOOL_LOSS_REMOVED].lines);
	spool_queue__free(q);
	spool__free(s);
}

/* What is behind an append that failed fails too: it begins anew behind that one. */
static void test_failure_keeps_order(void **state _unused_)
{
	struct spool_opts opts = {.directory = in_scratch("behind")};
	struct spool *s = make_spool(&opts);
	struct seen seen = {0};
	struct spool_queue *q = make_queue(s, "a", &seen);
	unsigned done;

	wait_for(spool_queue__state(q) == SPOOL_READY);
	for (unsigned round = 0; round < 20; round++) {
		assert_int_equal(append(q, &seen, 0, 1000), 0);
		wait_for(!spool_queue__empty(q) && stats_of(q).held.batches);
		remove_tree(in_scratch("behind"));
		seen.last_err = 0;
		seen.overtaken = false;
		done = seen.done;
		for (unsigned i = 0; i < 200; i++)
			assert_int_equal(append(q, &seen, i, 1000), 0);
		wait_for(seen.done >= done + 200);
		assert_false(seen.overtaken);
		wait_for(spool_queue__state(q) == SPOOL_READY);
	}
	assert_int_not_equal(seen.failed, 0);
	spool_queue__free(q);
	spool__free(s);
}

/* Another directory of that name: the one that is open is used on. */
static void test_directory_moved(void **state _unused_)
{
	struct spool_opts opts = {.directory = in_scratch("here")};
	struct spool *s = make_spool(&opts);
	struct seen seen = {0};
	struct spool_queue *q = make_queue(s, "a", &seen);

	wait_for(spool_queue__state(q) == SPOOL_READY);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(append(q, &seen, i, 1000), 0);
	wait_for(seen.done == 5);
	assert_int_equal(rename(in_scratch("here"), in_scratch("there")), 0);
	assert_int_equal(symlink("/etc", in_scratch("here")), 0);
	for (unsigned i = 5; i < 10; i++)
		assert_int_equal(append(q, &seen, i, 1000), 0);
	drain(q, 0, 10);
	assert_int_equal(seen.failed, 0);
	spool_queue__free(q);
	spool__free(s);
	assert_int_equal(unlink(in_scratch("here")), 0);
}

/* Appends that nobody has begun with come back from the call that frees the queue. */
static void test_free_gives_back(void **state _unused_)
{
	struct spool_opts opts = {.directory = in_scratch("back"), .io = &odd_io};
	struct spool *s = make_spool(&opts);
	struct seen seen = {0};
	struct spool_queue *q = make_queue(s, "a", &seen);

	wait_for(spool_queue__state(q) == SPOOL_READY);
	for (unsigned i = 0; i < 500; i++)
		assert_int_equal(append(q, &seen, i, 1000), 0);
	spool_queue__free(q);
	assert_int_equal(seen.done, 500);
	if (seen.failed)
		assert_int_equal(seen.last_err, -ECANCELED);
	for (unsigned i = 0; i < 500; i++)
		assert_int_equal(seen.order[i], i);
	q = make_queue(s, "a", &seen);
	wait_for(spool_queue__state(q) == SPOOL_READY);
	assert_int_equal(stats_of(q).found.batches, 500 - seen.failed);
	spool_queue__free(q);
	spool__free(s);
	spool__free(NULL);
	spool_queue__free(NULL);
}

/* A real one, 1 MiB, shared with somebody else's file. */
static void test_small_disk(void **state _unused_)
{
	const char *disk = in_scratch("disk");
	struct spool_opts opts = {.directory = in_scratch("disk/spool"),
				  .max_bytes = 4 << 20,
				  .segment_bytes = 128 << 10,
				  .min_backoff_ns = 10 * NS_PER_MS,
				  .max_backoff_ns = 20 * NS_PER_MS};
	struct seen seen = {0};
	struct spool_queue *q;
	unsigned written = 0;
	struct spool *s;
	char *hog;

	mkdir(disk, 0700);
	if (mount("none", disk, "tmpfs", 0, "size=1m")) {
		printf("SKIP test_small_disk: mount: %s\n", strerror(errno));
		skip();
	}
	s = make_spool(&opts);
	q = make_queue(s, "a", &seen);
	wait_for(spool_queue__state(q) == SPOOL_READY);
	hog = calloc(1, 300 << 10);
	write_whole(in_scratch("disk/hog"), hog, 300 << 10);
	free(hog);
	while (!seen.failed) {
		unsigned done = seen.done;

		wait_for(append(q, &seen, written, 20000) == 0);
		wait_for(seen.done == done + 1);
		written += !seen.failed;
	}
	assert_int_equal(seen.last_err, -ENOSPC);
	assert_in_range(written, 20, 40);
	unlink(in_scratch("disk/hog"));
	for (seen.failed = 1; seen.failed;) {
		unsigned done = seen.done;

		seen.failed = 0;
		wait_for(append(q, &seen, written, 20000) == 0);
		wait_for(seen.done == done + 1);
	}
	drain(q, 0, written + 1);
	spool_queue__free(q);
	spool__free(s);

	assert_int_equal(mount("none", disk, "tmpfs", MS_REMOUNT | MS_RDONLY, NULL), 0);
	s = make_spool(&opts);
	q = make_queue(s, "a", &seen);
	wait_for(spool_queue__state(q) == SPOOL_FAILED);
	assert_non_null(strstr(spool__problem(s), "Read-only"));
	assert_int_equal(append(q, &seen, 1, 1000), -EROFS);
	assert_int_equal(mount("none", disk, "tmpfs", MS_REMOUNT, NULL), 0);
	wait_for(spool_queue__state(q) == SPOOL_READY);
	assert_int_equal(append(q, &seen, 1, 1000), 0);
	drain(q, 1, 2);
	spool_queue__free(q);
	spool__free(s);
	assert_int_equal(umount(disk), 0);
}

static int make_loop(void **state)
{
	return make_scratch(state) || loop__new(&loop);
}

static int free_loop(void **state)
{
	loop__free(loop);
	return remove_scratch(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_restart_and_put_back),
		cmocka_unit_test(test_streams),
		cmocka_unit_test(test_disk_errors),
		cmocka_unit_test(test_disk_hangs),
		cmocka_unit_test(test_sync_hangs),
		cmocka_unit_test(test_sync_hangs_for_long),
		cmocka_unit_test(test_sync_fails),
		cmocka_unit_test(test_directory_comes),
		cmocka_unit_test(test_held_by_another),
		cmocka_unit_test(test_directory_removed),
		cmocka_unit_test(test_failure_keeps_order),
		cmocka_unit_test(test_directory_moved),
		cmocka_unit_test(test_free_gives_back),
		cmocka_unit_test(test_small_disk),
	};

	/* Messages are not what is tested. */
	log__level(getenv("SPOOL_LOG") ? LOG_DEBUG : (enum log_level) - 1);
	return cmocka_run_group_tests(tests, make_loop, free_loop);
}
