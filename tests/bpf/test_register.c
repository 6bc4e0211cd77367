// SPDX-License-Identifier: Apache-2.0
/*
 * Which files become streams. This program plays the container runtime: it makes a cgroup with a
 * container's name, starts a process in it that enters a mount namespace of its own and execs, and
 * reads its pipes. Cgroups are made below one of this test's own and removed at the end.
 */
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>

/* Every container of this host is in it, whatever that writes. */
#define RIG_RING_BYTES (64u << 20)
#define RIG_STREAMS 8192
#include "rig.h"

#define ID_DIGITS 64

static char base[256]; /* this test's own cgroup; empty: there is no unified hierarchy */
static unsigned int n_containers;

struct container {
	char dir[512];
	char name[80];
	uint64_t id; /* of the cgroup */
	struct pipe_end out, err;
	int in; /* write end of its stdin */
	int in_r;
	pid_t pid;
	size_t events_from; /* of rig.events */
};

static bool find_unified(char *ret, size_t size)
{
	_fclose_ FILE *f = fopen("/proc/self/mounts", "re");
	char line[1024], dir[200], type[64];

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*s %199s %63s", dir, type) == 2 &&
		    strcmp(type, "cgroup2") == 0) {
			snprintf(ret, size, "%s/notail-test-%d", dir, getpid());
			return true;
		}
	}
	return false;
}

static int setup_with(struct capture_opts opts)
{
	if (!base[0] &&
	    !(find_unified(base, sizeof(base)) && (mkdir(base, 0755) == 0 || errno == EEXIST))) {
		rig.skip = "no unified cgroup hierarchy that can be written to";
		base[0] = '\0';
		return 0;
	}
	opts.containers = true;
	return rig_load_with(opts);
}

static int setup(enum tap_mode tap)
{
	return setup_with((struct capture_opts){.tap = tap});
}

static int setup_sessions(void **state)
{
	(void)state;
	return setup_with((struct capture_opts){.exec_sessions = true});
}

/* The test's own cgroup and everything in it, and what pattern has stars. */
static int setup_asked(void **state)
{
	static char pattern[64];
	static const char *patterns[] = {"/never/asked", pattern};

	(void)state;
	snprintf(pattern, sizeof(pattern), "/notail-*-%d/*.s?rvice", getpid());
	return setup_with((struct capture_opts){.cgroups = patterns, .n_cgroups = 2});
}

/* The least rate there is: a test writes far more than it lets pass in any test's time. */
static int setup_limited(void **state)
{
	(void)state;
	return setup_with((struct capture_opts){.rate_limit = CAPTURE_RATE_MIN});
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

/* What left the cgroup may take a moment to be gone. */
static void remove_cgroup(const char *dir)
{
	for (int ms = 0; rmdir(dir) < 0 && errno == EBUSY && ms < RIG_DEADLINE_MS; ms += 10)
		poll(NULL, 0, 10);
}

static int teardown(void **state)
{
	int r = rig_unload(state);

	if (base[0])
		remove_cgroup(base);
	base[0] = '\0';
	return r;
}

/* A name with as many hexadecimal digits as wanted. */
static struct container make_container(const char *prefix, int digits)
{
	struct container c = {.in = -1, .pid = -1, .events_from = rig.n_events};
	struct stat st;
	int in[2], n;

	n = snprintf(c.name, sizeof(c.name), "%s", prefix);
	snprintf(c.name + n, sizeof(c.name) - (size_t)n, "%0*x", digits,
		 (unsigned int)getpid() << 8 | (n_containers++ & 255));
	snprintf(c.dir, sizeof(c.dir), "%s/%s", base, c.name);
	assert_int_equal(mkdir(c.dir, 0755), 0);
	assert_int_equal(stat(c.dir, &st), 0);
	c.id = st.st_ino;
	c.out = open_pipe();
	c.err = open_pipe();
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	c.in_r = in[0];
	c.in = in[1];
	return c;
}

static struct container new_container(void)
{
	return make_container("", ID_DIGITS);
}

static void enter_cgroup(const char *dir)
{
	char path[600];
	int fd;

	snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		_exit(101);
	close(fd);
}

enum { OWN_MNT_NS = 1, ONE_PIPE = 2, NO_STDERR = 4 };

/* Starts argv in the container, as a runtime would; returns its pid. */
static pid_t start_in(const struct container *c, int how, char *const argv[],
		      const struct pipe_end *other)
{
	pid_t pid = fork();
	int out = other ? other->w : c->out.w, err = other ? other->w : c->err.w;

	assert_true(pid >= 0);
	if (pid)
		return pid;
	enter_cgroup(c->dir);
	if ((how & OWN_MNT_NS) && unshare(CLONE_NEWNS) < 0)
		_exit(102);
	if (how & ONE_PIPE)
		err = out;
	if (how & NO_STDERR)
		err = open("/dev/null", O_WRONLY | O_CLOEXEC);
	dup2(c->in_r, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	execv(argv[0], argv);
	/* As a runtime's own line in the container's log. */
	if (write(STDERR_FILENO, "exec failed\n", 12) != 12)
		_exit(103);
	_exit(126);
}

static void start(struct container *c, int how, const char *script)
{
	char *const argv[] = {"/bin/sh", "-c", (char *)script, NULL};

	c->pid = start_in(c, how, argv, NULL);
	close_p(&c->out.w);
	c->out.w = -1;
	close_p(&c->err.w);
	c->err.w = -1;
}

/* Reads both pipes to their ends. */
static void read_out(struct container *c)
{
	char buf[4096];

	while (read(c->out.r, buf, sizeof(buf)) > 0)
		;
	while (read(c->err.r, buf, sizeof(buf)) > 0)
		;
}

static void finish(struct container *c)
{
	close_p(&c->in);
	c->in = -1;
	if (c->pid > 0)
		wait_child(c->pid);
	remove_cgroup(c->dir);
	rig_drain();
	close_pipe(&c->out);
	close_pipe(&c->err);
	close_p(&c->in_r);
}

static const struct nt_cgroup_event *find_event(const struct container *c, enum nt_kind kind)
{
	for (size_t i = c->events_from; i < rig.n_events; i++) {
		if (rig.events[i].hdr.kind == kind && rig.events[i].hdr.cgroup_id == c->id)
			return &rig.events[i];
	}
	return NULL;
}

static void expect_registered(const struct container *c, const struct nt_stream_key *key,
			      enum nt_file file, enum nt_origin origin)
{
	struct rig_stream *s = rig_seen(key);

	assert_non_null(s);
	assert_int_equal(s->registers, 1);
	assert_int_equal(s->reg.hdr.cgroup_id, c->id);
	assert_int_equal(s->reg.init_pid, c->pid);
	assert_int_equal(s->reg.reader, getpid());
	assert_int_equal(s->reg.tap, NT_TAP_READ);
	assert_int_equal(s->reg.file, file);
	assert_int_equal(s->reg.origin, origin);
}

static void expect_stream(const struct nt_stream_key *key, const char *text)
{
	struct rig_stream *s = rig_seen(key);

	assert_non_null(s);
	assert_int_equal(s->len, strlen(text));
	assert_memory_equal(s->bytes, text, strlen(text));
	assert_int_equal(s->ends, 1);
	assert_int_equal(s->end.cause, NT_END_EOF);
	assert_int_equal(s->end.seen, strlen(text));
	assert_int_equal(s->end.written, strlen(text));
}

/* ---- tests ---- */

static void init_is_registered_at_exec(void **state)
{
	struct container c;

	(void)state;
	rig_ready();
	c = new_container();
	start(&c, OWN_MNT_NS, "echo out; echo err >&2; printf half");
	read_out(&c);
	finish(&c);
	expect_registered(&c, &c.out.key, NT_FILE_STDOUT, NT_ORIGIN_EXEC);
	expect_registered(&c, &c.err.key, NT_FILE_STDERR, NT_ORIGIN_EXEC);
	assert_string_equal(rig_seen(&c.out.key)->reg.comm, "sh");
	expect_stream(&c.out.key, "out\nhalf");
	expect_stream(&c.err.key, "err\n");
	assert_int_equal(rig_seen(&c.out.key)->last.pid, c.pid);
	assert_string_equal(rig_seen(&c.out.key)->last.comm, "sh");
}

static void cgroup_events_name_the_container(void **state)
{
	const struct nt_cgroup_event *came, *went;
	struct container c;

	(void)state;
	rig_ready();
	c = new_container();
	rig_drain();
	came = find_event(&c, NT_KIND_CGROUP_NEW);
	assert_non_null(came);
	assert_null(find_event(&c, NT_KIND_CGROUP_GONE));
	assert_int_equal(came->path_len, strlen(came->path));
	assert_true(came->path_len > ID_DIGITS);
	assert_string_equal(came->path + came->path_len - ID_DIGITS, c.name);
	assert_non_null(strstr(came->path, "notail-test-"));
	finish(&c);
	went = find_event(&c, NT_KIND_CGROUP_GONE);
	assert_non_null(went);
	assert_string_equal(went->path, came->path);
	assert_true(went->hdr.time_ns > came->hdr.time_ns);
}

/* As systemd's driver names them. */
static void name_with_more_than_the_id(void **state)
{
	struct container c;

	(void)state;
	rig_ready();
	c = make_container("libpod-", ID_DIGITS);
	start(&c, OWN_MNT_NS, "echo scope");
	read_out(&c);
	finish(&c);
	assert_non_null(find_event(&c, NT_KIND_CGROUP_NEW));
	expect_stream(&c.out.key, "scope\n");
}

static void long_path_keeps_its_tail(void **state)
{
	struct container c = {.events_from = rig.n_events};
	const struct nt_cgroup_event *came;
	char dir[800], part[130];
	struct stat st;

	(void)state;
	rig_ready();
	memset(part, 'p', sizeof(part) - 1);
	part[sizeof(part) - 1] = '\0';
	snprintf(c.name, sizeof(c.name), "%064x", (unsigned int)getpid());
	snprintf(dir, sizeof(dir), "%s/%s", base, part);
	assert_int_equal(mkdir(dir, 0755), 0);
	snprintf(dir, sizeof(dir), "%s/%s/%s", base, part, part);
	assert_int_equal(mkdir(dir, 0755), 0);
	snprintf(dir, sizeof(dir), "%s/%s/%s/%s", base, part, part, c.name);
	assert_int_equal(mkdir(dir, 0755), 0);
	assert_int_equal(stat(dir, &st), 0);
	c.id = st.st_ino;
	for (int depth = 0; depth < 3; depth++) {
		remove_cgroup(dir);
		*strrchr(dir, '/') = '\0';
	}
	rig_drain();
	came = find_event(&c, NT_KIND_CGROUP_NEW);
	assert_non_null(came);
	assert_int_equal(came->path_len, NT_PATH_LEN - 1);
	assert_int_equal(strlen(came->path), NT_PATH_LEN - 1);
	assert_string_equal(came->path + came->path_len - ID_DIGITS, c.name);
	assert_int_equal(came->path[0], 'p');
}

static void other_cgroups_are_not_containers(void **state)
{
	struct container c;

	(void)state;
	rig_ready();
	c = make_container("", ID_DIGITS - 1);
	start(&c, OWN_MNT_NS, "echo short");
	read_out(&c);
	finish(&c);
	assert_null(find_event(&c, NT_KIND_CGROUP_NEW));
	assert_null(find_event(&c, NT_KIND_CGROUP_GONE));
	assert_null(rig_seen(&c.out.key));
}

/* A directory that a container makes below its own. */
static void cgroup_below_a_container_is_none(void **state)
{
	struct container c;
	struct stat st;
	char dir[600];

	(void)state;
	rig_ready();
	c = new_container();
	snprintf(dir, sizeof(dir), "%s/init.scope", c.dir);
	assert_int_equal(mkdir(dir, 0755), 0);
	assert_int_equal(stat(dir, &st), 0);
	remove_cgroup(dir);
	rig_drain();
	for (size_t i = c.events_from; i < rig.n_events; i++)
		assert_true(rig.events[i].hdr.cgroup_id != st.st_ino);
	finish(&c);
}

/* The runtime's own stages exec in the cgroup before they leave its mount namespace. */
static void same_mount_namespace_is_the_runtime(void **state)
{
	struct container c;

	(void)state;
	rig_ready();
	c = new_container();
	start(&c, 0, "echo stage");
	read_out(&c);
	finish(&c);
	assert_non_null(find_event(&c, NT_KIND_CGROUP_NEW));
	assert_null(rig_seen(&c.out.key));
}

static void runtime_stage_then_init(void **state)
{
	char *const argv[] = {"/bin/sh", "-c", "exit 0", NULL};
	struct container c;

	(void)state;
	rig_ready();
	c = new_container();
	assert_int_equal(wait_child(start_in(&c, 0, argv, NULL)), 0);
	start(&c, OWN_MNT_NS, "echo init");
	read_out(&c);
	finish(&c);
	expect_stream(&c.out.key, "init\n");
}

/* `docker exec`: has pipes of its own, and init lives. */
static void second_process_is_not_registered(void **state)
{
	char *const argv[] = {"/bin/echo", "exec session", NULL};
	struct pipe_end other;
	struct container c;

	(void)state;
	rig_ready();
	c = new_container();
	other = open_pipe();
	start(&c, OWN_MNT_NS, "echo up; read line; echo down");
	get(&c.out, 3, 3); /* init has been exec'd */
	assert_int_equal(wait_child(start_in(&c, OWN_MNT_NS, argv, &other)), 0);
	get(&other, 13, 4096);
	assert_int_equal(write(c.in, "\n", 1), 1);
	read_out(&c);
	finish(&c);
	rig_drain();
	assert_null(rig_seen(&other.key));
	expect_stream(&c.out.key, "up\ndown\n");
	close_pipe(&other);
}

/* What init's children inherit is the same stream. */
static void children_write_to_the_stream(void **state)
{
	struct container c;

	(void)state;
	rig_ready();
	c = new_container();
	start(&c, OWN_MNT_NS,
	      "/bin/echo child; /bin/echo through >/proc/self/fd/2; exec /bin/echo x");
	read_out(&c);
	finish(&c);
	expect_stream(&c.out.key, "child\nx\n");
	expect_stream(&c.err.key, "through\n");
	assert_int_equal(rig_seen(&c.out.key)->registers, 1);
}

/* fd 1 of a pipeline inside the container is no log. */
static void inner_pipes_are_not_streams(void **state)
{
	struct container c;

	(void)state;
	rig_ready();
	c = new_container();
	start(&c, OWN_MNT_NS, "/bin/echo inner | sed s/inner/outer/");
	read_out(&c);
	finish(&c);
	expect_stream(&c.out.key, "outer\n");
}

static void exec_of_no_program(void **state)
{
	char path[] = "/tmp/notail-test-XXXXXX";
	int fd = mkstemp(path);
	char *const argv[] = {path, NULL};
	struct container c;

	(void)state;
	rig_ready();
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "\177no program", 11), 11);
	assert_int_equal(fchmod(fd, 0755), 0);
	close(fd);
	c = new_container();
	c.pid = start_in(&c, OWN_MNT_NS, argv, NULL);
	close(c.out.w);
	c.out.w = -1;
	close(c.err.w);
	c.err.w = -1;
	read_out(&c);
	finish(&c);
	unlink(path);
	expect_registered(&c, &c.err.key, NT_FILE_STDERR, NT_ORIGIN_EXEC_FAILED);
	expect_stream(&c.err.key, "exec failed\n");
}

static void one_pipe_for_both(void **state)
{
	struct container c;

	(void)state;
	rig_ready();
	c = new_container();
	start(&c, OWN_MNT_NS | ONE_PIPE, "echo out; echo err >&2");
	read_out(&c);
	finish(&c);
	expect_registered(&c, &c.out.key, NT_FILE_STDOUT, NT_ORIGIN_EXEC);
	expect_stream(&c.out.key, "out\nerr\n");
	assert_null(rig_seen(&c.err.key));
}

static void dev_null_is_not_registered(void **state)
{
	struct container c;

	(void)state;
	rig_ready();
	c = new_container();
	start(&c, OWN_MNT_NS | NO_STDERR, "echo out; echo err >&2");
	read_out(&c);
	finish(&c);
	expect_stream(&c.out.key, "out\n");
	assert_null(rig_seen(&c.err.key));
}

static void excluded_cgroup_registers_nothing(void **state)
{
	struct container c;

	(void)state;
	rig_ready();
	c = new_container();
	assert_int_equal(capture__exclude(rig.c, c.id), 0);
	start(&c, OWN_MNT_NS, "echo out");
	read_out(&c);
	finish(&c);
	assert_null(rig_seen(&c.out.key));
}

/* The same pipe as another container's init: one stream ends where the other begins. */
static void pipe_goes_to_another_container(void **state)
{
	char *const argv[] = {"/bin/sh", "-c", "echo second; exit 0", NULL};
	struct rig_stream *s, *first = NULL;
	struct container a, b;

	(void)state;
	rig_ready();
	a = new_container();
	b = new_container();
	a.pid = start_in(&a, OWN_MNT_NS,
			 (char *const[]){"/bin/sh", "-c", "echo first; read x", NULL}, NULL);
	get(&a.out, 6, 6);
	b.pid = start_in(&b, OWN_MNT_NS, argv, &a.out);
	get(&a.out, 7, 7);
	rig_drain();
	for (size_t i = 0; i < rig.n_streams && !first; i++) {
		if (memcmp(&rig.streams[i].key, &a.out.key, sizeof(a.out.key)) == 0)
			first = &rig.streams[i];
	}
	s = rig_seen(&a.out.key);
	assert_non_null(first);
	assert_ptr_not_equal(first, s);
	assert_int_equal(first->ends, 1);
	assert_int_equal(first->end.cause, NT_END_REPLACED);
	assert_int_equal(first->end.hdr.cgroup_id, a.id);
	assert_int_equal(first->len, 6);
	assert_int_equal(s->reg.hdr.cgroup_id, b.id);
	assert_int_equal(s->len, 7);
	assert_memory_equal(s->bytes, "second\n", 7);
	finish(&b);
	finish(&a);
}

/* The number of a pipe that is gone may be given to another container's: a stream of its own. */
static void inode_number_is_used_again(void **state)
{
	char *const argv[] = {"/bin/sh", "-c", "echo second; printf half", NULL};
	struct container a, b;
	struct rig_stream *s;
	char path[64];

	(void)state;
	rig_ready();
	a = new_container();
	start(&a, OWN_MNT_NS, "echo first");
	read_out(&a);
	rig_drain();
	expect_stream(&a.out.key, "first\n");
	/* The same inode with a new writer: as far as the kernel side can see, a new pipe. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", a.out.r);
	a.out.w = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(a.out.w >= 0);
	b = new_container();
	b.pid = start_in(&b, OWN_MNT_NS, argv, &a.out);
	close(a.out.w);
	a.out.w = -1;
	read_out(&a);
	finish(&b);
	s = rig_seen(&a.out.key);
	assert_non_null(s);
	assert_int_equal(s->registers, 1);
	assert_int_equal(s->reg.hdr.cgroup_id, b.id);
	expect_stream(&a.out.key, "second\nhalf");
	finish(&a);
}

/* Nobody is known to read: the write tap copies, and the cgroup's end is the stream's. */
static void nobody_reads(void **state)
{
	struct rig_stream *s;
	struct container c;
	pid_t runtime;

	(void)state;
	rig_ready();
	c = new_container();
	runtime = fork();
	assert_true(runtime >= 0);
	if (runtime == 0) {
		/* A parent without the read ends. */
		close(c.out.r);
		close(c.err.r);
		start(&c, OWN_MNT_NS, "echo unread");
		_exit(waitpid(c.pid, NULL, 0) == c.pid ? 0 : 1);
	}
	assert_int_equal(wait_child(runtime), 0);
	remove_cgroup(c.dir);
	rig_drain();
	s = rig_seen(&c.out.key);
	assert_non_null(s);
	assert_int_equal(s->reg.tap, NT_TAP_WRITE);
	assert_int_equal(s->reg.reader, 0);
	assert_int_equal(s->len, 7);
	assert_memory_equal(s->bytes, "unread\n", 7);
	assert_int_equal(s->ends, 1);
	assert_int_equal(s->end.cause, NT_END_CGROUP);
	assert_int_equal(s->end.seen, s->end.written);
	finish(&c);
}

/* As containerd's binary:// loggers do: not init's parent reads, but another process. */
static void another_process_reads(void **state)
{
	struct rig_stream *s;
	struct container c;
	pid_t runtime;

	(void)state;
	rig_ready();
	c = new_container();
	runtime = fork();
	assert_true(runtime >= 0);
	if (runtime == 0) {
		close(c.out.r);
		close(c.err.r);
		start(&c, OWN_MNT_NS, "echo first; echo second; exit 0");
		_exit(waitpid(c.pid, NULL, 0) == c.pid ? 0 : 1);
	}
	close(c.out.w);
	close(c.err.w);
	c.out.w = c.err.w = -1;
	read_out(&c);
	assert_int_equal(wait_child(runtime), 0);
	remove_cgroup(c.dir);
	rig_drain();
	expect_stream(&c.out.key, "first\nsecond\n");
	s = rig_seen(&c.out.key);
	assert_int_equal(s->reg.reader, 0);
	assert_int_equal(s->reg.tap, NT_TAP_WRITE);
	assert_int_equal(s->tap.reader, getpid());
	assert_int_equal(rig_seen(&c.err.key)->ends, 1);
	finish(&c);
}

/* The reader ends, another process that has the read end goes on where it was. */
static void reader_hands_over(void **state)
{
	struct rig_stream *s;
	struct container c;
	pid_t runtime;

	(void)state;
	rig_ready();
	c = new_container();
	runtime = fork();
	assert_true(runtime >= 0);
	if (runtime == 0) {
		char buf[6];

		start(&c, OWN_MNT_NS, "echo first; read line; echo second; exit 0");
		close(c.in);
		_exit(read(c.out.r, buf, 6) == 6 ? 0 : 1);
	}
	close(c.out.w);
	close(c.err.w);
	c.out.w = c.err.w = -1;
	assert_int_equal(wait_child(runtime), 0);
	rig_drain();
	s = rig_seen(&c.out.key);
	assert_int_equal(s->reg.reader, runtime);
	assert_int_equal(s->tap.reader, 0);
	assert_int_equal(write(c.in, "\n", 1), 1);
	read_out(&c);
	remove_cgroup(c.dir);
	rig_drain();
	expect_stream(&c.out.key, "first\nsecond\n");
	assert_int_equal(s->registers, 1);
	assert_int_equal(s->tap.reader, getpid());
	finish(&c);
}

/* The runtime is killed with bytes unread: the end of the cgroup ends the stream. */
static void reader_is_killed(void **state)
{
	struct rig_stream *s;
	struct container c;
	pid_t runtime;
	int report[2];

	(void)state;
	rig_ready();
	c = new_container();
	assert_int_equal(pipe2(report, O_CLOEXEC), 0);
	runtime = fork();
	assert_true(runtime >= 0);
	if (runtime == 0) {
		char buf[5];

		start(&c, OWN_MNT_NS, "trap '' PIPE; echo read; read line; echo unread; exit 0");
		if (read(c.out.r, buf, 5) != 5 ||
		    write(report[1], &c.pid, sizeof(c.pid)) != sizeof(c.pid))
			_exit(1);
		pause();
	}
	assert_int_equal(read(report[0], &c.pid, sizeof(c.pid)), sizeof(c.pid));
	assert_int_equal(kill(runtime, SIGKILL), 0);
	assert_int_equal(wait_child(runtime), 128 + SIGKILL);
	close(c.in);
	c.in = -1;
	c.pid = -1;
	remove_cgroup(c.dir);
	rig_drain();
	s = rig_seen(&c.out.key);
	assert_non_null(s);
	assert_int_equal(s->reg.reader, runtime);
	assert_int_equal(s->len, 5);
	assert_int_equal(s->ends, 1);
	assert_int_equal(s->end.cause, NT_END_CGROUP);
	assert_int_equal(s->end.seen, 5);
	assert_int_equal(s->end.written, 12);
	assert_int_equal(s->end.unread, 7);
	assert_int_equal(s->tap.reader, 0);
	close(report[0]);
	close(report[1]);
	finish(&c);
}

/* Runs before notail looks: cgroup and streams come from the scan. */
static void running_container_is_found(void **state)
{
	struct container c;
	struct stat st;

	(void)state;
	rig_ready();
	assert_int_equal(rig_unload(NULL), 0);
	c = new_container();
	assert_int_equal(stat(c.dir, &st), 0);
	start(&c, OWN_MNT_NS, "echo before; read line; echo after");
	get(&c.out, 7, 7);
	assert_int_equal(setup(TAP_AUTO), 0);
	rig_drain();
	assert_non_null(find_event(&c, NT_KIND_CGROUP_NEW));
	expect_registered(&c, &c.out.key, NT_FILE_STDOUT, NT_ORIGIN_SCAN);
	expect_registered(&c, &c.err.key, NT_FILE_STDERR, NT_ORIGIN_SCAN);
	assert_int_equal(write(c.in, "\n", 1), 1);
	read_out(&c);
	finish(&c);
	expect_stream(&c.out.key, "after\n");
	assert_int_equal(rig_seen(&c.out.key)->registers, 1);
	assert_non_null(find_event(&c, NT_KIND_CGROUP_GONE));
}

/* The reader is found among all processes where it is not the parent. */
static void scan_finds_a_reader_elsewhere(void **state)
{
	struct container c;
	pid_t runtime;
	int report[2];

	(void)state;
	rig_ready();
	assert_int_equal(rig_unload(NULL), 0);
	c = new_container();
	assert_int_equal(pipe2(report, O_CLOEXEC), 0);
	runtime = fork();
	assert_true(runtime >= 0);
	if (runtime == 0) {
		close(c.out.r);
		close(c.err.r);
		close(c.in);
		start(&c, OWN_MNT_NS, "echo before; read line; echo after");
		if (write(report[1], &c.pid, sizeof(c.pid)) != sizeof(c.pid))
			_exit(1);
		_exit(waitpid(c.pid, NULL, 0) == c.pid ? 0 : 1);
	}
	assert_int_equal(read(report[0], &c.pid, sizeof(c.pid)), sizeof(c.pid));
	close(c.out.w);
	close(c.err.w);
	c.out.w = c.err.w = -1;
	get(&c.out, 7, 7);
	assert_int_equal(setup(TAP_AUTO), 0);
	rig_drain();
	expect_registered(&c, &c.out.key, NT_FILE_STDOUT, NT_ORIGIN_SCAN);
	assert_int_equal(write(c.in, "\n", 1), 1);
	read_out(&c);
	assert_int_equal(wait_child(runtime), 0);
	c.pid = -1;
	finish(&c);
	expect_stream(&c.out.key, "after\n");
	close(report[0]);
	close(report[1]);
}

static void write_mode_copies_at_the_write(void **state)
{
	struct rig_stream *s;
	struct container c;

	(void)state;
	rig_ready();
	c = new_container();
	start(&c, OWN_MNT_NS, "echo out; /bin/echo child");
	read_out(&c);
	finish(&c);
	s = rig_seen(&c.out.key);
	assert_non_null(s);
	assert_int_equal(s->reg.tap, NT_TAP_WRITE);
	assert_int_equal(s->reg.reader, getpid());
	assert_string_equal(s->last.comm, "echo");
	expect_stream(&c.out.key, "out\nchild\n");
}

/* ---- sessions ---- */

/* A container that runs, and has said so. */
static struct container start_waiting(void)
{
	struct container c = new_container();

	start(&c, OWN_MNT_NS, "echo up; read line; echo down");
	get(&c.out, 3, 3);
	return c;
}

static void end_waiting(struct container *c)
{
	assert_int_equal(write(c->in, "\n", 1), 1);
	read_out(c);
	finish(c);
	expect_stream(&c->out.key, "up\ndown\n");
}

static void session_is_registered(void **state)
{
	char *const argv[] = {"/bin/sh", "-c", "echo session; /bin/echo child", NULL};
	struct pipe_end other;
	struct rig_stream *s;
	struct container c;
	pid_t pid;

	(void)state;
	rig_ready();
	c = start_waiting();
	other = open_pipe();
	pid = start_in(&c, OWN_MNT_NS, argv, &other);
	close(other.w);
	other.w = -1;
	get(&other, 14, 4096);
	assert_int_equal(wait_child(pid), 0);
	close_pipe(&other);
	end_waiting(&c);
	s = rig_seen(&other.key);
	assert_non_null(s);
	assert_int_equal(s->registers, 1);
	assert_int_equal(s->reg.origin, NT_ORIGIN_SESSION);
	assert_int_equal(s->reg.hdr.cgroup_id, c.id);
	assert_int_equal(s->reg.init_pid, pid);
	assert_int_equal(s->reg.reader, getpid());
	expect_stream(&other.key, "session\nchild\n");
}

/* The runtime's own command starts the session and is still there: its parent reads. */
static void session_of_a_command(void **state)
{
	char *const argv[] = {"/bin/echo", "session", NULL};
	struct pipe_end other;
	struct container c;
	pid_t command;

	(void)state;
	rig_ready();
	c = start_waiting();
	other = open_pipe();
	command = fork();
	assert_true(command >= 0);
	if (command == 0) {
		close(other.r);
		_exit(wait_child(start_in(&c, OWN_MNT_NS, argv, &other)));
	}
	close(other.w);
	other.w = -1;
	assert_int_equal(wait_child(command), 0);
	close_pipe(&other);
	end_waiting(&c);
	assert_non_null(rig_seen(&other.key));
	assert_int_equal(rig_seen(&other.key)->reg.reader, getpid());
	expect_stream(&other.key, "session\n");
}

/* Nobody outside reads what it writes: that is no session's stdio. */
static void session_without_a_reader_is_none(void **state)
{
	char *const argv[] = {"/bin/echo", "into the void", NULL};
	struct pipe_end other;
	struct container c;
	pid_t command;

	(void)state;
	rig_ready();
	c = start_waiting();
	other = open_pipe();
	command = fork();
	assert_true(command >= 0);
	if (command == 0) {
		close(other.r);
		command = fork();
		if (command == 0)
			_exit(wait_child(start_in(&c, OWN_MNT_NS, argv, &other)));
		_exit(command < 0 ? 1 : wait_child(command));
	}
	assert_int_equal(wait_child(command), 0);
	get(&other, 14, 4096);
	end_waiting(&c);
	close_pipe(&other);
	assert_null(rig_seen(&other.key));
}

/* A process of the container in a mount namespace of its own, on the container's own pipes. */
static void unshared_process_is_no_session(void **state)
{
	struct container c;

	(void)state;
	rig_ready();
	c = new_container();
	start(&c, OWN_MNT_NS, "unshare -m /bin/echo unshared; unshare -m /bin/echo inner | cat");
	read_out(&c);
	finish(&c);
	assert_int_equal(rig_seen(&c.out.key)->registers, 1);
	expect_registered(&c, &c.out.key, NT_FILE_STDOUT, NT_ORIGIN_EXEC);
	expect_stream(&c.out.key, "unshared\ninner\n");
}

/* ---- the rate limit ---- */

static void over_the_rate_is_a_gap(void **state)
{
	struct rig_stream *s;
	struct container c;

	(void)state;
	rig_ready();
	c = new_container();
	start(&c, OWN_MNT_NS, "echo first; head -c 1000000 /dev/zero; echo last");
	read_out(&c);
	finish(&c);
	s = rig_seen(&c.out.key);
	assert_non_null(s);
	assert_int_equal(s->ends, 1);
	assert_true(s->len >= 6);
	assert_memory_equal(s->bytes, "first\n", 6);
	assert_int_equal(s->end.written, 1000011);
	assert_int_equal(s->end.seen, s->end.written);
	assert_true(s->end.lost[NT_LOST_RATE_LIMIT] > 0);
	assert_int_equal(s->gap_bytes + s->end.gap.bytes, s->end.lost[NT_LOST_RATE_LIMIT]);
	assert_int_equal(s->len + s->end.lost[NT_LOST_RATE_LIMIT], s->end.written);
	if (s->end.gap.bytes)
		assert_int_equal(s->end.gap.reason, NT_LOST_RATE_LIMIT);
}

/* One that keeps to the rate pays nothing for another that does not. */
static void each_container_has_its_own_rate(void **state)
{
	struct container noisy, quiet;

	(void)state;
	rig_ready();
	noisy = new_container();
	start(&noisy, OWN_MNT_NS, "head -c 1000000 /dev/zero");
	read_out(&noisy);
	quiet = new_container();
	start(&quiet, OWN_MNT_NS, "echo quiet");
	read_out(&quiet);
	finish(&quiet);
	finish(&noisy);
	expect_stream(&quiet.out.key, "quiet\n");
}

/* ---- gVisor ---- */

#define GOFER "runsc-gofer"
#define SANDBOX "runsc-sandbox"

/* What this program does under their names. A shell may not go by another name than its own. */
static int be_of_sandbox(const char *name)
{
	char byte;

	if (strcmp(name, GOFER) == 0)
		return read(STDIN_FILENO, &byte, 1) != 0;
	return dprintf(5, "up\n") < 0 || dprintf(6, "out\n") < 0 || dprintf(7, "err\n") < 0 ||
	       dprintf(6, "more\n") < 0;
}

/* Starts a process of it in the container: stdio is none, the given files are above. */
static pid_t start_of_sandbox(const struct container *c, const char *name, const int files[3])
{
	char *const argv[] = {(char *)name, NULL};
	pid_t pid = fork();
	int null, above[3];

	if (pid)
		return pid;
	enter_cgroup(c->dir);
	if (unshare(CLONE_NEWNS) < 0)
		_exit(102);
	/* Their places may be each other's. */
	for (int i = 0; i < 3; i++)
		above[i] = files[i] < 0 ? -1 : fcntl(files[i], F_DUPFD_CLOEXEC, 20);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	for (int i = 0; i < 3; i++)
		dup2(above[i], 5 + i);
	execv("/proc/self/exe", argv);
	_exit(126);
}

/*
 * As runsc does it: the runtime's command starts a gofer and then the sandbox, which has a pipe to
 * the command and then the container's stdout and stderr. The shim, above the command, reads those.
 */
static void sandbox_has_its_containers_stdio(void **state)
{
	int sync[2], hold[2], none[3] = {-1, -1, -1};
	struct nt_stream_key sync_key;
	struct container c;
	pid_t command;

	(void)state;
	rig_ready();
	c = new_container();
	assert_int_equal(pipe2(sync, O_CLOEXEC), 0);
	assert_int_equal(pipe2(hold, O_CLOEXEC), 0);
	sync_key = rig_key(sync[0]);
	command = fork();
	assert_true(command >= 0);
	if (command == 0) {
		const int files[3] = {sync[1], c.out.w, c.err.w};
		pid_t gofer, sandbox;
		char ready;

		close(c.out.r);
		close(c.err.r);
		close(hold[1]);
		dup2(hold[0], STDIN_FILENO);
		gofer = start_of_sandbox(&c, GOFER, none);
		sandbox = start_of_sandbox(&c, SANDBOX, files);
		close(sync[1]);
		close(c.out.w);
		close(c.err.w);
		if (read(sync[0], &ready, 1) != 1)
			_exit(1);
		_exit(wait_child(sandbox) + wait_child(gofer));
	}
	close(sync[0]);
	close(sync[1]);
	close(c.out.w);
	close(c.err.w);
	c.out.w = c.err.w = -1;
	close(hold[0]);
	read_out(&c);
	close(hold[1]);
	assert_int_equal(wait_child(command), 0);
	c.pid = 0;
	finish(&c);
	assert_null(rig_seen(&sync_key));
	assert_non_null(rig_seen(&c.out.key));
	assert_int_equal(rig_seen(&c.out.key)->reg.origin, NT_ORIGIN_DONATED);
	assert_int_equal(rig_seen(&c.out.key)->reg.file, NT_FILE_STDOUT);
	assert_int_equal(rig_seen(&c.out.key)->reg.reader, getpid());
	assert_int_equal(rig_seen(&c.err.key)->reg.file, NT_FILE_STDERR);
	expect_stream(&c.out.key, "out\nmore\n");
	expect_stream(&c.err.key, "err\n");
}

/* ---- cgroups that are asked for ---- */

/* As systemd names a unit's. */
static struct container new_unit(void)
{
	struct container c = make_container("unit", 8);
	struct stat st;
	char dir[600];

	snprintf(dir, sizeof(dir), "%s.service", c.dir);
	assert_int_equal(mkdir(dir, 0755), 0);
	assert_int_equal(rmdir(c.dir), 0);
	strcpy(c.dir, dir);
	assert_int_equal(stat(c.dir, &st), 0);
	c.id = st.st_ino;
	return c;
}

/* A stream to a log, as to systemd's journal: both ends have an inode of their own. */
static struct pipe_end open_socket(void)
{
	struct pipe_end p;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	p.r = fds[0];
	p.w = fds[1];
	p.key = rig_key(p.w);
	return p;
}

static void run_unit(struct container *c, int how, const struct pipe_end *stdio, const char *script)
{
	char *const argv[] = {"/bin/sh", "-c", (char *)script, NULL};

	c->pid = start_in(c, how, argv, stdio);
	assert_int_equal(wait_child(c->pid), 0);
}

/* A unit has no namespaces, and its socket nobody who reads it that could be known. */
static void unit_writes_to_a_socket(void **state)
{
	struct pipe_end log;
	struct rig_stream *s;
	struct container c;

	(void)state;
	rig_ready();
	c = new_unit();
	log = open_socket();
	run_unit(&c, 0, &log, "echo out; /bin/echo child >&2; echo inner | sed s/inner/outer/");
	c.pid = 0;
	finish(&c);
	assert_non_null(find_event(&c, NT_KIND_CGROUP_NEW));
	assert_non_null(find_event(&c, NT_KIND_CGROUP_GONE));
	s = rig_seen(&log.key);
	assert_non_null(s);
	assert_int_equal(s->registers, 1);
	assert_int_equal(s->reg.tap, NT_TAP_WRITE);
	assert_int_equal(s->reg.file, NT_FILE_STDOUT);
	assert_int_equal(s->reg.hdr.cgroup_id, c.id);
	assert_int_equal(s->len, 16);
	assert_memory_equal(s->bytes, "out\nchild\nouter\n", 16);
	assert_int_equal(s->ends, 1);
	assert_int_equal(s->end.cause, NT_END_CGROUP);
	assert_int_equal(s->end.seen, s->end.written);
	close(log.r);
	close(log.w);
}

static void unit_writes_to_pipes(void **state)
{
	struct container c;

	(void)state;
	rig_ready();
	c = new_unit();
	start(&c, 0, "echo out; echo err >&2; exec /bin/echo more");
	read_out(&c);
	finish(&c);
	expect_registered(&c, &c.out.key, NT_FILE_STDOUT, NT_ORIGIN_EXEC);
	expect_registered(&c, &c.err.key, NT_FILE_STDERR, NT_ORIGIN_EXEC);
	expect_stream(&c.out.key, "out\nmore\n");
	expect_stream(&c.err.key, "err\n");
}

/* One after the other and beside each other, in the same cgroup. */
static void unit_has_several_processes(void **state)
{
	struct pipe_end before, main, reload;
	struct container c;

	(void)state;
	rig_ready();
	c = new_unit();
	before = open_socket();
	reload = open_socket();
	main = open_socket();
	run_unit(&c, 0, &before, "echo before");
	c.pid = start_in(&c, 0, (char *const[]){"/bin/sh", "-c", "echo main; read x", NULL}, &main);
	get(&main, 5, 5);
	assert_int_equal(
		wait_child(start_in(&c, 0, (char *const[]){"/bin/echo", "reload", NULL}, &reload)),
		0);
	finish(&c);
	assert_int_equal(rig_seen(&before.key)->len, 7);
	assert_int_equal(rig_seen(&main.key)->len, 5);
	assert_int_equal(rig_seen(&reload.key)->len, 7);
	for (int i = 0; i < 3; i++) {
		struct pipe_end *p = i == 0 ? &before : i == 1 ? &main : &reload;

		close(p->r);
		close(p->w);
	}
}

/* What a unit's program connects itself, and the connection it was started for. */
static void connection_is_no_log(void **state)
{
	struct pipe_end socket;
	struct container c;

	(void)state;
	rig_ready();
	c = new_unit();
	socket = open_socket();
	close(c.in_r);
	c.in_r = fcntl(socket.w, F_DUPFD_CLOEXEC, 3);
	run_unit(&c, 0, &socket, "echo answer");
	c.pid = 0;
	finish(&c);
	assert_null(rig_seen(&socket.key));
	close(socket.r);
	close(socket.w);
}

/* Its pipe was made inside, and whoever forked it has ended. */
static void orphan_of_a_unit_is_its_own(void **state)
{
	struct pipe_end log;
	struct container c;

	(void)state;
	rig_ready();
	c = new_unit();
	log = open_socket();
	run_unit(&c, 0, &log,
		 "(sh -c '(sleep 0.3; exec /bin/echo orphan) & exit' | cat) ; echo end");
	c.pid = 0;
	finish(&c);
	assert_int_equal(rig_seen(&log.key)->len, 11);
	for (size_t i = 0; i < rig.n_streams; i++)
		assert_true(rig.streams[i].cgroup_id != c.id ||
			    memcmp(&rig.streams[i].key, &log.key, sizeof(log.key)) == 0);
	close(log.r);
	close(log.w);
}

/* One that ctr names: the runtime's stage has the same pipes, in the parent's mount namespace. */
static void container_without_an_id(void **state)
{
	char *const argv[] = {"/bin/sh", "-c", "exit 0", NULL};
	char *const session[] = {"/bin/echo", "session", NULL};
	struct pipe_end other;
	struct container c;

	(void)state;
	rig_ready();
	c = new_unit();
	assert_int_equal(wait_child(start_in(&c, 0, argv, NULL)), 0);
	start(&c, OWN_MNT_NS, "echo init; read line; echo down");
	get(&c.out, 5, 5);
	other = open_pipe();
	assert_int_equal(wait_child(start_in(&c, OWN_MNT_NS, session, &other)), 0);
	get(&other, 8, 4096);
	assert_int_equal(write(c.in, "\n", 1), 1);
	read_out(&c);
	finish(&c);
	assert_null(rig_seen(&other.key));
	assert_int_equal(rig_seen(&c.out.key)->reg.init_pid, c.pid);
	assert_int_equal(rig_seen(&c.out.key)->reg.tap, NT_TAP_READ);
	expect_stream(&c.out.key, "init\ndown\n");
	close_pipe(&other);
}

static void below_what_is_asked_for(void **state)
{
	struct container c, sub;
	struct pipe_end log;
	char dir[600];
	struct stat st;

	(void)state;
	rig_ready();
	c = new_unit();
	sub = c;
	snprintf(dir, sizeof(dir), "%s/sub", c.dir);
	assert_int_equal(mkdir(dir, 0755), 0);
	strcpy(sub.dir, dir);
	assert_int_equal(stat(dir, &st), 0);
	log = open_socket();
	run_unit(&sub, 0, &log, "echo below");
	remove_cgroup(dir);
	c.pid = 0;
	finish(&c);
	assert_non_null(rig_seen(&log.key));
	assert_int_equal(rig_seen(&log.key)->reg.hdr.cgroup_id, st.st_ino);
	assert_int_equal(rig_seen(&log.key)->len, 6);
	close(log.r);
	close(log.w);
}

/* Beside containers, which stay what they are; what nobody asked for stays alone. */
static void others_are_as_ever(void **state)
{
	struct container named, other;

	(void)state;
	rig_ready();
	named = new_container();
	start(&named, OWN_MNT_NS, "echo named");
	read_out(&named);
	finish(&named);
	expect_stream(&named.out.key, "named\n");
	other = make_container("other", 8);
	start(&other, OWN_MNT_NS, "echo other");
	read_out(&other);
	finish(&other);
	assert_null(rig_seen(&other.out.key));
	assert_null(find_event(&other, NT_KIND_CGROUP_NEW));
}

/* Daemons whose first process has ended, too; not what reads nobody outside. */
static void running_unit_is_found(void **state)
{
	struct pipe_end log;
	struct container c;

	(void)state;
	rig_ready();
	assert_int_equal(rig_unload(NULL), 0);
	c = new_unit();
	log = open_socket();
	c.pid = start_in(
		&c, 0,
		(char *const[]){
			"/bin/sh", "-c",
			"exec 3<&0; (echo up; read x <&3; echo down; (sleep 0.1; echo in) | cat) & "
			"wait",
			NULL},
		&log);
	get(&log, 3, 3);
	assert_int_equal(setup_asked(NULL), 0);
	rig_drain();
	assert_non_null(find_event(&c, NT_KIND_CGROUP_NEW));
	assert_non_null(rig_seen(&log.key));
	assert_int_equal(rig_seen(&log.key)->reg.origin, NT_ORIGIN_SCAN);
	assert_int_equal(rig_seen(&log.key)->reg.tap, NT_TAP_WRITE);
	assert_int_equal(write(c.in, "\n", 1), 1);
	finish(&c);
	assert_int_equal(rig_seen(&log.key)->registers, 1);
	close(log.r);
	close(log.w);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest registration[] = {
		cmocka_unit_test(init_is_registered_at_exec),
		cmocka_unit_test(cgroup_events_name_the_container),
		cmocka_unit_test(name_with_more_than_the_id),
		cmocka_unit_test(long_path_keeps_its_tail),
		cmocka_unit_test(other_cgroups_are_not_containers),
		cmocka_unit_test(cgroup_below_a_container_is_none),
		cmocka_unit_test(same_mount_namespace_is_the_runtime),
		cmocka_unit_test(runtime_stage_then_init),
		cmocka_unit_test(second_process_is_not_registered),
		cmocka_unit_test(children_write_to_the_stream),
		cmocka_unit_test(inner_pipes_are_not_streams),
		cmocka_unit_test(exec_of_no_program),
		cmocka_unit_test(one_pipe_for_both),
		cmocka_unit_test(dev_null_is_not_registered),
		cmocka_unit_test(excluded_cgroup_registers_nothing),
		cmocka_unit_test(pipe_goes_to_another_container),
		cmocka_unit_test(inode_number_is_used_again),
		cmocka_unit_test(nobody_reads),
		cmocka_unit_test(another_process_reads),
		cmocka_unit_test(reader_hands_over),
		cmocka_unit_test(reader_is_killed),
		cmocka_unit_test(running_container_is_found),
		cmocka_unit_test(scan_finds_a_reader_elsewhere),
		cmocka_unit_test(sandbox_has_its_containers_stdio),
	};
	const struct CMUnitTest write_mode[] = {
		cmocka_unit_test(write_mode_copies_at_the_write),
	};
	const struct CMUnitTest sessions[] = {
		cmocka_unit_test(session_is_registered),
		cmocka_unit_test(session_of_a_command),
		cmocka_unit_test(session_without_a_reader_is_none),
		cmocka_unit_test(unshared_process_is_no_session),
	};
	const struct CMUnitTest limited[] = {
		cmocka_unit_test(over_the_rate_is_a_gap),
		cmocka_unit_test(each_container_has_its_own_rate),
	};
	const struct CMUnitTest asked[] = {
		cmocka_unit_test(unit_writes_to_a_socket),
		cmocka_unit_test(unit_writes_to_pipes),
		cmocka_unit_test(unit_has_several_processes),
		cmocka_unit_test(connection_is_no_log),
		cmocka_unit_test(orphan_of_a_unit_is_its_own),
		cmocka_unit_test(container_without_an_id),
		cmocka_unit_test(below_what_is_asked_for),
		cmocka_unit_test(others_are_as_ever),
		cmocka_unit_test(running_unit_is_found),
	};
	int failed;

	if (argc == 1 && strncmp(argv[0], "runsc-", 6) == 0)
		return be_of_sandbox(argv[0]);
	signal(SIGPIPE, SIG_IGN);
	rig_fill_stdio();
	failed = cmocka_run_group_tests_name("registration", registration, setup_auto, teardown);
	failed += cmocka_run_group_tests_name("write mode", write_mode, setup_write, teardown);
	failed += cmocka_run_group_tests_name("sessions", sessions, setup_sessions, teardown);
	failed += cmocka_run_group_tests_name("rate limit", limited, setup_limited, teardown);
	failed += cmocka_run_group_tests_name("cgroups asked for", asked, setup_asked, teardown);
	return failed ? 1 : 0;
}
