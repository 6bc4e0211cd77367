// SPDX-License-Identifier: Apache-2.0
/*
 * Who reads: readers that come after the registration and the switch from the write tap to the read
 * tap, read ends that go from one process to another, strangers, what is left unread, and each call
 * that a reader may use.
 *
 * A pipe's read end waits in a socket between two processes: then no process has it, and the stream
 * begins without a reader.
 */
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "rig.h"

#define SHARED_BYTES (1u << 20)
#define SWITCH_ROUNDS 40
#define SWITCH_WRITES 150

/* What a child read, in its order. */
struct shared {
	volatile int ready; /* it has the read end */
	size_t len;
	char bytes[SHARED_BYTES];
};

struct parked {
	int w;		/* the pipe's write end */
	int sockets[2]; /* the read end is in the second one's queue */
	struct nt_stream_key key;
	int go[2]; /* the writer begins when this is closed */
	pid_t writer, reader;
	struct shared *shared;
};

static int setup(void **state)
{
	(void)state;
	return rig_load(TAP_AUTO, false);
}

static int setup_off(void **state)
{
	(void)state;
	return rig_load_with((struct capture_opts){.attribution = ATTRIBUTION_OFF});
}

static int setup_read(void **state)
{
	(void)state;
	return rig_load(TAP_READ, false);
}

/* ---- a pipe without a reader ---- */

union fd_message {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int))];
};

static void give(int socket, int fd)
{
	union fd_message control = {0};
	struct iovec iov = {"", 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	struct cmsghdr *head = CMSG_FIRSTHDR(&msg);

	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(head), &fd, sizeof(fd));
	assert_int_equal(sendmsg(socket, &msg, 0), 1);
	close(fd);
}

/* -1: there is none. */
static int take(int socket)
{
	union fd_message control = {0};
	char byte;
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	int fd = -1;

	if (recvmsg(socket, &msg, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&msg))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

static void wait_for_stdout(pid_t pid, const struct nt_stream_key *key)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/fd/1", pid);
	for (int ms = 0; ms < RIG_DEADLINE_MS; ms++) {
		if (stat(path, &st) == 0 && st.st_ino == key->ino)
			return;
		poll(NULL, 0, 1);
	}
	fail();
}

/* A pipe whose writer waits, a stream by --pid. `before` is in the pipe already. */
static struct parked park(void (*writer)(int fd), const char *before)
{
	struct parked p = {.reader = -1};
	struct pipe_end pipe = open_pipe();
	uint64_t cgroup_id;
	char c;

	p.w = pipe.w;
	p.key = pipe.key;
	p.shared = mmap(NULL, sizeof(*p.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			-1, 0);
	assert_true(p.shared != MAP_FAILED);
	assert_int_equal(pipe2(p.go, O_CLOEXEC), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p.sockets), 0);
	assert_int_equal(write(p.w, before, strlen(before)), strlen(before));
	give(p.sockets[0], pipe.r);
	p.writer = fork();
	assert_true(p.writer >= 0);
	if (p.writer == 0) {
		dup2(p.w, STDERR_FILENO);
		dup2(p.w, STDOUT_FILENO);
		close(p.w);
		close(p.sockets[0]);
		close(p.sockets[1]);
		close(p.go[1]);
		if (read(p.go[0], &c, 1) != 0)
			_exit(2);
		writer(STDOUT_FILENO);
		_exit(0);
	}
	wait_for_stdout(p.writer, &p.key);
	assert_int_equal(capture__add_pid(rig.c, p.writer, &cgroup_id, rig.why, sizeof(rig.why)),
			 0);
	return p;
}

static void begin(struct parked *p)
{
	close_p(&p->w);
	p->w = -1;
	close_p(&p->go[1]);
	p->go[1] = -1;
}

/* Reads up to `len` bytes as `piece` says, into the shared memory. */
static void read_into(struct shared *shared, int fd, size_t len, size_t piece)
{
	while (len) {
		size_t room = MIN(MIN(len, piece), sizeof(shared->bytes) - shared->len);
		ssize_t n = read(fd, shared->bytes + shared->len, room);

		if (n <= 0)
			return;
		shared->len += (size_t)n;
		len -= (size_t)n;
	}
}

/* Takes the read end, reads to its end. */
static pid_t start_reader(struct parked *p, size_t piece)
{
	pid_t pid = fork();
	int fd;

	assert_true(pid >= 0);
	if (pid) {
		for (int ms = 0; ms < RIG_DEADLINE_MS && !p->shared->ready; ms++)
			poll(NULL, 0, 1);
		return pid;
	}
	close(p->w);
	close(p->go[1]);
	fd = take(p->sockets[1]);
	if (fd < 0)
		_exit(1);
	p->shared->ready = 1;
	read_into(p->shared, fd, SIZE_MAX, piece);
	_exit(0);
}

static void finish(struct parked *p)
{
	if (p->writer > 0)
		assert_int_equal(wait_child(p->writer), 0);
	if (p->reader > 0)
		assert_int_equal(wait_child(p->reader), 0);
	close(p->sockets[0]);
	close(p->sockets[1]);
	close(p->go[0]);
	if (p->w >= 0)
		close(p->w);
	munmap(p->shared, sizeof(*p->shared));
}

static struct rig_stream *expect_as_read(const struct parked *p)
{
	struct rig_stream *s;

	rig_drain();
	s = rig_seen(&p->key);
	assert_non_null(s);
	assert_int_equal(s->len, p->shared->len);
	assert_memory_equal(s->bytes, p->shared->bytes, s->len);
	return s;
}

static void expect_end(const struct rig_stream *s, uint64_t bytes)
{
	assert_int_equal(s->ends, 1);
	assert_int_equal(s->end.cause, NT_END_EOF);
	assert_int_equal(s->end.seen, bytes);
	assert_int_equal(s->end.written, bytes);
	assert_int_equal(s->end.foreign, 0);
	for (int i = 0; i < NT_LOST_MAX; i++)
		assert_int_equal(s->end.lost[i], 0);
}

/* ---- writers ---- */

static void say(int fd, const char *text)
{
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		_exit(3);
}

static void writes_hello(int fd)
{
	say(fd, "hello\n");
}

/* Bursts and pauses, short and long writes: rest comes now and then. */
static void writes_bursts(int fd)
{
	static char buf[20000];
	uint32_t x = (uint32_t)getpid() * 2654435761u;
	size_t at = 0;

	for (int i = 0; i < SWITCH_WRITES; i++) {
		size_t len;

		x = x * 1664525 + 1013904223;
		len = (x >> 24) < 3 ? sizeof(buf) : 1 + (x >> 16) % 200;
		pattern(buf, len, at);
		at += len;
		if (write(fd, buf, len) != (ssize_t)len)
			_exit(3);
		if ((x >> 8) % 16 == 0)
			poll(NULL, 0, 1);
	}
}

#define LONG_BYTES 200000

static void writes_long(int fd)
{
	static char buf[LONG_BYTES];

	pattern(buf, sizeof(buf), 0);
	if (write(fd, buf, sizeof(buf)) != (ssize_t)sizeof(buf))
		_exit(3);
}

#define RACING_LINE 32

static void writes_racing_lines(int fd)
{
	for (int child = 0; child < 3; child++) {
		if (fork())
			continue;
		for (int i = 0; i < SWITCH_WRITES; i++) {
			char line[RACING_LINE + 1];

			snprintf(line, sizeof(line), "%c%030d\n", 'a' + child, i);
			say(fd, line);
			if (i % 32 == child)
				poll(NULL, 0, 1);
		}
		_exit(0);
	}
	while (wait(NULL) > 0)
		;
}

/* ---- found later ---- */

static void no_reader_copies_at_the_write(void **state)
{
	struct rig_stream *s;
	struct parked p;

	(void)state;
	rig_ready();
	p = park(writes_hello, "");
	begin(&p);
	assert_int_equal(wait_child(p.writer), 0);
	p.writer = -1;
	rig_drain();
	s = rig_seen(&p.key);
	assert_non_null(s);
	assert_int_equal(s->reg.tap, NT_TAP_WRITE);
	assert_int_equal(s->reg.reader, 0);
	assert_int_equal(s->reg.pipe, 1);
	assert_int_equal(s->len, 6);
	assert_memory_equal(s->bytes, "hello\n", 6);
	/* What was copied at the write is not copied again. */
	p.reader = start_reader(&p, 4096);
	assert_int_equal(wait_child(p.reader), 0);
	p.reader = -1;
	rig_drain();
	assert_int_equal(s->len, 6);
	finish(&p);
}

static void first_read_finds_the_reader(void **state)
{
	struct rig_stream *s;
	struct parked p;

	(void)state;
	rig_ready();
	p = park(writes_hello, "");
	p.reader = start_reader(&p, 4096);
	begin(&p);
	assert_int_equal(wait_child(p.reader), 0);
	s = expect_as_read(&p);
	assert_int_equal(s->len, 6);
	assert_true(s->taps >= 1);
	assert_int_equal(s->tap.reader, p.reader);
	expect_end(s, 6);
	p.reader = -1;
	finish(&p);
}

/* It holds the read end when user space looks, and reads long after that. */
static void reader_is_found_before_it_reads(void **state)
{
	struct rig_stream *s;
	struct parked p;
	int fd;

	(void)state;
	rig_ready();
	p = park(writes_hello, "");
	fd = take(p.sockets[1]);
	assert_true(fd >= 0);
	rig_drain(); /* the kernel side stops looking at strangers' reads */
	begin(&p);
	read_into(p.shared, fd, SIZE_MAX, 4096);
	s = expect_as_read(&p);
	assert_int_equal(s->len, 6);
	assert_int_equal(s->tap.reader, getpid());
	expect_end(s, 6);
	close(fd);
	finish(&p);
}

/* At rest after each write: the next one is the read tap's. */
static void switches_at_rest(void **state)
{
	struct rig_stream *s;
	struct parked p;
	int fd;

	(void)state;
	rig_ready();
	rig_needs_switch();
	p = park(writes_hello, "");
	fd = take(p.sockets[1]);
	assert_int_equal(write(p.w, "one", 3), 3);
	read_into(p.shared, fd, 3, 4096);
	rig_drain();
	s = rig_seen(&p.key);
	assert_int_equal(s->len, 3);
	assert_int_equal(s->last.tap, NT_TAP_WRITE);
	assert_int_equal(kernel_stream(&p.key).tap, NT_TAP_READ);
	assert_int_equal(s->tap.tap, NT_TAP_READ);
	assert_int_equal(s->tap.reader, getpid());
	assert_int_equal(write(p.w, "two", 3), 3);
	rig_drain();
	assert_int_equal(s->len, 3);
	read_into(p.shared, fd, 3, 4096);
	s = expect_as_read(&p);
	assert_int_equal(s->last.tap, NT_TAP_READ);
	assert_int_equal(s->last.offset, 3);
	begin(&p);
	read_into(p.shared, fd, SIZE_MAX, 4096);
	expect_end(expect_as_read(&p), 12);
	close(fd);
	finish(&p);
}

/* With bytes left in the pipe there is no telling which ones were copied. */
static void no_switch_while_bytes_wait(void **state)
{
	struct parked p;
	int fd;

	(void)state;
	rig_ready();
	rig_needs_switch();
	p = park(writes_hello, "");
	fd = take(p.sockets[1]);
	assert_int_equal(write(p.w, "abcdef", 6), 6);
	read_into(p.shared, fd, 3, 3);
	assert_int_equal(kernel_stream(&p.key).tap, NT_TAP_WRITE);
	assert_int_equal(kernel_stream(&p.key).taken, 3);
	assert_int_equal(write(p.w, "ghi", 3), 3);
	read_into(p.shared, fd, 6, 6);
	assert_int_equal(kernel_stream(&p.key).tap, NT_TAP_READ);
	begin(&p);
	read_into(p.shared, fd, SIZE_MAX, 4096);
	expect_end(expect_as_read(&p), 15);
	close(fd);
	finish(&p);
}

/*
 * The pipe is empty, but what was read last is of a write that has not returned: the write tap will
 * have it all, so the switch has to wait.
 */
static void no_switch_while_a_write_is_under_way(void **state)
{
	(void)state;
	rig_ready();
	for (int i = 0; i < 20; i++) {
		struct parked p = park(writes_long, "");
		int fd = take(p.sockets[1]), unread = 0;
		struct rig_stream *s;

		assert_int_equal(write(p.w, "abc", 3), 3);
		begin(&p);
		for (int ms = 0; ms < RIG_DEADLINE_MS && unread < 60000; ms++) {
			assert_int_equal(ioctl(fd, FIONREAD, &unread), 0);
			poll(NULL, 0, 1);
		}
		read_into(p.shared, fd, (size_t)unread, (size_t)unread);
		assert_int_equal(kernel_stream(&p.key).tap, NT_TAP_WRITE);
		read_into(p.shared, fd, SIZE_MAX, 65536);
		s = expect_as_read(&p);
		expect_end(s, 3 + LONG_BYTES);
		close(fd);
		finish(&p);
	}
}

/* A pipe that was in use before: its counts cannot be compared. */
static void no_switch_of_a_used_pipe(void **state)
{
	struct parked p;
	int fd;

	(void)state;
	rig_ready();
	p = park(writes_hello, "old");
	assert_int_equal(kernel_stream(&p.key).before, 3);
	assert_int_equal(write(p.w, "new", 3), 3);
	fd = take(p.sockets[1]);
	read_into(p.shared, fd, 6, 6);
	assert_int_equal(kernel_stream(&p.key).tap, NT_TAP_WRITE);
	begin(&p);
	read_into(p.shared, fd, SIZE_MAX, 4096);
	rig_drain();
	assert_int_equal(rig_seen(&p.key)->len, 9);
	assert_memory_equal(rig_seen(&p.key)->bytes, "newhello\n", 9);
	assert_int_equal(rig_seen(&p.key)->end.before, 3);
	close(fd);
	finish(&p);
}

/* Unless nothing was written since: then the first read decides, and is copied. */
static void switch_of_a_used_pipe_at_the_first_read(void **state)
{
	struct parked p;
	int fd;

	(void)state;
	rig_ready();
	rig_needs_switch();
	p = park(writes_hello, "old");
	fd = take(p.sockets[1]);
	read_into(p.shared, fd, 3, 4096);
	assert_int_equal(kernel_stream(&p.key).tap, NT_TAP_READ);
	begin(&p);
	read_into(p.shared, fd, SIZE_MAX, 4096);
	rig_drain();
	assert_int_equal(rig_seen(&p.key)->len, 9);
	assert_memory_equal(rig_seen(&p.key)->bytes, "oldhello\n", 9);
	assert_int_equal(rig_seen(&p.key)->end.seen, 9);
	assert_int_equal(rig_seen(&p.key)->end.written, 6);
	assert_int_equal(rig_seen(&p.key)->end.before, 3);
	close(fd);
	finish(&p);
}

/* One writer, so that the write tap's order is right too: byte for byte what the reader got. */
static void switch_under_load(void **state)
{
	size_t switched = 0, repeated = 0;

	(void)state;
	rig_ready();
	rig_needs_switch();
	for (int i = 0; i < SWITCH_ROUNDS; i++) {
		const uint64_t misses = capture__misses(rig.c, NT_TAP_WRITE);
		struct rig_stream *s;
		struct parked p;

		p = park(writes_bursts, "");
		if (i % 2) {
			p.reader = start_reader(&p, i % 4 == 1 ? 64 : 8192);
			begin(&p);
		} else { /* the writer is ahead */
			begin(&p);
			p.reader = start_reader(&p, 8192);
		}
		while (waitpid(p.reader, NULL, WNOHANG) == 0) {
			rig_drain();
			poll(NULL, 0, 1);
		}
		p.reader = -1;
		/* Where a task can be preempted while hooks are off on its CPU, as they are inside
		 * a map's system call, a call may be missed: that is counted, and proves nothing.
		 */
		if (capture__misses(rig.c, NT_TAP_WRITE) != misses) {
			assert_true(repeated++ < SWITCH_ROUNDS);
			i--;
			rig_drain();
			finish(&p);
			continue;
		}
		s = expect_as_read(&p);
		expect_end(s, s->len);
		switched += s->end.tap == NT_TAP_READ;
		finish(&p);
	}
	fprintf(stderr, "%zu of %d switched, %zu rounds with misses\n", switched, SWITCH_ROUNDS,
		repeated);
	assert_true(switched > 0);
}

static int by_line(const void *a, const void *b)
{
	return memcmp(a, b, RACING_LINE);
}

/* Racing writers: the order at the write may be another, but each line is there once. */
static void switch_under_racing_writers(void **state)
{
	size_t switched = 0;

	(void)state;
	rig_ready();
	for (int i = 0; i < SWITCH_ROUNDS / 2; i++) {
		struct rig_stream *s;
		struct parked p;

		p = park(writes_racing_lines, "");
		p.reader = start_reader(&p, 4096);
		begin(&p);
		assert_int_equal(wait_child(p.reader), 0);
		p.reader = -1;
		rig_drain();
		s = rig_seen(&p.key);
		assert_non_null(s);
		assert_int_equal(s->len, 3 * SWITCH_WRITES * RACING_LINE);
		assert_int_equal(p.shared->len, s->len);
		expect_end(s, s->len);
		qsort(s->bytes, s->len / RACING_LINE, RACING_LINE, by_line);
		qsort(p.shared->bytes, s->len / RACING_LINE, RACING_LINE, by_line);
		assert_memory_equal(s->bytes, p.shared->bytes, s->len);
		switched += s->end.tap == NT_TAP_READ;
		finish(&p);
	}
	fprintf(stderr, "%zu of %d switched\n", switched, SWITCH_ROUNDS / 2);
}

/* Without names the write tap is asleep when the stream is registered. */
static void off_first_read_finds_the_reader(void **state)
{
	struct rig_stream *s;
	struct parked p;

	(void)state;
	rig_ready();
	p = park(writes_hello, "");
	p.reader = start_reader(&p, 4096);
	begin(&p);
	assert_int_equal(wait_child(p.reader), 0);
	s = expect_as_read(&p);
	assert_int_equal(s->len, 6);
	assert_int_equal(s->ends, 1);
	p.reader = -1;
	finish(&p);
}

/* Asked for the read tap, a stream waits for its reader. */
static void read_mode_waits_for_the_reader(void **state)
{
	struct rig_stream *s;
	struct parked p;

	(void)state;
	rig_ready();
	p = park(writes_hello, "");
	begin(&p);
	assert_int_equal(wait_child(p.writer), 0);
	p.writer = -1;
	rig_drain();
	assert_int_equal(rig_seen(&p.key)->len, 0);
	/* No process had it when it was looked for: this one is new. */
	p.reader = start_reader(&p, 4096);
	assert_int_equal(wait_child(p.reader), 0);
	p.reader = -1;
	rig_drain();
	s = rig_seen(&p.key);
	assert_true(s->len == 0 || s->len == 6);
	finish(&p);
}

static void read_mode_copies_from_the_first_read(void **state)
{
	struct parked p;

	(void)state;
	rig_ready();
	p = park(writes_hello, "");
	p.reader = start_reader(&p, 4096);
	begin(&p);
	assert_int_equal(wait_child(p.reader), 0);
	p.reader = -1;
	expect_end(expect_as_read(&p), 6);
	finish(&p);
}

/* ---- each call that reads ---- */

static void reader_uses_preadv2(void **state)
{
	char a[3], b[100];
	struct iovec iov[] = {{a, sizeof(a)}, {NULL, 0}, {b, sizeof(b)}};
	struct pipe_end p;

	(void)state;
	rig_ready();
	p = open_stream();
	put(&p, "by preadv2\n");
	assert_int_equal(preadv2(p.r, iov, 3, -1, 0), 11);
	expect_text(&p.key, "by preadv2\n", 11);
	expect_proof(&p.key);
	close_pipe(&p);
}

/* What a tee copies out stays: it is read later, and captured then. */
static void reader_uses_tee(void **state)
{
	struct pipe_end p, to;

	(void)state;
	rig_ready();
	p = open_stream();
	to = open_pipe();
	put(&p, "teed\n");
	assert_int_equal(tee(p.r, to.w, 100, 0), 5);
	rig_drain();
	assert_int_equal(kernel_stream(&p.key).seen, 0);
	get(&p, 5, 4096);
	expect_text(&p.key, "teed\n", 5);
	expect_proof(&p.key);
	close_pipe(&to);
	close_pipe(&p);
}

/* The write tap has them already. */
static void found_reader_that_splices(void **state)
{
	struct pipe_end to = open_pipe();
	struct rig_stream *s;
	struct parked p;
	int fd;

	(void)state;
	rig_ready();
	rig_needs_switch();
	p = park(writes_hello, "");
	fd = take(p.sockets[1]);
	assert_int_equal(write(p.w, "spliced\n", 8), 8);
	assert_int_equal(splice(fd, NULL, to.w, NULL, 100, 0), 8);
	rig_drain();
	s = rig_seen(&p.key);
	assert_int_equal(s->len, 8);
	assert_int_equal(s->tap.reader, getpid());
	/* From here on the read tap would have to copy: lost, and said to be. */
	assert_int_equal(kernel_stream(&p.key).tap, NT_TAP_READ);
	assert_int_equal(write(p.w, "lost", 4), 4);
	assert_int_equal(splice(fd, NULL, to.w, NULL, 100, 0), 4);
	assert_int_equal(kernel_stream(&p.key).lost[NT_LOST_UNREADABLE], 4);
	begin(&p);
	read_into(p.shared, fd, SIZE_MAX, 4096);
	rig_drain();
	assert_int_equal(s->len, 14);
	assert_int_equal(s->gap_bytes, 4);
	close(fd);
	close_pipe(&to);
	finish(&p);
}

/* ---- strangers ---- */

/* Whoever opens the pipe to read takes what the reader will miss: counted, not copied. */
static void foreign_reader_is_counted(void **state)
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
		char path[32], buf[6];
		int fd;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", p.w);
		fd = open(path, O_RDONLY);
		_exit(read(fd, buf, 6) == 6 ? 0 : 1);
	}
	assert_int_equal(wait_child(pid), 0);
	get(&p, 4, 4096);
	expect_text(&p.key, "kept", 4);
	assert_int_equal(kernel_stream(&p.key).written, 10);
	assert_int_equal(kernel_stream(&p.key).foreign, 6);
	close_pipe(&p);
	rig_drain();
	assert_int_equal(rig_seen(&p.key)->end.foreign, 6);
}

/* It reads before the reader does, and is not taken for it. */
static void own_reading_is_foreign(void **state)
{
	struct rig_stream *s;
	struct parked p;
	char path[64], buf[3];
	int fd, own;

	(void)state;
	rig_ready();
	p = park(writes_hello, "");
	fd = take(p.sockets[1]);
	assert_int_equal(write(p.w, "abcdef", 6), 6);
	/* The writer's own process: so says its stream's pid. */
	snprintf(path, sizeof(path), "/proc/%d/fd/1", p.writer);
	read_into(p.shared, fd, 1, 1);
	assert_int_equal(kernel_stream(&p.key).reader, getpid());
	p.reader = fork();
	assert_true(p.reader >= 0);
	if (p.reader == 0) {
		own = open(path, O_RDONLY);
		_exit(read(own, buf, 2) == 2 ? 0 : 1);
	}
	assert_int_equal(wait_child(p.reader), 0);
	p.reader = -1;
	assert_int_equal(kernel_stream(&p.key).foreign, 2);
	assert_int_equal(kernel_stream(&p.key).exact, 0);
	begin(&p);
	read_into(p.shared, fd, SIZE_MAX, 4096);
	rig_drain();
	s = rig_seen(&p.key);
	/* The write tap has all of it, the stranger's too. */
	assert_int_equal(s->len, 12);
	assert_memory_equal(s->bytes, "abcdefhello\n", 12);
	assert_int_equal(s->end.tap, NT_TAP_WRITE);
	close(fd);
	finish(&p);
}

/* ---- sockets ---- */

static void writes_packets(int fd)
{
	struct iovec iov[] = {{"ve", 2}, {"ctor\n", 5}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	struct mmsghdr msgs[] = {{.msg_hdr = msg}, {.msg_hdr = msg}};

	say(fd, "write\n");
	if (send(fd, "send\n", 5, 0) != 5 || writev(fd, iov, 2) != 7 || sendmsg(fd, &msg, 0) != 7 ||
	    sendmmsg(fd, msgs, 2, 0) != 2 || sendto(fd, "to\n", 3, 0, NULL, 0) != 3)
		_exit(3);
}

#define PACKETS "write\nsend\nvector\nvector\nvector\nvector\nto\n"

/* A process whose stdio is a socket: read by another, in ways that the write tap need not know. */
static void check_socket(int type)
{
	struct nt_stream_key key;
	char buf[64], c;
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	struct rig_stream *s;
	uint64_t cgroup_id;
	size_t len = 0;
	int packets[2], go[2];
	pid_t pid;

	rig_ready();
	assert_int_equal(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, packets), 0);
	assert_int_equal(pipe2(go, O_CLOEXEC), 0);
	key = rig_key(packets[0]);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(go[1]);
		dup2(packets[0], STDERR_FILENO);
		dup2(packets[0], STDOUT_FILENO);
		if (read(go[0], &c, 1) != 1 || read(go[0], &c, 1) != 0)
			_exit(2);
		writes_packets(STDOUT_FILENO);
		_exit(0);
	}
	assert_int_equal(write(go[1], "", 1), 1);
	wait_for_stdout(pid, &key);
	assert_int_equal(capture__add_pid(rig.c, pid, &cgroup_id, rig.why, sizeof(rig.why)), 0);
	close(go[1]);
	assert_int_equal(wait_child(pid), 0);
	rig_drain();
	s = rig_seen(&key);
	assert_non_null(s);
	assert_int_equal(s->reg.tap, NT_TAP_WRITE);
	assert_int_equal(s->reg.pipe, 0);
	for (int i = 0; len < strlen(PACKETS); i++) {
		ssize_t n = i % 4 == 0	 ? read(packets[1], buf, 7)
			    : i % 4 == 1 ? recv(packets[1], buf, 7, 0)
			    : i % 4 == 2 ? recvmsg(packets[1], &msg, 0)
					 : readv(packets[1], &iov, 1);

		assert_true(n > 0);
		len += (size_t)n;
	}
	expect_text(&key, PACKETS, strlen(PACKETS));
	expect_proof(&key);
	assert_int_equal(kernel_stream(&key).tap, NT_TAP_WRITE);
	close(go[0]);
	close(packets[0]);
	close(packets[1]);
}

static void stream_socket(void **state)
{
	(void)state;
	check_socket(SOCK_STREAM);
}

static void datagram_socket(void **state)
{
	(void)state;
	check_socket(SOCK_DGRAM);
}

static void seqpacket_socket(void **state)
{
	(void)state;
	check_socket(SOCK_SEQPACKET);
}

int main(void)
{
	const struct CMUnitTest auto_tap[] = {
		cmocka_unit_test(no_reader_copies_at_the_write),
		cmocka_unit_test(first_read_finds_the_reader),
		cmocka_unit_test(reader_is_found_before_it_reads),
		cmocka_unit_test(switches_at_rest),
		cmocka_unit_test(no_switch_while_bytes_wait),
		cmocka_unit_test(no_switch_while_a_write_is_under_way),
		cmocka_unit_test(no_switch_of_a_used_pipe),
		cmocka_unit_test(switch_of_a_used_pipe_at_the_first_read),
		cmocka_unit_test(switch_under_load),
		cmocka_unit_test(switch_under_racing_writers),
		cmocka_unit_test(reader_uses_preadv2),
		cmocka_unit_test(reader_uses_tee),
		cmocka_unit_test(found_reader_that_splices),
		cmocka_unit_test(foreign_reader_is_counted),
		cmocka_unit_test(own_reading_is_foreign),
		cmocka_unit_test(stream_socket),
		cmocka_unit_test(datagram_socket),
		cmocka_unit_test(seqpacket_socket),
	};
	const struct CMUnitTest off[] = {
		cmocka_unit_test(off_first_read_finds_the_reader),
	};
	const struct CMUnitTest read_tap[] = {
		cmocka_unit_test(read_mode_waits_for_the_reader),
		cmocka_unit_test(read_mode_copies_from_the_first_read),
	};
	int failed;

	signal(SIGPIPE, SIG_IGN);
	rig_fill_stdio();
	failed = cmocka_run_group_tests_name("readers", auto_tap, setup, rig_unload);
	failed += cmocka_run_group_tests_name("attribution off", off, setup_off, rig_unload);
	failed += cmocka_run_group_tests_name("read tap", read_tap, setup_read, rig_unload);
	return failed ? 1 : 0;
}
