/* SPDX-License-Identifier: Apache-2.0 */
/* Ring records in, labelled lines out: with the real registry, assembler and preset, and a kernel
 * that is a table. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cmocka.h>

#include "assemble/assemble.h"
#include "base/buf.h"
#include "base/clock.h"
#include "streams/streams.h"

#define CGROUP 4711u
#define ID "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define PATH "/docker/" ID

struct fixture {
	struct clock_anchor anchor;
	struct registry *registry;
	struct counters counters;
	struct streams *streams;
	struct buf out; /* `container stream line|` for each line */
	uint64_t last_time_ns;
	uint32_t last_pid;
	enum nt_known known; /* of the next records, and `from` */
	uint64_t from;
	uint64_t seen[NT_FILE_TTY + 1]; /* of the stream: the next record's offset */
	enum nt_tap tap;		/* of the next records; 0: read */
	struct selection *selection;
	struct nt_stream kernel;
	bool has_kernel;
	uint64_t unknown_cgroup;
	bool has_path; /* of the cgroup, for who asks */
	uint64_t misses;
	uint64_t rescued; /* missed by one of two copies of the read tap */
	uint64_t forgotten;
	int excluded, included; /* times */
	struct streams_ring ring;
	bool cgroup_lives, reader_lives, reader_closed;
	bool orphaned; /* the stream `stdout` is told as one */
	char *stats_text;
	size_t stats_len;
	FILE *stats;
};

static void on_line(void *ctx, struct label_set *set, const struct line *line)
{
	struct fixture *f = ctx;

	assert_true(line->time_ns > f->last_time_ns);
	f->last_time_ns = line->time_ns;
	f->last_pid = line->pid;
	buf__printf(&f->out, "%s %s %.*s%s%s%s|", label_set__get(set, "container"),
		    label_set__get(set, "stream"), (int)line->len, line->bytes,
		    line->gap ? " gap=" : "", line->gap ? line->gap : "",
		    line->session ? " exec" : "");
}

static int kernel_stream(void *ctx, const struct nt_stream_key *key, struct nt_stream *ret)
{
	struct fixture *f = ctx;

	(void)key;
	if (!f->has_kernel)
		return -ENOENT;
	*ret = f->kernel;
	return 0;
}

static int cgroup_path(void *ctx, uint64_t cgroup_id, char *ret_path, size_t size)
{
	struct fixture *f = ctx;

	if (cgroup_id == f->unknown_cgroup)
		return -ENOENT;
	assert_int_equal(cgroup_id, CGROUP);
	if (!f->has_path)
		return -ENOENT;
	assert_true(size > strlen(PATH));
	strcpy(ret_path, PATH);
	return 0;
}

static void forget(void *ctx, uint64_t cgroup_id)
{
	((struct fixture *)ctx)->forgotten = cgroup_id;
}

static void exclude(void *ctx, uint64_t cgroup_id, bool excluded)
{
	struct fixture *f = ctx;

	assert_int_equal(cgroup_id, CGROUP);
	f->excluded += excluded;
	f->included += !excluded;
}

static uint64_t misses(void *ctx, enum nt_tap tap)
{
	const struct fixture *f = ctx;

	return f->misses + (tap == NT_TAP_WRITE ? f->rescued : 0);
}

static void ring(void *ctx, struct streams_ring *ret)
{
	*ret = ((struct fixture *)ctx)->ring;
}

static bool lives(void *ctx, uint64_t cgroup_id)
{
	(void)cgroup_id;
	return ((struct fixture *)ctx)->cgroup_lives;
}

static bool reads(void *ctx, uint32_t tgid)
{
	(void)tgid;
	return ((struct fixture *)ctx)->reader_lives;
}

static bool holds(void *ctx, uint32_t tgid, const struct nt_stream_key *key)
{
	(void)tgid;
	(void)key;
	return !((struct fixture *)ctx)->reader_closed;
}

static void orphans(void *ctx, stream_fn fn, void *arg)
{
	struct fixture *f = ctx;

	if (f->orphaned)
		fn(arg, &(struct nt_stream_key){.ino = 100 + NT_FILE_STDOUT, .dev = 14},
		   &f->kernel);
}

static int set_up_with(void **state, bool uncounted)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct streams_opts opts = {
		.ring = ring,
		.lives = lives,
		.reads = reads,
		.holds = holds,
		.orphans = orphans,
		.uncounted = uncounted,
		.misses = misses,
		.host = "node1",
		.park_max_bytes = 4096,
		.line = on_line,
		.kernel_stream = kernel_stream,
		.cgroup_path = cgroup_path,
		.forget = forget,
		.exclude = exclude,
		.anchor = &f->anchor,
		.ctx = f,
	};

	f->cgroup_lives = true;
	f->ring = (struct streams_ring){.read = 1000, .written = 1000};
	assert_int_equal(registry__new(&f->registry), 0);
	f->stats = open_memstream(&f->stats_text, &f->stats_len);
	assert_int_equal(selection__new(&f->selection), 0);
	opts.selection = f->selection;
	opts.registry = f->registry;
	opts.counters = &f->counters;
	opts.stats = f->stats;
	assert_int_equal(streams__new(&f->streams, &opts), 0);
	*state = f;
	return 0;
}

static int set_up(void **state)
{
	return set_up_with(state, false);
}

static int set_up_uncounted(void **state)
{
	return set_up_with(state, true);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	streams__free(f->streams);
	selection__free(f->selection);
	registry__free(f->registry);
	fclose(f->stats);
	free(f->stats_text);
	buf__free(&f->out);
	free(f);
	return 0;
}

static struct nt_hdr header(enum nt_kind kind, uint64_t time_ns)
{
	return (struct nt_hdr){.kind = kind, .time_ns = time_ns, .cgroup_id = CGROUP};
}

static struct nt_stream_key key_of(enum nt_file file)
{
	return (struct nt_stream_key){.ino = 100 + file, .dev = 14};
}

static void cgroup_new(struct fixture *f)
{
	struct nt_cgroup_event e = {.hdr = header(NT_KIND_CGROUP_NEW, 1), .path_len = strlen(PATH)};

	strcpy(e.path, PATH);
	streams_record_ops.cgroup_new(f->streams, 0, &e);
}

static void cgroup_gone(struct fixture *f)
{
	struct nt_cgroup_event e = {.hdr = header(NT_KIND_CGROUP_GONE, 9000)};

	streams_record_ops.cgroup_gone(f->streams, 0, &e);
}

static void registered(struct fixture *f, enum nt_file file)
{
	struct nt_register r = {.hdr = header(NT_KIND_REGISTER, 2),
				.key = key_of(file),
				.file = file,
				.tap = NT_TAP_READ};

	streams_record_ops.registered(f->streams, 0, &r);
	f->seen[file] = 0;
}

static void data_gap(struct fixture *f, enum nt_file file, uint64_t time_ns, const char *text,
		     struct nt_gap gap)
{
	size_t len = strlen(text);
	struct nt_data *d = calloc(1, sizeof(*d) + len);

	d->hdr = header(NT_KIND_DATA, time_ns);
	d->key = key_of(file);
	d->len = len;
	d->file = file;
	d->tap = f->tap ? f->tap : NT_TAP_READ;
	d->gap = gap;
	d->known = f->known;
	d->from = f->from;
	d->offset = f->seen[file] + gap.bytes;
	f->seen[file] = d->offset + len;
	memcpy(d->bytes, text, len);
	streams_record_ops.data(f->streams, 0, d);
	free(d);
}

static void data(struct fixture *f, enum nt_file file, uint64_t time_ns, const char *text)
{
	data_gap(f, file, time_ns, text, (struct nt_gap){0});
}

static void end(struct fixture *f, enum nt_file file, uint64_t written, uint64_t seen)
{
	struct nt_end e = {.hdr = header(NT_KIND_END, 8000),
			   .key = key_of(file),
			   .file = file,
			   .tap = f->tap ? f->tap : NT_TAP_READ,
			   .written = written,
			   .seen = seen,
			   .cause = NT_END_EOF};

	streams_record_ops.end(f->streams, 0, &e);
}

static void publish(struct fixture *f, const char *name)
{
	struct meta *m = meta__new();

	m->engine = strdup("docker");
	m->id = strdup(ID);
	m->name = strdup(name);
	assert_int_equal(registry__publish(f->registry, m), 0);
}

/* A container whose name is known, with a stream for its stdout. */
static void start_web(struct fixture *f)
{
	publish(f, "web");
	cgroup_new(f);
	registered(f, NT_FILE_STDOUT);
}

static void expect(struct fixture *f, const char *text)
{
	assert_int_equal(f->out.len, strlen(text));
	assert_memory_equal(f->out.data, text, f->out.len);
}

static void expect_stats(struct fixture *f, const char *text)
{
	fflush(f->stats);
	assert_string_equal(f->stats_text, text);
}

static void known_at_once(void **state)
{
	struct fixture *f = *state;

	start_web(f);
	registered(f, NT_FILE_STDERR);
	data(f, NT_FILE_STDOUT, 10, "a\nb\n");
	data(f, NT_FILE_STDERR, 20, "c\n");
	expect(f, "web stdout a|web stdout b|web stderr c|");
	assert_int_equal(counters__get(&f->counters, lines), 3);
}

static void parked_until_known(void **state)
{
	struct fixture *f = *state;

	registry__engine(f->registry, "docker", true);
	cgroup_new(f);
	registered(f, NT_FILE_STDOUT);
	data(f, NT_FILE_STDOUT, 10, "a\nb\n");
	end(f, NT_FILE_STDOUT, 4, 4);
	cgroup_gone(f);
	expect(f, "");
	assert_int_equal(f->forgotten, 0);
	publish(f, "late");
	assert_int_equal(streams__tick(f->streams, clock__boot_ns(), true), UINT64_MAX);
	expect(f, "late stdout a|late stdout b|");
	assert_int_equal(f->forgotten, CGROUP);
	assert_int_equal(counters__get(&f->counters, park_expired), 0);
}

static void parked_no_longer_than_allowed(void **state)
{
	struct fixture *f = *state;
	uint64_t now_ns = clock__boot_ns();

	registry__engine(f->registry, "docker", true);
	cgroup_new(f);
	registered(f, NT_FILE_STDOUT);
	data(f, NT_FILE_STDOUT, 10, "a\n");
	assert_true(streams__tick(f->streams, now_ns, true) > now_ns);
	expect(f, "");
	streams__tick(f->streams, now_ns + 60 * NS_PER_SEC, true);
	expect(f, "001122334455 stdout a|");
	data(f, NT_FILE_STDOUT, 20, "b\n");
	expect(f, "001122334455 stdout a|001122334455 stdout b|");
	assert_int_equal(counters__get(&f->counters, park_expired), 1);
}

static void parked_no_more_than_allowed(void **state)
{
	struct fixture *f = *state;
	char line[] = "0123456789\n";

	registry__engine(f->registry, "docker", true);
	cgroup_new(f);
	registered(f, NT_FILE_STDOUT);
	for (uint64_t i = 0; i < 100; i++)
		data(f, NT_FILE_STDOUT, 100 + 20 * i, line);
	assert_int_equal(counters__get(&f->counters, lines), 100);
	assert_in_range(counters__get(&f->counters, parked), 1, 99);
}

static void rename_applies_to_the_next_line(void **state)
{
	struct fixture *f = *state;

	publish(f, "one");
	cgroup_new(f);
	registered(f, NT_FILE_STDOUT);
	data(f, NT_FILE_STDOUT, 10, "a\n");
	publish(f, "two");
	data(f, NT_FILE_STDOUT, 20, "b\n");
	expect(f, "one stdout a|two stdout b|");
}

static void half_line_at_the_end(void **state)
{
	struct fixture *f = *state;

	start_web(f);
	data(f, NT_FILE_STDOUT, 10, "half");
	expect(f, "");
	end(f, NT_FILE_STDOUT, 4, 4);
	expect(f, "web stdout half|");
	expect_stats(f,
		     "stream web stdout tap=read (asked for) written=4 copied=4 lost=0 missing=0 "
		     "uncounted=0\n");
}

static void missing_is_a_gap(void **state)
{
	struct fixture *f = *state;

	start_web(f);
	data(f, NT_FILE_STDOUT, 10, "a\n");
	end(f, NT_FILE_STDOUT, 102, 2);
	assert_non_null(strstr(f->out.data, "100 bytes"));
	assert_non_null(strstr(f->out.data, "gap=missing|"));
	assert_int_equal(counters__get(&f->counters, missing), 100);
	expect_stats(
		f, "stream web stdout tap=read (asked for) written=102 copied=2 lost=0 missing=100 "
		   "uncounted=0\n");
}

/* What lay in the pipe, what stayed there and what somebody else took are no loss. */
static void differences_have_names(void **state)
{
	struct nt_end e = {.hdr = header(NT_KIND_END, 8000),
			   .key = key_of(NT_FILE_STDOUT),
			   .file = NT_FILE_STDOUT,
			   .tap = NT_TAP_READ,
			   .written = 20,
			   .seen = 12,
			   .before = 5,
			   .unread = 9,
			   .foreign = 3,
			   .cause = NT_END_CGROUP};
	struct fixture *f = *state;

	start_web(f);
	data(f, NT_FILE_STDOUT, 10, "hello world\n");
	streams_record_ops.end(f->streams, 0, &e);
	expect(f, "web stdout hello world|");
	assert_int_equal(counters__get(&f->counters, missing), 0);
	assert_int_equal(counters__get(&f->counters, uncounted), 0);
	assert_int_equal(counters__get(&f->counters, preexisting), 4);
	assert_int_equal(counters__get(&f->counters, unread_at_end), 9);
	assert_int_equal(counters__get(&f->counters, foreign_reader), 3);
	expect_stats(f, "stream web stdout tap=read (asked for) written=20 copied=12 lost=0 "
			"missing=0 uncounted=0 preexisting=4 unread_at_end=9 foreign_reader=3\n");
}

/* Names do not hide what they do not explain. */
static void named_and_missing(void **state)
{
	struct nt_end e = {.hdr = header(NT_KIND_END, 8000),
			   .key = key_of(NT_FILE_STDOUT),
			   .file = NT_FILE_STDOUT,
			   .tap = NT_TAP_READ,
			   .written = 20,
			   .seen = 2,
			   .before = 5,
			   .foreign = 3,
			   .cause = NT_END_EOF};
	struct fixture *f = *state;

	start_web(f);
	data(f, NT_FILE_STDOUT, 10, "a\n");
	streams_record_ops.end(f->streams, 0, &e);
	assert_non_null(strstr(f->out.data, "gap=missing|"));
	assert_int_equal(counters__get(&f->counters, missing), 15);
	assert_int_equal(counters__get(&f->counters, preexisting), 0);
}

/* The stream goes on in the middle of a line. */
static void tap_changes(void **state)
{
	struct nt_register r = {.hdr = header(NT_KIND_TAP, 20),
				.key = key_of(NT_FILE_STDOUT),
				.file = NT_FILE_STDOUT,
				.tap = NT_TAP_WRITE,
				.reader = UINT32_MAX,
				.pipe = 1};
	struct fixture *f = *state;

	start_web(f);
	data(f, NT_FILE_STDOUT, 10, "a lin");
	streams_record_ops.tap(f->streams, 0, &r);
	r.tap = NT_TAP_READ;
	streams_record_ops.tap(f->streams, 0, &r);
	r.reader = 0;
	streams_record_ops.tap(f->streams, 0, &r);
	data(f, NT_FILE_STDOUT, 30, "e\n");
	end(f, NT_FILE_STDOUT, 7, 7);
	expect(f, "web stdout a line|");
	assert_int_equal(counters__get(&f->counters, streams), 1);
	expect_stats(f, "stream web stdout tap=read (its reader is gone) written=7 copied=7 lost=0 "
			"missing=0 uncounted=0\n");
}

static void uncounted_is_no_loss(void **state)
{
	struct fixture *f = *state;

	start_web(f);
	data(f, NT_FILE_STDOUT, 10, "a\n");
	end(f, NT_FILE_STDOUT, 0, 2);
	expect(f, "web stdout a|");
	assert_int_equal(counters__get(&f->counters, uncounted), 2);
	assert_int_equal(counters__get(&f->counters, missing), 0);
}

static void terminal_has_no_proof(void **state)
{
	struct fixture *f = *state;

	publish(f, "web");
	cgroup_new(f);
	registered(f, NT_FILE_TTY);
	data(f, NT_FILE_TTY, 10, "a\r\n");
	end(f, NT_FILE_TTY, 50, 3);
	expect(f, "web stdout a\r|");
	assert_int_equal(counters__get(&f->counters, missing), 0);
}

static void lost_bytes_are_a_gap_in_place(void **state)
{
	struct fixture *f = *state;

	start_web(f);
	data(f, NT_FILE_STDOUT, 10, "a\n");
	data_gap(f, NT_FILE_STDOUT, 3000, "b\n",
		 (struct nt_gap){.bytes = 7, .calls = 2, .reason = NT_LOST_RING_FULL});
	end(f, NT_FILE_STDOUT, 11, 11);
	expect(f, "web stdout a|web stdout notail: 7 bytes in 2 writes lost here: ring full "
		  "gap=ring_full|web stdout b|");
	assert_int_equal(counters__get(&f->counters, lost_ring_full), 7);
	expect_stats(f,
		     "stream web stdout tap=read (asked for) written=11 copied=4 lost=7 missing=0 "
		     "uncounted=0\n");
}

static void killed_reader_ends_with_the_cgroup(void **state)
{
	struct fixture *f = *state;

	start_web(f);
	data(f, NT_FILE_STDOUT, 10, "half");
	f->kernel = (struct nt_stream){
		.cgroup_id = CGROUP, .written = 9, .seen = 4, .tap = NT_TAP_READ};
	f->has_kernel = true;
	cgroup_gone(f);
	expect(f, "web stdout half|");
	assert_int_equal(counters__get(&f->counters, missing), 0);
	assert_int_equal(counters__get(&f->counters, unread_at_end), 5);
	assert_int_equal(f->forgotten, CGROUP);
}

/* The runtime removes the cgroup, then reads the rest. */
static void reader_outlives_the_cgroup(void **state)
{
	struct fixture *f = *state;

	start_web(f);
	data(f, NT_FILE_STDOUT, 10, "half");
	f->kernel = (struct nt_stream){.cgroup_id = CGROUP, .reader = 7, .written = 9, .seen = 4};
	f->has_kernel = f->reader_lives = true;
	cgroup_gone(f);
	expect(f, "");
	assert_int_equal(f->forgotten, 0);
	data(f, NT_FILE_STDOUT, 9001, " line");
	f->has_kernel = f->reader_lives = false;
	end(f, NT_FILE_STDOUT, 9, 9);
	expect(f, "web stdout half line|");
	assert_int_equal(f->forgotten, CGROUP);
}

/* The cgroup's record is read when the rest and the end are in the ring already. */
static void end_behind_the_cgroups_own(void **state)
{
	struct fixture *f = *state;

	start_web(f);
	data(f, NT_FILE_STDOUT, 10, "half");
	cgroup_gone(f);
	assert_int_equal(f->forgotten, 0);
	data(f, NT_FILE_STDOUT, 9001, " line");
	end(f, NT_FILE_STDOUT, 9, 9);
	expect(f, "web stdout half line|");
	assert_int_equal(f->forgotten, CGROUP);
}

static void tick_seconds(struct fixture *f, unsigned seconds)
{
	streams__tick(f->streams, clock__boot_ns() + seconds * NS_PER_SEC, true);
}

/* Neither the stream's end nor the cgroup's found room in the ring. */
static void untold_ends_are_found(void **state)
{
	struct fixture *f = *state;

	start_web(f);
	data(f, NT_FILE_STDOUT, 10, "half");
	tick_seconds(f, 0);
	f->cgroup_lives = false;
	f->ring = (struct streams_ring){.read = 2000, .written = 3000, .events_lost = 2};
	tick_seconds(f, 10);
	f->ring.read = 2999;
	tick_seconds(f, 20);
	tick_seconds(f, 30);
	expect(f, "");
	assert_int_equal(f->forgotten, 0);
	f->ring.read = 3000;
	tick_seconds(f, 40);
	expect(f, "web stdout half|");
	assert_int_equal(f->forgotten, CGROUP);
}

static void untold_end_keeps_the_counts(void **state)
{
	struct fixture *f = *state;

	start_web(f);
	data(f, NT_FILE_STDOUT, 10, "half");
	f->kernel = (struct nt_stream){.cgroup_id = CGROUP, .reader = 7, .written = 9, .seen = 4};
	f->has_kernel = true;
	f->cgroup_lives = false;
	for (unsigned at = 0; at < 4; at++)
		tick_seconds(f, 10 * at);
	assert_non_null(strstr(f->out.data, "gap=missing|"));
	assert_int_equal(counters__get(&f->counters, missing), 5);
	assert_int_equal(f->forgotten, CGROUP);
}

/* A reader that lives reads on, however long it takes. */
static void living_reader_is_waited_for(void **state)
{
	struct fixture *f = *state;

	start_web(f);
	data(f, NT_FILE_STDOUT, 10, "half");
	f->kernel = (struct nt_stream){.cgroup_id = CGROUP, .reader = 7, .written = 4, .seen = 4};
	f->has_kernel = f->reader_lives = true;
	f->cgroup_lives = false;
	for (unsigned at = 0; at < 4; at++)
		tick_seconds(f, 10 * at);
	expect(f, "");
	assert_int_equal(f->forgotten, 0);

	/* Its last read was not seen. */
	f->reader_closed = true;
	for (unsigned at = 4; at < 8; at++)
		tick_seconds(f, 10 * at);
	expect(f, "web stdout half|");
	assert_int_equal(f->forgotten, CGROUP);
}

/* Nothing of it was told: no registration, no data, no end. */
static void untold_stream_is_counted(void **state)
{
	struct fixture *f = *state;

	f->kernel = (struct nt_stream){.cgroup_id = CGROUP, .written = 9, .seen = 9};
	f->kernel.gap = (struct nt_gap){.bytes = 9, .calls = 1, .reason = NT_LOST_RING_FULL};
	f->kernel.file = NT_FILE_STDOUT;
	f->kernel.tap = NT_TAP_READ;
	f->has_kernel = f->orphaned = true;
	f->cgroup_lives = false;
	tick_seconds(f, 0);
	assert_int_equal(counters__get(&f->counters, streams), 0);
	f->ring.events_lost = 3;
	for (unsigned at = 1; at < 5; at++)
		tick_seconds(f, 10 * at);
	assert_int_equal(counters__get(&f->counters, lost_ring_full), 9);
	assert_int_equal(f->forgotten, CGROUP);
}

static void key_used_again(void **state)
{
	struct fixture *f = *state;

	start_web(f);
	data(f, NT_FILE_STDOUT, 10, "old");
	registered(f, NT_FILE_STDOUT);
	data(f, NT_FILE_STDOUT, 20, "new\n");
	expect(f, "web stdout old|web stdout new|");
}

static void data_without_registration(void **state)
{
	struct fixture *f = *state;

	publish(f, "web");
	cgroup_new(f);
	data(f, NT_FILE_STDERR, 10, "a\n");
	expect(f, "web stderr a|");
}

/* The ring was full when the cgroup came: its name is looked up. */
static void cgroup_without_record(void **state)
{
	struct fixture *f = *state;

	f->has_path = true;
	publish(f, "web");
	registered(f, NT_FILE_STDOUT);
	data(f, NT_FILE_STDOUT, 10, "a\n");
	expect(f, "web stdout a|");
}

static void finish_sends_what_is_there(void **state)
{
	struct fixture *f = *state;

	registry__engine(f->registry, "docker", true);
	cgroup_new(f);
	registered(f, NT_FILE_STDOUT);
	data(f, NT_FILE_STDOUT, 10, "a\nhalf");
	streams__finish(f->streams);
	streams__finish(f->streams);
	expect(f, "001122334455 stdout a|001122334455 stdout half|");
	expect_stats(f, "");
}

static void gap_that_no_record_told(void **state)
{
	struct nt_gap gap = {.bytes = 7, .calls = 2, .reason = NT_LOST_RING_FULL};
	struct fixture *f = *state;

	start_web(f);
	data(f, NT_FILE_STDOUT, 10, "a\nhalf");
	f->has_kernel = true;
	f->kernel = (struct nt_stream){.written = 13, .seen = 13, .gap = gap};
	streams__finish(f->streams);
	streams__finish(f->streams);
	expect(f, "web stdout a|web stdout half|"
		  "web stdout notail: 7 bytes in 2 writes lost here: ring full gap=ring_full|");
	/* Then there is room, and a record tells of these and of 3 more. */
	gap.bytes += 3;
	data_gap(f, NT_FILE_STDOUT, 3000, "b\n", gap);
	assert_int_equal(counters__get(&f->counters, lost_ring_full), 10);
	f->kernel = (struct nt_stream){.written = 18, .seen = 18};
	streams__print_open(f->streams);
	fflush(f->stats);
	assert_non_null(strstr(f->stats_text, " written=18 copied=8 lost=10 missing=0 "));
}

static void unwanted_streams_are_not_printed(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(selection__add_container(f->selection, "web*"), 0);
	publish(f, "other");
	cgroup_new(f);
	registered(f, NT_FILE_STDOUT);
	f->has_kernel = true;
	streams__print_open(f->streams);
	end(f, NT_FILE_STDOUT, 0, 0);
	expect_stats(f, "");
}

/* docker exec's stdio: marked, and an end of its own. */
static void session_is_marked(void **state)
{
	struct fixture *f = *state;
	struct nt_register r = {.hdr = header(NT_KIND_REGISTER, 2),
				.key = key_of(NT_FILE_STDERR),
				.file = NT_FILE_STDERR,
				.reader = (uint32_t)getpid(),
				.origin = NT_ORIGIN_SESSION,
				.tap = NT_TAP_READ};
	char text[160], comm[16];

	assert_int_equal(prctl(PR_GET_NAME, comm), 0); /* under valgrind it is valgrind's */
	start_web(f);
	streams_record_ops.registered(f->streams, 0, &r);
	data(f, NT_FILE_STDOUT, 10, "own\n");
	data(f, NT_FILE_STDERR, 20, "session\n");
	expect(f, "web stdout own|web stderr session exec|");
	end(f, NT_FILE_STDERR, 8, 8);
	snprintf(text, sizeof(text),
		 "stream web stderr tap=read (reader %d %s) written=8 copied=8 lost=0 "
		 "missing=0 uncounted=0 exec\n",
		 getpid(), comm);
	expect_stats(f, text);
}

static void tap_has_a_reason(void **state)
{
	struct fixture *f = *state;
	struct nt_register r = {.hdr = header(NT_KIND_REGISTER, 2),
				.key = key_of(NT_FILE_STDOUT),
				.file = NT_FILE_STDOUT,
				.tap = NT_TAP_WRITE};

	publish(f, "web");
	cgroup_new(f);
	streams_record_ops.registered(f->streams, 0, &r);
	f->has_kernel = true;
	streams__print_open(f->streams);
	expect_stats(f, "stream web stdout tap=write (no reader found) written=0 copied=0 lost=0 "
			"missing=0 uncounted=0 open\n");
}

static void over_the_rate_is_lost_with_a_reason(void **state)
{
	struct fixture *f = *state;

	start_web(f);
	data_gap(f, NT_FILE_STDOUT, 10, "a\n",
		 (struct nt_gap){.bytes = 9, .calls = 3, .reason = NT_LOST_RATE_LIMIT});
	expect(f, "web stdout notail: 9 bytes in 3 writes lost here: rate limit gap=rate_limit|"
		  "web stdout a|");
	assert_int_equal(counters__get(&f->counters, lost_rate_limit), 9);
}

/* The kernel skipped a hook while the stream was there: equal counts prove nothing. */
static void skipped_hooks_leave_no_proof(void **state)
{
	struct fixture *f = *state;

	start_web(f);
	data(f, NT_FILE_STDOUT, 10, "a\n");
	f->misses = 1;
	end(f, NT_FILE_STDOUT, 2, 2);
	expect_stats(f,
		     "stream web stdout tap=read (asked for) written=2 copied=2 lost=0 missing=0 "
		     "uncounted=0 incomplete\n");
	assert_int_equal(counters__get(&f->counters, incomplete), 1);
}

/* What one copy of the read tap was skipped for the other one had. The write tap has one only. */
static void skipped_and_rescued(void **state)
{
	struct fixture *f = *state;

	start_web(f);
	data(f, NT_FILE_STDOUT, 10, "a\n");
	f->rescued = 1;
	end(f, NT_FILE_STDOUT, 2, 2);
	assert_int_equal(counters__get(&f->counters, incomplete), 0);
	registered(f, NT_FILE_STDERR);
	f->tap = NT_TAP_WRITE;
	data(f, NT_FILE_STDERR, 20, "a\n");
	end(f, NT_FILE_STDERR, 2, 2);
	assert_int_equal(counters__get(&f->counters, incomplete), 1);
}

/* The record of the registration came late: the hook may have been skipped since. */
static void skipped_before_it_was_known(void **state)
{
	struct fixture *f = *state;

	f->misses = 1;
	streams__tick(f->streams, clock__boot_ns(), true);
	start_web(f);
	data(f, NT_FILE_STDOUT, 10, "a\n");
	end(f, NT_FILE_STDOUT, 2, 2);
	assert_int_equal(counters__get(&f->counters, incomplete), 1);
}

static void skipped_hooks_and_a_terminal(void **state)
{
	struct fixture *f = *state;

	publish(f, "web");
	cgroup_new(f);
	registered(f, NT_FILE_TTY);
	data(f, NT_FILE_TTY, 10, "a\n");
	f->misses = 1;
	end(f, NT_FILE_TTY, 2, 2);
	assert_int_equal(counters__get(&f->counters, incomplete), 1);
}

static void nothing_to_compare_without_a_count(void **state)
{
	struct fixture *f = *state;

	start_web(f);
	data(f, NT_FILE_STDOUT, 10, "a\n");
	end(f, NT_FILE_STDOUT, 0, 2);
	expect_stats(f,
		     "stream web stdout tap=read (asked for) written=- copied=2 lost=0 missing=- "
		     "uncounted=-\n");
	assert_int_equal(counters__get(&f->counters, uncounted), 0);
}

/* A record whose writer has not returned waits for the name, but not for ever. */
static void line_waits_for_a_name(void **state)
{
	struct fixture *f = *state;
	struct nt_data *d = calloc(1, sizeof(*d) + 2);
	uint64_t now_ns = clock__boot_ns();

	start_web(f);
	d->hdr = header(NT_KIND_DATA, now_ns);
	d->key = key_of(NT_FILE_STDOUT);
	d->len = 2;
	d->file = NT_FILE_STDOUT;
	d->tap = NT_TAP_READ;
	d->known = NT_KNOWN_LATER;
	memcpy(d->bytes, "a\n", 2);
	streams_record_ops.data(f->streams, 0, d);
	free(d);
	expect(f, "");
	assert_int_equal(streams__tick(f->streams, now_ns, true), now_ns + 50 * NS_PER_MS);
	expect(f, "");
	assert_int_equal(streams__tick(f->streams, now_ns + 50 * NS_PER_MS, true), UINT64_MAX);
	expect(f, "web stdout a|");
	assert_int_equal(streams__tick(f->streams, now_ns, true), UINT64_MAX);
}

static void note(struct fixture *f, uint64_t cgroup_id, uint64_t at, uint32_t pid)
{
	struct nt_note n = {.hdr = header(NT_KIND_NOTE, 5),
			    .key = key_of(NT_FILE_STDOUT),
			    .at = at,
			    .count = 2,
			    .pid = pid,
			    .tid = pid,
			    .comm = "sh",
			    .file = NT_FILE_STDOUT,
			    .tap = NT_TAP_READ};

	n.hdr.cgroup_id = cgroup_id;
	streams_record_ops.note(f->streams, 0, &n);
}

static void notes_name_lines(void **state)
{
	struct fixture *f = *state;
	uint64_t now_ns = clock__boot_ns();

	note(f, CGROUP, 0, 6); /* of no stream */
	start_web(f);
	f->known = NT_KNOWN_NOTES;
	f->from = 2;
	note(f, CGROUP + 1, 0, 6); /* of one that had its key before */
	note(f, CGROUP, 0, 7);
	data(f, NT_FILE_STDOUT, now_ns, "a\n");
	expect(f, "web stdout a|");
	assert_int_equal(f->last_pid, 7);
	f->from = 4;
	data(f, NT_FILE_STDOUT, now_ns + 10, "b\n");
	assert_int_equal(streams__tick(f->streams, now_ns + 10, true),
			 now_ns + 10 + 50 * NS_PER_MS);
	expect(f, "web stdout a|");
	note(f, CGROUP, 2, 8);
	expect(f, "web stdout a|web stdout b|");
	assert_int_equal(f->last_pid, 8);
	assert_int_equal(streams__tick(f->streams, now_ns + 10, true), UINT64_MAX);
	note(f, CGROUP, 4, 9);
	f->from = UINT64_MAX;
	data(f, NT_FILE_STDOUT, now_ns + 20, "c\n");
	expect(f, "web stdout a|web stdout b|");
	end(f, NT_FILE_STDOUT, 6, 6); /* nothing is under way at the end */
	expect(f, "web stdout a|web stdout b|web stdout c|");
	assert_int_equal(f->last_pid, 9);
}

static void cut_lines_are_counted(void **state)
{
	static char text[ASSEMBLE_MAX_LINE_SIZE + 100];
	struct fixture *f = *state;

	start_web(f);
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 2] = '\n';
	data(f, NT_FILE_STDOUT, 10, text);
	data(f, NT_FILE_STDOUT, 20 + sizeof(text), "next\n");
	assert_int_equal(counters__get(&f->counters, lines), 2);
	assert_int_equal(counters__get(&f->counters, truncated), 1);
}

/* The write tap copied what somebody else than the reader took then: no difference. */
static void foreign_reads_of_the_write_tap(void **state)
{
	struct fixture *f = *state;
	struct nt_end e = {.hdr = header(NT_KIND_END, 8000),
			   .key = key_of(NT_FILE_STDOUT),
			   .file = NT_FILE_STDOUT,
			   .tap = NT_TAP_WRITE,
			   .written = 2,
			   .seen = 2,
			   .foreign = 2,
			   .cause = NT_END_EOF};

	f->tap = NT_TAP_WRITE;
	start_web(f);
	data(f, NT_FILE_STDOUT, 10, "a\n");
	streams_record_ops.end(f->streams, 0, &e);
	expect(f, "web stdout a|");
	assert_int_equal(counters__get(&f->counters, uncounted), 0);
	assert_int_equal(counters__get(&f->counters, foreign_reader), 0);
}

/* A record of a call's next piece was skipped: the stream goes on, behind a gap. */
static void lost_continuation_is_a_gap(void **state)
{
	struct fixture *f = *state;

	start_web(f);
	data(f, NT_FILE_STDOUT, 10, "a\nhalf");
	f->seen[NT_FILE_STDOUT] += 100;
	data(f, NT_FILE_STDOUT, 3000, "rest\nb\n");
	expect(f, "web stdout a|web stdout half|"
		  "web stdout notail: 100 bytes lost here: bad record gap=bad_record|"
		  "web stdout rest|web stdout b|");
	assert_int_equal(counters__get(&f->counters, lost_bad_record), 100);
	end(f, NT_FILE_STDOUT, 113, 113);
	expect_stats(f, "stream web stdout tap=read (asked for) written=113 copied=13 lost=100 "
			"missing=0 uncounted=0\n");
}

static void lost_first_record_is_a_gap(void **state)
{
	struct fixture *f = *state;

	start_web(f);
	f->seen[NT_FILE_STDOUT] = 7;
	data_gap(f, NT_FILE_STDOUT, 10, "b\n",
		 (struct nt_gap){.bytes = 3, .calls = 1, .reason = NT_LOST_RING_FULL});
	expect(f, "web stdout notail: 7 bytes lost here: bad record gap=bad_record|"
		  "web stdout notail: 3 bytes in 1 writes lost here: ring full gap=ring_full|"
		  "web stdout b|");
}

static void lost_last_record_is_a_gap(void **state)
{
	struct fixture *f = *state;

	start_web(f);
	data(f, NT_FILE_STDOUT, 10, "a\n");
	end(f, NT_FILE_STDOUT, 9, 9);
	expect(f, "web stdout a|"
		  "web stdout notail: 7 bytes lost here: bad record gap=bad_record|");
	assert_int_equal(counters__get(&f->counters, missing), 0);
}

/* What was before the first record of a stream that nobody told of is not known. */
static void lost_registration_is_no_gap(void **state)
{
	struct fixture *f = *state;

	publish(f, "web");
	cgroup_new(f);
	f->seen[NT_FILE_STDOUT] = 1000;
	data(f, NT_FILE_STDOUT, 10, "a\n");
	data(f, NT_FILE_STDOUT, 20, "b\n");
	end(f, NT_FILE_STDOUT, 1004, 1004);
	expect(f, "web stdout a|web stdout b|");
}

/* Racing writers' records change places in the ring: only their sum tells, at the end. */
static void records_of_the_write_tap_change_places(void **state)
{
	struct fixture *f = *state;

	f->tap = NT_TAP_WRITE;
	start_web(f);
	f->seen[NT_FILE_STDOUT] = 2;
	data(f, NT_FILE_STDOUT, 10, "b\n");
	f->seen[NT_FILE_STDOUT] = 0;
	data(f, NT_FILE_STDOUT, 20, "a\n");
	end(f, NT_FILE_STDOUT, 4, 4);
	expect(f, "web stdout b|web stdout a|");
	assert_int_equal(counters__get(&f->counters, gaps), 0);
}

static void lost_record_of_the_write_tap(void **state)
{
	struct fixture *f = *state;

	f->tap = NT_TAP_WRITE;
	start_web(f);
	data(f, NT_FILE_STDOUT, 10, "a\n");
	end(f, NT_FILE_STDOUT, 4, 4);
	assert_int_equal(counters__get(&f->counters, lost_bad_record), 2);
}

/* A cgroup that nobody knows: the record is skipped, its place is a gap. */
static void wrong_cgroup_is_skipped(void **state)
{
	struct fixture *f = *state;
	struct nt_data *d = calloc(1, sizeof(*d) + 2);
	struct nt_end e = {.hdr = header(NT_KIND_END, 8000), .key = key_of(NT_FILE_STDOUT)};

	start_web(f);
	data(f, NT_FILE_STDOUT, 10, "a\n");
	d->hdr = header(NT_KIND_DATA, 20);
	d->hdr.cgroup_id = CGROUP + 1;
	d->key = key_of(NT_FILE_STDOUT);
	d->file = NT_FILE_STDOUT;
	d->tap = NT_TAP_READ;
	d->offset = 2;
	d->len = 2;
	memcpy(d->bytes, "x\n", 2);
	f->unknown_cgroup = CGROUP + 1;
	streams_record_ops.data(f->streams, 0, d);
	free(d);
	e.hdr.cgroup_id = CGROUP + 1;
	e.file = NT_FILE_STDOUT;
	e.tap = NT_TAP_READ;
	streams_record_ops.end(f->streams, 0, &e);
	f->seen[NT_FILE_STDOUT] += 2;
	data(f, NT_FILE_STDOUT, 30, "b\n");
	expect(f, "web stdout a|web stdout notail: 2 bytes lost here: bad record gap=bad_record|"
		  "web stdout b|");
	assert_int_equal(counters__get(&f->counters, strays), 2);
}

/* The end and the next registration found the ring full. */
static void key_of_another_stream_now(void **state)
{
	struct fixture *f = *state;
	struct nt_data *d = calloc(1, sizeof(*d) + 2);

	start_web(f);
	data(f, NT_FILE_STDOUT, 10, "old");
	d->hdr = header(NT_KIND_DATA, 20);
	d->key = key_of(NT_FILE_STDOUT);
	d->file = NT_FILE_STDERR;
	d->tap = NT_TAP_READ;
	d->offset = 5000;
	d->len = 2;
	memcpy(d->bytes, "n\n", 2);
	streams_record_ops.data(f->streams, 0, d);
	free(d);
	expect(f, "web stdout old|web stderr n|");
}

static void use(struct fixture *f, const char *yaml)
{
	const struct routing_opts opts = {.host = "node1"};
	struct config *config = NULL;
	struct routing *routing;
	struct diag *diag;

	assert_int_equal(diag__new(&diag, "f"), 0);
	assert_int_equal(config__parse(&config, yaml, strlen(yaml), NULL, NULL, NULL, diag), 0);
	assert_int_equal(routing__new(&routing, config, &opts, diag), 0);
	diag__free(diag);
	streams__use(f->streams, routing);
}

static void excluded_by_rules(void **state)
{
	struct fixture *f = *state;

	use(f, "relabel_configs: [{source_labels: [container], regex: web, action: drop}]");
	start_web(f);
	data(f, NT_FILE_STDOUT, 10, "a\nbc");
	data(f, NT_FILE_STDOUT, 20, "d\n");
	assert_int_equal(f->excluded, 1);
	streams__tick(f->streams, clock__boot_ns(), true);
	data(f, NT_FILE_STDOUT, 30, "e\n");
	registered(f, NT_FILE_STDERR);
	data(f, NT_FILE_STDERR, 40, "f\n");
	end(f, NT_FILE_STDOUT, 100, 8);
	expect(f, "");
	expect_stats(f, "");
	assert_int_equal(counters__get(&f->counters, excluded), 7);
	assert_int_equal(counters__get(&f->counters, missing), 0);
	assert_int_equal(f->excluded, 1);
	cgroup_gone(f);
	assert_int_equal(f->forgotten, CGROUP);
}

static void excluded_before_it_writes(void **state)
{
	struct fixture *f = *state;

	use(f, "relabel_configs: [{source_labels: [container], regex: web, action: drop}]");
	registry__engine(f->registry, "docker", true);
	cgroup_new(f);
	registered(f, NT_FILE_STDOUT);
	streams__tick(f->streams, clock__boot_ns(), true);
	assert_int_equal(f->excluded, 0);
	publish(f, "web");
	streams__tick(f->streams, clock__boot_ns(), true);
	assert_int_equal(f->excluded, 1);
	publish(f, "other");
	streams__tick(f->streams, clock__boot_ns(), true);
	assert_int_equal(f->included, 1);
}

static void parked_lines_of_excluded(void **state)
{
	struct fixture *f = *state;

	use(f, "relabel_configs: [{source_labels: [container], regex: web, action: drop}]");
	registry__engine(f->registry, "docker", true);
	cgroup_new(f);
	registered(f, NT_FILE_STDOUT);
	data(f, NT_FILE_STDOUT, 10, "ab\nc\n");
	publish(f, "web");
	streams__tick(f->streams, clock__boot_ns(), true);
	expect(f, "");
	assert_int_equal(counters__get(&f->counters, excluded), 3);
}

static void one_file_is_dropped(void **state)
{
	struct fixture *f = *state;

	use(f, "relabel_configs: [{source_labels: [stream], regex: stderr, action: drop}]");
	start_web(f);
	registered(f, NT_FILE_STDERR);
	data(f, NT_FILE_STDERR, 10, "a\nb\n");
	data(f, NT_FILE_STDOUT, 20, "c\n");
	expect(f, "web stdout c|");
	assert_int_equal(f->excluded, 0);
}

#define JOINED "pipeline_stages: [{multiline: {firstline: '^#', max_wait_time: 3s}}]"

static void stages_hold_lines(void **state)
{
	struct fixture *f = *state;
	uint64_t due_ns;

	use(f, JOINED);
	start_web(f);
	data(f, NT_FILE_STDOUT, NS_PER_SEC, "#a\nb\n");
	due_ns = streams__tick(f->streams, NS_PER_SEC + NS_PER_MS, true);
	assert_true(due_ns > 4 * NS_PER_SEC && due_ns < 5 * NS_PER_SEC);
	streams__tick(f->streams, due_ns + NS_PER_SEC, false);
	expect(f, "");
	due_ns = streams__tick(f->streams, due_ns, true); /* the second line's */
	streams__tick(f->streams, due_ns, true);
	expect(f, "web stdout #a\nb|");
	data(f, NT_FILE_STDOUT, 10 * NS_PER_SEC, "#c\n");
	streams__finish(f->streams);
	expect(f, "web stdout #a\nb|web stdout #c|");
}

static void stages_hold_lines_at_the_end(void **state)
{
	struct fixture *f = *state;

	use(f, JOINED);
	start_web(f);
	data(f, NT_FILE_STDOUT, 10, "#a\nb");
	end(f, NT_FILE_STDOUT, 4, 4);
	cgroup_gone(f);
	expect(f, "web stdout #a\nb|");
	assert_int_equal(f->forgotten, CGROUP);
}

static void another_configuration(void **state)
{
	struct fixture *f = *state;

	use(f, JOINED);
	start_web(f);
	data(f, NT_FILE_STDOUT, 10, "#a\nb\n");
	use(f, "relabel_configs: [{target_label: container, replacement: new}]");
	expect(f, "web stdout #a\nb|");
	data(f, NT_FILE_STDOUT, 20, "c\n");
	use(f, "relabel_configs: [{action: drop, source_labels: [job], regex: docker}]");
	data(f, NT_FILE_STDOUT, 30, "d\n");
	assert_int_equal(f->excluded, 1);
	use(f, "preset: auto");
	streams__tick(f->streams, clock__boot_ns(), true);
	assert_int_equal(f->included, 1);
	registered(f, NT_FILE_STDOUT);
	data(f, NT_FILE_STDOUT, 40, "e\n");
	expect(f, "web stdout #a\nb|new stdout c|web stdout e|");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
		TEST(known_at_once),
		TEST(parked_until_known),
		TEST(parked_no_longer_than_allowed),
		TEST(parked_no_more_than_allowed),
		TEST(rename_applies_to_the_next_line),
		TEST(half_line_at_the_end),
		TEST(missing_is_a_gap),
		TEST(differences_have_names),
		TEST(named_and_missing),
		TEST(tap_changes),
		TEST(uncounted_is_no_loss),
		TEST(terminal_has_no_proof),
		TEST(lost_bytes_are_a_gap_in_place),
		TEST(killed_reader_ends_with_the_cgroup),
		TEST(reader_outlives_the_cgroup),
		TEST(end_behind_the_cgroups_own),
		TEST(untold_ends_are_found),
		TEST(untold_end_keeps_the_counts),
		TEST(living_reader_is_waited_for),
		TEST(untold_stream_is_counted),
		TEST(key_used_again),
		TEST(cgroup_without_record),
		TEST(data_without_registration),
		TEST(finish_sends_what_is_there),
		TEST(gap_that_no_record_told),
		TEST(unwanted_streams_are_not_printed),
		TEST(session_is_marked),
		TEST(tap_has_a_reason),
		TEST(over_the_rate_is_lost_with_a_reason),
		TEST(skipped_hooks_leave_no_proof),
		TEST(skipped_and_rescued),
		TEST(skipped_before_it_was_known),
		TEST(skipped_hooks_and_a_terminal),
		TEST(line_waits_for_a_name),
		TEST(notes_name_lines),
		TEST(cut_lines_are_counted),
		TEST(foreign_reads_of_the_write_tap),
		TEST(lost_continuation_is_a_gap),
		TEST(lost_first_record_is_a_gap),
		TEST(lost_last_record_is_a_gap),
		TEST(lost_registration_is_no_gap),
		TEST(records_of_the_write_tap_change_places),
		TEST(lost_record_of_the_write_tap),
		TEST(wrong_cgroup_is_skipped),
		TEST(key_of_another_stream_now),
		TEST(excluded_by_rules),
		TEST(excluded_before_it_writes),
		TEST(parked_lines_of_excluded),
		TEST(one_file_is_dropped),
		TEST(stages_hold_lines),
		TEST(stages_hold_lines_at_the_end),
		TEST(another_configuration),
		cmocka_unit_test_setup_teardown(nothing_to_compare_without_a_count,
						set_up_uncounted, tear_down),
#undef TEST
	};

	return cmocka_run_group_tests_name("streams", tests, NULL, NULL);
}
