// SPDX-License-Identifier: Apache-2.0
/*
 * The contexts that a program's threads publish (OTEP 4947): this program does as an SDK would. It
 * has other thread-local variables too, of an alignment that moves this one.
 */
#include <bpf/bpf.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#include "capture/elf_tls.h"
#include "rig.h"

#define TRACE_A "\x0a\xf7\x65\x19\x16\xcd\x43\xdd\x84\x48\xeb\x21\x1c\x80\x31\x9c"
#define SPAN_A "\xb7\xad\x6b\x71\x69\x20\x33\x31"
#define TRACE_B "\x4b\xf9\x2f\x35\x77\xb3\x4d\xa6\xa3\xce\x92\x9d\x0e\x0e\x47\x36"
#define SPAN_B "\x00\xf0\x67\xaa\x0b\xa9\x02\xb7"
#define TRACE_MAP "\x99\x99\x99\x99\x99\x99\x99\x99\x99\x99\x99\x99\x99\x99\x99\x99"
#define NONE "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"

struct record {
	char trace_id[16];
	char span_id[8];
	uint8_t valid;
	uint8_t trace_flags;
	uint16_t attrs_data_size;
};

extern __thread struct record *otel_thread_ctx_v1;
__thread struct record *otel_thread_ctx_v1 __attribute__((visibility("default")));
static __thread char aligned[192] __attribute__((aligned(64))) = "x";
static __thread char odd[13];

static const struct record record_a = {TRACE_A, SPAN_A, 1, 1, 0};
static const struct record record_b = {TRACE_B, SPAN_B, 1, 0, 0};

static void publish(const struct record *r)
{
	__atomic_store_n(&otel_thread_ctx_v1, (struct record *)r, __ATOMIC_RELEASE);
}

static struct nt_note note_of(const struct pipe_end *p, const char *text)
{
	struct rig_stream *s;

	put(p, text);
	rig_drain();
	s = rig_seen(&p->key);
	assert_non_null(s);
	assert_int_equal(s->note.tid, syscall(SYS_gettid));
	return s->note;
}

/* Until the process was looked at, its notes ask for that. */
static struct nt_note answered(const struct pipe_end *p, const char *text)
{
	struct nt_note note = {0};

	for (int i = 0; i < RIG_DEADLINE_MS; i++) {
		note = note_of(p, text);
		if (!note.image)
			return note;
		assert_int_equal(note.traced, 0);
		usleep(1000);
	}
	fail_msg("nobody looked at the process");
	return note;
}

static void expect_context(const struct pipe_end *p, const struct record *r)
{
	struct nt_note note = answered(p, "x\n");

	assert_int_equal(note.traced, r ? 1 : 0);
	assert_memory_equal(note.trace_id, r ? r->trace_id : NONE, 16);
	assert_memory_equal(note.span_id, r ? r->span_id : NONE, 8);
}

static void offset_is_the_linkers(void **state)
{
	char *thread_pointer = __builtin_thread_pointer();
	_close_ int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int64_t offset = 0;

	(void)state;
	aligned[1]++;
	odd[1]++;
	assert_true(fd >= 0);
	assert_int_equal(elf_tls__offset(fd, "otel_thread_ctx_v1", &offset), 0);
	assert_int_equal(offset, (char *)&otel_thread_ctx_v1 - thread_pointer);
	assert_int_equal(elf_tls__offset(fd, "otel_thread_ctx_v", &offset), -ENOENT);
}

static void *write_b(void *arg)
{
	expect_context(arg, NULL);
	publish(&record_b);
	expect_context(arg, &record_b);
	return NULL;
}

static void each_thread_has_its_own(void **state)
{
	struct pipe_end p;
	pthread_t thread;

	(void)state;
	rig_ready();
	p = open_stream();
	publish(&record_a);
	expect_context(&p, &record_a);
	assert_int_equal(pthread_create(&thread, NULL, write_b, &p), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	expect_context(&p, &record_a);
	publish(&record_b);
	expect_context(&p, &record_b);
	publish(NULL);
	expect_context(&p, NULL);
	close_pipe(&p);
}

static void what_is_not_valid_is_none(void **state)
{
	static const uint8_t values[] = {0, 2, 255};
	struct record r = record_a;
	struct pipe_end p;

	(void)state;
	rig_ready();
	p = open_stream();
	publish(&r);
	expect_context(&p, &r);
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		r.valid = values[i];
		expect_context(&p, NULL);
	}
	publish((void *)8); /* nothing is mapped there */
	expect_context(&p, NULL);
	publish((void *)UINT64_MAX);
	expect_context(&p, NULL);
	publish(NULL);
	close_pipe(&p);
}

/* A child has other notes to ask, and what it inherited. */
static void a_child_is_another_process(void **state)
{
	struct pipe_end p;
	pid_t pid;

	(void)state;
	rig_ready();
	p = open_stream();
	publish(&record_a);
	expect_context(&p, &record_a);
	for (int i = 0; i < 12; i++) {
		int asked[2], go[2];
		char c;

		assert_int_equal(pipe(asked), 0);
		assert_int_equal(pipe(go), 0);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			/* The first write asks; the second one comes when it was answered. */
			if (write(p.w, "x\n", 2) != 2 || write(asked[1], "x", 1) != 1 ||
			    read(go[0], &c, 1) != 1)
				_exit(1);
			_exit(write(p.w, "x\n", 2) != 2);
		}
		assert_int_equal(read(asked[0], &c, 1), 1);
		rig_drain();
		usleep(10000u << i);
		assert_int_equal(write(go[1], "x", 1), 1);
		assert_int_equal(wait_child(pid), 0);
		close(asked[0]);
		close(asked[1]);
		close(go[0]);
		close(go[1]);
		rig_drain();
		assert_int_equal(rig_seen(&p.key)->note.pid, pid);
		if (!rig_seen(&p.key)->note.image)
			break;
	}
	assert_memory_equal(rig_seen(&p.key)->note.trace_id, TRACE_A, 16);
	publish(NULL);
	close_pipe(&p);
}

/* The program in the same process is another one, which publishes nothing. */
static void an_exec_is_another_program(void **state)
{
	struct pipe_end p;
	pid_t pid;

	(void)state;
	rig_ready();
	p = open_stream();
	publish(&record_a);
	expect_context(&p, &record_a);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(p.w, STDOUT_FILENO);
		execlp("echo", "echo", "x", (char *)NULL);
		_exit(1);
	}
	assert_int_equal(wait_child(pid), 0);
	rig_drain();
	assert_int_equal(rig_seen(&p.key)->note.pid, pid);
	assert_true(rig_seen(&p.key)->note.image != 0);
	assert_int_equal(rig_seen(&p.key)->note.traced, 0);
	publish(NULL);
	close_pipe(&p);
}

/* What OpenTelemetry's eBPF instrumentation says of the thread is for those without a record. */
static void a_record_outranks_the_map(void **state)
{
	const struct record r = {TRACE_MAP, SPAN_B, 0, 0, 0};
	uint64_t thread = (uint64_t)getpid() << 32 | (uint32_t)syscall(SYS_gettid);
	char dir[] = "/tmp/notail-bpffs-XXXXXX", path[64];
	_close_ int map = bpf_map_create(BPF_MAP_TYPE_LRU_HASH, NULL, 8, 24, 16384, NULL);
	struct pipe_end p;

	(void)state;
	rig_ready();
	assert_true(map >= 0);
	assert_non_null(mkdtemp(dir));
	sprintf(path, "%s/traces_ctx_v1", dir);
	/* A bpffs of our own: nobody else sees what is pinned there. */
	assert_int_equal(unshare(CLONE_NEWNS), 0);
	assert_int_equal(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	assert_int_equal(mount("bpf", dir, "bpf", 0, NULL), 0);
	assert_int_equal(bpf_obj_pin(map, path), 0);
	assert_int_equal(bpf_map_update_elem(map, &thread, &r, BPF_ANY), 0);
	rig_unload(NULL);
	assert_int_equal(rig_load_with((struct capture_opts){.attribution = ATTRIBUTION_LINE,
							     .traces = path}),
			 0);
	p = open_stream();
	publish(&record_a);
	for (int i = 0; i < RIG_DEADLINE_MS && note_of(&p, "x\n").image; i++)
		usleep(1000);
	expect_context(&p, &record_a);
	publish(NULL);
	expect_context(&p, &r);
	close_pipe(&p);
	umount(dir);
	rmdir(dir);
}

static int setup(void **state)
{
	(void)state;
	return rig_load_with((struct capture_opts){.attribution = ATTRIBUTION_LINE});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(offset_is_the_linkers),
		cmocka_unit_test(each_thread_has_its_own),
		cmocka_unit_test(what_is_not_valid_is_none),
		cmocka_unit_test(a_child_is_another_process),
		cmocka_unit_test(an_exec_is_another_program),
		cmocka_unit_test(a_record_outranks_the_map),
	};

	signal(SIGPIPE, SIG_IGN);
	rig_fill_stdio();
	return cmocka_run_group_tests_name("contexts", tests, setup, rig_unload) ? 1 : 0;
}
