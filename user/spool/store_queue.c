/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One client's segments. Appends go to the last one; reads go from the first on, head by head, so
 * that memory holds a few numbers for each segment and nothing for each record. What was returned
 * and is not consumed is on the list of outs.
 *
 * The cursor file says below which id all is consumed. It is written now and then: one that is too
 * old, or gone, makes records come again, which the receiver knows already.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <utlist.h>

#include <openssl/evp.h>

#include "base/log.h"
#include "spool/internal.h"

#define SUFFIX ".seg"
#define CURSOR "cursor"
#define CURSOR_NEW "cursor.new"
#define CLIENT "client"

void segment__name(char name[NAME_LEN], const struct segment *s)
{
	store__name(name, NAME_LEN, s->number, SUFFIX);
}

uint64_t store_queue__file_bytes(const struct store_queue *q)
{
	uint64_t bytes = 0;
	struct segment *s;

	DL_FOREACH (q->segments, s)
		bytes += s->size;
	return bytes;
}

void store_queue__close_reader(struct store_queue *q)
{
	segment_reader__close(&q->reader);
	close_p(&q->reading_fd);
	q->reading_fd = -1;
	q->reading = NULL;
}

void store_queue__forget(struct store_queue *q, struct segment *s)
{
	struct item *i;

	if (q->reading == s)
		store_queue__close_reader(q);
	if (q->active == s) {
		close_p(&q->active_fd);
		q->active_fd = -1;
		q->active = NULL;
	}
	DL_FOREACH (q->memory->outs, i) {
		struct spool_count c = spool_count__of(&i->record);

		if (i->segment != s)
			continue;
		i->segment = NULL;
		if (!i->record.gap)
			spool_count__add(&q->memory->orphans, &c);
	}
	q->store->used -= s->size;
	DL_DELETE(q->segments, s);
	free(s);
}

/* What of `s` is held by it alone. */
struct spool_count store_queue__held_alone(const struct store_queue *q, const struct segment *s)
{
	struct spool_count held = s->held;
	const struct item *i;

	DL_FOREACH (q->memory->outs, i) {
		struct spool_count c = spool_count__of(&i->record);

		if (i->segment == s && !i->record.gap)
			spool_count__sub(&held, &c);
	}
	return held;
}

void store_queue__lose(struct store_queue *q, struct segment *s, enum spool_loss loss)
{
	struct spool_count lost = store_queue__held_alone(q, s);

	spool_count__add(&q->memory->stats.lost[loss], &lost);
	spool_count__sub(&s->held, &lost);
	if (lost.lines)
		log_error("spool: %s/%s: %llu lines lost: %s", q->store->path, q->name,
			  (unsigned long long)lost.lines,
			  loss == SPOOL_LOSS_REMOVED ? "their file was removed"
						     : "their file is damaged");
}

void store_queue__damaged(struct store_queue *q, struct segment *s, const char *what)
{
	char name[NAME_LEN];

	if (s->damaged)
		return;
	s->damaged = true;
	q->store->corrupt_found++;
	segment__name(name, s);
	log_warn("spool: %s/%s/%s: %s", q->store->path, q->name, name, what);
}

/* Its file is not to be read again. */
void store_queue__discard(struct store_queue *q, struct segment *s)
{
	char name[NAME_LEN];

	segment__name(name, s);
	if (s->damaged) {
		q->store->used += s->size;
		store__set_aside(q, name, s->size);
	} else if (unlinkat(q->dirfd, name, 0) && errno != ENOENT) {
		store__failed(q->store, -errno, "%s/%s cannot be removed", q->name, name);
	}
	store_queue__forget(q, s);
}

void store_queue__discard_if_done(struct store_queue *q, struct segment *s)
{
	if (!s->read || s->outs || s == q->active)
		return;
	store_queue__lose(q, s, SPOOL_LOSS_CORRUPT);
	/* Or the next start would miss what was in it. */
	store_queue__persist_cursor(q);
	store_queue__discard(q, s);
}

const char *store_queue__describe(int err)
{
	switch (err) {
	case -EPROTO:
		return "of another version";
	case -EBADMSG:
	case -ENODATA:
		return "damaged, or none of notail's";
	default:
		return strerror(-err);
	}
}

void store_queue__persist_cursor(struct store_queue *q)
{
	uint64_t low = store_queue__low(q), end = q->memory->last_id + 1;
	struct disk_cursor cursor;
	struct iovec iov = {&cursor, sizeof(cursor)};
	_close_ int fd = -1;

	if (low == q->saved_low && end == q->saved_end)
		return;
	format__cursor(&cursor, q->hash, low, end);
	fd = openat(q->dirfd, CURSOR_NEW, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
		    0600);
	if (fd < 0 || spool_io__write(q->store->opts.io, fd, &iov, 1, 0) ||
	    renameat(q->dirfd, CURSOR_NEW, q->dirfd, CURSOR))
		return;
	q->saved_low = low;
	q->saved_end = end;
}

static void load_cursor(struct store_queue *q)
{
	_close_ int fd = openat(q->dirfd, CURSOR, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct disk_cursor cursor = {0};
	ssize_t n;
	int err;

	if (fd < 0 && errno == ENOENT)
		return;
	n = fd < 0 ? -errno : spool_io__read(q->store->opts.io, fd, &cursor, sizeof(cursor), 0);
	err = n < 0 ? (int)n : format__check_cursor(&cursor, q->hash);
	if (!err) {
		q->saved_low = cursor.low;
		q->saved_end = cursor.end;
		q->start_low = cursor.low;
		q->read_id = cursor.low ? cursor.low - 1 : 0;
		return;
	}
	q->store->corrupt_found++;
	q->store->used += sizeof(cursor);
	store__set_aside(q, CURSOR, sizeof(cursor));
}

static int by_number(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* What begins with the number of a segment, whatever follows: none of them is used twice. */
static int list_segments(struct store_queue *q, uint64_t **ret, size_t *ret_n)
{
	int fd = openat(q->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = -errno;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	uint64_t *numbers = NULL, *grown, number;
	struct dirent *entry;
	size_t n = 0;

	if (!dir) {
		close_p(&fd);
		return err;
	}
	err = 0;
	while ((entry = readdir(dir))) {
		char digits[17] = "";

		memcpy(digits, entry->d_name, strnlen(entry->d_name, sizeof(digits) - 1));
		if (store__parse_name(digits, "", &number))
			continue;
		q->next_number = MAX(q->next_number, number + 1);
		if (!strcmp(entry->d_name + 16, ".new"))
			unlinkat(q->dirfd, entry->d_name, 0);
		if (strcmp(entry->d_name + 16, SUFFIX))
			continue;
		grown = reallocarray(numbers, n + 1, sizeof(*numbers));
		if (!grown) {
			err = -ENOMEM;
			break;
		}
		numbers = grown;
		numbers[n++] = number;
	}
	closedir(dir);
	if (n)
		qsort(numbers, n, sizeof(*numbers), by_number);
	*ret = numbers;
	*ret_n = n;
	return err;
}

static int scan(struct store_queue *q, struct segment *s, struct segment_scan *ret,
		struct stream_map *streams)
{
	char name[NAME_LEN];
	_close_ int fd = -1;
	struct stat st;

	segment__name(name, s);
	fd = openat(q->dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return errno == ELOOP ? -EBADMSG : -errno;
	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EBADMSG;
	s->size = (uint64_t)st.st_size;
	return segment__scan(q->store->opts.io, fd, q->start_low, ret, streams);
}

/* A killed process may have left what a gap record has taken the place of. */
static void discard_superseded(struct store_queue *q, const struct segment *s)
{
	struct segment *before;

	if (!s->held_gaps.batches)
		return;
	while ((before = s->prev) != s && before->first_id >= s->first_id)
		store_queue__discard(q, before);
}

/* An end that was not finished belongs to no record that anybody was told is safe. */
static void cut_torn(struct store_queue *q, struct segment *s, uint64_t end)
{
	char name[NAME_LEN];
	_close_ int fd = -1;

	segment__name(name, s);
	log_info("spool: %s/%s/%s: %llu bytes of an unfinished record are cut off", q->store->path,
		 q->name, name, (unsigned long long)(s->size - end));
	fd = openat(q->dirfd, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)end))
		return;
	q->store->used -= s->size - end;
	s->size = end;
}

static int load_segment(struct store_queue *q, uint64_t number, bool last,
			struct stream_map *streams)
{
	struct segment *s = calloc(1, sizeof(*s));
	struct segment_scan found = {0};
	int err;

	if (!s)
		return -ENOMEM;
	s->number = number;
	err = scan(q, s, &found, streams);
	DL_APPEND(q->segments, s);
	q->store->used += s->size;
	if (err == -ENOMEM)
		return err;
	if (err == -ENODATA && last) {
		/* Killed before its first record. */
		store_queue__discard(q, s);
		return 0;
	}
	if (err) {
		store_queue__damaged(q, s, store_queue__describe(err));
		store_queue__discard(q, s);
		return 0;
	}
	s->first_id = found.summary.first_id;
	s->last_id = found.summary.last_id;
	s->held = found.summary.batches;
	s->held_gaps = found.summary.gaps;
	s->remnant = s->held_gaps.batches;
	s->oldest_ns = found.summary.oldest_ns;
	s->newest_ns = found.summary.newest_ns;
	if (found.damaged || (found.torn && !last))
		store_queue__damaged(q, s, "damaged");
	else if (found.torn)
		cut_torn(q, s, found.end);
	q->memory->last_id = MAX(q->memory->last_id, s->last_id);
	q->memory->next_id = MAX(q->memory->next_id, s->last_id + 1);
	if (s->last_id <= q->read_id || !(s->held.batches + s->held_gaps.batches))
		store_queue__discard(q, s);
	else
		discard_superseded(q, s);
	return 0;
}

/* A directory that comes back may have more or less than it had. */
static void account_found(struct store_queue *q)
{
	struct store_memory *m = q->memory;
	struct spool_count held = {0};
	struct segment *s;

	DL_FOREACH (q->segments, s)
		spool_count__add(&held, &s->held);
	spool_count__sub(&held, &m->closed);
	if ((int64_t)held.lines < 0 || (int64_t)held.batches < 0)
		spool_count__sub(&m->stats.lost[SPOOL_LOSS_REMOVED], &held);
	else
		spool_count__add(&m->stats.found, &held);
	m->closed = (struct spool_count){0};
}

/* The last file may end where nobody can see that it was longer. */
static void account_missing(struct store_queue *q)
{
	struct store_memory *m = q->memory;
	uint64_t missing = q->saved_end - m->next_id;

	if (m->next_id >= q->saved_end || missing > INT32_MAX)
		return;
	q->store->corrupt_found++;
	log_error("spool: %s/%s: %" PRIu64 " batches that were written are missing at its end",
		  q->store->path, q->name, missing);
	m->stats.found.batches += missing;
	m->stats.lost[SPOOL_LOSS_CORRUPT].batches += missing;
	m->next_id = q->saved_end;
	m->last_id = q->saved_end - 1;
}

static int load(struct store_queue *q, struct stream_map *streams)
{
	uint64_t *numbers = NULL;
	size_t n = 0;
	int err;

	load_cursor(q);
	q->memory->next_id = MAX(q->memory->next_id, q->read_id + 1);
	err = list_segments(q, &numbers, &n);
	for (size_t i = 0; i < n && !err; i++)
		err = load_segment(q, numbers[i], i + 1 == n, streams);
	free(numbers);
	if (!err) {
		account_found(q);
		account_missing(q);
	}
	q->loaded = !err;
	return err;
}

static uint64_t hash_key(const char *key)
{
	unsigned char digest[EVP_MAX_MD_SIZE] = {0};
	uint64_t hash = 0;

	EVP_Digest(key, strlen(key), digest, NULL, EVP_sha256(), NULL);
	for (size_t i = 0; i < sizeof(hash); i++)
		hash = hash << 8 | digest[i];
	return hash;
}

/* So that people know whose it is. */
static void name_client(struct store_queue *q, const char *key)
{
	_close_ int fd = openat(q->dirfd, CLIENT,
				O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd >= 0 && dprintf(fd, "%s\n", key) < 0)
		unlinkat(q->dirfd, CLIENT, 0);
}

static int open_directory(struct store_queue *q)
{
	struct stat st;

	if (mkdirat(q->store->dirfd, q->name, 0700) && errno != EEXIST)
		return -errno;
	q->dirfd =
		openat(q->store->dirfd, q->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (q->dirfd < 0 || fstat(q->dirfd, &st))
		return -errno;
	return st.st_uid == geteuid() && !(st.st_mode & (S_IWGRP | S_IWOTH)) ? 0 : -EPERM;
}

int store_queue__open(struct store_queue **ret, struct store *s, const char *key,
		      struct store_memory *memory, struct stream_map *streams)
{
	struct store_queue *q = calloc(1, sizeof(*q));
	int err;

	if (!q)
		return -ENOMEM;
	q->store = s;
	q->memory = memory;
	q->dirfd = q->active_fd = q->reading_fd = -1;
	q->next_number = 1;
	q->hash = hash_key(key);
	memory->next_id = MAX(memory->next_id, 1u);
	store__name(q->name, sizeof(q->name), q->hash, "");
	DL_APPEND(s->queues, q);
	err = open_directory(q);
	if (!err) {
		store__claim_leftover(s, q->hash);
		name_client(q, key);
		store__find_asides(s, q->dirfd, q->hash);
		err = load(q, streams);
	}
	if (err) {
		store__failed(s, err, "%s cannot be opened", q->name);
		store_queue__close(q);
		return err;
	}
	*ret = q;
	return 0;
}

bool store_queue__is_there(const struct store_queue *q)
{
	struct stat st;

	return !fstat(q->dirfd, &st) && st.st_nlink;
}

void store_queue__stats(const struct store_queue *q, const struct store_memory *memory,
			struct spool_queue_stats *ret)
{
	const struct segment *s;

	*ret = memory->stats;
	ret->held = memory->orphans;
	if (memory->outs)
		ret->oldest_ns = memory->outs->record.oldest_ns;
	if (!q)
		spool_count__add(&ret->held, &memory->closed);
	for (s = q ? q->segments : NULL; s; s = s->next) {
		spool_count__add(&ret->held, &s->held);
		spool_count__add(&ret->held_gaps, &s->held_gaps);
		ret->file_bytes += s->size;
		if (!ret->oldest_ns)
			ret->oldest_ns = s->oldest_ns;
	}
}

static void close_segments(struct store_queue *q)
{
	bool gone = q->dirfd < 0 || !store_queue__is_there(q);
	struct spool_count closed = {0};

	while (q->segments) {
		struct segment *s = q->segments;
		struct spool_count held = store_queue__held_alone(q, s);

		if (gone)
			store_queue__lose(q, s, SPOOL_LOSS_REMOVED);
		else
			spool_count__add(&closed, &held);
		store_queue__forget(q, s);
	}
	if (q->loaded)
		q->memory->closed = closed;
}

void store_queue__close(struct store_queue *q)
{
	if (!q)
		return;
	store_queue__seal_active(q);
	if (q->dirfd >= 0)
		store_queue__persist_cursor(q);
	close_segments(q);
	store_queue__close_reader(q);
	stream_map__free(&q->active_streams);
	close_p(&q->dirfd);
	DL_DELETE(q->store->queues, q);
	free(q);
}
