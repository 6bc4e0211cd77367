/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last segment of a queue, written. A record that fails half-way is cut off again, so that
 * what follows is found; a segment ends with a summary, so that the next start need not read it.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <utlist.h>

#include "base/log.h"
#include "spool/internal.h"

static int sync_file(const struct store *s, int fd)
{
	if (s->opts.sync)
		return s->opts.sync(s->opts.ctx, fd);
	return s->opts.io->fdatasync(fd) ? -errno : 0;
}

/* A file that is safe under a name that is not would be lost all the same. */
static int sync_active(struct store_queue *q)
{
	bool changed = q->names_changed;
	int err = sync_file(q->store, q->active_fd);

	if (err)
		return err;
	q->names_changed = false;
	return changed ? sync_file(q->store, q->dirfd) : 0;
}

int store_queue__sync(struct store_queue *q)
{
	struct store *s = q->store;
	int err;

	if (!q->active || !q->dirty)
		return 0;
	q->dirty = false;
	err = sync_active(q);
	if (!err)
		return 0;
	store__failed(s, err, "fsync of %s", q->name);
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
	int err = 0;

	if (!q->active)
		return;
	if (q->dirty && q->store->opts.fsync != SPOOL_FSYNC_NONE)
		err = sync_active(q);
	if (err)
		store__failed(q->store, err, "fsync of %s", q->name);
	q->dirty = false;
	close_p(&q->active_fd);
	q->active_fd = -1;
	q->active = NULL;
	stream_map__free(&q->active_streams);
}

void store_queue__seal_active(struct store_queue *q)
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
	segment__name(name, s);
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
			store_queue__discard(q, s);
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
		store_queue__seal_active(q);
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
	q->memory->last_id = id;
	spool_count__add(&q->memory->stats.written, &c);
	return 0;
}
