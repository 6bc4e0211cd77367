/* SPDX-License-Identifier: Apache-2.0 */
/* The ring's walk over memory that is laid out as the kernel lays it out: data mapped twice. */
#include <errno.h>
#include <linux/bpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "capture/ring.h"

#define SIZE 4096

struct fixture {
	uint8_t *data;
	uint64_t consumer, producer;
	struct ring *ring;

	/* what the callback saw */
	unsigned calls;
	uint64_t pos[16], next[16];
	size_t size[16];
	uint8_t first[16];
};

static int setup(void **state)
{
	static struct fixture f;
	int fd = memfd_create("ring", MFD_CLOEXEC);
	uint8_t *twice;

	memset(&f, 0, sizeof(f));
	assert_return_code(fd, errno);
	assert_return_code(ftruncate(fd, SIZE), errno);
	twice = mmap(NULL, 2 * SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(twice != MAP_FAILED);
	for (int i = 0; i < 2; i++)
		assert_true(mmap(twice + i * SIZE, SIZE, PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_FIXED, fd, 0) != MAP_FAILED);
	close(fd);
	f.data = twice;
	assert_int_equal(ring__new_memory(&f.ring, f.data, SIZE, &f.consumer, &f.producer), 0);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	ring__free(f->ring);
	munmap(f->data, 2 * SIZE);
	return 0;
}

/* As the kernel reserves and submits; returns the record's position. */
static uint64_t put(struct fixture *f, uint32_t len, uint32_t flags, uint8_t fill)
{
	uint64_t pos = f->producer;
	uint8_t *head = f->data + pos % SIZE;
	uint32_t words[2] = {len | flags, 0};

	memcpy(head, words, sizeof(words));
	memset(head + sizeof(words), fill, len);
	f->producer += (len + sizeof(words) + 7) & ~7ull;
	return pos;
}

static void on_record(void *ctx, uint64_t pos, uint64_t next, const void *data, size_t size)
{
	struct fixture *f = ctx;

	assert_true(f->calls < 16);
	f->pos[f->calls] = pos;
	f->next[f->calls] = next;
	f->size[f->calls] = size;
	f->first[f->calls] = size ? *(const uint8_t *)data : 0;
	for (size_t i = 0; i < size; i++)
		assert_int_equal(((const uint8_t *)data)[i], f->first[f->calls]);
	f->calls++;
}

static int64_t read_all(struct fixture *f)
{
	uint64_t skipped = 0;
	int64_t n = ring__read(f->ring, SIZE, on_record, f, &skipped);

	assert_int_equal(skipped, 0);
	return n;
}

static void test_order_and_positions(void **state)
{
	struct fixture *f = *state;

	put(f, 1, 0, 'a');
	put(f, 8, 0, 'b');
	put(f, 9, 0, 'c');
	assert_int_equal(read_all(f), 16 + 16 + 24);
	assert_int_equal(f->calls, 3);
	assert_int_equal(f->pos[1], 16);
	assert_int_equal(f->next[1], 32);
	assert_int_equal(f->size[2], 9);
	assert_int_equal(f->first[2], 'c');
	assert_int_equal(ring__position(f->ring), f->producer);
	assert_int_equal(read_all(f), 0);
}

static void test_stops_at_busy(void **state)
{
	struct fixture *f = *state;
	uint64_t busy;

	put(f, 8, 0, 'a');
	busy = put(f, 8, BPF_RINGBUF_BUSY_BIT, 'b');
	put(f, 8, 0, 'c');
	assert_int_equal(read_all(f), 16);
	assert_int_equal(f->calls, 1);
	assert_int_equal(ring__position(f->ring), busy);

	memcpy(f->data + busy, &(uint32_t){8}, sizeof(uint32_t));
	assert_int_equal(read_all(f), 32);
	assert_int_equal(f->calls, 3);
	assert_int_equal(f->first[1], 'b');
}

static void test_skips_discarded(void **state)
{
	struct fixture *f = *state;

	put(f, 100, BPF_RINGBUF_DISCARD_BIT, 'a');
	put(f, 8, 0, 'b');
	assert_int_equal(read_all(f), 112 + 16);
	assert_int_equal(f->calls, 1);
	assert_int_equal(f->first[0], 'b');
	assert_int_equal(f->pos[0], 112);
}

static void test_wraps(void **state)
{
	struct fixture *f = *state;

	put(f, 4000, 0, 'a');
	read_all(f);
	ring__commit(f->ring, f->producer);
	put(f, 1000, 0, 'b'); /* its bytes go over the end */
	assert_int_equal(read_all(f), 1008);
	assert_int_equal(f->first[1], 'b');
	assert_int_equal(f->size[1], 1000);
}

static void test_max_bytes(void **state)
{
	struct fixture *f = *state;
	uint64_t skipped = 0;

	for (int i = 0; i < 4; i++)
		put(f, 8, 0, (uint8_t)('a' + i));
	assert_int_equal(ring__read(f->ring, 0, on_record, f, &skipped), 0);
	assert_int_equal(ring__read(f->ring, 17, on_record, f, &skipped), 32);
	assert_int_equal(f->calls, 2);
	assert_int_equal(read_all(f), 32);
	assert_int_equal(f->first[3], 'd');
}

static void test_commit(void **state)
{
	struct fixture *f = *state;

	put(f, 8, 0, 'a');
	put(f, 8, 0, 'b');
	assert_int_equal(ring__used(f->ring), 32);
	ring__commit(f->ring, 32); /* nothing was read yet */
	assert_int_equal(f->consumer, 0);
	read_all(f);
	assert_int_equal(f->consumer, 0); /* reading frees nothing */
	ring__commit(f->ring, 16);
	assert_int_equal(ring__committed(f->ring), 16);
	ring__commit(f->ring, 8);
	assert_int_equal(f->consumer, 16);
	ring__commit(f->ring, 1000);
	assert_int_equal(f->consumer, 32);
	assert_int_equal(ring__used(f->ring), 0);
}

static void test_begins_at_consumer(void **state)
{
	struct fixture *f = *state;
	struct ring *second;

	put(f, 8, 0, 'a');
	put(f, 8, 0, 'b');
	f->consumer = 16;
	assert_int_equal(ring__new_memory(&second, f->data, SIZE, &f->consumer, &f->producer), 0);
	assert_int_equal(ring__position(second), 16);
	assert_int_equal(ring__producer(second), 32);
	ring__free(second);
}

static void test_corrupt_head(void **state)
{
	struct fixture *f = *state;
	uint64_t skipped = 0, bad;

	put(f, 8, 0, 'a');
	bad = put(f, 8, 0, 'b');
	put(f, 8, 0, 'c');
	memcpy(f->data + bad, &(uint32_t){1000}, sizeof(uint32_t)); /* past the producer */
	assert_int_equal(ring__read(f->ring, SIZE, on_record, f, &skipped), -EBADMSG);
	assert_int_equal(f->calls, 1);
	assert_int_equal(skipped, 32);
	assert_int_equal(ring__position(f->ring), f->producer);
	put(f, 8, 0, 'd');
	assert_int_equal(read_all(f), 16);
	assert_int_equal(f->first[1], 'd');
}

static void test_longest_head(void **state)
{
	struct fixture *f = *state;
	uint64_t skipped = 0;

	put(f, 8, 0, 'a');
	memcpy(f->data, &(uint32_t){0x3fffffff}, sizeof(uint32_t));
	assert_int_equal(ring__read(f->ring, SIZE, on_record, f, &skipped), -EBADMSG);
	assert_int_equal(skipped, 16);
	assert_int_equal(f->calls, 0);
}

static void test_size_is_a_power_of_two(void **state)
{
	struct fixture *f = *state;
	struct ring *r = NULL;

	assert_int_equal(ring__new_memory(&r, f->data, 4095, &f->consumer, &f->producer), -EINVAL);
	assert_int_equal(ring__new_memory(&r, f->data, 0, &f->consumer, &f->producer), -EINVAL);
	assert_null(r);
	ring__free(NULL);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_order_and_positions), TEST(test_stops_at_busy),
		TEST(test_skips_discarded),	TEST(test_wraps),
		TEST(test_max_bytes),		TEST(test_commit),
		TEST(test_begins_at_consumer),	TEST(test_corrupt_head),
		TEST(test_longest_head),	TEST(test_size_is_a_power_of_two),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
