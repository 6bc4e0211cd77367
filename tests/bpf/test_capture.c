// SPDX-License-Identifier: Apache-2.0
/*
 * Both taps on real pipes, sockets and ptys: what is in the ring must be what went through, byte
 * for byte, and the counters must say so. NT_HOOKS=syscall|fexit|multi chooses the hook set.
 */
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "rig.h"

static int denied_pipe_w = -1; /* of the pipe that is this program's stdin */

static int setup(enum tap_mode tap)
{
	int fds[2];

	/* What capture__new finds as stdin is denied. */
	if (pipe2(fds, O_CLOEXEC) < 0 || dup2(fds[0], STDIN_FILENO) < 0)
		return -1;
	close(fds[0]);
	denied_pipe_w = fds[1];
	return rig_load(tap, false);
}

static int setup_auto(void **state)
{
	(void)state;
	return setup(TAP_AUTO);
}

static int setup_write(void **state)
{
	(void)state;
	return setup(TAP_WRITE);
}

static int teardown(void **state)
{
	close_p(&denied_pipe_w);
	denied_pipe_w = -1;
	return rig_unload(state);
}

/* ---- the read tap ---- */

static void read_one_write(void **state)
{
	struct pipe_end p;
	struct rig_stream *s;

	(void)state;
	rig_ready();
	p = open_stream();
	put(&p, "one line\n");
	get(&p, 9, 4096);
	expect_text(&p.key, "one line\n", 9);
	s = rig_seen(&p.key);
	assert_int_equal(s->last.tap, NT_TAP_READ);
	assert_int_equal(s->last.file, NT_FILE_STDOUT);
	assert_int_equal(s->last.hdr.cgroup_id, RIG_CGROUP_ID);
	assert_int_equal(s->last.hdr.ring, 0);
	assert_int_equal(s->last.continues, 0);
	expect_proof(&p.key);
	close_pipe(&p);
}

static void read_joins_writes(void **state)
{
	struct pipe_end p;

	(void)state;
	rig_ready();
	p = open_stream();
	put(&p, "a");
	put(&p, "bc\n");
	put(&p, "def\n");
	get(&p, 8, 4096);
	expect_text(&p.key, "abc\ndef\n", 8);
	assert_int_equal(rig_seen(&p.key)->records, 1);
	close_pipe(&p);
}

static void read_byte_by_byte(void **state)
{
	struct pipe_end p;

	(void)state;
	rig_ready();
	p = open_stream();
	put(&p, "0123456789");
	get(&p, 10, 1);
	expect_text(&p.key, "0123456789", 10);
	assert_int_equal(rig_seen(&p.key)->records, 10);
	expect_proof(&p.key);
	close_pipe(&p);
}

/* Lengths around each size of a record. */
static void read_every_size(void **state)
{
	static const int around[] = {1,	   63,	  64,	 65,	127,   128,  129,  255,
				     256,  257,	  511,	 512,	513,   1023, 1024, 1025,
				     2047, 2048,  2049,	 4095,	4096,  4097, 8191, 8192,
				     8193, 16384, 16385, 32768, 32769, 65536};
	static char all[1 << 20], piece[65536];
	struct pipe_end p;
	size_t at = 0;

	(void)state;
	rig_ready();
	p = open_stream();
	for (size_t i = 0; i < ARRAY_SIZE(around); i++) {
		size_t len = (size_t)around[i];

		pattern(all + at, len, at);
		assert_int_equal(write(p.w, all + at, len), len);
		assert_int_equal(read(p.r, piece, sizeof(piece)), len);
		at += len;
		rig_drain();
	}
	expect_text(&p.key, all, at);
	expect_proof(&p.key);
	close_pipe(&p);
}

static void read_binary(void **state)
{
	static const char bytes[] = "\0\xff\xfe\r\n\0\x1b[31m\x80\n";
	struct pipe_end p;

	(void)state;
	rig_ready();
	p = open_stream();
	assert_int_equal(write(p.w, bytes, sizeof(bytes)), sizeof(bytes));
	get(&p, sizeof(bytes), 4096);
	expect_text(&p.key, bytes, sizeof(bytes));
	close_pipe(&p);
}

static void readv_buffers(void **state)
{
	char a[3], b[5], c[100];
	struct iovec iov[] = {{a, sizeof(a)}, {b, 0}, {b, sizeof(b)}, {c, sizeof(c)}};
	struct pipe_end p;

	(void)state;
	rig_ready();
	p = open_stream();
	put(&p, "abcdefghijkl");
	assert_int_equal(readv(p.r, iov, 4), 12);
	expect_text(&p.key, "abcdefghijkl", 12);
	assert_int_equal(rig_seen(&p.key)->records, 3);
	assert_int_equal(rig_seen(&p.key)->last.continues, 0);
	expect_proof(&p.key);
	close_pipe(&p);
}

static void readv_one_buffer(void **state)
{
	char a[64];
	struct iovec iov = {a, sizeof(a)};
	struct pipe_end p;

	(void)state;
	rig_ready();
	p = open_stream();
	put(&p, "short\n");
	assert_int_equal(readv(p.r, &iov, 1), 6);
	expect_text(&p.key, "short\n", 6);
	close_pipe(&p);
}

/* A read with no room returns 0 and is no end. */
static void read_of_nothing_is_no_end(void **state)
{
	char buf[8];
	struct iovec iov[] = {{buf, 0}, {buf, 0}};
	struct pipe_end p;

	(void)state;
	rig_ready();
	p = open_stream();
	assert_int_equal(readv(p.r, iov, 2), 0);
	assert_int_equal(read(p.r, buf, 0), 0);
	put(&p, "on\n");
	get(&p, 3, 8);
	expect_text(&p.key, "on\n", 3);
	assert_int_equal(rig_seen(&p.key)->ends, 0);
	close_pipe(&p);
}

static void read_eagain(void **state)
{
	char buf[8];
	struct pipe_end p;

	(void)state;
	rig_ready();
	p = open_stream();
	assert_int_equal(fcntl(p.r, F_SETFL, O_NONBLOCK), 0);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(read(p.r, buf, sizeof(buf)), -1);
		assert_int_equal(errno, EAGAIN);
	}
	put(&p, "x\n");
	get(&p, 2, 8);
	expect_text(&p.key, "x\n", 2);
	assert_int_equal(kernel_stream(&p.key).seen, 2);
	close_pipe(&p);
}

/* A process that is not the stream's reader takes bytes: they are not ours to copy. */
static void read_by_a_stranger(void **state)
{
	struct pipe_end p;
	pid_t pid;

	(void)state;
	rig_ready();
	p = open_stream();
	put(&p, "stolenkept");
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		char buf[6];

		_exit(read(p.r, buf, 6) == 6 ? 0 : 1);
	}
	assert_int_equal(wait_child(pid), 0);
	get(&p, 4, 4096);
	expect_text(&p.key, "kept", 4);
	assert_int_equal(kernel_stream(&p.key).written, 10);
	close_pipe(&p);
}

/* A stream whose inode's number ends as that of another one. */
static struct pipe_end open_like(const struct pipe_end *other)
{
	struct pipe_end p = open_pipe();

	for (int i = 0; i < 500000 && nt_hot_slot(p.key.ino) != nt_hot_slot(other->key.ino); i++) {
		close_p(&p.r);
		close_p(&p.w);
		p = open_pipe();
	}
	assert_int_equal(nt_hot_slot(p.key.ino), nt_hot_slot(other->key.ino));
	assert_int_equal(capture__add_pipe(rig.c, p.r, getpid(), NT_FILE_STDOUT, RIG_CGROUP_ID), 0);
	return p;
}

/* Only one of them has the slot. What one counts is not the other's, nor left to the next. */
static void streams_of_one_slot(void **state)
{
	struct pipe_end first, second, third;

	(void)state;
	rig_ready();
	first = open_stream();
	second = open_like(&first);
	for (int i = 0; i < 3; i++) {
		put(&first, "one");
		put(&second, "second");
	}
	get(&first, 9, 4096);
	get(&second, 18, 4096);
	assert_int_equal(kernel_stream(&first.key).written, 9);
	assert_int_equal(kernel_stream(&second.key).written, 18);
	close_pipe(&first);
	third = open_like(&second);
	put(&third, "3");
	put(&second, "!");
	get(&third, 1, 4096);
	get(&second, 1, 4096);
	assert_int_equal(kernel_stream(&third.key).written, 1);
	assert_int_equal(kernel_stream(&third.key).writer_pid, getpid());
	assert_int_equal(kernel_stream(&second.key).written, 19);
	close_pipe(&second);
	put(&third, "3");
	get(&third, 1, 4096);
	expect_text(&second.key, "secondsecondsecond!", 19);
	expect_text(&third.key, "33", 2);
	assert_int_equal(kernel_stream(&third.key).written, 2);
	close_pipe(&third);
}

static void end_at_eof(void **state)
{
	struct rig_stream *s;
	struct nt_stream gone;
	struct pipe_end p;
	char buf[8];

	(void)state;
	rig_ready();
	p = open_stream();
	put(&p, "bye");
	get(&p, 3, 8);
	close_p(&p.w);
	p.w = -1;
	assert_int_equal(read(p.r, buf, sizeof(buf)), 0);
	rig_drain();
	s = rig_seen(&p.key);
	assert_non_null(s);
	assert_int_equal(s->ends, 1);
	assert_int_equal(s->end.cause, NT_END_EOF);
	assert_int_equal(s->end.seen, 3);
	assert_int_equal(s->end.written, 3);
	assert_int_equal(s->end.gap.bytes, 0);
	assert_int_equal(s->end.file, NT_FILE_STDOUT);
	assert_int_equal(s->end.hdr.cgroup_id, RIG_CGROUP_ID);
	assert_true(s->end.hdr.time_ns >= s->next_ns);
	assert_int_equal(capture__stream(rig.c, &p.key, &gone), -ENOENT);
	close_pipe(&p);
}

static void unreadable_buffer_is_lost_with_a_reason(void **state)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct nt_stream s;
	struct pipe_end p;

	(void)state;
	rig_ready();
	assert_true(page != MAP_FAILED);
	assert_int_equal(munmap(page + 4096, 4096), 0);
	p = open_stream();
	put(&p, "abcdef");
	/* Ends where the page ends: a byte more and nothing could be copied. */
	assert_int_equal(read(p.r, page + 4090, 6), 6);
	expect_text(&p.key, "abcdef", 6);
	s = kernel_stream(&p.key);
	assert_int_equal(s.lost[NT_LOST_UNREADABLE], 0);
	munmap(page, 4096);
	close_pipe(&p);
}

/* The kernel throws away what a read has no room for of a packet, which is where other bytes lie
 * before it: the reader has it not, nor has the ring, and the taps say how much it is. */
static void rest_of_a_packet_is_missing(void **state)
{
	static char page[4096], text[4096 + 4 + 5], buf[4096 + 4];
	struct nt_stream s;
	struct pipe_end p;

	(void)state;
	rig_ready();
	p = open_stream();
	pattern(page, sizeof(page), 0);
	assert_int_equal(write(p.w, page, sizeof(page)), sizeof(page));
	assert_int_equal(fcntl(p.w, F_SETFL, O_DIRECT), 0);
	put(&p, "packet\n");
	put(&p, "next\n");
	assert_int_equal(read(p.r, buf, sizeof(buf)), sizeof(buf));
	assert_int_equal(read(p.r, buf, sizeof(buf)), 5);
	memcpy(text, page, sizeof(page));
	memcpy(text + sizeof(page), "packnext\n", 9);
	expect_text(&p.key, text, sizeof(text));
	s = kernel_stream(&p.key);
	assert_int_equal(s.written, sizeof(text) + 3);
	assert_int_equal(s.seen, sizeof(text));
	close_pipe(&p);
}

/* ---- the write tap counts ---- */

static void counts_writev(void **state)
{
	struct iovec iov[] = {{"ab", 2}, {"", 0}, {"cde", 3}};
	struct pipe_end p;

	(void)state;
	rig_ready();
	p = open_stream();
	assert_int_equal(writev(p.w, iov, 3), 5);
	assert_int_equal(pwritev2(p.w, iov, 3, -1, 0), 5);
	get(&p, 10, 4096);
	expect_text(&p.key, "abcdeabcde", 10);
	expect_proof(&p.key);
	close_pipe(&p);
}

static void counts_what_a_write_wrote(void **state)
{
	static char big[1 << 20];
	struct pipe_end p;
	ssize_t n;

	(void)state;
	rig_ready();
	p = open_stream();
	pattern(big, sizeof(big), 0);
	assert_int_equal(fcntl(p.w, F_SETFL, O_NONBLOCK), 0);
	n = write(p.w, big, sizeof(big));
	assert_true(n > 0 && n < (ssize_t)sizeof(big));
	assert_int_equal(write(p.w, big, sizeof(big)), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(kernel_stream(&p.key).written, n);
	get(&p, (size_t)n, 4096);
	expect_text(&p.key, big, (size_t)n);
	expect_proof(&p.key);
	close_pipe(&p);
}

static void counts_no_failed_write(void **state)
{
	void *volatile nowhere = (void *)8;
	struct pipe_end p;

	(void)state;
	rig_ready();
	p = open_stream();
	assert_int_equal(write(p.w, nowhere, 10), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(write(p.w, "", 0), 0);
	assert_int_equal(kernel_stream(&p.key).written, 0);
	close_pipe(&p);
}

static void long_write_of_a_child(void **state)
{
	static char big[1 << 20];
	struct pipe_end p;
	pid_t pid;

	(void)state;
	rig_ready();
	p = open_stream();
	pattern(big, sizeof(big), 0);
	pid = writing_child(p.w, big, sizeof(big));
	for (size_t done = 0; done < sizeof(big); done += 65536) {
		get(&p, 65536, 65536);
		rig_drain();
	}
	assert_int_equal(wait_child(pid), 0);
	expect_text(&p.key, big, sizeof(big));
	expect_proof(&p.key);
	close_pipe(&p);
}

static void counts_splice(void **state)
{
	struct pipe_end p, from;

	(void)state;
	rig_ready();
	p = open_stream();
	from = open_pipe();
	put(&from, "spliced");
	assert_int_equal(splice(from.r, NULL, p.w, NULL, 7, 0), 7);
	get(&p, 7, 4096);
	expect_text(&p.key, "spliced", 7);
	expect_proof(&p.key);
	close_pipe(&from);
	close_pipe(&p);
}

static void counts_tee(void **state)
{
	struct pipe_end p, from;

	(void)state;
	rig_ready();
	p = open_stream();
	from = open_pipe();
	put(&from, "teed");
	assert_int_equal(tee(from.r, p.w, 4, 0), 4);
	get(&p, 4, 4096);
	expect_text(&p.key, "teed", 4);
	expect_proof(&p.key);
	close_pipe(&from);
	close_pipe(&p);
}

static void counts_vmsplice(void **state)
{
	struct iovec iov[] = {{"vm", 2}, {"spliced", 7}};
	struct pipe_end p;

	(void)state;
	rig_ready();
	p = open_stream();
	assert_int_equal(vmsplice(p.w, iov, 2, 0), 9);
	get(&p, 9, 4096);
	expect_text(&p.key, "vmspliced", 9);
	expect_proof(&p.key);
	close_pipe(&p);
}

static void counts_sendfile(void **state)
{
	FILE *f = tmpfile();
	struct pipe_end p;
	off_t at = 0;

	(void)state;
	rig_ready();
	assert_non_null(f);
	assert_int_equal(fputs("from a file\n", f) >= 0 && fflush(f) == 0, 1);
	p = open_stream();
	assert_int_equal(sendfile(p.w, fileno(f), &at, 12), 12);
	get(&p, 12, 4096);
	expect_text(&p.key, "from a file\n", 12);
	expect_proof(&p.key);
	close_pipe(&p);
	fclose(f);
}

#ifdef __x86_64__
/* A 32-bit program's call: other numbers, other registers. */
static void counts_int80(void **state)
{
	char *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	struct pipe_end p;
	long ret;

	(void)state;
	rig_ready();
	assert_true(low != MAP_FAILED);
	strcpy(low, "compat\n");
	p = open_stream();
	asm volatile("int $0x80"
		     : "=a"(ret)
		     : "a"(4), "b"(p.w), "c"(low), "d"(7)
		     : "memory", "r8", "r9", "r10", "r11");
	if (ret == -ENOSYS) {
		fprintf(stderr, "SKIP: this kernel has no 32-bit calls\n");
		skip();
	}
	assert_int_equal(ret, 7);
	asm volatile("int $0x80"
		     : "=a"(ret)
		     : "a"(3), "b"(p.r), "c"(low + 100), "d"(100)
		     : "memory", "r8", "r9", "r10", "r11");
	assert_int_equal(ret, 7);
	expect_text(&p.key, "compat\n", 7);
	expect_proof(&p.key);
	munmap(low, 4096);
	close_pipe(&p);
}
#endif

/* The reader splices: the bytes are not to be had, and that must show. */
static void reader_that_splices_leaves_a_gap(void **state)
{
	struct pipe_end p, to;
	struct rig_stream *s;

	(void)state;
	rig_ready();
	p = open_stream();
	to = open_pipe();
	put(&p, "unseen");
	assert_int_equal(splice(p.r, NULL, to.w, NULL, 6, 0), 6);
	put(&p, "seen");
	get(&p, 4, 4096);
	expect_text(&p.key, "seen", 4);
	s = rig_seen(&p.key);
	assert_int_equal(s->gap_bytes, 6);
	assert_int_equal(s->gap_calls, 1);
	assert_int_equal(s->gap_reason, NT_LOST_UNREADABLE);
	close_pipe(&to);
	close_pipe(&p);
}

/* ---- several writers ---- */

#define RACERS 4
#define RACER_WRITES 400

/* Starts processes that write lines of different lengths to the pipe at once. Returns the bytes. */
static size_t start_racers(const struct pipe_end *p, pid_t pids[RACERS])
{
	size_t total = 0;

	for (int r = 0; r < RACERS; r++) {
		char line[6000];

		for (int i = 0; i < RACER_WRITES; i++)
			total += (size_t)(1 + (i * 37 + r * 101) % (r == 0 ? 6000 : 200));
		pids[r] = fork();
		assert_true(pids[r] >= 0);
		if (pids[r])
			continue;
		for (int i = 0; i < RACER_WRITES; i++) {
			size_t len = (size_t)(1 + (i * 37 + r * 101) % (r == 0 ? 6000 : 200));

			memset(line, 'a' + r, len);
			line[len - 1] = '\n';
			if (write(p->w, line, len) != (ssize_t)len)
				_exit(1);
		}
		_exit(0);
	}
	return total;
}

static void end_racers(const pid_t pids[RACERS])
{
	for (int r = 0; r < RACERS; r++)
		assert_int_equal(wait_child(pids[r]), 0);
}

/* In the order in which the reader got them, whoever was first. */
static void racing_writers(void **state)
{
	static char got[RACERS * RACER_WRITES * 6000];
	size_t total, len = 0;
	struct pipe_end p;
	pid_t pids[RACERS];

	(void)state;
	rig_ready();
	p = open_stream();
	total = start_racers(&p, pids);
	while (len < total) {
		ssize_t n = read(p.r, got + len, 4096);

		assert_true(n > 0);
		len += (size_t)n;
		rig_drain();
	}
	end_racers(pids);
	expect_text(&p.key, got, total);
	expect_proof(&p.key);
	close_pipe(&p);
}

/* Copied at the write, the order may be another; nothing may be missing. */
static void write_tap_racing_writers(void **state)
{
	struct rig_stream *s;
	pid_t pids[RACERS];
	struct pipe_end p;
	size_t total, len = 0;

	(void)state;
	rig_ready();
	p = open_pipe();
	/* Another cgroup than the others': the rig does not ask for an order there. */
	assert_int_equal(capture__add_pipe(rig.c, p.r, getpid(), NT_FILE_STDOUT, RIG_CGROUP_ID + 2),
			 0);
	total = start_racers(&p, pids);
	while (len < total) {
		char buf[4096];
		ssize_t n = read(p.r, buf, sizeof(buf));

		assert_true(n > 0);
		len += (size_t)n;
		rig_drain();
	}
	end_racers(pids);
	rig_drain();
	s = rig_seen(&p.key);
	assert_non_null(s);
	assert_int_equal(s->len, total);
	assert_int_equal(s->gap_bytes, 0);
	expect_proof(&p.key);
	close_pipe(&p);
}

/* ---- gaps and times ---- */

static void full_ring_is_a_gap(void **state)
{
	static char piece[65536];
	struct rig_stream *s;
	struct nt_stream k;
	struct pipe_end p;

	(void)state;
	rig_ready();
	p = open_stream();
	for (int i = 0; i < 40; i++) {
		pattern(piece, sizeof(piece), (size_t)i * sizeof(piece));
		assert_int_equal(write(p.w, piece, sizeof(piece)), sizeof(piece));
		assert_int_equal(read(p.r, piece, sizeof(piece)), sizeof(piece));
	}
	rig_drain();
	put(&p, "after\n");
	get(&p, 6, 4096);
	rig_drain();
	s = rig_seen(&p.key);
	k = kernel_stream(&p.key);
	assert_true(s->gap_bytes > 0);
	assert_int_equal(s->gap_reason, NT_LOST_RING_FULL);
	assert_int_equal(s->gap_calls * sizeof(piece), s->gap_bytes);
	assert_int_equal(s->len + s->gap_bytes, 40 * sizeof(piece) + 6);
	assert_memory_equal(s->bytes + s->len - 6, "after\n", 6);
	assert_int_equal(k.lost[NT_LOST_RING_FULL], s->gap_bytes);
	assert_int_equal(k.seen, k.written);
	assert_int_equal(k.gap.bytes, 0);
	close_pipe(&p);
}

static void gap_before_the_end(void **state)
{
	static char piece[65536];
	struct rig_stream *s;
	struct pipe_end p;
	char buf[8];

	(void)state;
	rig_ready();
	p = open_stream();
	for (int i = 0; i < 40; i++) {
		assert_int_equal(write(p.w, piece, sizeof(piece)), sizeof(piece));
		assert_int_equal(read(p.r, piece, sizeof(piece)), sizeof(piece));
	}
	rig_drain();
	close_p(&p.w);
	p.w = -1;
	assert_int_equal(read(p.r, buf, sizeof(buf)), 0);
	rig_drain();
	s = rig_seen(&p.key);
	assert_int_equal(s->ends, 1);
	assert_true(s->end.gap.bytes > 0);
	assert_int_equal(s->end.gap.bytes, s->end.lost[NT_LOST_RING_FULL]);
	assert_int_equal(s->len + s->end.gap.bytes, s->end.written);
	assert_int_equal(s->end.seen, s->end.written);
	close_pipe(&p);
}

/* rig_on_data asserts it for each record. */
static void times_do_not_overlap(void **state)
{
	static char piece[4096];
	struct pipe_end p;

	(void)state;
	rig_ready();
	p = open_stream();
	for (int i = 0; i < 2000; i++) {
		size_t len = i % 3 ? 1 : sizeof(piece);

		assert_int_equal(write(p.w, piece, len), len);
		get(&p, len, sizeof(piece));
		if (i % 50 == 0)
			rig_drain();
	}
	rig_drain();
	assert_int_equal(rig_seen(&p.key)->records, 2000);
	expect_proof(&p.key);
	close_pipe(&p);
}

/* ---- the writer's name ---- */

static void name_of_the_writer(void **state)
{
	struct rig_stream *s;
	struct pipe_end p;
	pid_t pid;

	(void)state;
	rig_ready();
	p = open_stream();
	pid = child_writes(p.w, "mine\n");
	get(&p, 5, 4096);
	expect_text(&p.key, "mine\n", 5);
	s = rig_seen(&p.key);
	assert_int_equal(s->last.pid, pid);
	assert_string_equal(s->last.comm, "test_capture");
	close_pipe(&p);
}

static void name_follows_a_rename(void **state)
{
	struct rig_stream *s;
	struct pipe_end p;
	char old[16];

	(void)state;
	rig_ready();
	p = open_stream();
	assert_int_equal(prctl(PR_GET_NAME, old), 0);
	put(&p, "a\n");
	get(&p, 2, 4096);
	assert_int_equal(prctl(PR_SET_NAME, "renamed"), 0);
	put(&p, "b\n");
	get(&p, 2, 4096);
	prctl(PR_SET_NAME, old);
	expect_text(&p.key, "a\nb\n", 4);
	s = rig_seen(&p.key);
	assert_int_equal(s->last.pid, getpid());
	assert_string_equal(s->last.comm, "renamed");
	close_pipe(&p);
}

/* What was written under the old name is read after the new one wrote: neither fits both. */
static void no_name_across_a_rename(void **state)
{
	struct pipe_end p;
	char old[16];

	(void)state;
	rig_ready();
	p = open_stream();
	assert_int_equal(prctl(PR_GET_NAME, old), 0);
	put(&p, "a\n");
	assert_int_equal(prctl(PR_SET_NAME, "renamed"), 0);
	put(&p, "b\n");
	get(&p, 4, 4096);
	prctl(PR_SET_NAME, old);
	expect_text(&p.key, "a\nb\n", 4);
	assert_int_equal(rig_seen(&p.key)->last.pid, 0);
	assert_string_equal(rig_seen(&p.key)->last.comm, "");
	close_pipe(&p);
}

static void no_name_with_two_writers(void **state)
{
	struct rig_stream *s;
	struct pipe_end p;

	(void)state;
	rig_ready();
	p = open_stream();
	child_writes(p.w, "first\n");
	child_writes(p.w, "second\n");
	get(&p, 13, 4096);
	expect_text(&p.key, "first\nsecond\n", 13);
	s = rig_seen(&p.key);
	assert_int_equal(s->last.pid, 0);
	assert_string_equal(s->last.comm, "");
	close_pipe(&p);
}

/* A second after the other one wrote, but its bytes are still in the pipe. */
static void no_name_for_bytes_that_waited(void **state)
{
	struct timespec now;
	struct nt_stream k;
	struct pipe_end p;
	pid_t pid;

	(void)state;
	rig_ready();
	p = open_stream();
	child_writes(p.w, "first\n");
	pid = child_writes(p.w, "second\n");
	k = kernel_stream(&p.key);
	assert_true(k.foreign_ns > 0);
	do {
		poll(NULL, 0, 10);
		clock_gettime(CLOCK_BOOTTIME, &now);
	} while ((uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec <
		 k.foreign_ns + 1100000000ull);
	get(&p, 3, 3);
	expect_text(&p.key, "fir", 3);
	assert_int_equal(rig_seen(&p.key)->last.pid, 0);
	get(&p, 3, 3);
	get(&p, 7, 7);
	expect_text(&p.key, "first\nsecond\n", 13);
	assert_int_equal(rig_seen(&p.key)->last.pid, pid);
	close_pipe(&p);
}

/* ---- what must not be touched ---- */

static void unregistered_pipe_is_not_seen(void **state)
{
	struct pipe_end p;

	(void)state;
	rig_ready();
	p = open_pipe();
	put(&p, "private");
	get(&p, 7, 4096);
	rig_drain();
	assert_null(rig_seen(&p.key));
	close_pipe(&p);
}

static void own_stdio_is_denied(void **state)
{
	struct nt_stream_key key;
	char buf[16];

	(void)state;
	rig_ready();
	key = rig_key(STDIN_FILENO);
	assert_int_equal(
		capture__add_pipe(rig.c, STDIN_FILENO, getpid(), NT_FILE_STDOUT, RIG_CGROUP_ID),
		-EEXIST);
	assert_int_equal(write(denied_pipe_w, "feedback", 8), 8);
	assert_int_equal(read(STDIN_FILENO, buf, sizeof(buf)), 8);
	rig_drain();
	assert_null(rig_seen(&key));
	assert_int_equal(kernel_stream(&key).written, 0);
	assert_int_equal(kernel_stream(&key).denied, 1);
}

static void excluded_stream_is_not_seen(void **state)
{
	struct pipe_end p;

	(void)state;
	rig_ready();
	p = open_pipe();
	assert_int_equal(capture__add_pipe(rig.c, p.r, getpid(), NT_FILE_STDOUT, RIG_CGROUP_ID + 1),
			 0);
	put(&p, "a");
	get(&p, 1, 1);
	expect_text(&p.key, "a", 1);
	assert_int_equal(capture__exclude(rig.c, RIG_CGROUP_ID + 1), 0);
	put(&p, "b");
	get(&p, 1, 1);
	expect_text(&p.key, "a", 1);
	close_pipe(&p);
}

/* ---- ptys ---- */

struct pty {
	int master;
	pid_t child;
	int go; /* closed: the child goes on */
};

/* A child with a pty as its stdio, which writes `text` once it may. */
static struct pty open_pty(const char *text)
{
	struct pty t = {.master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)};
	char name[64];
	int fds[2], ready[2], slave;
	char c;

	assert_true(t.master >= 0);
	assert_int_equal(grantpt(t.master), 0);
	assert_int_equal(unlockpt(t.master), 0);
	assert_int_equal(ptsname_r(t.master, name, sizeof(name)), 0);
	slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(slave >= 0);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	t.child = fork();
	assert_true(t.child >= 0);
	if (t.child == 0) {
		dup2(slave, STDOUT_FILENO);
		dup2(slave, STDERR_FILENO);
		close(slave);
		close(t.master);
		close(fds[1]);
		close(ready[0]);
		close(ready[1]);
		if (read(fds[0], &c, 1) != 0)
			_exit(2);
		_exit(write(STDOUT_FILENO, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : 1);
	}
	close(slave);
	close(fds[0]);
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 0);
	close(ready[0]);
	t.go = fds[1];
	return t;
}

static struct rig_stream *tty_stream(pid_t init)
{
	for (size_t i = 0; i < rig.n_streams; i++) {
		if (rig.streams[i].reg.init_pid == (uint32_t)init)
			return &rig.streams[i];
	}
	return NULL;
}

static void pty_as_its_reader_sees_it(void **state)
{
	struct rig_stream *s;
	struct nt_stream gone;
	uint64_t cgroup_id;
	struct pty t;
	char buf[64];
	size_t len = 0;
	ssize_t n;

	(void)state;
	rig_ready();
	t = open_pty("one\ntwo\n");
	assert_int_equal(capture__add_pid(rig.c, t.child, &cgroup_id, rig.why, sizeof(rig.why)), 0);
	rig_drain();
	s = tty_stream(t.child);
	assert_non_null(s);
	assert_int_equal(s->key.type, NT_KEY_TTY);
	assert_int_equal(s->reg.file, NT_FILE_TTY);
	assert_int_equal(s->reg.tap, NT_TAP_READ);
	assert_int_equal(s->reg.reader, getpid());
	close(t.go);
	while ((n = read(t.master, buf, sizeof(buf))) > 0)
		len += (size_t)n;
	assert_int_equal(errno, EIO);
	assert_int_equal(len, 10);
	rig_drain();
	assert_int_equal(s->len, 10);
	assert_memory_equal(s->bytes, "one\r\ntwo\r\n", 10);
	assert_int_equal(s->ends, 1);
	assert_int_equal(s->end.cause, NT_END_EOF);
	assert_int_equal(s->end.written, 8);
	assert_int_equal(capture__stream(rig.c, &s->key, &gone), -ENOENT);
	assert_int_equal(wait_child(t.child), 0);
	close(t.master);
}

/* What is typed goes the other way: it is echoed, and read, but not counted as written. */
static void pty_echo(void **state)
{
	struct rig_stream *s;
	uint64_t cgroup_id;
	struct pty t;
	char buf[64];
	ssize_t n;

	(void)state;
	rig_ready();
	t = open_pty("x");
	assert_int_equal(capture__add_pid(rig.c, t.child, &cgroup_id, rig.why, sizeof(rig.why)), 0);
	rig_drain();
	s = tty_stream(t.child);
	assert_non_null(s);
	assert_int_equal(write(t.master, "hi\n", 3), 3);
	/* The echo may come in pieces. */
	for (size_t got = 0; got < 4; got += (size_t)n) {
		n = read(t.master, buf, sizeof(buf));
		assert_true(n > 0);
	}
	rig_drain();
	assert_int_equal(s->len, 4);
	assert_memory_equal(s->bytes, "hi\r\n", 4);
	assert_int_equal(kernel_stream(&s->key).written, 0);
	close(t.go);
	while (read(t.master, buf, sizeof(buf)) > 0)
		;
	assert_int_equal(wait_child(t.child), 0);
	close(t.master);
}

/* ---- the write tap copies ---- */

static void write_tap_copies(void **state)
{
	struct rig_stream *s;
	struct pipe_end p;

	(void)state;
	rig_ready();
	p = open_stream();
	put(&p, "not read yet\n");
	expect_text(&p.key, "not read yet\n", 13);
	s = rig_seen(&p.key);
	assert_int_equal(s->last.tap, NT_TAP_WRITE);
	assert_int_equal(s->last.pid, getpid());
	assert_string_equal(s->last.comm, "test_capture");
	get(&p, 13, 4096);
	rig_drain();
	assert_int_equal(s->records, 1);
	expect_proof(&p.key);
	close_pipe(&p);
}

static void write_tap_writev(void **state)
{
	struct iovec iov[] = {{"ab", 2}, {"", 0}, {"cde", 3}, {"f", 1}};
	struct pipe_end p;

	(void)state;
	rig_ready();
	p = open_stream();
	assert_int_equal(writev(p.w, iov, 4), 6);
	expect_text(&p.key, "abcdef", 6);
	assert_int_equal(pwritev2(p.w, iov, 1, -1, 0), 2);
	expect_text(&p.key, "abcdefab", 8);
	expect_proof(&p.key);
	close_pipe(&p);
}

static void write_tap_partial_writev(void **state)
{
	static char big[60000], more[60000];
	struct iovec iov[] = {{big, sizeof(big)}, {more, sizeof(more)}};
	static char all[sizeof(big) + sizeof(more)];
	struct pipe_end p;
	ssize_t n;

	(void)state;
	rig_ready();
	p = open_stream();
	pattern(all, sizeof(all), 0);
	memcpy(big, all, sizeof(big));
	memcpy(more, all + sizeof(big), sizeof(more));
	assert_int_equal(fcntl(p.w, F_SETFL, O_NONBLOCK), 0);
	n = writev(p.w, iov, 2);
	assert_true(n > (ssize_t)sizeof(big) && n < (ssize_t)sizeof(all));
	expect_text(&p.key, all, (size_t)n);
	expect_proof(&p.key);
	close_pipe(&p);
}

static void write_tap_long_write(void **state)
{
	static char big[600000];
	struct pipe_end p;
	pid_t pid;

	(void)state;
	rig_ready();
	p = open_stream();
	pattern(big, sizeof(big), 0);
	pid = writing_child(p.w, big, sizeof(big));
	get(&p, sizeof(big), 65536);
	assert_int_equal(wait_child(pid), 0);
	expect_text(&p.key, big, sizeof(big));
	assert_int_equal(rig_seen(&p.key)->last.continues, 0);
	assert_true(rig_seen(&p.key)->records > 1);
	expect_proof(&p.key);
	close_pipe(&p);
}

static void write_tap_vmsplice(void **state)
{
	struct iovec iov[] = {{"vm", 2}, {"spliced", 7}};
	struct pipe_end p;

	(void)state;
	rig_ready();
	p = open_stream();
	assert_int_equal(vmsplice(p.w, iov, 2, 0), 9);
	expect_text(&p.key, "vmspliced", 9);
	close_pipe(&p);
}

static void write_tap_splice_is_a_gap(void **state)
{
	struct pipe_end p, from;
	struct rig_stream *s;

	(void)state;
	rig_ready();
	p = open_stream();
	from = open_pipe();
	put(&from, "spliced");
	assert_int_equal(splice(from.r, NULL, p.w, NULL, 7, 0), 7);
	put(&p, "written");
	expect_text(&p.key, "written", 7);
	s = rig_seen(&p.key);
	assert_int_equal(s->gap_bytes, 7);
	assert_int_equal(s->gap_reason, NT_LOST_UNREADABLE);
	close_pipe(&from);
	close_pipe(&p);
}

static void write_tap_end_at_eof(void **state)
{
	struct rig_stream *s;
	struct pipe_end p;
	char buf[8];

	(void)state;
	rig_ready();
	p = open_stream();
	put(&p, "bye");
	get(&p, 3, 8);
	close_p(&p.w);
	p.w = -1;
	assert_int_equal(read(p.r, buf, sizeof(buf)), 0);
	rig_drain();
	s = rig_seen(&p.key);
	assert_int_equal(s->ends, 1);
	assert_int_equal(s->end.cause, NT_END_EOF);
	assert_int_equal(s->end.seen, s->end.written);
	close_pipe(&p);
}

static void write_tap_full_ring(void **state)
{
	static char piece[65536];
	struct rig_stream *s;
	struct pipe_end p;

	(void)state;
	rig_ready();
	p = open_stream();
	for (int i = 0; i < 40; i++) {
		assert_int_equal(write(p.w, piece, sizeof(piece)), sizeof(piece));
		get(&p, sizeof(piece), sizeof(piece));
	}
	rig_drain();
	put(&p, "after\n");
	rig_drain();
	s = rig_seen(&p.key);
	assert_true(s->gap_bytes > 0);
	assert_int_equal(s->len + s->gap_bytes, 40 * sizeof(piece) + 6);
	close_pipe(&p);
}

/* A socket has no reader that could be known: each end is an inode of its own. */
struct socket_pair {
	int fds[2];
	struct nt_stream_key key;
};

static struct socket_pair open_sockets(void)
{
	struct socket_pair p;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p.fds), 0);
	p.key = rig_key(p.fds[0]);
	assert_int_equal(
		capture__add_pipe(rig.c, p.fds[0], getpid(), NT_FILE_STDERR, RIG_CGROUP_ID), 0);
	return p;
}

static void close_sockets(struct socket_pair *p)
{
	close(p->fds[0]);
	close(p->fds[1]);
}

static void socket_write_and_send(void **state)
{
	struct iovec iov[] = {{"ve", 2}, {"ctor", 4}};
	struct socket_pair p;

	(void)state;
	rig_ready();
	p = open_sockets();
	assert_int_equal(write(p.fds[0], "write ", 6), 6);
	assert_int_equal(send(p.fds[0], "send ", 5, 0), 5);
	assert_int_equal(writev(p.fds[0], iov, 2), 6);
	expect_text(&p.key, "write send vector", 17);
	assert_int_equal(rig_seen(&p.key)->last.file, NT_FILE_STDERR);
	expect_proof(&p.key);
	close_sockets(&p);
}

static void socket_sendmsg(void **state)
{
	struct iovec iov[] = {{"send", 4}, {"msg", 3}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	struct socket_pair p;

	(void)state;
	rig_ready();
	p = open_sockets();
	assert_int_equal(sendmsg(p.fds[0], &msg, 0), 7);
	expect_text(&p.key, "sendmsg", 7);
	expect_proof(&p.key);
	close_sockets(&p);
}

static void socket_sendmmsg(void **state)
{
	struct iovec a[] = {{"many", 4}, {" ", 1}}, b = {"messages", 8};
	struct mmsghdr msgs[] = {{.msg_hdr = {.msg_iov = a, .msg_iovlen = 2}},
				 {.msg_hdr = {.msg_iov = &b, .msg_iovlen = 1}}};
	struct socket_pair p;

	(void)state;
	rig_ready();
	p = open_sockets();
	assert_int_equal(sendmmsg(p.fds[0], msgs, 2, 0), 2);
	expect_text(&p.key, "many messages", 13);
	expect_proof(&p.key);
	close_sockets(&p);
}

/* Counted once, whichever functions a hook set looks at. */
static void socket_sendfile(void **state)
{
	struct socket_pair p;
	FILE *f = tmpfile();
	struct nt_stream s;
	off_t at = 0;

	(void)state;
	rig_ready();
	assert_non_null(f);
	assert_int_equal(fputs("from a file\n", f) >= 0 && fflush(f) == 0, 1);
	p = open_sockets();
	assert_int_equal(sendfile(p.fds[0], fileno(f), &at, 12), 12);
	s = kernel_stream(&p.key);
	assert_int_equal(s.written, 12);
	assert_int_equal(s.seen, 12);
	close_sockets(&p);
	fclose(f);
}

/* What comes in through a socket is not what was written to it. */
static void socket_reads_are_not_writes(void **state)
{
	struct socket_pair p;
	char buf[16];

	(void)state;
	rig_ready();
	p = open_sockets();
	assert_int_equal(write(p.fds[1], "other way", 9), 9);
	assert_int_equal(read(p.fds[0], buf, sizeof(buf)), 9);
	rig_drain();
	assert_int_equal(kernel_stream(&p.key).seen, 0);
	assert_int_equal(kernel_stream(&p.key).written, 0);
	close_sockets(&p);
}

static void pty_write_tap(void **state)
{
	struct rig_stream *s;
	uint64_t cgroup_id;
	struct pty t;
	char buf[64];

	(void)state;
	rig_ready();
	t = open_pty("one\n");
	assert_int_equal(capture__add_pid(rig.c, t.child, &cgroup_id, rig.why, sizeof(rig.why)), 0);
	close(t.go);
	while (read(t.master, buf, sizeof(buf)) > 0)
		;
	rig_drain();
	s = tty_stream(t.child);
	assert_non_null(s);
	assert_int_equal(s->reg.tap, NT_TAP_WRITE);
	assert_int_equal(s->len, 4);
	assert_memory_equal(s->bytes, "one\n", 4);
	assert_int_equal(s->last.file, NT_FILE_TTY);
	assert_int_equal(wait_child(t.child), 0);
	close(t.master);
}

int main(void)
{
	const struct CMUnitTest read_tap[] = {
		cmocka_unit_test(read_one_write),
		cmocka_unit_test(read_joins_writes),
		cmocka_unit_test(read_byte_by_byte),
		cmocka_unit_test(read_every_size),
		cmocka_unit_test(read_binary),
		cmocka_unit_test(readv_buffers),
		cmocka_unit_test(readv_one_buffer),
		cmocka_unit_test(read_of_nothing_is_no_end),
		cmocka_unit_test(read_eagain),
		cmocka_unit_test(read_by_a_stranger),
		cmocka_unit_test(streams_of_one_slot),
		cmocka_unit_test(end_at_eof),
		cmocka_unit_test(unreadable_buffer_is_lost_with_a_reason),
		cmocka_unit_test(rest_of_a_packet_is_missing),
		cmocka_unit_test(counts_writev),
		cmocka_unit_test(counts_what_a_write_wrote),
		cmocka_unit_test(counts_no_failed_write),
		cmocka_unit_test(long_write_of_a_child),
		cmocka_unit_test(counts_splice),
		cmocka_unit_test(counts_tee),
		cmocka_unit_test(counts_vmsplice),
		cmocka_unit_test(counts_sendfile),
#ifdef __x86_64__
		cmocka_unit_test(counts_int80),
#endif
		cmocka_unit_test(reader_that_splices_leaves_a_gap),
		cmocka_unit_test(racing_writers),
		cmocka_unit_test(full_ring_is_a_gap),
		cmocka_unit_test(gap_before_the_end),
		cmocka_unit_test(times_do_not_overlap),
		cmocka_unit_test(name_of_the_writer),
		cmocka_unit_test(name_follows_a_rename),
		cmocka_unit_test(no_name_across_a_rename),
		cmocka_unit_test(no_name_with_two_writers),
		cmocka_unit_test(no_name_for_bytes_that_waited),
		cmocka_unit_test(unregistered_pipe_is_not_seen),
		cmocka_unit_test(own_stdio_is_denied),
		cmocka_unit_test(excluded_stream_is_not_seen),
		cmocka_unit_test(pty_as_its_reader_sees_it),
		cmocka_unit_test(pty_echo),
	};
	const struct CMUnitTest write_tap[] = {
		cmocka_unit_test(write_tap_copies),
		cmocka_unit_test(write_tap_writev),
		cmocka_unit_test(write_tap_partial_writev),
		cmocka_unit_test(write_tap_long_write),
		cmocka_unit_test(write_tap_vmsplice),
		cmocka_unit_test(write_tap_splice_is_a_gap),
		cmocka_unit_test(write_tap_end_at_eof),
		cmocka_unit_test(write_tap_racing_writers),
		cmocka_unit_test(write_tap_full_ring),
		cmocka_unit_test(socket_write_and_send),
		cmocka_unit_test(socket_sendmsg),
		cmocka_unit_test(socket_sendmmsg),
		cmocka_unit_test(socket_sendfile),
		cmocka_unit_test(socket_reads_are_not_writes),
		cmocka_unit_test(pty_write_tap),
	};
	int failed;

	signal(SIGPIPE, SIG_IGN);
	rig_fill_stdio();
	failed = cmocka_run_group_tests_name("read tap", read_tap, setup_auto, teardown);
	failed += cmocka_run_group_tests_name("write tap", write_tap, setup_write, teardown);
	return failed ? 1 : 0;
}
