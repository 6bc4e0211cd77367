/* SPDX-License-Identifier: Apache-2.0 */
/* A directory of a test's own, records for it, and what is in its files. */
#ifndef NOTAIL_TESTS_UNIT_SPOOL_TEST_H
#define NOTAIL_TESTS_UNIT_SPOOL_TEST_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include <snappy-c.h>

#include "base/util.h"
#include "spool/store.h"

#define SECOND 1000000000ull

static char scratch[64];

static int remove_one(const char *path, const struct stat *st, int what, struct FTW *ftw)
{
	(void)st;
	(void)what;
	(void)ftw;
	return remove(path);
}

static void remove_tree(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static int make_scratch(void **state)
{
	(void)state;
	/* Thousands of small files: not on a disk, where there is another place. */
	snprintf(scratch, sizeof(scratch), "%s/notail-spool-XXXXXX",
		 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	return mkdtemp(scratch) ? 0 : -1;
}

static int remove_scratch(void **state)
{
	(void)state;
	remove_tree(scratch);
	return 0;
}

static _unused_ const char *in_scratch(const char *name)
{
	static char path[4][300];
	static int at;

	at = (at + 1) % 4;
	snprintf(path[at], sizeof(path[at]), "%s/%s", scratch, name);
	return path[at];
}

/* The first file of a queue (of the only one) whose name ends so; NULL: none. */
static _unused_ const char *find_file(const char *directory, const char *suffix)
{
	static char found[600];
	struct dirent **queues, **files;
	int n = scandir(directory, &queues, NULL, alphasort), m;

	found[0] = '\0';
	for (int i = 0; i < n; i++) {
		char path[300];

		snprintf(path, sizeof(path), "%s/%s", directory, queues[i]->d_name);
		m = queues[i]->d_name[0] == '.' ? -1 : scandir(path, &files, NULL, alphasort);
		for (int j = 0; j < m; j++) {
			size_t len = strlen(files[j]->d_name), tail = strlen(suffix);

			if (!found[0] && len >= tail &&
			    !strcmp(files[j]->d_name + len - tail, suffix))
				snprintf(found, sizeof(found), "%s/%s", path, files[j]->d_name);
			free(files[j]);
		}
		if (m >= 0)
			free(files);
		free(queues[i]);
	}
	if (n >= 0)
		free(queues);
	return found[0] ? found : NULL;
}

static _unused_ size_t read_whole(const char *path, char **ret)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	*ret = malloc((size_t)st.st_size + 1);
	assert_int_equal(read(fd, *ret, (size_t)st.st_size), st.st_size);
	close(fd);
	return (size_t)st.st_size;
}

static _unused_ void write_whole(const char *path, const void *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	close(fd);
}

/* Of `len` bytes that say which it is. */
static _unused_ struct spool_record make_record(char *payload, size_t len, unsigned number)
{
	static uint64_t streams[2];

	memset(payload, 'a' + (int)(number % 26), len);
	if (len >= sizeof(number))
		memcpy(payload, &number, sizeof(number));
	streams[0] = 1000 + number;
	streams[1] = 7;
	return (struct spool_record){
		.payload = payload,
		.len = len,
		.tenant = number % 3 ? NULL : "team-a",
		.sequence = number,
		.lines = number + 1,
		.log_bytes = 100 * number,
		.raw_bytes = len * 3,
		.oldest_ns = (100 + number) * SECOND,
		.newest_ns = (101 + number) * SECOND,
		.streams = streams,
		.n_streams = 2,
	};
}

static _unused_ unsigned number_of(const struct spool_record *r)
{
	unsigned number;

	assert_true(r->len >= sizeof(number));
	memcpy(&number, r->payload, sizeof(number));
	return number;
}

/* A PushRequest of one stream, `n` lines of `len` bytes, one each second from `second` on. */
static _unused_ size_t make_request(char *ret, size_t size, const char *labels, unsigned n,
				    size_t len, unsigned second)
{
	size_t label_len = strlen(labels), at = 0, packed = size;
	char *raw = malloc(n * (len + 64) + label_len + 64);
	char *stream = malloc(n * (len + 64) + label_len + 64);

	stream[at++] = 1 << 3 | 2;
	stream[at++] = (char)label_len;
	memcpy(stream + at, labels, label_len);
	at += label_len;
	for (unsigned i = 0; i < n; i++) {
		unsigned t = second + i;
		size_t entry = 2 + 4 + 2 + len;

		assert_true(len < 100 && t >= 1 << 14 && t < 1 << 21);
		stream[at++] = 2 << 3 | 2;
		stream[at++] = (char)entry;
		stream[at++] = 1 << 3 | 2;
		stream[at++] = 4;
		stream[at++] = 1 << 3;
		stream[at++] = (char)(t | 0x80);
		stream[at++] = (char)(t >> 7 | 0x80);
		stream[at++] = (char)(t >> 14);
		stream[at++] = 2 << 3 | 2;
		stream[at++] = (char)len;
		for (size_t j = 0; j < len; j++)
			stream[at++] = (char)('!' + rand() % 90);
	}
	raw[0] = 1 << 3 | 2;
	raw[1] = (char)(at | 0x80);
	raw[2] = (char)(at >> 7 | 0x80);
	raw[3] = (char)(at >> 14);
	memcpy(raw + 4, stream, at);
	assert_int_equal(snappy_compress(raw, at + 4, ret, &packed), SNAPPY_OK);
	free(raw);
	free(stream);
	return packed;
}

#endif
