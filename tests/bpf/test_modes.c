// SPDX-License-Identifier: Apache-2.0
/*
 * Names: which record of the read tap has one, and how far back it reaches; and the mode without
 * names, where the write tap does nothing but copy what no known reader reads.
 */
#include <sys/prctl.h>
#include <sys/socket.h>

#include "rig.h"

static int setup_stream(void **state)
{
	(void)state;
	return rig_load(TAP_AUTO, false);
}

static int setup_off(void **state)
{
	(void)state;
	return rig_load_with((struct capture_opts){.attribution = ATTRIBUTION_OFF});
}

static int setup_off_write(void **state)
{
	(void)state;
	return rig_load_with(
		(struct capture_opts){.attribution = ATTRIBUTION_OFF, .tap = TAP_WRITE});
}

static int setup_few_streams(void **state)
{
	(void)state;
	return rig_load_with((struct capture_opts){.max_streams = 16});
}

static const struct nt_data *last(const struct pipe_end *p)
{
	struct rig_stream *s;

	rig_drain();
	s = rig_seen(&p->key);
	assert_non_null(s);
	return &s->last;
}

/* ---- stream ---- */

/* What is read of a write before it returned has its name by the first record after that. */
static void name_comes_later(void **state)
{
	static char big[100000];
	const struct nt_data *rec;
	struct pipe_end p;
	pid_t pid;

	(void)state;
	rig_ready();
	p = open_stream();
	pid = writing_child(p.w, big, sizeof(big));
	get(&p, 8192, 8192);
	rec = last(&p);
	assert_int_equal(rec->known, NT_KNOWN_LATER);
	assert_int_equal(rec->pid, 0);
	assert_string_equal(rec->comm, "");
	get(&p, sizeof(big) - 8192 - 100, 8192);
	assert_int_equal(wait_child(pid), 0);
	get(&p, 100, 4096);
	rec = last(&p);
	assert_int_equal(rec->known, NT_KNOWN);
	assert_int_equal(rec->pid, pid);
	assert_string_equal(rec->comm, "test_modes");
	assert_int_equal(rec->from, 0);
	assert_int_equal(rec->offset, sizeof(big) - 100);
	close_pipe(&p);
}

/* After another process wrote, nothing is to be waited for. */
static void no_later_name_of_two(void **state)
{
	static char big[100000];
	const struct nt_data *rec;
	struct pipe_end p;
	pid_t pid;

	(void)state;
	rig_ready();
	p = open_stream();
	child_writes(p.w, "first\n");
	child_writes(p.w, "second\n");
	pid = writing_child(p.w, big, sizeof(big));
	get(&p, 8192, 8192);
	rec = last(&p);
	assert_int_equal(rec->known, NT_KNOWN_NOT);
	assert_int_equal(rec->pid, 0);
	get(&p, sizeof(big) + 13 - 8192, 8192);
	assert_int_equal(wait_child(pid), 0);
	close_pipe(&p);
}

static void name_reaches_back_to_a_rename(void **state)
{
	struct pipe_end p;

	(void)state;
	rig_ready();
	p = open_stream();
	put(&p, "old name\n");
	get(&p, 9, 4096);
	assert_int_equal(prctl(PR_SET_NAME, "renamed"), 0);
	put(&p, "new name\n");
	prctl(PR_SET_NAME, "test_modes");
	get(&p, 9, 4096);
	assert_int_equal(last(&p)->known, NT_KNOWN);
	assert_int_equal(last(&p)->from, 9);
	assert_string_equal(last(&p)->comm, "renamed");
	close_pipe(&p);
}

/* At the end nothing is under way: the name is in the last record. */
static void end_has_the_name(void **state)
{
	struct rig_stream *s;
	struct pipe_end p;
	char buf[8];
	pid_t pid;

	(void)state;
	rig_ready();
	p = open_stream();
	pid = child_writes(p.w, "bye\n");
	get(&p, 4, 4096);
	close_p(&p.w);
	p.w = -1;
	assert_int_equal(read(p.r, buf, sizeof(buf)), 0);
	rig_drain();
	s = rig_seen(&p.key);
	assert_int_equal(s->ends, 1);
	assert_int_equal(s->end.pid, pid);
	assert_int_equal(s->end.from, 0);
	assert_string_equal(s->end.comm, "test_modes");
	close_pipe(&p);
}

static void end_of_two_writers_has_no_name(void **state)
{
	struct rig_stream *s;
	struct pipe_end p;
	char buf[16];

	(void)state;
	rig_ready();
	p = open_stream();
	child_writes(p.w, "first\n");
	child_writes(p.w, "second\n");
	get(&p, 13, 4096);
	close_p(&p.w);
	p.w = -1;
	assert_int_equal(read(p.r, buf, sizeof(buf)), 0);
	rig_drain();
	s = rig_seen(&p.key);
	assert_int_equal(s->ends, 1);
	assert_int_equal(s->end.pid, 0);
	close_pipe(&p);
}

/* ---- off ---- */

static void off_copies_and_counts_nothing(void **state)
{
	const struct nt_data *rec;
	struct pipe_end p;

	(void)state;
	rig_ready();
	p = open_stream();
	put(&p, "no name\n");
	get(&p, 8, 4096);
	expect_text(&p.key, "no name\n", 8);
	rec = last(&p);
	assert_int_equal(rec->known, NT_KNOWN_NOT);
	assert_int_equal(rec->pid, 0);
	assert_string_equal(rec->comm, "");
	assert_int_equal(kernel_stream(&p.key).written, 0);
	assert_int_equal(kernel_stream(&p.key).seen, 8);
	close_pipe(&p);
}

static void off_passes_the_self_test(void **state)
{
	(void)state;
	rig_ready();
	if (capture__self_test(rig.c, rig.why, sizeof(rig.why)))
		fail_msg("%s", rig.why);
}

/* A socket has no reader that is known: the write tap wakes up for it. */
static void off_copies_at_the_write_where_it_must(void **state)
{
	struct nt_stream_key key;
	struct rig_stream *s;
	struct pipe_end go, ready;
	uint64_t cgroup_id;
	int fds[2];
	pid_t pid;
	char c;

	(void)state;
	rig_ready();
	go = open_pipe();
	ready = open_pipe();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	key = rig_key(fds[0]);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(fds[0], STDOUT_FILENO);
		dup2(fds[0], STDERR_FILENO);
		close(go.w);
		close(ready.w);
		if (read(go.r, &c, 1) != 0)
			_exit(2);
		_exit(write(STDOUT_FILENO, "unread\n", 7) == 7 ? 0 : 1);
	}
	close_p(&ready.w);
	ready.w = -1;
	assert_int_equal(read(ready.r, &c, 1), 0);
	assert_int_equal(capture__add_pid(rig.c, pid, &cgroup_id, rig.why, sizeof(rig.why)), 0);
	rig_drain();
	close_p(&go.w);
	go.w = -1;
	assert_int_equal(wait_child(pid), 0);
	expect_text(&key, "unread\n", 7);
	s = rig_seen(&key);
	assert_int_equal(s->reg.tap, NT_TAP_WRITE);
	assert_int_equal(s->last.tap, NT_TAP_WRITE);
	assert_int_equal(s->last.pid, 0);
	close(fds[0]);
	close(fds[1]);
	close_pipe(&go);
	close_pipe(&ready);
}

static void off_with_the_write_tap(void **state)
{
	struct pipe_end p;

	(void)state;
	rig_ready();
	p = open_stream();
	put(&p, "not read yet\n");
	expect_text(&p.key, "not read yet\n", 13);
	assert_int_equal(last(&p)->pid, 0);
	assert_int_equal(kernel_stream(&p.key).written, 0);
	close_pipe(&p);
}

/* ---- few streams ---- */

/* What finds no room in the map is refused and counted, and the others go on. */
static void full_map_of_streams_is_counted(void **state)
{
	struct capture_counters counters = {0};
	struct pipe_end first, p, out;
	uint64_t cgroup_id;
	int r = 0;
	pid_t pid;

	(void)state;
	rig_ready();
	first = open_stream();
	for (int i = 0; i < 17 && r == 0; i++) {
		p = open_pipe();
		r = capture__add_pipe(rig.c, p.r, getpid(), NT_FILE_STDOUT, RIG_CGROUP_ID);
	}
	assert_int_equal(r, -E2BIG);
	out = open_pipe();
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(out.w, STDOUT_FILENO);
		dup2(out.w, STDERR_FILENO);
		pause();
		_exit(0);
	}
	/* Until its stdout is what it will be: at first it is that of the test. */
	for (int i = 0; i < 60000 && !counters.streams_full; i++) {
		capture__add_pid(rig.c, pid, &cgroup_id, rig.why, sizeof(rig.why));
		capture__counters(rig.c, &counters);
		usleep(1000);
	}
	assert_true(counters.streams_full > 0);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	put(&first, "still there\n");
	get(&first, 12, 4096);
	expect_text(&first.key, "still there\n", 12);
}

int main(void)
{
	const struct CMUnitTest stream[] = {
		cmocka_unit_test(name_comes_later),
		cmocka_unit_test(no_later_name_of_two),
		cmocka_unit_test(name_reaches_back_to_a_rename),
		cmocka_unit_test(end_has_the_name),
		cmocka_unit_test(end_of_two_writers_has_no_name),
	};
	const struct CMUnitTest off[] = {
		cmocka_unit_test(off_copies_and_counts_nothing),
		cmocka_unit_test(off_passes_the_self_test),
		cmocka_unit_test(off_copies_at_the_write_where_it_must),
	};
	const struct CMUnitTest off_write[] = {
		cmocka_unit_test(off_with_the_write_tap),
		cmocka_unit_test(off_passes_the_self_test),
	};
	const struct CMUnitTest few_streams[] = {
		cmocka_unit_test(full_map_of_streams_is_counted),
	};
	int failed;

	signal(SIGPIPE, SIG_IGN);
	rig_fill_stdio();
	failed = cmocka_run_group_tests_name("stream", stream, setup_stream, rig_unload);
	failed += cmocka_run_group_tests_name("off", off, setup_off, rig_unload);
	failed += cmocka_run_group_tests_name("off, write tap", off_write, setup_off_write,
					      rig_unload);
	failed += cmocka_run_group_tests_name("few streams", few_streams, setup_few_streams,
					      rig_unload);
	return failed ? 1 : 0;
}
