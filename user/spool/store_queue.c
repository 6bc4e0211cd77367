/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One client's segments. Appends go to the last one; reads go from the first on, head by head, so
 * that memory holds a few numbers for each segment and nothing for each record. What was returned
 * and is not consumed is on the list of outs; a segment goes when it is read to its end and none of
 * its records is out. What it should have held then and did not was lost to damage.
 *
 * The cursor file says below which id all is consumed. It is written now and then: one that is too
 * old, or gone, makes records come again, which the receiver knows already.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <utlist.h>

#include <openssl/evp.h>

#include "base/log.h"
#include "spool/internal.h"

#define SUFFIX ".seg"
#define CURSOR "cursor"
#define CURSOR_NEW "cursor.new"
#define CLIENT "client"

static void segment_name(char name[NAME_LEN], const struct segment *s)
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
static struct spool_count without_outs(const struct store_queue *q, const struct segment *s)
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
	struct spool_count lost = without_outs(q, s);

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
	segment_name(name, s);
	log_warn("spool: %s/%s/%s: %s", q->store->path, q->name, name, what);
}

/* Its file is not to be read again. */
static void discard(struct store_queue *q, struct segment *s)
{
	char name[NAME_LEN];

	segment_name(name, s);
	if (s->damaged) {
		q->store->used += s->size;
		store__set_aside(q, name, s->size);
	} else if (unlinkat(q->dirfd, name, 0) && errno != ENOENT) {
		store__failed(q->store, -errno, "%s/%s cannot be removed", q->name, name);
	}
	store_queue__forget(q, s);
}

static void discard_if_done(struct store_queue *q, struct segment *s)
{
	if (!s->read || s->outs || s == q->active)
		return;
	store_queue__lose(q, s, SPOOL_LOSS_CORRUPT);
	discard(q, s);
}

/*
 * Writing
 */

/* A file that is safe under a name that is not would be lost all the same. */
static int sync_names(struct store_queue *q)
{
	bool changed = q->names_changed;

	q->names_changed = false;
	return changed ? q->store->opts.io->fdatasync(q->dirfd) : 0;
}

int store_queue__sync(struct store_queue *q)
{
	struct store *s = q->store;
	int err;

	if (!q->active || !q->dirty)
		return 0;
	q->dirty = false;
	if (!s->opts.io->fdatasync(q->active_fd) && !sync_names(q))
		return 0;
	err = store__failed(s, -errno, "fsync of %s", q->name);
	store_queue__close_active(q);
	return err;
}

/* Without memory or room for it, it is not there, and the next start takes longer. */
static void write_summary(struct store_queue *q)
{
	struct segment *s = q->active;
	struct disk_summary summary = {.first_id = s->first_id,
				       .last_id = s->last_id,
				       .batches = s->total,
				       .oldest_ns = s->oldest_ns,
				       .newest_ns = s->newest_ns};
	struct stream_map *m = &q->active_streams;
	struct disk_record head = {.kind = RECORD_SUMMARY, .id = s->last_id, .first_id = 1};
	uint64_t *streams = reallocarray(NULL, m->n + 1, sizeof(*streams));
	struct spool_record r = {.payload = (char *)&summary, .len = sizeof(summary)};
	uint64_t begin = s->size, offset = s->size;
	struct disk_tail tail;
	struct iovec iov;

	for (size_t i = 0; streams && i < m->size; i++)
		if (m->entries[i].id)
			streams[r.n_streams++] = m->entries[i].hash;
	r.streams = streams;
	head.salt = s->salt;
	format__tail(&tail, s->salt, begin);
	iov = (struct iovec){&tail, sizeof(tail)};
	if (streams && s->whole && m->n <= FORMAT_STREAMS_MAX &&
	    !store_queue__put(q, q->active_fd, &offset, &head, &r) &&
	    !spool_io__write(q->store->opts.io, q->active_fd, &iov, 1, offset))
		begin = offset + sizeof(tail);
	if (ftruncate(q->active_fd, (off_t)begin))
		log_debug("spool: %s: %s", q->name, strerror(errno));
	q->store->used += begin - s->size;
	s->size = begin;
	free(streams);
}

void store_queue__close_active(struct store_queue *q)
{
	if (!q->active)
		return;
	if (q->dirty && q->store->opts.fsync != SPOOL_FSYNC_NONE &&
	    (q->store->opts.io->fdatasync(q->active_fd) || sync_names(q)))
		store__failed(q->store, -errno, "fsync of %s", q->name);
	q->dirty = false;
	close_p(&q->active_fd);
	q->active_fd = -1;
	q->active = NULL;
	stream_map__free(&q->active_streams);
}

static void seal_active(struct store_queue *q)
{
	if (q->active && q->active->last_id)
		write_summary(q);
	store_queue__close_active(q);
}

int store_queue__begin_file(struct store_queue *q, const char *name, uint64_t number,
			    uint64_t *ret_salt)
{
	struct disk_segment head;
	struct iovec iov = {&head, sizeof(head)};
	uint64_t salt;
	int fd, err;

	if (getrandom(&salt, sizeof(salt), 0) != sizeof(salt))
		return -EIO;
	fd = openat(q->dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	format__segment(&head, q->hash, number, salt);
	err = spool_io__write(q->store->opts.io, fd, &iov, 1, 0);
	if (err) {
		unlinkat(q->dirfd, name, 0);
		close(fd);
		return err;
	}
	*ret_salt = salt;
	q->names_changed = true;
	return fd;
}

static int begin_segment(struct store_queue *q)
{
	struct segment *s = calloc(1, sizeof(*s));
	char name[NAME_LEN];
	int fd;

	if (!s)
		return -ENOMEM;
	s->number = q->next_number++;
	s->size = sizeof(struct disk_segment);
	s->whole = true;
	segment_name(name, s);
	fd = store_queue__begin_file(q, name, s->number, &s->salt);
	if (fd < 0) {
		free(s);
		return fd;
	}
	DL_APPEND(q->segments, s);
	q->store->used += s->size;
	q->active = s;
	q->active_fd = fd;
	return 0;
}

int store_queue__put(struct store_queue *q, int fd, uint64_t *offset, struct disk_record *head,
		     const struct spool_record *r)
{
	struct iovec iov[FORMAT_IOV];
	size_t len;
	int n, err;

	len = format__record(head, r, iov, &n);
	err = spool_io__write(q->store->opts.io, fd, iov, n, *offset);
	if (!err)
		*offset += len;
	return err;
}

static void note_streams(struct store_queue *q, const struct spool_record *r, uint64_t id)
{
	for (size_t i = 0; i < r->n_streams; i++)
		if (q->active_streams.n > FORMAT_STREAMS_MAX ||
		    stream_map__put(&q->active_streams, r->streams[i], id))
			q->active->whole = false;
}

static void note_record(struct segment *s, const struct spool_record *r, uint64_t id)
{
	struct spool_count c = spool_count__of(r);

	spool_count__add(&s->held, &c);
	spool_count__add(&s->total, &c);
	s->first_id = s->first_id ? s->first_id : id;
	s->last_id = id;
	if (r->oldest_ns && (!s->oldest_ns || r->oldest_ns < s->oldest_ns))
		s->oldest_ns = r->oldest_ns;
	s->newest_ns = MAX(s->newest_ns, r->newest_ns);
}

static int write_record(struct store_queue *q, const struct spool_record *r, uint64_t id)
{
	struct disk_record head = {
		.kind = RECORD_BATCH, .salt = q->active->salt, .id = id, .first_id = id};
	struct segment *s = q->active;
	uint64_t size = s->size;
	int err = store_queue__put(q, q->active_fd, &size, &head, r);

	if (err) {
		bool cut = !ftruncate(q->active_fd, (off_t)s->size);

		/* A file of a head alone, or with half a record at its end, is of no further use.
		 */
		if (!s->last_id)
			discard(q, s);
		else if (!cut)
			store_queue__close_active(q);
		return err;
	}
	q->store->used += size - s->size;
	s->size = size;
	q->dirty = true;
	note_record(s, r, id);
	note_streams(q, r, id);
	return 0;
}

/* Somebody may have removed the file, or the directory with all that is in it. */
static void check_active(struct store_queue *q)
{
	struct segment *s = q->active;
	struct stat st;

	if (!s || (!fstat(q->active_fd, &st) && st.st_nlink))
		return;
	store_queue__lose(q, s, SPOOL_LOSS_REMOVED);
	store_queue__forget(q, s);
}

/* Room in the file that is written, a new one where there is none. */
static int prepare(struct store_queue *q, uint64_t len, uint64_t reserve)
{
	int err;

	check_active(q);
	if (q->active && q->active->size + len > q->store->opts.segment_bytes)
		seal_active(q);
	err = store__make_room(q->store, len + reserve + sizeof(struct disk_segment));
	if (!err && !q->active)
		err = begin_segment(q);
	return err;
}

int store_queue__append(struct store_queue *q, const struct spool_record *r, uint64_t id)
{
	size_t tenant_len = r->tenant ? strlen(r->tenant) : 0;
	uint64_t len, reserve;
	struct spool_count c = spool_count__of(r);
	int err;

	len = sizeof(struct disk_record) + r->n_streams * sizeof(uint64_t) +
	      format__align(tenant_len) + format__align(r->len);
	/* Of the summary. */
	reserve = sizeof(struct disk_record) + sizeof(struct disk_summary) +
		  sizeof(struct disk_tail) +
		  (q->active_streams.n + r->n_streams) * sizeof(uint64_t);
	q->memory->next_id = id + 1;
	if (tenant_len > FORMAT_TENANT_MAX || r->n_streams > FORMAT_STREAMS_MAX ||
	    r->len > FORMAT_PAYLOAD_MAX ||
	    len + reserve + sizeof(struct disk_segment) > q->store->opts.max_bytes)
		return -EFBIG;
	err = prepare(q, len, reserve);
	if (!err)
		err = write_record(q, r, id);
	if (err)
		return store__failed(q->store, err, "%s cannot be written", q->name);
	spool_count__add(&q->memory->stats.written, &c);
	return 0;
}

/*
 * Reading
 */

int store_queue__open_reader(struct store_queue *q, struct segment *s)
{
	char name[NAME_LEN];
	struct stat st;
	int err;

	segment_name(name, s);
	q->reading_fd = openat(q->dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (q->reading_fd < 0)
		return -errno;
	if (fstat(q->reading_fd, &st))
		err = -errno;
	else
		err = S_ISREG(st.st_mode)
			      ? segment_reader__open(&q->reader, q->store->opts.io, q->reading_fd)
			      : -EBADMSG;
	if (err) {
		close_p(&q->reading_fd);
		q->reading_fd = -1;
		return err;
	}
	if (s->begin)
		q->reader.offset = s->begin;
	q->reading = s;
	return 0;
}

static const char *describe(int err)
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

/* The segment that is next, opened. -ENODATA: none. */
static int open_next(struct store_queue *q)
{
	struct segment *s, *next;
	int err;

	DL_FOREACH_SAFE (q->segments, s, next) {
		if (s->read)
			continue;
		err = store_queue__open_reader(q, s);
		if (!err || err == -ENOMEM || err == -EMFILE || err == -ENFILE)
			return err;
		s->read = true;
		if (err == -ENOENT) {
			store_queue__lose(q, s, SPOOL_LOSS_REMOVED);
			store_queue__forget(q, s);
			continue;
		}
		store_queue__damaged(q, s, describe(err));
		if (s == q->active)
			store_queue__close_active(q);
		discard_if_done(q, s);
	}
	return -ENODATA;
}

static struct item *make_item(const struct disk_record *head, const char *rest)
{
	size_t streams = head->n_streams * sizeof(uint64_t);
	size_t bytes = streams + head->payload_len + head->tenant_len + 1;
	struct item *item = malloc(sizeof(*item) + bytes);
	char *payload, *tenant;

	if (!item)
		return NULL;
	payload = item->data + streams;
	tenant = payload + head->payload_len;
	memcpy(item->data, rest, streams);
	memcpy(tenant, rest + streams, head->tenant_len);
	tenant[head->tenant_len] = '\0';
	*item = (struct item){
		.record =
			{
				.payload = payload,
				.len = head->payload_len,
				.tenant = head->tenant_len ? tenant : NULL,
				.sequence = head->sequence,
				.lines = head->lines,
				.log_bytes = head->log_bytes,
				.raw_bytes = head->raw_bytes,
				.oldest_ns = head->oldest_ns,
				.newest_ns = head->newest_ns,
				.streams = (const uint64_t *)(const void *)item->data,
				.n_streams = head->n_streams,
				.id = head->id,
				.gap = head->kind == RECORD_GAP,
			},
		.first_id = head->first_id,
		.memory_bytes = sizeof(*item) + bytes,
	};
	return item;
}

/* The head is sound and its payload is not. */
static void lose_record(struct store_queue *q, struct segment *s, const struct disk_record *head)
{
	struct spool_count lost = {1, head->lines, head->payload_len};

	store_queue__damaged(q, s, "a record is damaged");
	if (head->kind == RECORD_GAP) {
		spool_count__sub(&s->held_gaps, &lost);
		return;
	}
	spool_count__sub(&s->held, &lost);
	spool_count__add(&q->memory->stats.lost[SPOOL_LOSS_CORRUPT], &lost);
	log_error("spool: %s/%s: %llu lines lost: their record is damaged", q->store->path, q->name,
		  (unsigned long long)lost.lines);
}

/* The reader stands before the next record that is not consumed, or -ENODATA at the end of
 * q->reading. */
static int next_head(struct store_queue *q, struct disk_record *ret, const char **ret_rest)
{
	struct segment *s = q->reading;
	int err;

	q->reader.end = s->size;
	while (!(err = segment_reader__head(&q->reader, ret, ret_rest)) && ret->id < q->start_low)
		segment_reader__skip(&q->reader, ret);
	if (q->reader.damaged)
		store_queue__damaged(q, s, "damaged");
	if (q->reader.torn && s != q->active)
		store_queue__damaged(q, s, "it ends within a record");
	return err;
}

/* -EAGAIN: try the next one. */
static int read_record(struct store_queue *q, struct item **ret)
{
	struct segment *s = q->reading;
	struct disk_record head;
	struct item *item;
	const char *rest;
	int err = next_head(q, &head, &rest);

	if (err)
		return err;
	item = make_item(&head, rest);
	if (!item)
		return -ENOMEM;
	err = segment_reader__payload(&q->reader, &head, (char *)item->record.payload);
	segment_reader__skip(&q->reader, &head);
	q->read_id = MAX(q->read_id, head.id);
	if (err) {
		free(item);
		if (err != -EBADMSG)
			store__failed(q->store, err, "%s cannot be read", q->name);
		lose_record(q, s, &head);
		return -EAGAIN;
	}
	item->segment = s;
	s->outs++;
	DL_APPEND(q->memory->outs, item);
	*ret = item;
	return 0;
}

int store_queue__read(struct store_queue *q, struct item **ret)
{
	struct segment *s;
	int err;

	for (;;) {
		err = q->reading ? 0 : open_next(q);
		if (err)
			return err;
		s = q->reading;
		err = read_record(q, ret);
		if (!err || err == -ENOMEM)
			return err;
		if (err == -EAGAIN)
			continue;
		if (err != -ENODATA)
			store_queue__damaged(q, s,
					     describe(store__failed(q->store, err, "%s", q->name)));
		if (s == q->active && err == -ENODATA)
			return err;
		if (s == q->active)
			store_queue__close_active(q);
		s->read = true;
		store_queue__close_reader(q);
		discard_if_done(q, s);
	}
}

/* All of it is consumed: nothing needs the file, and the next append makes another. */
static void retire_active(struct store_queue *q)
{
	struct segment *s = q->active;

	if (!s || q->reading != s || s->outs || q->reader.offset < s->size)
		return;
	store_queue__close_reader(q);
	q->dirty = false;
	store_queue__close_active(q);
	s->read = true;
	discard_if_done(q, s);
}

void store_queue__consumed(struct store_queue *q, struct store_memory *memory, struct item *item)
{
	struct spool_count c = spool_count__of(&item->record);
	struct segment *s = item->segment;

	DL_DELETE(memory->outs, item);
	if (!item->record.gap)
		spool_count__add(&memory->stats.consumed, &c);
	if (s)
		spool_count__sub(item->record.gap ? &s->held_gaps : &s->held, &c);
	else if (!item->record.gap)
		spool_count__sub(&memory->orphans, &c);
	free(item);
	if (!s)
		return;
	s->outs--;
	discard_if_done(q, s);
	retire_active(q);
}

uint64_t store_queue__low(const struct store_queue *q)
{
	const struct segment *s;

	if (q->memory->outs)
		return q->memory->outs->record.id;
	/* The gap records of a remnant have the id of the last that they are in place of. */
	DL_FOREACH (q->segments, s)
		if (!s->read && (s != q->reading || q->reader.offset < s->size))
			return s->remnant ? MIN(q->read_id + 1, s->last_id) : q->read_id + 1;
	return q->memory->next_id;
}

/*
 * Opening
 */

void store_queue__persist_cursor(struct store_queue *q)
{
	uint64_t low = store_queue__low(q);
	struct disk_cursor cursor;
	struct iovec iov = {&cursor, sizeof(cursor)};
	_close_ int fd = -1;

	if (low == q->saved_low)
		return;
	format__cursor(&cursor, q->hash, low);
	fd = openat(q->dirfd, CURSOR_NEW, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
		    0600);
	if (fd < 0 || spool_io__write(q->store->opts.io, fd, &iov, 1, 0) ||
	    renameat(q->dirfd, CURSOR_NEW, q->dirfd, CURSOR))
		return;
	q->saved_low = low;
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

	segment_name(name, s);
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
		discard(q, before);
}

/* An end that was not finished belongs to no record that anybody was told is safe. */
static void cut_torn(struct store_queue *q, struct segment *s, uint64_t end)
{
	char name[NAME_LEN];
	_close_ int fd = -1;

	segment_name(name, s);
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
		discard(q, s);
		return 0;
	}
	if (err) {
		store_queue__damaged(q, s, describe(err));
		discard(q, s);
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
	q->memory->next_id = MAX(q->memory->next_id, s->last_id + 1);
	if (s->last_id <= q->read_id || !(s->held.batches + s->held_gaps.batches))
		discard(q, s);
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
	if (!err)
		account_found(q);
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
		struct spool_count held = without_outs(q, s);

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
	seal_active(q);
	if (q->dirfd >= 0)
		store_queue__persist_cursor(q);
	close_segments(q);
	store_queue__close_reader(q);
	stream_map__free(&q->active_streams);
	close_p(&q->dirfd);
	DL_DELETE(q->store->queues, q);
	free(q);
}
