/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each allocation on a line's way fails once: nothing crashes or leaks, no line comes out other
 * than it is, and the lines that do not come are counted.
 */
#include "allocations.h"

#include <setjmp.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "batch/batch.h"
#include "batch/request.h"
#include "streams/no_kernel.h"
#include "streams/streams.h"
#include "test_pipeline.h"

#define ATTEMPTS_MAX 20000 /* there is an end */

/* test-pipeline */

static const char CONFIG[] =
	"scrape_configs:\n"
	"- job_name: a\n"
	"  relabel_configs:\n"
	"  - {source_labels: [__meta_docker_container_name], regex: '/(.*)', target_label: "
	"container}\n"
	"  pipeline_stages:\n"
	"  - multiline: {firstline: '^\\{', max_wait_time: 3s}\n"
	"  - json: {expressions: {level: , user: who.name, text: log}}\n"
	"  - labels: {level: }\n"
	"  - structured_metadata: {user: }\n"
	"  - match:\n"
	"      selector: '{level=\"debug\"} |~ \"never.*this\"'\n"
	"      action: drop\n"
	"  - template: {source: out, template: '{{ .level | ToUpper }} {{ .text }}'}\n"
	"  - replace: {expression: '(secret)', replace: '***'}\n"
	"  - metrics:\n"
	"      seen: {type: Counter, config: {match_all: true, action: inc}}\n"
	"  - output: {source: out}\n";

static const char LINES[] = "{\"level\":\"info\",\"who\":{\"name\":\"me\"},\"log\":\"one\"}\n"
			    "{\"level\":\"debug\",\"log\":\"never in this\"}\n"
			    "{\"level\":\"warn\",\"log\":\"two secret\"}\n"
			    "  at a\n"
			    "  at b\n"
			    "{\"level\":\"error\",\"who\":{\"name\":\"you\"},\"log\":\"three\"}\n"
			    "half";

struct files {
	char config[64], lines[64], out[64];
	int stdin_before, stdout_before;
};

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
}

static void make_files(struct files *f)
{
	snprintf(f->config, sizeof(f->config), "/tmp/notail-allocations-%d.yaml", getpid());
	snprintf(f->lines, sizeof(f->lines), "/tmp/notail-allocations-%d.lines", getpid());
	snprintf(f->out, sizeof(f->out), "/tmp/notail-allocations-%d.out", getpid());
	write_file(f->config, CONFIG);
	write_file(f->lines, LINES);
}

static void remove_files(struct files *f)
{
	unlink(f->config);
	unlink(f->lines);
	unlink(f->out);
}

/* The exit status of a run in which the `n`th allocation fails, how many there were, and what came
 * out. */
static int run_test_pipeline(struct files *f, size_t n, size_t *ret_allocations,
			     struct buf *ret_out)
{
	char *argv[] = {"test-pipeline",
			"-c",
			f->config,
			"--set",
			"__meta_docker_container_name=/web",
			NULL};
	FILE *in = freopen(f->lines, "r", stdin), *out = NULL;
	char chunk[4096];
	size_t got;
	int status, saved;

	assert_non_null(in);
	fflush(stdout);
	saved = dup(STDOUT_FILENO);
	assert_non_null(freopen(f->out, "w", stdout));
	allocations__fail(n);
	status = test_pipeline__main(5, argv);
	*ret_allocations = allocations__end();
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	ret_out->len = 0;
	out = fopen(f->out, "re");
	assert_non_null(out);
	while ((got = fread(chunk, 1, sizeof(chunk), out)))
		assert_int_equal(buf__append(ret_out, chunk, got), 0);
	fclose(out);
	return status;
}

/* Lines of output, each whole. */
static size_t count_lines(const struct buf *out)
{
	size_t n = 0;

	for (const char *at = out->data, *end = at + out->len, *newline; at < end;
	     at = newline + 1, n++) {
		newline = memchr(at, '\n', (size_t)(end - at));
		assert_non_null(newline);
		assert_memory_equal(at, "{\"ts\":", 6);
		assert_memory_equal(newline - 2, "}}", 2);
	}
	return n;
}

static void test_stages(void **state)
{
	_buf_ struct buf all = {0}, some = {0};
	struct files f = {0};
	size_t n, count = 0, lines;
	int status;

	(void)state;
	make_files(&f);
	assert_int_equal(run_test_pipeline(&f, 0, &count, &all), 0);
	lines = count_lines(&all);
	assert_true(lines > 2);
	for (n = 1; n < ATTEMPTS_MAX; n++) {
		status = run_test_pipeline(&f, n, &count, &some);
		if (count < n)
			break;
		/* A stage without memory is counted, and lets the line pass or drops it. */
		if (!status && count_lines(&some) + 1 < lines)
			fail_msg("allocation %zu: %zu of %zu lines, and it says nothing", n,
				 count_lines(&some), lines);
	}
	print_message("# %zu allocations\n", n - 1);
	remove_files(&f);
}

/* From ring records to Loki's payload */

#define CGROUP 4711u
#define ID "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define PATH "/docker/" ID
#define RECORDS 60
#define LINE_BYTES 14 /* of the shortest */

struct way {
	struct clock_anchor anchor;
	struct counters counters;
	struct registry *registry;
	struct selection *selection;
	struct streams *streams;
	struct batcher *batcher;
	size_t came, not_added, sealed, gaps;
	uint64_t stages_no_memory;
	bool arrived[RECORDS + 1];
	uint64_t offset;
};

static void on_sealed(void *ctx, struct batch *b)
{
	struct way *w = ctx;
	struct request r = {0};
	size_t armed = allocation_to_fail;
	char text[64];

	w->sealed += b->lines;
	allocation_to_fail = 0; /* the receiver's memory is another's */
	assert_int_equal(request__open(&r, b->payload.data, b->payload.len, 1 << 24), 0);
	assert_int_equal(r.n_entries, b->lines);
	for (size_t i = 0; i < r.n_entries; i++) {
		unsigned long number;

		assert_in_range(r.entries[i].line_len, 1, sizeof(text) - 1);
		memcpy(text, r.entries[i].line, r.entries[i].line_len);
		text[r.entries[i].line_len] = '\0';
		if (sscanf(text, "line %lu of a stream", &number) != 1) {
			w->gaps++;
			continue;
		}
		assert_in_range(number, 1, RECORDS);
		assert_false(w->arrived[number]);
		w->arrived[number] = true;
		w->came++;
	}
	request__close(&r);
	allocation_to_fail = armed;
	batch__free(b);
}

static void on_line(void *ctx, struct label_set *set, const struct line *line)
{
	struct way *w = ctx;

	if (batcher__add(w->batcher, set, line))
		w->not_added += !line->gap;
}

/* Behind the multiline that the container asks for. */
static const char STAGES[] = "pipeline_stages:\n"
			     "- regex: {expression: 'line (?P<number>\\d+)(?P<rest>.*)'}\n"
			     "- structured_metadata: {number: }\n"
			     "- static_labels: {a: b}\n";

/* That part is gone through with no allocation failing: test_stages has it. */
static struct routing *make_routing(const char *path)
{
	const struct routing_opts opts = {.host = "node"};
	struct config *config = NULL;
	struct routing *routing = NULL;
	struct diag *diag = NULL;

	assert_int_equal(diag__new(&diag, path), 0);
	assert_int_equal(config__load(&config, path, NULL, diag), 0);
	assert_int_equal(routing__new(&routing, config, &opts, diag), 0);
	diag__free(diag);
	return routing;
}

static int make_way(struct way *w, struct routing *routing)
{
	struct streams_opts opts = {.host = "node",
				    .line = on_line,
				    .kernel_stream = no_kernel__stream,
				    .forget = no_kernel__forget,
				    .ctx = w};
	struct batch_opts batch = {.encoding = BATCH_LOKI, .max_bytes = 1000, .anchor = &w->anchor};
	int err = registry__new(&w->registry);

	opts.routing = routing;
	if (!err)
		err = selection__new(&w->selection);
	opts.registry = w->registry;
	opts.selection = w->selection;
	opts.counters = &w->counters;
	opts.anchor = &w->anchor;
	if (!err)
		err = batcher__new(&w->batcher, &batch, on_sealed, w);
	if (err)
		routing__free(routing);
	return err ? err : streams__new(&w->streams, &opts);
}

static int publish(struct way *w)
{
	struct meta *m = meta__new();

	if (!m)
		return -ENOMEM;
	m->engine = strdup("docker");
	m->id = strdup(ID);
	m->name = strdup("web");
	if (!m->engine || !m->id || !m->name ||
	    meta__add_label(m, "notail.io/multiline", "^line")) {
		meta__unref(m);
		return -ENOMEM;
	}
	return registry__publish(w->registry, m);
}

static void give(struct way *w, uint64_t time_ns, const char *text)
{
	static union {
		struct nt_data data;
		char room[sizeof(struct nt_data) + 256];
	} u;
	struct nt_data *d = &u.data;

	memset(&u, 0, sizeof(u));
	d->hdr = (struct nt_hdr){.kind = NT_KIND_DATA, .time_ns = time_ns, .cgroup_id = CGROUP};
	d->key = (struct nt_stream_key){.ino = 101, .dev = 14};
	d->len = strlen(text);
	d->file = NT_FILE_STDOUT;
	d->tap = NT_TAP_READ;
	d->offset = w->offset;
	w->offset += d->len;
	memcpy(d->bytes, text, d->len);
	streams_record_ops.data(w->streams, 0, d);
}

static void run_records(struct way *w)
{
	struct nt_cgroup_event new = {
		.hdr = {.kind = NT_KIND_CGROUP_NEW, .time_ns = 1, .cgroup_id = CGROUP},
		.path_len = strlen(PATH)};
	struct nt_register reg = {
		.hdr = {.kind = NT_KIND_REGISTER, .time_ns = 2, .cgroup_id = CGROUP},
		.key = {.ino = 101, .dev = 14},
		.file = NT_FILE_STDOUT,
		.tap = NT_TAP_READ};
	char text[128];

	strcpy(new.path, PATH);
	streams_record_ops.cgroup_new(w->streams, 0, &new);
	streams_record_ops.registered(w->streams, 0, &reg);
	for (unsigned i = 1; i <= RECORDS; i++) {
		/* In two halves. */
		snprintf(text, sizeof(text), "line %u of", i);
		give(w, 100 * i, text);
		give(w, 100 * i + 50, " a stream\n");
		streams__tick(w->streams, 100 * i + 60, true);
	}
	streams__finish(w->streams);
	batcher__seal(w->batcher);
}

static void on_count(void *ctx, const char *metric, const char *help, uint64_t value)
{
	struct way *w = ctx;

	(void)help;
	if (!strcmp(metric, "notail_stage_no_memory_total"))
		w->stages_no_memory = value;
}

static void unmake_way(struct way *w)
{
	streams__free(w->streams);
	batcher__free(w->batcher);
	selection__free(w->selection);
	registry__free(w->registry);
}

/* One failure costs the lines that were counted, or bytes of the stream that a gap tells of. */
static void assert_counted(struct way *w, size_t n)
{
	size_t counted =
		w->not_added + counters__get(&w->counters, dropped_no_memory) + w->stages_no_memory;
	unsigned long gap_bytes = counters__get(&w->counters, gap_bytes);

	if (w->came + counted + gap_bytes / LINE_BYTES < RECORDS)
		fail_msg("allocation %zu: %zu of %u lines came, %zu and %lu bytes were counted", n,
			 w->came, RECORDS, counted, gap_bytes);
}

static void test_records(void **state)
{
	struct files f = {0};
	size_t n, most = 0;
	bool worked = false;

	(void)state;
	make_files(&f);
	write_file(f.config, STAGES);
	for (n = 1; n < ATTEMPTS_MAX; n++) {
		struct way w = {0};
		struct routing *routing = make_routing(f.config);

		allocations__fail(n);
		if (!make_way(&w, routing) && !publish(&w)) {
			run_records(&w);
			routing__count(streams__routing(w.streams), on_count, &w);
			assert_counted(&w, n);
			worked = true;
		}
		most = allocations__end();
		unmake_way(&w);
		if (most < n)
			break;
	}
	assert_true(n < ATTEMPTS_MAX && worked);
	print_message("# %zu allocations\n", n - 1);
	remove_files(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stages),
		cmocka_unit_test(test_records),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
