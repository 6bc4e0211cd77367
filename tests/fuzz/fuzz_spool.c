/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A queue's directory: the first byte says which parts of the rest get the magic and the checksums
 * that nobody would find by chance (1: of the segment, 2: of its records, 4: of a cursor in front),
 * and whether room is made on the way (8). Whatever is in it, all is read, what is counted adds up,
 * and what is appended behind it comes out.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zlib.h>

#include "base/log.h"
#include "spool/internal.h"

#define FILE_MAX (256u << 10)
#define SALT 0x5a17

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char directory[64], queue[128];

static void remove_directory(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", directory);
	if (system(command))
		perror(command);
}

static void begin(void)
{
	if (directory[0])
		return;
	log__level((enum log_level) - 1);
	snprintf(directory, sizeof(directory), "%s/fuzz-spool-XXXXXX",
		 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	if (!mkdtemp(directory))
		abort();
	atexit(remove_directory);
}

static void put_file(const char *name, const void *data, size_t len)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", queue, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, data, len) != (ssize_t)len)
		abort();
	close(fd);
}

/* Checksums of what lies at `p` as one record; how long it is. */
static size_t fix_record(char *p, size_t len)
{
	struct disk_record head, valid;
	struct spool_record r = {.payload = "", .lines = 1};
	struct iovec iov[FORMAT_IOV];
	size_t rest;
	int n;

	if (len < sizeof(head))
		return len;
	memcpy(&head, p, sizeof(head));
	valid = (struct disk_record){.salt = SALT, .id = 1, .first_id = 1};
	format__record(&valid, &r, iov, &n);
	head.magic = valid.magic;
	head.salt = SALT;
	head.kind %= 4;
	head.tenant_len %= 40;
	head.n_streams %= 8;
	head.payload_len %= 2048;
	head.head_crc = head.payload_crc = 0;
	rest = format__rest_len(&head);
	if (sizeof(head) + rest + head.payload_len <= len && head.payload_len)
		head.payload_crc =
			(uint32_t)crc32_z(0, (void *)(p + sizeof(head) + rest), head.payload_len);
	head.head_crc = (uint32_t)crc32_z(0, (void *)&head, sizeof(head));
	if (rest && sizeof(head) + rest <= len)
		head.head_crc = (uint32_t)crc32_z(head.head_crc, (void *)(p + sizeof(head)), rest);
	memcpy(p, &head, sizeof(head));
	rest = format__record_len(&head);
	return MIN(rest, len);
}

static void fix_tail(char *p)
{
	struct disk_tail tail;

	memcpy(&tail, p, sizeof(tail));
	format__tail(&tail, SALT, tail.summary % FILE_MAX & ~7ull);
	memcpy(p, &tail, sizeof(tail));
}

static void put_segment(const char *name, const uint8_t *data, size_t size, unsigned mode)
{
	size_t at = sizeof(struct disk_segment), len;
	static char file[FILE_MAX];

	len = MIN(size, sizeof(file));
	memcpy(file, data, len);
	if (mode & 1 && len >= at)
		format__segment((struct disk_segment *)(void *)file, 1, 1, SALT);
	while (mode & 2 && at < len)
		at += fix_record(file + at, len - at);
	if (mode & 16 && len >= 2 * sizeof(struct disk_segment))
		fix_tail(file + len - sizeof(struct disk_tail));
	put_file(name, file, len);
}

static struct store *open_store(void)
{
	const struct store_opts opts = {.directory = directory,
					.max_bytes = 1 << 20,
					.segment_bytes = 64 << 10,
					.fsync = SPOOL_FSYNC_NONE,
					.io = &spool_io_system};
	struct store *s;
	char why[100];

	if (store__open(&s, &opts, why, sizeof(why)))
		abort();
	return s;
}

static void check_sums(const struct store_queue *q, const struct store_memory *memory)
{
	struct spool_queue_stats s;
	uint64_t batches;

	store_queue__stats(q, memory, &s);
	batches = s.consumed.batches + s.held.batches;
	for (int i = 0; i < SPOOL_LOSSES; i++)
		batches += s.lost[i].batches;
	if (s.found.batches + s.written.batches != batches)
		abort();
}

static void run(unsigned mode)
{
	struct spool_record r = {.payload = "last", .len = 4, .lines = 1};
	struct store_memory memory = {0};
	struct stream_map streams = {0};
	struct store *s = open_store();
	struct store_queue *q;
	struct item *item;
	bool last = false;

	if (store_queue__open(&q, s, "fuzz", &memory, &streams))
		abort();
	check_sums(q, &memory);
	if (mode & 8) {
		if (!store_queue__read(q, &item))
			check_sums(q, &memory);
		store_queue__drop(q, mode & 64);
		check_sums(q, &memory);
	}
	/* Ids may be at their end. */
	if (memory.next_id < UINT64_MAX / 2 && store_queue__append(q, &r, memory.next_id))
		abort();
	while (!store_queue__read(q, &item)) {
		last = item->record.len == 4 && !memcmp(item->record.payload, "last", 4);
		store_queue__consumed(q, &memory, item);
	}
	if (memory.next_id < UINT64_MAX / 2 && !last)
		abort();
	while (memory.outs)
		store_queue__consumed(q, &memory, memory.outs);
	check_sums(q, &memory);
	store_queue__close(q);
	store__close(s);
	stream_map__free(&streams);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct store_memory memory = {0};
	struct stream_map streams = {0};
	struct disk_cursor cursor;
	struct store_queue *q;
	struct store *s;
	unsigned mode;
	uint64_t hash;
	size_t half;

	begin();
	if (!size)
		return 0;
	mode = *data++;
	size--;
	s = open_store();
	if (store_queue__open(&q, s, "fuzz", &memory, &streams))
		abort();
	snprintf(queue, sizeof(queue), "%s/%s", directory, q->name);
	hash = q->hash;
	store_queue__close(q);
	store__close(s);
	stream_map__free(&streams);
	put_file("cursor", "", 0);
	if (mode & 4 && size >= sizeof(cursor)) {
		memcpy(&cursor, data, sizeof(cursor));
		if (mode & 2)
			format__cursor(&cursor, hash, cursor.low % 64, cursor.end % 64);
		put_file("cursor", &cursor, sizeof(cursor));
		data += sizeof(cursor);
		size -= sizeof(cursor);
	}
	half = mode & 32 ? size / 2 : size;
	put_segment("0000000000000001.seg", data, half, mode);
	if (mode & 32)
		put_segment("0000000000000002.seg", data + half, size - half, mode);
	run(mode);
	return 0;
}
