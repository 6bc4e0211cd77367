// SPDX-License-Identifier: Apache-2.0
/*
 * What is pinned goes on without notail, and the next one takes it over: nothing that was written
 * meanwhile is missing or there twice, also when its programs are others and writers do not pause.
 * The BPF file system is one of this process' own, which goes with it.
 */
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>

static size_t ring_bytes;
#define RIG_RING_BYTES ring_bytes
#include "rig.h"

#include "capture/unpin.h"

#define MIB (1u << 20)
#define MOUNT "/tmp/notail-test-pins"
#define DIR MOUNT "/notail"

static const struct capture_opts PLAIN = {.pins = DIR, .state_bytes = 10000};

static char no_mount[128]; /* why; empty: there is one */

static int mount_bpffs(void **state)
{
	(void)state;
	ring_bytes = MIB;
	if (geteuid() != 0)
		return 0;
	mkdir(MOUNT, 0700);
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("bpf", MOUNT, "bpf", 0, NULL) < 0) {
		snprintf(no_mount, sizeof(no_mount), "no BPF file system can be mounted: %s",
			 strerror(errno));
		rmdir(MOUNT);
	}
	return 0;
}

static int unmount_bpffs(void **state)
{
	(void)state;
	umount2(MOUNT, MNT_DETACH);
	rmdir(MOUNT);
	return 0;
}

static int clean(void **state)
{
	char why[256] = "";
	FILE *nowhere = fopen("/dev/null", "we");

	rig_unload(state);
	ring_bytes = MIB;
	pins__unpin(DIR, true, nowhere, why, sizeof(why));
	fclose(nowhere);
	return 0;
}

static void start(struct capture_opts opts)
{
	const char *why;

	if (*no_mount) {
		fprintf(stderr, "SKIP: %s\n", no_mount);
		skip();
	}
	assert_int_equal(rig_load_with(opts), 0);
	if (rig.skip)
		rig_ready();
	assert_true(capture__durable(rig.c, &why));
	if (!capture__adopted(rig.c))
		assert_int_equal(capture__self_test(rig.c, rig.why, sizeof(rig.why)), 0);
}

/* As a process that ends, however it ends: what it read is not committed. */
static void leave(void)
{
	capture__free(rig.c);
	rig.c = NULL;
}

static void put_numbers(const struct pipe_end *p, unsigned from, unsigned to)
{
	char text[16];

	for (unsigned i = from; i < to; i++) {
		snprintf(text, sizeof(text), "line %05u\n", i);
		put(p, text);
		get(p, strlen(text), 4096);
	}
}

static void expect_numbers(const struct pipe_end *p, unsigned to)
{
	char *text = malloc(to * 11 + 1);

	assert_non_null(text);
	for (unsigned i = 0; i < to; i++)
		snprintf(text + (size_t)i * 11, 12, "line %05u\n", i);
	expect_text(&p->key, text, (size_t)to * 11);
	expect_proof(&p->key);
	free(text);
}

static void goes_on_where_it_was(void **state)
{
	struct pipe_end p;

	(void)state;
	start(PLAIN);
	assert_false(capture__adopted(rig.c));
	p = open_stream();
	put_numbers(&p, 0, 10);
	rig_drain();
	put_numbers(&p, 10, 20);
	leave();
	put_numbers(&p, 20, 500);
	start(PLAIN);
	assert_true(capture__adopted(rig.c));
	put_numbers(&p, 500, 510);
	expect_numbers(&p, 510);
	close_pipe(&p);
}

/* What was read and not committed is there again; a position to begin at is obeyed. */
static void begins_where_it_is_told(void **state)
{
	struct pipe_end p;
	uint64_t first, pos;

	(void)state;
	start(PLAIN);
	p = open_stream();
	rig_drain();
	first = capture__committed(rig.c);
	put_numbers(&p, 0, 3);
	while (capture__read(rig.c, SIZE_MAX / 2, &pos) > 0)
		;
	put_numbers(&p, 3, 5);
	leave();
	assert_int_equal(rig_seen(&p.key)->records, 3);
	rig_seen(&p.key)->next_offset = rig_seen(&p.key)->next_ns = 0;
	start(PLAIN);
	assert_int_equal(capture__committed(rig.c), first);
	assert_int_equal(capture__seek(rig.c, first - 8), -EINVAL);
	assert_int_equal(capture__seek(rig.c, pos + (1 << 30)), -EINVAL);
	while (capture__read(rig.c, SIZE_MAX / 2, &first) > 0)
		;
	assert_int_equal(rig_seen(&p.key)->records, 3 + 5);
	assert_int_equal(capture__seek(rig.c, pos), 0);
	rig_seen(&p.key)->next_offset = 33;
	rig_seen(&p.key)->next_ns = 0;
	rig_drain();
	assert_int_equal(rig_seen(&p.key)->records, 3 + 5 + 2);
	close_pipe(&p);
}

static void a_second_one_is_told_of_the_first(void **state)
{
	struct capture *second;
	struct capture_opts opts = PLAIN;
	const struct record_ops none = {0};
	char why[512] = "", expected[64];

	(void)state;
	start(PLAIN);
	snprintf(expected, sizeof(expected), "process %d (%.15s) since ", getpid(),
		 program_invocation_short_name);
	opts.ring_bytes = MIB;
	assert_int_equal(capture__new(&second, &opts, &none, NULL, why, sizeof(why)), -EBUSY);
	assert_non_null(strstr(why, expected));
	opts.pins = NULL; /* beside it */
	assert_int_equal(capture__new(&second, &opts, &none, NULL, why, sizeof(why)), 0);
	capture__free(second);
}

static void memory_is_there_again(void **state)
{
	struct pipe_end p;
	bool adopted;
	size_t size;
	char *bytes;

	(void)state;
	start(PLAIN);
	assert_int_equal(capture__state(rig.c, (void **)&bytes, &size, &adopted), 0);
	assert_false(adopted);
	assert_true(size >= PLAIN.state_bytes);
	for (size_t i = 0; i < size; i++)
		assert_int_equal(bytes[i], 0);
	memset(bytes, 'x', size);
	p = open_stream();
	leave();
	start(PLAIN);
	assert_int_equal(capture__state(rig.c, (void **)&bytes, &size, &adopted), 0);
	assert_true(adopted);
	assert_int_equal(bytes[0], 'x');
	assert_int_equal(bytes[size - 1], 'x');
	close_pipe(&p);
}

static void nothing_is_kept_without_pins(void **state)
{
	const char *why = NULL;
	bool adopted;
	void *bytes;
	size_t size;

	(void)state;
	assert_int_equal(rig_load_with((struct capture_opts){.state_bytes = 1}), 0);
	rig_ready();
	assert_int_equal(capture__state(rig.c, &bytes, &size, &adopted), -ENOENT);
	assert_false(capture__durable(rig.c, &why));
	assert_string_equal(why, "");
}

static void a_wrong_place_is_no_error(void **state)
{
	const char *why = NULL;

	(void)state;
	assert_int_equal(rig_load_with((struct capture_opts){.pins = "/tmp/notail-test"}), 0);
	rig_ready();
	assert_false(capture__durable(rig.c, &why));
	assert_non_null(strstr(why, "/tmp is on no BPF file system"));
}

/* Killed while it pinned: there is no word yet that it is complete. */
static void half_done_pins_go(void **state)
{
	(void)state;
	start(PLAIN);
	leave();
	assert_int_equal(unlink(DIR "/v1/g1/run"), 0);
	start(PLAIN);
	assert_false(capture__adopted(rig.c));
	leave();
	/* And while it took over. */
	assert_int_equal(mkdir(DIR "/v1/g2", 0700), 0);
	start(PLAIN);
	assert_true(capture__adopted(rig.c));
	assert_int_equal(access(DIR "/v1/g2", F_OK), -1);
	leave();
	assert_int_equal(unlink(DIR "/v1/maps/nt_streams"), 0);
	start(PLAIN);
	assert_false(capture__adopted(rig.c));
}

static void another_ring_begins_anew(void **state)
{
	struct capture_counters counters;
	struct pipe_end p;

	(void)state;
	start(PLAIN);
	p = open_stream();
	rig_drain();
	put_numbers(&p, 0, 10);
	leave();
	ring_bytes = 2 * MIB;
	start(PLAIN);
	assert_false(capture__adopted(rig.c));
	capture__counters(rig.c, &counters);
	assert_true(counters.unread_bytes > 10 * sizeof(struct nt_data));
	assert_int_equal(counters.ring_bytes, 2 * MIB);
	assert_int_equal(access(DIR "/v1/g1/run", F_OK), 0);
	close_pipe(&p);
}

static void other_layouts_go(void **state)
{
	(void)state;
	start(PLAIN);
	leave();
	assert_int_equal(rename(DIR "/v1", DIR "/v999"), 0);
	assert_int_equal(mkdir(DIR "/others", 0700), 0);
	start(PLAIN);
	assert_false(capture__adopted(rig.c));
	assert_int_equal(access(DIR "/v999", F_OK), -1);
	assert_int_equal(access(DIR "/others", F_OK), 0);
	assert_int_equal(rmdir(DIR "/others"), 0);
}

static void unpinned_is_gone(void **state)
{
	char text[256] = "", why[256] = "";
	FILE *out = fmemopen(text, sizeof(text), "w");

	(void)state;
	start(PLAIN);
	assert_int_equal(pins__unpin(DIR, false, out, why, sizeof(why)), -EBUSY);
	leave();
	assert_int_equal(pins__unpin(DIR, false, out, why, sizeof(why)), 0);
	fclose(out);
	assert_non_null(strstr(text, "links removed"));
	assert_int_equal(access(DIR, F_OK), -1);
	start(PLAIN);
	assert_false(capture__adopted(rig.c));
	capture__unpin(rig.c);
	leave();
	assert_int_equal(access(DIR, F_OK), -1);
}

/* Nobody reads for longer than that: what is written then is counted, and told of. */
static void orphans_copy_nothing(void **state)
{
	struct capture_opts opts = PLAIN;
	struct rig_stream *s;
	struct nt_stream k;
	struct pipe_end p;

	(void)state;
	opts.orphan_timeout_ns = 200 * 1000000ull;
	start(opts);
	p = open_stream();
	put_numbers(&p, 0, 1);
	leave();
	usleep(300000);
	put_numbers(&p, 1, 2); /* it had not been told yet how late it is */
	put_numbers(&p, 2, 12);
	opts.orphan_timeout_ns = 0;
	start(opts);
	assert_true(capture__adopted(rig.c));
	k = kernel_stream(&p.key);
	assert_int_equal(k.lost[NT_LOST_ORPHANED], 10 * 11);
	put_numbers(&p, 12, 13);
	rig_drain();
	s = rig_seen(&p.key);
	assert_int_equal(s->gap_bytes, 10 * 11);
	assert_int_equal(s->gap_reason, NT_LOST_ORPHANED);
	assert_int_equal(s->len, 3 * 11);
	k = kernel_stream(&p.key);
	assert_int_equal(k.written, k.seen);
	close_pipe(&p);
}

/* ---- others take over ---- */

#define LOADS 3
#define SUCCESSORS 2

struct load {
	struct pipe_end p;
	pid_t writer[2], reader;
};

/* The first: all is to end; the second: it may begin. */
static volatile bool *flags;

static void await_begin(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (!flags[1])
		usleep(1000);
}

static void write_numbers(int fd, uint64_t size)
{
	uint64_t words[64];

	await_begin();
	for (uint64_t n = 0; !flags[0]; n++) {
		for (uint64_t i = 0; i < size; i++)
			words[i] = n * size + i;
		if (write(fd, words, size * sizeof(*words)) < 0)
			_exit(1);
		if (n % 64 == 0)
			usleep(2000);
	}
	_exit(0);
}

static void read_all(int fd)
{
	char buf[4096];
	ssize_t n;

	await_begin();
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		;
	_exit(n < 0);
}

/* Before anything is locked: children have what their parent has open. The last has two writers:
 * only its sums say something. */
static void fork_load(struct load *l, bool two)
{
	l->p = open_pipe();
	l->reader = fork();
	if (l->reader == 0) {
		close(l->p.w);
		read_all(l->p.r);
	}
	for (int i = 0; i < 1 + two; i++) {
		l->writer[i] = fork();
		if (l->writer[i] == 0) {
			close(l->p.r);
			write_numbers(l->p.w, two ? 3 : 8);
		}
	}
	close_p(&l->p.w);
	l->p.w = -1;
}

static void register_load(struct load *l)
{
	assert_int_equal(capture__add_pipe(rig.c, l->p.r, l->reader, NT_FILE_STDOUT, RIG_CGROUP_ID),
			 0);
	close_p(&l->p.r);
}

static void end_load(struct load *l, bool two)
{
	for (int i = 0; i < 1 + two; i++)
		assert_int_equal(wait_child(l->writer[i]), 0);
	assert_int_equal(wait_child(l->reader), 0);
	rig_drain();
}

static void expect_all(const struct load *l, bool two)
{
	const struct rig_stream *s = rig_seen(&l->p.key);

	assert_non_null(s);
	assert_int_equal(s->ends, 1);
	assert_int_equal(s->gap_bytes, 0);
	assert_int_equal(s->len, s->end.seen);
	assert_int_equal(s->end.written, s->end.seen);
	assert_true(s->len > 0);
	for (size_t i = 0; !two && i < s->len / sizeof(uint64_t); i++) {
		uint64_t n;

		memcpy(&n, s->bytes + i * sizeof(n), sizeof(n));
		assert_int_equal(n, i);
	}
}

/*
 * Attaching rewrites the first instruction of a function that other CPUs are in: an emulated one
 * may meet the breakpoint after the kernel is through with it, and the kernel dies of that.
 */
static void stay_on_one_cpu_if_emulated(void)
{
	cpu_set_t cpus;

	if (!getenv("EMULATED"))
		return;
	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	assert_int_equal(sched_setaffinity(0, sizeof(cpus), &cpus), 0);
}

static void others_take_over_without_a_hole(void **state)
{
	struct capture_opts opts = PLAIN;
	struct load loads[LOADS];

	(void)state;
	stay_on_one_cpu_if_emulated();
	ring_bytes = 64 * MIB;
	flags = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(flags != MAP_FAILED);
	for (int i = 0; i < LOADS; i++)
		fork_load(&loads[i], i == LOADS - 1);
	start(opts);
	for (int i = 0; i < LOADS; i++)
		register_load(&loads[i]);
	flags[1] = true;
	for (int i = 1; i <= SUCCESSORS; i++) {
		leave();
		opts.rate_limit = CAPTURE_RATE_MAX - (uint64_t)i; /* never reached */
		start(opts);
		assert_true(capture__adopted(rig.c));
		rig_drain();
	}
	assert_int_equal(access(DIR "/v1/g3/run", F_OK), 0);
	assert_int_equal(access(DIR "/v1/g2", F_OK), -1);
	flags[0] = true;
	for (int i = 0; i < LOADS; i++)
		end_load(&loads[i], i == LOADS - 1);
	for (int i = 0; i < LOADS; i++)
		expect_all(&loads[i], i == LOADS - 1);
	munmap((void *)flags, 4096);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(goes_on_where_it_was, clean),
		cmocka_unit_test_teardown(begins_where_it_is_told, clean),
		cmocka_unit_test_teardown(a_second_one_is_told_of_the_first, clean),
		cmocka_unit_test_teardown(memory_is_there_again, clean),
		cmocka_unit_test_teardown(nothing_is_kept_without_pins, clean),
		cmocka_unit_test_teardown(a_wrong_place_is_no_error, clean),
		cmocka_unit_test_teardown(half_done_pins_go, clean),
		cmocka_unit_test_teardown(another_ring_begins_anew, clean),
		cmocka_unit_test_teardown(other_layouts_go, clean),
		cmocka_unit_test_teardown(unpinned_is_gone, clean),
		cmocka_unit_test_teardown(orphans_copy_nothing, clean),
		cmocka_unit_test_teardown(others_take_over_without_a_hole, clean),
	};

	rig_fill_stdio();
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, mount_bpffs, unmount_bpffs);
}
