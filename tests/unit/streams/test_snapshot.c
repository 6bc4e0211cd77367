/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of streams while they run: with the real registry and rules, and a kernel that is a
 * table of one. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "status/snapshot.h"
#include "streams/no_kernel.h"
#include "streams/streams.h"

#define CGROUP 4711u
#define ID "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define PATH "/docker/" ID

struct fixture {
	struct clock_anchor anchor;
	struct registry *registry;
	struct counters counters;
	struct streams *streams;
	struct nt_stream kernel;
	uint64_t misses;
	int excluded;
};

static void on_line(void *ctx, struct label_set *set, const struct line *line)
{
	(void)ctx;
	(void)set;
	(void)line;
}

static int kernel_stream(void *ctx, const struct nt_stream_key *key, struct nt_stream *ret)
{
	const struct fixture *f = ctx;

	if (key->ino != 100 + NT_FILE_STDOUT)
		return -ENOENT;
	*ret = f->kernel;
	return 0;
}

static uint64_t misses(void *ctx, enum nt_tap tap)
{
	(void)tap;
	return ((struct fixture *)ctx)->misses;
}

static void exclude(void *ctx, uint64_t cgroup_id, bool excluded)
{
	(void)cgroup_id;
	((struct fixture *)ctx)->excluded = excluded;
}

static struct routing *make_routing(const char *yaml)
{
	const struct routing_opts opts = {.host = "node1"};
	struct config *config = NULL;
	struct routing *routing;
	struct diag *diag;

	assert_int_equal(diag__new(&diag, "test"), 0);
	assert_int_equal(config__parse(&config, yaml, strlen(yaml), NULL, NULL, NULL, diag), 0);
	assert_int_equal(routing__new(&routing, config, &opts, diag), 0);
	diag__free(diag);
	return routing;
}

static void start(struct fixture *f, const char *yaml)
{
	const struct streams_opts opts = {
		.registry = f->registry,
		.counters = &f->counters,
		.routing = make_routing(yaml),
		.anchor = &f->anchor,
		.line = on_line,
		.kernel_stream = kernel_stream,
		.misses = misses,
		.forget = no_kernel__forget,
		.exclude = exclude,
		.ctx = f,
	};

	assert_int_equal(streams__new(&f->streams, &opts), 0);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	log__level(LOG_ERROR);
	f->anchor.offset_ns = 1000;
	f->kernel.cgroup_id = CGROUP;
	assert_int_equal(registry__new(&f->registry), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	streams__free(f->streams);
	registry__free(f->registry);
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

static void registered(struct fixture *f, enum nt_file file)
{
	struct nt_register r = {.hdr = header(NT_KIND_REGISTER, 2),
				.key = key_of(file),
				.file = file,
				.tap = NT_TAP_READ};

	streams_record_ops.registered(f->streams, 0, &r);
}

static void data(struct fixture *f, enum nt_file file, uint64_t time_ns, const char *text,
		 uint64_t offset)
{
	size_t len = strlen(text);
	struct nt_data *d = calloc(1, sizeof(*d) + len);

	d->hdr = header(NT_KIND_DATA, time_ns);
	d->key = key_of(file);
	d->len = len;
	d->file = file;
	d->tap = NT_TAP_READ;
	d->offset = offset;
	memcpy(d->bytes, text, len);
	streams_record_ops.data(f->streams, 0, d);
	free(d);
}

static void start_web(struct fixture *f, const char *label)
{
	struct nt_cgroup_event e = {.hdr = header(NT_KIND_CGROUP_NEW, 1), .path_len = strlen(PATH)};
	struct meta *m = meta__new();

	m->engine = strdup("docker");
	m->id = strdup(ID);
	m->name = strdup("web");
	if (label)
		assert_int_equal(meta__add_label(m, label, "true"), 0);
	assert_int_equal(registry__publish(f->registry, m), 0);
	strcpy(e.path, PATH);
	streams_record_ops.cgroup_new(f->streams, 0, &e);
	registered(f, NT_FILE_STDERR);
	registered(f, NT_FILE_STDOUT);
}

static struct snapshot *look(struct fixture *f, unsigned what)
{
	struct snapshot *s;

	assert_int_equal(streams__snapshot(f->streams, what, &s), 0);
	assert_int_equal(s->what, what);
	assert_false(s->failed);
	return s;
}

static void streams_of_a_container(void **state)
{
	struct fixture *f = *state;
	const struct snapshot_stream *out;
	struct snapshot *s;

	start(f, "preset: docker\n");
	start_web(f, NULL);
	data(f, NT_FILE_STDOUT, 10, "a\nb\nhalf", 0);
	f->kernel.written = 12;
	f->kernel.seen = 10;
	f->kernel.gap.bytes = 2;
	s = look(f, SNAPSHOT_COUNTERS | SNAPSHOT_TARGETS);
	assert_int_equal(s->n_targets, 1);
	assert_string_equal(snapshot_target__name(&s->targets[0]), "web");
	assert_int_equal(s->targets[0].cgroup_id, CGROUP);
	assert_false(s->targets[0].excluded || s->targets[0].waiting);
	assert_int_equal(s->targets[0].n, 2);
	out = &s->streams[s->targets[0].first];
	assert_string_equal(snapshot_stream__file(out), "stdout");
	assert_int_equal(out->lines, 2);
	assert_true(out->counted);
	assert_int_equal(out->written, 12);
	assert_int_equal(out->read, 10);
	assert_int_equal(out->lost, 2);
	assert_false(out->tap_write || out->dropped || out->incomplete || out->session);
	assert_string_equal(out->why, "asked for");
	assert_string_equal(label_set__get(out->set, "container"), "web");
	/* No line came: there are no labels, and the kernel does not know it. */
	assert_string_equal(snapshot_stream__file(out + 1), "stderr");
	assert_null(out[1].set);
	assert_false(out[1].counted || out[1].dropped);
	assert_non_null(samples__find(&s->samples, "notail_guard_trips_total"));
	/* It outlives what it tells of. */
	streams__free(TAKE_PTR(f->streams));
	assert_string_equal(label_set__get(out->set, "stream"), "stdout");
	snapshot__free(s);
}

static void nothing_that_nobody_asked_for(void **state)
{
	struct fixture *f = *state;
	struct snapshot *s;

	start(f, "preset: docker\n");
	start_web(f, NULL);
	s = look(f, 0);
	assert_int_equal(s->n_targets + s->n_streams + s->samples.n, 0);
	snapshot__free(s);
}

static void excluded_by_its_label(void **state)
{
	struct fixture *f = *state;
	struct snapshot *s;

	start(f, "preset: docker\n");
	start_web(f, "notail.io/exclude");
	streams__tick(f->streams, clock__boot_ns(), true);
	assert_true(f->excluded);
	s = look(f, SNAPSHOT_TARGETS);
	assert_int_equal(s->n_targets, 1);
	assert_int_equal(s->n_streams, 0);
	assert_true(s->targets[0].excluded);
	assert_string_equal(s->targets[0].opt_out, "notail.io/exclude");
	snapshot__free(s);
}

static void excluded_by_rules(void **state)
{
	struct fixture *f = *state;
	struct snapshot *s;

	start(f,
	      "relabel_configs:\n  - {source_labels: [__meta_notail_container_name], regex: web, "
	      "action: drop}\n");
	start_web(f, NULL);
	streams__tick(f->streams, clock__boot_ns(), true);
	s = look(f, SNAPSHOT_TARGETS);
	assert_true(s->targets[0].excluded);
	assert_null(s->targets[0].opt_out);
	snapshot__free(s);
}

static void one_stream_dropped(void **state)
{
	struct fixture *f = *state;
	struct snapshot *s;

	start(f, "relabel_configs:\n  - {source_labels: [__meta_notail_stream], regex: stderr, "
		 "action: drop}\n");
	start_web(f, NULL);
	data(f, NT_FILE_STDOUT, 10, "a\n", 0);
	data(f, NT_FILE_STDERR, 20, "b\n", 0);
	s = look(f, SNAPSHOT_TARGETS);
	assert_int_equal(s->n_streams, 2);
	assert_false(s->streams[0].dropped);
	assert_true(s->streams[1].dropped);
	assert_null(s->streams[1].set);
	snapshot__free(s);
}

static void what_the_guard_moved(void **state)
{
	struct fixture *f = *state;
	struct snapshot *s;

	start(f, "preset: docker\nlimits: {label_values: 1}\npipeline_stages:\n"
		 "  - logfmt: {mapping: {id: }}\n  - labels: {id: }\n");
	start_web(f, NULL);
	data(f, NT_FILE_STDOUT, 10, "id=1\nid=2\nid=3\n", 0);
	s = look(f, SNAPSHOT_TARGETS);
	assert_int_equal(s->n_labels, 1);
	assert_string_equal(s->labels[0].name, "id");
	assert_in_range(s->labels[0].since_ns, 1001, 1100);
	snapshot__free(s);
}

static void skipped_hooks(void **state)
{
	struct fixture *f = *state;
	struct snapshot *s;

	start(f, "preset: docker\n");
	start_web(f, NULL);
	f->misses = 3;
	streams__tick(f->streams, clock__boot_ns(), true);
	s = look(f, SNAPSHOT_TARGETS);
	assert_true(s->streams[0].incomplete);
	snapshot__free(s);
}

static void bounded(void **state)
{
	struct snapshot_stream stream = {.target = 0};
	struct snapshot *s;

	(void)state;
	assert_int_equal(snapshot__new(&s, SNAPSHOT_TARGETS, 1, 1), 0);
	assert_int_equal(snapshot__add_target(s, &(struct snapshot_target){.meta = meta__new()}),
			 0);
	stream.target = snapshot__add_target(s, &(struct snapshot_target){.meta = meta__new()});
	stream.set = label_set__new();
	snapshot__add_stream(s, &stream);
	stream.target = 0;
	stream.set = label_set__new();
	snapshot__add_stream(s, &stream);
	stream.set = label_set__new();
	snapshot__add_stream(s, &stream);
	snapshot__seal(s);
	assert_int_equal(s->n_targets, 1);
	assert_int_equal(s->n_streams, 1);
	assert_int_equal(s->left_out, 3);
	snapshot__free(s);
}

static void ordered_by_name(void **state)
{
	static const char *const names[] = {"web-10", "api", "web-9"};
	struct snapshot *s;

	(void)state;
	assert_int_equal(snapshot__new(&s, SNAPSHOT_TARGETS, 3, 9), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct snapshot_target t = {.cgroup_id = i, .meta = meta__new()};
		struct snapshot_stream stream = {.file = LINE_STDERR};

		t.meta->name = strdup(names[i]);
		stream.target = snapshot__add_target(s, &t);
		stream.lines = i;
		snapshot__add_stream(s, &stream);
		stream.file = LINE_STDOUT;
		snapshot__add_stream(s, &stream);
	}
	snapshot__seal(s);
	assert_string_equal(snapshot_target__name(&s->targets[0]), "api");
	assert_string_equal(snapshot_target__name(&s->targets[1]), "web-9");
	assert_string_equal(snapshot_target__name(&s->targets[2]), "web-10");
	for (size_t i = 0; i < s->n_targets; i++) {
		const struct snapshot_target *t = &s->targets[i];

		assert_int_equal(t->n, 2);
		assert_int_equal(s->streams[t->first].lines, t->cgroup_id);
		assert_int_equal(s->streams[t->first].file, LINE_STDOUT);
		assert_int_equal(s->streams[t->first + 1].file, LINE_STDERR);
	}
	snapshot__free(s);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(streams_of_a_container),
		TEST(nothing_that_nobody_asked_for),
		TEST(excluded_by_its_label),
		TEST(excluded_by_rules),
		TEST(one_stream_dropped),
		TEST(what_the_guard_moved),
		TEST(skipped_hooks),
		cmocka_unit_test(bounded),
		cmocka_unit_test(ordered_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
