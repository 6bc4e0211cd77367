/* SPDX-License-Identifier: Apache-2.0 */
/* The files alone, without the thread: what is written is read again, whatever happened to it. */
#include "spool_test.h"

#include <sys/file.h>
#include <sys/wait.h>

#include "base/log.h"
#include "batch/request.h"

struct fixture {
	struct store *store;
	struct store_queue *queue;
	struct store_memory memory;
	struct stream_map streams;
};

static struct store_opts opts_of(const char *directory)
{
	return (struct store_opts){.directory = directory,
				   .max_bytes = 1 << 20,
				   .segment_bytes = 64 << 10,
				   .fsync = SPOOL_FSYNC_NONE,
				   .io = &spool_io_system};
}

static void open_with(struct fixture *f, const struct store_opts *opts)
{
	char why[100];

	*f = (struct fixture){0};
	assert_int_equal(store__open(&f->store, opts, why, sizeof(why)), 0);
	assert_int_equal(
		store_queue__open(&f->queue, f->store, "http://loki", &f->memory, &f->streams), 0);
}

static void open_at(struct fixture *f, const char *directory)
{
	struct store_opts opts = opts_of(directory);

	open_with(f, &opts);
}

static void close_fixture(struct fixture *f)
{
	struct item *i, *next;

	store_queue__close(f->queue);
	store__close(f->store);
	for (i = f->memory.outs; i; i = next) {
		next = i->next;
		free(i);
	}
	stream_map__free(&f->streams);
}

static int append_sized(struct fixture *f, unsigned number, size_t len)
{
	char *payload = malloc(len);
	struct spool_record r = make_record(payload, len, number);
	int err = store_queue__append(f->queue, &r, f->memory.next_id);

	free(payload);
	return err;
}

static void append_many(struct fixture *f, unsigned from, unsigned to, size_t len)
{
	for (unsigned i = from; i < to; i++)
		assert_int_equal(append_sized(f, i, len), 0);
}

static struct spool_queue_stats stats_of(const struct fixture *f)
{
	struct spool_queue_stats stats;

	store_queue__stats(f->queue, &f->memory, &stats);
	return stats;
}

static void check_sums(const struct fixture *f)
{
	struct spool_queue_stats s = stats_of(f);
	uint64_t lines = s.consumed.lines + s.held.lines,
		 batches = s.consumed.batches + s.held.batches;
	uint64_t bytes = s.consumed.bytes + s.held.bytes;

	for (int i = 0; i < SPOOL_LOSSES; i++) {
		lines += s.lost[i].lines;
		batches += s.lost[i].batches;
		bytes += s.lost[i].bytes;
	}
	assert_int_equal(s.found.lines + s.written.lines, lines);
	assert_int_equal(s.found.batches + s.written.batches, batches);
	assert_int_equal(s.found.bytes + s.written.bytes, bytes);
}

static struct item *take(struct fixture *f)
{
	struct item *item;

	assert_int_equal(store_queue__read(f->queue, &item), 0);
	return item;
}

static void check_item(const struct item *item, unsigned number, size_t len)
{
	char *payload = malloc(len);
	struct spool_record r = make_record(payload, len, number);

	assert_int_equal(item->record.len, len);
	assert_memory_equal(item->record.payload, payload, len);
	assert_int_equal(item->record.sequence, number);
	assert_int_equal(item->record.lines, r.lines);
	assert_int_equal(item->record.log_bytes, r.log_bytes);
	assert_int_equal(item->record.raw_bytes, r.raw_bytes);
	assert_int_equal(item->record.oldest_ns, r.oldest_ns);
	assert_int_equal(item->record.newest_ns, r.newest_ns);
	assert_int_equal(item->record.n_streams, 2);
	assert_int_equal(item->record.streams[0], r.streams[0]);
	if (r.tenant)
		assert_string_equal(item->record.tenant, r.tenant);
	else
		assert_null(item->record.tenant);
	free(payload);
}

static void drain(struct fixture *f, unsigned from, unsigned to, size_t len)
{
	struct item *item;

	for (unsigned i = from; i < to; i++) {
		item = take(f);
		check_item(item, i, len);
		store_queue__consumed(f->queue, &f->memory, item);
	}
	assert_int_equal(store_queue__read(f->queue, &item), -ENODATA);
	check_sums(f);
}

static void test_order(void **state _unused_)
{
	struct fixture f;

	open_at(&f, in_scratch("order"));
	append_many(&f, 0, 100, 5000);
	assert_int_equal(stats_of(&f).held.batches, 100);
	drain(&f, 0, 100, 5000);
	assert_int_equal(stats_of(&f).held.batches, 0);
	assert_null(find_file(in_scratch("order"), ".seg"));
	/* Written and read in turn. */
	for (unsigned i = 0; i < 50; i++) {
		append_many(&f, 2 * i, 2 * i + 2, 3000);
		drain(&f, 2 * i, 2 * i + 2, 3000);
	}
	close_fixture(&f);
}

static void test_modes(void **state _unused_)
{
	const char *directory = in_scratch("a/b/modes");
	struct fixture f;
	struct stat st;

	open_at(&f, directory);
	append_many(&f, 0, 1, 100);
	assert_int_equal(stat(directory, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(stat(find_file(directory, ".seg"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(stat(in_scratch("a/b/modes/lock"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	close_fixture(&f);
}

/* Nothing seems to be missing after a process was killed that had consumed all, or failed. */
static void test_nothing_is_missing(void **state _unused_)
{
	const char *directory = in_scratch("nothing");
	struct spool_stats stats;
	char payload[100];
	struct fixture f;

	if (!fork()) {
		struct spool_record r = make_record(payload, sizeof(payload), 1);

		open_at(&f, directory);
		append_many(&f, 0, 10, 1000);
		store__tick(f.store, true);
		drain(&f, 0, 10, 1000);
		append_many(&f, 0, 2, 1000);
		r.n_streams = FORMAT_STREAMS_MAX + 1;
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(store_queue__append(f.queue, &r, f.memory.next_id),
					 -EFBIG);
		store__tick(f.store, true);
		_exit(0);
	}
	assert_true(wait(NULL) > 0);
	open_at(&f, directory);
	store__stats(f.store, &stats);
	assert_int_equal(stats.corrupt_found, 0);
	assert_int_equal(stats_of(&f).found.batches, 2);
	drain(&f, 0, 2, 1000);
	close_fixture(&f);
}

static void test_restart(void **state _unused_)
{
	const char *directory = in_scratch("restart");
	struct fixture f;

	open_at(&f, directory);
	append_many(&f, 0, 60, 5000);
	close_fixture(&f);
	open_at(&f, directory);
	assert_int_equal(stats_of(&f).found.batches, 60);
	assert_int_equal(stats_of(&f).found.lines, 60 * 61 / 2);
	assert_int_equal(stats_of(&f).oldest_ns, 100 * SECOND);
	assert_true(stream_map__get(&f.streams, 1059) >= 60);
	assert_true(stream_map__get(&f.streams, 7) >= 60);
	assert_int_equal(stream_map__get(&f.streams, 1060), 0);
	append_many(&f, 60, 70, 5000);
	drain(&f, 0, 70, 5000);
	close_fixture(&f);
	open_at(&f, directory);
	assert_int_equal(stats_of(&f).found.batches, 0);
	drain(&f, 0, 0, 0);
	close_fixture(&f);
}

/* The cursor is where the first that is not consumed is; without it all that is there comes again.
 */
static void test_cursor(void **state _unused_)
{
	const char *directory = in_scratch("cursor");
	struct item *items[8];
	struct fixture f;

	open_at(&f, directory);
	append_many(&f, 0, 10, 1000);
	for (int i = 0; i < 8; i++)
		items[i] = take(&f);
	for (int i = 0; i < 8; i++)
		if (i != 3)
			store_queue__consumed(f.queue, &f.memory, items[i]);
	assert_int_equal(store_queue__low(f.queue), items[3]->record.id);
	close_fixture(&f);

	open_at(&f, directory);
	assert_int_equal(stats_of(&f).found.batches, 7);
	drain(&f, 3, 10, 1000);
	append_many(&f, 10, 12, 1000);
	store_queue__close(TAKE_PTR(f.queue));
	unlink(find_file(directory, "cursor"));
	close_fixture(&f);
	open_at(&f, directory);
	drain(&f, 10, 12, 1000);
	close_fixture(&f);
}

/* A loss of power: the cursor knows that there was more. */
static void test_missing_end(void **state _unused_)
{
	const char *directory = in_scratch("missing");
	struct spool_stats stats;
	struct fixture f;

	open_at(&f, directory);
	append_many(&f, 0, 10, 1000);
	close_fixture(&f);
	assert_int_equal(truncate(find_file(directory, ".seg"), 5000), 0);
	open_at(&f, directory);
	assert_int_equal(stats_of(&f).lost[SPOOL_LOSS_CORRUPT].batches, 6);
	store__stats(f.store, &stats);
	assert_int_equal(stats.corrupt_found, 1);
	check_sums(&f);
	append_many(&f, 10, 12, 1000);
	close_fixture(&f);
	/* Once. */
	open_at(&f, directory);
	assert_int_equal(stats_of(&f).lost[SPOOL_LOSS_CORRUPT].batches, 0);
	check_sums(&f);
	close_fixture(&f);
}

static void test_damaged_cursor(void **state _unused_)
{
	const char *directory = in_scratch("damaged-cursor");
	char *bytes, path[300];
	struct spool_stats stats;
	struct fixture f;
	size_t len;

	open_at(&f, directory);
	append_many(&f, 0, 4, 1000);
	store_queue__consumed(f.queue, &f.memory, take(&f));
	store_queue__consumed(f.queue, &f.memory, take(&f));
	close_fixture(&f);
	snprintf(path, sizeof(path), "%s", find_file(directory, "cursor"));
	len = read_whole(path, &bytes);
	for (size_t i = 0; i < len; i++) {
		bytes[i] ^= 0x40;
		write_whole(path, bytes, len);
		bytes[i] ^= 0x40;
		open_at(&f, directory);
		store__stats(f.store, &stats);
		assert_int_equal(stats.corrupt_found, 1);
		assert_int_equal(stats_of(&f).found.batches, 4);
		assert_non_null(find_file(directory, "cursor.corrupt"));
		store_queue__close(TAKE_PTR(f.queue));
		close_fixture(&f);
	}
	free(bytes);
}

/* A process that was killed anywhere: all records that are whole are there, in order. */
static void test_truncated_anywhere(void **state _unused_)
{
	const char *directory = in_scratch("truncated");
	const size_t sizes[] = {0, 4, 300, 41};
	struct spool_stats stats;
	char *bytes, path[300];
	struct fixture f;
	size_t len, ends[5];

	open_at(&f, directory);
	ends[0] = sizeof(struct disk_segment);
	for (unsigned i = 0; i < 4; i++) {
		struct stat st;

		assert_int_equal(append_sized(&f, i, sizes[i] + 4), 0);
		assert_int_equal(stat(find_file(directory, ".seg"), &st), 0);
		ends[i + 1] = (size_t)st.st_size;
	}
	snprintf(path, sizeof(path), "%s", find_file(directory, ".seg"));
	len = read_whole(path, &bytes);
	close_fixture(&f);
	for (size_t cut = 0; cut <= len; cut++) {
		unsigned whole = 0;

		remove_tree(directory);
		open_at(&f, directory);
		close_fixture(&f);
		write_whole(path, bytes, cut);
		open_at(&f, directory);
		while (whole < 4 && ends[whole + 1] <= cut)
			whole++;
		assert_int_equal(stats_of(&f).found.batches, whole);
		for (unsigned i = 0; i < whole; i++) {
			struct item *item = take(&f);

			check_item(item, i, sizes[i] + 4);
			store_queue__consumed(f.queue, &f.memory, item);
		}
		/* An unfinished end is none of anybody's damage. */
		store__stats(f.store, &stats);
		assert_int_equal(stats.corrupt_found, 0);
		append_many(&f, 9, 10, 64);
		drain(&f, 9, 10, 64);
		close_fixture(&f);
	}
	free(bytes);
}

/* Any bit: the record that it is in is lost, and no other. */
static void test_flipped_bits(void **state _unused_)
{
	const char *directory = in_scratch("flipped");
	char *bytes, path[300];
	struct fixture f;
	size_t len;

	open_at(&f, directory);
	append_many(&f, 0, 5, 60);
	close_fixture(&f);
	snprintf(path, sizeof(path), "%s", find_file(directory, ".seg"));
	len = read_whole(path, &bytes);
	for (size_t bit = 0; bit < 8 * len; bit += 7) {
		struct spool_queue_stats stats;
		struct spool_stats all;
		struct item *item;
		unsigned seen = 0, last = 0;

		remove_tree(directory);
		open_at(&f, directory);
		close_fixture(&f);
		bytes[bit / 8] ^= (char)(1 << bit % 8);
		write_whole(path, bytes, len);
		bytes[bit / 8] ^= (char)(1 << bit % 8);
		open_at(&f, directory);
		while (!store_queue__read(f.queue, &item)) {
			assert_true(number_of(&item->record) >= last);
			last = number_of(&item->record);
			check_item(item, last, 60);
			store_queue__consumed(f.queue, &f.memory, item);
			seen++;
		}
		assert_true(seen >= 4);
		stats = stats_of(&f);
		assert_int_equal(stats.held.batches, 0);
		check_sums(&f);
		store__stats(f.store, &all);
		if (seen == 4) {
			assert_int_equal(all.corrupt_found, 1);
			assert_int_equal(all.corrupt_files, 1);
			assert_non_null(find_file(directory, ".corrupt"));
		}
		close_fixture(&f);
	}
	free(bytes);
}

static void put_foreign(const char *directory, unsigned long long number, const void *data,
			size_t len)
{
	struct fixture f;
	char path[700], *slash;

	open_at(&f, directory);
	append_many(&f, 0, 1, 100);
	snprintf(path, sizeof(path) - 40, "%s", find_file(directory, ".seg"));
	slash = strrchr(path, '/');
	snprintf(slash, 40, "/%016llx.seg", number);
	close_fixture(&f);
	write_whole(path, data, len);
}

static void test_foreign_files(void **state _unused_)
{
	const char *directory = in_scratch("foreign");
	struct disk_segment future;
	char garbage[5000];
	struct spool_stats stats;
	struct fixture f;
	uint32_t crc32_z(unsigned long crc, const void *data, size_t len);

	for (size_t i = 0; i < sizeof(garbage); i++)
		garbage[i] = (char)rand();
	put_foreign(directory, 0x10, garbage, sizeof(garbage));
	format__segment(&future, 1, 2, 3);
	future.version = 9;
	future.crc = 0;
	future.crc = (uint32_t)crc32_z(0, &future, sizeof(future));
	put_foreign(directory, 0x11, &future, sizeof(future));
	put_foreign(directory, 0x12, "", 0);
	/* What is no name of ours is left alone. */
	put_foreign(directory, 0x20, garbage, 10);

	open_at(&f, directory);
	store__stats(f.store, &stats);
	assert_true(stats.corrupt_files >= 2);
	append_many(&f, 50, 60, 1000);
	close_fixture(&f);
	open_at(&f, directory);
	assert_true(stats_of(&f).found.batches >= 10);
	close_fixture(&f);
}

/* A payload that looks like a record of the file itself is none where one is looked for. */
static void test_forged_record(void **state _unused_)
{
	const char *directory = in_scratch("forged");
	char *bytes, path[300];
	struct spool_record r = {.payload = "forged", .len = 6, .lines = 1};
	struct disk_record head = {.kind = RECORD_BATCH, .salt = 1, .id = 5, .first_id = 5};
	struct iovec iov[FORMAT_IOV];
	char forged[512], *out = forged;
	struct fixture f;
	struct item *item;
	size_t len;
	int n;

	memset(forged, 0, sizeof(forged));
	format__record(&head, &r, iov, &n);
	for (int i = 0; i < n; i++) {
		memcpy(out, iov[i].iov_base, iov[i].iov_len);
		out += iov[i].iov_len;
	}
	open_at(&f, directory);
	r = (struct spool_record){.payload = forged, .len = sizeof(forged), .lines = 3};
	assert_int_equal(store_queue__append(f.queue, &r, f.memory.next_id), 0);
	append_many(&f, 1, 2, 100);
	close_fixture(&f);
	snprintf(path, sizeof(path), "%s", find_file(directory, ".seg"));
	len = read_whole(path, &bytes);
	bytes[sizeof(struct disk_segment) + 40] ^= 1;
	write_whole(path, bytes, len);
	free(bytes);
	open_at(&f, directory);
	item = take(&f);
	check_item(item, 1, 100);
	store_queue__consumed(f.queue, &f.memory, item);
	assert_int_equal(store_queue__read(f.queue, &item), -ENODATA);
	/* The summary knew of it. */
	assert_int_equal(stats_of(&f).lost[SPOOL_LOSS_CORRUPT].lines, 3);
	check_sums(&f);
	close_fixture(&f);
}

static void test_corrupt_files_are_bounded(void **state _unused_)
{
	const char *directory = in_scratch("bounded");
	struct spool_stats stats;
	char garbage[8000];
	struct fixture f;

	memset(garbage, 'x', sizeof(garbage));
	for (unsigned i = 0; i < 20; i++)
		put_foreign(directory, 0x1000 + i, garbage, sizeof(garbage));
	open_at(&f, directory);
	store__stats(f.store, &stats);
	assert_in_range(stats.corrupt_files, 1, 8);
	assert_true(stats.corrupt_bytes <= (1 << 20) / 16);
	close_fixture(&f);
	open_at(&f, directory);
	store__stats(f.store, &stats);
	assert_in_range(stats.corrupt_files, 1, 8);
	close_fixture(&f);
}

/*
 * Full
 */

static const char *const LABELS[] = {"{container=\"a\"}", "{container=\"b\"}"};

static int append_lines(struct fixture *f, unsigned number, unsigned lines)
{
	char payload[16384];
	struct spool_record r = {.payload = payload, .lines = lines, .log_bytes = 50 * lines};

	r.len = make_request(payload, sizeof(payload), LABELS[number % 2], lines, 50,
			     100000 + 60 * number);
	r.tenant = number % 2 ? "t" : NULL;
	r.sequence = number;
	return store_queue__append(f->queue, &r, f->memory.next_id);
}

/* What the lines of a gap record say, all together; *last: the latest time of them. */
static uint64_t said_lost(const struct spool_record *r, uint64_t *ret_bytes)
{
	_request_ struct request request = {0};
	uint64_t lines = 0;

	assert_true(r->gap);
	assert_int_equal(request__open(&request, r->payload, r->len, 1 << 20), 0);
	assert_int_equal(request.n_entries, r->lines);
	assert_int_equal(r->n_streams, request.n_streams);
	*ret_bytes = 0;
	for (size_t i = 0; i < request.n_entries; i++) {
		struct request_entry *e = &request.entries[i];
		struct request_stream *s = &request.streams[e->stream];
		struct request_span name, value;
		unsigned long long n, bytes;
		size_t cursor = 0;
		char line[128];

		snprintf(line, sizeof(line), "%.*s", (int)e->line_len, e->line);
		assert_int_equal(sscanf(line,
					"notail: %llu lines (%llu bytes) lost here: spool full", &n,
					&bytes),
				 2);
		lines += n;
		*ret_bytes += bytes;
		assert_true(request_entry__pair(e, &cursor, &name, &value));
		assert_int_equal(name.len, 10);
		assert_memory_equal(name.data, "notail_gap", 10);
		assert_memory_equal(value.data, "spool_full", value.len);
		assert_int_equal(r->streams[i],
				 request__labels_hash(s->labels.data, s->labels.len));
		assert_memory_equal(s->labels.data, LABELS[r->tenant ? 1 : 0], s->labels.len);
	}
	return lines;
}

static void test_full(void **state _unused_)
{
	const char *directory = in_scratch("full");
	uint64_t lines = 0, bytes = 0, said = 0, said_bytes = 0, b;
	struct spool_queue_stats stats;
	struct spool_stats all;
	unsigned gaps = 0, next = 0;
	struct fixture f;
	struct item *item;

	open_at(&f, directory);
	for (unsigned i = 0; i < 600; i++) {
		assert_int_equal(append_lines(&f, i, 20 + i % 80), 0);
		store__stats(f.store, &all);
		assert_true(all.bytes <= 1 << 20);
	}
	stats = stats_of(&f);
	assert_true(stats.lost[SPOOL_LOSS_FULL].batches > 100);
	assert_true(stats.file_bytes > 900 << 10);
	check_sums(&f);
	/* And over a restart. */
	close_fixture(&f);
	open_at(&f, directory);
	assert_int_equal(stats_of(&f).found.lines, stats.held.lines);
	for (unsigned i = 600; i < 700; i++)
		assert_int_equal(append_lines(&f, i, 20 + i % 80), 0);
	for (unsigned i = 0; i < 700; i++)
		lines += 20 + i % 80;
	while (!store_queue__read(f.queue, &item)) {
		if (item->record.gap) {
			assert_int_equal(next, 0);
			said += said_lost(&item->record, &b);
			said_bytes += b;
			gaps++;
		} else {
			bytes += item->record.log_bytes;
			lines -= item->record.lines;
			assert_true(!next || item->record.sequence == next);
			next = (unsigned)item->record.sequence + 1;
		}
		store_queue__consumed(f.queue, &f.memory, item);
	}
	assert_int_equal(next, 700);
	assert_int_equal(gaps, 2); /* two tenants */
	assert_int_equal(said, lines);
	assert_int_equal(said_bytes, 50 * lines);
	assert_int_equal(said, stats.lost[SPOOL_LOSS_FULL].lines +
				       stats_of(&f).lost[SPOOL_LOSS_FULL].lines);
	check_sums(&f);
	close_fixture(&f);
}

/* What somebody sends just now is not dropped, and comes again after a crash. */
static void test_full_keeps_what_is_out(void **state _unused_)
{
	const char *directory = in_scratch("keeps");
	struct item *items[3], *item;
	struct fixture f;
	uint64_t bytes;

	open_at(&f, directory);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(append_lines(&f, i, 50), 0);
	for (int i = 0; i < 3; i++)
		items[i] = take(&f);
	for (unsigned i = 10; i < 800; i++)
		assert_int_equal(append_lines(&f, i, 50), 0);
	check_sums(&f);
	store_queue__consumed(f.queue, &f.memory, items[1]);
	assert_int_equal(store_queue__low(f.queue), items[0]->record.id);
	/* Then the gap, then the rest. */
	item = take(&f);
	assert_true(item->record.gap);
	check_sums(&f);
	store_queue__close(TAKE_PTR(f.queue));
	close_fixture(&f);

	open_at(&f, directory);
	for (unsigned i = 0; i < 3; i++) {
		item = take(&f);
		assert_int_equal(item->record.sequence, i);
		store_queue__consumed(f.queue, &f.memory, item);
	}
	item = take(&f);
	assert_true(item->record.gap);
	said_lost(&item->record, &bytes);
	store_queue__consumed(f.queue, &f.memory, item);
	item = take(&f);
	said_lost(&item->record, &bytes);
	store_queue__consumed(f.queue, &f.memory, item);
	item = take(&f);
	assert_false(item->record.gap);
	assert_true(item->record.sequence > 100);
	check_sums(&f);
	close_fixture(&f);
}

/* More is out than there is room for: the copies go, and nothing of it is counted as lost. */
static void test_full_of_what_is_out(void **state _unused_)
{
	struct item *items[40], *item;
	struct fixture f;
	unsigned n = 0;

	open_at(&f, in_scratch("outs"));
	append_many(&f, 0, 40, 25000);
	while (n < 40)
		items[n++] = take(&f);
	append_many(&f, 40, 80, 25000);
	check_sums(&f);
	for (unsigned i = 0; i < 40; i++) {
		check_item(items[i], i, 25000);
		store_queue__consumed(f.queue, &f.memory, items[i]);
	}
	for (n = 0; !store_queue__read(f.queue, &item); n++) {
		check_item(item, number_of(&item->record), 25000);
		store_queue__consumed(f.queue, &f.memory, item);
	}
	assert_true(n >= 38);
	assert_int_equal(stats_of(&f).consumed.batches, 40 + n);
	assert_int_equal(stats_of(&f).lost[SPOOL_LOSS_FULL].batches, 40 - n);
	check_sums(&f);
	close_fixture(&f);
}

/* The one that has most gives way. */
static void test_two_queues(void **state _unused_)
{
	struct store_memory memory = {0};
	struct stream_map streams = {0};
	struct spool_queue_stats stats;
	struct store_queue *other;
	char payload[8192];
	struct spool_record r;
	struct fixture f;
	struct item *item;

	open_at(&f, in_scratch("two"));
	assert_int_equal(store_queue__open(&other, f.store, "http://other", &memory, &streams), 0);
	for (unsigned i = 0; i < 10; i++) {
		r = make_record(payload, sizeof(payload), i);
		assert_int_equal(store_queue__append(other, &r, memory.next_id), 0);
	}
	append_many(&f, 0, 400, 5000);
	store_queue__stats(other, &memory, &stats);
	assert_int_equal(stats.held.batches, 10);
	assert_true(stats_of(&f).lost[SPOOL_LOSS_FULL].batches > 150);
	check_sums(&f);
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(store_queue__read(other, &item), 0);
		check_item(item, i, sizeof(payload));
		store_queue__consumed(other, &memory, item);
	}
	store_queue__close(other);
	stream_map__free(&streams);
	close_fixture(&f);
}

/* Of a client that is gone: it stays until the room is needed, and goes first. */
static void test_leftovers(void **state _unused_)
{
	const char *directory = in_scratch("leftovers");
	struct store_opts opts = opts_of(directory);
	struct spool_stats stats;
	struct fixture f;
	char why[100];

	open_at(&f, directory);
	append_many(&f, 0, 40, 5000);
	close_fixture(&f);
	f = (struct fixture){0};
	assert_int_equal(store__open(&f.store, &opts, why, sizeof(why)), 0);
	assert_int_equal(store_queue__open(&f.queue, f.store, "http://new", &f.memory, &f.streams),
			 0);
	store__stats(f.store, &stats);
	assert_int_equal(stats.leftover_queues, 1);
	assert_true(stats.leftover_bytes > 200000);
	append_many(&f, 0, 190, 5000);
	store__stats(f.store, &stats);
	assert_true(stats.leftover_bytes < 100000);
	assert_true(stats.bytes <= 1 << 20);
	drain(&f, 0, 190, 5000);
	close_fixture(&f);
}

static void test_too_large(void **state _unused_)
{
	struct fixture f;

	open_at(&f, in_scratch("large"));
	assert_int_equal(append_sized(&f, 0, 1 << 20), -EFBIG);
	/* Larger than a segment, though, is one of its own. */
	append_many(&f, 1, 3, 200 << 10);
	drain(&f, 1, 3, 200 << 10);
	close_fixture(&f);
}

/*
 * The directory
 */

static void check_refused(const char *directory, int expected, const char *text)
{
	struct store_opts opts = opts_of(directory);
	struct store *s;
	char why[160];

	assert_int_equal(store__open(&s, &opts, why, sizeof(why)), expected);
	if (!strstr(why, text))
		fail_msg("%s: \"%s\"", directory, why);
}

static void test_directories_that_are_refused(void **state _unused_)
{
	struct fixture f;

	mkdir(in_scratch("real"), 0700);
	assert_int_equal(symlink(in_scratch("real"), in_scratch("link")), 0);
	check_refused(in_scratch("link"), -EPERM, "symlink");
	check_refused(in_scratch("link//"), -EPERM, "symlink");
	mkdir(in_scratch("open"), 0700);
	chmod(in_scratch("open"), 0777);
	check_refused(in_scratch("open"), -EPERM, "others may write");
	chmod(in_scratch("open"), 0770);
	check_refused(in_scratch("open"), -EPERM, "others may write");
	write_whole(in_scratch("file"), "", 0);
	check_refused(in_scratch("file"), -ENOTDIR, "");
	check_refused(in_scratch("file/below"), -ENOTDIR, "");
	if (!geteuid() && !chown(in_scratch("open"), 1, 1)) {
		chmod(in_scratch("open"), 0700);
		check_refused(in_scratch("open"), -EPERM, "belongs to user 1");
	}
	open_at(&f, in_scratch("real"));
	check_refused(in_scratch("real"), -EBUSY, "process");
	close_fixture(&f);
	open_at(&f, in_scratch("real"));
	close_fixture(&f);
}

static void test_file_removed(void **state _unused_)
{
	const char *directory = in_scratch("removed");
	struct fixture f;

	open_at(&f, directory);
	append_many(&f, 0, 20, 5000);
	unlink(find_file(directory, ".seg"));
	assert_int_equal(store_queue__is_there(f.queue), true);
	drain(&f, 12, 20, 5000);
	assert_int_equal(stats_of(&f).lost[SPOOL_LOSS_REMOVED].batches, 12);
	append_many(&f, 0, 2, 5000);
	unlink(find_file(directory, ".seg"));
	append_many(&f, 2, 4, 5000);
	drain(&f, 2, 4, 5000);
	assert_int_equal(stats_of(&f).lost[SPOOL_LOSS_REMOVED].batches, 14);
	close_fixture(&f);
}

/*
 * The disk
 */

static size_t room; /* bytes until the disk is full */

static ssize_t full_pwritev(int fd, const struct iovec *iov, int n, off_t offset)
{
	struct iovec first = *iov;

	(void)n;
	if (!room) {
		errno = ENOSPC;
		return -1;
	}
	first.iov_len = MIN(first.iov_len, room);
	room -= first.iov_len;
	return pwritev(fd, &first, 1, offset);
}

static const struct spool_io full_io = {
	.pwritev = full_pwritev, .pread = pread, .fdatasync = fdatasync};

/* Full at any byte: what was refused is not there, what was not is, and it goes on. */
static void test_disk_full(void **state _unused_)
{
	struct store_opts opts = opts_of(NULL);
	char name[32];
	struct fixture f;

	opts.io = &full_io;
	for (size_t bytes = 0; bytes < 1300; bytes += 7) {
		unsigned written = 0, tried = 0;

		snprintf(name, sizeof(name), "full-%zu", bytes);
		opts.directory = in_scratch(name);
		room = bytes;
		open_with(&f, &opts);
		for (; tried < 4; tried++) {
			int err = append_sized(&f, tried, 150);

			assert_true(!err || err == -ENOSPC);
			if (err)
				break;
			written++;
		}
		room = 1 << 20;
		append_many(&f, written, written + 3, 150);
		drain(&f, 0, written + 3, 150);
		close_fixture(&f);
	}
}

static int failing_sync(int fd)
{
	(void)fd;
	errno = EIO;
	return -1;
}

static void test_sync_fails(void **state _unused_)
{
	const struct spool_io io = {.pwritev = pwritev, .pread = pread, .fdatasync = failing_sync};
	struct store_opts opts = opts_of(in_scratch("sync"));
	struct spool_stats stats;
	struct fixture f;

	opts.io = &io;
	opts.fsync = SPOOL_FSYNC_INTERVAL;
	open_with(&f, &opts);
	append_many(&f, 0, 3, 1000);
	assert_int_equal(store__tick(f.store, true), -EIO);
	assert_int_equal(store__tick(f.store, true), 0);
	store__stats(f.store, &stats);
	assert_int_equal(stats.errors, 1);
	assert_non_null(strstr(stats.last_error, "Input/output"));
	append_many(&f, 3, 6, 1000);
	drain(&f, 0, 6, 1000);
	close_fixture(&f);
}

static int bad_fd_offset = 1 << 30;

static ssize_t bad_pread(int fd, void *data, size_t len, off_t offset)
{
	if (offset + (off_t)len > bad_fd_offset && offset >= bad_fd_offset) {
		errno = EIO;
		return -1;
	}
	return pread(fd, data, len, offset);
}

static void test_read_fails(void **state _unused_)
{
	const struct spool_io io = {.pwritev = pwritev, .pread = bad_pread, .fdatasync = fdatasync};
	struct store_opts opts = opts_of(in_scratch("bad-sector"));
	struct fixture f;
	struct item *item;
	unsigned seen = 0;

	opts.io = &io;
	open_with(&f, &opts);
	append_many(&f, 0, 30, 5000);
	bad_fd_offset = 30000;
	while (!store_queue__read(f.queue, &item)) {
		check_item(item, number_of(&item->record), 5000);
		store_queue__consumed(f.queue, &f.memory, item);
		seen++;
	}
	bad_fd_offset = 1 << 30;
	assert_in_range(seen, 5, 29);
	assert_int_equal(stats_of(&f).lost[SPOOL_LOSS_CORRUPT].batches, 30 - seen);
	check_sums(&f);
	close_fixture(&f);
}

static unsigned writes_left; /* before some fail */
static unsigned failures;

static ssize_t failing_pwritev(int fd, const struct iovec *iov, int n, off_t offset)
{
	if (writes_left)
		writes_left--;
	else if (failures) {
		failures--;
		errno = ENOSPC;
		return -1;
	}
	return pwritev(fd, iov, n, offset);
}

/* The disk is full, too, when room is made: what is counted is right, and it goes on. */
static void test_disk_full_while_dropping(void **state _unused_)
{
	const struct spool_io io = {
		.pwritev = failing_pwritev, .pread = pread, .fdatasync = fdatasync};
	struct store_opts opts = opts_of(NULL);
	char name[32];

	opts.io = &io;
	for (unsigned n = 0; n < 24; n++) {
		struct item *items[2] = {0}, *item;
		struct fixture f;
		unsigned next = 0;

		snprintf(name, sizeof(name), "dropping-%u", n);
		opts.directory = in_scratch(name);
		writes_left = 10000;
		open_with(&f, &opts);
		for (unsigned i = 0; i < 300; i++) {
			assert_int_equal(append_lines(&f, i, 80), 0);
			if (i == 1) {
				items[0] = take(&f);
				items[1] = take(&f);
			}
		}
		check_sums(&f);
		writes_left = n % 12;
		failures = 1 + n / 12 * 6;
		for (unsigned i = 300; i < 340; i++) {
			int err = append_lines(&f, i, 80);

			assert_true(!err || err == -ENOSPC);
			check_sums(&f);
		}
		assert_int_equal(failures, 0);
		store_queue__consumed(f.queue, &f.memory, items[0]);
		store_queue__consumed(f.queue, &f.memory, items[1]);
		while (!store_queue__read(f.queue, &item)) {
			assert_true(item->record.gap || item->record.sequence >= next);
			next = item->record.gap ? next : (unsigned)item->record.sequence + 1;
			store_queue__consumed(f.queue, &f.memory, item);
		}
		assert_int_equal(next, 340);
		assert_int_equal(stats_of(&f).held.batches, 0);
		check_sums(&f);
		close_fixture(&f);
		remove_tree(opts.directory);
	}
}

/* Full all the time, and killed at random moments: what is there and what the gap says is all. */
static void test_killed_while_full(void **state _unused_)
{
	const char *directory = in_scratch("killed-full");
	unsigned told = 0;

	for (int round = 0; round < 8; round++) {
		unsigned number, next = 0, lines = 0;
		struct fixture f;
		struct item *item;
		uint64_t bytes;
		int pipes[2];
		pid_t pid;

		assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
		pid = fork();
		if (!pid) {
			open_at(&f, directory);
			for (unsigned i = told;; i++)
				if (append_lines(&f, i, 60) || write(pipes[1], &i, sizeof(i)) < 0)
					_exit(1);
		}
		close(pipes[1]);
		for (int i = 0; i < 300 + 7 * round; i++) {
			assert_int_equal(read(pipes[0], &number, sizeof(number)), sizeof(number));
			told = number + 1;
		}
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		while (read(pipes[0], &number, sizeof(number)) == sizeof(number))
			told = number + 1;
		close(pipes[0]);
		open_at(&f, directory);
		while (!store_queue__read(f.queue, &item)) {
			if (item->record.gap) {
				assert_int_equal(next, 0);
				lines += (unsigned)said_lost(&item->record, &bytes);
				continue;
			}
			assert_true(!next || item->record.sequence == next);
			next = (unsigned)item->record.sequence + 1;
			lines += 60;
		}
		assert_in_range(next, told, told + 1);
		assert_int_equal(lines, 60 * next);
		told = next;
		close_fixture(&f);
	}
}

/* A writer is killed at random moments: what it was told is safe is there. */
static void test_killed_writer(void **state _unused_)
{
	const char *directory = in_scratch("killed");
	struct store_opts opts = opts_of(directory);
	unsigned told = 0, expected = 0;
	struct fixture f;
	struct item *item;

	/* It may run far ahead of who reads the pipe. */
	opts.max_bytes = 256 << 20;
	for (int round = 0; round < 25; round++) {
		unsigned number;
		int pipes[2];
		pid_t pid;

		assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
		pid = fork();
		if (!pid) {
			open_with(&f, &opts);
			for (unsigned i = told;; i++) {
				if (append_sized(&f, i, 3000) || write(pipes[1], &i, sizeof(i)) < 0)
					_exit(1);
			}
		}
		close(pipes[1]);
		for (int i = 0; i < 5 + round % 20; i++) {
			assert_int_equal(read(pipes[0], &number, sizeof(number)), sizeof(number));
			told = number + 1;
		}
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		while (read(pipes[0], &number, sizeof(number)) == sizeof(number))
			told = number + 1;
		close(pipes[0]);
		open_with(&f, &opts);
		while (!store_queue__read(f.queue, &item)) {
			/* One more may be there than its writer could say. */
			number = number_of(&item->record);
			assert_int_equal(number, expected);
			expected = number + 1;
			store_queue__consumed(f.queue, &f.memory, item);
		}
		assert_in_range(expected, told, told + 1);
		told = expected;
		close_fixture(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_cursor),
		cmocka_unit_test(test_missing_end),
		cmocka_unit_test(test_nothing_is_missing),
		cmocka_unit_test(test_damaged_cursor),
		cmocka_unit_test(test_truncated_anywhere),
		cmocka_unit_test(test_flipped_bits),
		cmocka_unit_test(test_foreign_files),
		cmocka_unit_test(test_forged_record),
		cmocka_unit_test(test_corrupt_files_are_bounded),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_full_keeps_what_is_out),
		cmocka_unit_test(test_full_of_what_is_out),
		cmocka_unit_test(test_two_queues),
		cmocka_unit_test(test_leftovers),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_directories_that_are_refused),
		cmocka_unit_test(test_file_removed),
		cmocka_unit_test(test_disk_full),
		cmocka_unit_test(test_disk_full_while_dropping),
		cmocka_unit_test(test_sync_fails),
		cmocka_unit_test(test_read_fails),
		cmocka_unit_test(test_killed_writer),
		cmocka_unit_test(test_killed_while_full),
	};

	log__level(getenv("SPOOL_LOG") ? LOG_DEBUG : (enum log_level) - 1);
	srand(1);
	return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
