// SPDX-License-Identifier: Apache-2.0
/*
 * Attribution by line: the note of each way to write, where records say that all is noted, and the
 * traces of threads.
 */
#include <bpf/bpf.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "assemble/match.h"
#include "rig.h"

#define TRACE_ID "\x0a\xf7\x65\x19\x16\xcd\x43\xdd\x84\x48\xeb\x21\x1c\x80\x31\x9c"
#define SPAN_ID "\xb7\xad\x6b\x71\x69\x20\x33\x31"
#define NEVER UINT64_MAX

static const char *no_traces; /* why */
static char bpffs[] = "/tmp/notail-bpffs-XXXXXX";

static const struct rig_stream *seen(const struct pipe_end *p)
{
	struct rig_stream *s;

	rig_drain();
	s = rig_seen(&p->key);
	assert_non_null(s);
	return s;
}

/* The last note, of `len` bytes of this process at the end of what is counted. */
static struct nt_note noted(const struct pipe_end *p, size_t len)
{
	struct nt_note note = seen(p)->note;

	assert_int_equal(note.count, len);
	assert_int_equal(note.at + note.count, kernel_stream(&p->key).written);
	assert_int_equal(note.pid, getpid());
	assert_int_equal(note.tid, syscall(SYS_gettid));
	assert_string_equal(note.comm, "test_notes");
	return note;
}

static void expect_hash(const struct pipe_end *p, const char *bytes, size_t len)
{
	struct nt_note note = noted(p, len);

	assert_int_equal(note.hashed, 1);
	assert_true(note.hash == match__hash(bytes, len));
}

static void expect_no_hash(const struct pipe_end *p, size_t len)
{
	assert_int_equal(noted(p, len).hashed, 0);
}

static void drain(const struct pipe_end *p, size_t len)
{
	get(p, len, 65536);
}

static void writes_of_all_lengths(void **state)
{
	static const size_t lengths[] = {1,  2,	 7,  8,	  9,   31,  32,	 33,   63,   64,  65,
					 95, 96, 97, 100, 127, 128, 129, 1000, 4095, 4096};
	char bytes[4097];
	struct pipe_end p;

	(void)state;
	rig_ready();
	p = open_stream();
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		pattern(bytes, lengths[i], i * 7 + 1);
		assert_int_equal(write(p.w, bytes, lengths[i]), lengths[i]);
		expect_hash(&p, bytes, lengths[i]);
		drain(&p, lengths[i]);
	}
	pattern(bytes, sizeof(bytes), 5);
	assert_int_equal(write(p.w, bytes, sizeof(bytes)), sizeof(bytes));
	expect_no_hash(&p, sizeof(bytes));
	assert_int_equal(seen(&p)->notes, ARRAY_SIZE(lengths) + 1);
	close_pipe(&p);
}

static void writes_of_several_buffers(void **state)
{
	char bytes[600];
	struct iovec iov[9] = {{bytes, 40}, {bytes + 40, 0}, {bytes + 40, 1}, {bytes + 41, 559}};
	struct pipe_end p;

	(void)state;
	rig_ready();
	p = open_stream();
	pattern(bytes, sizeof(bytes), 3);
	assert_int_equal(writev(p.w, iov, 4), 600);
	expect_hash(&p, bytes, 600);
	assert_int_equal(writev(p.w, iov, 3), 41);
	expect_hash(&p, bytes, 41);
	for (int i = 0; i < 9; i++)
		iov[i] = (struct iovec){bytes + i, 1};
	assert_int_equal(writev(p.w, iov, 8), 8);
	expect_hash(&p, bytes, 8);
	assert_int_equal(writev(p.w, iov, 9), 9);
	noted(&p, 9); /* more buffers than are looked at: with a hash or without */
	close_pipe(&p);
}

/* Bytes of others may lie between what such calls wrote, or they are in no buffer. */
static void writes_without_a_hash(void **state)
{
	struct iovec iov = {.iov_len = 100};
	struct pipe_end p, other;
	char bytes[65536] = "x";
	FILE *file = tmpfile();

	(void)state;
	rig_ready();
	p = open_stream();
	other = open_pipe();
	iov.iov_base = bytes;
	assert_int_equal(vmsplice(p.w, &iov, 1, 0), 100);
	expect_no_hash(&p, 100);
	assert_int_equal(write(other.w, bytes, 50), 50);
	assert_int_equal(splice(other.r, NULL, p.w, NULL, 50, 0), 50);
	expect_no_hash(&p, 50);
	assert_non_null(file);
	assert_int_equal(pwrite(fileno(file), bytes, 70, 0), 70);
	assert_int_equal(sendfile(p.w, fileno(file), NULL, 70), 70);
	expect_no_hash(&p, 70);
	fclose(file);
	/* A part of it, since there was no room for more. */
	assert_int_equal(fcntl(p.w, F_SETFL, O_NONBLOCK), 0);
	drain(&p, 220);
	assert_int_equal(write(p.w, bytes, 65536 - 4096), 65536 - 4096);
	assert_int_equal(write(p.w, bytes, 8192), 4096);
	expect_no_hash(&p, 4096);
	close_pipe(&p);
	close_pipe(&other);
}

static void settled_when_all_is_noted(void **state)
{
	struct pipe_end p;

	(void)state;
	rig_ready();
	p = open_stream();
	child_writes(p.w, "first\n");
	child_writes(p.w, "second\n");
	get(&p, 4, 4);
	assert_int_equal(seen(&p)->last.known, NT_KNOWN_NOTES);
	assert_int_equal(seen(&p)->last.pid, 0);
	assert_int_equal(seen(&p)->last.from, 13); /* what was not read yet is in it */
	get(&p, 9, 9);
	assert_int_equal(seen(&p)->last.from, 13);
	close_pipe(&p);
}

static void not_settled_while_a_write_is_under_way(void **state)
{
	static char big[100000];
	struct pipe_end p;
	pid_t pid;

	(void)state;
	rig_ready();
	p = open_stream();
	child_writes(p.w, "before\n");
	pid = writing_child(p.w, big, sizeof(big));
	get(&p, 20000, 10000);
	assert_int_equal(seen(&p)->last.known, NT_KNOWN_NOTES);
	assert_true(seen(&p)->last.from == NEVER);
	get(&p, sizeof(big) + 7 - 20000 - 100, 8192);
	assert_int_equal(wait_child(pid), 0);
	get(&p, 100, 100);
	assert_int_equal(seen(&p)->last.from, sizeof(big) + 7);
	assert_int_equal(seen(&p)->note.pid, pid);
	assert_int_equal(seen(&p)->note.count, sizeof(big));
	close_pipe(&p);
}

static void *write_renamed(void *arg)
{
	prctl(PR_SET_NAME, "a thread");
	assert_int_equal(write(*(int *)arg, "x\n", 2), 2);
	return (void *)syscall(SYS_gettid);
}

/* The process' name, the thread's number. */
static void note_of_a_thread(void **state)
{
	struct pipe_end p;
	pthread_t thread;
	void *tid;

	(void)state;
	rig_ready();
	p = open_stream();
	assert_int_equal(pthread_create(&thread, NULL, write_renamed, &p.w), 0);
	assert_int_equal(pthread_join(thread, &tid), 0);
	assert_int_equal(seen(&p)->note.pid, getpid());
	assert_int_equal(seen(&p)->note.tid, (long)tid);
	assert_string_equal(seen(&p)->note.comm, "test_notes");
	close_pipe(&p);
}

static void note_before_a_record_of_the_write_tap(void **state)
{
	const struct rig_stream *s;
	struct pipe_end p;

	(void)state;
	rig_ready();
	p = open_stream();
	put(&p, "one\n");
	put(&p, "two\n");
	s = seen(&p);
	assert_int_equal(s->notes, 2);
	assert_int_equal(s->note.at, 4);
	assert_int_equal(s->note.tap, NT_TAP_WRITE);
	assert_int_equal(s->last.known, NT_KNOWN_NOTES);
	assert_int_equal(s->last.from, 4);
	assert_int_equal(s->last.pid, getpid());
	close_pipe(&p);
}

/* ---- traces ---- */

/* A bpffs of our own: nobody else sees what is pinned there. */
static int mount_bpffs(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    !mkdtemp(bpffs))
		return -1;
	return mount("bpf", bpffs, "bpf", 0, NULL);
}

static int make_traces(enum bpf_map_type type, uint32_t key_size, uint32_t value_size, char *path)
{
	int fd = bpf_map_create(type, NULL, key_size, value_size, 16384, NULL);

	sprintf(path, "%s/traces_ctx_v1", bpffs);
	unlink(path);
	if (fd < 0 || bpf_obj_pin(fd, path) < 0) {
		fprintf(stderr, "cannot pin a map: %s\n", strerror(errno));
		close_p(&fd);
	}
	return fd;
}

static void load_with_traces(const char *path)
{
	assert_int_equal(rig_load_with((struct capture_opts){.attribution = ATTRIBUTION_LINE,
							     .traces = path}),
			 0);
	rig_ready();
}

static void trace_of_the_writing_thread(void **state)
{
	const char trace[24] = TRACE_ID SPAN_ID;
	uint64_t thread = (uint64_t)getpid() << 32 | (uint32_t)syscall(SYS_gettid);
	_close_ int map = -1;
	struct pipe_end p;
	char path[64];

	(void)state;
	if (no_traces)
		skip();
	map = make_traces(BPF_MAP_TYPE_LRU_HASH, 8, 24, path);
	assert_true(map >= 0);
	load_with_traces(path);
	p = open_stream();
	put(&p, "no trace\n");
	assert_memory_equal(seen(&p)->note.trace_id, (char[24]){0}, 24);
	assert_int_equal(bpf_map_update_elem(map, &thread, trace, BPF_ANY), 0);
	put(&p, "traced\n");
	assert_memory_equal(seen(&p)->note.trace_id, TRACE_ID, 16);
	assert_memory_equal(seen(&p)->note.span_id, SPAN_ID, 8);
	child_writes(p.w, "not traced\n");
	assert_memory_equal(seen(&p)->note.trace_id, (char[24]){0}, 24);
	close_pipe(&p);
}

/* Of another version, or no such thing at all: named in the log, and left alone. */
static void other_maps_are_left_alone(void **state)
{
	static const struct {
		enum bpf_map_type type;
		uint32_t key_size, value_size;
	} others[] = {
		{BPF_MAP_TYPE_HASH, 8, 24},
		{BPF_MAP_TYPE_LRU_HASH, 4, 24},
		{BPF_MAP_TYPE_LRU_HASH, 8, 32},
	};
	char path[64];

	(void)state;
	if (no_traces)
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		_close_ int map =
			make_traces(others[i].type, others[i].key_size, others[i].value_size, path);
		struct pipe_end p;

		assert_true(map >= 0);
		load_with_traces(path);
		p = open_stream();
		put(&p, "x\n");
		noted(&p, 2);
		close_pipe(&p);
		rig_unload(NULL);
	}
}

static int setup_line(void **state)
{
	(void)state;
	return rig_load_with((struct capture_opts){.attribution = ATTRIBUTION_LINE});
}

static int setup_line_write(void **state)
{
	(void)state;
	return rig_load_with(
		(struct capture_opts){.attribution = ATTRIBUTION_LINE, .tap = TAP_WRITE});
}

static int setup_traces(void **state)
{
	if (setup_line(state) < 0)
		return -1;
	no_traces = rig.skip;
	rig_unload(state);
	if (!no_traces && mount_bpffs() < 0)
		no_traces = "cannot mount a bpffs";
	if (no_traces)
		fprintf(stderr, "SKIP: %s\n", no_traces);
	return 0;
}

static int teardown_traces(void **state)
{
	(void)state;
	umount(bpffs);
	rmdir(bpffs);
	return 0;
}

static void line_passes_the_self_test(void **state)
{
	(void)state;
	rig_ready();
	if (capture__self_test(rig.c, rig.why, sizeof(rig.why)))
		fail_msg("%s", rig.why);
}

int main(void)
{
	const struct CMUnitTest line[] = {
		cmocka_unit_test(writes_of_all_lengths),
		cmocka_unit_test(writes_of_several_buffers),
		cmocka_unit_test(writes_without_a_hash),
		cmocka_unit_test(settled_when_all_is_noted),
		cmocka_unit_test(not_settled_while_a_write_is_under_way),
		cmocka_unit_test(note_of_a_thread),
		cmocka_unit_test(line_passes_the_self_test),
	};
	const struct CMUnitTest line_write[] = {
		cmocka_unit_test(note_before_a_record_of_the_write_tap),
		cmocka_unit_test(line_passes_the_self_test),
	};
	const struct CMUnitTest traces[] = {
		cmocka_unit_test_teardown(trace_of_the_writing_thread, rig_unload),
		cmocka_unit_test_teardown(other_maps_are_left_alone, rig_unload),
	};
	int failed;

	signal(SIGPIPE, SIG_IGN);
	rig_fill_stdio();
	failed = cmocka_run_group_tests_name("line", line, setup_line, rig_unload);
	failed += cmocka_run_group_tests_name("line, write tap", line_write, setup_line_write,
					      rig_unload);
	failed += cmocka_run_group_tests_name("traces", traces, setup_traces, teardown_traces);
	return failed ? 1 : 0;
}
